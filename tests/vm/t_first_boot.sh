#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine that joins when it starts, by mesh-join.service, with a token that it was given as a credential: t_first_boot.sh
# [KERNEL]. Given by what starts it, QEMU or, with VM_BOX=1, a container manager; while the API server is away; from a credential
# store; sealed, as mesh-join(8) says. And what becomes of it at the next starts.
HERE=$(cd "$(dirname "$0")" && pwd)
KERNEL=${1:-${KERNEL:-6.1}}
. "$HERE/lib.sh"
vm_enter "$0" "$KERNEL"
. "$HERE/guest.sh"

unit() { guest systemctl show -P "$1" mesh-join.service; }
# what the machine is given when it is started the next time
give() { # TOKEN
	if [ -n "${VM_BOX:-}" ]; then
		mkdir -p "$VM_RUN/ahch-to/credentials" && printf %s "$1" >"$VM_RUN/ahch-to/credentials/mesh-join.token"
	else
		printf 'io.systemd.credential:mesh-join.token=%s' "$1" >"$T/smbios"
	fi
}
give_nothing() { rm -rf "$VM_RUN/ahch-to/credentials" "$T/smbios"; }
start_again() { guest sync; vm crash ahch-to || die "the machine does not come back"; }
enrolled() { enrol ahch-to $AHCHTO jedi=luke || die "enrolment: $(cat "$T/log/enrol")"; }
left() { check "the host leaves" guest meshctl leave --yes; }
joined() { # how
	check "$1: it is a member" wait_for 60 is_running ahch-to
	[ "$(unit Result)" = success ] || guest journalctl -u mesh-join --no-pager -n 20 | sed 's/^/    /'
	is "$1: the unit has done it" "success 0" "$(unit Result) $(unit ExecMainStatus)"
	is "$1: no token is on the disk" '' "$(guest grep -rlF "${token:6:40}" /etc /var /root)"
}

machine() {
	mkdir "$T/qemu"
	cat >"$T/qemu/qemu-system-x86_64" <<-Q
		#!/bin/sh
		[ ! -e "$T/smbios" ] || set -- "\$@" -smbios type=11,path=$T/smbios
		exec "$(command -v qemu-system-x86_64)" "\$@"
	Q
	chmod +x "$T/qemu/qemu-system-x86_64"
	export PATH=$T/qemu:$PATH
	vm_machine
	check "the package is installed" guest apt-get install -y -q /var/local/agent.deb
	is "the unit is not enabled" disabled "$(guest systemctl is-enabled mesh-join.service)"
	check "systemctl enable mesh-join.service" guest systemctl enable mesh-join.service
}

given() {
	enrolled
	give "$token"
	start_again
	joined "given"
	is "given: the machine is well" running "$(guest systemctl is-system-running)"
	start_again
	check "the next start: it is a member" wait_for 60 is_running ahch-to
	is "the next start: the unit had nothing to do" no "$(unit ConditionResult)"
	left
	start_again
	check "a token that was used: the unit fails" wait_for 60 eval '[ "$(unit ActiveState)" = failed ]'
	is "a token that was used: it says so, and does not try again" "5 0" "$(unit ExecMainStatus) $(unit NRestarts)"
}

late() {
	enrolled
	give "$token"
	ip link set to-api down
	start_again
	check "no API server: it is tried again" wait_for 120 eval '[ "$(unit NRestarts)" -ge 1 ]'
	is "no API server: the host waits to be joined" not-joined "$(status ahch-to .state)"
	ip link set to-api up
	joined "when there is one"
	left
	give_nothing
}

stored() {
	start_again
	check "without a token: the unit fails" wait_for 60 eval '[ "$(unit ActiveState)" = failed ]'
	is "without a token: it says so" 6 "$(unit ExecMainStatus)"
	enrolled
	guest sh -c 'mkdir -p -m 700 /run/credstore; cat >/run/credstore/mesh-join.token' <<<"$token"
	check "from a credential store: it is started" guest systemctl start mesh-join.service
	joined "from a credential store"
	guest rm -r /run/credstore
	left
}

sealed() {
	enrolled
	guest sh -c 'umask 077; cat >/run/mesh.token' <<<"$token"
	check "a token is sealed" guest sh -c 'mkdir -p /etc/systemd/system/mesh-join.service.d &&
		systemd-creds encrypt -p --name=mesh-join.token /run/mesh.token - |
			sed 1i[Service] >/etc/systemd/system/mesh-join.service.d/token.conf'
	start_again
	joined "sealed"
	is "sealed: it was in the unit" 1 "$(guest systemctl cat mesh-join.service | grep -c '^SetCredentialEncrypted=mesh-join.token')"
}

vm_begin
cluster_start
for part in ${VM_PARTS:-machine given late stored sealed}; do $part; done
[ $bad = 0 ] || show_log
vm_end
