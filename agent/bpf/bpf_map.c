/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"

static struct bpf_map_info info_of(const struct bpfobj *o, enum bpfobj_map map)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	/* on failure all is zero, which callers refuse */
	if (bpf_obj_get_info_by_fd(bpfobj_map_fd(o, map), &info, &len) < 0)
		memset(&info, 0, sizeof(info));
	return info;
}

uint32_t bpfmap_key_size(const struct bpfobj *o, enum bpfobj_map map)
{
	return info_of(o, map).key_size;
}

uint32_t bpfmap_value_size(const struct bpfobj *o, enum bpfobj_map map)
{
	return info_of(o, map).value_size;
}

uint32_t bpfmap_max_entries(const struct bpfobj *o, enum bpfobj_map map)
{
	return info_of(o, map).max_entries;
}

const char *bpfmap_type(const struct bpfobj *o, enum bpfobj_map map)
{
	const struct bpf_map_info info = info_of(o, map);

	return info.key_size ? libbpf_bpf_map_type_str(info.type) : NULL;
}

uint64_t bpfmap_errors(const struct bpfobj *o, enum bpfobj_map map)
{
	return *bpfobj_write_errors(o, map);
}

int bpfmap_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value)
{
	return bpf_map_lookup_elem(bpfobj_map_fd(o, map), key, value);
}

/* A full LPM trie says ENOSPC, a full hash table E2BIG. */
static int full_is_e2big(int r)
{
	return r == -ENOSPC ? -E2BIG : r;
}

int bpfmap_put(const struct bpfobj *o, enum bpfobj_map map, const void *key, const void *value)
{
	int r = full_is_e2big(bpf_map_update_elem(bpfobj_map_fd(o, map), key, value, BPF_ANY));

	*bpfobj_write_errors(o, map) += r < 0;
	return r;
}

int bpfmap_add(const struct bpfobj *o, enum bpfobj_map map, const void *key, const void *value)
{
	int r = full_is_e2big(bpf_map_update_elem(bpfobj_map_fd(o, map), key, value, BPF_NOEXIST));

	*bpfobj_write_errors(o, map) += r < 0 && r != -EEXIST;
	return r;
}

int bpfmap_del(const struct bpfobj *o, enum bpfobj_map map, const void *key)
{
	int r = bpf_map_delete_elem(bpfobj_map_fd(o, map), key);

	*bpfobj_write_errors(o, map) += r < 0 && r != -ENOENT;
	return r;
}

/* Entries a call: bounds the time that the kernel works without a pause. */
enum { BATCH = 4096 };

int bpfmap_put_batch(const struct bpfobj *o, enum bpfobj_map map, const void *keys,
		     const void *values, size_t n, size_t *ret_done)
{
	const struct bpf_map_info info = info_of(o, map);
	bool use_batch = bpfobj_features(o)->has_batch;
	size_t done = 0;
	int r = info.key_size ? 0 : -EBADF;

	while (r == 0 && done < n) {
		const char *k = (const char *)keys + done * info.key_size;
		const char *v = (const char *)values + done * info.value_size;
		uint32_t count = (uint32_t)MIN(n - done, (size_t)BATCH);

		if (use_batch) {
			LIBBPF_OPTS(bpf_map_batch_opts, opts);

			r = bpf_map_update_batch(bpfobj_map_fd(o, map), k, v, &count, &opts);
			if (r == 0) {
				done += count;
				continue;
			}
			/* the map type may know no batches; what failed is tried alone */
			use_batch = false;
		}
		r = bpfmap_put(o, map, k, v);
		if (r == 0)
			done++;
	}
	if (ret_done)
		*ret_done = done;
	return full_is_e2big(r);
}

int bpfmap_del_batch(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n,
		     size_t *ret_done)
{
	const struct bpf_map_info info = info_of(o, map);
	size_t done = 0;
	int r = info.key_size ? 0 : -EBADF;

	while (r == 0 && done < n) {
		const char *k = (const char *)keys + done * info.key_size;
		uint32_t count = (uint32_t)MIN(n - done, (size_t)BATCH);

		if (bpfobj_features(o)->has_batch) {
			LIBBPF_OPTS(bpf_map_batch_opts, opts);

			if (bpf_map_delete_batch(bpfobj_map_fd(o, map), k, &count, &opts) == 0) {
				done += count;
				continue;
			}
		}
		/* a batch ends at the first key that is missing: deletes one, then goes on */
		r = bpfmap_del(o, map, k);
		if (r == -ENOENT)
			r = 0;
		if (r == 0)
			done++;
	}
	if (ret_done)
		*ret_done = done;
	return r;
}

int bpfmap_each(const struct bpfobj *o, enum bpfobj_map map, bpfmap_fn fn, void *arg)
{
	const struct bpf_map_info info = info_of(o, map);
	int fd = bpfobj_map_fd(o, map);
	CLEANUP(free) char *mem = NULL;
	char *key, *next, *value;
	int r;

	if (!info.key_size)
		return -EBADF;
	mem = calloc(1, (size_t)info.key_size * 2 + info.value_size);
	if (!mem)
		return -ENOMEM;
	key = mem;
	next = key + info.key_size;
	value = next + info.key_size;
	r = bpf_map_get_next_key(fd, NULL, key);
	while (r == 0) {
		int more = bpf_map_get_next_key(fd, key, next);

		if (bpf_map_lookup_elem(fd, key, value) == 0) {
			r = fn(key, value, arg);
			if (r != 0)
				return r;
		}
		memcpy(key, next, info.key_size);
		r = more;
	}
	return r == -ENOENT ? 0 : r;
}

/* Entries of a map that cannot be read in portions, gathered to such. */
struct gathering {
	struct buf keys, values;
	size_t key_size, value_size, n;
	bpfmap_portion_fn fn;
	void *arg;
};

static int hand_on(struct gathering *g)
{
	int r = g->n ? g->fn(g->keys.data, g->values.data, g->n, g->arg) : 0;

	buf_clear(&g->keys);
	buf_clear(&g->values);
	g->n = 0;
	return r;
}

static int gather(const void *key, const void *value, void *arg)
{
	struct gathering *g = arg;
	int r = buf_add(&g->keys, key, g->key_size);

	if (r == 0)
		r = buf_add(&g->values, value, g->value_size);
	if (r < 0)
		return r;
	return ++g->n == BATCH ? hand_on(g) : 0;
}

static int read_one_by_one(const struct bpfobj *o, enum bpfobj_map map, const struct bpf_map_info *info,
			   bpfmap_portion_fn fn, void *arg)
{
	struct gathering g = {.key_size = info->key_size, .value_size = info->value_size, .fn = fn, .arg = arg};
	int r = bpfmap_each(o, map, gather, &g);

	if (r == 0)
		r = hand_on(&g);
	buf_done(&g.keys);
	buf_done(&g.values);
	return r;
}

int bpfmap_read(const struct bpfobj *o, enum bpfobj_map map, bpfmap_portion_fn fn, void *arg)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	const struct bpf_map_info info = info_of(o, map);
	size_t place = MAX((size_t)info.key_size, sizeof(uint32_t)); /* of hash tables: the number of a bucket */
	size_t entry = (size_t)info.key_size + info.value_size;
	CLEANUP(free) char *mem = NULL;
	bool is_first = true;
	int r = 0;

	if (!info.key_size)
		return -EBADF;
	mem = calloc(1, 2 * place + entry * BATCH);
	if (!mem)
		return -ENOMEM;
	while (r == 0) {
		char *from = mem, *to = mem + place, *keys = to + place, *values = keys + (size_t)info.key_size * BATCH;
		uint32_t n = BATCH;
		int more = bpf_map_lookup_batch(bpfobj_map_fd(o, map), is_first ? NULL : from, to, keys, values, &n, &opts);

		if (more < 0 && more != -ENOENT) /* this type of map knows no batches, or an overlong bucket */
			return is_first ? read_one_by_one(o, map, &info, fn, arg) : more;
		r = n ? fn(keys, values, n, arg) : 0;
		if (more < 0)
			return r;
		memcpy(from, to, place);
		is_first = false;
	}
	return r;
}

static int count_one(const void *key, const void *value, void *arg)
{
	(void)key;
	(void)value;
	++*(size_t *)arg;
	return 0;
}

int bpfmap_count(const struct bpfobj *o, enum bpfobj_map map, size_t *ret_n)
{
	size_t n = 0;
	int r = bpfmap_each(o, map, count_one, &n);

	if (r < 0)
		return r;
	*ret_n = n;
	return 0;
}

struct clearing {
	const struct bpfobj *o;
	enum bpfobj_map map;
};

static int clear_one(const void *key, const void *value, void *arg)
{
	const struct clearing *c = arg;
	int r = bpfmap_del(c->o, c->map, key);

	(void)value;
	return r == -ENOENT ? 0 : r;
}

int bpfmap_clear(const struct bpfobj *o, enum bpfobj_map map)
{
	struct clearing c = {.o = o, .map = map};

	return bpfmap_each(o, map, clear_one, &c);
}

int bpfmap_counters(const struct bpfobj *o, struct mesh_counter counters[MESH_REASON_MAX * 2])
{
	int cpus = libbpf_num_possible_cpus();
	CLEANUP(free) struct mesh_counter *per_cpu = NULL;
	int r;

	if (cpus < 0)
		return cpus;
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t i = 0; i < MESH_REASON_MAX * 2; i++) {
		r = bpfmap_get(o, BPFOBJ_COUNTERS, &i, per_cpu);
		if (r < 0)
			return r;
		counters[i] = (struct mesh_counter){0};
		for (int cpu = 0; cpu < cpus; cpu++) {
			counters[i].packets += per_cpu[cpu].packets;
			counters[i].bytes += per_cpu[cpu].bytes;
		}
	}
	return 0;
}

/* Sums of `n` per-CPU counters. */
static int per_cpu_sums(const struct bpfobj *o, enum bpfobj_map map, uint64_t *sums, uint32_t n)
{
	int cpus = libbpf_num_possible_cpus();
	CLEANUP(free) uint64_t *per_cpu = NULL;
	int r;

	if (cpus < 0)
		return cpus;
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		r = bpfmap_get(o, map, &i, per_cpu);
		if (r < 0)
			return r;
		sums[i] = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			sums[i] += per_cpu[cpu];
	}
	return 0;
}

int bpfmap_failsafe_hits(const struct bpfobj *o, uint64_t hits[MESH_FAILSAFE_MAX])
{
	return per_cpu_sums(o, BPFOBJ_FAILSAFE_HITS, hits, MESH_FAILSAFE_MAX);
}

int bpfmap_shadow_flows(const struct bpfobj *o, uint64_t flows[2])
{
	return per_cpu_sums(o, BPFOBJ_SHADOW_FLOWS, flows, 2);
}

const char *bpfmap_reason_name(unsigned reason)
{
	switch (reason) {
#define X(number, symbol, sentence)                                                                \
	case number:                                                                               \
		return #symbol;
		MESH_REASONS(X)
#undef X
	}
	return NULL;
}

const char *bpfmap_reason_text(unsigned reason)
{
	switch (reason) {
#define X(number, symbol, sentence)                                                                \
	case number:                                                                               \
		return sentence;
		MESH_REASONS(X)
#undef X
	}
	return NULL;
}
