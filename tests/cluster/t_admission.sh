#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What guards the way into a cluster, against a real API server: every write that a host's credential must not
# do, with its own roles and with all of RBAC opened, so that the admission policies stand alone; then enrolling
# and joining with every way they can fail. Needs root, the peers (peers.sh), and the built programs.
#   BUILD      where mesh-join, meshctl and tests/cluster/enrol_daemon are
# All of it lives in a network namespace of its own.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}

. "$here/lib.sh"
lab_enter "mesh-join meshctl tests/cluster/enrol_daemon" "jq curl openssl python3 cc" "$@"
# the address of the host that joins
ip link add host0 type veth peer name host1
ip addr add 172.19.50.7/24 dev host0
ip link set host0 up
failed=0 passed=0
trap '"$here/attack_lab.sh" down' EXIT
trap 'exit 130' INT TERM
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
"$here/attack_lab.sh" up || die "the control plane does not start"
token=$LAB/host.token
export MESHCTL=$BUILD/meshctl
suite "two hosts are enrolled" "$here/attack.sh" fixture "$LAB/admin.conf" "$token"
suite "what a host's credential may write" "$here/attack.sh" "$LAB/admin.conf" "$token" ahch-to crait legacy
suite "the same by the admission policies alone" "$here/attack.sh" -w "$LAB/admin.conf" "$token" ahch-to crait legacy
suite "enrolling and joining" "$here/enrol.sh" "$LAB/admin.conf" "$BUILD/meshctl" "$BUILD/mesh-join" "$BUILD/tests/cluster/enrol_daemon"
lab_told t_admission.sh definitions
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
