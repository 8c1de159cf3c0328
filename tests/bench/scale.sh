#!/bin/bash
# The agent beside the real cilium-agent on one cluster: what a restart costs until all is programmed.
# In a lab that runs (tests/cluster/README.md; LAB is set), with a joined host:
#   scale.sh HOST CONFIG NODE AGENTD MESHCTL
# Restarts the host's daemon, then the node's cilium-agent, and prints one line of JSON for each: seconds of wall
# clock and CPU, resident and private memory, number of CiliumEndpoints.
set -euo pipefail
[ $# -eq 5 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
host=$1 conf=$2 node=$3 agentd=$4 meshctl=$5
lab() { "$(dirname "$0")/../cluster/lab.sh" "$@"; }
now() { date +%s.%N; }

endpoints=$(lab kubectl get --raw '/apis/cilium.io/v2/ciliumendpoints?limit=1' |
	jq '(.items | length) + (.metadata.remainingItemCount // 0)')

# report WHO PID STARTED: wall clock since STARTED, and what the process and its children have used up to now. Memory that
# two of them share since the one was started by the other counts twice.
report() {
	local files=() p
	for p in "$2" $(pgrep -P "$2"); do files+=("/proc/$p/stat" "/proc/$p/status"); done
	awk -v who="$1" -v wall="$(echo "$(now) $3" | awk '{print $1 - $2}')" -v n="$endpoints" -v hz="$(getconf CLK_TCK)" '
		FILENAME ~ /stat$/ { sub(/.*\)/, "x x"); cpu += ($14 + $15) / hz; user += $14 / hz }
		/^VmRSS:/ { rss += $2 } /^RssAnon:/ { anon += $2 } /^VmHWM:/ { peak += $2 }
		END { printf "{\"who\": \"%s\", \"endpoints\": %d, \"wall_s\": %.2f, \"cpu_s\": %.2f, \"user_s\": %.2f, \"rss_kib\": %d, \"private_kib\": %d, \"peak_kib\": %d}\n",
			who, n, wall, cpu, user, rss, anon, peak }' "${files[@]}"
}

pid_of() { pgrep -f "$1" | head -n 1; }

# The cilium-agent of the node, among those of other labs.
peer_pid() {
	local p
	for p in $(pgrep -x cilium-agent); do
		if tr '\0' '\n' <"/proc/$p/environ" | grep -qx "K8S_NODE_NAME=$node" &&
			tr '\0' '\n' <"/proc/$p/cmdline" | grep -qxF -e "--k8s-kubeconfig-path=$LAB/admin.conf"; then
			echo "$p"
			return
		fi
	done
}

restart_ours() {
	local pid started
	pid=$(pid_of "^$agentd --config $conf") && kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	started=$(now)
	(lab exec "$host" "$agentd" --config "$conf" >/dev/null 2>&1 &)
	until lab exec "$host" "$meshctl" --config "$conf" status -o json 2>/dev/null | jq -e '.state == "ok" or .state == "degraded"' >/dev/null; do
		sleep 0.05
	done
	report mesh-agentd "$(pid_of "^$agentd --config $conf")" "$started"
}

restart_peer() {
	local pid started command
	pid=$(peer_pid)
	mapfile -d '' -t command <"/proc/$pid/cmdline"
	mapfile -d '' -t environment <"/proc/$pid/environ"
	kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
	started=$(now)
	(lab exec "$node" env -i "${environment[@]}" "${command[@]}" >/dev/null 2>&1 &)
	# Complete when the agent itself knows them all: what is pinned in the kernel is from before.
	until [ "$(lab exec "$node" cilium-dbg ip list 2>/dev/null | wc -l)" -ge "$endpoints" ] &&
		lab exec "$node" cilium-dbg status --brief >/dev/null 2>&1; do
		sleep 0.2
	done
	report cilium-agent "$(peer_pid)" "$started"
}

restart_ours
restart_peer
