# The cases of tests/data/service/backends.json as objects of an API server: a Service and its slices for each. $zone is what
# they call z1, $host what they call vm1. A cluster has a clustermesh or has none: cases of one that has are left out.
def here: if . == "z1" then $zone elif . == "vm1" then $host else . end;
def names: map({name: here});
def of_short: (.a | capture("(?<ip>.*):(?<port>[0-9]+)$")) as $a
	| {ports: [{name: "http", port: ($a.port | tonumber)}],
	   endpoints: [({conditions: ({ready: .r, serving: .s, terminating: .t} | with_entries(select(.value != null))),
		hints: ((if .z then {forZones: (.z | names)} else {} end) + (if .h then {forNodes: (.h | names)} else {} end)),
		nodeName: (.n | here)} | with_entries(select(.value != null))) + {addresses: [$a.ip]}]};
def of_long: .endpoints |= map(if .nodeName then .nodeName |= here else . end);
def service($name; $n): {apiVersion: "v1", kind: "Service", metadata: {name: $name, namespace: "prod", annotations: (.annotations // {})},
	spec: ({clusterIP: "10.96.0.\(30 + $n)", ports: [{name: "http", port: 80}]}
		+ if .local then {internalTrafficPolicy: "Local"} else {} end)};
def slice($name; $n): {apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4"} + .
	| .metadata = {name: "\($name)-\($n)", namespace: "prod", annotations: (.annotations // {}),
		labels: ({"kubernetes.io/service-name": $name} + (.labels // {}))}
	| del(.labels, .annotations);

{apiVersion: "v1", kind: "List", items: [map(select(.clustermesh | not)) | to_entries[] | .key as $n | .value | "case-\(.id | ascii_downcase)" as $name
	| service($name; $n), ([(.eps // [])[] | of_short] + [(.slices // [])[] | of_long] | to_entries[] | .key as $k | .value | slice($name; $k))]}
