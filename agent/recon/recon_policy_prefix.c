/* SPDX-License-Identifier: Apache-2.0 */
/* The prefixes that policies speak of, in the maps that both banks share. */
#include <errno.h>
#include <string.h>

#include "recon/recon_policy_internal.h"

/* Reading back */

static int add_prefix(struct recon_policy *r, int family, const uint8_t *addr, uint32_t len, uint32_t identity)
{
	struct policy_prefix p = {.identity = identity};

	p.prefix.ip = ip_from_bytes(family, addr);
	p.prefix.len = (uint8_t)len;
	return ARRAY_ADD(&r->prefixes, p);
}

static int read_cidr4(const void *key, const void *value, void *arg)
{
	const struct mesh_lpm4 *k = key;
	const struct mesh_ipinfo *v = value;

	return add_prefix(arg, AF_INET, k->addr, k->prefixlen, v->identity);
}

static int read_cidr6(const void *key, const void *value, void *arg)
{
	const struct mesh_lpm6 *k = key;
	const struct mesh_ipinfo *v = value;

	return add_prefix(arg, AF_INET6, k->addr, k->prefixlen, v->identity);
}

static int prefix_cmp(const void *a, const void *b)
{
	const struct policy_prefix *x = a, *y = b;

	return cidr_cmp(&x->prefix, &y->prefix);
}

int recon_prefixes_read(struct recon_policy *r)
{
	int e;

	r->prefixes.n = 0;
	e = bpfmap_each(r->obj, BPFOBJ_CIDR4, read_cidr4, r);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_CIDR6, read_cidr6, r);
	ARRAY_SORT(&r->prefixes, prefix_cmp);
	return e;
}

/* Comparing */

bool recon_prefixes_are_same(const struct recon_policy *r, const struct policy_table *t)
{
	const struct policy_prefix *now;
	size_t n = policy_table_prefixes(t, &now);

	if (n != r->prefixes.n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (now[i].identity != r->prefixes.v[i].identity || prefix_cmp(&now[i], &r->prefixes.v[i]) != 0)
			return false;
	return true;
}

struct walk {
	struct recon_policy *r;
	const struct policy_table *t;
	const struct policy_prefix *wanted;
	size_t n_wanted;
	/* for bridges */
	unsigned bank;
	struct map_batch *classes;
	struct u32map identities[2]; /* of the prefixes in force, and of those wanted */
	/* for the others */
	struct map_batch *cidr;
};

/* One difference: `gone` is no more, or `now` is new or has another identity; the other is NULL. */
typedef int (*step_fn)(struct walk *w, const struct policy_prefix *gone, const struct policy_prefix *now);

static struct walk walk_of(struct recon_policy *r, const struct policy_table *t)
{
	struct walk w = {.r = r, .t = t};

	w.n_wanted = policy_table_prefixes(t, &w.wanted);
	return w;
}

static int walk(struct walk *w, step_fn step)
{
	const struct policy_prefix *old = w->r->prefixes.v;
	size_t i = 0, j = 0, n_old = w->r->prefixes.n;
	int e = 0;

	while (e == 0 && (i < n_old || j < w->n_wanted)) {
		const struct policy_prefix *x = &old[i], *y = &w->wanted[j];
		int c = i == n_old ? 1 : j == w->n_wanted ? -1 : prefix_cmp(x, y);

		if (c < 0)
			e = step(w, x, NULL);
		else if (c > 0 || x->identity != y->identity)
			e = step(w, NULL, y);
		i += c <= 0;
		j += c >= 0;
	}
	return e;
}

/* Bridging */

/* Identity of the longest of `n` sorted prefixes that covers all of `c`; else the world's. */
static uint32_t cover_of(const struct recon_policy *r, const struct policy_prefix *v, size_t n, const struct cidr *c)
{
	const struct mesh_config *conf = bpfconfig_get(r->config);
	const struct policy_prefix *p = policy_prefix_around(v, n, c);

	if (p)
		return p->identity;
	return c->ip.family == AF_INET ? conf->world_v4 : conf->world_v6;
}

/* The identities of prefixes, to be looked up. */
static int identities_of(const struct policy_prefix *v, size_t n, struct u32map *ret)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++)
		e = u32map_put(ret, v[i].identity, 1);
	return e;
}

/* Gives an identity a class that is not its own in one bank. */
static int bridge(struct walk *w, uint32_t identity, unsigned bank, uint32_t class)
{
	int e = ARRAY_ADD(&w->r->bridged, identity);

	return e < 0 ? e : recon_class_set(w->r, w->classes, identity, bank, class);
}

static int bridge_one(struct walk *w, const struct policy_prefix *gone, const struct policy_prefix *now)
{
	uint64_t found = 0; /* unknown is class 0 */
	uint32_t cover;

	if (u32map_get(&w->identities[gone ? 1 : 0], gone ? gone->identity : now->identity, &found))
		return 0;
	if (gone) {
		cover = cover_of(w->r, w->wanted, w->n_wanted, &gone->prefix);
		return bridge(w, gone->identity, w->bank, policy_class_of(w->t, cover));
	}
	cover = cover_of(w->r, w->r->prefixes.v, w->r->prefixes.n, &now->prefix);
	(void)u32map_get(&w->r->classes, cover, &found);
	return bridge(w, now->identity, 1 - w->bank, recon_class_in(found, 1 - w->bank));
}

int recon_prefixes_bridge(struct recon_policy *r, unsigned bank, const struct policy_table *t, struct map_batch *classes)
{
	struct walk w = walk_of(r, t);
	int e;

	w.bank = bank;
	w.classes = classes;
	e = identities_of(r->prefixes.v, r->prefixes.n, &w.identities[0]);
	if (e == 0)
		e = identities_of(w.wanted, w.n_wanted, &w.identities[1]);
	if (e == 0)
		e = walk(&w, bridge_one);
	u32map_done(&w.identities[0]);
	u32map_done(&w.identities[1]);
	return e < 0 ? e : map_batch_flush(classes);
}

/* Writing */

static int put_prefix(struct map_batch batch[2], const struct policy_prefix *p, bool is_put)
{
	struct mesh_ipinfo info = {.identity = p->identity};
	struct mesh_lpm4 k4 = {.prefixlen = p->prefix.len};
	struct mesh_lpm6 k6 = {.prefixlen = p->prefix.len};
	bool is_v4 = p->prefix.ip.family == AF_INET;
	struct map_batch *b = &batch[is_v4 ? 0 : 1];
	const void *key = is_v4 ? (const void *)&k4 : (const void *)&k6;

	memcpy(is_v4 ? k4.addr : k6.addr, p->prefix.ip.b, ip_len(&p->prefix.ip));
	return is_put ? map_batch_put(b, key, &info) : map_batch_del(b, key);
}

static int add_one(struct walk *w, const struct policy_prefix *gone, const struct policy_prefix *now)
{
	return gone ? 0 : put_prefix(w->cidr, now, true);
}

static int delete_one(struct walk *w, const struct policy_prefix *gone, const struct policy_prefix *now)
{
	(void)now;
	return gone ? put_prefix(w->cidr, gone, false) : 0;
}

static int write_prefixes(struct recon_policy *r, const struct policy_table *t, struct map_batch cidr[2], step_fn step)
{
	struct walk w = walk_of(r, t);
	int e;

	w.cidr = cidr;
	e = walk(&w, step);
	for (unsigned i = 0; e == 0 && i < 2; i++)
		e = map_batch_flush(&cidr[i]);
	return e;
}

int recon_prefixes_add(struct recon_policy *r, const struct policy_table *t, struct map_batch cidr[2])
{
	return write_prefixes(r, t, cidr, add_one);
}

int recon_prefixes_delete(struct recon_policy *r, const struct policy_table *t, struct map_batch cidr[2])
{
	return write_prefixes(r, t, cidr, delete_one);
}

int recon_prefixes_keep(struct recon_policy *r, const struct policy_table *t)
{
	const struct policy_prefix *now;
	size_t n = policy_table_prefixes(t, &now);
	int e;

	r->prefixes.n = 0;
	e = ARRAY_RESERVE(&r->prefixes, n + 1);
	if (e < 0)
		return e;
	if (n)
		memcpy(r->prefixes.v, now, n * sizeof(*now));
	r->prefixes.n = n;
	return 0;
}
