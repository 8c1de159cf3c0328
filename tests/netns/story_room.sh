#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Policies that do not fit into the tables, against the in-tree API server in network namespaces: the policy of before
# stays in force, and what becomes of pods, services and nodes meanwhile still reaches the host.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

NEW_ID=3003
is_told() { [ "$(condition ahch-to datapath.policy .severity)" = "${1-error}" ]; }
has_prefixes() { [ "$(host ahch-to map list -o json | jq '.[] | select(.name == "mesh_cidr4") | .entries')" = "$1" ]; }
# Port 80 is for all but the sith, and for peers that nobody knows, too.
spec_door='{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}],
 ingressDeny: [{fromEndpoints: [{matchLabels: {sith: vader}}]}]}'
sent() { apply $CNP/"$1" <<<"{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: $1, namespace: legacy}, spec: $2}"; }

# wall rules|list COUNT [NAME [NETWORK]]: rules of their own for so many prefixes, or one rule with all of them; nobody
# has these addresses.
wall() {
	local list
	list=$(awk -v kind="$1" -v n="$2" -v net="${4:-198.18}" 'BEGIN {
		for (i = 0; i < n; i++) {
			prefix = sprintf("%s.%d.%d/32", net, i / 250, i % 250)
			printf "%s%s", i ? ", " : "", kind == "rules" ? "{fromCIDR: [" prefix "]}" : prefix
		}
	}')
	[ "$1" = rules ] || list="{fromCIDR: [$list]}"
	sent "${3:-wall}" "{endpointSelector: {matchLabels: {jedi: luke}}, ingressDeny: [$list]}"
}

# becomes NAME ADDRESS IDENTITY NODE-ADDRESS: the cluster gives the address of a pod to another one
becomes() {
	apply /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/"$1" <<Y
{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {name: $1, namespace: legacy}, status: {id: 1, state: ready,
 identity: {id: $3, labels: ["k8s:io.kubernetes.pod.namespace=legacy"]}, networking: {addressing: [{ipv4: $2}], node: $4}}}
Y
}

service() { # name, address, backend
	apply /api/v1/namespaces/legacy/services/"$1" <<Y
{apiVersion: v1, kind: Service, metadata: {name: $1, namespace: legacy}, spec: {type: ClusterIP, clusterIP: $2, clusterIPs: [$2],
 ipFamilies: [IPv4], ports: [{name: http, port: 80, protocol: TCP, targetPort: 8080}]}}
Y
	apply /apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/"$1"-1 <<Y
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: $1-1, namespace: legacy, labels: {kubernetes.io/service-name: $1}},
 endpoints: [{addresses: [$3], conditions: {ready: true}}], ports: [{name: http, port: 8080, protocol: TCP}]}
Y
}

before() {
	enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	check "ahch-to joins" join ahch-to --token "$token"
	agent_start ahch-to
	check "ahch-to comes up" wait_for 20 is_running ahch-to
	policy door "$spec_door"
	passes "leia gets in" leia $AHCHTO 80
	stopped "vader does not" vader $AHCHTO 80
	wall list 400
	check "a rule with many prefixes fits" wait_for 15 has_prefixes 400
	is "all is well" ok "$(status ahch-to .state)"
	wall list 1
	check "and goes" wait_for 15 has_prefixes 1
}

held() {
	wall rules 400
	check "many rules do not fit, and it is told" wait_for 15 is_told
	check "with what lacks room" grep -q "mesh_policy_row" <<<"$(condition ahch-to datapath.policy .text)"
	check "the list of policies says so, too" grep -q "as it was before: not all policies are in force" <<<"$(host ahch-to policy list -o json)"
	check "and what helps" grep -q "datapath.policy-max-entries to twice" <<<"$(condition ahch-to datapath.policy .remedy)"
	passes "leia gets in as before" leia $AHCHTO 80
	stopped "vader does not, as before" vader $AHCHTO 80
	service late 10.96.0.81 $VADER
	passes "a new service is there" ahch-to 10.96.0.81 80
	remove /api/v1/namespaces/legacy/services/late
	check "and goes" wait_for 15 eval "! reaches ahch-to 10.96.0.81 80"
	becomes leia $LEIA $VADER_ID 172.19.100.11
	stopped "an address has the identity that the cluster says" leia $AHCHTO 80
	becomes leia $LEIA $LEIA_ID 172.19.100.11
	passes "and has it back" leia $AHCHTO 80
}

# More prefixes than there may be, in as many policies as that takes
prefixes() {
	wall list 33000
	wall list 33000 wall2 198.19
	check "no more than 65536 prefixes" wait_for 30 eval 'condition ahch-to datapath.policy .text | grep -q "more than 65536 prefixes"'
	passes "leia gets in as before" leia $AHCHTO 80
	becomes leia $LEIA $VADER_ID 172.19.100.11
	stopped "an address has the identity that the cluster says" leia $AHCHTO 80
	becomes leia $LEIA $LEIA_ID 172.19.100.11
	passes "and has it back" leia $AHCHTO 80
	remove $CNP/wall2
	check "fewer fit" wait_for 30 is_told ""
	check "each of them" wait_for 15 has_prefixes 33000
}

strangers() {
	apply /apis/cilium.io/v2/ciliumidentities/$NEW_ID <<Y
{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: "$NEW_ID"}, security-labels: {
 "k8s:sith": vader, "k8s:more": maul, "k8s:io.kubernetes.pod.namespace": legacy, "k8s:io.cilium.k8s.policy.cluster": default}}
Y
	pod_start maul 10.244.3.7 $NEW_ID node3 172.19.100.13
	apply /apis/cilium.io/v2/ciliumnodes/node3 <<Y
{apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: node3}, spec: {
 addresses: [{type: InternalIP, ip: 172.19.100.13}], ipam: {podCIDRs: [10.244.3.0/24]}}}
Y
	becomes maul 10.244.3.7 $NEW_ID 172.19.100.13
	passes "a pod on a new node is reached" ahch-to 10.244.3.7 8080
	stopped "but who is new is not taken for nobody in particular" maul $AHCHTO 80
	agent_kill ahch-to
	agent_start ahch-to
	check "a daemon that starts now says the same" wait_for 20 is_told
	check "and goes on" wait_for 20 is_running ahch-to degraded
	passes "leia gets in" leia $AHCHTO 80
	stopped "vader does not" vader $AHCHTO 80
	stopped "nor does who is new" maul $AHCHTO 80
}

after() {
	wall rules 1
	check "what fits comes into force" wait_for 15 is_told ""
	passes "leia gets in" leia $AHCHTO 80
	stopped "vader does not" vader $AHCHTO 80
	stopped "nor does maul, by the rule now" maul $AHCHTO 80
	remove $CNP/door
	remove $CNP/wall
	passes "without rules all get in" maul $AHCHTO 80
	check "all is well" wait_for 15 is_running ahch-to
}

story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
for part in ${STORY_PARTS:-before prefixes held strangers after}; do $part; done
story_finish
