/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an identity is that of this host, and says of its namespace what is so now. */
#include <criterion/criterion.h>

#include "agentd/own_labels.h"
#include "base/macro.h"
#include "json/json.h"

static struct label_table *table;

static void setup(void)
{
	cr_assert_eq(label_table_new(&table), 0);
}

static void teardown(void)
{
	label_table_free(table);
}

/* Of labels separated by blanks */
static struct label_set *set_of(const char *text)
{
	struct label_builder b = {.table = table};
	char copy[512], *rest = copy, *one;
	struct label_set *set;

	cr_assert_lt(snprintf(copy, sizeof(copy), "%s", text), (int)sizeof(copy));
	while ((one = strsep(&rest, " ")))
		cr_assert_eq(label_builder_add_text(&b, one), 0, "%s", one);
	cr_assert_eq(label_builder_take(&b, &set), 0);
	return set;
}

#define IN_LEGACY "k8s:io.kubernetes.pod.namespace=legacy"

Test(own_labels, are_those_enrolled, .init = setup, .fini = teardown)
{
	static const struct {
		const char *identity, *enrolled;
		bool are;
	} cases[] = {
		{"k8s:jedi=luke k8s:io.cilium.k8s.policy.cluster=default " IN_LEGACY, "{\"jedi\":\"luke\"}", true},
		{"k8s:jedi=luke k8s:flag " IN_LEGACY, "{\"jedi\":\"luke\",\"flag\":\"\"}", true},
		{"k8s:jedi=luke " IN_LEGACY, "null", true},
		{"k8s:jedi=leia " IN_LEGACY, "{\"jedi\":\"luke\"}", false},
		{"k8s:org=empire " IN_LEGACY, "{\"jedi\":\"luke\"}", false},
		{"mesh:jedi=luke " IN_LEGACY, "{\"jedi\":\"luke\"}", false},
		{"k8s:jedi=luke k8s:io.kubernetes.pod.namespace=default", "{\"jedi\":\"luke\"}", false},
		{"k8s:jedi=luke", "{\"jedi\":\"luke\"}", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *enrolled = json_loads(cases[i].enrolled, JSON_DECODE_ANY, NULL);
		struct label_set *set = set_of(cases[i].identity);

		cr_assert(enrolled);
		cr_expect_eq(own_labels_are_enrolled(table, set, enrolled, "legacy"), cases[i].are, "%s", cases[i].identity);
		label_set_free(table, set);
	}
}

static int outdated(const struct label_set *own, const json_t *labels, struct buf *out)
{
	CLEANUP(doc_free) struct doc *doc = doc_from_json(labels);

	return own_labels_outdated(table, own, doc, out);
}

#define OF "k8s:io.cilium.k8s.namespace.labels."

Test(own_labels, of_another_day, .init = setup, .fini = teardown)
{
	static const struct {
		const char *identity, *namespace, *text;
	} cases[] = {
		{IN_LEGACY " " OF "team=blue " OF "kubernetes.io/metadata.name=legacy",
		 "{\"team\":\"blue\",\"kubernetes.io/metadata.name\":\"legacy\"}", ""},
		{IN_LEGACY, "null", ""},
		{IN_LEGACY " " OF "team=blue", "{\"team\":\"red\"}", "team=red, before team=blue"},
		{IN_LEGACY, "{\"team\":\"red\"}", "team=red, before none"},
		{IN_LEGACY " " OF "team=blue", "{}", "none, before team=blue"},
		{IN_LEGACY " " OF "team=blue", "null", "none, before team=blue"},
		{"k8s:team=red " IN_LEGACY, "{\"team\":\"red\"}", "team=red, before none"}, /* a label of its own is another */
		{OF "a=1 " OF "b=2", "{\"a\":\"2\"}", "a=2, before a=1; none, before b=2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *labels = json_loads(cases[i].namespace, JSON_DECODE_ANY, NULL);
		CLEANUP(buf_done) struct buf text = {0};
		struct label_set *set = set_of(cases[i].identity);

		cr_assert(labels);
		cr_assert_eq(outdated(set, labels, &text), 0);
		cr_expect_str_eq(text.data ? text.data : "", cases[i].text, "%zu", i);
		label_set_free(table, set);
	}
}

/* Thousands of labels are no text for a person. */
Test(own_labels, are_told_in_short, .init = setup, .fini = teardown)
{
	CLEANUP(json_decref) json_t *labels = json_object();
	CLEANUP(buf_done) struct buf text = {0};
	struct label_set *set = set_of(IN_LEGACY);
	char key[16];

	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(key, sizeof(key), "l%u", i);
		cr_assert_eq(json_object_set_new(labels, key, json_string("x")), 0);
	}
	cr_assert_eq(outdated(set, labels, &text), 0);
	cr_expect_gt(text.len, 100);
	cr_expect_lt(text.len, 1000);
	label_set_free(table, set);
}
