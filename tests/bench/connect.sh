#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What connect() costs with the services of this agent, and with those of the real Cilium's socket load balancer, on one
# cluster that this starts and ends:
#   connect.sh [SERVICES...]     growing numbers, by default 10 1000 10000; as root, with the peers built and
#                                `make tests/bench/load tests/bench/connect_cost`
# In the namespaces of the host and of the node the same program connects to a service, to its backend, and to another
# address; then once more outside of the cgroup, where no program is attached: what is added is the difference. The other
# way round in every second turn; TURNS=4 of them. Prints JSON and a table.
set -uo pipefail
here=$(cd "$(dirname "$0")/../cluster" && pwd)
export BUILD=${BUILD:-$PWD}
TURNS=${TURNS:-4} ROUNDS=${ROUNDS:-25}

[ -n "${BENCH_SESSION:-}" ] || BENCH_SESSION=1 exec setsid --wait "$0" "$@"

# Before other work on this machine, if its scheduler makes groups of sessions
hurry() { # [PID]
	! [ -e /proc/self/autogroup ] || echo -20 >"/proc/${1:-self}/autogroup"
}
hurry
. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/bench/load tests/bench/connect_cost" jq "$@"
. "$here/story_lib.sh"
trap lab_leave EXIT
trap 'exit 130' INT TERM
give_up() { echo "connect.sh: $*" >&2; exit 1; }

join() {
	host_dir host1
	admin cluster setup >/dev/null && kubectl create namespace legacy >/dev/null || return 1
	admin host add ahch-to --namespace legacy --labels jedi=luke --address $HOST >"$LAB/token" || return 1
	at host1 "$BUILD/mesh-join" --no-start --config "$(conf_of host1)" --token "$(token_in "$LAB/token")" >"$LAB/join.out" 2>&1 || return 1
	daemon host1
	wait_for 30 state_is host1 ok
}

# The address of the last of so many Services, as tests/bench/load makes them
last_service() { echo "10.96.$((16 + ($1 - 1) / 250)).$((($1 - 1) % 250 + 1))"; }
host_has() { [ "$(ctl host1 service list -o json | jq '[.[] | select(.name | startswith("load-")) | select(.backends | length > 0)] | length')" = "$1" ]; }
node_has() { [ "$(at node1 cilium-dbg service list -o json | jq '[.[] | select(.spec.flags.name // "" | startswith("load-")) | select(.spec."backend-addresses" | length > 0)] | length')" = "$1" ]; }
in_map() { at node1 cilium-dbg bpf lb list 2>/dev/null | grep -F "$1:53" >/dev/null; } # to the end: no writer that fails

# PLACE inside|outside of the cgroup, with the programs or without
cost() {
	local run=(at "$1")
	[ "$2" = inside ] || run=(nsenter --net="/run/netns/$MARK-$1")
	"${run[@]}" taskset -c 1 "$BUILD/tests/bench/connect_cost" "$ROUNDS" "$address:53" 172.19.0.1:7053 172.19.0.1:7054 ||
		give_up "connect_cost in $1"
}

measure() { # SERVICES
	local turn place where order address
	address=$(last_service "$1")
	for ((turn = 0; turn < TURNS; turn++)); do
		order="host1 node1"
		[ $((turn % 2)) = 0 ] || order="node1 host1"
		for place in $order; do
			for where in outside inside outside; do
				cost "$place" $where | jq -c --arg place "$place" --arg where $where --argjson turn $turn --argjson services "$1" --arg service "$address:53" '
					{services: $services, turn: $turn, who: (if $place == "host1" then "mesh-agentd" else "cilium-agent" end), where: $where,
					 service: .[$service].least, backend: .["172.19.0.1:7053"].least, other: .["172.19.0.1:7054"].least}' |
					tee -a "$LAB/results"
			done
		done
	done
}

table() {
	# Each turn has its own control: without programs before and after. What these two differ by is noise.
	jq -rs 'def median: sort | .[length / 2 | floor]; def round1: . * 10 | floor / 10;
		def show: "\(median | round1)(\(min | round1)..\(max | round1))";
		"services who without service-adds(of-turns) other-address-adds control-differs",
		(group_by([.services, .who])[] | . as $all | [group_by(.turn)[] | map(select(.where == "outside")) as $out
			| map(select(.where == "inside"))[0] as $in | ($out | map(.backend) | add / 2) as $base
			| {base: $base, service: ($in.service - $base), other: ($in.other - ($out | map(.other) | add / 2)),
			   noise: ($out[1].backend - $out[0].backend)}]
		| ["\($all[0].services)", $all[0].who, (map(.base) | median | round1 | tostring), (map(.service) | show), (map(.other) | show),
		   (map(.noise) | show)] | join(" "))' "$LAB/results" | column -t
}

variant=connect
lab_up 1 || give_up "the cluster does not start"
for f in etcd apiserver node1; do read -r pid _ <"$LAB/pid/$f" && hurry "$pid"; done
join || give_up "the host does not join: $(tail -2 "$LAB/join.out")"
made=0
for n in ${*:-10 1000 10000}; do
	"$BUILD/tests/bench/load" "$KUBECONFIG" 0 0 $((n - made)) $made >&2 || give_up "the Services are not made"
	wait_for 120 host_has "$n" || give_up "the host does not get $n Services"
	wait_for 120 node_has "$n" || give_up "Cilium does not get $n Services"
	wait_for 60 in_map "$(last_service "$n")" || give_up "Cilium does not write $n Services"
	made=$n
	measure "$n"
done
table
[ -z "${MESH_RESULTS:-}" ] || { mkdir -p "$MESH_RESULTS" && cat "$LAB/results" >>"$MESH_RESULTS/connect.jsonl"; }
