#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tries every write in attack.cases with the credential of an enrolled host against a real API server.
# A refusal must be the server's own (403, or 422 by admission); any other failure proves nothing
# and fails the suite. Allowed writes are the controls: they show that the attempts were well-formed.
#
# Usage: attack.sh [-w] ADMIN_KUBECONFIG HOST_TOKEN_FILE HOST VICTIM NAMESPACE
#   Both hosts must be enrolled in NAMESPACE: HOST with address 172.19.100.2/32 and the services
#   ahch-to, VICTIM with other addresses. `attack.sh fixture ADMIN_KUBECONFIG TOKEN_FILE` makes them.
#   -w  first gives the host's account every verb of RBAC on everything, so that only the admission
#       policies stand in the way; cases marked `rbac` are left out
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fixture_host() { # host, address ranges, identity
	cat <<Y
apiVersion: cilium.io/v2
kind: CiliumIdentity
metadata: {name: "$3", annotations: {io.cilium.heartbeat: "2026-01-01T00:00:00Z"}, labels: {io.kubernetes.pod.namespace: legacy}}
security-labels: {k8s:jedi: $1, k8s:io.kubernetes.pod.namespace: legacy, k8s:io.cilium.k8s.policy.cluster: default}
---
apiVersion: cilium.io/v2
kind: CiliumNode
metadata:
  name: $1
  labels: {mesh-external-agent.io/host: $1}
  annotations: {cilium.io/do-not-gc: "true", mesh-external-agent.io/addresses: "$2"}
  ownerReferences: [{apiVersion: v1, kind: Namespace, name: mesh-hosts, uid: "$uid"}]
spec: {addresses: [], ipam: {podCIDRs: [10.99.0.0/24]}}
---
apiVersion: cilium.io/v2
kind: CiliumEndpoint
metadata:
  name: $1
  namespace: legacy
  labels: {mesh-external-agent.io/host: $1}
  annotations: {mesh-external-agent.io/addresses: "$2"}
status: {id: 1, state: disconnected, identity: {id: $3, labels: [k8s:jedi=$1]}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: $1, namespace: mesh-hosts}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: $1, namespace: mesh-hosts}
spec: {holderIdentity: $1, leaseDurationSeconds: 40}
---
apiVersion: v1
kind: Secret
metadata: {name: $1-join, namespace: mesh-hosts}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: $1, namespace: mesh-hosts}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [$1], verbs: [create]}
- {apiGroups: [""], resources: [secrets], resourceNames: [$1-join], verbs: [get, delete]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [$1], verbs: [get, update, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: $1, namespace: mesh-hosts}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: $1}
subjects: [{kind: ServiceAccount, name: $1, namespace: mesh-hosts}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: mesh-host-$1, namespace: legacy}
rules:
- {apiGroups: [cilium.io], resources: [ciliumendpoints], resourceNames: [$1], verbs: [update, patch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [create, update, patch, delete]}
- {apiGroups: [""], resources: [services], resourceNames: [$1], verbs: [serve]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mesh-host-$1, namespace: legacy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: mesh-host-$1}
subjects: [{kind: ServiceAccount, name: $1, namespace: mesh-hosts}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mesh-host-$1}
rules:
- {apiGroups: [cilium.io], resources: [ciliumnodes], resourceNames: [$1], verbs: [update, patch]}
- {apiGroups: [cilium.io], resources: [ciliumidentities], resourceNames: ["$3"], verbs: [update, patch]}
- {apiGroups: [mesh-external-agent.io], resources: [identities], resourceNames: ["$3"], verbs: [use]}
- {apiGroups: [mesh-external-agent.io], resources: [addresses], resourceNames: ["$2"], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: mesh-host-$1}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: mesh-host-$1}
subjects: [{kind: ServiceAccount, name: $1, namespace: mesh-hosts}]
---
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: legacy}
spec: {selector: {none: none}, ports: [{port: 80}]}
---
Y
}

fixture() { # admin kubeconfig, token file
	export KUBECONFIG=$1
	uid=$(kubectl get ns mesh-hosts -o jsonpath='{.metadata.uid}') || exit 1
	{
		printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: legacy}\n'
		echo ---
		fixture_host ahch-to 172.19.100.2/32,fd00:19::2/128 51000
		fixture_host crait 172.19.100.9/32 51001
	} | kubectl apply -f - >/dev/null || exit 1
	kubectl create token -n mesh-hosts ahch-to --duration=1h >"$2"
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
slice() { # name, host label, service
	cat <<Y
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"$1","namespace":"$N","labels":{
"kubernetes.io/service-name":"$3","endpointslice.kubernetes.io/managed-by":"mesh-external-agent.io","mesh-external-agent.io/host":"$2"},
"annotations":{"mesh-external-agent.io/addresses":"$RANGES"},
"ownerReferences":[{"apiVersion":"v1","kind":"Service","name":"$H","uid":"$SVCUID"}]},"addressType":"IPv4","endpoints":[{"addresses":["172.19.100.2"]}],"ports":[{"name":"","port":80}]}
Y
}
{ slice "$H-mesh-$H" "$H" "$H"; slice "$V-mesh-$V" "$V" "$V"; } | kubectl apply --server-side --force-conflicts -f - >/dev/null || exit 2
kubectl annotate --overwrite ciliumidentity "$ID" io.cilium.heartbeat=2026-01-01T00:00:00Z >/dev/null
kubectl create configmap -n "$N" attack-target >/dev/null 2>&1

cleanup() {
	kubectl delete --ignore-not-found clusterrolebinding/attack-wide clusterrole/attack-wide >/dev/null
	kubectl delete --ignore-not-found -n "$N" "endpointslice/$H-mesh-$H" "endpointslice/$V-mesh-$V" configmap/attack-target >/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
if [ "$wide" ]; then
	kubectl create clusterrole attack-wide --verb=get,list,watch,create,update,patch,delete,deletecollection --resource='*.*' >/dev/null || exit 2
	kubectl create clusterrolebinding attack-wide --clusterrole=attack-wide --serviceaccount="mesh-hosts:$H" >/dev/null || exit 2
	sleep 2
fi

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
	if [ "$got" = "${expect%-rbac}" ]; then
		good=$((good + 1))
		[ "${VERBOSE:-}" ] && printf 'ok   %-5s %s  [%s]\n' "$got" "$name" "$(jq -r '.message // .kind' "$tmp/out" 2>/dev/null | cut -c1-150)"
	else
		bad=$((bad + 1))
		printf 'FAIL %s: expected %s, got %s (%s): %s\n' "$name" "$expect" "$got" "$code" "$(jq -r '.message // .kind' "$tmp/out" | cut -c1-600)"
	fi
done <"$here/attack.cases"
echo "attack${wide:+ with every RBAC verb granted}: $good as expected, $bad not, $skipped left out"
[ "$bad" -eq 0 ] && [ "$good" -gt 0 ]
