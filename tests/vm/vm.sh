#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian virtual machines with systemd and a kernel of choice, on a bridge. See README.md.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mesh-external-agent/vm} # images, kept
RUN=${VM_RUN:-$CACHE/run}						  # machines
BRIDGE=${VM_BRIDGE:-br0} GATEWAY=${VM_GATEWAY:-172.19.100.1}
MEMORY=${VM_MEMORY:-768} CPUS=${VM_CPUS:-2}
BOOT_S=${VM_BOOT_S:-240}

# What the package depends on is there, so that it installs without a network; and a real sshd.
PACKAGES=initramfs-tools,systemd-sysv,udev,dbus,qemu-guest-agent,iproute2,iputils-ping,procps,curl,jq,openssh-server
PACKAGES+=,bpftool,nftables,ca-certificates
PACKAGES+=,libbpf1,libjansson4,libmnl0,libsmartcols1,libsystemd0,libyaml-0-2
declare -A LIBRARIES=([bookworm]=libconfig9,libcurl4,libldns3,libssl3 [trixie]=libconfig11,libcurl4t64,libldns3t64,libssl3t64)
# What else manages a host's network, in an image of its own; none of it runs until a test starts it.
NETWORK_PACKAGES=systemd-resolved,polkitd,network-manager,dnsmasq-base,firewalld,docker.io,iptables,busybox-static
NETWORK_SERVICES=(systemd-resolved NetworkManager NetworkManager-wait-online NetworkManager-dispatcher firewalld
	docker.socket docker.service containerd)

usage() {
	cat >&2 <<-U
		vm.sh build KERNEL                  # Debian 12 with 5.10, 6.1 or 6.12; trixie: Debian 13 with its own.
		                                    # Makes the image, if it is not there
		                                    # KERNEL+network: with NetworkManager, firewalld and the like; KERNEL+rpm
		vm.sh image KERNEL                  # the same, and says where
		vm.sh root SUITE PACKAGE...         # a folder with a Debian of these, to be left as it is; says where
		vm.sh up NAME ADDRESS/LEN KERNEL    # starts a machine and waits until it has booted
		vm.sh exec NAME COMMAND...          # with this standard input; its output and exit status
		vm.sh copy NAME FILE... DIRECTORY   # into the machine
		vm.sh plug NAME BRIDGE              # a second network card, into the running machine
		vm.sh unplug NAME                   # and out of it
		vm.sh monitor NAME COMMAND...       # to QEMU, each an argument; prints its answers
		vm.sh reboot|crash|down NAME        # orderly; as by a power failure; for good
	U
	exit 2
}
die() { echo "vm.sh: $*" >&2; exit 1; }

# image_of KERNEL[+EXTRA]: sets image, its folder; suite, what is in it; from, the suite whose kernel it has; and kernel
image_of() {
	suite=bookworm kernel=${1%%+*}
	case $kernel in
		5.10) from=bullseye ;;
		6.1) from=bookworm ;;
		6.12) from=bookworm-backports ;;
		trixie) suite=trixie from=trixie kernel=6.12 ;;
		*) die "$1: 5.10, 6.1, 6.12 or trixie" ;;
	esac
	image=$CACHE/$suite-$kernel
	[[ $1 != *+* ]] || image+=+${1#*+}
}

# archives SUITE: the Debian archives that apt of this machine uses, as lines for SUITE
archives() {
	local own
	own=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
		awk -v own="$own" -v suite="$1" '
			index($2, own) != 1 || $2 ~ /backports/ { next }
			suite != own && $2 != own { next } # updates of other suites may not be mirrored
			{ sub(own, suite, $2); line = "deb " $0; if (!seen[line]++) print line }'
}

kvm_works() { [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; }

build() { # KERNEL[+EXTRA]
	image_of "$1"
	mkdir -p "$CACHE"
	exec 8>"$image.lock"
	flock 8
	[ -e "$image/disk" ] || make_image
	exec 8>&-
}

# debian SUITE OPTION... TARGET <archives: apt's archives may be older than what they say they are good for
debian() {
	mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
		"${@:2:$#-2}" "$1" "${@: -1}" -
}

make_image() { # image, suite, from, kernel
	local new=$image.new began=$SECONDS packages=$PACKAGES,${LIBRARIES[$suite]}
	echo "vm.sh: making the image ${image##*/}" >&2
	case $image in
		*+network) packages+=,$NETWORK_PACKAGES ;;
		*+rpm) packages+=,rpm ;;
		*+*) die "${image##*/}: +network or +rpm" ;;
	esac
	rm -rf --one-file-system "$new"
	mkdir -p "$new"
	if [ "$from" != "$suite" ]; then # only the kernel comes from there
		printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n\nPackage: linux-image-*\nPin: release n=%s\nPin-Priority: 990\n' \
			"$from" "$from" >"$new/pin"
	else
		: >"$new/pin"
	fi
	printf '%s\n' virtio_pci virtio_blk ext4 >"$new/modules"
	{
		archives "$suite"
		[ "$from" = "$suite" ] || archives "$from"
	} | debian "$suite" --include="linux-image-cloud-amd64,$packages" \
		--setup-hook="mkdir -p \"\$1/etc/apt/preferences.d\" && cp '$new/pin' \"\$1/etc/apt/preferences.d/kernel\"" \
		--essential-hook="mkdir -p \"\$1/etc/initramfs-tools/conf.d\" \"\$1/usr/share/initramfs-tools/modules.d\"" \
		--essential-hook="echo MODULES=list >\"\$1/etc/initramfs-tools/conf.d/vm\"" \
		--essential-hook="cp '$new/modules' \"\$1/usr/share/initramfs-tools/modules.d/vm\"" \
		--customize-hook="'$HERE/vm.sh' customize \"\$1\"" \
		"$new/root" || die "the image ${image##*/} could not be made"
	compgen -G "$new/root/boot/vmlinuz-$kernel[.-]*" >/dev/null || die "$from has no kernel $kernel"
	cp -L "$new"/root/boot/vmlinuz-* "$new/vmlinuz"
	cp -L "$new"/root/boot/initrd.img-* "$new/initrd"
	mkfs.ext4 -q -d "$new/root" "$new/disk" 4G
	rm -rf --one-file-system "$new/root" "$image"
	mv "$new" "$image"
	echo "vm.sh: made in $((SECONDS - began)) s" >&2
}

root() { # SUITE PACKAGE...
	local suite=$1 root=$CACHE/$1-root packages
	shift
	packages=$(IFS=,; echo "$*")
	mkdir -p "$CACHE"
	exec 8>"$root.lock"
	flock 8
	if [ "$(cat "$root/made" 2>/dev/null)" != "$packages" ]; then
		echo "vm.sh: making a root of $suite" >&2
		rm -rf --one-file-system "$root"
		mkdir "$root"
		archives "$suite" | debian "$suite" --include="$packages" "$root/root" >&2 || die "a root of $suite could not be made"
		echo "$packages" >"$root/made"
	fi
	exec 8>&-
	echo "$root/root"
}

# customize ROOT: called by mmdebstrap
customize() {
	systemctl -q --root="$1" enable systemd-networkd systemd-network-generator
	systemctl -q --root="$1" mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
	! [ -e "$1/usr/sbin/NetworkManager" ] || systemctl -q --root="$1" disable "${NETWORK_SERVICES[@]}"
	: >"$1/etc/machine-id"
	rm -f "$1/etc/resolv.conf"
	: >"$1/etc/resolv.conf" # no name server, and no waiting for one
	mkdir -p "$1/var/log/journal"
}

machine() { # NAME
	dir=$RUN/$1
	[ -e "$dir/conf" ] || die "there is no machine $1"
}
is_on() { [ -e "$dir/pid" ] && grep -qsF "$dir/" "/proc/$(cat "$dir/pid")/cmdline"; }
guest() { python3 "$HERE/guest.py" "$dir/agent" "$@"; }
boot_id() { guest cat /proc/sys/kernel/random/boot_id </dev/null 2>/dev/null; }

start() { # NAME
	local name=$1 image address accel='tcg,thread=multi' cpu='Nehalem,-cx16' mac tap=vm-$1
	# emulated: no AVX, which is quicker, and no cmpxchg16b, which QEMU 7.2 gets wrong
	! kvm_works || { accel=kvm; cpu=host; }
	# shellcheck source=/dev/null
	. "$dir/conf"
	# shellcheck disable=SC2046 # four numbers
	mac=$(printf '52:54:%02x:%02x:%02x:%02x' $(tr . ' ' <<<"${address%/*}"))
	ip link show "$tap" >/dev/null 2>&1 || ip tuntap add "$tap" mode tap
	ip link set "$tap" master "$BRIDGE" up
	# systemd-network-generator takes the first ip=; the last one keeps the initramfs from doing so
	nice -n 5 qemu-system-x86_64 -name "$name" -M pc -accel "$accel" -cpu "$cpu" -smp "$CPUS" -m "$MEMORY" \
		-nodefaults -display none -daemonize -pidfile "$dir/pid" -kernel "$image/vmlinuz" -initrd "$image/initrd" \
		-append "root=/dev/vda rw console=ttyS0 quiet panic=1 mitigations=off net.ifnames=0 systemd.hostname=$name ip=${address%/*}::$GATEWAY:${address#*/}::eth0:none ip=off" \
		-drive "file=$dir/disk,if=virtio,cache=writeback" -nic "tap,model=virtio-net-pci,ifname=$tap,script=no,downscript=no,mac=$mac" \
		-monitor "unix:$dir/monitor,server=on,wait=off" -device virtio-rng-pci -chardev "file,id=console,path=$dir/console,append=on" -serial chardev:console \
		-device virtio-serial -chardev "socket,id=agent,path=$dir/agent,server=on,wait=off" \
		-device virtserialport,chardev=agent,name=org.qemu.guest_agent.0
}

# booted [BOOT-ID]: waits until the machine has booted, and is not in that boot any more
booted() {
	local end=$((SECONDS + BOOT_S)) id state
	until id=$(boot_id) && [ -n "$id" ] && [ "$id" != "${1-}" ]; do
		is_on || die "${dir##*/} stopped: $(tail -n 5 "$dir/console")"
		[ $SECONDS -lt $end ] || die "${dir##*/} does not boot: $(tail -n 5 "$dir/console")"
		sleep 0.2
	done
	state=$(guest systemctl is-system-running --wait </dev/null) || {
		echo "vm.sh: ${dir##*/} is $state:" >&2
		guest systemctl --failed --no-legend </dev/null >&2 || true
	}
}

power_off() { # hard
	! is_on || kill -KILL "$(cat "$dir/pid")"
	while is_on; do sleep 0.05; done
	rm -f "$dir/pid"
}

up() { # NAME ADDRESS/LEN KERNEL
	[[ $1 =~ ^[a-z][a-z0-9-]{0,10}$ && $2 == */* ]] || usage
	dir=$RUN/$1
	[ ! -e "$dir" ] || die "$1 exists"
	build "$3"
	mkdir -p "$dir"
	qemu-img create -q -f qcow2 -F raw -b "$image/disk" "$dir/disk"
	printf 'image=%s\naddress=%s\n' "$image" "$2" >"$dir/conf"
	start "$1"
	booted
}

monitor() { # COMMAND...
	is_on || die "${dir##*/} is off"
	python3 - "$dir/monitor" "$@" <<-'P'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(30)
		s.connect(sys.argv[1])
		def answer():
		    said = b""
		    while not said.endswith(b"(qemu) "):
		        more = s.recv(65536)
		        if not more:
		            sys.exit("vm.sh: QEMU has closed its monitor")
		        said += more
		    return said.decode().split("\n", 1)[-1].rsplit("(qemu) ", 1)[0].replace("\r", "")
		answer()
		for line in sys.argv[2:]:
		    s.sendall(line.encode() + b"\n")
		    said = answer()
		    if "Error" in said:
		        sys.exit("vm.sh: " + line + ": " + said.strip())
		    print(said, end="")
	P
}

# The card is gone with the next start.
plug() { # NAME BRIDGE
	local tap=vm2-$1
	ip tuntap add "$tap" mode tap && ip link set "$tap" master "$2" up || die "no tap for $1"
	monitor "netdev_add tap,id=more,ifname=$tap,script=no,downscript=no" "device_add virtio-net-pci,netdev=more,id=more,mac=52:54:00:00:00:02"
}
unplug() { # NAME
	monitor "device_del more" "netdev_del more"
	ip link del "vm2-$1"
}

down() { # NAME
	local end=$((SECONDS + 30))
	if is_on && guest systemctl poweroff </dev/null; then
		while is_on && [ $SECONDS -lt $end ]; do sleep 0.1; done
	fi
	power_off
	ip link del "vm-$1" 2>/dev/null || true
	ip link del "vm2-$1" 2>/dev/null || true
	rm -rf "$dir"
}

copy() { # FILE... DIRECTORY
	local to=${*: -1} args=() f
	for f in "${@:1:$#-1}"; do args+=(-C "$(cd "$(dirname "$f")" && pwd)" "$(basename "$f")"); done
	tar --owner=0 --group=0 -czf - "${args[@]}" | guest sh -c 'mkdir -p "$0" && tar -C "$0" -xzf - --warning=no-timestamp' "$to"
}

[ $# -ge 2 ] || usage
command=$1
shift
case $command in
	build | customize) $command "$1" ;;
	image) build "$1"; echo "$image" ;;
	root) root "$@" ;;
	up) [ $# = 3 ] || usage; up "$@" ;;
	exec) [ $# -ge 2 ] || usage; machine "$1"; shift; guest "$@" ;;
	copy) [ $# -ge 3 ] || usage; machine "$1"; shift; copy "$@" ;;
	plug) [ $# = 2 ] || usage; machine "$1"; plug "$@" ;;
	unplug) machine "$1"; unplug "$1" ;;
	monitor) [ $# -ge 2 ] || usage; machine "$1"; shift; monitor "$@" ;;
	reboot)
		machine "$1"
		id=$(boot_id)
		guest systemctl reboot </dev/null 2>/dev/null || true
		booted "$id"
		;;
	crash) machine "$1"; power_off; start "$1"; booted ;;
	down) machine "$1"; down "$1" ;;
	*) usage ;;
esac
