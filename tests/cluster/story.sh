#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The acceptance test: hosts join a real cluster (kube-apiserver, controller manager, Cilium), and every
# promise of the product is one counted check. Needs root, the peers (peers.sh), and the built programs.
#   story.sh [VARIANT...]   vxlan (everything); ces, identities, native (joining, policy, services); native-outside
#                           (what masquerading leaves); all but identities by default
#   K8S, CILIUM  other versions of the peers, see peers.sh
#   BUILD      where mesh-agentd, mesh-join, meshctl and the test programs are
#   LONG=1     outages and garbage collection for minutes instead of seconds
#   KEEP=1     keep the last lab when done, and say how to enter and end it
# All of it lives in network namespaces of its own; the machine's network is not touched.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}
variants=${*:-vxlan ces native native-outside}

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer tests/lib/stream" "jq curl bpftool openssl" "$@"
. "$here/story_lib.sh"
. "$here/story_core.sh"
. "$here/story_life.sh"

trap lab_leave EXIT
trap 'exit 130' INT TERM

has_management() { case $CILIUM in 1.1[4567].*) return 1 ;; esac; }

TUNNEL="--routing-mode=tunnel --tunnel-protocol=vxlan"
run_variant() {
	variant=$1
	local begin=$SECONDS
	export AGENT_FLAGS=$TUNNEL OPERATOR_FLAGS= CONFIG=
	unset PORTS
	case $variant in
	vxlan) ;;
	ces)
		AGENT_FLAGS="$TUNNEL --enable-cilium-endpoint-slice=true"
		OPERATOR_FLAGS=--enable-cilium-endpoint-slice=true
		CONFIG=enable-cilium-endpoint-slice=true
		;;
	identities) # of pods are made by the operator
		AGENT_FLAGS="$TUNNEL --identity-management-mode=operator"
		OPERATOR_FLAGS=--identity-management-mode=operator
		CONFIG=identity-management-mode=operator
		# that of 1.20.2 leaves the names of ports out of them, and its agents wait for one that has them (cilium issue 47214)
		export PORTS='[{"containerPort": 8080}]'
		;;
	native)
		# one range that holds pods and hosts: else their packets to each other are masqueraded
		AGENT_FLAGS="--routing-mode=native --auto-direct-node-routes=true --ipv4-native-routing-cidr=0.0.0.0/0"
		CONFIG="routing-mode=native ipv4-native-routing-cidr=0.0.0.0/0"
		;;
	native-outside)
		AGENT_FLAGS="--routing-mode=native --auto-direct-node-routes=true --ipv4-native-routing-cidr=$CLUSTER_POOL.0.0/16"
		CONFIG="routing-mode=native ipv4-native-routing-cidr=$CLUSTER_POOL.0.0/16"
		;;
	*) die "no variant '$variant'" ;;
	esac
	if [ "$variant" = identities ] && ! has_management; then
		skip "Cilium $CILIUM has no identity-management-mode"
		return
	fi
	echo "# $variant: starting the cluster"
	if ! cluster_up; then
		fail "the cluster starts"
		return
	fi
	if ! story_join; then
		skip "everything that needs a joined host"
		return
	fi
	if [ "$variant" = native-outside ]; then
		story_masquerade
		echo "# $variant: $((SECONDS - begin)) s"
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
	lab_told "story.sh $v"
	[ "$v" = "${variants##* }" ] || KEEP='' lab_leave
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
