/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "identity/identity.h"
#include "identity/named_port.h"
#include "identity/selector.h"

static struct label_set *labels(struct identity_table *t, const char *text)
{
	struct label_builder b = {.table = identity_labels(t)};
	struct label_set *set;

	cr_assert_eq(label_builder_add_text(&b, text), 0);
	cr_assert_eq(label_builder_take(&b, &set), 0);
	return set;
}

Test(identity, reserved_ones_are_built_in)
{
	static const struct {
		uint32_t number;
		const char *labels;
		unsigned flags;
	} want[] = {
		{1, "reserved:host", IDENTITY_IS_HOST},
		{2, "reserved:world", IDENTITY_IS_WORLD | IDENTITY_HAS_WORLD},
		{6, "reserved:remote-node", IDENTITY_IS_REMOTE_NODE},
		{7, "reserved:kube-apiserver,reserved:remote-node", IDENTITY_IS_REMOTE_NODE},
		{9, "reserved:world-ipv4", IDENTITY_IS_WORLD | IDENTITY_HAS_WORLD_IPV4},
		{10, "reserved:world-ipv6", IDENTITY_IS_WORLD | IDENTITY_HAS_WORLD_IPV6},
	};
	struct identity_table *t;

	cr_assert_eq(identity_table_new(&t), 0);
	cr_assert_eq(identity_count(t), 10);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct identity *id = identity_get(t, want[i].number);
		struct buf out = {0};

		cr_assert(id);
		cr_assert_eq(label_set_print(identity_labels(t), id->labels, &out), 0);
		cr_assert_str_eq(out.data, want[i].labels);
		cr_assert_eq(id->flags, want[i].flags);
		buf_done(&out);
	}
	cr_assert_eq(identity_upsert(t, 2, labels(t, "k8s:a=b")), -EINVAL);
	cr_assert_eq(identity_upsert(t, 0, labels(t, "k8s:a=b")), -EINVAL);
	cr_assert_eq(identity_remove(t, 7), -EINVAL);
	cr_assert_null(identity_get(t, 0));
	identity_table_free(t);
}

Test(identity, changes_are_told_once)
{
	struct identity_table *t;
	const struct identity_change *v;

	cr_assert_eq(identity_table_new(&t), 0);
	identity_changes_clear(t);
	cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=b")), 0);
	cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=c")), 0);
	cr_assert_eq(identity_changes(t, &v), 1);
	cr_assert_eq(v[0].number, 300);
	identity_changes_clear(t);
	cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=c")), 0);
	cr_assert_eq(identity_changes(t, &v), 0, "equal labels are no change");
	identity_get(t, 300)->tag = 5;
	cr_assert_eq(identity_remove(t, 300), 0);
	cr_assert_eq(identity_remove(t, 300), -ENOENT);
	cr_assert_eq(identity_changes(t, &v), 1);
	cr_assert_eq(v[0].tag, 5);
	identity_table_free(t);
}

/* Nobody may look for long: what comes and goes meanwhile must not take memory each time. */
Test(identity, changes_have_an_end)
{
	const struct identity_change *v;
	struct identity_table *t;

	cr_assert_eq(identity_table_new(&t), 0);
	cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=b")), 0);
	identity_get(t, 300)->tag = 5;
	identity_changes_clear(t);
	for (unsigned i = 0; i < 1000; i++) {
		cr_assert_eq(identity_remove(t, 300), 0);
		cr_assert_eq(identity_changes(t, &v), 1);
		cr_assert_eq(v[0].tag, 5, "who was there is told to be gone");
		cr_assert_eq(identity_upsert(t, 301, labels(t, "k8s:a=d")), 0);
		cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=c")), 0);
		cr_assert_eq(identity_changes(t, &v), 3);
		cr_assert_eq(v[2].number, 300);
		cr_assert_eq(identity_remove(t, 301), 0);
		cr_assert_eq(identity_changes(t, &v), 2);
	}
	/* none is forgotten by it */
	cr_assert_eq(v[1].number, 300);
	identity_get(t, 300)->tag = 6;
	cr_assert_eq(identity_remove(t, 300), 0);
	cr_assert_eq(identity_changes(t, &v), 2);
	cr_assert_eq(v[1].tag, 6);
	identity_changes_clear(t);
	cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=b")), 0);
	cr_assert_eq(identity_changes(t, &v), 1);
	identity_table_free(t);
}

Test(identity, many_come_and_go)
{
	enum { N = 2000 };
	static bool is_there[N];
	struct identity_table *t;
	uint32_t x = 7, n = 10;

	cr_assert_eq(identity_table_new(&t), 0);
	for (unsigned step = 0; step < 40000; step++) {
		uint32_t i;
		char text[32];

		x = x * 1664525 + 1013904223;
		i = (x >> 8) % N;
		if (is_there[i]) {
			cr_assert_eq(identity_remove(t, 1000 + i * 64), 0);
			n--;
		} else {
			(void)snprintf(text, sizeof(text), "k8s:app=%u", i);
			cr_assert_eq(identity_upsert(t, 1000 + i * 64, labels(t, text)), 0);
			n++;
		}
		is_there[i] = !is_there[i];
	}
	cr_assert_eq(identity_count(t), n);
	for (uint32_t i = 0; i < N; i++) {
		const struct identity *id = identity_get(t, 1000 + i * 64);

		cr_assert_eq(id != NULL, is_there[i]);
		cr_assert(!id || id->number == 1000 + i * 64);
	}
	identity_table_free(t);
}

Test(identity, local_numbers_are_free_ones)
{
	struct identity_table *t;
	uint32_t a, b;

	cr_assert_eq(identity_table_new(&t), 0);
	cr_assert_eq(identity_local_number(t, IDENTITY_LOCAL_CIDR, &a), 0);
	cr_assert_eq(a, IDENTITY_LOCAL_CIDR + 1);
	cr_assert_eq(identity_upsert(t, a + 1, labels(t, "cidr:10.0.0.0/8")), 0);
	cr_assert_eq(identity_local_number(t, IDENTITY_LOCAL_CIDR, &b), 0);
	cr_assert_eq(b, a + 2);
	cr_assert_eq(identity_local_number(t, IDENTITY_LOCAL_NODE, &b), 0);
	cr_assert_eq(b, IDENTITY_LOCAL_NODE + 1);
	identity_table_free(t);
}

static int port_of(const struct identity_table *t, struct label_table *l, uint32_t number,
		   const char *name, uint8_t proto)
{
	return named_ports_find(identity_get(t, number)->ports,
				intern_find(label_table_strings(l), name, strlen(name)), proto);
}

Test(identity, named_ports_from_labels_and_endpoints)
{
	struct identity_table *t;
	struct label_table *l;
	struct named_port told[2];
	const struct identity_change *v;

	cr_assert_eq(identity_table_new(&t), 0);
	l = identity_labels(t);
	cr_assert_eq(identity_upsert(t, 300,
				     labels(t, "gen:io.cilium.k8s.named-ports=web.TCP.80_dns.UDP."
					       "53_dns.UDP.54_x.TCP.0_.TCP.1_y")),
		     0);
	cr_assert_eq(port_of(t, l, 300, "web", IPPROTO_TCP), 80);
	cr_assert_eq(port_of(t, l, 300, "web", IPPROTO_UDP), -1);
	cr_assert_eq(port_of(t, l, 300, "dns", IPPROTO_UDP), -1, "two numbers for one name");
	identity_changes_clear(t);
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		told[i] = (struct named_port){.proto = IPPROTO_TCP, .port = (uint16_t)(90 + i)};
		cr_assert_eq(intern_get(label_table_strings(l), i ? "web" : "admin", i ? 3 : 5,
					&told[i].name),
			     0);
	}
	cr_assert_eq(identity_set_named_ports(t, 300, told, 2), 0);
	cr_assert_eq(port_of(t, l, 300, "admin", IPPROTO_TCP), 90);
	cr_assert_eq(port_of(t, l, 300, "web", IPPROTO_TCP), -1, "labels and endpoints disagree");
	cr_assert_eq(identity_changes(t, &v), 1);
	identity_changes_clear(t);
	cr_assert_eq(identity_set_named_ports(t, 300, told, 2), 0);
	cr_assert_eq(identity_changes(t, &v), 0);
	cr_assert_eq(identity_upsert(t, 300, labels(t, "k8s:a=b")), 0);
	cr_assert_eq(port_of(t, l, 300, "web", IPPROTO_TCP), 91);
	cr_assert_eq(identity_set_named_ports(t, 300, NULL, 0), 0);
	cr_assert_null(identity_get(t, 300)->ports);
	cr_assert_eq(identity_set_named_ports(t, 301, told, 1), -ENOENT);
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		intern_put(label_table_strings(l), told[i].name);
	identity_table_free(t);
}

Test(selector, equal_ones_are_one)
{
	const char *ab[] = {"a", "b"}, *ba[] = {"b", "a", "b"};
	struct identity_table *t;
	struct selector_cache *c;
	struct selector *s[3];
	uint32_t first;

	cr_assert_eq(identity_table_new(&t), 0);
	cr_assert_eq(selector_cache_new(identity_labels(t), 0, true, false, &c), 0);
	for (size_t i = 0; i < 2; i++) {
		struct selector_builder b = {.cache = c};

		cr_assert_eq(selector_builder_add(&b, LABEL_ANY, i ? "x" : "y", SELECTOR_EXISTS,
						  NULL, 0),
			     0);
		cr_assert_eq(selector_builder_add(&b, LABEL_K8S, "k", SELECTOR_IN, i ? ab : ba,
						  i ? 2 : 3),
			     0);
		cr_assert_eq(selector_builder_add(&b, LABEL_ANY, i ? "y" : "x", SELECTOR_EXISTS,
						  NULL, 0),
			     0);
		cr_assert_eq(selector_builder_take(&b, &s[i]), 0);
	}
	cr_assert_eq(s[0], s[1]);
	cr_assert_eq(s[0]->refs, 2);
	first = s[0]->number;
	selector_put(c, s[0]);
	selector_put(c, s[1]);
	{
		struct selector_builder b = {.cache = c};

		cr_assert_eq(selector_builder_add(&b, LABEL_ANY, "z", SELECTOR_EXISTS, ab, 1),
			     -EINVAL);
		cr_assert_eq(selector_builder_add(&b, LABEL_ANY, "z", SELECTOR_IN, NULL, 0),
			     -EINVAL);
		cr_assert_eq(selector_builder_add(&b, LABEL_ANY, "z", SELECTOR_NOT_EXISTS, NULL, 0),
			     0);
		cr_assert_eq(selector_builder_take(&b, &s[2]), 0);
	}
	cr_assert_gt(s[2]->number, first, "numbers are never used again");
	selector_put(c, s[2]);
	selector_cache_free(c);
	identity_table_free(t);
}

Test(selector, sources)
{
	static const struct {
		uint8_t source;
		const char *label;
		bool want;
	} cases[] = {
		{LABEL_ANY, "k8s:k=v", true},	     {LABEL_ANY, "unspec:k=v", true},
		{LABEL_K8S, "k8s:k=v", true},	     {LABEL_K8S, "unspec:k=v", false},
		{LABEL_CONTAINER, "k8s:k=v", false}, {LABEL_ANY, "k8s:k=w", false},
		{LABEL_ANY, "k8s:other=v", false},
	};
	const char *v = "v";
	struct identity_table *t;
	struct selector_cache *c;

	cr_assert_eq(identity_table_new(&t), 0);
	cr_assert_eq(selector_cache_new(identity_labels(t), 0, true, false, &c), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct selector_builder b = {.cache = c};
		struct label_set *set = labels(t, cases[i].label);
		struct selector *s;

		cr_assert_eq(selector_builder_add(&b, cases[i].source, "k", SELECTOR_IN, &v, 1), 0);
		cr_assert_eq(selector_builder_take(&b, &s), 0);
		cr_expect_eq(selector_match(c, s, set, 0), cases[i].want, "%zu", i);
		selector_put(c, s);
		label_set_free(identity_labels(t), set);
	}
	selector_cache_free(c);
	identity_table_free(t);
}
