/* SPDX-License-Identifier: Apache-2.0 */
/* The reflector against the in-tree API server and its faults: the copy ends equal to the server's list. */
#include "reflector_copy.h"

#include "base/rng.h"
#include "base/str.h"
#include "kube/decode_endpoint.h"

static void sync_and_follow(void)
{
	for (unsigned i = 0; i < 5; i++)
		put(i, i);
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_expect(reflector_has_synced(reflector));
	cr_expect(is_equal());
	cr_expect_eq(reflector_get_stats(reflector).lists, 1);
	cr_expect_gt(reflector_fresh_us(reflector), 0);
	put(7, 1);
	put(1, 100);
	del(2);
	AWAIT_ALONE(is_equal());
	cr_expect_eq(reflector_get_stats(reflector).lists, 1);
	cr_expect_str_eq(reflector_error(reflector), "");
}

Test(reflector, streaming_list_and_events, .init = setup, .fini = teardown)
{
	sync_and_follow();
	cr_expect_not(copy.has_waited);
}

Test(reflector, pages_and_events, .init = setup_pages, .fini = teardown)
{
	sync_and_follow();
	cr_expect_not(copy.has_waited);
}

Test(reflector, resumes_after_a_cut, .init = setup, .fini = teardown)
{
	sync_and_follow();
	for (unsigned round = 0; round < 5; round++) {
		want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
		put(10 + round, round);
		del(round);
		AWAIT(is_equal());
	}
	cr_expect_eq(reflector_get_stats(reflector).lists, 1, "it goes on where it stopped");
}

/* A bookmark wakes the host: only a watch that would be dear to list anew has them. */
Test(reflector, bookmarks_for_many_objects_only)
{
	static const char *const args[] = {"--no-watchlist", "--bookmarks", "50ms", NULL};
	enum { MANY = 260 };
	uint64_t fresh;

	setup_with(args);
	put(1, 1);
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
	put(2, 1);
	AWAIT_ALONE(is_equal());
	fresh = reflector_fresh_us(reflector);
	run_for(500 * USEC_PER_MSEC);
	cr_expect_eq(reflector_fresh_us(reflector), fresh, "nothing happened, and nothing came");
	for (unsigned i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u", i);
		want_code(&w, 201, "POST", config_map(name, "x", "1"), MAPS, w.ns);
	}
	AWAIT_ALONE(reflector_get_stats(reflector).objects >= MANY);
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT_ALONE(copy.has_waited);
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	put(3, 1);
	AWAIT_ALONE(is_equal());
	run_for(100 * USEC_PER_MSEC);
	fresh = reflector_fresh_us(reflector);
	AWAIT_ALONE(reflector_fresh_us(reflector) > fresh);
	cr_expect_eq(reflector_get_stats(reflector).lists, 1, "a bookmark is a place to go on from");
	teardown();
}

/* While it was open it was fresh, however little there was to say: an outage begins when it breaks. */
Test(reflector, a_watch_that_breaks_was_fresh, .init = setup_pages, .fini = teardown)
{
	uint64_t before;

	put(1, 1);
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	run_for(100 * USEC_PER_MSEC);
	before = clock_boot_us();
	cr_expect_lt(reflector_fresh_us(reflector), before);
	fault("[{\"action\":\"status\",\"status\":503,\"match\":{\"pathPrefix\":\"/api/v1/namespaces\"},\"count\":100000}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT_ALONE(reflector_is_failing(reflector));
	cr_expect_geq(reflector_fresh_us(reflector), before);
	before = reflector_fresh_us(reflector);
	run_for(2 * USEC_PER_SEC);
	cr_expect_eq(reflector_fresh_us(reflector), before, "what fails proves nothing");
	want_code(&w, 200, "DELETE", NULL, "/test/faults");
}

/* Too old to resume, as a status and as an event: it lists again. */
Test(reflector, gone, .init = setup, .fini = teardown)
{
	sync_and_follow();
	fault("[{\"action\":\"gone\",\"match\":{\"watch\":true},\"count\":1}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	put(3, 33);
	AWAIT(is_equal() && reflector_get_stats(reflector).lists == 2);
	put(11, 1);
	want_code(&w, 200, "POST", json_pack("{}"), "/test/compact");
	AWAIT(is_equal());
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	put(12, 1);
	AWAIT(is_equal() && reflector_get_stats(reflector).lists >= 3);
}

/* After a break it asks how new the server is, and not once more when the version turns out to be too old. */
Test(reflector, one_question_after_a_break, .init = setup, .fini = teardown)
{
	json_int_t before;

	put(1, 1);
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT_ALONE(copy.has_waited);
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	run_for(2500 * USEC_PER_MSEC); /* a watch that lasts */
	before = n_lists();
	fault("[{\"action\":\"gone\",\"match\":{\"watch\":true},\"count\":1}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(reflector_get_stats(reflector).lists == 2);
	cr_expect_eq(n_lists(), before + 1);
	cr_expect(is_equal());
}

/* A server for which no version is new enough must not be listed in a loop. */
Test(reflector, gone_always, .init = setup, .fini = teardown)
{
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true,\"pathPrefix\":\"/api/v1/namespaces\"},"
	      "\"count\":100000}]");
	put(1, 1);
	start();
	run_for(2 * USEC_PER_SEC);
	cr_expect_leq(copy.states[REFLECTOR_SYNCING], 12);
	want_code(&w, 200, "DELETE", NULL, "/test/faults");
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
}

/* The lists come, only the watches from them are refused as too old. */
Test(reflector, gone_after_each_list, .init = setup_pages, .fini = teardown)
{
	put(1, 1);
	start();
	AWAIT_ALONE(reflector_has_synced(reflector));
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true,\"pathPrefix\":\"/api/v1/namespaces\"},"
	      "\"count\":100000}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT_ALONE(reflector_get_stats(reflector).lists >= 2);
	run_for(2 * USEC_PER_SEC);
	cr_expect_leq(reflector_get_stats(reflector).lists, 12);
	cr_expect(is_equal());
}

/* A credential that stays refused is not tried all the time. */
Test(reflector, unauthorized_for_long, .init = setup, .fini = teardown)
{
	fault("[{\"action\":\"status\",\"status\":401,\"match\":{\"pathPrefix\":\"/api/v1/namespaces\"},\"count\":100000}]");
	start();
	AWAIT_ALONE(copy.unauthorized == 2);
	run_for(3 * USEC_PER_SEC);
	cr_expect_eq(copy.unauthorized, 2);
	want_code(&w, 200, "DELETE", NULL, "/test/faults");
	put(1, 1);
	reflector_kick(reflector);
	AWAIT_ALONE(is_equal());
}

/* Within the first events after a watch has begun, every `step` bytes. */
static void broken(const char *action, unsigned step)
{
	CLEANUP(free) char *text = NULL;

	sync_and_follow();
	for (unsigned at = 0; at < 400; at += step) {
		text = str_printf("[{\"action\":\"%s\",\"after_bytes\":%u,\"match\":{\"pathPrefix\":\"%s\",\"watch\":true},"
				  "\"count\":1}]", action, at, path);
		fault(text);
		free(text);
		text = NULL;
		want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
		put(4, at);
		put(5, at);
		del(6);
		AWAIT(is_equal());
	}
}

Test(reflector, cut_within_an_event, .init = setup, .fini = teardown)
{
	broken("cut", 20);
}

Test(reflector, garbage_in_the_stream, .init = setup, .fini = teardown)
{
	broken("garbage", 1); /* at one of these it closes what looks like a whole object */
}

Test(reflector, slow_server, .init = setup_pages, .fini = teardown)
{
	put(1, 1);
	put(2, 2);
	fault("[{\"action\":\"slow\",\"after_bytes\":64,\"delay_ms\":1,\"match\":{\"watch\":false},\"count\":1}]");
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_expect(is_equal());
}

/* The fault hits one request: it is given up, and the next one is answered. */
static void is_asked_again(const char *text, const char *why)
{
	put(1, 1);
	overdue_us = 300 * USEC_PER_MSEC;
	fault(text);
	start();
	AWAIT_ALONE(copy.has_waited);
	cr_expect_str_eq(copy.waited_for, why);
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED && !*reflector_error(reflector));
	put(2, 2);
	AWAIT_ALONE(is_equal());
}

Test(reflector, a_list_that_never_begins, .init = setup, .fini = teardown)
{
	is_asked_again("[{\"action\":\"hang\",\"match\":{\"watch\":true},\"count\":1}]", "the API server does not answer");
}

Test(reflector, a_list_that_never_ends, .init = setup, .fini = teardown)
{
	is_asked_again("[{\"action\":\"hang\",\"after_bytes\":100,\"match\":{\"watch\":true},\"count\":1}]",
		       "the API server fell silent in the middle of a list");
}

Test(reflector, a_page_that_never_comes, .init = setup_pages, .fini = teardown)
{
	is_asked_again("[{\"action\":\"hang\",\"match\":{\"watch\":false,\"method\":\"GET\"},\"count\":1}]", "the API server does not answer");
}

Test(reflector, a_watch_that_never_begins, .init = setup_pages, .fini = teardown)
{
	is_asked_again("[{\"action\":\"hang\",\"match\":{\"watch\":true},\"count\":1}]", "the API server does not answer");
}

Test(reflector, a_list_may_take_its_time, .init = setup, .fini = teardown)
{
	for (unsigned i = 0; i < 3; i++)
		put(i, i);
	overdue_us = 2 * USEC_PER_SEC;
	fault("[{\"action\":\"slow\",\"after_bytes\":50,\"delay_ms\":200,\"match\":{\"watch\":true},\"count\":1}]");
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
	cr_expect_not(copy.has_waited);
}

static void nothing_is_removed_until_confirmed(void)
{
	for (unsigned i = 0; i < 20; i++)
		put(i, i);
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_assert_eq(n_objects(), 20);
	/* Empty for once, the questions for its version before the watch and the list included: the next shows them again. */
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1},"
	      "{\"action\":\"empty\",\"count\":3}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT_ALONE(copy.has_waited && strstr(copy.waited_for, "second list"));
	cr_expect_eq(n_objects(), 20);
	run_for(50000);
	cr_expect_eq(n_objects(), 20);
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_expect_eq(n_objects(), 20);
	/* Really gone, while nobody watched: the second list counts. */
	fault("[{\"action\":\"hang\",\"match\":{\"watch\":true},\"count\":1}]");
	copy.has_waited = false;
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	run_for(50000);
	for (unsigned i = 0; i < 18; i++)
		del(i);
	want_code(&w, 200, "POST", json_pack("{}"), "/test/compact");
	copy.waited_for[0] = '\0';
	want_code(&w, 200, "DELETE", NULL, "/test/faults");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(is_equal());
	cr_expect_eq(n_objects(), 2);
}

Test(reflector, a_list_that_lost_most, .init = setup, .fini = teardown)
{
	nothing_is_removed_until_confirmed();
}

Test(reflector, a_list_that_lost_most_pages, .init = setup_pages, .fini = teardown)
{
	nothing_is_removed_until_confirmed();
}

/* Watches are cut and too old to be resumed. */
static void force_lists(void)
{
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
}

static void start_full(void)
{
	for (unsigned i = 0; i < 20; i++)
		put(i, i);
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_assert_eq(n_objects(), 20);
}

/* Two lists that say different things confirm nothing. */
static void another_list_confirms_nothing(void)
{
	struct reflector_doubt doubt;

	confirm_us = 500 * USEC_PER_MSEC;
	start_full();
	cr_expect_not(reflector_get_doubt(reflector, &doubt));
	fault("[{\"action\":\"hang\",\"match\":{\"watch\":true},\"count\":1}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	run_for(1500 * USEC_PER_MSEC); /* it asks for its watch again, and hears nothing of what happens next */
	for (unsigned i = 0; i < 12; i++)
		del(i);
	want_code(&w, 200, "POST", json_pack("{}"), "/test/compact");
	want_code(&w, 200, "DELETE", NULL, "/test/faults");
	force_lists();
	AWAIT(reflector_get_stats(reflector).lists == 2);
	cr_assert(reflector_get_doubt(reflector, &doubt));
	cr_expect_geq(doubt.listed, 8); /* kube-root-ca.crt may be one */
	cr_expect_geq(doubt.known, 20);
	cr_expect_not(doubt.is_older);
	cr_expect_not(reflector_is_failing(reflector));
	for (unsigned i = 12; i < 18; i++)
		del(i);
	AWAIT(reflector_get_stats(reflector).lists == 3);
	cr_expect_eq(n_objects(), 20, "it says something else");
	AWAIT(is_equal());
	cr_expect_eq(reflector_get_stats(reflector).lists, 4);
	cr_expect_eq(n_objects(), 2);
	cr_expect_not(reflector_get_doubt(reflector, &doubt));
}

Test(reflector, another_list_confirms_nothing, .init = setup, .fini = teardown)
{
	another_list_confirms_nothing();
}

Test(reflector, another_list_confirms_nothing_pages, .init = setup_pages, .fini = teardown)
{
	another_list_confirms_nothing();
}

/* What protects the host does not go with two lists that happen to be empty. */
Test(reflector, guarded_kinds, .init = setup_pages, .fini = teardown)
{
	struct reflector_doubt doubt;
	uint64_t before;

	confirm_us = 100 * USEC_PER_MSEC;
	is_guarded = true;
	start_full();
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1},"
	      "{\"action\":\"empty\",\"match\":{\"watch\":false,\"pathPrefix\":\"/api/v1/namespaces\"},\"count\":6}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(reflector_get_stats(reflector).lists == 4);
	cr_expect_eq(n_objects(), 20, "three lists, but in too short a time");
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_expect_eq(reflector_get_stats(reflector).lists, 5, "a full list counts at once");
	cr_expect_eq(n_objects(), 20);
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1},"
	      "{\"action\":\"empty\",\"match\":{\"watch\":false,\"pathPrefix\":\"/api/v1/namespaces\"},\"count\":1000}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(reflector_get_doubt(reflector, &doubt));
	before = clock_boot_us();
	AWAIT(n_objects() == 0);
	cr_expect_geq(clock_boot_us() - before, 400 * USEC_PER_MSEC - 20000);
}

/* A server restored from a backup: not even what it has may be taken over before it says so twice. */
Test(reflector, back_in_time, .init = setup_pages, .fini = teardown)
{
	struct reflector_doubt doubt;

	start_full();
	put(3, 777);
	AWAIT_ALONE(is_equal());
	/* Old once, then as it was. */
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1},"
	      "{\"action\":\"rv-back\",\"back\":1,\"match\":{\"pathPrefix\":\"/api/v1/namespaces\"},\"count\":1}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(reflector_get_doubt(reflector, &doubt));
	cr_expect(doubt.is_older);
	cr_expect_str_eq(copy.objects[3].v, "777");
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_expect_not(reflector_get_doubt(reflector, &doubt));
	cr_expect_str_eq(copy.objects[3].v, "777");
	/* Old for good: it is the truth then. */
	fault("[{\"action\":\"status\",\"status\":410,\"match\":{\"watch\":true},\"count\":1},"
	      "{\"action\":\"rv-back\",\"back\":1,\"match\":{\"watch\":false,\"pathPrefix\":\"/api/v1/namespaces\"},"
	      "\"count\":3}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(reflector_get_doubt(reflector, &doubt));
	cr_expect_str_eq(copy.objects[3].v, "777");
	cr_expect_eq(copy.older, 0);
	AWAIT(str_eq(copy.objects[3].v, "3"));
	cr_expect_eq(copy.older, 1);
}

/* A watch that went on although the server went back in time, which another kind saw: what it missed is there. */
Test(reflector, lists_anew, .init = setup_pages, .fini = teardown)
{
	uint64_t lists;

	start_full();
	lists = reflector_get_stats(reflector).lists;
	reflector_relist(reflector);
	cr_expect_eq(reflector_get_state(reflector), REFLECTOR_WAITING);
	AWAIT(reflector_get_stats(reflector).lists == lists + 1);
	AWAIT_ALONE(is_equal() && reflector_get_state(reflector) == REFLECTOR_SYNCED);
	reflector_relist(reflector); /* the next kind that saw it */
	cr_expect_eq(reflector_get_state(reflector), REFLECTOR_SYNCED);
	put(5, 12345);
	AWAIT(is_equal());
	cr_expect_eq(reflector_get_stats(reflector).lists, lists + 1);
}

/* While attempts are vain nothing looks like a recovery. */
Test(reflector, vain_attempts_are_no_recovery, .init = setup, .fini = teardown)
{
	unsigned synced;

	sync_and_follow();
	synced = copy.states[REFLECTOR_SYNCED];
	fault("[{\"action\":\"status\",\"status\":503,\"match\":{\"watch\":true,\"pathPrefix\":\"/api/v1/namespaces\"},"
	      "\"count\":5}]");
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
	AWAIT(copy.states[REFLECTOR_WAITING] >= 5);
	cr_expect_eq(copy.states[REFLECTOR_SYNCED], synced);
	cr_expect_eq(copy.states[REFLECTOR_SYNCING], 0);
	cr_expect(reflector_is_failing(reflector));
	cr_expect_str_eq(reflector_server(reflector), w.api->url);
	put(9, 9);
	AWAIT(is_equal());
	cr_expect_eq(copy.states[REFLECTOR_SYNCED], synced + 1);
	cr_expect_eq(reflector_get_stats(reflector).lists, 1);
}

Test(reflector, refusals, .init = setup, .fini = teardown)
{
	put(1, 1);
	fault("[{\"action\":\"status\",\"status\":403,\"count\":1},{\"action\":\"status\",\"status\":401,\"count\":1},"
	      "{\"action\":\"retry-after\",\"retry_after\":2,\"count\":1}]");
	start();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_WAITING);
	cr_expect_str_neq(reflector_error(reflector), "");
	run_for(200000);
	cr_expect_eq(copy.states[REFLECTOR_WAITING], 1, "forbidden: no storm of requests");
	reflector_kick(reflector);
	AWAIT_ALONE(copy.unauthorized == 1);
	AWAIT(copy.states[REFLECTOR_WAITING] == 3);
	uint64_t before = clock_boot_us();
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_SYNCED);
	cr_expect_geq(clock_boot_us() - before, 1900000, "as long as the server asks");
	cr_expect(is_equal());
}

Test(reflector, absent_kind, .init = setup, .fini = teardown)
{
	start_conf("/apis/cilium.io/v2/nosuchthings", true);
	AWAIT_ALONE(reflector_has_synced(reflector));
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_WAITING);
	cr_expect(reflector_is_absent(reflector));
	cr_expect_not(reflector_is_failing(reflector), "nothing is wrong");
	cr_expect_gt(reflector_fresh_us(reflector), 0);
	reflector_free(reflector);
	start_conf("/apis/cilium.io/v2/nosuchthings", false);
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_WAITING);
	cr_expect_not(reflector_has_synced(reflector));
	cr_expect_not(reflector_is_absent(reflector));
	cr_expect(reflector_is_failing(reflector));
}

static const char ELSEWHERE[] = "/apis/cilium.io/v2/nosuchthings";

static void start_other(const char *first, const char *other, bool is_optional)
{
	struct reflector_conf conf = {.name = "configmaps", .path = first, .other_path = other, .ops = &copy_ops, .on_state = on_state,
				      .is_optional = is_optional, .confirm_us = confirm_us};

	reflector_free(reflector);
	memset(&copy, 0, sizeof(copy));
	cr_assert_eq(reflector_new(loop, client, &conf, 0, &reflector), 0);
}

/* A version that is not served: the other is read, whichever of the two it is, and goes on to be when the first goes away. */
Test(reflector, served_in_another_version, .init = setup, .fini = teardown)
{
	CLEANUP(free) char *gone = NULL;

	(void)snprintf(path, sizeof(path), MAPS, w.ns);
	put(1, 1);
	start_other(ELSEWHERE, path, false);
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
	cr_expect_not(copy.has_waited, "the other is asked at once");
	put(2, 1);
	AWAIT(is_equal());

	start_other(path, ELSEWHERE, true);
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
	/* for one exchange the server says that there is no such version: the other has none either, and the copy stays */
	gone = str_printf("[{\"action\":\"status\",\"status\":404,\"match\":{\"pathPrefix\":\"%s\",\"watch\":true},\"count\":1}]", path);
	fault(gone);
	want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", path), "/test/cut");
	AWAIT_ALONE(reflector_get_state(reflector) == REFLECTOR_WAITING);
	cr_expect(is_equal());
	cr_expect(reflector_is_failing(reflector) && !reflector_is_absent(reflector), "what is known is not absent");
	reflector_kick(reflector); /* the other first, now */
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
}

Test(reflector, served_in_no_version, .init = setup, .fini = teardown)
{
	start_other(ELSEWHERE, "/apis/cilium.io/v1/nosuchthings", true);
	AWAIT_ALONE(reflector_has_synced(reflector) && reflector_get_state(reflector) == REFLECTOR_WAITING);
	cr_expect(reflector_is_absent(reflector));
	cr_expect_not(reflector_is_failing(reflector), "nothing is wrong");
}

/* Random histories on one server with random faults. */
static void history(bool is_fresh)
{
	static const char *const actions[] = {"cut", "garbage", "gone", "status", "retry-after", "empty"};
	/* who knows of nothing cannot but believe a list that is empty */
	const unsigned n_actions = ARRAY_LEN(actions) - (is_fresh ? 1 : 0);

	if (is_fresh) {
		reflector_free(reflector);
		start();
	}
	for (unsigned step = 1 + rng_below(6); step; step--) {
		unsigned what = rng_below(10);
		CLEANUP(free) char *text = NULL;

		if (what < 5) {
			put(rng_below(NAMES), rng_below(1000));
		} else if (what < 7) {
			del(rng_below(NAMES));
		} else if (what < 8) {
			want_code(&w, 200, "POST", json_pack("{s:s}", "pathPrefix", ""), "/test/cut");
		} else if (what < 9) {
			text = str_printf("[{\"action\":\"%s\",\"after_bytes\":%u,\"match\":{\"pathPrefix\":\"%s\",\"watch\":"
					  "true},\"count\":1}]", actions[rng_below(n_actions)], rng_below(1500), path);
			fault(text);
		} else {
			want_code(&w, 200, "POST", json_pack("{}"), "/test/compact");
		}
		if (rng_below(2))
			(void)loop_once(loop, rng_below(2000));
	}
	want_code(&w, 200, "DELETE", NULL, "/test/faults");
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
}

static unsigned n_histories(void)
{
	const char *text = getenv("MESH_TEST_HISTORIES");
	uint64_t n;

	return text && str_to_u64(text, 1000000, &n) == 0 ? (unsigned)n : 100;
}

static void histories(void)
{
	want_code(&w, 201, "POST", config_map("always", "x", "1"), MAPS, w.ns); /* so there is something to know of */
	for (unsigned i = 0; i < n_histories(); i++)
		history(i == 0 || rng_below(8) == 0);
}

Test(reflector, random_histories, .init = setup, .fini = teardown)
{
	histories();
}

Test(reflector, random_histories_pages, .init = setup_pages, .fini = teardown)
{
	histories();
}

/* Freed at any moment, with requests under way. */
Test(reflector, freed_any_time, .init = setup, .fini = teardown)
{
	for (unsigned i = 0; i < 10; i++)
		put(i, i);
	for (unsigned i = 0; i < 60; i++) {
		start();
		for (unsigned n = rng_below(12); n; n--)
			(void)loop_once(loop, 1000);
		reflector_free(reflector);
		reflector = NULL;
	}
	start();
	AWAIT(reflector_get_state(reflector) == REFLECTOR_SYNCED && is_equal());
}
