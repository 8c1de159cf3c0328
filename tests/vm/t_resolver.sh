#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The host's resolver on a real Debian 12: t_resolver.sh [KERNEL]. systemd-resolved with polkit, a plain resolv.conf, and
# NetworkManager by itself and with dnsmasq: names of the cluster come from the agent and others from the host's own server, before and
# after the agent is killed, the network's services restart and the machine boots; and when the agent stops or leaves,
# all is as before.
HERE=$(cd "$(dirname "$0")" && pwd)
KERNEL=${1:-${KERNEL:-6.1}} KERNEL=${KERNEL%+network}+network
. "$HERE/lib.sh"
vm_enter "$0" "$KERNEL"
. "$HERE/guest.sh"
DNS=172.19.100.53
TEMPLE=temple.legacy.svc.cluster.local

lookup() { guest timeout 30 getent ahostsv4 "$1" 2>/dev/null | awk 'NR == 1 { print $1 }'; }
knows() { [ "$(lookup "$1")" = "$2" ]; }
servers() { guest awk '$1 == "nameserver" { printf "%s%s", s, $2; s = " " }' /etc/resolv.conf; }
dns() { guest meshctl dns status -o json | jq -r "$1"; }
leaked() { grep -cE "cluster(set)?\.local|96\.10\.in-addr\.arpa" "$T/log/dns"; }
conf() { guest sh -c 'sed -i "/^dns:/d" "$0" && printf "dns: { host-resolver = \"%s\"; reverse = [ \"10.96.0.0/12\" ]; };\n" "$1" >>"$0"' /etc/mesh-external-agent/mesh-external-agent.conf "$1"; }
agent_up() { check "$1: the agent comes up" wait_for 60 is_running ahch-to; }
# What the resolver of the machine is like. The tunnel is the agent's, and stays when that stops.
picture() {
	guest sh -c 'stat -c "%A %U %G %N" /etc/resolv.conf*; ls /run/systemd/dns-delegate.d 2>/dev/null; cat /etc/resolv.conf
		resolvectl status --no-pager 2>/dev/null | sed "/Current DNS Server/d; s/^  *//" | awk -v RS= "!/\\(mesh0\\)/"
		nmcli -t -f NAME,TYPE,DEVICE connection show 2>/dev/null | grep -v ^mesh0:
		ip -br -4 addr | grep -v ^mesh0' >"$T/picture-$1"
}
pictured() { same_file "$1: the resolver is as before" "$T/picture-$2" "$T/picture-$3"; }
# NetworkManager takes no other device for the agent; a kernel that is not the machine's own (VM_BOX) may have no such driver.
has_dummies() { # for what
	guest sh -c 'ip link add dummy9 type dummy && ip link del dummy9' >/dev/null 2>&1 && return
	skipped=$((skipped + 1))
	echo "SKIP $1: needs a kernel with the driver dummy"
	return 1
}
as_ever() { # when
	check "$1: a name of the cluster" wait_for 45 knows $TEMPLE 10.96.0.80
	is "$1: a name of the host" 172.19.100.99 "$(lookup www.host.example)"
	is "$1: the name of a service's address" $TEMPLE "$(guest timeout 30 getent hosts 10.96.0.80 | awk '{ print $2 }')"
	lookup temple.legacy.svc.clusterset.local >/dev/null # nobody has it; leaked() tells who was asked
}
told() { # when, what, how
	is "$1: meshctl dns status tells what is there and how it is done" "$2 $3" "$(dns '.host_resolver | "\(.found) \(.method)"')"
	is "$1: and its test passes" ok "$(dns .test.state)"
}

machine() {
	vm_machine
	place_add dns $DNS
	printf '%s\n' 'www.host.example 5 172.19.100.99' >"$T/zone"
	become dns "$T/bin/tests/netns/story_dns" $DNS "$T/zone" >>"$T/log/dns" 2>&1 &
	check "apt installs the package" guest apt-get install -y -q /var/local/agent.deb
	enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"
	exits "mesh-join joins" 0 guest mesh-join --token "$token"
	agent_up "joined"
	is "without a resolver nothing is done" "none none" "$(dns '.wiring.method + " " + .host_resolver.method')"
	guest systemctl stop mesh-external-agent
	conf split
}

resolved() {
	guest sh -c 'mkdir -p /etc/systemd/network/90-eth0.network.d && printf "[Network]\nDNS=172.19.100.53\nDomains=~.\n" >/etc/systemd/network/90-eth0.network.d/dns.conf
		networkctl reload; networkctl reconfigure eth0; systemctl enable -q --now systemd-resolved; ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf'
	check "systemd-resolved: a name of the host" wait_for 30 knows www.host.example 172.19.100.99
	picture resolved-before
	guest systemctl start mesh-external-agent
	agent_up "systemd-resolved"
	as_ever "systemd-resolved"
	told "systemd-resolved" systemd-resolved systemd-resolved
	is "systemd-resolved: for which names" "cluster.local clusterset.local 96.10.in-addr.arpa 18" "$(dns '.host_resolver.domains | "\(.[:3] | join(" ")) \(length)"')"
	is "systemd-resolved: no condition is raised" '' "$(status ahch-to '.conditions[]? | select(.severity != "info") | .text')"
	is "systemd-resolved: no name of the cluster went elsewhere" 0 "$(leaked)"
	guest systemctl kill -s KILL mesh-external-agent
	is "killed: a name of the host" 172.19.100.99 "$(lookup www.host.example)"
	agent_up "killed"
	as_ever "killed"
	guest systemctl restart systemd-resolved
	as_ever "systemd-resolved restarts"
	guest systemctl restart systemd-networkd
	sleep 2
	as_ever "systemd-networkd restarts"
	vm reboot ahch-to || die "the machine does not come back"
	agent_up "rebooted"
	as_ever "rebooted"
	guest systemctl stop mesh-external-agent
	picture resolved-after
	pictured "stopped" resolved-before resolved-after
	is "stopped: a name of the host" 172.19.100.99 "$(lookup www.host.example)"
}

# The agent is not root: systemd-resolved asks polkit whether it may. Without polkit it is done for it.
polkit() {
	guest sh -c 'systemctl mask -q --runtime --now polkit; systemctl start mesh-external-agent'
	agent_up "without polkit"
	as_ever "without polkit"
	told "without polkit" systemd-resolved systemd-resolved
	check "without polkit: no condition is raised" wait_for 45 eval "[ -z \"\$(status ahch-to '.conditions[]? | select(.severity != \"info\") | .text')\" ]"
	guest systemctl unmask -q --runtime polkit
	guest systemctl stop mesh-external-agent
}

plain() {
	guest sh -c 'systemctl disable -q --now systemd-resolved; rm /etc/resolv.conf; printf "# by hand\nnameserver 172.19.100.53\n" >/etc/resolv.conf'
	before=plain-before
	picture $before
	guest systemctl start mesh-external-agent
	agent_up "a plain file, split"
	is "a plain file, split: nothing is done" "none ok 172.19.100.53" "$(dns '.host_resolver.method') $(guest systemctl is-failed -q mesh-external-agent-resolver || echo ok) $(servers)"
	guest systemctl stop mesh-external-agent
	conf auto
	guest systemctl start mesh-external-agent
	agent_up "a plain file"
	as_ever "a plain file"
	told "a plain file" "a plain /etc/resolv.conf" resolv.conf
	guest sh -c 'printf "# by a DHCP client\nnameserver 172.19.100.53\n" >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf'
	check "somebody else writes the file: the agent comes first again" wait_for 45 eval '[ "$(servers)" = "127.18.53.53 172.19.100.53" ]'
	guest sh -c 'printf "# by hand\nnameserver 172.19.100.53\n" >/etc/resolv.conf.new && touch -r /etc/hostname /etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf'
	check "and once more" wait_for 45 eval '[ "$(servers)" = "127.18.53.53 172.19.100.53" ]'
	guest sh -c 'mkdir -p /run/systemd/system/mesh-external-agent.service.d && printf "[Service]\nRestart=no\n" >/run/systemd/system/mesh-external-agent.service.d/test.conf
		systemctl daemon-reload; systemctl kill -s KILL mesh-external-agent'
	check "killed, and it does not come back: the file is that of before" wait_for 20 eval '[ "$(servers)" = 172.19.100.53 ]'
	is "killed: a name of the host" 172.19.100.99 "$(lookup www.host.example)"
	guest sh -c 'rm -r /run/systemd/system/mesh-external-agent.service.d; systemctl daemon-reload; systemctl start mesh-external-agent'
	agent_up "started"
	as_ever "started"
	guest systemctl disable -q mesh-external-agent
	vm crash ahch-to || die "the machine does not come back"
	is "power failure, and the agent does not start" "127.18.53.53 172.19.100.53" "$(servers)"
	is "the host is not without DNS" 172.19.100.99 "$(lookup www.host.example)"
	guest systemctl enable -q --now mesh-external-agent
	agent_up "power failure"
	as_ever "power failure"
	guest systemctl stop mesh-external-agent
	is "stopped: the file is that of before" "# by hand;nameserver 172.19.100.53;" "$(guest cat /etc/resolv.conf | tr '\n' ';')"
	is "stopped: it is the very same" "$(guest stat -c %y /etc/hostname)" "$(guest stat -c %y /etc/resolv.conf)"
	is "stopped: and nothing of ours" /etc/resolv.conf "$(guest sh -c 'ls /etc/resolv.conf*')"
}

networkmanager() {
	has_dummies NetworkManager || return
	# with it goes its program resolvconf, by which NetworkManager would change the file
	check "apt removes systemd-resolved" guest apt-get remove -y -q systemd-resolved
	guest sh -c 'systemctl disable -q --now systemd-networkd.socket systemd-networkd 2>/dev/null
		printf "[connection]\nid=wired\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=172.19.100.2/24,172.19.100.1\ndns=172.19.100.53;\n[ipv6]\nmethod=disabled\n" >/etc/NetworkManager/system-connections/eth0.nmconnection
		chmod 600 /etc/NetworkManager/system-connections/eth0.nmconnection
		rm -f /etc/resolv.conf; systemctl enable -q --now NetworkManager'
	check "NetworkManager takes over" wait_for 60 guest nmcli -w 30 connection up wired # it has its name before it has read them
	conf auto
	check "NetworkManager: it writes the file" wait_for 60 eval "guest head -n 1 /etc/resolv.conf | grep -q NetworkManager"
	picture nm-before
	guest systemctl start mesh-external-agent
	agent_up "NetworkManager"
	as_ever "NetworkManager"
	is "NetworkManager: the agent comes first" "198.18.53.53 172.19.100.53" "$(servers)"
	told "NetworkManager" "NetworkManager, which writes /etc/resolv.conf" networkmanager
	guest systemctl kill -s KILL mesh-external-agent
	is "NetworkManager, killed: a name of the host" 172.19.100.99 "$(lookup www.host.example)"
	agent_up "NetworkManager, killed"
	as_ever "NetworkManager, killed"
	guest systemctl restart NetworkManager
	check "NetworkManager restarts: the agent comes first" wait_for 90 eval '[ "$(servers)" = "198.18.53.53 172.19.100.53" ]'
	as_ever "NetworkManager restarts"
	guest systemctl stop mesh-external-agent
	sleep 1
	picture nm-after
	pictured "NetworkManager, stopped" nm-before nm-after
}

dnsmasq() {
	has_dummies "NetworkManager with dnsmasq" || return
	guest sh -c 'printf "[main]\ndns=dnsmasq\n" >/etc/NetworkManager/conf.d/dns.conf; systemctl restart NetworkManager'
	check "NetworkManager with dnsmasq: a name of the host" wait_for 60 knows www.host.example 172.19.100.99
	before=dnsmasq-before
	picture $before
	conf split
	: >"$T/log/dns"
	guest systemctl start mesh-external-agent
	agent_up "NetworkManager with dnsmasq"
	as_ever "NetworkManager with dnsmasq"
	told "NetworkManager with dnsmasq" "NetworkManager with dnsmasq" networkmanager
	is "NetworkManager with dnsmasq: programs ask it as before" 127.0.0.1 "$(servers)"
	is "NetworkManager with dnsmasq: no name of the host came to the agent" 0 "$(dns .queries.forwarded)"
	is "NetworkManager with dnsmasq: no name of the cluster went elsewhere" 0 "$(leaked)"
	vm reboot ahch-to || die "the machine does not come back"
	agent_up "NetworkManager with dnsmasq, rebooted"
	as_ever "NetworkManager with dnsmasq, rebooted"
}

leaving() {
	guest systemctl start mesh-external-agent
	agent_up "before it leaves"
	check "meshctl leave" guest meshctl leave --yes
	sleep 1
	picture after
	pictured "left" "$before" after
	is "left: a name of the host" 172.19.100.99 "$(lookup www.host.example)"
}

vm_begin
cluster_start
pods_start
for part in ${VM_PARTS:-machine resolved polkit plain networkmanager dnsmasq leaving}; do $part; done
[ $bad = 0 ] || show_log
vm_end
