# SPDX-License-Identifier: Apache-2.0
# What tests with the package in a machine share; sourced after lib.sh. bash. The machine is ahch-to, one of the places of the
# story, but for what runs in it.
GUEST_LEN=${GUEST_LEN:-24} # of its network
GUEST_SERVER=${GUEST_SERVER:-tests/netns/story_peer} GUEST_SAYS=${GUEST_SAYS:-Greetings}
UNIT=mesh-external-agent.service DRAIN=mesh-external-agent-drain.service
# what t_build.sh made on that release of Debian, or make deb on this one
case $KERNEL in trixie*) DEBS=$BUILD/deb-trixie ;; *) DEBS=$BUILD/deb ;; esac
DEB=$(cd "$DEBS" 2>/dev/null && ls "$PWD"/mesh-external-agent_*.deb 2>/dev/null | head -n 1)
[ -n "$DEB" ] || die "no package in $DEBS: make deb, or tests/vm/t_build.sh for another release"

guest() { vm exec ahch-to "$@"; }
host() { shift; guest meshctl "$@"; }
show_log() { guest journalctl -u $UNIT -u mesh-external-agent-resolver --no-pager -n 40 | sed 's/^/    /'; }
same_file() { # what, file, file
	if diff -u "$2" "$3" >"$T/diff"; then is "$1" same same; else is "$1" same differs; sed 's/^/    /' "$T/diff"; fi
}

# vm_machine: the machine is started, with two web servers, an echo of UDP and the package in /var/local
vm_machine() {
	local began=$SECONDS p server=${GUEST_SERVER##*/}
	vm up ahch-to "$AHCHTO/$GUEST_LEN" "$KERNEL" || die "the machine does not start"
	echo "# $(guest sh -c '. /etc/os-release; echo "$PRETTY_NAME, $(uname -r)"'), booted in $((SECONDS - began)) s"
	mkdir "$T/tools"
	for p in "$GUEST_SERVER" tests/netns/story_stream; do strip -o "$T/tools/${p##*/}" "$BUILD/$p"; done
	cp "$HERE/state.sh" "$T/tools"
	for p in "web=$server serve 80 $GUEST_SAYS" "other=$server serve 8081 $GUEST_SAYS" "echo=story_stream echo 7000"; do
		printf '[Service]\nExecStart=/var/local/%s\n[Install]\nWantedBy=multi-user.target\n' "${p#*=}" >"$T/tools/${p%%=*}.service"
	done
	cp "$DEB" "$T/tools/agent.deb"
	vm copy ahch-to "$T"/tools/* /var/local || die "the tools cannot be copied"
	guest sh -c 'cp /var/local/*.service /etc/systemd/system && systemctl daemon-reload && systemctl enable -q --now web other echo' || die "no services"
}

# What the policy forbids is tried all the while: connections to a port, and a thousand packets a second to a service that
# answers each.
floods_start() {
	local i
	: >"$T/intruders"
	: >"$T/flood"
	floods=
	intrude node1 $AHCHTO
	for i in 1 2; do # one more second than it sends waits each for late answers
		(sleep "$i"; while :; do in_place node1 "$T/bin/tests/netns/story_stream" send $AHCHTO 7000 1000 1000 >>"$T/flood" 2>&1; done) &
		floods="$floods $!"
	done
}
intrude() { # place, address: from now on, too
	(while :; do PATIENCE=0.2 reaches "$1" "$2" 80 >/dev/null 2>&1 && echo "$1 $2" >>"$T/intruders"; sleep 0.02; done) &
	floods="$floods $!"
}
floods_end() {
	local p
	sleep 3 # for what is under way
	for p in $floods; do kill "$p" 2>/dev/null; wait "$p" 2>/dev/null; done
}
flooded() { awk -v word="$1" '{ for (i = 1; i < NF; i++) if ($i == word) n += $(i + 1) } END { print n + 0 }' "$T/flood"; }
