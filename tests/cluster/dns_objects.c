/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_objects.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "../lib/random.h"

enum { SLICES_MAX = 3, ENDPOINTS_MAX = 5, PORTS_MAX = 4, POOL = 400 };

/* A label of 63 bytes, and names that are words of the schema. */
#define LONGEST "l23456789012345678901234567890123456789012345678901234567890123"

static const char *const namespaces[] = {"prod", "web", "svc", "pod", "dns", LONGEST, "empty"};
enum { N_USED = ARRAY_LEN(namespaces) - 1 };

struct maker {
	struct random random;
	json_t *items;
	unsigned n_ips;
	unsigned n_slices;
};

/* One Service in the making. */
struct subject {
	const char *ns, *name;
	bool is_import;
	json_t *ports; /* of the Service */
};

static void put(struct maker *m, json_t *object)
{
	(void)json_array_append_new(m->items, object);
}

static const char *protocol(struct maker *m)
{
	static const char *const all[] = {"TCP", "TCP", "UDP", "SCTP"};

	return PICK(&m->random, all);
}

/* Names are unique in an object, and so are numbers with their protocol. */
static json_t *ports_make(struct maker *m, unsigned n)
{
	static const char *const names[] = {"http", "https", "metrics", "pg", "x", "dns-tcp"};
	json_t *ports = json_array();
	unsigned first = random_below(&m->random, ARRAY_LEN(names));

	for (unsigned i = 0; i < n; i++) {
		json_t *p = json_pack("{s:i, s:s}", "port", 80 + (int)(i * 100 + random_below(&m->random, 90)), "protocol",
				      protocol(m));

		if (n > 1 || random_chance(&m->random, 60))
			(void)json_object_set_new(p, "name", json_string(names[(first + i) % ARRAY_LEN(names)]));
		(void)json_array_append_new(ports, p);
	}
	return ports;
}

/* Those of the Service with numbers of their own; some are missing, some are strange, some have no number. */
static json_t *slice_ports(struct maker *m, const json_t *of_service)
{
	json_t *ports = json_array(), *p;
	size_t i;

	json_array_foreach (of_service, i, p) {
		json_t *copy = json_deep_copy(p);

		if (random_chance(&m->random, 30))
			(void)json_object_set_new(copy, "port", json_integer(5000 + (json_int_t)random_below(&m->random, 1000)));
		if (random_chance(&m->random, 4))
			(void)json_object_set_new(copy, "port", json_null());
		if (random_chance(&m->random, 95))
			(void)json_array_append_new(ports, copy);
		else
			json_decref(copy);
	}
	if (random_chance(&m->random, 8))
		(void)json_array_append_new(ports, json_pack("{s:s, s:i, s:s}", "name", "extra", "port", 7777, "protocol", "TCP"));
	return ports;
}

/* From a small pool, so that several Services share an address. */
static json_t *address(struct maker *m, bool is_v6, unsigned net)
{
	unsigned k = random_below(&m->random, POOL);
	char text[64];

	if (!is_v6)
		(void)snprintf(text, sizeof(text), "10.%u.%u.%u", net, k / 250, k % 250 + 1);
	else if (k % 40 == 0)
		(void)snprintf(text, sizeof(text), "fd00:%u:%x::", net, k + 1); /* whose label would end in a dash */
	else
		(void)snprintf(text, sizeof(text), k % 3 ? "fd00:%u::%x" : "fd00:%u:0:%x:1:2:3:4", net, k + 1);
	return json_string(text);
}

static json_t *endpoint_make(struct maker *m, bool is_v6, unsigned net)
{
	static const char *const hostnames[] = {"db-0", "db-1", "db-2", "a", "10-60-0-1"};
	static const char *const flags[] = {"ready", "serving", "terminating"};
	json_t *conditions = json_object(), *e = json_pack("{s:[o], s:o}", "addresses", address(m, is_v6, net), "conditions", conditions);
	char target[80];

	if (random_chance(&m->random, 5))
		(void)json_array_append_new(json_object_get(e, "addresses"), address(m, is_v6, net));
	(void)snprintf(target, sizeof(target), "pod-%u", random_below(&m->random, POOL));
	if (random_chance(&m->random, 30))
		(void)json_object_set_new(e, "hostname", json_string(PICK(&m->random, hostnames)));
	if (random_chance(&m->random, 50))
		(void)json_object_set_new(e, "targetRef", json_pack("{s:s, s:s}", "kind", "Pod", "name", target));
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (random_chance(&m->random, 60))
			(void)json_object_set_new(conditions, flags[i], json_boolean(random_chance(&m->random, i < 2 ? 75 : 25)));
	return e;
}

static void slice_make(struct maker *m, const struct subject *s, bool is_v6, unsigned n_endpoints)
{
	static const char *const clusters[] = {"east", "west"};
	json_t *endpoints = json_array(), *labels = json_object();
	CLEANUP(free) char *name = str_printf("slice-%u", m->n_slices++);

	for (unsigned i = 0; i < n_endpoints; i++)
		(void)json_array_append_new(endpoints, endpoint_make(m, is_v6, s->is_import ? 62 : 60));
	(void)json_object_set_new(labels, s->is_import ? "multicluster.kubernetes.io/service-name" : "kubernetes.io/service-name",
				  json_string(s->name));
	if (s->is_import)
		(void)json_object_set_new(labels, "multicluster.kubernetes.io/source-cluster",
					  json_string(PICK(&m->random, clusters)));
	put(m, json_pack("{s:s, s:s, s:{s:s, s:s, s:o}, s:s, s:o, s:o}", "apiVersion", "discovery.k8s.io/v1", "kind",
			 "EndpointSlice", "metadata", "name", name, "namespace", s->ns, "labels", labels, "addressType",
			 is_v6 ? "IPv6" : "IPv4", "endpoints", endpoints, "ports", slice_ports(m, s->ports)));
}

static void slices_make(struct maker *m, const struct subject *s, bool has_v4, bool has_v6)
{
	if (random_chance(&m->random, 15))
		return; /* nobody stands behind it */
	for (unsigned family = 0; family < 2; family++)
		for (unsigned n = 1 + random_below(&m->random, SLICES_MAX); n > 0 && (family ? has_v6 : has_v4); n--)
			slice_make(m, s, family == 1, random_below(&m->random, ENDPOINTS_MAX + 1));
}

static json_t *spec_of(json_t *ports, bool has_v4, bool has_v6)
{
	json_t *families = json_array(), *spec;

	if (has_v4)
		(void)json_array_append_new(families, json_string("IPv4"));
	if (has_v6)
		(void)json_array_append_new(families, json_string("IPv6"));
	spec = json_pack("{s:s, s:o, s:s}", "type", "ClusterIP", "ipFamilies", families, "ipFamilyPolicy",
			 has_v4 && has_v6 ? "RequireDualStack" : "SingleStack");
	if (json_array_size(ports))
		(void)json_object_set(spec, "ports", ports);
	return spec;
}

static json_t *cluster_ips(struct maker *m, bool has_v4, bool has_v6)
{
	unsigned k = m->n_ips++;
	json_t *ips = json_array();
	char text[64];

	(void)snprintf(text, sizeof(text), "10.96.%u.%u", 100 + k / 250, k % 250 + 1);
	if (has_v4)
		(void)json_array_append_new(ips, json_string(text));
	(void)snprintf(text, sizeof(text), "fd00:96::%x", 0x8000 + k);
	if (has_v6)
		(void)json_array_append_new(ips, json_string(text));
	return ips;
}

static void service_put(struct maker *m, const struct subject *s, json_t *spec)
{
	json_t *labels = json_object();

	if (random_chance(&m->random, 4))
		(void)json_object_set_new(labels, "service.kubernetes.io/headless", json_string(""));
	if (random_chance(&m->random, 4))
		(void)json_object_set_new(labels, "service.kubernetes.io/service-proxy-name", json_string("other"));
	put(m, json_pack("{s:s, s:s, s:{s:s, s:s, s:o}, s:o}", "apiVersion", "v1", "kind", "Service", "metadata", "name", s->name,
			 "namespace", s->ns, "labels", labels, "spec", spec));
}

/* Aliases of each sort: to names of the cluster, of others, of nobody, to each other, to an address. */
static void external_make(struct maker *m, const struct subject *s)
{
	static const char *const targets[] = {
		"svc-0.prod.svc.cluster.local", "svc-1.web.svc.cluster.local", "svc-2.svc.svc.cluster.local.",
		"missing.prod.svc.cluster.local", "cluster.local", "svc.cluster.local", "api.example.com", "alias.example.com",
		"missing.example.com", "www.nobody.test", "192.0.2.9", "example.com", "db-0.svc-1.web.svc.cluster.local",
		"10.0.96.10.in-addr.arpa", "ns.dns.cluster.local"};
	CLEANUP(free) char *other = str_printf("svc-%u.%s.svc.cluster.local", random_below(&m->random, 200),
					       PICK(&m->random, namespaces));

	service_put(m, s, json_pack("{s:s, s:s}", "type", "ExternalName", "externalName",
				    random_chance(&m->random, 40) ? other : PICK(&m->random, targets)));
}

static void service_make(struct maker *m, struct subject *s)
{
	static const char *const types[] = {"ClusterIP", "ClusterIP", "ClusterIP", "NodePort", "LoadBalancer"};
	unsigned families = random_below(&m->random, 4);
	bool has_v4 = families != 1, has_v6 = families == 1 || families == 3;
	bool is_headless = random_chance(&m->random, 40);
	json_t *spec;

	s->ports = ports_make(m, random_below(&m->random, PORTS_MAX) + (is_headless ? 0 : 1));
	spec = spec_of(s->ports, has_v4, has_v6);
	if (is_headless) {
		(void)json_object_set_new(spec, "clusterIP", json_string("None"));
	} else {
		json_t *ips = cluster_ips(m, has_v4, has_v6);

		(void)json_object_set(spec, "clusterIP", json_array_get(ips, 0));
		(void)json_object_set_new(spec, "clusterIPs", ips);
		(void)json_object_set_new(spec, "type", json_string(PICK(&m->random, types)));
	}
	service_put(m, s, spec);
	slices_make(m, s, has_v4, has_v6);
	json_decref(s->ports);
}

static void import_make(struct maker *m, struct subject *s)
{
	unsigned families = random_below(&m->random, 4);
	bool has_v4 = families != 1, has_v6 = families == 1 || families == 3, is_headless = random_chance(&m->random, 50);
	json_t *spec;

	s->ports = ports_make(m, 1 + random_below(&m->random, PORTS_MAX));
	spec = json_pack("{s:s, s:O}", "type", is_headless ? "Headless" : "ClusterSetIP", "ports", s->ports);
	if (!is_headless)
		(void)json_object_set_new(spec, "ips", cluster_ips(m, has_v4, has_v6));
	put(m, json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "multicluster.x-k8s.io/v1alpha1", "kind", "ServiceImport",
			 "metadata", "name", s->name, "namespace", s->ns, "spec", spec));
	slices_make(m, s, has_v4, has_v6);
	json_decref(s->ports);
}

/* More than a datagram holds, and more than a datagram of the greatest size. */
static void crowd_make(struct maker *m, const char *name, unsigned n_slices, unsigned n_endpoints)
{
	struct subject s = {.ns = "web", .name = name, .ports = ports_make(m, 3)};
	json_t *spec = spec_of(s.ports, true, false);

	(void)json_object_set_new(spec, "clusterIP", json_string("None"));
	service_put(m, &s, spec);
	while (n_slices-- > 0)
		slice_make(m, &s, false, n_endpoints);
	json_decref(s.ports);
}

json_t *dns_objects_make(uint64_t seed, unsigned n_services)
{
	struct maker m = {.random = {.state = seed}, .items = json_array()};

	if (!m.items)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
		put(&m, json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", namespaces[i]));
	for (unsigned i = 0; i < n_services; i++) {
		CLEANUP(free) char *name = i % 50 == 48 ? strdup(LONGEST) : str_printf("svc-%u", i / 2);
		/* every fourth pair is a Service and a ServiceImport of one name, the others are in two Namespaces */
		struct subject s = {.ns = namespaces[(i / 2 + (i % 8 == 7 ? 0 : i % 2)) % N_USED], .name = name,
				    .is_import = i % 8 == 7};

		if (s.is_import)
			import_make(&m, &s);
		else if (random_chance(&m.random, 14))
			external_make(&m, &s);
		else
			service_make(&m, &s);
	}
	crowd_make(&m, "crowd", 2, 25);
	crowd_make(&m, "throng", 4, 90);
	return json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "List", "items", m.items);
}
