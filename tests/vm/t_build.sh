#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The sources on another release of Debian, with its compilers and libraries: t_build.sh [SUITE], trixie, sid or bullseye. There
# they build without a warning, `make check` passes, both packages are made, lintian has nothing to say, and what is in the
# package runs, with the kernel of this machine. It stays in deb-SUITE of the build directory, where t_package.sh looks for that of
# its machine. bullseye has a libbpf that is too old: there the source package of Debian 12 is linked in.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../netns/story_checks.sh"
. "$HERE/../netns/story_setup.sh"
. "$HERE/record.sh"
BUILD=$(readlink -f "${BUILD:-build}")
SUITE=${1:-${KERNEL:-trixie}}
skip_all() { echo "SKIP everything: $*"; exit 77; }
# libbpf_source FOLDER: Debian 12's source package, unpacked, from the archive that the root came from
libbpf_source() {
	mkdir -p "$T/apt/lists/partial" &&
		sed -n "s|^deb \\([^ ]*\\) $SUITE main.*|deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \\1 bookworm main|p" \
			"$ROOT/etc/apt/sources.list" >"$T/apt/sources" &&
		(
			cd "$T/apt" || exit
			set -- -qq -o Dir::Etc::SourceList="$T/apt/sources" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$T/apt/lists" \
				-o Dir::Cache="$T/apt" -o APT::Sandbox::User=root
			apt-get "$@" update && apt-get "$@" source libbpf
		) >&2 && mv "$T"/apt/libbpf-*/ "$1"
}

if [ -z "${T:-}" ]; then
	case $SUITE in
		trixie | sid) ;;
		bullseye) PACKAGES="${PACKAGES/ libbpf-dev / libelf-dev zlib1g-dev }" ;;
		*) skip_all "$SUITE is no other release of Debian: trixie, sid or bullseye" ;;
	esac
	[ "$(id -u)" = 0 ] || skip_all "needs root for mounts"
	for p in mmdebstrap unshare ip; do command -v $p >/dev/null || skip_all "needs $p: tests/vm/run installs it"; done
	grep -qw overlay /proc/filesystems || skip_all "needs overlayfs"
	# the list is words
	ROOT=$("$HERE/vm.sh" root "$SUITE" $PACKAGES build-essential debhelper dpkg-dev elfutils fakeroot lintian rpm systemd xz-utils \
		$([ $SUITE = bullseye ] || echo debugedit)) || exit 1
	T=$(mktemp -d)
	export T ROOT
	[ $SUITE != bullseye ] || libbpf_source "$T/libbpf" || exit 1
	unshare --mount --net --pid --fork --kill-child "$0" "$SUITE"
	status=$?
	rm -rf "$T"
	exit $status
fi
[ $$ = 1 ] || exit 1

inside() { chroot "$T/system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 sh -ec "$1"; }
# step "what" COMMANDS: what they print is shown if they fail
step() {
	local r=0
	inside "$2" >"$T/log" 2>&1 || r=$?
	is "$SUITE: $1" 0 $r
	[ $r = 0 ] || tail -n 60 "$T/log" | sed 's/^/    /'
	return $r
}

mkdir "$T/layer" "$T/system"
mount -t tmpfs -o size=8g layer "$T/layer" && mkdir "$T/layer/upper" "$T/layer/work" &&
	mount -t overlay -o "lowerdir=$ROOT,upperdir=$T/layer/upper,workdir=$T/layer/work" root "$T/system" &&
	mount -t proc proc "$T/system/proc" && mount -t sysfs -o ro sysfs "$T/system/sys" && mount -t tmpfs run "$T/system/run" &&
	mount --bind /dev "$T/system/dev" && mount -t tmpfs shm "$T/system/dev/shm" && ip link set lo up || { echo "no root"; exit 1; }
make -C "$BUILD" -s distdir distdir="$T/source" >"$T/log" 2>&1 && cp -a "$T/source" "$T/system/source" || { cat "$T/log"; exit 1; }
# gcc 10 warns of conversions between the branches of `?:` that are none
options=--enable-werror
[ $SUITE != bullseye ] || { cp -a "$T/libbpf" "$T/system/libbpf" && options=--with-libbpf=/libbpf; }
inside 'cat /etc/debian_version; gcc --version | head -n 1; clang --version | head -n 1
	dpkg-query -W -f "\${Package} \${Version}\n" bpftool debhelper libbpf-dev libc6-dev libconfig-dev libcurl4-openssl-dev libjansson-dev libldns-dev libssl-dev libsystemd-dev lintian rpm' 2>/dev/null |
	sed "s/^/# $SUITE: /"

building() { step "it builds, configured with $options" 'cd /source; autoreconf -fi; mkdir build; cd build; ../configure -q '"$options"'; make -s -k -j"$(nproc)"'; }
checking() {
	step "make check" 'cd /source/build; make -s -j"$(nproc)" check'
	grep -h '^# [A-Z]*: ' "$T/system/source/build/test-suite.log" | sort -u | sed "s/^# /# $SUITE: /"
}
packages() {
	step "make deb" 'cd /source/build; make -s deb' || return
	rm -rf "$BUILD/deb-$SUITE"
	mkdir "$BUILD/deb-$SUITE"
	cp "$T"/system/source/build/deb/*.deb "$BUILD/deb-$SUITE"
	is "$SUITE: lintian finds nothing" '' "$(inside 'lintian --allow-root --display-info --pedantic /source/build/deb/*.changes' 2>&1 |
		grep -v ': package-supports-alternative-init-but-no-init.d-script ')" # see t_deb.sh
	for deb in "$BUILD/deb-$SUITE"/*.deb; do record_deb "$deb" "$(. "$T/system/etc/os-release" && echo "$ID ${VERSION_ID:-$SUITE}")"; done
	[ ! -x "$T/system/usr/bin/find-debuginfo" ] || step "make rpm" 'cd /source/build; make -s rpm'
}
running() {
	step "the package is installed" 'dpkg -i /source/build/deb/mesh-external-agent_*.deb' || return
	[ $SUITE != bullseye ] || is "$SUITE: what is in it needs no libbpf" '' \
		"$(inside 'ldd /usr/sbin/mesh-agentd /usr/sbin/mesh-join /usr/bin/meshctl | grep libbpf')"
	is "$SUITE: the daemon starts" "mesh-agentd $(inside "dpkg-query -W -f '\${Version}' mesh-external-agent")" "$(inside 'mesh-agentd --version')"
	step "the kernel takes its programs" 'cd /source/build; make -s tests/bpf/insns tests/bpf/test_attach; tests/bpf/insns; tests/bpf/test_attach'
	step "the demo: hosts join, enforce, leave" 'cd /source/build; make -s demo'
}

# some programs of make check need OpenSSL 3 and glibc 2.33
for part in ${BUILD_PARTS:-building $([ $SUITE = bullseye ] || echo checking) packages running}; do $part; done
echo "$good passed, $bad failed, $skipped skipped"
[ $bad = 0 ]
