# SPDX-License-Identifier: Apache-2.0
# What a package costs, for `make report`: a line of $MESH_RESULTS/packages.jsonl each; nothing without that variable. Sourced. bash.

record() { # KIND, RELEASE, package, version, bytes of it, installed KiB; programs ("bytes name") and dependencies on descriptors 3 and 4
	mkdir -p "$MESH_RESULTS" && jq -nc --arg kind "$1" --arg on "$2" --arg package "$3" --arg version "$4" --argjson bytes "$5" \
		--argjson installed "$6" --rawfile programs /dev/fd/3 --rawfile depends /dev/fd/4 '
		def lines: split("\n") | map(select(. != ""));
		{$package, $version, $kind, $on, $bytes, installed_kib: $installed,
		 programs: ($programs | lines | sort_by(split(" ")[1]) | map(split(" ") | {name: .[1], bytes: (.[0] | tonumber)})),
		 depends: ($depends | lines | unique), time: (now | floor)}' >>"$MESH_RESULTS/packages.jsonl"
}
record_deb() { # FILE RELEASE
	[ -n "${MESH_RESULTS:-}" ] || return 0
	local files
	files=$(mktemp -d)
	dpkg-deb -x "$1" "$files"
	record deb "$2" "$(dpkg-deb -f "$1" Package)" "$(dpkg-deb -f "$1" Version)" "$(stat -c %s "$1")" "$(dpkg-deb -f "$1" Installed-Size)" \
		3< <(find "$files/usr/bin" "$files/usr/sbin" -type f -printf '%s %f\n' 2>/dev/null) \
		4< <(dpkg-deb -f "$1" Depends | sed 's/, */\n/g')
	rm -rf "$files"
}
record_rpm() { # FILE RELEASE
	[ -n "${MESH_RESULTS:-}" ] || return 0
	record rpm "$2" "$(rpm -qp --qf '%{NAME}' "$1")" "$(rpm -qp --qf '%{VERSION}-%{RELEASE}' "$1")" "$(stat -c %s "$1")" \
		$(($(rpm -qp --qf '%{SIZE}' "$1") / 1024)) \
		3< <(rpm -qp --qf '[%{FILESIZES} %{FILENAMES}\n]' "$1" | sed -nE 's|^([0-9]+) /usr/s?bin/|\1 |p') \
		4< <(rpm -qp --requires "$1" | sed -E '/^(rpmlib|rtld|config)\(/d; s/(\.so[.0-9]*)\(.*/\1/')
}
