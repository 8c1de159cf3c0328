/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_map.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bpf/bpf_call.h"
#include "bpf/bpf_private.h"

uint32_t bpfmap_key_size(const struct bpfobj *o, enum bpfobj_map map)
{
	return o->infos[map].key_size;
}

uint32_t bpfmap_value_size(const struct bpfobj *o, enum bpfobj_map map)
{
	return o->infos[map].value_size;
}

uint32_t bpfmap_max_entries(const struct bpfobj *o, enum bpfobj_map map)
{
	return o->infos[map].max_entries;
}

const char *bpfmap_type(const struct bpfobj *o, enum bpfobj_map map)
{
	return o->infos[map].key_size ? libbpf_bpf_map_type_str((enum bpf_map_type)o->infos[map].type) : NULL;
}

uint64_t bpfmap_errors(const struct bpfobj *o, enum bpfobj_map map)
{
	return o->write_errors[map];
}

int bpfmap_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value)
{
	return bpfcall_get(o, map, key, value);
}

int bpfmap_put(const struct bpfobj *o, enum bpfobj_map map, const void *key, const void *value)
{
	return bpfmap_put_batch(o, map, key, value, 1, NULL);
}

int bpfmap_add(const struct bpfobj *o, enum bpfobj_map map, const void *key, const void *value)
{
	size_t done;
	int r = bpfcall_put(o, map, key, value, 1, true, &done);

	o->write_errors[map] += r < 0 && r != -EEXIST;
	return r;
}

int bpfmap_del(const struct bpfobj *o, enum bpfobj_map map, const void *key)
{
	size_t done;
	int r = bpfcall_del(o, map, key, 1, &done);

	o->write_errors[map] += r < 0 && r != -ENOENT;
	return r;
}

int bpfmap_put_batch(const struct bpfobj *o, enum bpfobj_map map, const void *keys,
		     const void *values, size_t n, size_t *ret_done)
{
	size_t done;
	int r = bpfcall_put(o, map, keys, values, n, false, &done);

	o->write_errors[map] += r < 0;
	if (ret_done)
		*ret_done = done;
	return r;
}

int bpfmap_del_batch(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n,
		     size_t *ret_done)
{
	size_t done;
	int r = bpfcall_del(o, map, keys, n, &done);

	if (n == 1 && r == -ENOENT) {
		r = 0;
		done = 1;
	}
	o->write_errors[map] += r < 0;
	if (ret_done)
		*ret_done = done;
	return r;
}

int bpfmap_read(const struct bpfobj *o, enum bpfobj_map map, bpfmap_portion_fn fn, void *arg)
{
	size_t keys = ((size_t)bpfcall_portion(o, map) * o->infos[map].key_size + 15) & ~(size_t)15;
	size_t values = (size_t)bpfcall_portion(o, map) * bpfcall_value_bytes(o, map);
	struct bpfcall_cursor at = {0};
	CLEANUP(free) char *mem = NULL;
	int r = 0;

	if (!keys || !values)
		return -EBADF;
	mem = calloc(1, keys + values);
	if (!mem)
		return -ENOMEM;
	while (r == 0 && !at.is_end) {
		uint32_t n;

		r = bpfcall_read(o, map, &at, mem, mem + keys, &n);
		if (r == 0 && n)
			r = fn(mem, mem + keys, n, arg);
	}
	return r;
}

struct each {
	size_t key_size, value_size;
	bpfmap_fn fn;
	void *arg;
};

static int each_of(const void *keys, const void *values, size_t n, void *arg)
{
	const struct each *e = arg;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = e->fn((const char *)keys + i * e->key_size, (const char *)values + i * e->value_size, e->arg);
	return r;
}

int bpfmap_each(const struct bpfobj *o, enum bpfobj_map map, bpfmap_fn fn, void *arg)
{
	struct each e = {.key_size = o->infos[map].key_size, .value_size = bpfcall_value_bytes(o, map), .fn = fn, .arg = arg};

	return bpfmap_read(o, map, each_of, &e);
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

/* Sums over CPUs: entry i has `words` numbers from v[i * words] on. */
struct sums {
	uint64_t *v;
	size_t n, words, cpus;
};

static int add_cpus(const void *key, const void *value, void *arg)
{
	const struct sums *s = arg;
	const uint64_t *per_cpu = value;
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	for (size_t at = 0; i < s->n && at < s->cpus * s->words; at++)
		s->v[i * s->words + at % s->words] += per_cpu[at];
	return 0;
}

/* All entries at once: one after the other they would be many calls. */
static int add_up(const struct bpfobj *o, enum bpfobj_map map, uint64_t *v, size_t n)
{
	size_t words = o->infos[map].value_size / sizeof(*v);
	struct sums s = {.v = v, .n = n, .words = words};

	if (!words)
		return -EBADF;
	s.cpus = bpfcall_value_bytes(o, map) / sizeof(*v) / words;
	memset(v, 0, n * words * sizeof(*v));
	return bpfmap_each(o, map, add_cpus, &s);
}

int bpfmap_counters(const struct bpfobj *o, struct mesh_counter counters[MESH_REASON_MAX * 2])
{
	_Static_assert(sizeof(*counters) == 2 * sizeof(uint64_t), "nothing but numbers");
	return add_up(o, BPFOBJ_COUNTERS, (uint64_t *)(void *)counters, (size_t)MESH_REASON_MAX * 2);
}

int bpfmap_failsafe_hits(const struct bpfobj *o, uint64_t hits[MESH_FAILSAFE_MAX])
{
	return add_up(o, BPFOBJ_FAILSAFE_HITS, hits, MESH_FAILSAFE_MAX);
}

int bpfmap_shadow_flows(const struct bpfobj *o, uint64_t flows[2])
{
	return add_up(o, BPFOBJ_SHADOW_FLOWS, flows, 2);
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
