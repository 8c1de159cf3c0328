/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_snapshot.h"

#include <errno.h>
#include <string.h>

#include "bpf/bpf_map.h"

struct reading {
	struct buf *out;
	enum bpfobj_map map;
	unsigned bank;
	size_t key_size, value_size;
	struct buf keys, values; /* those to keep of a portion */
};

/* The other bank is of another policy, and an array has all its places. */
static bool is_in_force(const struct reading *rd, const void *key, const void *value)
{
	static const struct mesh_node none;

	switch (rd->map) {
	case BPFOBJ_POLICY_ROW:
		return ((const struct mesh_row_key *)key)->bank == rd->bank;
	case BPFOBJ_POLICY_PORT:
		return ((const struct mesh_port_key *)key)->bank == rd->bank;
	case BPFOBJ_POLICY_RANGE:
		return ((const struct mesh_range_key *)key)->key.bank == rd->bank;
	case BPFOBJ_NODES:
		return memcmp(value, &none, sizeof(none)) != 0;
	default:
		return true;
	}
}

static int read_portion(const void *keys, const void *values, size_t n, void *arg)
{
	struct reading *rd = arg;
	size_t n_kept = 0;
	int r = 0;

	buf_clear(&rd->keys);
	buf_clear(&rd->values);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *k = (const char *)keys + i * rd->key_size, *v = (const char *)values + i * rd->value_size;

		if (!is_in_force(rd, k, v))
			continue;
		r = buf_add(&rd->keys, k, rd->key_size);
		if (r == 0)
			r = buf_add(&rd->values, v, rd->value_size);
		n_kept++;
	}
	return r == 0 && n_kept ? snapshot_add(rd->out, rd->map, rd->keys.data, rd->values.data, n_kept) : r;
}

int recon_snapshot_read(const struct bpfobj *o, unsigned bank, struct buf *b)
{
	struct reading rd = {.out = b, .bank = bank};
	int r = 0;

	for (unsigned i = 0; r == 0 && snapshot_map(i) != BPFOBJ_MAPS; i++) {
		rd.map = snapshot_map(i);
		rd.key_size = bpfmap_key_size(o, rd.map);
		rd.value_size = bpfmap_value_size(o, rd.map);
		r = bpfmap_read(o, rd.map, read_portion, &rd);
	}
	buf_done(&rd.keys);
	buf_done(&rd.values);
	return r;
}

int recon_snapshot_clear(const struct bpfobj *o)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && snapshot_map(i) != BPFOBJ_MAPS; i++)
		if (snapshot_map(i) != BPFOBJ_NODES) /* entries of an array cannot go */
			r = bpfmap_clear(o, snapshot_map(i));
	return r;
}

int recon_snapshot_write(const struct bpfobj *o, struct snapshot *s)
{
	struct snapshot_portion p;
	int r = recon_snapshot_clear(o);

	while (r == 0 && snapshot_next(s, &p))
		r = bpfmap_put_batch(o, p.map, p.keys, p.values, p.n, NULL);
	return r;
}
