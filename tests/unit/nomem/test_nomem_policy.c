/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from objects to the table, with identities that come and go, and the answers why. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"
#include "identity/identity.h"
#include "json/json.h"
#include "nomem.h"
#include "policy/policy_explain.h"
#include "policy/policy_shadow.h"
#include "table_dump.h"
#include "unit/policy/cases.h"

enum { POLICIES_MAX = 16, NAMES_MAX = 8 };

/* A fixture without the policies that are to come. */
struct coming {
	struct fixture f;
	struct {
		enum policy_kind kind;
		struct doc *doc;
	} policies[POLICIES_MAX];
	size_t n_policies;
	const json_t *names;
};

static enum policy_kind kind_of(const json_t *p)
{
	static const char *const kinds[] = {"cnp", "ccnp", "knp", "group"};
	const char *kind = json_string_value(json_object_get(p, "kind"));
	unsigned k = 0;

	while (kind && k < ARRAY_LEN(kinds) && !str_eq(kind, kinds[k]))
		k++;
	cr_assert(k < ARRAY_LEN(kinds));
	return (enum policy_kind)k;
}

static void add_doc(struct coming *c, const json_t *p)
{
	const char *given = json_string_value(json_object_get(p, "name"));
	char name[32];
	json_t *obj;

	cr_assert(c->n_policies < POLICIES_MAX);
	(void)snprintf(name, sizeof(name), "p%zu", c->n_policies);
	obj = fixture_object(json_string_value(json_object_get(p, "ns")), given ? given : name, json_object_get(p, "spec"));
	if (json_object_get(p, "specs"))
		(void)json_object_set(obj, "specs", json_object_get(p, "specs"));
	if (json_object_get(p, "labels"))
		(void)json_object_set(json_object_get(obj, "metadata"), "labels", json_object_get(p, "labels"));
	c->policies[c->n_policies].kind = kind_of(p);
	c->policies[c->n_policies].doc = doc_from_json(obj);
	NOMEM_NEED(c->policies[c->n_policies].doc);
	c->n_policies++;
	json_decref(obj);
}

static void *coming_begin(const void *arg)
{
	const json_t *from = arg, *list = json_object_get(from, "policies");
	struct policy_options o = case_options(json_object_get(from, "opts"));
	struct coming *c = calloc(1, sizeof(*c));

	NOMEM_NEED(c);
	fixture_init(&c->f, &o, json_object_get(from, "subject"), json_object_get(from, "ports"),
		     json_incref(json_object_get(from, "services")));
	for (size_t i = 0; i < json_array_size(list); i++)
		add_doc(c, json_array_get(list, i));
	c->names = json_object_get(from, "fqdn");
	return c;
}

static int learn(struct policy_repo *r, const json_t *names)
{
	const char *name;
	json_t *v;
	int err;

	json_object_foreach((json_t *)names, name, v)
	{
		struct ip ips[8];
		size_t n = 0;

		for (; n < json_array_size(v) && n < ARRAY_LEN(ips); n++)
			cr_assert_eq(ip_parse(json_string_value(json_array_get(v, n)), &ips[n]), 0);
		err = policy_fqdn_set(r, name, ips, n);
		if (err < 0)
			return err;
	}
	return 0;
}

static int coming_run(void *state)
{
	struct coming *c = state;
	int r;

	for (size_t i = 0; i < c->n_policies; i++) {
		struct err err = {0};

		r = policy_set(c->f.repo, c->policies[i].kind, c->policies[i].doc, &err);
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	r = learn(c->f.repo, c->names);
	return r < 0 ? r : policy_table_update(c->f.table);
}

static void coming_dump(void *state, FILE *out)
{
	struct coming *c = state;

	table_dump(&c->f, out);
}

static void coming_end(void *state)
{
	struct coming *c = state;

	for (size_t i = 0; i < c->n_policies; i++)
		doc_free(c->policies[i].doc);
	fixture_done(&c->f);
	free(c);
}

Test(nomem_policy, of_every_case_to_the_table)
{
	json_t *all = cases_load(), *one;
	size_t i;

	json_array_foreach(all, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		struct nomem n = {
			.name = name ? name : "a case",
			.begin = coming_begin,
			.run = coming_run,
			.dump = coming_dump,
			.end = coming_end,
			.arg = one,
			.places = 6,
		};

		nomem_try(&n);
	}
	json_decref(all);
}

/* --- a policy in place of another --- */

#define FIRST                                                                                                                  \
	"{'metadata':{'name':'p','namespace':'ext','generation':1,'labels':{'a':'b'}},'specs':[{'endpointSelector':{},"        \
	"'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'a'}}],'toPorts':[{'ports':[{'port':'80','protocol':'TCP'}]}]}],"  \
	"'ingressDeny':[{'fromCIDRSet':[{'cidr':'10.1.0.0/16','except':['10.1.9.0/24']}]}],'labels':[{'key':'x','value':'y'}]}," \
	"{'endpointSelector':{},'egress':[{'toFQDNs':[{'matchName':'one.example'}]}]}]}"
#define SECOND                                                                                                                 \
	"{'metadata':{'name':'p','namespace':'ext','generation':2},'spec':{'endpointSelector':{'matchLabels':{'app':'vm'}},"   \
	"'ingress':[{'fromEndpoints':[{'matchExpressions':[{'key':'app','operator':'In','values':['b','c']},"                  \
	"{'key':'gone','operator':'DoesNotExist'}]}]},{'fromCIDR':['10.1.2.0/24'],'icmps':[{'fields':[{'type':8}]}]},"         \
	"{'fromCIDRSet':[{'cidrGroupRef':'g'}]}],"                                                                             \
	"'ingressDeny':[{'fromEntities':['world'],'toPorts':[{'ports':[{'port':'1000','endPort':2000,'protocol':'ANY'}]}]}],"  \
	"'egress':[{'toFQDNs':[{'matchPattern':'*.example'}],'toPorts':[{'ports':[{'port':'web'}]}]},"                         \
	"{'toServices':[{'k8sService':{'serviceName':'s','namespace':'web'}}]}],"                                              \
	"'egressDeny':[{'toEndpoints':[{'matchLabels':{'app':'p'}}]}]}}"
#define BAD                                                                                                                    \
	"{'metadata':{'name':'p','namespace':'ext','generation':3},'spec':{'endpointSelector':{},'ingress':[{'fromEndpoints':" \
	"[{'matchLabels':{'app':'z'}}]},{'fromCIDR':['10.1.2.0/33']}]}}"
#define KNP                                                                                                                    \
	"{'metadata':{'name':'k','namespace':'ext','generation':1},'spec':{'podSelector':{},'policyTypes':['Ingress','Egress'],"  \
	"'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'team':'blue'}},'podSelector':{'matchLabels':{'app':'b'}}},"  \
	"{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}],'ports':[{'port':'web'},{'port':5,'endPort':9}]}]}}"
#define GROUP                                                                                                                  \
	"{'metadata':{'name':'g','labels':{'c':'d'}},'spec':{'externalCIDRs':['10.1.2.0/28','172.16.0.0/12','192.0.2.1/32']}}"
#define GROUP_MORE                                                                                                             \
	"{'metadata':{'name':'g','generation':2},'spec':{'externalCIDRs':['10.1.2.0/25','172.16.0.0/12','192.0.2.2/32']}}"

/* `sets` are put in force, one after the other, the last of them without memory. */
struct change {
	struct {
		enum policy_kind kind;
		const char *text;
	} sets[6];
	size_t n;
	bool is_bad; /* the last one */
	const char *remove;
};

struct changing {
	struct fixture f;
	const struct change *change;
	struct doc *last;
};

static struct doc *doc_of(const char *text)
{
	json_t *j = fixture_json(text);
	struct doc *d = doc_from_json(j);

	NOMEM_NEED(d);
	json_decref(j);
	return d;
}

static void changing_init(struct changing *c, const struct change *change)
{
	struct policy_options o = policy_options_default();
	struct ip ip;

	o.has_localhost_allow = true;
	fixture_init(&c->f, &o, NULL, NULL,
		     fixture_json("[{'ns':'web','name':'s','selector':{'app':'a'},'backends':['10.5.0.1','10.5.0.2']}]"));
	c->change = change;
	for (size_t i = 0; i < change->n; i++) {
		doc_free(c->last);
		c->last = doc_of(change->sets[i].text);
		if (i + 1 < change->n)
			cr_assert_geq(policy_set(c->f.repo, change->sets[i].kind, c->last, NULL), 0);
	}
	cr_assert_eq(ip_parse("10.6.0.1", &ip), 0);
	cr_assert_geq(policy_fqdn_set(c->f.repo, "one.example", &ip, 1), 0);
	cr_assert_geq(policy_table_update(c->f.table), 0);
	policy_table_taken(c->f.table);
}

static void *changing_begin(const void *arg)
{
	struct changing *c = calloc(1, sizeof(*c));

	NOMEM_NEED(c);
	changing_init(c, arg);
	return c;
}

static int changing_set(struct changing *c)
{
	struct err err = {0};
	int r;

	if (c->change->remove) {
		(void)policy_remove(c->f.repo, c->change->sets[c->change->n - 1].kind, "ext", c->change->remove);
		return 0;
	}
	r = policy_set(c->f.repo, c->change->sets[c->change->n - 1].kind, c->last, &err);
	return c->change->is_bad && r == -EBADMSG ? 0 : r;
}

static int changing_run(void *state)
{
	return changing_set(state);
}

static int changing_run_table(void *state)
{
	struct changing *c = state;
	int r = changing_set(c);

	return r < 0 ? r : policy_table_update(c->f.table);
}

static void changing_dump(void *state, FILE *out)
{
	struct changing *c = state;

	policies_dump(&c->f, out);
}

static void changing_dump_table(void *state, FILE *out)
{
	struct changing *c = state;

	table_dump(&c->f, out);
}

static void changing_end(void *state)
{
	struct changing *c = state;

	doc_free(c->last);
	fixture_done(&c->f);
	free(c);
}

static const struct change changes[] = {
	{{{POLICY_CNP, FIRST}}, 1, false, NULL},
	{{{POLICY_CIDR_GROUP, GROUP}, {POLICY_CNP, FIRST}, {POLICY_CNP, SECOND}}, 3, false, NULL},
	{{{POLICY_CNP, SECOND}, {POLICY_CNP, FIRST}}, 2, false, NULL},
	{{{POLICY_CNP, FIRST}, {POLICY_CNP, BAD}}, 2, true, NULL},
	{{{POLICY_CNP, BAD}}, 1, true, NULL},
	{{{POLICY_CNP, FIRST}, {POLICY_KNP, KNP}}, 2, false, NULL},
	{{{POLICY_CCNP, FIRST}, {POLICY_CCNP, SECOND}}, 2, false, NULL},
	{{{POLICY_CNP, SECOND}, {POLICY_CIDR_GROUP, GROUP}}, 2, false, NULL},
	{{{POLICY_CNP, SECOND}, {POLICY_CIDR_GROUP, GROUP}, {POLICY_CIDR_GROUP, GROUP_MORE}}, 3, false, NULL},
	{{{POLICY_KNP, KNP}, {POLICY_CNP, FIRST}}, 2, false, "p"},
};

Test(nomem_policy, in_place_of_another)
{
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		char name[64];
		struct nomem n = {
			.name = name,
			.begin = changing_begin,
			.run = changing_run,
			.dump = changing_dump,
			.end = changing_end,
			.arg = &changes[i],
			.is_atomic = true,
		};

		(void)snprintf(name, sizeof(name), "change %zu of policies", i);
		nomem_try(&n);
		n.run = changing_run_table;
		n.dump = changing_dump_table;
		n.is_atomic = false;
		(void)snprintf(name, sizeof(name), "change %zu to the table", i);
		nomem_try(&n);
	}
}

/* --- identities that come, change and go --- */

struct crowd {
	struct changing c;
	uint32_t class_then[64]; /* of the identities below, when the table was last taken; 1 + the number */
};

enum { CROWD_FIRST = 1000, CROWD_N = 40 };

static int crowd_put(struct fixture *f, uint32_t number, const char *app)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = identity_labels(f->ids)};
	struct label_set *set;
	int r = label_builder_add(&b, "k8s:app", app);

	if (r == 0)
		r = label_builder_add_text(&b, "k8s:io.kubernetes.pod.namespace=ext");
	if (r == 0)
		r = label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.cluster=c1");
	if (r == 0)
		r = label_builder_take(&b, &set);
	return r < 0 ? r : identity_upsert(f->ids, number, set);
}

static void *crowd_begin(const void *arg)
{
	static const struct change change = {
		{{POLICY_CIDR_GROUP, GROUP}, {POLICY_KNP, KNP}, {POLICY_CCNP, FIRST}, {POLICY_CNP, SECOND}}, 4, false, NULL};
	struct crowd *c = calloc(1, sizeof(*c));

	(void)arg;
	NOMEM_NEED(c);
	changing_init(&c->c, &change);
	cr_assert_eq(policy_set(c->c.f.repo, POLICY_CNP, c->c.last, NULL), 1);
	for (uint32_t i = 0; i < CROWD_N / 2; i++)
		cr_assert_eq(crowd_put(&c->c.f, CROWD_FIRST + i, i % 3 ? "a" : "b"), 0);
	cr_assert_eq(policy_table_update(c->c.f.table), 1);
	policy_table_taken(c->c.f.table);
	for (uint32_t i = 0; i < CROWD_N; i++)
		c->class_then[i] = 1 + policy_class_of(c->c.f.table, CROWD_FIRST + i);
	return c;
}

/* Some go, some are others, some are new; one that is new goes again. */
static int crowd_run(void *state)
{
	struct crowd *c = state;
	struct fixture *f = &c->c.f;
	struct ip ips[3];
	int r = 0;

	for (uint32_t i = 0; i < CROWD_N / 4; i++)
		(void)identity_remove(f->ids, CROWD_FIRST + i);
	for (uint32_t i = CROWD_N / 4; i < CROWD_N && r == 0; i++)
		r = crowd_put(f, CROWD_FIRST + i, i % 4 == 0 ? "p" : i % 4 == 1 ? "c" : i % 4 == 2 ? "b" : "a");
	if (r == 0)
		r = crowd_put(f, 5000, "p");
	(void)identity_remove(f->ids, 5000);
	for (unsigned i = 0; i < ARRAY_LEN(ips) && r == 0; i++) {
		char text[] = "10.6.0.3";

		text[7] = (char)('3' + i);
		r = ip_parse(text, &ips[i]);
	}
	if (r == 0)
		r = policy_fqdn_set(f->repo, "Two.example.", ips, ARRAY_LEN(ips));
	return r < 0 ? r : policy_table_update(f->table);
}

static void crowd_dump(void *state, FILE *out)
{
	struct crowd *c = state;

	table_dump(&c->c.f, out);
	for (uint32_t i = 0; i < CROWD_N; i++) {
		uint32_t now = 1 + policy_class_of(c->c.f.table, CROWD_FIRST + i);

		if (now != c->class_then[i] && !fixture_has_changed(&c->c.f, CROWD_FIRST + i))
			(void)fprintf(out, "the change of %u is not told\n", CROWD_FIRST + i);
	}
}

static void crowd_end(void *state)
{
	struct crowd *c = state;

	doc_free(c->c.last);
	fixture_done(&c->c.f);
	free(c);
}

Test(nomem_policy, identities_come_and_go)
{
	const struct nomem n = {
		.name = "identities come and go",
		.begin = crowd_begin,
		.run = crowd_run,
		.dump = crowd_dump,
		.end = crowd_end,
		.places = 200,
	};

	nomem_try(&n);
}

/* --- answers why --- */

struct asking {
	struct changing c;
	char *text;
};

static void *asking_begin(const void *arg)
{
	static const struct change change = {
		{{POLICY_CIDR_GROUP, GROUP}, {POLICY_KNP, KNP}, {POLICY_CCNP, FIRST}, {POLICY_CNP, SECOND}}, 4, false, NULL};
	struct asking *a = calloc(1, sizeof(*a));

	(void)arg;
	NOMEM_NEED(a);
	changing_init(&a->c, &change);
	cr_assert_eq(policy_set(a->c.f.repo, POLICY_CNP, a->c.last, NULL), 1);
	cr_assert_eq(policy_table_update(a->c.f.table), 1);
	return a;
}

static int explain_one(struct asking *a, const struct policy_peer *peer, unsigned i, FILE *out)
{
	enum policy_dir dir = i % 2 ? POLICY_EGRESS : POLICY_INGRESS;
	CLEANUP(policy_why_done) struct policy_why why = {0};
	CLEANUP(json_decref) json_t *words = NULL;
	int r = i % 4 < 2 ? policy_why(a->c.f.repo, peer, dir, 6, i < 6 ? 80 : 1500, &why)
			  : policy_why_shadow(a->c.f.repo, peer, dir, 17, 53, &why);

	if (r == 0)
		r = policy_explain(a->c.f.repo, &why, dir, &words);
	if (r < 0)
		return r;
	nomem_pause();
	(void)json_dumpf(words, out, JSON_COMPACT | JSON_SORT_KEYS);
	(void)fputc('\n', out);
	nomem_resume();
	return 0;
}

static int asking_run(void *state)
{
	struct asking *a = state;
	const struct identity *id = identity_get(a->c.f.ids, 300);
	struct policy_peer peers[2] = {{.labels = id->labels}, {.labels = NULL}};
	char *text = NULL;
	size_t len;
	int r = 0;
	FILE *f;

	cr_assert_eq(ip_parse("10.1.2.3", &peers[1].ip), 0);
	nomem_pause();
	f = open_memstream(&text, &len);
	nomem_resume();
	for (unsigned i = 0; i < 16 && r == 0; i++)
		r = explain_one(a, &peers[i / 8], i % 8, f);
	nomem_pause();
	(void)fclose(f);
	free(r == 0 ? a->text : text);
	if (r == 0)
		a->text = text;
	nomem_resume();
	return r;
}

static void asking_dump(void *state, FILE *out)
{
	struct asking *a = state;

	table_dump(&a->c.f, out);
	(void)fputs(a->text ? a->text : "none", out);
}

static void asking_end(void *state)
{
	struct asking *a = state;

	doc_free(a->c.last);
	fixture_done(&a->c.f);
	free(a->text);
	free(a);
}

Test(nomem_policy, answers_why)
{
	const struct nomem n = {.name = "answers why",
				.begin = asking_begin,
				.run = asking_run,
				.dump = asking_dump,
				.end = asking_end,
				.is_atomic = true};

	nomem_try(&n);
}
