/* SPDX-License-Identifier: Apache-2.0 */
/* Who has which address, from nodes, endpoints and API servers; and a host that its cluster does not know. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "agentd/world_private.h"
#include "base/limits.h"
#include "base/macro.h"
#include "identity/named_port.h"
#include "json/json.h"
#include "kube/decode_node.h"
#include "told.h"
#include "../../lib/json_objects.h"

enum { OWN = 300 };

static struct conf conf;
static struct world *w;
static unsigned reallocs_left; /* the last of them fails; 0 = none does */

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_realloc(void *p, size_t size)
{
	return reallocs_left && --reallocs_left == 0 ? NULL : __real_realloc(p, size);
}

static void setup_with(const char *key, const char *value)
{
	CLEANUP(json_decref) json_t *map = json_pack("{s:{s:s}}", "data", key, value);
	struct cilium_config config;

	cr_assert_eq(cilium_config_parse(map, &config, NULL), 0);
	cr_assert_eq(world_new(&config, "me", OWN, &conf, &w), 0);
}

static void setup(void)
{
	setup_with("cluster-name", "default");
}

static void setup_node_labels(void)
{
	setup_with("enable-node-selector-labels", "true");
}

static void setup_cidr_pods(void)
{
	setup_with("policy-cidr-match-mode", "pods");
}

static void teardown(void)
{
	world_free(w);
}

static void add_own_identity(void)
{
	struct label_builder l = {.table = identity_labels(w->identities)};
	struct label_set *set;

	cr_assert_eq(label_builder_add_text(&l, "k8s:app=vm"), 0);
	cr_assert_eq(label_builder_take(&l, &set), 0);
	cr_assert_eq(identity_upsert(w->identities, OWN, set), 0);
}

static void add_node(const char *text)
{
	CLEANUP(json_decref) json_t *doc = json_loads(text, 0, NULL);
	struct kube_node *n;
	struct err err = {0};

	cr_assert(doc);
	cr_assert_eq(json_node_decode(doc, &n, &err), 0, "%s", err.text);
	cr_assert_eq(node_table_set(w->nodes, n), 0);
}

static uint32_t identity_at_ip(const char *text)
{
	struct ip ip;

	cr_assert_eq(ip_parse(text, &ip), 0);
	return world_identity_of(w, &ip);
}

#define NODE(name, address)                                                                                        \
	"{\"metadata\":{\"name\":\"" name "\",\"uid\":\"" name "\"},\"spec\":{\"addresses\":[{\"ip\":\"" address "\"," \
	"\"type\":\"InternalIP\"},{\"ip\":\"10.244.1.1\",\"type\":\"CiliumInternalIP\"}],\"health\":{\"ipv4\":"       \
	"\"10.244.1.2\"},\"ingress\":{\"ipv4\":\"10.244.1.3\",\"ipv6\":\"127.0.0.1\"}}}"

/* No policy selects a host without labels; that must not be taken for "everything is allowed". */
Test(world, unknown_to_its_cluster, .init = setup, .fini = teardown)
{
	cr_expect_not(world_knows_itself(w));
	cr_expect_eq(world_update(w), -ENODATA);
	add_own_identity();
	cr_expect(world_knows_itself(w));
	cr_expect_geq(world_update(w), 0);
	cr_assert_geq(identity_remove(w->identities, OWN), 0);
	cr_expect(world_knows_itself(w), "deleted for a moment: who we were stays");
	cr_expect_geq(world_update(w), 0);
}

Test(world, addresses_of_a_node, .init = setup, .fini = teardown)
{
	struct ipcache_claim c;
	struct ip ip;

	add_own_identity();
	add_node(NODE("n1", "172.18.0.3"));
	cr_expect_geq(world_update(w), 0);
	cr_expect_eq(identity_at_ip("172.18.0.3"), IDENTITY_REMOTE_NODE);
	cr_expect_eq(identity_at_ip("10.244.1.1"), IDENTITY_REMOTE_NODE);
	cr_expect_eq(identity_at_ip("10.244.1.2"), IDENTITY_HEALTH);
	cr_expect_eq(identity_at_ip("10.244.1.3"), IDENTITY_INGRESS);
	cr_assert_eq(ip_parse("10.244.1.3", &ip), 0);
	cr_assert(ipcache_get(w->addresses, &ip, &c));
	cr_expect(c.flags & IPCACHE_IS_TUNNELLED);
	cr_expect_not(c.flags & IPCACHE_IS_NODE, "tunnel packets do not come from there");
	node_table_remove(w->nodes, "n1");
	cr_expect_eq(identity_at_ip("10.244.1.3"), IDENTITY_WORLD);
}

/* The CiliumNode of a control plane comes after its API server, and may go before it. */
Test(world, apiserver_that_becomes_a_node, .init = setup, .fini = teardown)
{
	add_own_identity();
	told_apiserver(w->services, "172.18.0.3");
	cr_expect_geq(world_update(w), 0);
	cr_expect_geq(identity_at_ip("172.18.0.3"), IDENTITY_LOCAL_CIDR);
	add_node(NODE("n1", "172.18.0.3"));
	cr_expect_geq(world_update(w), 0);
	cr_expect_eq(identity_at_ip("172.18.0.3"), IDENTITY_KUBE_APISERVER);
	node_table_remove(w->nodes, "n1");
	cr_expect_geq(world_update(w), 0);
	cr_expect_geq(identity_at_ip("172.18.0.3"), IDENTITY_LOCAL_CIDR);
}

/* An IPv4 cluster knows nothing of its hosts' IPv6: policies say of it what they say in a dual-stack cluster. */
Test(world, the_family_that_the_cluster_lacks, .init = setup, .fini = teardown)
{
	const struct identity *id;

	add_own_identity();
	told_apiserver(w->services, "172.18.0.3");
	cr_expect_geq(world_update(w), 0);
	cr_expect_eq(identity_at_ip("198.51.100.1"), IDENTITY_WORLD);
	cr_expect_eq(identity_at_ip("2001:db8::1"), IDENTITY_WORLD_IPV6);
	id = identity_get(w->identities, identity_at_ip("172.18.0.3"));
	cr_expect(id && (id->flags & IDENTITY_HAS_WORLD));
	told_apiserver(w->services, "fd00::3");
	cr_expect_geq(world_update(w), 0);
	id = identity_get(w->identities, identity_at_ip("fd00::3"));
	cr_expect(id && (id->flags & IDENTITY_HAS_WORLD_IPV6));
}

static int ignore_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	(void)ip;
	(void)claim;
	(void)arg;
	return 0;
}

/* A name that a policy allows is learned, and one of its addresses is an API server's, which has an identity of its own. */
Test(world, name_of_an_apiserver_is_learned, .init = setup, .fini = teardown)
{
	CLEANUP(json_decref) json_t *policy = json_loads(
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"endpointSelector\":{},\"egress\":[{\"toFQDNs\":"
		"[{\"matchName\":\"api.example\"}]}]}}", 0, NULL);
	uint32_t before, after;
	struct err err = {0};
	struct ip ip;

	add_own_identity();
	told_apiserver(w->services, "172.18.0.3");
	cr_assert_geq(json_policy_gate_set(w->gate, POLICY_CCNP, policy, &err), 0, "%s", err.text);
	cr_expect_geq(world_update(w), 0);
	cr_assert_eq(ip_parse("172.18.0.3", &ip), 0);
	cr_assert_eq(world_overlay(&ip, identity_at_ip("172.18.0.3"), &before, w), 0);
	cr_assert_eq(ipcache_flush(w->addresses, ignore_address, NULL), 0);
	cr_assert_eq(policy_fqdn_set(w->policies, "api.example", &ip, 1), 1);
	cr_expect_geq(world_update(w), 0);
	cr_expect(ipcache_is_dirty(w->addresses), "its address is written anew");
	cr_assert_eq(world_overlay(&ip, identity_at_ip("172.18.0.3"), &after, w), 0);
	cr_expect_neq(before, after);
	cr_assert_eq(ipcache_flush(w->addresses, ignore_address, NULL), 0);
	cr_expect_geq(world_update(w), 0);
	cr_expect_not(ipcache_is_dirty(w->addresses), "once");
}

/* What memory was too short for is tried again, and takes no number that nothing gives back. */
Test(world, no_memory_for_an_apiserver, .init = setup, .fini = teardown)
{
	size_t before = identity_count(w->identities), failures = 0;
	int r = -ENOMEM;

	told_apiserver(w->services, "172.18.0.3");
	for (unsigned n = 1; r < 0; n++) {
		reallocs_left = n;
		r = world_update_apiservers(w);
		reallocs_left = 0;
		failures += r < 0;
		cr_assert_eq(identity_count(w->identities), before + (r == 0));
	}
	cr_expect_gt(failures, 0);
	cr_expect_geq(identity_at_ip("172.18.0.3"), IDENTITY_LOCAL_CIDR);
}

/* An API server that says it is a million: each address would have an identity, and be compared with all others. */
Test(world, apiservers_without_end, .init = setup, .fini = teardown)
{
	CLEANUP(json_decref) json_t *endpoints = json_array(), *slice = NULL;
	struct kube_slice *e;
	struct err err = {0};

	add_own_identity();
	told_apiserver(w->services, "172.18.0.3");
	cr_expect_geq(world_update(w), 0);
	for (unsigned i = 0; i < 2 * LIMIT_APISERVERS; i++)
		json_array_append_new(endpoints, json_pack("{s:[o]}", "addresses", json_sprintf("172.18.%u.%u", 1 + i / 250, 1 + i % 250)));
	slice = json_pack("{s:{s:s,s:s,s:{s:s}},s:s,s:O,s:[{s:i}]}", "metadata", "name", "more", "namespace", "default", "labels",
			  "kubernetes.io/service-name", "kubernetes", "addressType", "IPv4", "endpoints", endpoints, "ports", "port", 6443);
	cr_assert_eq(json_slice_decode(slice, &e, &err), 0, "%s", err.text);
	cr_assert_eq(service_table_upsert_slice(w->services, e), 0);
	cr_expect_geq(world_update(w), 0);
	cr_expect_eq(w->apiservers.n, LIMIT_APISERVERS);
	cr_expect_geq(identity_at_ip("172.18.0.3"), IDENTITY_LOCAL_CIDR, "the first stays");
	cr_expect_eq(identity_at_ip("172.18.3.12"), IDENTITY_WORLD);
	service_table_remove_slice(w->services, "default", "more");
	cr_expect_geq(world_update(w), 0);
	cr_expect_eq(w->apiservers.n, 1);
}

static bool is_among_changed(uint32_t identity)
{
	const uint32_t *v;
	size_t n = policy_table_changed(w->table, &v);

	for (size_t i = 0; i < n; i++)
		if (v[i] == identity)
			return true;
	return policy_table_all_changed(w->table);
}

static int add_labelled(uint32_t number)
{
	static const char *const texts[] = {"k8s:rebel=leia", "k8s:io.kubernetes.pod.namespace=legacy",
					    "k8s:io.cilium.k8s.policy.cluster=default"};
	struct label_builder l = {.table = identity_labels(w->identities)};
	struct label_set *set;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		cr_assert_eq(label_builder_add_text(&l, texts[i]), 0);
	cr_assert_eq(label_builder_take(&l, &set), 0);
	return identity_upsert(w->identities, number, set);
}

/* An address that needs an identity of its own gets none: the policies of all others must not be lost with it. */
Test(world, no_identity_left_for_an_address, .init = setup, .fini = teardown)
{
	enum { POD = 1000, OTHERS = IDENTITY_LOCAL_NODE + (1 << 20) };
	CLEANUP(json_decref) json_t *policy = json_loads(
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":"
		"[{\"matchLabels\":{\"rebel\":\"leia\"}}]}]}}", 0, NULL);
	struct err err = {0};
	uint32_t n = 0;

	w->config.has_node_selector_labels = true;
	add_own_identity();
	cr_assert_eq(add_labelled(POD), 0);
	cr_assert_geq(json_policy_gate_set(w->gate, POLICY_CCNP, policy, &err), 0, "%s", err.text);
	cr_assert_eq(world_update(w), 1);
	cr_assert_neq(policy_class_of(w->table, POD), 0);
	policy_table_taken(w->table);
	cr_assert_eq(identity_remove(w->identities, POD), 0);
	while (add_labelled(OTHERS + n) == 0)
		n++;
	add_node(NODE("n1", "172.18.0.3"));
	cr_assert_eq(world_update(w), -ENOSPC);
	for (uint32_t i = 0; i < 10; i++)
		cr_assert_eq(identity_remove(w->identities, OTHERS + i), 0);
	cr_expect_eq(world_update(w), 1);
	cr_expect(is_among_changed(POD));
}

/* Services come and go all the time; without toServices no policy looks at them. */
Test(world, services_alone_change_no_policy, .init = setup, .fini = teardown)
{
	uint64_t before;

	add_own_identity();
	cr_expect_geq(world_update(w), 0);
	before = policy_generation(w->policies);
	told_apiserver(w->services, "172.18.0.3");
	cr_expect_geq(world_update(w), 0);
	cr_expect_eq(policy_generation(w->policies), before);
}

static int count_backends(const struct frontend *f, void *arg)
{
	*(size_t *)arg += f->n_backends;
	return 0;
}

static void upsert(const json_t *service, const json_t *slice)
{
	struct kube_service *s;
	struct kube_slice *e;
	struct err err = {0};

	cr_assert_eq(json_service_decode(service, &s, &err), 0, "%s", err.text);
	cr_assert_eq(service_table_upsert(w->services, s), 0);
	cr_assert_eq(json_slice_decode(slice, &e, &err), 0, "%s", err.text);
	cr_assert_eq(service_table_upsert_slice(w->services, e), 0);
}

/* Two backends, one in each zone, behind one ClusterIP and one node port. */
static void add_zoned(void)
{
	CLEANUP(json_decref) json_t *service = json_loads(
		"{\"metadata\":{\"name\":\"web\",\"namespace\":\"legacy\"},\"spec\":{\"type\":\"NodePort\",\"clusterIP\":"
		"\"10.96.0.2\",\"ports\":[{\"port\":80,\"nodePort\":30080}]}}", 0, NULL);
	CLEANUP(json_decref) json_t *slice = json_loads(
		"{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"legacy\",\"labels\":{\"kubernetes.io/service-name\":\"web\"}},"
		"\"addressType\":\"IPv4\",\"ports\":[{\"port\":8080}],\"endpoints\":["
		"{\"addresses\":[\"10.244.1.1\"],\"hints\":{\"forZones\":[{\"name\":\"endor\"}]}},"
		"{\"addresses\":[\"10.244.1.2\"],\"hints\":{\"forZones\":[{\"name\":\"hoth\"}]}}]}", 0, NULL);

	upsert(service, slice);
}

static void expect_services(const struct conf *c, size_t frontends, size_t backends)
{
	struct service_counts counts;
	size_t n = 0;

	cr_assert_eq(world_set_services(w, c, NULL, 0), 0);
	cr_assert_eq(service_table_flush(w->services, NULL, NULL), 0);
	service_table_counts(w->services, &counts);
	(void)service_table_each(w->services, count_backends, &n);
	cr_expect_eq(counts.frontends, frontends);
	cr_expect_eq(n, backends);
}

/* The zone and the kinds of addresses are those of the configuration, from the first flush and after a reload. */
Test(world, services_follow_the_configuration, .init = setup, .fini = teardown)
{
	char zone[] = "endor";
	struct conf c = {.zone = zone};

	add_zoned();
	expect_services(&conf, 1, 2);
	expect_services(&c, 1, 1);
	c.services.node_ports = CONF_TRANSLATE_ON;
	expect_services(&c, 2, 2);
	c.zone = NULL;
	expect_services(&c, 2, 4);
	/* as Cilium does in the cluster */
	c.services.node_ports = CONF_TRANSLATE_AUTO;
	expect_services(&c, 1, 2);
	w->config.has_kube_proxy_replacement = true;
	expect_services(&c, 2, 4);
	c.services.node_ports = CONF_TRANSLATE_OFF;
	expect_services(&c, 1, 2);
}

/* Nodes and API servers are no endpoints: what is gone from the services there is gone. */
Test(world, endpoints_are_told_from_nodes, .init = setup, .fini = teardown)
{
	const struct ipcache_claim pod = {.identity = 4711};
	struct ip ip;

	add_node(NODE("n1", "172.18.0.3"));
	cr_assert_eq(ip_parse("172.18.0.3", &ip), 0);
	cr_expect_not(world_has_endpoint(w, &ip));
	cr_assert_eq(ip_parse("10.244.7.7", &ip), 0);
	cr_expect_not(world_has_endpoint(w, &ip));
	cr_assert_eq(ipcache_claim(w->addresses, IPCACHE_FROM_ENDPOINT, &ip, &pod), 0);
	cr_expect(world_has_endpoint(w, &ip));
	ipcache_release(w->addresses, IPCACHE_FROM_ENDPOINT, &ip, 0);
	cr_expect_not(world_has_endpoint(w, &ip));
}

/* As the decoder does it: an endpoint of our identity, with one named port. */
static void name_endpoint(const char *slice, uint16_t port)
{
	const struct kube_endpoint_port http = {.name = "http", .proto = IPPROTO_TCP, .port = port};
	struct endpoint_info info = {.identity = OWN};

	cr_assert_eq(port_claims_intern(w->ports, &http, 1, &info.ports), 0);
	cr_assert_eq(endpoint_table_set(w->endpoints, "legacy", "x", slice, &info), 0);
	port_claims_put(w->ports, info.ports);
}

static int port_of_http(void)
{
	struct intern *strings = label_table_strings(identity_labels(w->identities));
	uint32_t number;
	int port;

	cr_assert_geq(world_update(w), 0);
	cr_assert_eq(intern_get(strings, "http", 4, &number), 0);
	port = named_ports_find(identity_get(w->identities, OWN)->ports, number, IPPROTO_TCP);
	intern_put(strings, number);
	return port;
}

/* What the slice says that does not hold is kept with its ports, which count for nothing until it does. */
Test(world, ports_of_an_endpoint_that_moves, .init = setup, .fini = teardown)
{
	add_own_identity();
	name_endpoint("ces-a", 8080);
	cr_expect_eq(port_of_http(), 8080);
	name_endpoint("ces-z", 80);
	cr_expect_eq(port_of_http(), 80);
	endpoint_table_remove(w->endpoints, "legacy", "x", "ces-z");
	cr_expect_eq(port_of_http(), 8080);
	name_endpoint("ces-z", 80);
	endpoint_table_remove(w->endpoints, "legacy", "x", "ces-a");
	cr_expect_eq(port_of_http(), 80);
	endpoint_table_remove(w->endpoints, "legacy", "x", "ces-z");
	cr_expect_eq(port_of_http(), -1);
}

/* Prefixes of policies say something of pods, of one too whose CiliumIdentity comes after its CiliumEndpoint. */
Test(world, identity_after_its_endpoint, .init = setup_cidr_pods, .fini = teardown)
{
	enum { POD = 1000 };
	CLEANUP(json_decref) json_t *policy = json_loads(
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"endpointSelector\":{},\"egress\":[{\"toCIDR\":[\"10.244.7.0/24\"]}]}}", 0, NULL);
	const struct ipcache_claim pod = {.identity = POD};
	struct err err = {0};
	uint32_t number;
	struct ip ip;

	add_own_identity();
	cr_assert_geq(json_policy_gate_set(w->gate, POLICY_CCNP, policy, &err), 0, "%s", err.text);
	cr_assert_eq(ip_parse("10.244.7.7", &ip), 0);
	cr_assert_eq(ipcache_claim(w->addresses, IPCACHE_FROM_ENDPOINT, &ip, &pod), 0);
	cr_expect_geq(world_update(w), 0);
	cr_assert_eq(world_overlay(&ip, POD, &number, w), 0);
	cr_expect_eq(number, POD, "nobody knows who that is");
	cr_assert_eq(ipcache_flush(w->addresses, ignore_address, NULL), 0);
	cr_assert_eq(add_labelled(POD), 0);
	cr_expect_geq(world_update(w), 0);
	cr_expect(ipcache_is_dirty(w->addresses), "its address is written anew");
	cr_assert_eq(world_overlay(&ip, POD, &number, w), 0);
	cr_expect_geq(number, IDENTITY_LOCAL_CIDR);
	cr_assert_eq(ipcache_flush(w->addresses, ignore_address, NULL), 0);
	cr_expect_geq(world_update(w), 0);
	cr_expect_geq(world_update(w), 0);
	cr_expect_not(ipcache_is_dirty(w->addresses), "once");
}

static void add_labelled_node(const char *name, const char *address, const char *zone)
{
	CLEANUP(json_decref) json_t *doc = json_pack("{s:{s:s,s:s,s:{s:s}},s:{s:[{s:s,s:s}]}}", "metadata", "name", name, "uid", name,
						     "labels", "zone", zone, "spec", "addresses", "ip", address, "type", "InternalIP");
	CLEANUP(doc_free) struct doc *obj = doc_from_json(doc);
	struct kube_node *n;
	struct err err = {0};

	cr_assert(obj);
	cr_assert_eq(kube_node_decode(obj, &n, &err), 0, "%s", err.text);
	cr_assert_eq(kube_node_read_labels(n, obj), 0);
	cr_assert_eq(node_table_set(w->nodes, n), 0);
}

/* "zone=..." among the labels of an address; else "". */
static const char *zone_at(const char *text)
{
	struct intern *strings = label_table_strings(identity_labels(w->identities));
	const struct label_set *set;
	struct ip ip;

	cr_assert_eq(ip_parse(text, &ip), 0);
	set = node_labels_get(w->node_labels, &ip);
	for (uint32_t i = 0; set && i < set->n; i++)
		if (strcmp(intern_str(strings, set->v[i].key), "zone") == 0)
			return intern_str(strings, set->v[i].value);
	return "";
}

/* A new node got the address of a dead one whose CiliumNode goes later, and may be touched before. */
Test(world, address_of_a_dead_node, .init = setup_node_labels, .fini = teardown)
{
	add_own_identity();
	add_labelled_node("a", "172.18.0.3", "old");
	cr_expect_str_eq(zone_at("172.18.0.3"), "old");
	add_labelled_node("b", "172.18.0.3", "new");
	cr_expect_str_eq(zone_at("172.18.0.3"), "new");
	add_labelled_node("a", "172.18.0.3", "older");
	cr_expect_str_eq(zone_at("172.18.0.3"), "new");
	node_table_remove(w->nodes, "a");
	cr_expect_str_eq(zone_at("172.18.0.3"), "new");
	add_labelled_node("b", "172.18.0.3", "newer");
	cr_expect_str_eq(zone_at("172.18.0.3"), "newer");
	add_labelled_node("c", "172.18.0.3", "third");
	node_table_remove(w->nodes, "c");
	cr_expect_str_eq(zone_at("172.18.0.3"), "newer");
	node_table_remove(w->nodes, "b");
	cr_expect_str_eq(zone_at("172.18.0.3"), "");
}

/* A policy that there is no room for may forbid what the others allow. */
Test(world, policies_are_left_out, .init = setup, .fini = teardown)
{
	CLEANUP(json_decref) json_t *policy = json_loads(
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"endpointSelector\":{},\"ingress\":[{}]}}", 0, NULL);
	struct err err = {0};

	add_own_identity();
	cr_expect_geq(world_update(w), 0);
	policy_table_taken(w->table);
	cr_assert_geq(json_policy_gate_set(w->gate, POLICY_CCNP, policy, &err), 0, "%s", err.text);
	w->n_left_out = 1;
	cr_expect_eq(world_update(w), -EDQUOT);
	cr_expect_eq(world_update(w), -EDQUOT, "nothing else changed");
	w->n_left_out = 0;
	cr_expect_eq(world_update(w), 1, "and is owed since");
}

/* Service legacy/<name>, without selector, with this one backend. */
static void add_external(const char *name, const char *label, const char *backend)
{
	CLEANUP(json_decref) json_t *service = json_pack("{s:{s:s,s:s,s:{s:s}},s:{s:s,s:[{s:i}]}}", "metadata", "name", name, "namespace",
							 "legacy", "labels", "app", label, "spec", "clusterIP", "None", "ports", "port", 80);
	CLEANUP(json_decref) json_t *slice = json_pack("{s:{s:s,s:s,s:{s:s}},s:s,s:[{s:i}],s:[{s:[s]}]}", "metadata", "name", name,
						       "namespace", "legacy", "labels", "kubernetes.io/service-name", name, "addressType",
						       "IPv4", "ports", "port", 80, "endpoints", "addresses", backend);

	upsert(service, slice);
}

/* Whether the policies are another matter after an update. */
static bool is_anew(void)
{
	uint64_t before = policy_generation(w->policies);

	cr_assert_geq(world_update(w), 0);
	cr_assert_eq(service_table_flush(w->services, NULL, NULL), 0);
	return policy_generation(w->policies) != before;
}

/* Each new generation judges all flows anew: not for Services that no rule is about. */
Test(world, services_that_a_policy_is_about, .init = setup, .fini = teardown)
{
	CLEANUP(json_decref) json_t *policy = json_loads(
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"endpointSelector\":{},\"egress\":[{\"toServices\":["
		"{\"k8sService\":{\"serviceName\":\"ext\",\"namespace\":\"legacy\"}},"
		"{\"k8sServiceSelector\":{\"selector\":{\"matchLabels\":{\"app\":\"bank\"}}}}]}]}}", 0, NULL);
	struct err err = {0};
	struct ip ip;

	add_own_identity();
	add_external("ext", "x", "192.0.2.1");
	add_external("other", "x", "192.0.2.2");
	cr_assert_eq(json_policy_gate_set(w->gate, POLICY_CCNP, policy, &err), 1, "%s", err.text);
	(void)is_anew();
	cr_assert_eq(ip_parse("192.0.2.1", &ip), 0);
	cr_expect_geq(policy_table_identity_of(w->table, &ip), IDENTITY_LOCAL_CIDR);
	add_external("other", "x", "192.0.2.3");
	add_external("third", "x", "192.0.2.4");
	cr_expect_not(is_anew(), "no rule is about them");
	add_external("ext", "x", "192.0.2.1");
	cr_expect_not(is_anew(), "the same as before");
	add_external("ext", "x", "192.0.2.5");
	cr_expect(is_anew());
	cr_expect_lt(policy_table_identity_of(w->table, &ip), IDENTITY_LOCAL_CIDR);
	add_external("third", "bank", "192.0.2.4");
	cr_expect(is_anew());
	cr_expect_not(is_anew());
	service_table_remove_slice(w->services, "legacy", "third");
	cr_expect(is_anew());
	add_external("third", "bank", "192.0.2.4");
	cr_expect(is_anew());
	service_table_remove(w->services, "legacy", "third");
	cr_expect(is_anew());
	service_table_remove_slice(w->services, "legacy", "other");
	cr_expect_not(is_anew());
}
