#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The acceptance test: hosts join a real cluster (kube-apiserver, controller manager, Cilium), and every
# promise of the product is one counted check. Needs root, the peers (peers.sh), and the built programs.
#   story.sh [VARIANT...]   vxlan (everything), ces and native (joining, policy, services); all by default
#   BUILD      where mesh-agentd, mesh-join, meshctl and the test programs are
#   LONG=1     outages and garbage collection for minutes instead of seconds
#   KEEP=1     leave the last lab running (LAB and MARK tell where)
# All of it lives in network namespaces of its own; the machine's network is not touched.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export MARK=${MARK:-story$$} BUILD=${BUILD:-$PWD}
export LAB=${LAB:-${TMPDIR:-/tmp}/$MARK}
variants=${*:-vxlan ces native}

skip_all() {
	echo "SKIP the whole suite: $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}

if [ -z "${STORY_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	"$here/peers.sh" check || skip_all "the peers are not built: $here/peers.sh build"
	for f in mesh-agentd mesh-join meshctl tests/cluster/peer tests/lib/stream; do
		[ -x "$BUILD/$f" ] || skip_all "$BUILD/$f is not built"
	done
	for f in jq curl bpftool openssl; do command -v $f >/dev/null || skip_all "needs $f"; done
	[ -e "/run/netns/$MARK-outer" ] || ip netns add "$MARK-outer"
	ip -n "$MARK-outer" link set lo up
	STORY_INSIDE=1 nsenter --net="/run/netns/$MARK-outer" "$0" "$@"
	status=$?
	[ -n "${KEEP:-}" ] || ip netns del "$MARK-outer"
	exit $status
fi

. "$here/lib.sh"
. "$here/story_lib.sh"
. "$here/story_core.sh"
. "$here/story_life.sh"

lab_down() {
	[ -z "${KEEP:-}" ] || return 0
	"$lab" down
	if [ "$failed" -eq 0 ]; then rm -rf "$LAB"; else echo "# logs: $LAB/log"; fi
}
trap 'lab_down; exit 130' INT TERM

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
	story_stop
	echo "# $variant: $((SECONDS - begin)) s"
}

for v in $variants; do
	run_variant "$v"
	lab_down
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
