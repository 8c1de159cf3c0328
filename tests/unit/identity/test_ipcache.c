/* SPDX-License-Identifier: Apache-2.0 */
/* The address cache against a model that keeps every claim in a list, newest last. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/macro.h"
#include "base/rng.h"
#include "identity/ipcache.h"

enum { ADDRESSES = 24, NODES = 6, OWNERS = 4, CLAIMS_MAX = 4096 };

struct model_claim {
	bool is_set;
	unsigned address;
	enum ipcache_source source;
	unsigned node; /* index + 1 */
	struct ipcache_claim claim;
	unsigned when;
};

struct model {
	struct ipcache *cache;
	struct model_claim claims[ADDRESSES][3][OWNERS];
	unsigned clock;
	bool is_touched[ADDRESSES];
	bool has_told[ADDRESSES]; /* what the flush told last */
	struct ipcache_claim told[ADDRESSES];
	unsigned refuse_after; /* the flush is refused after so many calls */
	bool is_seen[ADDRESSES];
};

static struct ip address(unsigned i)
{
	struct ip ip = {.family = i % 2 ? AF_INET6 : AF_INET, .b = {10, 0, (uint8_t)i, 1}};

	return ip;
}

static struct ip node_ip(unsigned i)
{
	struct ip ip = {.family = AF_INET, .b = {192, 168, 0, (uint8_t)(i + 1)}};

	return ip;
}

static unsigned index_of(const struct ip *ip)
{
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct ip x = address(i);

		if (ip_eq(&x, ip))
			return i;
	}
	cr_assert_fail("an address that nobody claimed");
	return 0;
}

/* The claim that must hold: best source, then newest; flags of nodes from all. */
static bool best(const struct model *m, unsigned a, struct ipcache_claim *ret)
{
	const struct model_claim *b = NULL;
	uint8_t node_flag = 0;

	for (int s = 0; s < 3; s++)
		for (int o = 0; o < OWNERS; o++) {
			const struct model_claim *c = &m->claims[a][s][o];

			if (!c->is_set)
				continue;
			node_flag |= c->claim.flags & IPCACHE_IS_NODE;
			if (!b || c->source > b->source || (c->source == b->source && c->when > b->when))
				b = c;
		}
	if (!b)
		return false;
	*ret = b->claim;
	ret->flags |= node_flag;
	return true;
}

static bool same(const struct ipcache_claim *a, const struct ipcache_claim *b)
{
	return a->identity == b->identity && a->owner == b->owner && a->node == b->node && a->flags == b->flags &&
	       a->key == b->key;
}

static void check_address(const struct model *m, unsigned a)
{
	struct ip ip = address(a);
	struct ipcache_claim want, have;
	bool is_there = best(m, a, &want);

	cr_assert_eq(ipcache_get(m->cache, &ip, &have), is_there, "address %u", a);
	if (is_there)
		cr_assert(same(&want, &have), "address %u: identity %u owner %u node %u flags %u, not %u %u %u %u", a,
			  have.identity, have.owner, have.node, have.flags, want.identity, want.owner, want.node,
			  want.flags);
}

static size_t refs_of(const struct model *m, unsigned node)
{
	size_t n = 0;

	for (int a = 0; a < ADDRESSES; a++)
		for (int s = 0; s < 3; s++)
			for (int o = 0; o < OWNERS; o++)
				n += m->claims[a][s][o].is_set && m->claims[a][s][o].node == node + 1;
	return n;
}

static void do_claim(struct model *m)
{
	unsigned a = rng_below(ADDRESSES), node = rng_below(NODES + 1);
	struct model_claim *c, new = {.is_set = true, .address = a, .source = rng_below(3), .when = ++m->clock};
	struct ip ip = address(a), nip;
	uint16_t number = 0;

	new.claim = (struct ipcache_claim){.identity = 100 + rng_below(3), .owner = rng_below(OWNERS),
					   .flags = (uint8_t)rng_below(4), .key = (uint8_t)rng_below(2)};
	new.node = node;
	if (node) {
		nip = node_ip(node - 1);
		cr_assert_eq(ipcache_node_ref(m->cache, &nip, &number), 0);
		new.claim.node = number;
	}
	c = &m->claims[a][new.source][new.claim.owner];
	cr_assert_eq(ipcache_claim(m->cache, new.source, &ip, &new.claim), 0);
	*c = new;
	m->is_touched[a] = true;
	if (node)
		ipcache_node_unref(m->cache, number); /* the claim has its own reference */
}

static void do_release(struct model *m)
{
	unsigned a = rng_below(ADDRESSES), s = rng_below(3), o = rng_below(OWNERS);
	struct ip ip = address(a);

	ipcache_release(m->cache, s, &ip, o);
	m->claims[a][s][o].is_set = false;
	m->is_touched[a] = true;
}

static int on_flush(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct model *m = arg;
	unsigned a = index_of(ip);
	struct ipcache_claim want;
	bool is_there = best(m, a, &want);

	if (!m->refuse_after--)
		return -EAGAIN;
	cr_assert_eq(claim != NULL, is_there);
	if (claim)
		cr_assert(same(claim, &want));
	cr_assert_not(m->is_seen[a], "told twice in one flush");
	m->is_seen[a] = true;
	m->has_told[a] = is_there;
	if (is_there)
		m->told[a] = want;
	return 0;
}

static bool is_stale(const struct model *m, unsigned a)
{
	struct ipcache_claim want;
	bool is_there = best(m, a, &want);

	return is_there != m->has_told[a] || (is_there && !same(&want, &m->told[a]));
}

static void do_flush(struct model *m)
{
	bool was_stale[ADDRESSES];
	int r;

	for (unsigned a = 0; a < ADDRESSES; a++) {
		was_stale[a] = is_stale(m, a);
		m->is_seen[a] = false;
	}
	m->refuse_after = rng_below(2) ? UINT32_MAX : rng_below(ADDRESSES / 2);
	r = ipcache_flush(m->cache, on_flush, m);
	cr_assert(r == 0 || r == -EAGAIN);
	cr_assert_eq(ipcache_is_dirty(m->cache), r != 0);
	for (unsigned a = 0; a < ADDRESSES; a++) {
		if (r == 0)
			cr_assert_not(is_stale(m, a), "address %u was not told", a);
		if (m->is_seen[a])
			cr_assert(was_stale[a] || m->is_touched[a], "address %u was told without reason", a);
		if (m->is_seen[a])
			m->is_touched[a] = false;
	}
}

static int count_one(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	(void)ip;
	(void)claim;
	(*(size_t *)arg)++;
	return 0;
}

static void check_all(const struct model *m)
{
	size_t n = 0, each = 0;

	for (unsigned a = 0; a < ADDRESSES; a++) {
		struct ipcache_claim want;

		check_address(m, a);
		n += best(m, a, &want);
	}
	cr_assert_eq(ipcache_count(m->cache), n);
	cr_assert_eq(ipcache_each(m->cache, count_one, &each), 0);
	cr_assert_eq(each, n);
	for (unsigned i = 0; i < NODES; i++) {
		struct ip want = node_ip(i);
		bool is_there = false;

		for (uint16_t number = 1; number < 64; number++) {
			struct ip have = ipcache_node_ip(m->cache, number);

			is_there |= ip_eq(&have, &want);
		}
		cr_assert_eq(is_there, refs_of(m, i) > 0, "node %u", i);
	}
}

static void clear_all(struct model *m)
{
	for (unsigned a = 0; a < ADDRESSES; a++)
		for (unsigned s = 0; s < 3; s++)
			for (unsigned o = 0; o < OWNERS; o++) {
				struct ip ip = address(a);

				ipcache_release(m->cache, s, &ip, o);
				m->claims[a][s][o].is_set = false;
				m->is_touched[a] = true;
			}
}

Test(ipcache, agrees_with_a_simple_model)
{
	for (int round = 0; round < 60; round++) {
		struct model *m = calloc(1, sizeof(*m));

		cr_assert_eq(ipcache_new(&m->cache), 0);
		for (int step = 0; step < 1500; step++) {
			unsigned what = rng_below(100);

			if (what < 45)
				do_claim(m);
			else if (what < 90)
				do_release(m);
			else if (what < 99)
				do_flush(m);
			else {
				ipcache_mark_all(m->cache);
				for (unsigned a = 0; a < ADDRESSES; a++)
					m->is_touched[a] = true;
			}
			if (step % 16 == 0)
				check_all(m);
		}
		clear_all(m);
		check_all(m);
		m->refuse_after = UINT32_MAX;
		memset(m->is_seen, 0, sizeof(m->is_seen));
		cr_assert_eq(ipcache_flush(m->cache, on_flush, m), 0);
		cr_assert_eq(ipcache_count(m->cache), 0);
		ipcache_free(m->cache);
		free(m);
	}
}

Test(ipcache, the_newest_of_the_rest_takes_over)
{
	struct ipcache *c;
	struct ip ip = address(0);
	struct ipcache_claim have;

	cr_assert_eq(ipcache_new(&c), 0);
	for (uint32_t o = 1; o <= 4; o++)
		cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_ENDPOINT, &ip,
					   &(struct ipcache_claim){.identity = o * 100, .owner = o}), 0);
	for (uint32_t o = 4; o >= 1; o--) {
		cr_assert(ipcache_get(c, &ip, &have));
		cr_expect_eq(have.owner, o);
		ipcache_release(c, IPCACHE_FROM_ENDPOINT, &ip, o);
	}
	cr_expect_not(ipcache_get(c, &ip, &have));
	ipcache_free(c);
}

struct tally {
	size_t told, gone, refuse_after;
};

static int on_many(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct tally *t = arg;

	(void)ip;
	if (!t->refuse_after)
		return -ENOSPC;
	t->refuse_after--;
	*(claim ? &t->told : &t->gone) += 1;
	return 0;
}

/* More changes than the list of dirty ones holds, with a refusal in the middle. */
Test(ipcache, many)
{
	enum { MANY = 30000 };
	struct ipcache *c;
	struct tally t = {.refuse_after = 12345};

	cr_assert_eq(ipcache_new(&c), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		struct ip ip = {.family = AF_INET, .b = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};

		cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_ENDPOINT, &ip, &(struct ipcache_claim){.identity = i}), 0);
	}
	cr_expect_eq(ipcache_flush(c, on_many, &t), -ENOSPC);
	t.refuse_after = SIZE_MAX;
	cr_expect_eq(ipcache_flush(c, on_many, &t), 0);
	cr_expect_eq(t.told, MANY, "each once, also over a refusal");
	cr_expect_eq(t.gone, 0);
	for (uint32_t i = 0; i < MANY; i += 2) {
		struct ip ip = {.family = AF_INET, .b = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};

		ipcache_release(c, IPCACHE_FROM_ENDPOINT, &ip, 0);
	}
	cr_expect_eq(ipcache_count(c), MANY / 2);
	t = (struct tally){.refuse_after = 7000};
	cr_expect_eq(ipcache_flush(c, on_many, &t), -ENOSPC);
	t.refuse_after = SIZE_MAX;
	cr_expect_eq(ipcache_flush(c, on_many, &t), 0);
	cr_expect_eq(t.gone, MANY / 2);
	cr_expect_eq(t.told, 0);
	cr_expect_not(ipcache_is_dirty(c));
	ipcache_free(c);
}

/* A claim that changes nothing that holds is not told. */
Test(ipcache, tells_only_what_changed)
{
	struct ipcache *c;
	struct ip ip = address(0);
	struct tally t = {.refuse_after = SIZE_MAX};
	struct ipcache_claim pod = {.identity = 500, .owner = 1}, node = {.identity = 6, .owner = 9};

	cr_assert_eq(ipcache_new(&c), 0);
	cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_ENDPOINT, &ip, &pod), 0);
	cr_assert_eq(ipcache_flush(c, on_many, &t), 0);
	cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_ENDPOINT, &ip, &pod), 0);
	cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_NODE, &ip, &node), 0);
	ipcache_release(c, IPCACHE_FROM_NODE, &ip, 9);
	ipcache_release(c, IPCACHE_FROM_NODE, &ip, 77);
	cr_expect_not(ipcache_is_dirty(c));
	node.flags = IPCACHE_IS_NODE;
	cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_NODE, &ip, &node), 0);
	cr_expect(ipcache_is_dirty(c), "the flag counts under the better claim too");
	ipcache_free(c);
}

Test(ipcache, node_numbers)
{
	struct ipcache *c;
	struct ip a = node_ip(0), b = node_ip(1), d = node_ip(2), have;
	uint16_t na, nb, nd;

	cr_assert_eq(ipcache_new(&c), 0);
	cr_expect_eq(ipcache_node_seed(c, &a, 0), -EINVAL);
	cr_expect_eq(ipcache_node_seed(c, &a, 7), 0);
	cr_expect_eq(ipcache_node_seed(c, &a, 8), -EEXIST);
	cr_expect_eq(ipcache_node_seed(c, &b, 7), -EEXIST);
	cr_expect_eq(ipcache_node_seed(c, &b, 1), 0);
	cr_assert_eq(ipcache_node_ref(c, &a, &na), 0);
	cr_expect_eq(na, 7, "the number of the earlier run");
	cr_assert_eq(ipcache_node_ref(c, &d, &nd), 0);
	cr_expect_eq(nd, 2);
	cr_expect_eq(ipcache_node_next_dirty(c), 2);
	cr_expect_eq(ipcache_node_next_dirty(c), 0, "a seeded number is in the map already");
	ipcache_node_drop_unused(c);
	have = ipcache_node_ip(c, 1);
	cr_expect_eq(have.family, 0);
	cr_assert_eq(ipcache_node_ref(c, &b, &nb), 0);
	cr_expect_eq(nb, 1);
	cr_assert_eq(ipcache_node_ref(c, &b, &nb), 0);
	ipcache_node_unref(c, 1);
	have = ipcache_node_ip(c, 1);
	cr_expect(ip_eq(&have, &b));
	ipcache_node_unref(c, 1);
	have = ipcache_node_ip(c, 1);
	cr_expect_eq(have.family, 0);
	cr_expect_eq(ipcache_node_next_dirty(c), 0, "a number that is free again is not told");
	have = ipcache_node_ip(c, 65535);
	cr_expect_eq(have.family, 0);
	ipcache_free(c);
}
