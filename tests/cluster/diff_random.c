/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_random.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"

#define PICK(list) ((list)[below(ARRAY_LEN(list))])
#define NS	   "k8s:io.kubernetes.pod.namespace"

static uint64_t state;

/* splitmix64: neighbouring seeds give unlike sets. */
static uint32_t below(uint32_t bound)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) >> 32) % bound;
}

static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

static json_t *list_of(json_t *(*make)(void), uint32_t least, uint32_t most)
{
	json_t *list = json_array();

	for (uint32_t n = least + below(most - least + 1); n > 0; n--)
		(void)json_array_append_new(list, make());
	return list;
}

/* Selectors */

static json_t *expression(const char *key, const char *const *values, size_t n)
{
	static const char *const operators[] = {"In", "In", "NotIn", "Exists", "DoesNotExist"};
	const char *operator = PICK(operators);
	json_t *e = json_pack("{s:s, s:s}", "key", key, "operator", operator), *list;

	if (str_eq(operator, "Exists") || str_eq(operator, "DoesNotExist"))
		return e;
	list = json_array();
	for (uint32_t k = 1 + below(2); k > 0; k--)
		(void)json_array_append_new(list, json_string(values[below((uint32_t)n)]));
	(void)json_object_set_new(e, "values", list);
	return e;
}

static json_t *peer_selector(void)
{
	static const char *const apps[] = {"a", "b", "p", "q", "other", "vm"};
	static const char *const keys[] = {"app", "app", "k8s:app", "any:app", "container:app"};
	static const char *const namespaces[] = {"ext", "web", "ports", "web"};
	static const char *const reserved[] = {"reserved:remote-node", "reserved:world", "reserved:host",
					       "reserved:kube-apiserver", "reserved:health"};
	static const char *const clusters[] = {"c1", "c1", "c2"};
	json_t *labels = json_object(), *expressions = json_array(), *s;

	if (chance(6))
		(void)json_object_set_new(labels, PICK(reserved), json_string(""));
	if (chance(45))
		(void)json_object_set_new(labels, PICK(keys), json_string(PICK(apps)));
	if (chance(35))
		(void)json_object_set_new(labels, chance(70) ? NS : "io.kubernetes.pod.namespace", json_string(PICK(namespaces)));
	if (chance(12))
		(void)json_object_set_new(labels, "k8s:io.cilium.k8s.namespace.labels.team",
					  json_string(chance(70) ? "blue" : "red"));
	if (chance(8))
		(void)json_object_set_new(labels, chance(50) ? "io.cilium.k8s.policy.cluster" : "k8s:io.cilium.k8s.policy.cluster",
					  json_string(PICK(clusters)));
	if (chance(35))
		(void)json_array_append_new(expressions, expression(PICK(keys), apps, ARRAY_LEN(apps)));
	if (chance(12))
		(void)json_array_append_new(expressions, expression(NS, namespaces, ARRAY_LEN(namespaces)));
	if (chance(6))
		(void)json_array_append_new(expressions,
					    expression("io.cilium.k8s.namespace.labels.team", (const char *[]){"blue"}, 1));
	if (chance(6))
		(void)json_array_append_new(expressions, expression("jedi", (const char *[]){"luke", "rey"}, 2));
	s = json_object();
	if (json_object_size(labels))
		(void)json_object_set(s, "matchLabels", labels);
	if (json_array_size(expressions))
		(void)json_object_set(s, "matchExpressions", expressions);
	json_decref(labels);
	json_decref(expressions);
	return s;
}

static json_t *subject_selector(bool is_clusterwide)
{
	switch (below(12)) {
	case 0:
		return json_pack("{s:{s:s}}", "matchLabels", "k8s:jedi", "luke");
	case 1:
		return json_pack("{s:[{s:s, s:s, s:[s, s]}]}", "matchExpressions", "key", "jedi", "operator", "In", "values",
				 "luke", "obi-wan");
	case 2:
		return json_pack("{s:{s:s}, s:[{s:s, s:s}]}", "matchLabels", "app", "vm", "matchExpressions", "key", "jedi",
				 "operator", "Exists");
	case 3:
		return json_pack("{s:{s:s, s:s}}", "matchLabels", "jedi", "luke", NS, chance(70) ? "ext" : "web");
	case 4:
		return json_pack("{s:[{s:s, s:s, s:[s]}]}", "matchExpressions", "key", "app", "operator", "NotIn", "values",
				 "vm");
	case 5: /* the peers in our namespace, too; everybody's health would be more than is asked */
		return is_clusterwide ? json_pack("{s:{s:s}}", "matchLabels", NS, "ext") : json_object();
	default:
		return json_pack("{s:{s:s}}", "matchLabels", "jedi", "luke");
	}
}

/* Peers */

static json_t *entity(void)
{
	static const char *const names[] = {"all",	   "world",	     "world", "cluster", "cluster",	 "host",
					    "remote-node", "kube-apiserver", "none",  "health",	 "cluster-mesh", "unmanaged"};

	return json_string(PICK(names));
}

static json_t *cidr(void)
{
	static const char *const prefixes[] = {"0.0.0.0/0",	  "172.19.0.0/16",    "172.19.100.0/24", "172.19.100.50/32",
					       "198.51.100.0/24", "198.51.100.64/26", "198.51.0.0/16",	 "198.51.100.77",
					       "10.0.0.0/8",	  "10.1.0.0/16",      "10.1.2.3/32",	 "10.244.0.0/16",
					       "203.0.113.0/24",  "192.0.0.0/2",      "10.1.2.9/16"};

	return json_string(PICK(prefixes));
}

/* An `except` is inside its prefix, else the object would be refused each time. */
static json_t *cidr_item(void)
{
	static const struct {
		const char *cidr, *except[3];
	} items[] = {{"0.0.0.0/0", {"198.51.100.0/24", "10.0.0.0/8", "172.19.0.0/16"}},
		     {"198.51.0.0/16", {"198.51.100.64/26", "198.51.100.77/32", "198.51.100.0/24"}},
		     {"198.51.100.0/24", {"198.51.100.64/26", "198.51.100.7/32", "198.51.100.128/25"}},
		     {"10.0.0.0/8", {"10.1.0.0/16", "10.1.2.3/32", "10.244.0.0/16"}},
		     {"172.16.0.0/12", {"172.19.100.0/24", "172.19.100.50/32", "172.19.0.0/24"}}};
	static const char *const groups[] = {"g1", "g2", "g3"};
	static const char *const sites[] = {"x", "y"};
	unsigned i = below(ARRAY_LEN(items));
	json_t *item, *except;

	if (chance(15))
		return json_pack("{s:s}", "cidrGroupRef", PICK(groups));
	if (chance(10))
		return json_pack("{s:{s:{s:s}}}", "cidrGroupSelector", "matchLabels", "site", PICK(sites));
	item = json_pack("{s:s}", "cidr", items[i].cidr);
	except = json_array();
	for (unsigned k = 0; k < 3; k++)
		if (chance(40))
			(void)json_array_append_new(except, json_string(items[i].except[k]));
	if (json_array_size(except))
		(void)json_object_set(item, "except", except);
	json_decref(except);
	return item;
}

static json_t *service(void)
{
	static const char *const names[] = {"shop", "outside", "ghost"};

	if (chance(25))
		return json_pack("{s:{s:{s:{s:s}}, s:s*}}", "k8sServiceSelector", "selector", "matchLabels", "tier", "front",
				 "namespace", chance(50) ? "web" : NULL);
	return json_pack("{s:{s:s, s:s*}}", "k8sService", "serviceName", PICK(names), "namespace", chance(70) ? "web" : NULL);
}

static void add_peers(json_t *element, bool is_egress, bool is_deny)
{
	static const struct {
		const char *in, *out;
		json_t *(*make)(void);
		uint32_t weight;
	} peer_kinds[] = {{"fromEndpoints", "toEndpoints", peer_selector, 45},
			  {"fromEntities", "toEntities", entity, 20},
			  {"fromCIDR", "toCIDR", cidr, 13},
			  {"fromCIDRSet", "toCIDRSet", cidr_item, 17},
			  {NULL, "toServices", service, 5}};
	uint32_t at = below(100);
	unsigned k = 0;

	while (at >= peer_kinds[k].weight)
		at -= peer_kinds[k++].weight;
	if (!peer_kinds[k].in && (!is_egress || is_deny))
		k = 0;
	(void)json_object_set_new(element, is_egress ? peer_kinds[k].out : peer_kinds[k].in,
				  chance(5) ? json_array() : list_of(peer_kinds[k].make, 1, 3));
}

/* Ports */

static json_t *port(void)
{
	static const char *const protos[] = {"TCP", "TCP", "TCP", "UDP", "UDP", "ANY", "SCTP"};
	static const char *const names[] = {"http", "web", "metrics", "syslog", "nope"};
	static const struct {
		const char *lo;
		int hi;
	} numbers[] = {{"80", 0},     {"80", 0},   {"443", 0},	{"8080", 0},   {"9090", 0},	{"7000", 0}, {"0", 0},	 {"64", 127},
		       {"1", 1000},   {"80", 443}, {"80", 70},	{"8000", 8999}, {"8080", 9090}, {"1", 65535}, {"100", 0}, {"0", 100},
		       {"1024", 9089}};
	unsigned i = below(ARRAY_LEN(numbers));
	json_t *p = json_object();

	if (chance(12)) {
		(void)json_object_set_new(p, "port", json_string(PICK(names)));
	} else {
		(void)json_object_set_new(p, "port", json_string(numbers[i].lo));
		if (numbers[i].hi)
			(void)json_object_set_new(p, "endPort", json_integer(numbers[i].hi));
	}
	if (chance(85))
		(void)json_object_set_new(p, "protocol", json_string(PICK(protos)));
	return p;
}

static json_t *ports_item(void)
{
	if (chance(4))
		return json_object();
	return json_pack("{s:o}", "ports", list_of(port, chance(3) ? 0 : 1, 3));
}

/* A name of the other family would keep Cilium from reading any policy: it gives up on the whole list. */
static json_t *icmp_field(void)
{
	static const char *const v4[] = {"EchoRequest", "EchoReply", "Timestamp", "DestinationUnreachable"};
	static const char *const v6[] = {"EchoRequest", "EchoReply", "PacketTooBig"};
	static const int numbers[] = {8, 8, 0, 13, 11, 128, 256};
	bool is_v6 = chance(10);
	json_t *f = json_object();

	if (chance(50))
		(void)json_object_set_new(f, "type", json_string(is_v6 ? PICK(v6) : PICK(v4)));
	else
		(void)json_object_set_new(f, "type", json_integer(PICK(numbers)));
	if (is_v6 || chance(40))
		(void)json_object_set_new(f, "family", json_string(is_v6 ? "IPv6" : "IPv4"));
	return f;
}

static json_t *icmps_item(void)
{
	return json_pack("{s:o}", "fields", list_of(icmp_field, 1, 2));
}

static json_t *element(bool is_egress, bool is_deny)
{
	static const char *const modes[] = {"disabled", "required", "test-always-fail"};
	json_t *e = json_object();

	if (chance(85))
		add_peers(e, is_egress, is_deny);
	if (chance(12))
		(void)json_object_set_new(e, "icmps", list_of(icmps_item, 1, 2));
	else if (chance(60))
		(void)json_object_set_new(e, "toPorts", chance(3) ? json_array() : list_of(ports_item, 1, 2));
	if (!is_deny && chance(5))
		(void)json_object_set_new(e, "authentication", json_pack("{s:s}", "mode", PICK(modes)));
	return e;
}

/* Objects */

static json_t *spec(bool is_clusterwide)
{
	static const struct {
		const char *name;
		uint32_t percent;
	} lists[] = {{"ingress", 70}, {"ingressDeny", 30}, {"egress", 70}, {"egressDeny", 30}};
	json_t *s = json_pack("{s:o}", "endpointSelector", subject_selector(is_clusterwide));

	for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *list;

		if (!chance(lists[i].percent))
			continue;
		list = json_array();
		for (uint32_t n = chance(4) ? 0 : 1 + below(3); n > 0; n--)
			(void)json_array_append_new(list, element(i >= 2, i % 2));
		(void)json_object_set_new(s, lists[i].name, list);
	}
	if (chance(25)) {
		json_t *deny = json_object();

		if (chance(70))
			(void)json_object_set_new(deny, "ingress", json_boolean(chance(30)));
		if (chance(70))
			(void)json_object_set_new(deny, "egress", json_boolean(chance(30)));
		(void)json_object_set_new(s, "enableDefaultDeny", deny);
	}
	if (chance(5))
		(void)json_object_set_new(s, "log", json_pack("{s:s}", "value", "differential test"));
	return s;
}

static json_t *knp_selector(const char *key, const char *const *values, size_t n)
{
	if (chance(25))
		return json_object();
	if (chance(60))
		return json_pack("{s:{s:s}}", "matchLabels", key, values[below((uint32_t)n)]);
	return json_pack("{s:[o]}", "matchExpressions", expression(key, values, n));
}

static json_t *knp_peer(void)
{
	static const char *const apps[] = {"a", "b", "p", "vm"};
	static const char *const teams[] = {"blue", "red"};
	static const char *const names[] = {"ext", "web", "ports"};
	json_t *p, *item;

	if (chance(25)) {
		do {
			item = cidr_item();
			if (json_object_get(item, "cidr"))
				return json_pack("{s:o}", "ipBlock", item);
			json_decref(item);
		} while (true);
	}
	p = json_object();
	if (chance(60))
		(void)json_object_set_new(p, "podSelector", knp_selector("app", apps, ARRAY_LEN(apps)));
	if (chance(50) || !json_object_size(p))
		(void)json_object_set_new(p, "namespaceSelector",
					  chance(50) ? knp_selector("team", teams, ARRAY_LEN(teams)) :
						       knp_selector("kubernetes.io/metadata.name", names, ARRAY_LEN(names)));
	return p;
}

static json_t *knp_port(void)
{
	static const char *const protos[] = {"TCP", "TCP", "UDP", "SCTP"};
	static const char *const names[] = {"http", "web", "metrics"};
	static const int numbers[][2] = {{80, 0}, {443, 0}, {8080, 0}, {9090, 0}, {7000, 0}, {64, 127}, {1, 1000}, {80, 80}};
	unsigned i = below(ARRAY_LEN(numbers));
	json_t *p = json_object();

	if (chance(80))
		(void)json_object_set_new(p, "protocol", json_string(PICK(protos)));
	if (chance(12)) {
		(void)json_object_set_new(p, "port", json_string(PICK(names)));
	} else if (chance(85)) {
		(void)json_object_set_new(p, "port", json_integer(numbers[i][0]));
		if (numbers[i][1])
			(void)json_object_set_new(p, "endPort", json_integer(numbers[i][1]));
	}
	return p;
}

static json_t *knp_list(const char *peers)
{
	json_t *list = json_array();

	for (uint32_t n = chance(8) ? 0 : 1 + below(2); n > 0; n--) {
		json_t *e = json_object();

		if (chance(80))
			(void)json_object_set_new(e, peers, chance(6) ? json_array() : list_of(knp_peer, 1, 3));
		if (chance(60))
			(void)json_object_set_new(e, "ports", chance(6) ? json_array() : list_of(knp_port, 1, 3));
		(void)json_array_append_new(list, e);
	}
	return list;
}

static json_t *knp_spec(void)
{
	json_t *s = json_pack("{s:o}", "podSelector",
			      chance(80) ? json_pack("{s:{s:s}}", "matchLabels", "jedi", "luke") : json_object());

	if (chance(70))
		(void)json_object_set_new(s, "ingress", knp_list("from"));
	if (chance(60))
		(void)json_object_set_new(s, "egress", knp_list("to"));
	if (chance(50)) {
		json_t *types = json_array();

		if (chance(60))
			(void)json_array_append_new(types, json_string("Ingress"));
		if (chance(60))
			(void)json_array_append_new(types, json_string("Egress"));
		(void)json_object_set_new(s, "policyTypes", types);
	}
	return s;
}

static json_t *policy(void)
{
	uint32_t kind = below(10);

	if (kind < 2)
		return json_pack("{s:s, s:s, s:o}", "kind", "knp", "ns", "ext", "spec", knp_spec());
	if (kind < 4)
		return json_pack("{s:s, s:o}", "kind", "ccnp", "spec", spec(true));
	if (chance(12))
		return json_pack("{s:s, s:[o, o]}", "ns", "ext", "specs", spec(false), spec(false));
	return json_pack("{s:s, s:o}", "ns", "ext", "spec", spec(false));
}

static bool mentions(const json_t *v, const char *word)
{
	char *text = json_dumps(v, JSON_COMPACT);
	bool found = text && strstr(text, word);

	free(text);
	return found;
}

json_t *diff_random_set(uint64_t seed, unsigned number)
{
	json_t *policies, *set;
	char name[64];

	state = seed * UINT64_C(0x2545f4914f6cdd1d) + number * UINT64_C(0x9e3779b97f4a7c15);
	policies = list_of(policy, 1, 3);
	(void)snprintf(name, sizeof(name), "random %llu/%u", (unsigned long long)seed, number);
	set = json_pack("{s:s, s:O}", "name", name, "policies", policies);
	if (mentions(policies, "\"cidrGroup")) {
		(void)json_array_append_new(policies, json_pack("{s:s, s:s, s:{s:s}, s:{s:[s, s]}}", "kind", "group", "name", "g1",
								"labels", "site", "x", "spec", "externalCIDRs",
								"198.51.100.0/26", "10.1.0.0/16"));
		(void)json_array_append_new(policies, json_pack("{s:s, s:s, s:{s:s}, s:{s:[s, s]}}", "kind", "group", "name", "g2",
								"labels", "site", "y", "spec", "externalCIDRs",
								"198.51.0.0/16", "172.19.100.50/32"));
	}
	if (mentions(policies, "\"toServices\""))
		(void)json_object_set_new(
			set, "services",
			json_pack("[{s:s, s:s, s:{s:s}, s:{s:s}}, {s:s, s:s, s:[s, s]}]", "ns", "web", "name", "shop", "labels", "tier",
				  "front", "selector", "app", "b", "ns", "web", "name", "outside", "backends", "198.51.100.77",
				  "10.1.2.3"));
	json_decref(policies);
	return set;
}
