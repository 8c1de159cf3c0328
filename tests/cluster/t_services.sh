#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Services of a real cluster whose backends change while clients ask all the time, in both families: from a pod and from a
# host by the ClusterIP, from a machine outside by a node port. Pods and a host stand behind them. Pods come, go, are
# replaced and crash; the host's probe fails, the host is drained under long connections; clients stay where session
# affinity has them; and the Service moves from the host to pods that are being replaced, and back. Each answer is counted,
# and so is each failure: there may be none, but of connections to what has crashed.
#   PARTS="comes_and_goes ..."   some parts only
#   KEEP=1                       keep the lab when done, and say how to enter and end it
# Needs root, the peers (peers.sh), ip6tables (Cilium asks for it with IPv6), jq, curl, and the built programs in BUILD.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD} FAMILIES=dual

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer tests/netns/story_peer" "ip6tables jq curl openssl" "$@"
. "$here/story_lib.sh"
. "$here/load_lib.sh"
variant=services
HOST6=fd00:19::100:2
trap lab_leave EXIT
trap 'exit 130' INT TERM

# The Services, all of the same pods and the host

web() { # NAME SPEC-JSON [ANNOTATIONS-JSON]
	local annotations='{}'
	jq -n --arg name "$1" --argjson spec "$2" --argjson more "${3:-$annotations}" '{apiVersion: "v1", kind: "Service",
		metadata: {name: $name, namespace: "legacy", annotations: ({"io.cilium/portal": "true"} + $more)},
		spec: ({ipFamilyPolicy: "RequireDualStack", selector: {app: "web"},
			ports: [{name: "http", port: 80, targetPort: 8080}]} + $spec)}' | kubectl apply -f - >/dev/null
}
address_of() { kubectl -n legacy get service "$1" -o "jsonpath={.spec.clusterIPs[${2:-0}]}"; } # SERVICE [FAMILY]
services() {
	web web '{"type": "NodePort"}'
	web sticky '{"sessionAffinity": "ClientIP"}'
	web brief '{"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 2}}}' '{"io.cilium/portal": "no"}'
	web names '{"clusterIP": "None"}'
	web one '{"selector": {"app": "web", "one": "yes"}}' '{"io.cilium/portal": "no"}'
	web solo '{"selector": null}' '{"mesh-external-agent.io/hosts": "ahch-to"}' # the host alone
}

# The pods of now, and their successors

pods=() letters=abcdefghijklmnopqrstuvwxyz n_pods=0
next_pod() { # NUMBER: starts one in this place of the list
	local name=pod-${letters:n_pods:1} node=node$((n_pods % 2 + 1))
	n_pods=$((n_pods + 1))
	pod_start "$name" $node && pods[$1]=$name
}
# One by one, as a Deployment does it: the new one is there before the old one goes.
roll() {
	local i old
	for i in "${!pods[@]}"; do
		old=${pods[i]}
		next_pod "$i" && pod_stop "$old" || { echo "$old is not replaced"; return 1; }
	done
}

# The host that joins them, and what it says

enrol() { # NAME ARGUMENT...
	local name=$1
	shift
	admin host add "$name" --namespace legacy "$@" >"$LAB/token.$name"
}
join() { # PLACE NAME ADDRESSES ARGUMENT...
	local place=$1 name=$2 addresses=$3
	shift 3
	check "$name is enrolled" enrol "$name" --address "$addresses" "$@"
	check "$name joins" at "$place" "$BUILD/mesh-join" --no-start --config "$(conf_of "$place")" --token "$(token_in "$LAB/token.$name")"
	daemon "$place"
	check "$name is well" wait_for 40 state_is "$place" ok
}
WELL=9999 # a port of the host that tells of its health, and is no port of a Service
is_well() { background serve-host1-well host1 "$peer" serve $WELL well; }
serve_host() { background serve-host1-8080 host1 "$peer" serve 8080 host1; }
conditions_are() { # SERVICE "READY SERVING TERMINATING": in both families
	local f
	for f in '' -v6; do
		is "$(kubectl -n legacy get endpointslice "$1-mesh-ahch-to$f" -o json |
			jq -r '.endpoints[0].conditions | "\(.ready) \(.serving) \(.terminating)"')" "$2" || return 1
	done
}
# Machines that are busy answer late now and then, which is not what this is about.
move() { # SERVICE ARGUMENT...
	local service=$1
	shift
	ctl host1 migrate "$service" --max-latency-factor 100 "$@"
}
migration() { ctl host1 migrate status "$1" -o json | jq -r ".[0] | $2"; } # SERVICE FILTER
migration_is() { is "$(migration "$1" .state)" "$2" || { migration "$1" '.reason // .waiting'; return 1; }; }

ALL="pod4 pod6 host4 host6 out4 out6"
begin() {
	local i port
	check "the cluster is set up" admin cluster setup
	services
	is_well
	sed -i '/^health-probes/d' "$(conf_of host1)"
	cat >>"$(conf_of host1)" <<-C
	health-probes = (
	  { service = "web"; type = "http"; port = 8080; path = "/"; interval = 1; failures = 1; },
	  { service = "web"; type = "tcp"; port = $WELL; interval = 1; failures = 1; },
	  { service = "sticky"; type = "http"; port = 8080; path = "/"; interval = 1; failures = 1; },
	  { service = "names"; type = "http"; port = 8080; path = "/"; interval = 1; failures = 1; }
	);
	C
	join host1 ahch-to $HOST,$HOST6 --labels app=web --serve web --serve sticky --serve names --serve solo
	join crait crait $OTHER,fd00:19::100:9 --labels app=client
	printf 'nameserver 127.18.53.53\n' >"$LAB/host/resolv.conf"
	at crait mount --bind "$LAB/host/resolv.conf" /etc/resolv.conf
	for i in 0 1 2; do check "a pod serves" next_pod $i; done
	port=$(kubectl -n legacy get service web -o 'jsonpath={.spec.ports[0].nodePort}')
	check "the host is published in both families" soon conditions_are web "true true false"
	load pod4 pod:resistance "$(address_of web 0)" 80
	load pod6 pod:resistance "$(address_of web 1)" 80
	load host4 crait "$(address_of web 0)" 80
	load host6 crait "$(address_of web 1)" 80
	load out4 world 172.19.0.11 "$port"
	load out6 world fd00:19::11 "$port"
	CLIENTS=$ALL
	mark
	check "each client reaches each pod and the host" soon each_reaches "${pods[@]}" host1
	mark
	sleep 3
	check "nothing fails while nothing changes" nothing_failed
	counted
}

comes_and_goes() {
	mark
	check "one pod more" next_pod 3
	check "each client reaches it" soon each_reaches "${pods[3]}"
	check "it goes" pod_stop "${pods[3]}"
	unset 'pods[3]'
	check "all are at the others" soon all_at "${pods[@]}" host1
	check "not one request has failed" nothing_failed
	counted
}

rollout() {
	mark
	check "all pods are replaced, one by one" roll
	check "each client reaches the new ones and the host" soon each_reaches "${pods[@]}" host1
	check "and nobody else" soon all_at "${pods[@]}" host1
	check "not one request has failed" nothing_failed
	counted
}

# Who asks what has crashed is refused, until the cluster says that it is gone. All others are not.
vanishing() {
	local before
	before=$(ctl crait status -o json | jq .services.ended_connections)
	check "one pod more, that is alone behind another Service, too" pod_start lone node2 app=web,one=yes
	mark
	check "each client reaches it" soon each_reaches lone
	background hold-lone crait "$peer" hold "$(address_of one)" 80
	check "a long connection to it" soon goes_on hold-lone
	mark
	stop serve-pod-lone
	sleep 2
	pod_ready lone False
	check "it crashes: all are at the others" soon all_at "${pods[@]}" host1
	check "no more have failed than asked it" few_failed 45
	counted
	mark
	sleep 2
	check "from then on nothing fails" nothing_failed
	check "its long connection goes on as long as it is there" goes_on hold-lone
	pod_kill lone
	check "it is away: the connection is ended" wait_for 10 not is_running hold-lone
	check "as one that was aborted" grep -q 'Software caused connection abort' "$LAB/log/hold-lone.log"
	check "and counted" is "$(ctl crait status -o json | jq .services.ended_connections)" $((before + 1))
	check "nothing has failed meanwhile" nothing_failed
}

sticks() {
	local c n
	for c in $CLIENTS; do
		n=$(tail -n +"${from[$c]}" "$LAB/log/load-$c.log" | tr ';' '\n' | awk -F= '$1 != "failed" && $2 > 0 { print $1 }' | sort -u | wc -l)
		is "$n" 1 || { echo "$c:"; tail -n 2 "$LAB/log/load-$c.log"; return 1; }
	done
}
whom() { tail -n 1 "$LAB/log/load-$1.log" | tr ';' '\n' | awk -F= '$1 != "failed" && $2 > 0 { print $1; exit }'; }
affinity() {
	local i
	load sticky-pod pod:resistance "$(address_of sticky)" 80
	load sticky-host crait "$(address_of sticky)" 80
	load sticky-six crait "$(address_of sticky 1)" 80
	CLIENTS="sticky-pod sticky-host sticky-six"
	mark
	sleep 4
	check "with session affinity each client stays at one backend" sticks
	mark
	check "all pods are replaced under it" roll
	check "not one request has failed" nothing_failed
	counted
	sleep 1
	mark
	sleep 3
	check "each stays at one again" sticks
	check "the plan says what that means" eval 'move sticky --to pods --dry-run | grep "session affinity.* until it has not come for 10800 s"'
	check "the Service begins to move to the pods" move sticky --to pods --step 10% --interval 6s --no-wait
	check "with the first turn of the pods all are there" wait_for 30 all_at "${pods[@]}"
	check "it is taken back" ctl host1 migrate abort sticky
	sleep 3
	check "they stay there" all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	sleep 1
	mark
	check "the Service moves to the pods" move sticky --to pods --step 100% --interval 3s
	check "all are at pods" soon all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	sleep 1
	mark
	sleep 2
	check "each stays at one" sticks
	check "back" move sticky --to host --step 100% --interval 3s
	sleep 2
	check "they still do: they are known there" sticks
	check "not one request has failed" nothing_failed
	for i in $CLIENTS; do stop load-$i; done
	CLIENTS=$ALL
	load brief crait "$(address_of brief)" 80
	CLIENTS=brief
	mark
	sleep 4
	check "an affinity of two seconds is renewed by each connection" sticks
	stop load-brief
	CLIENTS=$ALL
	for i in 1 2 3 4 5 6 7 8; do
		sleep 2.5
		at crait curl -sf -m 3 "http://$(address_of brief)/"
	done >"$LAB/brief"
	check "and is over when there was none for longer" [ "$(sort -u "$LAB/brief" | wc -l)" -gt 1 ]
}

probe() {
	mark
	stop serve-host1-well
	check "the host's probe fails: it is not ready" soon conditions_are web "false false false"
	check "all are at pods" soon all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	counted
	is_well
	mark
	check "it is well again: each client reaches it" soon each_reaches host1
	check "not one request has failed" nothing_failed
	mark
	stop serve-host1-8080
	check "its workload crashes: it is not ready" soon conditions_are web "false false false"
	check "all are at pods" soon all_at "${pods[@]}"
	check "no more have failed than asked it" few_failed 45
	counted
	mark
	sleep 2
	check "from then on nothing fails" nothing_failed
	serve_host
	check "it is back: each client reaches it" soon each_reaches host1
	check "not one request has failed" nothing_failed
}

drain() {
	local c
	background hold-pod pod:resistance "$peer" hold "$(address_of solo)" 80
	background hold-six pod:empire "$peer" hold "$(address_of solo 1)" 80
	background hold-host crait "$peer" hold "$(address_of solo)" 80
	for c in pod six host; do check "a long connection to the host runs ($c)" soon goes_on hold-$c; done
	mark
	check "the host is drained" ctl host1 drain
	check "all are at pods" soon all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	counted
	check "its slices are gone" is "$(kubectl -n legacy get endpointslices -l mesh-external-agent.io/host=ahch-to -o name)" ''
	for c in pod six host; do check "the long connection goes on ($c)" goes_on hold-$c; done
	mark
	stop agentd-host1
	daemon host1
	check "with the next start it serves again: each client reaches it" wait_for 40 each_reaches host1
	check "not one request has failed" nothing_failed
	for c in pod six host; do check "the long connection still goes on ($c)" goes_on hold-$c; stop hold-$c; done
}

migrate() {
	mark
	check "the Service moves to the pods" move web --to pods --step 10% --interval 8s --no-wait
	check "a step is taken" wait_for 40 eval '[ "$(migration web .step)" -ge 1 ]'
	check "all pods are replaced meanwhile" roll
	check "it is still on its way, or done" eval 'migration web .state | grep -qx "stepping\|done"'
	check "it is done" wait_for 90 migration_is web done
	check "the host stands by in both families" soon conditions_are web "false true true"
	check "all are at pods" soon all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	counted
	mark
	check "the pods are replaced while it stands by" roll
	check "all are at the new ones" soon all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	mark
	check "back" move web --to host --step 10% --interval 8s --no-wait
	check "a step is taken" wait_for 40 eval '[ "$(migration web .step)" -ge 1 ]'
	check "all pods are replaced meanwhile" roll
	check "it is done" wait_for 120 migration_is web done
	check "the host is ready in both families" soon conditions_are web "true true false"
	check "each client reaches all of them" soon each_reaches "${pods[@]}" host1
	check "not one request has failed" nothing_failed
	counted
}

# One of several pods answers 500, when the migration has begun.
spoiled() {
	check "one pod more" pod_start rotten node1 app=web env FAIL_IF="$LAB/rotten" "$asker"
	mark
	check "each client reaches it" soon each_reaches rotten
	check "the Service begins to move to the pods" move web --to pods --step 10% --interval 60s --no-wait
	check "a step is taken" wait_for 40 eval '[ "$(migration web .step)" -ge 1 ]'
	check "not one request has failed" nothing_failed
	mark
	touch "$LAB/rotten"
	check "one pod of four answers 500: it is taken back" soon migration_is web rolled-back
	check "which says why" eval 'migration web .reason | grep "the pods: .*status 500"'
	check "the host is ready in both families" soon conditions_are web "true true false"
	check "no more have failed than asked that pod" few_failed 50
	counted
	rm "$LAB/rotten"
	check "the pod goes" pod_stop rotten
	mark
	sleep 2
	check "nothing fails any more" nothing_failed
	check "the trouble is forgotten" ctl host1 migrate abort web
}

# Clients by name: from a host, which asks for each connection.
headless() {
	load names crait names.legacy.svc.cluster.local 8080
	CLIENTS=names
	mark
	check "by the name of a headless Service, pods and host are reached" soon each_reaches "${pods[@]}" host1
	check "it has no shares" exits_with 1 move names --to pods --step 10% --dry-run
	check "it moves to the pods at once" move names --to pods --step 100% --interval 3s
	check "all are at pods" soon all_at "${pods[@]}"
	check "all pods are replaced" roll
	check "all are at the new ones" soon all_at "${pods[@]}"
	check "not one request has failed" nothing_failed
	counted
	mark
	check "it moves back" move names --to host --step 100% --interval 3s
	check "the host is reached again" soon each_reaches host1
	check "not one request has failed" nothing_failed
	stop load-names
	CLIENTS=$ALL
}

start=$SECONDS
if cluster_up; then
	begin
	for part in ${PARTS:-comes_and_goes rollout vanishing affinity probe drain migrate spoiled headless}; do $part; done
else
	fail "the cluster starts"
fi
echo "# $variant: $((SECONDS - start)) s"
lab_told t_services.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
