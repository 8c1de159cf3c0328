/* SPDX-License-Identifier: Apache-2.0 */
/* dns rules: who may be asked for which name, and what counts for toFQDNs. */
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "base/limits.h"
#include "base/macro.h"
#include "fixture.h"
#include "policy/policy_dns.h"
#include "lib/json_objects.h"

#define POLICY(name, egress)                                                                       \
	"{'metadata':{'name':'" name "','namespace':'ext'},'spec':{'endpointSelector':{},'egress':[" egress "]}}"
#define TO_DNS "'toEndpoints':[{'matchLabels':{'app':'a'}}]"
#define PORT(rules) "'toPorts':[{'ports':[{'port':'53','protocol':'ANY'}]" rules "}]"
#define NAMES(list) ",'rules':{'dns':[" list "]}"

/* A stands in for the cluster's DNS, B is a resolver outside. */
struct lab {
	struct fixture f;
	struct policy_dns *dns;
};

static void lab_init_with(struct lab *l, bool has_subdomain_wildcard)
{
	struct policy_options o = policy_options_default();

	*l = (struct lab){0};
	o.cluster = "c1";
	o.has_dns_server = true;
	o.has_subdomain_wildcard = has_subdomain_wildcard;
	fixture_init(&l->f, &o, NULL, NULL, NULL);
}

static void lab_init(struct lab *l)
{
	lab_init_with(l, false);
}

static int lab_set(struct lab *l, const char *text)
{
	json_t *obj = fixture_json(text);
	struct err err = {0};
	int r = json_policy_set(l->f.repo, POLICY_CNP, obj, &err);

	json_decref(obj);
	return r;
}

static void lab_build(struct lab *l)
{
	const struct identity *a = identity_get(l->f.ids, 300), *b = identity_get(l->f.ids, 301);
	const struct policy_dns_server v[] = {
		{.peer = {.labels = a->labels, .flags = a->flags}, .port = 53, .is_cluster = true},
		{.peer = {.labels = b->labels, .flags = b->flags}, .port = 53},
	};

	policy_dns_free(l->dns);
	cr_assert_eq(policy_dns_new(l->f.repo, v, ARRAY_LEN(v), &l->dns), 0);
}

static void lab_done(struct lab *l)
{
	policy_dns_free(l->dns);
	fixture_done(&l->f);
}

static void expect(const struct lab *l, bool is_cluster, uint8_t proto, const char *name,
		   enum policy_dns_verdict want)
{
	enum policy_dns_verdict got = policy_dns_check(l->dns, is_cluster, proto, name);

	cr_expect_eq(got, want, "%s: %d, not %d", name, (int)got, (int)want);
}

Test(dns_rules, without_any_nothing_is_refused_and_nothing_learned)
{
	struct lab l;

	lab_init(&l);
	lab_build(&l);
	cr_expect(!policy_dns_applies(l.dns));
	expect(&l, false, IPPROTO_UDP, "x.io", POLICY_DNS_FREE);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT("") "}")), 1);
	lab_build(&l);
	cr_expect(!policy_dns_applies(l.dns), "no rule speaks of names");
	expect(&l, true, IPPROTO_UDP, "x.io", POLICY_DNS_FREE);
	expect(&l, false, IPPROTO_TCP, "x.io", POLICY_DNS_FREE);
	cr_expect(!policy_has_dns_rules(l.f.repo));
	lab_done(&l);
}

Test(dns_rules, the_clusters_dns_speaks_for_all_names)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchPattern':'*.X.io'},{'matchName':'y.io'}")) "}")), 1);
	lab_build(&l);
	cr_expect(policy_dns_applies(l.dns));
	cr_expect(policy_has_dns_rules(l.f.repo));
	expect(&l, false, IPPROTO_UDP, "a.x.io.", POLICY_DNS_LEARN);
	expect(&l, false, IPPROTO_TCP, "y.io.", POLICY_DNS_LEARN);
	expect(&l, true, IPPROTO_UDP, "a.x.io.", POLICY_DNS_LEARN);
	expect(&l, false, IPPROTO_UDP, "x.io.", POLICY_DNS_REFUSE);
	expect(&l, true, IPPROTO_UDP, "web.prod.svc.cluster.local.", POLICY_DNS_REFUSE);
	lab_done(&l);
}

Test(dns_rules, a_resolver_outside_says_nothing_of_cluster_names)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{'toEndpoints':[{'matchLabels':{'app':'b','k8s:io.kubernetes.pod.namespace':'web'}}]," PORT(
							 NAMES("{'matchPattern':'*.x.io'}")) "}")), 1);
	lab_build(&l);
	expect(&l, false, IPPROTO_UDP, "a.x.io", POLICY_DNS_LEARN);
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_REFUSE);
	expect(&l, true, IPPROTO_UDP, "web.prod.svc.cluster.local", POLICY_DNS_FREE);
	lab_done(&l);
}

Test(dns_rules, one_server_that_allows_is_enough)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchPattern':'*.x.io'}")) "},"
					     "{'toEndpoints':[{'matchLabels':{'app':'b','k8s:io.kubernetes.pod.namespace':'web'}}]}")), 1);
	lab_build(&l);
	expect(&l, false, IPPROTO_UDP, "a.x.io", POLICY_DNS_LEARN);
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_PASS);
	expect(&l, true, IPPROTO_UDP, "b.io", POLICY_DNS_REFUSE);
	lab_done(&l);
}

Test(dns_rules, an_allow_without_names_opens_the_server_and_a_deny_closes_it)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchName':'y.io'}")) "}")), 1);
	cr_assert_eq(lab_set(&l, POLICY("q", "{'toEntities':['all']}")), 1);
	lab_build(&l);
	expect(&l, true, IPPROTO_UDP, "b.io", POLICY_DNS_LEARN);
	cr_assert_eq(lab_set(&l, "{'metadata':{'name':'r','namespace':'ext'},'spec':{'endpointSelector':{},'egressDeny':[{"
				 "'toEndpoints':[{'matchLabels':{'app':'a'}}],'toPorts':[{'ports':[{'port':'53','protocol':'UDP'}]}]}]}}"), 1);
	lab_build(&l);
	expect(&l, true, IPPROTO_UDP, "y.io", POLICY_DNS_REFUSE);
	expect(&l, true, IPPROTO_TCP, "y.io", POLICY_DNS_LEARN);
	expect(&l, false, IPPROTO_UDP, "y.io", POLICY_DNS_PASS);
	lab_done(&l);
}

Test(dns_rules, a_rule_for_udp_allows_nothing_by_tcp)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS ",'toPorts':[{'ports':[{'port':'53','protocol':'UDP'}]" NAMES("{'matchPattern':'*'}") "}]}")), 1);
	lab_build(&l);
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_LEARN);
	expect(&l, false, IPPROTO_TCP, "b.io", POLICY_DNS_REFUSE);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS ",'toPorts':[{'ports':[{'port':'5353','protocol':'UDP'}]" NAMES("{'matchPattern':'*'}") "}]}")), 1);
	lab_build(&l);
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_FREE);
	lab_done(&l);
}

Test(dns_rules, without_default_deny_no_name_is_refused)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, "{'metadata':{'name':'p','namespace':'ext'},'spec':{'endpointSelector':{},'enableDefaultDeny':{'egress':false},"
				 "'egress':[{" TO_DNS "," PORT(NAMES("{'matchName':'y.io'}")) "}]}}"), 1);
	lab_build(&l);
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_LEARN);
	lab_done(&l);
}

Test(dns_rules, names_are_matched_as_cilium_does)
{
	static const struct {
		const char *pattern, *name;
		bool want;
	} cases[] = {
		{"*.x.io", "a.x.io", true},
		{"*.x.io", "x.io", false},
		{"*.x.io", "a.b.x.io", false},
		{"*x.io", "x.io", true},
		{"*x.io", "foox.io", true},
		{"*x.io", "a.x.io", false},
		{"**.x.io", "a.x.io", true},
		{"**.x.io", "a.b.x.io", true},
		{"**.x.io", "x.io", false},
		{"***.x.io", "a.b.x.io", true},
		{"sub*.x.io", "sub.x.io", true},
		{"sub*.x.io", "subway.x.io.", true},
		{"a**b.io", "axb.io", true},
		{"a*b.io", "ab.io", true},
		{"a*b.io", "a.b.io", false},
		{"*", "a.b.c", true},
		{"**.", "a.b.c", true},
		{"www.X.io.", "WWW.x.IO", true},
		{"www.x.io", "www.x.ioo", false},
		{"real.cdn.net", "www.x.io", false},
		{"*.x.io", ".x.io", true},
		{"**.x.io", ".x.io", false},
		{"**.x.io", "a..x.io", false},
		{"**.x.io", "a\\032b.x.io", false}, /* as a name with a space is printed */
		{"**.x.io", "a.b.c.d.e.x.io.", true},
		{"**.x.io", "a.x.io.y", false},
		{"**.*.io", "a.b.io", true},
		{"**.*.io", "b.io", false},
		{"**x.io", "a.x.io", false}, /* only a whole label may be many */
		{"**x.io", "ax.io", true},
		{"a.**.io", "a.b.io", true},
		{"a.**.io", "a.b.c.io", false},
		{"*.*.io", "a.b.io", true},
		{"*.*.io", "a.io", false},
		{"*-*.io", "a-b.io", true},
		{"*-*.io", "ab.io", false},
		{"*a*a*.io", "baab.io", true},
		{"*a*a*.io", "bab.io", false},
		{"*ab.*ab.io", "aab.aaab.io", true},
		{"*ab.*ab.io", "aab.aaa.io", false},
		{"*.x.io", "a\\.b.x.io", false}, /* a dot inside of a label */
		{"*.x.io", "_dmarc.x.io", true},
		{"*.x.io", "a@.x.io", false},
		{"x.io", "xxio", false},
		{"x.io", "x.io.", true},
		{"x.io.", "x.io", true},
		{"x.io", "a.x.io", false},
		{"*", ".", true},
		{"*", "x.io.", true},
		{"***", "a.b", true},
		{"*.", "a.b.", true},
		{"*.io", "io", false},
		{".x.io", "a.x.io", false},
		{"a.io", "", false},
		{"", "a", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		cr_expect_eq(policy_fqdn_match(cases[i].pattern, cases[i].name, true),
			     cases[i].want, "%s ~ %s", cases[i].pattern, cases[i].name);
	cr_expect(!policy_fqdn_match("**.x.io", "a.b.x.io", false));
	cr_expect(policy_fqdn_match("**.x.io", "a.x.io", false));
}

Test(dns_rules, two_stars_are_labels_since_cilium_1_19)
{
	for (unsigned has_it = 0; has_it < 2; has_it++) {
		struct lab l;

		lab_init_with(&l, has_it);
		cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchPattern':'**.x.io'}")) "}")), 1);
		lab_build(&l);
		expect(&l, false, IPPROTO_UDP, "a.x.io", POLICY_DNS_LEARN);
		expect(&l, false, IPPROTO_UDP, "a.b.x.io", has_it ? POLICY_DNS_LEARN : POLICY_DNS_REFUSE);
		lab_done(&l);
	}
}

Test(dns_rules, required_authentication_grants_nothing)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchName':'a.io'}")) "}")), 1);
	cr_assert_eq(lab_set(&l, POLICY("q", "{" TO_DNS ",'authentication':{'mode':'required'}," PORT(NAMES("{'matchPattern':'*'}")) "}")), 1);
	lab_build(&l);
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_REFUSE);
	lab_done(&l);
}

Test(dns_rules, bad_ones_invalidate_the_object)
{
	static const char *const bad[] = {"{}", "{'matchName':'a','matchPattern':'*'}", "{'matchName':'a*'}",
					  "{'matchPattern':'a b'}", "{'matchName':7}", "7"};
	struct lab l;

	lab_init(&l);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(free) char *text = str_printf(POLICY("p", "{" TO_DNS "," PORT(NAMES("%s")) "}"), bad[i]);

		cr_expect_eq(lab_set(&l, text), -EBADMSG, "%s", bad[i]);
	}
	lab_done(&l);
}

/* Rules of others, and the packets to the server itself, are as before. */
/* One server that is asked by itself: whether its packets pass policy without regard to names. */
static bool opens(struct lab *l, uint32_t identity, uint8_t proto)
{
	const struct identity *id = identity_get(l->f.ids, identity);
	const struct policy_dns_server v = {.peer = {.labels = id->labels, .flags = id->flags}, .port = 53, .is_cluster = true};
	struct policy_dns *d;
	bool is_open;

	cr_assert_eq(policy_dns_new(l->f.repo, &v, 1, &d), 0);
	is_open = policy_dns_opens(d, proto);
	policy_dns_free(d);
	return is_open;
}

Test(dns_rules, servers_that_are_open)
{
	struct lab l;

	cr_expect(!policy_dns_opens(NULL, IPPROTO_UDP));
	lab_init(&l);
	cr_expect(opens(&l, 300, IPPROTO_UDP)); /* without policies everything is */
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS ",'toPorts':[{'ports':[{'port':'53','protocol':'UDP'}]}]}")), 1);
	cr_expect(opens(&l, 300, IPPROTO_UDP));
	cr_expect(!opens(&l, 300, IPPROTO_TCP));
	cr_expect(!opens(&l, 301, IPPROTO_UDP));
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchPattern':'*'}")) "}")), 1);
	cr_expect(!opens(&l, 300, IPPROTO_UDP)); /* for some names is not open */
	cr_assert_eq(lab_set(&l, POLICY("q", "{'toEntities':['all']}")), 1);
	cr_expect(opens(&l, 300, IPPROTO_UDP));
	cr_assert_eq(lab_set(&l, "{'metadata':{'name':'r','namespace':'ext'},'spec':{'endpointSelector':{},'egressDeny':[{"
				 "'toEndpoints':[{'matchLabels':{'app':'a'}}]}]}}"), 1);
	cr_expect(!opens(&l, 300, IPPROTO_UDP));
	lab_done(&l);
}

/* Cilium has no proxy look at what has no rule. */
Test(dns_rules, an_empty_list_is_none)
{
	struct lab l;

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("")) "}")), 1);
	lab_build(&l);
	cr_expect(!policy_dns_applies(l.dns));
	cr_expect(!policy_dns_is_filtered(l.f.repo));
	expect(&l, false, IPPROTO_UDP, "b.io", POLICY_DNS_FREE);
	cr_expect(opens(&l, 300, IPPROTO_UDP));
	cr_expect(!opens(&l, 301, IPPROTO_UDP));
	lab_done(&l);
}

Test(dns_rules, whether_any_holds_for_the_dns_port)
{
	static const struct {
		const char *egress;
		bool is_filtered;
	} cases[] = {
		{"{'toEntities':['all']}", false},
		{"{" TO_DNS "," PORT("") "}", false},
		{"{" TO_DNS ",'toPorts':[{'ports':[{'port':'5353','protocol':'UDP'}]" NAMES("{'matchPattern':'*'}") "}]}", false},
		{"{" TO_DNS "," PORT(NAMES("{'matchPattern':'*'}")) "}", true},
		{"{'toCIDR':['192.0.2.53/32']," PORT(NAMES("{'matchName':'y.io'}")) "}", true},
		{"{" TO_DNS ",'toPorts':[{'ports':[{'port':'53','protocol':'TCP'}]" NAMES("{'matchPattern':'*'}") "}]}", true},
	};
	struct lab l;

	lab_init(&l);
	cr_expect(!policy_dns_is_filtered(l.f.repo));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(free) char *text = str_printf(POLICY("p", "%s"), cases[i].egress);

		cr_assert_eq(lab_set(&l, text), 1, "%zu", i);
		cr_expect_eq(policy_dns_is_filtered(l.f.repo), cases[i].is_filtered, "%zu", i);
	}
	cr_assert_eq(lab_set(&l, "{'metadata':{'name':'p','namespace':'other'},'spec':{'endpointSelector':{},'egress':[{" TO_DNS ","
				 PORT(NAMES("{'matchPattern':'*'}")) "}]}}"), 1);
	cr_assert_eq(lab_set(&l, POLICY("p", "{'toEntities':['all']}")), 1);
	cr_expect(!policy_dns_is_filtered(l.f.repo)); /* the other one is about other hosts */
	lab_done(&l);
}

Test(dns_rules, they_open_no_port)
{
	struct lab l;
	struct fixture_peer a = fixture_peer("A");

	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{" TO_DNS "," PORT(NAMES("{'matchPattern':'*.x.io'}")) "}")), 1);
	cr_assert_eq(policy_table_update(l.f.table), 1);
	cr_expect_eq(fixture_table_verdict(&l.f, &a, POLICY_EGRESS, IPPROTO_UDP, 53).action, POLICY_DENY_DEFAULT);
	lab_done(&l);
}

static uint8_t verdict_of(struct lab *l, const char *peer)
{
	struct fixture_peer p = fixture_peer(peer);
	uint8_t action = fixture_table_verdict(&l->f, &p, POLICY_EGRESS, IPPROTO_TCP, 443).action;

	cr_expect_eq(action, fixture_model_verdict(&l->f, &p, POLICY_EGRESS, IPPROTO_TCP, 443).action);
	return action;
}

/* What is learned of one name counts in full: the newest may come last, behind what connections still use. */
Test(dns_rules, a_name_with_thousands_of_addresses)
{
	enum { MANY = LIMIT_FQDN_IPS + 500 };
	struct ip *ips = calloc(MANY, sizeof(*ips));
	struct lab l;

	cr_assert_not_null(ips);
	for (unsigned i = 0; i < MANY; i++)
		ips[i] = (struct ip){.family = AF_INET, .b = {198, 18, (uint8_t)(i >> 8), (uint8_t)i}};
	lab_init(&l);
	cr_assert_eq(lab_set(&l, POLICY("p", "{'toFQDNs':[{'matchName':'pool.x.io'}],'toPorts':[{'ports':[{'port':'443'}]}]}")), 1);
	cr_assert_eq(policy_fqdn_set(l.f.repo, "pool.x.io", ips, MANY), 1);
	cr_assert_eq(policy_table_update(l.f.table), 1);
	cr_expect_eq(verdict_of(&l, "ip 198.18.0.0"), POLICY_ALLOW);
	cr_expect_eq(verdict_of(&l, "ip 198.18.5.219"), POLICY_ALLOW, "the last one");
	cr_expect_eq(verdict_of(&l, "ip 198.18.5.220"), POLICY_DENY_DEFAULT);
	lab_done(&l);
	free(ips);
}

/* A learned address changes its prefix and nothing else: no class is made anew. */
Test(dns_rules, learned_names_change_prefixes_only)
{
	struct ip ips[2];
	struct lab l;
	uint64_t version;

	lab_init(&l);
	cr_assert_eq(ip_parse("192.0.2.1", &ips[0]), 0);
	cr_assert_eq(ip_parse("192.0.2.2", &ips[1]), 0);
	cr_assert_eq(lab_set(&l, POLICY("p", "{'toFQDNs':[{'matchPattern':'*.x.io'}],'toPorts':[{'ports':[{'port':'443'}]}]}")), 1);
	cr_assert_eq(policy_table_update(l.f.table), 1);
	cr_expect_eq(verdict_of(&l, "ip 192.0.2.1"), POLICY_DENY_DEFAULT);
	version = policy_generation(l.f.repo);
	cr_assert_eq(policy_fqdn_set(l.f.repo, "A.x.io.", ips, 1), 1);
	cr_assert_eq(policy_fqdn_set(l.f.repo, "b.y.io.", ips + 1, 1), 0);
	cr_expect_eq(policy_generation(l.f.repo), version);
	cr_assert_eq(policy_table_update(l.f.table), 1);
	policy_table_taken(l.f.table);
	cr_expect_eq(policy_table_update(l.f.table), 0);
	cr_expect_eq(verdict_of(&l, "ip 192.0.2.1"), POLICY_ALLOW);
	cr_expect_eq(verdict_of(&l, "ip 192.0.2.2"), POLICY_DENY_DEFAULT);
	cr_assert_eq(policy_fqdn_set(l.f.repo, "a.x.io", ips, 2), 1);
	cr_assert_eq(policy_table_update(l.f.table), 1);
	cr_expect_eq(verdict_of(&l, "ip 192.0.2.2"), POLICY_ALLOW);
	cr_assert_eq(policy_fqdn_set(l.f.repo, "a.x.io", NULL, 0), 1);
	cr_assert_eq(policy_table_update(l.f.table), 1);
	cr_expect_eq(verdict_of(&l, "ip 192.0.2.1"), POLICY_DENY_DEFAULT);
	cr_expect_eq(verdict_of(&l, "ip 192.0.2.2"), POLICY_DENY_DEFAULT);
	lab_done(&l);
}
