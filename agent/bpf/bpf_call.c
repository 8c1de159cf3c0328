/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/bpf_call.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "bpf/bpf_private.h"
#include "bpf/bpf_remote.h"

/* Entries a call: bounds the time that the kernel works without a pause. */
enum { BATCH = 4096 };

size_t bpfcall_value_bytes(const struct bpfobj *o, enum bpfobj_map map)
{
	const struct bpfobj_map_info *info = &o->infos[map];
	int cpus;

	if (info->type != BPF_MAP_TYPE_PERCPU_ARRAY && info->type != BPF_MAP_TYPE_PERCPU_HASH &&
	    info->type != BPF_MAP_TYPE_LRU_PERCPU_HASH)
		return info->value_size;
	cpus = libbpf_num_possible_cpus();
	return cpus < 0 ? 0 : (size_t)cpus * ((info->value_size + 7U) & ~7U);
}

int bpfcall_get(const struct bpfobj *o, enum bpfobj_map map, const void *key, void *value)
{
	return o->is_remote ? bpfremote_get(o, map, key, value) : bpf_map_lookup_elem(bpfobj_map_fd(o, map), key, value);
}

/* A full LPM trie says ENOSPC, a full hash table E2BIG. */
static int full_is_e2big(int r)
{
	return r == -ENOSPC ? -E2BIG : r;
}

int bpfcall_put(const struct bpfobj *o, enum bpfobj_map map, const void *keys, const void *values, size_t n, bool is_new,
		size_t *ret_done)
{
	const struct bpfobj_map_info *info = &o->infos[map];
	bool use_batch = o->features.has_batch && !is_new && n > 1;
	int r = info->key_size ? 0 : -EBADF;

	*ret_done = 0;
	if (r == 0 && o->is_remote)
		return bpfremote_put(o, map, keys, values, n, is_new, ret_done);
	while (r == 0 && *ret_done < n) {
		const char *k = (const char *)keys + *ret_done * info->key_size;
		const char *v = (const char *)values + *ret_done * info->value_size;
		uint32_t count = (uint32_t)MIN(n - *ret_done, (size_t)BATCH);

		if (use_batch) {
			LIBBPF_OPTS(bpf_map_batch_opts, opts);

			r = bpf_map_update_batch(bpfobj_map_fd(o, map), k, v, &count, &opts);
			if (r == 0) {
				*ret_done += count;
				continue;
			}
			/* the map type may know no batches; what failed is tried alone */
			use_batch = false;
		}
		r = bpf_map_update_elem(bpfobj_map_fd(o, map), k, v, is_new ? BPF_NOEXIST : BPF_ANY);
		if (r == 0)
			++*ret_done;
	}
	return full_is_e2big(r);
}

int bpfcall_del(const struct bpfobj *o, enum bpfobj_map map, const void *keys, size_t n, size_t *ret_done)
{
	const struct bpfobj_map_info *info = &o->infos[map];
	int r = info->key_size ? 0 : -EBADF;

	*ret_done = 0;
	if (r == 0 && o->is_remote)
		return bpfremote_del(o, map, keys, n, ret_done);
	while (r == 0 && *ret_done < n) {
		const char *k = (const char *)keys + *ret_done * info->key_size;
		uint32_t count = (uint32_t)MIN(n - *ret_done, (size_t)BATCH);

		if (o->features.has_batch && count > 1) {
			LIBBPF_OPTS(bpf_map_batch_opts, opts);

			if (bpf_map_delete_batch(bpfobj_map_fd(o, map), k, &count, &opts) == 0) {
				*ret_done += count;
				continue;
			}
		}
		/* a batch ends at the first key that is missing: deletes one, then goes on */
		r = bpf_map_delete_elem(bpfobj_map_fd(o, map), k);
		if (r == -ENOENT && n > 1)
			r = 0;
		if (r == 0)
			++*ret_done;
	}
	return r;
}

uint32_t bpfcall_portion(const struct bpfobj *o, enum bpfobj_map map)
{
	size_t entry = o->infos[map].key_size + bpfcall_value_bytes(o, map);

	return o->infos[map].key_size ? (uint32_t)MAX(BPFCALL_READ_BYTES / entry, (size_t)1) : 0;
}

/* One after the other: the next key is fetched before its entry is handed out, which may delete it. */
static int read_by_key(const struct bpfobj *o, enum bpfobj_map map, struct bpfcall_cursor *at, char *keys, char *values,
		       uint32_t *ret_n)
{
	size_t key_size = o->infos[map].key_size, value_bytes = bpfcall_value_bytes(o, map);
	uint32_t max = bpfcall_portion(o, map);
	int fd = bpfobj_map_fd(o, map);
	uint32_t n = 0;
	int r = 0;

	if (!at->is_begun) {
		at->is_begun = true;
		r = bpf_map_get_next_key(fd, NULL, at->place);
	}
	while (r == 0 && n < max) {
		char *key = keys + (size_t)n * key_size;

		memcpy(key, at->place, key_size);
		n += bpf_map_lookup_elem(fd, key, values + (size_t)n * value_bytes) == 0; /* else it is gone meanwhile */
		r = bpf_map_get_next_key(fd, key, at->place);
	}
	at->is_end = r == -ENOENT;
	*ret_n = n;
	return r == -ENOENT ? 0 : r;
}

int bpfcall_read(const struct bpfobj *o, enum bpfobj_map map, struct bpfcall_cursor *at, void *keys, void *values,
		 uint32_t *ret_n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	const struct bpfobj_map_info *info = &o->infos[map];
	struct bpfcall_cursor next = {.is_begun = true};
	uint32_t n = bpfcall_portion(o, map);
	int r;

	*ret_n = 0;
	if (!n)
		return -EBADF;
	if (o->is_remote)
		return bpfremote_read(o, map, at, keys, values, ret_n);
	if (info->key_size > sizeof(at->place))
		return -E2BIG;
	if (!at->by_key) {
		r = bpf_map_lookup_batch(bpfobj_map_fd(o, map), at->is_begun ? at->place : NULL, next.place, keys, values, &n, &opts);
		if (r == 0 || r == -ENOENT) {
			next.is_end = r == -ENOENT;
			*at = next;
			*ret_n = n;
			return 0;
		}
		if (at->is_begun)
			return r;
		at->by_key = true; /* this type of map knows no batches, or has an overlong bucket */
	}
	return read_by_key(o, map, at, keys, values, ret_n);
}
