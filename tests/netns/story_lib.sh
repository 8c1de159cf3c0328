# SPDX-License-Identifier: Apache-2.0
# Shared by tests/demo/run and tests/netns/story_netns.sh; sourced, not run. bash.
# A small cluster in network namespaces: the in-tree API server, two hosts, two nodes with a pod each,
# all on one bridge. Everything is inside namespaces of its own (network, mount, process numbers), so
# that the machine's network, mounts and name service stay as they are and nothing outlives the script.
#
#   control plane  api      172.19.100.1
#   hosts          ahch-to  172.19.100.2  jedi=luke     crait  172.19.100.3  jedi=rey
#   nodes          node1    172.19.100.11 pods 10.244.1.0/24: leia  10.244.1.17
#                  node2    172.19.100.12 pods 10.244.2.0/24: vader 10.244.2.66
. "${BASH_SOURCE%/*}/../lib/wait_for.sh"
BUILD=${BUILD:-build}
API=172.19.100.1 AHCHTO=172.19.100.2 CRAIT=172.19.100.3
LEIA=10.244.1.17 LEIA_ID=3001 VADER=10.244.2.66 VADER_ID=3002
# vxlan or geneve; some kernels lack the latter
TUNNEL=${STORY_TUNNEL:-vxlan}
TUNNEL_PORT=$([ "$TUNNEL" = geneve ] && echo 6081 || echo 8472)

die() { echo "${0##*/}: $*" >&2; exit 1; }

# story_enter "$0" "$@": starts the script again as the first process of its namespaces.
story_enter() {
	[ -z "${STORY_INSIDE:-}" ] || return 0
	export STORY_INSIDE=1 BUILD
	exec unshare --mount --net --pid --fork --kill-child --mount-proc bash "$@"
}

# Ends whatever still runs in here, which is only ours: we are process 1 of our own numbering.
story_end() {
	local i=0
	trap '' INT TERM HUP
	[ $$ -eq 1 ] || return 0
	kill -9 -1 2>/dev/null
	wait 2>/dev/null
	while [ -n "${CG:-}" ] && [ -d "$CG" ] && [ $i -lt 50 ]; do
		find "$CG" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
		i=$((i + 1))
	done
	[ -z "${T:-}" ] || rm -rf "$T"
}

story_begin() {
	local p resolv
	[ $$ -eq 1 ] || die "not in a process namespace"
	for p in mesh-agentd mesh-join meshctl tests/lib/mesh-test-apiserver tests/netns/story_peer; do
		[ -x "$BUILD/$p" ] || die "$BUILD/$p is missing: build it first"
	done
	T=$(mktemp -d /tmp/mesh-story.XXXXXX)
	trap story_end EXIT
	trap 'exit 130' INT TERM HUP
	mkdir "$T/log" "$T/manifests"
	# sockets and network namespaces of others are none of ours
	mount -t tmpfs tmpfs /run && mkdir /run/netns || die "cannot mount /run"
	mount -t bpf bpf /sys/fs/bpf || die "this kernel has no BPF file system"
	mount -t cgroup2 none /sys/fs/cgroup || die "this kernel has no cgroup v2"
	CG=/sys/fs/cgroup/${T##*/}
	mkdir "$CG" || die "cannot make a cgroup"
	# the names of the cluster, as a host whose resolver is the agent has them
	echo nameserver 127.18.53.53 >"$T/resolv.conf"
	resolv=$(readlink -m /etc/resolv.conf)
	[ -e "$resolv" ] || { mkdir -p "${resolv%/*}" && touch "$resolv"; }
	mount --bind "$T/resolv.conf" "$resolv" || die "cannot mount resolv.conf"
	ln -s "$(readlink -f "$BUILD")" "$T/bin"
	ip link add br0 type bridge && ip link set br0 up && ip link set lo up || die "cannot make a bridge"
}

# place_add NAME ADDRESS: a network namespace with a cable to the bridge, and a cgroup
place_add() {
	ip netns add "$1" && mkdir -p "$CG/$1" || die "cannot make a network namespace"
	ip link add "to-$1" type veth peer name eth0 netns "$1" || die "cannot make a pair of devices"
	ip link set "to-$1" master br0 up
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "$API" 2>/dev/null # for the control plane there is none
}

# in_place NAME COMMAND...: inside its network and its cgroup. The shell becomes the command.
in_place() { (become "$@"); }
become() {
	local name=$1
	shift
	exec sh -c 'echo 0 >"$0/cgroup.procs"; n=$1; shift; exec nsenter --net="/run/netns/$n" -- "$@"' "$CG/$name" "$name" "$@"
}

# api METHOD PATH [CURL-OPTION...]: one request as the cluster's admin
api() {
	local method=$1 path=$2
	shift 2
	in_place api curl -sS --max-time 10 --cacert "$T/api/ca.crt" -H "Authorization: Bearer $(cat "$T/api/admin.token")" \
		-X "$method" "$@" "https://$API:6443$path"
}
# apply PATH <YAML; remove PATH
apply() {
	local code
	code=$(api PATCH "$1?fieldManager=story" -H 'Content-Type: application/apply-patch+yaml' --data-binary @- \
		-o "$T/answer" -w '%{http_code}') || die "the API server does not answer"
	[ "$code" = 200 ] || [ "$code" = 201 ] || die "apply $1: $code: $(cat "$T/answer")"
}
remove() { api DELETE "$1" -o /dev/null; }
CNP=/apis/cilium.io/v2/namespaces/legacy/ciliumnetworkpolicies
CCNP=/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies

pod_manifest() { # name, address, identity, node, node's address, label
	cat <<Y
---
{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: "$3"}, security-labels: {
 "k8s:$6": "$1", "k8s:io.kubernetes.pod.namespace": legacy, "k8s:io.cilium.k8s.policy.cluster": default,
 "k8s:io.cilium.k8s.policy.serviceaccount": default, "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": legacy}}
---
{apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: $4}, spec: {
 addresses: [{type: InternalIP, ip: $5}], ipam: {podCIDRs: ["${2%.*}.0/24"]}}}
---
{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {name: $1, namespace: legacy}, status: {id: 1, state: ready,
 identity: {id: $3, labels: ["k8s:$6=$1", "k8s:io.kubernetes.pod.namespace=legacy"]},
 networking: {addressing: [{ipv4: $2}], node: $5}}}
Y
}

manifests() {
	cat <<Y
{apiVersion: v1, kind: Namespace, metadata: {name: legacy, labels: {kubernetes.io/metadata.name: legacy}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config, namespace: kube-system}, data: {
 identity-allocation-mode: crd, cluster-name: default, routing-mode: tunnel, tunnel-protocol: $TUNNEL, kube-proxy-replacement: "true",
 enable-ipv4: "true", enable-ipv6: "false", cluster-pool-ipv4-cidr: 10.244.0.0/16}}
---
{apiVersion: v1, kind: Service, metadata: {name: temple, namespace: legacy}, spec: {
 type: ClusterIP, clusterIP: 10.96.0.80, clusterIPs: [10.96.0.80], ipFamilies: [IPv4],
 ports: [{name: http, port: 80, protocol: TCP, targetPort: 8080}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: temple-1, namespace: legacy, labels: {kubernetes.io/service-name: temple}},
 endpoints: [{addresses: [$LEIA], conditions: {ready: true}}], ports: [{name: http, port: 8080, protocol: TCP}]}
---
{apiVersion: v1, kind: Service, metadata: {name: council, namespace: legacy, annotations: {io.cilium/portal: "true"}}, spec: {
 type: ClusterIP, clusterIP: 10.96.0.90, clusterIPs: [10.96.0.90], ipFamilies: [IPv4], selector: {jedi: luke},
 ports: [{name: http, port: 8000, protocol: TCP, targetPort: 80}]}}
Y
	pod_manifest leia $LEIA $LEIA_ID node1 172.19.100.11 rebel
	pod_manifest vader $VADER $VADER_ID node2 172.19.100.12 sith
}

# The API server; KUBECONFIG and `meshctl` are those of the cluster's admin.
cluster_start() {
	local pid
	place_add api $API
	[ -z "${API_MOVED:-}" ] || ip -n api addr add "$API_MOVED/24" dev eth0
	manifests >"$T/manifests/cluster.yaml"
	become api "$T/bin/tests/lib/mesh-test-apiserver" --listen $API:6443 --state "$T/api" \
		--manifests "$T/manifests" ${STORY_SERVER:-} --print-ready >"$T/log/api" 2>&1 &
	wait_for 10 grep -q ready "$T/log/api" || die "the API server does not start: $(cat "$T/log/api")"
	export KUBECONFIG=$T/api/admin.conf
	admin cluster setup >"$T/log/setup" 2>&1 || die "cluster setup: $(cat "$T/log/setup")"
}
admin() { in_place api "$T/bin/meshctl" "$@"; }

# pod_start NAME ADDRESS IDENTITY NODE NODE-ADDRESS: a node with one pod
pod_start() {
	place_add "$4" "$5"
	ip netns add "$1" && mkdir -p "$CG/$1"
	become "$4" "$T/bin/tests/netns/story_peer" node "$5" $TUNNEL_PORT "$1" "$3" >"$T/log/$4" 2>&1 &
	wait_for 5 ip -n "$4" link show "$1" || die "no pod: $(cat "$T/log/$4")"
	ip -n "$4" link set "$1" netns "$1" name eth0 mtu 1450
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$2/32" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default dev eth0
	become "$1" "$T/bin/tests/netns/story_peer" serve 8080 "Greetings from the pod $1" >"$T/log/$1" 2>&1 &
}
pods_start() {
	pod_start leia $LEIA $LEIA_ID node1 172.19.100.11
	pod_start vader $VADER $VADER_ID node2 172.19.100.12
}

# host_add NAME ADDRESS: a machine that has not joined yet, with a web server on 80 and "ssh" on 22
host_add() {
	place_add "$1" "$2"
	mkdir -p "$T/$1"
	cat >"$T/$1/agent.conf" <<-C
		state-dir = "$T/$1/state";
		runtime-dir = "$T/$1/run";
		bpf-root = "/sys/fs/bpf/$1";
		cgroup-root = "$CG/$1";
		datapath: { ct-max-entries = 16384; ipcache-max-entries = 4096; policy-max-entries = 4096;
			service-max-entries = 1024; backend-max-entries = 4096; affinity-max-entries = 1024; };
	C
	become "$1" "$T/bin/tests/netns/story_peer" serve 80 "Greetings from the host $1" >"$T/log/$1-web" 2>&1 &
	become "$1" "$T/bin/tests/netns/story_peer" serve 22 "SSH of $1" >"$T/log/$1-ssh" 2>&1 &
}

# as_by_unit NAME...: those daemons are run with what the unit gives: a user of its own, and four capabilities
as_by_unit() {
	local caps=+bpf,+net_admin,+perfmon,+net_bind_service name
	for name; do
		mkdir -p "$T/$name/state" "$T/$name/run" "/sys/fs/bpf/$name"
		chown $UNIT_USER:$UNIT_USER "$T/$name/state" "$T/$name/run" "/sys/fs/bpf/$name"
	done
	chmod 755 "$T"
	USER_OF_UNIT="setpriv --reuid=$UNIT_USER --regid=$UNIT_USER --clear-groups --inh-caps=-all,$caps --ambient-caps=$caps --bounding-set=-all,$caps"
}
UNIT_USER=64123 USER_OF_UNIT=

# agent_start NAME: the daemon; its number is in $T/NAME/pid. UNDER is a command to run it, and mesh-join, with
agent_start() {
	become "$1" $USER_OF_UNIT ${UNDER:-} "$T/bin/mesh-agentd" -c "$T/$1/agent.conf" >>"$T/log/$1-agent" 2>&1 &
	echo $! >"$T/$1/pid"
}
agent_kill() { # name, signal
	local pid
	pid=$(cat "$T/$1/pid")
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return 0
}
host() { in_place "$1" "$T/bin/meshctl" -c "$T/$1/agent.conf" "${@:2}"; } # host NAME MESHCTL-COMMAND...
# With the /sys of its network, as a machine has: it shows whose a device is.
join() {
	mkdir -p "$T/sys-bpf" "$T/sys-cgroup"
	in_place "$1" unshare --mount sh -c 'mount --bind /sys/fs/bpf "$0/sys-bpf" && mount --bind /sys/fs/cgroup "$0/sys-cgroup" &&
		mount -t sysfs none /sys && mount --bind "$0/sys-bpf" /sys/fs/bpf && mount --bind "$0/sys-cgroup" /sys/fs/cgroup && exec "$@"' \
		"$T" ${UNDER:-} "$T/bin/mesh-join" --no-start --config "$T/$1/agent.conf" "${@:2}"
}
is_running() { [ "$(host "$1" status -o json | jq -r .state)" = "${2:-ok}" ]; }

# enrol NAME ADDRESS LABELS [OPTION...]: leaves the token in $token
enrol() {
	admin host add "$1" --namespace legacy --labels "$3" --address "$2" "${@:4}" >"$T/log/enrol" 2>&1 || return 1
	token=$(sed -n 's/^mesh-join --token //p' "$T/log/enrol")
	[ "$token" ]
}

# The policy generation is what the agent says it has planned and has in force.
in_force() { [ "$(host "$1" policy list -o json | jq --arg n "$2" 'any(.. | objects; .name? == $n)')" = "${3:-true}" ]; }

# reaches PLACE ADDRESS [PORT]: a TCP connection and an answer, within a second
PATIENCE=${PATIENCE:-1}
reaches() { in_place "$1" curl -fs --max-time "$PATIENCE" --connect-timeout "$PATIENCE" "http://$2:${3:-80}/"; }
