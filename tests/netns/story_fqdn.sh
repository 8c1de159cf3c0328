#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dns rules and toFQDNs with the real daemon, an upstream DNS server and servers outside of the cluster:
# what is looked up is allowed at once, other names are refused, other addresses dropped; a restart
# keeps what was learned, a damaged file does not; expiry takes it back, but not from connections.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
skip_all() { echo "SKIP $*"; exit 77; }
if [ -z "${STORY_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all "everything: needs root for network namespaces"
	for p in curl jq ip nsenter unshare; do command -v $p >/dev/null || skip_all "everything: needs $p"; done
	BUILD=$(readlink -f "$BUILD")
fi
story_enter "$0" "$@"
DNS=172.19.100.53 OTHER=172.19.100.54 API_SITE=172.19.100.61 CDN_SITE=172.19.100.62 EMPIRE=172.19.100.66

good=0 bad=0
is() { # what, expected, got
	if [ "$2" = "$3" ]; then
		good=$((good + 1))
		echo "PASS $1"
	else
		bad=$((bad + 1))
		echo "FAIL $1: expected '$2', got '$3'"
	fi
}
check() { local what=$1 r=0; shift; "$@" >"$T/out" 2>&1 || r=$?; is "$what" 0 $r; [ $r = 0 ] || tail -n 5 "$T/out" | sed 's/^/    /'; }
# curl_is WHAT CODE PLACE [PORT]: one try, no second chance. 0 is an answer, 6 no address, 28 silence.
curl_is() {
	local r=0
	reaches ahch-to "$3" "${4:-80}" >"$T/out" 2>&1 || r=$?
	is "$1" "$2" $r
}
policy() { # name, spec
	apply $CNP/"$1" <<Y
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: $1, namespace: legacy}, spec: $2}
Y
	wait_for 5 eval "host ahch-to policy list | grep -q ' $1 .*${3:-enforced}'" || echo "policy $1 is not ${3:-enforced}"
}
asked() { host ahch-to dns query "$1" ${3:-} -o json | jq -r "$2"; } # name, what of it, type
learned() { host ahch-to dns learned -o json | jq -r "$1"; }
zone() { printf '%s\n' "$@" >"$T/zone"; }
agent_up() {
	agent_start ahch-to
	check "$1" wait_for 10 is_running ahch-to
}

TO_DNS='{toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}], toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*.rebel.example"}]}}]}'

begin() {
	zone "api.rebel.example 300 $API_SITE" "cdn.rebel.example 1 $CDN_SITE" "hold.rebel.example 1 172.19.100.63" "www.empire.example 300 $EMPIRE"
	place_add dns $DNS
	become dns "$T/bin/tests/netns/story_dns" $DNS "$T/zone" >>"$T/log/dns" 2>&1 &
	printf '%s\n' "www.empire.example 300 $CDN_SITE" "api.rebel.example 300 $API_SITE" "hold.rebel.example 300 $API_SITE" >"$T/other"
	place_add other $OTHER
	become other "$T/bin/tests/netns/story_dns" $OTHER "$T/other" >>"$T/log/other" 2>&1 &
	for site in api=$API_SITE cdn=$CDN_SITE hold=172.19.100.63 empire=$EMPIRE; do
		place_add "${site%=*}-site" "${site#*=}"
		become "${site%=*}-site" "$T/bin/tests/netns/story_peer" serve 80 "Greetings from ${site%=*}" >"$T/log/$site" 2>&1 &
	done
	host_add ahch-to $AHCHTO
	echo "dns: { upstreams = [ \"$DNS\" ]; cache-size = 0; };" >>"$T/ahch-to/agent.conf"
	enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	join ahch-to --token "$token" >"$T/out" 2>&1 || die "joining: $(cat "$T/out")"
	agent_up "ahch-to comes up"
}

upstream() { host ahch-to dns status -o json | jq -r '.upstreams[] | "\(.address) \(.up) \(.failures) \(.keeps_case)"'; }
names() {
	curl_is "no policy: by name" 0 api.rebel.example
	curl_is "no policy: by address" 0 $EMPIRE
	is "no policy: who was asked" "upstream $DNS:53 true forwarded to $DNS:53" \
		"$(asked api.rebel.example '"\(.source) \(.upstream) \(.traced) \(.explanation)"')"
	is "what became of the upstream" "$DNS:53 true 0 true" "$(upstream)"
	is "no policy: nothing is learned" 0 "$(learned length)"
	policy fqdn '{endpointSelector: {}, egress: [{toFQDNs: [{matchName: api.rebel.example}]}]}' degraded
	is "toFQDNs without a dns rule says what is missing" 1 "$(host ahch-to policy list | grep -c 'no dns rule')"
	curl_is "toFQDNs without a dns rule allows nothing" 28 api.rebel.example
	policy fqdn "{endpointSelector: {matchLabels: {jedi: luke}}, egress: [$TO_DNS, {toFQDNs: [{matchName: api.rebel.example}, {matchPattern: \"c*.rebel.example\"}, {matchName: hold.rebel.example}], toPorts: [{ports: [{port: \"80\"}]}]}]}"
	curl_is "an address that was not looked up" 28 $API_SITE
	curl_is "the first connection by name" 0 api.rebel.example
	curl_is "its address from now on" 0 $API_SITE
	curl_is "another port of it" 28 $API_SITE 22
	curl_is "a name that is not allowed has no address" 6 www.empire.example
	is "it is not asked for" 0 "$(grep -c empire "$T/log/dns")"
	is "it is refused, and says why" "REFUSED refused refused: no dns rule of the policies about this host allows the name" \
		"$(asked www.empire.example '"\(.rcode) \(.source) \(.explanation)"')"
	is "an allowed one says so" 1 "$(asked api.rebel.example .explanation | grep -c 'allowed by a dns rule')"
	curl_is "a cluster name that is not allowed has none either" 6 temple.legacy.svc.cluster.local
	curl_is "its address stays closed" 28 $EMPIRE
	is "what was learned" "api.rebel.example $API_SITE api.rebel.example" "$(learned '.[] | "\(.name) \(.address) \(.selectors | join(","))"')"
	policy more '{endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: "**.rebel.example"}], toPorts: [{ports: [{port: "80"}, {port: "22"}]}]}]}'
	is "a new selector finds names that were learned before" "**.rebel.example,api.rebel.example" "$(learned '.[0].selectors | sort | join(",")')"
	remove $CNP/more
	wait_for 5 in_force ahch-to more false
}

# Other letters than those of the question are no answer; a server that cannot do better, and knows no TCP, is asked in its own.
letters() {
	: >"$T/log/dns"
	echo lower >>"$T/zone"
	is "an upstream that repeats questions in lower case" "NOERROR $DNS:53" "$(asked api.rebel.example '"\(.rcode) \(.upstream)"')"
	is "its first answer did not count" 2 "$(grep -c api.rebel "$T/log/dns")"
	is "and it is known for that" "$DNS:53 true 1 false" "$(upstream)"
	is "so that the next one does" NOERROR "$(asked cdn.rebel.example .rcode)"
	is "at once" 1 "$(grep -c cdn.rebel "$T/log/dns")"
	sed -i /^lower/d "$T/zone"
}

# Programs that ask a server of their own choice. Servers in here know no TCP, so who gets an answer by it
# was answered by the agent. OTHER knows other addresses for the same names.
ask() { in_place ahch-to "$T/bin/tests/netns/story_dns" ask "$@" 2>&1; } # server, name, how
TO_OTHER="{toCIDR: [$OTHER/32], toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchName: www.empire.example}]}}]}"
bypassing() {
	remove $CNP/fqdn
	wait_for 5 in_force ahch-to fqdn false
	is "no dns rule: a program asks whom it wants" "NOERROR $EMPIRE from $DNS:53" "$(ask $DNS www.empire.example udp)"
	is "no dns rule: nobody stands in between" "not connected" "$(ask $DNS www.empire.example tcp)"
	policy fqdn "{endpointSelector: {matchLabels: {jedi: luke}}, egress: [$TO_DNS, {toFQDNs: [{matchName: hold.rebel.example}, {matchName: www.empire.example}], toPorts: [{ports: [{port: \"80\"}]}]}]}"
	: >"$T/log/dns"
	for how in udp connected tcp; do
		is "past the agent, $how: an allowed name, as if from the server" "NOERROR 172.19.100.63 from $DNS:53" "$(ask $DNS hold.rebel.example $how)"
		is "past the agent, $how: another name" "REFUSED - from $DNS:53" "$(ask $DNS www.empire.example $how)"
	done
	is "it is not asked for" 0 "$(grep -c empire "$T/log/dns")"
	echo 'policy-audit-mode = true;' >>"$T/ahch-to/agent.conf"
	kill -HUP "$(cat "$T/ahch-to/pid")"
	check "in audit mode no name is refused" wait_for 5 eval "ask $DNS www.empire.example udp | grep -q NOERROR"
	sed -i /^policy-audit-mode/d "$T/ahch-to/agent.conf"
	kill -HUP "$(cat "$T/ahch-to/pid")"
	check "nor any longer" wait_for 5 eval "ask $DNS www.empire.example udp | grep -q REFUSED"
	is "what was learned that way" "hold.rebel.example 172.19.100.63" "$(learned '.[] | select(.name == "hold.rebel.example") | "\(.name) \(.address)"')"
	curl_is "its address is open" 0 172.19.100.63
	is "past the agent, another server: a name that is not allowed" "REFUSED - from $OTHER:53" "$(ask $OTHER www.empire.example udp)"
	is "a server that no policy allows is not reached with an allowed name" "SERVFAIL - from $OTHER:53" "$(ask $OTHER hold.rebel.example udp)"
	is "nor was it asked" 0 "$(grep -c . "$T/log/other")"
	policy other "{endpointSelector: {}, egress: [$TO_OTHER]}"
	for how in udp connected tcp; do
		is "a server of its own rules, $how: its own answer" "NOERROR $CDN_SITE from $OTHER:53" "$(ask $OTHER www.empire.example $how)"
		is "a server of its own rules, $how: the rules of others do not count" "REFUSED - from $OTHER:53" "$(ask $OTHER hold.rebel.example $how)"
	done
	is "its rules are not those of others" "REFUSED - from $DNS:53" "$(ask $DNS www.empire.example udp)"
	is "nor of the agent" REFUSED "$(asked www.empire.example .rcode)"
	curl_is "and its answers count" 0 $CDN_SITE
	policy other "{endpointSelector: {}, egress: [{toCIDR: [$OTHER/32], toPorts: [{ports: [{port: \"53\", protocol: ANY}]}]}]}"
	is "a server that is open: every name" "NOERROR $API_SITE from $OTHER:53" "$(ask $OTHER api.rebel.example udp)"
	remove $CNP/other
	wait_for 5 in_force ahch-to other false
	apply /api/v1/namespaces/kube-system/services/kube-dns <<-Y
		{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system}, spec: {type: ClusterIP,
		 clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], ipFamilies: [IPv4], ports: [{name: dns, port: 53, protocol: UDP}]}}
	Y
	policy other "{endpointSelector: {}, egress: [${TO_DNS/\*.rebel.example/temple.*.svc.cluster.local}]}"
	check "the cluster's own server is the agent, too" wait_for 5 eval "[ \"\$(ask 10.96.0.10 temple.legacy.svc.cluster.local connected)\" = 'NOERROR 10.96.0.80 from 10.96.0.10:53' ]"
	is "with its rules" "REFUSED - from 10.96.0.10:53" "$(ask 10.96.0.10 council.legacy.svc.cluster.local udp)"
	is "queries that were redirected are counted" true "$(host ahch-to dns status -o json | jq '.queries.redirected > 15 and .redirects')"
	remove $CNP/other
	agent_kill ahch-to TERM
	is "without the daemon nobody stands in between" "not connected" "$(ask $DNS hold.rebel.example tcp)"
	is "and the host is not without DNS" "NOERROR 172.19.100.63 from $DNS:53" "$(ask $DNS hold.rebel.example udp)"
	agent_up "the agent starts again"
	check "and stands in between again" wait_for 5 eval "ask $DNS www.empire.example udp | grep -q REFUSED"
	agent_kill ahch-to KILL
	check "after a crash, what the unit does then" in_place ahch-to "$T/bin/mesh-agentd" -c "$T/ahch-to/agent.conf" --unwire-resolver
	is "lets programs ask the servers themselves" "NOERROR 172.19.100.63 from $DNS:53" "$(ask $DNS hold.rebel.example udp)"
	is "and nobody stands in between" "not connected" "$(ask $DNS hold.rebel.example tcp)"
	agent_up "the agent starts after a crash"
	check "and stands in between again" wait_for 5 eval "ask $DNS www.empire.example tcp | grep -q REFUSED"
}

# systemd-resolved is told of the names of the cluster; what it is told goes with the device.
device() { ip -n ahch-to -o -4 addr show dev mesh_dns 2>/dev/null | awk '{ print $4 }'; }
resolved() {
	remove $CNP/fqdn
	agent_kill ahch-to TERM
	sed -i 's/^dns: {/dns: { host-resolver = "resolved";/' "$T/ahch-to/agent.conf"
	become ahch-to "$T/bin/tests/netns/story_resolved" "$T/bus" >"$T/log/resolved" 2>&1 &
	wait_for 5 test -S "$T/bus"
	export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$T/bus"
	agent_up "the agent starts, to tell systemd-resolved"
	is "its device" 198.18.53.53/32 "$(device)"
	check "systemd-resolved is told" wait_for 5 grep -q SetLinkDNS "$T/log/resolved"
	is "of that device, and of no more than the cluster's names" "7 SetLinkDomains cluster.local:1 SetLinkDefaultRoute 0 SetLinkDNS 198.18.53.53" \
		"$(awk -v i="$(cat /sys/class/net/mesh_dns/ifindex 2>/dev/null || ip -n ahch-to -o link show mesh_dns | cut -d: -f1)" '$2 == i { n++; if ($3 != "no") a = a " " $1 " " $3 } END { print n a }' "$T/log/resolved")"
	policy fqdn "{endpointSelector: {}, egress: [${TO_DNS/\*.rebel.example/*}, {toEntities: [world], toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchName: www.empire.example}]}}]}]}"
	is "names of the cluster are answered there, whatever the rules for other servers" "NOERROR 10.96.0.80 from 198.18.53.53:53" "$(ask 198.18.53.53 temple.legacy.svc.cluster.local udp)"
	remove $CNP/fqdn
	wait_for 5 in_force ahch-to fqdn false
	is "names of the cluster are answered there" "NOERROR 10.96.0.80 from 198.18.53.53:53" "$(ask 198.18.53.53 temple.legacy.svc.cluster.local udp)"
	is "the device is not policed" 0 "$(host ahch-to status -o json | jq '[.datapath.interfaces[] | select(. == "mesh_dns")] | length')"
	agent_kill ahch-to KILL
	is "after a crash the device is there" 198.18.53.53/32 "$(device)"
	agent_up "the agent starts again, and takes it up"
	check "systemd-resolved is told again" wait_for 5 eval "[ \$(grep -c SetLinkDNS' ' $T/log/resolved) = 2 ]"
	agent_kill ahch-to TERM
	is "when it stops the device goes" '' "$(device)"
	agent_up "the agent starts again"
	agent_kill ahch-to KILL
	sed -i 's/^dns: { host-resolver = "resolved";/dns: {/' "$T/ahch-to/agent.conf"
	agent_up "the agent starts, not to tell systemd-resolved any more"
	is "nor is there a device" '' "$(device)"
	unset DBUS_SYSTEM_BUS_ADDRESS
}

# The file is written half a second after a change.
restarts() {
	wait_for 3 test -s "$T/ahch-to/state/learned-names"
	is "the file is for its owner only" 600 "$(stat -c %a "$T/ahch-to/state/learned-names")"
	agent_kill ahch-to KILL
	curl_is "while the agent is dead: the learned address" 0 $API_SITE
	curl_is "while the agent is dead: another" 28 $EMPIRE
	agent_up "the agent starts again"
	curl_is "after a crash: the learned address without a look-up" 0 $API_SITE
	is "it is known" api.rebel.example "$(learned '.[0].name')"
	agent_kill ahch-to TERM
	printf x | dd of="$T/ahch-to/state/learned-names" bs=1 seek=60 conv=notrunc 2>/dev/null
	agent_up "it starts with a damaged file"
	is "and says that it is ignored" 1 "$(grep -c dns.learned.read "$T/log/ahch-to-agent")"
	curl_is "what was learned is gone" 28 $API_SITE
	curl_is "by name it comes again" 0 api.rebel.example
}

# cdn and hold live for a second; to hold a connection stays open.
expiry() {
	local i
	curl_is "a name with a short life" 0 cdn.rebel.example
	curl_is "another" 0 hold.rebel.example
	become ahch-to bash -c 'exec 3<>/dev/tcp/172.19.100.63/80; while :; do sleep 1; done' &
	check "expiry takes it back" wait_for 100 eval "[ \"\$(learned 'map(select(.name == \"cdn.rebel.example\")) | length')\" = 0 ]"
	curl_is "its address is closed" 28 $CDN_SITE
	is "a connection keeps what it uses" "zombie true" "$(host ahch-to --no-headings dns learned | awk '/hold/ { print $4 }') $(learned '.[] | select(.name == "hold.rebel.example") | .zombie')"
	curl_is "open for it" 0 172.19.100.63
	curl_is "a long life goes on" 0 $API_SITE
	curl_is "by name all comes again" 0 cdn.rebel.example
}

ending() {
	remove $CNP/fqdn
	check "without the policy" wait_for 5 in_force ahch-to fqdn false
	curl_is "every name has an address" 0 www.empire.example
	check "leave" host ahch-to leave --yes
	is "nothing that was learned stays" '' "$(ls "$T/ahch-to/state" 2>/dev/null)"
}

story_begin
cluster_start
for part in begin ${STORY_PARTS:-names letters restarts expiry bypassing resolved ending}; do $part; done
echo "# $SECONDS seconds"
echo "$good passed, $bad failed, 0 skipped"
if [ $bad != 0 ]; then
	echo "the log of ahch-to's agent ends:"
	tail -n 30 "$T/log/ahch-to-agent"
	exit 1
fi
