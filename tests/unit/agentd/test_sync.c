/* SPDX-License-Identifier: Apache-2.0 */
/* Objects on their way from the API server into the tables: which table they are for, and what becomes of unfit ones. */
#define world api_world /* the daemon has a struct of that name, too */
#include "../lib/helpers.h"
#undef world

#include "agentd/sync.h"
#include "agentd/world.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "ignoring.h"
#include "policy/policy_rule.h"

enum { STEP_US = 20000, WAIT_US = 10000000 };

#define SERVICE "kubernetes.io/service-name"
#define IMPORT	"multicluster.kubernetes.io/service-name"
#define SLICES "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices"

static struct api_world api;
static struct conf conf;
static struct loop *loop;
static struct kube_client *client;
static struct world *w;
static struct sync *s;

static void setup(void)
{
	CLEANUP(json) json_t *map = json_object();
	struct cilium_config config;

	cr_assert_eq(cilium_config_parse(map, &config, NULL), 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(world_new(&config, "me", 300, &conf, &w), 0);
	world_start(&api, NULL);
	client = world_client(&api, loop, api.api->token);
}

static void teardown(void)
{
	sync_free(s);
	kube_client_free(client);
	world_free(w);
	world_stop(&api);
	loop_free(loop);
}

static void start(void)
{
	const struct sync_tables tables = {.identities = w->identities, .policies = w->gate, .services = w->services,
					   .imports = w->imports, .endpoints = w->endpoints, .ports = w->ports, .nodes = w->nodes};

	cr_assert_eq(sync_new(loop, client, false, &tables, &ignoring, &s), 0);
}

static size_t slices_of(const struct service_table *t)
{
	struct service_view v;

	return service_table_find(t, api.ns, strlen(api.ns), "pay", 3, &v) && v.service ? v.n_slices : 0;
}

/* Until the two tables have so many slices of Services that they know. */
static void expect_slices(size_t services, size_t imports)
{
	uint64_t end = clock_boot_us() + WAIT_US;

	while ((slices_of(w->services) != services || slices_of(w->imports) != imports) && clock_boot_us() < end)
		(void)loop_once(loop, STEP_US);
	cr_expect_eq(slices_of(w->services), services);
	cr_expect_eq(slices_of(w->imports), imports);
}

static bool is_complete(void)
{
	return sync_is_complete(s);
}

static bool has_imports(void)
{
	return sync_has_imports(s);
}

static void wait_until(bool (*is_so)(void))
{
	uint64_t end = clock_boot_us() + WAIT_US;

	while (!is_so() && clock_boot_us() < end)
		(void)loop_once(loop, STEP_US);
	cr_assert(is_so());
}

static json_t *slice(const char *label, const char *type)
{
	return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:s, s:[{s:[s]}], s:[{s:s, s:i}]}", "apiVersion", "discovery.k8s.io/v1", "kind",
			 "EndpointSlice", "metadata", "name", "pay", "labels", label, "pay", "addressType", type, "endpoints",
			 "addresses", "10.1.0.7", "ports", "name", "http", "port", 80);
}


static void make_pay(void)
{
	want_code(&api, 201, "POST", json_pack("{s:s, s:s, s:{s:s}, s:{s:[{s:s, s:i}]}}", "apiVersion", "v1", "kind", "Service",
					      "metadata", "name", "pay", "spec", "ports", "name", "http", "port", 80),
		  "/api/v1/namespaces/%s/services", api.ns);
	want_code(&api, 201, "POST",
		  json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:[s], s:[{s:s, s:i}]}}", "apiVersion", "multicluster.x-k8s.io/v1alpha1", "kind",
			    "ServiceImport", "metadata", "name", "pay", "spec", "type", "ClusterSetIP", "ips", "10.97.0.5", "ports",
			    "name", "http", "port", 80),
		  "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/%s/serviceimports", api.ns);
	want_code(&api, 201, "POST", slice(IMPORT, "IPv4"), SLICES, api.ns);
}

Test(sync, a_slice_is_of_one_or_the_other, .init = setup, .fini = teardown)
{
	make_pay();
	start();
	wait_until(is_complete);
	wait_until(has_imports);
	expect_slices(0, 1);
	want_code(&api, 200, "PUT", slice(SERVICE, "IPv4"), SLICES "/pay", api.ns);
	expect_slices(1, 0);
	want_code(&api, 200, "PUT", slice(IMPORT, "IPv4"), SLICES "/pay", api.ns);
	expect_slices(0, 1);
	want_code(&api, 200, "DELETE", NULL, SLICES "/pay", api.ns);
	expect_slices(0, 0);
}

/* Roles of an older setup do not let the host read them: nothing else waits for that. */
Test(sync, imports_that_cannot_be_read_hold_nothing_up, .init = setup, .fini = teardown)
{
	size_t n_failing;

	want_code(&api, 200, "POST",
		  json_loads("[{\"action\":\"status\",\"status\":403,\"count\":1000,\"match\":{\"pathPrefix\":\"/apis/multicluster.x-k8s.io\"}}]",
			     0, NULL),
		  "/test/faults");
	start();
	wait_until(is_complete);
	cr_expect_not(has_imports());
	cr_expect_null(sync_failing(s, &n_failing));
	cr_expect_eq(n_failing, 0);
}

/* Most clusters have no such kind. */
Test(sync, a_cluster_without_imports, .init = setup, .fini = teardown)
{
	want_code(&api, 200, "POST",
		  json_loads("[{\"action\":\"status\",\"status\":404,\"count\":1000,\"match\":{\"pathPrefix\":\"/apis/multicluster.x-k8s.io\"}}]",
			     0, NULL),
		  "/test/faults");
	start();
	wait_until(is_complete);
	wait_until(has_imports);
}

/* What an object was is not what the cluster has: one that becomes unfit is as one that is gone, here as after a restart. */
Test(sync, a_slice_that_becomes_unfit, .init = setup, .fini = teardown)
{
	make_pay();
	start();
	wait_until(is_complete);
	want_code(&api, 200, "PUT", slice(SERVICE, "IPv4"), SLICES "/pay", api.ns);
	expect_slices(1, 0);
	want_code(&api, 200, "PUT", slice(SERVICE, "pigeon"), SLICES "/pay", api.ns);
	expect_slices(0, 0);
	want_code(&api, 200, "PUT", slice(SERVICE, "IPv4"), SLICES "/pay", api.ns);
	expect_slices(1, 0);
}

static void replace(const char *path, json_t *object)
{
	CLEANUP(json) json_t *old = want(&api, 200, "GET", NULL, "%s", path);

	json_object_set(json_object_get(object, "metadata"), "resourceVersion", json_at(old, "metadata", "resourceVersion", NULL));
	want_code(&api, 200, "PUT", object, "%s", path);
}

static bool has_node(void)
{
	return node_table_find(w->nodes, "endor") != NULL;
}

static bool has_no_node(void)
{
	return !has_node();
}

/* A node with so many addresses. */
static json_t *node(unsigned n)
{
	json_t *addresses = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(addresses, json_pack("{s:s, s:o}", "type", "InternalIP", "ip",
							   json_sprintf("172.18.%u.%u", i / 250, 1 + i % 250)));
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:o}}", "apiVersion", "cilium.io/v2", "kind", "CiliumNode", "metadata", "name",
			 "endor", "spec", "addresses", addresses);
}

Test(sync, a_node_that_becomes_unfit, .init = setup, .fini = teardown)
{
	want_code(&api, 201, "POST", node(1), "/apis/cilium.io/v2/ciliumnodes");
	start();
	wait_until(has_node);
	replace("/apis/cilium.io/v2/ciliumnodes/endor", node(1000));
	wait_until(has_no_node);
	replace("/apis/cilium.io/v2/ciliumnodes/endor", node(1));
	wait_until(has_node);
}

enum { STRANGER = 4711 };

static bool has_identity(void)
{
	return identity_get(w->identities, STRANGER) != NULL;
}

static bool has_no_identity(void)
{
	return !has_identity();
}

static json_t *identity(json_t *value)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:o}}", "apiVersion", "cilium.io/v2", "kind", "CiliumIdentity", "metadata", "name", "4711",
			 "security-labels", "k8s:jedi", value);
}

Test(sync, an_identity_that_becomes_unfit, .init = setup, .fini = teardown)
{
	want_code(&api, 201, "POST", identity(json_string("luke")), "/apis/cilium.io/v2/ciliumidentities");
	start();
	wait_until(has_identity);
	replace("/apis/cilium.io/v2/ciliumidentities/4711", identity(json_integer(1)));
	wait_until(has_no_identity);
	replace("/apis/cilium.io/v2/ciliumidentities/4711", identity(json_string("luke")));
	wait_until(has_identity);
}

#define POLICIES "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies"

/* As many policies as there is room for, of another kind than those that come from the API server. */
static void fill(void)
{
	for (unsigned i = 0; i < LIMIT_POLICIES; i++) {
		char text[128];
		int n = snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"p%u\",\"namespace\":\"hoth\"},\"spec\":{\"podSelector\":{}}}", i);
		CLEANUP(doc_free) struct doc *doc = doc_parse(text, (size_t)n);
		struct err err = {0};

		cr_assert(doc);
		cr_assert_eq(policy_gate_set(w->gate, POLICY_KNP, doc, &err), 1, "%s", err.text);
	}
}

static json_t *policy(const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:{}, s:[{}]}}", "apiVersion", "cilium.io/v2", "kind", "CiliumClusterwideNetworkPolicy",
			 "metadata", "name", name, "spec", "endpointSelector", "ingress");
}

static bool are_two_left_out(void)
{
	return sync_left_out(s) == 2;
}

static bool is_one_left_out(void)
{
	return sync_left_out(s) == 1;
}

static bool is_none_left_out(void)
{
	return sync_left_out(s) == 0;
}

/* Nothing that is over the limit is forgotten: it comes in when there is room. */
Test(sync, policies_without_room, .init = setup, .fini = teardown)
{
	fill();
	want_code(&api, 201, "POST", policy("endor"), POLICIES);
	want_code(&api, 201, "POST", policy("tatooine"), POLICIES);
	start();
	wait_until(is_complete);
	cr_expect(are_two_left_out());
	want_code(&api, 200, "DELETE", NULL, POLICIES "/tatooine");
	wait_until(is_one_left_out);
	sync_use_room(s);
	cr_assert(policy_gate_remove(w->gate, POLICY_KNP, "hoth", "p7"));
	cr_expect_null(policy_find(w->policies, POLICY_CCNP, "", "endor"));
	sync_use_room(s);
	wait_until(is_none_left_out);
	cr_expect(policy_find(w->policies, POLICY_CCNP, "", "endor"));
	/* what went and came while there was no room */
	want_code(&api, 201, "POST", policy("hoth"), POLICIES);
	wait_until(is_one_left_out);
	want_code(&api, 200, "DELETE", NULL, POLICIES "/endor");
	want_code(&api, 200, "DELETE", NULL, POLICIES "/hoth");
	wait_until(is_none_left_out);
}
