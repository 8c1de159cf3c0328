/* SPDX-License-Identifier: Apache-2.0 */
/* The gate before the policies, the guard, shadow policies, and what names were seen to stand for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "json/json.h"
#include "nomem.h"
#include "policy/guard.h"
#include "policy/learned.h"
#include "policy/policy_dns.h"
#include "policy/policy_gate.h"
#include "policy/policy_shadow.h"
#include "table_dump.h"

#define ALLOW(name, app)                                                                                                       \
	"{'metadata':{'name':'" name "','namespace':'ext','uid':'u-" name "-" app "','generation':3},'spec':{"                 \
	"'endpointSelector':{},'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'" app "'}}]}],"                             \
	"'egress':[{'toEntities':['all'],'toPorts':[{'ports':[{'port':'53'}],'rules':{'dns':[{'matchPattern':'*." app "'}]}}]}," \
	"{'toFQDNs':[{'matchName':'one." app "'}]}]}}"
#define SHADOW                                                                                                                 \
	"{'metadata':{'name':'s','namespace':'ext','annotations':{'mesh-external-agent.io/mode':'shadow'}},'spec':{"           \
	"'endpointSelector':{},'ingressDeny':[{'fromEntities':['world']}]}}"

struct gated {
	struct fixture f;
	struct policy_gate *gate;
	struct doc *docs[4];
	json_t *snapshot; /* of the first two, the second in shadow */
};

static struct doc *doc_of(const char *text)
{
	json_t *j = fixture_json(text);
	struct doc *d = doc_from_json(j);

	NOMEM_NEED(d);
	json_decref(j);
	return d;
}

/* 0, 1 and 2 are in force; 3 is another version of 1. `arg`: held by a snapshot of 0 and SHADOW. */
static void *gated_begin(const void *arg)
{
	struct policy_options o = policy_options_default();
	struct gated *g = calloc(1, sizeof(*g));
	size_t bad;

	NOMEM_NEED(g);
	o.has_dns_server = true;
	fixture_init(&g->f, &o, NULL, NULL, NULL);
	g->docs[0] = doc_of(ALLOW("p", "a"));
	g->docs[1] = doc_of(ALLOW("q", "b"));
	g->docs[2] = doc_of(SHADOW);
	g->docs[3] = doc_of(ALLOW("q", "a"));
	cr_assert_eq(policy_gate_new(g->f.repo, &g->gate), 0);
	cr_assert_eq(policy_gate_set(g->gate, POLICY_CNP, g->docs[0], NULL), 1);
	cr_assert_eq(policy_gate_set(g->gate, POLICY_CNP, g->docs[2], NULL), 1);
	g->snapshot = policy_gate_snapshot(g->gate);
	NOMEM_NEED(g->snapshot);
	cr_assert_eq(policy_gate_set(g->gate, POLICY_CNP, g->docs[1], NULL), 1);
	if (arg) {
		cr_assert_eq(policy_gate_hold(g->gate, g->snapshot, &bad), 0);
		cr_assert_eq(bad, 0);
		cr_assert_eq(policy_gate_set(g->gate, POLICY_CNP, g->docs[3], NULL), 0);
		cr_assert_eq(policy_gate_remove(g->gate, POLICY_CNP, "ext", "s"), 0);
	}
	return g;
}

static void gated_dump(void *state, FILE *out)
{
	struct gated *g = state;
	json_t *snapshot = policy_gate_snapshot(g->gate);
	char *text;

	NOMEM_NEED(snapshot);
	text = json_dumps(snapshot, JSON_COMPACT | JSON_SORT_KEYS);
	policies_dump(&g->f, out);
	(void)fprintf(out, "%s, %zu wait, digest %llx\n%s\n", policy_gate_is_held(g->gate) ? "held" : "open",
		      policy_gate_waiting(g->gate), (unsigned long long)policy_gate_digest(g->gate), text);
	free(text);
	json_decref(snapshot);
}

static void gated_end(void *state)
{
	struct gated *g = state;

	json_decref(g->snapshot);
	policy_gate_free(g->gate);
	for (size_t i = 0; i < ARRAY_LEN(g->docs); i++)
		doc_free(g->docs[i]);
	fixture_done(&g->f);
	free(g);
}

static int hold(void *state)
{
	struct gated *g = state;
	size_t bad = 0;
	int r = policy_gate_hold(g->gate, g->snapshot, &bad);

	return r < 0 ? r : (int)bad;
}

static int release(void *state)
{
	return policy_gate_release(((struct gated *)state)->gate);
}

static int set(void *state)
{
	struct gated *g = state;

	return policy_gate_set(g->gate, POLICY_CNP, g->docs[3], NULL);
}

static int delete(void *state)
{
	return policy_gate_remove(((struct gated *)state)->gate, POLICY_CNP, "ext", "p");
}

/* What is asked of it says the same with and without memory. */
static int ask(void *state)
{
	struct gated *g = state;
	json_t *snapshot = policy_gate_snapshot(g->gate);
	uint64_t all = policy_gate_digest(g->gate), one = policy_gate_digest_of(g->gate, POLICY_CNP, "ext", "s");

	json_decref(snapshot);
	cr_assert(policy_is_shadow(g->f.repo, POLICY_CNP, "ext", "s"));
	cr_assert(policy_counts(g->f.repo, POLICY_CNP, "ext", "q"));
	nomem_pause();
	cr_expect_eq(all, policy_gate_digest(g->gate));
	cr_expect_eq(one, policy_gate_digest_of(g->gate, POLICY_CNP, "ext", "s"));
	nomem_resume();
	return snapshot ? 0 : -ENOMEM;
}

static int choose(void *state)
{
	struct gated *g = state;
	int r = policy_choose(g->f.repo, "ext", "p", POLICY_CHOICE_SHADOW);

	r = r < 0 ? r : policy_choose(g->f.repo, "ext", "s", POLICY_CHOICE_ENFORCE);
	return r < 0 ? r : policy_choose(g->f.repo, "ext", "none", POLICY_CHOICE_SHADOW);
}

Test(nomem_gate, policies)
{
	const struct nomem all[] = {
		{.name = "hold", .run = hold},
		{.name = "release", .run = release, .arg = ""},
		{.name = "set through the gate", .run = set},
		{.name = "set while held", .run = set, .arg = "", .is_atomic = true},
		{.name = "delete", .run = delete, .is_atomic = true},
		{.name = "delete while held", .run = delete, .arg = "", .is_atomic = true},
		{.name = "ask", .run = ask, .is_atomic = true},
		{.name = "choose", .run = choose},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = gated_begin;
		n.dump = gated_dump;
		n.end = gated_end;
		nomem_try(&n);
	}
}

/* --- the guard --- */

struct guarded {
	struct guard guard, back;
};

static void *guarded_begin(const void *arg)
{
	struct guarded *g = calloc(1, sizeof(*g));

	(void)arg;
	NOMEM_NEED(g);
	cr_assert_eq(guard_arm(&g->guard, 60000000, 77, json_pack("[{s:s}]", "kind", "k"), NULL), 0);
	cr_assert_eq(guard_look(&g->guard, 78, 1), GUARD_STARTED);
	return g;
}

static int there_and_back(void *state)
{
	struct guarded *g = state;
	json_t *doc = guard_to_json(&g->guard, "00112233445566778899aabbccddeeff");
	int r;

	if (!doc)
		return -ENOMEM;
	guard_done(&g->back);
	r = guard_from_json(doc, "00112233445566778899aabbccddeeff", 2, &g->back);
	json_decref(doc);
	return r;
}

static int arm_open(void *state)
{
	return guard_arm_open(&((struct guarded *)state)->guard, 5000000);
}

static void guarded_dump(void *state, FILE *out)
{
	struct guarded *g = state;
	const struct guard *both[] = {&g->guard, &g->back};

	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		char *text = both[i]->confirmed ? json_dumps(both[i]->confirmed, JSON_COMPACT) : NULL;

		(void)fprintf(out, "%s %d %llu %llu %llu %s\n", guard_state_str(both[i]->state), both[i]->is_open,
			      (unsigned long long)both[i]->timeout_us, (unsigned long long)both[i]->deadline_us,
			      (unsigned long long)both[i]->digest, text ? text : "nothing");
		free(text);
	}
}

static void guarded_end(void *state)
{
	struct guarded *g = state;

	guard_done(&g->guard);
	guard_done(&g->back);
	free(g);
}

Test(nomem_gate, guard)
{
	const struct nomem file = {.name = "guard to a file and back",
				   .begin = guarded_begin,
				   .run = there_and_back,
				   .dump = guarded_dump,
				   .end = guarded_end,
				   .is_atomic = true},
			   open = {.name = "guard for joining",
				   .begin = guarded_begin,
				   .run = arm_open,
				   .dump = guarded_dump,
				   .end = guarded_end,
				   .is_atomic = true};

	nomem_try(&file);
	nomem_try(&open);
}

/* --- learned names --- */

struct knowing {
	struct learned *l, *back;
};

static void *knowing_begin(const void *arg)
{
	struct learned_options o = {.min_ttl_s = 1};
	struct knowing *k = calloc(1, sizeof(*k));
	struct ip ip;

	(void)arg;
	NOMEM_NEED(k);
	cr_assert_eq(learned_new(&o, &k->l), 0);
	cr_assert_eq(ip_parse("192.0.2.1", &ip), 0);
	cr_assert_eq(learned_add(k->l, "old.example", true, &ip, 1, 5, 1000000), 1);
	return k;
}

static int knowing_run(void *state)
{
	struct knowing *k = state;
	struct ip ips[6];
	int r = 0;

	for (unsigned n = 0; n < 12 && r >= 0; n++) {
		char name[32], text[32];

		(void)snprintf(name, sizeof(name), "n%u.Example.", n / 2);
		for (unsigned i = 0; i < ARRAY_LEN(ips); i++) {
			(void)snprintf(text, sizeof(text), "192.0.%u.%u", n, i);
			cr_assert_eq(ip_parse(text, &ips[i]), 0);
		}
		r = learned_add(k->l, name, n % 2, ips, ARRAY_LEN(ips), 60 + n, 2000000);
	}
	return r < 0 ? r : 0;
}

static int keep(void *state)
{
	struct learned_options o = {.min_ttl_s = 1};
	struct knowing *k = state;
	CLEANUP(buf_done) struct buf b = {.max = 1 << 20};
	int r = knowing_run(state);

	if (r == 0)
		r = learned_encode(k->l, 3000000, 1700000000, &b);
	learned_free(k->back);
	k->back = NULL;
	if (r == 0)
		r = learned_new(&o, &k->back);
	return r < 0 ? r : learned_decode(k->back, b.data, b.len, 3000000, 1700000000);
}

static int dump_name(const char *name, bool is_wanted, const struct learned_address *v, size_t n, void *arg)
{
	char text[IP_STRLEN];

	(void)fprintf(arg, "%s%s", name, is_wanted ? " wanted" : "");
	for (size_t i = 0; i < n; i++)
		(void)fprintf(arg, " %s %llu%s", ip_str(&v[i].ip, text), (unsigned long long)v[i].expires_us,
			      v[i].is_zombie ? " zombie" : "");
	(void)fputc('\n', arg);
	return 0;
}

static void knowing_dump(void *state, FILE *out)
{
	struct knowing *k = state;

	(void)learned_each(k->l, dump_name, out);
	if (k->back)
		(void)learned_each(k->back, dump_name, out);
}

static void knowing_end(void *state)
{
	struct knowing *k = state;

	learned_free(k->l);
	learned_free(k->back);
	free(k);
}

static int add_one(void *state)
{
	struct knowing *k = state;
	struct ip ips[3];

	for (unsigned i = 0; i < ARRAY_LEN(ips); i++) {
		char text[] = "192.0.2.1";

		text[8] = (char)('1' + i);
		cr_assert_eq(ip_parse(text, &ips[i]), 0);
	}
	return learned_add(k->l, "OLD.example", true, ips, ARRAY_LEN(ips), 100, 2000000);
}

Test(nomem_gate, learned)
{
	const struct nomem add = {.name = "learned names",
				  .begin = knowing_begin,
				  .run = knowing_run,
				  .dump = knowing_dump,
				  .end = knowing_end},
			   one = {.name = "learned name",
				  .begin = knowing_begin,
				  .run = add_one,
				  .dump = knowing_dump,
				  .end = knowing_end},
			   file = {.name = "learned names to a file and back",
				   .begin = knowing_begin,
				   .run = keep,
				   .dump = knowing_dump,
				   .end = knowing_end};

	nomem_try(&add);
	nomem_try(&one);
	nomem_try(&file);
}

/* --- dns rules --- */

struct named {
	struct gated *g;
	struct policy_dns *dns;
};

static void *named_begin(const void *arg)
{
	struct named *n = calloc(1, sizeof(*n));

	NOMEM_NEED(n);
	n->g = gated_begin(arg);
	return n;
}

static int named_run(void *state)
{
	struct named *n = state;
	struct policy_dns_server servers[2] = {{.port = 53, .is_cluster = true}, {.port = 53}};
	struct policy_dns *dns;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		const struct identity *id = identity_get(n->g->f.ids, i ? IDENTITY_WORLD : 300);

		servers[i].peer.labels = id->labels;
		servers[i].peer.flags = id->flags;
	}
	r = policy_dns_new(n->g->f.repo, servers, ARRAY_LEN(servers), &dns);
	if (r < 0)
		return r;
	policy_dns_free(n->dns);
	n->dns = dns;
	return 0;
}

static void named_dump(void *state, FILE *out)
{
	static const char *const names[] = {"x.a", "y.b", "z.c", "one.a", "kube-dns.kube-system.svc.cluster.local"};
	struct named *n = state;

	(void)fprintf(out, "%d %d %d %d\n", policy_dns_applies(n->dns), policy_dns_opens(n->dns, 17),
		      policy_dns_opens(n->dns, 6), policy_dns_is_filtered(n->g->f.repo));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)fprintf(out, "%s %d %d %d\n", names[i], policy_dns_wants(n->dns, names[i]),
			      (int)policy_dns_check(n->dns, i == 4, 17, names[i]), (int)policy_dns_check(n->dns, i == 4, 6, names[i]));
}

static void named_end(void *state)
{
	struct named *n = state;

	policy_dns_free(n->dns);
	gated_end(n->g);
	free(n);
}

Test(nomem_gate, dns_rules)
{
	const struct nomem n = {.name = "dns rules",
				.begin = named_begin,
				.run = named_run,
				.dump = named_dump,
				.end = named_end,
				.is_atomic = true};

	nomem_try(&n);
}
