/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that no API server would send: never a crash, never half a policy. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"
#include "fixture.h"
#include "lib/json_objects.h"

/* One object of each kind that uses about every field. */
static const struct {
	enum policy_kind kind;
	const char *text;
} good[] = {
	{POLICY_CNP,
	 "{'metadata':{'name':'x','namespace':'ext','uid':'u','generation':0},"
	 "'spec':{'endpointSelector':{'matchLabels':{'app':'vm'},'matchExpressions':[{'key':'app','"
	 "operator':'In',"
	 "'values':['vm']}]},'labels':[{'key':'a','value':'b','source':'c'},'d:e=f'],'log':{'value'"
	 ":'v'},"
	 "'enableDefaultDeny':{'ingress':true,'egress':false},"
	 "'ingress':[{'fromEndpoints':[{}],'toPorts':[{'ports':[{'port':'80','endPort':90,'"
	 "protocol':'TCP'}],"
	 "'rules':{'http':[{'method':'GET'}]},'serverNames':['a.io'],'terminatingTLS':{}}],"
	 "'authentication':{'mode':'required'}},"
	 "{'fromEntities':['world']},{'fromCIDR':['10.0.0.0/8']},"
	 "{'fromCIDRSet':[{'cidr':'10.0.0.0/8','except':['10.1.0.0/"
	 "16']}]},{'icmps':[{'fields':[{'type':8}]}]}],"
	 "'egress':[{'toFQDNs':[{'matchName':'a.io'}]},{'toServices':[{'k8sService':{'serviceName':"
	 "'a','namespace':'b'}}]},"
	 "{'toServices':[{'k8sServiceSelector':{'selector':{'matchLabels':{'a':'b'}},'namespace':'"
	 "b'}}]},"
	 "{'toGroups':[{'aws':{}}]}],'ingressDeny':[{'fromEndpoints':[{'matchLabels':{'x':'y'}}]}],"
	 "'egressDeny':[{'toEntities':['all'],'toPorts':[{'ports':[{'port':'http'}]}]}]},"
	 "'specs':[{'endpointSelector':{},'ingress':[{}]}]}"},
	{POLICY_CCNP, "{'metadata':{'name':'x'},'spec':{'nodeSelector':{'matchLabels':{'a':'b'}},'"
		      "ingress':[{}]}}"},
	{POLICY_KNP,
	 "{'metadata':{'name':'x','namespace':'ext'},'spec':{'podSelector':{'matchLabels':{'a':'b'}"
	 "},"
	 "'policyTypes':['Ingress','Egress'],'ingress':[{'from':[{'podSelector':{},'"
	 "namespaceSelector':"
	 "{'matchLabels':{'a':'b'}}},{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}],"
	 "'ports':[{'port':80,'endPort':90,'protocol':'UDP'},{'port':'http'}]}],'egress':[{}]}}"},
	{POLICY_CIDR_GROUP, "{'metadata':{'name':'x','labels':{'a':'b'}},'spec':{'externalCIDRs':['"
			    "10.0.0.0/8','::/0']}}"},
};

/* What a place can be replaced by. */
static json_t *bad_value(unsigned i)
{
	static char longest[8000];

	memset(longest, 'a', sizeof(longest) - 1);
	switch (i) {
	case 0:
		return json_null();
	case 1:
		return json_integer(-1);
	case 2:
		return json_integer(INT64_MAX);
	case 3:
		return json_real(1e300);
	case 4:
		return json_true();
	case 5:
		return json_string("");
	case 6:
		return json_string(longest);
	case 7:
		return json_string("::::::/:/\xc3\xa4*%s%n");
	case 8:
		return json_array();
	case 9:
		return json_object();
	case 10:
		return json_pack("[[[n]],{s:[n]},n,i,s]", "a", 1, "c");
	case 11:
		return json_pack("{s:n,s:{s:{}},s:[[]]}", "matchLabels", "a", "b",
				 "matchExpressions");
	default:
		return NULL;
	}
}

/* Replaces the n-th value of a tree, counted depth first; 0 when there is none. */
static bool replace_nth(json_t *tree, unsigned *n, json_t *by)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_object(tree))
		json_object_foreach(tree, key, v)
		{
			if ((*n)-- == 0)
				return json_object_set(tree, key, by) == 0;
			if (replace_nth(v, n, by))
				return true;
		}
	if (json_is_array(tree))
		json_array_foreach(tree, i, v)
		{
			if ((*n)-- == 0)
				return json_array_set(tree, i, by) == 0;
			if (replace_nth(v, n, by))
				return true;
		}
	return false;
}

static void ask_around(struct fixture *f)
{
	static const char *const names[] = {"A", "W", "N", "unknown"};

	cr_assert_geq(policy_table_update(f->table), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct fixture_peer p = fixture_peer(names[i]);

		for (unsigned d = 0; d < POLICY_DIRS; d++)
			cr_assert_eq(
				fixture_table_verdict(f, &p, (enum policy_dir)d, 6, 80).action,
				fixture_model_verdict(f, &p, (enum policy_dir)d, 6, 80).action);
	}
}

static int ignore_status(const struct policy_status *st, void *arg)
{
	unsigned *count = arg;

	cr_assert(st->ns && st->name && st->reason);
	(*count)++;
	return 0;
}

Test(hostile, every_value_replaced, .timeout = 120)
{
	unsigned n_rejected = 0, n_taken = 0, count = 0;
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (size_t g = 0; g < ARRAY_LEN(good); g++) {
		for (unsigned b = 0; b < 12; b++) {
			for (unsigned place = 0;; place++) {
				json_t *obj = fixture_json(good[g].text), *by = bad_value(b);
				unsigned n = place;
				bool is_replaced = replace_nth(obj, &n, by);
				struct err err = {0};
				int r = 0;

				if (is_replaced) {
					r = json_policy_set(f.repo, good[g].kind, obj, &err);
					cr_assert(r == 0 || r == 1 || r == -EBADMSG, "%d: %s", r,
						  err.text);
					cr_assert(r >= 0 || err.text[0]);
					n_rejected += r < 0;
					n_taken += r >= 0;
				}
				json_decref(by);
				json_decref(obj);
				if (!is_replaced)
					break;
				if (place % 16 == 0)
					ask_around(&f);
			}
		}
	}
	cr_expect_gt(n_rejected, 500);
	cr_expect_gt(n_taken, 100);
	cr_assert_eq(policy_each(f.repo, ignore_status, &count), 0);
	cr_assert_geq(count, 1);
	fixture_done(&f);
}

Test(hostile, good_objects_are_good)
{
	struct fixture f;
	struct err err;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (size_t g = 0; g < ARRAY_LEN(good); g++) {
		json_t *obj = fixture_json(good[g].text);

		cr_assert_eq(json_policy_set(f.repo, good[g].kind, obj, &err), 1, "%zu: %s", g,
			     err.text);
		json_decref(obj);
	}
	ask_around(&f);
	fixture_done(&f);
}

Test(hostile, no_object_at_all)
{
	static const char *const texts[] = {"null",
					    "[]",
					    "1",
					    "'x'",
					    "{}",
					    "{'metadata':[]}",
					    "{'metadata':{'name':1}}",
					    "{'metadata':{'name':'A_B'}}",
					    "{'metadata':{'name':'a','namespace':'../b'}}"};
	unsigned count = 0;
	struct fixture f;
	struct err err;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *obj = fixture_json(texts[i]);

		cr_assert_eq(json_policy_set(f.repo, POLICY_CNP, obj, &err), -EBADMSG, "%s", texts[i]);
		json_decref(obj);
	}
	cr_assert_eq(json_policy_set(f.repo, POLICY_CNP, NULL, &err), -EBADMSG);
	cr_assert_eq(policy_each(f.repo, ignore_status, &count), 0);
	cr_assert_eq(count, 0, "what has no name is not kept");
	fixture_done(&f);
}

Test(hostile, many_ports_and_labels)
{
	json_t *ports = json_array(), *labels = json_object(), *obj;
	struct fixture f;
	struct err err;
	char key[16];

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (unsigned i = 0; i < 41; i++)
		(void)json_array_append_new(ports, json_pack("{s:s}", "port", "80"));
	obj = json_pack("{s:{s:s},s:{s:{},s:[{s:[{s:o}]}]}}", "metadata", "name", "x", "spec",
			"endpointSelector", "ingress", "toPorts", "ports", ports);
	cr_assert_eq(json_policy_set(f.repo, POLICY_CCNP, obj, &err), -EBADMSG);
	cr_assert(strstr(err.text, "more than 40 ports"), "%s", err.text);
	json_decref(obj);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		(void)json_object_set_new(labels, key, json_string("v"));
	}
	obj = json_pack("{s:{s:s},s:{s:{s:o},s:[{}]}}", "metadata", "name", "y", "spec",
			"endpointSelector", "matchLabels", labels, "ingress");
	cr_assert_eq(json_policy_set(f.repo, POLICY_CCNP, obj, &err), -EBADMSG);
	cr_assert(strstr(err.text, "too large"), "%s", err.text);
	json_decref(obj);
	fixture_done(&f);
}

/* "[" and `n` times what begins it, or what follows. */
static void add_many(struct buf *b, const char *first, const char *again, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(buf_addf(b, "%s", i ? again : first), 0);
}

static int set_text(struct fixture *f, enum policy_kind kind, const struct buf *text, struct err *err)
{
	CLEANUP(doc_free) struct doc *d = doc_parse(text->data, text->len);

	cr_assert(d);
	return policy_set(f->repo, kind, d, err);
}

/* As many as somebody could mean are taken; one more is refused, and what was in force before stays. */
Test(hostile, too_many_rules)
{
	static const struct {
		size_t n;
		int r;
	} cases[] = {{LIMIT_POLICY_RULES, 1}, {LIMIT_POLICY_RULES + 1, -EBADMSG}};
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf b = {.max = 4 << 20};
		struct err err = {0};

		cr_assert_eq(buf_addf(&b, "{\"metadata\":{\"name\":\"x\",\"generation\":%zu,\"uid\":\"u\"},\"spec\":{\"endpointSelector\":{},\"ingress\":[", i), 0);
		add_many(&b, "{}", ",{}", cases[i].n);
		cr_assert_eq(buf_addf(&b, "]}}"), 0);
		cr_expect_eq(set_text(&f, POLICY_CCNP, &b, &err), cases[i].r, "%s", err.text);
		if (cases[i].r < 0)
			cr_expect(strstr(err.text, "more than 65536 rules"), "%s", err.text);
		cr_expect(policy_counts(f.repo, POLICY_CCNP, "", "x"));
	}
	fixture_done(&f);
}

/* A policy about others, with as many rules as one may have. Returns as policy_set(). */
static int set_many(struct fixture *f, unsigned i)
{
	CLEANUP(buf_done) struct buf b = {.max = 4 << 20};
	struct err err = {0};

	cr_assert_eq(buf_addf(&b, "{\"metadata\":{\"name\":\"p%u\",\"namespace\":\"other\",\"generation\":1,\"uid\":\"u\"},\"spec\":{"
				  "\"podSelector\":{\"matchLabels\":{\"app\":\"none\"}},\"ingress\":[", i), 0);
	add_many(&b, "{}", ",{}", LIMIT_POLICY_RULES);
	cr_assert_eq(buf_addf(&b, "]}}"), 0);
	return set_text(f, POLICY_KNP, &b, &err);
}

/* Of all policies together, too: the API server has room for thousands of such. */
Test(hostile, too_many_rules_in_all, .timeout = 60)
{
	enum { MOST = LIMIT_POLICIES_RULES / LIMIT_POLICY_RULES };
	struct fixture f;
	unsigned n = 0;
	int r;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	while (n <= MOST && (r = set_many(&f, n)) >= 0)
		n++;
	cr_expect_eq(r, -ENOSPC);
	cr_assert(n == MOST || n == MOST - 1, "%u", n); /* a policy has more than its lists say, to deny the rest */
	cr_expect_eq(policy_remove(f.repo, POLICY_KNP, "other", "p3"), 1);
	cr_expect(policy_has_room(f.repo));
	cr_expect_geq(set_many(&f, n), 0);
	cr_expect_eq(set_many(&f, n + 1), -ENOSPC);
	fixture_done(&f);
}

/* The ports of a NetworkPolicy's element count for each of its peers. */
Test(hostile, peers_times_ports)
{
	static const struct {
		size_t peers, ports;
		int r;
	} cases[] = {{1000, 500, 1}, {1025, 512, -EBADMSG}, {60000, 60000, -EBADMSG}, {0, 1000, 1}};
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf b = {.max = 4 << 20};
		struct err err = {0};

		cr_assert_eq(buf_addf(&b, "{\"metadata\":{\"name\":\"x%zu\",\"namespace\":\"ext\"},\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[", i), 0);
		add_many(&b, "{\"podSelector\":{}}", ",{\"podSelector\":{}}", cases[i].peers);
		cr_assert_eq(buf_addf(&b, "],\"ports\":["), 0);
		add_many(&b, "{\"port\":80}", ",{\"port\":80}", cases[i].ports);
		cr_assert_eq(buf_addf(&b, "]}]}}"), 0);
		cr_expect_eq(set_text(&f, POLICY_KNP, &b, &err), cases[i].r, "%zu: %s", i, err.text);
		if (cases[i].r < 0)
			cr_expect(strstr(err.text, "more than 524288 ports in all"), "%s", err.text);
	}
	fixture_done(&f);
}

/*
 * Each of so many entries has ports of its own and wants authentication, so that there are as many segments as there can be:
 * with a look at each entry for each of them this would not end.
 */
Test(hostile, authentication_at_every_port, .timeout = 60)
{
	CLEANUP(buf_done) struct buf b = {.max = 16 << 20};
	struct fixture_peer p = fixture_peer("A");
	struct err err = {0};
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(buf_addf(&b, "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"endpointSelector\":{},\"ingress\":[{\"fromEntities\":[\"all\"]}"), 0);
	for (unsigned i = 1; i <= 60000; i++)
		cr_assert_eq(buf_addf(&b, ",{\"authentication\":{\"mode\":\"%s\"},\"toPorts\":[{\"ports\":[{\"port\":\"%u\",\"protocol\":\"TCP\"}]}]}",
				      i % 2 ? "required" : "disabled", i), 0);
	cr_assert_eq(buf_addf(&b, "]}}"), 0);
	cr_assert_eq(set_text(&f, POLICY_CCNP, &b, &err), 1, "%s", err.text);
	cr_assert_geq(policy_table_update(f.table), 0);
	for (uint16_t port = 1; port < 60000; port = (uint16_t)(port + 997))
		cr_expect_eq(fixture_table_verdict(&f, &p, POLICY_INGRESS, 6, port).action, port % 2 ? POLICY_DENY_AUTH : POLICY_ALLOW, "%u", port);
	cr_expect_eq(fixture_table_verdict(&f, &p, POLICY_INGRESS, 6, 60001).action, POLICY_ALLOW);
	fixture_done(&f);
}
