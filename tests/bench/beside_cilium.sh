#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent beside the real cilium-agent, on one cluster that this starts and ends:
#   beside_cilium.sh [ENDPOINTS...]     by default 10000 50000; as root, with the peers built and
#                                       `make tests/bench/load tests/bench/latency tests/cluster/peer`
# Prints one line of JSON for each number: the time from mesh-join until the stock agent knows the host; then,
# with so many CiliumEndpoints (a tenth as many identities, at most 10000), what a restart of each agent costs
# until it knows them all, and the time from a write at the API server to the address in each agent's map.
set -uo pipefail
here=$(cd "$(dirname "$0")/../cluster" && pwd)
export BUILD=${BUILD:-$PWD}
EVENTS=500

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/bench/load tests/bench/latency tests/cluster/peer" "jq" "$@"
. "$here/story_lib.sh"
. "$here/story_core.sh"
export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=vxlan" OPERATOR_FLAGS= CONFIG=
variant=bench
trap lab_leave EXIT
trap 'exit 130' INT TERM

# the BPF file system of a process, as seen from here
pins_of() { echo "/proc/$1/root/sys/fs/bpf"; }

run() {
	local n begin ours peers
	cluster_up && admin cluster setup && enrol ahch-to --labels jedi=luke --address $HOST || return
	id=$(kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.status.identity.id}')
	begin=$(now_ms)
	join_host host1 "$LAB/token.ahch-to" && daemon host1 && wait_for 60 in_ipcache node1 $HOST "$id" || return
	echo "{\"what\": \"from mesh-join to the stock agent's map\", \"ms\": $(($(now_ms) - begin))}" >&3
	wait_for 60 state_is host1 ok || return
	for n in "$@"; do
		"$BUILD/tests/bench/load" "$KUBECONFIG" $((n / 10 > 10000 ? 10000 : n / 10)) "$n" >&2 || return
		wait_for 600 peer_knows "$n" || return
		"$here/../bench/scale.sh" host1 "$(conf_of host1)" node1 "$BUILD/mesh-agentd" "$BUILD/meshctl" >&3 || return
		ours=$(pgrep -f "^$BUILD/mesh-agentd --config $(conf_of host1)" | head -n 1)
		peers=$(peer_of node1)
		"$BUILD/tests/bench/latency" "$KUBECONFIG" "$(pins_of "$ours")/$(our_pin "$ours")" \
			"$(pins_of "$peers")/tc/globals/cilium_ipcache_v2" "$id" $EVENTS >&3 || return
	done
}
peer_knows() { [ "$(at node1 cilium-dbg ip list 2>/dev/null | wc -l)" -ge "$1" ]; }
peer_of() { for p in $(pgrep -x cilium-agent); do grep -qz "^K8S_NODE_NAME=$1$" "/proc/$p/environ" && echo "$p"; done | head -n 1; }
our_pin() { (cd "$(pins_of "$1")" && find . -name mesh_ipcache4 | head -n 1); }

[ $# -gt 0 ] || set -- 10000 50000
run "$@" 3>&1 1>&2
status=$?
[ $status = 0 ] || echo "not all could be measured" >&2
exit $status
