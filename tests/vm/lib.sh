# SPDX-License-Identifier: Apache-2.0
# Shared by the tests in here; sourced, not run. bash. The small cluster of tests/netns, in namespaces of
# its own, with a virtual machine on its bridge. Everything ends with the script.
HERE=${HERE:-tests/vm}
PATIENCE=3 # the machine is emulated
. "$HERE/../netns/story_lib.sh"
. "$HERE/../netns/story_checks.sh"
skip_all() { echo "SKIP everything: $*"; exit 77; }

# vm_enter "$0" [KERNEL]: into the namespaces, where the image must be made already, for there is no way to
# the archives from in there; ends with 77 where no machine can run
vm_enter() {
	local p
	if [ -z "${STORY_INSIDE:-}" ]; then
		[ "$(id -u)" = 0 ] || skip_all "needs root for virtual machines"
		for p in $([ -n "${VM_BOX:-}" ] || echo qemu-system-x86_64 qemu-img) mmdebstrap mkfs.ext4 python3 curl jq ip nsenter unshare; do
			command -v $p >/dev/null || skip_all "needs $p: tests/vm/run installs it"
		done
		[ -c /dev/net/tun ] || skip_all "needs /dev/net/tun"
		BUILD=$(readlink -f "$BUILD")
		"$HERE/vm.sh" build "${2:-${KERNEL:-6.1}}" || die "no machine without its image"
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
# VM_BOX=1: in namespaces, with the kernel of this machine
vm() { "$HERE/$([ -n "${VM_BOX:-}" ] && echo box || echo vm).sh" "$@"; }
