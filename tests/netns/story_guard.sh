#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Policies on trial, against the in-tree API server in network namespaces: joining that must be confirmed,
# audit mode, shadow policies, and a guard that takes back what nobody confirms, also when the daemon dies.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

guard_is() { [ "$(host ahch-to policy guard -o json | jq -r .state)" = "$1" ]; }
shadow() { host ahch-to policy shadow "${2:-legacy/only}" -o json | jq -r ".policies[0] | $1"; }
spec_only='{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {jedi: rey}}]}]}'
spec_lockout='{endpointSelector: {matchLabels: {jedi: luke}}, ingressDeny: [{fromEntities: [all]}]}'
marked() { # name, mode, spec
	apply $CNP/"$1" <<Y
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: $1, namespace: legacy, annotations: {mesh-external-agent.io/mode: $2}}, spec: $3}
Y
	wait_for 15 eval "host ahch-to policy list | grep -q ' $1 .*$2'" || echo "policy $1 is not seen"
}
# The same without saying a word about the daemon's list: for what may never come into force.
sent() { apply $CNP/"$1" <<<"{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: $1, namespace: legacy}, spec: $2}"; }

joining() {
	local older
	sent only "$spec_only"
	enrol crait $CRAIT jedi=rey && check "crait joins" join crait --token "$token"
	agent_start crait
	check "crait comes up" wait_for 20 is_running crait
	enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	exits "a time that is none is refused" 2 join ahch-to --token "$token" --confirm 3
	# the host has a connection on which it waits for the other side
	(become node1 "$T/bin/tests/netns/story_peer" late 9100 "$T/speak") &
	(become ahch-to timeout 90 bash -c 'until exec 3<>/dev/tcp/172.19.100.11/9100; do sleep 0.1; done 2>/dev/null
		echo open >"$0"; read -r word <&3; echo "$word" >"$0"' "$T/older") &
	older=$!
	check "a connection is older than the agent" wait_for 10 grep -qsx open "$T/older"
	exits "joining on trial" 0 join ahch-to --token "$token" --confirm 12s
	is "the guard is of root's own" 600 "$(stat -c %a "$T/ahch-to/state/guard.json")"
	agent_start ahch-to
	check "the first policy starts the time" wait_for 20 guard_is pending
	guard_is pending || die "ahch-to does not come up: $(tail -n 5 "$T/log/ahch-to-agent")"
	stopped "it is in force meanwhile" node1 $AHCHTO 80
	touch "$T/speak"
	wait $older
	is "the older connection goes on" late "$(cat "$T/older")"
	is "status warns" warning "$(condition ahch-to policy.guard .severity)"
	check "nobody confirms: it is taken back" wait_for 25 guard_is rolled-back
	passes "nothing is enforced, as before joining" node1 $AHCHTO 80
	is "status tells" "audit error" "$(status ahch-to .enforcement.ingress) $(condition ahch-to policy.guard .severity)"
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "a daemon that died knows it" wait_for 20 eval "[ \"\$(status ahch-to .enforcement.ingress)\" = audit ]"
	passes "still nothing is enforced" node1 $AHCHTO 80
	check "confirming joins for good" host ahch-to policy confirm
	stopped "the policy is in force" node1 $AHCHTO 80
	passes "and allows what it allows" crait $AHCHTO 80
	check "the guard may go" host ahch-to policy guard --off
	check "all is well" wait_for 15 is_running ahch-to
}

reload() { echo "policy-audit-mode = $1;" >"$T/audit"; cat "$T/conf" "$T/audit" >"$T/ahch-to/agent.conf"; kill -HUP "$(cat "$T/ahch-to/pid")"; }
audit() {
	local stream monitor
	cp "$T/ahch-to/agent.conf" "$T/conf"
	become ahch-to timeout 20 "$T/bin/meshctl" -c "$T/ahch-to/agent.conf" monitor -o json >"$T/log/monitor" 2>&1 &
	monitor=$!
	become crait "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 3000 2000 >"$T/stream" 2>&1 &
	stream=$!
	sleep 1
	reload true
	passes "audit mode by a reload: what is denied passes" node1 $AHCHTO 80
	is "status tells" "audit warning" "$(status ahch-to .enforcement.ingress) $(condition ahch-to policy.audit .severity)"
	is "it is counted" true "$(status ahch-to '.audited.ingress > 0')"
	reload false
	stopped "and by another it is denied again" node1 $AHCHTO 80
	is "the condition is gone" '' "$(condition ahch-to policy.audit .severity)"
	wait $stream
	is "an allowed flow loses nothing by either" "lost 0" "$(grep -o 'lost [0-9]*' "$T/stream")"
	kill $monitor
	wait $monitor 2>/dev/null
	is "the monitor showed it" "audit audit 80" \
		"$(jq -rs '[.[] | select(.type == "audit")][0] | "\(.type) \(.verdict) \(.destination_port)"' "$T/log/monitor")"
}

shadows() {
	local before
	marked only shadow "$spec_only"
	passes "a shadow policy stops nobody" vader $AHCHTO 80
	passes "nor does it stop whom it allows" crait $AHCHTO 80
	is "it is listed as one" shadow "$(host ahch-to policy list -o json | jq -r '.[] | select(.name == "only").state')"
	is "it selects, but nothing is enforced" disabled "$(status ahch-to .enforcement.ingress)"
	is "it says what it would drop" "would-drop $VADER 80 ingress legacy/vader" \
		"$(shadow '"\(.verdict) \(.peers[0] | "\(.address) \(.port) \(.direction) \(.name)")"')"
	is "and nothing of whom it allows" '[]' "$(shadow "[.peers[] | select(.address == \"$CRAIT\")]")"
	before=$(shadow .would_drop)
	reaches vader $AHCHTO 80 >"$T/out"
	is "each flow counts" $((before + 1)) "$(shadow .would_drop)"
	is "a condition tells of it" info "$(condition ahch-to policy.shadow .severity)"
	host ahch-to policy shadow >"$T/table"
	check "the table names the peer" grep -q "ingress .*legacy/vader .*$VADER .*tcp .*80" "$T/table"
	sleep 1
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "the daemon died and is back" wait_for 20 is_running ahch-to
	check "it still knows since when it watches" [ "$(shadow .watched_ms)" -gt 1000 ]
	is "and what it counted" true "$(shadow ".would_drop >= $((before + 1))")"
	marked out shadow '{endpointSelector: {matchLabels: {jedi: luke}}, egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	is "of what nothing was seen nothing is said" unknown "$(shadow .verdict legacy/out)"
	passes "what another allows passes" ahch-to $LEIA 8080
	is "a policy that would have dropped nothing is safe" "safe true" "$(shadow '"\(.verdict) \(.flows > 0)"' legacy/out)"
	remove $CNP/out
	marked only enforce "$spec_only"
	wait_for 15 eval "host ahch-to policy list | grep -q ' only .*enforced'"
	stopped "turned to enforce it stops" vader $AHCHTO 80
	passes "and lets pass whom it allows" crait $AHCHTO 80
	is "nothing is in shadow mode now" '' "$(condition ahch-to policy.shadow .severity)"

	exits "a policy that is not there cannot be chosen" 1 host ahch-to policy shadow legacy/none on
	check "this host may choose" host ahch-to policy shadow legacy/only on
	passes "then it stops nobody here" vader $AHCHTO 80
	is "the choice is kept where nobody else reads" 600 "$(stat -c %a "$T/ahch-to/state/shadow.json")"
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "the daemon died and is back" wait_for 20 is_running ahch-to
	passes "it remembers" vader $AHCHTO 80
	agent_kill ahch-to TERM
	truncate -s -9 "$T/ahch-to/state/shadow.json"
	agent_start ahch-to
	check "a torn file is told of" wait_for 20 eval "[ \"\$(condition ahch-to policy.shadow-state .severity)\" = error ]"
	stopped "and the policy is enforced" vader $AHCHTO 80
	check "choosing again heals it" host ahch-to policy shadow legacy/only on
	check "all is well" wait_for 15 is_running ahch-to
	passes "the choice holds" vader $AHCHTO 80
	check "and back" host ahch-to policy shadow legacy/only off
	stopped "enforced again" vader $AHCHTO 80
}

guarding() {
	local began
	exits "nothing to confirm without a guard" 1 host ahch-to policy confirm
	check "a guard is armed" host ahch-to policy guard --confirm 10s
	is "it is armed" "armed info" "$(host ahch-to policy guard -o json | jq -r .state) $(condition ahch-to policy.guard .severity)"
	sent lockout "$spec_lockout"
	stopped "a lock-out arrives" crait $AHCHTO 80
	is "the time runs" pending "$(host ahch-to policy guard -o json | jq -r .state)"
	check "nobody confirms: what was is back" wait_for 20 reaches crait $AHCHTO 80
	stopped "all of what was" vader $AHCHTO 80
	is "it is told" "rolled-back error" "$(host ahch-to policy guard -o json | jq -r .state) $(condition ahch-to policy.guard .severity)"
	is "the lock-out waits" 1 "$(host ahch-to policy guard -o json | jq .waiting_policies)"
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "the daemon dies and is back" wait_for 20 guard_is rolled-back
	wait_for 15 eval "[ \"\$(status ahch-to .enforcement.ingress)\" = enforced ]"
	passes "what was is still in force" crait $AHCHTO 80
	stopped "all of it" vader $AHCHTO 80
	check "confirming lets in what waited" host ahch-to policy confirm
	stopped "the lock-out is in force" crait $AHCHTO 80
	sleep 11
	stopped "and stays" crait $AHCHTO 80
	is "the guard goes on" armed "$(host ahch-to policy guard -o json | jq -r .state)"
	remove $CNP/lockout
	passes "it is deleted" crait $AHCHTO 80
	check "that is confirmed in time" host ahch-to policy confirm
	sleep 11
	passes "and stays" crait $AHCHTO 80

	sent lockout "$spec_lockout"
	stopped "a lock-out arrives again" crait $AHCHTO 80
	remove $CNP/lockout
	check "deleted in time, there is nothing to confirm" wait_for 15 guard_is armed
	began=$SECONDS
	sent lockout "$spec_lockout"
	stopped "and once more" crait $AHCHTO 80
	agent_kill ahch-to KILL
	stopped "the daemon is dead, policy stays in force" crait $AHCHTO 80
	agent_start ahch-to
	check "the next one goes on with the time: what was is back" wait_for 20 reaches crait $AHCHTO 80
	check "not later than was said" [ $((SECONDS - began)) -le 20 ]
	exits "another guard cannot be armed over it" 5 host ahch-to policy guard --confirm 60s
	check "without the guard the cluster's word holds" host ahch-to policy guard --off
	stopped "the lock-out is in force" crait $AHCHTO 80
	remove $CNP/lockout
	passes "it is deleted" crait $AHCHTO 80
	is "nothing is left of it" '' "$(ls "$T/ahch-to/state" | grep guard)"

	check "a guard is armed" host ahch-to policy guard --confirm 10s
	agent_kill ahch-to TERM
	truncate -s -5 "$T/ahch-to/state/guard.json"
	agent_start ahch-to
	check "a torn file is told of" wait_for 20 eval "[ \"\$(condition ahch-to policy.guard-state .severity)\" = error ]"
	wait_for 20 is_running ahch-to degraded
	check "arming anew heals it" host ahch-to policy guard --confirm 10s
	check "all is well" wait_for 15 is_running ahch-to
	check "leave" host ahch-to leave --yes
	is "nothing of it is left" '' "$(ls "$T/ahch-to/state" 2>/dev/null)"
}

story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
host_add crait $CRAIT
become ahch-to "$T/bin/tests/netns/story_stream" echo 7000 >"$T/log/echo" 2>&1 &
for part in ${STORY_PARTS:-joining audit shadows guarding}; do $part; done
story_finish
