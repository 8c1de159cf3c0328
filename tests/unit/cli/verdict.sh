#!/bin/sh
# meshctl policy verdict: every policy case that its options can say, every kind of error, every kind of object.
set -u
ctl=$builddir/meshctl
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0
checks=0
refusals=0
fail() {
	echo "FAIL: $*"
	bad=1
}
# check NAME VERDICT FILE OPTIONS...
check() {
	name=$1
	want=$2
	file=$3
	shift 3
	checks=$((checks + 1))
	out=$("$ctl" policy verdict -o json --objects "$file" "$@" 2>"$tmp/err")
	got=$?
	case $want in
	allow) code=0 verdict=allow reason= ;;
	default) code=1 verdict=deny reason="no rule allows it" ;;
	deny) code=1 verdict=deny reason="denied by" ;;
	auth) code=1 verdict=deny reason="authentication" ;;
	*) fail "$name: no verdict $want" ;;
	esac
	[ "$got" = "$code" ] || fail "$name: $*: exit $got, not $code: $out $(cat "$tmp/err")"
	case $out in *"\"verdict\": \"$verdict\""*"\"reason\": \"$reason"*) ;; *) fail "$name: $*: not $want: $out" ;; esac
	[ ! -s "$tmp/err" ] || fail "$name: $*: $(cat "$tmp/err")"
}
# refused NAME FILE TEXT OPTIONS...
refused() {
	name=$1
	file=$2
	text=$3
	shift 3
	refusals=$((refusals + 1))
	out=$("$ctl" policy verdict --objects "$file" --subject a=b --peer reserved:world --direction ingress --protocol tcp \
		--port 1 "$@") || [ $? = 1 ] || fail "$name: an object that is refused is no error"
	case $out in *"$text"*) ;; *) fail "$name: no \"$text\" in: $out" ;; esac
}
cases() {
	echo "$1 cases"
	[ "$1" -gt 100 ] || fail "only $1 cases"
}
for file in policy-cases policy-paragraphs; do
	mkdir "$tmp/$file"
	"$builddir/tests/unit/cli/verdict_cases" "$srcdir/tests/data/$file.yaml" "$tmp/$file" >"$tmp/cases.sh" || exit 99
	. "$tmp/cases.sh"
done
echo "$checks checks, $refusals objects refused"
[ "$checks" -gt 1000 ] && [ "$refusals" -gt 60 ] || fail "only $checks checks, $refusals refusals"

# run CODE ARGUMENTS...: output in $out, messages in $err
run() {
	want=$1
	shift
	out=$("$ctl" policy verdict "$@" 2>"$tmp/err")
	got=$?
	err=$(cat "$tmp/err")
	[ "$got" = "$want" ] || fail "policy verdict $*: exit $got, not $want: $out $err"
}
has() {
	case $out in *"$1"*) ;; *) fail "no \"$1\" in: $out" ;; esac
}
lacks() {
	case $out in *"$1"*) fail "\"$1\" in: $out" ;; *) ;; esac
}
says() {
	case $err in *"$1"*) ;; *) fail "no \"$1\" in: $err" ;; esac
}
same() {
	flat=$(printf '%s' "$out" | tr -d ' \n')
	[ "$flat" = "$1" ] || fail "not $1: $flat"
}
# a complete question; a later option replaces an earlier one
set -- --subject app=vm,io.kubernetes.pod.namespace=ext --peer reserved:world --direction ingress --protocol tcp --port 22

# errors: each 2, and the text names the option
run 2
says "--subject is missing"
run 2 --subject a=b
says "--peer or --peer-ip is missing"
run 2 --subject a=b --peer reserved:world
says "--direction is missing"
run 2 "$@" --direction both
says "--direction both: must be ingress or egress"
run 2 --subject a=b --peer-ip 192.0.2.1 --direction egress
says "--protocol is missing"
run 2 "$@" --protocol any
says "--protocol any: must be"
run 2 "$@" --protocol 256
run 2 --subject a=b --peer-ip 192.0.2.1 --direction egress --protocol UDP
says "--port is missing"
for port in 65536 -1 http 0x50 ""; do
	run 2 "$@" --port "$port"
	says "--port"
done
run 2 "$@" --protocol icmp
says "--icmp-type is missing"
run 2 "$@" --protocol icmpv6 --icmp-type 256
says "--icmp-type 256: must be a number up to 255"
run 2 "$@" --icmp-type 8
says "only icmp and icmpv6 have types"
run 2 "$@" --peer-ip 300.1.1.1
says "--peer-ip 300.1.1.1: no address"
run 2 "$@" --subject ""
says "--subject: no labels given"
run 2 "$@" --subject "=b"
says "no label"
run 2 "$@" --subject "b-d:c=d"
says "want source:key=value"
run 2 "$@" --peer reserved:wrold
says "--peer: reserved:wrold: no such reserved label"
run 2 "$@" --option enable-policy
says "must be KEY=VALUE"
run 2 "$@" --option =x
run 2 "$@" --option enable-policy=sometimes
says 'enable-policy "sometimes" is not known'
run 2 "$@" --option enable-icmp-rules=yes
says "want true or false"
run 2 "$@" --option policy-cidr-match-mode=nodes,hosts
says '"hosts" is not known'
run 2 "$@" --option allow-localhost=maybe
says "want auto, always or policy"
run 2 "$@" --option enable-ipv4=false
says "both false"
run 0 "$@" --option enable-polcy=always
says "no verdict depends on that key"
run 2 "$@" --named-port http
says "NAME=PROTOCOL/PORT"
run 2 "$@" --named-port http=icmp/8
run 2 "$@" --fqdn www.example.com=nowhere
says "NAME=ADDRESS"
run 2 "$@" superfluous
run 2 "$@" --nothing
run 2 "$@" --objects "$tmp/none.yaml"
says "none.yaml cannot be read"
run 2 "$@" --objects "$tmp"
says "cannot be read"
echo "a: [" >"$tmp/bad.yaml"
run 2 "$@" --objects "$tmp/bad.yaml"
says "bad.yaml: line"
echo '{"kind": "Namespace", "kind": "Service"}' >"$tmp/bad.json"
run 2 "$@" --objects "$tmp/bad.json"
says "bad.json"
printf 'kind: Namespace\nmetadata: {name: a}\n---\n- 1\n' >"$tmp/bad.yaml"
run 2 "$@" --objects "$tmp/bad.yaml"
says "document 2 is no object"
"$ctl" policy verdict "$@" >/dev/full 2>/dev/null && fail "a full device is no error"

# nothing, from nowhere
run 0 -o json "$@"
same '{"verdict":"allow","reason":"nopolicyisaboutthesubject'"'"'singress:everythingisallowed","rules":[],"isolated_by":[],"near":[],"rejected":[]}'
run 0 "$@" --objects /dev/null
has "allow: no policy is about"

# all kinds of objects in one stream, lists in lists, what is refused and why
cat >"$tmp/all.yaml" <<'YAML'
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ssh, namespace: ext}
spec:
  endpointSelector: {matchLabels: {app: vm}}
  ingress:
  - fromEndpoints: [{matchLabels: {"k8s:io.cilium.k8s.namespace.labels.team": blue}}]
    toPorts: [{ports: [{port: "22", protocol: TCP}]}]
  egress:
  - toServices: [{k8sService: {serviceName: outside, namespace: default}}]
  - toCIDRSet: [{cidrGroupRef: office}]
---
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {team: blue}}
---
---
apiVersion: v1
kind: List
items:
- apiVersion: cilium.io/v2
  kind: CiliumNetworkPolicyList
  items:
  - metadata: {name: broken, namespace: ext}
    spec: {endpointSelector: {}, ingress: [{fromEntities: [bogus]}]}
- {apiVersion: v1, kind: Service, metadata: {name: outside}, spec: {clusterIP: None, ports: [{port: 443}]}}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: outside-1, labels: {kubernetes.io/service-name: outside}}
  addressType: IPv4
  endpoints: [{addresses: [198.51.100.77]}]
  ports: []
- {apiVersion: v1, kind: Service, metadata: {name: Bad Name}, spec: {}}
- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: odd}, addressType: Pigeon, endpoints: []}
- 5
---
{"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": "office"}, "spec": {"externalCIDRs": ["192.0.2.0/24"]}}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-telnet}
spec: {endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingressDeny: [{toPorts: [{ports: [{port: "23"}]}]}]}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop, namespace: web}}
---
{apiVersion: crd.projectcalico.org/v1, kind: NetworkPolicy, metadata: {name: other, namespace: web}}
---
{metadata: {name: what}}
YAML
run 1 "$@" -f "$tmp/all.yaml"
has "deny: no rule allows it, and ingress is denied by default by "
has "another peer  "
has "spec.ingress[0].fromEntities[0]: \"bogus\" is no entity"
has "apps/v1 Deployment has no meaning here"
has "crd.projectcalico.org/v1 NetworkPolicy has no meaning here"
has "an item of the list is no object"
has "kind is missing"
has "unknown addressType"
run 1 "$@" -f "$tmp/all.yaml" -o json
[ "$(printf '%s\n' "$out" | grep -c '"error":')" = 7 ] || fail "not seven objects are rejected: $out"
has '"kind": "CiliumNetworkPolicy"'
# labels of the Namespace are added to those who are in it
run 0 "$@" -f "$tmp/all.yaml" --peer app=shop,io.kubernetes.pod.namespace=web,io.cilium.k8s.policy.cluster=default
has "allow: allowed by CiliumNetworkPolicy ext/ssh, spec.ingress[0]"
run 1 "$@" -f "$tmp/all.yaml" --peer app=shop,io.kubernetes.pod.namespace=web,io.cilium.k8s.policy.cluster=default --port 23
has "deny: denied by CiliumClusterwideNetworkPolicy no-telnet, spec.ingressDeny[0]"
printf 'kind: CiliumClusterwideNetworkPolicy\nmetadata: {name: x}\nspec: {endpointSelector: {}, ingress: [{fromEntities: [world]}]}\n' >"$tmp/x.yaml"
out=$("$ctl" policy verdict "$@" -o json -f - <"$tmp/x.yaml") || fail "the standard input: $out"
same '{"verdict":"allow","reason":"allowedbyCiliumClusterwideNetworkPolicyx,spec.ingress[0]","rules":[{"kind":"CiliumClusterwideNetworkPolicy","namespace":"","name":"x","path":"spec.ingress[0]","action":"allow"}],"isolated_by":[],"near":[],"rejected":[]}'
# toServices, CIDR groups; the order of files does not count
run 0 "$@" -f "$tmp/all.yaml" --direction egress --peer-ip 192.0.2.9
run 2 "$@" --peer-ip
set -- --subject app=vm,io.kubernetes.pod.namespace=ext --direction egress --protocol tcp --port 22
run 0 "$@" -f "$tmp/all.yaml" --peer-ip 192.0.2.9
has "spec.egress[1]"
run 0 "$@" -f "$tmp/all.yaml" --peer-ip 198.51.100.77
has "spec.egress[0]"
run 1 "$@" -f "$tmp/all.yaml" --peer-ip 198.51.100.78
# a later object replaces an earlier one
sed 's/world/host/' "$tmp/x.yaml" >"$tmp/y.yaml"
run 1 "$@" --direction ingress --peer-ip 192.0.2.1 -f "$tmp/x.yaml" -f "$tmp/y.yaml"
run 0 "$@" --direction ingress --peer-ip 192.0.2.1 -f "$tmp/y.yaml" -f "$tmp/x.yaml"
# what only authentication or a proxy would let in
cat >"$tmp/z.yaml" <<'YAML'
kind: CiliumNetworkPolicy
metadata: {name: z, namespace: ext}
spec:
  endpointSelector: {}
  ingress:
  - {fromEntities: [world], toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}
  - {fromEntities: [world], authentication: {mode: required}, toPorts: [{ports: [{port: "81", protocol: TCP}]}]}
YAML
set -- -f "$tmp/z.yaml" --subject app=vm,io.kubernetes.pod.namespace=ext --direction ingress --protocol tcp --peer-ip 192.0.2.1
run 1 "$@" --port 80 -o json
has '"action": "proxy"'
has "needs an L7 proxy"
run 1 "$@" --port 81 -o json
has '"action": "auth"'
has "authentication, which this host cannot do"
lacks '"action": "allow"'
exit $bad
