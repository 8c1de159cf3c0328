# The cases of tests/data/dns and tests/data/service on a real API server: their objects, what the joined host answers to their
# questions, and which backends it has for their Services. Sourced by t_coredns.sh after story_lib.sh.
data=$here/../data
CASE_ZONE=mesh-z1 # the zone of the host, where the cases say z1

# The objects of the names, as an API server takes them: it makes uids, wants the first address and a word for two, and host
# names in lower case.
names_objects() {
	jq '{apiVersion: "v1", kind: "List", items: ([(.services[] | {apiVersion: "v1", kind: "Service"} + del(.status)),
		((.slices + .import_slices)[] | {apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice"} + .
			| if .endpoints then .endpoints |= map(if .hostname then .hostname |= ascii_downcase else . end) else . end),
		(.imports[] | {apiVersion: "multicluster.x-k8s.io/v1alpha1", kind: "ServiceImport"} + .)]
		| map(del(.metadata.uid, .metadata.creationTimestamp)
			| if .spec.clusterIPs then .spec.clusterIP //= .spec.clusterIPs[0] else . end
			| if .spec.clusterIPs[1]? then .spec.ipFamilyPolicy = "RequireDualStack" else . end))}' "$data/dns/objects.json"
}
backends_objects() { jq --arg zone $CASE_ZONE --arg host ahch-to -f "$here/service_cases.jq" "$data/service/backends.json"; }

# ID and backends of each case, a line each: as they should be, and as the host has them for new connections.
backends_wanted() {
	jq -r '.[] | select(.clustermesh | not) | "\(.id | ascii_downcase) \(.expect | sort | join(","))"' "$data/service/backends.json" | sort
}
backends_here() {
	ctl host1 service list -o json | jq -r '.[] | select((.name | startswith("case-")) and .type != "portal") | .name as $name | .backends
		| map(select(.state == "active")) as $a | (if $a == [] then map(select(.state == "terminating")) else $a end)
		| "\($name | ltrimstr("case-")) \(map("\(.address):\(.port)") | sort | join(","))"' | sort
}
backends_are_as_wanted() { diff <(backends_wanted) <(backends_here); }

names_are_as_wanted() { at host1 "$BUILD/tests/cluster/dns_diff" cases "$data/dns/cases.json" "$OURS:53"; }
# What EHOSTUNREACH says: a connection that nobody could answer is not begun.
has_no_route() {
	# shellcheck disable=SC2016 # it is the inner shell's
	{ ! at host1 timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/80"' "$1"; } 2>&1 | grep -i 'no route to host'
}

service_cases() {
	local n
	kubectl -n prod delete services,endpointslices,serviceimports,pods --all --force --grace-period=0 >/dev/null 2>&1
	check "the objects of the cases of names are taken" eval 'names_objects | kubectl create -f -'
	check "every name of the cases is answered as they say" soon names_are_as_wanted
	names_are_as_wanted | tail -1 | sed 's/^/# /'
	kubectl -n prod delete services,endpointslices,serviceimports --all >/dev/null
	check "the objects of the cases of backends are taken" eval 'backends_objects | kubectl create -f -'
	check "every Service of the cases has the backends that they say" soon backends_are_as_wanted
	n=$(backends_wanted | wc -l)
	echo "# $n cases of backends, of $(jq length "$data/service/backends.json"): the others need a clustermesh"
	check "without a backend a connection ends at once" has_no_route 10.96.0.32 # that of B05
}
