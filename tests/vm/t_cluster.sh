#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The package on a real Debian with systemd, in a real cluster: t_cluster.sh [KERNEL]. kube-apiserver, the controller manager and
# two stock Cilium nodes of tests/cluster; the machine is on their network. apt installs the package, mesh-join, policies of the
# host and of a pod, services both ways, reboot, a power failure while the API server is away, upgrade to maps of another layout
# and back under load, remove, leave, purge. What the cluster knows is asked of the stock agents.
#   VM_PARTS="machine joining ..."   these parts only
#   K8S, CILIUM                      other versions of the peers, see tests/cluster
set -uo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
here=$HERE/../cluster
export BUILD=${BUILD:-build}
KERNEL=${1:-${KERNEL:-6.1}}

. "$here/lib.sh"
. "$HERE/machine.sh"
[ -n "${LAB_INSIDE:-}" ] || vm_needs "$KERNEL"
lab_enter "mesh-agentd mesh-join meshctl tests/cluster/peer tests/netns/story_stream tests/netns/next/mesh-agentd" "jq curl openssl dpkg-deb strip" "$@"
. "$here/story_lib.sh"
. "$here/story_core.sh"
HOST=172.19.100.4 STRANGER=host1 # which tests/cluster has as a machine that has not joined
variant=$KERNEL stream=$BUILD/tests/netns/story_stream
T=$LAB AHCHTO=$HOST GUEST_LEN=16 GUEST_SERVER=tests/cluster/peer GUEST_SAYS=ahch-to
. "$HERE/guest.sh"
. "$HERE/package.sh"
export VM_RUN=$LAB/vm VM_BRIDGE=$BRIDGE VM_GATEWAY=$SERVER VM_CGROUP=$LAB/cgroup

leave() {
	lab_leave
	[ ! -e "$VM_RUN/ahch-to" ] || vm down ahch-to >/dev/null 2>&1
}
trap leave EXIT
trap 'exit 130' INT TERM

# The machine is the only host there is, and slow where it is emulated.
ctl() { shift; guest meshctl "$@"; }
is_well() { state_is ahch-to ok; }
slowly() { wait_for 60 "$@" || { "$@"; echo "not within a minute"; return 1; }; }
guest_reaches() { guest curl -sS -m 5 "http://$1/" | grep "^$2 from $HOST"; }
guest_is_kept_from() {
	local code
	guest curl -sS -m 3 -o /dev/null "http://$1/"
	code=$?
	[ $code = 28 ] || { echo "curl ended with $code, not 28 (no answer)"; return 1; }
}
names_wait() { grep 'DNS server does not run yet' <<<"$(guest meshctl dns query resistance.default.svc.cluster.local 2>&1)"; }
ssh_answers() { at $STRANGER timeout 10 bash -c ": <>/dev/tcp/$HOST/22 && head -c 8 <&0 <>/dev/tcp/$HOST/22" | grep SSH-2.0; }
# A question that fails is no proof of absence.
none() {
	local found
	found=$(kubectl get --ignore-not-found -o name "$@") && is "$found" ''
}
state() { guest bash /var/local/state.sh all >"$LAB/state.$1" || die "the machine does not tell its state"; }

machine() {
	local p
	for p in resistance empire; do background serve-$p pod:$p "$peer" serve 8080 $p; done
	service default resistance '{"org": "resistance"}' 8080 '{}'
	service legacy ahch-to '{"jedi": "luke"}' 80 '{"io.cilium/portal": "true"}'
	cluster_ip=$(kubectl -n default get service resistance -o 'jsonpath={.spec.clusterIP}')
	portal_ip=$(kubectl -n legacy get service ahch-to -o 'jsonpath={.spec.clusterIP}')
	at $STRANGER ip route replace "${pod_ip[resistance]}" via 172.19.0.11
	vm_machine
	package_make
	for p in pod:resistance pod:empire node1 $STRANGER; do
		check "before: $p reaches the machine" slowly reaches $p $HOST 80 ahch-to
	done
	check "before: $STRANGER reaches the pod" soon reaches $STRANGER "${pod_ip[resistance]}" 8080 resistance
	state before
}

joining() {
	check "apt installs the package" package_install $FIRST
	check "it waits to be joined" state_is ahch-to not-joined
	check "the cluster is set up" admin cluster setup
	check "the host is enrolled" enrol ahch-to --labels jedi=luke --address $HOST --serve ahch-to
	id=$(kubectl -n legacy get ciliumendpoint ahch-to -o 'jsonpath={.status.identity.id}')
	check "a dry run says that the machine is ready" guest mesh-join --dry-run --token "$(token_in "$LAB/token.ahch-to")"
	check "mesh-join joins" guest mesh-join --token "$(token_in "$LAB/token.ahch-to")"
	check "it is well" slowly is_well
	[ $failed = 0 ] || { show_log; return 1; }
	guest meshctl status | sed 's/^/    /'
	check "the other nodes know its identity: node1" soon in_ipcache node1 $HOST "$id"
	check "the other nodes know its identity: node2" soon in_ipcache node2 $HOST "$id"
	guest sh -c 'echo nameserver 127.18.53.53 >/etc/resolv.conf'
	check "without policy a pod gets in, with its own address" slowly reaches pod:empire $HOST 80 ahch-to "${pod_ip[empire]}"
	check "it reaches a pod, with its own address" slowly guest_reaches "${pod_ip[empire]}:8080" empire
	from_orgs resistance
	to_orgs resistance
	pod_admits_luke 8080
	check "meshctl lists what lets in as enforced" slowly policy_is_enforced ingress
	check "and what lets out" slowly policy_is_enforced egress
	check "the pod's own policy holds" soon dropped $STRANGER "${pod_ip[resistance]}" 8080
}

# What must hold whenever the machine is up, with the API server or without
in_force() { # WHEN
	check "$1: the pod that is allowed gets in, through the tunnel" slowly reaches pod:resistance $HOST 80 ahch-to "${pod_ip[resistance]}"
	check "$1: not by another port" dropped pod:resistance $HOST 8081
	check "$1: another pod does not" dropped pod:empire $HOST 80
	check "$1: nor does a machine without identity" dropped $STRANGER $HOST 80
	check "$1: nor a node" dropped node1 $HOST 80
	check "$1: SSH answers" ssh_answers
	check "$1: the pod lets it in by its labels" slowly guest_reaches "${pod_ip[resistance]}:8080" resistance
	check "$1: and no machine without them" dropped $STRANGER "${pod_ip[resistance]}" 8080
	check "$1: outwards only what is allowed" guest_is_kept_from "${pod_ip[empire]}:8080"
	check "$1: a service by its address" guest_reaches "$cluster_ip" resistance
}
# and what the cluster and it must know of each other, which is asked of the nodes, too
known() { # WHEN
	check "$1: a service by its name" guest_reaches resistance.default.svc.cluster.local resistance
	check "$1: node1 knows its identity" slowly in_ipcache node1 $HOST "$id"
	check "$1: node2 knows its identity" in_ipcache node2 $HOST "$id"
	check "$1: node1 has it as a backend" slowly backend_listed
	check "$1: a pod reaches it by the service that it stands behind" slowly reaches pod:resistance "$portal_ip" 80 ahch-to "${pod_ip[resistance]}"
	check "$1: who is not allowed does not, by that either" dropped pod:empire "$portal_ip" 80
}
forgotten() { # WHEN
	check "$1: no node has it as a backend" slowly backend_not_listed
	check "$1: node1 knows no identity of it" slowly not_in_ipcache node1 $HOST "$id"
	check "$1: nor does node2" slowly not_in_ipcache node2 $HOST "$id"
}

enforcing() {
	in_force "policy"
	known "policy"
}

# What the policies forbid is tried all the while, from power-on: connections, and a thousand packets a second to a service that
# answers each.
floods_start() {
	local p
	for p in pod:empire $STRANGER; do
		background "load-tries-${p#pod:}" $p sh -c "while :; do curl -sS -m 0.3 http://$HOST/; sleep 0.05; done"
		background "load-sends-${p#pod:}" $p "$stream" send $HOST 7000 1000000 1000
	done
}
floods_end() { # WHEN
	local p
	for p in empire $STRANGER; do
		stop "load-tries-$p"
		stop "load-sends-$p"
		if [ -n "${VM_BOX:-}" ]; then # its card is a veth, which is a host's own once it has an address
			skip "$1: what passes from power-on: needs a machine with a card of its own"
			continue
		fi
		check "$1: $p has tried" grep '^curl: (28)' "$LAB/log/load-tries-$p.log"
		check "$1: $p got no connection, from power-on" is "$(grep -c '^ahch-to from' "$LAB/log/load-tries-$p.log")" 0
		check "$1: $p got no answer, from power-on" grep -E '^sent [1-9][0-9]{3,} received 0 ' "$LAB/log/load-sends-$p.log"
		echo "# $1: $p: $(cat "$LAB/log/load-sends-$p.log")"
	done
}
booting() { # COMMAND-OF-VM WHEN
	local began=$SECONDS
	floods_start
	vm "$1" ahch-to || die "the machine does not come back"
	echo "# $2: up after $((SECONDS - began)) s"
}
rebooting() {
	booting reboot reboot
	check "reboot: it is well" slowly is_well
	in_force "reboot"
	floods_end "reboot"
	known "reboot"
}
crashing() {
	"$lab" api stop
	booting crash "power failure, no API server"
	check "power failure, no API server: it waits for one" slowly state_is ahch-to starting
	in_force "power failure, no API server"
	check "power failure, no API server: names of the cluster are not known yet" names_wait
	floods_end "power failure, no API server"
	"$lab" api start >/dev/null || die "the API server does not come back"
	check "power failure: the API server comes back, and it is well" wait_for 120 is_well
	in_force "power failure"
	known "power failure"
}

# upgraded WHEN FILE VERSION: under a stream that the policies allow
upgraded() {
	background load-allowed pod:resistance "$stream" send $HOST 7000 100000 20000
	sleep 1
	check "$1: apt does it" package_install "$2"
	check "$1: it is the version" is "$(package_version)" "$3"
	check "$1: it is well" slowly is_well
	check "$1: another pod does not get in meanwhile" dropped pod:empire $HOST 80
	stop load-allowed
	echo "# $1: $(cat "$LAB/log/load-allowed.log")"
	check "$1: nothing of a stream is lost" grep -E '^sent [1-9].* lost 0 ' "$LAB/log/load-allowed.log"
	in_force "$1"
	known "$1"
}
upgrading() {
	case $KERNEL in
	trixie*) # whose libraries are others than those of the daemon with another layout
		upgraded upgrade $NEXT "$NEXT_VERSION"
		skip "maps of another layout: that daemon is built for Debian 12"
		return
		;;
	esac
	guest ln -s /etc/mesh-external-agent /usr/local/etc/mesh-external-agent # where that daemon looks for its configuration
	upgraded "upgrade to maps of another layout" $OTHER "$NEXT_VERSION+other"
	upgraded "downgrade" $NEXT "$NEXT_VERSION"
	guest rm /usr/local/etc/mesh-external-agent
}

removing() {
	check "apt removes the package" package_remove
	check "removed: no node has it as a backend" slowly backend_not_listed
	check "removed: nothing is enforced" slowly reaches $STRANGER $HOST 80 ahch-to
	check "apt installs it again" package_install $NEXT
	check "it is a member again, without a token" slowly is_well
	in_force "installed again"
	known "installed again"
}

leaving() {
	check "meshctl leave" guest meshctl leave --yes
	forgotten "left"
	check "left: nothing is enforced" slowly reaches $STRANGER $HOST 80 ahch-to
	check "the admin removes it" admin host remove ahch-to
	check "removed: its endpoint is gone" soon none -n legacy ciliumendpoint ahch-to
	check "removed: its node is gone" soon none ciliumnode ahch-to
	check "removed: its slice is gone" soon none -n legacy endpointslice -l mesh-external-agent.io/host=ahch-to
	check "removed: its account is gone" soon none -n mesh-hosts serviceaccount ahch-to
	check "apt purges the package" package_purge
	guest sh -c ': >/etc/resolv.conf'
	state after
	check "purged: everything is as before it was installed" diff -u "$LAB/state.before" "$LAB/state.after"
	check "purged: the machine is reached" reaches $STRANGER $HOST 80 ahch-to
}

began() {
	local p
	lab_up 2 || return 1
	for p in resistance empire; do pod_ip[$p]=$(pod_up "${pod_node[$p]}" default $p "org=$p") || return 1; done
	kubectl create namespace legacy >/dev/null
	echo "# the cluster: up after $SECONDS s"
}
if began; then
	for part in ${VM_PARTS:-machine joining enforcing rebooting crashing upgrading removing leaving}; do $part || break; done
	[ "$failed" = 0 ] || show_log
else
	fail "the cluster starts"
fi
echo "# $SECONDS seconds"
lab_told t_cluster.sh
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
