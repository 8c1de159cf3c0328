# SPDX-License-Identifier: Apache-2.0
# Shared by the stories that are tests; sourced after story_lib.sh. bash.
# Cases print PASS or FAIL. Without root, curl, jq, iproute2 and a tun device the story ends with 77 here.
skip_all() { echo "SKIP $*"; exit 77; }
if [ -z "${STORY_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || skip_all "everything: needs root for network namespaces"
	for p in curl jq ip nsenter unshare; do command -v $p >/dev/null || skip_all "everything: needs $p"; done
	[ -c /dev/net/tun ] || skip_all "everything: needs /dev/net/tun for the pods"
	BUILD=$(readlink -f "$BUILD")
fi

. "$HERE/story_checks.sh"
drops() { status ahch-to ".drops.ingress + .drops.egress"; }

# The count, and what a person wants to see of a failure.
story_finish() {
	echo "# $SECONDS seconds"
	echo "$good passed, $bad failed, $skipped skipped"
	if [ $bad != 0 ]; then
		echo "the log of ahch-to's agent ends:"
		tail -n 30 "$T/log/ahch-to-agent"
		exit 1
	fi
}
