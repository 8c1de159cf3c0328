/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter that does nothing, as the floor for those that do something: empty_tc INTERFACE puts a program of two
 * instructions on it, both ways, until it is ended. By tcx, so it needs Linux 6.6.
 */
#include <bpf/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

static int attach(int prog, unsigned ifindex, unsigned attach_type)
{
	/* that of BPF_LINK_CREATE since 6.6: the headers we build with may be older */
	struct {
		uint32_t prog_fd, ifindex, attach_type, flags;
		uint8_t rest[48];
	} attr = {.prog_fd = (uint32_t)prog, .ifindex = ifindex, .attach_type = attach_type};

	return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

int main(int argc, char *argv[])
{
	enum { TCX_INGRESS = 46, TCX_EGRESS = 47, TCX_NEXT = -1 };
	static const struct bpf_insn pass[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = TCX_NEXT}, {.code = BPF_JMP | BPF_EXIT}};
	unsigned ifindex;
	int prog;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: empty_tc INTERFACE\n");
		return 2;
	}
	ifindex = if_nametoindex(argv[1]);
	prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", pass, ARRAY_LEN(pass), NULL);
	if (!ifindex || prog < 0 || attach(prog, ifindex, TCX_INGRESS) < 0 || attach(prog, ifindex, TCX_EGRESS) < 0) {
		perror(argv[1]);
		return 1;
	}
	(void)pause();
	return 0;
}
