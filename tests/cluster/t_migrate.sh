#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Service moves from a host to a real pod and back, with stock Cilium in between, while a pod and a machine outside ask
# it all the time: by turns and, from outside, by weights (Maglev); the daemon is killed half way; the pod answers 500,
# and vanishes. Not one request may fail that the pod itself did not spoil. Needs root, the peers (peers.sh), and the
# built programs.
#   BUILD      where mesh-agentd, mesh-join, meshctl and the test programs are
#   KEEP=1     keep the lab when done, and say how to enter and end it
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer tests/netns/story_peer" "jq curl openssl" "$@"
. "$here/story_lib.sh"
. "$here/load_lib.sh"
variant=migrate
export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=vxlan --bpf-lb-algorithm=maglev" CONFIG=bpf-lb-algorithm=maglev
trap lab_leave EXIT
trap 'exit 130' INT TERM

# Machines that are busy answer late now and then, which is not what this is about.
move() { ctl host1 migrate ahch-to --max-latency-factor 100 "$@"; }
migration() { ctl host1 migrate status ahch-to -o json | jq -r ".[0] | $1"; }
migration_is() { is "$(migration .state)" "$1" || { migration '.reason // .waiting'; return 1; }; }
is_at() { is "$(migration '"\(.state) \(.step) \(.restarts)"')" "$1"; }
conditions_are() {
	is "$(kubectl -n legacy get endpointslice ahch-to-mesh-ahch-to -o json |
		jq -r '.endpoints[0].conditions | "\(.ready) \(.serving) \(.terminating)"')" "$1"
}
backend_is() { at "${2:-node1}" cilium-dbg service list | grep -F "$HOST:80/TCP ($1)"; } # STATE [NODE]

# The clients: a pod by the ClusterIP, a machine outside by a node port
reaches_both() { [ "$(count "$1" failed)" -eq 0 ] && [ "$(count "$1" host1)" -gt 0 ] && [ "$(count "$1" council)" -gt 0 ] || { tail -n 2 "$LAB/log/load-$1.log"; return 1; }; }
of_host() { share "$1" host1; }

begin() {
	check "the cluster is set up" admin cluster setup
	kubectl -n legacy patch service ahch-to --type=merge -p '{"spec": {"type": "NodePort"}}' >/dev/null
	check "the host is enrolled" eval 'admin host add ahch-to --namespace legacy --labels jedi=luke --address $HOST \
		--serve ahch-to --weigh yes >"$LAB/token.ahch-to"'
	sed -i '/^health-probes/d' "$(conf_of host1)"
	printf 'health-probes = ( { service = "ahch-to"; type = "http"; port = 80; path = "/"; interval = 1; failures = 1; } );\n' >>"$(conf_of host1)"
	check "it joins" at host1 "$BUILD/mesh-join" --no-start --config "$(conf_of host1)" --token "$(token_in "$LAB/token.ahch-to")"
	daemon host1
	check "it is well" wait_for 30 state_is host1 ok
	check "Cilium has it as a backend" soon backend_is active
	check "without pods there is nobody to move to" exits_with 1 ctl host1 migrate ahch-to --to pods --dry-run
	PORTS='[{"name": "http", "containerPort": 80}]' "$lab" pod add node2 legacy council jedi=luke >"$LAB/pod.ip" || return 1
	pod_node[legacy/council]=node2
	background serve-council pod:legacy/council env FAIL_IF="$LAB/fail" "$asker" serve 80 council
	load inside pod:resistance "$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.clusterIP}')" 80
	load outside world 172.19.0.11 "$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.ports[0].nodePort}')"
	CLIENTS="inside outside"
	wait_for 15 eval '[ "$(tail -n 1 "$LAB/log/load-inside.log" | tr ";" "\n" | grep -c "^host1\|^council")" = 2 ]'
	mark
	sleep 4
	check "the client outside reaches the host and the pod" reaches_both outside
	reaches_both outside >/dev/null || CLIENTS=inside
	check "the one inside, too" reaches_both inside
	check "the one inside evenly ($(of_host inside)% at the host)" between "$(of_host inside)" 35 65
}

there() {
	mark
	check "dry run: two steps" is "$(ctl host1 migrate ahch-to --to pods --step 25% --dry-run -o json | jq -c '[.steps[].host_permille]')" '[250,0]'
	check "to the pod, by turns" move --to pods --step 25% --interval 6s
	check "Cilium lets the host terminate, on each node" soon backend_is terminating
	check "on the other one, too" soon backend_is terminating node2
	check "all requests go to the pod" soon all_at council
	check "not one has failed" nothing_failed
}

# While it stands by: the pod vanishes, and is back
falls_back() {
	mark
	kubectl -n legacy patch pod council --subresource=status --type=merge -p '{"status": {"conditions": [{"type": "Ready", "status": "False"}]}}' >/dev/null
	check "the pod is not ready: all go to the host" soon all_at host1
	kubectl -n legacy patch pod council --subresource=status --type=merge -p '{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}' >/dev/null
	check "it is: all go to the pod" soon all_at council
	check "not one has failed" nothing_failed
}

and_back() {
	mark
	check "back, by turns" move --to host --step 20% --interval 6s --no-wait
	check "a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	daemon_kill host1
	sleep 1
	daemon host1
	check "killed and started, it goes on at its step" wait_for 20 is_at "stepping 1 1"
	check "it arrives" wait_for 90 migration_is done
	check "the host is ready" conditions_are "true true false"
	check "Cilium has it as a backend" soon backend_is active
	check "not one has failed" nothing_failed
	mark
	sleep 5
	check "clients share evenly ($(of_host inside)% at the host)" between "$(of_host inside)" 35 65
}

# What a share is worth: half of an even one, for both clients
shares() {
	move --to pods --step 25% --interval 15s --no-wait >/dev/null
	check "by turns: a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	ctl host1 migrate pause ahch-to >/dev/null
	sleep 1
	mark
	sleep 31
	check "by turns, the client inside sends 25% to the host ($(of_host inside)%)" between "$(of_host inside)" 18 32
	check "and the one outside ($(of_host outside)%)" between "$(of_host outside)" 17 33
	check "not one has failed" nothing_failed
	ctl host1 migrate abort ahch-to >/dev/null
	check "aborted, the host is ready" soon conditions_are "true true false"
	mark
	move --to pods --step 25% --interval 15s --by weights --no-wait >/dev/null
	check "by weights: a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	ctl host1 migrate pause ahch-to >/dev/null
	check "the slice says 33 beside the pod's 100" soon is \
		"$(sleep 1; kubectl -n legacy get endpointslice ahch-to-mesh-ahch-to -o json | jq -r '.metadata.annotations["service.cilium.io/weight"]')" 33
	sleep 2
	mark
	sleep 15
	check "by weights, the client outside sends 25% to the host ($(of_host outside)%)" between "$(of_host outside)" 17 33
	check "the one inside half ($(of_host inside)%)" between "$(of_host inside)" 40 60
	check "not one has failed" nothing_failed
	ctl host1 migrate abort ahch-to >/dev/null
	check "aborted, the weight is gone" soon eval '! kubectl -n legacy get endpointslice ahch-to-mesh-ahch-to -o yaml | grep cilium.io/weight'
	admin host add ahch-to --weigh no >"$LAB/token.again" # the token is of no use
	sleep 2
	check "without the right a weight is refused, and it goes back" exits_with 1 move --to pods --by weights --interval 6s
	check "which says who refused" eval "migration .reason | grep 'needs the verb .weigh'"
	ctl host1 migrate abort ahch-to >/dev/null
}

rolls_back() {
	local began
	check "to a pod that is well" move --to pods --step 25% --interval 30s --no-wait
	check "a step is taken" wait_for 20 eval '[ "$(migration .step)" = 1 ]'
	touch "$LAB/fail"
	began=$(now_ms)
	check "it answers 500: taken back" within 8 migration_is rolled-back
	echo "# $variant: taken back after $(($(now_ms) - began)) ms"
	check "the host is ready" within 3 conditions_are "true true false"
	check "Cilium has it again" soon backend_is active
	check "the status has the reason" eval "grep 'taken back: the pods: .*status 500' <<<\"\$(ctl host1 status)\""
	check "another cannot even begin" exits_with 1 move --to pods --interval 6s
	rm "$LAB/fail"
	check "when the pod is well, it can" move --to pods --step 100% --interval 3s
	check "all go to the pod" soon all_at council
}

end() {
	local c
	for c in inside outside; do stop load-$c; done
	check "the host leaves" ctl host1 leave --yes
	check "its slice is gone" is "$(kubectl -n legacy get endpointslices -l mesh-external-agent.io/host=ahch-to -o name)" ''
}

begin=$SECONDS
if cluster_up; then
	begin
	for part in ${PARTS:-there falls_back and_back shares rolls_back}; do $part; done
	end
else
	fail "the cluster starts"
fi
echo "# $variant: $((SECONDS - begin)) s"
lab_told t_migrate.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
