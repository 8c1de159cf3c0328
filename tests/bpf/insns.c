/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many instructions the verifier of this kernel walks for each program; its limit is a million.
 * Prints a line for each, and fails above a quarter of that: what is near the limit here is over it
 * on another kernel. Kernels before 5.16 tell it only in the verifier's log.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "mesh_sock.skel.h"
#include "mesh_tc.skel.h"
#pragma GCC diagnostic pop

enum { BUDGET = 250000, PROGS_MAX = 16, LOG_BYTES = 4096, LOG_STATS = 4, SKIP = 77 };

static char logs[PROGS_MAX][LOG_BYTES];

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static int ask_for_logs(struct bpf_object *obj)
{
	struct bpf_program *p;
	unsigned n = 0;

	bpf_object__for_each_program(p, obj) {
		int r = n < PROGS_MAX ? bpf_program__set_log_level(p, LOG_STATS) : -E2BIG;

		if (r == 0)
			r = bpf_program__set_log_buf(p, logs[n], LOG_BYTES);
		if (r < 0)
			return r;
		n++;
	}
	return 0;
}

static int print_counts(const struct bpf_object *obj)
{
	struct bpf_program *p;
	unsigned n = 0, over = 0;

	bpf_object__for_each_program(p, obj) {
		const char *at = strstr(logs[n++], "processed ");
		unsigned insns;

		if (!at || sscanf(at, "processed %u insns", &insns) != 1) {
			printf("%-18s not told\n", bpf_program__name(p));
			over++;
			continue;
		}
		printf("%-18s %6u of %d%s\n", bpf_program__name(p), insns, BUDGET, insns > BUDGET ? ": over" : "");
		over += insns > BUDGET;
	}
	return over ? 1 : 0;
}

int main(void)
{
	struct mesh_tc_bpf *tc;
	struct mesh_sock_bpf *sock;
	int r, over;

	(void)libbpf_set_print(quiet);
	tc = mesh_tc_bpf__open();
	sock = mesh_sock_bpf__open();
	if (!tc || !sock)
		return 99;
	sock->rodata->has_set_retval =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, NULL) == 1;
	r = ask_for_logs(tc->obj);
	if (r == 0)
		r = mesh_tc_bpf__load(tc);
	if (r == -EPERM) {
		printf("skipped: no right to load BPF programs\n");
		return SKIP;
	}
	if (r < 0) {
		printf("the tc programs do not load: %s\n", strerror(-r));
		return 1;
	}
	over = print_counts(tc->obj);
	memset(logs, 0, sizeof(logs));
	r = ask_for_logs(sock->obj);
	if (r == 0)
		r = mesh_sock_bpf__load(sock);
	if (r < 0) {
		printf("the socket programs do not load: %s\n", strerror(-r));
		return 1;
	}
	over |= print_counts(sock->obj);
	mesh_sock_bpf__destroy(sock);
	mesh_tc_bpf__destroy(tc);
	return over;
}
