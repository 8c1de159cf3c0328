#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The BPF programs on another kernel: t_kernel.sh [KERNEL]. Boots it in a virtual machine, and there the
# verifier takes every program, within its budget, and the tests of tests/bpf and tests/netns pass.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
vm_enter "$0" "$@"
KERNEL=${1:-${KERNEL:-6.1}}

PROGRAMS=${VM_PROGRAMS:-"bpf/insns bpf/test_attach bpf/test_backstop bpf/test_datapath bpf/test_flows bpf/test_model bpf/test_priv bpf/test_random bpf/test_recon bpf/test_shadow bpf/test_snapshot bpf/test_sock bpf/test_unread bpf/test_vanish netns/test_net"}
began=$SECONDS
vm_begin
vm up kernel 172.19.100.2/24 "$KERNEL" || die "the machine does not start"
echo "# $(vm exec kernel uname -r), booted in $((SECONDS - began)) s"
mkdir "$T/tests"
for p in $PROGRAMS; do strip -o "$T/tests/${p##*/}" "$BUILD/tests/$p" || die "$p: build it first"; done
vm copy kernel "$T/tests" /var/local || die "the programs cannot be copied"
for p in $PROGRAMS; do
	p=${p##*/}
	first=
	case $p in
	test_sock | test_vanish) # where namespaces cannot be told apart the first one is used: it is ours
		first=LAB_IN_FIRST_NETNS=1
		vm exec kernel ip route flush default
		;;
	esac
	vm exec kernel env $first timeout 300 "/var/local/tests/$p" >"$T/out" 2>&1
	status=$?
	is "$KERNEL: $p" 0 $status # 77, too: this machine has all that they need
	if [ $status != 0 ] || [ $p = insns ]; then sed 's/^/    /' "$T/out"; fi
done
vm_end
