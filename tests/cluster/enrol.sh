#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Enrols, joins, renews and removes hosts against a real API server (see attack_lab.sh), with every way
# a join can fail. Needs root for a private mount of bpffs, and python3, curl, jq, kubectl, cc; t_admission.sh
# runs it in a lab of its own.
# Usage: enrol.sh ADMIN_KUBECONFIG MESHCTL MESH_JOIN ENROL_DAEMON
set -uo pipefail
[ $# -eq 4 ] || { echo "see the head of this file" >&2; exit 2; }
if [ -z "${ENROL_PRIVATE:-}" ]; then
	ENROL_PRIVATE=1 exec unshare -m "$0" "$@"
fi
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
export KUBECONFIG=$1
meshctl=$2 join=$3 daemon=$4
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
ip=$(ip -4 -o addr show scope global | awk '{ split($4, a, "/"); print a[1]; exit }')
good=0 bad=0

cleanup() {
	for h in ahch-to crait tatooine dagobah hoth; do "$meshctl" host remove $h >/dev/null 2>&1; done
	rm -rf "$tmp"
}
trap cleanup EXIT

is() { # what, expected, got
	if [ "$2" = "$3" ]; then
		good=$((good + 1))
	else
		bad=$((bad + 1))
		echo "FAIL $1: expected '$2', got '$3'"
		sed 's/mesh1\.[A-Za-z0-9_-]*/mesh1.../; s/^/    /' "$tmp/out" | tail -12
	fi
}
run() { # what, expected exit status, command...
	local what=$1 want=$2
	shift 2
	"$@" >"$tmp/out" 2>&1 </dev/null
	is "$what" "$want" $?
}
add() { # host, more arguments: leaves the token in $token
	local host=$1
	shift
	"$meshctl" host add "$host" --namespace legacy --labels jedi=luke --address "$ip" "$@" >"$tmp/out" 2>&1
	is "enrol $host" 0 $?
	token=$(sed -n 's/^mesh-join --token //p' "$tmp/out")
}
# Alters a token and makes its checksum right again: what an attacker could do.
forge() { # python statements on the dictionary d
	python3 - "$token" "$1" <<'P'
import base64, hashlib, json, sys
def dec(s): return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
def enc(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()
d = json.loads(dec(sys.argv[1][6:]))
def expire(jwt):
    h, p, s = jwt.split(".")
    c = json.loads(dec(p)); c["exp"] = 1000000000
    return ".".join([h, enc(json.dumps(c).encode()), s])
exec(sys.argv[2])
d.pop("sum")
text = json.dumps(d, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
d["sum"] = hashlib.sha256(text.encode()).hexdigest()[:16]
print("mesh1." + enc(json.dumps(d).encode()))
P
}

kubectl get -n kube-system configmap/cilium-config >/dev/null 2>&1 || {
	MESHCTL=$meshctl "$here/attack.sh" fixture "$KUBECONFIG" "$tmp/unused" || exit 2
}
run "set the cluster up" 0 "$meshctl" cluster setup
run "set it up again" 0 "$meshctl" cluster setup
run "print the manifests without a cluster" 0 env KUBECONFIG=/nonexistent "$meshctl" cluster setup --print
cleanup_state() { rm -rf "$tmp/state"; }
j() { run "$1" "$2" "$join" --no-start --state-dir "$tmp/state" "${@:3}"; }
"$meshctl" host remove ahch-to >/dev/null 2>&1
"$meshctl" host remove crait >/dev/null 2>&1

# enrolment
add tatooine --serve tatooine
first=$token
add tatooine --serve tatooine
is "a second run makes a new token" yes "$([ "$first" != "$token" ] && echo yes)"
run "the name alone makes a new token" 0 "$meshctl" host add tatooine
token=$(sed -n 's/^mesh-join --token //p' "$tmp/out")
is "which is one" mesh1. "${token:0:6}"
is "the Services stay" tatooine "$(kubectl get -n legacy role mesh-host-tatooine -o json |
	jq -r '.rules[] | select(.verbs == ["serve"]) | .resourceNames | join(",")')"
is "the addresses stay" "$ip/32" "$(kubectl get -n legacy ciliumendpoint tatooine -o json |
	jq -r '.metadata.annotations["mesh-external-agent.io/addresses"]')"
kubectl delete validatingadmissionpolicybinding mesh-hosts-node >/dev/null
run "no host without every policy in force" 1 "$meshctl" host add tatooine
run "setting the cluster up helps" 0 "$meshctl" cluster setup
# With all that the API server has filled in, as it is stored, a policy is compared.
run "which enrols again" 0 "$meshctl" host add tatooine
for part in '{"validations":[{"expression":"true"}]}' '{"matchConditions":[{"name":"is-host","expression":"false"}]}' \
	'{"matchConstraints":{"objectSelector":{"matchLabels":{"no":"object"}}}}' '{"failurePolicy":"Ignore"}'; do
	kubectl patch validatingadmissionpolicy mesh-hosts-node --type=merge -p "{\"spec\":$part}" >/dev/null
	run "no host under a policy with $part" 1 "$meshctl" host add tatooine
	is "and it says which policy" 1 "$(grep -c 'mesh-hosts-node .*meshctl cluster setup' "$tmp/out")"
	run "setting the cluster up mends it" 0 "$meshctl" cluster setup
done
run "which enrols again" 0 "$meshctl" host add tatooine
kubectl apply --server-side --force-conflicts -f "$here/../../packaging/kubernetes/20-admission.yaml" >/dev/null
run "so does kubectl apply" 0 "$meshctl" host add tatooine
run "the cluster is set up by meshctl again" 0 "$meshctl" cluster setup
run "the name alone makes a new token" 0 "$meshctl" host add tatooine
token=$(sed -n 's/^mesh-join --token //p' "$tmp/out")
is "one endpoint" 1 "$(kubectl get -n legacy ciliumendpoints -o name | grep -c tatooine)"
is "state" disconnected "$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.status.state}')"
is "no addresses yet" '' "$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.status.networking}')"
is "owner of the node" mesh-hosts "$(kubectl get ciliumnode tatooine -o jsonpath='{.metadata.ownerReferences[0].name}')"
is "owner of the endpoint" tatooine "$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.metadata.ownerReferences[0].name}')"
id=$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.status.identity.id}')
is "label of the identity" luke "$(kubectl get ciliumidentity "$id" -o jsonpath='{.security-labels.k8s:jedi}')"
is "namespace of the identity" legacy "$(kubectl get ciliumidentity "$id" -o json | jq -r '."security-labels"["k8s:io.kubernetes.pod.namespace"]')"
is "namespace labels of the identity" legacy \
	"$(kubectl get ciliumidentity "$id" -o json | jq -r '."security-labels"["k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name"]')"
ip_of() { echo "10.77.0.$1"; }
for h in dagobah hoth; do
	"$meshctl" host add $h --namespace legacy --labels jedi=luke --address "$(ip_of ${#h})" >"$tmp/out" 2>&1
	is "enrol $h" 0 $?
done
is "equal labels share an identity" "$id" "$(kubectl get -n legacy ciliumendpoint hoth -o jsonpath='{.status.identity.id}')"
# five at once: no identity number is given out twice
pids=
for i in 1 2 3 4 5; do
	"$meshctl" host add clone$i --namespace legacy --labels "clone=n$i" --address 10.78.0.$i >/dev/null 2>&1 &
	pids="$pids $!"
done
failed=0
for p in $pids; do wait "$p" || failed=$((failed + 1)); done
is "five enrolments at once" 0 $failed
is "five identities" 5 "$(kubectl get -n legacy ciliumendpoints -o json |
	jq '[.items[] | select(.metadata.name | startswith("clone")) | .status.identity.id] | unique | length')"
for i in 1 2 3 4 5; do "$meshctl" host remove clone$i >/dev/null 2>&1; done
run "a life of the token that is too short" 2 "$meshctl" host add endor --namespace legacy --labels a=b --address 10.1.1.1 --ttl 5m
run "a name for slices of another host" 2 "$meshctl" host add endor-v6 --namespace legacy --labels a=b --address 10.1.1.1
run "no labels, by a variable that is not set" 2 "$meshctl" host add endor --namespace legacy --labels '' --address 10.1.1.1
run "a name that is none" 2 "$meshctl" host add Endor_1 --namespace legacy --labels a=b --address 10.1.1.1
run "the namespace of the accounts" 2 "$meshctl" host add endor --namespace mesh-hosts --labels a=b --address 10.1.1.1
kubectl apply -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "real-node"}}
Y
run "the name of a node is refused" 1 "$meshctl" host add real-node --namespace legacy --labels a=b --address 10.1.1.1
kubectl delete node real-node >/dev/null
run "other labels are refused" 1 "$meshctl" host add tatooine --namespace legacy --labels jedi=leia --address "$ip"
run "another host's address is refused" 1 "$meshctl" host add endor --namespace legacy --labels a=b --address "$ip"
run "a pod's address is refused" 1 "$meshctl" host add endor --namespace legacy --labels a=b --address 10.244.1.1
run "a service's address is refused" 1 "$meshctl" host add endor --namespace legacy --labels a=b --address 10.96.1.1
run "loopback is refused" 2 "$meshctl" host add endor --namespace legacy --labels a=b --address 127.0.0.1
run "a reserved label is refused" 2 "$meshctl" host add endor --namespace legacy --labels io.cilium.k8s.policy.cluster=x --address 10.1.1.1
run "a source is refused" 2 "$meshctl" host add endor --namespace legacy --labels reserved:host=x --address 10.1.1.1
run "a missing namespace is refused" 1 "$meshctl" host add endor --namespace nowhere --labels a=b --address 10.1.1.1
run "another namespace is refused" 1 "$meshctl" host add tatooine --namespace default --labels jedi=luke --address "$ip"
case $(kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.server}') in
https://127.* | https://localhost*)
	"$meshctl" host add endor --namespace legacy --labels a=b --address 10.1.1.1 --dry-run >"$tmp/out" 2>&1
	is "a server on loopback is warned about" 1 "$(grep -c 'warning: .*--server' "$tmp/out")" ;;
esac
run "dry run of an enrolment" 0 "$meshctl" host add endor --namespace legacy --labels a=b --address 10.1.1.1 --dry-run
is "which stores nothing" '' "$(kubectl get ciliumnode endor -o name 2>/dev/null)"

# every way that joining fails leaves no state behind
j "dry run" 0 --dry-run --token "$token"
j "labels that differ" 8 --token "$token" --labels jedi=leia
j "a name that differs" 8 --token "$token" --name hoth
j "an address that is not enrolled" 1 --token "$token" --address 10.77.0.9
j "half a token" 6 --token "${token:0:700}"
at=${token:300:1}
j "an altered token" 6 --token "${token:0:300}$([ "$at" = x ] && echo y || echo x)${token:301}"
j "a token of the future" 6 --token "mesh7.e30"
j "no token" 6 --token ""
j "an unknown option" 2 --frobnicate
j "nobody listens" 3 --token "$(forge 'd["servers"] = ["https://127.0.0.1:1"]')"
j "expired" 4 --token "$(forge 'd["jwt"] = expire(d["jwt"])')"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=kubernetes -keyout "$tmp/k" -out "$tmp/other.crt" 2>/dev/null
j "another CA" 7 --token "$(forge "d['ca'] = open('$tmp/other.crt').read()")"
j "another cluster" 7 --token "$(forge 'd["uid"] = "00000000-0000-0000-0000-000000000000"')"
j "a pin that the server does not show" 7 --token "$(forge 'd.pop("ca"); d["pin"] = "sha256:" + "00" * 32')"
j "a pin that is not that of the CA" 6 --token "$(forge 'd["pin"] = "sha256:" + "00" * 32')"
is "nothing was stored" '' "$(ls "$tmp/state" 2>/dev/null)"
run "state that cannot be written" 12 "$join" --no-start --state-dir /proc/nowhere --token "$token"
cat >"$tmp/ahead.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int r = real(id, ts);

	if (id == CLOCK_REALTIME)
		ts->tv_sec += atol(getenv("CLOCK_ERROR"));
	return r;
}
time_t time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return t ? (*t = ts.tv_sec) : ts.tv_sec;
}
C
cc -shared -fPIC -o "$tmp/ahead.so" "$tmp/ahead.c" -ldl
run "a clock that is ahead" 9 env CLOCK_ERROR=3000 LD_PRELOAD="$tmp/ahead.so" "$join" --no-start --state-dir "$tmp/state" --token "$token"
run "a clock before the certificate" 9 env CLOCK_ERROR=-1000000000 LD_PRELOAD="$tmp/ahead.so" "$join" --no-start --state-dir "$tmp/state" --token "$token"
config() { kubectl patch -n kube-system configmap cilium-config --type=merge -p "{\"data\":{\"enable-ipsec\":$1}}" >/dev/null; }
config '"true"'
j "a Cilium that cannot have hosts" 1 --token "$token"
config null
is "no token was spent by all that" secret/tatooine-join "$(kubectl get -n mesh-hosts secret tatooine-join -o name 2>/dev/null)"

# joining
j "join" 0 --token "$token" --labels jedi=luke --name tatooine --address "$ip"
is "state file" 600 "$(stat -c %a "$tmp/state/joined.json")"
is "credential" 600 "$(stat -c %a "$tmp/state/token")"
is "directory" 700 "$(stat -c %a "$tmp/state")"
is "the join token is not in the state" '' "$(grep -l mesh1 "$tmp"/state/* 2>/dev/null)"
is "the Secret is gone" '' "$(kubectl get -n mesh-hosts secret tatooine-join -o name 2>/dev/null)"
sleep 11 # the API server remembers accepted tokens for 10 s
j "join again with the dead token" 0 --token "$token"
run "the dead token on another machine" 5 "$join" --no-start --state-dir "$tmp/thief" --token "$token"
is "which leaves nothing" '' "$(ls "$tmp/thief" 2>/dev/null)"
run "the dead first token" 5 "$join" --no-start --state-dir "$tmp/thief" --token "$first"
own=$(cat "$tmp/state/token")
server=$(kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.server}')
api() { # method, path, body
	curl -sS -k -o "$tmp/out" -w '%{http_code}' -X "$1" -H "Authorization: Bearer $own" -H 'Content-Type: application/merge-patch+json' \
		${3:+--data-binary "$3"} "$server$2"
}
is "the own credential fills in the endpoint" 200 "$(api PATCH /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/tatooine \
	"{\"status\":{\"state\":\"ready\",\"networking\":{\"addressing\":[{\"ipv4\":\"$ip\"}],\"node\":\"$ip\"}}}")"
is "the list shows it" "$ip" "$("$meshctl" host list -o json | jq -r '.[] | select(.name == "tatooine") | .claimed[0]')"
is "and its state" ready "$("$meshctl" host list -o json | jq -r '.[] | select(.name == "tatooine") | .state')"

# what the daemon writes
kubectl annotate --overwrite ciliumidentity "$id" io.cilium.heartbeat=2026-01-01T00:00:00Z >/dev/null
kubectl create service clusterip -n legacy tatooine --tcp=80 >/dev/null 2>&1
run "register, publish, renew and leave" 0 "$daemon" "$tmp/state" "$ip" \
	"$(kubectl get -n legacy service tatooine -o jsonpath='{.metadata.uid}')"
kubectl delete -n legacy service tatooine >/dev/null
is "the endpoint is as before" disconnected "$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.status.state}')"
is "without addresses" '' "$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.status.networking}')"
is "and so is the node" '' "$(kubectl get ciliumnode tatooine -o jsonpath='{.spec.addresses[*].ip}')"
is "the mark is off the identity" '' "$(kubectl get ciliumidentity "$id" -o jsonpath='{.metadata.annotations.io\.cilium\.heartbeat}')"
is "the Lease is held" tatooine/0123456789abcdef "$(kubectl get -n mesh-hosts lease tatooine -o jsonpath='{.spec.holderIdentity}')"
is "the credential is a new one" yes "$([ "$own" != "$(cat "$tmp/state/token")" ] && echo yes)"
own=$(cat "$tmp/state/token")
is "which works" 200 "$(api PATCH /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/tatooine \
	"{\"status\":{\"state\":\"ready\",\"networking\":{\"addressing\":[{\"ipv4\":\"$ip\"}],\"node\":\"$ip\"}}}")"

# enrolled again: what is in force stays, and the new token works
add tatooine --serve tatooine
is "enrolling again keeps the address" "$ip" "$(kubectl get -n legacy ciliumendpoint tatooine -o jsonpath='{.status.networking.addressing[0].ipv4}')"
j "join with the new token" 0 --token "$token"
is "its Secret is gone, too" '' "$(kubectl get -n mesh-hosts secret tatooine-join -o name 2>/dev/null)"
# a join that stops half-way says so, and is completed by the next run
add tatooine --serve tatooine
kubectl patch -n mesh-hosts role mesh-host-tatooine --type=json -p '[{"op":"remove","path":"/rules/1"}]' >/dev/null
rm -rf "$tmp/state"
j "the Secret cannot be deleted" 11 --token "$token"
is "the state is marked" false "$(jq .complete "$tmp/state/joined.json")"
kubectl patch -n mesh-hosts role mesh-host-tatooine --type=json -p \
	'[{"op":"add","path":"/rules/1","value":{"apiGroups":[""],"resources":["secrets"],"resourceNames":["tatooine-join"],"verbs":["delete"]}}]' >/dev/null
sleep 1
j "the same token completes it" 0 --token "$token"
is "the mark is gone" true "$(jq .complete "$tmp/state/joined.json")"
# an interrupted enrolment is completed
kubectl delete -n mesh-hosts serviceaccount/tatooine role/mesh-host-tatooine >/dev/null
kubectl delete ciliumendpoint -n legacy tatooine >/dev/null
add tatooine
j "join after the repair" 0 --token "$token"
# a token without the CA, where the server shows its own
if openssl s_client -connect "${server#https://}" -showcerts </dev/null 2>/dev/null | grep -c BEGIN | grep -qv '^1$'; then
	add tatooine --pin-only
	is "a pin makes it shorter" yes "$([ ${#token} -lt ${#first} ] && echo yes)"
	rm -rf "$tmp/state"
	j "join by the pin" 0 --token "$token"
	is "the CA was kept" 1 "$(jq -r .ca "$tmp/state/joined.json" | grep -c BEGIN)"
else
	echo "SKIP pin-only tokens: this API server does not present its CA"
fi
# another host's token on a joined machine
token=$("$meshctl" host add hoth --namespace legacy --labels jedi=luke --address "$(ip_of 4)" 2>/dev/null | sed -n 's/^mesh-join --token //p')
j "joined as another host" 10 --token "$token"
[ -d /run/systemd/system ] || run "no systemd" 13 "$join" --state-dir "$tmp/state" --token "$("$meshctl" host add tatooine --namespace legacy \
	--labels jedi=luke --address "$ip" 2>/dev/null | sed -n 's/^mesh-join --token //p')"

# removal revokes
own=$(cat "$tmp/state/token")
run "remove" 0 "$meshctl" host remove tatooine
sleep 11
is "the credential is dead" 401 "$(api GET /api/v1/services)"
for k in "ciliumnode tatooine" "-n legacy ciliumendpoint tatooine" "clusterrole mesh-host-tatooine" "-n legacy role mesh-host-tatooine" \
	"-n mesh-hosts lease tatooine" "-n mesh-hosts serviceaccount tatooine"; do
	# shellcheck disable=SC2086
	is "gone: $k" '' "$(kubectl get $k -o name 2>/dev/null)"
done
run "remove again" 1 "$meshctl" host remove tatooine

echo "enrol: $good as expected, $bad not"
[ $bad -eq 0 ]
