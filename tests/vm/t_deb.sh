#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The package itself: lintian has nothing to say, and a second build, elsewhere and under other
# circumstances, gives the same bytes.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../netns/story_checks.sh"
. "$HERE/record.sh"
BUILD=${BUILD:-build}
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

if command -v lintian >/dev/null; then
	# It is a service of systemd: sandbox, watchdog and order at boot are the unit's. Later versions do not ask, and do not know the tag.
	is "lintian finds nothing" '' "$(lintian --allow-root --display-info --pedantic \
		--suppress-tags package-supports-alternative-init-but-no-init.d-script "$BUILD"/deb/*.changes 2>&1)"
else
	skipped=1
	echo "SKIP lintian is not installed"
fi
(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 make -C "$BUILD" -s deb DEB_DIR="$T/elsewhere/again") >"$T/log" 2>&1 || tail -n 20 "$T/log"
for deb in "$BUILD"/deb/*.deb; do
	is "built again, the same bytes: ${deb##*/}" "$(sha256sum <"$deb")" "$(sha256sum <"$T/elsewhere/again/${deb##*/}")"
done
for deb in "$BUILD"/deb/*.deb; do
	record_deb "$deb" "$(. /etc/os-release && echo "$ID $VERSION_ID")"
	echo "# ${deb##*/}: $(stat -c %s "$deb") bytes, $(dpkg-deb -f "$deb" Installed-Size) KiB installed, depends on $(dpkg-deb -f "$deb" Depends)"
done
echo "$good passed, $bad failed, $skipped skipped"
[ $bad = 0 ]
