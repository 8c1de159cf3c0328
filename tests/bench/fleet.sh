#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A thousand hosts against one real kube-apiserver, which is restarted under them: what each asks for, what that costs
# the server, and how they come back.
#	fleet.sh [HOSTS [ENDPOINTS]]     1000 and 1000; as root, with the peers built and `make tests/bench/fleet tests/bench/load`
# Prints one line of JSON: requests and server CPU while the fleet starts, while nothing happens (IDLE=60 seconds), and after a
# restart that takes AWAY=5 seconds; and appends it to $MESH_RESULTS/fleet.jsonl. Everything is in a network of its own.
# Each host is a user of its own, with the rights and in the queue that `meshctl cluster setup` gives to hosts.
set -uo pipefail
here=$(cd "$(dirname "$0")/../cluster" && pwd)
export BUILD=${BUILD:-$PWD} LAB=${LAB:-${TMPDIR:-/tmp}/mesh-fleet$$} PEERS=${PEERS:-$HOME/.cache/mesh-lab/peers}
export PATH=$PEERS/bin:$PATH
hosts=${1:-1000} endpoints=${2:-1000} idle=${IDLE:-60} away=${AWAY:-5}

if [ -z "${FLEET_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 2; }
	"$here/peers.sh" check || exit 2
	FLEET_INSIDE=1 exec unshare --net --pid --fork --kill-child --mount-proc bash "$0" "$@"
fi
ip link set lo up
lab="$here/attack_lab.sh"
end() { kill "${fleet:-}" 2>/dev/null; "$lab" wipe; }
trap end EXIT
die() { echo "fleet.sh: $*" >&2; exit 1; }

server() { cat "$LAB/apiserver.pid"; }
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$(server)/stat"; }
rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$(server)/status"; }
# metric NAME [LABELS]: the sum of all such lines of the server
metric() { kubectl get --raw /metrics | awk -v name="$1" -v labels="${2:-}" 'index($0, name "{") == 1 && index($0, labels) { n += $NF } END { printf "%d", n }'; }
last() { tail -n 1 "$LAB/fleet" | jq -r "$1"; }
all_watch() { # within so many seconds
	local end=$((SECONDS + $1))
	until [ "$(last .watching)" = "$hosts" ]; do
		[ $SECONDS -lt $end ] && kill -0 "$fleet" 2>/dev/null || return 1
		sleep 0.5
	done
}
# between T1 T2: requests of the seconds after T1, up to T2
between() { jq -s "map(select(.t > $1 and .t <= $2).requests) | add // 0" "$LAB/fleet"; }

mkdir -p "$LAB"
for ((i = 0; i < hosts; i++)); do
	echo "fleet$i-$RANDOM$RANDOM$RANDOM,system:serviceaccount:mesh-hosts:fleet$i,uid$i,\"system:serviceaccounts,system:serviceaccounts:mesh-hosts\""
done >"$LAB/tokens"
APISERVER_FLAGS="--token-auth-file=$LAB/tokens" "$lab" up >&2 || die "no control plane"
export KUBECONFIG=$LAB/admin.conf
"$BUILD/meshctl" cluster setup >/dev/null 2>"$LAB/log/setup.log" || die "cluster setup: $(cat "$LAB/log/setup.log")"
kubectl config view --raw -o json | jq '.users[].user = {token: "each has its own"}' >"$LAB/fleet.conf"
"$BUILD/tests/bench/load" "$KUBECONFIG" $((endpoints < 100 ? endpoints : 100)) "$endpoints" >&2 || die "no endpoints"
watches() { metric apiserver_longrunning_requests 'verb="WATCH"'; }
cpu0=$(cpu_ms) others=$(watches)
"$BUILD/tests/bench/fleet" "$LAB/fleet.conf" "$hosts" 3600 "$LAB/tokens" >"$LAB/fleet" 2>"$LAB/log/fleet.log" &
fleet=$!
sleep 2
all_watch 300 || die "not all hosts watch: $(last .)"
t0=$(last .t) cpu1=$(cpu_ms)
sleep 20 # the server settles
t1=$(last .t) cpu2=$(cpu_ms)
sleep "$idle"
t2=$(last .t) cpu3=$(cpu_ms) rss=$(rss_kib) watches=$(($(watches) - others))
start_refused=$(metric apiserver_request_total 'code="429"')
mapfile -d '' -t command <"/proc/$(server)/cmdline"
t3=$(last .t)
kill -KILL "$(server)"
while kill -0 "$(server)" 2>/dev/null; do sleep 0.1; done
sleep "$away"
(cd "$LAB" && exec setsid nohup "${command[@]}") >>"$LAB/log/apiserver.log" 2>&1 &
echo $! >"$LAB/apiserver.pid"
until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.2; done
t4=$(last .t)
sleep 3
all_watch 600 || die "after the restart not all hosts watch: $(last .)"
t5=$(last .t) cpu4=$(cpu_ms) back_refused=$(metric apiserver_request_total 'code="429"') back_gone=$(metric apiserver_request_total 'code="410"')
kill "$fleet"
wait "$fleet" 2>/dev/null
jq -sc --argjson hosts "$hosts" --argjson endpoints "$endpoints" --arg kernel "$(uname -r)" --argjson t1 "$t1" --argjson t2 "$t2" --argjson t3 "$t3" \
	--argjson t4 "$t4" --argjson t5 "$t5" --argjson t0 "$t0" --argjson start_cpu $((cpu1 - cpu0)) --argjson idle_cpu $((cpu3 - cpu2)) \
	--argjson back_cpu "$cpu4" --argjson rss "$rss" --argjson start_requests "$(between 0 "$t0")" \
	--argjson watches "$watches" --argjson start_refused "$start_refused" --argjson back_refused "$back_refused" --argjson back_gone "$back_gone" \
	--argjson idle_requests "$(between "$t1" "$t2")" --argjson back_requests "$(between "$t3" "$t5")" '
	(map(select(.watching)) | [., [{t: 0}] + .[:-1]] | transpose | map(.[0] + {rate: (.[0].requests / (.[0].t - .[1].t))})) as $ticks |
	def tenth: . * 10 | round / 10;
	def back(part): $ticks | map(select(.t > $t4 and .watching >= $hosts * part).t) | min - $t4 | tenth;
	def peak(from; to): $ticks | map(select(.t > from and .t <= to).rate) | max | round;
	{hosts: $hosts, endpoints: $endpoints, start: {seconds: $t0, requests: $start_requests, most_in_a_second: peak(0; $t0),
		refused: $start_refused, server_cpu_ms: $start_cpu},
	 idle: {seconds: ($t2 - $t1 | tenth), watches: $watches, requests: $idle_requests, server_cpu_ms: $idle_cpu, server_rss_kib: $rss},
	 restart: {away_s: ($t4 - $t3 | tenth), requests: $back_requests, most_in_a_second: peak($t3; $t5), refused: $back_refused, gone: $back_gone,
		half_back_s: back(0.5), most_back_s: back(0.99), all_back_s: ($t5 - $t4 | tenth), server_cpu_ms: $back_cpu},
	 fleet: (.[-1] | {cpu_ms, wakeups, rss_kb}), kernel: $kernel, time: (now | floor)}' "$LAB/fleet" >"$LAB/result" || die "no result"
cat "$LAB/result"
[ -z "${MESH_RESULTS:-}" ] || { mkdir -p "$MESH_RESULTS" && cat "$LAB/result" >>"$MESH_RESULTS/fleet.jsonl"; }
