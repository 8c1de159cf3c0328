#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The API server of the tests behaves as the real one: its own tests, and those of the client, once more against a
# kube-apiserver. Needs root, the peers (peers.sh), and the built programs in BUILD. In a network namespace of its own.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD} LAB=${LAB:-${TMPDIR:-/tmp}/client$$}
TESTS="tests/unit/lib/test_apiserver tests/unit/kube/test_kube"

skip_all() { echo "SKIP the whole suite: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 77; }
if [ "${1:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	"$here/peers.sh" check || skip_all "the peers are not built: $here/peers.sh build"
	for t in $TESTS; do [ -x "$BUILD/$t" ] || skip_all "$BUILD/$t is not built"; done
	exec unshare --net "$0" inside
fi

. "$here/lib.sh"
ip link set lo up
trap '"$here/attack_lab.sh" down; rm -rf "$LAB"' EXIT
"$here/attack_lab.sh" up >"/tmp/client$$.log" 2>&1 || { cat "/tmp/client$$.log"; exit 1; }
rm -f "/tmp/client$$.log"
kubectl -n kube-system create serviceaccount tester >/dev/null &&
	kubectl create clusterrolebinding tester --clusterrole=cluster-admin --serviceaccount=kube-system:tester >/dev/null || exit 1
export MESH_TEST_APISERVER_URL=https://127.0.0.1:26443 MESH_TEST_APISERVER_CA=$LAB/pki/ca.crt
MESH_TEST_APISERVER_TOKEN=$(kubectl -n kube-system create token tester --duration=1h) || exit 1
export MESH_TEST_APISERVER_TOKEN builddir=$BUILD srcdir=$here/../..
passed=0 failed=0
for t in $TESTS; do
	if "$BUILD/$t"; then
		passed=$((passed + 1)) && echo "PASS against kube-apiserver: $t"
	else
		failed=$((failed + 1)) && echo "FAIL against kube-apiserver: $t"
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
