#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Interfaces without programs, against the in-tree API server in network namespaces: a card that comes while the daemon hangs
# or is dead, filters that somebody takes off. What no policy allows reaches no socket meanwhile, the admin gets in, and what is
# allowed goes on.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2, nft, pgrep; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
for p in nft pgrep tc; do command -v $p >/dev/null || skip_all "everything: needs $p"; done
story_enter "$0" "$@"

# Another network, of which ahch-to gets its cards: node1 is 11 there, crait 3.
NET=172.19.101
declare -A HOSTS=([node1]=11 [crait]=3)
spec='{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromCIDR: ["172.19.100.3/32", "172.19.101.3/32"],
 toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "7000", protocol: UDP}]}]}]}'
DATAGRAMS=${MESH_TEST_DATAGRAMS:-200}
gaps=0 forbidden=0 came=0

network_add() {
	local p
	ip link add br1 type bridge && ip link set br1 up
	for p in node1 crait; do
		ip link add "br1-$p" type veth peer name eth1 netns $p && ip link set "br1-$p" master br1 up
		ip -n $p addr add "$NET.${HOSTS[$p]}/24" dev eth1 && ip -n $p link set eth1 up
	done
}
card_add() { # NAME
	ip link add "br1-$1" type veth peer name "$1" netns ahch-to && ip link set "br1-$1" master br1 up
	ip -n ahch-to addr add $NET.2/24 dev "$1" && ip -n ahch-to link set "$1" up
}
card_del() { # NAME: and the next one has another address on the cable
	ip -n ahch-to link del "$1"
	ip -n node1 neigh flush dev eth1
	ip -n crait neigh flush dev eth1
}
has_programs() { status ahch-to ".datapath.interfaces | index(\"$1\")" | grep -q '[0-9]'; }
filters() { in_place ahch-to tc filter show dev "$1" ingress | grep -c 'mesh_nic'; }
link_of_ours() { [ -e /sys/fs/bpf/ahch-to/v1/netns-mesh_backstop ]; }

# The daemon and the process that has its rights hear of nothing while they are stopped.
all_of_daemon() {
	local pid
	pid=$(cat "$T/ahch-to/pid")
	kill "-$1" "$pid" $(pgrep -P "$pid")
}

# Of as many datagrams to a socket that is not connected.
arrived() { # FROM ADDRESS
	local before
	before=$(wc -l <"$T/log/sink")
	in_place "$1" "$T/bin/tests/netns/story_peer" plain "${2%.*}.${HOSTS[$1]}" "$2" 7000 "$DATAGRAMS" >"$T/out" 2>&1
	sleep 0.3
	echo $(($(wc -l <"$T/log/sink") - before))
}
fails_to_reach() { # what, place, address
	local r=0
	reaches "$2" "$3" 80 >"$T/out" 2>&1 || r=$?
	check "$1" [ $r = 7 -o $r = 28 ] # refused by the backstop, or no answer
}
holds() { # when, address
	fails_to_reach "$1: what no policy allows does not connect" node1 "$2"
	is "$1: of its datagrams none arrives" 0 "$(arrived node1 "$2")"
	passes "$1: what a policy allows connects" crait "$2" 80
	is "$1: and its datagrams arrive" "$DATAGRAMS" "$(arrived crait "$2")"
	passes "$1: the admin gets in" node1 "$2" 22
}
# The same where there are no programs, for the report.
holds_without() {
	local before
	before=$(wc -l <"$T/log/sink")
	holds "$@"
	gaps=$((gaps + 1)) forbidden=$((forbidden + DATAGRAMS))
	came=$((came + $(wc -l <"$T/log/sink") - before - DATAGRAMS)) # but for those that are allowed
}
backstop_drops() { status ahch-to '[.drop_reasons[] | select(.reason | test("no program was on the interface")) | .packets] | add // 0'; }

joining() {
	enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	exits "ahch-to joins" 0 join ahch-to --token "$token"
	agent_start ahch-to
	check "it comes up" wait_for 20 is_running ahch-to
	policy some "$spec"
	stopped "a policy is in force" node1 $AHCHTO 80
	passes "and allows what it allows" crait $AHCHTO 80
	link_of_ours && return
	is "the kernel has no backstop, and status says so" info "$(condition ahch-to datapath.backstop .severity)"
	echo "SKIP interfaces without programs: this kernel has no backstop (5.17)"
	skipped=$((skipped + 1))
	story_finish
	exit
}

is_told() { # CARD
	is "and told of" "drop ingress $1 172.19.101.11" \
		"$(jq -rs '[.[] | select(.reason | test("no program was on the interface"))][0] | "\(.type) \(.direction) \(.interface) \(.source)"' "$T/log/monitor")"
}

# A card comes while nobody is there to put the programs on it.
cards() {
	local before monitor
	before=$(backstop_drops)
	become ahch-to timeout 60 "$T/bin/meshctl" -c "$T/ahch-to/agent.conf" monitor --drop -o json >"$T/log/monitor" 2>&1 &
	monitor=$!
	sleep 1
	all_of_daemon STOP
	card_add eth1
	holds_without "a card that nobody has seen" $NET.2
	all_of_daemon CONT
	check "it gets the programs" wait_for 5 has_programs eth1
	holds "a card that has been seen" $NET.2
	is "what was stopped is counted" true "$([ "$(backstop_drops)" -ge $((before + DATAGRAMS)) ] && echo true)"
	kill $monitor
	wait $monitor 2>/dev/null
	is_told eth1
	card_del eth1
	agent_kill ahch-to KILL
	card_add eth1
	holds_without "a card that came when the daemon was dead" $NET.2
	stopped "the others are as they were" node1 $AHCHTO 80
	agent_start ahch-to
	check "the next one puts the programs on it" wait_for 20 has_programs eth1
	holds "the card then" $NET.2
	card_del eth1
}

# Somebody takes the filters off, where that can be done.
filters_go() {
	agent_kill ahch-to TERM
	sed -i 's/datapath: {/datapath: { attach = "clsact"; /' "$T/ahch-to/agent.conf"
	in_place ahch-to rm -f /sys/fs/bpf/ahch-to/v1/link-*
	agent_start ahch-to
	check "attached by clsact" wait_for 20 eval "is_running ahch-to && [ \$(filters eth0) = 1 ]"
	holds "with filters" $AHCHTO
	in_place ahch-to nft 'table inet t { chain c { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; }; }'
	become ahch-to "$T/bin/tests/netns/story_peer" serve 8080 "Greetings from another port" >"$T/log/other-port" 2>&1 &
	passes "what is sent on to a port that no policy names" crait $AHCHTO 80
	is "it is" "Greetings from another port" "$(reaches crait $AHCHTO 80)"
	stopped "that port is not open by itself" crait $AHCHTO 8080
	in_place ahch-to nft delete table inet t
	all_of_daemon STOP
	in_place ahch-to tc qdisc del dev eth0 clsact
	is "somebody takes the filters off" 0 "$(filters eth0)"
	holds_without "without filters" $AHCHTO
	is "nobody has put them back" 0 "$(filters eth0)"
	all_of_daemon CONT
	check "they come back" wait_for 5 eval "[ \$(filters eth0) = 1 ]"
	holds "with filters again" $AHCHTO
}

# What is let through without it, and that it goes with the rest.
switching_off() {
	agent_kill ahch-to TERM
	sed -i 's/datapath: {/datapath: { backstop = false; /' "$T/ahch-to/agent.conf"
	agent_start ahch-to
	check "it comes up without a backstop" wait_for 20 eval "is_running ahch-to && ! link_of_ours"
	all_of_daemon STOP
	in_place ahch-to tc qdisc del dev eth0 clsact
	passes "what no policy allows gets in without filters" node1 $AHCHTO 80
	all_of_daemon CONT
	stopped "until they are back" node1 $AHCHTO 80
	agent_kill ahch-to TERM
	sed -i 's/ backstop = false;//' "$T/ahch-to/agent.conf"
	agent_start ahch-to
	check "it comes up with one" wait_for 20 eval "is_running ahch-to && link_of_ours"
	check "leave" host ahch-to leave --yes
	check "nothing is left" wait_for 5 eval "! ls /sys/fs/bpf/ahch-to/v1"
	passes "and nothing is enforced" node1 $AHCHTO 80
}

story_begin
cluster_start
place_add node1 172.19.100.11
place_add crait $CRAIT
network_add
host_add ahch-to $AHCHTO
as_by_unit ahch-to
become ahch-to "$T/bin/tests/netns/story_peer" sink 7000 >"$T/log/sink" 2>&1 &
for part in ${STORY_PARTS:-joining cards filters_go switching_off}; do $part; done
[ -z "${MESH_RESULTS:-}" ] || jq -nc --argjson g $gaps --argjson f $forbidden --argjson c $came --arg k "$(uname -r)" \
	'{times: $g, forbidden: $f, arrived: $c, kernel: $k, time: now | floor}' >>"$MESH_RESULTS/gaps.jsonl"
story_finish
