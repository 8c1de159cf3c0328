#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The names of a cluster as CoreDNS answers them: Services, slices and Namespaces of every kind on a real API server,
# a joined host's DNS server and the real CoreDNS on them, and questions to both, whose answers must be equal.
# dns.allowed has the exceptions. Then the frontends and backends that the host has of the same Services, and those that the
# real Cilium of a node has; and all cases of tests/data/dns and tests/data/service on that API server.
#   QUESTIONS=10000 SERVICES=200   how much
#   SEED=N FROM=N                  the objects, and the question to begin with; the seed is printed
#   KEEP=1                         keeps the lab when done, and says how to enter and end it
# Needs root, the peers (peers.sh, with CoreDNS), ip6tables (Cilium asks for it with IPv6), jq, and the built programs in
# BUILD. Lives in namespaces of its own.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD} FAMILIES=dual
SEED=${SEED:-7} FROM=${FROM:-0} QUESTIONS=${QUESTIONS:-10000} SERVICES=${SERVICES:-200}

. "$here/lib.sh"
"$here/peers.sh" check coredns || skip_all "CoreDNS is not built: tests/cluster/peers.sh build coredns"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/dns_diff" "ip6tables jq" "$@"
. "$here/story_lib.sh"
. "$here/service_cases.sh"
give_up() { echo "FAIL coredns: $*"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
trap 'lab_leave "$LAB/again FROM COUNT asks"' EXIT
trap 'exit 130' INT TERM

OURS=127.18.53.53 THEIRS=127.0.0.10 UPSTREAM=127.0.0.9

# Two servers in one: that of the cluster, and one of the world outside which both ask for all else.
coredns_start() {
	cat >"$LAB/Corefile" <<-C
	.:53 {
	  bind $THEIRS
	  errors
	  ready 127.0.0.10:8181
	  loadbalance
	  kubernetes cluster.local clusterset.local in-addr.arpa ip6.arpa {
	    kubeconfig $LAB/admin.conf
	    multicluster clusterset.local
	    fallthrough in-addr.arpa ip6.arpa
	  }
	  forward . $UPSTREAM
	}
	.:53 {
	  bind $UPSTREAM
	  errors
	  file $LAB/zone .
	}
	C
	cat >"$LAB/zone" <<-Z
	\$ORIGIN .
	\$TTL 60
	.                  SOA a.root. admin.root. 1 7200 3600 86400 60
	.                  NS  a.root.
	a.root.            A   192.0.2.1
	example.com.       A   192.0.2.10
	api.example.com.   A   203.0.113.5
	api.example.com.   A   203.0.113.6
	api.example.com.   AAAA 2001:db8::5
	alias.example.com. CNAME api.example.com.
	8.8.8.8.in-addr.arpa. PTR dns.example.com.
	Z
	background serve-coredns host1 coredns -conf "$LAB/Corefile"
	wait_for 30 at host1 curl -sf http://127.0.0.10:8181/ready
}

# A headless service that says who is not ready, too: its slices are those of the cluster's own controller.
pods_make() {
	local i
	kubectl apply -f - >/dev/null <<-Y || return 1
	apiVersion: v1
	kind: Service
	metadata: {name: early, namespace: prod}
	spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: early}, ports: [{name: pg, port: 5432}]}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: late, namespace: prod}
	spec: {clusterIP: None, selector: {app: early}, ports: [{name: pg, port: 5432}]}
	Y
	wait_for 20 kubectl -n prod get serviceaccount default || return 1
	for i in 0 1 2; do
		kubectl apply -f - >/dev/null <<-Y || return 1
		{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "early-$i", "namespace": "prod", "labels": {"app": "early"}},
		 "spec": {"nodeName": "node1", "hostname": "early-$i", "subdomain": "early",
		  "tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "none"}]}}
		Y
		kubectl -n prod patch pod early-$i --subresource=status --type=merge -p '{"status": {"phase": "Running",
			"podIP": "10.61.0.1'$i'", "podIPs": [{"ip": "10.61.0.1'$i'"}], "conditions": [{"type": "Ready",
			"status": "'"$([ $i = 0 ] && echo True || echo False)"'"}]}}' >/dev/null || return 1
	done
}

objects_make() {
	kubectl apply -f "$PEERS/coredns/serviceimports.yaml" >/dev/null &&
		wait_for 20 kubectl get serviceimports -A &&
		"$BUILD/tests/cluster/dns_diff" make "$SEED" "$SERVICES" >"$LAB/made.json" &&
		kubectl create -f "$LAB/made.json" >/dev/null && pods_make
}

# What a cloud would write.
load_balancers_make() {
	local n=1 ns name
	while read -r ns name; do
		kubectl -n "$ns" patch service "$name" --subresource=status --type=merge -p \
			'{"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.'$n'"}]}}}' >/dev/null || return 1
		n=$((n + 1))
	done < <(jq -r '.items[] | select(.spec.type == "LoadBalancer") | "\(.metadata.namespace) \(.metadata.name)"' "$LAB/made.json" | head -5)
}

# Address, port, protocol, Service, backends that get new connections; a line each. An endpoint that has several addresses is
# one backend for this host, by its first, as for kube-proxy; Cilium takes all of them, so the others are left out here.
frontends() {
	local chosen='def chosen: map(select(.state == "active")) as $a | if $a == [] then map(select(.state == "terminating")) else $a end;
		def is_first: .ip as $ip | $further[0] | index($ip) | not;'
	jq '[.items[] | select(.kind == "EndpointSlice") | .endpoints[]? | .addresses[1:][]] | unique' "$LAB/objects.json" >"$LAB/further"
	at node1 cilium-dbg service list -o json | jq -r --slurpfile further "$LAB/further" "$chosen"' .[].spec | ."frontend-address" as $f
		| "\($f.ip) \($f.port) \($f.protocol | ascii_downcase) \(.flags.type) \(.flags.namespace)/\(.flags.name) \([(."backend-addresses" // [])
		  | chosen[] | select(is_first) | "\(.ip):\(.port)"] | sort | join(","))"' | sort >"$LAB/frontends.cilium"
	ctl host1 service list -o json | jq -r --slurpfile further "$LAB/further" "$chosen"' .[] | . as $s | .frontends[]
		| "\(.address) \(.port) \(.protocol) \($s.type) \($s.namespace)/\($s.name) \([$s.backends[] | {ip: .address, port, state}]
		  | [chosen[] | select(is_first) | "\(.ip):\(.port)"] | sort | join(","))"' | sort >"$LAB/frontends.ours"
}
frontends_are_equal() {
	frontends && [ "$(wc -l <"$LAB/frontends.ours")" -gt "$SERVICES" ] && diff "$LAB/frontends.ours" "$LAB/frontends.cilium"
}

early_is_there() { is "$(kubectl -n prod get endpointslices -l kubernetes.io/service-name=early -o 'jsonpath={.items[*].endpoints[*].hostname}' | wc -w)" 3; }

join() {
	host_dir host1
	printf 'zone = "%s";\ndns: { upstreams = [ "%s" ]; };\n' $CASE_ZONE $UPSTREAM >>"$(conf_of host1)"
	admin cluster setup >/dev/null || return 1
	kubectl create namespace legacy >/dev/null
	service legacy ahch-to '{"jedi": "luke"}' 80 '{"io.cilium/portal": "true"}' # which the host itself stands behind
	admin host add ahch-to --namespace legacy --labels jedi=luke --address $HOST --serve ahch-to --zone $CASE_ZONE >"$LAB/token" || return 1
	at host1 "$BUILD/mesh-join" --no-start --config "$(conf_of host1)" --token "$(token_in "$LAB/token")" || return 1
	daemon host1
	wait_for 30 state_is host1 ok
}

# The last object that was made is known to both, and so are all before it.
is_known() { # SERVER
	at host1 "$BUILD/tests/cluster/dns_diff" knows "$1:53" marker.empty.svc.cluster.local
}

variant=coredns start=$SECONDS
export CONFIG="enable-ipv6=true"
lab_up 1 || give_up "the cluster does not start"
objects_make && load_balancers_make || give_up "the objects are not made"
check "the slices of the cluster's controller are there" soon early_is_there
coredns_start || give_up "CoreDNS does not start"
join >"$LAB/join.out" 2>&1 || { tail -5 "$LAB/join.out" | sed 's/mesh1\.[A-Za-z0-9_-]*/mesh1.../g'; give_up "the host does not join"; }
kubectl -n empty create service clusterip marker --tcp=80 --clusterip=10.96.99.99 >/dev/null || give_up "no last object"
check "the agent knows the last object" soon is_known $OURS
check "CoreDNS knows the last object" soon is_known $THEIRS
kubectl get namespaces,services,endpointslices,serviceimports -A -o json >"$LAB/objects.json"
echo "# the lab is up after $((SECONDS - start)) s; seed $SEED"
cat >"$LAB/again" <<-A
	#!/bin/bash
	export LAB='$LAB' MARK='$MARK'
	. "$here/lib.sh"
	place_exec host1 "$BUILD/tests/cluster/dns_diff" ask "$LAB/objects.json" $SEED \$1 \$2 $OURS:53 $THEIRS:53 "$here/dns.allowed"
A
chmod +x "$LAB/again"
start=$SECONDS
"$LAB/again" "$FROM" "$QUESTIONS" | tee "$LAB/result"
status=${PIPESTATUS[0]}
echo "# questions: $((SECONDS - start)) s"
if [ "$status" = 0 ]; then pass "$(tail -1 "$LAB/result")"; else fail "the answers differ: $(tail -1 "$LAB/result")"; fi
check "the host has the frontends and backends that Cilium has" soon frontends_are_equal
echo "# $(wc -l <"$LAB/frontends.ours") frontends"
service_cases
lab_told t_coredns.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
