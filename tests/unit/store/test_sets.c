/* SPDX-License-Identifier: Apache-2.0 */
/* key_set and node_table. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/rng.h"
#include "json/json.h"
#include "store/key_set.h"
#include "store/node_table.h"
#include "../../lib/json_objects.h"

enum { KEYS = 60 };

struct gone {
	bool is_told[KEYS];
};

static void on_gone(const char *ns, const char *name, void *arg)
{
	struct gone *g = arg;
	unsigned i;

	cr_assert_eq(sscanf(name, "k%u", &i), 1);
	cr_assert_str_eq(ns, i % 2 ? "" : "ns");
	cr_assert_not(g->is_told[i]);
	g->is_told[i] = true;
}

Test(key_set, agrees_with_a_simple_model)
{
	struct key_set *s;
	bool have[KEYS] = {false};

	cr_assert_eq(key_set_new(&s), 0);
	for (int step = 0; step < 3000; step++) {
		unsigned i = rng_below(KEYS), n = 0;
		bool is_list = rng_below(50) == 0, seen[KEYS] = {false};
		struct gone gone = {{false}};
		char name[16];

		if (is_list)
			key_set_replace_begin(s);
		for (unsigned k = 0; k < (is_list ? KEYS / 2 : 1); k++) {
			i = rng_below(KEYS);
			(void)snprintf(name, sizeof(name), "k%u", i);
			if (is_list || rng_below(2)) {
				cr_assert_eq(key_set_add(s, i % 2 ? "" : "ns", name), 0);
				have[i] = seen[i] = true;
			} else {
				key_set_remove(s, i % 2 ? "" : "ns", name);
				have[i] = false;
			}
		}
		if (is_list)
			key_set_replace_end(s, on_gone, &gone);
		for (unsigned k = 0; k < KEYS; k++) {
			if (is_list)
				cr_assert_eq(gone.is_told[k], have[k] && !seen[k]);
			if (is_list && !seen[k])
				have[k] = false;
			n += have[k];
		}
		cr_assert_eq(key_set_count(s), n);
	}
	key_set_free(s);
}

Test(key_set, names_too_long)
{
	struct key_set *s;
	char big[600];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cr_assert_eq(key_set_new(&s), 0);
	cr_expect_eq(key_set_add(s, "", big), -EINVAL);
	key_set_remove(s, "", big);
	cr_expect_eq(key_set_count(s), 0);
	key_set_free(s);
}

/* What a server can make us remember has an end; known names are known all the same. */
Test(key_set, is_bounded)
{
	struct key_set *s;
	char name[16];

	cr_assert_eq(key_set_new(&s), 0);
	for (unsigned i = 0; i < LIMIT_KEYS; i++) {
		(void)snprintf(name, sizeof(name), "k%u", i);
		cr_assert_eq(key_set_add(s, "ns", name), 0);
	}
	cr_expect_eq(key_set_add(s, "ns", "late"), -ENOSPC);
	cr_expect_eq(key_set_add(s, "ns", "k0"), 0);
	cr_expect_eq(key_set_count(s), LIMIT_KEYS);
	key_set_remove(s, "ns", "k0");
	cr_expect_eq(key_set_add(s, "ns", "late"), 0);
	key_set_free(s);
}

static struct {
	uint32_t number;
	bool had, has;
	unsigned calls;
} last;

static void on_node(uint32_t number, const struct kube_node *old, const struct kube_node *now, void *arg)
{
	(void)arg;
	if (old && now)
		cr_expect_str_eq(old->name, now->name);
	last.number = number;
	last.had = old != NULL;
	last.has = now != NULL;
	last.calls++;
}

static struct kube_node *node(const char *name, const char *ip)
{
	char text[256];
	struct kube_node *n = NULL;

	(void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\"},\"spec\":{\"addresses\":[{\"type\":"
					   "\"InternalIP\",\"ip\":\"%s\"}]}}", name, ip);
	CLEANUP(json_decref) json_t *v = json_parse(text, strlen(text));
	cr_assert_eq(json_node_decode(v, &n, NULL), 0);
	return n;
}

Test(node_table, tells_changes)
{
	struct node_table *t;
	uint32_t first;

	cr_assert_eq(node_table_new(on_node, NULL, &t), 0);
	cr_assert_eq(node_table_set(t, node("a", "10.0.0.1")), 0);
	cr_expect(last.calls == 1 && !last.had && last.has);
	first = last.number;
	cr_expect_neq(first, 0);
	cr_assert_eq(node_table_set(t, node("a", "10.0.0.1")), 0);
	cr_expect_eq(last.calls, 1, "the same again");
	cr_assert_eq(node_table_set(t, node("a", "10.0.0.2")), 0);
	cr_expect(last.calls == 2 && last.had && last.has && last.number == first);
	cr_expect_str_eq(node_table_find(t, "a")->name, "a", "found under the name of the new object");
	cr_assert_eq(node_table_set(t, node("b", "10.0.0.3")), 0);
	cr_expect_neq(last.number, first);
	node_table_replace_begin(t);
	cr_assert_eq(node_table_set(t, node("a", "10.0.0.2")), 0);
	node_table_replace_end(t);
	cr_expect(last.calls == 4 && last.had && !last.has);
	cr_expect_null(node_table_find(t, "b"));
	cr_expect_eq(node_table_count(t), 1);
	node_table_remove(t, "zz");
	node_table_remove(t, "a");
	cr_expect(last.calls == 5 && last.number == first && !last.has);
	cr_assert_eq(node_table_set(t, node("a", "10.0.0.1")), 0);
	cr_expect_neq(last.number, first, "a new node has a number of its own");
	node_table_free(t);
}
