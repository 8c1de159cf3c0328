#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The verdicts of this project against those of Cilium's own policy code, without a cluster: all cases of tests/data,
# random sets of policies, and sets with values that nobody should write.
#   SEED=1 SETS=2000   of each kind; a set that differs is printed, and `oracle_sets random SEED NUMBER 1` makes it again
# Needs the peers (peers.sh), and the built programs in BUILD.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${BUILD:-$PWD} SEED=${SEED:-1} SETS=${SETS:-2000}
. "$here/lib.sh"

"$here/peers.sh" check || skip_all "the peers are not built: $here/peers.sh build"
[ -x "$BUILD/tests/cluster/oracle_sets" ] || skip_all "$BUILD/tests/cluster/oracle_sets is not built"
command -v go >/dev/null || [ -x "$PEERS/bin/policy-oracle" ] || skip_all "no Go to build Cilium's policy code with"
"$here/peers.sh" oracle || { echo "FAIL the oracle is not built"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

passed=0 failed=0
export srcdir=$here/../..
judge() { # the arguments of oracle_sets
	local out
	if out=$("$BUILD/tests/cluster/oracle_sets" "$@" | policy-oracle); then
		passed=$((passed + 1))
		echo "PASS $*: $out"
	else
		failed=$((failed + 1))
		echo "$out"
		echo "FAIL $*: Cilium and this host differ"
	fi
}
judge cases
judge random "$SEED" 0 "$SETS"
judge strange "$SEED" 0 "$SETS"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
