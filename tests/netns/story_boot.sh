#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is in force between power-on and the first answer of the API server: the last policy, or what datapath.boot
# says. A boot is simulated: daemon, programs, maps, device and routes are gone, the interface is down and has no
# address; then the daemon starts, then the network comes up, and the API server stays away until it is wanted.
# While the host boots, a machine that the policy forbids tries all the time. Needs what story_netns.sh needs.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

STATE=state/in-force
has_condition() { [ "$(condition ahch-to "$1" .text)" ]; }
boot_is() { sed -i "s/boot = \"[a-z]*\"/boot = \"$1\"/" "$T/ahch-to/agent.conf"; }
api_away() { ip link set to-api down; }
api_back() { ip link set to-api up; }

power_off() { # signal for the daemon
	agent_kill ahch-to "${1:-TERM}"
	ip -n ahch-to link set eth0 down
	ip -n ahch-to addr flush dev eth0
	ip -n ahch-to link del mesh0 2>/dev/null
	rm -rf /sys/fs/bpf/ahch-to
	ip netns exec ahch-to tc qdisc del dev eth0 clsact 2>/dev/null
	: >"$T/log/ahch-to-agent"
}
# In the order of a boot: ready, which is what network-pre.target waits for, then the network.
power_on() {
	agent_start ahch-to
	wait_for 10 status ahch-to .state || die "the daemon does not start: $(tail -n 5 "$T/log/ahch-to-agent")"
	wait_for 5 has_programs || [ "${1:-}" = open ] || echo "    no programs before the network is up"
	ip -n ahch-to addr add $AHCHTO/24 dev eth0
	ip -n ahch-to link set eth0 up
	ip -n ahch-to route add default via $API
}
has_programs() { status ahch-to .datapath.attach | grep -q -e tcx -e clsact; }

# What is in force now is on the disk: what was written after another change holds it, too.
changes=0
await_save() {
	touch "$T/mark"
	changes=$((changes + 1))
	policy changed-$changes "{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}],
		toPorts: [{ports: [{port: \"$((1000 + changes))\", protocol: TCP}]}]}]}"
	wait_for 40 test "$T/ahch-to/$STATE" -nt "$T/mark"
}

# intruders_start; intruders: how many answers node1, whom no policy allows, got from port 80 since. In here an answer
# takes a millisecond.
intruders_start() {
	: >"$T/intruders"
	(while :; do PATIENCE=0.05 reaches node1 $AHCHTO 80 >/dev/null 2>&1 && echo in >>"$T/intruders"; done) &
	prober=$!
}
intruders() {
	kill $prober 2>/dev/null
	wait $prober 2>/dev/null
	wc -l <"$T/intruders"
}

begin() {
	enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	join ahch-to --token "$token" >"$T/out" 2>&1 || die "join: $(cat "$T/out")"
	agent_start ahch-to
	check "ahch-to comes up" wait_for 10 is_running ahch-to
	is "without a file the first start raises nothing" '' "$(condition ahch-to boot.policy .text)$(condition ahch-to boot.state .text)"
	policy only-leia '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [
		{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]},
		{fromCIDR: [172.19.100.3/32], toPorts: [{ports: [{port: "80", endPort: 90, protocol: TCP}]}]}],
		egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	passes "the policy: an allowed pod" leia $AHCHTO 80
	passes "the policy: an allowed address" crait $AHCHTO 80
	stopped "the policy: another machine" node1 $AHCHTO 80
	check "what is in force is written" await_save
	check "to a file" test -s "$T/ahch-to/$STATE"
	is "for the daemon's eyes alone" 600 "$(stat -c %a "$T/ahch-to/$STATE")"
}

# what the policy only-leia says, whoever put it in force
last_policy() { # when
	passes "$1: an allowed pod, through the tunnel" leia $AHCHTO 80
	passes "$1: an allowed address" crait $AHCHTO 80
	stopped "$1: that address, another port" crait $AHCHTO 8081
	stopped "$1: another pod" vader $AHCHTO 80
	stopped "$1: a machine without identity" node1 $AHCHTO 80
	passes "$1: SSH answers" node1 $AHCHTO 22
	passes "$1: outwards, what is allowed" ahch-to $LEIA 8080
	stopped "$1: outwards, what is not" ahch-to $CRAIT 80
	passes "$1: a service by its address" ahch-to 10.96.0.80 80
}

last() {
	api_away
	power_off
	intruders_start
	power_on
	last_policy "booted without the API server"
	is "its state" starting "$(status ahch-to .state)"
	is "status tells what is enforced" "enforced enforced" "$(status ahch-to '"\(.enforcement.ingress) \(.enforcement.egress)"')"
	check "and from when it is" eval "condition ahch-to boot.policy .text | grep -q 'from before this boot'"
	is "nothing is wrong with it" '' "$(status ahch-to '.conditions[] | select(.severity == "error") | .text')"
	ip link add to-second type veth peer name eth1 netns ahch-to
	ip link set to-second master br0 up
	check "an interface that appears later gets the programs" wait_for 5 eval "status ahch-to '.datapath.interfaces | index(\"eth1\")' | grep -q '[0-9]'"
	ip -n ahch-to addr add 172.19.100.22/24 dev eth1
	ip -n ahch-to link set eth1 up
	stopped "and the policy: a machine without identity" node1 172.19.100.22 80
	passes "and the policy: SSH answers there" node1 172.19.100.22 22
	ip -n ahch-to link del eth1
	agent_kill ahch-to KILL
	agent_start ahch-to
	wait_for 10 status ahch-to .state
	stopped "the daemon dies before it saw the API server: a machine without identity" node1 $AHCHTO 80
	passes "the daemon dies before it saw the API server: an allowed pod" leia $AHCHTO 80
	apply $CNP/only-leia <<-Y
		{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: only-leia, namespace: legacy}, spec: {endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {sith: vader}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}}
	Y
	api_back
	check "the API server is back" wait_for 40 is_running ahch-to
	passes "the policy that changed meanwhile: the pod that it allows" vader $AHCHTO 80
	stopped "the policy that changed meanwhile: who was allowed before" crait $AHCHTO 80
	stopped "the policy that changed meanwhile: the pod that was allowed before" leia $AHCHTO 80
	is "answers to a machine that neither policy allows, from power-on" 0 "$(intruders)"
	is "nothing tells of a boot any more" '' "$(condition ahch-to boot.policy .text)"
}

crash() {
	policy only-leia '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [
		{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]},
		{fromCIDR: [172.19.100.3/32], toPorts: [{ports: [{port: "80", endPort: 90, protocol: TCP}]}]}],
		egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	stopped "a policy, seconds before the power fails" vader $AHCHTO 80
	check "it is written" await_save
	api_away
	power_off KILL
	intruders_start
	power_on
	last_policy "after a power failure"
	is "answers to a machine that no policy allows, from power-on" 0 "$(intruders)"
	api_back
	check "the API server is back" wait_for 40 is_running ahch-to
	last_policy "with the API server"
}

# refused "what" TEXT-OF-CONDITION: the file is not what it should be
refused() {
	intruders_start
	power_on
	check "$1: the condition says so" eval "condition ahch-to boot.state .text | grep -qF '$2'"
	closed_now "$1"
	is "$1: answers to a machine that no policy allows" 0 "$(intruders)"
	api_back
	check "$1: the API server is back" wait_for 40 is_running ahch-to
	passes "$1: and the policy is in force" leia $AHCHTO 80
	check "$1: the file is written anew" wait_for 10 eval "! has_condition boot.state"
}
closed_now() {
	stopped "$1: even an allowed pod is kept out" leia $AHCHTO 80
	stopped "$1: even an allowed address" crait $AHCHTO 80
	stopped "$1: and nothing gets out" ahch-to $CRAIT 80
	passes "$1: SSH answers" node1 $AHCHTO 22
}
files() {
	api_away
	power_off
	truncate -s -1 "$T/ahch-to/$STATE"
	refused "a torn file" "is damaged"
	api_away
	power_off
	printf X | dd of="$T/ahch-to/$STATE" bs=1 seek=200 conv=notrunc status=none
	refused "an altered file" "is damaged"
}

# Files that cannot be used any more when the host boots: nobody saw it before.
slips() {
	local conf=$T/ahch-to/agent.conf
	export STATE_DIRECTORY=$T/ahch-to/state # as systemd says it
	power_off
	cp "$conf" "$T/good.conf"
	mv "$T/ahch-to/state/token" "$T/token"
	printf 'control-group = "nobody-has-it";\n' >>"$conf"
	power_on
	last_policy "no credential"
	is "no credential: it says so" error "$(condition ahch-to credential.load .severity)"
	is "no such group: it says so" warning "$(condition ahch-to control.group .severity)"
	mv "$T/token" "$T/ahch-to/state/token"
	cp "$T/good.conf" "$conf"
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "they are back, and it is a member" wait_for 10 is_running ahch-to

	power_off
	truncate -s -1 "$T/ahch-to/state/joined.json"
	power_on
	last_policy "a damaged enrolment"
	check "a damaged enrolment: it is a member" wait_for 10 is_running ahch-to
	is "a damaged enrolment: the log says so" 1 "$(grep -c 'joined.json is damaged' "$T/log/ahch-to-agent")"
	is "a damaged enrolment: it is mended" ahch-to "$(jq -r .host "$T/ahch-to/state/joined.json")"

	echo 'log-levl = "debug";' >>"$conf"
	agent_kill ahch-to TERM
	become ahch-to "$T/bin/mesh-agentd" -c "$conf" >"$T/out" 2>&1 &
	wait $!
	is "a wrong configuration: a restart fails" 1 $?
	is "a wrong configuration: and says where" 1 "$(grep -c 'agent.conf:[0-9]*: .*log-levl' "$T/out")"
	last_policy "a wrong configuration, restarted"
	check "a wrong configuration: what is in force can be taken down" in_place ahch-to "$T/bin/mesh-agentd" -c "$conf" --stand-down
	is "a wrong configuration: and is" '' "$(ls /sys/fs/bpf/ahch-to)"
	cp "$T/good.conf" "$conf"
	agent_start ahch-to
	check "a right one: the next start brings all back" wait_for 10 is_running ahch-to
	echo 'log-levl = "debug";' >>"$conf"
	power_off
	sed -i '1s/.*/# boot 00000000000000000000000000000000/' "$STATE_DIRECTORY/last.conf" # there is but one boot in here
	power_on
	last_policy "a wrong configuration, booted"
	cp "$T/good.conf" "$conf" # meshctl reads it, too
	check "a wrong configuration, booted: it is a member" wait_for 10 is_running ahch-to degraded
	is "a wrong configuration, booted: it says so" error "$(condition ahch-to config.file .severity)"
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "a right one: all is well" wait_for 10 is_running ahch-to
	unset STATE_DIRECTORY
}

choices() {
	boot_is closed
	api_away
	power_off
	intruders_start
	power_on
	closed_now "boot = closed"
	is "boot = closed: answers to a machine that no policy allows" 0 "$(intruders)"
	check "boot = closed: status says so" eval "condition ahch-to boot.policy .text | grep -q 'but the failsafe set'"
	api_back
	check "boot = closed: the API server is back" wait_for 40 is_running ahch-to
	last_policy "boot = closed, with the API server"

	boot_is open
	api_away
	power_off
	power_on open
	passes "boot = open: everyone gets in" node1 $AHCHTO 80
	passes "boot = open: and out" ahch-to $CRAIT 80
	is "boot = open: no programs" null "$(status ahch-to .datapath.attach)"
	api_back
	check "boot = open: the API server is back" wait_for 40 is_running ahch-to
	last_policy "boot = open, with the API server"
	boot_is last
}

enrol_anew() { # option...
	host ahch-to leave --yes >"$T/out" 2>&1 || die "leave: $(cat "$T/out")"
	agent_kill ahch-to
	admin host remove ahch-to >"$T/out" 2>&1
	enrol ahch-to $AHCHTO jedi=luke "$@" || die "enrolment: $(cat "$T/log/enrol")"
}
# nobody can look up the API server's name before the network is up, so the failsafe set cannot hold its address
by_name() {
	echo "$API kubernetes.default.svc" >"$T/hosts"
	enrol_anew --server https://kubernetes.default.svc:6443
	is "leaving removes the file" '' "$(ls "$T/ahch-to/state")"
	check "joining by the API server's name" join ahch-to --token "$token"
	agent_start ahch-to
	check "it comes up" wait_for 10 is_running ahch-to
	boot_is closed
	power_off
	: >"$T/hosts"
	power_on
	closed_now "booted without names"
	echo "$API kubernetes.default.svc" >"$T/hosts"
	check "the name is known, and the API server reached" wait_for 60 is_running ahch-to
	last_policy "with its name"
	boot_is last
}

# whoever is locked out by joining and boots the host gets in
unconfirmed() {
	enrol_anew
	check "joining, to be confirmed" join ahch-to --token "$token" --confirm 300s
	agent_start ahch-to
	check "it comes up" wait_for 10 is_running ahch-to degraded
	stopped "the policy is in force" node1 $AHCHTO 80
	check "it is written" await_save
	api_away
	power_off
	power_on
	passes "nobody has confirmed it, and the host boots: nothing is enforced" node1 $AHCHTO 80
	api_back
}

story_begin
: >"$T/hosts"
mount --bind "$T/hosts" /etc/hosts || die "cannot mount the hosts file"
cluster_start
pods_start
host_add ahch-to $AHCHTO
place_add crait $CRAIT
become ahch-to "$T/bin/tests/netns/story_peer" serve 8081 "Something else" >"$T/log/other" 2>&1 &
become crait "$T/bin/tests/netns/story_peer" serve 80 "Greetings from crait" >"$T/log/crait-web" 2>&1 &
# a veth is external by its address otherwise, so never before the network is up
sed -i 's/^datapath: {/interfaces = [ "eth*" ];\ndatapath: { boot = "last";/' "$T/ahch-to/agent.conf"
for part in ${STORY_PARTS:-begin last crash files slips choices by_name unconfirmed}; do $part; done
story_finish
