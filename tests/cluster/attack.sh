#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tries every write in attack.cases with the credential of an enrolled host against a real API server.
# A refusal must be the server's own (403, or 422 by admission); any other failure proves nothing
# and fails the suite. Allowed writes are the controls: they show that the attempts were well-formed.
#
# Usage: attack.sh [-w] ADMIN_KUBECONFIG HOST_TOKEN_FILE HOST VICTIM NAMESPACE
#   Both hosts must be enrolled in NAMESPACE: HOST with the addresses 172.19.100.2 and fd00:19::2 and
#   a service of its own name, VICTIM with other addresses and labels.
#   `attack.sh fixture ADMIN_KUBECONFIG TOKEN_FILE` enrols ahch-to and crait in legacy ($MESHCTL).
#   -w  first gives the host's account every verb of RBAC on everything, so that only the admission
#       policies stand in the way; cases marked `rbac` are left out
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Prepares a cluster that has the Cilium CRDs but maybe no Cilium, and enrols the two hosts.
fixture() { # admin kubeconfig, token file
	export KUBECONFIG=$1
	local meshctl=${MESHCTL:-meshctl}
	kubectl get -n kube-system configmap/cilium-config >/dev/null 2>&1 ||
		kubectl create -n kube-system configmap cilium-config --from-literal=identity-allocation-mode=crd \
			--from-literal=cluster-name=default --from-literal=cluster-pool-ipv4-cidr=10.244.0.0/16 \
			--from-literal=enable-ipv4=true --from-literal=enable-ipv6=true >/dev/null || exit 1
	kubectl create namespace legacy >/dev/null 2>&1
	kubectl create service clusterip -n legacy ahch-to --tcp=80 >/dev/null 2>&1
	kubectl create service clusterip -n legacy crait --tcp=80 >/dev/null 2>&1
	"$meshctl" cluster setup >/dev/null || exit 1
	"$meshctl" host add ahch-to --namespace legacy --labels jedi=luke --address 172.19.100.2,fd00:19::2 --serve ahch-to --zone a >/dev/null || exit 1
	"$meshctl" host add crait --namespace legacy --labels jedi=rey --address 172.19.100.9 --serve crait --zone crait >/dev/null || exit 1
	kubectl create token -n mesh-hosts ahch-to --duration=1h >"$2"
	sleep 2 # until the policies are in force
}

if [ "${1:-}" = fixture ]; then
	fixture "$2" "$3"
	exit
fi
wide=
[ "${1:-}" = -w ] && { wide=1; shift; }
[ $# -eq 5 ] || { echo "see the head of this file" >&2; exit 2; }
export KUBECONFIG=$1
token=$(cat "$2") H=$3 V=$4 N=$5
tmp=$(mktemp -d)
server=$(kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.server}')
kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$tmp/ca.crt"
jp() { kubectl get "$@"; }
ID=$(jp -n "$N" ciliumendpoint "$H" -o jsonpath='{.status.identity.id}')
VID=$(jp -n "$N" ciliumendpoint "$V" -o jsonpath='{.status.identity.id}')
RANGES=$(jp ciliumnode "$H" -o jsonpath='{.metadata.annotations.mesh-external-agent\.io/addresses}')
SVCUID=$(jp -n "$N" service "$H" -o jsonpath='{.metadata.uid}')
CSR=$(openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=evil" -keyout /dev/null 2>/dev/null | base64 -w0)
for x in "$ID" "$VID" "$RANGES" "$SVCUID"; do
	[ -n "$x" ] || { echo "the two hosts are not enrolled as this suite needs them" >&2; exit 2; }
done

# Slices that the update and delete cases work on; and a mark on the identity to be taken away.
slice() { # name, service, manager, host, labels
	cat <<Y
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"$1","namespace":"$N","labels":{
"kubernetes.io/service-name":"$2","endpointslice.kubernetes.io/managed-by":"$3"${5:-}},
"annotations":{"mesh-external-agent.io/addresses":"$RANGES"},
"ownerReferences":[{"apiVersion":"v1","kind":"Service","name":"$H","uid":"$SVCUID"}]},"addressType":"IPv4","endpoints":[{"addresses":["172.19.100.2"],"nodeName":"$4"}],"ports":[{"name":"","port":80}]}
Y
}
of() { echo ",\"mesh-external-agent.io/host\":\"$1\""; }
ours=mesh-external-agent.io
{
	slice "$H-mesh-$H" "$H" $ours "$H" "$(of "$H")"
	slice "$V-mesh-$H" "$V" $ours "$H"
	slice "$V-mesh-$V" "$V" $ours "$V" "$(of "$V")"
	slice "$V-mesh-$H-v6" "$V" $ours "$H-v6" "$(of "$H-v6")"
	slice attack-builtin "$H" somebody.example.org "$H"
} | kubectl apply --server-side --force-conflicts -f - >/dev/null || exit 2
event() { # host
	cat <<Y
{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"$1.mesh-$1.meshhostnotready","namespace":"$N"},"type":"Warning","note":"x",
"eventTime":"2026-01-02T03:04:05.000000Z","reason":"MeshHostNotReady","action":"Publish","reportingController":"mesh-external-agent.io/agent",
"reportingInstance":"$1","regarding":{"apiVersion":"v1","kind":"Service","namespace":"$N","name":"$1"}}
Y
}
kubectl delete --ignore-not-found -n "$N" "events.events.k8s.io/$H.mesh-$H.meshhostnotready" "events.events.k8s.io/$V.mesh-$V.meshhostnotready" >/dev/null
{ event "$H"; event "$V"; } | kubectl create -f - >/dev/null || exit 2
kubectl annotate --overwrite ciliumidentity "$ID" io.cilium.heartbeat=2026-01-01T00:00:00Z >/dev/null
# What the operator of a cluster-pool would have given it.
kubectl patch ciliumnode "$H" --type=merge -p '{"spec":{"ipam":{"podCIDRs":["10.244.99.0/24"]}}}' >/dev/null || exit 2
kubectl create configmap -n "$N" attack-target >/dev/null 2>&1

cleanup() {
	kubectl delete --ignore-not-found clusterrolebinding/attack-wide clusterrole/attack-wide >/dev/null
	kubectl delete --ignore-not-found -n "$N" "endpointslice/$H-mesh-$H" "endpointslice/$V-mesh-$H" "endpointslice/$V-mesh-$V" \
		"endpointslice/$V-mesh-$H-v6" endpointslice/attack-builtin configmap/attack-target >/dev/null
	kubectl patch ciliumnode "$H" --type=merge -p '{"spec":{"ipam":null}}' >/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
if [ "$wide" ]; then
	kubectl create clusterrole attack-wide --verb=get,list,watch,create,update,patch,delete,deletecollection --resource='*.*' >/dev/null || exit 2
	kubectl create clusterrolebinding attack-wide --clusterrole=attack-wide --serviceaccount="mesh-hosts:$H" >/dev/null || exit 2
	sleep 2
fi

# Nothing of this body is in the answer, or nothing of that name.
is_dropped() { # body, name
	if [ "$2" ]; then
		jq -e --arg name "$2" '[paths | .[-1]] | index($name) == null' "$tmp/out" >/dev/null
	else
		jq -e --argjson body "$1" '. as $o | [$body | paths(scalars)] | all(. as $p | $o | getpath($p) == null)' "$tmp/out" >/dev/null
	fi
}

good=0 bad=0 skipped=0
while IFS='|' read -r expect name method path body; do
	case $expect in '' | '#'*) continue ;; esac
	case $expect in *-rbac) [ "$wide" ] && { skipped=$((skipped + 1)); continue; } ;; esac
	for v in H V N ID VID RANGES SVCUID CSR; do
		path=${path//@$v@/${!v}}
		body=${body//@$v@/${!v}}
	done
	type=application/json
	[ "$method" = PATCH ] && type=application/merge-patch+json
	case $body in '['*) type=application/json-patch+json ;; esac
	q='?'
	case $path in *\?*) q='&' ;; esac
	url=$server$path
	[ "$method" = GET ] || url=$url${q}dryRun=All
	code=$(curl -sS --cacert "$tmp/ca.crt" -K <(printf 'header = "Authorization: Bearer %s"\n' "$token") -X "$method" -H "Content-Type: $type" \
		${body:+--data-binary "$body"} -o "$tmp/out" -w '%{http_code}' "$url")
	got=inconclusive
	case $code in
	2??) got=allow ;;
	403) got=deny ;;
	422) grep -q ValidatingAdmissionPolicy "$tmp/out" && got=deny ;;
	esac
	case $expect/$got in
	*-field/allow) is_dropped "$body" "" && got=deny ;;
	*-field:*/allow) is_dropped "$body" "${expect#*:}" && got=deny ;;
	esac
	if [ "$got" = "${expect%%-*}" ]; then
		good=$((good + 1))
		[ "${VERBOSE:-}" ] && printf 'ok   %-5s %s  [%s]\n' "$got" "$name" "$(jq -r '.message // .kind' "$tmp/out" 2>/dev/null | cut -c1-150)"
	else
		bad=$((bad + 1))
		printf 'FAIL %s: expected %s, got %s (%s): %s\n' "$name" "$expect" "$got" "$code" "$(jq -r '.message // .kind' "$tmp/out" | cut -c1-600)"
	fi
done <"$here/attack.cases"
echo "attack${wide:+ with every RBAC verb granted}: $good as expected, $bad not, $skipped left out"
[ "$bad" -eq 0 ] && [ "$good" -gt 0 ]
