#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What installing or joining could leave on a machine, in a form that can be compared: state.sh network|all
set -u
network() {
	echo "== programs, maps, links"
	if ! systemd-detect-virt -cq; then # the kernel is the machine's own
		# systemd's own come and go with its services
		bpftool -j prog | jq -r '.[] | select(.type | test("cgroup_(device|skb|sysctl)") | not) | "\(.type) \(.name)"' | sort
		bpftool -j map | jq -r '.[] | select(.name | test("^mesh|^\\.rodata|^mesh_")) | .name' | sort
		bpftool -j link 2>/dev/null | jq -r '.[] | .type' | sort
	fi
	find /sys/fs/bpf -mindepth 1 ! -name '*.debug' # the kernel's
	bpftool net show 2>/dev/null | grep -v '^ *$' | sed 's/(.*)//'
	echo "== interfaces"
	ip -br link | awk '{ sub(/@if.*/, "", $1); print $1, $3 }' # the other end of a cable has a number for each boot
	tc qdisc
	for i in /sys/class/net/*; do
		tc filter show dev "${i##*/}" ingress
		tc filter show dev "${i##*/}" egress
	done 2>/dev/null
	ip -br -4 addr | awk '{ sub(/@if.*/, "", $1); print }'
	echo "== routes"
	ip -4 route show table all
	ip -6 route show table all | sed 's/ expires [0-9]*sec//; s/ pref .*//' | sort
	ip rule
	ip -6 rule
	nft list ruleset
	echo "== settings"
	sysctl -a -r '^net\.(ipv[46]\.(conf|ip_forward)|core\.bpf)|^kernel\.unprivileged_bpf' 2>/dev/null
	cat /etc/resolv.conf
}
files() {
	echo "== users"
	getent passwd
	getent group
	echo "== files"
	# not the logs and lists of what manages packages, nor the backups of the user database
	find /etc /usr /lib/systemd /opt /srv /root /home /var/lib /run/systemd/generator* \
		\( -path '/var/lib/dpkg' -o -path /var/lib/rpm -o -path '/var/lib/apt' -o -path '/var/lib/systemd' -o -path ~root/'*' -o -path /usr/share/mime \
		-o -path '/etc/*-' -o -path /etc/.pwd.lock \) -prune -o \( -type d -printf '%p %m %u %g\n' \) \
		-o -printf '%p %m %u %g %s %l\n' | sort
	find /run/mesh* /var/cache/mesh* /var/log/mesh* /tmp/mesh* 2>/dev/null
	md5sum /etc/passwd /etc/group /etc/shadow /etc/gshadow
}
network
[ "${1:-all}" = network ] || files
