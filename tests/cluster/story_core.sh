# Joining, reaching pods and services, being a service, policies. Sourced by story.sh.

join_host() { # PLACE TOKEN-FILE
	at "$1" "$BUILD/mesh-join" --no-start --config "$(conf_of "$1")" --token "$(token_in "$2")"
}

# The lab fits as it is, but for what a variant or an older version changes.
cluster_is_judged() {
	local list want='' code
	list=$(admin cluster check -o json)
	code=$?
	case $CILIUM in 1.14.*) want="degraded io.cilium.k8s.crd.schema.version" ;; esac
	[ "$variant" != native-outside ] || want="degraded ipv4-native-routing-cidr${want:+$'\n'$want}"
	is "$(jq -r '.[] | select(.fit != "fits") | "\(.fit) \(.key)"' <<<"$list")" "$want" && is $code "$([ "$want" ] && echo 1 || echo 0)"
}

# What the kernel of the host holds that an agent could leave behind
kernel_state() {
	at host1 sh -c 'bpftool net show; ip -o link show; tc qdisc show; ip route show table all proto 155; ip rule
		find /sys/fs/bpf; bpftool cgroup show /sys/fs/cgroup; grep -H . /proc/sys/net/ipv4/conf/*/rp_filter'
}

story_join() {
	local begin
	kernel_state >"$LAB/kernel.before"
	check "cluster check says what of the cluster fits" cluster_is_judged
	check "the cluster is set up" admin cluster setup
	check "ahch-to is enrolled" enrol ahch-to --labels jedi=luke --address $HOST,fd00:19::2 --serve ahch-to --zone a
	check "crait is enrolled" enrol crait --labels jedi=rey --address $OTHER --serve crait --zone crait
	id=$(kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.status.identity.id}')
	id_other=$(kubectl -n legacy get ciliumendpoint crait -o 'jsonpath={.status.identity.id}')
	[ "$variant" != vxlan ] || check "forbidden writes with the host's credential fail, allowed ones work" attacks
	kubectl -n legacy delete events.events.k8s.io --all >/dev/null # of the allowed ones; their text cannot change
	begin=$(now_ms)
	check "ahch-to joins" join_host host1 "$LAB/token.ahch-to"
	[ -s "$LAB/host/host1/state/token" ] || return 1 # nothing can be said about the rest
	daemon host1
	wait_for 20 in_ipcache node1 $HOST "$id"
	took=$(($(now_ms) - begin))
	joined_at=$SECONDS
	check "the stock agent knows it with its identity, after ${took} ms" in_ipcache node1 $HOST "$id"
	# with slices the operator gathers changes first
	[ "$variant" = ces ] || in_time "which is within two seconds of the join" $took 2000
	check "the other node's agent knows it, too" soon in_ipcache node2 $HOST "$id"
	if [ "$variant" = native-outside ]; then
		check "host add warns of masquerading" grep "masquerade.*ipv4-native-routing-cidr" "$LAB/warnings.ahch-to"
		check "meshctl status names it, with the key that decides" soon masquerading_is_told
	else
		check "meshctl status says that all is well" soon state_is host1 ok
	fi
	objects=$(objects_of_host)
	check "crait joins" join_host crait "$LAB/token.crait"
	daemon crait
	check "the stock agent knows crait" soon in_ipcache node1 $OTHER "$id_other"
	check "crait is well" soon state_is crait "$([ "$variant" = native-outside ] && echo degraded || echo ok)"
	return 0
}

enrol() { # NAME ARGUMENT...
	local name=$1 code
	shift
	# the cases of attack.sh need an IPv6 range beside the other; the nodes of the lab have IPv4 only
	has_ipv6 true
	admin host add "$name" --namespace legacy "$@" >"$LAB/token.$name" 2>"$LAB/warnings.$name"
	code=$?
	has_ipv6 false
	cat "$LAB/warnings.$name" >&2
	[ $code -eq 0 ] || cat "$LAB/token.$name"
	return $code
}
has_ipv6() {
	kubectl -n kube-system patch configmap cilium-config --type=merge -p '{"data": {"enable-ipv6": "'"$1"'"}}' >/dev/null
}

reaches_name() { at host1 curl -sS -m 3 "http://$1/" | grep "^resistance from $HOST"; }

story_reach() {
	local cluster_ip p
	cluster_ip=$(kubectl -n default get service resistance -o 'jsonpath={.spec.clusterIP}')
	printf 'nameserver 127.18.53.53\n' >"$LAB/host/resolv.conf"
	at host1 mount --bind "$LAB/host/resolv.conf" /etc/resolv.conf
	for p in pod:empire crait world node2; do
		check "without policy $p reaches the pod" soon reaches $p "${pod_ip[resistance]}" 8080 resistance
	done
	check "the host reaches the pod, with its own address" soon reaches host1 "${pod_ip[resistance]}" 8080 resistance $HOST
	pod_admits_luke 8080
	check "the pod admits jedi=luke only: the other pod is kept out" soon dropped pod:empire "${pod_ip[resistance]}" 8080
	for p in crait world node2; do
		check "$p is kept out" dropped $p "${pod_ip[resistance]}" 8080
	done
	check "the host is let in" reaches host1 "${pod_ip[resistance]}" 8080 resistance
	check "the host reaches the service by its ClusterIP" soon reaches_name "$cluster_ip"
	check "the host reaches the service by its name" soon reaches_name resistance.default.svc.cluster.local
	check "names outside the cluster are not invented" not at host1 getent hosts nobody.default.svc.cluster.local
	kubectl delete ciliumclusterwidenetworkpolicy luke-only >/dev/null
	check "without the policy the other pod is back" soon reaches pod:empire "${pod_ip[resistance]}" 8080 resistance
}

# the protocol is told by newer versions only
backend_listed() { at node1 cilium-dbg service list | grep -E "[^0-9]${1:-$HOST}:80(/TCP)? \(active\)"; } # [ADDRESS]
backend_not_listed() {
	local list
	list=$(at node1 cilium-dbg service list) && [ "$list" ] && ! grep -E "[^0-9]${1:-$HOST}:80(/TCP)? \(active\)" <<<"$list"
}

story_serve() {
	local ip
	ip=$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.clusterIP}')
	check "the stock agent lists the host as active backend" soon backend_listed
	check "a pod reaches the host by the service's ClusterIP" soon reaches pod:resistance "$ip" 80 host1
	check "a pod on another node, too" soon reaches pod:empire "$ip" 80 host1
}

host_conditions() {
	kubectl -n legacy get endpointslice ahch-to-mesh-ahch-to -o json |
		jq -r '.endpoints[0].conditions | "\(.ready) \(.serving) \(.terminating)"' | grep -x "$1"
}
# The workload moves: a pod takes over while the host's server is down, and shares when it is back.
story_probe() {
	local ip
	ip=$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.clusterIP}')
	check "the host's workload is ready" soon host_conditions "true true false"
	kubectl apply -f - >/dev/null <<-Y
	{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
	 "metadata": {"name": "ahch-to-moved", "namespace": "legacy", "labels": {"kubernetes.io/service-name": "ahch-to"}},
	 "endpoints": [{"addresses": ["${pod_ip[empire]}"], "conditions": {"ready": true}}], "ports": [{"name": "http", "port": 8080}]}
	Y
	check "a pod answers for the service, too" soon reaches pod:resistance "$ip" 80 empire
	stop serve-host1-80
	check "its server dies: the slice says not ready" within 3 host_conditions "false false false"
	check "the stock agent takes the host out" within 5 backend_not_listed
	check "clients in pods go to the pod" reaches pod:resistance "$ip" 80 empire
	check "all of them" reaches pod:resistance "$ip" 80 empire
	check "an Event on the service says why" soon eval "kubectl -n legacy describe service ahch-to | grep 'MeshHostNotReady.*tcp .* port 80'"
	background serve-host1-80 host1 "$peer" serve 80 host1
	check "its server is back: ready" within 4 host_conditions "true true false"
	check "the stock agent lists it again" within 5 backend_listed
	kubectl -n legacy delete endpointslice ahch-to-moved >/dev/null
	check "clients in pods come back" soon reaches pod:resistance "$ip" 80 host1
}

# policy NAME SPEC...: on the host
policy() {
	{
		printf 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: %s, namespace: legacy}\nspec:\n' "$1"
		printf '  endpointSelector: {matchLabels: {jedi: luke}}\n'
		cat
	} | kubectl apply -f - >/dev/null
}
pod_admits_luke() { # [PORT], else all: the pod resistance, by a policy of its own
	local ports=
	[ -z "${1:-}" ] || ports=", toPorts: [{ports: [{port: \"$1\", protocol: TCP}]}]"
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: cilium.io/v2
	kind: CiliumClusterwideNetworkPolicy
	metadata: {name: luke-only}
	spec:
	  endpointSelector: {matchLabels: {org: resistance}}
	  ingress: [{fromEndpoints: [{matchLabels: {jedi: luke}}]$ports}]
	Y
}
from_orgs() { # ORG,ORG
	policy ingress <<-Y
	  ingress:
	  - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default},
	      matchExpressions: [{key: org, operator: In, values: [$1]}]}]
	    toPorts: [{ports: [{port: "80", protocol: TCP}, {port: "7000", protocol: UDP}]}]
	Y
}
to_orgs() {
	policy egress <<-Y
	  egress:
	  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: default},
	      matchExpressions: [{key: org, operator: In, values: [$1]}]}]
	    toPorts: [{ports: [{port: "8080", protocol: TCP}, {port: "7000", protocol: UDP}]}]
	Y
}

story_policy() {
	local p
	# connections from before the policies
	background hold-in-resistance pod:resistance "$peer" hold $HOST 80
	background hold-in-empire pod:empire "$peer" hold $HOST 80
	background hold-in-world world "$peer" hold $HOST 80
	background hold-out-resistance host1 "$peer" hold "${pod_ip[resistance]}" 8080
	background hold-out-empire host1 "$peer" hold "${pod_ip[empire]}" 8080
	background hold-out-crait host1 "$peer" hold $OTHER 80
	for p in in-resistance in-empire in-world out-resistance out-empire out-crait; do
		check "a long connection runs ($p)" soon goes_on hold-$p
	done

	from_orgs resistance
	check "ingress: a pod that is not admitted is kept out" soon dropped pod:empire $HOST 80
	for p in crait world node1 node2; do
		check "ingress: $p is kept out" dropped $p $HOST 80
	done
	check "ingress: the admitted pod is let in" reaches pod:resistance $HOST 80 host1
	check "ingress: not on another port" dropped pod:resistance $HOST 8080
	check "ingress: its long connection goes on" goes_on hold-in-resistance
	check "ingress: the long connection of the other pod is cut" is_cut hold-in-empire
	check "ingress: the long connection of a strange machine is cut" is_cut hold-in-world
	check "ingress: what the host began is not touched" goes_on hold-out-empire
	check "ingress: new connections of the host neither" reaches host1 "${pod_ip[empire]}" 8080 empire
	check "the failsafe port stays open" reaches world $HOST 22 host1
	check "meshctl lists the policy as enforced" policy_is_enforced ingress

	# The kernel tells a local sender of each dropped packet, and TCP gives up after eight seconds: not that long here.
	to_orgs resistance
	check "egress: the long connection to a pod that is not admitted is cut" soon is_cut hold-out-empire 0.5
	check "egress: the long connection to another joined host is cut" is_cut hold-out-crait 0.5
	to_orgs resistance,empire
	check "admitted again: the long connection to the pod goes on" soon goes_on hold-out-empire
	check "egress: the long connection to the admitted pod goes on" goes_on hold-out-resistance
	# a peer that was not answered asks again after up to as long a time as it was cut off
	from_orgs resistance,empire
	check "admitted again: the other pod is let in" soon reaches pod:empire $HOST 80 host1
	check "admitted again: its long connection goes on" wait_for 60 goes_on hold-in-empire
	check "and the strange machine still is kept out" is_cut hold-in-world

	to_orgs resistance
	check "egress: a pod that is not admitted is out of reach" soon dropped host1 "${pod_ip[empire]}" 8080
	check "egress: another joined host is out of reach" dropped host1 $OTHER 80
	check "egress: a strange machine is out of reach" dropped host1 $WORLD 80
	check "egress: a node is out of reach" dropped host1 172.19.0.11 8080
	check "egress: the admitted pod is reached" reaches host1 "${pod_ip[resistance]}" 8080 resistance
	check "egress: by the name of its service, too" reaches_name resistance.default.svc.cluster.local
	check "egress: answers to admitted peers are not touched" goes_on hold-in-resistance
	check "egress: the API server stays in reach" soon state_is host1 ok
	kubectl -n legacy delete ciliumnetworkpolicy ingress egress >/dev/null
	check "without policies the strange machine's connection goes on" wait_for 60 goes_on hold-in-world
	check "without policies the host reaches it" soon reaches host1 $WORLD 80 world
	for p in in-resistance in-empire in-world out-resistance out-empire out-crait; do stop hold-$p; done
}

policy_is_enforced() {
	is "$(ctl host1 policy list -o json | jq -r --arg n "$1" '[.. | objects | select(.name? == $n) | .state] | first')" enforced
}

masquerading_is_told() {
	is "$(ctl host1 status -o json | jq -r '[.. | objects | select(.name? == "cluster.masquerade") | .severity] | first')" warning &&
		grep "ipv4-native-routing-cidr" <<<"$(ctl host1 status)" # which exits with 1, as it is degraded
}

# Nodes put their own address in place of a pod's: what a policy says of pods lets none in, and nobody else either.
story_masquerade() {
	local p
	check "the host reaches a pod, with its own address" soon reaches host1 "${pod_ip[resistance]}" 8080 resistance $HOST
	check "a pod reaches the host, with the address of its node" soon reaches pod:resistance $HOST 80 host1 172.19.0.11
	check "a pod of the other node, too" soon reaches pod:empire $HOST 80 host1 172.19.0.12
	from_orgs resistance
	check "a policy that admits the pod by label does not find it" soon dropped pod:resistance $HOST 80
	for p in pod:empire crait world node1; do check "nor does it let $p in" dropped $p $HOST 80; done
	check "the failsafe port stays open" reaches world $HOST 22 host1
	policy ingress <<-Y
	  ingress:
	  - fromEntities: [remote-node]
	    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
	Y
	check "a policy that admits nodes lets pods in with them" soon reaches pod:resistance $HOST 80 host1 172.19.0.11
	check "and no strange machine" dropped world $HOST 80
	kubectl -n legacy delete ciliumnetworkpolicy ingress >/dev/null
	to_orgs resistance
	check "egress: a pod that is not admitted is out of reach" soon dropped host1 "${pod_ip[empire]}" 8080
	check "egress: the admitted pod is reached" reaches host1 "${pod_ip[resistance]}" 8080 resistance $HOST
	kubectl -n legacy delete ciliumnetworkpolicy egress >/dev/null
	pod_admits_luke
	check "a pod that admits jedi=luke keeps the other host out" soon dropped crait "${pod_ip[resistance]}" 8080
	check "and lets the host in" reaches host1 "${pod_ip[resistance]}" 8080 resistance $HOST
	kubectl delete ciliumclusterwidenetworkpolicy luke-only >/dev/null
}
