#!/bin/sh
# meshctl policy verdict: every policy case that its options can say, every kind of error, every kind of object.
set -u
ctl=$builddir/meshctl
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0
checks=0
refusals=0
fail() {
	echo "FAIL: $*"
	bad=1
}
# check NAME VERDICT FILE OPTIONS...
check() {
	name=$1
	want=$2
	file=$3
	shift 3
	checks=$((checks + 1))
	out=$("$ctl" policy verdict -o json --objects "$file" "$@" 2>"$tmp/err")
	got=$?
	case $want in
	allow) code=0 verdict=allow reason= ;;
	default) code=1 verdict=deny reason="no rule allows it" ;;
	deny) code=1 verdict=deny reason="denied by" ;;
	auth) code=1 verdict=deny reason="authentication" ;;
	*) fail "$name: no verdict $want" ;;
	esac
	[ "$got" = "$code" ] || fail "$name: $*: exit $got, not $code: $out $(cat "$tmp/err")"
	case $out in *"\"verdict\": \"$verdict\""*"\"reason\": \"$reason"*) ;; *) fail "$name: $*: not $want: $out" ;; esac
	[ ! -s "$tmp/err" ] || fail "$name: $*: $(cat "$tmp/err")"
}
# refused NAME FILE TEXT OPTIONS...
refused() {
	name=$1
	file=$2
	text=$3
	shift 3
	refusals=$((refusals + 1))
	out=$("$ctl" policy verdict --objects "$file" --subject a=b --peer reserved:world --direction ingress --protocol tcp \
		--port 1 "$@") || [ $? = 1 ] || fail "$name: an object that is refused is no error"
	case $out in *"$text"*) ;; *) fail "$name: no \"$text\" in: $out" ;; esac
}
cases() {
	echo "$1 cases, $2 left out"
	[ "$1" -gt 100 ] && [ "$2" -le 1 ] || fail "$1 cases, $2 left out"
}
"$builddir/tests/unit/cli/verdict_cases" "$srcdir/tests/data/policy-cases.yaml" "$tmp" >"$tmp/cases.sh" || exit 99
. "$tmp/cases.sh"
echo "$checks checks, $refusals objects refused"
[ "$checks" -gt 300 ] && [ "$refusals" -gt 30 ] || fail "only $checks checks, $refusals refusals"
exit $bad
