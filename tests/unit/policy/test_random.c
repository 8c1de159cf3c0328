/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies: what the tables say must be what the rules say, for every packet asked. The seed
 * is fixed; MESH_TEST_ROUNDS asks for more rounds, MESH_TEST_SEED for another start.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "fixture.h"
#include "identity/selector.h"
#include "policy/policy_shadow.h"

enum { ROUNDS = 300, CHECKS = 100, IDENTITIES = 24 };

static uint64_t state;
static uint64_t n_shadow_checks;
static bool has_shadow; /* this round has shadow policies */

static uint32_t below(uint32_t bound)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % bound;
}

static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

#define PICK(list) ((list)[below(ARRAY_LEN(list))])

static json_t *random_labels_selector(void)
{
	static const char *const keys[] = {"app", "k8s:tier", "any:zone",
					   "io.kubernetes.pod.namespace"};
	static const char *const values[] = {"a", "b", "c", "ext", "web"};
	static const char *const ops[] = {"In", "NotIn", "Exists", "DoesNotExist"};
	json_t *sel;

	if (chance(8))
		return json_pack("{s:{s:s}}", "matchLabels",
				 chance(50) ? "reserved:world" : "reserved:remote-node", "");
	sel = json_object();
	if (chance(60))
		(void)json_object_set_new(sel, "matchLabels",
					  json_pack("{s:s}", PICK(keys), PICK(values)));
	if (chance(40)) {
		const char *op = PICK(ops);
		json_t *expr = json_pack("{s:s,s:s}", "key", PICK(keys), "operator", op);

		if (str_has_suffix(op, "In"))
			(void)json_object_set_new(expr, "values",
						  json_pack("[s,s]", PICK(values), PICK(values)));
		(void)json_object_set_new(sel, "matchExpressions", json_pack("[o]", expr));
	}
	return sel;
}

static json_t *random_cidr(void)
{
	static const char *const cidrs[] = {
		"0.0.0.0/0",	 "10.0.0.0/8",	  "10.1.0.0/16",   "10.1.2.0/24",     "10.1.2.3/32",
		"172.18.0.0/16", "10.244.0.0/16", "2001:db8::/32", "2001:db8:1::/48", "::/0"};

	return json_string(PICK(cidrs));
}

static json_t *random_cidr_item(void)
{
	switch (below(4)) {
	case 0:
		return json_pack("{s:s,s:[s]}", "cidr", "10.0.0.0/8", "except",
				 chance(50) ? "10.1.0.0/16" : "10.1.2.0/24");
	case 1:
		return json_pack("{s:s}", "cidrGroupRef", chance(50) ? "g1" : "g2");
	case 2:
		return json_pack("{s:{s:{s:s}}}", "cidrGroupSelector", "matchLabels", "site",
				 chance(50) ? "x" : "y");
	default:
		return json_pack("{s:o}", "cidr", random_cidr());
	}
}

static json_t *random_entity(void)
{
	static const char *const names[] = {
		"all",	  "world",	  "cluster", "host", "remote-node", "kube-apiserver",
		"health", "cluster-mesh", "init",    "none"};

	return json_string(PICK(names));
}

static json_t *random_fqdn(void)
{
	static const char *const patterns[] = {"*.x.io", "www.x.io", "**.y.net", "*"};

	return json_pack("{s:s}", "matchPattern", PICK(patterns));
}

static void add_peers(json_t *element, bool is_egress, bool is_deny)
{
	static const char *const names[][2] = {{"fromEndpoints", "toEndpoints"},
					       {"fromEntities", "toEntities"},
					       {"fromCIDR", "toCIDR"},
					       {"fromCIDRSet", "toCIDRSet"},
					       {NULL, "toFQDNs"},
					       {NULL, "toServices"}};
	json_t *(*const make[])(void) = {random_labels_selector, random_entity, random_cidr,
					 random_cidr_item, random_fqdn};
	unsigned kind = below(is_egress && !is_deny ? 6 : 4);
	json_t *list = json_array();

	for (uint32_t n = chance(8) ? 0 : 1 + below(3); n > 0; n--)
		(void)json_array_append_new(
			list, kind == 5 ? json_pack("{s:{s:s}}", "k8sService", "serviceName",
						    chance(50) ? "shop" : "outside")
					: make[kind]());
	(void)json_object_set_new(element, names[kind][is_egress], list);
}

static json_t *random_port(void)
{
	static const char *const protos[] = {"TCP", "TCP", "UDP", "SCTP", "ANY", "GRE"};
	static const char *const names[] = {"http", "web", "dns"};
	const char *proto = PICK(protos);
	json_t *port = json_pack("{s:s}", "protocol", proto);
	char text[8];

	if (str_eq(proto, "GRE") || chance(5)) {
		(void)json_object_set_new(port, "port", json_string("0"));
	} else if (chance(15)) {
		(void)json_object_set_new(port, "port", json_string(PICK(names)));
	} else {
		(void)snprintf(text, sizeof(text), "%u", 1 + below(chance(90) ? 40 : 65535));
		(void)json_object_set_new(port, "port", json_string(text));
		if (chance(40))
			(void)json_object_set_new(port, "endPort",
						  json_integer(1 + below(chance(90) ? 60 : 65535)));
	}
	return port;
}

static void add_ports(json_t *element, bool is_deny)
{
	json_t *item, *ports = json_array();

	if (chance(20)) {
		(void)json_object_set_new(element, "icmps",
					  json_pack("[{s:[{s:i,s:s}]}]", "fields", "type",
						    (int)below(12), "family",
						    chance(70) ? "IPv4" : "IPv6"));
		json_decref(ports);
		return;
	}
	for (uint32_t n = chance(5) ? 0 : 1 + below(3); n > 0; n--)
		(void)json_array_append_new(ports, random_port());
	item = json_pack("{s:o}", "ports", ports);
	if (!is_deny && chance(15))
		(void)json_object_set_new(item, "serverNames", json_pack("[s]", "a.io"));
	(void)json_object_set_new(element, "toPorts", json_pack("[o]", item));
}

static json_t *random_element(bool is_egress, bool is_deny)
{
	static const char *const modes[] = {"disabled", "required", "test-always-fail"};
	json_t *element = json_object();

	if (chance(80))
		add_peers(element, is_egress, is_deny);
	if (chance(65))
		add_ports(element, is_deny);
	if (!is_deny && chance(12))
		(void)json_object_set_new(element, "authentication",
					  json_pack("{s:s}", "mode", PICK(modes)));
	return element;
}

static json_t *random_spec(void)
{
	static const char *const lists[] = {"ingress", "ingressDeny", "egress", "egressDeny"};
	json_t *spec = json_pack(
		"{s:o}", "endpointSelector",
		chance(85) ? json_object() : json_pack("{s:{s:s}}", "matchLabels", "app", "other"));

	for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *list;

		if (chance(i % 2 ? 65 : 35))
			continue;
		list = json_array();
		for (uint32_t n = 1 + below(3); n > 0; n--)
			(void)json_array_append_new(list, random_element(i >= 2, i % 2));
		(void)json_object_set_new(spec, lists[i], list);
	}
	if (chance(20))
		(void)json_object_set_new(
			spec, "enableDefaultDeny",
			json_pack("{s:b,s:b}", "ingress", (int)chance(30), "egress", 0));
	return spec;
}

static json_t *random_knp_spec(void)
{
	json_t *peer, *element = json_object();

	if (chance(70)) {
		peer = chance(50) ? json_pack("{s:{s:{s:s}}}", "podSelector", "matchLabels", "app",
					      "a")
		       : chance(50) ? json_pack("{s:{}}", "namespaceSelector")
				    : json_pack("{s:{s:s,s:[s]}}", "ipBlock", "cidr", "10.0.0.0/8",
						"except", "10.1.0.0/16");
		(void)json_object_set_new(element, "from", json_pack("[o]", peer));
	}
	if (chance(50))
		(void)json_object_set_new(element, "ports",
					  json_pack("[{s:i,s:i}]", "port", (int)(1 + below(40)),
						    "endPort", (int)(1 + below(60))));
	return json_pack("{s:{},s:[o]}", "podSelector", "ingress", element);
}

static void set_random_policy(struct fixture *f, uint32_t slot)
{
	static const enum policy_kind kinds[] = {POLICY_CNP, POLICY_CNP, POLICY_CCNP, POLICY_KNP};
	enum policy_kind kind = PICK(kinds);
	json_t *obj, *spec = kind == POLICY_KNP ? random_knp_spec() : random_spec();
	char name[16];
	struct err err;
	int r;

	(void)snprintf(name, sizeof(name), "p%u", slot);
	obj = fixture_object("ext", name, spec);
	if (has_shadow && chance(40))
		(void)json_object_set_new(json_object_get(obj, "metadata"), "annotations",
					  json_pack("{s:s}", POLICY_MODE_ANNOTATION, "shadow"));
	r = policy_set(f->repo, kind, obj, &err);
	cr_assert(r == 1 || r == -EBADMSG, "%d", r);
	json_decref(spec);
	json_decref(obj);
}

static void set_random_identity(struct fixture *f, uint32_t number)
{
	static const char *const apps[] = {"k8s:app=a", "k8s:app=b", "unspec:app=c", "k8s:tier=a",
					   "container:zone=b"};
	static const char *const namespaces[] = {"k8s:io.kubernetes.pod.namespace=ext",
						 "k8s:io.kubernetes.pod.namespace=web"};
	static const char *const clusters[] = {"k8s:io.cilium.k8s.policy.cluster=c1",
					       "k8s:io.cilium.k8s.policy.cluster=c1",
					       "k8s:io.cilium.k8s.policy.cluster=c2"};
	static const char *const gen[] = {"gen:io.cilium.k8s.named-ports=web.TCP.7",
					  "gen:io.cilium.k8s.named-ports=web.TCP.9_dns.UDP.9"};
	const char *texts[] = {PICK(apps), PICK(apps), PICK(namespaces), PICK(clusters), PICK(gen)};

	cr_assert_eq(identity_upsert(f->ids, number, fixture_labels(f, texts, chance(30) ? 5 : 4)),
		     0);
}

static void set_groups(struct fixture *f)
{
	static const char *const groups[] = {
		"{'metadata':{'name':'g1','labels':{'site':'x'}},'spec':{'externalCIDRs':['10.1.0."
		"0/16','2001:db8::/32']}}",
		"{'metadata':{'name':'g2','labels':{'site':'y'}},'spec':{'externalCIDRs':['10.0.0."
		"0/8','10.1.2.3/32']}}"};
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		json_t *obj = fixture_json(groups[i]);

		cr_assert_eq(policy_set(f->repo, POLICY_CIDR_GROUP, obj, &err), 1, "%s", err.text);
		json_decref(obj);
	}
}

static void random_fixture(struct fixture *f)
{
	struct policy_options o = policy_options_default();
	const char *names[] = {"www.x.io", "a.b.y.net"};
	json_t *ports = json_pack("{s:s,s:s}", "http", "TCP/8", "dns", "UDP/11");
	struct ip ip;

	o.has_ipv6 = chance(50);
	o.cidr_modes = below(4);
	o.has_localhost_allow = chance(30);
	o.has_extended_protocols = true;
	o.is_local_cluster_default = chance(60);
	if (chance(5))
		o.mode = POLICY_MODE_ALWAYS;
	fixture_init(
		f, &o, NULL, ports,
		fixture_json("[{'ns':'web','name':'shop','selector':{'app':'b'}},"
			     "{'ns':'web','name':'outside','backends':['10.1.2.3','10.7.7.7']}]"));
	json_decref(ports);
	set_groups(f);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cr_assert_eq(ip_parse(i ? "10.1.2.9" : "192.0.2.1", &ip), 0);
		cr_assert_geq(policy_fqdn_set(f->repo, names[i], &ip, 1), 0);
	}
	for (uint32_t i = 0; i < IDENTITIES; i++)
		set_random_identity(f, 1000 + i);
}

static struct fixture_peer random_peer(const struct fixture *f)
{
	static const char *const v4[] = {"ip 10.1.2.3", "ip 10.1.2.9",	"ip 10.1.9.9",
					 "ip 10.9.9.9", "ip 192.0.2.1", "ip 10.7.7.7"};
	static const char *const v6[] = {"ip 2001:db8::1", "ip 2001:db8:1::1", "ip 2001:dead::1"};
	static const char *const known[] = {"A", "B", "R",	 "P",	 "Q",	"N",
					    "K", "L", "unknown", "id 4", "id 5"};
	struct fixture_peer p = {.has_identity = true};

	switch (below(4)) {
	case 0:
		return fixture_peer(f->options.has_ipv6 && chance(40) ? PICK(v6) : PICK(v4));
	case 1:
		return fixture_peer(PICK(known));
	default:
		p.identity = 1000 + below(IDENTITIES);
		if (chance(30))
			cr_assert_eq(ip_parse(chance(50) ? "10.1.2.3" : "10.244.7.7", &p.ip), 0);
		return p;
	}
}

static void check_one(struct fixture *f, uint32_t round)
{
	static const uint8_t protos[] = {6, 6, 6, 17, 132, 1, 58, 47, 2};
	struct fixture_peer peer = random_peer(f);
	enum policy_dir dir = chance(50) ? POLICY_INGRESS : POLICY_EGRESS;
	uint8_t proto = PICK(protos);
	uint16_t port = (uint16_t)(chance(90) ? below(64) : below(65536));
	struct policy_verdict table = fixture_table_verdict(f, &peer, dir, proto, port);
	struct policy_verdict model = fixture_model_verdict(f, &peer, dir, proto, port);

	if (table.action == model.action && policy_table_shadowed(f->table, dir)) {
		struct policy_verdict by_rules = fixture_model_shadow(f, &peer, dir, proto, port);
		struct policy_verdict shadow = fixture_table_shadow(f, &peer, dir, proto, port);

		cr_assert(shadow.action == by_rules.action && shadow.rule == by_rules.rule,
			  "round %u: identity %u dir %d proto %u port %u with shadow: tables %d by %u, rules %d by %u",
			  round, peer.identity, (int)dir, proto, port, shadow.action, shadow.rule, by_rules.action,
			  by_rules.rule);
		n_shadow_checks++;
	}
	cr_assert(table.action == model.action && table.rule == model.rule,
		  "round %u: identity %u dir %d proto %u port %u: tables %s by %u, rules %s by %u",
		  round, peer.identity, (int)dir, proto, port,
		  policy_action_str((enum policy_action)table.action), table.rule,
		  policy_action_str((enum policy_action)model.action), model.rule);
}

/* Blocks are aligned, sorted, apart, and none repeats the default. */
static void check_rows(const struct policy_rows *rows)
{
	for (unsigned s = 0; s < POLICY_SLOTS; s++) {
		const struct policy_slot_rows *slot = &rows->slot[s];
		uint32_t end = 0;

		for (uint32_t i = 0; i < slot->n_ports; i++) {
			const struct policy_ports *p = &slot->ports[i];
			uint32_t size = 0x10000U - p->mask;

			cr_assert(p->mask >= 0x8000 && (size & (size - 1)) == 0 &&
				  p->port % size == 0 && p->port >= end);
			cr_assert(p->verdict.action != slot->dflt.action ||
				  p->verdict.rule != slot->dflt.rule);
			end = p->port + size;
		}
		cr_assert_leq(end, 65536);
	}
}

static void check_tables(struct fixture *f)
{
	uint32_t n = policy_table_class_limit(f->table), in_use = 0;
	const struct policy_prefix *prefixes;
	size_t n_prefixes = policy_table_prefixes(f->table, &prefixes);

	for (uint32_t i = 0; i < n; i++) {
		const struct policy_class *c = policy_table_class(f->table, i);

		if (!c)
			continue;
		cr_assert_eq(c->number, i);
		in_use += c->n_identities;
		for (unsigned d = 0; d < POLICY_DIRS; d++) {
			check_rows(&c->rows[d]);
			check_rows(&c->shadow[d]);
		}
	}
	cr_assert_eq(in_use, identity_count(f->ids));
	for (size_t i = 0; i < n_prefixes; i++) {
		cr_assert(identity_get(f->ids, prefixes[i].identity));
		cr_assert(i == 0 || cidr_cmp(&prefixes[i - 1].prefix, &prefixes[i].prefix) < 0);
	}
}

static uint64_t env_number(const char *name, uint64_t fallback)
{
	const char *s = getenv(name);
	uint64_t v;

	return s && str_to_u64(s, UINT64_MAX, &v) == 0 ? v : fallback;
}

/* Each round changes a living table in steps, so that what is kept from before is checked too. */
Test(random, tables_say_what_rules_say, .timeout = 3600)
{
	uint64_t rounds = env_number("MESH_TEST_ROUNDS", ROUNDS);

	state = env_number("MESH_TEST_SEED", 20);
	for (uint32_t round = 0; round < rounds; round++) {
		struct fixture f;

		random_fixture(&f);
		has_shadow = chance(50);
		for (unsigned step = 0; step < 3; step++) {
			for (uint32_t n = 1 + below(5); n > 0; n--)
				set_random_policy(&f, below(6));
			if (step && chance(50))
				(void)policy_remove(f.repo, POLICY_CNP, "ext", "p1");
			if (has_shadow && chance(30))
				cr_assert_geq(policy_choose(f.repo, "ext", "p2", (enum policy_choice)below(3)), 0);
			cr_assert_geq(policy_table_update(f.table), 0);
			for (unsigned i = 0; i < CHECKS; i++)
				check_one(&f, round);
			for (unsigned i = 0; i < 4; i++) {
				(void)identity_remove(f.ids, 1000 + below(IDENTITIES));
				set_random_identity(&f, 1000 + below(IDENTITIES));
			}
			cr_assert_geq(policy_table_update(f.table), 0);
			for (unsigned i = 0; i < CHECKS; i++)
				check_one(&f, round);
			check_tables(&f);
		}
		fixture_done(&f);
	}
	cr_assert_gt(n_shadow_checks, rounds * CHECKS / 4);
}
