/* SPDX-License-Identifier: Apache-2.0 */
/* The host's own objects against the in-tree API server: filled in, kept true, and the host told when it is out. */
#include "../lib/helpers.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "event/loop.h"
#include "join/register.h"

#define NODE	 "/apis/cilium.io/v2/ciliumnodes/h1"
#define ENDPOINT "/apis/cilium.io/v2/namespaces/%s/ciliumendpoints/h1"
#define IDENTITY "/apis/cilium.io/v2/ciliumidentities/4711"

static struct world w;
static struct loop *loop;
static struct kube_client *client;
static struct registration *registration;
static unsigned n_states, n_unauthorized;

static void on_state(enum registration_state state, void *arg)
{
	(void)state;
	(void)arg;
	n_states++;
}

static void on_unauthorized(void *arg)
{
	(void)arg;
	n_unauthorized++;
}

/* What the admin's `meshctl host add` leaves. */
static void enrol(void)
{
	want_code(&w, 201, "POST",
		  json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:{s:s}}", "apiVersion", "cilium.io/v2", "kind", "CiliumIdentity", "metadata", "name", "4711", "annotations", "io.cilium.heartbeat",
			    "2026-01-01T00:00:00Z", "security-labels", "k8s:jedi", "luke"),
		  "/apis/cilium.io/v2/ciliumidentities");
	want_code(&w, 201, "POST", json_pack("{s:s,s:s,s:{s:s},s:{}}", "apiVersion", "cilium.io/v2", "kind", "CiliumNode", "metadata", "name", "h1",
			    "spec"),
		  "/apis/cilium.io/v2/ciliumnodes");
	want_code(&w, 201, "POST",
		  json_pack("{s:s,s:s,s:{s:s},s:{s:{s:i},s:s}}", "apiVersion", "cilium.io/v2", "kind", "CiliumEndpoint", "metadata", "name", "h1", "status", "identity", "id", 4711, "state",
			    "disconnected"),
		  "/apis/cilium.io/v2/namespaces/%s/ciliumendpoints", w.ns);
}

static void setup(void)
{
	struct registration_conf conf = {.host = "h1", .identity = 4711, .on_state = on_state, .on_unauthorized = on_unauthorized};

	world_start(&w, NULL);
	cr_assert_eq(loop_new(&loop), 0);
	client = world_client(&w, loop, w.api->token);
	enrol();
	conf.namespace = w.ns;
	cr_assert_eq(registration_new(loop, client, &conf, &registration), 0);
}

static void teardown(void)
{
	registration_free(registration);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

static void await_state(enum registration_state state)
{
	uint64_t end = clock_boot_us() + 20 * USEC_PER_SEC;

	while (registration_get_state(registration) != state && clock_boot_us() < end)
		(void)loop_once(loop, 10000);
	cr_assert_eq(registration_get_state(registration), state, "%s", registration_error(registration));
}

static void join_cluster(void)
{
	struct ip address;
	struct registration_info info = {.addresses = &address, .n_addresses = 1};

	cr_assert_eq(ip_parse("10.9.0.1", &address), 0);
	cr_assert_eq(registration_set(registration, &info), 0);
	await_state(REGISTRATION_READY);
}

static void fault(const char *text)
{
	want_code(&w, 200, "POST", json_loads(text, 0, NULL), "/test/faults");
}

Test(register, fills_in_and_leaves, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *endpoint = NULL, *node = NULL, *identity = NULL, *left = NULL;
	json_t *networking;

	join_cluster();
	endpoint = want(&w, 200, "GET", NULL, ENDPOINT, w.ns);
	networking = json_object_get(json_object_get(endpoint, "status"), "networking");
	cr_expect_str_eq(text_at(endpoint, "status", "state", NULL), "ready");
	cr_expect_str_eq(text_at(networking, "node", NULL), "10.9.0.1");
	cr_expect_str_eq(text_at(json_array_get(json_object_get(networking, "addressing"), 0), "ipv4", NULL), "10.9.0.1");
	node = want(&w, 200, "GET", NULL, NODE);
	cr_expect_str_eq(text_at(json_array_get(json_object_get(json_object_get(node, "spec"), "addresses"), 0), "ip", NULL),
			 "10.9.0.1");
	identity = want(&w, 200, "GET", NULL, IDENTITY);
	cr_expect_null(json_object_get(json_object_get(json_object_get(identity, "metadata"), "annotations"), "io.cilium.heartbeat"),
		       "whoever uses an identity takes the mark off");
	registration_leave(registration);
	await_state(REGISTRATION_LEFT);
	left = want(&w, 200, "GET", NULL, ENDPOINT, w.ns);
	cr_expect_str_eq(text_at(left, "status", "state", NULL), "disconnected");
	cr_expect_null(json_object_get(json_object_get(left, "status"), "networking"));
}

/* The node of the endpoint is where others send tunnel packets to. */
Test(register, underlay, .init = setup, .fini = teardown)
{
	struct ip addresses[2];
	struct registration_info info = {.addresses = addresses, .n_addresses = 2};

	cr_assert_eq(ip_parse("10.9.0.1", &addresses[0]), 0);
	cr_assert_eq(ip_parse("fd00::9", &addresses[1]), 0);
	for (unsigned i = 0; i < 3; i++) {
		const char *want_node = i == 1 ? "fd00::9" : "10.9.0.1";
		CLEANUP(json) json_t *endpoint = NULL;
		const char *node = "";

		info.has_ipv6_underlay = i > 0;
		info.n_addresses = i == 2 ? 1 : 2;
		cr_assert_eq(registration_set(registration, &info), 0);
		for (unsigned n = 0; n < 500 && !str_eq(node, want_node); n++) {
			(void)loop_once(loop, 10000);
			json_decref(endpoint);
			endpoint = want(&w, 200, "GET", NULL, ENDPOINT, w.ns);
			node = text_at(endpoint, "status", "networking", "node", NULL);
			node = node ? node : "";
		}
		cr_expect_str_eq(node, want_node);
	}
}

Test(register, an_object_is_gone, .init = setup, .fini = teardown)
{
	join_cluster();
	want_code(&w, 200, "DELETE", NULL, ENDPOINT, w.ns);
	registration_kick(registration);
	await_state(REGISTRATION_REMOVED);
	cr_expect(strstr(registration_error(registration), "ciliumendpoints/h1"), "%s", registration_error(registration));
}

/* Nodes would go on to take packets from there for this host's. */
Test(register, leaves_what_is_left, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *node = NULL;

	join_cluster();
	want_code(&w, 200, "DELETE", NULL, ENDPOINT, w.ns);
	registration_leave(registration);
	await_state(REGISTRATION_LEFT);
	node = want(&w, 200, "GET", NULL, NODE);
	cr_expect_eq(json_array_size(json_object_get(json_object_get(node, "spec"), "addresses")), 0);
}

/* Nothing is left to tidy up by one whom the server does not know any more. */
Test(register, leaves_at_once_when_removed, .init = setup, .fini = teardown)
{
	join_cluster();
	fault("[{\"action\":\"status\",\"status\":401,\"count\":1000}]");
	registration_lost(registration);
	await_state(REGISTRATION_REMOVED);
	registration_leave(registration);
	await_state(REGISTRATION_LEFT);
}

/* How long it was refused before makes the leave no longer. */
Test(register, leaves_soon_when_refused_for_long, .init = setup, .fini = teardown)
{
	join_cluster();
	fault("[{\"action\":\"status\",\"status\":401,\"count\":1000}]");
	for (unsigned n = 1; n <= 12; n++) {
		registration_kick(registration);
		while (n_unauthorized < n)
			(void)loop_once(loop, 10000);
	}
	registration_leave(registration);
	await_state(REGISTRATION_LEFT);
}

/* A refusal alone may pass: the server was restarted, or an admin is changing roles. */
Test(register, refused_is_not_removed, .init = setup, .fini = teardown)
{
	join_cluster();
	fault("[{\"action\":\"status\",\"status\":401,\"count\":1},{\"action\":\"status\",\"status\":403,\"count\":1}]");
	registration_kick(registration);
	await_state(REGISTRATION_PENDING);
	cr_expect_eq(n_unauthorized, 1, "watches that are open never tell of it");
	cr_expect_gt(registration_failing_us(registration), 0);
	await_state(REGISTRATION_READY);
	cr_expect_eq(n_states, 3, "ready, pending, ready");
	cr_expect_eq(registration_failing_us(registration), 0);
}

/* The admin deletes credential, objects and roles in one go: which of them the host notices first is chance. */
static void removed_by_refusal(int status)
{
	CLEANUP(free) char *text = str_printf("[{\"action\":\"status\",\"status\":%d,\"count\":1}]", status);

	join_cluster();
	fault(text);
	registration_lost(registration);
	await_state(REGISTRATION_REMOVED);
	registration_kick(registration);
	await_state(REGISTRATION_READY); /* the server took it back: so does the host */
}

Test(register, lost_and_unauthorized, .init = setup, .fini = teardown)
{
	removed_by_refusal(401);
	cr_expect_eq(n_unauthorized, 1);
}

Test(register, lost_and_forbidden, .init = setup, .fini = teardown)
{
	removed_by_refusal(403);
	cr_expect_eq(n_unauthorized, 0);
}

/* 0 = none. */
static void put_identity(int id)
{
	CLEANUP(json) json_t *endpoint = want(&w, 200, "GET", NULL, ENDPOINT, w.ns);
	json_t *status = json_object_get(endpoint, "status");

	cr_assert_eq(json_object_set_new(status, "identity", id ? json_pack("{s:i}", "id", id) : json_object()), 0);
	want_code(&w, 200, "PUT", json_incref(endpoint), ENDPOINT, w.ns);
}

/* Enrolled with another identity, as after the labels of the namespace changed: no removal, and nothing of it is written. */
Test(register, enrolled_anew, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *before = NULL, *after = NULL;

	join_cluster();
	put_identity(777);
	before = want(&w, 200, "GET", NULL, ENDPOINT, w.ns);
	registration_kick(registration);
	await_state(REGISTRATION_CHANGED);
	cr_expect(strstr(registration_error(registration), "777"), "%s", registration_error(registration));
	after = want(&w, 200, "GET", NULL, ENDPOINT, w.ns);
	cr_expect(json_equal(before, after));
	put_identity(0);
	registration_kick(registration);
	await_state(REGISTRATION_REMOVED);
	put_identity(4711);
	registration_kick(registration);
	await_state(REGISTRATION_READY);
}
