/* SPDX-License-Identifier: Apache-2.0 */
/* The packed table of endpoints against plain arrays. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/macro.h"
#include "base/rng.h"
#include "store/endpoint_table.h"

enum { NAMES = 80, SLICES = 6, SAYERS = SLICES + 1, OWNERS = 4096, PORT_SETS = 6 };

/* What a slice says of an endpoint, or (the first) what it says itself. */
struct said {
	unsigned when; /* 0 = nothing */
	struct ip addr[4];
	struct endpoint_info info;
};

struct model {
	struct endpoint_table *table;
	struct said v[NAMES][SAYERS];
	unsigned clock;
	unsigned n_promoted;
	/* What the callback said: for each owner number the addresses it has now. */
	struct {
		struct ip ip[8];
		struct endpoint_info info;
		size_t n;
	} owner[OWNERS];
	unsigned port_refs[PORT_SETS]; /* a set is there as long as it has some */
	unsigned port_claims[4][PORT_SETS];
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

static void on_ports(uint32_t identity, uint32_t ports, bool is_there, void *arg)
{
	struct model *m = arg;
	unsigned *claims = &m->port_claims[identity - 100][ports];

	cr_assert_gt(m->port_refs[ports], 0, "a set of ports is gone");
	cr_assert(is_there || *claims);
	m->port_refs[ports] += is_there ? 1u : -1u;
	*claims += is_there ? 1u : -1u;
}

static bool on_hold(uint32_t ports, bool is_held, void *arg)
{
	struct model *m = arg;

	cr_assert_gt(m->port_refs[ports], 0, "a set of ports is gone");
	m->port_refs[ports] += is_held ? 1u : -1u;
	return true;
}

/* What was said last holds; NULL = the endpoint is not there. */
static const struct said *in_force(const struct model *m, unsigned i)
{
	const struct said *best = NULL;

	for (unsigned k = 0; k < SAYERS; k++)
		if (m->v[i][k].when && (!best || m->v[i][k].when > best->when))
			best = &m->v[i][k];
	return best;
}

/* What was said before `since`, and not again, is said no more. */
static void forget(struct model *m, unsigned i, unsigned sayer, unsigned since)
{
	struct said *said = &m->v[i][sayer];
	bool was_in_force = said == in_force(m, i);

	if (said->when > since)
		return;
	said->when = 0;
	m->n_promoted += was_in_force && in_force(m, i);
}

static void random_info(struct said *said, unsigned i)
{
	said->info = (struct endpoint_info){.identity = 100 + rng_below(4), .key = (uint8_t)rng_below(2),
					    .ports = rng_below(PORT_SETS), .n_addr = rng_below(5)};
	said->info.node = (struct ip){.family = AF_INET, .b = {192, 0, 2, (uint8_t)rng_below(3)}};
	for (size_t k = 0; k < said->info.n_addr; k++)
		said->addr[k] = (struct ip){.family = AF_INET, .b = {10, (uint8_t)k, (uint8_t)i, (uint8_t)rng_below(3)}};
}

static void do_set(struct model *m, unsigned i, int slice)
{
	struct said *said = &m->v[i][slice + 1];
	const struct said *now = in_force(m, i);
	char ns[32], name[32];

	name_of(i, ns, name);
	if (now && rng_below(4) == 0)
		*said = *now; /* two slices say the same */
	else if (!said->when || rng_below(2))
		random_info(said, i);
	said->info.addr = said->addr;
	for (unsigned k = 0; k < SAYERS; k++)
		if (slice < 0 || k == 0)
			m->v[i][k].when = 0;
	said->when = ++m->clock;
	m->port_refs[said->info.ports]++;
	cr_assert_eq(endpoint_table_set(m->table, ns, name, slice_of(slice), &said->info), 0);
	m->port_refs[said->info.ports]--;
}

static void do_remove(struct model *m)
{
	unsigned i = rng_below(NAMES);
	int slice = (int)rng_below(SLICES + 1) - 1;
	char ns[32], name[32];

	name_of(i, ns, name);
	endpoint_table_remove(m->table, ns, name, slice_of(slice));
	for (unsigned k = 0; k < SAYERS; k++)
		if (slice < 0)
			m->v[i][k].when = 0;
	if (slice >= 0)
		forget(m, i, (unsigned)slice + 1, m->clock);
}

static void do_slice(struct model *m)
{
	int slice = (int)rng_below(SLICES);
	unsigned n = rng_below(12), since = m->clock;

	endpoint_table_slice_begin(m->table);
	for (unsigned i = 0; i < n; i++)
		do_set(m, rng_below(NAMES), slice);
	endpoint_table_slice_end(m->table, slice_of(slice));
	for (unsigned i = 0; i < NAMES; i++)
		forget(m, i, (unsigned)slice + 1, since);
}

static void do_replace(struct model *m)
{
	unsigned n = rng_below(NAMES), n_slices = rng_below(SLICES), since = m->clock;
	bool is_cut = rng_below(3) == 0;

	endpoint_table_replace_begin(m->table);
	for (unsigned i = 0; i < n; i++)
		do_set(m, rng_below(NAMES), (int)rng_below(SLICES + 1) - 1);
	for (unsigned i = 0; i < n_slices; i++)
		do_slice(m);
	if (is_cut)
		return; /* the list broke off: nothing is removed */
	endpoint_table_replace_end(m->table);
	for (unsigned i = 0; i < NAMES; i++)
		for (unsigned k = 0; k < SAYERS; k++)
			forget(m, i, k, since);
}

static void check_endpoint(const struct model *m, unsigned i, bool used[OWNERS])
{
	char ns[32], name[32], want[80];
	const struct said *e = in_force(m, i);

	name_of(i, ns, name);
	(void)snprintf(want, sizeof(want), "%s/%s", ns, name);
	for (uint32_t o = 0; o < OWNERS; o++) {
		const char *have = endpoint_table_name(m->table, o);

		if (!have || strcmp(have, want) != 0)
			continue;
		cr_assert(e, "%s is there", want);
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
	cr_assert_null(e, "%s is missing", want);
}

/* Sets of ports are there for what holds, and for what is kept for later; claimed only by what holds. */
static void check_ports(const struct model *m)
{
	unsigned refs[PORT_SETS] = {0}, claims[4][PORT_SETS] = {{0}};

	for (unsigned i = 0; i < NAMES; i++) {
		const struct said *e = in_force(m, i);

		for (unsigned k = 0; k < SAYERS; k++)
			refs[m->v[i][k].info.ports] += m->v[i][k].when != 0;
		if (e)
			claims[e->info.identity - 100][e->info.ports]++;
	}
	for (unsigned p = 1; p < PORT_SETS; p++) {
		cr_assert_eq(m->port_refs[p], refs[p], "set %u of ports", p);
		for (unsigned i = 0; i < 4; i++)
			cr_assert_eq(m->port_claims[i][p], claims[i][p], "set %u of ports", p);
	}
}

static void check(const struct model *m)
{
	bool used[OWNERS] = {false};
	size_t n = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		check_endpoint(m, i, used);
		n += in_force(m, i) != NULL;
	}
	for (uint32_t o = 0; o < OWNERS; o++)
		cr_assert(used[o] || m->owner[o].n == 0, "owner %u is gone and has addresses", o);
	cr_assert_eq(endpoint_table_count(m->table), n);
	check_ports(m);
}

Test(endpoint_table, agrees_with_a_simple_model)
{
	for (int round = 0; round < 30; round++) {
		struct model *m = calloc(1, sizeof(*m));

		cr_assert_eq(endpoint_table_new(on_address, on_ports, on_hold, m, &m->table), 0);
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
		for (unsigned p = 1; p < PORT_SETS; p++)
			cr_assert_eq(m->port_refs[p], 0);
		cr_expect_gt(m->n_promoted, 0);
		endpoint_table_free(m->table);
		free(m);
	}
}

/* One endpoint and what the table told of it, for the stories below. */
struct story {
	struct endpoint_table *table;
	uint32_t identity; /* 0 = it is gone */
	unsigned n_told;
};

static void on_story_address(const struct ip *ip, uint32_t owner, const struct endpoint_info *info, void *arg)
{
	struct story *s = arg;

	(void)ip;
	(void)owner;
	s->identity = info ? info->identity : 0;
	s->n_told++;
}

static void story_begin(struct story *s)
{
	*s = (struct story){0};
	cr_assert_eq(endpoint_table_new(on_story_address, NULL, NULL, s, &s->table), 0);
}

static void name_it(struct story *s, const char *slice, uint32_t identity)
{
	struct ip ip = {.family = AF_INET, .b = {10, 0, 0, 1}};
	struct endpoint_info info = {.identity = identity, .addr = &ip, .n_addr = 1};

	cr_assert_eq(endpoint_table_set(s->table, "ns", "x", slice, &info), 0);
}

/* A slice as it is now, with the endpoint or (identity 0) without it. */
static void write_slice(struct story *s, const char *slice, uint32_t identity)
{
	endpoint_table_slice_begin(s->table);
	if (identity)
		name_it(s, slice, identity);
	endpoint_table_slice_end(s->table, slice);
}

/*
 * A pod moves from ces-z to ces-a, and the list has both: the one that is read last holds, until it says that it has
 * the pod no more. Nothing is heard of ces-a then.
 */
Test(endpoint_table, moves_while_it_is_listed)
{
	struct story s;

	story_begin(&s);
	endpoint_table_replace_begin(s.table);
	write_slice(&s, "ces-a", 2);
	write_slice(&s, "ces-z", 1);
	endpoint_table_replace_end(s.table);
	cr_expect_eq(s.identity, 1);
	write_slice(&s, "ces-z", 0);
	cr_expect_eq(s.identity, 2, "ces-a still lists it");
	cr_expect_eq(endpoint_table_count(s.table), 1);
	write_slice(&s, "ces-a", 0);
	cr_expect_eq(s.identity, 0);
	cr_expect_eq(endpoint_table_count(s.table), 0);
	endpoint_table_free(s.table);
}

Test(endpoint_table, moves_there_and_back)
{
	struct story s;
	unsigned n_told;

	story_begin(&s);
	write_slice(&s, "ces-a", 1);
	write_slice(&s, "ces-b", 2);
	write_slice(&s, "ces-a", 3);
	write_slice(&s, "ces-b", 0);
	cr_expect_eq(s.identity, 3);
	/* the one that does not hold goes, or was never heard of: nothing to tell */
	write_slice(&s, "ces-b", 4);
	write_slice(&s, "ces-a", 5);
	n_told = s.n_told;
	endpoint_table_remove(s.table, "ns", "x", "ces-b");
	endpoint_table_remove(s.table, "ns", "x", "ces-c");
	cr_expect_eq(s.n_told, n_told);
	/* two say the same: nothing to tell either */
	write_slice(&s, "ces-b", 5);
	write_slice(&s, "ces-b", 0);
	cr_expect_eq(s.n_told, n_told);
	cr_expect_eq(s.identity, 5);
	endpoint_table_free(s.table);
}

Test(endpoint_table, moves_between_two_lists)
{
	struct story s;

	story_begin(&s);
	write_slice(&s, "ces-a", 1);
	write_slice(&s, "ces-b", 2);
	/* ces-b is gone from the list: what it said does not come back */
	endpoint_table_replace_begin(s.table);
	write_slice(&s, "ces-a", 3);
	endpoint_table_replace_end(s.table);
	cr_expect_eq(s.identity, 3);
	write_slice(&s, "ces-a", 0);
	cr_expect_eq(s.identity, 0);
	/* what was said before the list is not there after it, either */
	write_slice(&s, "ces-a", 1);
	endpoint_table_replace_begin(s.table);
	write_slice(&s, "ces-b", 2);
	write_slice(&s, "ces-b", 0);
	cr_expect_eq(s.identity, 1);
	endpoint_table_replace_end(s.table);
	cr_expect_eq(s.identity, 0);
	/* without slices, they do not count */
	write_slice(&s, "ces-a", 1);
	write_slice(&s, "ces-b", 2);
	name_it(&s, NULL, 3);
	write_slice(&s, "ces-a", 0);
	write_slice(&s, "ces-b", 0);
	cr_expect_eq(s.identity, 3);
	endpoint_table_free(s.table);
}

/* Past the bound of one endpoint, what was said first is forgotten. */
Test(endpoint_table, is_in_many_slices)
{
	struct story s;
	char slice[32];

	story_begin(&s);
	for (uint32_t i = 0; i <= LIMIT_ENDPOINT_SLICES; i++) {
		(void)snprintf(slice, sizeof(slice), "ces-%u", i);
		write_slice(&s, slice, 100 + i);
	}
	for (uint32_t i = LIMIT_ENDPOINT_SLICES; i > 0; i--) {
		cr_expect_eq(s.identity, 100 + i);
		(void)snprintf(slice, sizeof(slice), "ces-%u", i);
		write_slice(&s, slice, 0);
	}
	cr_expect_eq(s.identity, 0);
	endpoint_table_free(s.table);
}

static void name_many(struct endpoint_table *t, const char *slice, unsigned n)
{
	struct endpoint_info info = {.identity = 1};
	char name[32];

	endpoint_table_slice_begin(t);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "pod-%u", i);
		cr_assert_eq(endpoint_table_set(t, "ns", name, slice, &info), 0);
	}
	endpoint_table_slice_end(t, slice);
}

/* Past the bound of all, an endpoint goes with the slice that named it last, as without copies. */
Test(endpoint_table, keeps_so_many_copies)
{
	struct story s;

	story_begin(&s);
	for (unsigned round = 0; round < 2; round++) {
		name_many(s.table, "ces-a", LIMIT_ENDPOINT_COPIES + 10);
		name_many(s.table, "ces-b", LIMIT_ENDPOINT_COPIES + 10);
		cr_expect_eq(endpoint_table_count(s.table), LIMIT_ENDPOINT_COPIES + 10);
		/* at the bound, slices still take turns */
		name_many(s.table, "ces-a", LIMIT_ENDPOINT_COPIES);
		write_slice(&s, "ces-a", 0);
		cr_expect_eq(endpoint_table_count(s.table), LIMIT_ENDPOINT_COPIES + 10);
		name_many(s.table, "ces-a", LIMIT_ENDPOINT_COPIES + 10);
		write_slice(&s, "ces-a", 0);
		cr_expect_eq(endpoint_table_count(s.table), LIMIT_ENDPOINT_COPIES);
		write_slice(&s, "ces-b", 0);
		cr_expect_eq(endpoint_table_count(s.table), 0);
	}
	endpoint_table_free(s.table);
}

Test(endpoint_table, refuses)
{
	struct model *m = calloc(1, sizeof(*m));
	struct ip many[LIMIT_ADDRESSES + 1] = {0};
	struct endpoint_info info = {.addr = many, .n_addr = ARRAY_LEN(many)};
	char big[600];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cr_assert_eq(endpoint_table_new(on_address, NULL, NULL, m, &m->table), 0);
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
