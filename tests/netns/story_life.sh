#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happens to a host's network in its life, against the in-tree API server in network namespaces: another MTU, name and address of
# its card, a card plugged in, a bond, a VLAN, a bridge; flushed nftables; Docker's and firewalld's rules beside the agent. All the
# while machines that the policy forbids try to connect, and none may. The agent keeps what is its own and touches nothing else.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"
MOVED=172.19.100.4 FOREIGN=172.19.100.50 SECOND=172.19.101.2 OUTSIDE=172.19.101.9 TAGGED=172.19.102.2 OUTSIDE_TAGGED=172.19.102.9
SLICE=/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/council-mesh-ahch-to
address=$AHCHTO

on_host() { ip netns exec ahch-to "$@"; }
skip() { skipped=$((skipped + 1)); echo "SKIP $*"; }
interfaces() { status ahch-to '.datapath.interfaces | sort | join(" ")'; }
has_interfaces() { [ "$(interfaces)" = "$1" ]; }
published() { api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r '[.status.networking.addressing[].ipv4] | join(" ")'; }
is_published() { [ "$(published)" = "$1" ]; }
node_address() { api GET /apis/cilium.io/v2/ciliumnodes/ahch-to | jq -r '[.spec.addresses[].ip] | join(" ")'; }
# The EndpointSlice of the Service that it stands behind: address and enrolled ranges
backend() { api GET $SLICE | jq -r '"\(.endpoints[0].addresses[0]) \(.metadata.annotations["mesh-external-agent.io/addresses"])"'; }
is_backend() { [ "$(backend)" = "$1" ]; }
tunnel_mtu() { ip -n ahch-to -j link show mesh0 | jq '.[0].mtu'; }
in_force() { # when
	passes "$1: an allowed pod gets in" leia "$address" 80
	passes "$1: an allowed host gets in" crait "$address" 80
	PATIENCE=0.4 stopped "$1: another pod does not" vader "$address" 80
	PATIENCE=0.4 stopped "$1: a machine without identity does not" node1 "$address" 80
	passes "$1: a service by its address" ahch-to 10.96.0.80 80
	PATIENCE=0.4 stopped "$1: what may not be reached is not" ahch-to $VADER 8080
}
well() { check "$1: all is well" wait_for 40 is_running ahch-to; }
# What others have: rules, routes, devices and qdiscs, without what is the agent's
others() {
	on_host nft -s list ruleset 2>/dev/null
	ip -n ahch-to rule
	ip -n ahch-to route show table all | grep -v ' mesh0 \| proto 155 '
	ip -n ahch-to -br link | grep -v ^mesh | awk '{ print $1, $3 }'
	ip netns exec ahch-to tc qdisc | grep -v 'dev mesh\| clsact '
}
others_before() { others >"$T/others"; }
others_same() { others | diff "$T/others" - >"$T/diff"; is "$1: nothing of others was touched" 0 $?; sed 's/^/    /' "$T/diff"; }

# From now on a place tries an address, and who gets an answer is noted.
intrude() { (while :; do PATIENCE=0.3 reaches "$1" "$2" "${3:-80}" >/dev/null 2>&1 && echo "$1 $2 ${3:-80}" >>"$T/intruders"; sleep 0.02; done) & }

joining() {
	enrol ahch-to $AHCHTO,$MOVED jedi=luke --serve council && check "the host joins" join ahch-to --token "$token"
	enrol crait $CRAIT jedi=rey && check "another joins" join crait --token "$token"
	agent_start ahch-to
	agent_start crait
	check "it comes up" wait_for 15 is_running ahch-to
	check "so does the other" wait_for 15 is_running crait
	policy only '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}, {matchLabels: {jedi: rey}}]}],
		egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}, {toCIDR: ['$OUTSIDE/32', '$OUTSIDE_TAGGED/32']}]}'
	in_force "joined"
	is "the card is policed" eth0 "$(interfaces)"
	: >"$T/intruders"
	intrude node1 $AHCHTO
	intrude vader $AHCHTO
}

mtu() {
	local before
	before=$(tunnel_mtu)
	others_before
	ip -n ahch-to link set eth0 mtu 1400
	check "a smaller MTU: the tunnel follows" wait_for 10 eval '[ "$(tunnel_mtu)" = $((before - 100)) ]'
	in_force "a smaller MTU"
	ip -n ahch-to link set eth0 mtu 1500
	check "the MTU of before: the tunnel follows" wait_for 10 eval '[ "$(tunnel_mtu)" = $before ]'
	others_same "another MTU and back"
	well "another MTU and back"
}

rename_card() { # from, to
	ip -n ahch-to link set "$1" down
	ip -n ahch-to link set "$1" name "$2"
	ip -n ahch-to link set "$2" up
	ip -n ahch-to route replace default via $API
}
renaming() {
	rename_card eth0 lan0
	check "another name of the card: it is policed" wait_for 10 has_interfaces lan0
	in_force "another name of the card"
	rename_card lan0 eth0
	check "the name of before: it is policed" wait_for 10 has_interfaces eth0
	in_force "the name of before"
	well "another name and back"
}

# A card in another network, where a machine tries to connect from the first packet on
plugging() {
	ip link add br1 type bridge && ip link set br1 up
	ip netns add outside && mkdir -p "$CG/outside"
	ip link add to-outside type veth peer name eth0 netns outside && ip link set to-outside master br1 up
	ip -n outside link set lo up && ip -n outside addr add $OUTSIDE/24 dev eth0 && ip -n outside link set eth0 up
	become outside "$T/bin/tests/netns/story_peer" serve 80 outside >"$T/log/outside" 2>&1 &
	intrude outside $SECOND
	ip link add to-second type veth peer name eth1 netns ahch-to && ip link set to-second master br1 up
	ip -n ahch-to addr add $SECOND/24 dev eth1 && ip -n ahch-to link set eth1 up
	check "a second card: it is policed" wait_for 10 has_interfaces "eth0 eth1"
	passes "a second card: it works" ahch-to $OUTSIDE 80
	stopped "a second card: who is not allowed does not get in" outside $SECOND 80
	in_force "a second card"
	well "a second card"
	ip -n ahch-to link set eth1 netns $$
	check "taken out: it is forgotten" wait_for 10 has_interfaces eth0
	ip link set eth1 netns ahch-to
	ip -n ahch-to addr add $SECOND/24 dev eth1 && ip -n ahch-to link set eth1 up
	check "plugged in again: it is policed" wait_for 10 has_interfaces "eth0 eth1"
	stopped "plugged in again: who is not allowed does not get in" outside $SECOND 80
	is "all the while its address stays out of the cluster" $AHCHTO "$(published)"
}

stacked() { # what, device: who is above the second card
	check "$1: it is policed" wait_for 10 has_interfaces "$2 eth0"
	passes "$1: it works" ahch-to $OUTSIDE 80
	stopped "$1: who is not allowed does not get in" outside $SECOND 80
	in_force "$1"
	well "$1"
}
stacking() {
	ip -n ahch-to addr del $SECOND/24 dev eth1
	if ip -n ahch-to link add bond0 type bond mode active-backup miimon 100 2>/dev/null; then
		ip -n ahch-to link set eth1 down && ip -n ahch-to link set eth1 master bond0 && ip -n ahch-to link set bond0 up
		ip -n ahch-to addr add $SECOND/24 dev bond0
		stacked "a bond" bond0
		ip -n ahch-to link del bond0
	else
		skip "a bond: this kernel has none; tests/vm/t_life.sh has"
	fi
	ip -n ahch-to addr add $SECOND/24 dev eth1
	ip -n ahch-to link set eth1 up
	if ip -n ahch-to link add link eth1 name eth1.10 type vlan id 10 2>/dev/null; then
		ip -n outside link add link eth0 name eth0.10 type vlan id 10 && ip -n outside addr add $OUTSIDE_TAGGED/24 dev eth0.10 && ip -n outside link set eth0.10 up
		intrude outside $TAGGED
		ip -n ahch-to addr add $TAGGED/24 dev eth1.10 && ip -n ahch-to link set eth1.10 up
		passes "a VLAN: it works" ahch-to $OUTSIDE_TAGGED 80
		stopped "a VLAN: who is not allowed does not get in" outside $TAGGED 80
		is "a VLAN: it is policed by the card below it" "eth0 eth1" "$(interfaces)"
		ip -n ahch-to link del eth1.10
	else
		skip "a VLAN: this kernel has none; tests/vm/t_life.sh has"
	fi
	ip -n ahch-to link del eth1
	check "the second card is gone: it is forgotten" wait_for 10 has_interfaces eth0
	in_force "the second card is gone"
	# the card that leads to the cluster becomes the port of a bridge, as for virtual machines, and its address moves there
	ip -n ahch-to link add br-lan type bridge && ip -n ahch-to link set br-lan up
	ip -n ahch-to addr del $AHCHTO/24 dev eth0 && ip -n ahch-to link set eth0 master br-lan && ip -n ahch-to addr add $AHCHTO/24 dev br-lan
	ip -n ahch-to route replace default via $API
	check "the card under a bridge: that is policed" wait_for 10 has_interfaces br-lan
	in_force "the card under a bridge"
	well "the card under a bridge"
	ip -n ahch-to link set eth0 nomaster && ip -n ahch-to addr del $AHCHTO/24 dev br-lan && ip -n ahch-to addr add $AHCHTO/24 dev eth0
	ip -n ahch-to route replace default via $API
	ip -n ahch-to link del br-lan
	check "the card by itself: it is policed" wait_for 10 has_interfaces eth0
	in_force "the card by itself"
}

readdress() { # from, to: as by another lease
	ip -n ahch-to addr add "$2/24" dev eth0
	ip -n ahch-to addr del "$1/24" dev eth0
	ip -n ahch-to addr show dev eth0 | grep -q "$2/24" || ip -n ahch-to addr add "$2/24" dev eth0 # it was a secondary one
	ip -n ahch-to route replace default via $API
	address=$2
}
addresses() {
	intrude node1 $MOVED
	intrude node1 $FOREIGN
	intrude vader $FOREIGN
	ip -n ahch-to addr add $MOVED/24 dev eth0
	in_force "a second address that it may have"
	is "a second address that it may have: it is known by the first" $AHCHTO "$(published)"
	ip -n ahch-to addr del $MOVED/24 dev eth0
	readdress $AHCHTO $MOVED
	check "another address that it may have: the cluster knows" wait_for 10 is_published $MOVED
	is "another address that it may have: so does its node" $MOVED "$(node_address)"
	in_force "another address that it may have"
	well "another address that it may have"
	readdress $MOVED $FOREIGN
	check "an address that it may not have: it says so" wait_for 10 eval '[ "$(condition ahch-to register.address .severity)" = error ]'
	is "an address that it may not have: and what to do" 1 "$(condition ahch-to register.address .remedy | grep -c 'meshctl host add')"
	is "an address that it may not have: which it has, and which it may have" 1 \
		"$(condition ahch-to register.address .text | grep -c "$FOREIGN.*$AHCHTO.*$MOVED")"
	exits "an address that it may not have: meshctl status ends with" 1 host ahch-to status
	stopped "an address that it may not have: policy holds there" node1 $FOREIGN 80
	stopped "an address that it may not have: policy holds for pods" vader $FOREIGN 80
	agent_kill ahch-to TERM
	agent_start ahch-to
	check "an address that it may not have: it starts" wait_for 15 is_running ahch-to degraded
	stopped "an address that it may not have, restarted: policy holds there" node1 $FOREIGN 80
	passes "an address that it may not have, restarted: an allowed host gets in" crait $FOREIGN 80
	policy foreign '{endpointSelector: {matchLabels: {jedi: luke}}, ingressDeny: [{fromEndpoints: [{matchLabels: {jedi: rey}}]}]}'
	stopped "an address that it may not have, restarted: a new policy is followed" crait $FOREIGN 80
	remove $CNP/foreign
	check "an address that it may not have, restarted: and its end" wait_for 10 reaches crait $FOREIGN 80
	is "an address that it may not have: the cluster is not told" 0 "$(published | grep -c $FOREIGN)"
	readdress $FOREIGN $AHCHTO
	check "the address of before: the cluster knows" wait_for 10 is_published $AHCHTO
	well "the address of before"
	in_force "the address of before"
	readdress $AHCHTO $FOREIGN
	check "again: it says so" wait_for 10 eval '[ "$(condition ahch-to register.address .severity)" = error ]'
	check "enrolled for it, while it runs" admin host add ahch-to --address $AHCHTO,$MOVED,$FOREIGN
	check "enrolled for it, while it runs: the cluster knows" wait_for 10 is_published $FOREIGN
	check "enrolled for it, while it runs: so do callers of the Service" wait_for 10 is_backend "$FOREIGN $AHCHTO/32,$MOVED/32,$FOREIGN/32"
	in_force "enrolled for it, while it runs"
	well "enrolled for it, while it runs"
	check "enrolled for it no more" admin host add ahch-to --address $AHCHTO,$MOVED
	check "enrolled for it no more: no caller comes to it" wait_for 10 eval '! api GET $SLICE -f -o /dev/null'
	PATIENCE=0.4 stopped "enrolled for it no more: policy holds there" node1 $FOREIGN 80
	readdress $FOREIGN $AHCHTO
	check "the address of before: callers come again" wait_for 10 is_backend "$AHCHTO $AHCHTO/32,$MOVED/32"
	well "the address of before, again"
	ip -n ahch-to link set eth0 down
	sleep 2
	ip -n ahch-to link set eth0 up
	ip -n ahch-to route replace default via $API
	in_force "a cable out for a while"
	well "a cable out for a while"
}

# The real systemd-networkd, with a /run of its own that says that it is in a container: there it does not wait for udev.
NETWORKD=/lib/systemd/systemd-networkd
networkd_start() {
	become ahch-to unshare --mount sh -c 'mount -t tmpfs none /run && mount -t sysfs -o ro none /sys && mkdir -p /run/systemd/network \
		/run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp && echo lxc >/run/systemd/container &&
		chown -R systemd-network /run/systemd/netif && cp "$0" /run/systemd/network/10-eth0.network && exec "$1"' "$T/eth0.network" $NETWORKD >>"$T/log/networkd" 2>&1 &
	networkd=$!
}
networkd_stop() { kill -TERM $networkd; wait $networkd 2>/dev/null; }
lease() { # address
	[ -z "${dhcpd:-}" ] || { kill "$dhcpd"; wait "$dhcpd" 2>/dev/null; }
	become dhcp dnsmasq --conf-file=/dev/null --dhcp-authoritative --keep-in-foreground --port=0 --bind-interfaces --interface=eth0 \
		--dhcp-range="$1,$1,255.255.255.0,2m" --dhcp-option=3,$API --dhcp-leasefile="$T/leases-$1" --log-facility=- --user=root --no-ping >>"$T/log/dhcp" 2>&1 &
	dhcpd=$!
}
has_lease() { ip -n ahch-to -4 addr show dev eth0 | grep -q "$1/24.* dynamic"; }
leases() {
	if ! command -v dnsmasq >/dev/null || ! [ -x $NETWORKD ] || ! getent passwd systemd-network >/dev/null; then
		skip "leases: needs dnsmasq and systemd-networkd"
		return
	fi
	place_add dhcp 172.19.100.14
	printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n[DHCPv4]\nClientIdentifier=mac\n' >"$T/eth0.network"
	lease $AHCHTO
	ip -n ahch-to addr flush dev eth0
	networkd_start
	check "systemd-networkd has a lease" wait_for 20 has_lease $AHCHTO
	address=$AHCHTO
	in_force "a lease"
	well "a lease"
	networkd_stop
	networkd_start
	check "systemd-networkd restarts: it has the lease" wait_for 20 has_lease $AHCHTO
	in_force "systemd-networkd restarts"
	lease $MOVED
	networkd_stop
	ip -n ahch-to addr flush dev eth0
	networkd_start
	check "another lease" wait_for 20 has_lease $MOVED
	check "another lease: the cluster knows" wait_for 15 is_published $MOVED
	is "another lease: so does its node" $MOVED "$(node_address)"
	address=$MOVED
	in_force "another lease"
	well "another lease"
	networkd_stop
	ip -n ahch-to addr flush dev eth0
	readdress $MOVED $AHCHTO 2>/dev/null
	check "the address of before: the cluster knows" wait_for 15 is_published $AHCHTO
	in_force "without systemd-networkd"
}

flushing() {
	if ! on_host nft add table inet mine; then
		skip "nft flush ruleset: needs nft"
		return
	fi
	on_host nft add chain inet mine input '{ type filter hook input priority 0; }'
	on_host nft add rule inet mine input tcp dport 9999 drop
	others_before
	agent_kill ahch-to
	agent_start ahch-to
	well "rules of others are there"
	others_same "rules of others are there, the agent restarts"
	on_host nft flush ruleset
	in_force "nft flush ruleset"
	is "nft flush ruleset: the agent made none" '' "$(on_host nft list ruleset)"
	on_host tc qdisc add dev eth0 root tbf rate 1gbit burst 1mbit latency 50ms
	in_force "a qdisc of others"
	on_host tc qdisc del dev eth0 root
	in_force "which goes"
	well "flushed"
}

# What Docker 20.10 and newer set up for a container with a published port: iptables rules, a bridge, forwarding.
docker_up() {
	ip -n ahch-to link add docker0 type bridge && ip -n ahch-to addr add 172.17.0.1/16 dev docker0 && ip -n ahch-to link set docker0 up
	on_host sysctl -qw net.ipv4.ip_forward=1
	on_host iptables-nft-restore <<-R || return 1
		*nat
		:PREROUTING ACCEPT [0:0]
		:INPUT ACCEPT [0:0]
		:OUTPUT ACCEPT [0:0]
		:POSTROUTING ACCEPT [0:0]
		:DOCKER - [0:0]
		-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
		-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
		-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
		-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
		-A DOCKER -i docker0 -j RETURN
		-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8088 -j DNAT --to-destination 172.17.0.2:80
		COMMIT
		*filter
		:INPUT ACCEPT [0:0]
		:FORWARD DROP [0:0]
		:OUTPUT ACCEPT [0:0]
		:DOCKER - [0:0]
		:DOCKER-ISOLATION-STAGE-1 - [0:0]
		:DOCKER-ISOLATION-STAGE-2 - [0:0]
		:DOCKER-USER - [0:0]
		-A FORWARD -j DOCKER-USER
		-A FORWARD -j DOCKER-ISOLATION-STAGE-1
		-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
		-A FORWARD -o docker0 -j DOCKER
		-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
		-A FORWARD -i docker0 -o docker0 -j ACCEPT
		-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
		-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
		-A DOCKER-ISOLATION-STAGE-1 -j RETURN
		-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
		-A DOCKER-ISOLATION-STAGE-2 -j RETURN
		-A DOCKER-USER -j RETURN
		COMMIT
	R
	ip netns add box && mkdir -p "$CG/box"
	ip -n ahch-to link add veth1a2b3c type veth peer name eth0 netns box && ip -n ahch-to link set veth1a2b3c master docker0 up
	ip -n box link set lo up && ip -n box addr add 172.17.0.2/16 dev eth0 && ip -n box link set eth0 up && ip -n box route add default via 172.17.0.1
	become box "$T/bin/tests/netns/story_peer" serve 80 "Greetings from a container" >"$T/log/box" 2>&1 &
}
containers() {
	command -v iptables-nft-restore >/dev/null || { skip "Docker's rules: needs iptables-nft-restore"; return; }
	docker_up || { skip "Docker's rules: this kernel cannot have them: $(uname -r)"; return; }
	has_containers=1
	intrude node1 $AHCHTO 8088
	intrude vader $AHCHTO 8088
	in_force "Docker's rules"
	is "no device of Docker is policed" eth0 "$(interfaces)"
	passes "a published port: an allowed pod gets in" leia $AHCHTO 8088
	passes "a published port: an allowed host gets in" crait $AHCHTO 8088
	stopped "a published port: another pod does not" vader $AHCHTO 8088
	stopped "a published port: a machine without identity does not" node1 $AHCHTO 8088
	passes "a published port: by the host itself" ahch-to $AHCHTO 8088
	passes "a container reaches the host" box 172.17.0.1 80
	passes "a container reaches the pods that the host may" box $LEIA 8080
	stopped "a container reaches no others" box $VADER 8080
	stopped "nor another host" box $CRAIT 80
	others_before
	agent_kill ahch-to
	agent_start ahch-to
	well "Docker's rules, the agent restarts"
	others_same "Docker's rules, the agent restarts"
	in_force "Docker's rules, the agent restarts"
	passes "a published port after that" leia $AHCHTO 8088
}
containers_end() {
	[ -n "${has_containers:-}" ] || return 0
	ip netns del box 2>/dev/null
	ip -n ahch-to link del docker0 2>/dev/null
	on_host nft flush ruleset
	on_host sysctl -qw net.ipv4.ip_forward=0
	in_force "Docker is gone"
}

# What firewalld 1.3 sets up for a host in its zone "public", with port 80 opened. `tunnel` opens that of the tunnel, too.
firewalld_up() {
	on_host nft -f - <<-R
		table inet firewalld
		flush table inet firewalld
		table inet firewalld {
			chain filter_PREROUTING {
				type filter hook prerouting priority filter + 10; policy accept;
				icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
				meta nfproto ipv6 fib saddr . mark . iif oif missing drop
			}
			chain filter_INPUT {
				type filter hook input priority filter + 10; policy accept;
				ct state { established, related } accept
				ct status dnat accept
				iifname "lo" accept
				ct state invalid drop
				jump filter_INPUT_ZONES
				reject with icmpx admin-prohibited
			}
			chain filter_FORWARD {
				type filter hook forward priority filter + 10; policy accept;
				ct state { established, related } accept
				ct status dnat accept
				iifname "lo" accept
				ct state invalid drop
				reject with icmpx admin-prohibited
			}
			chain filter_INPUT_ZONES {
				tcp dport 22 accept
				udp dport 546 ip6 daddr fe80::/64 accept
				tcp dport 80 accept
				meta l4proto { icmp, ipv6-icmp } accept
				${1:+udp dport $TUNNEL_PORT accept}
			}
		}
	R
}
firewall() {
	firewalld_up open || { skip "firewalld's rules: needs nft, and a kernel that can have them"; return; }
	others_before
	in_force "firewalld's rules"
	agent_kill ahch-to
	agent_start ahch-to
	well "firewalld's rules, the agent restarts"
	others_same "firewalld's rules, the agent restarts"
	in_force "firewalld's rules, the agent restarts"
	firewalld_up
	stopped "the port of the tunnel is closed: pods do not get in" leia $AHCHTO 80
	check "the port of the tunnel is closed: it says so" wait_for 100 eval '[ "$(condition ahch-to datapath.tunnel-blocked .severity)" = error ]'
	is "the port of the tunnel is closed: and what to do" 1 "$(condition ahch-to datapath.tunnel-blocked .remedy | grep -c "firewall-cmd .*--add-port=$TUNNEL_PORT/udp")"
	firewalld_up open
	check "it is opened: all is well" wait_for 60 is_running ahch-to
	in_force "it is opened"
	on_host nft flush ruleset
	in_force "firewalld is gone"
}

ending() {
	is "nobody who may not got in, all the while" '' "$(sort "$T/intruders" | uniq -c)"
	others_before
	check "leave" host ahch-to leave --yes
	agent_kill ahch-to
	others_same "leaving"
	is "nothing of the agent is left" '' "$(ip -n ahch-to -br link | grep ^mesh; ip -n ahch-to route show table all | grep 'proto 155'; ls "$T/ahch-to/state")"
}

story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
host_add crait $CRAIT
for part in ${STORY_PARTS:-joining mtu renaming plugging stacking addresses leases flushing containers containers_end firewall ending}; do $part; done
story_finish
