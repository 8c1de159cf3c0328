#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two machines with one credential, as after cloning a disk, against the in-tree API server in network namespaces: the first
# goes on, the copy is refused, both say so, nothing is widened. And what a machine alone does when it boots again.
# Prints PASS, FAIL or SKIP for each case. Needs root, curl, jq, iproute2; ends with 77 without them.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/story_lib.sh"
. "$HERE/story_cases.sh"
story_enter "$0" "$@"

COPY=172.19.100.4
LEASE=/apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases/ahch-to
lease() { api GET $LEASE | jq -r "$1"; }
holder() { lease .spec.holderIdentity; }
endpoint() { api GET /apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to | jq -r '"\(.status.state) \(.status.networking.addressing[0].ipv4)"'; }
slice() { api GET /apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices/council-mesh-ahch-to | jq -r '.endpoints[0].addresses[0]'; }
# boot NAME BOOT: the daemon, on a machine in its boot number so and so
boot() {
	printf '%s\n' "00000000-0000-4000-8000-00000000000$2" >"$T/$1/boot-id"
	become "$1" unshare --mount sh -c 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' "$T/$1/boot-id" \
		"$T/bin/mesh-agentd" -c "$T/$1/agent.conf" >>"$T/log/$1-agent" 2>&1 &
	echo $! >"$T/$1/pid"
}
id_of() { echo "ahch-to/0000000000004000800000000000000$1"; }

joining() {
	enrol ahch-to $AHCHTO,$COPY jedi=luke --serve council || die "enrolment: $(cat "$T/log/enrol")"
	check "the host joins" join ahch-to --token "$token"
	boot ahch-to 1
	check "it comes up" wait_for 15 is_running ahch-to
	check "it holds its Lease" wait_for 5 eval "[ \$(holder) = $(id_of 1) ]"
	policy only-friends '{endpointSelector: {matchLabels: {jedi: luke}}, ingress: [{fromEndpoints: [{matchLabels: {rebel: leia}}]}]}'
	passes "a pod that is allowed gets in" leia $AHCHTO 80
	stopped "a machine without identity does not" node1 $AHCHTO 80
	check "it stands behind its service" wait_for 10 eval "[ \$(slice) = $AHCHTO ]"
}

# its disk is copied while it runs; the enrolment would allow the copy's address, too
cloning() {
	cp -a "$T/ahch-to/state" "$T/copy/state"
	boot copy 2
	check "the copy reads what the cluster says" wait_for 15 eval '[ "$(status copy .state)" = ok ]'
	stopped "it enforces the policy" node1 $COPY 80
	is "it waits whether the other lives" 1 "$(condition copy host.lease .text | grep -c "$(id_of 1)")"
	is "it has told the cluster nothing" "ready $AHCHTO $(id_of 1)" "$(endpoint) $(holder)"
	check "the first renews: the copy is refused" wait_for 90 eval '[ "$(status copy .state)" = cloned ]'
	is "it says by whom" 1 "$(condition copy host.cloned .text | grep -c "$(id_of 1)")"
	is "and what to do" 1 "$(condition copy host.cloned .remedy | grep -c 'meshctl leave --force, then mesh-join')"
	is "the journal, too" 1 "$(grep -c 'error: host.cloned' "$T/log/copy-agent")"
	exits "meshctl status ends with" 1 host copy status
	check "the first is told" wait_for 90 eval '[ "$(condition ahch-to host.cloned .severity)" = warning ]'
	is "by which machine" 1 "$(condition ahch-to host.cloned .text | grep -c "$(id_of 2)")"
	is "it is the member as before" "ready $AHCHTO $AHCHTO" "$(endpoint) $(slice)"
	passes "the pod that is allowed gets in" leia $AHCHTO 80
	stopped "a machine without identity does not" node1 $AHCHTO 80
	stopped "nor into the copy" node1 $COPY 80
	exits "the copy cannot take the first out" 5 host copy leave --yes
	is "it says how to go" 1 "$(host copy leave --yes 2>&1 | grep -c 'meshctl leave --force')"
	exits "draining the copy" 0 host copy drain
	is "withdraws nothing" "ready $AHCHTO $AHCHTO" "$(endpoint) $(slice)"
	agent_kill copy
	boot copy 3
	check "started again it is refused at once" wait_for 15 eval '[ "$(status copy .state)" = cloned ]'
	is "the first holds the Lease" 1 "$(holder | grep -c "^$(id_of 1)")"
	exits "the copy goes" 0 host copy leave --force --yes
	is "and has no credential any more" '' "$(ls "$T/copy/state" | grep token)"
	is "the first is there" "ready $AHCHTO" "$(endpoint)"
	enrol ahch-to $AHCHTO jedi=luke && enrol copy $COPY jedi=rey || die "enrolment: $(cat "$T/log/enrol")"
	check "it joins under a name of its own" join copy --token "$token"
	agent_kill copy
	boot copy 4
	check "and is a member" wait_for 15 is_running copy
}

# alone: an orderly shutdown, a crash, and a very long absence
booting() {
	host ahch-to drain >/dev/null
	agent_kill ahch-to
	is "shut down in order: the Lease is given back" ahch-to "$(holder)"
	is "its endpoint stays" "ready $AHCHTO" "$(endpoint)"
	boot ahch-to 5
	check "the next boot comes up" wait_for 15 is_running ahch-to
	check "and has it at once" wait_for 5 eval "[ \$(holder) = $(id_of 5) ]"
	check "and stands behind its service" wait_for 10 eval "[ \$(slice) = $AHCHTO ]"
	agent_kill ahch-to
	is "a restart of the daemon keeps it" "$(id_of 5)" "$(holder)"
	boot ahch-to 5
	check "the daemon comes up" wait_for 15 is_running ahch-to
	check "no copy is seen" wait_for 5 eval '[ -z "$(condition ahch-to host.lease .text)" ]'
	agent_kill ahch-to KILL
	boot ahch-to 6
	check "after a crash the next boot enforces" wait_for 15 is_running ahch-to
	stopped "what the policy says" node1 $AHCHTO 80
	is "it waits for the boot before" info "$(condition ahch-to host.lease .severity)"
	passes "the pod that is allowed gets in" leia $AHCHTO 80
	api PATCH $LEASE -H 'Content-Type: application/merge-patch+json' -d '{"spec":{"renewTime":"2020-01-01T00:00:00.000000Z"}}' -o /dev/null
	agent_kill ahch-to KILL
	boot ahch-to 7
	check "switched off for long, nothing is waited for" wait_for 15 eval "[ \$(holder) = $(id_of 7) ]"
	check "the host is well" wait_for 15 eval 'is_running ahch-to && [ -z "$(condition ahch-to host.lease .text)" ]'
}

story_begin
cluster_start
pods_start
host_add ahch-to $AHCHTO
host_add copy $COPY
for part in ${STORY_PARTS:-joining cloning booting}; do $part; done
story_finish
