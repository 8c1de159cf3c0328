#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An upgrade to a version whose maps have another layout, and the way back, under numbered streams in both directions:
# nothing that policy allows is lost, nothing that it forbids passes, and one version is left in the kernel. Then the same
# over many starts of the daemon, stopped and killed in turn, and many changes of version, under streams that go on all the while.
#
#	RESTARTS=N UPGRADES=N   so many starts (4), and so many upgrades with as many ways back (1)
#
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

STREAMS=4 RESTARTS=${RESTARTS:-4} UPGRADES=${UPGRADES:-1}
pins() { (cd /sys/fs/bpf/ahch-to && echo v*); }
size() { bpftool -j map show pinned "/sys/fs/bpf/ahch-to/$1/mesh_ct4" | jq .bytes_value; }
start() { # program
	become ahch-to "$T/bin/$1" -c "$T/ahch-to/agent.conf" >>"$T/log/ahch-to-agent" 2>&1 &
	echo $! >"$T/ahch-to/pid"
}

joining() {
	enrol ahch-to $AHCHTO jedi=luke && check "the host joins" join ahch-to --token "$token"
	enrol crait $CRAIT jedi=rey && check "another one, too" join crait --token "$token"
	agent_start crait
	start mesh-agentd
	check "it comes up" wait_for 15 is_running ahch-to
	check "so does the other" wait_for 15 is_running crait
	# what the host is answered on is open to nobody but by its own flows
	policy both '{endpointSelector: {matchLabels: {jedi: luke}},
		ingress: [{fromEndpoints: [{matchLabels: {jedi: rey}}], toPorts: [{ports: [{port: "7000", protocol: UDP}]}]}],
		egress: [{toEndpoints: [{matchLabels: {jedi: rey}}]}]}'
	become ahch-to "$T/bin/tests/netns/story_stream" echo 7000 >"$T/log/echo" 2>&1 &
	become crait "$T/bin/tests/netns/story_stream" echo 7001 >"$T/log/echo-crait" 2>&1 &
	stopped "another port is closed" crait $AHCHTO 80
}

switching() { # what, program, version from, version to
	local i p streams= forbidden
	is "$1: the version before is in the kernel" "$3" "$(pins)"
	echo "# a flow has $(size "$3") bytes"
	for ((i = 0; i < STREAMS; i++)); do
		become crait "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 5000 2000 >"$T/in.$i" 2>&1 &
		streams="$streams $!"
		become ahch-to "$T/bin/tests/netns/story_stream" send $CRAIT 7001 5000 2000 >"$T/out.$i" 2>&1 &
		streams="$streams $!"
	done
	become node1 "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 5000 2000 >"$T/forbidden" 2>&1 &
	forbidden=$!
	sleep 1
	agent_kill ahch-to
	start "$2"
	check "$1: the daemon comes up" wait_for 15 is_running ahch-to
	check "$1: only its version is in the kernel" wait_for 15 eval "[ \"\$(pins)\" = $4 ]"
	is "$1: flows were carried over" yes "$(tail -n 12 "$T/log/ahch-to-agent" | grep -q 'flows of another version go on' && echo yes)"
	for p in $streams; do wait "$p"; done
	wait $forbidden
	is "$1: nothing is lost of $((STREAMS * 2)) streams in both directions" $((STREAMS * 2)) "$(cat "$T"/in.? "$T"/out.? | grep -c 'lost 0 ')"
	grep -h -v 'lost 0 ' "$T"/in.? "$T"/out.? | sed 's/^/    /'
	is "$1: nothing passes that is forbidden" "received 0" "$(grep -o 'received [0-9]*' "$T/forbidden")"
	stopped "$1: the policy is in force" crait $AHCHTO 80
	echo "# a flow has $(size "$4") bytes"
}
upgrading() { switching "upgrade" tests/netns/next/mesh-agentd v1 v1000001; }
downgrading() { switching "downgrade" mesh-agentd v1000001 v1; }

# Numbered streams of 1,000 packets a second for as long as it takes: in both directions, and one that is forbidden.
long_streams() {
	become crait "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 10000000 1000 >"$T/long.in" 2>&1 &
	long=$!
	become ahch-to "$T/bin/tests/netns/story_stream" send $CRAIT 7001 10000000 1000 >"$T/long.out" 2>&1 &
	long="$long $!"
	become node1 "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 10000000 1000 >"$T/long.forbidden" 2>&1 &
	long="$long $!"
	sleep 1
}
long_streams_end() {
	kill $long
	wait $long 2>/dev/null
	sent=$(cat "$T/long.in" "$T/long.out" | grep -o 'sent [0-9]*' | awk '{ n += $2 } END { print n + 0 }')
	lost=$(cat "$T/long.in" "$T/long.out" | grep -o 'lost [0-9]*' | awk '{ n += $2 } END { print NR == 2 ? n : "unknown" }')
	came=$(grep -o 'received [0-9]*' "$T/long.forbidden" | cut -d ' ' -f 2)
}
started_as() { # program, version; in force again, and nothing else in the kernel
	start "$1"
	wait_for 30 is_running ahch-to && wait_for 15 eval "[ \"\$(pins)\" = $2 ]" && return
	host ahch-to status 2>&1 | sed 's/^/    /'
	return 1
}
often() {
	local i n=0 sent lost came
	long_streams
	for ((i = 0; i < RESTARTS; i++)); do
		agent_kill ahch-to $([ $((i % 2)) = 0 ] && echo TERM || echo KILL)
		started_as mesh-agentd v1 && n=$((n + 1))
	done
	is "often: it came up after each of $RESTARTS ends" $RESTARTS $n
	n=0
	for ((i = 0; i < UPGRADES; i++)); do
		agent_kill ahch-to
		started_as tests/netns/next/mesh-agentd v1000001 && n=$((n + 1))
		agent_kill ahch-to
		started_as mesh-agentd v1 && n=$((n + 1))
	done
	is "often: and of $UPGRADES upgrades with the way back" $((UPGRADES * 2)) $n
	long_streams_end
	is "often: nothing is lost of $sent packets in both directions" 0 "$lost"
	is "often: nothing passes that is forbidden" 0 "$came"
	stopped "often: the policy is in force" crait $AHCHTO 80
	[ -z "${MESH_RESULTS:-}" ] || { mkdir -p "$MESH_RESULTS" && jq -nc --argjson r $RESTARTS --argjson u $UPGRADES --argjson s "$sent" --arg l "$lost" \
		--arg f "$came" --arg k "$(uname -r)" '{restarts: $r, upgrades: $u, packets: $s, lost: ($l | tonumber? // $l),
			forbidden: ($f | tonumber? // $f), kernel: $k, time: now | floor}' >>"$MESH_RESULTS/restarts.jsonl"; }
}

# Upgraded while the API server is away: what was in force stays, by the programs of the version that put it there.
alone() {
	ip link set to-api down
	agent_kill ahch-to
	start tests/netns/next/mesh-agentd
	check "no API server: the daemon is there" wait_for 15 is_running ahch-to starting
	sleep 1
	check "no API server: what policy allows goes on" become_stream crait $AHCHTO 7000
	check "no API server: what it answers, too" become_stream ahch-to $CRAIT 7001
	stopped "no API server: another port is closed" crait $AHCHTO 80
	become_stream node1 $AHCHTO 7000 >"$T/forbidden" 2>&1
	is "no API server: nothing passes that is forbidden" "received 0" "$(grep -o 'received [0-9]*' "$T/forbidden")"
	ip link set to-api up
	check "it comes back" wait_for 60 is_running ahch-to
	check "and only the new version is in the kernel" wait_for 15 eval '[ "$(pins)" = v1000001 ]'
	stopped "with the policy in force" crait $AHCHTO 80
}
become_stream() { (become "$1" "$T/bin/tests/netns/story_stream" send "$2" "$3" 100 2000); }

story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
host_add crait $CRAIT
for part in ${STORY_PARTS:-joining upgrading downgrading often alone}; do $part; done
story_finish
