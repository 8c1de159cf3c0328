#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dual stack against the real peers in tunnel mode: a host with an address of each family, and one of which
# the cluster knows IPv4 only. Lives in namespaces of its own; needs root,
# the peers (peers.sh), ip6tables (Cilium asks for it with IPv6), python3, jq, and the built programs in BUILD.
# PODS=0 leaves out what needs pods: their compiler takes minutes on a busy machine.
# NODES=1 makes do with one node on a busy machine.
# UNDERLAY=ipv6 has the tunnel's outer packets in IPv6 (Cilium 1.18 and newer).
# KEEP=1 keeps the lab when done, and says how to enter and end it.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD} FAMILIES=dual
passed=0 failed=0 skipped=0 mode=tunnel

if [ "${UNDERLAY:-ipv4}" = ipv6 ]; then
	mode="tunnel over IPv6"
	export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=vxlan --underlay-protocol=ipv6" CONFIG=underlay-protocol=ipv6
fi

. "$here/lib.sh"
[ -e /proc/net/if_inet6 ] || skip_all "this kernel has no IPv6"
lab_enter "mesh-agentd mesh-join meshctl tests/lib/stream" "ip6tables python3 jq ip getent" "$@"
lab() { "$here/lab.sh" "$@"; }
trap lab_leave EXIT
trap 'exit 130' INT TERM

peer=$here/peer6.py stream=$BUILD/tests/lib/stream
H4=172.19.100.2 H6=fd00:19::100:2 C4=172.19.100.3 C6=fd00:19::100:3 W4=172.19.100.50 W6=fd00:19::100:50
X6=fd00:19::100:60 # a second address of the strange machine

# Counting

ok() { # TEXT COMMAND...
	local text=$1
	shift
	if [ "$PODS" = 0 ] && [[ "$text $*" = *"pod "* || "$text $*" = *pod:* || "$text" = *ClusterIP* ]]; then
		skipped=$((skipped + 1)); echo "SKIP $mode: $text (no pods)"
	elif "$@" >"$LAB/out" 2>&1; then
		passed=$((passed + 1)); echo "PASS $mode: $text"
	else
		failed=$((failed + 1)); echo "FAIL $mode: $text"
		tail -4 "$LAB/out" | sed 's/mesh1\.[A-Za-z0-9_-]*/mesh1.../g; s/^/     /' | cut -c1-400
	fi
}
soon() { wait_for 6 "$@" || { "$@"; echo "not within 6 s"; return 1; }; }
is() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'"; return 1; }; }

# Places: node1, host1, ..., or pod:NAME in the namespace default

at() {
	local place=$1
	shift
	case $place in
	pod:*) place_exec "${node_of[${place#pod:}]}" nsenter --net="/run/netns/$MARK-pod-default-${place#pod:}" "$@" ;;
	*) place_exec "$place" "$@" ;;
	esac
}
PODS=${PODS:-1} NODES=${NODES:-2} last=node${NODES:-2} last6=fd00:19::1${NODES:-2}
declare -A node_of=([luke]=node1 [vader]=$last) pod4=() pod6=()
bg() { # NAME PLACE COMMAND...
	local name=serve-$1 place=$2
	shift 2
	case $place in
	pod:*) set -- "${node_of[${place#pod:}]}" nsenter --net="/run/netns/$MARK-pod-default-${place#pod:}" "$@" ;;
	*) set -- "$place" "$@" ;;
	esac
	run_in_background "$name" "$here/lab.sh" exec "$@"
}
ask() { at "$1" "$peer" ask "$2" "$3" "${4:-8080}"; }
# both protocols, and the far end is the one that was meant and sees the address that was meant
reaches() { # FROM ADDRESS PORT ANSWER
	local p text
	for p in tcp udp; do
		text=$(ask "$1" $p "$2" "$3") && [[ $text = "$4"* ]] || { echo "$p: '$text', not '$4'"; return 1; }
	done
}
# no answer at all: a refusal would be no proof
silent() { # FROM ADDRESS PORT
	local p text rc
	for p in tcp udp; do
		text=$(WAIT_S=0.5 ask "$1" $p "$2" "$3")
		rc=$?
		[ $rc -eq 1 ] || { echo "$p: '$text' ($rc)"; return 1; }
	done
}
pings() { at "$1" ping -c 1 -W 1 "$2"; }
# As large as the tunnel takes, and no larger: the far end has to have the same idea of it.
pings_full() { # FROM ADDRESS HEADERS
	at "$1" ping -c 1 -W 1 -M do -s $(($(at "$1" ip -j link show dev mesh0 | jq '.[0].mtu') - $3)) "$2"
}
no_ping() { ! at "$1" ping -c 1 -W 1 "$2"; }

# Hosts

ctl() { local h=$1; shift; at "$h" "$BUILD/meshctl" -c "$LAB/$h/agent.conf" "$@"; }
enrol() { # NAME PLACE ADDRESSES ARGUMENT...
	local name=$1 place=$2 addresses=$3
	shift 3
	mkdir -p "$LAB/$place"
	printf 'state-dir = "%s/state";\nruntime-dir = "%s/run";\n' "$LAB/$place" "$LAB/$place" >"$LAB/$place/agent.conf"
	"$BUILD/meshctl" host add "$name" --namespace legacy --address "$addresses" "$@" >"$LAB/$place/token" || return 1
	at "$place" "$BUILD/mesh-join" --no-start --config "$LAB/$place/agent.conf" \
		--token "$(sed -n 's/^mesh-join --token //p' "$LAB/$place/token")"
}
start() { bg "agentd-$1" "$1" "$BUILD/mesh-agentd" -c "$LAB/$1/agent.conf"; }
state_is() { is "$(ctl "$1" status -o json | jq -r .state)" "$2"; }
policy() { # NAME, the body of spec on standard input
	{ printf 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: %s, namespace: legacy}\nspec:\n' "$1"
	  printf '  endpointSelector: {matchLabels: {jedi: luke}}\n'; cat; } | kubectl apply -f - >/dev/null
}
no_policy() { kubectl -n legacy delete ciliumnetworkpolicy --all >/dev/null; }
identity_of() { ctl host1 ipcache get "$1" -o json | jq -r '[.. | .identity? | numbers] | first'; }
in_ipcache() { at "$1" cilium-dbg bpf ipcache list | grep "^$2/[0-9]* .*identity=$3 "; }

cluster() {
	local p
	lab_up "$NODES" || return 1
	lab host add world $W4 && lab host add crait $C4 || return 1
	ip -n "$MARK-world" addr add $X6/64 dev eth0 nodad preferred_lft 0 # by request only
	for p in luke vader; do
		[ "$PODS" != 0 ] || { pod4[$p]=none pod6[$p]=none; continue; }
		read -r -d '' "pod4[$p]" "pod6[$p]" < <(lab pod add "${node_of[$p]}" default $p "org=$p"; printf '\0')
		[ -n "${pod6[$p]}" ] || { echo "pod $p has no IPv6 address"; return 1; }
		bg $p "pod:$p" "$peer" serve $p 8080
	done
	for p in host1 crait world node1; do bg $p $p "$peer" serve $p 8080; done
	[ "$NODES" = 1 ] || bg "$last" "$last" "$peer" serve "$last" 8080
	bg ssh host1 "$peer" serve ssh 22
	kubectl create namespace legacy >/dev/null
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: v1
	kind: Service
	metadata: {name: temple, namespace: default}
	spec: {ipFamilyPolicy: RequireDualStack, selector: {org: luke}, ports: [
	  {name: t, port: 80, targetPort: 8080}, {name: u, port: 80, protocol: UDP, targetPort: 8080}]}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: ahch-to, namespace: legacy, annotations: {io.cilium/portal: "true"}}
	spec: {ipFamilyPolicy: RequireDualStack, selector: {jedi: luke}, ports: [
	  {name: t, port: 80, targetPort: 8080}, {name: u, port: 80, protocol: UDP, targetPort: 8080}]}
	Y
	"$BUILD/meshctl" cluster setup >/dev/null 2>&1 || { echo "cluster setup failed"; return 1; }
}

t_join() {
	ok "the host joins with both addresses" enrol ahch-to host1 $H4,$H6 --labels jedi=luke --serve ahch-to
	start host1
	ok "it is well" soon state_is host1 ok
	id=$(kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.status.identity.id}')
	cep() { is "$(kubectl -n legacy get cep ahch-to -o json | jq -c .status.networking.addressing)" "[{\"ipv4\":\"$H4\",\"ipv6\":\"$H6\"}]"; }
	ok "its endpoint has both" soon cep
	for n in node1 $last; do
		ok "the stock agent of $n has $H4" soon in_ipcache $n $H4 "$id"
		ok "the stock agent of $n has $H6" soon in_ipcache $n $H6 "$id"
	done
	ok "a second host joins with both addresses" enrol crait crait $C4,$C6 --labels jedi=rey
	start crait
	ok "it is well, too" soon state_is crait ok
	ok "world-ipv4 is 9" is "$(identity_of $W4)" 9
	ok "world-ipv6 is 10" is "$(identity_of $W6)" 10
	ok "a node's IPv6 address is remote-node" is "$(identity_of fd00:19::11)" 6
}

t_reach() {
	local p
	for p in luke vader; do
		ok "host to pod $p, IPv4" soon reaches host1 "${pod4[$p]}" 8080 "$p sees $H4"
		ok "host to pod $p, IPv6" soon reaches host1 "${pod6[$p]}" 8080 "$p sees $H6"
		ok "pod $p to host, IPv4" soon reaches pod:$p $H4 8080 "host1 sees ${pod4[$p]}"
		ok "pod $p to host, IPv6" soon reaches pod:$p $H6 8080 "host1 sees ${pod6[$p]}"
		ok "ping of pod $p, IPv6" pings host1 "${pod6[$p]}"
		ok "large packets to pod $p and back, IPv4" pings_full host1 "${pod4[$p]}" 28
		ok "large packets to pod $p and back, IPv6" pings_full host1 "${pod6[$p]}" 48
	done
	ok "host to node, IPv6" reaches host1 fd00:19::11 8080 "node1 sees $H6"
	ok "node to host, IPv6" reaches "$last" $H6 8080 "host1 sees $last6"
	ok "host to a machine outside, IPv6" reaches host1 $W6 8080 "world sees $H6"
	ok "a machine outside to host, IPv6" reaches world $H6 8080 "host1 sees $W6"
	ok "host to host, IPv4" soon reaches crait $H4 8080 "host1 sees $C4"
	ok "host to host, IPv6" soon reaches crait $H6 8080 "host1 sees $C6"
}

t_ingress() {
	policy in <<-Y
	  ingress:
	  - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: luke}}]
	    toPorts: [{ports: [{port: "8080", protocol: ANY}]}]
	  - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: luke}}]
	    icmps: [{fields: [{family: IPv6, type: EchoRequest}]}]
	Y
	ok "ingress: the other pod is kept out, IPv6" soon silent pod:vader $H6 8080
	ok "ingress: the other pod is kept out, IPv4" silent pod:vader $H4 8080
	ok "ingress: the pod is let in, IPv6" reaches pod:luke $H6 8080 host1
	ok "ingress: the pod is let in, IPv4" reaches pod:luke $H4 8080 host1
	for p in node1 world crait; do ok "ingress: $p is kept out, IPv6" silent $p $H6 8080; done
	ok "ingress: the pod's ICMPv6 echo is let in" pings pod:luke $H6
	ok "ingress: its ICMP echo is not (the rule is for IPv6)" no_ping pod:luke $H4
	ok "ingress: the other pod's ICMPv6 echo is not" no_ping pod:vader $H6
	ok "ingress: nor that of a machine outside" no_ping world $H6
	ip -n "$MARK-host1" -6 neigh flush dev eth0
	ip -n "$MARK-world" -6 neigh flush dev eth0
	ok "ingress: neighbour discovery goes on, and the failsafe port is open over IPv6" reaches_tcp world $H6 22 "ssh sees $W6"
	ok "ingress: what the host begins is not touched" reaches host1 $W6 8080 world
}
reaches_tcp() { local text; text=$(ask "$1" tcp "$2" "$3") && [[ $text = "$4"* ]] || { echo "$text"; return 1; }; }

t_cidr() {
	policy in <<-Y
	  ingress: [{fromCIDRSet: [{cidr: "fd00:19::100:0/112", except: ["$X6/128"]}]}]
	Y
	ok "a CIDR rule of IPv6 lets its range in" soon reaches world $H6 8080 "host1 sees $W6"
	ok "and no pod" soon silent pod:luke $H6 8080
	ok "and nobody over IPv4" silent world $H4 8080
	ip -n "$MARK-world" -6 route replace $H6 dev eth0 src $X6
	ok "and not its exception" silent world $H6 8080
	ip -n "$MARK-world" -6 route del $H6
	for kind in fragments options routing; do
		ok "by hand: a packet with $kind is let in" at world "$peer" raw $kind $W6 $H6 8080
		ok "by hand: not from the exception, with $kind" not at world env WAIT_S=0.5 "$peer" raw $kind $X6 $H6 8080
	done
	ok "by hand: half a packet is not answered" not at world env WAIT_S=0.5 "$peer" raw first $W6 $H6 8080
	policy in <<-Y
	  ingress: [{fromCIDR: ["::/0"]}]
	Y
	ok "the CIDR ::/0 is everybody outside, IPv6" soon reaches_from_x
	ok "and nobody of IPv4" silent world $H4 8080
	policy in <<-Y
	  ingress: [{fromEntities: [world]}]
	Y
	ok "the entity world is both: IPv4" soon reaches world $H4 8080 host1
	ok "the entity world is both: IPv6" reaches world $H6 8080 host1
	ok "and no pod, IPv6" silent pod:luke $H6 8080
	policy in <<-Y
	  ingress: [{fromEntities: [remote-node]}]
	Y
	ok "the entity remote-node, IPv6" soon reaches node1 $H6 8080 "host1 sees fd00:19::11"
	ok "and nobody outside, IPv6" silent world $H6 8080
	no_policy
	ok "without a policy everybody is let in, IPv6" soon reaches world $H6 8080 host1
}
not() { ! "$@"; }
reaches_from_x() { at world "$peer" raw options $X6 $H6 8080; }

t_egress() {
	policy out <<-Y
	  egress:
	  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: luke}}]
	  - toCIDR: ["$W6/128"]
	Y
	ok "egress: the other pod is out of reach, IPv6" soon silent host1 "${pod6[vader]}" 8080
	ok "egress: the other pod is out of reach, IPv4" silent host1 "${pod4[vader]}" 8080
	ok "egress: the pod is in reach, IPv6" reaches host1 "${pod6[luke]}" 8080 luke
	ok "egress: the pod is in reach, IPv4" reaches host1 "${pod4[luke]}" 8080 luke
	ok "egress: the CIDR is in reach, IPv6" reaches host1 $W6 8080 world
	ok "egress: the same machine is not, IPv4" silent host1 $W4 8080
	ok "egress: a node is out of reach, IPv6" silent host1 fd00:19::11 8080
	ok "egress: another host is out of reach, IPv6" silent host1 $C6 8080
	ok "egress: the service's IPv6 ClusterIP is in reach" soon reaches host1 "$cluster6" 80 luke
	no_policy
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: cilium.io/v2
	kind: CiliumNetworkPolicy
	metadata: {name: luke-only, namespace: default}
	spec: {endpointSelector: {matchLabels: {org: luke}}, ingress: [{fromEndpoints: [
	  {matchLabels: {k8s:io.kubernetes.pod.namespace: legacy, jedi: luke}}]}]}
	Y
	ok "a pod that admits jedi=luke keeps the other pod out, IPv6" soon silent pod:vader "${pod6[luke]}" 8080
	ok "and the other host, IPv6" soon silent crait "${pod6[luke]}" 8080
	ok "and lets the host in, IPv6" reaches host1 "${pod6[luke]}" 8080 "luke sees $H6"
	ok "and lets the host in, IPv4" reaches host1 "${pod4[luke]}" 8080 "luke sees $H4"
	kubectl -n default delete ciliumnetworkpolicy luke-only >/dev/null
}

services() {
	cluster6=$(kubectl -n default get service temple -o 'jsonpath={.spec.clusterIPs[1]}')
	portal6=$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.clusterIPs[1]}')
	portal4=$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.clusterIPs[0]}')
}
slices() {
	is "$(kubectl -n legacy get endpointslices -l kubernetes.io/service-name=ahch-to -o json |
		jq -r '[.items[] | select((.endpoints // []) | length > 0) | .addressType + " " + .endpoints[0].addresses[0]] | sort | join(",")')" "IPv4 $H4,IPv6 $H6"
}
aaaa() { is "$(at host1 getent ahostsv6 temple.default.svc.cluster.local | awk '{print $1; exit}')" "$cluster6"; }
t_services() {
	ok "the host reaches the IPv6 ClusterIP" soon reaches host1 "$cluster6" 80 "luke sees $H6"
	printf 'nameserver 127.18.53.53\n' >"$LAB/resolv.conf"
	at host1 mount --bind "$LAB/resolv.conf" "$(readlink -f /etc/resolv.conf)"
	ok "the name of the service has an AAAA record" aaaa
	ok "the name of the service is reached" reaches host1 temple.default.svc.cluster.local 80 luke
	ok "the cluster took an EndpointSlice of each family" soon slices
	for p in luke vader; do
		ok "pod $p reaches the host by the IPv6 ClusterIP" soon reaches pod:$p "$portal6" 80 "host1 sees ${pod6[$p]}"
		ok "pod $p reaches the host by the IPv4 ClusterIP" soon reaches pod:$p "$portal4" 80 "host1 sees ${pod4[$p]}"
	done
}

t_restart() {
	bg echo host1 "$stream" echo 7000
	bg echo-luke pod:luke "$stream" echo 7000
	policy in <<-Y
	  ingress: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: luke}}]}]
	Y
	ok "restart: a policy is in force" soon silent pod:vader $H6 8080
	at pod:luke "$stream" send $H6 7000 2500 2000 >"$LAB/in6" 2>&1 & local in6=$!
	at host1 "$stream" send "${pod6[luke]}" 7000 2500 2000 >"$LAB/out6" 2>&1 & local out6=$!
	sleep 1
	read -r pid _ <"$LAB/pid/serve-agentd-host1"
	kill -9 "$pid"
	sleep 1
	ok "without the daemon the other pod is kept out, IPv6" silent pod:vader $H6 8080
	start host1
	wait $in6; ok "killed and started, IPv6 to the host: $(tail -1 "$LAB/in6")" [ $? -eq 0 ]
	wait $out6; ok "killed and started, IPv6 from the host: $(tail -1 "$LAB/out6")" [ $? -eq 0 ]
	ok "restarted, it is well" soon state_is host1 ok
	ok "restarted, the other pod is kept out, IPv6" silent pod:vader $H6 8080
	no_policy
}

# A host that has no address for the tunnel is told so, and there is nothing more to see.
t_no_underlay() {
	lab host add hoth 172.19.100.4
	ok "a host joins with an IPv4 address only" enrol hoth hoth 172.19.100.4 --labels jedi=luke
	start hoth
	no_underlay() { is "$(ctl hoth status -o json | jq -r '[.. | objects | select(.name? == "cluster.underlay") | .severity] | first')" error; }
	ok "its status says that the tunnel does not reach it" soon no_underlay
	stop bg-agentd-hoth
}

# A host of which the cluster knows one family only. Its packets of the other are the world's.
t_one_family() {
	lab host add hoth 172.19.100.4
	bg hoth hoth "$peer" serve hoth 8080
	ok "a host joins with an IPv4 address only" enrol hoth hoth 172.19.100.4 --labels jedi=luke
	start hoth
	ok "it is well" soon state_is hoth ok
	ok "pods reach it, IPv4" soon reaches pod:luke 172.19.100.4 8080 "hoth sees ${pod4[luke]}"
	ok "the world reaches it, IPv6" reaches world fd00:19::100:4 8080 hoth
	policy in <<-Y
	  ingress: [{fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: luke}}]}]
	  egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default, org: luke}}]}]
	Y
	ok "policy: the world is kept out over the family that is not enrolled" soon silent world fd00:19::100:4 8080
	ok "policy: and out of reach over it" silent hoth $W6 8080
	ok "policy: pods are let in over the other" reaches pod:luke 172.19.100.4 8080 hoth
	no_policy
	stop serve-agentd-hoth
}

begin=$SECONDS
if cluster; then
	services
	t_join
	[ $failed -eq 0 ] || { echo "$passed passed, $failed failed, $skipped skipped"; exit 1; }
	t_reach
	[ "$PODS" = 0 ] || t_services
	t_ingress
	t_cidr
	t_egress
	[ "$PODS" = 0 ] || t_restart
	if [ "${UNDERLAY:-ipv4}" = ipv6 ]; then t_no_underlay; else t_one_family; fi
else
	failed=$((failed + 1)); echo "FAIL $mode: the cluster starts"
fi
echo "# $mode: $((SECONDS - begin)) s"
lab_told "t_ipv6.sh${UNDERLAY:+ UNDERLAY=$UNDERLAY}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
