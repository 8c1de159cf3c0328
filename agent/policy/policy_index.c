/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/macro.h"

enum { SLOTS_MIN = 64, CIDR_LENGTHS = 129 };

struct post {
	struct selector *selector;
	uint32_t number;
	uint32_t next; /* place + 1 in `posts` */
};

struct slot {
	uint64_t key; /* 0 = empty */
	uint32_t head, count;
};

/* Chains of selectors that need a label key with a value, a key with any value, or a prefix. */
struct policy_index {
	struct selector_cache *cache;
	ARRAY(struct post) posts;
	struct slot *slots;
	size_t mask, used;
	uint32_t rest_head; /* selectors that no key can find */
	bool has_len[2][CIDR_LENGTHS];
	struct policy_hits hits;
};

int policy_index_new(struct selector_cache *cache, struct policy_index **ret)
{
	struct policy_index *x = calloc(1, sizeof(*x));

	if (x)
		x->slots = calloc(SLOTS_MIN, sizeof(*x->slots));
	if (!x || !x->slots) {
		free(x);
		return -ENOMEM;
	}
	x->mask = SLOTS_MIN - 1;
	x->cache = cache;
	*ret = x;
	return 0;
}

void policy_index_free(struct policy_index *x)
{
	if (!x)
		return;
	ARRAY_DONE(&x->posts);
	ARRAY_DONE(&x->hits);
	free(x->slots);
	free(x);
}

/* Keys are below 2^24, values below 2^24: bit 63 keeps them apart from prefixes, bit 24 is "any
 * value". */
static uint64_t label_key(uint32_t key, uint32_t value)
{
	return UINT64_C(1) << 63 | (uint64_t)key << 32 | value;
}

static const uint32_t any_value = 1U << 24;

/* A hash stands for a prefix; a collision only costs one more comparison. */
static uint64_t cidr_key(const struct cidr *c)
{
	return (hash_bytes(c, sizeof(*c)) & ~(UINT64_C(1) << 63)) | 1;
}

static struct slot *index_slot(const struct policy_index *x, uint64_t key)
{
	size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & x->mask;

	while (x->slots[at].key && x->slots[at].key != key)
		at = (at + 1) & x->mask;
	return &x->slots[at];
}

static int index_grow(struct policy_index *x)
{
	size_t old_mask = x->mask;
	struct slot *old = x->slots, *slots = calloc((old_mask + 1) * 2, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	x->slots = slots;
	x->mask = old_mask * 2 + 1;
	for (size_t i = 0; i <= old_mask; i++)
		if (old[i].key)
			*index_slot(x, old[i].key) = old[i];
	free(old);
	return 0;
}

static int index_post(struct policy_index *x, uint64_t key, struct selector *s, uint32_t number)
{
	struct slot *slot;
	uint32_t *head = &x->rest_head;
	int r = ARRAY_RESERVE(&x->posts, 1);

	if (r == 0 && key && x->used * 2 > x->mask)
		r = index_grow(x);
	if (r < 0)
		return r;
	if (key) {
		slot = index_slot(x, key);
		x->used += !slot->key;
		slot->key = key;
		slot->count++;
		head = &slot->head;
	}
	x->posts.v[x->posts.n++] = (struct post){.selector = s, .number = number, .next = *head};
	*head = (uint32_t)x->posts.n;
	return 0;
}

/* The value of a group's label is in a key of its own: see selector_group_key(). */
static uint64_t value_key(const struct selector_req *q, size_t i)
{
	return q->source == LABEL_CIDRGROUP ? label_key(q->values[i], any_value) : label_key(q->key, q->values[i]);
}

/* Whether labels of what it matches lead to it, and only once: a prefix can have several values of a group's key. */
static bool is_way(const struct selector_req *q)
{
	if (q->op == SELECTOR_IN)
		return !q->has_cidr && (q->source != LABEL_CIDRGROUP || q->n_values == 1);
	return !q->has_cidr && q->op == SELECTOR_EXISTS;
}

/* How many selectors one would have to try if found by this requirement. */
static size_t req_crowd(const struct policy_index *x, const struct selector_req *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->n_values; i++)
		n += index_slot(x, value_key(q, i))->count + 1;
	if (q->op == SELECTOR_EXISTS)
		n += index_slot(x, label_key(q->key, any_value))->count + 2;
	return n;
}

int policy_index_add(struct policy_index *x, struct selector *s, uint32_t number)
{
	const struct selector_req *best = NULL;
	size_t crowd = SIZE_MAX;
	int r = 0;

	if (s->kind == SELECTOR_CIDR && s->cidr.len > 0) {
		x->has_len[s->cidr.ip.family == AF_INET6][s->cidr.len] = true;
		return index_post(x, cidr_key(&s->cidr), s, number);
	}
	for (size_t i = 0; s->kind != SELECTOR_CIDR && i < s->n_reqs; i++) {
		const struct selector_req *q = &s->reqs[i];

		if (!is_way(q) || req_crowd(x, q) >= crowd)
			continue;
		best = q;
		crowd = req_crowd(x, q);
	}
	if (!best)
		return index_post(x, 0, s, number);
	if (best->op == SELECTOR_EXISTS)
		return index_post(x, label_key(best->key, any_value), s, number);
	for (size_t i = 0; r == 0 && i < best->n_values; i++)
		r = index_post(x, value_key(best, i), s, number);
	return r;
}

static int try_chain(struct policy_index *x, uint32_t at, const struct label_set *labels,
		     uint16_t flags)
{
	int r = 0;

	while (r == 0 && at) {
		const struct post *p = &x->posts.v[at - 1];

		if (selector_match(x->cache, p->selector, labels, flags))
			r = ARRAY_ADD(&x->hits, p->number);
		at = p->next;
	}
	return r;
}

int policy_index_find(struct policy_index *x, const struct label_set *labels, uint16_t flags,
		      const struct policy_hits **ret)
{
	int r;

	x->hits.n = 0;
	r = try_chain(x, x->rest_head, labels, flags);
	for (uint32_t i = 0; r == 0 && i < labels->n; i++) {
		r = try_chain(x,
			      index_slot(x, label_key(labels->v[i].key, labels->v[i].value))->head,
			      labels, flags);
		if (r == 0)
			r = try_chain(x,
				      index_slot(x, label_key(labels->v[i].key, any_value))->head,
				      labels, flags);
	}
	if (r == 0 && labels->has_cidr) {
		const bool *has_len = x->has_len[labels->cidr.ip.family == AF_INET6];
		struct cidr c = labels->cidr;

		for (unsigned len = labels->cidr.len; r == 0 && len > 0; len--) {
			if (!has_len[len])
				continue;
			c.len = (uint8_t)len;
			cidr_mask(&c);
			r = try_chain(x, index_slot(x, cidr_key(&c))->head, labels, flags);
		}
	}
	*ret = &x->hits;
	return r;
}
