/* SPDX-License-Identifier: Apache-2.0 */
/* How many classes there are, who is in which, and whom an earlier policy knows nothing of. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/macro.h"
#include "fixture.h"
#include "json/json.h"
#include "lib/json_objects.h"

#define ALLOW_80 "{'endpointSelector':{},'ingress':[{'toPorts':[{'ports':[{'port':'80','protocol':'TCP'}]}]}]}"

enum { LIST = 16384, POD = 1000 };

static int set(struct fixture *f, enum policy_kind kind, json_t *obj)
{
	struct err err = {0};
	int r = json_policy_set(f->repo, kind, obj, &err);

	json_decref(obj);
	return r;
}

/* "`first`.0.0.0/32" and the `n` - 1 after it. */
static json_t *prefixes(unsigned first, unsigned n)
{
	json_t *list = json_array();
	char text[32];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(text, sizeof(text), "%u.%u.%u.%u/32", first, i >> 16, i >> 8 & 255, i & 255);
		cr_assert_eq(json_array_append_new(list, json_string(text)), 0);
	}
	return list;
}

/* A rule with every prefix of a list, in each direction. */
static void set_lists(struct fixture *f, unsigned n)
{
	json_t *spec = json_pack("{s:{}, s:[{s:o}], s:[{s:o}]}", "endpointSelector", "ingressDeny", "fromCIDR", prefixes(10, n),
				 "egressDeny", "toCIDR", prefixes(11, n));

	cr_assert_eq(set(f, POLICY_CNP, fixture_object("ext", "lists", spec)), 1);
	json_decref(spec);
}

static void set_text(struct fixture *f, const char *name, const char *spec_text)
{
	json_t *spec = fixture_json(spec_text);

	cr_assert_eq(set(f, POLICY_CNP, fixture_object("ext", name, spec)), 1);
	json_decref(spec);
}

/* Of a table whose last state is in force. */
static int update(struct fixture *f)
{
	policy_table_taken(f->table);
	return policy_table_update(f->table);
}

static unsigned count_classes(const struct fixture *f)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < policy_table_class_limit(f->table); i++)
		n += policy_table_class(f->table, i) && policy_table_class(f->table, i)->n_identities;
	return n;
}

static size_t count_changed(const struct fixture *f)
{
	const uint32_t *v;

	return policy_table_changed(f->table, &v);
}

static uint8_t verdict(struct fixture *f, const char *peer, enum policy_dir dir, uint16_t port)
{
	const struct fixture_peer p = fixture_peer(peer);

	return fixture_table_verdict(f, &p, dir, IPPROTO_TCP, port).action;
}

static void add_pod(struct fixture *f, uint32_t number, const char *app)
{
	char label[64];
	const char *texts[] = {label, "k8s:io.kubernetes.pod.namespace=ext", "k8s:io.cilium.k8s.policy.cluster=c1"};

	(void)snprintf(label, sizeof(label), "k8s:app=%s", app);
	cr_assert_eq(identity_upsert(f->ids, number, fixture_labels(f, texts, ARRAY_LEN(texts))), 0);
}

Test(class, a_long_list_is_one)
{
	struct fixture f;
	const struct policy_prefix *p;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	set_lists(&f, LIST);
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(policy_table_prefixes(f.table, &p), 2 * LIST);
	cr_expect_eq(count_classes(&f), 3, "those of each list, and all others; not %u", count_classes(&f));
	cr_expect_leq(policy_table_class_limit(f.table), 4);
	cr_expect_eq(verdict(&f, "ip 10.0.63.255", POLICY_INGRESS, 80), POLICY_DENY_RULE);
	cr_expect_eq(verdict(&f, "ip 10.0.64.0", POLICY_INGRESS, 80), POLICY_DENY_DEFAULT);
	cr_expect_eq(verdict(&f, "ip 11.0.0.0", POLICY_EGRESS, 80), POLICY_DENY_RULE);
	cr_expect_eq(verdict(&f, "ip 11.0.0.0", POLICY_INGRESS, 80), POLICY_DENY_DEFAULT);

	/* for every peer: other rows for all, and the same numbers */
	set_text(&f, "all", ALLOW_80);
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(count_changed(&f), 0);
	cr_expect_eq(count_classes(&f), 3);
	cr_expect_eq(verdict(&f, "ip 11.0.0.0", POLICY_INGRESS, 80), POLICY_ALLOW);
	cr_expect_eq(verdict(&f, "ip 10.0.0.0", POLICY_INGRESS, 80), POLICY_DENY_RULE);

	/* more for one of the lists */
	set_text(&f, "some", "{'endpointSelector':{},'ingress':[{'fromCIDR':['11.0.0.0/8'],'toPorts':[{'ports':[{'port':'81'}]}]}]}");
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(count_classes(&f), 4);
	cr_expect_eq(verdict(&f, "ip 11.0.0.0", POLICY_INGRESS, 81), POLICY_ALLOW);
	fixture_done(&f);
}

/* One of a list comes to something of its own, and goes back. */
Test(class, who_is_told_apart_leaves_and_returns)
{
	struct fixture f;
	uint32_t with_others;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	add_pod(&f, POD, "x");
	add_pod(&f, POD + 1, "y");
	add_pod(&f, POD + 2, "z");
	set_text(&f, "xyz", "{'endpointSelector':{},'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'x'}},"
			    "{'matchLabels':{'app':'y'}},{'matchLabels':{'app':'z'}}]}]}");
	cr_assert_eq(update(&f), 1);
	with_others = policy_class_of(f.table, POD);
	cr_expect_neq(with_others, 0);
	cr_expect_eq(policy_class_of(f.table, POD + 1), with_others);
	cr_expect_eq(policy_class_of(f.table, POD + 2), with_others);

	set_text(&f, "y", "{'endpointSelector':{},'ingressDeny':[{'fromEndpoints':[{'matchLabels':{'app':'y'}}]}]}");
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(count_changed(&f), 1);
	cr_expect_eq(policy_class_of(f.table, POD), with_others);
	cr_expect_neq(policy_class_of(f.table, POD + 1), with_others);
	cr_expect_eq(policy_class_of(f.table, POD + 2), with_others);

	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "y"), 1);
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(count_changed(&f), 1);
	for (uint32_t i = 0; i < 3; i++)
		cr_expect_eq(policy_class_of(f.table, POD + i), with_others);
	fixture_done(&f);
}

/* Class 0 is that of peers that nobody knows: it is theirs, whatever it comes to. */
Test(class, nobody_in_particular)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	add_pod(&f, POD, "x");
	add_pod(&f, POD + 1, "y");
	set_text(&f, "a", ALLOW_80);
	set_text(&f, "b", "{'endpointSelector':{},'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'x'}}],"
			  "'toPorts':[{'ports':[{'port':'80','protocol':'TCP'}]}]}]}");
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(policy_class_of(f.table, POD), 0, "the first rule allows all that the second one does");
	cr_expect_eq(count_classes(&f), 1);

	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "a"), 1);
	cr_assert_eq(update(&f), 1);
	cr_expect_neq(policy_class_of(f.table, POD), 0);
	cr_expect_eq(policy_class_of(f.table, POD + 1), 0);
	cr_expect_eq(policy_class_of(f.table, 99999), 0);

	/* all come to what only some did */
	cr_expect_eq(verdict(&f, "unknown", POLICY_INGRESS, 80), POLICY_DENY_DEFAULT);
	set_text(&f, "a", ALLOW_80);
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(verdict(&f, "unknown", POLICY_INGRESS, 80), POLICY_ALLOW);
	cr_expect_eq(policy_table_class(f.table, 0)->number, 0);
	fixture_done(&f);
}

static bool is_stranger(const struct fixture *f, uint32_t identity)
{
	const struct u32map *strangers = policy_table_strangers(f->table);
	uint64_t ignored;

	cr_assert(strangers);
	return u32map_get(strangers, identity, &ignored);
}

Test(class, strangers)
{
	struct named_port port = {.proto = IPPROTO_TCP, .port = 8080};
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	add_pod(&f, POD, "x");
	add_pod(&f, POD + 1, "y");
	set_text(&f, "a", "{'endpointSelector':{},'ingressDeny':[{'fromEndpoints':[{'matchExpressions':"
			  "[{'key':'app','operator':'Exists'}]}]}]}");
	cr_assert_eq(update(&f), 1);
	cr_expect(is_stranger(&f, POD));

	add_pod(&f, POD + 2, "z");
	cr_assert_eq(intern_get(label_table_strings(identity_labels(f.ids)), "http", 4, &port.name), 0);
	cr_assert_eq(identity_set_named_ports(f.ids, POD, &port, 1), 0);
	intern_put(label_table_strings(identity_labels(f.ids)), port.name);
	cr_assert_geq(update(&f), 0);
	cr_expect(is_stranger(&f, POD + 2));
	cr_expect(!is_stranger(&f, POD), "it has another port, and is who it was");
	cr_expect(!is_stranger(&f, POD + 1));

	add_pod(&f, POD, "w");
	cr_assert_eq(identity_remove(f.ids, POD + 1), 0);
	cr_assert_geq(update(&f), 0);
	cr_expect(is_stranger(&f, POD), "other labels");
	cr_expect(is_stranger(&f, POD + 1), "gone");
	cr_expect(!is_stranger(&f, POD + 2));

	/* while it is not taken, they stay; who is as those that no rule is about is known at once */
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_expect(is_stranger(&f, POD) && is_stranger(&f, POD + 1));
	add_pod(&f, POD + 3, "x");
	set_text(&f, "a", "{'endpointSelector':{},'ingressDeny':[{'fromEndpoints':[{'matchLabels':{'app':'w'}}]}]}");
	cr_assert_eq(update(&f), 1);
	add_pod(&f, POD + 4, "z");
	cr_assert_eq(update(&f), 0);
	cr_expect(!is_stranger(&f, POD + 4));

	/* no address has the identity of a prefix, but by the prefix */
	set_lists(&f, 4);
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(policy_table_strangers(f.table)->n, 0);
	fixture_done(&f);
}

Test(class, an_address_told_apart_is_a_stranger)
{
	static const char *const one[] = {"node:zone=one", "k8s:io.cilium.k8s.policy.cluster=c1"};
	struct policy_options o = policy_options_default();
	struct fixture_peer n = fixture_peer("N");
	struct label_set *more;
	struct fixture f;
	uint32_t own;

	o.has_node_selector_labels = true;
	fixture_init(&f, &o, NULL, NULL, NULL);
	set_text(&f, "a", "{'endpointSelector':{},'egress':[{'toNodes':[{'matchLabels':{'zone':'one'}}]}]}");
	cr_assert_geq(update(&f), 0);
	more = fixture_labels(&f, one, ARRAY_LEN(one));
	cr_assert_eq(policy_table_overlay(f.table, n.identity, &n.ip, more, &own), 0);
	cr_expect(is_stranger(&f, own), "from the moment that an address has it");
	cr_assert_geq(update(&f), 0);
	cr_assert_eq(policy_table_overlay(f.table, n.identity, &n.ip, more, &own), 0);
	cr_expect(!is_stranger(&f, own), "it was taken");
	label_set_free(identity_labels(f.ids), more);
	fixture_done(&f);
}

/* They are refused, but not what comes beside them. */
Test(class, more_prefixes_than_there_may_be)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	set_lists(&f, LIMIT_PREFIXES / 2);
	cr_assert_eq(update(&f), 1);
	set_text(&f, "one", "{'endpointSelector':{},'ingress':[{'fromCIDR':['12.0.0.0/8']}]}");
	cr_assert_eq(update(&f), -EFBIG);
	add_pod(&f, POD, "x");
	cr_assert_eq(update(&f), -EFBIG);
	cr_expect(is_stranger(&f, POD));
	cr_assert_eq(policy_table_update(f.table), -EFBIG);
	cr_expect(is_stranger(&f, POD));
	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "one"), 1);
	cr_assert_eq(update(&f), 1);
	cr_expect_eq(count_classes(&f), 3);
	cr_expect_eq(verdict(&f, "ip 10.0.0.0", POLICY_INGRESS, 80), POLICY_DENY_RULE);
	cr_expect_eq(verdict(&f, "ip 12.0.0.0", POLICY_INGRESS, 80), POLICY_DENY_DEFAULT);
	fixture_done(&f);
}
