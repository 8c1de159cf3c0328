/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tcx.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

/* Of <linux/bpf.h> since 6.6: the headers we build with may be older. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, TCX_BEFORE = 1 << 3 };

struct link_create {
	uint32_t prog_fd, ifindex, attach_type, flags;
	uint8_t rest[48];
};

int tcx_attach(int ifindex, bool is_egress, int verdict, bool is_first, unsigned *ret_id)
{
	const struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = verdict}, {.code = BPF_JMP | BPF_EXIT}};
	int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "somebodys", "GPL", insns, ARRAY_LEN(insns), NULL), r;
	struct link_create attr = {.prog_fd = (uint32_t)prog, .ifindex = (uint32_t)ifindex,
				   .attach_type = is_egress ? TCX_EGRESS : TCX_INGRESS, .flags = is_first ? TCX_BEFORE : 0};
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (prog < 0)
		return prog;
	r = bpf_obj_get_info_by_fd(prog, &info, &len);
	if (r == 0) {
		r = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
		r = r < 0 ? -errno : r;
	}
	(void)close(prog); /* ours */
	if (r >= 0 && ret_id)
		*ret_id = info.id;
	return r;
}
