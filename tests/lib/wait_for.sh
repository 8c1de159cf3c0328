# SPDX-License-Identifier: Apache-2.0
# Sourced by what waits in scripts. bash.

# wait_for SECONDS COMMAND...: until it succeeds. SECONDS are those that it may take where nothing else runs; it is given
# three times as long, since a machine may be busy with other things, and who succeeds waits for nothing.
wait_for() {
	local end=$((SECONDS + 3 * $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
