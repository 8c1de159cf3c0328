#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What root does to a host's resolver, `mesh-agentd --wire-resolver`, with the real resolvconf, openresolv and systemd-resolved
# of the Debian archive (unpacked, not installed) and a plain resolv.conf, in namespaces with an /etc, /usr and /run of their own:
# names come from where they shall, the host is not without DNS when nobody answers for the agent, and all is as before in
# the end.
# Prints PASS, FAIL or SKIP for each case. Needs root; ends with 77 without.
HERE=$(cd "$(dirname "$0")" && pwd)
BUILD=$(readlink -f "${BUILD:-build}")
. "$HERE/story_checks.sh"
. "$HERE/../lib/wait_for.sh"
skip() { skipped=$((skipped + 1)); echo "SKIP $*"; }
AGENT=127.18.53.53 LINK=198.18.53.53 UPSTREAM=10.53.0.1

if [ -z "${RESOLVER_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "SKIP everything: needs root for namespaces"; exit 77; }
	export T RESOLVER_INSIDE=1 BUILD
	T=$(mktemp -d /tmp/mesh-resolver.XXXXXX)
	trap 'rm -rf --one-file-system "$T"' EXIT
	chmod 755 "$T"
	for p in resolvconf openresolv systemd-resolved; do
		mkdir "$T/$p"
		(cd "$T/$p" && apt-get download -q $p >/dev/null 2>&1 && dpkg-deb -x ./*.deb .) || rm -r "${T:?}/$p"
	done
	unshare --mount --net --pid --fork --kill-child --mount-proc bash "$0" "$@"
	exit
fi

# own NAME...: this mount namespace gets /etc, /usr and /run of its own, with these packages in them
own() {
	local d lower
	mount -t tmpfs tmpfs "$T/$1.own" && mkdir "$T/$1.own/etc" "$T/$1.own/usr" "$T/$1.own/w1" "$T/$1.own/w2" "$T/$1.own/all" || return 1
	[ -z "${2:-}" ] || cp -a "$T/$2/." "$T/$1.own/all"
	for d in sbin lib; do # merged into /usr
		[ ! -d "$T/$1.own/all/$d" ] || { mkdir -p "$T/$1.own/all/usr" && cp -a "$T/$1.own/all/$d" "$T/$1.own/all/usr/"; }
	done
	for d in etc usr; do
		lower=/$d
		[ ! -d "$T/$1.own/all/$d" ] || lower=$T/$1.own/all/$d:/$d
		mount -t overlay overlay -o "lowerdir=$lower,upperdir=$T/$1.own/$d,workdir=$T/$1.own/w$([ $d = etc ] && echo 1 || echo 2)" "/$d" || return 1
	done
	mount -t tmpfs tmpfs /run && mkdir -p /run/mesh
	rm -f /etc/resolv.conf /etc/resolv.conf.mesh-external-agent
}
names() { getent ahostsv4 "$1" | awk 'NR == 1 { print $1 }'; }
servers() { awk '$1 == "nameserver" { printf "%s%s", s, $2; s = " " }' /etc/resolv.conf; }
conf() { printf 'runtime-dir = "/run/mesh"; dns: { host-resolver = "%s"; reverse = [ "10.96.0.0/15" ]; };\n' "$1" >/run/agent.conf; }
wire() { "$BUILD/mesh-agentd" --config /run/agent.conf "--${1:-wire}-resolver"; }
wish() { : >/run/mesh/resolver; }
picture() { ls -li --time-style=full-iso /etc/resolv.conf* | sed 's/^\([0-9]*\) /\1 /' && cat /etc/resolv.conf && (cd /run && find resolvconf -type f ! -name run-lock ! -name lock -exec md5sum {} + 2>/dev/null | sort); }
content() { readlink /etc/resolv.conf; cat /etc/resolv.conf; (cd /run && find resolvconf -type f ! -name '*lock*' -exec md5sum {} + 2>/dev/null | sort); }

agent_up() { # the address; it answers for the cluster, and passes on the rest
	printf '%s\n' 'temple.legacy.svc.cluster.local 5 10.96.0.80' 'www.host.example 5 10.0.0.99' 'temple.legacy.svc.clusterset.local 5 10.97.0.80' >/run/agent.zone
	"$BUILD/tests/netns/story_dns" "$1" /run/agent.zone >/run/agent.asked 2>&1 &
	agent=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do # until it listens
		ss -Hlun "src $1" | grep -q :53 && return
		sleep 0.1
	done
}
agent_down() { kill "$agent"; wait "$agent" 2>/dev/null; }
# From here on the host is served by the agent
served() { # how, its first server, all servers
	is "$1: the agent comes first, the others behind it" "$3" "$(servers)"
	is "$1: a name of the cluster" 10.96.0.80 "$(names temple.legacy.svc.cluster.local)"
	is "$1: a name of the host" 10.0.0.99 "$(names www.host.example)"
	check "$1: once more changes nothing" wire
	is "$1: nor did it" "$3" "$(servers)"
	agent_down
	is "$1: nobody answers for the agent: a name of the host" 10.0.0.99 "$(names www.host.example)"
}

network() {
	ip link set lo up
	ip link add up0 type bridge && ip addr add $UPSTREAM/24 dev up0 && ip link set up0 up
	{ ip link add mesh_dns type dummy || ip link add mesh_dns type ifb; } 2>/dev/null && ip addr add $LINK/32 dev mesh_dns && ip link set mesh_dns up
	ip route add default dev up0
	printf '%s\n' 'www.host.example 5 10.0.0.99' >/run/upstream.zone
	"$BUILD/tests/netns/story_dns" $UPSTREAM /run/upstream.zone >/run/upstream.asked 2>&1 &
}

plain() {
	local before
	own plain && network || return 1
	printf 'search host.example\noptions timeout:1 rotate\nnameserver %s\n' $UPSTREAM >/etc/resolv.conf
	touch -d '2020-02-02 02:02:02.123456789' /etc/resolv.conf
	before=$(picture)
	conf split
	wish
	check "a plain file, split: nothing is to be done" wire
	is "a plain file, split: it is as it was" "$before" "$(picture)"
	conf auto
	rm /run/mesh/resolver
	check "a plain file, the daemon does not want it" wire
	is "a plain file: it is as it was" "$before" "$(picture)"
	wish
	agent_up $AGENT
	check "a plain file" wire
	served "a plain file" $AGENT "$AGENT $UPSTREAM"
	check "a plain file: given back" wire unwire
	is "a plain file: it is the very same" "$before" "$(picture)"
	is "the wish went" "" "$(ls /run/mesh)"
	wish
	check "a plain file, taken again" wire
	printf 'nameserver %s\n# by a DHCP client\n' $UPSTREAM >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf
	is "somebody else writes it" "$UPSTREAM" "$(servers)"
	check "that is followed" wire
	is "the agent comes first again" "$AGENT $UPSTREAM" "$(servers)"
	printf 'nameserver %s\n# the last word\n' $UPSTREAM >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf
	check "somebody else had the last word: giving back" wire unwire
	is "what they wrote stays" "# the last word" "$(tail -n 1 /etc/resolv.conf)"
	is "and nothing of ours" /etc/resolv.conf "$(ls /etc/resolv.conf*)"
	if chattr +i /etc/resolv.conf 2>/dev/null; then
		wish
		check "an immutable file: left alone" wire
		is "an immutable file: as it was" "$UPSTREAM" "$(servers)"
		chattr -i /etc/resolv.conf
		wire unwire
	else
		skip "an immutable file: this file system has none"
	fi
	mount --bind /etc/resolv.conf /etc/resolv.conf
	wish
	check "a mounted file: left alone" wire
	is "a mounted file: as it was" "$UPSTREAM" "$(servers)"
	umount /etc/resolv.conf
	wire unwire
	rm /etc/resolv.conf && ln -s ../run/elsewhere /etc/resolv.conf && echo "nameserver $UPSTREAM" >/run/elsewhere
	wish
	check "a link to somewhere: left alone" wire
	is "a link to somewhere: as it was" "../run/elsewhere $UPSTREAM" "$(readlink /etc/resolv.conf) $(servers)"
	conf resolvconf
	mv /usr/sbin/resolvconf /usr/sbin/resolvconf.away 2>/dev/null
	exits "no resolvconf: it says so" 1 wire
	is "with what is missing" 1 "$(grep -c 'is resolvconf or openresolv installed' "$T/out")"
	conf networkmanager
	exits "no NetworkManager: it says so" 1 wire
}

debian() {
	local before
	own debian resolvconf && network || return 1
	mkdir -p /run/resolvconf/interface
	ln -s ../run/resolvconf/resolv.conf /etc/resolv.conf
	rm -f /etc/resolvconf/update.d/unbound # of this machine
	printf '#!/bin/sh\nexit 1\n' >/etc/resolvconf/update.d/zz-broken && chmod +x /etc/resolvconf/update.d/zz-broken
	resolvconf --enable-updates
	printf 'search host.example\nnameserver %s\n' $UPSTREAM | resolvconf -a eth0.dhclient
	before=$(content)
	conf split
	wish
	check "resolvconf, split: it cannot, so nothing is to be done" wire
	is "resolvconf, split: it is as it was" "$before" "$(content)"
	conf auto
	agent_up $LINK
	check "resolvconf" wire
	served resolvconf $LINK "$LINK $UPSTREAM"
	is "resolvconf: the search list stays" "search host.example" "$(grep ^search /etc/resolv.conf)"
	printf 'search host.example\nnameserver %s\n' 10.53.0.2 | resolvconf -a eth0.dhclient
	is "resolvconf: another lease" "$LINK 10.53.0.2" "$(servers)"
	printf 'search host.example\nnameserver %s\n' $UPSTREAM | resolvconf -a eth0.dhclient
	check "resolvconf: given back" wire unwire
	is "resolvconf: all is as before" "$before" "$(content)"
	conf off
	wish
	check "resolvconf, off" wire
	is "resolvconf, off: it is as it was" "$before" "$(content)"
}

openresolv() {
	local before
	own openresolv openresolv && network || return 1
	mkdir -p /run/resolvconf
	printf 'search host.example\nnameserver %s\n' $UPSTREAM | resolvconf -a eth0.dhclient
	before=$(content)
	is "openresolv writes the file" "# Generated by resolvconf" "$(head -n 1 /etc/resolv.conf)"
	conf split
	wish
	check "openresolv, split: it cannot, so nothing is to be done" wire
	is "openresolv, split: it is as it was" "$before" "$(content)"
	conf auto
	agent_up $LINK
	check "openresolv" wire
	served openresolv $LINK "$LINK $UPSTREAM"
	is "openresolv: the search list stays" "search host.example" "$(grep ^search /etc/resolv.conf)"
	check "openresolv: given back" wire unwire
	is "openresolv: all is as before" "$before" "$(content)"
	# with a resolver on this host: its dnsmasq is told who is to be asked for what
	cat >>/etc/resolvconf.conf <<-C
		name_servers=127.0.0.1
		dnsmasq_conf=/run/dnsmasq.conf
		dnsmasq_resolv=/run/dnsmasq.resolv
	C
	resolvconf -u
	is "openresolv with dnsmasq: programs ask that" 127.0.0.1 "$(servers)"
	before=$(content)
	conf split
	wish
	check "openresolv with dnsmasq, split" wire
	is "openresolv with dnsmasq: it asks the agent for the names of the cluster" "server=/cluster.local/$LINK server=/clusterset.local/$LINK" "$(grep -E "cluster|arpa" /run/dnsmasq.conf | paste -sd " ")"
	is "openresolv with dnsmasq: and others for the rest" "nameserver $UPSTREAM" "$(grep nameserver /run/dnsmasq.resolv)"
	is "openresolv with dnsmasq: programs ask it as before" 127.0.0.1 "$(servers)"
	is "openresolv with dnsmasq: the search list" "search host.example cluster.local clusterset.local" "$(grep -E '^(search|domain)' /etc/resolv.conf)"
	check "openresolv with dnsmasq: given back" wire unwire
	is "openresolv with dnsmasq: all is as before" "$before" "$(content)"
	is "openresolv with dnsmasq: it asks the agent for nothing" '' "$(grep $LINK /run/dnsmasq.conf)"
}

reversed() { sed -n 's/.*80\.0\.\([0-9]*\)\.10\.in-addr\.arpa.*/\1/p' "/run/$1.asked" | sort -u | paste -sd ' '; }
resolved() {
	local before
	own resolved systemd-resolved && network || return 1
	systemctl --version >/dev/null && /lib/systemd/systemd-resolved --version >/dev/null && command -v dbus-daemon >/dev/null || return 1
	grep -q ^systemd-resolve: /etc/passwd || echo 'systemd-resolve:x:996:996::/:/usr/sbin/nologin' >>/etc/passwd
	grep -q ^systemd-resolve: /etc/group || echo 'systemd-resolve:x:996:' >>/etc/group
	mkdir -p /run/dbus /run/systemd/resolve /etc/systemd/resolved.conf.d && chown systemd-resolve:systemd-resolve /run/systemd/resolve
	printf '[Resolve]\nDNS=%s\nDNSSEC=no\n' $UPSTREAM >/etc/systemd/resolved.conf.d/test.conf
	ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
	dbus-daemon --system --fork || return 1
	ip link set mesh_dns down # none of ours yet
	/lib/systemd/systemd-resolved >/run/resolved.log 2>&1 &
	check "systemd-resolved: a name of the host" wait_for 10 eval '[ "$(names www.host.example)" = 10.0.0.99 ]'
	before=$(resolvectl status --no-pager | sed '/Current/d')
	ip link set mesh_dns up
	conf split
	wish
	agent_up $LINK
	: >/run/upstream.asked
	check "systemd-resolved" wire
	is "systemd-resolved: a name of the cluster" 10.96.0.80 "$(names temple.legacy.svc.cluster.local)"
	is "systemd-resolved: a name of the host" 10.0.0.99 "$(names www.host.example)"
	is "systemd-resolved: who is asked for what" "cluster 1 host 0 cluster 0 host 1" "cluster $(grep -c temple /run/agent.asked) host $(grep -c www /run/agent.asked) cluster $(grep -c temple /run/upstream.asked) host $(grep -c www /run/upstream.asked)"
	is "systemd-resolved: a name of the cluster set" 10.97.0.80 "$(names temple.legacy.svc.clusterset.local)"
	getent hosts 10.96.0.80 10.97.0.80 10.98.0.80
	is "systemd-resolved: names of addresses: who is asked for what" "agent 96 97 others 98" "agent $(reversed agent) others $(reversed upstream)"
	check "systemd-resolved: once more" wire
	is "systemd-resolved: is told only once" 1 "$(grep -c 'set DNS server list' /run/resolved.log)"
	agent_down
	resolvectl flush-caches
	is "systemd-resolved: nobody answers for the agent: a name of the host" 10.0.0.99 "$(names www.host.example)"
	check "systemd-resolved: given back" wire unwire
	ip link del mesh_dns # with the device goes what was told of it, as when the daemon stops
	{ ip link add mesh_dns type dummy || ip link add mesh_dns type ifb; } 2>/dev/null
	is "systemd-resolved: all is as before" "$(sed 's/^Link [0-9]* /Link /' <<<"$before")" "$(resolvectl status --no-pager | sed '/Current/d; s/^Link [0-9]* /Link /')"
}

for part in plain debian openresolv resolved; do
	package=$part
	[ $part != debian ] || package=resolvconf
	[ $part != resolved ] || package=systemd-resolved
	[ $part = plain ] || [ -d "$T/$package" ] || { skip "$package: not to be had from the archive"; continue; }
	mkdir "$T/$part.own"
	unshare --mount --net bash -c "$(declare -f); $(declare -p good bad skipped AGENT LINK UPSTREAM T BUILD HERE); $part || { echo 'SKIP $part: no overlay, or programs that are missing'; skipped=\$((skipped + 1)); }
		echo \"good=\$good bad=\$bad skipped=\$skipped\" >'$T/count'; kill \$(jobs -p) 2>/dev/null"
	. "$T/count"
done
echo "$good passed, $bad failed, $skipped skipped"
[ $bad = 0 ]
