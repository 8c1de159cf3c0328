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
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "mesh_sock.skel.h"
#include "mesh_tc.skel.h"
#pragma GCC diagnostic pop

enum { BUDGET = 250000, LOG_BYTES = 4096, LOG_STATS = 4, SKIP = 77 };

static char log_text[LOG_BYTES];

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

/* Leaves only the program at `index` to be loaded. Returns it, or NULL after the last one. */
static struct bpf_program *choose(struct bpf_object *obj, unsigned index)
{
	struct bpf_program *p, *chosen = NULL;
	unsigned n = 0;

	bpf_object__for_each_program(p, obj) {
		(void)bpf_program__set_autoload(p, n == index); /* the object is not loaded yet */
		if (n++ == index)
			chosen = p;
	}
	if (chosen && (bpf_program__set_log_level(chosen, LOG_STATS) < 0 ||
		       bpf_program__set_log_buf(chosen, log_text, sizeof(log_text)) < 0))
		exit(99);
	return chosen;
}

/* Loads `p` alone, so that one that fails hides no other. 0, 1 for a bad one, or SKIP. */
static int measure(struct bpf_object *obj, const struct bpf_program *p, const char *variant)
{
	const char *at;
	unsigned insns;
	int r;

	memset(log_text, 0, sizeof(log_text));
	r = bpf_object__load(obj);
	if (r == -EPERM) {
		printf("skipped: no right to load BPF programs\n");
		return SKIP;
	}
	if (r < 0 && strcmp(bpf_program__name(p), "mesh_backstop") == 0 && strstr(log_text, "invalid bpf_context access")) {
		printf("%-18s skipped: this kernel does not tell by which interface a packet came (5.17)\n", bpf_program__name(p));
		return 0;
	}
	at = strstr(log_text, "processed ");
	if (!at || sscanf(at, "processed %u insns", &insns) != 1)
		insns = 0;
	printf("%-18s%s %6u of %d%s\n", bpf_program__name(p), variant, insns, BUDGET,
	       r < 0	       ? ": does not load" :
	       insns == 0      ? ": not told" :
	       insns > BUDGET ? ": over" :
				 "");
	if (r < 0)
		printf("%s: %s\n%s\n", bpf_program__name(p), strerror(-r), log_text);
	return r < 0 || insns == 0 || insns > BUDGET;
}

/* Returns what measure() says of the program at `index` of one of the objects; -1 if there is none. */
static int measure_tc(unsigned index, bool has_link_header)
{
	struct mesh_tc_bpf *tc = mesh_tc_bpf__open();
	struct bpf_program *p = tc ? choose(tc->obj, index) : NULL;
	int r = -1;

	if (p) {
		tc->rodata->has_link_header = has_link_header;
		r = measure(tc->obj, p, has_link_header ? "" : ", IP only");
	}
	mesh_tc_bpf__destroy(tc);
	return r;
}

static int measure_ether(unsigned index)
{
	return measure_tc(index, true);
}

static int measure_ip(unsigned index)
{
	return measure_tc(index, false);
}

static int measure_sock(unsigned index)
{
	struct mesh_sock_bpf *sock = mesh_sock_bpf__open();
	struct bpf_program *p = sock ? choose(sock->obj, index) : NULL;
	int r = -1;

	if (p) {
		sock->rodata->has_set_retval =
			libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, NULL) == 1;
		r = measure(sock->obj, p, "");
	}
	mesh_sock_bpf__destroy(sock);
	return r;
}

int main(void)
{
	static int (*const objects[])(unsigned index) = {measure_ether, measure_ip, measure_sock};
	unsigned n = 0, bad = 0;

	(void)libbpf_set_print(quiet);
	for (unsigned i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		int r;

		for (unsigned k = 0; (r = objects[i](k)) >= 0; k++) {
			if (r == SKIP)
				return SKIP;
			bad += (unsigned)r;
			n++;
		}
	}
	return bad || !n ? 1 : 0;
}
