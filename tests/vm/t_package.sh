#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The package on a real Debian with systemd: t_package.sh [KERNEL]. Installing, joining with a token, health probes,
# policy and services under the real unit, rebooting and a power failure while the API server is away, upgrading, also to
# maps of another layout and back, removing, purging. PACKAGE=rpm: the RPM, by rpm (t_package_rpm.sh).
HERE=$(cd "$(dirname "$0")" && pwd)
KERNEL=${1:-${KERNEL:-6.1}}
[ "${PACKAGE:-deb}" = deb ] || KERNEL=${KERNEL%+rpm}+rpm
. "$HERE/lib.sh"
vm_enter "$0" "$KERNEL"
. "$HERE/guest.sh"
. "$HERE/package.sh"

ssh_answers() { in_place crait timeout 5 bash -c ": <>/dev/tcp/$AHCHTO/22 && head -c 8 <&0 <>/dev/tcp/$AHCHTO/22" | grep -q SSH-2.0; }
state() { guest bash /var/local/state.sh "$1" >"$T/state-$2" || die "the machine does not tell its state"; }
same() { same_file "$1" "$T/state-$2" "$T/state-$3"; } # what, state, state
maps() { guest sh -c 'for m in /sys/fs/bpf/mesh-external-agent/v*/mesh_*; do bpftool -j map show pinned "$m" 2>/dev/null; done' | jq -r 'select(.id) | "\(.name) \(.id)"' | sort; }
daemon() { guest systemctl show -P MainPID $UNIT; }

machine() {
	vm_machine
	package_make
	place_add crait $CRAIT
	passes "before: the machine is reached" crait $AHCHTO 80
	check "before: SSH answers" ssh_answers
	state all before
}

installing() {
	check "$PACKAGE: it is installed" package_install $FIRST
	is "it is enabled" enabled "$(guest systemctl is-enabled $UNIT)"
	if [ $PACKAGE = rpm ]; then # by the preset alone
		is "the service does not run" inactive "$(guest systemctl is-active $UNIT)"
		check "it can be started" guest systemctl start $UNIT
	fi
	is "the service runs" active "$(guest systemctl is-active $UNIT)"
	is "it waits to be joined" not-joined "$(status ahch-to .state)"
	is "its user and directories are there" "mesh-agent 700 mesh-agent 700" \
		"$(guest stat -c '%U %a' /var/lib/mesh-external-agent /sys/fs/bpf/mesh-external-agent | paste -sd' ')"
	guest bash /var/local/state.sh network >"$T/state-installed"
	guest bash -c 'rmdir /sys/fs/bpf/mesh-external-agent/nothing 2>/dev/null; true'
	sed -n '/^== users/q;p' "$T/state-before" >"$T/state-network"
	grep -vx /sys/fs/bpf/mesh-external-agent "$T/state-installed" >"$T/state-unjoined" # an empty directory
	same "a host that has not joined: its network is untouched" network unjoined
	[ $PACKAGE = deb ] || guest systemctl stop $UNIT # mesh-join is to start it
	exits "the exposure that systemd-analyze finds is below 2.0" 0 guest systemd-analyze security --no-pager --threshold=19 $UNIT $DRAIN
	echo "# $(guest systemd-analyze security --no-pager $UNIT | grep -a -o 'Overall.*[0-9] [A-Z]*')"
}

joining() {
	enrol ahch-to $AHCHTO jedi=luke --serve council || die "enrolment: $(cat "$T/log/enrol")"
	exits "a dry run says that the machine is ready" 0 guest mesh-join --dry-run --token "$token"
	[ $bad = 0 ] || cat "$T/out"
	exits "mesh-join with the token joins" 0 guest mesh-join --token "$token"
	check "the daemon comes up under its unit" wait_for 60 is_running ahch-to
	[ $bad = 0 ] || { show_log; vm_end; }
	guest meshctl status | sed 's/^/    /'
	local pid
	pid=$(daemon)
	is "it runs as its own user" mesh-agent "$(guest stat -c %U "/proc/$pid")"
	# CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12, CAP_PERFMON 38, CAP_BPF 39
	is "of four capabilities" 000000c000001400 "$(guest sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")"
	is "it has none" 0000000000000000 "$(guest sed -n 's/^CapPrm:\t//p' "/proc/$pid/status")"
	is "the process beside it has them" 000000c000001400 \
		"$(guest sed -n 's/^CapPrm:\t//p' "/proc/$(guest pgrep -P "$pid" -f '^mesh-privileged')/status")"
	is "what mesh-join wrote as root is the daemon's" "mesh-agent 600 mesh-agent 600" \
		"$(guest stat -c '%U %a' /var/lib/mesh-external-agent/joined.json /var/lib/mesh-external-agent/token | paste -sd' ')"
	is "nobody else reads what is pinned" 700 "$(guest stat -c %a /sys/fs/bpf/mesh-external-agent)"
	is "the programs are attached by" "$(printf '6.6\n%s\n' "$(guest uname -r)" | sort -VC && echo tcx || echo clsact)" \
		"$(status ahch-to .datapath.attach)"
	is "no condition is raised" '' "$(status ahch-to '.conditions[]? | select(.severity != "info") | .text')"
}

# what must hold whenever the machine is up
in_force() { # when
	local when=$1
	passes "$when: an allowed pod gets in, through the tunnel" leia $AHCHTO 80
	stopped "$when: another port does not" leia $AHCHTO 8081
	stopped "$when: another pod does not" vader $AHCHTO 80
	stopped "$when: a machine without identity does not" node1 $AHCHTO 80
	check "$when: SSH answers" ssh_answers
	is "$when: a service by its address" "Greetings from the pod leia" "$(guest curl -s --max-time 5 http://10.96.0.80/)"
	stopped_out "$when: outwards only what is allowed" $VADER:8080
}
stopped_out() { local r=0; guest curl -s -o /dev/null --max-time $PATIENCE "http://$2/" || r=$?; is "$1" 28 $r; }

enforcing() {
	passes "no policy: a machine without identity gets in" node1 $AHCHTO 80
	policy only-friends '{endpointSelector: {matchLabels: {jedi: luke}},
		ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]},
			{fromCIDR: [172.19.100.3/32], toPorts: [{ports: [{port: "7000", protocol: UDP}]}]}],
		egress: [{toEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	in_force "policy"
	check "the tunnel is $TUNNEL, and the machine's identity in it" eval \
		"host ahch-to status | grep -q 'Datapath: *$TUNNEL on' && grep -qx 'from $AHCHTO vni $(status ahch-to .identity)' $T/log/node1"
	check "a name of the cluster, from the daemon's DNS" eval "guest meshctl dns query temple.legacy.svc.cluster.local | grep -q 10.96.0.80"
	guest sh -c 'echo nameserver 127.18.53.53 >/etc/resolv.conf'
	is "by name, from the resolver" "Greetings from the pod leia" "$(guest curl -s --max-time 5 http://temple.legacy.svc.cluster.local/)"
	is "it stands behind the service that it may" $AHCHTO "$(api GET /apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices |
		jq -r '.items[] | select(.metadata.labels["kubernetes.io/service-name"] == "council") | .endpoints[].addresses[]')"
	is "the journal has that by name, and what it tells of" "mesh-external-agent.service 6 council-mesh-ahch-to 0" \
		"$(guest journalctl -o json --no-pager MESH_EVENT=publish.written | head -n 1 | jq -r '"\(._SYSTEMD_UNIT) \(.PRIORITY) \(.MESH_SLICE) \(.MESH_HELD_BACK)"')"
}

# Health probes under the real unit and systemd: the sandbox lets them ask, and run commands without rights.
SLICES=/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices
conditions_are() {
	[ "$(api GET $SLICES/council-mesh-ahch-to | jq -r 'if .kind == "EndpointSlice" then .endpoints[0].conditions | "\(.ready) \(.serving) \(.terminating)" else "gone" end')" = "$1" ]
}
portal() { status_of_portal=$(guest meshctl service list -o json | jq -r '.[] | select(.type == "portal") | "\(.state) \(.reason // "")"'); }
probing() {
	guest sh -c 'cp -p /etc/mesh-external-agent/mesh-external-agent.conf /var/tmp/conf.before
		mkdir -p /etc/systemd/system/web.service.d
		printf "[Service]\nExecStop=/bin/sleep 3\n" >/etc/systemd/system/web.service.d/slow.conf
		systemctl daemon-reload
		cat >>/etc/mesh-external-agent/mesh-external-agent.conf' <<-C || die "no configuration"
		health-probes = (
			{ service = "council"; type = "unit"; unit = "web.service"; interval = 3600; timeout = 20; },
			{ service = "council"; type = "http"; port = 80; interval = 2; timeout = 20; },
			{ service = "council"; type = "exec"; interval = 3; timeout = 20; command = [ "/bin/sh", "-c",
			  "[ \$(id -un) = mesh-agent ] && grep -q '^CapEff:.*0000000000000000' /proc/self/status && ! touch /etc/x 2>/dev/null" ]; }
		);
	C
	exits "the configuration is good" 0 guest meshctl config check
	check "the daemon starts with it" guest systemctl restart $UNIT
	check "the daemon comes up" wait_for 60 is_running ahch-to
	check "all probes pass" wait_for 20 conditions_are "true true false"
	check "service list says so" wait_for 60 eval 'portal; [ "$status_of_portal" = "portal " ]'
	guest systemctl stop --no-block web
	check "systemctl stop of the workload: terminating, and still serving" wait_for 3 conditions_are "false true true"
	check "stopped: it serves no more" wait_for 15 conditions_are "false false true"
	portal
	is "service list says so" 1 "$(grep -c 'web.service: inactive' <<<"$status_of_portal")"
	check "then it is gone" wait_for 40 conditions_are gone
	guest systemctl start web
	check "started: it is ready again" wait_for 20 conditions_are "true true false"
	check "systemctl stop of the agent: gone" guest systemctl stop $UNIT
	check "at once" conditions_are gone
	guest sh -c 'mv /var/tmp/conf.before /etc/mesh-external-agent/mesh-external-agent.conf
		rm -r /etc/systemd/system/web.service.d; systemctl daemon-reload; systemctl start mesh-external-agent'
	check "started again: it is ready" wait_for 60 conditions_are "true true false"
	check "the daemon comes up" wait_for 60 is_running ahch-to
}

# What the policy forbids is tried all the while, from power-on, while the API server is away: connections to a port,
# and a thousand packets a second to a service that answers each. Then the API server comes back.
during_boot() {
	local word=$1 began=$SECONDS
	ip link set to-api down
	floods_start
	vm "$word" ahch-to || die "the machine does not come back"
	echo "# $word: up after $((SECONDS - began)) s"
	check "$word: the daemon is there" wait_for 60 eval "status ahch-to .state | grep -qx starting"
	is "$word: it is ready before the network" yes "$(guest sh -c "[ \$(systemctl show -P ActiveEnterTimestampMonotonic $UNIT) -lt \$(systemctl show -P ExecMainStartTimestampMonotonic systemd-networkd) ] && echo yes")"
	is "$word: what drains it comes after the network, to end before it" yes "$(guest sh -c "[ \$(systemctl show -P ActiveEnterTimestampMonotonic $DRAIN) -ge \$(systemctl show -P ActiveEnterTimestampMonotonic network.target) ] && echo yes")"
	in_force "$word, no API server"
	floods_end
	if [ -n "${VM_BOX:-}" ]; then # its card is a veth, which is a host's own once it has an address
		skipped=$((skipped + 1))
		echo "SKIP $word: what passes from power-on: needs a machine with a card of its own"
	else
		is "$word: a machine without identity gets no connection, from power-on" 0 "$(wc -l <"$T/intruders")"
		is "$word: and no answer" 0 "$(flooded received)"
	fi
	echo "# $word: to $(flooded sent) packets"
	ip link set to-api up
	check "$word: the API server comes back" wait_for 90 is_running ahch-to
	in_force "$word"
}
rebooting() { during_boot reboot; }
crashing() { during_boot crash; }

# upgraded "what" FILE VERSION: under a stream that policy allows
upgraded() {
	local pid stream
	pid=$(daemon)
	become crait "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 2000 20000 >"$T/stream" 2>&1 &
	stream=$!
	sleep 1
	check "$1: $PACKAGE does it" package_install "$2"
	is "$1: it is the version" "$3" "$(package_version)"
	check "$1: the daemon comes up" wait_for 60 is_running ahch-to
	is "$1: it is another process" yes "$([ "$(daemon)" != "$pid" ] && echo yes)"
	stopped "$1: policy holds meanwhile" vader $AHCHTO 80
	wait $stream
	echo "# $1: $(cat "$T/stream")"
	is "$1: nothing of a stream is lost" "lost 0" "$(grep -o 'lost [0-9]*' "$T/stream")"
	is "$1: the configuration is kept" "# of the administrator" "$(guest tail -n 1 /etc/mesh-external-agent/mesh-external-agent.conf)"
	in_force "$1"
}
upgrading() {
	guest sh -c 'echo "# of the administrator" >>/etc/mesh-external-agent/mesh-external-agent.conf'
	maps >"$T/maps-before"
	upgraded upgrade $NEXT "$NEXT_VERSION"
	maps >"$T/maps-after"
	is "upgrade: the maps are those of before" same "$(cmp -s "$T/maps-before" "$T/maps-after" && echo same || echo others)"
}
layouts() {
	if [[ $KERNEL = trixie* ]]; then # whose libraries are others
		skipped=$((skipped + 1))
		echo "SKIP maps of another layout: that daemon is built for Debian 12"
		return
	fi
	layout() { guest sh -c 'cd /sys/fs/bpf/mesh-external-agent && echo v*'; }
	local before
	before=$(layout)
	guest ln -s /etc/mesh-external-agent /usr/local/etc/mesh-external-agent # where that daemon, of another build, looks for it
	upgraded "maps of another layout" $OTHER "$NEXT_VERSION+other"
	is "maps of another layout: they alone are there" v1000001 "$(layout)"
	upgraded "downgrade" $NEXT "$NEXT_VERSION"
	is "downgrade: the maps of before alone are there" "$before" "$(layout)"
	guest rm /usr/local/etc/mesh-external-agent
}

# as mesh-external-agent(7) says for the console
by_hand() {
	check "by hand: the service stops" guest systemctl stop $UNIT
	check "by hand: all is taken out of the kernel" guest mesh-agentd --stand-down
	passes "by hand: nothing is enforced" node1 $AHCHTO 80
	check "by hand: the service starts again" guest systemctl start $UNIT
	check "by hand: it is a member" wait_for 60 is_running ahch-to
	in_force "by hand, and started again"
}

removing() {
	local conf=/etc/mesh-external-agent/mesh-external-agent.conf
	# nobody saw that slip: the daemon runs with the file of before
	[ $PACKAGE != deb ] || guest sh -c "cp -p $conf $conf.good && echo 'log-levl = 1;' >>$conf"
	check "$PACKAGE: it is removed" package_remove
	state network removed
	sed -i '/^nameserver 127.18.53.53$/d' "$T/state-removed"
	same "programs, maps, links, routes are gone" network removed
	passes "nothing is enforced" node1 $AHCHTO 80
	is "the enrolment is kept" yes "$(guest test -e /var/lib/mesh-external-agent/token && echo yes)"
	[ $PACKAGE != deb ] || guest mv $conf.good $conf
	check "$PACKAGE: it is installed again" package_install $NEXT
	[ $PACKAGE = deb ] || check "it is started" guest systemctl start $UNIT
	check "it is a member again, without a token" wait_for 60 is_running ahch-to
	in_force "installed again"
}

purging() {
	check "$PACKAGE: nothing of it stays" package_purge
	guest sh -c ': >/etc/resolv.conf'
	state all after
	same "everything is as before it was installed" before after
	passes "nothing is enforced" node1 $AHCHTO 80
	check "the admin removes the host" admin host remove ahch-to
}

vm_begin
cluster_start
pods_start
for part in ${VM_PARTS:-machine installing joining probing enforcing rebooting crashing upgrading layouts by_hand removing purging}; do $part; done
[ $bad = 0 ] || show_log
vm_end
