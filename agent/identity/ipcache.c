/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/ipcache.h"

#include <errno.h>
#include <stdlib.h>

#include "identity/ipcache_private.h"

enum { DIRTY_LIST_MAX = 4096 };

/* Best claim of one address, in the open-addressing table. */
struct entry {
	struct ip ip; /* family 0 = empty slot */
	uint8_t source;
	bool is_dirty;
	bool is_dead;  /* no claim left; kept until the next flush tells */
	bool has_more; /* worse claims are in `others` */
	uint8_t others_flags; /* flags that worse claims add */
	struct ipcache_claim claim;
};

/* A claim that is not the best; rare. */
struct other {
	struct {
		struct ip ip;
		uint8_t source;
		uint8_t pad[2];
		uint32_t owner;
	} key;
	struct ipcache_claim claim;
	UT_hash_handle hh;
};

int ipcache_new(struct ipcache **ret)
{
	struct ipcache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*ret = c;
	return 0;
}

void ipcache_free(struct ipcache *c)
{
	struct other *o, *otmp;

	if (!c)
		return;
	HASH_ITER (hh, c->others, o, otmp) {
		HASH_DEL(c->others, o);
		free(o);
	}
	ipcache_nodes_done(c);
	ARRAY_DONE(&c->dirty);
	free(c->v);
	free(c);
}

static size_t slot_of(const struct entry *v, size_t cap, const struct ip *ip)
{
	size_t mask = cap - 1, i = hash_bytes(ip, sizeof(*ip)) & mask;

	while (v[i].ip.family && !ip_eq(&v[i].ip, ip))
		i = (i + 1) & mask;
	return i;
}

static struct entry *find(const struct ipcache *c, const struct ip *ip)
{
	struct entry *e;

	if (!c->cap)
		return NULL;
	e = &c->v[slot_of(c->v, c->cap, ip)];
	return e->ip.family ? e : NULL;
}

static int grow(struct ipcache *c)
{
	size_t cap = c->cap ? c->cap * 2 : 64;
	struct entry *v;

	/* Fuller than usual: lookups from here are rare next to what 50,000 entries weigh. */
	if (c->cap && c->n + 1 <= c->cap / 6 * 5)
		return 0;
	v = calloc(cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < c->cap; i++)
		if (c->v[i].ip.family)
			v[slot_of(v, cap, &c->v[i].ip)] = c->v[i];
	free(c->v);
	c->v = v;
	c->cap = cap;
	return 0;
}

/* Empties a slot and moves later ones of the same run up. */
static void delete_slot(struct ipcache *c, size_t hole)
{
	size_t mask = c->cap - 1;

	for (size_t i = (hole + 1) & mask; c->v[i].ip.family; i = (i + 1) & mask) {
		size_t home = hash_bytes(&c->v[i].ip, sizeof(c->v[i].ip)) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			c->v[hole] = c->v[i];
			hole = i;
		}
	}
	c->v[hole] = (struct entry){0};
	c->n--;
}

static void mark(struct ipcache *c, struct entry *e)
{
	if (e->is_dirty)
		return;
	e->is_dirty = true;
	if (!c->all_dirty && (c->dirty.n == DIRTY_LIST_MAX || ARRAY_ADD(&c->dirty, e->ip) < 0)) {
		c->all_dirty = true; /* the flush then looks at every entry */
		ARRAY_DONE(&c->dirty);
	}
}

static struct other *other_find(struct ipcache *c, const struct ip *ip, uint8_t source, uint32_t owner)
{
	struct other probe = {.key = {.ip = *ip, .source = source, .owner = owner}}, *o;

	HASH_FIND(hh, c->others, &probe.key, sizeof(probe.key), o);
	return o;
}

static int other_add(struct ipcache *c, struct entry *e, uint8_t source, const struct ipcache_claim *claim)
{
	struct other *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->key.ip = e->ip;
	o->key.source = source;
	o->key.owner = claim->owner;
	o->claim = *claim;
	hash_oom = false;
	HASH_ADD(hh, c->others, key, sizeof(o->key), o);
	if (hash_oom) {
		free(o);
		return -ENOMEM;
	}
	e->has_more = true;
	return 0;
}

/*
 * Looks through the worse claims of an address: their common flags, and the best of them, the newest of
 * its source. The list has them in the order in which they were made.
 */
static struct other *others_survey(struct ipcache *c, struct entry *e)
{
	struct other *o, *tmp, *best = NULL;

	e->others_flags = 0;
	e->has_more = false;
	HASH_ITER (hh, c->others, o, tmp) {
		if (!ip_eq(&o->key.ip, &e->ip))
			continue;
		e->has_more = true;
		e->others_flags |= o->claim.flags & IPCACHE_IS_NODE;
		if (!best || o->key.source >= best->key.source)
			best = o;
	}
	return best;
}

static bool claim_same(const struct ipcache_claim *a, const struct ipcache_claim *b)
{
	return a->identity == b->identity && a->owner == b->owner && a->node == b->node &&
	       a->flags == b->flags && a->key == b->key;
}

static struct ipcache_claim effective(const struct entry *e)
{
	struct ipcache_claim claim = e->claim;

	claim.flags |= e->others_flags;
	return claim;
}

static void mark_if_changed(struct ipcache *c, struct entry *e, const struct ipcache_claim *before)
{
	struct ipcache_claim now = effective(e);

	if (!claim_same(before, &now))
		mark(c, e);
}

/* A claim for an address that has one already. Takes over the reference held for `claim`. */
static int claim_more(struct ipcache *c, struct entry *e, uint8_t source, const struct ipcache_claim *claim)
{
	struct other *same = other_find(c, &e->ip, source, claim->owner);
	struct ipcache_claim old = e->claim, before = effective(e);
	uint8_t old_source = e->source;
	int r;

	if (e->source == source && e->claim.owner == claim->owner) {
		e->claim = *claim;
		ipcache_node_unref(c, old.node);
		mark_if_changed(c, e, &before);
		return 0;
	}
	if (same) {
		ipcache_node_unref(c, same->claim.node);
		HASH_DEL(c->others, same);
		free(same);
	}
	if (source >= e->source) {
		r = other_add(c, e, old_source, &old);
		if (r < 0)
			return r;
		e->claim = *claim;
		e->source = source;
	} else {
		r = other_add(c, e, source, claim);
		if (r < 0)
			return r;
	}
	(void)others_survey(c, e); /* for the flags */
	mark_if_changed(c, e, &before);
	return 0;
}

int ipcache_claim(struct ipcache *c, enum ipcache_source source, const struct ip *ip,
		  const struct ipcache_claim *claim)
{
	struct entry *e;
	int r = grow(c);

	if (r < 0)
		return r;
	e = &c->v[slot_of(c->v, c->cap, ip)];
	ipcache_node_hold(c, claim->node);
	if (e->ip.family && !e->is_dead) {
		r = claim_more(c, e, (uint8_t)source, claim);
		if (r < 0)
			ipcache_node_unref(c, claim->node);
		return r;
	}
	if (!e->ip.family) {
		e->ip = *ip;
		c->n++;
	}
	e->is_dead = false;
	e->has_more = false;
	e->others_flags = 0;
	e->source = (uint8_t)source;
	e->claim = *claim;
	c->live++;
	mark(c, e);
	return 0;
}

void ipcache_release(struct ipcache *c, enum ipcache_source source, const struct ip *ip, uint32_t owner)
{
	struct entry *e = find(c, ip);
	struct ipcache_claim before;
	struct other *o;

	if (!e || e->is_dead)
		return;
	before = effective(e);
	if (e->source == source && e->claim.owner == owner) {
		ipcache_node_unref(c, e->claim.node);
		o = e->has_more ? others_survey(c, e) : NULL;
		if (o) {
			e->claim = o->claim;
			e->source = o->key.source;
			HASH_DEL(c->others, o);
			free(o);
			(void)others_survey(c, e); /* for the flags */
			mark_if_changed(c, e, &before);
		} else {
			e->is_dead = true;
			c->live--;
			mark(c, e);
		}
		return;
	}
	o = e->has_more ? other_find(c, ip, (uint8_t)source, owner) : NULL;
	if (o) {
		ipcache_node_unref(c, o->claim.node);
		HASH_DEL(c->others, o);
		free(o);
		(void)others_survey(c, e); /* for the flags */
		mark_if_changed(c, e, &before);
	}
}

bool ipcache_get(const struct ipcache *c, const struct ip *ip, struct ipcache_claim *ret)
{
	const struct entry *e = find(c, ip);

	if (!e || e->is_dead)
		return false;
	*ret = effective(e);
	return true;
}

size_t ipcache_count(const struct ipcache *c)
{
	return c->live;
}

int ipcache_each(const struct ipcache *c, ipcache_fn fn, void *arg)
{
	for (size_t i = 0; i < c->cap; i++) {
		struct ipcache_claim claim;
		int r;

		if (!c->v[i].ip.family || c->v[i].is_dead)
			continue;
		claim = effective(&c->v[i]);
		r = fn(&c->v[i].ip, &claim, arg);
		if (r)
			return r;
	}
	return 0;
}

/* Tells about slot i and cleans it. `*ret_deleted` if the slot now holds another address or none. */
static int flush_slot(struct ipcache *c, size_t i, ipcache_fn fn, void *arg, bool *ret_deleted)
{
	struct entry *e = &c->v[i];
	struct ipcache_claim claim = effective(e);
	int r = fn(&e->ip, e->is_dead ? NULL : &claim, arg);

	*ret_deleted = false;
	if (r)
		return r;
	e->is_dirty = false;
	if (e->is_dead) {
		delete_slot(c, i);
		*ret_deleted = true;
	}
	return 0;
}

static int flush_all(struct ipcache *c, ipcache_fn fn, void *arg)
{
	for (size_t i = 0; i < c->cap;) {
		bool deleted = false;
		int r = 0;

		if (c->v[i].ip.family && c->v[i].is_dirty)
			r = flush_slot(c, i, fn, arg, &deleted);
		if (r)
			return r;
		if (!deleted)
			i++;
	}
	c->all_dirty = false;
	return 0;
}

int ipcache_flush(struct ipcache *c, ipcache_fn fn, void *arg)
{
	if (c->all_dirty)
		return flush_all(c, fn, arg);
	while (c->dirty.n) {
		struct ip ip = c->dirty.v[c->dirty.n - 1];
		bool deleted;
		int r = flush_slot(c, slot_of(c->v, c->cap, &ip), fn, arg, &deleted);

		if (r)
			return r;
		c->dirty.n--;
	}
	return 0;
}

bool ipcache_is_dirty(const struct ipcache *c)
{
	return c->all_dirty || c->dirty.n;
}

void ipcache_mark_all(struct ipcache *c)
{
	for (size_t i = 0; i < c->cap; i++)
		if (c->v[i].ip.family)
			c->v[i].is_dirty = true;
	c->all_dirty = true;
	ARRAY_DONE(&c->dirty);
}

void ipcache_mark(struct ipcache *c, const struct ip *ip)
{
	struct entry *e = c->cap ? &c->v[slot_of(c->v, c->cap, ip)] : NULL;

	if (e && e->ip.family)
		mark(c, e);
}
