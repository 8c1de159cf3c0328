/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/map_batch.h"

enum { BATCH_MAX = 1024, BATCH_BYTES = 256 * 1024 };

void map_batch_init(struct map_batch *b, const struct bpfobj *o, enum bpfobj_map map)
{
	*b = (struct map_batch){
		.obj = o,
		.map = map,
		.keys = {.max = BATCH_BYTES},
		.values = {.max = BATCH_BYTES},
		.dels = {.max = BATCH_BYTES},
		.key_size = bpfmap_key_size(o, map),
		.value_size = bpfmap_value_size(o, map),
	};
}

void map_batch_done(struct map_batch *b)
{
	buf_done(&b->keys);
	buf_done(&b->values);
	buf_done(&b->dels);
}

static int flush_puts(struct map_batch *b)
{
	size_t n = b->keys.len / b->key_size, done = n;
	int r = n ? bpfmap_put_batch(b->obj, b->map, b->keys.data, b->values.data, n, &done) : 0;

	b->n_put += r < 0 ? done : n;
	buf_clear(&b->keys);
	buf_clear(&b->values);
	return r;
}

static int flush_dels(struct map_batch *b)
{
	size_t n = b->dels.len / b->key_size, done = n;
	int r = n ? bpfmap_del_batch(b->obj, b->map, b->dels.data, n, &done) : 0;

	b->n_del += r < 0 ? done : n;
	buf_clear(&b->dels);
	return r;
}

int map_batch_put(struct map_batch *b, const void *key, const void *value)
{
	int r = buf_add(&b->keys, key, b->key_size);

	if (r < 0)
		return r;
	r = buf_add(&b->values, value, b->value_size);
	if (r < 0)
		return r;
	return b->keys.len / b->key_size >= BATCH_MAX ? flush_puts(b) : 0;
}

int map_batch_del(struct map_batch *b, const void *key)
{
	int r = buf_add(&b->dels, key, b->key_size);

	if (r < 0)
		return r;
	return b->dels.len / b->key_size >= BATCH_MAX ? flush_dels(b) : 0;
}

int map_batch_flush(struct map_batch *b)
{
	int r = flush_puts(b);

	return r < 0 ? r : flush_dels(b);
}
