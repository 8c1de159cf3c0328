/* SPDX-License-Identifier: Apache-2.0 */
/* The packed table of endpoints against plain arrays. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/macro.h"
#include "base/rng.h"
#include "store/endpoint_table.h"

enum { NAMES = 80, SLICES = 6, OWNERS = 4096 };

struct endpoint {
	bool is_there, is_given;
	int slice; /* -1 = none */
	struct ip addr[4];
	struct endpoint_info info;
};

struct model {
	struct endpoint_table *table;
	struct endpoint v[NAMES];
	/* What the callback said: for each owner number the addresses it has now. */
	struct {
		struct ip ip[8];
		struct endpoint_info info;
		size_t n;
	} owner[OWNERS];
};

static void on_address(const struct ip *ip, uint32_t owner, const struct endpoint_info *info, void *arg)
{
	struct model *m = arg;
	size_t i;

	cr_assert_lt(owner, OWNERS);
	for (i = 0; i < m->owner[owner].n; i++)
		if (ip_eq(&m->owner[owner].ip[i], ip))
			break;
	if (!info) {
		cr_assert_lt(i, m->owner[owner].n, "an address goes that was not there");
		m->owner[owner].ip[i] = m->owner[owner].ip[--m->owner[owner].n];
		return;
	}
	if (i == m->owner[owner].n)
		m->owner[owner].ip[m->owner[owner].n++] = *ip;
	m->owner[owner].info = *info;
}

static void name_of(unsigned i, char ns[32], char name[32])
{
	(void)snprintf(ns, 32, "ns%u", i % 3);
	(void)snprintf(name, 32, "pod-%u", i);
}

static const char *slice_of(int i)
{
	static const char *const names[SLICES] = {"ces-a", "ces-b", "ces-c", "ces-d", "ces-e", "ces-f"};

	return i < 0 ? NULL : names[i];
}

static void do_set(struct model *m, unsigned i, int slice)
{
	struct endpoint *e = &m->v[i];
	char ns[32], name[32];

	name_of(i, ns, name);
	if (!e->is_there || rng_below(2)) {
		e->info = (struct endpoint_info){.identity = 100 + rng_below(4), .key = (uint8_t)rng_below(2),
						 .n_addr = rng_below(5), .addr = e->addr};
		e->info.node = (struct ip){.family = AF_INET, .b = {192, 0, 2, (uint8_t)rng_below(3)}};
		for (size_t k = 0; k < e->info.n_addr; k++)
			e->addr[k] = (struct ip){.family = AF_INET, .b = {10, (uint8_t)k, (uint8_t)i,
									  (uint8_t)rng_below(3)}};
	}
	e->is_there = e->is_given = true;
	e->slice = slice;
	cr_assert_eq(endpoint_table_set(m->table, ns, name, slice_of(slice), &e->info), 0);
}

static void do_remove(struct model *m)
{
	unsigned i = rng_below(NAMES);
	int slice = (int)rng_below(SLICES + 1) - 1;
	char ns[32], name[32];

	name_of(i, ns, name);
	endpoint_table_remove(m->table, ns, name, slice_of(slice));
	if (slice < 0 || m->v[i].slice == slice)
		m->v[i].is_there = false;
}

static void do_slice(struct model *m)
{
	int slice = (int)rng_below(SLICES);
	unsigned n = rng_below(12);

	for (unsigned i = 0; i < NAMES; i++)
		m->v[i].is_given = false;
	endpoint_table_slice_begin(m->table);
	for (unsigned i = 0; i < n; i++)
		do_set(m, rng_below(NAMES), slice);
	endpoint_table_slice_end(m->table, slice_of(slice));
	for (unsigned i = 0; i < NAMES; i++)
		if (m->v[i].slice == slice && !m->v[i].is_given)
			m->v[i].is_there = false;
}

static void do_replace(struct model *m)
{
	unsigned n = rng_below(NAMES);
	bool is_cut = rng_below(3) == 0;

	for (unsigned i = 0; i < NAMES; i++)
		m->v[i].is_given = false;
	endpoint_table_replace_begin(m->table);
	for (unsigned i = 0; i < n; i++)
		do_set(m, rng_below(NAMES), (int)rng_below(SLICES + 1) - 1);
	if (is_cut)
		return; /* the list broke off: nothing is removed */
	endpoint_table_replace_end(m->table);
	for (unsigned i = 0; i < NAMES; i++)
		if (!m->v[i].is_given)
			m->v[i].is_there = false;
}

static void check_endpoint(const struct model *m, unsigned i, bool used[OWNERS])
{
	char ns[32], name[32], want[80];
	const struct endpoint *e = &m->v[i];

	name_of(i, ns, name);
	(void)snprintf(want, sizeof(want), "%s/%s", ns, name);
	for (uint32_t o = 0; o < OWNERS; o++) {
		const char *have = endpoint_table_name(m->table, o);

		if (!have || strcmp(have, want) != 0)
			continue;
		cr_assert(e->is_there, "%s is there", want);
		cr_assert_not(used[o]);
		used[o] = true;
		cr_assert_eq(m->owner[o].n, e->info.n_addr, "%s", want);
		for (size_t k = 0; k < e->info.n_addr; k++) {
			bool is_found = false;

			for (size_t j = 0; j < m->owner[o].n; j++)
				is_found |= ip_eq(&m->owner[o].ip[j], &e->addr[k]);
			cr_assert(is_found);
		}
		if (e->info.n_addr)
			cr_assert(m->owner[o].info.identity == e->info.identity && m->owner[o].info.key == e->info.key &&
				  ip_eq(&m->owner[o].info.node, &e->info.node));
		return;
	}
	cr_assert_not(e->is_there, "%s is missing", want);
}

static void check(const struct model *m)
{
	bool used[OWNERS] = {false};
	size_t n = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		check_endpoint(m, i, used);
		n += m->v[i].is_there;
	}
	for (uint32_t o = 0; o < OWNERS; o++)
		cr_assert(used[o] || m->owner[o].n == 0, "owner %u is gone and has addresses", o);
	cr_assert_eq(endpoint_table_count(m->table), n);
}

Test(endpoint_table, agrees_with_a_simple_model)
{
	for (int round = 0; round < 30; round++) {
		struct model *m = calloc(1, sizeof(*m));

		cr_assert_eq(endpoint_table_new(on_address, NULL, m, &m->table), 0);
		for (int step = 0; step < 400; step++) {
			unsigned what = rng_below(100);

			if (what < 50)
				do_set(m, rng_below(NAMES), (int)rng_below(SLICES + 1) - 1);
			else if (what < 75)
				do_remove(m);
			else if (what < 96)
				do_slice(m);
			else
				do_replace(m);
			if (step % 8 == 0)
				check(m);
		}
		endpoint_table_replace_begin(m->table);
		endpoint_table_replace_end(m->table);
		cr_assert_eq(endpoint_table_count(m->table), 0);
		for (uint32_t o = 0; o < OWNERS; o++)
			cr_assert_eq(m->owner[o].n, 0);
		endpoint_table_free(m->table);
		free(m);
	}
}

Test(endpoint_table, refuses)
{
	struct model *m = calloc(1, sizeof(*m));
	struct ip many[LIMIT_ADDRESSES + 1] = {0};
	struct endpoint_info info = {.addr = many, .n_addr = ARRAY_LEN(many)};
	char big[600];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cr_assert_eq(endpoint_table_new(on_address, NULL, m, &m->table), 0);
	endpoint_table_remove(m->table, "a", "b", NULL);
	endpoint_table_remove(m->table, "a", "b", "c");
	endpoint_table_slice_end(m->table, "none");
	cr_expect_eq(endpoint_table_set(m->table, "a", "b", NULL, &info), -EINVAL);
	info.n_addr = 0;
	cr_expect_eq(endpoint_table_set(m->table, "a", big, NULL, &info), -EINVAL);
	cr_expect_eq(endpoint_table_count(m->table), 0);
	cr_expect_null(endpoint_table_name(m->table, 0));
	endpoint_table_free(m->table);
	free(m);
}

/* Two families: a joined host's node is one of its addresses, a pod's never is. */
Test(endpoint_table, is_host)
{
	struct ip addr[2];
	struct endpoint_info info = {.addr = addr, .n_addr = ARRAY_LEN(addr)};

	cr_assert_eq(ip_parse("172.19.100.2", &addr[0]), 0);
	cr_assert_eq(ip_parse("fd00:19::2", &addr[1]), 0);
	info.node = addr[0];
	cr_expect(endpoint_is_host(&info));
	info.node = addr[1];
	cr_expect(endpoint_is_host(&info));
	cr_assert_eq(ip_parse("172.19.0.11", &info.node), 0);
	cr_expect_not(endpoint_is_host(&info));
	info.node = (struct ip){0};
	cr_expect_not(endpoint_is_host(&info));
}
