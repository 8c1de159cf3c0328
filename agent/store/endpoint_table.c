/* SPDX-License-Identifier: Apache-2.0 */
#include "store/endpoint_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/limits.h"

/* A CiliumEndpointSlice: exists while it has members, which are chained through their records. */
struct slice {
	char *name;
	uint32_t head; /* record number + 1; 0 = none */
	UT_hash_handle hh;
};

struct record {
	char *key; /* "namespace/name"; NULL = free */
	struct ip *more; /* addresses after the first */
	uint32_t identity;
	uint32_t ports;
	uint32_t epoch;
	struct ip node;
	struct ip first;
	uint8_t n_addr;
	uint8_t enc_key;
};

/* How a record hangs in its slice. Most clusters have no slices, and pay nothing for them. */
struct member {
	struct slice *slice; /* NULL = in none */
	uint32_t next, prev; /* record number + 1 */
	uint32_t stamp;
};

struct endpoint_table {
	endpoint_address_fn fn;
	endpoint_ports_fn ports_fn;
	void *arg;
	struct record *v; /* by number */
	size_t n, cap;
	struct member *members; /* by number, as far as some slice ever had a record */
	size_t n_members, cap_members;
	uint32_t *index; /* open addressing: number + 1, 0 = empty; linear probing */
	size_t index_cap;
	ARRAY(uint32_t) spare; /* free numbers */
	size_t count;
	uint32_t epoch;
	uint32_t slice_stamp;
	struct slice *slices;
};

int endpoint_table_new(endpoint_address_fn fn, endpoint_ports_fn ports_fn, void *arg, struct endpoint_table **ret)
{
	struct endpoint_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->ports_fn = ports_fn;
	t->arg = arg;
	*ret = t;
	return 0;
}

void endpoint_table_free(struct endpoint_table *t)
{
	struct slice *s, *tmp;

	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].key);
		free(t->v[i].more);
	}
	HASH_ITER (hh, t->slices, s, tmp) {
		HASH_DEL(t->slices, s);
		free(s->name);
		free(s);
	}
	ARRAY_DONE(&t->spare);
	free(t->v);
	free(t->members);
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

static const struct ip *address(const struct record *r, size_t i)
{
	return i == 0 ? &r->first : &r->more[i - 1];
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

static struct slice *slice_get(struct endpoint_table *t, const char *name, bool make)
{
	struct slice *s;

	HASH_FIND_STR(t->slices, name, s);
	if (s || !make)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->name = strdup(name);
	hash_oom = false;
	if (s->name)
		HASH_ADD_KEYPTR(hh, t->slices, s->name, strlen(s->name), s);
	if (!s->name || hash_oom) {
		free(s->name);
		free(s);
		return NULL;
	}
	return s;
}

static struct slice *slice_of(const struct endpoint_table *t, uint32_t number)
{
	return number < t->n_members ? t->members[number].slice : NULL;
}

static void slice_leave(struct endpoint_table *t, uint32_t number)
{
	struct slice *s = slice_of(t, number);
	struct member *m;

	if (!s)
		return;
	m = &t->members[number];
	if (m->prev)
		t->members[m->prev - 1].next = m->next;
	else
		s->head = m->next;
	if (m->next)
		t->members[m->next - 1].prev = m->prev;
	*m = (struct member){0};
	if (!s->head) {
		HASH_DEL(t->slices, s);
		free(s->name);
		free(s);
	}
}

/* Room for a record's place in a slice. 0 or -ENOMEM. */
static int members_reserve(struct endpoint_table *t, uint32_t number)
{
	int r;

	if (number < t->n_members)
		return 0;
	r = array_reserve((void **)&t->members, &t->cap_members, t->n_members, number + 1 - t->n_members,
			  sizeof(*t->members));
	if (r < 0)
		return r;
	memset(&t->members[t->n_members], 0, (number + 1 - t->n_members) * sizeof(*t->members));
	t->n_members = number + 1;
	return 0;
}

/* With a slice, members_reserve() was there before. */
static void slice_join(struct endpoint_table *t, uint32_t number, struct slice *s)
{
	struct member *m;

	if (slice_of(t, number) != s)
		slice_leave(t, number);
	if (!s)
		return;
	m = &t->members[number];
	m->stamp = t->slice_stamp;
	if (m->slice == s)
		return;
	*m = (struct member){.slice = s, .next = s->head, .stamp = t->slice_stamp};
	if (m->next)
		t->members[m->next - 1].prev = number + 1;
	s->head = number + 1;
}

/* Forgets a slice that was made for a member that then could not be stored. */
static void slice_drop_empty(struct endpoint_table *t, struct slice *s)
{
	if (!s || s->head)
		return;
	HASH_DEL(t->slices, s);
	free(s->name);
	free(s);
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
	t->v[number] = (struct record){.key = strdup(key)};
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

static void tell_ports(struct endpoint_table *t, const struct record *r, bool is_there)
{
	if (r->ports && t->ports_fn)
		t->ports_fn(r->identity, r->ports, is_there, t->arg);
}

static void record_remove(struct endpoint_table *t, uint32_t number)
{
	struct record *r = &t->v[number];

	for (size_t i = 0; i < r->n_addr; i++)
		t->fn(address(r, i), number, NULL, t->arg);
	tell_ports(t, r, false);
	slice_leave(t, number);
	index_remove(t, slot_of(t, r->key));
	free(r->key);
	free(r->more);
	*r = (struct record){0};
	t->count--;
	/* Without memory the number stays unused, which costs one record. */
	(void)ARRAY_ADD(&t->spare, number);
}

/* True if nothing that a reader could notice differs. */
static bool is_same(const struct record *r, const struct endpoint_info *info)
{
	if (r->identity != info->identity || r->ports != info->ports || r->enc_key != info->key || !ip_eq(&r->node, &info->node) ||
	    r->n_addr != info->n_addr)
		return false;
	for (size_t i = 0; i < r->n_addr; i++)
		if (!ip_eq(address(r, i), &info->addr[i]))
			return false;
	return true;
}

static int record_change(struct endpoint_table *t, uint32_t number, const struct endpoint_info *info)
{
	struct record *r = &t->v[number];
	struct ip *more = NULL;

	if (is_same(r, info))
		return 0;
	if (info->n_addr > 1) {
		more = malloc((info->n_addr - 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memcpy(more, info->addr + 1, (info->n_addr - 1) * sizeof(*more));
	}
	for (size_t i = 0; i < r->n_addr; i++)
		if (!has_address(info->addr, info->n_addr, address(r, i)))
			t->fn(address(r, i), number, NULL, t->arg);
	free(r->more);
	r->more = more;
	r->first = info->n_addr ? info->addr[0] : (struct ip){0};
	r->n_addr = (uint8_t)info->n_addr;
	tell_ports(t, r, false);
	r->identity = info->identity;
	r->ports = info->ports;
	tell_ports(t, r, true);
	r->enc_key = info->key;
	r->node = info->node;
	for (size_t i = 0; i < info->n_addr; i++)
		t->fn(&info->addr[i], number, info, t->arg);
	return 0;
}

static bool make_key(char *key, size_t size, const char *ns, const char *name)
{
	return (size_t)snprintf(key, size, "%s/%s", ns, name) < size;
}

int endpoint_table_set(struct endpoint_table *t, const char *ns, const char *name, const char *slice,
		       const struct endpoint_info *info)
{
	char key[2 * LIMIT_NAME + 2];
	struct slice *s = NULL;
	uint32_t number;
	int r;

	if (!make_key(key, sizeof(key), ns, name) || info->n_addr > LIMIT_ADDRESSES)
		return -EINVAL;
	if (slice) {
		s = slice_get(t, slice, true);
		if (!s)
			return -ENOMEM;
	}
	r = grow_index(t); /* so that there is an index to look into */
	number = r == 0 ? t->index[slot_of(t, key)] : 0;
	if (number)
		number--;
	else if (r == 0)
		r = record_new(t, key, &number);
	if (r == 0 && s)
		r = members_reserve(t, number);
	if (r < 0) {
		slice_drop_empty(t, s);
		return r;
	}
	slice_join(t, number, s);
	t->v[number].epoch = t->epoch;
	return record_change(t, number, info);
}

void endpoint_table_remove(struct endpoint_table *t, const char *ns, const char *name, const char *slice)
{
	char key[2 * LIMIT_NAME + 2];
	uint32_t number;

	if (!t->index_cap || !make_key(key, sizeof(key), ns, name))
		return;
	number = t->index[slot_of(t, key)];
	if (!number)
		return;
	if (slice) {
		const struct slice *s = slice_get(t, slice, false);

		if (!s || slice_of(t, number - 1) != s)
			return;
	}
	record_remove(t, number - 1);
}

void endpoint_table_slice_begin(struct endpoint_table *t)
{
	t->slice_stamp++;
}

void endpoint_table_slice_end(struct endpoint_table *t, const char *slice)
{
	const struct slice *s = slice_get(t, slice, false);
	uint32_t next;

	/* The last removal frees the slice, and then there is no next. */
	for (uint32_t i = s ? s->head : 0; i; i = next) {
		next = t->members[i - 1].next;
		if (t->members[i - 1].stamp != t->slice_stamp)
			record_remove(t, i - 1);
	}
}

void endpoint_table_replace_begin(struct endpoint_table *t)
{
	t->epoch++;
}

void endpoint_table_replace_end(struct endpoint_table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].key && t->v[i].epoch != t->epoch)
			record_remove(t, i);
}

size_t endpoint_table_count(const struct endpoint_table *t)
{
	return t->count;
}

const char *endpoint_table_name(const struct endpoint_table *t, uint32_t owner)
{
	return owner < t->n ? t->v[owner].key : NULL;
}
