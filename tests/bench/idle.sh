#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a joined host costs while nothing happens: idle.sh [SECONDS], by default 600; as root, in network namespaces with
# the API server of tests/lib, two nodes and a policy. Prints one line of JSON: wake-ups of the daemon, what it then asks of the
# process with the rights (each time both wait once, which is no wake-up), the CPU time of both, and bytes on the wire of
# their host, which does nothing else; and appends it to $MESH_RESULTS/idle.jsonl.
HERE=$(cd "$(dirname "$0")/../netns" && pwd)
. "$HERE/story_lib.sh"
seconds=${1:-600}
[ -n "${STORY_INSIDE:-}" ] || BUILD=$(readlink -f "$BUILD")
story_enter "$0" "$@"

# times that a process began to wait
waits() { awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }' /proc/"$1"/task/*/status; }

# waits of the daemon and of the process with the rights, CPU of both in ticks, bytes received, bytes sent
look() {
	local pid child
	pid=$(cat "$T/ahch-to/pid")
	child=$(pgrep -P "$pid")
	echo "$(waits "$pid") $(waits "$child") $(awk '{ n += $14 + $15 } END { print n }' "/proc/$pid/stat" "/proc/$child/stat")" \
		"$(ip netns exec ahch-to awk '/eth0:/ { sub(/.*:/, ""); print $1, $9 }' /proc/net/dev)"
}

story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
apply $CNP/only-friends <<Y
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: only-friends, namespace: legacy}, spec: {endpointSelector:
 {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}]}]}}
Y
enrol ahch-to $AHCHTO jedi=luke && join ahch-to --token "$token" >"$T/out" 2>&1 || die "join: $(cat "$T/out")"
agent_start ahch-to
wait_for 20 is_running ahch-to || die "the host does not come up"
sleep 20
# The watches that brought the first lists end by themselves after some minutes; those that follow them go on for good.
api POST /test/cut -d '{"pathPrefix": "/"}' -o /dev/null
sleep 60 # what follows a start is over
before=$(look)
sleep "$seconds"
after=$(look)
echo "$before $after" | awk -v s="$seconds" -v hz="$(getconf CLK_TCK)" -v kernel="$(uname -r)" -v now="$(date +%s)" '{
	calls = $7 - $2
	wakeups = $6 - $1 - calls
	printf "{\"seconds\": %d, \"wakeups\": %d, \"wakeups_per_minute\": %.2f, \"calls\": %d, \"cpu_ms\": %d, \"bytes_received\": %d, \"bytes_sent\": %d, \"kernel\": \"%s\", \"time\": %d}\n",
		s, wakeups, wakeups * 60 / s, calls, ($8 - $3) * 1000 / hz, $9 - $4, $10 - $5, kernel, now }' >"$T/result"
cat "$T/result"
[ -z "${MESH_RESULTS:-}" ] || { mkdir -p "$MESH_RESULTS" && cat "$T/result" >>"$MESH_RESULTS/idle.jsonl"; }
