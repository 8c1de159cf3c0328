#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The machines of vm.sh without a kernel of their own: a Debian with its systemd in namespaces of this one. As quick as this machine,
# where virtual machines are emulated; for what is the release's and the package's doing. Commands as those of vm.sh.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
RUN=${VM_RUN:?} BRIDGE=${VM_BRIDGE:-br0} GATEWAY=${VM_GATEWAY:-172.19.100.1} CGROUP=${VM_CGROUP:?}
BOOT_S=${VM_BOOT_S:-240}
die() { echo "box.sh: $*" >&2; exit 1; }

# The first process: mounts what a container manager would, and becomes systemd
init() { # NAME
	local d given=()
	mount -o loop,ro,noload "$image/disk" "$dir/lower"
	mount -t overlay -o "lowerdir=$dir/lower,upperdir=$dir/layer/upper,workdir=$dir/layer/work" root "$dir/root"
	cd "$dir/root"
	mount -t proc proc proc
	mount -t sysfs -o ro sysfs sys
	mount -t bpf bpf sys/fs/bpf
	mount -t cgroup2 cgroup sys/fs/cgroup
	mount -t tmpfs -o mode=755 run run
	mount -t tmpfs -o mode=755 dev dev
	for d in null zero full random urandom tty; do : >dev/$d && mount --bind /dev/$d dev/$d; done
	for d in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${d#*:}" "dev/${d%%:*}"; done
	mkdir dev/pts dev/shm dev/mqueue old
	ln -s pts/ptmx dev/ptmx
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
	mount -t mqueue mqueue dev/mqueue
	mount -t tmpfs shm dev/shm
	if [ -d "$dir/credentials" ]; then # what is in there is given to the system, as container managers do
		mkdir run/host
		cp -r "$dir/credentials" run/host
		given=(CREDENTIALS_DIRECTORY=/run/host/credentials)
	fi
	hostname "$1"
	pivot_root . old
	umount -l /old
	rmdir /old
	mount --make-rshared / # the credentials of a unit are mounted elsewhere, and have to be seen here
	exec env -i container=box "${given[@]}" PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd "systemd.hostname=$1" \
		"ip=${address%/*}::$GATEWAY:${address#*/}::eth0:none"
}

machine() { # NAME
	dir=$RUN/$1 cgroup=$CGROUP/box-$1
	[ -e "$dir/conf" ] || die "there is no machine $1"
	# shellcheck source=/dev/null
	. "$dir/conf"
}
is_on() { [ -e "$dir/init" ] && [ -e "/proc/$(cat "$dir/init")" ]; }
guest() {
	(
		is_on || die "${dir##*/} is off"
		echo "$BASHPID" >"$cgroup/guests/cgroup.procs"
		exec nsenter --target "$(cat "$dir/init")" --mount --uts --ipc --net --pid --cgroup \
			env -i -C /var/local HOME=/var/local PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
	)
}

start() { # NAME
	local outer mac
	# shellcheck disable=SC2046 # four numbers
	mac=$(printf '52:54:%02x:%02x:%02x:%02x' $(tr . ' ' <<<"${address%/*}"))
	mkdir -p "$cgroup/guests"
	ip netns add "vm-$1"
	ip link add "vm-$1" type veth peer name eth0 address "$mac" netns "vm-$1"
	ip link set "vm-$1" master "$BRIDGE" up
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec setsid nsenter --net="/run/netns/vm-$1" unshare --mount --pid --uts --ipc --cgroup --fork --kill-child "$0" init "$1"
	) >"$dir/console" 2>&1 </dev/null &
	outer=$!
	until pgrep -P "$outer" >"$dir/init"; do [ -e "/proc/$outer" ] || die "${dir##*/} does not start: $(cat "$dir/console")"; sleep 0.05; done
}

booted() {
	local end=$((SECONDS + BOOT_S)) state=
	until [[ $state =~ ^(running|degraded)$ ]]; do
		is_on || die "${dir##*/} stopped: $(tail -n 5 "$dir/console")"
		[ $SECONDS -lt $end ] || die "${dir##*/} does not boot: $state"
		sleep 0.2
		state=$(guest systemctl is-system-running --wait 2>/dev/null </dev/null) || true
	done
	[ "$state" = running ] || {
		echo "box.sh: ${dir##*/} is $state:" >&2
		guest systemctl --failed --no-legend </dev/null >&2 || true
	}
}

power_off() { # NAME; hard
	! is_on || kill -KILL "$(cat "$dir/init")"
	while is_on; do sleep 0.05; done
	rm -f "$dir/init"
	ip link del "vm-$1" 2>/dev/null || true
	ip netns del "vm-$1" 2>/dev/null || true
	find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
}
shut_down() { # NAME; orderly
	local end=$((SECONDS + 60))
	guest systemctl poweroff </dev/null 2>/dev/null || true
	while is_on && [ $SECONDS -lt $end ]; do sleep 0.1; done
	power_off "$1"
}

copy() { # FILE... DIRECTORY
	local to=${*: -1} args=() f
	for f in "${@:1:$#-1}"; do args+=(-C "$(cd "$(dirname "$f")" && pwd)" "$(basename "$f")"); done
	tar --owner=0 --group=0 -cf - "${args[@]}" | guest sh -c 'mkdir -p "$0" && tar -C "$0" -xf - --warning=no-timestamp' "$to"
}

[ $# -ge 2 ] || die "box.sh up NAME ADDRESS/LEN KERNEL, exec, copy, reboot, crash, down: as vm.sh"
command=$1
shift
case $command in
	up)
		dir=$RUN/$1
		[ ! -e "$dir" ] || die "$1 exists"
		mkdir -p "$dir/lower" "$dir/layer" "$dir/root"
		truncate -s 700M "$dir/disk" # what is written, on what a disk has that is full one day
		mkfs.ext4 -q "$dir/disk"
		mount -o loop "$dir/disk" "$dir/layer"
		mkdir "$dir/layer/upper" "$dir/layer/work"
		printf 'image=%s\naddress=%s\n' "$("$HERE/vm.sh" image "$3")" "$2" >"$dir/conf"
		machine "$1"
		start "$1"
		booted
		;;
	init) machine "$1"; init "$1" ;;
	exec) machine "$1"; shift; guest "$@" ;;
	copy) machine "$1"; shift; copy "$@" ;;
	reboot) machine "$1"; shut_down "$1"; start "$1"; booted ;;
	crash) machine "$1"; power_off "$1"; start "$1"; booted ;;
	down) machine "$1"; shut_down "$1"; umount "$dir/layer"; rm -rf "$dir" ;;
	*) die "$command: not without a kernel of its own" ;;
esac
