/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "fixture.h"
#include "identity/selector.h"
#include "json/json.h"
#include "random_set.h"
#include "lib/json_objects.h"

static int set(struct fixture *f, enum policy_kind kind, const char *text)
{
	json_t *obj = fixture_json(text);
	struct err err = {0};
	int r = json_policy_set(f->repo, kind, obj, &err);

	json_decref(obj);
	return r;
}

#define ALLOW_A                                                                                    \
	"{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},"                \
	"'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'a'}}]}]}}"

static void add_pod(struct fixture *f, uint32_t number, const char *app)
{
	char label[64];
	const char *texts[] = {label, "k8s:io.kubernetes.pod.namespace=ext",
			       "k8s:io.cilium.k8s.policy.cluster=c1"};

	(void)snprintf(label, sizeof(label), "k8s:app=%s", app);
	cr_assert_eq(identity_upsert(f->ids, number, fixture_labels(f, texts, ARRAY_LEN(texts))),
		     0);
}

Test(table, identities_that_no_rule_tells_apart_share_a_class)
{
	struct fixture f;
	uint32_t limit;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	add_pod(&f, 1000, "a");
	add_pod(&f, 1001, "x");
	add_pod(&f, 1002, "y");
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_class_of(f.table, 1001), 0);
	cr_assert_eq(policy_class_of(f.table, 1002), 0);
	cr_assert_eq(policy_class_of(f.table, 1000), policy_class_of(f.table, 300));
	cr_assert_neq(policy_class_of(f.table, 1000), 0);
	limit = policy_table_class_limit(f.table);
	cr_assert_eq(limit, 2);
	policy_table_taken(f.table);
	cr_assert_eq(policy_table_update(f.table), 0, "nothing changed");
	add_pod(&f, 1003, "a");
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_class_of(f.table, 1003), policy_class_of(f.table, 1000));
	cr_assert_eq(policy_table_class_limit(f.table), limit);
	cr_assert(fixture_has_changed(&f, 1003));
	cr_assert(!fixture_has_changed(&f, 1000));
	fixture_done(&f);
}

Test(table, a_changed_identity_changes_its_class)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	add_pod(&f, 1000, "x");
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_class_of(f.table, 1000), 0);
	policy_table_taken(f.table);
	add_pod(&f, 1000, "a");
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_neq(policy_class_of(f.table, 1000), 0);
	cr_assert(fixture_has_changed(&f, 1000));
	policy_table_taken(f.table);
	cr_assert_eq(identity_remove(f.ids, 1000), 0);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_class_of(f.table, 1000), 0);
	cr_assert(fixture_has_changed(&f, 1000));
	fixture_done(&f);
}

/* Whoever puts the table in force may fail before it gets there: it must hear of all that changed since it last did. */
Test(table, changes_stay_until_they_are_taken)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	add_pod(&f, 1000, "a");
	add_pod(&f, 1001, "a");
	cr_assert_eq(policy_table_update(f.table), 1);
	policy_table_taken(f.table);
	cr_assert(!fixture_has_changed(&f, 1000));
	add_pod(&f, 1000, "x");
	cr_assert_eq(identity_remove(f.ids, 1001), 0);
	cr_assert_eq(policy_table_update(f.table), 1);
	add_pod(&f, 1002, "x");
	cr_assert_eq(policy_table_update(f.table), 1, "that of before is still owed");
	cr_assert(fixture_has_changed(&f, 1000));
	cr_assert(fixture_has_changed(&f, 1001));
	policy_table_taken(f.table);
	cr_assert_eq(policy_table_update(f.table), 0);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'c','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'ingressDeny':[{'toPorts':[{'ports':[{'port':'22','protocol':'TCP'}]}]}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_table_update(f.table), 1, "rows are owed like classes");
	fixture_done(&f);
}

/* One that comes and goes while nobody takes the changes must not take memory each time. */
Test(table, changes_that_nobody_takes_have_an_end)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	for (unsigned i = 0; i < 1000; i++) {
		const uint32_t *changed;

		add_pod(&f, 1000, i % 2 ? "a" : "x");
		cr_assert_eq(policy_table_update(f.table), 1);
		cr_assert_leq(policy_table_changed(f.table, &changed), identity_count(f.ids) + 1);
	}
	cr_assert(policy_table_all_changed(f.table));
	policy_table_taken(f.table);
	cr_assert(!policy_table_all_changed(f.table));
	fixture_done(&f);
}

/* Who was gone when an update failed is not known after it. */
Test(table, after_a_failure_all_may_have_changed)
{
	uint32_t first = IDENTITY_LOCAL_CIDR + (1 << 20);
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	add_pod(&f, 1000, "a");
	cr_assert_eq(policy_table_update(f.table), 1);
	policy_table_taken(f.table);
	cr_assert_eq(identity_remove(f.ids, 1000), 0);
	for (uint32_t n = 0; n < LIMIT_LOCAL_IDENTITIES; n++)
		add_pod(&f, first + n, "y");
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'c','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'ingress':[{'fromCIDR':['192.0.2.0/24']}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), -ENOSPC);
	cr_assert_eq(identity_remove(f.ids, first), 0);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert(policy_table_all_changed(f.table));
	fixture_done(&f);
}

Test(table, class_numbers_outlive_a_change_of_policy)
{
	struct fixture f;
	const struct policy_class *c;
	uint64_t version;
	uint32_t class_a;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	policy_table_taken(f.table);
	class_a = policy_class_of(f.table, 300);
	version = policy_table_class(f.table, class_a)->version;
	/* about others: nothing changes for us */
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'b','namespace':'web'},'spec':{'endpointSelector':{},"
			 "'ingress':[{}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 0, "others need no new tables");
	cr_assert_eq(policy_class_of(f.table, 300), class_a);
	cr_assert_eq(policy_table_class(f.table, class_a)->version, version);
	/* about us: same class, other rows */
	cr_assert_eq(
		set(&f, POLICY_CNP,
		    "{'metadata':{'name':'c','namespace':'ext'},'spec':{'endpointSelector':{},"
		    "'ingressDeny':[{'toPorts':[{'ports':[{'port':'22','protocol':'TCP'}]}]}]}}"),
		1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_class_of(f.table, 300), class_a);
	c = policy_table_class(f.table, class_a);
	cr_assert_gt(c->version, version);
	cr_assert_eq(c->rows[POLICY_INGRESS].slot[POLICY_SLOT_TCP].n_ports, 1);
	cr_assert_eq(c->rows[POLICY_INGRESS].slot[POLICY_SLOT_TCP].ports[0].port, 22);
	cr_assert_eq(c->rows[POLICY_INGRESS].slot[POLICY_SLOT_TCP].ports[0].mask, 0xffff);
	fixture_done(&f);
}

#define ALLOW(name, app, port)                                                                     \
	"{'metadata':{'name':'" name "','namespace':'ext'},'spec':{'endpointSelector':{},"           \
	"'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'" app "'}}],"                           \
	"'toPorts':[{'ports':[{'port':'" port "','protocol':'TCP'}]}]}]}}"

static uint8_t at_port(const struct fixture *f, uint32_t identity, uint16_t port)
{
	const struct policy_class *c = policy_table_class(f->table, policy_class_of(f->table, identity));

	return policy_rows_lookup(&c->rows[POLICY_INGRESS], 6, port).action;
}

static uint64_t version_of(const struct fixture *f, uint32_t identity)
{
	return policy_table_class(f->table, policy_class_of(f->table, identity))->version;
}

Test(table, a_change_of_policy_reaches_those_whom_it_is_about)
{
	struct fixture f;
	uint64_t version_x, version_y;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	add_pod(&f, 1000, "x");
	add_pod(&f, 1001, "y");
	add_pod(&f, 1002, "z");
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW("px", "x", "80")), 1);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW("py", "y", "81")), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(at_port(&f, 1000, 80), POLICY_ALLOW);
	cr_assert_eq(at_port(&f, 1001, 81), POLICY_ALLOW);
	version_x = version_of(&f, 1000);
	version_y = version_of(&f, 1001);
	policy_table_taken(f.table);

	/* other ports for the same peers */
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW("py", "y", "82")), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(at_port(&f, 1001, 81), POLICY_DENY_DEFAULT);
	cr_assert_eq(at_port(&f, 1001, 82), POLICY_ALLOW);
	cr_assert_eq(at_port(&f, 1000, 80), POLICY_ALLOW);
	cr_assert_neq(version_of(&f, 1001), version_y);
	cr_assert_eq(version_of(&f, 1000), version_x);
	cr_assert(!fixture_has_changed(&f, 1000) && !fixture_has_changed(&f, 1001));

	/* other peers */
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW("py", "z", "82")), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_class_of(f.table, 1001), 0);
	cr_assert_eq(at_port(&f, 1002, 82), POLICY_ALLOW);
	cr_assert(fixture_has_changed(&f, 1001) && fixture_has_changed(&f, 1002) && !fixture_has_changed(&f, 1000));
	cr_assert_eq(version_of(&f, 1000), version_x);

	/* one for every peer counts for each class */
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'all','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'ingress':[{'toPorts':[{'ports':[{'port':'90','protocol':'TCP'}]}]}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 1);
	for (uint32_t id = 1000; id <= 1002; id++)
		cr_assert_eq(at_port(&f, id, 90), POLICY_ALLOW);

	/* and away with one */
	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "px"), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(at_port(&f, 1000, 80), POLICY_DENY_DEFAULT);
	cr_assert_eq(at_port(&f, 1000, 90), POLICY_ALLOW);
	cr_assert_eq(at_port(&f, 1002, 82), POLICY_ALLOW);
	fixture_done(&f);
}

Test(table, a_prefix_inherits_anew_when_the_one_around_it_changes)
{
	static const char *const group =
		"{'metadata':{'name':'g','labels':{'role':'%s'}},'spec':{'externalCIDRs':['10.0.0.0/8']}}";
	struct fixture f;
	char text[256];

	fixture_init(&f, NULL, NULL, NULL, NULL);
	(void)snprintf(text, sizeof(text), group, "db");
	cr_assert_eq(set(&f, POLICY_CIDR_GROUP, text), 1);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},'ingress':["
			 "{'fromCIDR':['10.1.0.0/16'],'toPorts':[{'ports':[{'port':'80','protocol':'TCP'}]}]},"
			 "{'fromCIDRSet':[{'cidrGroupSelector':{'matchLabels':{'role':'db'}}}],"
			 "'toPorts':[{'ports':[{'port':'81','protocol':'TCP'}]}]}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(at_port(&f, policy_table_identity_of(f.table, &(struct ip){.family = AF_INET, .b = {10, 1, 0, 1}}), 81),
		     POLICY_ALLOW);
	(void)snprintf(text, sizeof(text), group, "web");
	cr_assert_eq(set(&f, POLICY_CIDR_GROUP, text), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(at_port(&f, policy_table_identity_of(f.table, &(struct ip){.family = AF_INET, .b = {10, 1, 0, 1}}), 81),
		     POLICY_DENY_DEFAULT);
	cr_assert_eq(at_port(&f, policy_table_identity_of(f.table, &(struct ip){.family = AF_INET, .b = {10, 1, 0, 1}}), 80),
		     POLICY_ALLOW);
	fixture_done(&f);
}

Test(table, a_class_is_freed_after_a_whole_update_without_use)
{
	struct fixture f;
	uint32_t class_a;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	class_a = policy_class_of(f.table, 300);
	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "a"), 1);
	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "a"), 0);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert(policy_table_class(f.table, class_a), "the datapath may still have it");
	cr_assert_eq(policy_class_of(f.table, 300), 0);
	cr_assert(!policy_table_enforced(f.table, POLICY_INGRESS));
	(void)policy_table_update(f.table);
	(void)policy_table_update(f.table);
	cr_assert_null(policy_table_class(f.table, class_a));
	fixture_done(&f);
}

Test(table, prefixes_and_their_identities)
{
	struct fixture f;
	const struct policy_prefix *p;
	uint32_t of_inner;
	struct ip ip;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'egress':"
			 "[{'toCIDRSet':[{'cidr':'10.0.0.0/8','except':['10.1.0.0/"
			 "16']}]},{'toCIDR':['0.0.0.0/0','::/0']}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_table_prefixes(f.table, &p), 2,
		     "all of IPv4 is the world label, IPv6 is off");
	cr_assert_eq(p[0].prefix.len, 8);
	cr_assert_eq(p[1].prefix.len, 16);
	cr_assert_gt(p[0].identity, IDENTITY_LOCAL_CIDR);
	cr_assert_neq(p[0].identity, p[1].identity);
	of_inner = p[1].identity;
	cr_assert_eq(ip_parse("10.1.2.3", &ip), 0);
	cr_assert_eq(policy_table_identity_of(f.table, &ip), of_inner);
	cr_assert_eq(ip_parse("11.1.2.3", &ip), 0);
	cr_assert_eq(policy_table_identity_of(f.table, &ip), IDENTITY_WORLD);
	/* another policy, the same prefix: the same number */
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'b','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'egress':"
			 "[{'toCIDR':['9.0.0.0/8']}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_assert_eq(policy_table_prefixes(f.table, &p), 3);
	cr_assert_eq(p[2].identity, of_inner);
	fixture_done(&f);
}

static int prefix_cmp(const void *a, const void *b)
{
	return cidr_cmp(&((const struct policy_prefix *)a)->prefix, &((const struct policy_prefix *)b)->prefix);
}

/* Few different bits, so that prefixes lie in each other and side by side. */
static struct cidr random_cidr(bool is_v6)
{
	struct cidr c = {.ip.family = is_v6 ? AF_INET6 : AF_INET};

	for (size_t i = 0; i < ip_len(&c.ip); i++)
		c.ip.b[i] = (uint8_t)(random_chance(80) ? 0 : 1u << random_below(8));
	c.len = (uint8_t)random_below(ip_bits(&c.ip) + 1u);
	cidr_mask(&c);
	return c;
}

Test(table, the_prefix_around)
{
	enum { ROUNDS = 400, PREFIXES = 60, QUESTIONS = 60 };
	struct policy_prefix v[PREFIXES];
	unsigned found = 0;

	random_seed(7);
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t n = random_below(PREFIXES);

		for (size_t i = 0; i < n; i++)
			v[i] = (struct policy_prefix){.prefix = random_cidr(random_chance(50)), .identity = (uint32_t)i};
		if (n)
			qsort(v, n, sizeof(v[0]), prefix_cmp);
		for (unsigned q = 0; q < QUESTIONS; q++) {
			const struct cidr c = random_cidr(random_chance(50));
			const struct policy_prefix *want = NULL, *got = policy_prefix_around(v, n, &c);

			for (size_t i = 0; i < n; i++)
				if (cidr_contains(&v[i].prefix, &c) && (!want || v[i].prefix.len >= want->prefix.len))
					want = &v[i];
			cr_assert_eq(!got, !want, "round %u, question %u", round, q);
			if (want)
				cr_assert_eq(prefix_cmp(got, want), 0, "round %u, question %u", round, q);
			found += want != NULL;
		}
	}
	cr_assert_gt(found, ROUNDS * QUESTIONS / 20);
}

Test(table, an_invalid_version_keeps_the_last_good_one)
{
	struct fixture f;
	struct fixture_peer a = fixture_peer("A"), w = fixture_peer("W");

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'ingress':[{'fromEntities':['bogus']}]}}"),
		     -EBADMSG);
	(void)policy_table_update(f.table);
	cr_assert_eq(fixture_table_verdict(&f, &a, POLICY_INGRESS, 6, 22).action, POLICY_ALLOW);
	cr_assert_eq(fixture_table_verdict(&f, &w, POLICY_INGRESS, 6, 22).action,
		     POLICY_DENY_DEFAULT);
	fixture_done(&f);
}

Test(table, the_same_version_is_no_change)
{
	static const char text[] = "{'metadata':{'name':'a','namespace':'ext','uid':'u1','"
				   "generation':3},'spec':{'endpointSelector':{},'ingress':[{}]}}";
	struct fixture f;
	uint64_t generation;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, text), 1);
	generation = policy_generation(f.repo);
	cr_assert_eq(set(&f, POLICY_CNP, text), 0);
	cr_assert_eq(policy_generation(f.repo), generation);
	fixture_done(&f);
}

Test(table, a_rule_keeps_its_number_over_an_edit)
{
	struct fixture f;
	struct policy_origin o;
	struct fixture_peer a = fixture_peer("A");
	uint32_t rule;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	(void)policy_table_update(f.table);
	rule = fixture_table_verdict(&f, &a, POLICY_INGRESS, 6, 22).rule;
	cr_assert_eq(policy_origin(f.repo, rule, &o), 0);
	cr_assert_str_eq(o.path, "spec.ingress[0]");
	cr_assert_str_eq(o.name, "a");
	cr_assert_str_eq(o.ns, "ext");
	cr_assert_eq(set(&f, POLICY_CNP, ALLOW_A), 1);
	(void)policy_table_update(f.table);
	cr_assert_eq(fixture_table_verdict(&f, &a, POLICY_INGRESS, 6, 22).rule, rule);
	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "a"), 1);
	cr_assert_eq(policy_origin(f.repo, rule, &o), -ENOENT);
	cr_assert_eq(policy_origin(f.repo, 0, &o), -ENOENT);
	fixture_done(&f);
}

Test(table, an_address_in_nodes_mode_gets_its_own_identity)
{
	struct policy_options o = policy_options_default();
	struct fixture f;
	struct fixture_peer n = fixture_peer("N");
	uint32_t first, second;

	o.cidr_modes = CIDR_MATCH_NODES;
	fixture_init(&f, &o, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'egress':"
			 "[{'toCIDR':['172.18.0.3/32']}]}}"),
		     1);
	(void)policy_table_update(f.table);
	cr_assert_eq(policy_table_overlay(f.table, n.identity, &n.ip, NULL, &first), 0);
	cr_assert_gt(first, IDENTITY_LOCAL_NODE);
	cr_assert_eq(policy_table_overlay(f.table, n.identity, &n.ip, NULL, &second), 0);
	cr_assert_eq(first, second);
	cr_assert_eq(ip_parse("172.18.0.4", &n.ip), 0);
	cr_assert_eq(policy_table_overlay(f.table, n.identity, &n.ip, NULL, &second), 0);
	cr_assert_eq(second, n.identity);
	fixture_done(&f);
}

/* More labels than a selector may have: of names behind one address, of groups that share a prefix. None stops the others. */
Test(table, what_many_names_and_groups_share)
{
	enum { MANY = LIMIT_LABELS + 50 };
	CLEANUP(json_decref) json_t *names = json_array(), *groups = json_array(), *spec = NULL, *obj = NULL;
	struct fixture_peer shared = fixture_peer("ip 198.51.100.7"), grouped = fixture_peer("ip 203.0.113.9");
	struct err err = {0};
	struct fixture f;
	char text[160];

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "n%u.io", i);
		cr_assert_eq(policy_fqdn_set(f.repo, text, &shared.ip, 1), 0);
		cr_assert_eq(json_array_append_new(names, json_pack("{s:s}", "matchName", text)), 0);
		(void)snprintf(text, sizeof(text), "g%u", i);
		cr_assert_eq(json_array_append_new(groups, json_pack("{s:s}", "cidrGroupRef", text)), 0);
		(void)snprintf(text, sizeof(text), "{'metadata':{'name':'g%u'},'spec':{'externalCIDRs':['203.0.113.0/24']}}", i);
		cr_assert_eq(set(&f, POLICY_CIDR_GROUP, text), 1);
	}
	spec = json_pack("{s:{}, s:[{s:O}, {s:O}]}", "endpointSelector", "egress", "toFQDNs", names, "toCIDRSet", groups);
	obj = fixture_object("ext", "a", spec);
	cr_assert_eq(json_policy_set(f.repo, POLICY_CNP, obj, &err), 1, "%s", err.text);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_expect_eq(fixture_table_verdict(&f, &shared, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_model_verdict(&f, &shared, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_table_verdict(&f, &grouped, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_model_verdict(&f, &grouped, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_assert_eq(ip_parse("203.0.112.9", &grouped.ip), 0);
	cr_expect_eq(fixture_table_verdict(&f, &grouped, POLICY_EGRESS, 6, 80).action, POLICY_DENY_DEFAULT);
	fixture_done(&f);
}

/* Somebody's Service with as many labels in its selector as it may have: they narrow it, and all else goes on. */
Test(table, a_service_with_many_labels_in_its_selector)
{
	CLEANUP(json_decref) json_t *selector = json_object();
	struct fixture_peer a = fixture_peer("A");
	json_t *services;
	struct fixture f;
	char key[16];

	for (unsigned i = 0; i < LIMIT_LABELS; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		cr_assert_eq(json_object_set_new(selector, key, json_string("v")), 0);
	}
	services = json_pack("[{s:s, s:s, s:{s:s}, s:O}, {s:s, s:s, s:{s:s}, s:{s:s}}]", "ns", "other", "name", "big", "labels",
			     "tier", "x", "selector", selector, "ns", "ext", "name", "small", "labels", "tier", "x", "selector",
			     "app", "a");
	fixture_init(&f, NULL, NULL, NULL, services);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},'egress':[{'toServices':"
			 "[{'k8sServiceSelector':{'selector':{'matchLabels':{'tier':'x'}}}}]}]}}"),
		     1);
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_expect_eq(fixture_table_verdict(&f, &a, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_model_verdict(&f, &a, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	fixture_done(&f);
}

/* Names behind a balancer of many: which of them share an address changes by the hour, for years, while policies do not. */
Test(table, names_that_share_addresses_leave_nothing_behind)
{
	enum { NAMES = 8, KEPT = 4 };
	CLEANUP(json_decref) json_t *list = json_array(), *spec = NULL, *obj = NULL;
	struct fixture_peer shared = fixture_peer("ip 198.51.100.7");
	struct err err = {0};
	struct fixture f;
	size_t before;
	char name[16];

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(name, sizeof(name), "n%u.io", i);
		cr_assert_eq(json_array_append_new(list, json_pack("{s:s}", "matchName", name)), 0);
	}
	spec = json_pack("{s:{}, s:[{s:O}]}", "endpointSelector", "egress", "toFQDNs", list);
	obj = fixture_object("ext", "a", spec);
	cr_assert_eq(json_policy_set(f.repo, POLICY_CNP, obj, &err), 1);
	cr_assert_eq(policy_table_update(f.table), 1);
	before = identity_count(f.ids);
	for (unsigned mask = 1; mask < 1 << NAMES; mask++) {
		for (unsigned i = 0; i < NAMES; i++) {
			(void)snprintf(name, sizeof(name), "n%u.io", i);
			cr_assert_geq(policy_fqdn_set(f.repo, name, &shared.ip, mask >> i & 1), 0);
		}
		cr_assert_eq(policy_table_update(f.table), 1);
		cr_assert_eq(fixture_table_verdict(&f, &shared, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
		cr_assert_leq(identity_count(f.ids), before + KEPT);
		cr_assert_leq(policy_table_class_limit(f.table), 2 * KEPT);
	}
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(name, sizeof(name), "n%u.io", i);
		cr_assert_geq(policy_fqdn_set(f.repo, name, NULL, 0), 0);
	}
	cr_assert_eq(policy_table_update(f.table), 1);
	cr_expect_eq(fixture_table_verdict(&f, &shared, POLICY_EGRESS, 6, 80).action, POLICY_DENY_DEFAULT);
	fixture_done(&f);
}

/* An API server outside the cluster is told by its address and its prefixes, like everything outside. */
Test(table, an_api_server_outside_is_in_groups)
{
	enum { API = IDENTITY_LOCAL_CIDR + 77 };
	static const char *const labels[] = {"reserved:kube-apiserver=", "reserved:world=", "cidr:172.19.0.1/32="};
	struct fixture_peer api = {.has_identity = true, .identity = API};
	struct fixture f;
	uint32_t got;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(identity_upsert(f.ids, API, fixture_labels(&f, labels, ARRAY_LEN(labels))), 0);
	cr_assert_eq(ip_parse("172.19.0.1", &api.ip), 0);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},"
			 "'egress':[{'toCIDRSet':[{'cidrGroupRef':'g'}]}]}}"),
		     1);
	cr_assert_geq(policy_table_update(f.table), 0);
	cr_expect_eq(fixture_table_verdict(&f, &api, POLICY_EGRESS, 6, 80).action, POLICY_DENY_DEFAULT);
	cr_assert_eq(policy_table_overlay(f.table, API, &api.ip, NULL, &got), 0);
	cr_expect_eq(got, API);
	cr_assert_eq(set(&f, POLICY_CIDR_GROUP,
			 "{'metadata':{'name':'g'},'spec':{'externalCIDRs':['172.16.0.0/12']}}"),
		     1);
	cr_assert_geq(policy_table_update(f.table), 0);
	cr_expect_eq(fixture_table_verdict(&f, &api, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_model_verdict(&f, &api, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	fixture_done(&f);
}

/* With enable-node-selector-labels. */
Test(table, nodes_are_told_apart_by_their_labels)
{
	static const char *const one[] = {"node:zone=one", "k8s:io.cilium.k8s.policy.cluster=c1"};
	struct policy_options o = policy_options_default();
	struct fixture_peer n = fixture_peer("N");
	struct fixture_peer own = {.has_identity = true};
	struct label_set *more;
	struct fixture f;

	o.has_node_selector_labels = true;
	fixture_init(&f, &o, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP,
			 "{'metadata':{'name':'a','namespace':'ext'},'spec':{'endpointSelector':{},'egress':[{'toNodes':"
			 "[{'matchLabels':{'zone':'one'}}]}],'egressDeny':[{'toNodes':[{'matchLabels':{'node:zone':'two'}}]}]}}"),
		     1);
	cr_assert_geq(policy_table_update(f.table), 0);
	more = fixture_labels(&f, one, ARRAY_LEN(one));
	cr_assert_eq(policy_table_overlay(f.table, n.identity, &n.ip, more, &own.identity), 0);
	cr_assert_gt(own.identity, IDENTITY_LOCAL_NODE);
	cr_expect_eq(fixture_table_verdict(&f, &own, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_model_verdict(&f, &own, POLICY_EGRESS, 6, 80).action, POLICY_ALLOW);
	cr_expect_eq(fixture_table_verdict(&f, &n, POLICY_EGRESS, 6, 80).action, POLICY_DENY_DEFAULT);
	label_set_free(identity_labels(f.ids), more);
	fixture_done(&f);
}

struct expect_status {
	size_t n;
	struct {
		const char *name;
		enum policy_state state;
		const char *reason;
	} want[6];
};

static int check_status(const struct policy_status *st, void *arg)
{
	struct expect_status *e = arg;

	cr_assert_lt(e->n, ARRAY_LEN(e->want));
	cr_expect_str_eq(st->name, e->want[e->n].name);
	cr_expect_eq(st->state, e->want[e->n].state, "%s is %s: %s", st->name,
		     policy_state_str(st->state), st->reason);
	cr_expect(strstr(st->reason, e->want[e->n].reason), "%s: %s", st->name, st->reason);
	e->n++;
	return 0;
}

Test(table, what_the_list_says)
{
	static const struct {
		const char *name, *spec;
		int want;
	} objects[] = {
		{"a", "{'endpointSelector':{},'ingress':[{}]}", 1},
		{"b", "{'endpointSelector':{'matchLabels':{'x':'y'}},'ingress':[{}]}", 1},
		{"c", "{'endpointSelector':{}}", -EBADMSG},
		{"d", "{'endpointSelector':{},'egress':[{'toFQDNs':[{'matchName':'a.io'}]}]}", 1},
		{"e",
		 "{'endpointSelector':{},'ingress':[{'toPorts':[{'ports':[{'port':'80','protocol':'"
		 "TCP'}],'rules':{'http':[{'method':'GET'}]}}]}]}",
		 1},
		{"a", "{'endpointSelector':[]}", -EBADMSG},
	};
	struct expect_status e = {
		.want = {{"a", POLICY_STALE, "spec: endpointSelector is not an object"},
			 {"b", POLICY_NOT_SELECTING, ""},
			 {"c", POLICY_REJECTED, "at least one"},
			 {"d", POLICY_DEGRADED, "toFQDNs"},
			 {"e", POLICY_DEGRADED, "spec.ingress[0].toPorts[0]: needs a proxy"}}};
	struct fixture f;
	struct err err;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		json_t *spec = fixture_json(objects[i].spec),
		       *obj = fixture_object("ext", objects[i].name, spec);

		cr_assert_eq(json_policy_set(f.repo, POLICY_CNP, obj, &err), objects[i].want, "%zu", i);
		json_decref(spec);
		json_decref(obj);
	}
	cr_assert_eq(policy_each(f.repo, check_status, &e), 0);
	cr_assert_eq(e.n, 5);
	fixture_done(&f);
}

Test(table, a_restart_of_the_same_policies_gives_the_same_rows)
{
	struct fixture f[2];

	for (size_t i = 0; i < 2; i++) {
		fixture_init(&f[i], NULL, NULL, NULL, NULL);
		cr_assert_eq(set(&f[i], POLICY_CNP, ALLOW_A), 1);
		cr_assert_eq(set(&f[i], POLICY_CNP,
				 "{'metadata':{'name':'c','namespace':'ext'},'spec':{'"
				 "endpointSelector':{},"
				 "'ingressDeny':[{'toPorts':[{'ports':[{'port':'22','endPort':33}]}"
				 "]}]}}"),
			     1);
		cr_assert_eq(policy_table_update(f[i].table), 1);
	}
	cr_assert_eq(policy_table_class_limit(f[0].table), policy_table_class_limit(f[1].table));
	for (uint32_t c = 0; c < policy_table_class_limit(f[0].table); c++)
		for (unsigned d = 0; d < POLICY_DIRS; d++)
			for (unsigned p = 0; p < 300; p++) {
				struct policy_verdict
					a = policy_rows_lookup(
						&policy_table_class(f[0].table, c)->rows[d], 6,
						(uint16_t)p),
					b = policy_rows_lookup(
						&policy_table_class(f[1].table, c)->rows[d], 6,
						(uint16_t)p);

				cr_assert(a.action == b.action && a.rule == b.rule);
			}
	fixture_done(&f[0]);
	fixture_done(&f[1]);
}
