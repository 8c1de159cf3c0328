#!/bin/bash
# A real control plane, real Cilium nodes, pods and hosts on one machine. See README.md.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"

usage() {
	cat >&2 <<-U
	usage: lab.sh up [NODES]            cluster with NODES nodes (2) and an unjoined host
	       lab.sh down                  everything away
	       lab.sh node add NAME N [AGENT-FLAG...]   node at $NET.0.(10+N) with pods in $CLUSTER_POOL.N.0/24
	       lab.sh node del NAME
	       lab.sh pod add NODE NAMESPACE NAME [k=v,k=v]   prints its address
	       lab.sh pod del NAMESPACE NAME
	       lab.sh pod exec NAMESPACE NAME COMMAND...
	       lab.sh api stop|start         an outage
	       lab.sh etcd save|restore      a backup of all that the API server has, and the way back to it
	       lab.sh host add NAME ADDRESS
	       lab.sh host del NAME
	       lab.sh exec NODE-OR-HOST COMMAND...
	       lab.sh kubectl ARGUMENT...
	       lab.sh status
	PORTS (JSON) are the ports of the pod that "pod add" makes; READY=False if it is not ready yet.
	APISERVER_FLAGS, OPERATOR_FLAGS, AGENT_FLAGS (replaces the flags of tunnel mode) and CONFIG (key=value ...
	of cilium-config) change what "up" and "node add" start. With CRDS (a folder that peers.sh crds printed) there is no
	operator, but these resource definitions: for clusters without nodes.
	U
	exit 2
}

# Certificates and kubeconfigs

issue() { # NAME SUBJECT ALTERNATIVE-NAMES
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
		-extfile <(echo "subjectAltName=$3") 2>/dev/null
	rm "$1.csr"
}

kubeconfig() { # NAME
	local f=$LAB/$1.conf
	kubectl --kubeconfig "$f" config set-cluster lab --server="https://$SERVER:6443" \
		--certificate-authority="$LAB/pki/ca.crt" --embed-certs
	kubectl --kubeconfig "$f" config set-credentials "$1" --client-certificate="$LAB/pki/$1.crt" \
		--client-key="$LAB/pki/$1.key" --embed-certs
	kubectl --kubeconfig "$f" config set-context lab --cluster=lab --user="$1"
	kubectl --kubeconfig "$f" config use-context lab
}

make_pki() {
	[ ! -e "$LAB/admin.conf" ] || return 0
	mkdir -p "$LAB/pki"
	(
		umask 077
		cd "$LAB/pki"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=mesh-lab \
			-keyout ca.key -out ca.crt 2>/dev/null
		issue apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$SERVER,IP:$(six "$SERVER"),IP:10.96.0.1"
		issue admin /O=system:masters/CN=admin DNS:admin
		issue kcm /CN=system:kube-controller-manager DNS:kcm
		openssl genrsa -out sa.key 2048 2>/dev/null
		openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
		kubeconfig kcm >/dev/null
		kubeconfig admin >/dev/null
	)
}

# Control plane

# sysfs may be that of another network namespace
bridge_mark() { ip -j link show dev "$BRIDGE" 2>/dev/null | jq -r '.[0].ifalias // empty'; }

bridge_up() {
	if ip link show "$BRIDGE" >/dev/null 2>&1; then
		[ "$(bridge_mark)" = "$MARK" ] ||
			die "interface $BRIDGE exists and is not the lab's; choose another with BRIDGE="
		return 0
	fi
	ip link add "$BRIDGE" type bridge
	ip link set "$BRIDGE" alias "$MARK" up
	ip addr add "$SERVER/16" dev "$BRIDGE"
	! dual || ip addr add "$(six "$SERVER")/64" dev "$BRIDGE" nodad
}

etcd_up() {
	run_in_background etcd etcd --data-dir "$LAB/etcd" --unsafe-no-fsync --name lab \
		--listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
		--listen-peer-urls "http://127.0.0.1:$((ETCD_PORT + 1))" \
		--initial-advertise-peer-urls "http://127.0.0.1:$((ETCD_PORT + 1))" \
		--initial-cluster "lab=http://127.0.0.1:$((ETCD_PORT + 1))"
}

api_start() {
	# shellcheck disable=SC2086
	run_in_background apiserver kube-apiserver --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
		--bind-address="$(dual && echo :: || echo "$SERVER")" --advertise-address="$SERVER" --secure-port=6443 \
		--tls-cert-file="$LAB/pki/apiserver.crt" --tls-private-key-file="$LAB/pki/apiserver.key" \
		--client-ca-file="$LAB/pki/ca.crt" --service-account-issuer=https://kubernetes.default.svc \
		--service-account-key-file="$LAB/pki/sa.pub" --service-account-signing-key-file="$LAB/pki/sa.key" \
		--service-cluster-ip-range="10.96.0.0/16$(! dual || echo ,fd00:96::/112)" --authorization-mode=Node,RBAC --allow-privileged \
		--enable-bootstrap-token-auth ${APISERVER_FLAGS:-}
	wait_for 90 kubectl get --raw /readyz || die "the API server does not become ready: $LAB/log/apiserver.log"
}

kcm_up() {
	run_in_background kcm kube-controller-manager --kubeconfig="$LAB/kcm.conf" --leader-elect=false \
		--service-account-private-key-file="$LAB/pki/sa.key" --root-ca-file="$LAB/pki/ca.crt" \
		--cluster-signing-cert-file="$LAB/pki/ca.crt" --cluster-signing-key-file="$LAB/pki/ca.key" \
		--use-service-account-credentials --bind-address=127.0.0.1 \
		--controllers='*,-node-lifecycle-controller' # no kubelet: it would make every pod unready
}

# What gave up meanwhile is started again, as a cluster would.
api() {
	case $1 in
	stop) stop apiserver ;;
	start) api_start; kcm_up; operator_up ;;
	*) usage ;;
	esac
}

# The control plane stops for a moment to save, and starts anew with what was saved.
backup() {
	local p
	case $1 in
	save)
		stop etcd
		rm -rf "$LAB/etcd.saved"
		cp -a "$LAB/etcd" "$LAB/etcd.saved"
		etcd_up
		wait_for 60 kubectl get --raw /readyz || die "the API server does not come back: $LAB/log/apiserver.log"
		;;
	restore)
		[ -d "$LAB/etcd.saved" ] || die "nothing was saved"
		for p in operator kcm apiserver etcd; do stop $p; done
		rm -rf "$LAB/etcd"
		cp -a "$LAB/etcd.saved" "$LAB/etcd"
		etcd_up
		api start
		;;
	*) usage ;;
	esac
}

# The settings that an installed Cilium has in its ConfigMap; agents of this project read them there.
cilium_config() {
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: v1
	kind: ConfigMap
	metadata: {name: cilium-config, namespace: kube-system}
	data:
	  cluster-name: default
	  cluster-id: "0"
	  identity-allocation-mode: crd
	  ipam: kubernetes
	  enable-ipv4: "true"
	  enable-ipv6: "$(dual && echo true || echo false)"
	  routing-mode: tunnel
	  tunnel-protocol: vxlan
	  kube-proxy-replacement: "true"
	  enable-bpf-masquerade: "true"
	  enable-l7-proxy: "false"
	Y
	# shellcheck disable=SC2086
	[ -z "${CONFIG:-}" ] || kubectl -n kube-system patch configmap cilium-config --type=merge \
		-p "$(printf '%s\n' $CONFIG | jq -Rn '{data: ([inputs | split("=") | {(.[0]): .[1]}] | add)}')" >/dev/null
}

# In place of an operator: the resource definitions of some version of Cilium, marked as the operator does.
crds_up() {
	kubectl apply -f "$CRDS/v2" -f "$CRDS/v2alpha1" >/dev/null &&
		kubectl label crd --all --overwrite "io.cilium.k8s.crd.schema.version=$(cat "$CRDS/schema-version")" >/dev/null &&
		kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null || die "the API server does not take $CRDS"
}

operator_up() {
	local gc=${GC:-30s}
	if [ -n "${CRDS:-}" ]; then crds_up; return; fi
	mkdir -p /run/cilium # each program of Cilium gets one of its own in this place
	# shellcheck disable=SC2086
	run_in_background operator unshare --mount sh -c 'mount -t tmpfs tmpfs /run/cilium && exec "$@"' sh \
		env K8S_NODE_NAME=operator CILIUM_K8S_NAMESPACE=kube-system cilium-operator \
		--k8s-kubeconfig-path="$LAB/admin.conf" --identity-allocation-mode=crd --ipam=kubernetes \
		--cluster-name=default --cluster-id=0 --operator-api-serve-addr=127.0.0.1:9234 \
		--cilium-endpoint-gc-interval="$gc" --identity-gc-interval="$gc" --nodes-gc-interval="$gc" \
		--identity-heartbeat-timeout=60s ${OPERATOR_FLAGS:-}
	wait_for 60 kubectl wait --for=condition=Established --timeout=1s crd/ciliumnodes.cilium.io \
		crd/ciliumendpoints.cilium.io crd/ciliumidentities.cilium.io crd/ciliumnetworkpolicies.cilium.io ||
		die "the operator did not make its resource definitions: $LAB/log/operator.log"
}

# Nodes

node_object() { # NAME ADDRESS POD-RANGE NUMBER
	local now ranges="\"$3\"" address6=
	! dual || {
		ranges="$ranges, \"$POOL6:$4::/64\""
		address6='{"type": "InternalIP", "address": "'"$(six "$2")"'"}, '
	}
	now=$(date -u +%FT%TZ)
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: v1
	kind: Node
	metadata: {name: $1, labels: {kubernetes.io/hostname: $1}}
	spec: {podCIDR: $3, podCIDRs: [$ranges]}
	Y
	kubectl patch node "$1" --subresource=status --type=merge -p '{"status": {"addresses": [
		{"type": "InternalIP", "address": "'"$2"'"}, '"$address6"'{"type": "Hostname", "address": "'"$1"'"}],
		"conditions": [{"type": "Ready", "status": "True", "reason": "Lab", "message": "there is no kubelet",
		"lastHeartbeatTime": "'"$now"'", "lastTransitionTime": "'"$now"'"}]}}' >/dev/null
}

# Cilium compiles its programs on the node; it looks for "clang" in PATH. Every warning is an error to it, and to clang 19
# more of what is in older ones is worth a warning.
compiler_dir() {
	local c versions="19 20 18 17"
	case $CILIUM in 1.1[4567].*) versions="16 17 15 14" ;; esac
	mkdir -p "$LAB/compiler"
	for c in $versions; do
		command -v "clang-$c" >/dev/null || continue
		ln -sf "$(command -v "clang-$c")" "$LAB/compiler/clang"
		! command -v "llc-$c" >/dev/null || ln -sf "$(command -v "llc-$c")" "$LAB/compiler/llc"
		return 0
	done
	die "Cilium $CILIUM needs clang, one of $versions: apt install clang-${versions%% *} llvm-${versions%% *}"
}

node_add() {
	local name=$1 number=$2 address=$NET.0.$((10 + $2)) range=$CLUSTER_POOL.$2.0/24
	shift 2
	compiler_dir
	node_object "$name" "$address" "$range" "$number"
	place_add "$name"
	plug "$name" "$address"
	# The places are those compiled into cilium-dbg and the CNI plugin.
	place_exec "$name" sh -ec 'mkdir -p /run/cilium /var/lib/cilium
		mountpoint -q /run/cilium || mount -t tmpfs tmpfs /run/cilium
		[ -d /var/lib/cilium/bpf ] || cp -r "$1" /var/lib/cilium/bpf' sh "$PEERS/bpf"
	# shellcheck disable=SC2086
	run_in_background "$name" "$0" exec "$name" env K8S_NODE_NAME="$name" CILIUM_K8S_NAMESPACE=kube-system \
		PATH="$LAB/compiler:$PATH" cilium-agent --k8s-kubeconfig-path="$LAB/admin.conf" \
		--identity-allocation-mode=crd --ipam=kubernetes --cluster-name=default --cluster-id=0 \
		--bpf-root=/sys/fs/bpf --cgroup-root=/sys/fs/cgroup --enable-ipv4=true --enable-ipv6="$(dual && echo true || echo false)" \
		--kube-proxy-replacement=true --enable-bpf-masquerade=true \
		--enable-l7-proxy=false --install-iptables-rules=true --devices=eth0 --enable-hubble=false \
		--enable-health-checking=false --enable-endpoint-health-checking=false --cni-exclusive=false \
		--write-cni-conf-when-ready= ${AGENT_FLAGS:---routing-mode=tunnel --tunnel-protocol=vxlan} "$@"
}

# Ready, or ended: no reason to wait longer.
node_is_settled() { ! is_running "$1" || place_exec "$1" cilium-dbg status --brief; }

node_wait() {
	wait_for 120 node_is_settled "$1" && is_running "$1" || die "node $1 does not become ready: $LAB/log/$1.log"
}

node_del() {
	stop "$1"
	place_del "$1"
	kubectl delete node "$1" --ignore-not-found >/dev/null 2>&1 || true
	kubectl delete ciliumnode "$1" --ignore-not-found >/dev/null 2>&1 || true
}

# Pods: an object, a network namespace, and the CNI plugin in place of a kubelet

cni() { # NODE COMMAND NAMESPACE NAME
	local ns=$MARK-pod-$3-$4 id
	id=$(printf '%s/%s' "$3" "$4" | sha256sum | cut -c1-64)
	echo '{"cniVersion": "0.3.1", "name": "cilium", "type": "cilium-cni", "log-file": "'"$LAB/log/cni.log"'"}' |
		place_exec "$1" env CNI_COMMAND="$2" CNI_CONTAINERID="$id" CNI_NETNS="/run/netns/$ns" CNI_IFNAME=eth0 \
		CNI_PATH="$PEERS/bin" CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=$3;K8S_POD_NAME=$4;K8S_POD_INFRA_CONTAINER_ID=$id" \
		cilium-cni
}

pod_add() {
	local node=$1 ns=$2 name=$3 labels address ports='[{"name": "http", "containerPort": 8080}]'
	ports=${PORTS:-$ports}
	labels=$(printf '%s' "${4:-}" | jq -Rs 'split(",") | map(select(. != "") | split("=") | {(.[0]): .[1]}) | add // {}')
	kubectl create namespace "$ns" >/dev/null 2>&1 || true # there already
	wait_for 20 kubectl -n "$ns" get serviceaccount default || die "namespace $ns got no service account"
	kubectl apply -f - >/dev/null <<-Y
	{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$name", "namespace": "$ns", "labels": $labels},
	 "spec": {"nodeName": "$node", "tolerations": [{"operator": "Exists"}],
	  "containers": [{"name": "c", "image": "none", "ports": $ports}]}}
	Y
	ip netns add "$MARK-pod-$ns-$name" 2>/dev/null || true # there already
	ip -n "$MARK-pod-$ns-$name" link set lo up
	address=$(cni "$node" ADD "$ns" "$name" | jq -r '.ips[].address' | cut -d/ -f1 | LC_ALL=C sort) # IPv4 first
	[ -n "$address" ] || die "the CNI plugin gave pod $ns/$name no address: $LAB/log/cni.log"
	kubectl -n "$ns" patch pod "$name" --subresource=status --type=merge -p '{"status": {"phase": "Running",
		"podIP": "'"${address%%$'\n'*}"'", "podIPs": ['"$(printf '{"ip": "%s"},' $address | sed 's/,$//')"'], "conditions": [{"type": "Ready",
		"status": "'"${READY:-True}"'", "lastTransitionTime": "'"$(date -u +%FT%TZ)"'"}]}}' >/dev/null
	echo "$address"
}

pod_node() { kubectl -n "$1" get pod "$2" -o 'jsonpath={.spec.nodeName}' 2>/dev/null; }

pod_del() {
	local node
	node=$(pod_node "$1" "$2") || node=
	[ -z "$node" ] || cni "$node" DEL "$1" "$2" >/dev/null || true # the node may be gone
	kubectl -n "$1" delete pod "$2" --ignore-not-found --force --grace-period=0 >/dev/null 2>&1 || true
	ip netns del "$MARK-pod-$1-$2" 2>/dev/null || true
}

# In the cgroup of its node too: service translation of Cilium happens there.
pod_exec() {
	local ns=$1 name=$2 node
	shift 2
	node=$(pod_node "$ns" "$name") || die "no pod $ns/$name"
	place_exec "$node" nsenter --net="/run/netns/$MARK-pod-$ns-$name" "$@"
}

# Hosts

host_add() {
	place_add "$1"
	plug "$1" "$2"
}

# All

up() {
	local nodes=${1:-2} i
	[ "$(id -u)" = 0 ] || die "needs root"
	"$HERE/peers.sh" check || die "build the peers first: $HERE/peers.sh build"
	mkdir -p "$LAB"
	make_pki
	bridge_up
	etcd_up
	api_start
	kcm_up
	cilium_config
	operator_up
	for i in $(seq "$nodes"); do node_add "node$i" "$i"; done
	host_add host1 "$NET.100.2"
	for i in $(seq "$nodes"); do node_wait "node$i"; done
	printf 'export LAB=%s KUBECONFIG=%s PATH=%s:$PATH\n' "$LAB" "$KUBECONFIG" "$PEERS/bin" >"$LAB/READY"
	echo "ready: export KUBECONFIG=$KUBECONFIG"
}

down() {
	local p
	rm -f "$LAB/READY"
	for p in $(ip netns list | awk '{print $1}' | grep "^$MARK-pod-"); do ip netns del "$p"; done
	for p in "$LAB"/pid/node*; do [ ! -e "$p" ] || stop "${p##*/}"; done
	for p in operator kcm apiserver etcd; do stop $p; done
	for p in "$LAB"/place/*; do [ ! -e "$p" ] || place_del "${p##*/}"; done
	for p in "$LAB"/pid/*; do [ ! -e "$p" ] || stop "${p##*/}"; done
	! mountpoint -q "$LAB/cgroup" || umount "$LAB/cgroup"
	[ "$(bridge_mark)" != "$MARK" ] || ip link del "$BRIDGE"
	# /run/cilium stays: removing it would take the mounts of other labs with it
	rm -rf "$LAB/etcd" "$LAB/etcd.saved" "$LAB/cgroup" "$LAB/place" "$LAB/pid" "$LAB/compiler"
}

status() {
	local p
	for p in "$LAB"/pid/*; do
		[ -e "$p" ] || continue
		is_running "${p##*/}" && echo "${p##*/}: running" || echo "${p##*/}: ended"
	done
	kubectl get nodes,pods -A -o wide
}

[ $# -gt 0 ] || usage
case $1 in
up | down | status) "$@" ;;
api) api "${2:-}" ;;
etcd) backup "${2:-}" ;;
exec) shift; [ $# -gt 1 ] || usage; place_become "$@" ;;
kubectl) shift; kubectl "$@" ;;
node) case ${2:-} in add) shift 2; node_add "$@"; node_wait "$1" ;; del) node_del "$3" ;; *) usage ;; esac ;;
pod) case ${2:-} in add | del | exec) f=pod_$2; shift 2; "$f" "$@" ;; *) usage ;; esac ;;
host) case ${2:-} in add) host_add "$3" "$4" ;; del) place_del "$3" ;; *) usage ;; esac ;;
*) usage ;;
esac
