# SPDX-License-Identifier: Apache-2.0
# Shared by tests/demo/run and tests/run; sourced at the top of the source tree. bash.
PACKAGES="autoconf automake bpftool ca-certificates clang curl gcc iproute2 jq libbpf-dev libc6-dev libconfig-dev
	libcriterion-dev libcurl4-openssl-dev libgnutls28-dev libjansson-dev libldns-dev libmicrohttpd-dev
	libmnl-dev libsmartcols-dev libssl-dev libsystemd-dev libyaml-dev llvm make mandoc
	pkg-config procps util-linux uthash-dev"

# Installs what is missing of them.
story_packages() {
	local p missing=
	command -v apt-get >/dev/null || {
		echo "no apt-get here: install what .github/CONTRIBUTING.md names, then use --no-setup" >&2
		return 1
	}
	for p in $PACKAGES; do
		dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
	done
	[ "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || { echo "as root, install:$missing" >&2; return 1; }
	echo "installing:$missing"
	apt-get update -qq
	# the list is words
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# Builds into build/; a configured one is kept. The output is in build/build.log, shown if it fails.
story_build() {
	local began=$SECONDS
	mkdir -p build
	echo "building for the $1 (a few minutes the first time; see build/build.log)"
	if ! {
		{ [ -x configure ] || autoreconf -fi; } &&
			{ [ -f build/Makefile ] || (cd build && ../configure -q --enable-werror); } &&
			make -C build -j"$(nproc)"
	} >build/build.log 2>&1; then
		tail -n 40 build/build.log >&2
		return 1
	fi
	echo "built in $((SECONDS - began)) s"
}
