/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat against the in-tree API server: cheap, and it tells a copy of this machine from its admin. */
#include "../lib/helpers.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "event/loop.h"
#include "join/lease.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases"
#define LEASE  LEASES "/h1"

static struct world w;
static struct loop *loop;
static struct kube_client *client;
static struct lease *lease;
static unsigned n_conflicts, n_ends;
static enum lease_state state;
static char other_holder[64];

/* How far the clock of this machine, not that of the server, is off. */
static int64_t clock_error_s;
int64_t __real_clock_wall_s(void);
int64_t __wrap_clock_wall_s(void);
int64_t __real_clock_wall_us(void);
int64_t __wrap_clock_wall_us(void);

int64_t __wrap_clock_wall_s(void)
{
	return __real_clock_wall_s() + clock_error_s;
}

int64_t __wrap_clock_wall_us(void)
{
	return __real_clock_wall_us() + clock_error_s * (int64_t)USEC_PER_SEC;
}

static void on_conflict(const char *other, void *arg)
{
	(void)arg;
	if (!other)
		n_ends++;
	else
		n_conflicts++;
	(void)snprintf(other_holder, sizeof(other_holder), "%s", other ? other : "");
}

static void on_state(enum lease_state now, const char *other, void *arg)
{
	(void)arg;
	state = now;
	(void)snprintf(other_holder, sizeof(other_holder), "%s", other ? other : "");
}

static void on_released(void *arg)
{
	*(bool *)arg = true;
}

static void setup(void)
{
	const struct lease_conf lc = {.host = "h1", .holder = "h1/boot-1", .on_state = on_state,
				      .on_conflict = on_conflict};

	world_start(&w, NULL);
	cr_assert_eq(loop_new(&loop), 0);
	client = world_client(&w, loop, w.api->token);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "mesh-hosts"), "/api/v1/namespaces");
	want_code(&w, 201, "POST", json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", "h1", "spec", "holderIdentity", "h1"), LEASES);
	cr_assert_eq(lease_new(loop, client, &lc, &lease), 0);
}

static void teardown(void)
{
	lease_free(lease);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

/* How often the host itself asked: the tests read and write as the admin, through their own connection. */
static unsigned asked(const char *verb)
{
	CLEANUP(json) json_t *stats = want(&w, 200, "GET", NULL, "/test/stats");
	CLEANUP(free) char *key = str_printf("%s leases", verb);

	return (unsigned)json_integer_value(json_object_get(json_object_get(stats, "requests"), key));
}

static unsigned version_of(const json_t *doc)
{
	return (unsigned)strtoul(text_at(doc, "metadata", "resourceVersion", NULL), NULL, 10);
}

static unsigned version(void)
{
	CLEANUP(json) json_t *doc = want(&w, 200, "GET", NULL, LEASE);

	return version_of(doc);
}

/* Renews once, however long that takes. */
static void renew(void)
{
	unsigned before = version();
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;

	lease_kick(lease);
	while (clock_boot_us() < end) {
		(void)loop_once(loop, 20000);
		if (version() != before)
			break;
	}
	for (unsigned i = 0; i < 5; i++)
		(void)loop_once(loop, 10000); /* the answer, too */
	cr_assert_neq(version(), before);
}

static void written_by(const char *holder)
{
	json_t *doc = want(&w, 200, "GET", NULL, LEASE);

	(void)json_object_set_new(json_object_get(doc, "spec"), "holderIdentity", json_string(holder));
	want_code(&w, 200, "PUT", doc, LEASE);
}

Test(lease, one_request_each_time, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;
	unsigned updates;

	renew();
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), "h1/boot-1");
	updates = asked("update");
	for (unsigned i = 0; i < 3; i++) {
		/* What the host does between these two is one PUT. */
		unsigned gets;

		gets = asked("get");
		lease_kick(lease);
		for (uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC; asked("update") == updates && clock_boot_us() < end;)
			(void)loop_once(loop, 20000);
		for (unsigned j = 0; j < 5; j++)
			(void)loop_once(loop, 10000);
		cr_expect_eq(asked("update"), ++updates);
		cr_expect_eq(asked("get"), gets, "it knows the version from its last write");
	}
	cr_expect_eq(n_conflicts, 0);
}

/* `meshctl host add` for a host that runs writes its name only. */
Test(lease, an_admin_is_no_clone, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;

	renew();
	written_by("h1");
	renew();
	renew();
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), "h1/boot-1");
	cr_expect_eq(n_conflicts, 0);
}

static void look(void);

/* Deleted by hand it cannot be renewed, which a person has to know; made again by `host add`, it is renewed as before. */
Test(lease, one_that_was_deleted, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;

	renew();
	cr_expect_str_eq(lease_error(lease), "");
	want_code(&w, 200, "DELETE", NULL, LEASE);
	look();
	look();
	cr_expect(strstr(lease_error(lease), "not found"), "%s", lease_error(lease));
	cr_expect_eq(lease_get_state(lease), LEASE_HELD);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}, s:{s:i}}", "metadata", "name", "h1", "spec", "leaseDurationSeconds", 180), LEASES);
	renew();
	cr_expect_str_eq(lease_error(lease), "");
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), "h1/boot-1");
}

/* Asks once more, as after the time between two renewals, and waits for the answer. */
static void look(void)
{
	unsigned n = asked("get") + asked("update");
	uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC;

	lease_kick(lease);
	while (asked("get") + asked("update") == n && clock_boot_us() < end)
		(void)loop_once(loop, 20000);
	for (unsigned i = 0; i < 10; i++)
		(void)loop_once(loop, 10000); /* what follows from it, too */
}

static void renewed_by(const char *holder, const char *when)
{
	json_t *doc = want(&w, 200, "GET", NULL, LEASE);

	(void)json_object_set_new(doc, "spec", json_pack("{s:s, s:i, s:s}", "holderIdentity", holder, "leaseDurationSeconds", 180,
							 "renewTime", when));
	want_code(&w, 200, "PUT", doc, LEASE);
}

/* The time a moment ago, with another fraction each time. */
static const char *now_text(void)
{
	static char text[28];

	clock_rfc3339_micro(__real_clock_wall_us(), text);
	return text;
}

static void holder_is(const char *holder)
{
	CLEANUP(json) json_t *doc = want(&w, 200, "GET", NULL, LEASE);

	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), holder);
}

/* Who holds it goes on, is told of each copy that waits, and of its end. */
Test(lease, a_copy_is_noticed_and_forgotten, .init = setup, .fini = teardown)
{
	renew();
	cr_expect_eq(state, LEASE_HELD);
	written_by("h1/boot-1,h1/boot-2");
	renew();
	cr_expect_eq(n_conflicts, 1);
	cr_expect_str_eq(other_holder, "h1/boot-2");
	holder_is("h1/boot-1");
	for (unsigned i = 0; i < 4; i++)
		renew();
	cr_expect_eq(n_ends, 0);
	renew();
	cr_expect_eq(n_ends, 1, "alone for five renewals");
	cr_expect_eq(n_conflicts, 1);
	cr_expect_eq(state, LEASE_HELD);
}

/* The boot before, as far as one can tell: nothing is written while it may live. */
Test(lease, another_boot_is_waited_for, .init = setup, .fini = teardown)
{
	unsigned before;

	renewed_by("h1/boot-0", now_text());
	before = version();
	look();
	look();
	cr_expect_eq(state, LEASE_WAITING);
	cr_expect_str_eq(other_holder, "h1/boot-0");
	cr_expect_eq(version(), before);
}

/* It renews: it lives, and this is the copy, which says so behind the holder, and nothing else. */
Test(lease, a_living_holder_refuses, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;
	char when[28];

	renewed_by("h1/boot-0", now_text());
	look();
	(void)snprintf(when, sizeof(when), "%s", now_text());
	renewed_by("h1/boot-0", when);
	look();
	cr_expect_eq(state, LEASE_REFUSED);
	cr_expect_str_eq(other_holder, "h1/boot-0");
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(doc, "spec", "holderIdentity", NULL), "h1/boot-0,h1/boot-1");
	cr_expect_str_eq(text_at(doc, "spec", "renewTime", NULL), when, "the holder's own time");
	renewed_by("h1/boot-0", now_text());
	look();
	holder_is("h1/boot-0,h1/boot-1");
	renewed_by("h1", now_text());
	look();
	renewed_by("h1/boot-0", "2020-01-01T00:00:00.000000Z");
	look();
	cr_expect_eq(state, LEASE_REFUSED, "whatever becomes of the other");
	holder_is("h1/boot-0,h1/boot-1");
	cr_expect_eq(n_conflicts, 0);
}

Test(lease, a_holder_of_long_ago_is_gone, .init = setup, .fini = teardown)
{
	renewed_by("h1/boot-0", "2020-01-01T00:00:00.000000Z");
	renew();
	cr_expect_eq(state, LEASE_HELD);
	holder_is("h1/boot-1");
}

/* A machine that has just started may be hours off: that makes no holder old. */
Test(lease, a_wrong_clock_takes_nothing, .init = setup, .fini = teardown)
{
	clock_error_s = 2 * 3600;
	renewed_by("h1/boot-0", now_text());
	look();
	cr_expect_eq(state, LEASE_WAITING);
	holder_is("h1/boot-0");
}

Test(lease, a_wrong_clock_writes_the_time_of_the_server, .init = setup, .fini = teardown)
{
	CLEANUP(json) json_t *doc = NULL;
	int64_t renewed_s = 0;

	clock_error_s = -2 * 3600;
	renew();
	cr_expect_eq(state, LEASE_HELD);
	doc = want(&w, 200, "GET", NULL, LEASE);
	cr_assert_eq(clock_parse_rfc3339(text_at(doc, "spec", "renewTime", NULL), &renewed_s), 0);
	cr_expect_leq(llabs(renewed_s - __real_clock_wall_s()), 60, "%lld s off", (long long)(renewed_s - __real_clock_wall_s()));
}

/* Taken away while it was held: by another machine, after an outage. */
Test(lease, it_can_be_lost, .init = setup, .fini = teardown)
{
	renew();
	renewed_by("h1/boot-2", now_text());
	look();
	look();
	cr_expect_eq(state, LEASE_LOST);
	cr_expect_str_eq(other_holder, "h1/boot-2");
	holder_is("h1/boot-2");
}

Test(lease, given_back_it_is_nobodys, .init = setup, .fini = teardown)
{
	bool is_released = false;

	cr_expect_eq(lease_release(lease, on_released, &is_released), -ENODATA);
	renew();
	cr_expect_eq(lease_release(lease, on_released, &is_released), 0);
	for (uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC; !is_released && clock_boot_us() < end;)
		(void)loop_once(loop, 20000);
	cr_expect(is_released);
	holder_is("h1");
}

Test(lease, given_back_with_a_copy_behind, .init = setup, .fini = teardown)
{
	bool is_released = false;

	renew();
	written_by("h1/boot-1,h1/boot-2");
	cr_expect_eq(lease_release(lease, on_released, &is_released), 0);
	for (uint64_t end = clock_boot_us() + 10 * USEC_PER_SEC; !is_released && clock_boot_us() < end;)
		(void)loop_once(loop, 20000);
	cr_expect(is_released);
	holder_is("h1");
}

/* Who has no Lease, or is not let at it, does not wait for one. */
Test(lease, without_one_nothing_is_waited_for, .init = setup, .fini = teardown)
{
	want_code(&w, 200, "DELETE", NULL, LEASE);
	look();
	cr_expect_eq(state, LEASE_HELD);
}
