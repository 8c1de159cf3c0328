/* SPDX-License-Identifier: Apache-2.0 */
#include "service/id_table.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"

enum { FIRST_BUCKETS = 64 };

static uint64_t key_hash(const struct ip *ip, uint16_t port, uint8_t proto)
{
	uint8_t key[sizeof(*ip) + 3];

	memcpy(key, ip, sizeof(*ip));
	key[sizeof(*ip)] = (uint8_t)(port >> 8);
	key[sizeof(*ip) + 1] = (uint8_t)port;
	key[sizeof(*ip) + 2] = proto;
	return hash_bytes(key, sizeof(key));
}

static uint64_t slot_hash(const struct id_table *t, uint32_t id)
{
	const struct id_slot *s = &t->slots[id - 1];

	return key_hash(&s->ip, s->port, s->proto);
}

void id_table_done(struct id_table *t)
{
	free(t->slots);
	free(t->buckets);
	*t = (struct id_table){.max = t->max};
}

static uint32_t find(const struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto)
{
	if (t->n_buckets == 0)
		return 0;
	for (size_t i = key_hash(ip, port, proto) & (t->n_buckets - 1); t->buckets[i];
	     i = (i + 1) & (t->n_buckets - 1)) {
		const struct id_slot *s = &t->slots[t->buckets[i] - 1];

		if (s->port == port && s->proto == proto && ip_eq(&s->ip, ip))
			return t->buckets[i];
	}
	return 0;
}

static void bucket_insert(uint32_t *buckets, size_t n, uint64_t hash, uint32_t id)
{
	size_t i = hash & (n - 1);

	while (buckets[i])
		i = (i + 1) & (n - 1);
	buckets[i] = id;
}

/* Makes room for one more, the table at most half full. */
static int grow(struct id_table *t)
{
	size_t n = t->n_buckets ? t->n_buckets * 2 : FIRST_BUCKETS;
	uint32_t *buckets;

	if ((t->n_used + 1) * 2 <= t->n_buckets)
		return 0;
	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++)
		if (t->buckets[i])
			bucket_insert(buckets, n, slot_hash(t, t->buckets[i]), t->buckets[i]);
	free(t->buckets);
	t->buckets = buckets;
	t->n_buckets = n;
	return 0;
}

/* Removal with backward shift: no tombstones, so probing never gets longer with time. */
static void bucket_remove(struct id_table *t, uint32_t id)
{
	size_t mask = t->n_buckets - 1, hole = slot_hash(t, id) & mask;

	while (t->buckets[hole] != id)
		hole = (hole + 1) & mask;
	for (size_t i = (hole + 1) & mask; t->buckets[i]; i = (i + 1) & mask) {
		size_t home = slot_hash(t, t->buckets[i]) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->buckets[hole] = t->buckets[i];
			hole = i;
		}
	}
	t->buckets[hole] = 0;
}

static void free_append(struct id_table *t, uint32_t id)
{
	t->slots[id - 1] = (struct id_slot){0};
	if (t->free_last)
		t->slots[t->free_last - 1].next_free = id;
	else
		t->free_first = id;
	t->free_last = id;
}

static void use(struct id_table *t, uint32_t id, const struct ip *ip, uint16_t port, uint8_t proto)
{
	t->slots[id - 1] = (struct id_slot){.ip = *ip, .port = port, .proto = proto,
					    .is_used = true};
	bucket_insert(t->buckets, t->n_buckets, slot_hash(t, id), id);
	t->n_used++;
}

/* Fresh numbers first; freed ones come back only when the range is used up or the list is long. */
static int pick(struct id_table *t, uint32_t *ret)
{
	enum { KEEP_FREE = 1024 };
	size_t n_free = t->n - t->n_used;
	int r;

	if (t->free_first && (n_free > KEEP_FREE || t->n >= t->max)) {
		*ret = t->free_first;
		t->free_first = t->slots[*ret - 1].next_free;
		if (!t->free_first)
			t->free_last = 0;
		return 0;
	}
	if (t->n >= t->max)
		return -ENOSPC;
	r = array_reserve((void **)&t->slots, &t->cap, t->n, 1, sizeof(*t->slots));
	if (r < 0)
		return r;
	t->slots[t->n++] = (struct id_slot){0};
	*ret = (uint32_t)t->n;
	return 0;
}

int id_table_get(struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto,
		 uint32_t *ret)
{
	uint32_t id = find(t, ip, port, proto);
	int r;

	if (!id) {
		r = grow(t);
		if (r >= 0)
			r = pick(t, &id);
		if (r < 0)
			return r;
		use(t, id, ip, port, proto);
	}
	t->slots[id - 1].refs++;
	*ret = id;
	return 0;
}

static void release(struct id_table *t, uint32_t id)
{
	bucket_remove(t, id);
	t->n_used--;
	free_append(t, id);
}

bool id_table_put(struct id_table *t, uint32_t id)
{
	if (--t->slots[id - 1].refs > 0)
		return false;
	release(t, id);
	return true;
}

bool id_table_has(const struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto)
{
	uint32_t id = find(t, ip, port, proto);

	return id && t->slots[id - 1].refs > 0;
}

/* Takes one free id out of the list; only restoring does, where the list is short. */
static void free_unlink(struct id_table *t, uint32_t id)
{
	uint32_t prev = 0, at = t->free_first;

	while (at && at != id) {
		prev = at;
		at = t->slots[at - 1].next_free;
	}
	if (!at)
		return;
	if (prev)
		t->slots[prev - 1].next_free = t->slots[id - 1].next_free;
	else
		t->free_first = t->slots[id - 1].next_free;
	if (t->free_last == id)
		t->free_last = prev;
}

int id_table_restore(struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto,
		     uint32_t id)
{
	int r;

	if (id == 0 || id > t->max)
		return -ERANGE;
	if ((id <= t->n && t->slots[id - 1].is_used) || find(t, ip, port, proto))
		return -EEXIST;
	r = grow(t);
	if (r >= 0 && id > t->n)
		r = array_reserve((void **)&t->slots, &t->cap, t->n, id - t->n, sizeof(*t->slots));
	if (r < 0)
		return r;
	while (t->n < id) {
		t->slots[t->n++] = (struct id_slot){0};
		free_append(t, (uint32_t)t->n);
	}
	free_unlink(t, id);
	use(t, id, ip, port, proto);
	return 0;
}

void id_table_forget_unused(struct id_table *t)
{
	for (uint32_t id = 1; id <= t->n; id++)
		if (t->slots[id - 1].is_used && t->slots[id - 1].refs == 0)
			release(t, id);
}
