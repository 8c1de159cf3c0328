#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The sources on another release of Debian, with its compilers and libraries: t_build.sh [SUITE], trixie or sid. There they build
# without a warning, `make check` passes, both packages are made, and lintian has nothing to say. The package stays in deb-SUITE of
# the build directory, where t_package.sh looks for that of its machine.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../netns/story_checks.sh"
. "$HERE/../netns/story_setup.sh"
BUILD=$(readlink -f "${BUILD:-build}")
SUITE=${1:-${KERNEL:-trixie}}
skip_all() { echo "SKIP everything: $*"; exit 77; }
if [ -z "${T:-}" ]; then
	case $SUITE in trixie | sid) ;; *) skip_all "$SUITE is no other release of Debian: trixie or sid" ;; esac
	[ "$(id -u)" = 0 ] || skip_all "needs root for mounts"
	for p in mmdebstrap unshare ip; do command -v $p >/dev/null || skip_all "needs $p: tests/vm/run installs it"; done
	grep -qw overlay /proc/filesystems || skip_all "needs overlayfs"
	# the list is words
	ROOT=$("$HERE/vm.sh" root "$SUITE" $PACKAGES build-essential debhelper debugedit dpkg-dev elfutils fakeroot lintian rpm xz-utils) || exit 1
	T=$(mktemp -d)
	export T ROOT
	unshare --mount --net --pid --fork --kill-child "$0" "$SUITE"
	status=$?
	rm -rf "$T"
	exit $status
fi
[ $$ = 1 ] || exit 1

inside() { chroot "$T/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 sh -ec "$1"; }
# step "what" COMMANDS: what they print is shown if they fail
step() {
	local r=0
	inside "$2" >"$T/log" 2>&1 || r=$?
	is "$SUITE: $1" 0 $r
	[ $r = 0 ] || tail -n 60 "$T/log" | sed 's/^/    /'
	return $r
}

mkdir "$T/layer" "$T/root"
mount -t tmpfs -o size=8g layer "$T/layer" && mkdir "$T/layer/upper" "$T/layer/work" &&
	mount -t overlay -o "lowerdir=$ROOT,upperdir=$T/layer/upper,workdir=$T/layer/work" root "$T/root" &&
	mount -t proc proc "$T/root/proc" && mount -t sysfs -o ro sysfs "$T/root/sys" && mount -t tmpfs run "$T/root/run" &&
	mount --bind /dev "$T/root/dev" && mount -t tmpfs shm "$T/root/dev/shm" && ip link set lo up || { echo "no root"; exit 1; }
make -C "$BUILD" -s distdir distdir="$T/source" >"$T/log" 2>&1 && cp -a "$T/source" "$T/root/source" || { cat "$T/log"; exit 1; }
inside 'cat /etc/debian_version; gcc --version | head -n 1; clang --version | head -n 1
	dpkg-query -W -f "\${Package} \${Version}\n" bpftool debhelper libbpf-dev libc6-dev libconfig-dev libcurl4-openssl-dev libjansson-dev libldns-dev libssl-dev libsystemd-dev lintian rpm' |
	sed "s/^/# $SUITE: /"

building() { step "it builds without a warning" 'cd /source; autoreconf -fi; mkdir build; cd build; ../configure -q --enable-werror; make -s -k -j"$(nproc)"'; }
checking() {
	step "make check" 'cd /source/build; make -s -j"$(nproc)" check'
	grep -h '^# [A-Z]*: ' "$T/root/source/build/test-suite.log" | sort -u | sed "s/^# /# $SUITE: /"
}
packages() {
	step "make deb" 'cd /source/build; make -s deb' || return
	rm -rf "$BUILD/deb-$SUITE"
	mkdir "$BUILD/deb-$SUITE"
	cp "$T"/root/source/build/deb/*.deb "$BUILD/deb-$SUITE"
	is "$SUITE: lintian finds nothing" '' "$(inside 'lintian --allow-root --display-info --pedantic /source/build/deb/*.changes' 2>&1)"
	step "make rpm" 'cd /source/build; make -s rpm'
}

for part in ${BUILD_PARTS:-building checking packages}; do $part; done
echo "$good passed, $bad failed, $skipped skipped"
[ $bad = 0 ]
