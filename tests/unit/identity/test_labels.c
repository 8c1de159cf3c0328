/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/macro.h"
#include "identity/labels.h"

Test(intern, numbers_stay_while_referenced)
{
	struct intern *t;
	uint32_t a, b, c;

	cr_assert_eq(intern_new(&t), 0);
	cr_assert_eq(intern_get(t, "one", 3, &a), 0);
	cr_assert_eq(intern_get(t, "onetwo", 3, &b), 0);
	cr_assert_eq(a, b);
	cr_assert_eq(intern_get(t, "two", 3, &c), 0);
	cr_assert_neq(a, c);
	intern_put(t, a);
	cr_assert_str_eq(intern_str(t, a), "one");
	cr_assert_eq(intern_find(t, "one", 3), a);
	intern_put(t, a);
	cr_assert_eq(intern_find(t, "one", 3), UINT32_MAX);
	cr_assert_eq(intern_find(t, "two", 3), c);
	cr_assert_eq(intern_count(t), 1);
	cr_assert_eq(intern_find(t, "", 0), 0);
	intern_free(t);
}

/* Random gets and puts against a plain array of counts. */
Test(intern, many_strings_come_and_go)
{
	enum { N = 3000 };
	static uint32_t numbers[N], refs[N];
	struct intern *t;
	uint32_t x = 1, live = 0;
	char s[16];

	cr_assert_eq(intern_new(&t), 0);
	for (unsigned step = 0; step < 60000; step++) {
		unsigned i;

		x = x * 1664525 + 1013904223;
		i = (x >> 8) % N;
		(void)snprintf(s, sizeof(s), "s%u", i);
		if (refs[i] && (x >> 30)) {
			intern_put(t, numbers[i]);
			live -= --refs[i] == 0;
		} else {
			cr_assert_eq(intern_get(t, s, strlen(s), &numbers[i]), 0);
			live += refs[i]++ == 0;
		}
		cr_assert_eq(intern_find(t, s, strlen(s)), refs[i] ? numbers[i] : UINT32_MAX);
	}
	cr_assert_eq(intern_count(t), live);
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(s, sizeof(s), "s%u", i);
		if (refs[i])
			cr_assert_str_eq(intern_str(t, numbers[i]), s);
	}
	intern_free(t);
}

Test(labels, a_key_is_there_once)
{
	struct label_table *t;
	struct label_builder b;
	struct label_set *set;
	struct buf out = {0};

	cr_assert_eq(label_table_new(&t), 0);
	b = (struct label_builder){.table = t};
	cr_assert_eq(label_builder_add(&b, "k8s:app", "a"), 0);
	cr_assert_eq(label_builder_add_text(&b, "unspec:app=b=c"), 0);
	cr_assert_eq(label_builder_add_text(&b, "reserved:world"), 0);
	cr_assert_eq(label_builder_add_text(&b, "plain=1"), 0);
	cr_assert_eq(label_builder_take(&b, &set), 0);
	cr_assert_eq(set->n, 3);
	cr_assert_str_eq(label_set_get(t, set, LABEL_ANY, "app"), "b=c");
	cr_assert_null(label_set_get(t, set, LABEL_K8S, "app"));
	cr_assert_null(label_set_get(t, set, LABEL_ANY, "missing"));
	cr_assert_eq(label_set_print(t, set, &out), 0);
	cr_assert_str_eq(out.data, "reserved:world,unspec:app=b=c,unspec:plain=1");
	label_set_free(t, set);
	cr_assert_eq(intern_count(label_table_strings(t)), 0);
	buf_done(&out);
	label_table_free(t);
}

/* A pod that has thousands of labels is known by each of them. */
Test(labels, many_in_one_set)
{
	enum { MANY = 20000 };
	struct label_table *t;
	struct label_builder b;
	struct label_set *set;
	char text[32];

	cr_assert_eq(label_table_new(&t), 0);
	b = (struct label_builder){.table = t};
	for (unsigned i = 0; i < 2 * MANY; i++) { /* each twice: the last one counts */
		(void)snprintf(text, sizeof(text), "k8s:k%u=%u", i % MANY, i / MANY);
		cr_assert_eq(label_builder_add_text(&b, text), 0);
	}
	cr_assert_eq(label_builder_take(&b, &set), 0);
	cr_assert_eq(set->n, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "k%u", i);
		cr_assert_str_eq(label_set_get(t, set, LABEL_K8S, text), "1");
		cr_assert(i == 0 || set->v[i - 1].key < set->v[i].key);
	}
	label_set_free(t, set);
	cr_assert_eq(intern_count(label_table_strings(t)), 0);
	label_table_free(t);
}

Test(labels, what_is_refused)
{
	static char key[LIMIT_LABEL_KEY + 2], value[300];
	struct label_table *t;
	struct label_builder b;
	char text[16];

	cr_assert_eq(label_table_new(&t), 0);
	b = (struct label_builder){.table = t};
	memset(key, 'k', LIMIT_LABEL_KEY + 1);
	memset(value, 'v', sizeof(value) - 1);
	cr_assert_eq(label_builder_add(&b, "k8s:", "a"), -EINVAL);
	cr_assert_eq(label_builder_add(&b, "", "a"), -EINVAL);
	cr_assert_eq(label_builder_add(&b, "a-b:c", "a"), -EINVAL);
	cr_assert_eq(label_builder_add(&b, ":c", "a"), -EINVAL);
	cr_assert_eq(label_builder_add(&b, key, "a"), -E2BIG);
	cr_assert_eq(label_builder_add(&b, "k", value), -E2BIG);
	for (unsigned i = 0; i < LIMIT_LABEL_SET; i++) {
		(void)snprintf(text, sizeof(text), "k%u", i);
		cr_assert_eq(label_builder_add(&b, text, "v"), 0);
	}
	cr_assert_eq(label_builder_add(&b, "one-more", "v"), -E2BIG);
	for (unsigned i = 0; i < 300; i++) {
		uint8_t source;

		(void)snprintf(text, sizeof(text), "s%u", i);
		if (label_source_get(t, text, strlen(text), &source) == -ENOSPC)
			break;
		cr_assert_lt(i, LABEL_SOURCES);
	}
	label_builder_done(&b);
	label_table_free(t);
}

Test(labels, prefixes_as_keys)
{
	static const struct {
		const char *cidr, *key;
	} cases[] = {{"10.1.0.0/16", "10.1.0.0/16"},
		     {"2001:db8::/32", "2001-db8--0/32"},
		     {"::1/128", "0--1/128"},
		     {"::/0", "0--0/0"},
		     {"2001:db8::1/128", "2001-db8--1/128"}};
	struct label_table *t;

	cr_assert_eq(label_table_new(&t), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct label_builder b = {.table = t};
		struct label_set *set;
		struct cidr c, back;

		cr_assert_eq(cidr_parse(cases[i].cidr, false, &c), 0);
		cr_assert_eq(label_builder_add_cidr(&b, &c), 0);
		cr_assert_eq(label_builder_take(&b, &set), 0);
		cr_assert(label_set_get(t, set, LABEL_CIDR, cases[i].key), "%s", cases[i].key);
		cr_assert(set->has_cidr);
		cr_assert_eq(cidr_cmp(&set->cidr, &c), 0);
		cr_assert_eq(label_cidr_parse(cases[i].key, &back), 0);
		cr_assert_eq(cidr_cmp(&back, &c), 0);
		label_set_free(t, set);
	}
	label_table_free(t);
}
