/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/port_claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/str.h"
#include "identity/named_port.h"

enum { DIRTY_MIN = 1024 };

struct port_set {
	uint32_t number, refs;
	size_t n;
	UT_hash_handle hh;
	struct named_port v[]; /* sorted, gaps zero: the key */
};

struct claimed_set {
	uint32_t set, refs;
};

struct claim {
	uint32_t identity;
	size_t n;
	struct claimed_set *v;
	UT_hash_handle hh;
};

struct port_claims {
	struct identity_table *ids;
	struct port_set *sets;
	ARRAY(struct port_set *) by_number; /* 0 is no set */
	ARRAY(uint32_t) spare;
	struct claim *claims;
	ARRAY(uint32_t) dirty; /* some may be there more than once */
	bool is_all_dirty;     /* instead: they are many, or there was no memory to note which */
};

int port_claims_new(struct identity_table *ids, struct port_claims **ret)
{
	struct port_claims *c = calloc(1, sizeof(*c));
	int r = c ? ARRAY_ADD(&c->by_number, NULL) : -ENOMEM;

	if (r < 0) {
		free(c);
		return r;
	}
	c->ids = ids;
	*ret = c;
	return 0;
}

static struct intern *strings(const struct port_claims *c)
{
	return label_table_strings(identity_labels(c->ids));
}

static void set_free(struct port_claims *c, struct port_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		intern_put(strings(c), s->v[i].name);
	free(s);
}

void port_claims_free(struct port_claims *c)
{
	struct claim *k, *next_k;
	struct port_set *s, *next_s;

	if (!c)
		return;
	HASH_ITER (hh, c->claims, k, next_k) {
		HASH_DEL(c->claims, k);
		free(k->v);
		free(k);
	}
	HASH_ITER (hh, c->sets, s, next_s) {
		HASH_DEL(c->sets, s);
		set_free(c, s);
	}
	ARRAY_DONE(&c->by_number);
	ARRAY_DONE(&c->spare);
	ARRAY_DONE(&c->dirty);
	free(c);
}

/* Sets */

static int port_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct named_port));
}

/* A set of its own, not in the table yet. */
static int set_make(struct port_claims *c, const struct kube_endpoint_port *v, size_t n, struct port_set **ret)
{
	struct port_set *s = calloc(1, sizeof(*s) + n * sizeof(s->v[0]));
	int r = s ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct named_port *p = &s->v[s->n];

		r = intern_get(strings(c), v[i].name, strlen(v[i].name), &p->name);
		if (r < 0)
			break;
		p->proto = v[i].proto;
		p->port = v[i].port;
		s->n++;
	}
	if (r < 0 && s)
		set_free(c, s);
	if (r < 0)
		return r;
	if (s->n > 1)
		qsort(s->v, s->n, sizeof(s->v[0]), port_cmp);
	*ret = s;
	return 0;
}

static int set_enter(struct port_claims *c, struct port_set *s)
{
	bool is_new = c->spare.n == 0;
	int r = is_new ? ARRAY_ADD(&c->by_number, NULL) : 0;

	if (r < 0)
		return r;
	s->number = is_new ? (uint32_t)c->by_number.n - 1 : c->spare.v[c->spare.n - 1];
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, c->sets, s->v, s->n * sizeof(s->v[0]), s);
	if (hash_oom) {
		if (is_new)
			c->by_number.n--;
		return -ENOMEM;
	}
	if (!is_new)
		c->spare.n--;
	c->by_number.v[s->number] = s;
	return 0;
}

int port_claims_intern(struct port_claims *c, const struct kube_endpoint_port *v, size_t n, uint32_t *ret)
{
	struct port_set *s, *known = NULL;
	int r;

	*ret = 0;
	if (n == 0)
		return 0;
	r = set_make(c, v, n, &s);
	if (r < 0)
		return r;
	HASH_FIND(hh, c->sets, s->v, s->n * sizeof(s->v[0]), known);
	if (!known)
		r = set_enter(c, s);
	if (known || r < 0)
		set_free(c, s);
	else
		known = s;
	if (r < 0)
		return r;
	known->refs++;
	*ret = known->number;
	return 0;
}

bool port_claims_hold(struct port_claims *c, uint32_t set)
{
	struct port_set *s = c->by_number.v[set];

	if (s)
		s->refs++;
	return s;
}

void port_claims_put(struct port_claims *c, uint32_t set)
{
	struct port_set *s = c->by_number.v[set];

	if (!s || --s->refs)
		return;
	HASH_DEL(c->sets, s);
	c->by_number.v[set] = NULL;
	(void)ARRAY_ADD(&c->spare, set); /* without memory the number stays unused */
	set_free(c, s);
}

/* Claims */

static void note(struct port_claims *c, uint32_t identity)
{
	if (c->is_all_dirty)
		return;
	/* telling may be held off for as long as the API server likes; by then, telling all costs no more */
	c->is_all_dirty = c->dirty.n >= identity_count(c->ids) + DIRTY_MIN || ARRAY_ADD(&c->dirty, identity) < 0;
	if (c->is_all_dirty)
		c->dirty.n = 0;
}

static int claim_get(struct port_claims *c, uint32_t identity, struct claim **ret)
{
	struct claim *k;

	HASH_FIND(hh, c->claims, &identity, sizeof(identity), k);
	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k)
			return -ENOMEM;
		k->identity = identity;
		hash_oom = false;
		HASH_ADD(hh, c->claims, identity, sizeof(k->identity), k);
		if (hash_oom) {
			free(k);
			return -ENOMEM;
		}
	}
	*ret = k;
	return 0;
}

static void claim_drop_empty(struct port_claims *c, struct claim *k)
{
	if (k->n)
		return;
	HASH_DEL(c->claims, k);
	free(k->v);
	free(k);
}

int port_claims_add(struct port_claims *c, uint32_t identity, uint32_t set)
{
	struct claimed_set *v;
	struct claim *k;
	int r;

	if (!set)
		return 0;
	r = claim_get(c, identity, &k);
	if (r < 0)
		return r;
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].set == set) {
			k->v[i].refs++;
			return 0;
		}
	v = realloc(k->v, (k->n + 1) * sizeof(*v)); /* one is usual */
	if (!v) {
		claim_drop_empty(c, k);
		return -ENOMEM;
	}
	k->v = v;
	k->v[k->n++] = (struct claimed_set){.set = set, .refs = 1};
	c->by_number.v[set]->refs++;
	note(c, identity);
	return 0;
}

void port_claims_drop(struct port_claims *c, uint32_t identity, uint32_t set)
{
	struct claim *k;

	HASH_FIND(hh, c->claims, &identity, sizeof(identity), k);
	for (size_t i = 0; set && k && i < k->n; i++) {
		if (k->v[i].set != set || --k->v[i].refs)
			continue;
		k->v[i] = k->v[--k->n];
		port_claims_put(c, set);
		note(c, identity);
		claim_drop_empty(c, k);
		return;
	}
}

/* Telling */

/* Labels of Cilium 1.20 say the same: then nothing need be kept twice. */
static bool is_known(const struct identity *id, const struct named_port *v, size_t n)
{
	if (id->ports && id->ports->n_told)
		return false;
	for (size_t i = 0; i < n; i++)
		if (named_ports_find(id->ports, v[i].name, v[i].proto) != v[i].port)
			return false;
	return true;
}

static int tell(struct port_claims *c, uint32_t identity)
{
	const struct identity *id = identity_get(c->ids, identity);
	ARRAY(struct named_port) all = {0};
	struct claim *k;
	int r = 0;

	HASH_FIND(hh, c->claims, &identity, sizeof(identity), k);
	for (size_t i = 0; k && r == 0 && i < k->n; i++) {
		const struct port_set *s = c->by_number.v[k->v[i].set];

		for (size_t j = 0; r == 0 && j < s->n && all.n < LIMIT_NAMED_PORTS; j++)
			r = ARRAY_ADD(&all, s->v[j]);
	}
	if (r == 0 && id && !is_known(id, all.v, all.n))
		r = identity_set_named_ports(c->ids, identity, all.v, all.n);
	ARRAY_DONE(&all);
	return r;
}

int port_claims_apply(struct port_claims *c)
{
	const struct identity_change *changes;
	struct claim *k;
	size_t n = identity_changes(c->ids, &changes);
	int r = 0;

	/* identities that came after their endpoints; telling adds to the list that is read here */
	for (size_t i = 0; c->claims && i < n; i++) {
		HASH_FIND(hh, c->claims, &changes[i].number, sizeof(changes[i].number), k);
		if (k)
			note(c, changes[i].number);
	}
	/* one without claims has to forget what it was told */
	if (c->is_all_dirty || identity_changes_lost(c->ids))
		for (size_t i = 0; r == 0 && i < identity_count(c->ids); i++)
			r = tell(c, identity_at(c->ids, i)->number);
	while (r == 0 && c->dirty.n) {
		r = tell(c, c->dirty.v[c->dirty.n - 1]);
		if (r == 0)
			c->dirty.n--;
	}
	if (r == 0)
		c->is_all_dirty = false;
	return r;
}
