# Shared by the parts of story.sh; sourced after lib.sh.
lab=$here/lab.sh
passed=0 failed=0 skipped=0 variant=
HOST=172.19.100.2 OTHER=172.19.100.9 WORLD=172.19.100.50
peer=$BUILD/tests/cluster/peer stream=$BUILD/tests/lib/stream
declare -A pod_node=([resistance]=node1 [empire]=node2) pod_ip=()

# Counting

pass() { passed=$((passed + 1)); echo "PASS $variant: $*"; }
fail() { failed=$((failed + 1)); echo "FAIL $variant: $*"; }
skip() { skipped=$((skipped + 1)); echo "SKIP $variant: $*"; }
check() { # TEXT COMMAND...
	local text=$1
	shift
	if "$@" >"$LAB/check.out" 2>&1; then
		pass "$text"
	else
		fail "$text"
		[ ! -s "$LAB/check.out" ] || tail -5 "$LAB/check.out" | cut -c1-300 | sed 's/mesh1\.[A-Za-z0-9_-]*/mesh1.../g; s/^/     /'
	fi
}
# A time says nothing on a machine that is busy with other work.
in_time() { # TEXT MS LIMIT-MS
	local load
	load=$(cut -d. -f1 /proc/loadavg)
	if [ "$2" -gt "$3" ] && [ "$load" -ge "$(nproc)" ]; then
		skip "$1: it took $2 ms, but $load processes compete for $(nproc) processors"
	else
		check "$1" [ "$2" -le "$3" ]
	fi
}
not() { ! "$@"; }
is() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'"; return 1; }; }
soon() { wait_for 15 "$@" || { "$@"; echo "not within 15 s"; return 1; }; } # the last output says why
# Within so many seconds, looked at ten times a second.
within() { # SECONDS COMMAND...
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt $end ] || { "$@"; echo "not in time"; return 1; }
		sleep 0.1
	done
}
now_ms() { date +%s%3N; }

# Places: a node, a host, pod:NAME of the namespace default, or pod:NAMESPACE/NAME. Needs no API server.
at() {
	local place=$1
	shift
	case $place in
	pod:*) place_exec "${pod_node[${place#pod:}]}" nsenter --net="$(pod_netns "$place")" "$@" ;;
	*) place_exec "$place" "$@" ;;
	esac
}
pod_netns() {
	local name=${1#pod:}
	[[ $name = */* ]] || name=default/$name
	echo "/run/netns/$MARK-pod-${name/\//-}"
}
# The same for what goes on in the background: NAME, PLACE, COMMAND...
background() {
	local name=$1 place=$2
	shift 2
	mkdir -p "$LAB/log" "$LAB/pid"
	case $place in
	pod:*) set -- "${pod_node[${place#pod:}]}" nsenter --net="$(pod_netns "$place")" "$@" ;;
	*) set -- "$place" "$@" ;;
	esac
	setsid "$lab" exec "$@" >"$LAB/log/$name.log" 2>&1 </dev/null &
	echo "$! $(started_at $!)" >"$LAB/pid/$name"
	disown # the shell need not tell of its end
}

reaches() { # FROM ADDRESS PORT NAME-OF-THE-ANSWER [ADDRESS-THAT-IT-SEES]
	at "$1" curl -sS -m 3 "http://$2:$3/" | grep "^$4 from ${5:-}"
}
# Nothing comes back at all: a refusal by a closed port is no proof.
dropped() { # FROM ADDRESS PORT
	local code
	at "$1" curl -sS -m 1 -o /dev/null "http://$2:$3/"
	code=$?
	[ $code -eq 28 ] || { echo "curl ended with $code, not 28 (no answer)"; return 1; }
}
answers() { wc -l <"$LAB/log/$1.log"; }
goes_on() { # NAME of a connection that is held
	local n
	n=$(answers "$1")
	sleep 0.6
	[ "$(answers "$1")" -gt "$n" ] || { tail -1 "$LAB/log/$1.log"; return 1; }
}
is_cut() { # NAME [SECONDS]: still there, but nothing passes
	local n
	is_running "$1" || return 1
	n=$(answers "$1")
	sleep "${2:-1.2}"
	is "$(answers "$1")" "$n"
}

# The daemon of a host, as its unit would run it

conf_of() { echo "$LAB/host/$1/agent.conf"; }
host_dir() {
	rm -rf "$LAB/host/$1" # of the variant before
	mkdir -p "$LAB/host/$1"
	printf 'state-dir = "%s";\nruntime-dir = "%s";\n' "$LAB/host/$1/state" "$LAB/host/$1/run" >"$(conf_of "$1")"
	printf 'health-probes = ( { service = "ahch-to"; type = "tcp"; port = 80; interval = 1; failures = 1; } );\n' >>"$(conf_of "$1")"
}
daemon() { # HOST [PROGRAM]
	setsid "$lab" exec "$1" "${2:-$BUILD/mesh-agentd}" --config "$(conf_of "$1")" >>"$LAB/log/agentd-$1.log" 2>&1 </dev/null &
	echo "$! $(started_at $!)" >"$LAB/pid/agentd-$1"
	disown
}
daemon_kill() {
	local pid
	read -r pid _ <"$LAB/pid/agentd-$1" && kill -9 "$pid"
	wait_for 5 not is_running "agentd-$1"
}
ctl() { # HOST ARGUMENT...
	local host=$1
	shift
	at "$host" "$BUILD/meshctl" --config "$(conf_of "$host")" "$@"
}
state_of() { jq -r .state <<<"$(ctl "$1" status -o json)"; } # what it exits with is another matter
# It answers, and with something else.
state_is_known_but() {
	local state
	state=$(state_of "$1") && [ "$state" ] && [ "$state" != "$2" ]
}
exits_with() {
	local want=$1
	shift
	"$@"
	is $? "$want"
}
state_is() { is "$(state_of "$1")" "$2"; }
admin() { env KUBECONFIG="$KUBECONFIG" "$BUILD/meshctl" "$@"; }
token_in() { sed -n 's/^.*mesh-join --token \(mesh1[^ ]*\).*$/\1/p' "$1"; }

# What the stock agent of a node knows

in_ipcache() { # NODE ADDRESS IDENTITY
	at "$1" cilium-dbg bpf ipcache list | grep -E "^$2/32 .*identity=$3 "
}
# A question that fails is no proof of absence.
not_in_ipcache() {
	local list
	list=$(at "$1" cilium-dbg bpf ipcache list) && [ "$list" ] && ! grep "^$2/32 .*identity=$3 " <<<"$list"
}

# One cluster, two nodes, a pod on each, three machines: enrolled, enrolled, strange

service() { # NAMESPACE NAME SELECTOR-JSON TARGET-PORT ANNOTATIONS-JSON
	kubectl apply -f - >/dev/null <<-Y
	{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "$2", "namespace": "$1", "annotations": $5},
	 "spec": {"selector": $3, "ports": [{"name": "http", "port": 80, "targetPort": $4}]}}
	Y
}

# The first pod of a node waits for the compiler, longer than the CNI plugin does on a busy machine.
pod_up() { # NODE NAMESPACE NAME LABELS: prints its addresses
	local try
	for try in 1 2 3 4; do
		"$lab" pod add "$@" && return
		"$lab" pod del "$2" "$3"
	done
	return 1
}

cluster_up() {
	local p pods
	lab_up 2 || return 1
	"$lab" host add crait $OTHER && "$lab" host add world $WORLD || return 1
	for p in resistance empire; do
		pod_ip[$p]=$(pod_up "${pod_node[$p]}" default $p "org=$p") || return 1
		pod_ip[$p]=${pod_ip[$p]%%$'\n'*} # IPv4
		background serve-$p pod:$p "$peer" serve 8080 $p
		at world ip route replace "${pod_ip[$p]}" via "172.19.0.1${pod_node[$p]#node}"
	done
	for p in host1 crait world node1 node2; do
		background serve-$p-80 $p "$peer" serve 80 $p
		background serve-$p-8080 $p "$peer" serve 8080 $p
	done
	background serve-host1-22 host1 "$peer" serve 22 host1
	kubectl create namespace legacy >/dev/null 2>&1
	service default resistance '{"org": "resistance"}' 8080 '{}'
	service legacy ahch-to '{"jedi": "luke"}' 80 '{"io.cilium/portal": "true"}'
	service legacy crait '{"jedi": "rey"}' 80 '{}'
	for p in host1 crait; do host_dir $p; done
	# with native routing the answer to a pod finds its way once the host has joined
	case $variant in native*) pods= ;; *) pods="pod:resistance pod:empire" ;; esac
	for p in $pods crait world node1 node2; do
		wait_for 10 reaches $p $HOST 80 host1 || { echo "$p does not reach the host before anything is done"; return 1; }
	done
}
