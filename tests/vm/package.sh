# SPDX-License-Identifier: Apache-2.0
# Installing, upgrading and removing a package in the machine, by what it is: PACKAGE=deb or rpm. Sourced after guest.sh. bash.
# FIRST and NEXT are two versions of it in /var/local of the machine; OTHER has a daemon whose maps have another layout.
PACKAGE=${PACKAGE:-deb}
NAME=mesh-external-agent
package_copy() { vm copy ahch-to "$T/$1" /var/local || die "the package $1 cannot be copied"; } # file in $T

if [ "$PACKAGE" = deb ]; then
	FIRST=agent.deb NEXT=next.deb OTHER=other.deb
	# repack VERSION FILE [DAEMON]: the package once more, as a newer one
	repack() {
		rm -rf "$T/repack" && dpkg-deb -R "$DEB" "$T/repack" && sed -i "s/^Version: .*/Version: $1/" "$T/repack/DEBIAN/control" &&
			{ [ -z "${3:-}" ] || strip -o "$T/repack/usr/sbin/mesh-agentd" "$3"; } &&
			dpkg-deb --root-owner-group -b "$T/repack" "$T/$2" >/dev/null || die "no package $2"
	}
	package_make() {
		NEXT_VERSION=$(dpkg-deb -f "$DEB" Version)+next
		repack "$NEXT_VERSION" $NEXT
		repack "$NEXT_VERSION+other" $OTHER "$BUILD/tests/netns/next/mesh-agentd"
		package_copy $NEXT
		package_copy $OTHER
	}
	package_install() { guest apt-get install -y -q --allow-downgrades "/var/local/$1"; }
	package_remove() { guest apt-get remove -y -q $NAME; }
	package_purge() { guest apt-get purge -y -q $NAME; }
	package_version() { guest dpkg-query -W -f '${Version}' $NAME; }
else
	# The machine's rpm knows of nothing that Debian's packages brought: t_rpm.sh looks at what it depends on.
	FIRST=agent.rpm NEXT=next.rpm
	RPM=$(ls "$BUILD"/rpm/$NAME-[0-9]*-1.*.rpm 2>/dev/null | grep -v '\.src\.rpm$' | head -n 1)
	[ -n "$RPM" ] || die "no package in $BUILD/rpm: make rpm"
	package_make() {
		cp "$RPM" "$T/$FIRST"
		make -C "$BUILD" -s rpm RPM_DIR="$T/rpm" RPM_SUFFIX=.next RPM_FLAGS="--define 'optflags -O0'" >"$T/log/rpm" 2>&1 ||
			die "no second package: $(tail -n 20 "$T/log/rpm")"
		mv "$T/rpm"/$NAME-0*.next.*[^c].rpm "$T/$NEXT"
		NEXT_VERSION=$(rpm -qp --qf '%{VERSION}-%{RELEASE}' "$T/$NEXT")
		package_copy $FIRST
		package_copy $NEXT
		guest mkdir -p /usr/share/licenses /usr/share/zsh/site-functions # which RPM distributions have themselves
	}
	package_install() { guest rpm -U --nodeps --oldpackage "/var/local/$1"; }
	package_remove() { guest rpm -e $NAME; }
	# as the README says
	package_purge() { guest sh -c "rpm -e $NAME && rm -rf /etc/$NAME /var/lib/$NAME && userdel mesh-agent"; }
	package_version() { guest rpm -q --qf '%{VERSION}-%{RELEASE}' $NAME; }
fi
