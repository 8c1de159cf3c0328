#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The API server of the tests behaves as the real one: its own tests, and those of the reflector that need no faults, once
# more against a kube-apiserver. Needs root, the peers (peers.sh), and the built programs in BUILD. In a network namespace of
# its own.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}
TESTS="tests/unit/lib/test_apiserver tests/unit/kube/test_reflector"
WITHOUT_FAULTS='reflector/@(streaming_list_and_events|absent_kind|freed_any_time)'

. "$here/lib.sh"
lab_enter "$TESTS" "" "$@"
trap '"$here/attack_lab.sh" down' EXIT
"$here/attack_lab.sh" up >"$LAB/up.log" 2>&1 || { cat "$LAB/up.log"; exit 1; }
kubectl -n kube-system create serviceaccount tester >/dev/null &&
	kubectl create clusterrolebinding tester --clusterrole=cluster-admin --serviceaccount=kube-system:tester >/dev/null || exit 1
export MESH_TEST_APISERVER_URL=https://127.0.0.1:26443 MESH_TEST_APISERVER_CA=$LAB/pki/ca.crt
MESH_TEST_APISERVER_TOKEN=$(kubectl -n kube-system create token tester --duration=1h) || exit 1
export MESH_TEST_APISERVER_TOKEN builddir=$BUILD srcdir=$here/../..
passed=0 failed=0
for t in $TESTS; do
	filter='*'
	[ "$t" != tests/unit/kube/test_reflector ] || filter=$WITHOUT_FAULTS
	if "$BUILD/$t" --filter "$filter"; then
		passed=$((passed + 1)) && echo "PASS against kube-apiserver: $t"
	else
		failed=$((failed + 1)) && echo "FAIL against kube-apiserver: $t"
	fi
done
lab_told t_client.sh definitions
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
