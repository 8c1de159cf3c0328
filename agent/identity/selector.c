/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/selector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/macro.h"

enum {
	SLOTS_MIN = 64,
	EXCEPTS_MAX = 4096,
	CANONICAL_MAX = 1 << 20,
	REQS_MAX = 2 * LIMIT_LABELS + 2, /* of a pod and of its namespace, with what the scope adds */
};

struct selector_cache {
	struct label_table *labels;
	unsigned cidr_modes;
	bool has_ipv4, has_ipv6;
	struct selector **slots;
	size_t mask, count;
	uint32_t next_number;
	struct buf bytes; /* of the selector that is being built */
};

int selector_cache_new(struct label_table *t, unsigned cidr_modes, bool has_ipv4, bool has_ipv6,
		       struct selector_cache **ret)
{
	CLEANUP(selector_cache_free) struct selector_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->slots = calloc(SLOTS_MIN, sizeof(struct selector *));
	if (!c->slots)
		return -ENOMEM;
	c->mask = SLOTS_MIN - 1;
	c->labels = t;
	c->cidr_modes = cidr_modes;
	c->has_ipv4 = has_ipv4;
	c->has_ipv6 = has_ipv6;
	c->next_number = 1;
	c->bytes.max = CANONICAL_MAX;
	*ret = TAKE_PTR(c);
	return 0;
}

static void reqs_free(struct label_table *t, struct selector_req *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		intern_put(label_table_strings(t), v[i].key);
		for (size_t k = 0; k < v[i].n_values; k++)
			intern_put(label_table_strings(t), v[i].values[k]);
		free(v[i].values);
	}
	free(v);
}

static void selector_free(struct label_table *t, struct selector *s)
{
	reqs_free(t, s->reqs, s->n_reqs);
	free(s->excepts);
	free(s);
}

void selector_cache_free(struct selector_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->slots && i <= c->mask; i++)
		for (struct selector *s = c->slots[i], *next; s; s = next) {
			next = s->next;
			selector_free(c->labels, s);
		}
	free(c->slots);
	buf_done(&c->bytes);
	free(c);
}

struct label_table *selector_cache_labels(struct selector_cache *c)
{
	return c->labels;
}

static int number_cmp(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

void selector_group_key(const char *key, const char *value, char ret[LIMIT_LABEL_KEY + 1])
{
	(void)snprintf(ret, LIMIT_LABEL_KEY + 1, "%s=%s", key, value); /* both are checked by the API server */
}

static int req_set_values(struct intern *strings, struct selector_req *req,
			  const char *const *values, size_t n)
{
	char encoded[LIMIT_LABEL_KEY + 1];
	size_t out = 0;
	int r;

	if (n == 0)
		return 0;
	req->values = calloc(n, sizeof(*req->values));
	if (!req->values)
		return -ENOMEM;
	for (; req->n_values < n; req->n_values++) {
		const char *v = values[req->n_values];

		if (req->source == LABEL_CIDRGROUP) {
			selector_group_key(intern_str(strings, req->key), v, encoded);
			v = encoded;
		}
		r = intern_get(strings, v, strlen(v), &req->values[req->n_values]);
		if (r < 0)
			return r;
	}
	qsort(req->values, n, sizeof(*req->values), number_cmp);
	for (size_t i = 0; i < n; i++)
		if (out && req->values[out - 1] == req->values[i])
			intern_put(strings, req->values[i]);
		else
			req->values[out++] = req->values[i];
	req->n_values = out;
	return 0;
}

int selector_builder_add(struct selector_builder *b, uint8_t source, const char *key,
			 enum selector_op op, const char *const *values, size_t n_values)
{
	struct label_table *labels = b->cache->labels;
	struct intern *strings = label_table_strings(labels);
	struct selector_req req = {.source = source, .op = (uint8_t)op};
	bool wants_values = op == SELECTOR_IN || op == SELECTOR_NOT_IN;
	int r;

	if (wants_values != (n_values > 0) || !*key)
		return -EINVAL;
	if (b->n >= REQS_MAX || n_values > 4096)
		return -E2BIG;
	r = ARRAY_RESERVE(b, 1);
	if (r == 0)
		r = intern_get(strings, key, strlen(key), &req.key);
	if (r < 0)
		return r;
	req.has_cidr = source == LABEL_CIDR && label_cidr_parse(key, &req.cidr) == 0;
	r = req_set_values(strings, &req, values, n_values);
	if (r < 0) {
		intern_put(strings, req.key);
		for (size_t i = 0; i < req.n_values; i++)
			intern_put(strings, req.values[i]);
		free(req.values);
		return r;
	}
	b->v[b->n++] = req;
	return 0;
}

int selector_builder_except(struct selector_builder *b, const struct cidr *c)
{
	int r = b->n_excepts >= EXCEPTS_MAX ? -E2BIG
					    : array_reserve((void **)&b->excepts, &b->cap_excepts,
							    b->n_excepts, 1, sizeof(*c));

	if (r == 0)
		b->excepts[b->n_excepts++] = *c;
	return r;
}

static bool req_is(const struct selector_builder *b, const struct selector_req *req, uint8_t source,
		   const char *key)
{
	return req->source == source &&
	       strcmp(intern_str(label_table_strings(b->cache->labels), req->key), key) == 0;
}

bool selector_builder_has(const struct selector_builder *b, uint8_t source, const char *key)
{
	for (size_t i = 0; i < b->n; i++)
		if (req_is(b, &b->v[i], source, key))
			return true;
	return false;
}

void selector_builder_drop(struct selector_builder *b, uint8_t source, const char *key)
{
	struct intern *strings = label_table_strings(b->cache->labels);
	size_t out = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct selector_req *req = &b->v[i];

		if (!req_is(b, req, source, key)) {
			b->v[out++] = *req;
			continue;
		}
		for (size_t k = 0; k < req->n_values; k++)
			intern_put(strings, req->values[k]);
		free(req->values);
		intern_put(strings, req->key);
	}
	b->n = out;
}

static int req_cmp(const void *pa, const void *pb)
{
	const struct selector_req *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->source != b->source)
		return (int)a->source - (int)b->source;
	if (a->op != b->op)
		return (int)a->op - (int)b->op;
	if (a->n_values != b->n_values)
		return a->n_values < b->n_values ? -1 : 1;
	return a->n_values ? memcmp(a->values, b->values, a->n_values * sizeof(*a->values)) : 0;
}

static int except_cmp(const void *a, const void *b)
{
	return cidr_cmp(a, b);
}

/*
 * Two selectors are one if these bytes are equal: numbers of strings are unique while referenced.
 */
static int selector_canonical(const struct selector *s, struct buf *out)
{
	uint32_t head[3] = {(uint32_t)s->kind, (uint32_t)s->n_reqs, (uint32_t)s->n_excepts};
	int r = buf_add(out, head, sizeof(head));

	for (size_t i = 0; r == 0 && i < s->n_reqs; i++) {
		const struct selector_req *q = &s->reqs[i];
		uint32_t req[3] = {q->key, (uint32_t)q->source << 8 | q->op, (uint32_t)q->n_values};

		r = buf_add(out, req, sizeof(req));
		if (r == 0 && q->n_values)
			r = buf_add(out, q->values, q->n_values * sizeof(*q->values));
	}
	if (r == 0 && s->kind == SELECTOR_CIDR)
		r = buf_add(out, &s->cidr, sizeof(s->cidr));
	if (r == 0 && s->n_excepts)
		r = buf_add(out, s->excepts, s->n_excepts * sizeof(*s->excepts));
	return r;
}

static void cache_grow(struct selector_cache *c)
{
	size_t mask = c->mask * 2 + 1;
	struct selector **slots = calloc(mask + 1, sizeof(struct selector *));

	if (!slots)
		return; /* longer chains are slower, not wrong */
	for (size_t i = 0; i <= c->mask; i++)
		for (struct selector *s = c->slots[i], *next; s; s = next) {
			size_t at = s->hash & mask;

			next = s->next;
			s->next = slots[at];
			slots[at] = s;
		}
	free(c->slots);
	c->slots = slots;
	c->mask = mask;
}

/* Gives back what an array of `n` elements has room for beyond them. */
static void *trimmed(void *v, size_t n, size_t size)
{
	void *exact = n ? realloc(v, n * size) : NULL;

	return exact ? exact : v;
}

static int selector_build(struct selector_builder *b, enum selector_kind kind,
			  const struct cidr *cidr, struct selector **ret)
{
	struct selector_cache *c = b->cache;
	struct selector new = {.kind = kind, .refs = 1}, *s, *old;
	size_t at;
	int r;

	if (b->n > 1)
		qsort(b->v, b->n, sizeof(*b->v), req_cmp);
	if (b->n_excepts > 1)
		qsort(b->excepts, b->n_excepts, sizeof(*b->excepts), except_cmp);
	new.reqs = b->v;
	new.n_reqs = b->n;
	new.excepts = b->excepts;
	new.n_excepts = b->n_excepts;
	if (cidr)
		new.cidr = *cidr;
	buf_clear(&c->bytes);
	r = selector_canonical(&new, &c->bytes);
	if (r < 0)
		return r;
	new.hash = (uint32_t)hash_bytes(c->bytes.data, c->bytes.len);
	new.canonical_len = (uint32_t)c->bytes.len;
	at = new.hash & c->mask;
	for (old = c->slots[at]; old; old = old->next)
		if (old->hash == new.hash && old->canonical_len == c->bytes.len &&
		    memcmp(old->canonical, c->bytes.data, c->bytes.len) == 0)
			break;
	if (old) {
		selector_builder_done(b);
		*ret = selector_ref(old);
		return 0;
	}
	s = malloc(sizeof(*s) + c->bytes.len);
	if (!s)
		return -ENOMEM;
	*s = new;
	s->reqs = trimmed(b->v, b->n, sizeof(*b->v));
	s->excepts = trimmed(b->excepts, b->n_excepts, sizeof(*b->excepts));
	memcpy(s->canonical, c->bytes.data, c->bytes.len);
	s->number = c->next_number++;
	s->next = c->slots[at];
	c->slots[at] = s;
	if (++c->count > c->mask)
		cache_grow(c);
	*b = (struct selector_builder){.cache = c};
	*ret = s;
	return 0;
}

int selector_builder_take(struct selector_builder *b, struct selector **ret)
{
	return selector_build(b, SELECTOR_LABELS, NULL, ret);
}

int selector_builder_take_group(struct selector_builder *b, struct selector **ret)
{
	return selector_build(b, SELECTOR_GROUP, NULL, ret);
}

int selector_builder_take_cidr(struct selector_builder *b, const struct cidr *c,
			       struct selector **ret)
{
	return selector_build(b, SELECTOR_CIDR, c, ret);
}

void selector_builder_done(struct selector_builder *b)
{
	if (b->cache)
		reqs_free(b->cache->labels, b->v, b->n);
	free(b->excepts);
	*b = (struct selector_builder){.cache = b->cache};
}

struct selector *selector_ref(struct selector *s)
{
	s->refs++;
	return s;
}

void selector_put(struct selector_cache *c, struct selector *s)
{
	struct selector **p;

	if (!s || --s->refs)
		return;
	p = &c->slots[s->hash & c->mask];
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	c->count--;
	selector_free(c->labels, s);
}

static bool has_group_value(const struct selector_req *req, const struct label_set *labels)
{
	for (size_t i = 0; i < req->n_values; i++) {
		const struct label *l = label_set_find(labels, req->values[i]);

		if (l && l->source == LABEL_CIDRGROUP)
			return true;
	}
	return false;
}

static bool req_match(const struct selector_req *req, const struct label_set *labels)
{
	const struct label *l = NULL;
	uint32_t value = 0;
	bool is_there, is_in;

	if (req->source == LABEL_CIDRGROUP && req->n_values)
		return has_group_value(req, labels) == (req->op == SELECTOR_IN);
	if (req->has_cidr) {
		is_there = labels->has_cidr && cidr_contains(&req->cidr, &labels->cidr);
	} else {
		l = label_set_find(labels, req->key);
		is_there = l && (req->source == LABEL_ANY || req->source == l->source);
	}
	if (req->op == SELECTOR_EXISTS)
		return is_there;
	if (req->op == SELECTOR_NOT_EXISTS)
		return !is_there;
	if (l)
		value = l->value;
	is_in = is_there && (req->n_values == 1 ? req->values[0] == value
						: bsearch(&value, req->values, req->n_values,
							  sizeof(value), number_cmp) != NULL);
	return req->op == SELECTOR_IN ? is_in : !is_in;
}

/* The whole family is written as its world label. */
static bool has_world_label(const struct selector_cache *c, int family, unsigned flags)
{
	switch (identity_of_world(c->has_ipv4, c->has_ipv6, family)) {
	case IDENTITY_WORLD_IPV4:
		return flags & IDENTITY_HAS_WORLD_IPV4;
	case IDENTITY_WORLD_IPV6:
		return flags & IDENTITY_HAS_WORLD_IPV6;
	default:
		return flags & IDENTITY_HAS_WORLD;
	}
}

/* Where pods count as addresses, an exception of the whole family is none for a prefix of it: matchesCIDRWildcard(). */
static bool is_excepted(const struct selector_cache *c, const struct cidr *except, const struct label_set *labels,
			unsigned flags)
{
	if (except->len > 0)
		return labels->has_cidr && cidr_contains(except, &labels->cidr);
	if ((c->cidr_modes & CIDR_MATCH_PODS) && labels->has_cidr && labels->cidr.ip.family == except->ip.family)
		return false;
	return has_world_label(c, except->ip.family, flags);
}

/* Who may be selected by an address at all (Cilium pkg/policy/types/selector.go, CIDRSelector.Matches). */
static bool may_be_address(const struct selector_cache *c, unsigned flags)
{
	bool is_node = flags & (IDENTITY_IS_HOST | IDENTITY_IS_REMOTE_NODE);

	return (flags & IDENTITY_IS_WORLD) || (c->cidr_modes & (is_node ? CIDR_MATCH_NODES : CIDR_MATCH_PODS));
}

static bool cidr_match(const struct selector_cache *c, const struct selector *s,
		       const struct label_set *labels, unsigned flags)
{
	if (s->cidr.len > 0)
		return labels->has_cidr && cidr_contains(&s->cidr, &labels->cidr);
	return has_world_label(c, s->cidr.ip.family, flags);
}

bool selector_match(const struct selector_cache *c, const struct selector *s,
		    const struct label_set *labels, uint16_t flags)
{
	if (s->kind != SELECTOR_LABELS && !may_be_address(c, flags))
		return false;
	if (s->kind == SELECTOR_CIDR && !cidr_match(c, s, labels, flags))
		return false;
	for (size_t i = 0; i < s->n_reqs; i++)
		if (!req_match(&s->reqs[i], labels))
			return false;
	for (size_t i = 0; i < s->n_excepts; i++)
		if (is_excepted(c, &s->excepts[i], labels, flags))
			return false;
	return true;
}

static int req_print(const struct selector_cache *c, const struct selector_req *q, struct buf *out)
{
	static const char *const words[] = {[SELECTOR_IN] = " in ",
					    [SELECTOR_NOT_IN] = " notin ",
					    [SELECTOR_EXISTS] = "",
					    [SELECTOR_NOT_EXISTS] = ""};
	const struct intern *strings = label_table_strings(c->labels);
	int r = buf_addf(out, "%s%s:%s%s", q->op == SELECTOR_NOT_EXISTS ? "!" : "",
			 label_source_str(c->labels, q->source), intern_str(strings, q->key),
			 q->op == SELECTOR_IN && q->n_values == 1 ? "=" : words[q->op]);

	for (size_t i = 0; r == 0 && i < q->n_values; i++)
		r = buf_addf(out, "%s%s", i ? "|" : "", intern_str(strings, q->values[i]));
	return r;
}

int selector_print(const struct selector_cache *c, const struct selector *s, struct buf *out)
{
	char text[CIDR_STRLEN];
	int r = 0;

	if (s->kind == SELECTOR_CIDR)
		r = buf_addf(out, "%s", cidr_str(&s->cidr, text));
	else if (s->n_reqs == 0)
		r = buf_addf(out, "*");
	for (size_t i = 0; r == 0 && i < s->n_reqs; i++) {
		r = i ? buf_addf(out, ",") : 0;
		if (r == 0)
			r = req_print(c, &s->reqs[i], out);
	}
	for (size_t i = 0; r == 0 && i < s->n_excepts; i++)
		r = buf_addf(out, "%s%s", i ? "," : " except ", cidr_str(&s->excepts[i], text));
	return r;
}
