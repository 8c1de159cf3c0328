#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole product against the in-tree API server, in network namespaces: joining, enforcement on both
# paths, services, forged packets, faults of the API server, a dying daemon, changes of the host's network, leaving.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
. "$HERE/story_services.sh"
story_enter "$0" "$@"

fault() { api POST /test/faults -H 'Content-Type: application/json' -d "$1" -o /dev/null; }
faults_end() { api DELETE /test/faults -o /dev/null; }
code() { api GET "$1" -o /dev/null -w '%{http_code}'; }
cut_watches() { api POST /test/cut -H 'Content-Type: application/json' -d '{"pathPrefix":"/"}' -o /dev/null; }

# joining
joining() {
	enrol ahch-to $AHCHTO jedi=luke --serve council --zone endor && enrol crait $CRAIT jedi=rey || die "enrolment: $(cat "$T/log/enrol")"
	is "enrolling prints a token" mesh1. "${token:0:6}"
	enrol ahch-to $AHCHTO jedi=luke --serve council --zone endor
	local at=${token:300:1}
	exits "an altered token is refused" 6 join ahch-to --token "${token:0:300}$([ "$at" = x ] && echo y || echo x)${token:301}"
	exits "half a token is refused" 6 join ahch-to --token "${token:0:500}"
	exits "labels that were not enrolled are refused" 8 join ahch-to --token "$token" --labels jedi=leia
	exits "a token for another machine's address is refused" 1 join crait --token "$token"
	exits "a dry run changes nothing" 0 join ahch-to --token "$token" --dry-run
	is "no state was written" '' "$(ls "$T/ahch-to/state" 2>/dev/null)"
	exits "a good token joins" 0 join ahch-to --token "$token" --labels jedi=luke
	exits "a used token is refused" 5 in_place ahch-to "$T/bin/mesh-join" --no-start --state-dir "$T/thief" --token "$token"
	exits "joining again with it does no harm where it joined" 0 join ahch-to --token "$token"
	enrol crait $CRAIT jedi=rey
	exits "the second host joins" 0 join crait --token "$token"
	agent_start ahch-to
	agent_start crait
	check "ahch-to comes up" wait_for 10 is_running ahch-to
	check "crait comes up" wait_for 10 is_running crait
	own=$(status ahch-to .identity)
	cep=$(api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to)
	is "its endpoint is published" "ready $AHCHTO $own" \
		"$(jq -r '"\(.status.state) \(.status.networking.addressing[0].ipv4) \(.status.identity.id)"' <<<"$cep")"
}

# what meshctl tells of names: the answer that any program gets, and why
asking() {
	exits "a name of the cluster" 0 host ahch-to dns query temple.legacy.svc.cluster.local
	is "its address, and where it comes from" "NOERROR udp 127.18.53.53:53 qr aa rd 10.96.0.80 cluster" \
		"$(asked temple.legacy.svc.cluster.local '"\(.rcode) \(.transport) \(.server) \(.flags) \(.answers[0].data) \(.source)"')"
	is "and why" "zone cluster.local. of the cluster: the cluster address of Service legacy/temple" \
		"$(asked temple.legacy.svc.cluster.local .explanation)"
	is "the same for people" 1 "$(host ahch-to dns query temple.legacy.svc.cluster.local | grep -c '^Because: *zone cluster.local.*Service legacy/temple$')"
	is "its port" "0 100 80 temple.legacy.svc.cluster.local." \
		"$(asked _http._tcp.temple.legacy.svc.cluster.local '.answers[0].data' SRV)"
	is "its name by its address" temple.legacy.svc.cluster.local. "$(asked 10.96.0.80 '.answers[0].data')"
	exits "a name that is not there" 1 host ahch-to dns query nothing.legacy.svc.cluster.local
	is "it says what is missing" "NXDOMAIN zone cluster.local. of the cluster: there is no Service legacy/nothing" \
		"$(asked nothing.legacy.svc.cluster.local '"\(.rcode) \(.explanation)"')"
	exits "no type of records" 2 host ahch-to dns query temple.legacy.svc.cluster.local NONSENSE
	is "what the zone holds, and that programs ask the agent" "2 true resolv.conf ok" \
		"$(host ahch-to dns status -o json | jq -r '"\(.services) \(.records >= 3) \(.wiring.method) \(.wiring.state)"')"
	echo 'dns: { enabled = false; };' >>"$T/crait/agent.conf"
	agent_kill crait
	agent_start crait
	check "crait comes up without the server" wait_for 10 is_running crait
	is "without it it says so" 1 "$(host crait dns query x 2>&1 | grep -c 'dns.enabled is false')"
	is "so does its status" "false the DNS server of the agent is off: dns.enabled is false in the configuration" \
		"$(host crait dns status -o json | jq -r '"\(.enabled) \(.reason)"')"
	sed -i /^dns:/d "$T/crait/agent.conf"
	agent_kill crait
	agent_start crait
	check "crait comes up again" wait_for 10 is_running crait
}
asked() { host ahch-to dns query "$1" ${3:-} -o json | jq -r "$2"; } # name, what of it, type

# what policy allows, on the direct path and through the tunnel
enforcement() {
	passes "no policy: host to host" crait $AHCHTO 80
	passes "no policy: pod to host" leia $AHCHTO 80
	passes "no policy: host to pod" ahch-to $LEIA 8080
	check "the host's identity is in the tunnel" wait_for 15 grep -qx "from $AHCHTO vni $own" "$T/log/node1"
	passes "a service by its name" ahch-to temple.legacy.svc.cluster.local 80
	passes "a service by its address" ahch-to 10.96.0.80 80
	passes "a service that a host stands behind" crait council.legacy.svc.cluster.local 8000
	policy story '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {jedi: rey}}, {matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}], egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	passes "ingress: an allowed host" crait $AHCHTO 80
	passes "ingress: an allowed pod" leia $AHCHTO 80
	stopped "ingress: another pod" vader $AHCHTO 80
	stopped "ingress: an allowed host, another port" crait $AHCHTO 8081
	stopped "ingress: a machine without identity" node1 $AHCHTO 80
	passes "egress: an allowed pod" ahch-to $LEIA 8080
	stopped "egress: another pod" ahch-to $VADER 8080
	stopped "egress: a host" ahch-to $CRAIT 80
	is "status tells" "enforced enforced" "$(status ahch-to '"\(.enforcement.ingress) \(.enforcement.egress)"')"
	policy story '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{}], egress: [{}], ingressDeny: [{fromEntities: [all]}], egressDeny: [{toEntities: [all]}]}'
	stopped "deny all: an allowed host" crait $AHCHTO 80
	stopped "deny all: an allowed pod" leia $AHCHTO 80
	stopped "deny all: outwards" ahch-to $LEIA 8080
	passes "deny all: port 22 is open, by the failsafe set" crait $AHCHTO 22
	is "its hits are counted" true "$(status ahch-to '[.failsafe[] | select(.port == 22)][0].hits > 0')"
	remove $CNP/story
	passes "the policy is deleted: a machine without identity" node1 $AHCHTO 80
	policy story '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {jedi: rey}}, {matchLabels: {rebel: leia}}]}]}'
	stopped "a policy for ingress only: another pod" vader $AHCHTO 80
}

# says "what" JQ-CONDITION COMMAND...: what a command prints as JSON has these members
says() { is "$1" true "$(host ahch-to "${@:3}" -o json 2>&1 | jq -r "$2" 2>&1)"; }
# every command that lists, with the data of a running daemon
listing() {
	policy listing '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromCIDR: ["192.0.2.0/24"]}, {fromEndpoints: [{matchLabels: {jedi: rey}}, {matchLabels: {rebel: leia}}]}]}'
	passes "a connection to list" crait $AHCHTO 80
	says "status" '(.version and .uptime_ms and .joined and .state == "ok" and .cluster.name and .cluster.uid and .host == "ahch-to"
		and .namespace and .identity and (.labels | length) > 0 and (.addresses | length) > 0 and .enforcement.ingress == "enforced"
		and .api.connected and .api.server and .api.token_expires_in_ms and (.api.kinds | length) > 5 and .datapath.mode and .datapath.device
		and .datapath.mtu and .datapath.attach and (.datapath.interfaces | length) > 0 and .datapath.generation > 0
		and (.failsafe | all(.direction and .protocol and .cidr and .origin and has("port") and has("hits"))) and .dns.enabled and .dns.zone
		and (.dns.listen | length) > 0 and (.dns.upstreams | type) == "array" and .policies.enforced > 0 and .services.services > 0
		and .guard.state and has("drops") and has("audited") and has("shadow_drops") and .conditions == [])' status
	says "endpoint list" '(length == 1 and (.[0] | .local and .namespace and .name and .identity and (.labels | length) > 0 and (.addresses | length) > 0
		and .node and .state == "ready" and .enforcement.ingress and has("named_ports")))' endpoint list
	says "endpoint list of all: each once" '(map(.namespace + "/" + .name) | sort == ["legacy/ahch-to", "legacy/crait", "legacy/leia", "legacy/vader"])' endpoint list -a
	says "identity list" '(all(.id and (.labels | length) > 0 and has("reserved")) and ([.[] | select(.endpoints == 1)] | length) >= 4)' identity list
	says "identity get" '(.id == '$LEIA_ID' and .endpoints == 1 and (.labels | index("k8s:rebel=leia")))' identity get $LEIA_ID
	says "node list" '(length == 4 and all(.name and (.addresses | length) > 0 and has("local") and has("pod_cidrs")) and any(.tunnel_endpoint))' node list
	says "policy list" '(all(.kind and .name and .namespace and .state and (.directions | length) > 0 and .rules > 0) and length > 0)' policy list
	says "policy guard" '(.state == "off")' policy guard
	says "policy shadow" '(.policies == [] and .choices == [] and .unlisted_flows == 0)' policy shadow
	says "policy why" '(.verdict == "allow" and .reason and (.rules | all(.kind and .namespace and .name and .path and .action)) and .identity
		and (.labels | length) > 0 and has("failsafe") and .enforcement == "enforced")' policy why --peer-ip $LEIA --direction ingress --protocol tcp --port 80
	says "policy why, of what no rule allows" '(.verdict == "deny" and any(.isolated_by[]; .namespace == "legacy" and .name == "listing") and
		([.near[] | select(.name == "listing").differs] == ["peer", "peer"]))' policy why --peer-ip $VADER --direction ingress --protocol tcp --port 80
	(become ahch-to timeout 20 "$T/bin/meshctl" -c "$T/ahch-to/agent.conf" monitor --drop --peer $VADER --count 1 -o json) >"$T/log/drop" 2>&1 &
	wait_for 10 eval '! reaches vader $AHCHTO 80; [ -s "$T/log/drop" ]'
	says "status tells what was dropped, and why" '(.drop_reasons | any(.direction == "ingress" and .reason == "no policy allows it" and .packets > 0
		and .bytes > 0)) and (([.drop_reasons[] | select(.direction == "ingress").packets] | add) >= .drops.ingress)' status
	is "a drop names the policies that let nothing else in, and the peer" true "$(jq '(.isolated_by | any(. == {"kind": "CiliumNetworkPolicy", "namespace": "legacy",
		"name": "listing"})) and (.peer.labels | index("k8s:sith=vader") != null) and .peer.name == "legacy/vader" and .reason == "no policy allows it"' "$T/log/drop")"
	says "service list" '(all(has("id") and .namespace and .name and .type and .state) and any(.type == "ClusterIP" and (.frontends | all(.address and .port
		and .protocol)) and (.backends | all(.address and .port and .protocol and .state))) and any(.type == "portal"))' service list
	says "ipcache list" '(all(.prefix and .identity and .source and (.labels | length) > 0) and any(.tunnel_endpoint) and any(.name == "legacy/leia"))' ipcache list
	says "ipcache get" '(.prefix == "'$LEIA'/32" and .identity == '$LEIA_ID' and .name == "legacy/leia")' ipcache get $LEIA
	says "map list" '(all(.name and .type and has("entries") and .max_entries > 0 and .errors == 0) and any(.name == "mesh_ct4" and .type == "lru_hash" and .entries > 0))' map list
	says "dns status" '(.enabled and .zone and (.listen | length) > 0 and (.upstreams | type) == "array" and has("cache") and has("queries")
		and (.cache | has("entries") and has("max_entries") and has("hits") and has("misses"))
		and (.queries | has("cluster") and has("forwarded") and has("refused") and has("failed")))' dns status
	says "dns query" '(.rcode == "NOERROR" and .source == "cluster" and .explanation and .answers[0].data == "10.96.0.80" and .answers[0].ttl_s > 0)' dns query temple.legacy.svc.cluster.local
	exits "which is an answer" 0 host ahch-to dns query temple.legacy.svc.cluster.local
	exits "no answer is none" 1 host ahch-to dns query nobody.legacy.svc.cluster.local
	says "dns learned" '(. == [])' dns learned
	is "host list" true "$(admin host list -o json | jq 'length == 2 and all(.name and .namespace and .labels and .identity and .addresses and .state
		and .heartbeat and (.claimed | length) > 0)')"
	remove $CNP/listing
}

# what a user of the host without rights can see and do; the folder of this test hides nothing from anyone
stranger() { in_place ahch-to setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
stranger_ctl() { stranger "$T/bin/meshctl" -c "$T/ahch-to/agent.conf" "$@"; }
refused() { # what, command...
	local what=$1
	shift
	if "$@" >"$T/out" 2>&1 </dev/null; then is "$what" refused done; else is "$what" refused refused; fi
}
strangers() {
	local pid f
	pid=$(cat "$T/ahch-to/pid")
	chmod 755 "$T" "$T/ahch-to"
	check "a stranger has programs to run" stranger "$T/bin/meshctl" --version
	refused "a stranger asks for the status" stranger_ctl status
	refused "a stranger lists policies" stranger_ctl policy list
	refused "a stranger leaves the cluster" stranger_ctl leave --yes --force
	refused "a stranger drains the host" stranger_ctl drain
	refused "a stranger starts a guard" stranger_ctl policy guard --confirm 60s
	refused "a stranger watches packets" stranger timeout 2 "$T/bin/meshctl" -c "$T/ahch-to/agent.conf" monitor
	for f in token joined.json; do refused "a stranger reads $f" stranger cat "$T/ahch-to/state/$f"; done
	refused "a stranger lists the state" stranger ls "$T/ahch-to/state"
	refused "a stranger lists the maps" stranger ls "/sys/fs/bpf/ahch-to"
	refused "a stranger reads the daemon's memory" stranger cat "/proc/$pid/maps"
	refused "a stranger reads its environment" stranger cat "/proc/$pid/environ"
	refused "a stranger ends it" stranger kill "$pid"
	is "no credential in its arguments" 0 "$(tr '\0' '\n' <"/proc/$pid/cmdline" | grep -c -e "$(cat "$T/ahch-to/state/token")" -e mesh1.)"
	is "none in its environment" 0 "$(tr '\0' '\n' <"/proc/$pid/environ" | grep -cF "$(cat "$T/ahch-to/state/token")")"
	is "none in its log" 0 "$(grep -cF -e "$(cat "$T/ahch-to/state/token")" -e mesh1. "$T/log/ahch-to-agent")"
	check "it is still a member" is_running ahch-to
	chmod 700 "$T"
}

# forged PLACE "what" REASON-TEXT PEER-ARGUMENTS...: nothing arrives, everything is counted, the monitor says why
forged() {
	local place=$1 what=$2 reason=$3 before after got
	shift 3
	before=$(drops)
	got=$(wc -l <"$T/log/sink")
	: >"$T/log/forged"
	become ahch-to timeout 60 "$T/bin/meshctl" -c "$T/ahch-to/agent.conf" monitor --drop >"$T/log/forged" 2>&1 &
	local monitor=$! i
	for i in {1..10}; do # the first ones may come before the monitor listens
		in_place "$place" "$T/bin/tests/netns/story_peer" "$@" || echo "    cannot send"
		! wait_for 0 grep -qF "($reason)" "$T/log/forged" || break
	done
	kill $monitor 2>/dev/null
	wait $monitor 2>/dev/null
	after=$(drops)
	is "$what: nothing arrives" "$got" "$(wc -l <"$T/log/sink")"
	is "$what: counted" true "$([ $((after - before)) -ge 5 ] && echo true || echo "$before, then $after")"
	is "$what: the monitor says why" "$reason" "$(grep -oF "$reason" "$T/log/forged" | head -n 1)"
}
forgers() {
	become ahch-to "$T/bin/tests/netns/story_peer" sink 9000 >"$T/log/sink" 2>&1 &
	sleep 0.2
	in_place node1 "$T/bin/tests/netns/story_peer" spoof 172.19.100.11 $TUNNEL_PORT $AHCHTO $LEIA_ID $LEIA $AHCHTO 9000 5
	check "what a node sends rightly arrives" wait_for 2 eval "[ \$(grep -c 'from $LEIA' $T/log/sink) = 5 ]"
	forged node1 "an allowed pod's identity, another's address" "tunnel identity and inner source address disagree" \
		spoof 172.19.100.11 $TUNNEL_PORT $AHCHTO $LEIA_ID $VADER $AHCHTO 9000 5
	forged node2 "another identity, an allowed pod's address" "tunnel identity and inner source address disagree" \
		spoof 172.19.100.12 $TUNNEL_PORT $AHCHTO $VADER_ID $LEIA $AHCHTO 9000 5
	forged node1 "the identity of a host" "tunnel packet claims the identity of a host" \
		spoof 172.19.100.11 $TUNNEL_PORT $AHCHTO 1 $LEIA $AHCHTO 9000 5
	forged node1 "the identity of a node, a pod's address" "tunnel packet claims to be of a node, its source is none" \
		spoof 172.19.100.11 $TUNNEL_PORT $AHCHTO 6 $LEIA $AHCHTO 9000 5
	forged api "a tunnel packet from no node" "tunnel packet from an address that is no node" \
		spoof $API $TUNNEL_PORT $AHCHTO $LEIA_ID $LEIA $AHCHTO 9000 5
	forged api "a tunnel packet from another host" "tunnel packet from an address that is no node" \
		spoof $CRAIT $TUNNEL_PORT $AHCHTO $LEIA_ID $LEIA $AHCHTO 9000 5
	forged node1 "a plain packet with a pod's address" "pod source address outside the tunnel" \
		plain $LEIA $AHCHTO 9000 5
	forwarded
}

# A machine that no pod would let in uses the host as its router to one.
forwarded() {
	policy router "{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromCIDR: [$API/32]}]}"
	in_place ahch-to sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/forwarding'
	ip -n api route add $LEIA via $AHCHTO
	forged api "what the host forwards to a pod" "forwarded into the tunnel, from an address that is not the endpoint's" \
		plain $API $LEIA 9000 5
	ip -n api route del $LEIA via $AHCHTO
	in_place ahch-to sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/forwarding'
	remove $CNP/router
}

# in_stream "what" FUNCTION SECONDS: packets from crait through it; none may be lost, vader stays out
in_stream() {
	local what=$1 stream out
	passes "$what: all is well before" crait $AHCHTO 80
	become crait "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 $(($3 * 500)) 2000 >"$T/stream" 2>&1 &
	stream=$!
	$2
	stopped "$what: policy stays in force" vader $AHCHTO 80
	wait $stream
	out=$(cat "$T/stream")
	is "$what: nothing is lost" "lost 0" "$(grep -o 'lost [0-9]*' <<<"$out")"
}
recovers() { # what: a new policy arrives, and an old one goes
	faults_end
	policy after '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {sith: vader}}]}]}' 45
	if wait_for 45 reaches vader $AHCHTO 80; then is "$1: a new policy arrives afterwards" yes yes; else is "$1: a new policy arrives afterwards" yes no; fi
	remove $CNP/after
	wait_for 10 eval "! reaches vader $AHCHTO 80"
	stopped "$1: and goes again" vader $AHCHTO 80
}
fault_gone() { fault '[{"match":{"watch":true},"action":"gone","count":30}]'; cut_watches; sleep 2; }
fault_cut() { fault '[{"match":{"watch":true},"action":"cut","after_bytes":40,"count":30}]'; cut_watches; sleep 2; }
# the watches of both hosts are refused, and the lists that they ask for then are empty
fault_empty() {
	fault '[{"match":{"watch":true,"pathPrefix":"/apis/cilium.io/v2/ciliumnetworkpolicies"},"action":"gone","count":2},
		{"match":{"watch":true,"pathPrefix":"/apis/cilium.io/v2/ciliumidentities"},"action":"gone","count":2},
		{"match":{"method":"GET","watch":false},"action":"empty","count":400}]'
	cut_watches
	sleep 3
}
fault_429() { fault '[{"match":{"method":"GET"},"action":"retry-after","retry_after":1,"count":60}]'; cut_watches; sleep 2; }
fault_slow() { fault '[{"match":{"method":"GET"},"action":"slow","after_bytes":10,"delay_ms":50,"count":30}]'; cut_watches; sleep 2; }
fault_500() { fault '[{"match":{},"action":"status","status":500,"count":200}]'; cut_watches; sleep 2; }
api_faults() {
	local f
	for f in ${STORY_FAULTS:-gone cut 429 slow 500 empty}; do
		in_stream "API fault $f" fault_$f 5
		[ $f != empty ] || is "API fault empty: the log says that it was not believed" true \
			"$(grep -q 'reflector.suspicious.*kind=CiliumNetworkPolicy' "$T/log/ahch-to-agent" && echo true)"
		recovers "API fault $f"
	done
}

die_daemon() { agent_kill ahch-to KILL; sleep 1; agent_start ahch-to; wait_for 10 is_running ahch-to; }
stop_daemon() { agent_kill ahch-to TERM; sleep 1; agent_start ahch-to; wait_for 10 is_running ahch-to; }
restarts() {
	in_stream "kill -9 and start" die_daemon 6
	in_stream "stop and start" stop_daemon 6
	is "it is well afterwards" ok "$(status ahch-to .state)"
}

# The host's wall clock is wrong by years, forwards and backwards, while the daemon runs: connections that there are go on,
# and once the time is right all is well.
clock_is() { # seconds that it is wrong by
	local i bytes=
	for i in 0 8 16 24 32 40 48 56; do bytes+=$(printf '\\x%02x' $(($1 >> i & 255))); done
	printf "$bytes" | dd of="$T/clock" conv=notrunc status=none
}
clock_jumps() { clock_is $1; cut_watches; sleep 2; clock_is 0; }
clock_forwards() { clock_jumps $((10 * 366 * 86400)); }
clock_backwards() { clock_jumps $((-10 * 366 * 86400)); }
clocks() {
	local which
	truncate -s 8 "$T/clock"
	agent_kill ahch-to TERM
	UNDER="env LD_PRELOAD=$T/bin/tests/lib/clock.so CLOCK_FILE=$T/clock" agent_start ahch-to
	check "the daemon comes up with a clock of its own" wait_for 15 is_running ahch-to
	for which in forwards backwards; do
		in_stream "the clock jumps ten years $which" clock_$which 5
		recovers "the clock jumped ten years $which"
		check "the clock jumped ten years $which: all is well" wait_for 45 is_running ahch-to
	done
	stop_daemon
}

# the labels of its namespace change, which are part of its identity
relabel() {
	local lease=/apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases/ahch-to holder
	holder=$(api GET $lease | jq -r .spec.holderIdentity)
	api PATCH /api/v1/namespaces/legacy -H 'Content-Type: application/merge-patch+json' -d '{"metadata":{"labels":{"team":"jedi"}}}' -o /dev/null
	passes "before: an allowed host" crait $AHCHTO 80
	check "the host says that its identity is of another day" wait_for 10 eval '[ "$(condition ahch-to identity.outdated .severity)" = warning ]'
	is "and by which label" 1 "$(condition ahch-to identity.outdated .text | grep -c '(team=jedi, before none)')"
	is "so does the admin's list" 1 "$(admin host list -o json | jq -r '.[] | select(.name == "ahch-to").note' | grep -c 'labels of the namespace')"
	enrol ahch-to $AHCHTO jedi=luke --serve council --zone endor
	is "enrolling again tells of the new identity" 1 "$(grep -c "changed identity: [0-9]*, before $own" "$T/log/enrol")"
	check "the host says that its enrolment changed" wait_for 10 is_running ahch-to enrolment-changed
	exits "which is no success" 1 host ahch-to status
	is "the condition has a remedy" 1 "$(condition ahch-to host.enrolment .remedy | grep -c '^mesh-join')"
	is "the journal has it" true "$(grep -q 'agent.state: enrolment changed' "$T/log/ahch-to-agent" && echo true)"
	stopped "the last policy holds: another pod" vader $AHCHTO 80
	passes "the last policy holds: an allowed host" crait $AHCHTO 80
	is "the lease still has its holder" "$holder" "$(api GET $lease | jq -r .spec.holderIdentity)"
	exits "it joins with the new token" 0 join ahch-to --token "$token"
	stop_daemon
	check "it is well" wait_for 10 is_running ahch-to
	is "with the new identity" true "$(status ahch-to ".identity != $own")"
	own=$(status ahch-to .identity)
	enrol crait $CRAIT jedi=rey
	exits "so does the other host" 0 join crait --token "$token"
	agent_kill crait
	agent_start crait
	check "it is well, too" wait_for 10 is_running crait
	stopped "policy holds: another pod" vader $AHCHTO 80
	passes "policy holds: an allowed host" crait $AHCHTO 80
}

in_force_as_before() { # WHEN
	passes "$1: an allowed host" crait $AHCHTO 80
	stopped "$1: another pod" vader $AHCHTO 80
}
# its identity is deleted under it, and its number given to something else
lose_identity() {
	local path=/apis/cilium.io/v2/ciliumidentities/$own thief
	thief=$(api GET $path | jq -c 'del(.metadata.uid, .metadata.resourceVersion) | ."security-labels" = {"k8s:app": "thief", "k8s:io.kubernetes.pod.namespace": "default"}')
	remove $path
	check "its identity is deleted: the host says so" wait_for 10 eval '[ "$(condition ahch-to identity.missing .severity)" = warning ]'
	is "and what to do" 1 "$(condition ahch-to identity.missing .remedy | grep -c 'meshctl host add')"
	in_force_as_before "without an identity"
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "started anew it still says so" wait_for 10 eval '[ "$(condition ahch-to identity.missing .severity)" = error ]'
	in_force_as_before "started anew without an identity"
	api POST /apis/cilium.io/v2/ciliumidentities -H 'Content-Type: application/json' -d "$thief" -o /dev/null
	check "its number is given to something else: the host says so" wait_for 10 eval '[ "$(condition ahch-to identity.foreign .severity)" = error ]'
	in_force_as_before "its number is something else's"
	remove $path
	enrol ahch-to $AHCHTO jedi=luke --serve council --zone endor
	check "enrolled again it is well, without joining" wait_for 10 is_running ahch-to
	is "with the number that it had" $own "$(status ahch-to .identity)"
	in_force_as_before "with its number"
}

# what happens to the host's network
network() {
	ip link add to-second type veth peer name eth1 netns ahch-to
	ip link set to-second master br0 up
	ip -n ahch-to addr add 172.19.100.22/24 dev eth1
	ip -n ahch-to link set eth1 up
	check "a second interface gets the programs" wait_for 5 eval "status ahch-to '.datapath.interfaces | index(\"eth1\")' | grep -q '[0-9]'"
	stopped "policy holds on it" vader $AHCHTO 80
	stopped "policy holds for its address" node1 172.19.100.22 80
	ip -n ahch-to link del eth1
	check "it goes again" wait_for 5 eval "[ \"\$(status ahch-to '.datapath.interfaces | join(\" \")')\" = eth0 ]"
	ip -n ahch-to link del mesh0
	passes "the tunnel device was deleted: it comes back" ahch-to $LEIA 8080
	ip -n ahch-to route del 10.244.1.0/24 dev mesh0
	passes "the route to the pods was deleted: it comes back" ahch-to $LEIA 8080
	stopped "policy holds on the new device" vader $AHCHTO 80
	ip -n ahch-to addr del $AHCHTO/24 dev eth0
	ip -n ahch-to addr add 172.19.100.4/24 dev eth0
	ip -n ahch-to route replace default via $API
	check "a new address of the enrolled range is published" wait_for 5 eval "api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r .status.networking.addressing[0].ipv4 | grep -qx 172.19.100.4"
	check "in the node, too" eval "api GET /apis/cilium.io/v2/ciliumnodes/ahch-to | jq -r '.spec.addresses[].ip' | grep -qx 172.19.100.4"
	passes "the service that it stands behind follows" crait 10.96.0.90 8000
	passes "it is reached there" crait 172.19.100.4 80
	passes "through the tunnel, too" leia 172.19.100.4 80
	stopped "policy holds there" vader 172.19.100.4 80
}

leaving() {
	check "drain" host ahch-to drain
	check "the service has no backend any more" wait_for 15 eval "! reaches crait 10.96.0.90 8000"
	is "the host still is a member" ready "$(api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r .status.state)"
	stop_daemon
	check "started again, it serves again" wait_for 20 reaches crait 10.96.0.90 8000
	fault '[{"action":"status","status":503,"count":1000000}]'
	exits "leave while the API server fails" 5 host ahch-to leave --yes
	is "it says what to do" 1 "$(grep -c 'leave --force' "$T/out")"
	stopped "policy still holds" vader 172.19.100.4 80
	faults_end
	check "and the host stays a member" wait_for 40 eval "api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r .status.state | grep -qx ready"
	check "with its service" wait_for 20 reaches crait 10.96.0.90 8000
	check "leave" host ahch-to leave --yes
	wait_for 3 eval "! ip -n ahch-to link show mesh0"
	sleep 1
	is "no device of ours is left" '' "$(ip -n ahch-to -o link show mesh0 2>/dev/null)"
	is "no route of ours" '' "$(ip -n ahch-to route show proto 155)"
	is "nothing pinned" '' "$(ls /sys/fs/bpf/ahch-to 2>/dev/null)"
	is "no credential" '' "$(ls "$T/ahch-to/state" 2>/dev/null)"
	is "its endpoint says so" disconnected "$(api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r .status.state)"
	check "the service has no backend any more" wait_for 3 eval "! reaches crait 10.96.0.90 8000"
	passes "nothing is enforced" node1 172.19.100.4 80
	check "the admin removes it" admin host remove ahch-to
	is "its objects are gone" '404 404' "$(code /apis/cilium.io/v2/ciliumnodes/ahch-to) $(code /api/v1/namespaces/mesh-hosts/serviceaccounts/ahch-to)"
	check "the other host stays well" is_running crait
	check "leave by force" host crait leave --yes --force
	is "nothing pinned of that host" '' "$(ls /sys/fs/bpf/crait 2>/dev/null)"
	is "no credential of it" '' "$(ls "$T/crait/state" 2>/dev/null)"
}

# a host that stands behind a service is removed while it runs
removal() {
	local slice=/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/council-mesh-ahch-to
	[ ! -e "$T/ahch-to/pid" ] || agent_kill ahch-to TERM
	enrol ahch-to $AHCHTO jedi=luke --serve council --zone endor
	exits "a host joins again" 0 join ahch-to --token "$token"
	agent_start ahch-to
	check "it stands behind the service" wait_for 15 eval "[ \"\$(code $slice)\" = 200 ]"
	check "the admin removes it while it runs" admin host remove ahch-to
	is "its slice is gone" 404 "$(code $slice)"
	check "it says that it was removed" wait_for 45 is_running ahch-to revoked
	is "and has not published itself again" 404 "$(code $slice)"
}

# Cilium in another namespace than the usual one
elsewhere() {
	local roles=/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system config=/api/v1/namespaces/kube-system/configmaps/cilium-config
	local kept
	kept=$(api GET $config | jq '{apiVersion, kind, metadata: {name: .metadata.name}, data}')
	apply /api/v1/namespaces/cilium <<<'{apiVersion: v1, kind: Namespace, metadata: {name: cilium}}'
	apply /api/v1/namespaces/cilium/configmaps/cilium-config <<<"$kept"
	remove $config
	exits "enrolling does not find the configuration" 1 admin host add endor --namespace legacy --labels a=b --address 172.19.100.9
	is "and names the option" 1 "$(grep -c -e --cilium-namespace "$T/out")"
	check "the cluster is set up for it" admin cluster setup --cilium-namespace cilium
	remove $roles/rolebindings/mesh-hosts-cilium-config
	[ ! -e "$T/ahch-to/pid" ] || { host ahch-to leave --yes --force >/dev/null; agent_kill ahch-to TERM; }
	enrol ahch-to $AHCHTO jedi=luke --cilium-namespace cilium
	exits "a host joins" 0 join ahch-to --token "$token"
	is "it has read the configuration" 0 "$(grep -c 'cilium-config cannot be read' "$T/out")"
	agent_start ahch-to
	check "it comes up" wait_for 15 is_running ahch-to
	is "it follows the configuration there" '1 true' "$(status ahch-to '.api.kinds[] | select(.kind == "ConfigMap") | "\(.objects) \(.synced)"')"
	admin host remove ahch-to >/dev/null
	apply $config <<<"$kept"
	admin cluster setup >/dev/null
}

# the API server has a name, whose address changes while a policy is in force that lets nothing else out
moving() {
	echo "$API $API_NAME" >"$T/hosts"
	mount --bind "$T/hosts" /etc/hosts
	[ ! -e "$T/ahch-to/pid" ] || { host ahch-to leave --yes --force >/dev/null; agent_kill ahch-to TERM; }
	enrol ahch-to $AHCHTO jedi=luke --server "https://$API_NAME:6443"
	exits "a host joins, with the name of the API server" 0 join ahch-to --token "$token"
	agent_start ahch-to
	check "it comes up" wait_for 15 is_running ahch-to
	policy moving '{endpointSelector: {matchLabels: {jedi: luke}}, egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	stopped "egress: the address to which the API server will move" ahch-to $API_MOVED 6443
	echo "$API_MOVED $API_NAME" >"$T/hosts"
	ip -n ahch-to route add unreachable $API
	cut_watches
	check "the agent follows it" wait_for 150 eval "status ahch-to .failsafe[].cidr | grep -qx $API_MOVED/32"
	policy moved '{endpointSelector: {matchLabels: {jedi: luke}}, egress: [{toEndpoints: [{matchLabels: {sith: vader}}]}]}' 150
	passes "a policy arrives from there" ahch-to $VADER 8080
	is "its new address is in the failsafe set" automatic "$(status ahch-to "[.failsafe[] | select(.cidr == \"$API_MOVED/32\" and .port == 6443)][0].origin")"
	ip -n ahch-to route del unreachable $API
	remove $CNP/moving
	remove $CNP/moved
	admin host remove ahch-to >/dev/null
	umount /etc/hosts
}

# Lists and watches apart, so that lists can be empty; the demo has a server with both in one.
STORY_SERVER=${STORY_SERVER---no-watchlist}
API_NAME=api.mesh.test API_MOVED=172.19.100.6
STORY_SERVER="$STORY_SERVER --listen $API_MOVED:6443 --san $API --san $API_MOVED --san $API_NAME"
story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
host_add crait $CRAIT
echo 'zone = "endor";' >>"$T/ahch-to/agent.conf"
become ahch-to "$T/bin/tests/netns/story_stream" echo 7000 >"$T/log/echo" 2>&1 &
# the range that ahch-to may have, so that its address can change
enrol() { local range=$2; [ "$1" = ahch-to ] && range=$AHCHTO,172.19.100.4; admin host add "$1" --namespace legacy --labels "$3" --address "$range" "${@:4}" >"$T/log/enrol" 2>&1 && token=$(sed -n 's/^mesh-join --token //p' "$T/log/enrol") && [ "$token" ]; }
for part in ${STORY_PARTS:-joining listing asking enforcement strangers services forgers api_faults restarts clocks relabel lose_identity network leaving removal elsewhere moving}; do $part; done
story_finish
