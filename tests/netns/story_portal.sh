#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A host as a backend, against the in-tree API server in network namespaces: its workload stops, fails and comes
# back, by each kind of health probe; clients follow. Services with many ports; a host that leaves is drained.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

SLICES=/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices
EVENTS=/apis/events.k8s.io/v1/namespaces/legacy/events
event() { api GET "$EVENTS/$1.mesh-ahch-to.$2" | jq -r "$3"; }
# refused_event SERVICE FILTER: of one that it may not serve
refused_event() {
	api GET "$EVENTS" | jq -r ".items[] | select(.metadata.name | test(\"^mesh-ahch-to.meshhostnotallowed.[0-9a-f]$\")) |
		select(.regarding.name == \"$1\") | $2"
}
# conditions SERVICE: of ahch-to's endpoint, as "ready serving terminating"; "gone" without a slice
conditions() {
	api GET "$SLICES/$1-mesh-ahch-to" | jq -r 'if .kind == "EndpointSlice" then .endpoints[0].conditions | "\(.ready) \(.serving) \(.terminating)" else "gone" end'
}
conditions_are() { [ "$(conditions "$1")" = "$2" ]; }
# within SECONDS "what" SERVICE CONDITIONS: in time, to a tenth of a second; slow machines have PATIENCE
within() {
	local end=$(($(date +%s%N) + $1 * PATIENCE * 1000000000)) r=no
	while [ "$(date +%s%N)" -lt $end ]; do
		conditions_are "$3" "$4" && { r=yes; break; }
	done
	is "$2" "$4" "$([ $r = yes ] && echo "$4" || conditions "$3")"
}
listed() { host ahch-to service list -o json | jq -r --arg n "$1" '.[] | select(.type == "portal" and .name == $n) | '"$2"; }
unit() { echo "web.service $1" >"$T/units.new" && mv "$T/units.new" "$T/units"; }
# what systemd is to do with the daemon
job() { printf 'web.service active\nmesh-external-agent.service active %s\n' "$1" >"$T/units.new" && mv "$T/units.new" "$T/units" && sleep 0.5; }
# The workload of the host; its number is in $work
work_start() { become ahch-to "$T/bin/tests/netns/story_peer" serve 8088 "Greetings from the workload" >"$T/log/work" 2>&1 & work=$!; }
work_stop() { kill -KILL $work; wait $work 2>/dev/null; }
# who answers of ten, sorted: names of services are asked from the other host
answers() {
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do reaches crait 10.96.0.91 8000 || echo nobody; echo; done 2>/dev/null | sed '/^$/d' | sort -u | paste -sd,
}
only() { [ "$(answers)" = "$1" ]; }
BOTH="Greetings from the pod leia,Greetings from the workload"

portal_manifest() { # name, cluster ip, ports, annotations
	cat <<-Y
	---
	{apiVersion: v1, kind: Service, metadata: {name: $1, namespace: legacy, annotations: {io.cilium/portal: "true"$4}}, spec: {
	 type: ClusterIP, clusterIP: $2, clusterIPs: [$2], ipFamilies: [IPv4], selector: {jedi: luke}, ports: $3}}
	Y
}
portal_manifests() {
	portal_manifest mixed 10.96.0.91 '[{name: http, port: 8000, protocol: TCP, targetPort: 8088}]'
	portal_manifest by-unit 10.96.0.92 '[{name: http, port: 8000, protocol: TCP, targetPort: 8088}]'
	portal_manifest by-http 10.96.0.93 '[{name: http, port: 8000, protocol: TCP, targetPort: 8088}]'
	portal_manifest by-exec 10.96.0.94 '[{name: http, port: 8000, protocol: TCP, targetPort: 8088}]'
	portal_manifest ports 10.96.0.95 '[{name: number, port: 80, targetPort: 80}, {name: name, port: 81, targetPort: web}, {name: none, port: 82, targetPort: nowhere}, {name: dns, port: 53, protocol: UDP, targetPort: web}]'
	portal_manifest stranger 10.96.0.96 '[{name: http, port: 80, targetPort: 80}]'
	portal_manifest conflict 10.96.0.97 '[{name: http, port: 80, targetPort: 80}]'
	cat <<-Y
	---
	{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
	 metadata: {name: mixed-1, namespace: legacy, labels: {kubernetes.io/service-name: mixed}},
	 endpoints: [{addresses: [$LEIA], conditions: {ready: true}}], ports: [{name: http, port: 8080, protocol: TCP}]}
	---
	{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
	 metadata: {name: conflict-mesh-ahch-to, namespace: legacy, labels: {kubernetes.io/service-name: conflict}},
	 endpoints: [{addresses: [$LEIA], conditions: {ready: true}}], ports: [{name: http, port: 8080, protocol: TCP}]}
	Y
}

joining() {
	enrol ahch-to $AHCHTO jedi=luke --serve mixed --serve by-unit --serve by-http --serve by-exec --serve ports --serve conflict ||
		die "enrolment: $(cat "$T/log/enrol")"
	join ahch-to --token "$token" >/dev/null || die "cannot join"
	enrol crait $CRAIT jedi=rey && join crait --token "$token" >/dev/null || die "cannot join"
	unit active
	touch "$T/well"
	work_start
	agent_start ahch-to
	agent_start crait
	check "ahch-to comes up" wait_for 20 is_running ahch-to
	check "crait comes up" wait_for 20 is_running crait
	check "its workload is ready" wait_for 10 conditions_are mixed "true true false"
	check "clients reach it and the pod" wait_for 10 only "$BOTH"
}

# tcp: found by asking, each second
workload() {
	work_stop
	within 2 "tcp: a workload that died is not ready within 2 s" mixed "false false false"
	check "clients go to the pod" wait_for 3 only "Greetings from the pod leia"
	is "service list says it" "not-ready not-ready" "$(listed mixed '"\(.state) \(.backends[0].state)"')"
	is "and why" "tcp $AHCHTO port 8088: Connection refused" "$(listed mixed .reason)"
	check "http: not ready either" wait_for 5 conditions_are by-http "false false false"
	work_start
	within 3 "tcp: it comes back" mixed "true true false"
	check "clients come back" wait_for 5 only "$BOTH"
	check "http: it comes back" wait_for 5 conditions_are by-http "true true false"
	is "service list is content" "portal active " "$(listed mixed '"\(.state) \(.backends[0].state) \(.reason // "")"')"
}

commands() {
	check "exec: it is ready" wait_for 5 conditions_are by-exec "true true false"
	rm "$T/well"
	within 3 "exec: not ready" by-exec "false false false"
	is "exec: its words are told" "command /bin/sh: exit code 1: all is lost" "$(listed by-exec .reason)"
	touch "$T/well"
	within 3 "exec: ready" by-exec "true true false"
}

# units: told by systemd, the interval is an hour
units() {
	check "unit: it is ready" wait_for 5 conditions_are by-unit "true true false"
	unit deactivating
	within 1 "unit: being stopped, it is terminating and still serves within a second" by-unit "false true true"
	is "service list says it" "terminating unit web.service: deactivating" "$(listed by-unit '"\(.state) \(.reason)"')"
	unit inactive
	within 1 "unit: stopped, it serves no more" by-unit "false false true"
	check "unit: then its slice goes" wait_for 14 conditions_are by-unit gone
	is "service list says it" "stopped unit web.service: inactive" "$(listed by-unit '"\(.state) \(.reason)"')"
	unit activating
	within 2 "unit: being started, it is there and not ready" by-unit "false false false"
	unit active
	within 1 "unit: active, it is ready" by-unit "true true false"
	unit failed
	within 1 "unit: failed, it is not ready" by-unit "false false false"
	unit active
	within 1 "unit: again" by-unit "true true false"
}

# up and down all the time: few writes
flapping() {
	local before after i
	before=$(api GET "$SLICES/by-unit-mesh-ahch-to" | jq -r .metadata.generation)
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		unit failed
		sleep 0.15
		unit active
		sleep 0.15
	done
	after=$(api GET "$SLICES/by-unit-mesh-ahch-to" | jq -r .metadata.generation)
	is "flapping: few writes" true "$([ $((after - before)) -le 10 ] && echo true || echo $((after - before)))"
	is "flapping: not ready meanwhile" "false false false" "$(conditions by-unit)"
	is "service list says it" 1 "$(listed by-unit .reason | grep -c 'too often')"
	check "flapping: ready when it has been calm" wait_for 45 conditions_are by-unit "true true false"
}

restarts() {
	local uid
	uid=$(api GET "$SLICES/mixed-mesh-ahch-to" | jq -r '.metadata | "\(.uid) \(.resourceVersion)"')
	agent_kill ahch-to KILL
	agent_start ahch-to
	wait_for 20 is_running ahch-to
	check "the probes decide again" wait_for 5 eval "[ \"\$(listed mixed .state)\" = portal ]"
	is "a new start writes nothing for a workload that is well" "$uid" \
		"$(api GET "$SLICES/mixed-mesh-ahch-to" | jq -r '.metadata | "\(.uid) \(.resourceVersion)"')"
}

# new probes for a running daemon
reloading() {
	local before
	before=$(api GET "$SLICES/mixed-mesh-ahch-to" | jq -r .metadata.resourceVersion)
	cp "$T/ahch-to/agent.conf" "$T/conf"
	sed -i 's/service = "mixed"; type = "tcp"; port = 8088;/service = "mixed"; type = "http"; port = "work"; path = "\/up";/; s/port = 8443; }/port = 8443; }, { name = "work"; port = 8088; }/' "$T/ahch-to/agent.conf"
	kill -HUP "$(cat "$T/ahch-to/pid")"
	check "reload: named ports need a restart, and nothing was changed" wait_for 5 eval "status ahch-to '.conditions[].text' | grep -q 'named-ports can change with a restart only'"
	cp "$T/conf" "$T/ahch-to/agent.conf"
	sed -i 's/service = "mixed"; type = "tcp";/service = "mixed"; type = "http"; path = "\/up";/' "$T/ahch-to/agent.conf"
	kill -HUP "$(cat "$T/ahch-to/pid")"
	check "reload: new probes are taken" wait_for 5 is_running ahch-to
	sleep 2
	is "reload: nothing is written for a workload that is well" "$before" "$(api GET "$SLICES/mixed-mesh-ahch-to" | jq -r .metadata.resourceVersion)"
	work_stop
	within 3 "reload: the new probe counts" mixed "false false false"
	is "and says so" "http $AHCHTO port 8088: Connection refused" "$(listed mixed .reason)"
	work_start
	within 3 "reload: it comes back" mixed "true true false"
}

# the old port of a workload that has moved to a pod
forwarding() {
	local old
	become ahch-to "$T/bin/tests/netns/story_peer" serve 8077 "Greetings from the old workload" >"$T/log/old" 2>&1 &
	old=$!
	wait_for 5 reaches crait $AHCHTO 8077
	sed -i '$s/$/\nforwards = ( { port = 8077; service = "temple"; service-port = 80; } );/' "$T/ahch-to/agent.conf"
	kill -HUP "$(cat "$T/ahch-to/pid")"
	check "forward: it waits while the workload has the port" wait_for 5 eval "host ahch-to forward list | grep -q '8077 .*legacy/temple:80 .*waiting.*Address already in use'"
	is "forward: the workload still answers" "Greetings from the old workload" "$(reaches crait $AHCHTO 8077)"
	kill -KILL $old
	wait $old 2>/dev/null
	check "forward: then it takes the port over" wait_for 6 eval "reaches crait $AHCHTO 8077 | grep -q 'pod leia'"
	is "forward: callers are counted" "$CRAIT 8077 legacy/temple:80" "$(host ahch-to forward callers | awk 'NR == 2 { print $1, $2, $3 }')"
	is "forward: one caller" 1 "$(host ahch-to forward list -o json | jq '.[0].callers | length')"
	policy closed '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{toPorts: [{ports: [{port: "1"}]}]}]}'
	stopped "forward: policy holds for the port" crait $AHCHTO 8077
	remove $CNP/closed
	passes "forward: it is back without" crait $AHCHTO 8077
	api PATCH "$SLICES/temple-1" -H 'Content-Type: application/merge-patch+json' -d '{"endpoints":[]}' -o /dev/null
	check "forward: without backends callers are reset" wait_for 5 eval "! reaches crait $AHCHTO 8077"
	check "forward: the reason is shown" eval "host ahch-to forward list | grep -q 'the Service has no backend'"
}

# ports by number and name; what cannot be served says why
many_ports() {
	is "ports by number and by name, of the right protocol" "name 8443 TCP number 80 TCP" \
		"$(api GET "$SLICES/ports-mesh-ahch-to" | jq -r '[.ports | sort_by(.name)[] | "\(.name) \(.port) \(.protocol)"] | join(" ")')"
	is "the missing one is named" 1 "$(listed ports .reason | grep -c '"nowhere"')"
	is "the rest is served" portal "$(listed ports .state)"
	is "a Service that it may not serve" 1 "$(listed stranger '"\(.state) \(.reason)"' | grep -c 'skipped .*--serve stranger')"
	is "a slice of somebody else in its place" 1 "$(listed conflict '"\(.state) \(.reason)"' | grep -c 'skipped .*did not write')"
	is "that one is left alone" "$LEIA" "$(api GET "$SLICES/conflict-mesh-ahch-to" | jq -r .endpoints[0].addresses[0])"
}

# what is wrong is told on the Services, too, once for each
events() {
	check "an Event says that a host may not serve it" wait_for 15 eval "refused_event stranger .type | grep -qx Warning"
	is "on the Service" "Service stranger $(api GET /api/v1/namespaces/legacy/services/stranger | jq -r .metadata.uid)" \
		"$(refused_event stranger '.regarding | "\(.kind) \(.name) \(.uid)"')"
	check "an Event of a conflict" wait_for 15 eval "event conflict meshhostconflict .note | grep -q 'did not write'"
	check "an Event of a missing port" wait_for 15 eval "event ports meshhostnoport .note | grep -q nowhere"
	rm "$T/well"
	check "an Event of a workload that is not ready" wait_for 15 eval "event by-exec meshhostnotready .note | grep -q 'all is lost'"
	touch "$T/well"
	is "none of one that was stopped on purpose, or is well" 0 "$(api GET "$EVENTS" | jq '[.items[] | select(.regarding.name == "mixed" and .reason != "MeshHostNotReady")] | length')"
	is "each once" 0 "$(api GET "$EVENTS" | jq '[.items[] | select(.series)] | length')"
}

# in which zone it is, an admin says
zone() { api GET "$SLICES/mixed-mesh-ahch-to" | jq -r .endpoints[0].zone; }
zones() {
	echo 'zone = "endor";' >>"$T/ahch-to/agent.conf"
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "a zone that it is not enrolled for is told of" wait_for 10 eval '[ "$(condition ahch-to serve.zone .name)" ]'
	check "with what to do" eval "condition ahch-to serve.zone .remedy | grep -q -e '--zone'"
	is "its endpoint is not in it" null "$(zone)"
	enrol ahch-to $AHCHTO jedi=luke --zone endor || die "enrolment: $(cat "$T/log/enrol")"
	agent_kill ahch-to KILL
	agent_start ahch-to
	check "enrolled for it, it is there" wait_for 10 eval '[ "$(zone)" = endor ]'
	is "and all is well" "" "$(condition ahch-to serve.zone .name)"
	is "what it may serve is as before" portal "$(listed by-unit .state)"
}

# who holds the rights, and what is left without either
private_kib() { awk '/^RssAnon:/ { print $2 }' "/proc/$1/status"; }
rights() { awk '/^(CapPrm|NoNewPrivs|Seccomp):/ { printf "%s ", $2 }' "/proc/$1/status"; }
privileges() {
	local daemon other
	daemon=$(cat "$T/ahch-to/pid") other=$(pgrep -P "$(cat "$T/ahch-to/pid")" -f '^mesh-privileged')
	echo "# private memory: the daemon $(private_kib "$daemon") KiB, the other process $(private_kib "$other") KiB, of which they share some"
	is "the daemon has no capabilities, and a filter" "0000000000000000 1 2 " "$(rights "$daemon")"
	is "the other process has four, and another filter" "000000c000001400 1 2 " "$(rights "$other")"
	exits "one of them does not trace the other" 1 setpriv --reuid=$UNIT_USER --regid=$UNIT_USER --clear-groups cat "/proc/$other/environ"
	kill -KILL "$other"
	check "the daemon ends with it" wait_for 5 eval "! kill -0 $daemon 2>/dev/null"
	is "it says why" 1 "$(grep -c 'agent.privileged: the process that writes to the kernel is gone' "$T/log/ahch-to-agent")"
	check "what is in force stays" reaches crait 10.96.0.91 8000
	wait "$daemon" 2>/dev/null
	agent_start ahch-to
	check "and both come back" wait_for 10 is_running ahch-to
}

draining() {
	local drain second
	(host ahch-to drain >"$T/drained" 2>&1) &
	drain=$!
	within 2 "drain: terminating first, and still serving" mixed "false true true"
	(host ahch-to drain >"$T/drained2" 2>&1) &
	second=$!
	exits "drain: a leave is refused meanwhile" 5 host ahch-to leave --yes
	is "drain: with the reason" 1 "$(grep -c 'a drain is under way' "$T/out")"
	check "drain: new clients go to the pod" wait_for 10 only "Greetings from the pod leia"
	wait $drain
	is "drain: it says so" 1 "$(grep -c 'stands behind no Service' "$T/drained")"
	exits "drain: who asks while it is under way waits for it, too" 0 wait $second
	is "drain: and is told the same" "$(cat "$T/drained")" "$(cat "$T/drained2")"
	is "drain: then gone" gone "$(conditions mixed)"
	is "drain: service list knows" "drained 0 this host is drained" "$(listed mixed '"\(.state) \(.backends | length) \(.reason)"')"
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "started again, it serves again" wait_for 20 eval '[ "$(conditions mixed)" = "true true false" ]'
	job restart
	check "systemd restarts the daemon: that is no drain" host ahch-to drain --unless-restart
	is "it serves on" "true true false" "$(conditions mixed)"
	job stop
	check "systemd stops it: that is one" host ahch-to drain --unless-restart
	is "it does not serve" gone "$(conditions mixed)"
	is "and the Lease is given back, while there is a network" ahch-to \
		"$(api GET /apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases/ahch-to | jq -r .spec.holderIdentity)"
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "started once more, it serves again" wait_for 20 eval '[ "$(conditions mixed)" = "true true false" ]'
	(host ahch-to drain >"$T/drained" 2>&1) &
	drain=$!
	within 2 "a drain begins" mixed "false true true"
	check "a leave by force ends it" host ahch-to leave --yes --force
	exits "who waits for the drain is told" 5 wait $drain
	is "why" 1 "$(grep -c 'taken out of the cluster before the drain was over' "$T/drained")"
}

story_begin
portal_manifests >"$T/manifests/portal.yaml"
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$T/bus
: >"$T/units"
"$T/bin/tests/netns/story_systemd" "$T/bus" "$T/units" >"$T/log/systemd" 2>&1 &
cluster_start
chmod 666 "$T/bus"
pods_start
host_add ahch-to $AHCHTO
host_add crait $CRAIT
as_by_unit ahch-to crait
cat >>"$T/ahch-to/agent.conf" <<C
named-ports = ( { name = "web"; port = 8443; } );
health-probes = (
	{ service = "mixed"; type = "tcp"; port = 8088; interval = 1; failures = 1; },
	{ service = "by-http"; type = "http"; port = 8088; interval = 1; failures = 2; },
	{ service = "by-unit"; type = "unit"; unit = "web.service"; interval = 3600; },
	{ service = "by-exec"; type = "exec"; interval = 1; failures = 1;
	  command = [ "/bin/sh", "-c", "[ -e $T/well ] || { echo all is lost; exit 1; }" ]; }
);
C
for part in ${STORY_PARTS:-joining workload commands units flapping many_ports events zones forwarding reloading restarts privileges draining}; do $part; done
story_finish
