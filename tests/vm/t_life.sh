#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happens to a host in its life, on a real Debian: t_life.sh [KERNEL]. A new lease, another MTU and name of the card, a second card, a
# bond, a VLAN, a bridge and a guest's card on it, restarts of systemd-networkd and NetworkManager, a flushed nftables, sleep, a disk that is
# full or cannot be written; with t_beside.sh firewalld and Docker beside the agent. All the while packets that the policy forbids are
# sent, and none may pass; the agent keeps what is its own and touches nothing else. tests/netns/story_life.sh and story_years.sh do
# what needs no machine of its own.
HERE=$(cd "$(dirname "$0")" && pwd)
KERNEL=${1:-${KERNEL:-6.1}} KERNEL=${KERNEL%+network}+network
. "$HERE/lib.sh"
vm_enter "$0" "$KERNEL"
. "$HERE/guest.sh"
MOVED=172.19.100.4 SECOND=172.19.101.2 OUTSIDE=172.19.101.9 TAGGED=172.19.102.2 OUTSIDE_TAGGED=172.19.102.9
address=$AHCHTO

in_force() { # when
	passes "$1: an allowed pod gets in" leia $address 80
	stopped "$1: another pod does not" vader $address 80
	stopped "$1: a machine without identity does not" node1 $address 80
	is "$1: a service by its address" "Greetings from the pod leia" "$(guest curl -s --max-time 5 http://10.96.0.80/)"
}
has_condition() { [ "$(status ahch-to ".conditions[] | select(.name == \"$1\") | .severity")" = "$2" ]; }
interfaces() { status ahch-to '.datapath.interfaces | map(select(. != "mesh0")) | sort | join(" ")'; }
has_interfaces() { [ "$(interfaces)" = "$1" ]; }
registered() { api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r '[.status.networking.addressing[].ipv4] | join(" ")'; }
is_registered() { [ "$(registered)" = "$1" ]; }
# What would be the whole machine's in namespaces (VM_BOX)
own_kernel() { # what
	[ -n "${VM_BOX:-}" ] || return 0
	skipped=$((skipped + 1))
	echo "SKIP $1: needs a machine with a kernel of its own"
	return 1
}
pod_mtu() { guest ip -j link show mesh0 | jq -r '.[0].mtu'; }

machine() {
	vm_machine
	place_add crait $CRAIT
	check "apt installs the package" guest apt-get install -y -q /var/local/agent.deb
	enrol ahch-to 172.19.100.0/29 jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	exits "mesh-join joins" 0 guest mesh-join --token "$token"
	check "the agent comes up" wait_for 60 is_running ahch-to
	policy only-friends '{endpointSelector: {matchLabels: {jedi: luke}},
		ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]},
			{fromCIDR: [172.19.100.3/32], toPorts: [{ports: [{port: "7000", protocol: UDP}]}]}],
		egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}, {toCIDR: ['$OUTSIDE/32', '$OUTSIDE_TAGGED/32']}]}'
	in_force "policy"
	is "the card is policed" eth0 "$(interfaces)"
	floods_start
}

mtu() {
	local before
	before=$(pod_mtu)
	guest ip link set eth0 mtu 1400
	check "a smaller MTU: the tunnel follows" wait_for 15 eval '[ "$(pod_mtu)" = $((before - 100)) ]'
	in_force "a smaller MTU"
	guest ip link set eth0 mtu 1500
	check "the MTU of before: the tunnel follows" wait_for 15 eval "[ \"\$(pod_mtu)\" = $before ]"
}

# without systemd-networkd, which knows the card by its name
renaming() {
	guest sh -c 'systemctl stop systemd-networkd.socket systemd-networkd; ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 up
		ip addr replace 172.19.100.2/24 dev lan0; ip route replace default via 172.19.100.1'
	check "another name of the card: it is policed" wait_for 15 has_interfaces lan0
	in_force "another name of the card"
	guest sh -c 'ip link set lan0 down; ip link set lan0 name eth0; ip link set eth0 up; systemctl start systemd-networkd; networkctl reconfigure eth0'
	check "the name of before: it is policed" wait_for 15 has_interfaces eth0
	in_force "the name of before"
}

# A second network, in which machines try from the first packet on, one of them in VLAN 10.
neighbour() { # name, address
	ip netns add "$1" && mkdir -p "$CG/$1"
	ip link add "to-$1" type veth peer name eth0 netns "$1" && ip link set "to-$1" master br1 up
	ip -n "$1" link set lo up && ip -n "$1" addr add "$2/24" dev eth0 && ip -n "$1" link set eth0 up
}
tag() { # port of the bridge
	clang -O2 -target bpf -I"/usr/include/$(uname -m)-linux-gnu" -c "$HERE/tag.bpf.c" -o "$T/tag.o" && tc qdisc add dev "$1" clsact &&
		tc filter add dev "$1" ingress bpf da obj "$T/tag.o" sec in && tc filter add dev "$1" egress bpf da obj "$T/tag.o" sec out
}
second_card() {
	own_kernel "a second card" || return 0
	ip link add br1 type bridge && ip link set br1 up
	neighbour outside $OUTSIDE
	neighbour tagged $OUTSIDE_TAGGED
	tag to-tagged || die "no VLAN"
	intrude outside $SECOND
	intrude tagged $TAGGED
	vm plug ahch-to br1 || die "no second card"
	check "a second card appears" wait_for 20 guest test -e /sys/class/net/eth1
	guest sh -c "ip link set eth1 up && ip addr add $SECOND/24 dev eth1"
	check "a second card: it is policed" wait_for 15 has_interfaces "eth0 eth1"
	check "a second card: it works" guest ping -c 1 -W 5 $OUTSIDE
	stopped "a second card: who is not allowed does not get in" outside $SECOND 80
	in_force "a second card"
	guest sh -c "ip addr del $SECOND/24 dev eth1 && ip link set eth1 down && ip link add bond0 type bond mode active-backup miimon 100 && ip link set eth1 master bond0 && ip link set bond0 up && ip addr add $SECOND/24 dev bond0"
	check "a bond: it is policed" wait_for 15 has_interfaces "bond0 eth0"
	check "a bond: it works" wait_for 10 guest ping -c 1 -W 2 $OUTSIDE
	stopped "a bond: who is not allowed does not get in" outside $SECOND 80
	guest sh -c "ip link add link bond0 name bond0.10 type vlan id 10 && ip link set bond0.10 up && ip addr add $TAGGED/24 dev bond0.10"
	check "a VLAN on it: it works" wait_for 10 guest ping -c 1 -W 2 $OUTSIDE_TAGGED
	stopped "a VLAN on it: who is not allowed does not get in" tagged $TAGGED 80
	in_force "a bond and a VLAN"
	guest sh -c 'ip link del bond0.10; ip link del bond0; ip link set eth1 down'
	in_force "without the bond"
	guest sh -c "ip link add br-lan type bridge && ip link set eth1 master br-lan && ip link set eth1 up && ip link set br-lan up && ip addr add $SECOND/24 dev br-lan"
	check "a bridge: it is policed" wait_for 15 has_interfaces "br-lan eth0"
	check "a bridge: it works" wait_for 10 guest ping -c 1 -W 2 $OUTSIDE
	stopped "a bridge: who is not allowed does not get in" outside $SECOND 80
	guest sh -c 'ip link del br-lan; ip link set eth1 down'
	check "the second card by itself: it is policed" wait_for 15 has_interfaces "eth0 eth1"
	# a guest's card that no guest has opened is the host's; only it answers for its address
	guest sh -c "sysctl -qw net.ipv4.conf.all.arp_ignore=1; ip link set eth1 up
		ip link add link eth1 name macvtap0 type macvtap mode bridge && ip link set macvtap0 up && ip addr add $SECOND/24 dev macvtap0"
	check "a guest's card on it: it works" wait_for 10 guest ping -c 1 -W 2 $OUTSIDE
	stopped "a guest's card on it: who is not allowed does not get in" outside $SECOND 80
	is "a guest's card on it: the card below polices it" "eth0 eth1" "$(interfaces)"
	in_force "a guest's card"
	guest sh -c 'ip link del macvtap0; sysctl -qw net.ipv4.conf.all.arp_ignore=0'
	vm unplug ahch-to || die "the second card stays"
	check "the second card is pulled out: it is forgotten" wait_for 30 has_interfaces eth0
	in_force "the second card is pulled out"
}

lease() { # address
	[ -z "${dhcpd:-}" ] || { kill "$dhcpd"; wait "$dhcpd" 2>/dev/null; }
	become dhcp dnsmasq --conf-file=/dev/null --dhcp-authoritative --keep-in-foreground --port=0 --bind-interfaces --interface=eth0 --dhcp-range=$1,$1,255.255.255.0,2m --dhcp-option=3,$API \
		--dhcp-leasefile="$T/leases-$1" --log-facility=- --user=root --no-ping >>"$T/log/dhcp" 2>&1 &
	dhcpd=$!
}
dhcp() {
	command -v dnsmasq >/dev/null || { skipped=$((skipped + 1)); echo "SKIP another lease: needs dnsmasq here"; return; }
	place_add dhcp 172.19.100.14
	lease $AHCHTO
	guest sh -c 'printf "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n[DHCPv4]\nClientIdentifier=mac\n" >/etc/systemd/network/10-eth0.network; systemctl restart systemd-networkd'
	check "an address by DHCP" wait_for 40 guest sh -c 'ip -4 addr show eth0 | grep -q "172.19.100.2/24.*dynamic"'
	in_force "an address by DHCP"
	lease $MOVED
	guest sh -c 'networkctl reconfigure eth0'
	check "another lease" wait_for 60 guest sh -c "ip -4 addr show eth0 | grep -q $MOVED/24"
	check "another lease: the cluster knows" wait_for 45 is_registered $MOVED
	address=$MOVED
	intrude node1 $MOVED
	in_force "another lease"
	is "another lease: no condition is raised" '' "$(status ahch-to '.conditions[]? | select(.severity != "info") | .text')"
	lease $AHCHTO
	guest sh -c 'networkctl reconfigure eth0'
	check "the lease of before: the cluster knows" wait_for 60 is_registered $AHCHTO
	address=$AHCHTO
	in_force "the lease of before"
	guest sh -c 'rm /etc/systemd/network/10-eth0.network; networkctl reload; networkctl reconfigure eth0'
	check "a fixed address" wait_for 30 guest sh -c "ip -4 addr show eth0 | grep -q $AHCHTO/24"
}

restarts() {
	guest systemctl restart systemd-networkd
	sleep 2
	in_force "systemd-networkd restarts"
	guest sh -c 'nft add table inet mine; nft add chain inet mine input "{ type filter hook input priority 0; }"; nft flush ruleset'
	in_force "nft flush ruleset"
	guest sh -c 'systemctl stop systemd-networkd.socket systemd-networkd
		printf "[connection]\nid=wired\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=172.19.100.2/24,172.19.100.1\n[ipv6]\nmethod=disabled\n" >/etc/NetworkManager/system-connections/eth0.nmconnection
		chmod 600 /etc/NetworkManager/system-connections/eth0.nmconnection; systemctl start NetworkManager'
	wait_for 60 guest nmcli -w 30 connection up wired # it has its name before it has read them
	check "NetworkManager takes over" wait_for 60 guest sh -c 'nmcli -t -f DEVICE,STATE device | grep -qx eth0:connected'
	in_force "NetworkManager takes over"
	is "NetworkManager leaves the tunnel to the agent" 1 "$(guest nmcli -t -f DEVICE,STATE device | grep -cE '^mesh0:(unmanaged|connected \(externally\))$')"
	guest systemctl restart NetworkManager
	check "NetworkManager restarts" wait_for 60 guest sh -c 'nmcli -t -f DEVICE,STATE device | grep -qx eth0:connected'
	in_force "NetworkManager restarts"
}

# Suspended to memory. Meanwhile a policy changes, and the clock of the boot goes on.
sleeping() {
	own_kernel "sleep" || return 0
	guest systemctl suspend >/dev/null 2>&1 &
	check "it sleeps" wait_for 60 eval 'vm monitor ahch-to "info status" | grep -q suspended'
	apply $CNP/late <<-Y
		{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: late, namespace: legacy}, spec: {
		 endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromCIDR: [$CRAIT/32], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}}
	Y
	sleep 40
	vm monitor ahch-to system_wakeup
	check "it is awake" wait_for 60 guest true
	is "it was asleep, by the clock that counts that" yes \
		"$(guest awk '/^now at/ { awake = $3 / 1e9 } END { getline up <"/proc/uptime"; print ((up - awake > 30) ? "yes" : up " " awake) }' /proc/timer_list)"
	in_force "awake"
	check "awake: what changed meanwhile holds" wait_for 60 reaches crait $address 80
	remove $CNP/late
	stopped "awake: so does what changes then" crait $address 80
	check "awake: all is well" wait_for 60 is_running ahch-to
}

# cannot_write "what": a policy changes, which is to be written; the daemon is killed, and systemd starts it there
settled() { case $(status ahch-to .state) in ok | degraded) ;; *) return 1 ;; esac; }
cannot_write() {
	local pid files
	files=$(guest sh -c 'cd /var/lib/mesh-external-agent && md5sum token joined.json in-force')
	pid=$(guest systemctl show -P MainPID $UNIT)
	policy more '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromCIDR: [172.19.100.3/32], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]}'
	check "$1: the agent says so" wait_for 90 has_condition boot.save warning
	in_force "$1"
	passes "$1: what is new holds" crait $address 80
	is "$1: what was written is whole" "$files" "$(guest sh -c 'cd /var/lib/mesh-external-agent && md5sum token joined.json in-force')"
	guest systemctl kill -s KILL $UNIT
	check "$1: killed, it comes back" wait_for 90 settled
	is "$1: as another process" yes "$([ "$(guest systemctl show -P MainPID $UNIT)" != "$pid" ] && echo yes)"
	in_force "$1, killed"
	passes "$1, killed: what is new holds" crait $address 80
}
well_again() {
	remove $CNP/more
	stopped "$1: it is gone" crait $address 80
	check "$1: all is well" wait_for 150 is_running ahch-to
	in_force "$1"
}
full() {
	guest sh -c 'cd /var/local; i=0; for size in 1G 64M 4M 256K 4K; do while fallocate -l $size filler.$i 2>/dev/null; do i=$((i + 1)); done; i=$((i + 1)); done'
	is "the disk is full" 0 "$(guest stat -f -c %a /)"
	cannot_write "disk full"
	guest sh -c 'rm /var/local/filler.*'
	well_again "room again"
}
read_only() {
	own_kernel "a root that can only be read" || return 0
	guest sh -c 'echo u >/proc/sysrq-trigger'
	check "the root can only be read" wait_for 30 guest sh -c '! touch /var/local/some'
	cannot_write "read-only"
	guest sh -c 'mount -o remount,rw / && systemctl restart systemd-journald'
	well_again "writable again"
}

# What others have in the kernel, without counters
others() { guest sh -c 'nft -s list ruleset 2>/dev/null; ip -br link show type bridge; ip rule'; }
beside() { # who: the agent restarts, and nothing of theirs has changed
	others >"$T/others-before"
	guest systemctl restart $UNIT
	check "$1: the agent restarts" wait_for 60 is_running ahch-to
	others >"$T/others-after"
	same_file "$1: nothing of theirs has changed" "$T/others-before" "$T/others-after"
}
# Where the machine is emulated the answer comes too late for D-Bus.
firewalld_reads() { # port that is open then
	guest firewall-cmd --reload || wait_for 180 guest sh -c "firewall-cmd --list-ports | grep -qw $1"
}
# Only packets of the tunnel tell whether they get in.
when_a_pod_tries() { reaches leia $address 80; "$@"; }
firewalld() {
	guest systemctl start firewalld
	is "firewalld runs" active "$(guest systemctl is-active firewalld)"
	check "a port of the workload" guest firewall-cmd --permanent --add-port=80/tcp
	check "firewalld reads it" firewalld_reads 80/tcp
	check "firewalld keeps the tunnel out: the agent says so" wait_for 120 when_a_pod_tries has_condition datapath.tunnel-blocked error
	stopped "firewalld keeps the tunnel out: no pod gets in" leia $address 80
	check "the port of the tunnel" guest firewall-cmd --permanent --add-port=8472/udp
	check "firewalld reads it" firewalld_reads 8472/udp
	check "firewalld lets the tunnel in: all is well" wait_for 120 when_a_pod_tries is_running ahch-to
	in_force "firewalld"
	beside firewalld
	guest firewall-cmd --complete-reload
	check "firewalld reloads all" wait_for 180 guest firewall-cmd --state
	in_force "firewalld reloads all"
	guest systemctl stop firewalld
	in_force "firewalld stops"
}
docker() {
	guest systemctl start docker
	is "Docker runs" active "$(guest systemctl is-active docker)"
	check "an image" guest sh -c 'mkdir -p /var/local/image/bin && cp /bin/busybox /var/local/image/bin/sh && tar -C /var/local/image -c . | docker import - little'
	check "a container runs" guest docker run -d --rm --security-opt apparmor=unconfined --name little little /bin/sh -c 'while :; do sleep 1; done'
	is "no device of Docker is policed" eth0 "$(interfaces)"
	check "the container reaches the host" guest docker exec little /bin/sh -c 'ping -c 1 -W 5 172.17.0.1'
	in_force "Docker"
	beside Docker
	check "the container reaches the host" guest docker exec little /bin/sh -c 'ping -c 1 -W 5 172.17.0.1'
	guest sh -c 'docker kill little >/dev/null; systemctl stop docker.socket docker containerd'
	in_force "Docker stops"
}

quiet() {
	is "the log has what happened" yes "$(guest journalctl -q --no-pager -u $UNIT MESH_EVENT=agent.state | grep -q . && echo yes)"
	echo "# $(guest journalctl -q --no-pager -u $UNIT | wc -l) lines in the log"
	sleep 60
	is "a minute of packets that are dropped leaves nothing in it" '' "$(guest journalctl -q --no-pager -u $UNIT --since -60s)"
}

ending() {
	floods_end
	is "a machine without identity got no connection, all the while" 0 "$(wc -l <"$T/intruders")"
	is "and no answer" 0 "$(flooded received)"
	echo "# to $(flooded sent) packets"
}

vm_begin
cluster_start
pods_start
for part in ${VM_PARTS:-machine mtu renaming second_card dhcp restarts sleeping quiet full read_only} ending; do $part; done
[ $bad = 0 ] || show_log
vm_end
