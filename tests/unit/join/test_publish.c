/* SPDX-License-Identifier: Apache-2.0 */
/* The host's EndpointSlices against the in-tree API server. */
#include "../lib/helpers.h"

#include <errno.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "event/loop.h"
#include "join/publish_private.h"
#include "join/serve_rules.h"

enum { PADDING = 2500000 };

#define SLICES "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices"

static struct world w;
static struct loop *loop;
static struct kube_client *client;
static struct publish *publish;
static unsigned changes;
static size_t drained_left;
static bool is_drained;
static const char *const names[] = {"a", "b", "c", "d"};
static char uids[4][64];

static void on_change(void *arg)
{
	(void)arg;
	changes++;
}

static void start_publish(void)
{
	struct publish_conf conf = {.host = "h1", .ns = w.ns, .addresses = "10.9.0.0/24", .on_change = on_change};

	cr_assert_eq(publish_new(loop, client, &conf, &publish), 0);
}

/* The owners of the slices: without them the garbage collector takes the slices away. */
static void make_services(void)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *s = want(&w, 201, "POST",
				 json_pack("{s:{s:s},s:{s:[{s:i}]}}", "metadata", "name", names[i], "spec", "ports",
					   "port", 80),
				 "/api/v1/namespaces/%s/services", w.ns);

		(void)snprintf(uids[i], sizeof(uids[i]), "%s",
			       json_string_value(json_object_get(json_object_get(s, "metadata"), "uid")));
		json_decref(s);
	}
}

static void setup(void)
{
	world_start(&w, NULL);
	cr_assert_eq(loop_new(&loop), 0);
	client = world_client(&w, loop, w.api->token);
	make_services();
	start_publish();
}

static void teardown(void)
{
	publish_free(publish);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

/* Runs the loop until the condition holds or 8 s are over, which fails the test. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + 8 * USEC_PER_SEC;                                \
		while (!(condition) && clock_boot_us() < end_)                                     \
			(void)loop_once(loop, 20000);                                              \
		cr_assert(condition);                                                              \
	} while (0)

static void run_for(uint64_t us)
{
	uint64_t end = clock_boot_us() + us;

	while (clock_boot_us() < end)
		(void)loop_once(loop, 10000);
}

static json_t *slice_of(const char *service, const char *address)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "%s-mesh-h1", service);
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:{s:s,s:s},s:[{s:s,s:s,s:s,s:s}]},s:s,s:[{s:[s],s:{s:b,s:b,s:b}}],"
			 "s:[{s:s,s:i,s:s}]}",
			 "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name",
			 name, "namespace", w.ns, "labels", "kubernetes.io/service-name", service,
			 "endpointslice.kubernetes.io/managed-by", SERVE_MANAGED_BY, "ownerReferences", "apiVersion", "v1",
			 "kind", "Service", "name", service, "uid", uids[service[0] - 'a'], "addressType",
			 "IPv4", "endpoints", "addresses", address, "conditions", "ready", 1, "serving", 1, "terminating",
			 0, "ports", "name", "", "port", 80, "protocol", "TCP");
}

/* A plan of `n` services a, b, c ... with the address 10.9.0.`last`. */
static void set_plan(size_t n, int last)
{
	struct serve_entry v[4] = {0};
	struct serve_plan plan = {.v = v, .n = n};
	char address[32];

	(void)snprintf(address, sizeof(address), "10.9.0.%d", last);
	for (size_t i = 0; i < n; i++) {
		v[i].service = (char *)names[i];
		v[i].slice_name[0] = str_printf("%s-mesh-h1", names[i]);
		v[i].slice[0] = slice_of(names[i], address);
		cr_assert(v[i].slice[0]);
	}
	cr_assert_eq(publish_set(publish, &plan), 0);
	for (size_t i = 0; i < n; i++) {
		free(v[i].slice_name[0]);
		json_decref(v[i].slice[0]);
	}
}

static json_t *get(const char *name)
{
	return want(&w, 200, "GET", NULL, SLICES "/%s", w.ns, name);
}

static size_t count(void)
{
	json_t *list = want(&w, 200, "GET", NULL, SLICES, w.ns);
	size_t n = json_array_size(json_object_get(list, "items"));

	json_decref(list);
	return n;
}

static const char *address_of(const json_t *slice)
{
	return json_string_value(json_array_get(
		json_object_get(json_array_get(json_object_get(slice, "endpoints"), 0), "addresses"), 0));
}

static void fault(const char *json_text)
{
	json_t *list = json_loads(json_text, 0, NULL);

	cr_assert(list, "%s", json_text);
	want_code(&w, 200, "POST", list, "/test/faults");
}

Test(publish, creates_updates_deletes, .init = setup, .fini = teardown)
{
	json_t *s, *meta;

	set_plan(2, 1);
	cr_expect_str_eq(publish_status(publish, "a"), "not published yet");
	AWAIT(publish_is_settled(publish));
	cr_expect_str_eq(publish_status(publish, "a"), "");
	cr_expect_null(publish_status(publish, "zz"));
	s = get("a-mesh-h1");
	meta = json_object_get(s, "metadata");
	cr_expect_str_eq(address_of(s), "10.9.0.1");
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(meta, "labels"), PUBLISH_HOST_LABEL)), "h1");
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(meta, "annotations"),
							   PUBLISH_ADDRESSES_ANNOTATION)), "10.9.0.0/24");
	json_decref(s);
	set_plan(2, 2);
	AWAIT(publish_is_settled(publish));
	s = get("b-mesh-h1");
	cr_expect_str_eq(address_of(s), "10.9.0.2");
	json_decref(s);
	set_plan(1, 2);
	AWAIT(publish_is_settled(publish));
	cr_expect_eq(count(), 1);
	cr_expect_gt(changes, 0);
}

/* The newest state of a workload must not wait for the patience that is meant for a server that answers oddly. */
Test(publish, what_changes_during_a_write_follows_at_once, .init = setup, .fini = teardown)
{
	set_plan(1, 1);
	AWAIT(publish->slices && publish->slices->op);
	set_plan(1, 2);
	AWAIT(publish->slices->existing); /* the first is written */
	cr_expect(publish->slices->op, "the second is not under way");
	AWAIT(publish_is_settled(publish));
}

/* More than one answer may have. */
static void publish_others(void)
{
	CLEANUP(free) char *padding = calloc(1, PADDING + 1);

	memset(padding, 'x', PADDING);
	for (unsigned i = 0; i <= LIMIT_RESPONSE_BYTES / PADDING; i++) {
		json_t *foreign = slice_of("b", "10.9.0.9"), *meta = json_object_get(foreign, "metadata");
		CLEANUP(free) char *name = str_printf("b-mesh-h%u", 2 + i);

		json_object_set_new(meta, "name", json_string(name));
		json_object_set_new(json_object_get(meta, "labels"), PUBLISH_HOST_LABEL, json_string(name + strlen("b-mesh-")));
		json_object_set_new(meta, "annotations", json_pack("{s:s}", "padding", padding));
		want_code(&w, 201, "POST", foreign, SLICES, w.ns);
	}
}

/* In a namespace of many hosts none reads what the others publish. */
Test(publish, reads_only_its_own, .init = setup, .fini = teardown)
{
	publish_others();
	publish_kick(publish);
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	cr_expect_str_eq(publish_error(publish), "");
}

static bool has_label(const char *slice)
{
	json_t *s = get(slice);
	const json_t *label = json_object_get(json_object_get(json_object_get(s, "metadata"), "labels"), PUBLISH_HOST_LABEL);
	bool r = label && str_eq(json_string_value(label), "h1");

	json_decref(s);
	return r;
}

/* Gives the slice to somebody, or to nobody's host, or back. */
static void relabel(const char *slice, const char *manager, bool has_host)
{
	json_t *s = get(slice), *labels = json_object_get(json_object_get(s, "metadata"), "labels");

	json_object_set_new(labels, "endpointslice.kubernetes.io/managed-by", json_string(manager));
	if (has_host)
		json_object_set_new(labels, PUBLISH_HOST_LABEL, json_string("h1"));
	else
		json_object_del(labels, PUBLISH_HOST_LABEL);
	want_code(&w, 200, "PUT", s, SLICES "/%s", w.ns, slice);
}

/* A slice of ours that lost its label is found by its name, beside many of others. */
Test(publish, mends_its_label, .init = setup, .fini = teardown)
{
	publish_others();
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	relabel("a-mesh-h1", SERVE_MANAGED_BY, false);
	cr_expect(!has_label("a-mesh-h1"));
	publish_kick(publish);
	AWAIT(has_label("a-mesh-h1"));
	AWAIT(publish_is_settled(publish));
	cr_expect_str_eq(publish_status(publish, "a"), "");
	cr_expect_str_eq(publish_error(publish), "");
}

/* Nothing is left of a conflict once the slice is ours again, though there is nothing to write. */
Test(publish, a_conflict_that_ends, .init = setup, .fini = teardown)
{
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	relabel("a-mesh-h1", "somebody", true);
	publish_kick(publish);
	AWAIT(strstr(publish_status(publish, "a"), "did not write"));
	cr_expect_eq(publish_failure(publish, "a"), -EEXIST);
	relabel("a-mesh-h1", SERVE_MANAGED_BY, true);
	AWAIT(publish_is_settled(publish));
	cr_expect_str_eq(publish_status(publish, "a"), "");
	cr_expect_eq(publish_failure(publish, "a"), 0);
}

/* What may be ours is looked at before it is forgotten. */
Test(publish, a_slice_without_label_is_deleted, .init = setup, .fini = teardown)
{
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	relabel("a-mesh-h1", "somebody", false);
	publish_kick(publish);
	AWAIT(strstr(publish_status(publish, "a"), "did not write"));
	relabel("a-mesh-h1", SERVE_MANAGED_BY, false);
	set_plan(0, 0);
	AWAIT(!publish->slices);
	want_code(&w, 404, "GET", NULL, SLICES "/a-mesh-h1", w.ns);
}

/* What is equal is not written again. */
Test(publish, writes_only_differences, .init = setup, .fini = teardown)
{
	json_t *before, *after;

	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	before = get("a-mesh-h1");
	set_plan(1, 1);
	publish_kick(publish);
	AWAIT(publish_is_settled(publish));
	run_for(100000);
	after = get("a-mesh-h1");
	cr_expect(json_equal(before, after));
	json_decref(before);
	json_decref(after);
}

Test(publish, a_new_start_takes_over_and_cleans_up, .init = setup, .fini = teardown)
{
	json_t *foreign = slice_of("c", "10.9.0.9");

	json_object_set_new(json_object_get(foreign, "metadata"), "name", json_string("c-mesh-h2"));
	want_code(&w, 201, "POST", foreign, SLICES, w.ns);
	set_plan(3, 1);
	AWAIT(publish_is_settled(publish));
	cr_expect_eq(count(), 4);
	publish_free(publish);
	start_publish();
	run_for(200000);
	cr_expect_eq(count(), 4, "nothing goes before the first plan");
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	cr_expect_eq(count(), 2);
	want_code(&w, 200, "GET", NULL, SLICES "/c-mesh-h2", w.ns);
}

Test(publish, mends_what_others_changed, .init = setup, .fini = teardown)
{
	json_t *s;

	set_plan(2, 1);
	AWAIT(publish_is_settled(publish));
	want_code(&w, 200, "DELETE", NULL, SLICES "/a-mesh-h1", w.ns);
	s = get("b-mesh-h1");
	json_object_set_new(s, "endpoints", json_array());
	want_code(&w, 200, "PUT", s, SLICES "/b-mesh-h1", w.ns);
	publish_kick(publish);
	AWAIT(publish_is_settled(publish));
	s = get("b-mesh-h1");
	cr_expect_str_eq(address_of(s), "10.9.0.1");
	json_decref(s);
	want_code(&w, 200, "GET", NULL, SLICES "/a-mesh-h1", w.ns);
}

/* Changed since it was read: the update meets a conflict, reads again and then goes through. */
Test(publish, conflict, .init = setup, .fini = teardown)
{
	json_t *s;

	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	s = get("a-mesh-h1");
	json_object_set_new(s, "endpoints", json_array());
	want_code(&w, 200, "PUT", s, SLICES "/a-mesh-h1", w.ns);
	set_plan(1, 2);
	AWAIT(publish_is_settled(publish));
	s = get("a-mesh-h1");
	cr_expect_str_eq(address_of(s), "10.9.0.2");
	json_decref(s);
	cr_expect_str_eq(publish_status(publish, "a"), "");
	/* Deleted meanwhile: the update gets 404, and it is created. */
	want_code(&w, 200, "DELETE", NULL, SLICES "/a-mesh-h1", w.ns);
	set_plan(1, 3);
	AWAIT(publish_is_settled(publish));
	s = get("a-mesh-h1");
	cr_expect_str_eq(address_of(s), "10.9.0.3");
	json_decref(s);
}

Test(publish, a_foreign_slice_of_the_same_name_is_left_alone, .init = setup, .fini = teardown)
{
	json_t *foreign = slice_of("a", "10.9.0.9"), *s;

	json_object_set_new(json_object_get(json_object_get(foreign, "metadata"), "labels"),
			    "endpointslice.kubernetes.io/managed-by", json_string("somebody"));
	want_code(&w, 201, "POST", foreign, SLICES, w.ns);
	set_plan(2, 1);
	AWAIT(strstr(publish_status(publish, "a"), "did not write"));
	AWAIT(str_eq(publish_status(publish, "b"), ""));
	s = get("a-mesh-h1");
	cr_expect_str_eq(address_of(s), "10.9.0.9");
	json_decref(s);
	set_plan(0, 0);
	run_for(300000);
	want_code(&w, 200, "GET", NULL, SLICES "/a-mesh-h1", w.ns);
}

static const char *ranges_of(const json_t *slice)
{
	return json_string_value(json_object_get(json_object_get(json_object_get(slice, "metadata"), "annotations"),
						 PUBLISH_ADDRESSES_ANNOTATION));
}

/* The admission policy knows the new ones alone; the API server at hand may learn of the right a little later. */
Test(publish, other_ranges_come_with_the_next_plan, .init = setup, .fini = teardown)
{
	json_t *slice;

	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	cr_assert_eq(publish_set_addresses(publish, "10.9.0.0/24,10.10.0.0/24"), 0);
	fault("[{\"action\":\"status\",\"status\":403,\"count\":2,\"match\":{\"method\":\"PUT\",\"pathPrefix\":"
	      "\"/apis/discovery\"}}]");
	set_plan(1, 1);
	AWAIT(publish_failure(publish, "a") == -EPERM);
	AWAIT(publish_is_settled(publish));
	slice = get("a-mesh-h1");
	cr_expect_str_eq(ranges_of(slice), "10.9.0.0/24,10.10.0.0/24");
	json_decref(slice);
}

Test(publish, a_refusal_is_visible_and_one_slice_does_not_hold_up_another, .init = setup, .fini = teardown)
{
	fault("[{\"action\":\"status\",\"status\":403,\"count\":1,\"match\":{\"method\":\"POST\",\"pathPrefix\":"
	      "\"/apis/discovery\"}}]");
	set_plan(2, 1);
	AWAIT(publish_status(publish, "a")[0] != 'n' && publish_status(publish, "b")[0] != 'n');
	cr_expect_neq(str_eq(publish_status(publish, "a"), ""), str_eq(publish_status(publish, "b"), ""),
		      "one is refused");
	cr_expect_eq(count(), 1);
	publish_kick(publish);
	AWAIT(publish_is_settled(publish));
	cr_expect_eq(count(), 2);
	cr_expect_str_eq(publish_status(publish, "a"), "");
	cr_expect_str_eq(publish_status(publish, "b"), "");
}

Test(publish, comes_through_failures, .init = setup, .fini = teardown)
{
	fault("[{\"action\":\"status\",\"status\":500,\"count\":1,\"match\":{\"method\":\"GET\",\"pathPrefix\":"
	      "\"/apis/discovery\"}},{\"action\":\"retry-after\",\"retry_after\":1,\"count\":1,\"match\":{\"method\":"
	      "\"POST\",\"pathPrefix\":\"/apis/discovery\"}},{\"action\":\"cut\",\"after_bytes\":10,\"count\":1,"
	      "\"match\":{\"method\":\"POST\",\"pathPrefix\":\"/apis/discovery\"}}]");
	publish_kick(publish);
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	cr_expect_eq(count(), 1);
	cr_expect_str_eq(publish_status(publish, "a"), "");
	cr_expect_str_eq(publish_error(publish), "");
}

/* Service a with the address 10.9.0.`last`, not ready as far as the plan knows. */
static void set_unready_plan(int last, bool is_held)
{
	char address[32];
	struct serve_entry e = {.service = (char *)"a", .slice_name = {str_printf("a-mesh-h1")}, .is_held = {is_held}};
	struct serve_plan plan = {.v = &e, .n = 1};
	json_t *conditions;

	(void)snprintf(address, sizeof(address), "10.9.0.%d", last);
	e.slice[0] = slice_of("a", address);
	conditions = json_object_get(json_array_get(json_object_get(e.slice[0], "endpoints"), 0), "conditions");
	cr_assert_eq(json_object_set_new(conditions, "ready", json_false()), 0);
	cr_assert_eq(publish_set(publish, &plan), 0);
	free(e.slice_name[0]);
	json_decref(e.slice[0]);
}

static bool is_ready(void)
{
	json_t *s = get("a-mesh-h1");
	bool ready = json_is_true(json_object_get(
		json_object_get(json_array_get(json_object_get(s, "endpoints"), 0), "conditions"), "ready"));

	json_decref(s);
	return ready;
}

/* A new start that does not know yet how its workload is leaves the clients where they are. */
Test(publish, what_is_not_known_yet_changes_nothing, .init = setup, .fini = teardown)
{
	json_t *s;

	set_unready_plan(1, true);
	AWAIT(publish_is_settled(publish));
	cr_expect_not(is_ready()); /* a new slice begins as not ready */
	set_plan(1, 1);
	AWAIT(publish_is_settled(publish));
	cr_expect(is_ready());
	publish_free(publish);
	start_publish();
	set_unready_plan(1, true);
	AWAIT(publish_is_settled(publish));
	cr_expect(is_ready());
	set_unready_plan(2, true); /* the rest of the slice is published all the same */
	AWAIT(publish_is_settled(publish));
	s = get("a-mesh-h1");
	cr_expect_str_eq(address_of(s), "10.9.0.2");
	json_decref(s);
	cr_expect(is_ready());
	set_unready_plan(2, false);
	AWAIT(publish_is_settled(publish));
	cr_expect_not(is_ready());
}

static const char *weight_of(const json_t *slice)
{
	const json_t *annotations = json_object_get(json_object_get(slice, "metadata"), "annotations");

	return json_string_value(json_object_get(annotations, SERVE_WEIGHT_ANNOTATION));
}

/* A weight is written and taken away; while nothing is known, the one that is there stays. */
Test(publish, weights, .init = setup, .fini = teardown)
{
	static const struct {
		const char *weight;
		bool is_held;
		const char *want;
	} steps[] = {{"33", false, "33"}, {NULL, true, "33"}, {"7", true, "33"}, {"7", false, "7"}, {NULL, false, NULL}, {"9", true, NULL}};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct serve_entry e = {.service = (char *)"a", .slice_name = {str_printf("a-mesh-h1")}, .is_held = {steps[i].is_held}};
		struct serve_plan plan = {.v = &e, .n = 1};
		json_t *s;

		e.slice[0] = slice_of("a", "10.9.0.1");
		if (steps[i].weight)
			cr_assert_eq(json_object_set_new(json_object_get(e.slice[0], "metadata"), "annotations",
							 json_pack("{s:s}", SERVE_WEIGHT_ANNOTATION, steps[i].weight)), 0);
		cr_assert_eq(publish_set(publish, &plan), 0);
		AWAIT(publish_is_settled(publish));
		s = get("a-mesh-h1");
		if (steps[i].want)
			cr_expect_str_eq(weight_of(s), steps[i].want, "%zu", i);
		else
			cr_expect_null(weight_of(s), "%zu", i);
		json_decref(s);
		free(e.slice_name[0]);
		json_decref(e.slice[0]);
	}
}

static void on_drained(size_t n_left, void *arg)
{
	(void)arg;
	drained_left = n_left;
	is_drained = true;
	publish_free(publish);
	publish = NULL;
}

Test(publish, drains, .init = setup, .fini = teardown)
{
	json_t *s, *conditions;

	set_plan(2, 1);
	AWAIT(publish_is_settled(publish));
	cr_assert_eq(publish_drain(publish, 600000, on_drained, NULL), 0);
	cr_expect_eq(publish_drain(publish, 0, on_drained, NULL), -EALREADY);
	AWAIT(publish_is_settled(publish));
	cr_assert_not(is_drained);
	s = get("a-mesh-h1");
	conditions = json_object_get(json_array_get(json_object_get(s, "endpoints"), 0), "conditions");
	cr_expect(json_is_false(json_object_get(conditions, "ready")));
	cr_expect(json_is_true(json_object_get(conditions, "terminating")));
	json_decref(s);
	AWAIT(is_drained);
	cr_expect_eq(drained_left, 0);
	cr_expect_eq(count(), 0);
}

/* An API server that fails does not hold up the end of the host. */
Test(publish, gives_up_draining, .init = setup, .fini = teardown)
{
	uint64_t began = clock_boot_us();

	set_plan(2, 1);
	AWAIT(publish_is_settled(publish));
	fault("[{\"action\":\"status\",\"status\":503,\"count\":100000,\"match\":{\"pathPrefix\":\"/apis/discovery\"}}]");
	cr_assert_eq(publish_drain(publish, 0, on_drained, NULL), 0);
	while (!is_drained && clock_boot_us() < began + 20 * USEC_PER_SEC)
		(void)loop_once(loop, 20000);
	cr_assert(is_drained);
	cr_expect_eq(drained_left, 2);
	cr_expect_lt(clock_boot_us(), began + 15 * USEC_PER_SEC);
}

Test(publish, drains_nothing, .init = setup, .fini = teardown)
{
	cr_assert_eq(publish_drain(publish, 0, on_drained, NULL), 0);
	AWAIT(is_drained);
	cr_expect_eq(drained_left, 0);
}

/* The rights of a ServiceAccount as enrolment makes them. */
Test(publish, learns_what_it_may_serve, .init = setup, .fini = teardown)
{
	const struct strv *allowed;
	json_t *token;

	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "h1"),
		  "/api/v1/namespaces/%s/serviceaccounts", w.ns);
	want_code(&w, 201, "POST",
		  json_pack("{s:{s:s},s:[{s:[s],s:[s],s:[s,s],s:[s,s]},{s:[s],s:[s],s:[s]},{s:[s],s:[s],s:[s],s:[s]}]}", "metadata",
			    "name", "h1", "rules", "apiGroups", "", "resources", "services", "resourceNames", "web", "api", "verbs",
			    "serve", "get", "apiGroups", "", "resources", "services", "verbs", "list", "apiGroups",
			    "mesh-external-agent.io", "resources", "zones", "resourceNames", "eu-1b", "verbs", "use"),
		  "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles", w.ns);
	want_code(&w, 201, "POST",
		  json_pack("{s:{s:s},s:{s:s,s:s,s:s},s:[{s:s,s:s,s:s}]}", "metadata", "name", "h1", "roleRef", "apiGroup",
			    "rbac.authorization.k8s.io", "kind", "Role", "name", "h1", "subjects", "kind",
			    "ServiceAccount", "name", "h1", "namespace", w.ns),
		  "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings", w.ns);
	token = want(&w, 201, "POST", json_pack("{s:{s:i}}", "spec", "expirationSeconds", 3600),
		     "/api/v1/namespaces/%s/serviceaccounts/h1/token", w.ns);
	publish_free(publish);
	kube_client_free(client);
	client = world_client(&w, loop, json_string_value(json_object_get(json_object_get(token, "status"), "token")));
	json_decref(token);
	start_publish();
	cr_expect_null(publish_allowed(publish));
	cr_expect_not(publish_lacks_zone(publish, "eu-1a")); /* nobody knows yet */
	AWAIT(publish_allowed(publish));
	allowed = publish_allowed(publish);
	cr_assert_eq(allowed->n, 2);
	cr_expect_str_eq(allowed->v[0], "api");
	cr_expect_str_eq(allowed->v[1], "web");
	cr_expect(publish_lacks_zone(publish, "eu-1a"));
	cr_expect_not(publish_lacks_zone(publish, "eu-1b"));
	cr_expect_not(publish_lacks_zone(publish, ""));
	/* Reading slices is not among the rights: this shows, and nothing is written. */
	AWAIT(publish_error(publish)[0]);
	cr_expect(strstr(publish_error(publish), "endpointslices"), "%s", publish_error(publish));
}

static void expect_joined(const struct strv *l, const char *text, const char *what)
{
	CLEANUP(buf_done) struct buf joined = {0};

	cr_assert_eq(buf_addf(&joined, "%s", ""), 0);
	for (size_t i = 0; i < l->n; i++)
		cr_assert_eq(buf_addf(&joined, "%s%s", i ? "," : "", l->v[i]), 0);
	cr_expect_str_eq(joined.data, text, "%s", what);
}

Test(serve_rules, parse)
{
	static const struct {
		const char *text;
		int r;
		const char *names; /* joined by commas */
		const char *zones;
	} cases[] = {
		{"{\"status\":{\"resourceRules\":[]}}", 0, ""},
		{"{\"status\":{\"resourceRules\":null}}", 0, ""},
		{"{\"status\":{}}", 0, ""},
		{"{}", -EBADMSG, ""},
		{"{\"status\":7}", -EBADMSG, ""},
		{"{\"status\":{\"resourceRules\":{}}}", -EBADMSG, ""},
		{"{\"status\":{\"resourceRules\":[{\"verbs\":[\"serve\"],\"apiGroups\":[\"\"],\"resources\":[\"services\"],"
		 "\"resourceNames\":[\"b\",\"a\",\"b\"]},{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],"
		 "\"resourceNames\":[\"c\"]}]}}", 0, "a,b,c", "c"},
		{"{\"status\":{\"resourceRules\":[{\"verbs\":[\"serve\"],\"apiGroups\":[\"\"],\"resources\":[\"services\"]}]}}",
		 0, ""},
		{"{\"status\":{\"resourceRules\":[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"services\"],"
		 "\"resourceNames\":[\"a\"]},{\"verbs\":[\"serve\"],\"apiGroups\":[\"apps\"],\"resources\":[\"services\"],"
		 "\"resourceNames\":[\"a\"]},{\"verbs\":[\"serve\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"],"
		 "\"resourceNames\":[\"a\"]},{\"verbs\":\"serve\"},7,null]}}", 0, ""},
		{"{\"status\":{\"resourceRules\":[{\"verbs\":[\"serve\"],\"apiGroups\":[\"\"],\"resources\":[\"services\"],"
		 "\"resourceNames\":[\"../x\",\"A\",1,\"*\",\"ok\"]}]}}", 0, "ok"},
		{"{\"status\":{\"resourceRules\":[{\"verbs\":[\"use\"],\"apiGroups\":[\"mesh-external-agent.io\"],\"resources\":"
		 "[\"zones\"],\"resourceNames\":[\"eu-1b\",\"Eu_1a\",\"\",\"*\",7]},{\"verbs\":[\"use\"],\"apiGroups\":["
		 "\"mesh-external-agent.io\"],\"resources\":[\"addresses\"],\"resourceNames\":[\"10.0.0.1/32\"]},{\"verbs\":[\"get\"],"
		 "\"apiGroups\":[\"mesh-external-agent.io\"],\"resources\":[\"zones\"],\"resourceNames\":[\"x\"]}]}}", 0, "",
		 "Eu_1a,eu-1b"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *v = json_loads(cases[i].text, 0, NULL);
		CLEANUP(serve_rules_done) struct serve_rules rules = {0};

		cr_assert(v, "%s", cases[i].text);
		cr_expect_eq(serve_rules_parse(v, &rules), cases[i].r, "%s", cases[i].text);
		expect_joined(&rules.services, cases[i].names, cases[i].text);
		expect_joined(&rules.zones, cases[i].zones ? cases[i].zones : "", cases[i].text);
		json_decref(v);
	}
}
