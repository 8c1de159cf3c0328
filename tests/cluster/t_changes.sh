#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the years of a cluster bring to a host that has joined: nodes that lose their state or come back as others, objects of the
# host that somebody edits or deletes, roles and accounts that are taken away, another configuration of Cilium, new resource
# definitions, a restored backup. After each: what may pass passes, what may not does not, and the status tells what is wrong and
# what to do. Takes a quarter of an hour; not in the suite.
#   PARTS="node_lost ..."   some parts only
#   KEEP=1                  keep the lab when done, and say how to enter and end it
# Needs root, the peers (peers.sh), jq, curl, and the built programs in BUILD.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}
PARTS=${PARTS:-twins reuse foreign_policy edited identity namespace account roles lease definitions node_lost node_moved backup slices tunnel}

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer" "jq curl openssl" "$@"
. "$here/story_lib.sh"
. "$here/story_core.sh"
variant=changes
trap lab_leave EXIT
trap 'exit 130' INT TERM

# The daemon, started anew when it ends, as by its unit

daemon() { # HOST
	setsid "$lab" exec "$1" sh -c 'while :; do "$@" & echo $! >"$0"; wait $!; sleep 0.2; done' "$LAB/host/$1/pid" \
		"$BUILD/mesh-agentd" --config "$(conf_of "$1")" >>"$LAB/log/agentd-$1.log" 2>&1 </dev/null &
	echo "$! $(started_at $!)" >"$LAB/pid/agentd-$1"
	disown
}
run_of() { cat "$LAB/host/$1/pid"; }
restart() { # HOST
	local old
	old=$(run_of "$1")
	kill "$old" && wait_for 10 another_run "$1" "$old" && wait_for 20 ctl "$1" identity list
}
another_run() { [ "$(run_of "$1")" != "$2" ]; }

condition() { jq -r --arg n "$2" ".conditions[]? | select(.name == \$n) | $3" <<<"$(ctl "$1" status -o json)"; } # HOST NAME FILTER
condition_is() { is "$(condition "$1" "$2" .severity)" "$3"; } # HOST NAME SEVERITY
condition_has() { grep -e "$4" <<<"$(condition "$1" "$2" "$3")" || { condition "$1" "$2" "$3"; return 1; }; } # HOST NAME FILTER TEXT
no_condition() { is "$(condition "$1" "$2" .severity)" ''; }
faults_are() { # HOST NAMES
	is "$(jq -r '[.conditions[]? | select(.severity != "info") | .name] | sort | join(" ")' <<<"$(ctl "$1" status -o json)")" "$2"
}
enrol() { # NAME ARGUMENT...
	admin host add "$@" >"$LAB/token.$1" 2>"$LAB/told.$1" || { cat "$LAB/told.$1"; return 1; }
}
joins() { join_host "$1" "$LAB/token.$2" && restart "$1"; } # PLACE NAME
endpoint_id() { kubectl -n legacy get ciliumendpoint "$1" -o 'jsonpath={.status.identity.id}'; }
config() { # KEY VALUE
	kubectl -n kube-system patch configmap cilium-config --type=merge -p "$(jq -nc --arg k "$1" --arg v "$2" '{data: {($k): $v}}')" >/dev/null
}

# What is allowed and what is not: by a policy on the host, and by one on the pod that goes by the host's labels
holds() { # WHEN
	check "$1: the pod that is allowed gets in" soon reaches pod:resistance $HOST 80 host1
	check "$1: another pod does not" soon dropped pod:empire $HOST 80
	check "$1: nor does a machine without identity" dropped world $HOST 80
	check "$1: the host is let in by its labels" soon reaches host1 "${pod_ip[resistance]}" 8080 resistance $HOST
	check "$1: a machine without them is not" soon dropped world "${pod_ip[resistance]}" 8080
}
on_the_host() { # WHEN: as seen from the host alone
	check "$1: the pod that is allowed gets in" soon reaches pod:resistance $HOST 80 host1
	check "$1: another pod does not" soon dropped pod:empire $HOST 80
	check "$1: nor does a machine without identity" dropped world $HOST 80
}
well() { check "$1: the host is well" wait_for "${2:-60}" state_is host1 ok; } # WHEN [SECONDS]

begin() {
	cluster_up || { fail "the cluster starts"; return 1; }
	check "the cluster is set up" admin cluster setup
	check "the host is enrolled" enrol ahch-to --namespace legacy --labels jedi=luke --address $HOST --serve ahch-to
	id=$(endpoint_id ahch-to)
	check "it joins" join_host host1 "$LAB/token.ahch-to"
	daemon host1
	check "it is well" wait_for 30 state_is host1 ok
	check "the stock agent knows it" soon in_ipcache node1 $HOST "$id"
	from_orgs resistance
	pod_admits_luke
	holds "joined"
	[ "$failed" = 0 ]
}

# Two hosts of one identity, and the end of one of them
twins() {
	check "another host has the same labels" enrol crait --namespace legacy --labels jedi=luke --address $OTHER
	check "and so the same identity" is "$(endpoint_id crait)" "$id"
	check "it joins" join_host crait "$LAB/token.crait"
	daemon crait
	check "it is well" wait_for 30 state_is crait ok
	check "it is let in as the first is" soon reaches crait "${pod_ip[resistance]}" 8080 resistance $OTHER
	check "it is removed" admin host remove crait
	check "it says so" soon condition_has crait host.removed .remedy mesh-join
	check "the stock agent forgets it" soon not_in_ipcache node1 $OTHER "$id"
	check "it is kept out now" soon dropped crait "${pod_ip[resistance]}" 8080
	check "their identity is there" kubectl get ciliumidentity "$id"
	check "the first is well" state_is host1 ok
	holds "the twin is gone"
	stop agentd-crait
	kill "$(run_of crait)"
}

# An address that means another identity from one second to the next
reuse() {
	local i
	for i in 1 2 3; do
		kubectl -n default label pod empire org=resistance --overwrite >/dev/null
		[ $i != 3 ] || check "the pod has the labels of another: it gets in" wait_for 60 reaches pod:empire $HOST 80 host1
		kubectl -n default label pod empire org=empire --overwrite >/dev/null
	done
	check "and back again within a second: it does not" wait_for 60 dropped pod:empire $HOST 80
	# two endpoints of one address: the newer counts, and where it goes, the older is there yet
	kubectl -n default get ciliumendpoint empire -o json | jq --argjson id "$(kubectl -n default get ciliumendpoint resistance \
		-o 'jsonpath={.status.identity.id}')" '.metadata = {name: "ghost", namespace: "default"} | .status.identity = {id: $id}' |
		kubectl apply -f - >/dev/null
	check "a new endpoint has taken its address" soon address_is_of "${pod_ip[empire]}" resistance
	check "what comes with the old identity is dropped" dropped pod:empire $HOST 80
	kubectl -n default delete ciliumendpoint ghost >/dev/null
	check "it is gone: the address is that of the old one" soon address_is_of "${pod_ip[empire]}" empire
	# a node may have lost the address with it: what it says of the pod is made anew
	kubectl -n default label pod empire org=resistance --overwrite >/dev/null
	kubectl -n default label pod empire org=empire --overwrite >/dev/null
	holds "addresses were reused"
}
address_is_of() { # ADDRESS POD
	is "$(ctl host1 policy why --peer-ip "$1" --direction ingress --protocol tcp --port 80 -o json | jq -r .identity)" \
		"$(kubectl -n default get ciliumendpoint "$2" -o 'jsonpath={.status.identity.id}')"
}

# A policy for nodes is the host firewall's, and none for hosts.
foreign_policy() {
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: cilium.io/v2
	kind: CiliumClusterwideNetworkPolicy
	metadata: {name: nodes}
	spec: {nodeSelector: {}, ingress: [{fromEntities: [health]}]}
	Y
	check "a policy for nodes is not about the host" soon policy_state_is nodes not-selecting
	holds "with a policy for nodes"
	kubectl delete ciliumclusterwidenetworkpolicy nodes >/dev/null
}
policy_state_is() { is "$(ctl host1 policy list -o json | jq -r --arg n "$1" '[.. | objects | select(.name? == $n) | .state] | first')" "$2"; }

# Its CiliumEndpoint
edited() {
	kubectl -n legacy patch ciliumendpoint ahch-to --type=merge -p '{"status": {"networking": {"node": "172.19.100.77",
		"addressing": [{"ipv4": "172.19.100.77"}]}, "state": "disconnected"}}' >/dev/null
	check "somebody edits its endpoint: it says again where it is" soon endpoint_says "ready $HOST $HOST"
	holds "its endpoint was edited"
	kubectl -n legacy patch ciliumendpoint ahch-to --type=merge -p '{"status": {"networking": null}}' >/dev/null
	check "somebody takes its address away: it is there again" soon endpoint_says "ready $HOST $HOST"
	kubectl -n legacy delete ciliumendpoint ahch-to >/dev/null
	check "its endpoint is deleted: the host says so" soon condition_is host1 host.removed error
	check "and what to do" condition_has host1 host.removed .remedy 'meshctl host add'
	check "policies hold" dropped world $HOST 80
	check "an admin enrols it again, with all that is to be said of it" enrol ahch-to --namespace legacy --labels jedi=luke \
		--address $HOST --serve ahch-to
	check "with the identity that it had" is "$(endpoint_id ahch-to)" "$id"
	well "enrolled again, without joining" 90
	check "its endpoint says where it is" endpoint_says "ready $HOST $HOST"
	holds "its endpoint was made again"
	kubectl -n legacy patch ciliumendpoint ahch-to --type=json -p '[{"op": "replace", "path": "/status/identity/id", "value": 65000}]' >/dev/null
	check "it gets another identity by hand: the host says so" soon state_is host1 enrolment-changed
	on_the_host "another identity"
	kubectl -n legacy patch ciliumendpoint ahch-to --type=json -p '[{"op": "replace", "path": "/status/identity/id", "value": '"$id"'}]' >/dev/null
	well "its own again"
	holds "its own identity again"
}
endpoint_says() { is "$(kubectl -n legacy get ciliumendpoint ahch-to -o json | jq -r '.status | "\(.state) \(.networking.node) \(.networking.addressing[0].ipv4)"')" "$1"; }

# Its CiliumIdentity
identity() {
	kubectl delete ciliumidentity "$id" >/dev/null
	check "its identity is deleted: the host says so" soon condition_is host1 identity.missing warning
	check "and what to do" condition_has host1 identity.missing .remedy 'meshctl host add'
	on_the_host "without its identity"
	restart host1
	check "started anew it still says so" soon condition_is host1 identity.missing error
	on_the_host "without its identity, started anew"
	check "an admin enrols it again" enrol ahch-to
	check "with the number that it had" is "$(endpoint_id ahch-to)" "$id"
	well "its identity is there again"
	holds "its identity is there again"
	kubectl get ciliumidentity "$id" -o json | jq 'del(.metadata.uid, .metadata.resourceVersion) | ."security-labels" = {"k8s:app": "thief",
		"k8s:io.kubernetes.pod.namespace": "default"}' >"$LAB/thief.json"
	kubectl delete ciliumidentity "$id" >/dev/null
	kubectl create -f "$LAB/thief.json" >/dev/null
	check "its number is given to something else: the host says so" soon condition_is host1 identity.foreign error
	on_the_host "its number is something else's"
	kubectl delete ciliumidentity "$id" >/dev/null
	check "an admin enrols it again" enrol ahch-to
	well "its number is its own again"
	holds "its number is its own again"
}

# The labels of its namespace
namespace() {
	kubectl label namespace legacy team=blue >/dev/null
	check "its namespace is relabelled: the host says so" soon condition_is host1 identity.outdated warning
	check "by which label" condition_has host1 identity.outdated .text 'team=blue, before none'
	check "and what to do" condition_has host1 identity.outdated .remedy 'meshctl host add'
	check "the admin sees it, too" eval "admin host list -o json | jq -r '.[] | select(.name == \"ahch-to\").note' | grep 'labels of the namespace'"
	holds "its namespace is relabelled"
	check "an admin enrols it again" enrol ahch-to
	check "the host waits for the token" soon state_is host1 enrolment-changed
	on_the_host "it waits for the token"
	check "it joins anew" joins host1 ahch-to
	id=$(endpoint_id ahch-to)
	well "joined anew"
	check "the stock agent knows its new identity" soon in_ipcache node1 $HOST "$id"
	holds "joined anew"
	check "nothing is left to tell the admin" is "$(admin host list -o json | jq -r '.[] | select(.name == "ahch-to").note')" null
}

# Its ServiceAccount
account() {
	kubectl -n mesh-hosts delete serviceaccount ahch-to >/dev/null
	check "its account is deleted: the host says so" wait_for 150 condition_is host1 api.unauthorized error
	check "and what to do" condition_has host1 api.unauthorized .remedy 'mesh-join --token .* meshctl host add'
	holds "without an account"
	kubectl -n mesh-hosts create serviceaccount ahch-to >/dev/null
	restart host1
	check "another of that name is no help" wait_for 30 condition_is host1 api.unauthorized error
	on_the_host "with another account of that name"
	kubectl -n mesh-hosts delete serviceaccount ahch-to >/dev/null
	check "an admin enrols it again" enrol ahch-to
	check "it joins anew" joins host1 ahch-to
	well "joined anew"
	holds "joined anew"
}

# What it may read
roles() {
	kubectl get clusterrole mesh-hosts-read -o json | jq '.rules |= map(.resources -= ["ciliumnodes"])' | kubectl replace -f - >/dev/null
	restart host1
	check "somebody edits a role: the host says what it may not read" wait_for 90 condition_has host1 api.outage .text 'CiliumNode cannot be read.*forbidden'
	check "and what to do" condition_has host1 api.outage .remedy 'meshctl cluster setup'
	holds "without a right"
	check "an admin sets the cluster up again" admin cluster setup
	well "the right is back" 120
	holds "the right is back"
}

# Its Lease
lease() {
	kubectl -n mesh-hosts delete lease ahch-to >/dev/null
	check "its Lease is deleted: the host says so" wait_for 150 condition_is host1 host.heartbeat warning
	check "and what to do" condition_has host1 host.heartbeat .remedy 'meshctl host add'
	check "an admin enrols it again" enrol ahch-to
	well "its Lease is there again" 90
	check "it renews it" grep "^ahch-to/" <<<"$(kubectl -n mesh-hosts get lease ahch-to -o 'jsonpath={.spec.holderIdentity}')"
}

# Other resource definitions end all watches of their kind.
definitions() {
	local n run
	run=$(run_of host1)
	for n in ciliumnodes ciliumendpoints ciliumidentities ciliumnetworkpolicies ciliumclusterwidenetworkpolicies; do
		kubectl get crd $n.cilium.io -o json | jq '.metadata.labels["io.cilium.k8s.crd.schema.version"] = "1.99.0" |
			.spec.versions |= map(.additionalPrinterColumns += [{"name": "Later", "type": "date", "jsonPath": ".metadata.creationTimestamp"}])' |
			kubectl replace -f - >/dev/null || fail "definition of $n"
	done
	from_orgs resistance,empire
	check "the definitions are newer: policies arrive as before" soon reaches pod:empire $HOST 80 host1
	from_orgs resistance
	holds "newer definitions"
	well "newer definitions"
	check "it runs as before" is "$(run_of host1)" "$run"
}

# A node without its agent and what that had in the kernel. Its programs are compiled again, minutes on a busy machine.
has_pod() { # NODE ADDRESS
	at "$1" cilium-dbg endpoint list -o json | jq -r --arg a "$2" '.[].status | select(.networking.addressing[0].ipv4 == $a).state' | grep -x ready
}
node_lost() {
	stop node1
	at node1 sh -c 'rm -rf /sys/fs/bpf/tc /sys/fs/bpf/cilium; for d in $(ls /sys/class/net); do tc qdisc del dev $d clsact 2>/dev/null; done'
	check "a node has lost all: the other's pods are kept out as before" dropped pod:empire $HOST 80
	check "and the host is reached from it by nobody" not reaches pod:resistance $HOST 80 host1
	check "the node is back" "$lab" node add node1 1
	check "its agent has made the programs of its pod again" wait_for 240 has_pod node1 "${pod_ip[resistance]}"
	holds "the node is back"
	well "the node is back"
}

# A node that is another one now
node_moved() {
	stop serve-empire
	"$lab" pod del default empire
	for p in node2-80 node2-8080; do stop serve-$p; done
	"$lab" node del node2
	check "a node is deleted: no way leads to its pods" soon not at host1 sh -c 'ip route | grep "^10.244.2.0/24"'
	check "it comes back with another address" "$lab" node add node2 5
	pod_ip[empire]=$(pod_up node2 default empire org=empire)
	background serve-empire pod:empire "$peer" serve 8080 empire
	check "its pods have other addresses" grep '^10\.244\.5\.' <<<"${pod_ip[empire]}"
	check "the host reaches them" soon reaches host1 "${pod_ip[empire]}" 8080 empire $HOST
	check "by one way" is "$(at host1 ip route | grep -c '^10.244.[25].0/24')" 1
	from_orgs resistance,empire
	check "they reach the host" soon reaches pod:empire $HOST 80 host1
	from_orgs resistance
	holds "the node is another one"
	well "the node is another one"
}

# A backup of before, as after a disaster
backup() {
	local i was
	check "a backup is made" "$lab" etcd save
	well "a backup was made" 90
	from_orgs resistance,empire
	check "another pod is allowed after that" soon reaches pod:empire $HOST 80 host1
	for i in $(seq 400); do printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c%d", "namespace": "default"}}\n' "$i"; done |
		kubectl create -f - >/dev/null
	was=$(version)
	check "the backup is restored" "$lab" etcd restore
	check "the API server has gone back in time" [ "$(version)" -lt "$was" ]
	check "the host says so" wait_for 60 condition_has host1 api.suspicious .text 'went back in time'
	check "what was known is in force" reaches pod:resistance $HOST 80 host1
	check "then it believes it: that pod is out again" wait_for 150 dropped pod:empire $HOST 80
	well "the backup is in force" 150
	for i in node1 node2; do stop $i; done # whose agents wait for versions to come, as those of any cluster
	check "the nodes' agents are started anew" "$lab" node add node1 1
	check "both" "$lab" node add node2 "$([[ "${pod_ip[empire]}" = 10.244.5.* ]] && echo 5 || echo 2)"
	check "the stock agent knows the host" soon in_ipcache node1 $HOST "$id"
	holds "after the backup"
}

version() { kubectl get --raw '/api/v1/namespaces?limit=1' | jq -r .metadata.resourceVersion; }

# Slices are switched on: the configuration comes first, the operator later.
slices() {
	local run
	run=$(run_of host1)
	config cluster-pool-ipv4-cidr 10.0.0.0/8
	sleep 2
	check "a key that is none of the host's: it runs as before" is "$(run_of host1)" "$run"
	config enable-cilium-endpoint-slice true
	check "slices are switched on: it starts anew" wait_for 10 another_run host1 "$run"
	check "there are none yet: it goes on with endpoints" soon condition_is host1 cluster.slices info
	holds "no slices yet"
	run=$(run_of host1)
	stop operator
	export OPERATOR_FLAGS=--enable-cilium-endpoint-slice=true AGENT_FLAGS="$TUNNEL --enable-cilium-endpoint-slice=true"
	check "the operator makes them" "$lab" api start
	renew_nodes
	check "it starts anew with them" wait_for 150 another_run host1 "$run"
	check "and reads them" wait_for 30 reads CiliumEndpointSlice
	well "slices"
	check "the stock agent knows the host" soon in_ipcache node1 $HOST "$id"
	holds "slices"
	run=$(run_of host1)
	config enable-cilium-endpoint-slice false
	check "they are switched off: it starts anew" wait_for 10 another_run host1 "$run"
	check "and reads endpoints" wait_for 30 reads CiliumEndpoint
	stop operator
	OPERATOR_FLAGS='' AGENT_FLAGS=$TUNNEL
	"$lab" api start
	renew_nodes
	holds "no slices any more"
}
reads() { is "$(ctl host1 status -o json | jq -r '.api.kinds[] | select(.kind | startswith("CiliumEndpoint")) | "\(.kind) \(.synced)"')" "$1 true"; }
TUNNEL="--routing-mode=tunnel --tunnel-protocol=vxlan"
renew_nodes() {
	for p in node1 node2; do stop $p; done
	check "a node runs with that" "$lab" node add node1 1
	check "the other, too" "$lab" node add node2 "$([[ "${pod_ip[empire]}" = 10.244.5.* ]] && echo 5 || echo 2)"
}

# Another tunnel protocol
has_geneve() { at host1 sh -c 'ip link add mesh-probe type geneve id 1 remote 192.0.2.1 && ip link del mesh-probe'; }
on_nobody() { # WHEN: what was allowed finds no way, and the rest is kept out as before
	check "$1: no pod gets in" not reaches pod:resistance $HOST 80 host1
	check "$1: no other either" dropped pod:empire $HOST 80
	check "$1: nor does a machine without identity" dropped world $HOST 80
}
tunnel() {
	local run
	run=$(run_of host1)
	config tunnel-protocol geneve
	check "Geneve in place of VXLAN: it starts anew" wait_for 10 another_run host1 "$run"
	if ! has_geneve; then
		check "this kernel has none: the host says so" soon condition_has host1 datapath.network .text 'no tunnels of the kind geneve'
		check "and what to do" condition_has host1 datapath.network .remedy 'boot a kernel'
		on_nobody "without a tunnel"
		skip "what goes through Geneve: this kernel has none"
		config tunnel-protocol vxlan
		holds "VXLAN again"
		well "VXLAN again"
		return
	fi
	check "with such a device" soon at host1 sh -c 'ip -d link show mesh0 | grep geneve'
	check "policies hold meanwhile" dropped world $HOST 80
	export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=geneve"
	renew_nodes
	holds "Geneve"
	well "Geneve"
	config tunnel-protocol vxlan
	export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=vxlan"
	renew_nodes
	holds "VXLAN again"
	well "VXLAN again"
}

if begin; then
	for part in $PARTS; do $part; done
fi
lab_told t_changes.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
