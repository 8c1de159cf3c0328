#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The acceptance test: hosts join a real cluster (kube-apiserver, controller manager, Cilium), and every
# promise of the product is one counted check. Needs root, the peers (peers.sh), and the built programs.
#   story.sh [VARIANT...]   vxlan (everything), ces and native (joining, policy, services); all by default
#   BUILD      where mesh-agentd, mesh-join, meshctl and the test programs are
#   LONG=1     outages and garbage collection for minutes instead of seconds
#   KEEP=1     keep the last lab when done, and say how to enter and end it
# All of it lives in network namespaces of its own; the machine's network is not touched.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}
variants=${*:-vxlan ces native}

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer tests/lib/stream" "jq curl bpftool openssl" "$@"
. "$here/story_lib.sh"
. "$here/story_core.sh"
. "$here/story_life.sh"

trap lab_leave EXIT
trap 'exit 130' INT TERM

TUNNEL="--routing-mode=tunnel --tunnel-protocol=vxlan"
run_variant() {
	variant=$1
	local begin=$SECONDS
	export AGENT_FLAGS=$TUNNEL OPERATOR_FLAGS= CONFIG=
	case $variant in
	vxlan) ;;
	ces)
		AGENT_FLAGS="$TUNNEL --enable-cilium-endpoint-slice=true"
		OPERATOR_FLAGS=--enable-cilium-endpoint-slice=true
		CONFIG=enable-cilium-endpoint-slice=true
		;;
	native)
		# one range that holds pods and hosts: else their packets to each other are masqueraded
		AGENT_FLAGS="--routing-mode=native --auto-direct-node-routes=true --ipv4-native-routing-cidr=0.0.0.0/0"
		CONFIG="routing-mode=native ipv4-native-routing-cidr=0.0.0.0/0"
		;;
	*) die "no variant '$variant'" ;;
	esac
	echo "# $variant: starting the cluster"
	if ! cluster_up; then
		fail "the cluster starts"
		return
	fi
	if ! story_join; then
		skip "everything that needs a joined host"
		return
	fi
	story_reach
	story_serve
	story_probe
	story_policy
	if [ "$variant" = vxlan ]; then
		story_tokens
		story_remove
		story_faults
		story_outage
		story_collect
		story_end
	fi
	echo "# $variant: $((SECONDS - begin)) s"
}

for v in $variants; do
	run_variant "$v"
	[ "$v" = "${variants##* }" ] || KEEP='' lab_leave
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
