/* SPDX-License-Identifier: Apache-2.0 */
/* Events on Services against the in-tree API server. */
#include "../lib/helpers.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "event/loop.h"
#include "join/service_events.h"

#define EVENTS "/apis/events.k8s.io/v1/namespaces/%s/events"

static struct world w;
static struct loop *loop;
static struct kube_client *client;
static struct service_events *events;

static void setup(void)
{
	world_start(&w, NULL);
	cr_assert_eq(loop_new(&loop), 0);
	client = world_client(&w, loop, w.api->token);
	cr_assert_eq(service_events_new(loop, client, "h1", w.ns, &events), 0);
}

static void teardown(void)
{
	service_events_free(events);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

static void run_for(uint64_t us)
{
	uint64_t end = clock_boot_us() + us;

	while (clock_boot_us() < end)
		(void)loop_once(loop, 10000);
}

/* One trouble with service a, or none, for so long; told every 50 ms, as changes of the cluster would have it. */
static void be(const char *note, uint64_t us)
{
	uint64_t end = clock_boot_us() + us;

	do {
		service_events_begin(events);
		if (note)
			service_events_tell(events, "a", "u-1", SERVICE_EVENT_NOT_READY, note);
		service_events_end(events);
		run_for(50 * USEC_PER_MSEC);
	} while (clock_boot_us() < end);
}

static json_t *list(void)
{
	json_t *l = want(&w, 200, "GET", NULL, EVENTS, w.ns), *items = json_incref(json_object_get(l, "items"));

	json_decref(l);
	return items;
}

static size_t count(void)
{
	json_t *items = list();
	size_t n = json_array_size(items);

	json_decref(items);
	return n;
}

static void expect(const json_t *o, const char *key, const char *value)
{
	cr_expect_str_eq(json_string_value(json_object_get(o, key)), value, "%s", key);
}

Test(service_events, a_trouble_has_one_event, .init = setup, .fini = teardown)
{
	json_t *items, *e, *regarding;

	be("tcp: refused", 4 * USEC_PER_SEC);
	items = list();
	cr_assert_eq(json_array_size(items), 1);
	e = json_array_get(items, 0);
	regarding = json_object_get(e, "regarding");
	expect(json_object_get(e, "metadata"), "name", "a.mesh-h1.meshhostnotready");
	expect(e, "reason", "MeshHostNotReady");
	expect(e, "type", "Warning");
	expect(e, "action", "Publish");
	expect(e, "reportingController", "mesh-external-agent.io/agent");
	expect(e, "reportingInstance", "h1");
	expect(e, "note", "external host h1: tcp: refused");
	expect(regarding, "kind", "Service");
	expect(regarding, "apiVersion", "v1");
	expect(regarding, "namespace", w.ns);
	expect(regarding, "name", "a");
	expect(regarding, "uid", "u-1");
	cr_expect_null(json_object_get(e, "series"));
	json_decref(items);
	/* Away and back at once: not told again, and a new start finds it there and counts. */
	be(NULL, 0);
	be("tcp: refused", 4 * USEC_PER_SEC);
	cr_expect_eq(count(), 1);
	service_events_free(events);
	cr_assert_eq(service_events_new(loop, client, "h1", w.ns, &events), 0);
	be("tcp: refused", 4 * USEC_PER_SEC);
	items = list();
	cr_assert_eq(json_array_size(items), 1);
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(json_array_get(items, 0), "series"), "count")), 2);
	json_decref(items);
}

Test(service_events, what_is_soon_over_is_no_trouble, .init = setup, .fini = teardown)
{
	be("tcp: refused", USEC_PER_SEC);
	be(NULL, 3 * USEC_PER_SEC);
	cr_expect_eq(count(), 0);
}

static void tell_refused(const char *first, const char *second)
{
	service_events_begin(events);
	service_events_tell(events, first, "", SERVICE_EVENT_NOT_ALLOWED, "no");
	if (second)
		service_events_tell(events, second, "", SERVICE_EVENT_NOT_ALLOWED, "no");
	service_events_end(events);
}

/* A slow machine takes its time. */
static void await_count(size_t n)
{
	uint64_t end = clock_boot_us() + 20 * USEC_PER_SEC;

	while (count() < n && clock_boot_us() < end)
		run_for(100 * USEC_PER_MSEC);
	cr_assert_eq(count(), n);
}

/* Of two Services that share a name one is told of, and the other is not taken for it. */
Test(service_events, refused_services_share_names, .init = setup, .fini = teardown)
{
	json_t *items, *e;

	tell_refused("a", "q");
	await_count(1);
	run_for(3 * USEC_PER_SEC);
	tell_refused("q", NULL);
	run_for(3 * USEC_PER_SEC);
	service_events_free(events); /* the next process does not know whose Event is there */
	cr_assert_eq(service_events_new(loop, client, "h1", w.ns, &events), 0);
	tell_refused("q", NULL);
	run_for(4 * USEC_PER_SEC);
	items = list();
	cr_assert_eq(json_array_size(items), 1);
	e = json_array_get(items, 0);
	expect(json_object_get(e, "metadata"), "name", "mesh-h1.meshhostnotallowed.c");
	expect(json_object_get(e, "regarding"), "name", "a");
	cr_expect_null(json_object_get(e, "series"));
	json_decref(items);
	tell_refused("b", NULL);
	await_count(2);
}

/* A thousand troubles: one after the other, and no more than the limit. */
Test(service_events, many_come_slowly, .init = setup, .fini = teardown)
{
	char name[32];

	service_events_begin(events);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		service_events_tell(events, name, "", SERVICE_EVENT_NOT_ALLOWED, "no");
	}
	service_events_end(events);
	run_for(5 * USEC_PER_SEC);
	cr_expect_geq(count(), 2);
	cr_expect_leq(count(), 4);
}

Test(service_events, names_that_no_event_can_have, .init = setup, .fini = teardown)
{
	char name[LIMIT_NAME + 1];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	service_events_begin(events);
	service_events_tell(events, name, "", SERVICE_EVENT_NO_PORT, "no");
	service_events_end(events);
	run_for(3 * USEC_PER_SEC);
	cr_expect_eq(count(), 0);
}

/* Enrolled before hosts had the right: asked once, and nothing else suffers. */
Test(service_events, a_refusal_is_taken, .init = setup, .fini = teardown)
{
	json_t *fault = json_loads("[{\"action\":\"status\",\"status\":403,\"count\":1,\"match\":{\"method\":\"POST\","
				   "\"pathPrefix\":\"/apis/events\"}}]", 0, NULL);

	want_code(&w, 200, "POST", fault, "/test/faults");
	service_events_begin(events);
	service_events_tell(events, "a", "", SERVICE_EVENT_NO_PORT, "no");
	service_events_tell(events, "b", "", SERVICE_EVENT_NO_PORT, "no");
	service_events_end(events);
	run_for(5 * USEC_PER_SEC);
	cr_expect_eq(count(), 0);
}
