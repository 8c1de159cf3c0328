#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The DNS server beside CoreDNS, unbound and dnsmasq: one CPU for the server, the other for who asks: dnsperf for as much as
# the server can answer, dns_latency for how long it takes at half of that. In turns, round after
# round, and twice for the server of this project (its second name is "again": what differs there is noise).
#   ROUNDS=5 SECONDS_EACH=4 NAMES=10000   how often, how long, how many names of Services
# Needs root, dnsperf, taskset, jq, two CPUs; unbound, dnsmasq and CoreDNS (tests/cluster/peers.sh build coredns) as far as
# they are there; BUILD with tests/bench/bench_dns, tests/bench/dns_latency and tests/lib/mesh-test-apiserver. In a network namespace of its own.
# Prints a line of JSON for each measurement and a table at the end.
set -euo pipefail
BUILD=${BUILD:-$PWD} ROUNDS=${ROUNDS:-5} SECONDS_EACH=${SECONDS_EACH:-4} NAMES=${NAMES:-10000}
PEERS=${PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/mesh-lab/peers}
export PATH=$PEERS/bin:/usr/sbin:/sbin:$PATH
die() { echo "dns.sh: $*" >&2; exit 1; }
if [ "${1:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || die "needs root"
	for p in dnsperf taskset jq; do command -v $p >/dev/null || die "$p is not installed"; done
	[ "$(nproc)" -ge 2 ] || die "needs two CPUs"
	exec setsid --wait unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc "$0" inside
fi
# before other work on this machine, if its scheduler makes groups of sessions
! [ -e /proc/self/autogroup ] || echo -20 >/proc/self/autogroup
renice -n -20 $$ >/dev/null

ip link set lo up
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
UPSTREAM=127.0.0.9 OUTSIDE=1000
declare -A address=([ours]=127.0.0.11 [again]=127.0.0.12 [coredns]=127.0.0.13 [unbound]=127.0.0.14 [dnsmasq]=127.0.0.15
	[coredns-cache]=127.0.0.16)
servers=

ready() { # ADDRESS: it has an address for the first Service
	local i
	for ((i = 0; i < 300; i++)); do
		dnsperf -s "$1" -d "$dir/one" -n 1 -c 1 -q 1 -t 1 2>/dev/null | grep -q 'NOERROR 1 ' && return 0
		sleep 0.1
	done
	die "no server at $1: $(tail -n 3 "$dir"/*.log)"
}

write_names() {
	local i
	echo "svc-0.prod.svc.cluster.local A" >"$dir/one"
	for ((i = 0; i < NAMES; i++)); do
		echo "svc-$i.prod.svc.cluster.local A" >&3
		echo "none-$i.prod.svc.cluster.local A" >&4
		echo "10.96.$((i / 256 % 256)).$((i % 256)) svc-$i.prod.svc.cluster.local" >&5
	done 3>"$dir/cluster" 4>"$dir/negative" 5>"$dir/hosts"
	for ((i = 0; i < OUTSIDE; i++)); do
		echo "w-$i.example.net A" >&3
		echo "w-$i.example.net. 3600 A 203.0.113.$((i % 250))" >&4
	done 3>"$dir/cached" 4>"$dir/outside"
}

# The Services on an API server, from which CoreDNS learns them.
write_objects() {
	mkdir "$dir/manifests"
	jq -n --argjson n "$NAMES" '{apiVersion: "v1", kind: "List", items: ([{apiVersion: "v1", kind: "Namespace",
		metadata: {name: "prod"}}] + [range($n) | {apiVersion: "v1", kind: "Service", metadata: {namespace: "prod",
		name: "svc-\(.)"}, spec: ("10.96.\(. / 256 | floor % 256).\(. % 256)" | {type: "ClusterIP", clusterIP: .,
		clusterIPs: [.], ports: [{name: "http", port: 80, protocol: "TCP"}]})}])}' >"$dir/manifests/all.json"
}

start() { # NAME COMMAND...
	local name=$1
	shift
	taskset -c 0 "$@" >"$dir/$name.log" 2>&1 &
	pid[$name]=$!
	ready "${address[$name]}"
	servers="$servers $name"
}
declare -A pid

start_upstream() {
	command -v unbound >/dev/null || command -v coredns >/dev/null || die "nobody to ask for names from outside: apt install unbound"
	if command -v coredns >/dev/null; then
		{ echo '$ORIGIN .'; echo '. 60 SOA a.root. b.root. 1 7200 3600 86400 60'; echo '. 60 NS a.root.'; cat "$dir/outside"; } >"$dir/zone"
		printf '.:53 {\n bind %s\n file %s .\n}\n' $UPSTREAM "$dir/zone" >"$dir/Corefile.upstream"
		taskset -c 1 coredns -conf "$dir/Corefile.upstream" >"$dir/upstream.log" 2>&1 &
	else
		{ printf 'server:\n interface: %s\n do-daemonize: no\n chroot: ""\n username: ""\n local-zone: "." static\n' $UPSTREAM
		  sed 's/.*/ local-data: "&"/' "$dir/outside"; } >"$dir/upstream.conf"
		taskset -c 1 unbound -c "$dir/upstream.conf" >"$dir/upstream.log" 2>&1 &
	fi
}

start_coredns() {
	command -v coredns >/dev/null || { echo "# no CoreDNS: tests/cluster/peers.sh build coredns" >&2; return 0; }
	write_objects
	"$BUILD/tests/lib/mesh-test-apiserver" --listen 127.0.0.1:6443 --state "$dir/api" --manifests "$dir/manifests" >"$dir/api.log" 2>&1 &
	until [ -s "$dir/api/admin.conf" ]; do sleep 0.1; done
	# that of kubeadm 1.36, without what has no part in an answer; and once with names of the cluster from its cache, too
	corefile coredns 'disable success cluster.local
	    disable denial cluster.local'
	corefile coredns-cache ''
	start coredns coredns -conf "$dir/Corefile.coredns"
	start coredns-cache coredns -conf "$dir/Corefile.coredns-cache"
}

corefile() { # NAME CACHE-OPTIONS
	cat >"$dir/Corefile.$1" <<-C
	.:53 {
	  bind ${address[$1]}
	  errors
	  kubernetes cluster.local in-addr.arpa ip6.arpa {
	    kubeconfig $dir/api/admin.conf
	    pods insecure
	    fallthrough in-addr.arpa ip6.arpa
	    ttl 30
	  }
	  forward . $UPSTREAM {
	    max_concurrent 1000
	  }
	  cache 30 {
	    $2
	  }
	  loadbalance
	}
	C
}

start_unbound() {
	command -v unbound >/dev/null || { echo "# no unbound: apt install unbound" >&2; return 0; }
	{
		printf 'server:\n interface: %s\n do-daemonize: no\n chroot: ""\n username: ""\n pidfile: ""\n num-threads: 1\n' "${address[unbound]}"
		printf ' module-config: "iterator"\n do-not-query-localhost: no\n local-zone: "cluster.local." static\n local-zone: "example.net." transparent\n'
		awk '{print " local-data: \"" $2 ". 5 A " $1 "\""}' "$dir/hosts"
		printf 'forward-zone:\n name: "."\n forward-addr: %s\nremote-control:\n control-enable: no\n' $UPSTREAM
	} >"$dir/unbound.conf"
	start unbound unbound -c "$dir/unbound.conf"
}

start_dnsmasq() {
	command -v dnsmasq >/dev/null || { echo "# no dnsmasq: apt install dnsmasq-base" >&2; return 0; }
	start dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= --bind-interfaces \
		--listen-address="${address[dnsmasq]}" --addn-hosts="$dir/hosts" --local=/cluster.local/ --local-ttl=5 --cache-size=10000 \
		--server=$UPSTREAM --dns-forward-max=1000
}

field() { sed -n "s/^ *$1: *\([0-9.]*\).*/\1/p" "$dir/out"; }
cpu_of() { awk '{print $14 + $15}' "/proc/${pid[$1]}/stat"; }

# SERVER WORK
full_load() {
	local before after
	before=$(cpu_of "$1")
	taskset -c 1 dnsperf -s "${address[$1]}" -d "$dir/$2" -l "$SECONDS_EACH" -c 8 -q 400 >"$dir/out" 2>&1
	after=$(cpu_of "$1")
	jq -cn --arg server "$1" --arg work "$2" --argjson qps "$(field 'Queries per second')" --argjson lost "$(field 'Queries lost')" \
		--argjson answered "$(field 'Queries completed')" --argjson ticks $((after - before)) --argjson hz "$(getconf CLK_TCK)" \
		'{server: $server, work: $work, load: "full", qps: ($qps | floor), lost: $lost,
		  cpu_us: (if $answered > 0 then $ticks / $hz * 1e6 / $answered else null end)}' | tee -a "$dir/results"
}

# SERVER WORK QUERIES-PER-SECOND. Both sides come before other work of the machine; they sleep half of the time.
half_load() {
	chrt --all-tasks --rr --pid 1 "${pid[$1]}"
	chrt --rr 1 taskset -c 1 "$BUILD/tests/bench/dns_latency" "${address[$1]}:53" "$dir/$2" "$3" "$SECONDS_EACH" |
		jq -c --arg server "$1" --arg work "$2" --argjson rate "$3" '{server: $server, work: $work, load: "half", rate: $rate} + .' |
		tee -a "$dir/results"
	chrt --all-tasks --other --pid 0 "${pid[$1]}"
}

table() {
	jq -rs 'def median: sort | if length == 0 then null else .[length / 2 | floor] end;
		def show: if . == null then "-" elif . >= 100 then floor else . * 10 | floor / 10 end;
		(group_by(.work) | map({key: .[0].work, value: (map(select(.server == "ours" and .load == "full") | .qps) | median)}) | from_entries) as $base
		| "work server queries/s ratio(least-most) CPU-us/query rate p50-us typical-p99-us(least-most) p99-us lost-of-10000", (group_by([.work, .server])[] | .[0].server as $s | .[0].work as $w
		| map(select(.load == "full")) as $full | map(select(.load == "half")) as $half
		| [$w, $s, ($full | map(.qps) | median), "\(($full | map(.qps) | median) / $base[$w] * 100 | floor / 100)(\(($full | map(.qps) | min) / $base[$w] * 100 | floor / 100)-\(($full | map(.qps) | max) / $base[$w] * 100 | floor / 100))",
		  ($full | map(.cpu_us) | median | show), ($half | map(.rate) | median), ($half | map(.p50_us) | median | show), "\($half | map(.typical_p99_us) | median | show)(\($half | map(.typical_p99_us) | min | show)-\($half | map(.typical_p99_us) | max | show))", ($half | map(.p99_us) | median | show), (($half | map(.lost) | add) / ($half | map(.sent) | add) * 10000 | show)] | map(tostring) | join(" "))' "$dir/results" | column -t
}

write_names
start_upstream
start ours "$BUILD/tests/bench/bench_dns" "${address[ours]}:53" "$NAMES" 86400 $UPSTREAM
start again "$BUILD/tests/bench/bench_dns" "${address[again]}:53" "$NAMES" 86400 $UPSTREAM
start_coredns
start_unbound
start_dnsmasq
for s in $servers; do # so that the cache has all that it is asked for
	for ((i = 0; i < 2; i++)); do dnsperf -s "${address[$s]}" -d "$dir/cached" -n 1 -c 4 -q 50 >/dev/null 2>&1; done
done
declare -A half
for w in cluster negative cached; do # of Services; that do not exist; of others, from the cache
	for ((round = 0; round < ROUNDS; round++)); do
		for s in $servers; do full_load "$s" $w; done
	done
	for s in $servers; do
		half[$s]=$(jq -s --arg s "$s" --arg w $w 'map(select(.server == $s and .work == $w and .load == "full") | .qps) | sort | .[length / 2 | floor] / 2 | floor' "$dir/results")
	done
	for ((round = 0; round < ROUNDS; round++)); do
		for s in $servers; do half_load "$s" $w "${half[$s]}"; done
	done
done
table
[ -z "${MESH_RESULTS:-}" ] || { mkdir -p "$MESH_RESULTS" && cat "$dir/results" >>"$MESH_RESULTS/dns.jsonl"; }
