#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two machines with one credential, as after cloning a disk, against a real API server with its admission policies, beside a stock
# Cilium node: who comes second is refused, both are told, and what the cluster and the node know stays that of the first. Once the
# copy comes while the first runs, and once the first comes back when the copy has taken its place. Needs root, the peers (peers.sh),
# and the built programs. tests/netns/story_clone.sh has more cases, against the in-tree API server.
#   BUILD      where mesh-agentd, mesh-join, meshctl and the test programs are
#   KEEP=1     keep the lab when done, and say how to enter and end it
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer" "jq curl openssl" "$@"
. "$here/story_lib.sh"
variant=clone
COPY=172.19.100.4
pod_node=([resistance]=node1 [empire]=node1)
trap lab_leave EXIT
trap 'exit 130' INT TERM

condition() { jq -r --arg n "$2" ".conditions[]? | select(.name == \$n) | $3" <<<"$(ctl "$1" status -o json)"; } # HOST NAME FILTER
condition_is() { is "$(condition "$1" "$2" "$3")" "$4"; }
condition_has() { grep "$4" <<<"$(condition "$1" "$2" "$3")"; }
faults_are() { is "$(jq -r '.state + " " + ([.conditions[]? | select(.severity != "info") | .name] | join(" "))' <<<"$(ctl "$1" status -o json)")" "degraded $2"; } # HOST NAMES
lease() { kubectl -n mesh-hosts get lease ahch-to -o "jsonpath={.spec.$1}"; }
holder_is() { is "$(lease holderIdentity)" "ahch-to/$(boot_id "$1")"; } # BOOT
holds() { [[ "$(lease holderIdentity)," = "ahch-to/$(boot_id "$1"),"* ]] || { lease holderIdentity; return 1; }; } # whoever waits behind it
long_ago() { kubectl -n mesh-hosts patch lease ahch-to --type=merge -p '{"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}'; }
# What the cluster knows of the host: state and address, address of the node, address behind the service
known() {
	kubectl -n legacy get ciliumendpoint ahch-to -o json | jq -r '"\(.status.state) \(.status.identity.id) \([.status.networking.addressing[]?.ipv4] | join(","))"'
	kubectl get ciliumnode ahch-to -o json | jq -r '[.spec.addresses[]?.ip] | join(",")'
	kubectl -n legacy get endpointslices -l mesh-external-agent.io/host=ahch-to -o json | jq -r '[.items[].endpoints[]?.addresses[]] | join(",")'
}
known_is() { is "$(known)" "$(printf '%s\n' "ready $id $1" "$1" "$1")"; } # ADDRESS
peer_knows_only() { in_ipcache node1 "$1" "$id" && not_in_ipcache node1 "$2" "$id"; } # ADDRESS NOT-ADDRESS

boot_id() { echo "0000000000004000800000000000000$1"; }
# boot PLACE BOOT: the daemon, on a machine in its boot number so and so
boot() {
	printf '00000000-0000-4000-8000-00000000000%s\n' "$2" >"$LAB/host/$1/boot-id"
	at "$1" mount --bind "$LAB/host/$1/boot-id" /proc/sys/kernel/random/boot_id && daemon "$1"
}
off() { daemon_kill "$1"; } # as by a power failure
enrolled() { # NAME ADDRESSES LABELS
	admin host add "$1" --namespace legacy --labels "$3" --address "$2" --serve ahch-to >"$LAB/token.$1"
}
joins() { at "$1" "$BUILD/mesh-join" --no-start --config "$(conf_of "$1")" --token "$(token_in "$LAB/token.$2")"; } # PLACE NAME

enforced() { # WHEN PLACE ADDRESS
	check "$1: the pod that is allowed gets in" soon reaches pod:resistance "$3" 80 "$2"
	check "$1: another pod does not" soon dropped pod:empire "$3" 80
	check "$1: a machine without identity does not" dropped node1 "$3" 80
}
refused() { # PLACE BOOT-OF-THE-OTHER OTHER BOOT ADDRESS ADDRESS-OF-OTHER
	check "it is refused" wait_for 90 state_is "$1" cloned
	check "it says by whom" condition_has "$1" host.cloned .text "$(boot_id "$2")"
	check "and what to do" condition_has "$1" host.cloned .remedy 'meshctl leave --force, then mesh-join'
	check "its journal says so, too" grep 'error: host.cloned' "$LAB/log/agentd-$1.log"
	check "meshctl status ends with 1" exits_with 1 ctl "$1" status
	check "the other is told" wait_for 120 condition_is "$3" host.cloned .severity warning
	check "by which machine" condition_has "$3" host.cloned .text "$(boot_id "$4")"
	check "the cluster knows the other alone" known_is "$6"
	check "so does the stock agent" peer_knows_only "$6" "$5"
	enforced "the other" "$3" "$6"
	check "policies hold on the one that is refused" dropped node1 "$5" 80
	check "it cannot take the other out" exits_with 5 ctl "$1" leave --yes
	check "draining it" exits_with 0 ctl "$1" drain
	check "withdraws nothing" known_is "$6"
}

begin() {
	local p
	lab_up 1 && "$lab" host add copy $COPY || { fail "the cluster starts"; return 1; }
	for p in resistance empire; do
		pod_ip[$p]=$("$lab" pod add node1 default $p "org=$p") || { fail "a pod starts"; return 1; }
	done
	kubectl create namespace legacy >/dev/null
	service legacy ahch-to '{"jedi": "luke"}' 80 '{"io.cilium/portal": "true"}'
	for p in host1 copy; do
		host_dir $p
		background serve-$p-80 $p "$peer" serve 80 $p
	done
	check "the cluster is set up" admin cluster setup
	check "the host is enrolled" enrolled ahch-to $HOST,$COPY jedi=luke
	id=$(kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.status.identity.id}')
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: cilium.io/v2
	kind: CiliumNetworkPolicy
	metadata: {name: friends, namespace: legacy}
	spec:
	  endpointSelector: {matchExpressions: [{key: jedi, operator: Exists}]}
	  ingress: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: resistance}}]}]
	Y
	check "it joins" joins host1 ahch-to
	boot host1 1
	check "it is well" wait_for 30 state_is host1 ok
	check "it holds its Lease" soon holder_is 1
	check "the cluster knows it" soon known_is $HOST
	check "so does the stock agent" soon peer_knows_only $HOST $COPY
	enforced "it" host1 $HOST
	[ "$failed" = 0 ]
}

# Its disk is copied while it runs; the enrolment would allow the copy's address, too.
copied() {
	cp -a "$LAB/host/host1/state" "$LAB/host/copy/state"
	boot copy 2
	check "the copy reads what the cluster says" wait_for 30 state_is copy ok
	check "it waits whether the other lives" condition_has copy host.lease .text "$(boot_id 1)"
	check "it has told the cluster nothing" known_is $HOST
	check "the other holds the Lease" holder_is 1
	variant="the copy of a host that runs"
	refused copy 1 host1 2 $COPY $HOST
	variant=clone
}

# Both start again after an outage: the copy asks first.
outage() {
	"$lab" api stop
	off copy
	boot copy 3
	check "the API server is away: policies hold on the copy" soon dropped node1 $COPY 80
	check "and on the other" dropped node1 $HOST 80
	"$lab" api start >/dev/null
	check "it is back: the copy is refused as before" wait_for 60 state_is copy cloned
	check "the other is well, but that it knows of the copy" wait_for 90 faults_are host1 host.cloned
	check "the other holds the Lease" holds 1
	check "the cluster knows the other alone" known_is $HOST
}

# The first is switched off, and the copy takes its place when its Lease is over. Then the first is switched on.
replaced() {
	check "the copy goes" ctl copy leave --force --yes
	check "without a credential" not ls "$LAB/host/copy/state/token"
	check "the cluster still knows the other" known_is $HOST
	off copy
	off host1
	rm -rf "$LAB/host/copy/state"
	cp -a "$LAB/host/host1/state" "$LAB/host/copy/state"
	long_ago >/dev/null
	boot copy 4
	check "a copy takes the place of a host that is switched off for long" wait_for 60 holder_is 4
	check "it is well" wait_for 30 state_is copy ok
	check "the cluster knows it" soon known_is $COPY
	check "so does the stock agent" soon peer_knows_only $COPY $HOST
	enforced "it" copy $COPY
	boot host1 5
	check "the first is switched on: it reads what the cluster says" wait_for 30 state_is host1 ok
	check "it has told the cluster nothing" known_is $COPY
	daemon_kill copy # which starts again and renews, a little earlier than it would
	daemon copy
	variant="the first, which comes back"
	refused host1 4 copy 5 $HOST $COPY
	variant=clone
}

# The way back is a token, and addresses that belong to one of them.
rejoined() {
	check "the one that was refused goes" ctl host1 leave --force --yes
	check "the other is left its own address alone" enrolled ahch-to $COPY jedi=luke
	check "and is enrolled under a name of its own" enrolled crait $HOST jedi=rey
	check "it joins" joins host1 crait
	daemon_kill host1
	daemon host1
	check "it is well" wait_for 30 state_is host1 ok
	check "the stock agent knows it by its own identity" soon in_ipcache node1 $HOST "$(kubectl -n legacy get ciliumendpoint crait -o 'jsonpath={.status.identity.id}')"
	check "and the other by that of before" in_ipcache node1 $COPY "$id"
	enforced "it" host1 $HOST
}

if begin; then
	for part in ${PARTS:-copied outage replaced rejoined}; do $part; done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
