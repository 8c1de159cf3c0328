#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What enforcing a policy costs traffic: no filter, this agent, an equal nftables ruleset, and the host firewall of
# the real cilium-agent, side by side on one machine:
#   beside_nftables.sh [-r ROUNDS] [-t MILLISECONDS] [SIZE...]
# SIZE is small (100 port rules for one prefix) or large (1,000 rules with 10 prefixes each, which are 10,000
# identities); both by default. As root, with the peers built, nft, and
# `make tests/bench/netload tests/bench/empty_tc`. Each filter guards a host of its own, that is a network namespace on the
# real cluster of tests/cluster, and a veth pair of its own leads from one client to each. "none" is no filter, "again"
# another one: how far their ratio is from one is what other ratios may be off. "empty" is a program that lets everything
# pass: no filter of this kind costs less. Prints the lines of JSON of netload, with the size, and with the number of
# processors: client and server share one, or have one each.
set -uo pipefail
here=$(cd "$(dirname "$0")/../cluster" && pwd)
export BUILD=${BUILD:-$PWD}
PORT=8100 # the next one is allowed to nobody

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/bench/empty_tc tests/bench/netload" "nft jq" "$@"

rounds=100 ms=40
while getopts r:t: option; do
	case $option in
	r) rounds=$OPTARG ;;
	t) ms=$OPTARG ;;
	*) sed -n '5s/^# *//p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- small large

. "$here/story_lib.sh"
. "$here/story_core.sh"
export AGENT_FLAGS="--routing-mode=tunnel --tunnel-protocol=vxlan" OPERATOR_FLAGS= CONFIG=
variant=bench
trap lab_leave EXIT
trap 'exit 130' INT TERM

# Rules, as the list of `ingress` of a policy, and as an nft set

rules() { # SIZE
	case $1 in
	small) jq -nc '[range(100) | {fromCIDR: ["198.18.0.0/15"], port: (8000 + 2 * .)}]' ;;
	large) jq -nc --argjson port $PORT '[range(1000) | . as $i | (8000 + 2 * $i) as $p |
		{fromCIDR: ([range(10) | . + 10 * $i | "20.\(. / 250 | floor).\(. % 250).0/24"] +
			(if $p == $port then ["198.18.0.0/15"] else [] end)), port: $p}]' ;;
	esac
}
ingress() { jq -c '[.[] | {fromCIDR, toPorts: [{ports: [{port: "\(.port)", protocol: "TCP"}, {port: "\(.port)", protocol: "UDP"}]}]}]'; }
# apply_rules SIZE KIND NAME SELECTOR-JSON: a hundred rules an object
apply_rules() {
	local ns=legacy
	[ "$2" = CiliumNetworkPolicy ] || ns=
	rules "$1" | ingress | jq -c --arg kind "$2" --arg name "$3" --arg ns "$ns" --argjson selector "$4" '
		[range(0; length; 100) as $i | {apiVersion: "cilium.io/v2", kind: $kind,
			metadata: ({name: "\($name)-\($i)"} + if $ns == "" then {} else {namespace: $ns} end),
			spec: ($selector + {ingress: .[$i:$i + 100]})}] | .[]' | kubectl create -f - >/dev/null
}
nft_rules() { # SIZE
	echo "table inet bench {"
	if [ "$1" = small ]; then
		echo "set ports { type inet_service; elements = {"
		rules small | jq -r '[.[].port] | join(", ")'
		printf '}\n}\n'
	else
		echo "set allowed { typeof ip saddr . meta l4proto . th dport; flags interval; elements = {"
		rules large | jq -r '[.[] | .port as $p | .fromCIDR[] | "\(.) . tcp . \($p), \(.) . udp . \($p)"] | join(",\n")'
		printf '}\n}\n'
	fi
	echo "chain input { type filter hook input priority filter; policy drop;
		iif lo accept
		ct state established,related accept
		ct state invalid drop
		tcp dport 22 accept"
	if [ "$1" = small ]; then
		echo "ip saddr 198.18.0.0/15 tcp dport @ports accept"
		echo "ip saddr 198.18.0.0/15 udp dport @ports accept"
	else
		echo "ip saddr . meta l4proto . th dport @allowed accept"
	fi
	printf '}\n}\n'
}

# Hosts, each with a cable of its own to the client

places=()
cable() { # PLACE
	local n=${#places[@]}
	place_add "$1"
	ip link add "b$n" netns "$MARK-client" type veth peer name bench netns "$MARK-$1" || return
	ip -n "$MARK-client" addr add "198.18.$n.1/24" dev "b$n"
	ip -n "$MARK-client" link set "b$n" up
	ip -n "$MARK-$1" addr add "198.18.$n.2/24" dev bench
	ip -n "$MARK-$1" link set bench up
	places+=("$1")
}
address_of() {
	local i
	for i in "${!places[@]}"; do [ "${places[i]}" != "$1" ] || echo "198.18.$i.2"; done
}
is_open() {
	# shellcheck disable=SC2016 # it is the inner shell's
	at client timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf c >&3 && [ "$(head -c 1 <&3)" = c ]' "$(address_of "$1")" $PORT
}
# The filter does what it is measured for.
is_filtered() { is_open "$1" && dropped client "$(address_of "$1")" $((PORT + 1)); }

join() { # HOST PLACE LABEL
	enrol "$1" --labels "jedi=$3" --address "$4" && join_host "$2" "$LAB/token.$1" && daemon "$2" &&
		wait_for 60 state_is "$2" ok
}

set_up() { # SIZE...
	local size p n=0
	"$lab" up 0 && kubectl create namespace legacy && admin cluster setup || return
	place_add client
	for p in none again empty; do cable $p || return; done
	background empty empty "$BUILD/tests/bench/empty_tc" bench
	for size in "$@"; do
		n=$((n + 1))
		cable "nft$n" || return
		[ $n = 1 ] && p=host1 || p=crait
		[ $p = host1 ] || "$lab" host add crait $OTHER || return
		cable $p || return
		cable "node$n" || return
		host_dir $p
		nft_rules "$size" | at "nft$n" nft -f - || return
		if [ $p = host1 ]; then
			join ahch-to host1 luke $HOST || return
			apply_rules "$size" CiliumNetworkPolicy mesh '{"endpointSelector": {"matchLabels": {"jedi": "luke"}}}' || return
		else
			join crait crait rey $OTHER || return
			apply_rules "$size" CiliumNetworkPolicy mesh2 '{"endpointSelector": {"matchLabels": {"jedi": "rey"}}}' || return
		fi
		# labels of kubernetes.io are none that Cilium selects by
		apply_rules "$size" CiliumClusterwideNetworkPolicy "host$n" '{"nodeSelector": {"matchLabels": {"guard": "node'$n'"}}}' &&
			"$lab" node add "node$n" $n --enable-host-firewall=true --devices=bench --bpf-policy-map-max=65536 &&
			kubectl label node "node$n" "guard=node$n" || return
	done
	servers_start 0
	for p in "${places[@]}"; do
		case $p in
		none | again | empty) wait_for 10 is_open $p ;;
		*) wait_for 240 is_filtered "$p" ;; # compiling takes Cilium a while
		esac || { echo "$p does not filter as it should"; return 1; }
	done
}

servers_start() { # CPU
	local p
	for p in "${places[@]}"; do
		stop "load-$p"
		background "load-$p" "$p" "$BUILD/tests/bench/netload" serve $PORT "$1"
	done
}

measure() { # SIZE NUMBER PROCESSORS
	local p name pid mesh=host1 targets=()
	[ "$2" = 1 ] || mesh=crait
	for p in none again empty "nft$2" $mesh "node$2"; do
		case $p in nft*) name=nftables ;; node*) name=cilium ;; host1 | crait) name=mesh ;; *) name=$p ;; esac
		read -r pid _ <"$LAB/pid/load-$p"
		targets+=("$name=$(address_of "$p"):$PORT:$pid")
	done
	at client "$BUILD/tests/bench/netload" measure -r "$rounds" -t "$ms" -c 0 "${targets[@]}" |
		jq -c --unbuffered --arg size "$1" --argjson processors "$3" '{size: $size, processors: $processors} + .' >&3
}

run() {
	local size processors n p
	set_up "$@" || return
	sleep 5 # what start-up left to do
	for processors in 1 2; do
		servers_start $((processors - 1))
		for p in "${places[@]}"; do wait_for 10 is_open "$p" || return; done
		n=0
		for size in "$@"; do
			n=$((n + 1))
			measure "$size" $n $processors || return
		done
	done
	for p in "${places[@]}"; do stop "load-$p"; done
	stop empty
}

run "$@" 3>&1 1>&2
status=$?
[ $status = 0 ] || echo "not all could be measured" >&2
exit $status
