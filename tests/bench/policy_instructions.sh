#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Instructions that policy changes cost in user space, counted by callgrind, so the same on each run:
#   policy_instructions.sh BENCH_POLICY [POLICIES [IDENTITIES [CHANGES]]]
# A line of JSON for each kind of change: instructions for one.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '4s/^# *//p' "$0" >&2; exit 2; }
bench=$1 policies=${2:-1000} identities=${3:-10000} changes=${4:-20}
command -v valgrind >/dev/null || { echo "needs valgrind" >&2; exit 2; }
for phase in first more fewer identity; do
	count=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="phase_$phase" \
		"$bench" -n "$policies" "$identities" "$changes" 2>&1 >/dev/null | awk '/Collected/ { print $NF }')
	[ "$phase" = first ] || count=$((count / changes))
	printf '{"phase": "%s", "policies": %s, "identities": %s, "instructions": %s}\n' "$phase" "$policies" "$identities" "$count"
done
