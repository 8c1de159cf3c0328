#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happens to a machine over the years, against the in-tree API server in network namespaces: a credential that ended
# while it was switched off, and the way back; a state directory that is full, and one that cannot be written.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

only_leia() { policy only '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}]}]}'; }
in_force() { # when
	passes "$1: an allowed pod gets in" leia $AHCHTO 80
	stopped "$1: a machine without identity does not" node1 $AHCHTO 80
}
power_off() {
	agent_kill ahch-to KILL
	ip -n ahch-to link set eth0 down
	ip -n ahch-to link del mesh0 2>/dev/null
	rm -rf /sys/fs/bpf/ahch-to
	ip netns exec ahch-to tc qdisc del dev eth0 clsact 2>/dev/null
}
power_on() {
	agent_start ahch-to
	wait_for 10 status ahch-to .state || die "the daemon does not start: $(tail -n 5 "$T/log/ahch-to-agent")"
	ip -n ahch-to link set eth0 up
	ip -n ahch-to route add default via $API 2>/dev/null
}
# The token of the same host, as it is when its time is over.
encode() { base64 -w0 | tr '+/' '-_' | tr -d =; }
decode() { local s=$1; while [ $((${#s} % 4)) -ne 0 ]; do s=$s=; done; tr -- '-_' '+/' <<<"$s" | base64 -d; }
expire() {
	local head=${1%%.*} rest=${1#*.}
	echo "$head.$(decode "${rest%%.*}" | jq -cj '.exp = 1700000000' | encode).${rest#*.}"
}

joining() {
	enrol ahch-to $AHCHTO jedi=luke && check "the host joins" join ahch-to --token "$token"
	agent_start ahch-to
	check "it comes up" wait_for 15 is_running ahch-to
	only_leia
	in_force "joined"
	check "it writes what is in force" wait_for 40 test -s "$STATE/in-force"
}

away() {
	local old
	power_off
	old=$(cat "$STATE/token")
	printf '%s' "$(expire "$old")" >"$STATE/token"
	power_on
	check "a month later: it says that its credential is over" wait_for 30 eval '[ "$(condition ahch-to api.unauthorized .severity)" = error ]'
	is "why" 1 "$(condition ahch-to api.unauthorized .text | grep -c 'off for longer than a credential lives')"
	is "and what to do" 1 "$(condition ahch-to api.unauthorized .remedy | grep -c 'mesh-join --token .* meshctl host add')"
	exits "meshctl status ends with" 1 host ahch-to status
	in_force "without a credential"
	enrol ahch-to && check "it joins with a new token, without leaving before" join ahch-to --token "$token"
	agent_kill ahch-to
	agent_start ahch-to
	check "it is a member again" wait_for 15 is_running ahch-to
	in_force "again"
	is "as itself" "ready $AHCHTO" "$(api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to |
		jq -r '"\(.status.state) \(.status.networking.addressing[0].ipv4)"')"
}
# again, for a host that is known: its name is enough
enrol() {
	if [ $# = 1 ]; then admin host add "$1" >"$T/log/enrol" 2>&1; else
		admin host add "$1" --namespace legacy --labels "$3" --address "$2" "${@:4}" >"$T/log/enrol" 2>&1
	fi || return 1
	token=$(sed -n 's/^mesh-join --token //p' "$T/log/enrol")
	[ "$token" ]
}

# cannot_write "what" FILES-ARE-KEPT...: a policy changes, which is to be written
cannot_write() {
	policy more '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}]}'
	check "$1: it says so" wait_for 60 eval '[ "$(condition ahch-to boot.save .severity)" = warning ]'
	is "$1: and what to do" 1 "$(condition ahch-to boot.save .remedy | grep -c 'make the state directory writable')"
	in_force "$1"
	is "$1: the credential is whole" same "$(cmp -s "$STATE/token" "$T/token" && echo same)"
	is "$1: what is written is whole" same "$(cmp -s "$STATE/in-force" "$T/in-force" && echo same)"
	agent_kill ahch-to
	agent_start ahch-to
	check "$1: it starts" wait_for 15 is_running ahch-to
	in_force "$1, restarted"
	exits "$1: joining anew is refused before the token is used" 12 join_with_new_token
	remove $CNP/more
	policy less '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "23", protocol: TCP}]}]}]}'
	check "$1: it says so again" wait_for 60 eval '[ "$(condition ahch-to boot.save .severity)" = warning ]'
}
join_with_new_token() { enrol ahch-to && join ahch-to --token "$token"; }
well_again() {
	check "$1: it is well without being told" wait_for 120 is_running ahch-to
	is "$1: and has written what is in force" other "$(cmp -s "$STATE/in-force" "$T/in-force" || echo other)"
	check "$1: joining works with that token" join ahch-to --token "$token"
	remove $CNP/less
	agent_kill ahch-to
	agent_start ahch-to
	check "$1: it comes up" wait_for 15 is_running ahch-to
	in_force "$1"
}
remember() { cp "$STATE/token" "$STATE/in-force" "$T"; }

full() {
	remember
	dd if=/dev/zero of="$STATE/filler" bs=4096 2>/dev/null
	cannot_write "disk full"
	rm "$STATE/filler"
	well_again "room again"
}
read_only() {
	remember
	mount -o remount,ro "$STATE"
	cannot_write "read-only"
	mount -o remount,rw "$STATE"
	well_again "writable again"
}

story_begin
STATE=$T/ahch-to/state
cluster_start
pods_start
host_add ahch-to $AHCHTO
trap 'umount -l "$STATE"; story_end' EXIT
mkdir -p "$STATE" && mount -t tmpfs -o size=1m,mode=700 state "$STATE" || die "no state directory"
for part in ${STORY_PARTS:-joining away full read_only}; do $part; done
story_finish
