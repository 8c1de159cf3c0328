#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The API that each version of Cilium brings, without its nodes: its resource definitions in a real API server, and a host
# that is checked for, enrolled, published, and finds its policies in them. Needs root, the peers (peers.sh), Go or the
# sources of the versions from before, and the built programs in BUILD.
#   VERSIONS="1.15.19 ..."   of Cilium, or "all"; none of them is built
#   K8S=1.32.13              of the API server
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$PWD}
VERSIONS=${VERSIONS:-1.15.19}
[ "$VERSIONS" != all ] || VERSIONS="1.15.19 1.16.6 1.17.6 1.18.2 1.19.0 1.20.2"

. "$here/lib.sh"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer" "jq openssl" "$@"
. "$here/story_lib.sh"
trap lab_leave EXIT
trap 'exit 130' INT TERM

cluster_is_judged() { # TEXT: "fit key" of what does not fit, one a line
	is "$(admin cluster check -o json | jq -r '.[] | select(.fit != "fits") | "\(.fit) \(.key)"')" "$1"
}
enrolled() { admin host add ahch-to --namespace legacy --labels jedi=luke --address $HOST --serve ahch-to >"$LAB/token.ahch-to"; }
joins() { at host1 "$BUILD/mesh-join" --no-start --config "$(conf_of host1)" --token "$(token_in "$LAB/token.ahch-to")"; }
endpoint() { kubectl -n legacy get ciliumendpoint ahch-to -o json | jq -c '[.status.state, .status.networking.node, .status.networking.addressing[0].ipv4]'; }
endpoint_is() { is "$(endpoint)" "$1"; }
node_has() { is "$(kubectl get ciliumnode ahch-to -o json | jq -r '[.spec.addresses[]? | .ip] | join(",")')" "$1"; }
slice_is_there() { kubectl -n legacy get endpointslice ahch-to-mesh-ahch-to; }
passes() { ctl host1 policy why --peer-ip "$1" --direction ingress --protocol tcp --port 80; }
denied() { exits_with 1 passes "$1"; }

# The version that this Cilium serves groups in
group() { # ADDRESS
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: cilium.io/$1
	kind: CiliumCIDRGroup
	metadata: {name: office}
	spec: {externalCIDRs: ["$2"]}
	Y
}

story() { # VERSION
	local groups=v2 configs=v2 judged=''
	case $1 in 1.1[45].*) configs=v2alpha1 ;; esac
	case $1 in 1.1[4567].*) groups=v2alpha1 ;; esac
	case $1 in 1.14.*) judged="degraded io.cilium.k8s.crd.schema.version" ;; esac
	kubectl create namespace legacy >/dev/null
	service legacy ahch-to '{"jedi": "luke"}' 80 '{"io.cilium/portal": "true"}'
	host_dir host1
	background serve-host1-80 host1 "$BUILD/tests/cluster/peer" serve 80 host1
	check "cluster check knows the version" cluster_is_judged "$judged"
	check "it finds settings for some nodes in version $configs" node_config_is_told $configs
	check "the cluster is set up" admin cluster setup
	check "the host is enrolled" enrolled
	check "the host joins" joins
	daemon host1
	check "it is well" soon state_is host1 ok
	check "its endpoint is as the schema has it" endpoint_is "[\"ready\",\"$HOST\",\"$HOST\"]"
	check "its node has the address" node_has $HOST
	check "it stands behind its service" soon slice_is_there
	check "without a policy all passes" passes 192.0.2.7
	group $groups 192.0.2.0/24
	policy_of_group
	check "a group of addresses is found in version $groups" soon denied 198.51.100.7
	check "and what it holds is let in" passes 192.0.2.7
	group $groups 198.51.100.0/24
	check "and a change of it is" soon passes 198.51.100.7
	check "and what it no longer holds is kept out" denied 192.0.2.7
	check "it leaves" ctl host1 leave --yes
	check "its endpoint is disconnected" endpoint_is '["disconnected",null,null]'
	check "it is removed" admin host remove ahch-to
	stop agentd-host1
	stop serve-host1-80
}
node_config_is_told() { # VERSION
	kubectl apply -f - <<-Y || return 1
	{"apiVersion": "cilium.io/$1", "kind": "CiliumNodeConfig", "metadata": {"name": "edge", "namespace": "kube-system"},
	 "spec": {"nodeSelector": {"matchLabels": {"edge": "yes"}}, "defaults": {"mtu": "1400"}}}
	Y
	is "$(admin cluster check -o json | jq -r '.[] | select(.key == "CiliumNodeConfig").value')" edge &&
		kubectl -n kube-system delete "ciliumnodeconfigs.$1.cilium.io" edge
}
policy_of_group() {
	kubectl apply -f - >/dev/null <<-Y
	apiVersion: cilium.io/v2
	kind: CiliumNetworkPolicy
	metadata: {name: office, namespace: legacy}
	spec: {endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromCIDRSet: [{cidrGroupRef: office}]}]}
	Y
}

for v in $VERSIONS; do
	variant="Cilium $v, Kubernetes $K8S"
	if ! CRDS=$("$here/peers.sh" crds "$v"); then
		skip "its sources are not to be had"
		continue
	fi
	export CRDS
	if "$lab" up 0 >"$LAB.up" 2>&1; then
		story "$v"
	else
		cat "$LAB.up"
		fail "the API server starts with its resource definitions"
	fi
	"$lab" down >/dev/null 2>&1
	rm -f "$LAB.up"
	CILIUM=$v lab_told t_versions.sh definitions
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
