/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing maps. Keys and values are the structs of mesh_abi.h. */
#pragma once

#include <stddef.h>

#include "bpf/bpf_obj.h"

/* Sizes as the kernel has them; a per-CPU value is counted once. */
uint32_t bpfmap_key_size(const struct bpfobj *o, enum bpfobj_map map);
uint32_t bpfmap_value_size(const struct bpfobj *o, enum bpfobj_map map);
uint32_t bpfmap_max_entries(const struct bpfobj *o, enum bpfobj_map map);
/* Its type as bpftool writes it ("lru_hash"). Static; NULL if the kernel does not say. */
const char *bpfmap_type(const struct bpfobj *o, enum bpfobj_map map);
/* Writes of this process that failed; deleting what is not there is none of them. */
uint64_t bpfmap_errors(const struct bpfobj *o, enum bpfobj_map map);

/* 0; -ENOENT; other errno of bpf(2). Not for per-CPU maps. */
int bpfmap_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value);
/* Adds or replaces. -E2BIG if the map is full. */
int bpfmap_put(const struct bpfobj *o, enum bpfobj_map map, const void *key, const void *value);
/* Adds only. -EEXIST if the key is there; -E2BIG if the map is full. */
int bpfmap_add(const struct bpfobj *o, enum bpfobj_map map, const void *key, const void *value);
/* -ENOENT if there is none. */
int bpfmap_del(const struct bpfobj *o, enum bpfobj_map map, const void *key);

/*
 * The same for `n` packed keys (and values), in one call to the kernel where it can, else one by one.
 * On failure ret_done (may be NULL) says how many were written. Deleting a missing key is no failure.
 */
int bpfmap_put_batch(const struct bpfobj *o, enum bpfobj_map map, const void *keys,
		     const void *values, size_t n, size_t *ret_done);
int bpfmap_del_batch(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n,
		     size_t *ret_done);

/* Calls fn for every entry until it returns non-zero, which is then returned. The callback may delete `key`. */
typedef int (*bpfmap_fn)(const void *key, const void *value, void *arg);
int bpfmap_each(const struct bpfobj *o, enum bpfobj_map map, bpfmap_fn fn, void *arg);

/*
 * Reads every entry, many in one call to the kernel where it can: `fn` gets `n` packed keys and as many values until
 * it returns non-zero, which is then returned. The map must not change meanwhile. 0; -ENOMEM; errno of bpf(2).
 */
typedef int (*bpfmap_portion_fn)(const void *keys, const void *values, size_t n, void *arg);
int bpfmap_read(const struct bpfobj *o, enum bpfobj_map map, bpfmap_portion_fn fn, void *arg);

/* Number of entries; walks the map. */
int bpfmap_count(const struct bpfobj *o, enum bpfobj_map map, size_t *ret_n);

/* Removes every entry. */
int bpfmap_clear(const struct bpfobj *o, enum bpfobj_map map);

/* Sums of all CPUs. `counters` is indexed reason * 2 + dir. */
int bpfmap_counters(const struct bpfobj *o, struct mesh_counter counters[MESH_REASON_MAX * 2]);
int bpfmap_shadow_flows(const struct bpfobj *o, uint64_t flows[2]);
int bpfmap_failsafe_hits(const struct bpfobj *o, uint64_t hits[MESH_FAILSAFE_MAX]);

/* The symbol without prefix ("DROP_POLICY") and the sentence; NULL for an unknown number. */
const char *bpfmap_reason_name(unsigned reason);
const char *bpfmap_reason_text(unsigned reason);
