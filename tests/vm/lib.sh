# SPDX-License-Identifier: Apache-2.0
# Shared by the tests in here; sourced, not run. bash. The small cluster of tests/netns, in namespaces of
# its own, with a virtual machine on its bridge. Everything ends with the script.
HERE=${HERE:-tests/vm}
PATIENCE=3 # the machine is emulated
. "$HERE/../netns/story_lib.sh"
. "$HERE/../netns/story_checks.sh"
. "$HERE/machine.sh"
skip_all() { echo "SKIP everything: $*"; exit 77; }

# vm_enter "$0" [KERNEL]: into the namespaces; ends with 77 where no machine can run
vm_enter() {
	if [ -z "${STORY_INSIDE:-}" ]; then
		vm_needs "${2:-${KERNEL:-6.1}}"
		BUILD=$(readlink -f "$BUILD")
	fi
	story_enter "$@"
}
vm_begin() {
	story_begin
	trap 'umount -l "$T"/vm/*/layer 2>/dev/null; story_end' EXIT # the disks of box.sh
	export VM_RUN=$T/vm VM_BRIDGE=br0 VM_GATEWAY=$API VM_CGROUP=$CG
}
vm_end() {
	echo "# $SECONDS seconds"
	echo "$good passed, $bad failed, $skipped skipped"
	[ $bad = 0 ]
	exit
}
