#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel refuses for a while what the agent asks of it, as for want of memory: when it starts, when it looks for the DNS
# queries of others, when a policy changes. Each time the agent says so, goes on by itself within a moment of the end of
# it, and what a policy forbids never comes in. Needs what story_netns.sh needs, and tests/lib/refuse.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

ENOMEM=12 ENOBUFS=105
# refuse MAPS SOCKETS: what writes to maps, and questions about sockets, end with from now on; 0 = as they should
refuse() {
	local i n bytes=
	for n in "$1" "$2"; do
		for i in 0 8 16 24 32 40 48 56; do bytes+=$(printf '\\x%02x' $((n >> i & 255))); done
	done
	printf "$bytes" | dd of="$T/refuse" conv=notrunc status=none
}
refused() { od -An -v -td8 -w8 "$T/refuse" | sed -n "$((3 + $1))s/ //gp"; } # 0 = maps, 1 = sockets: how often
says() { condition ahch-to "$1" '"\(.text): \(.remedy)"' | grep -q "$2.*tried again"; }
is_well() { [ -z "$(condition ahch-to "$1" .text)" ]; }
pid() { cat "$T/ahch-to/pid"; }
# Whether the agent stands in for a server that the dns rules do not name, which answers nothing itself.
is_redirected() { in_place ahch-to timeout 1 "$T/bin/tests/netns/story_dns" ask $LEIA www.empire.example udp | grep -q REFUSED; }
intruders_start() {
	: >"$T/intruders"
	(while :; do PATIENCE=0.1 reaches vader $AHCHTO 80 >/dev/null 2>&1 && echo in >>"$T/intruders"; done) &
	prober=$!
}
intruders() {
	kill $prober 2>/dev/null
	wait $prober 2>/dev/null
	wc -l <"$T/intruders"
}

RULES='{endpointSelector: {matchLabels: {jedi: luke}}, egress: [{toEndpoints: [
	{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}], toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*.rebel.example"}]}}]}], ingress: [
	{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}'

change() {
	intruders_start
	refuse $ENOMEM 0
	apply $CNP/more <<-Y
		{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: more, namespace: legacy}, spec: {endpointSelector:
		 {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "22", protocol: TCP},
		 {port: "8080", protocol: TCP}]}]}]}}
	Y
	check "a change that the kernel refuses is told, with the reason" wait_for 5 says datapath.policy 'Cannot allocate memory'
	passes "what was in force is" leia $AHCHTO 80
	before=$(refused 0)
	check "it is tried again, without another change" wait_for 3 eval '[ "$(refused 0)" -gt "$before" ]'
	refuse 0 0
	check "and comes about" wait_for 3 in_force ahch-to more
	check "nothing is told of it any more" wait_for 3 is_well datapath.policy
	is "the agent is fine" ok "$(status ahch-to .state)"
	is "who was never allowed did not come in" 0 "$(intruders)"
}

redirect() {
	agent_kill ahch-to
	refuse 0 $ENOBUFS
	agent_start ahch-to
	check "the agent starts, though it cannot ask for sockets" wait_for 10 in_force ahch-to rules
	check "it tells that other DNS servers are asked past it, and why" wait_for 5 says dns.redirect 'No buffer space'
	exits "and so they are" 1 is_redirected
	refuse 0 0
	check "it tries again by itself" wait_for 3 is_well dns.redirect
	check "and the dns rules count for them" wait_for 10 is_redirected
}

# Another server has the address, and gives it back.
listening() {
	agent_kill ahch-to
	: >"$T/zone"
	become ahch-to "$T/bin/tests/netns/story_dns" 127.18.53.53 "$T/zone" >"$T/log/dns" 2>&1 &
	other=$!
	wait_for 5 eval "in_place ahch-to ss -Hlun sport = :53 | grep -q 127.18.53.53"
	agent_start ahch-to
	check "the agent starts, though its DNS server cannot" wait_for 10 in_force ahch-to rules
	check "it tells so, and why" wait_for 5 says dns.listen 'Address already in use'
	kill $other
	check "it tries again by itself" wait_for 5 is_well dns.listen
	is "and answers" "127.18.53.53:53" "$(host ahch-to dns status -o json | jq -r '.listen | join(" ")')"
	check "the dns rules count" wait_for 10 is_redirected
}

start() {
	agent_kill ahch-to
	ip link set to-api down
	agent_start ahch-to
	check "without the API server the agent waits" wait_for 10 eval '[ "$(status ahch-to .state)" = starting ]'
	intruders_start
	refuse $ENOMEM 0
	ip link set to-api up
	check "a start that the kernel refuses is told, with the reason" wait_for 60 says agent.start 'failsafe set: Cannot allocate memory'
	passes "the policy of before is in force: who is allowed" leia $AHCHTO 80
	is "and the agent is not frozen" starting "$(status ahch-to .state)"
	started=$(pid)
	refuse 0 0
	check "it goes on by itself" wait_for 5 is_running ahch-to
	check "nothing is told of it any more" is_well agent.start
	check "nor of the failsafe set" is_well failsafe.write
	check "it is the same process" kill -0 "$started"
	is "who was never allowed did not come in" 0 "$(intruders)"
}

# A host that boots with tables that are too large for it, or has less memory than before, is not without policy for that.
tables() {
	agent_kill ahch-to
	ip link set to-api down
	rm -rf /sys/fs/bpf/ahch-to
	cp "$T/ahch-to/agent.conf" "$T/conf"
	sed -i 's/ct-max-entries = 16384/ct-max-entries = 4194304/' "$T/ahch-to/agent.conf"
	UNDER="$UNDER REFUSE_ENTRIES=270000" agent_start ahch-to
	check "no memory for the tables: it starts" wait_for 20 status ahch-to .state
	passes "no memory for the tables: who is allowed" leia $AHCHTO 80
	stopped "no memory for the tables: who is not" vader $AHCHTO 80
	is "it says so" "error there is no memory for tables of the configured sizes: they are 1/16 of it, and full sooner" \
		"$(condition ahch-to datapath.memory '"\(.severity) \(.text)"')"
	ip link set to-api up
	check "and is a member" wait_for 60 is_running ahch-to degraded
	agent_kill ahch-to
	agent_start ahch-to
	check "the tables stay as they are while the host is up" wait_for 20 is_running ahch-to
	check "which is told, but is no fault" eval 'condition ahch-to datapath.sizes .text | grep -q "has room for"'
	agent_kill ahch-to
	rm -rf /sys/fs/bpf/ahch-to
	cp "$T/conf" "$T/ahch-to/agent.conf"
	agent_start ahch-to
	check "with the next boot they are as configured" wait_for 20 is_running ahch-to
	is "and all is well" '' "$(status ahch-to '.conditions[].name')"
}

# What is no more is not told of.
leaving() {
	agent_kill ahch-to
	refuse 0 $ENOBUFS
	agent_start ahch-to
	check "something is wrong" wait_for 10 says dns.redirect 'No buffer space'
	check "which keeps nothing else from its work" wait_for 10 is_running ahch-to degraded
	refuse $ENOMEM $ENOBUFS
	remove $CNP/more
	check "and something else" wait_for 10 says datapath.policy 'Cannot allocate memory'
	check "the host leaves" host ahch-to leave --yes
	is "and nothing is wrong any more" '' "$(status ahch-to '.conditions[].name')"
}

story_begin
truncate -s 32 "$T/refuse"
cluster_start
pods_start
host_add ahch-to $AHCHTO
enrol ahch-to $AHCHTO jedi=luke && join ahch-to --token "$token" >"$T/out" 2>&1 || die "join: $(cat "$T/out")"
UNDER="env LD_PRELOAD=$T/bin/tests/lib/refuse.so REFUSE_FILE=$T/refuse"
agent_start ahch-to
check "ahch-to comes up" wait_for 10 is_running ahch-to
policy rules "$RULES"
check "the policy: queries to other DNS servers are judged" wait_for 10 is_redirected
passes "the policy: an allowed pod" leia $AHCHTO 80
stopped "the policy: another pod" vader $AHCHTO 80
change
redirect
listening
start
tables
leaving
story_finish
