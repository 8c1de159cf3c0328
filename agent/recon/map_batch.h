/* SPDX-License-Identifier: Apache-2.0 */
/* Collects writes to one map, so that they reach the kernel in few calls. */
#pragma once

#include "base/buf.h"
#include "bpf/bpf_map.h"

struct map_batch {
	const struct bpfobj *obj;
	enum bpfobj_map map;
	struct buf keys, values, dels;
	size_t key_size, value_size;
	uint64_t n_put, n_del; /* written so far */
};

void map_batch_init(struct map_batch *b, const struct bpfobj *o, enum bpfobj_map map);
void map_batch_done(struct map_batch *b);
DEFINE_CLEANUP_DONE(struct map_batch, map_batch_done)

/* Queue one write; full batches go out by themselves. 0; -ENOMEM; -E2BIG for a full map; errno of bpf(2). */
int map_batch_put(struct map_batch *b, const void *key, const void *value);
int map_batch_del(struct map_batch *b, const void *key);

/* Writes what is queued: first the puts, then the deletions. */
int map_batch_flush(struct map_batch *b);
