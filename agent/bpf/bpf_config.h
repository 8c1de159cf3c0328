/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run-time configuration of the datapath, mapped into this process. Everything but `state` may
 * be written at any time and field by field; `state` (generation, bank and flags) is one word, which
 * each packet reads once: storing it is how a new policy, as a whole, comes into force.
 *
 * Order for a policy change: fill the bank that is not in use (rows, ports, ranges, class[bank],
 * default_verdict[bank]), then bpfconfig_commit() with the other bank. A packet that was on its way
 * during a commit may look into the old bank for some microseconds more: do not refill that bank
 * within the same millisecond.
 *
 * Order for a new, changed or removed address, prefix or node: write the map, then bpfconfig_bump().
 * Until the generation changes, flows keep the identity and the verdict that they were opened with;
 * judging each once more costs about 100 ns, so one bump for a batch of changes is cheap.
 */
#pragma once

#include "bpf/bpf_obj.h"

struct bpfconfig;

/* -errno of mmap(2). */
int bpfconfig_open(const struct bpfobj *o, struct bpfconfig **ret);
void bpfconfig_free(struct bpfconfig *c);
DEFINE_CLEANUP(struct bpfconfig *, bpfconfig_free)

/* The live configuration. Do not write `state` through it. */
struct mesh_config *bpfconfig_get(struct bpfconfig *c);

/*
 * Fills in what does not depend on the cluster, in a configuration that is all zero: lifetimes,
 * tick rate, network namespace, event limits, overlay mark, world identities, ALLOW as default.
 * Leaves one that is in use alone. -errno if the tick rate or the namespace cannot be learned.
 */
int bpfconfig_init(struct bpfconfig *c);

/*
 * bpf_jiffies64() as user space can know it, in ticks of the configuration: the kernel counts from five minutes
 * before the wrap of 32 bits (INITIAL_JIFFIES), with the monotonic clock.
 */
uint64_t bpfconfig_ticks_now(uint32_t ticks_per_s);

uint32_t bpfconfig_generation(const struct bpfconfig *c);
unsigned bpfconfig_bank(const struct bpfconfig *c);
uint64_t bpfconfig_flags(const struct bpfconfig *c); /* MESH_STATE_* */

/* Puts `bank` and `flags` in force with the next generation. */
void bpfconfig_commit(struct bpfconfig *c, unsigned bank, uint64_t flags);

/* The flags in the pins of this version in `pin_dir`; 0 if nothing is pinned there, or something else. */
uint64_t bpfconfig_pinned_flags(const char *pin_dir);

/*
 * Takes `flags` back in the pins of this version in `pin_dir`, for a daemon that is gone: nobody else may write them. 0, also if
 * nothing is pinned there; -EMEDIUMTYPE if something else is; -errno of bpf(2).
 */
int bpfconfig_end_flags(const char *pin_dir, uint64_t flags);

/* Same bank and flags, next generation: every flow is judged anew with its next forward packet. */
void bpfconfig_bump(struct bpfconfig *c);
