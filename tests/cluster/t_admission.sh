#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What guards the way into a cluster, against a real API server: every write that a host's credential must not
# do, with its own roles and with all of RBAC opened, so that the admission policies stand alone; then enrolling
# and joining with every way they can fail. Needs root, the peers (peers.sh), and the built programs.
#   BUILD      where mesh-join, meshctl and tests/cluster/enrol_daemon are
# All of it lives in a network namespace of its own.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export MARK=${MARK:-admit$$} BUILD=${BUILD:-$PWD}
export LAB=${LAB:-${TMPDIR:-/tmp}/$MARK}

skip_all() {
	echo "SKIP the whole suite: $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}

if [ -z "${ADMISSION_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	"$here/peers.sh" check || skip_all "the peers are not built: $here/peers.sh build"
	for f in mesh-join meshctl tests/cluster/enrol_daemon; do
		[ -x "$BUILD/$f" ] || skip_all "$BUILD/$f is not built"
	done
	for f in jq curl openssl python3 cc; do command -v $f >/dev/null || skip_all "needs $f"; done
	BUILD=$(readlink -f "$BUILD")
	ip netns add "$MARK-outer" || exit 1
	ip -n "$MARK-outer" link set lo up
	# the address of the host that joins
	ip -n "$MARK-outer" link add host0 type veth peer name host1
	ip -n "$MARK-outer" addr add 172.19.50.7/24 dev host0
	ip -n "$MARK-outer" link set host0 up
	ADMISSION_INSIDE=1 nsenter --net="/run/netns/$MARK-outer" "$0" "$@"
	status=$?
	ip netns del "$MARK-outer"
	exit $status
fi

. "$here/lib.sh"
failed=0 passed=0
lab_down() {
	"$here/attack_lab.sh" down
	if [ "$failed" -eq 0 ]; then rm -rf "$LAB"; else echo "# logs: $LAB/log"; fi
}
suite() { # what, command...
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "PASS $what"
	else
		failed=$((failed + 1))
		echo "FAIL $what"
	fi
}
trap 'lab_down; exit 130' INT TERM
if ! "$here/attack_lab.sh" up; then
	failed=1
	lab_down
	die "the control plane does not start: $LAB/log"
fi
token=$LAB/host.token
export MESHCTL=$BUILD/meshctl
suite "two hosts are enrolled" "$here/attack.sh" fixture "$LAB/admin.conf" "$token"
suite "what a host's credential may write" "$here/attack.sh" "$LAB/admin.conf" "$token" ahch-to crait legacy
suite "the same by the admission policies alone" "$here/attack.sh" -w "$LAB/admin.conf" "$token" ahch-to crait legacy
suite "enrolling and joining" "$here/enrol.sh" "$LAB/admin.conf" "$BUILD/meshctl" "$BUILD/mesh-join" "$BUILD/tests/cluster/enrol_daemon"
lab_down
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
