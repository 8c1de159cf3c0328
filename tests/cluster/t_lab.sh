#!/bin/bash
# The lab itself: two nodes, pods in three namespaces that reach each other, a policy that the peers enforce,
# and nothing left behind. Everything in a network and mount namespace, beside whatever else runs here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

. "$here/lib.sh"
lab_enter "" "" "$@"
lab() { "$here/lab.sh" "$@"; }
fail() { echo "not ok: $*"; exit 1; }
reach() { lab pod exec "$1" "$2" ping -c 1 -W 2 "$3" >/dev/null; }

trap 'lab down || true' EXIT
start=$SECONDS
lab up 2
echo "up in $((SECONDS - start)) s"

luke=$(lab pod add node1 default luke org=alliance)
leia=$(lab pod add node2 default leia org=alliance)
vader=$(lab pod add node2 empire vader org=empire)
yoda=$(lab pod add node1 dagobah yoda org=jedi)
for to in "$leia" "$vader" "$yoda"; do reach default luke "$to" || fail "luke does not reach $to"; done
reach empire vader "$luke" || fail "vader does not reach luke"
lab exec host1 ping -c 1 -W 2 "$SERVER" >/dev/null || fail "the host does not reach the API server"

in_ipcache() { lab exec node1 cilium-dbg bpf ipcache list | grep "^$1/32 .*tunnelendpoint=$NET.0.12 "; }
wait_for 10 in_ipcache "$leia" || fail "leia is not in the ipcache of node1"

lab kubectl apply -f - <<-Y
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: no-empire, namespace: default}
spec:
  endpointSelector: {matchLabels: {org: alliance}}
  ingress: [{fromEndpoints: [{matchLabels: {org: alliance}}]}]
Y
refused() { ! reach empire vader "$luke"; }
wait_for 20 refused || fail "the policy does not stop vader"
reach default leia "$luke" || fail "the policy stops leia"

lab down
trap - EXIT
for left in "$LAB/place" "$LAB/pid" "$LAB/cgroup"; do [ ! -e "$left" ] || fail "$left is left"; done
[ -z "$(ip netns list)" ] || fail "network namespaces are left: $(ip netns list)"
! ip link show "$BRIDGE" >/dev/null 2>&1 || fail "the bridge is left"
echo ok
