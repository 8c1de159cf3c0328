# SPDX-License-Identifier: Apache-2.0
# Checks that are counted, and what they look at; sourced after story_lib.sh. bash. A PATIENCE above 1 is for slow machines.
good=0 bad=0 skipped=0
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
condition() { status "$1" ".conditions[] | select(.name == \"$2\") | $3"; } # host, name, filter: what it says of it; '' if all is well
policy() { # name, spec, seconds to wait
	apply $CNP/"$1" <<Y
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: $1, namespace: legacy}, spec: $2}
Y
	wait_for $((${3:-15} * PATIENCE)) eval "host ahch-to policy list | grep -q ' $1 .*enforced'" || echo "policy $1 is not in force"
}
