/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded datapath in one process, with nothing pinned or attached, and packets run through it. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "bpf/bpf_config.h"
#include "bpf/bpf_map.h"
#include "lib/pkt.h"

/* What a skipped test exits with. */
#define HARNESS_SKIP 77

struct harness {
	struct bpfobj *obj;
	struct bpfconfig *conf;
	struct mesh_config *c;
	uint32_t came_by; /* the interface that what is run came by, and is forwarded; 0 = it is the host's own */
};

/* What a run says where the kernel cannot do it. */
enum { HARNESS_CANNOT = -2 };

extern unsigned harness_checks, harness_failures;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		harness_checks++;                                                                  \
		if (!(cond)) {                                                                     \
			harness_failures++;                                                        \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);         \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		long long check_a_ = (long long)(a), check_b_ = (long long)(b);                    \
		harness_checks++;                                                                  \
		if (check_a_ != check_b_) {                                                        \
			harness_failures++;                                                        \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #a,   \
				check_a_, check_b_);                                               \
		}                                                                                  \
	} while (0)

/* Exits with 77 and a reason if this machine cannot load BPF programs. */
void harness_open(struct harness *h, const struct bpfobj_sizes *sizes);
void harness_close(struct harness *h);

/* Empties every map and puts a configuration in force: active, everything denied by default. */
void harness_reset(struct harness *h);
/* Prints the summary; the exit code of the program. */
int harness_done(void);

/* Runs one frame. The reason that was counted, or -1 if none was. mark is in and out, may be NULL. */
int harness_run(struct harness *h, enum bpfobj_prog prog, const struct pkt_spec *s, uint32_t *mark);
int harness_run_raw(struct harness *h, enum bpfobj_prog prog, const void *frame, size_t len,
		    uint32_t *mark);

/* How many events the programs told of since the last call, and the last of them. */
unsigned harness_events(struct harness *h, struct mesh_event *ret_last);

/* Entries. `addr` of either family. */
void harness_ip(struct harness *h, const char *addr, uint32_t identity, uint16_t node,
		uint8_t flags);
void harness_cidr(struct harness *h, const char *addr, uint32_t len, uint32_t identity);
void harness_class(struct harness *h, uint32_t identity, uint32_t class0, uint32_t class1);
void harness_row(struct harness *h, unsigned bank, unsigned dir, uint32_t class, uint8_t slot,
		 uint8_t verdict, uint8_t flags);
void harness_port(struct harness *h, unsigned bank, unsigned dir, uint32_t class, uint8_t proto,
		  uint16_t port, uint8_t verdict);
void harness_range(struct harness *h, unsigned bank, unsigned dir, uint32_t class, uint8_t proto,
		   uint16_t port, uint32_t bits, uint8_t verdict);
void harness_failsafe(struct harness *h, unsigned dir, uint8_t proto, uint16_t port,
		      const char *addr, uint32_t bits, uint32_t index);
