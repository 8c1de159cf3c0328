/* SPDX-License-Identifier: Apache-2.0 */
#include "random_set.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "identity/selector.h"
#include "policy/policy_shadow.h"
#include "lib/json_objects.h"

static uint64_t state;

void random_seed(uint64_t seed)
{
	state = seed;
}

uint32_t random_below(uint32_t bound)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % bound;
}

bool random_chance(uint32_t percent)
{
	return random_below(100) < percent;
}

static json_t *random_labels_selector(void)
{
	static const char *const keys[] = {"app", "k8s:tier", "any:zone",
					   "io.kubernetes.pod.namespace"};
	static const char *const values[] = {"a", "b", "c", "ext", "web"};
	static const char *const ops[] = {"In", "NotIn", "Exists", "DoesNotExist"};
	json_t *sel;

	if (random_chance(8))
		return json_pack("{s:{s:s}}", "matchLabels",
				 random_chance(50) ? "reserved:world" : "reserved:remote-node", "");
	sel = json_object();
	if (random_chance(60))
		(void)json_object_set_new(sel, "matchLabels",
					  json_pack("{s:s}", RANDOM_PICK(keys), RANDOM_PICK(values)));
	if (random_chance(40)) {
		const char *op = RANDOM_PICK(ops);
		json_t *expr = json_pack("{s:s,s:s}", "key", RANDOM_PICK(keys), "operator", op);

		if (str_has_suffix(op, "In"))
			(void)json_object_set_new(expr, "values",
						  json_pack("[s,s]", RANDOM_PICK(values), RANDOM_PICK(values)));
		(void)json_object_set_new(sel, "matchExpressions", json_pack("[o]", expr));
	}
	return sel;
}

static json_t *random_cidr(void)
{
	static const char *const cidrs[] = {
		"0.0.0.0/0",	 "10.0.0.0/8",	  "10.1.0.0/16",   "10.1.2.0/24",     "10.1.2.3/32",
		"172.18.0.0/16", "10.244.0.0/16", "2001:db8::/32", "2001:db8:1::/48", "::/0"};

	return json_string(RANDOM_PICK(cidrs));
}

static json_t *random_cidr_item(void)
{
	switch (random_below(4)) {
	case 0:
		return json_pack("{s:s,s:[s]}", "cidr", "10.0.0.0/8", "except",
				 random_chance(50) ? "10.1.0.0/16" : "10.1.2.0/24");
	case 1:
		return json_pack("{s:s}", "cidrGroupRef", random_chance(50) ? "g1" : "g2");
	case 2:
		return json_pack("{s:{s:{s:s}}}", "cidrGroupSelector", "matchLabels", "site",
				 random_chance(50) ? "x" : "y");
	default:
		return json_pack("{s:o}", "cidr", random_cidr());
	}
}

static json_t *random_entity(void)
{
	static const char *const names[] = {
		"all",	  "world",	  "cluster", "host", "remote-node", "kube-apiserver",
		"health", "cluster-mesh", "init",    "none"};

	return json_string(RANDOM_PICK(names));
}

static json_t *random_fqdn(void)
{
	static const char *const patterns[] = {"*.x.io", "www.x.io", "**.y.net", "*"};

	return json_pack("{s:s}", "matchPattern", RANDOM_PICK(patterns));
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
	unsigned kind = random_below(is_egress && !is_deny ? 6 : 4);
	json_t *list = json_array();

	for (uint32_t n = random_chance(8) ? 0 : 1 + random_below(3); n > 0; n--)
		(void)json_array_append_new(
			list, kind == 5 ? json_pack("{s:{s:s}}", "k8sService", "serviceName",
						    random_chance(50) ? "shop" : "outside")
					: make[kind]());
	(void)json_object_set_new(element, names[kind][is_egress], list);
}

static json_t *random_port(void)
{
	static const char *const protos[] = {"TCP", "TCP", "UDP", "SCTP", "ANY", "GRE"};
	static const char *const names[] = {"http", "web", "dns"};
	const char *proto = RANDOM_PICK(protos);
	json_t *port = json_pack("{s:s}", "protocol", proto);
	char text[8];

	if (str_eq(proto, "GRE") || random_chance(5)) {
		(void)json_object_set_new(port, "port", json_string("0"));
	} else if (random_chance(15)) {
		(void)json_object_set_new(port, "port", json_string(RANDOM_PICK(names)));
	} else {
		(void)snprintf(text, sizeof(text), "%u", 1 + random_below(random_chance(90) ? 40 : 65535));
		(void)json_object_set_new(port, "port", json_string(text));
		if (random_chance(40))
			(void)json_object_set_new(port, "endPort",
						  json_integer(1 + random_below(random_chance(90) ? 60 : 65535)));
	}
	return port;
}

static void add_ports(json_t *element, bool is_deny)
{
	json_t *item, *ports = json_array();

	if (random_chance(20)) {
		(void)json_object_set_new(element, "icmps",
					  json_pack("[{s:[{s:i,s:s}]}]", "fields", "type",
						    (int)random_below(12), "family",
						    random_chance(70) ? "IPv4" : "IPv6"));
		json_decref(ports);
		return;
	}
	for (uint32_t n = random_chance(5) ? 0 : 1 + random_below(3); n > 0; n--)
		(void)json_array_append_new(ports, random_port());
	item = json_pack("{s:o}", "ports", ports);
	if (!is_deny && random_chance(15))
		(void)json_object_set_new(item, "serverNames", json_pack("[s]", "a.io"));
	(void)json_object_set_new(element, "toPorts", json_pack("[o]", item));
}

static json_t *random_element(bool is_egress, bool is_deny)
{
	static const char *const modes[] = {"disabled", "required", "test-always-fail"};
	json_t *element = json_object();

	if (random_chance(80))
		add_peers(element, is_egress, is_deny);
	if (random_chance(65))
		add_ports(element, is_deny);
	if (!is_deny && random_chance(12))
		(void)json_object_set_new(element, "authentication",
					  json_pack("{s:s}", "mode", RANDOM_PICK(modes)));
	return element;
}

static json_t *random_spec(void)
{
	static const char *const lists[] = {"ingress", "ingressDeny", "egress", "egressDeny"};
	json_t *spec = json_pack(
		"{s:o}", "endpointSelector",
		random_chance(85) ? json_object() : json_pack("{s:{s:s}}", "matchLabels", "app", "other"));

	for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *list;

		if (random_chance(i % 2 ? 65 : 35))
			continue;
		list = json_array();
		for (uint32_t n = 1 + random_below(3); n > 0; n--)
			(void)json_array_append_new(list, random_element(i >= 2, i % 2));
		(void)json_object_set_new(spec, lists[i], list);
	}
	if (random_chance(20))
		(void)json_object_set_new(
			spec, "enableDefaultDeny",
			json_pack("{s:b,s:b}", "ingress", (int)random_chance(30), "egress", 0));
	return spec;
}

static json_t *random_knp_spec(void)
{
	json_t *peer, *element = json_object();

	if (random_chance(70)) {
		peer = random_chance(50) ? json_pack("{s:{s:{s:s}}}", "podSelector", "matchLabels", "app",
					      "a")
		       : random_chance(50) ? json_pack("{s:{}}", "namespaceSelector")
				    : json_pack("{s:{s:s,s:[s]}}", "ipBlock", "cidr", "10.0.0.0/8",
						"except", "10.1.0.0/16");
		(void)json_object_set_new(element, "from", json_pack("[o]", peer));
	}
	if (random_chance(50))
		(void)json_object_set_new(element, "ports",
					  json_pack("[{s:i,s:i}]", "port", (int)(1 + random_below(40)),
						    "endPort", (int)(1 + random_below(60))));
	return json_pack("{s:{},s:[o]}", "podSelector", "ingress", element);
}

void random_set_policy(struct fixture *f, uint32_t slot, bool may_shadow)
{
	static const enum policy_kind kinds[] = {POLICY_CNP, POLICY_CNP, POLICY_CCNP, POLICY_KNP};
	enum policy_kind kind = RANDOM_PICK(kinds);
	json_t *obj, *spec = kind == POLICY_KNP ? random_knp_spec() : random_spec();
	char name[16];
	struct err err;
	int r;

	(void)snprintf(name, sizeof(name), "p%u", slot);
	obj = fixture_object("ext", name, spec);
	if (may_shadow && random_chance(40))
		(void)json_object_set_new(json_object_get(obj, "metadata"), "annotations",
					  json_pack("{s:s}", POLICY_MODE_ANNOTATION, "shadow"));
	r = json_policy_set(f->repo, kind, obj, &err);
	cr_assert(r == 1 || r == -EBADMSG, "%d", r);
	json_decref(spec);
	json_decref(obj);
}

void random_set_identity(struct fixture *f, uint32_t number)
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
	const char *texts[] = {RANDOM_PICK(apps), RANDOM_PICK(apps), RANDOM_PICK(namespaces), RANDOM_PICK(clusters), RANDOM_PICK(gen)};

	cr_assert_eq(identity_upsert(f->ids, number, fixture_labels(f, texts, random_chance(30) ? 5 : 4)),
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

		cr_assert_eq(json_policy_set(f->repo, POLICY_CIDR_GROUP, obj, &err), 1, "%s", err.text);
		json_decref(obj);
	}
}

void random_fixture(struct fixture *f)
{
	struct policy_options o = policy_options_default();
	const char *names[] = {"www.x.io", "a.b.y.net"};
	json_t *ports = json_pack("{s:s,s:s}", "http", "TCP/8", "dns", "UDP/11");
	struct ip ip;

	o.has_ipv6 = random_chance(50);
	o.has_ipv4 = !o.has_ipv6 || random_chance(70);
	o.cidr_modes = random_below(4);
	o.has_localhost_allow = random_chance(30);
	o.has_subdomain_wildcard = random_chance(50);
	o.has_extended_protocols = true;
	o.is_local_cluster_default = random_chance(60);
	if (random_chance(5))
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
	for (uint32_t i = 0; i < RANDOM_IDENTITIES; i++)
		random_set_identity(f, RANDOM_IDENTITY + i);
}

struct fixture_peer random_peer(void)
{
	static const char *const v4[] = {"ip 10.1.2.3", "ip 10.1.2.9",	"ip 10.1.9.9",
					 "ip 10.9.9.9", "ip 192.0.2.1", "ip 10.7.7.7"};
	static const char *const v6[] = {"ip 2001:db8::1", "ip 2001:db8:1::1", "ip 2001:dead::1"};
	static const char *const known[] = {"A", "B", "R",	 "P",	 "Q",	"N",
					    "K", "L", "unknown", "id 4", "id 5"};
	struct fixture_peer p = {.has_identity = true};

	switch (random_below(4)) {
	case 0:
		return fixture_peer(random_chance(40) ? RANDOM_PICK(v6) : RANDOM_PICK(v4));
	case 1:
		return fixture_peer(RANDOM_PICK(known));
	default:
		p.identity = RANDOM_IDENTITY + random_below(RANDOM_IDENTITIES);
		if (random_chance(30))
			cr_assert_eq(ip_parse(random_chance(50) ? "10.1.2.3" : "10.244.7.7", &p.ip), 0);
		return p;
	}
}
