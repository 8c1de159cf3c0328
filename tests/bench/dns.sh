#!/bin/sh
# Cluster DNS under dnsperf: server on one CPU, clients on another. Needs dnsperf and taskset.
# usage: dns.sh BENCH_DNS [SECONDS] [QPS]
set -eu
bench=$1
seconds=${2:-10}
qps=${3:-0}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
port=15353
n=10000
i=0
while [ "$i" -lt "$n" ]; do
	echo "svc-$i.prod.svc.cluster.local A"
	i=$((i + 1))
done >"$dir/queries"
taskset -c 0 "$bench" "$port" "$n" $((seconds + 3)) >"$dir/server" &
while ! grep -q ready "$dir/server"; do
	kill -0 $! || exit 1
done
limit=
[ "$qps" = 0 ] || limit="-Q $qps"
# shellcheck disable=SC2086
taskset -c 1 dnsperf -s 127.0.0.1 -p "$port" -d "$dir/queries" -l "$seconds" -c 8 -q 400 $limit
wait
tail -n 1 "$dir/server"
