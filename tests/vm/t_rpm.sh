#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The RPM: rpmlint, the same bytes from a second build, the content of the Debian package. Then, in a Debian 12 root (the
# image of the virtual machines, which is left as it is, under an overlay) whose rpm knows of the libraries that
# are there: installing without --nodeps, the daemon, an upgrade with a changed configuration, removing.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../netns/story_checks.sh"
. "$HERE/record.sh"
BUILD=$(readlink -f "${BUILD:-build}")
SOURCE=$HERE/../..
NAME=mesh-external-agent
skip_all() { echo "SKIP everything: $*"; exit 77; }
if [ -z "${T:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all "needs root for mounts"
	for p in rpm rpmbuild rpmlint rpm2cpio cpio dpkg-deb mmdebstrap mkfs.ext4 unshare jq; do
		command -v $p >/dev/null || skip_all "needs $p: tests/vm/run installs it"
	done
	grep -qw overlay /proc/filesystems || skip_all "needs overlayfs"
	"$HERE/vm.sh" build 6.1 || exit 1
	T=$(mktemp -d)
	export T
	unshare --mount --net --pid --fork --kill-child "$0" "$@"
	status=$?
	rm -rf "$T"
	exit $status
fi
[ $$ = 1 ] || exit 1
RPM=$BUILD/rpm/$NAME-$(sed -n 's/^Version: *//p' "$SOURCE/packaging/rpm/$NAME.spec")-1.$(rpm --eval '%{_arch}').rpm
[ -e "$RPM" ] || { echo "no $RPM: make rpm"; exit 1; }
DEB=$(ls "$BUILD"/deb/${NAME}_*.deb)

built() {
	is "rpmlint finds nothing" '' "$(rpmlint -r "$SOURCE/packaging/rpm/$NAME.rpmlintrc" "$BUILD"/rpm/*.rpm \
		"$SOURCE/packaging/rpm/$NAME.spec" 2>&1 | grep -E '^[^ ]*: [EW]: ')"
	is "it has the version of configure and of the Debian package" "$(dpkg-deb -f "$DEB" Version) $(dpkg-deb -f "$DEB" Version)" \
		"$(rpm -qp --qf '%{VERSION}' "$RPM") $(sed -n 's/^AC_INIT(\[[^]]*\], \[\([^]]*\)\].*/\1/p' "$SOURCE/configure.ac")"
	(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 make -C "$BUILD" -s rpm RPM_DIR="$T/elsewhere/again") >"$T/log" 2>&1 || tail -n 20 "$T/log"
	for p in "$BUILD"/rpm/*.rpm; do
		is "built again, the same bytes: ${p##*/}" "$(sha256sum <"$p")" "$(sha256sum <"$T/elsewhere/again/${p##*/}")"
		[[ $p = *.src.rpm ]] || record_rpm "$p" "$(. /etc/os-release && echo "$ID $VERSION_ID")"
	done
	# one more release of it, for an upgrade, in a hurry
	make -C "$BUILD" -s rpm RPM_DIR="$T/next" RPM_SUFFIX=.next RPM_FLAGS="--define 'optflags -O0'" >"$T/log" 2>&1 || tail -n 20 "$T/log"
}

# files DIR: what is in there, where both packages have it in the same place: mode, path, checksum
files() {
	(cd "$1" && find . -type f ! -path './usr/share/doc/*' ! -path './usr/share/licenses/*' ! -path './usr/share/lintian/*' \
		! -path './usr/sbin/*' ! -path './usr/bin/*' -exec sh -c 'for f; do case $f in
			*.gz) sum=$(gzip -dc "$f" | sha256sum) ;;
			*) sum=$(sha256sum <"$f") ;;
			esac; echo "$(stat -c "%a %n" "$f") $sum"; done' sh {} + &&
		find ./usr/sbin ./usr/bin -type f -printf '%m %p\n') |
		sed 's| \./lib/| ./usr/lib/|; s|/zsh/vendor-completions/|/zsh/site-functions/|' | sort
}
content() {
	local p kept
	mkdir "$T/deb" "$T/rpm"
	dpkg-deb -x "$DEB" "$T/deb"
	rpm2cpio "$RPM" | cpio -idm --quiet -D "$T/rpm"
	find "$T/rpm/usr/lib/.build-id" -type l -delete
	files "$T/deb" >"$T/deb.files"
	files "$T/rpm" >"$T/rpm.files"
	is "the same files as in the Debian package, with the same content" '' "$(diff "$T/deb.files" "$T/rpm.files")"
	is "everything is root's" '' "$(rpm -qp --qf '[%{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]' "$RPM" | grep -v ^root:root)"
	is "only the configuration is one" "/etc/$NAME/$NAME.conf" "$(rpm -qpc "$RPM")"
	kept=$(rpm -qp --qf '[%{FILEFLAGS:fflags} %{FILENAMES}\n]' "$RPM" | sed -n 's| /etc/.*conf$||p')
	is "and is kept when it was changed" cn "$kept"
	for p in meshctl mesh-agentd mesh-join; do
		is "debug information of $p is apart" 1 "$(rpm -qpl "$BUILD"/rpm/$NAME-debuginfo-*.rpm | grep -c "/$p-.*\.debug$")"
		is "$p has none" 0 "$(readelf -S "$(find "$T/rpm/usr" -name $p -type f -perm /1)" | grep -c '\.debug_info')"
	done
}

# scripts MACROS: the scripts where the macros of systemd are as given
scripts() { rpmspec -q --srpm --qf x "$@" "$SOURCE/packaging/rpm/$NAME.spec" >/dev/null && rpmspec -P "$@" "$SOURCE/packaging/rpm/$NAME.spec"; }
macros() {
	local text
	text=$(scripts --define 'systemd_post() given-post %*' --define 'systemd_preun() given-preun %*' \
		--define 'systemd_postun_with_restart() given-postun %*' --define '_unitdir /units' --define '_presetdir /presets')
	is "with the macros of systemd, they are used" "given-post $NAME.service mesh-join.service given-preun $NAME.service mesh-join.service given-postun $NAME.service" \
		"$(grep -o '^given-.*' <<<"$text" | paste -sd' ')"
	is "and nothing else asks systemctl" 0 "$(grep -c '^ *systemctl' <<<"$text")"
	is "files go where they say" "/units/$NAME.service /units/$NAME-drain.service /units/$NAME-resolver.path /units/$NAME-resolver.service /units/mesh-join.service /presets/90-$NAME.preset" \
		"$(grep -E '^/(units|presets)/' <<<"$text" | paste -sd' ')"
}

# The root, and an RPM that stands for what Debian's packages brought: it provides what rpm itself finds in them.
inside() { chroot "$T/debian" "$@"; }
# Debian's rpm says each time that apt would do it
r() { rpm --root "$T/debian" "$@" 2> >(grep -v '^rpm: ' >&2); }
root_begin() {
	mkdir "$T/image" "$T/layer" "$T/debian"
	mount -o loop,ro,noload "${VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mesh-external-agent/vm}/bookworm-6.1/disk" "$T/image" &&
		mount -t tmpfs layer "$T/layer" && mkdir "$T/layer/upper" "$T/layer/work" &&
		mount -t overlay -o "lowerdir=$T/image,upperdir=$T/layer/upper,workdir=$T/layer/work" root "$T/debian" &&
		mount -t proc proc "$T/debian/proc" && mount -t sysfs sysfs "$T/debian/sys" && mount -t tmpfs run "$T/debian/run" &&
		mount --bind /dev "$T/debian/dev" &&
		mount -t bpf bpf "$T/debian/sys/fs/bpf" && mount -t cgroup2 none "$T/debian/sys/fs/cgroup" || { echo "no root"; exit 1; }
	: >"$T/debian/etc/machine-id" && echo 0123456789abcdef0123456789abcdef >"$T/debian/etc/machine-id"
	mkdir "$T/base"
	{
		printf '%s\n' 'Name: debian' 'Version: 12' 'Release: 1' 'Summary: s' 'License: x' 'BuildArch: noarch' \
			'Provides: systemd /bin/sh rtld(GNU_HASH)'
		inside sh -c 'find /usr/lib/x86_64-linux-gnu -maxdepth 1 -name "*.so.*"' | sed "s|^|$T/debian|" | /usr/lib/rpm/elfdeps --provides |
			sort -u | sed 's/^/Provides: /'
		printf '%s\n' '%description' d '%files'
	} >"$T/base/debian.spec"
	rpmbuild -bb --quiet --define "_topdir $T/base" "$T/base/debian.spec" >"$T/log" 2>&1 || cat "$T/log"
	inside sh -c 'useradd -r same-file && userdel same-file' # as they look once they were written
	r -i "$T"/base/RPMS/*/*.rpm || echo "no base"
}
root_state() { # FILE: everything that the package could have changed
	(cd "$T/layer/upper" && find . \( -path ./var/lib/rpm -o -path ./root/.rpmdb -o -path './etc/*-' -o -path ./etc/.pwd.lock \) -prune -o ! -type d -printf '%p %m %U %s\n') |
		sort >"$1"
	inside getent passwd >>"$1"
	find "$T/debian/run" "$T/debian/sys/fs/bpf" -mindepth 1 ! -path '*/run/systemd*' ! -path '*/run/mount*' >>"$1"
}
agent() { inside meshctl -o json "$@"; }
agent_start() {
	chroot "$T/debian" setpriv --reuid mesh-agent --regid mesh-agent --clear-groups --inh-caps +bpf,+net_admin,+perfmon,+net_bind_service \
		--ambient-caps +bpf,+net_admin,+perfmon,+net_bind_service mesh-agentd >"$T/agent.log" 2>&1 &
	agent=$!
	wait_until eval '[ "$(agent status | jq -r .state)" = not-joined ]'
}
agent_stop() { kill $agent && wait $agent; }
wait_until() { local i; for ((i = 0; i < 100; i++)); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }

life() {
	root_begin
	root_state "$T/before"
	check "rpm installs it, with all that it depends on" r -i "$RPM"
	is "nothing of it has changed since" '' "$(r -V $NAME)"
	check "the daemon has its user" inside getent passwd mesh-agent
	is "and its directories" "mesh-agent 700 mesh-agent 700" \
		"$(inside stat -c '%U %a' /var/lib/$NAME /sys/fs/bpf/$NAME | paste -sd' ')"
	is "the service is enabled" enabled "$(inside systemctl is-enabled $NAME)"
	is "that for images is not" disabled "$(inside systemctl is-enabled mesh-join)"
	check "systemd takes the units" inside systemd-analyze verify --man=no $NAME.service mesh-join.service
	check "the configuration is good" inside meshctl config check
	mkdir -p "$T/debian/run/$NAME" && inside chown mesh-agent: /run/$NAME
	check "the daemon runs, with its user and capabilities, and waits to be joined" agent_start
	is "meshctl has the version of the package" "$(r -q --qf '%{VERSION}' $NAME)" "$(inside meshctl -V | awk '{ print $NF }')"
	check "it stops" agent_stop
	cp "$T/debian/etc/$NAME/$NAME.conf" "$T/conf"
	echo "# of the administrator" >>"$T/debian/etc/$NAME/$NAME.conf"
	echo enrolled >"$T/debian/var/lib/$NAME/token"
	inside systemctl -q disable $NAME
	check "rpm upgrades it" r -U "$T"/next/$NAME-0*.next.*.rpm
	is "to the next release" "1.next" "$(r -q --qf '%{RELEASE}' $NAME)"
	is "the configuration is kept" "# of the administrator" "$(tail -n 1 "$T/debian/etc/$NAME/$NAME.conf")"
	is "who disabled it finds it so" disabled "$(inside systemctl is-enabled $NAME)"
	is "the enrolment is kept" enrolled "$(cat "$T/debian/var/lib/$NAME/token")"
	cp "$T/conf" "$T/debian/etc/$NAME/$NAME.conf"
	inside systemctl -q enable $NAME
	check "rpm removes it" r -e $NAME
	is "the enrolment is still kept" enrolled "$(cat "$T/debian/var/lib/$NAME/token")"
	# as the README says
	check "what is left goes by hand" inside sh -c "rm -rf /etc/$NAME /var/lib/$NAME && userdel mesh-agent"
	root_state "$T/after"
	sed -i '\|/sys/fs/bpf/mesh-external-agent$|d' "$T/after" # an empty directory, until the next boot
	is "everything is as before it was installed" '' "$(diff "$T/before" "$T/after" 2>&1)"
}

for part in ${RPM_PARTS:-built content macros life}; do $part; done
echo "$good passed, $bad failed, $skipped skipped"
[ $bad = 0 ]
