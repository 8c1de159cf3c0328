#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A team moves a Service from a host to a pod and back, against the in-tree API server in network namespaces, while a
# client asks a hundred times a second: the plan, the way there and back, a pod that answers 500, a daemon that is
# killed half way, a damaged state. Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with
# 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

SLICES=/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices
POD="Greetings from the pod leia" HOST="Greetings from the workload"
conditions() { api GET "$SLICES/temple-mesh-ahch-to" | jq -r '.endpoints[0].conditions | "\(.ready) \(.serving) \(.terminating)"'; }
conditions_are() { [ "$(conditions)" = "$1" ]; }
ACTIVE="true true false" STANDBY="false true true"
# Machines that are busy answer late now and then, which is not what this is about.
move() { host ahch-to migrate temple --max-latency-factor 100 "$@"; }
migration() { host ahch-to migrate status temple -o json | jq -r ".[0] | $1"; }
state_is() { [ "$(migration .state)" = "$1" ] || { migration '"\(.state): \(.reason // .waiting)"'; return 1; }; }
# ends CODE TEXT COMMAND...: with that code, and with the text in its output or messages, which are in $T/said
ends() {
	local want=$1 text=$2 code
	shift 2
	"$@" >"$T/said" 2>&1
	code=$?
	[ $code = "$want" ] && grep -qF -- "$text" "$T/said" || { echo "exit $code: $(cat "$T/said")"; return 1; }
}

# The client: another host, by the Service's address
load_start() { become crait "$T/bin/tests/netns/story_peer" load 10.96.0.80 80 >"$T/load" 2>&1 & load=$!; }
load_stop() { kill $load; wait $load 2>/dev/null; }
# count ANSWER [FROM]: what the client has counted since mark
from=1 lost=1
count() { tail -n +${2:-$from} "$T/load" | tr ';' '\n' | awk -F= -v k="$1" '$1 == k { n += $2 } END { print n + 0 }'; }
# From now on: answers from the next whole second, failures from the one that has begun
mark() { lost=$(($(wc -l <"$T/load") + 1)) from=$((lost + 1)); }
# The host's share since mark, in percent
share() {
	local h p
	h=$(count "$HOST") p=$(count "$POD")
	[ $((h + p)) -gt 0 ] && echo $((100 * h / (h + p)))
}
between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] || { echo "$1, not $2 to $3"; return 1; }; }
nothing_failed() {
	[ "$(count failed $lost)" = 0 ] && [ "$(count "$POD" $lost)" -gt 0 ] || { echo "$(count failed $lost) requests failed"; return 1; }
}

joining() {
	enrol ahch-to $AHCHTO jedi=luke --serve temple || die "enrolment: $(cat "$T/log/enrol")"
	join ahch-to --token "$token" >/dev/null || die "cannot join"
	enrol crait $CRAIT jedi=rey && join crait --token "$token" >/dev/null || die "cannot join"
	become ahch-to "$T/bin/tests/netns/story_peer" serve 8080 "$HOST" >"$T/log/work" 2>&1 &
	agent_start ahch-to
	agent_start crait
	check "ahch-to comes up" wait_for 40 is_running ahch-to
	check "crait comes up" wait_for 40 is_running crait
	check "the host is ready" wait_for 10 conditions_are "$ACTIVE"
	load_start
	check "clients reach it" wait_for 10 eval '[ "$(count "$HOST")" -gt 0 ]'
	check "and the pod" wait_for 10 eval '[ "$(count "$POD")" -gt 0 ]'
}

planning() {
	check "a plan" ends 0 "legacy/temple to pods by turns: this host has 50.0% of new connections now, beside 1 ready pods" \
		host ahch-to migrate temple --to pods --step 25% --dry-run
	is "it says what each step does" "1 25.0% 75.0% ready 7.5s of each 15.0s 30s" "$(awk '$1 == 1 { $1 = $1; print }' "$T/said")"
	is "up to the last" "2 0.0% 100.0% stands by 30s" "$(awk '$1 == 2 { $1 = $1; print }' "$T/said")"
	check "it says what is checked" grep -qx 'checks: http of port 8080 path /' "$T/said"
	check "it says what this host cannot have" grep -q 'at most 50.0%' "$T/said"
	is "for machines, too" "250 0" "$(host ahch-to migrate temple --to pods --step 25% --dry-run -o json | jq -r '[.steps[].host_permille] | join(" ")')"
	is "nothing is begun" "[]" "$(host ahch-to migrate status -o json | jq -c .)"
	check "back there is nothing to move" ends 1 "this host has all that it can have already" host ahch-to migrate temple --to host --dry-run
	check "weights are for Maglev" ends 1 "bpf-lb-algorithm of this cluster says otherwise" host ahch-to migrate temple --to pods --by weights --dry-run
	check "a Service that is none of its own" ends 1 "council: the host may not serve it" host ahch-to migrate council --to pods
	check "one that is not there" ends 1 "there is no Service nothing in namespace legacy" host ahch-to migrate nothing --to pods
	check "a direction is needed" ends 2 "--to pods or --to host" host ahch-to migrate temple
	check "a step is a percentage" ends 2 "--step much: a percentage" host ahch-to migrate temple --to pods --step much
	check "a step has bounds" ends 2 "a step is 1% to 100%" host ahch-to migrate temple --to pods --step 0
	check "no migration to pause" ends 1 "there is no migration of temple" host ahch-to migrate pause temple
	conditions_are "$ACTIVE" || die "a plan changed something"
}

# there, followed by a person
moving() {
	mark
	check "to the pods: it is done" ends 0 "done, step 2 of 2: this host 0.0%, pods 100.0%" \
		move --to pods --step 25% --interval 6s
	check "it told each step" grep -qx 'stepping, step 1 of 2: this host 25.0%, pods 75.0%' "$T/said"
	check "without one failed request" nothing_failed
	is "the host stands by" "$STANDBY" "$(conditions)"
	mark
	sleep 2
	is "all clients are at the pod" 0 "$(count "$HOST")"
	is "service list says why" "migrated to the pods: it stands by; meshctl migrate status" \
		"$(host ahch-to service list -o json | jq -r '.[] | select(.type == "portal" and .name == "temple") | .reason')"
	check "all is well" is_running ahch-to
	check "again there is nothing to move" ends 1 "stands by for the pods already" host ahch-to migrate temple --to pods
}

# no pod at all: clients are not lost
standing_by() {
	mark
	api PATCH "$SLICES/temple-1" -H 'Content-Type: application/merge-patch+json' -d "{\"endpoints\":[{\"addresses\":[\"$LEIA\"],\"conditions\":{\"ready\":false}}]}" -o /dev/null
	check "when no pod is ready, clients come back to the host" wait_for 5 eval '[ "$(tail -n 1 "$T/load" | grep -c ";'"$HOST"'=[1-9]")" = 1 ]'
	api PATCH "$SLICES/temple-1" -H 'Content-Type: application/merge-patch+json' -d "{\"endpoints\":[{\"addresses\":[\"$LEIA\"],\"conditions\":{\"ready\":true}}]}" -o /dev/null
	check "and go when one is" wait_for 5 eval '[ "$(tail -n 1 "$T/load" | grep -c ";'"$HOST"'=0")" = 1 ]'
	check "without one failed request" nothing_failed
}

# the daemon is killed twice on the way back
restarting() {
	local step
	mark
	move --to host --step 20% --interval 6s --no-wait >"$T/said" || die "$(cat "$T/said")"
	check "back: it begins" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	(host ahch-to migrate temple --to host >"$T/said" 2>&1)
	is "a second one at a time is refused" 1 "$(grep -c 'being migrated already' "$T/said")"
	agent_kill ahch-to KILL
	sleep 1
	agent_start ahch-to
	check "killed and started, it goes on" wait_for 20 state_is stepping
	step=$(migration .step)
	is "at its step" 1 "$step"
	is "and says that it was killed" 1 "$(migration .restarts)"
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "it arrives" wait_for 60 state_is done
	is "the host is ready" "$ACTIVE" "$(conditions)"
	is "it has half" 500 "$(migration .host_permille)"
	check "without one failed request" nothing_failed
	mark
	sleep 4
	check "clients see that" between "$(share)" 35 65
}

# a share by turns, measured by the client
sharing() {
	move --to pods --step 25% --interval 15s --no-wait >"$T/said" || die "$(cat "$T/said")"
	check "a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	host ahch-to migrate pause temple >/dev/null
	is "it is paused" paused "$(migration .state)"
	check "twice is once too often" ends 5 "paused already" host ahch-to migrate pause temple
	sleep 1
	mark
	sleep 30.5
	check "in two windows the host has 25%" between "$(share)" 19 31
	is "it is still at that step" "paused 1" "$(migration '"\(.state) \(.step)"')"
	host ahch-to migrate resume temple >/dev/null
	check "it goes on" wait_for 30 eval '[ "$(migration .step)" = 2 ]'
	check "abort goes back at once" ends 0 "aborted, step 2 of 2: this host 50.0%" host ahch-to migrate abort temple
	check "the host is ready" wait_for 3 conditions_are "$ACTIVE"
	check "without one failed request" nothing_failed
	check "abort again forgets it" ends 0 forgotten host ahch-to migrate abort temple
	is "nothing is left" "[]" "$(host ahch-to migrate status -o json | jq -c .)"
	is "not even a file" no "$([ -e "$T/ahch-to/state/migrations.json" ] && echo yes || echo no)"
}

# a pod that answers 500: it is seen before clients are there, and in the middle
rolling_back() {
	touch "$T/fail"
	check "a pod that is not well gets nothing" ends 1 "rolled-back: nothing was changed: the pods: 2 of 2 checks failed, the last one: status 500" \
		move --to pods --step 25% --interval 6s
	is "the status says so" degraded "$(status ahch-to .state)"
	check "with the reason" eval "condition ahch-to migrate.rolled-back .text | grep -q 'status 500'"
	rm "$T/fail"
	move --to pods --step 25% --interval 30s --no-wait >"$T/said" || die "$(cat "$T/said")"
	is "a new one ends the condition" ok "$(status ahch-to .state)"
	check "the first step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	touch "$T/fail"
	check "in the middle: it is taken back" wait_for 6 state_is rolled-back
	check "the host is ready at once" wait_for 2 conditions_are "$ACTIVE"
	is "the reason is kept" 1 "$(migration .reason | grep -c 'checks failed, the last one: status 500')"
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "over a restart, too" wait_for 20 eval "status ahch-to '.conditions[].text' | grep -q 'status 500'"
	rm "$T/fail"
	sleep 1.5 # until the client has counted what failed
	check "abort forgets the trouble" ends 0 forgotten host ahch-to migrate abort temple
	check "all is well" wait_for 5 is_running ahch-to
}

# the API server is away: a step is not counted while the cluster does not have it
losing_the_server() {
	mark
	move --to pods --step 25% --interval 12s --no-wait >"$T/said" || die "$(cat "$T/said")"
	check "a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	ip -n api link set eth0 down
	sleep 9
	is "without the API server it stays" "stepping 1" "$(migration '"\(.state) \(.step)"')"
	is "and says why" 1 "$(migration .waiting | grep -c .)"
	ip -n api link set eth0 up
	check "it goes on when it is back" wait_for 60 state_is done
	check "without one failed request" nothing_failed
	move --to host --step 100% --interval 3s >/dev/null
	is "and back, all at once" "$ACTIVE" "$(conditions)"
}

# a state that nobody can read: what is published stays
damaging() {
	move --to pods --step 100% --interval 3s >/dev/null || die "no migration"
	agent_kill ahch-to KILL
	printf 'x' | dd of="$T/ahch-to/state/migrations.json" bs=1 seek=20 conv=notrunc 2>/dev/null
	agent_start ahch-to
	check "damaged: the daemon runs" wait_for 20 is_running ahch-to degraded
	sleep 3
	is "what is published stays" "$STANDBY" "$(conditions)"
	is "the status names the file" 1 "$(condition ahch-to migrate.state .text | grep -c 'migrations.json is damaged')"
	check "nothing begins" ends 5 "damaged" host ahch-to migrate temple --to host
	agent_kill ahch-to TERM
	rm "$T/ahch-to/state/migrations.json"
	agent_start ahch-to
	check "without the file the host is ready again" wait_for 20 conditions_are "$ACTIVE"
}

# a drain in the middle, as when the unit stops; then leaving
draining() {
	move --to pods --step 10% --interval 30s --no-wait >"$T/said" || die "$(cat "$T/said")"
	check "a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	check "drain works in the middle" ends 0 "stands behind no Service" host ahch-to drain
	is "the migration waits" 1 "$(sleep 1.5; migration .waiting | grep -c 'drained')"
	check "another cannot begin" ends 5 "drained" host ahch-to migrate temple --to host
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "it goes on after the start" wait_for 20 state_is stepping
	load_stop
	check "leaving works in the middle" ends 0 "" host ahch-to leave --yes
	is "and takes the state away" no "$([ -e "$T/ahch-to/state/migrations.json" ] && echo yes || echo no)"
}

story_begin
chmod 755 "$T"
export FAIL_IF=$T/fail
cluster_start
api PATCH /api/v1/namespaces/legacy/services/temple -H 'Content-Type: application/merge-patch+json' \
	-d '{"metadata":{"annotations":{"io.cilium/portal":"true","mesh-external-agent.io/hosts":"ahch-to"}}}' -o /dev/null
pods_start
unset FAIL_IF # the workload of the host is well
host_add ahch-to $AHCHTO
host_add crait $CRAIT
cat >>"$T/ahch-to/agent.conf" <<C
health-probes = ( { service = "temple"; type = "http"; port = 8080; path = "/"; interval = 1; failures = 1; } );
C
for part in ${STORY_PARTS:-joining planning moving standing_by restarting sharing rolling_back losing_the_server damaging draining}; do $part; done
story_finish
