/* SPDX-License-Identifier: Apache-2.0 */
/* Looks through the flows of the kernel in small steps, so that the loop goes on meanwhile. */
#pragma once

#include "base/ip.h"
#include "bpf/bpf_map.h"
#include "event/loop.h"

struct ct_walk;

struct ct_walk_callbacks {
	/* A live flow that this host opened to `peer`. */
	void (*on_flow)(const struct ip *peer, void *arg);
	/* All was seen; negative: the kernel could not be asked, and nothing is known. */
	void (*on_done)(int r, void *arg);
	void *arg;
};

/* `ticks_per_s` as in the configuration of the programs. 0 or -ENOMEM. */
int ct_walk_new(struct loop *l, const struct bpfobj *o, uint32_t ticks_per_s,
		const struct ct_walk_callbacks *cb, struct ct_walk **ret);
/* No callback runs any more. */
void ct_walk_free(struct ct_walk *w);
DEFINE_CLEANUP(struct ct_walk *, ct_walk_free)

/* Begins, unless it is on its way. 0: on_done() comes later, once. Negative: it will not. */
int ct_walk_start(struct ct_walk *w);
