# SPDX-License-Identifier: Apache-2.0
# A part of story_netns.sh: what a host sees of the services of its cluster; sourced. bash.
# Both pods serve another port, 8090, for the Service archive.
SVC=/api/v1/namespaces/legacy/services SLICES=/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices
CEPS=/apis/cilium.io/v2/namespaces/legacy/ciliumendpoints

# archive SPEC: the Service, with what a case is about
archive() {
	apply $SVC/archive <<Y
{apiVersion: v1, kind: Service, metadata: {name: archive, namespace: legacy}, spec: {clusterIP: 10.96.0.81,
 clusterIPs: [10.96.0.81], ipFamilies: [IPv4], ports: [{name: http, port: 80, protocol: TCP, targetPort: 8090, nodePort: ${NODE_PORT:-0}}], $1}}
Y
}
# slice NAME ADDRESS FIELDS...: one endpoint of it, in a slice of its own
slice() {
	apply $SLICES/archive-"$1" <<Y
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: archive-$1, namespace: legacy,
 labels: {kubernetes.io/service-name: archive}}, endpoints: [{addresses: [$2], $3}], ports: [{name: http, port: 8090, protocol: TCP}]}
Y
}
answers() { # times, address, port: which pods answered
	local i
	for ((i = 0; i < $1; i++)); do reaches ahch-to "$2" "${3:-80}"; done | sort -u | tr '\n' ' '
}
backends() { # how many the host has for an address
	host ahch-to service list -o json | jq "[.[] | select(.name == \"archive\" and .frontends[0].address == \"$1\") | .backends[]] | length"
}
has_backends() { [ "$(backends "$1")" = "$2" ]; }
# The connection is refused at once: nobody waits for an answer that cannot come.
refused() {
	local r=0
	in_place ahch-to curl -fs --max-time 3 "http://$2:${3:-80}/" >"$T/out" 2>&1 || r=$?
	is "$1" 7 $r
}
# hold ADDRESS PORT: a connection that waits for an answer; writes how it ended to $T/log/held
hold() {
	: >"$T/log/held"
	become ahch-to bash -c 'exec 3<>"/dev/tcp/$0/$1" && echo open && ! read -r -t 60 -u 3 && echo "over: $?"' "$1" "$2" >"$T/log/held" 2>&1 &
	check "a long connection to $1 port $2" wait_for 3 grep -q open "$T/log/held"
}
is_held() { ! grep -q over "$T/log/held"; }

services() {
	local one name pid
	apply /api/v1/namespaces/default/services/kubernetes <<Y
{apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 10.96.0.1,
 clusterIPs: [10.96.0.1], ipFamilies: [IPv4], ports: [{name: https, port: 443, protocol: TCP, targetPort: 6443}]}}
Y
	apply /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes <<Y
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: kubernetes, namespace: default,
 labels: {kubernetes.io/service-name: kubernetes}}, endpoints: [{addresses: [$API]}], ports: [{name: https, port: 6443, protocol: TCP}]}
Y
	check "the API server by its name, kubernetes.default.svc" wait_for 10 in_place ahch-to curl -ks --max-time 2 \
		https://kubernetes.default.svc.cluster.local/version
	for name in leia vader; do
		become $name "$T/bin/tests/netns/story_peer" serve 8090 "$name" >"$T/log/$name-archive" 2>&1 &
		[ $name = leia ] && pid=$!
	done
	archive 'type: ClusterIP'
	slice 1 $LEIA 'conditions: {ready: true}'
	slice 2 $VADER 'conditions: {ready: true}'
	wait_for 10 has_backends 10.96.0.81 2
	is "both pods get connections" "leia vader " "$(answers 30 10.96.0.81)"

	archive 'type: ClusterIP, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 3600}}'
	wait_for 10 eval "host ahch-to service list -o json | grep -q affinity_s"
	one=$(answers 1 10.96.0.81)
	is "with affinity one does" "$one" "$(answers 20 10.96.0.81)"
	die_daemon
	is "also after the daemon died" "$one" "$(answers 10 10.96.0.81)"
	[ "$one" = "leia " ] && remove $SLICES/archive-1 || remove $SLICES/archive-2
	wait_for 10 has_backends 10.96.0.81 1
	is "until it goes" 1 "$(answers 10 10.96.0.81 | grep -cv "$one")"

	slice 1 $LEIA 'conditions: {ready: false, serving: true, terminating: true}'
	slice 2 $VADER 'conditions: {ready: false, serving: false, terminating: true}'
	wait_for 10 eval "host ahch-to service list | grep -q 'those that terminate still serve'"
	is "all terminate: one that still serves gets connections" "leia " "$(answers 10 10.96.0.81)"
	slice 1 $LEIA 'conditions: {ready: false}'
	wait_for 10 has_backends 10.96.0.81 0
	refused "no backend: refused at once" 10.96.0.81
	slice 1 $LEIA 'conditions: {ready: true}, nodeName: node1, hints: {forZones: [{name: endor}]}'
	slice 2 $VADER 'conditions: {ready: true}, nodeName: node2, hints: {forZones: [{name: hoth}]}'
	archive 'type: ClusterIP'
	wait_for 10 has_backends 10.96.0.81 1
	is "hints: those of its zone only" "leia " "$(answers 10 10.96.0.81)"
	archive 'type: ClusterIP, internalTrafficPolicy: Local'
	wait_for 10 has_backends 10.96.0.81 0
	refused "internalTrafficPolicy Local, and none is here" 10.96.0.81

	refused "no node port yet" 172.19.100.12 30081
	NODE_PORT=30081 archive 'type: LoadBalancer, externalIPs: [192.0.2.82]'
	apply $SVC/archive/status <<<"{apiVersion: v1, kind: Service, metadata: {name: archive, namespace: legacy}, status: {loadBalancer: {ingress: [{ip: 192.0.2.81}]}}}"
	wait_for 10 has_backends 192.0.2.81 1
	passes "a node port, on a node that has no pod of it" ahch-to 172.19.100.12 30081
	passes "on another node" ahch-to 172.19.100.11 30081
	refused "not on another host" $CRAIT 30081
	passes "the address of a load balancer" ahch-to 192.0.2.81
	is "external addresses are not believed" 0 "$(backends 192.0.2.82)"
	vanishing "$pid"
	remove $SVC/archive
	remove $SLICES/archive-1
	remove $SLICES/archive-2
}

# vanishing PID: what becomes of connections to a pod whose process, this one, hangs
vanishing() {
	local since
	kill -STOP "$1"
	hold 172.19.100.12 30081
	remove $SLICES/archive-1
	wait_for 10 has_backends 10.96.0.81 1
	sleep 0.5
	check "out of the Service, but running: it keeps its connection" is_held
	since=$(date +%s%N)
	remove $CEPS/leia
	check "once it has vanished, the connection is ended" wait_for 5 eval "! is_held"
	echo "    after $((($(date +%s%N) - since) / 1000000)) ms"
	is "and counted" 1 "$(status ahch-to .services.ended_connections)"
	kill -CONT "$1"
	pod_manifest leia $LEIA $LEIA_ID node1 172.19.100.11 rebel | sed -n '/kind: CiliumEndpoint/,$p' | apply $CEPS/leia
	passes "the pod is back" ahch-to $LEIA 8080
}
