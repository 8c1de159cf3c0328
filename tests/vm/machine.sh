# SPDX-License-Identifier: Apache-2.0
# Whether this machine can run another, and the commands for it; sourced. bash. skip_all is that of the test.

# vm_needs KERNEL: what is missing is a skip; else the image is made, for which a test that lives in namespaces has no network
vm_needs() {
	local p
	[ "$(id -u)" = 0 ] || skip_all "needs root for virtual machines"
	for p in $([ -n "${VM_BOX:-}" ] || echo qemu-system-x86_64 qemu-img) mmdebstrap mkfs.ext4 python3 curl jq ip nsenter unshare; do
		command -v $p >/dev/null || skip_all "needs $p: tests/vm/run installs it"
	done
	[ -c /dev/net/tun ] || skip_all "needs /dev/net/tun"
	"$HERE/vm.sh" build "$1" || die "no machine without its image"
}
# VM_BOX=1: in namespaces, with the kernel of this machine
vm() { "$HERE/$([ -n "${VM_BOX:-}" ] && echo box || echo vm).sh" "$@"; }
