# Shared by the scripts of this folder; sourced, not run.
# LAB: state of one cluster. PEERS: the built programs. One cluster runs in a network namespace; others
# beside it need a LAB and a MARK of their own.
# K8S, CILIUM: their versions; others than these have a folder of their own.
K8S_DEFAULT=1.36.3 CILIUM_DEFAULT=1.20.2
K8S=${K8S:-$K8S_DEFAULT} CILIUM=${CILIUM:-$CILIUM_DEFAULT}
PEERS_DEFAULT=${XDG_CACHE_HOME:-$HOME/.cache}/mesh-lab/peers
case $K8S/$CILIUM in
"$K8S_DEFAULT/$CILIUM_DEFAULT") PEERS=${PEERS:-$PEERS_DEFAULT} ;;
*) PEERS=${PEERS:-$PEERS_DEFAULT-$K8S-$CILIUM} ;;
esac
LAB=${LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/mesh-lab/run}
BRIDGE=${BRIDGE:-br0}
NET=172.19              # underlay 172.19.0.0/16, all of it on the bridge
SERVER=$NET.0.1         # API server, on the bridge itself
CLUSTER_POOL=10.244     # nodeN has 10.244.N.0/24
FAMILIES=${FAMILIES:-ipv4} # "dual": IPv6 beside IPv4, everywhere but in the tunnel's outer packets
NET6=fd00:19            # 172.19.C.D is NET6::C:D too, all of it on the bridge
POOL6=fd00:244          # nodeN has POOL6:N::/64 too
ETCD_PORT=${ETCD_PORT:-12379}
MARK=${MARK:-mesh-lab}  # alias of our bridge; first part of the names of namespaces and cgroups
cluster_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$cluster_dir/../lib/wait_for.sh"
export PATH=$PEERS/bin:/usr/sbin:/sbin:$PATH KUBECONFIG=$LAB/admin.conf

die() { echo "${0##*/}: $*" >&2; exit 1; }

dual() { [ "$FAMILIES" = dual ]; }

# six ADDRESS: the IPv6 address of who has this IPv4 address of the underlay, in its canonical form
six() {
	local c d
	IFS=. read -r _ _ c d <<<"$1"
	[ "$c" = 0 ] && echo "$NET6::$d" || echo "$NET6::$c:$d"
}

# The start time of a process tells it from a later one with the same number.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# run_in_background NAME COMMAND...: output to log/NAME.log, number and start time to pid/NAME
run_in_background() {
	local name=$1 pid
	shift
	! is_running "$name" || return 0
	mkdir -p "$LAB/pid" "$LAB/log"
	setsid nohup "$@" >"$LAB/log/$name.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid $(started_at "$pid")" >"$LAB/pid/$name"
}

is_running() {
	local pid start
	read -r pid start 2>/dev/null <"$LAB/pid/$1" || return 1
	[ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ]
}

# stop NAME: ends it if it is still the process that we started
stop() {
	local pid start n=0
	if is_running "$1"; then
		read -r pid start <"$LAB/pid/$1"
		kill "$pid" 2>/dev/null || true
		while is_running "$1" && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
		! is_running "$1" || kill -9 "$pid" 2>/dev/null || true
	fi
	rm -f "$LAB/pid/$1"
}

# A private mount of the unified hierarchy, with a branch for each node and host.
cgroup_dir() {
	mountpoint -q "$LAB/cgroup" || { mkdir -p "$LAB/cgroup"; mount -t cgroup2 none "$LAB/cgroup"; }
	mkdir -p "$LAB/cgroup/$MARK-$1"
	echo "$LAB/cgroup/$MARK-$1"
}

# place_add NAME: a network namespace, a mount namespace with bpffs and cgroup2 of its own, a cgroup.
# Nodes and hosts live in one each. A sleeping process keeps it alive: a mount namespace cannot be kept by a
# file from inside another one on each kernel.
place_add() {
	local name=$1 cg
	! is_running "place-$name" || return 0
	ip netns add "$MARK-$name"
	ip -n "$MARK-$name" link set lo up
	cg=$(cgroup_dir "$name")
	mkdir -p "$LAB/place"
	# /run stays shared with the machine, so that pod namespaces made later show up in it
	run_in_background "place-$name" sh -ec '
		echo 0 >"$1/cgroup.procs"
		exec nsenter --net="$2" unshare --cgroup --mount --propagation slave sh -ec "
			while umount /sys/fs/bpf 2>/dev/null; do :; done
			mount -t sysfs sysfs /sys
			mount -t bpf bpf /sys/fs/bpf
			mount -t cgroup2 none /sys/fs/cgroup
			mount -t tmpfs tmpfs /var/lib
			>\"\$1\"
			exec sleep infinity" sh "$3"' sh "$cg" "/run/netns/$MARK-$name" "$LAB/place/$name"
	wait_for 10 test -e "$LAB/place/$name" || die "no namespaces for $name: $LAB/log/place-$name.log"
}

place_del() {
	local name=$1 n=0 pid
	for pid in $(cat "$LAB/cgroup/$MARK-$name/cgroup.procs" 2>/dev/null); do
		kill -9 "$pid" 2>/dev/null || true # whatever was started in it and stayed
	done
	stop "place-$name"
	ip netns del "$MARK-$name" 2>/dev/null || true
	rm -f "$LAB/place/$name"
	while [ -d "$LAB/cgroup/$MARK-$name" ] && ! rmdir "$LAB/cgroup/$MARK-$name" 2>/dev/null && [ $n -lt 20 ]; do
		sleep 0.1
		n=$((n + 1))
	done
}

# place_exec NAME COMMAND...: inside its namespaces and its cgroup; place_become takes the shell's place,
# so that the number of the process is that of the command
place_exec() { (place_become "$@"); }

place_become() {
	local name=$1 pid
	shift
	is_running "place-$name" || die "no node or host '$name'"
	read -r pid _ <"$LAB/pid/place-$name"
	export LAB_CG=$LAB/cgroup/$MARK-$name LAB_PID=$pid
	exec sh -c 'echo 0 >"$LAB_CG/cgroup.procs"
		exec nsenter --target "$LAB_PID" --cgroup --mount --net "$@"' sh "$@"
}

# plug NAME ADDRESS: eth0 in the place, its other end on the bridge
plug() {
	local port="ml-$1"
	[ ${#port} -le 15 ] || die "name '$1' is too long"
	ip link show "$port" >/dev/null 2>&1 && return 0
	ip link add "$port" type veth peer name eth0 netns "$MARK-$1"
	ip link set "$port" master "$BRIDGE" up
	ip -n "$MARK-$1" addr add "$2/16" dev eth0
	ip -n "$MARK-$1" link set eth0 up
	ip -n "$MARK-$1" route add default via "$SERVER"
	dual || return 0
	ip -n "$MARK-$1" addr add "$(six "$2")/64" dev eth0 nodad
	ip -n "$MARK-$1" route add default via "$(six "$SERVER")"
}

skip_all() {
	echo "SKIP the whole suite: $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}

# How a test or a bench begins: lab_enter PROGRAMS-OF-BUILD COMMANDS "$@". Skips it if something is missing; else runs it once
# more, in a network and mount namespace of its own with a LAB and a MARK of its own, where this returns.
lab_enter() {
	local f rc programs=$1 commands=$2
	shift 2
	if [ -n "${LAB_INSIDE:-}" ]; then
		unset LAB_INSIDE
		mount -t tmpfs tmpfs /run # namespaces and sockets of this test only
		ip link set lo up
		return
	fi
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	"$cluster_dir/peers.sh" check || skip_all "the peers are not built: tests/cluster/peers.sh build"
	for f in $programs; do [ -x "$BUILD/$f" ] || skip_all "$BUILD/$f is not built"; done
	for f in $commands; do command -v "$f" >/dev/null || skip_all "needs $f"; done
	case " $commands " in # Cilium asks for it with IPv6
	*" ip6tables "*) unshare --net ip6tables -t mangle -L -n >/dev/null 2>&1 || skip_all "ip6tables does not work on this kernel" ;;
	esac
	BUILD=$(readlink -f "$BUILD") LAB=$(mktemp -d) MARK=lab$$
	export BUILD LAB MARK
	LAB_INSIDE=1 unshare --net --mount --propagation private "$0" "$@" && rc=0 || rc=$?
	[ $rc = 0 ] || for f in "$LAB"/log/*.log; do [ ! -s "$f" ] || { echo "# ${f##*/}"; tail -n 3 "$f" | cut -c1-300; } >&2; done
	rm -rf "$LAB"
	exit $rc
}

# How it ends: with KEEP=1, when somebody says so; then everything that was started in the background is away.
# TEXT says what can be done meanwhile.
lab_leave() { # [TEXT]
	local p
	if [ -n "${KEEP:-}" ]; then
		echo "# the lab stays until $LAB/end exists: nsenter -m -n -t $$${1:+; $1}" >&2
		until [ -e "$LAB/end" ]; do sleep 1; done
	fi
	trap '' INT TERM # also if it is told to stop twice
	for p in "$LAB"/pid/agentd-* "$LAB"/pid/hold-* "$LAB"/pid/load-* "$LAB"/pid/serve-*; do [ ! -e "$p" ] || stop "${p##*/}"; done
	"$cluster_dir/lab.sh" down >/dev/null 2>&1
	trap 'exit 130' INT TERM
}

# What came of it, for the report: the counts since the last that was told.
told=0/0/0
lab_told() { # TEST [WHAT]: what of Cilium was there, if not its nodes
	local p f s line
	IFS=/ read -r p f s <<<"$told"
	told=$passed/$failed/${skipped:=0}
	[ -n "${MESH_RESULTS:-}" ] || return 0
	line=$(printf '{"test": "%s", "kubernetes": "%s", "cilium": "%s", "by": "%s", "passed": %d, "failed": %d, "skipped": %d, "kernel": "%s", "time": %d}' \
		"$1" "$K8S" "$CILIUM" "${2:-nodes}" $((passed - p)) $((failed - f)) $((skipped - s)) \
		"$(uname -r)" "$(date +%s)")
	mkdir -p "$MESH_RESULTS" && printf '%s\n' "$line" >>"$MESH_RESULTS/versions.jsonl"
}

# lab_up NODES: what it says is shown if it fails.
lab_up() { "$cluster_dir/lab.sh" up "$1" >"$LAB/up.log" 2>&1 || { cat "$LAB/up.log"; return 1; }; }
