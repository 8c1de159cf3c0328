/* SPDX-License-Identifier: Apache-2.0 */
/* Renewal of the credential against the in-tree API server. */
#include "../lib/helpers.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "event/loop.h"
#include "join/renew.h"

enum { DAY_S = 86400 };

static struct world w;
static struct loop *loop;
static struct kube_client *client;
static struct renewal *renewal;
static unsigned n_tokens, n_failures;
static uint64_t failing_us;
static int64_t told_expiry_s;

static void on_token(const char *token, void *arg)
{
	(void)arg;
	cr_expect_str_neq(token, "");
	n_tokens++;
}

static void on_failed(const struct renewal_failure *f, void *arg)
{
	(void)arg;
	cr_expect_str_neq(f->reason, "");
	if (n_failures++)
		cr_expect_eq(f->since_us, failing_us, "of the first in a row");
	failing_us = f->since_us;
	told_expiry_s = f->expires_s;
}

static void setup(void)
{
	world_start(&w, NULL);
	cr_assert_eq(loop_new(&loop), 0);
	client = world_client(&w, loop, w.api->token);
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "mesh-hosts"), "/api/v1/namespaces");
	want_code(&w, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "h1"),
		  "/api/v1/namespaces/mesh-hosts/serviceaccounts");
}

static void teardown(void)
{
	renewal_free(renewal);
	kube_client_free(client);
	loop_free(loop);
	world_stop(&w);
}

static void start(int64_t issued_s, int64_t expires_s)
{
	const struct renewal_conf conf = {.host = "h1", .on_token = on_token, .on_failed = on_failed};
	CLEANUP(free) char *claims = str_printf("{\"iat\":%lld,\"exp\":%lld}", (long long)issued_s, (long long)expires_s);
	CLEANUP(free) char *head = base64url("{\"alg\":\"RS256\"}", strlen("{\"alg\":\"RS256\"}"));
	CLEANUP(free) char *body = base64url(claims, strlen(claims)), *token = str_printf("%s.%s.c2ln", head, body);

	cr_assert_eq(renewal_new(loop, client, &conf, token, &renewal), 0);
	cr_assert_eq(renewal_expires_s(renewal), expires_s);
}

static void fault(const char *text)
{
	want_code(&w, 200, "POST", json_loads(text, 0, NULL), "/test/faults");
}

static void run_for(uint64_t us)
{
	uint64_t end = clock_boot_us() + us;

	while (clock_boot_us() < end)
		(void)loop_once(loop, 10000);
}

#define AWAIT(condition, seconds)                                                                  \
	do {                                                                                       \
		uint64_t end_ = clock_boot_us() + (seconds) * USEC_PER_SEC;                        \
		while (!(condition) && clock_boot_us() < end_)                                     \
			(void)loop_once(loop, 10000);                                              \
		cr_assert(condition);                                                              \
	} while (0)

Test(renew, a_young_token_stays, .init = setup, .fini = teardown)
{
	start(clock_wall_s() - 30, clock_wall_s() + DAY_S - 30);
	run_for(300 * USEC_PER_MSEC);
	cr_expect_eq(n_tokens, 0);
}

Test(renew, an_old_token_goes_at_once, .init = setup, .fini = teardown)
{
	start(clock_wall_s() - DAY_S * 85 / 100, clock_wall_s() + DAY_S * 15 / 100);
	AWAIT(n_tokens == 1, 10);
	run_for(300 * USEC_PER_MSEC);
	cr_expect_eq(n_tokens, 1, "the new one is used for a while");
	cr_expect_gt(renewal_expires_s(renewal), clock_wall_s() + DAY_S / 2);
}

/* The host started with a clock that is days behind: nobody knows how old the token is. */
Test(renew, a_token_from_the_future, .init = setup, .fini = teardown)
{
	start(clock_wall_s() + 3 * DAY_S, clock_wall_s() + 4 * DAY_S);
	AWAIT(n_tokens == 1, 10);
	run_for(300 * USEC_PER_MSEC);
	cr_expect_eq(n_tokens, 1);
}

/* A kick too soon after the last attempt counts later, it is not lost. */
Test(renew, kicks_are_not_lost, .init = setup, .fini = teardown)
{
	uint64_t asked;

	start(clock_wall_s(), clock_wall_s() + DAY_S);
	renewal_kick(renewal);
	AWAIT(n_tokens == 1, 10);
	asked = clock_boot_us();
	renewal_kick(renewal);
	renewal_kick(renewal);
	run_for(500 * USEC_PER_MSEC);
	cr_expect_eq(n_tokens, 1);
	AWAIT(n_tokens == 2, 15);
	cr_expect_geq(clock_boot_us() - asked, 9 * USEC_PER_SEC);
}

Test(renew, failures_are_told, .init = setup, .fini = teardown)
{
	int64_t expires_s = clock_wall_s() + 1000;

	fault("[{\"action\":\"status\",\"status\":403,\"match\":{\"method\":\"POST\"},\"count\":2}]");
	start(expires_s - DAY_S, expires_s);
	AWAIT(n_tokens == 1, 20);
	cr_expect_eq(n_failures, 2);
	cr_expect_eq(told_expiry_s, expires_s);
}
