# SPDX-License-Identifier: Apache-2.0
# Shared by the stories that are tests; sourced after story_lib.sh. bash.
# Cases print PASS or FAIL. Without root, curl, jq, iproute2 and a tun device the story ends with 77 here.
skip_all() { echo "SKIP $*"; exit 77; }
if [ -z "${STORY_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all "everything: needs root for network namespaces"
	for p in curl jq ip nsenter unshare; do command -v $p >/dev/null || skip_all "everything: needs $p"; done
	[ -c /dev/net/tun ] || skip_all "everything: needs /dev/net/tun for the pods"
	BUILD=$(readlink -f "$BUILD")
fi

good=0 bad=0
is() { # what, expected, got
	if [ "$2" = "$3" ]; then
		good=$((good + 1))
		echo "PASS $1"
	else
		bad=$((bad + 1))
		echo "FAIL $1: expected '$2', got '$3'"
	fi
}
check() { local what=$1 r=0; shift; "$@" >"$T/out" 2>&1 || r=$?; is "$what" 0 $r; [ $r = 0 ] || tail -n 5 "$T/out" | sed 's/^/    /'; }
exits() { # what, exit status, command...
	local what=$1 want=$2 r=0
	shift 2
	"$@" >"$T/out" 2>&1 </dev/null || r=$?
	is "$what" "$want" $r
}
passes() { # what, place, address, port; it may take a while to come true
	local r=0
	wait_for 15 reaches "$2" "$3" "$4"
	reaches "$2" "$3" "$4" >"$T/out" 2>&1 || r=$?
	is "$1" 0 $r
}
stopped() {
	local r=0
	wait_for 15 eval "! reaches $2 $3 $4"
	reaches "$2" "$3" "$4" >"$T/out" 2>&1 || r=$?
	is "$1" 28 $r # curl: timed out
}
status() { host "$1" status -o json | jq -r "$2"; }
drops() { status ahch-to .drops.ingress; }
policy() { # name, spec, seconds to wait
	apply $CNP/"$1" <<Y
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: $1, namespace: legacy}, spec: $2}
Y
	wait_for "${3:-15}" eval "host ahch-to policy list | grep -q ' $1 .*enforced'" || echo "policy $1 is not in force"
}

# The count, and what a person wants to see of a failure.
story_finish() {
	echo "# $SECONDS seconds"
	echo "$good passed, $bad failed, 0 skipped"
	if [ $bad != 0 ]; then
		echo "the log of ahch-to's agent ends:"
		tail -n 30 "$T/log/ahch-to-agent"
		exit 1
	fi
}
