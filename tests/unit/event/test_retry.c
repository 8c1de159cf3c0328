/* SPDX-License-Identifier: Apache-2.0 */
/* When what failed is tried again, with a timer that only notes how it is armed. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/macro.h"
#include "event/retry.h"

enum { NEVER = 0, FIRST_US = 850 * 1000, LAST_US = 30050 * 1000, TIMES_MAX = 8 };

struct source {
	loop_fn fn;
	void *arg;
	uint64_t delay_us; /* NEVER = it is not armed */
	unsigned n_armed;
};

static struct source timer;
static struct retry *retry;
static unsigned n_tries, n_failures; /* that are yet to come */

int loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct source **ret)
{
	(void)l;
	timer = (struct source){.fn = fn, .arg = arg};
	*ret = &timer;
	return 0;
}

int source_arm(struct source *s, uint64_t delay_us, uint64_t slack_us)
{
	(void)slack_us;
	s->delay_us = delay_us;
	s->n_armed++;
	return 0;
}

void source_disarm(struct source *s)
{
	s->delay_us = NEVER;
}

void source_free(struct source *s)
{
	(void)s;
}

/* The time has come: false if it never does. */
static bool fire(void)
{
	if (timer.delay_us == NEVER)
		return false;
	timer.delay_us = NEVER;
	timer.fn(timer.arg);
	return true;
}

static void try(void *arg)
{
	(void)arg;
	n_tries++;
	if (!n_failures)
		return;
	n_failures--;
	retry_want(retry);
	retry_want(retry); /* another part of the same */
}

static void setup(void)
{
	n_tries = n_failures = 0;
	cr_assert_eq(retry_new(NULL, try, NULL, &retry), 0);
}

static void teardown(void)
{
	retry_free(retry);
}

Test(retry, soon_after_the_first_failure, .init = setup, .fini = teardown)
{
	cr_expect_not(fire(), "nothing has failed");
	retry_want(retry);
	retry_want(retry);
	cr_expect_eq(timer.n_armed, 1, "what fails together is tried again together");
	cr_expect(timer.delay_us > 0 && timer.delay_us <= FIRST_US, "%llu", (unsigned long long)timer.delay_us);
	cr_expect(fire());
	cr_expect_eq(n_tries, 1);
	cr_expect_not(fire(), "it succeeded");
	retry_now(retry);
	cr_expect_eq(n_tries, 1, "and nothing is owed");
}

Test(retry, less_and_less_often, .init = setup, .fini = teardown)
{
	uint64_t longest_us = 0, sum_us = 0;

	for (unsigned round = 0; round < 50; round++) {
		unsigned times = 0;

		n_failures = TIMES_MAX * 2;
		retry_want(retry);
		cr_expect_leq(timer.delay_us, FIRST_US, "after a success it begins anew");
		do {
			times++;
			longest_us = MAX(longest_us, timer.delay_us);
			sum_us += timer.delay_us;
		} while (fire() && times <= TIMES_MAX);
		cr_expect_leq(times, TIMES_MAX, "in the end it costs no wake-ups");
		for (n_tries = 0; n_failures; ) /* the owner comes by */
			retry_now(retry);
		cr_expect_gt(n_tries, 0);
		cr_expect_eq(timer.delay_us, (uint64_t)NEVER);
		retry_now(retry); /* succeeds */
	}
	cr_expect_leq(longest_us, LAST_US);
	cr_expect_gt(longest_us, 8 * USEC_PER_SEC, "they grow");
	cr_expect_gt(sum_us, 50 * 10 * USEC_PER_SEC, "so that it is no busy loop");
}

/* The owner's look comes in between, and takes the turn. */
Test(retry, the_owner_comes_first, .init = setup, .fini = teardown)
{
	retry_want(retry);
	retry_now(retry);
	cr_expect_eq(n_tries, 1);
	cr_expect_eq(timer.delay_us, (uint64_t)NEVER);
	n_failures = 1;
	retry_want(retry);
	retry_now(retry);
	cr_expect_eq(n_tries, 2);
	cr_expect(fire(), "it failed again");
	cr_expect_eq(n_tries, 3);
}
