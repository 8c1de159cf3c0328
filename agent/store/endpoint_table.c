/* SPDX-License-Identifier: Apache-2.0 */
#include "store/endpoint_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

int endpoint_table_new(endpoint_address_fn fn, endpoint_ports_fn ports_fn, endpoint_hold_fn hold_fn, void *arg,
		       struct endpoint_table **ret)
{
	struct endpoint_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->ports_fn = ports_fn;
	t->hold_fn = hold_fn;
	t->arg = arg;
	*ret = t;
	return 0;
}

void endpoint_table_free(struct endpoint_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].key);
		free(t->v[i].said.more);
	}
	endpoint_slices_done(t);
	ARRAY_DONE(&t->spare);
	free(t->v);
	free(t->index);
	free(t);
}

/* Index slot that holds `key`, or the empty one where it would go. The index is never full. */
static size_t slot_of(const struct endpoint_table *t, const char *key)
{
	size_t mask = t->index_cap - 1, i = hash_bytes(key, strlen(key)) & mask;

	while (t->index[i] && strcmp(t->v[t->index[i] - 1].key, key) != 0)
		i = (i + 1) & mask;
	return i;
}

static int grow_index(struct endpoint_table *t)
{
	size_t cap = t->index_cap ? t->index_cap * 2 : 64;
	uint32_t *old = t->index;

	if (t->index_cap && t->count + 1 <= t->index_cap / 4 * 3)
		return 0;
	t->index = calloc(cap, sizeof(*t->index));
	if (!t->index) {
		t->index = old;
		return -ENOMEM;
	}
	free(old);
	t->index_cap = cap;
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].key)
			t->index[slot_of(t, t->v[i].key)] = (uint32_t)i + 1;
	return 0;
}

/* Takes a slot out and moves later ones of the same run up, so that no tombstones are needed. */
static void index_remove(struct endpoint_table *t, size_t hole)
{
	size_t mask = t->index_cap - 1;

	for (size_t i = (hole + 1) & mask; t->index[i]; i = (i + 1) & mask) {
		const char *key = t->v[t->index[i] - 1].key;
		size_t home = hash_bytes(key, strlen(key)) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->index[hole] = t->index[i];
			hole = i;
		}
	}
	t->index[hole] = 0;
}

static const struct ip *address(const struct endpoint_said *said, size_t i)
{
	return i == 0 ? &said->first : &said->more[i - 1];
}

static bool has_address(const struct ip *v, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&v[i], ip))
			return true;
	return false;
}

bool endpoint_is_host(const struct endpoint_info *info)
{
	return has_address(info->addr, info->n_addr, &info->node);
}

static void said_done(struct endpoint_said *said)
{
	free(said->more);
}
DEFINE_CLEANUP_DONE(struct endpoint_said, said_done)

/* 0 or -ENOMEM. */
static int said_make(const struct endpoint_info *info, uint32_t epoch, struct endpoint_said *ret)
{
	struct ip *more = NULL;

	if (info->n_addr > 1) {
		more = malloc((info->n_addr - 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memcpy(more, info->addr + 1, (info->n_addr - 1) * sizeof(*more));
	}
	*ret = (struct endpoint_said){.more = more, .identity = info->identity, .ports = info->ports, .epoch = epoch,
				      .node = info->node, .n_addr = (uint8_t)info->n_addr, .enc_key = info->key};
	if (info->n_addr)
		ret->first = info->addr[0];
	return 0;
}

/* True if nothing that a reader could notice differs. */
static bool said_same(const struct endpoint_said *a, const struct endpoint_said *b)
{
	if (a->identity != b->identity || a->ports != b->ports || a->enc_key != b->enc_key || !ip_eq(&a->node, &b->node) ||
	    a->n_addr != b->n_addr)
		return false;
	for (size_t i = 0; i < a->n_addr; i++)
		if (!ip_eq(address(a, i), address(b, i)))
			return false;
	return true;
}

static int record_new(struct endpoint_table *t, const char *key, uint32_t *ret)
{
	uint32_t number;
	int r;

	if (t->count >= LIMIT_ENDPOINTS)
		return -ENOSPC;
	r = grow_index(t);
	if (r < 0)
		return r;
	if (t->spare.n) {
		number = t->spare.v[t->spare.n - 1];
	} else {
		r = array_reserve((void **)&t->v, &t->cap, t->n, 1, sizeof(*t->v));
		if (r < 0)
			return r;
		number = (uint32_t)t->n;
	}
	t->v[number] = (struct endpoint_record){.key = strdup(key)};
	if (!t->v[number].key)
		return -ENOMEM;
	if (number == t->n)
		t->n++;
	else
		t->spare.n--;
	t->index[slot_of(t, key)] = number + 1;
	t->count++;
	*ret = number;
	return 0;
}

static void tell_ports(struct endpoint_table *t, const struct endpoint_said *said, bool is_there)
{
	if (said->ports && t->ports_fn)
		t->ports_fn(said->identity, said->ports, is_there, t->arg);
}

static void record_remove(struct endpoint_table *t, uint32_t number)
{
	struct endpoint_record *r = &t->v[number];

	for (size_t i = 0; i < r->said.n_addr; i++)
		t->fn(address(&r->said, i), number, NULL, t->arg);
	tell_ports(t, &r->said, false);
	endpoint_slice_join(t, number, NULL);
	endpoint_copies_trim(t, number, 0);
	index_remove(t, slot_of(t, r->key));
	free(r->key);
	free(r->said.more);
	*r = (struct endpoint_record){0};
	t->count--;
	/* Without memory the number stays unused, which costs one record. */
	(void)ARRAY_ADD(&t->spare, number);
}

/* Puts `now` in force, and tells what differs. Takes its addresses, and gives those of before back in it. */
static void record_change(struct endpoint_table *t, uint32_t number, struct endpoint_said *now)
{
	struct endpoint_said *said = &t->v[number].said, was = *said;
	struct ip addr[LIMIT_ADDRESSES];
	struct endpoint_info info = {.identity = now->identity, .key = now->enc_key, .ports = now->ports, .node = now->node,
				     .addr = addr, .n_addr = now->n_addr};

	*said = *now;
	*now = was;
	if (said_same(&was, said))
		return;
	for (size_t i = 0; i < said->n_addr; i++)
		addr[i] = *address(said, i);
	for (size_t i = 0; i < was.n_addr; i++)
		if (!has_address(addr, info.n_addr, address(&was, i)))
			t->fn(address(&was, i), number, NULL, t->arg);
	tell_ports(t, &was, false);
	tell_ports(t, said, true);
	for (size_t i = 0; i < info.n_addr; i++)
		t->fn(&addr[i], number, &info, t->arg);
}

/* The slice of a record names it no more: of others that do, what one said last holds. */
static void record_drop(struct endpoint_table *t, uint32_t number)
{
	uint32_t copy = endpoint_copy_first(t, number), ports;
	struct endpoint_said said;
	uint32_t stamp;

	if (!copy) {
		record_remove(t, number);
		return;
	}
	stamp = t->copies.v[copy - 1].stamp;
	endpoint_slice_join(t, number, t->copies.v[copy - 1].slice);
	t->members[number].stamp = stamp;
	said = endpoint_copy_take(t, copy);
	ports = said.ports;
	record_change(t, number, &said);
	endpoint_ports_release(t, ports); /* who has them in force holds them */
	said_done(&said);
}

static bool make_key(char *key, size_t size, const char *ns, const char *name)
{
	return (size_t)snprintf(key, size, "%s/%s", ns, name) < size;
}

/* Room for all that naming a record takes, which is known by number + 1 or (0) new. 0 or -ENOMEM. */
static int reserve(struct endpoint_table *t, uint32_t known, const struct endpoint_slice *s)
{
	const struct endpoint_slice *old = known ? endpoint_slice_of(t, known - 1) : NULL;
	int r = s ? endpoint_slice_reserve(t, known ? known - 1 : (uint32_t)t->n) : 0;

	return r == 0 && s && old && old != s ? endpoint_copy_reserve(t) : r;
}

/* Makes a record a member of the slice. True if what another one said is kept; its addresses are the copy's then. */
static bool change_slice(struct endpoint_table *t, uint32_t number, struct endpoint_slice *s)
{
	const struct endpoint_slice *old = endpoint_slice_of(t, number);
	uint32_t own = s && s != old ? endpoint_copy_find(t, number, s) : 0;
	/* A copy of the slice makes room for the new one. It goes last: before it has a member, the slice could go with it. */
	bool is_kept = s && old && s != old && (own || t->n_copies < LIMIT_ENDPOINT_COPIES);

	if (is_kept)
		endpoint_copy_add(t, number);
	endpoint_slice_join(t, number, s);
	if (own)
		endpoint_copy_drop(t, own);
	endpoint_copies_trim(t, number, s ? LIMIT_ENDPOINT_SLICES - 1 : 0);
	return is_kept;
}

int endpoint_table_set(struct endpoint_table *t, const char *ns, const char *name, const char *slice,
		       const struct endpoint_info *info)
{
	CLEANUP(said_done) struct endpoint_said said = {0};
	char key[2 * LIMIT_NAME + 2];
	struct endpoint_slice *s = NULL;
	uint32_t number;
	bool is_kept;
	int r;

	if (!make_key(key, sizeof(key), ns, name) || info->n_addr > LIMIT_ADDRESSES)
		return -EINVAL;
	r = said_make(info, t->epoch, &said);
	if (r < 0)
		return r;
	if (slice) {
		s = endpoint_slice_get(t, slice, true);
		if (!s)
			return -ENOMEM;
	}
	r = grow_index(t); /* so that there is an index to look into */
	number = r == 0 ? t->index[slot_of(t, key)] : 0;
	if (r == 0)
		r = reserve(t, number, s);
	if (number)
		number--;
	else if (r == 0)
		r = record_new(t, key, &number);
	if (r < 0) {
		endpoint_slice_drop_empty(t, s);
		return r;
	}
	is_kept = change_slice(t, number, s);
	record_change(t, number, &said);
	if (is_kept)
		said.more = NULL; /* the copy has them */
	return 0;
}

void endpoint_table_remove(struct endpoint_table *t, const char *ns, const char *name, const char *slice)
{
	char key[2 * LIMIT_NAME + 2];
	const struct endpoint_slice *s;
	uint32_t number, copy;

	if (!t->index_cap || !make_key(key, sizeof(key), ns, name))
		return;
	number = t->index[slot_of(t, key)];
	if (!number)
		return;
	number--;
	s = slice ? endpoint_slice_get(t, slice, false) : NULL;
	if (!slice) {
		record_remove(t, number);
	} else if (s && endpoint_slice_of(t, number) == s) {
		record_drop(t, number);
	} else if (s) {
		copy = endpoint_copy_find(t, number, s);
		if (copy)
			endpoint_copy_drop(t, copy);
	}
}

void endpoint_table_slice_begin(struct endpoint_table *t)
{
	t->slice_stamp++;
}

void endpoint_table_slice_end(struct endpoint_table *t, const char *slice)
{
	const struct endpoint_slice *s = endpoint_slice_get(t, slice, false);
	uint32_t head = s ? s->head : 0, next;

	/* What is dropped last frees the slice, and then there is no next. No copy that is put in force is this slice's. */
	for (uint32_t i = s ? s->copies : 0; i; i = next) {
		next = t->copies.v[i - 1].next;
		if (t->copies.v[i - 1].stamp != t->slice_stamp)
			endpoint_copy_drop(t, i);
	}
	for (uint32_t i = head; i; i = next) {
		next = t->members[i - 1].next;
		if (t->members[i - 1].stamp != t->slice_stamp)
			record_drop(t, i - 1);
	}
}

void endpoint_table_replace_begin(struct endpoint_table *t)
{
	t->epoch++;
}

void endpoint_table_replace_end(struct endpoint_table *t)
{
	/* What holds was said last: where that is of before, all is. */
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].key && t->v[i].said.epoch != t->epoch)
			record_remove(t, i);
	for (uint32_t i = 0; i < t->copies.n; i++)
		if (t->copies.v[i].slice && t->copies.v[i].said.epoch != t->epoch)
			endpoint_copy_drop(t, i + 1);
}

size_t endpoint_table_count(const struct endpoint_table *t)
{
	return t->count;
}

const char *endpoint_table_name(const struct endpoint_table *t, uint32_t owner)
{
	return owner < t->n ? t->v[owner].key : NULL;
}
