#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon dies, or lacks memory, at any place of what it does: joining, starting, starting again, a change of policy,
# of a service, stopping, leaving. After each, started as its unit would, it is where it would have been without; what a
# policy forbids never came in, and a numbered stream that it allows lost nothing.
#
#	POINTS=N   so many places of each, spread evenly (2); "all" takes hours; "21-40" are those, for a run that goes on another time
#	PATIENT_FOR=N   no new place after so many seconds
#	TORTURES="crash nomem" and CHANGES="join start restart policy service stop leave" choose
#
# Crashes are SIGKILL before a system call that changes something (tests/lib/crash); lack of memory is one allocation
# that fails, or a row of them (tests/lib/nomem). Prints PASS, FAIL or SKIP; needs what story_netns.sh needs.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

POINTS=${POINTS:-2}
NOMEM_FILE=
# nomem_set FIRST N: the next allocations, counted from now; nomem_get I: 0 = how many so far, 3 = how many failed
nomem_set() {
	local i n bytes=
	for n in 0 "$1" "$2" 0; do
		for i in 0 8 16 24 32 40 48 56; do bytes+=$(printf '\\x%02x' $((n >> i & 255))); done
	done
	printf "$bytes" | dd of="$NOMEM_FILE" conv=notrunc status=none
}
nomem_get() { od -An -v -td8 -w8 "$NOMEM_FILE" | sed -n "$(($1 + 1))s/ //gp"; }

# What must be the same again: objects, and how full each map is that does not hold flows (nor two banks of policy, of
# which one is of before).
golden() {
	host ahch-to policy list -o json | jq -c '[.. | objects | select(.name? and .state?) | {name, state}] | sort'
	host ahch-to service list -o json | jq -c '[.[] | select(.type == "cluster-ip") | {name, backends}] | sort'
	host ahch-to map list -o json | jq -c '[.[] | select(.name | test("ct|flow|frag|affinity|rev|events|_policy_") | not) | {name, entries}] | sort'
	status ahch-to '"\(.state) \(.identity) \(.enforcement.ingress)"'
}

# The two that must go on and the two that must not get in, while a change is made.
witnesses_start() {
	: >"$T/intruders"
	(while :; do
		for who in node1 vader; do PATIENCE=0.1 reaches $who $AHCHTO 80 >/dev/null 2>&1 && echo $who >>"$T/intruders"; done
	done) &
	prober=$!
	become crait "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 1000000 1000 >"$T/stream" 2>&1 &
	stream=$!
}
# Says what went wrong; nothing if nothing did.
witnesses() {
	kill $prober; wait $prober 2>/dev/null
	kill $stream; wait $stream 2>/dev/null
	grep -q 'lost 0 ' "$T/stream" || echo "the stream: $(cat "$T/stream")"
	[ ! -s "$T/intruders" ] || echo "came in: $(sort "$T/intruders" | uniq -c | tr '\n' ' ')"
	sent=$((sent + $(sed -n 's/^sent \([0-9]*\).*/\1/p' "$T/stream" || echo 0)))
}


# The daemon's number: where it was started by something else, agent_start() has noted that.
agent_pid() { pgrep -f "^$T/bin/mesh-agentd -c $T/ahch-to/agent.conf" | head -n 1; }
is_alive() { [ "$(agent_pid)" ]; }
agent_end() {
	local pid
	for pid in $(agent_pid); do kill -KILL "$pid"; done
	wait_for 5 eval '! is_alive'
	rm -f "$T/ahch-to/pid" # this end was ours
}
calm() { [ "$torture" = crash ] && UNDER= || UNDER="env LD_PRELOAD=$T/bin/tests/lib/nomem.so NOMEM_FILE=$NOMEM_FILE"; }
is_golden() { [ "$(golden 2>/dev/null)" = "$(cat "$T/golden")" ]; }
differences() { golden 2>&1 | diff "$T/golden" - | tr '\n' ' '; }

# tend COMMAND...: what the unit does, until the command succeeds
tend() {
	local end=$((SECONDS + 30)) code
	while [ $SECONDS -lt $end ]; do
		if ! is_alive; then
			code=0
			[ ! -e "$T/ahch-to/pid" ] || wait "$(cat "$T/ahch-to/pid")" 2>/dev/null || code=$?
			[ "$torture" = crash ] || [ $code -lt 128 ] || echo "it ended with $code"
			agent_start ahch-to
			wait_for 2 status ahch-to .state
		fi
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	echo "not as it should be after 30 s: $*: $(host ahch-to status 2>&1 | head -n 3 | tr '\n' ' ')$(differences)"
	echo "daemon: $(agent_pid | tr '\n' ' ')$(tail -n 12 "$T/log/ahch-to-agent")"
}

# Each change: before_X, make_X with the torture, is_X once it has come about, after_X. Those of a running daemon are
# "live", and those in which nothing may come in or be lost "guarded".
LIVE="policy service stop leave" GUARDED="restart policy service stop"
before_join() {
	agent_end
	admin host remove ahch-to >/dev/null 2>&1
	rm -rf "$T/ahch-to/state"
	enrol ahch-to $AHCHTO jedi=luke || echo "enrolment: $(cat "$T/log/enrol")"
}
make_join() { join ahch-to --token "$token" >"$T/out" 2>&1; }
is_join() {
	[ -s "$T/ahch-to/state/joined.json" ] && is_running ahch-to && return
	agent_end
	UNDER= join ahch-to --token "$token" && agent_start ahch-to && wait_for 5 is_running ahch-to
}
after_join() { :; }

before_start() {
	agent_end
	ip -n ahch-to link del mesh0 2>/dev/null
	rm -rf /sys/fs/bpf/ahch-to
	ip netns exec ahch-to tc qdisc del dev eth0 clsact 2>/dev/null
}
make_start() { agent_start ahch-to; wait_for 6 eval 'is_running ahch-to || ! is_alive'; }
is_start() { is_running ahch-to && is_golden; }
after_start() { :; }

before_restart() { agent_end; }
make_restart() { make_start; }
is_restart() { is_start; }
after_restart() { :; }

before_policy() { :; }
make_policy() {
	apply $CNP/extra <<-Y
		{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: extra, namespace: legacy}, spec: {endpointSelector:
		 {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "22", protocol: TCP},
		 {port: "8080", protocol: TCP}]}]}]}}
	Y
	wait_for 3 eval '! is_alive || in_force ahch-to extra'
}
is_policy() { is_running ahch-to && in_force ahch-to extra; }
after_policy() { remove $CNP/extra; wait_for 10 is_golden || echo "the policy was removed: $(differences)"; }

slice_of() { # address
	apply /apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/temple-1 <<-Y
		{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: temple-1, namespace: legacy,
		 labels: {kubernetes.io/service-name: temple}}, endpoints: [{addresses: [$1], conditions: {ready: true}}],
		 ports: [{name: http, port: 8080, protocol: TCP}]}
	Y
}
before_service() { :; }
make_service() { slice_of $VADER; wait_for 3 eval '! is_alive || is_service'; }
is_service() { is_running ahch-to && host ahch-to service list -o json | grep -q "$VADER"; }
after_service() { slice_of $LEIA; wait_for 10 is_golden || echo "the backend of before: $(differences)"; }

before_stop() { :; }
make_stop() { kill -TERM "$(agent_pid)"; wait_for 5 eval '! is_alive'; }
is_stop() { is_start; }
after_stop() { :; }

before_leave() {
	is_running ahch-to && return
	before_join
	join ahch-to --token "$token" >"$T/out" 2>&1 || echo "join: $(cat "$T/out")"
	agent_start ahch-to
	wait_for 10 is_running ahch-to || echo "it does not come up"
}
make_leave() { host ahch-to leave --yes >"$T/out" 2>&1; }
is_leave() {
	host ahch-to leave --yes
	[ ! -e "$T/ahch-to/state/joined.json" ] && [ ! -e "$T/ahch-to/state/token" ] && [ -z "$(ls /sys/fs/bpf/ahch-to)" ] &&
		! ip -n ahch-to link show mesh0 && [ -z "$(ip -n ahch-to route show proto 155)" ] &&
		api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -e '.status.state == "disconnected"'
}
after_leave() { :; }

is_live() { [[ " $LIVE " = *" $1 "* ]]; }
is_guarded() { [[ " $GUARDED " = *" $1 "* ]]; }

# arm CHANGE N: the n-th place; 0 = only count
arm() {
	if [ "$torture" = nomem ]; then
		nomem_set "$2" $((1 + $2 % 3))
	elif is_live "$1"; then
		rm -f "$T/crash"
		"$T/bin/tests/lib/crash" -n "$2" -o "$T/crash" -p "$(agent_pid)" &
		tracer=$!
		wait_for 2 grep -q "TracerPid:.[1-9]" "/proc/$(agent_pid)/status"
	else
		rm -f "$T/crash"
		UNDER="$T/bin/tests/lib/crash -n $2 -o $T/crash"
	fi
}
# How far it came; in $count.
disarm() {
	if [ "$torture" = nomem ]; then
		count=$(nomem_get 0)
		[ "$(nomem_get 3)" = 0 ] || hits=$((hits + 1))
		nomem_set 0 0
		return
	fi
	[ ! -e "$T/crash" ] && pkill -TERM -f "^$T/bin/tests/lib/crash" # it was not reached: it lets go
	wait_for 5 test -s "$T/crash" || echo "the tracer says nothing"
	count=$(cut -d ' ' -f 1 "$T/crash")
	! grep -q killed "$T/crash" || hits=$((hits + 1))
	calm
}

# one CHANGE N: says what is wrong
one() {
	before_$1
	! is_guarded $1 || witnesses_start
	arm $1 $2
	make_$1
	disarm
	tend is_$1
	! is_guarded $1 || witnesses
	after_$1
}

# places_of TOTAL: which of so many places are tried; in $first, $last and $step
places_of() {
	first=1 last=$1 step=1
	case $POINTS in
	all) ;;
	*-*) first=${POINTS%-*} last=$((${POINTS#*-} < $1 ? ${POINTS#*-} : $1)) ;;
	*)
		step=$((($1 + POINTS - 1) / POINTS))
		first=$((1 + (step - 1) / 2))
		;;
	esac
}

torture_all() { # change
	local n total wrong= places=0 first last step
	hits=0
	one $1 0 >"$T/wrong" # only counted; in this shell, whose child the daemon is
	wrong=$(cat "$T/wrong")
	total=$count
	places_of "$total"
	for ((n = first; n <= last; n += step)); do
		[ $SECONDS -lt "${PATIENT_FOR:-$((SECONDS + 1))}" ] || { last=$((n - step)) && break; }
		one $1 $n >"$T/wrong"
		places=$((places + 1))
		[ ! -s "$T/wrong" ] || wrong+=$(printf '\n    at %d: %s' $n "$(cat "$T/wrong")")
	done
	is "$torture, $1: $places places of $total ($first to $last), $hits reached" '' "$wrong"
	[ -z "${MESH_RESULTS:-}" ] || { mkdir -p "$MESH_RESULTS" && jq -nc --arg t $torture --arg c $1 --arg k "$(uname -r)" \
		--argjson p $places --argjson n "$total" --argjson h $hits --argjson f "$([ "$wrong" ] && echo true || echo false)" --argjson a $first \
		--argjson z "$last" --argjson d "$step" --argjson s $sent '{torture: $t, change: $c, places: $p, of: $n, first: $a, last: $z, step: $d,
			reached: $h, failed: $f, packets: $s, kernel: $k, time: now | floor}' \
		>>"$MESH_RESULTS/torture.jsonl"; }
	sent=0
}

sent=0
story_begin
NOMEM_FILE=$T/nomem
truncate -s 32 "$NOMEM_FILE"
cluster_start
pods_start
host_add ahch-to $AHCHTO
host_add crait $CRAIT
become ahch-to "$T/bin/tests/netns/story_stream" echo 7000 >"$T/log/echo" 2>&1 &
apply $CNP/only-friends <<Y
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: only-friends, namespace: legacy}, spec: {endpointSelector:
 {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {jedi: rey}}]}, {fromEndpoints: [{matchLabels: {rebel: leia}}],
 toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}}
Y
enrol crait $CRAIT jedi=rey && join crait --token "$token" >"$T/out" 2>&1 || die "join: $(cat "$T/out")"
agent_start crait
wait_for 10 is_running crait || die "crait does not come up"
for torture in ${TORTURES:-crash nomem}; do
	calm
	before_leave
	check "$torture: ahch-to comes up" wait_for 10 is_running ahch-to
	passes "$torture: an allowed host" crait $AHCHTO 80
	stopped "$torture: another pod" vader $AHCHTO 80
	golden >"$T/golden"
	for change in ${CHANGES:-start restart policy service stop join leave}; do torture_all $change; done
done
story_finish
