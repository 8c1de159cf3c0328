/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/macro.h"
#include "service/migration_plan.h"

static struct migration_conf conf(enum migration_side to, enum migration_by by, uint32_t step_pm)
{
	return (struct migration_conf){.to = to, .by = by, .step_pm = step_pm, .interval_s = 30, .max_errors_pm = 50,
				       .max_latency_factor = 3};
}

/* The levels of a whole migration, which ends with -1 in `want`. */
static void goes(const struct migration_conf *c, uint32_t level, size_t pods, const int *want)
{
	unsigned n = 0;

	for (; *want >= 0; want++, n++) {
		cr_assert_not(migration_is_final(c, level));
		level = migration_next_level(c, level, pods);
		cr_assert_eq((int)level, *want, "level %u, not %d", level, *want);
	}
	cr_assert(migration_is_final(c, level));
	cr_assert_eq(migration_next_level(c, level, pods), level);
}

Test(migration_plan, levels)
{
	struct migration_conf c = conf(MIGRATION_PODS, MIGRATION_BY_TURNS, 100);

	/* the pods have theirs already: steps that would give them less are left out */
	goes(&c, MIGRATION_ALL, 1, (const int[]){400, 300, 200, 100, 0, -1});
	goes(&c, MIGRATION_ALL, 3, (const int[]){200, 100, 0, -1});
	goes(&c, MIGRATION_ALL, 20, (const int[]){0, -1});
	goes(&c, 400, 1, (const int[]){300, 200, 100, 0, -1});
	goes(&c, 400, 4, (const int[]){100, 0, -1}); /* pods came meanwhile */
	c.step_pm = MIGRATION_ALL;
	goes(&c, MIGRATION_ALL, 1, (const int[]){0, -1});
	c.step_pm = 300;
	goes(&c, MIGRATION_ALL, 1, (const int[]){400, 100, 0, -1});
	c = conf(MIGRATION_HOST, MIGRATION_BY_TURNS, 100);
	goes(&c, 0, 1, (const int[]){100, 200, 300, 400, 1000, -1});
	goes(&c, 0, 3, (const int[]){100, 200, 1000, -1});
	goes(&c, 0, 0, (const int[]){100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, -1});
	c.step_pm = MIGRATION_ALL;
	goes(&c, 0, 1, (const int[]){1000, -1});
	c = conf(MIGRATION_PODS, MIGRATION_BY_WEIGHTS, 250);
	goes(&c, MIGRATION_ALL, 1, (const int[]){250, 0, -1}); /* by now they have half */
	goes(&c, MIGRATION_MOST, 1, (const int[]){750, 500, 250, 0, -1});
	c = conf(MIGRATION_HOST, MIGRATION_BY_WEIGHTS, 250);
	goes(&c, 0, 4, (const int[]){250, 500, 750, 999, -1});
	goes(&c, MIGRATION_ALL, 1, (const int[]){750, 999, -1});
	goes(&c, 0, 0, (const int[]){999, -1});
}

Test(migration_plan, every_plan_ends)
{
	for (uint32_t step = MIGRATION_STEP_MIN_PM; step <= MIGRATION_ALL; step++)
		for (size_t pods = 0; pods <= 300; pods += pods < 4 ? 1 : 37)
			for (unsigned i = 0; i < 4; i++) {
				struct migration_conf c = conf((enum migration_side)(i & 1), (enum migration_by)(i >> 1), step);

				for (uint32_t level = 0; level <= MIGRATION_ALL; level += 37)
					cr_assert_leq(migration_steps_left(&c, level, pods), 101);
			}
}

Test(migration_plan, turns)
{
	uint64_t on_us, window_us = migration_window_us(300, 30, 1, &on_us);
	struct migration_role r = migration_role(MIGRATION_BY_TURNS, 300, 30, 1, 0);

	cr_assert_eq(window_us, 15 * USEC_PER_SEC);
	cr_assert_eq(on_us, 9 * USEC_PER_SEC); /* 0.6 of the time, half of the connections then */
	cr_assert(r.is_active && r.weight == 0 && r.next_us == on_us);
	r = migration_role(MIGRATION_BY_TURNS, 300, 30, 1, on_us - 1);
	cr_assert(r.is_active && r.next_us == 1);
	r = migration_role(MIGRATION_BY_TURNS, 300, 30, 1, on_us);
	cr_assert(!r.is_active && r.next_us == window_us - on_us);
	r = migration_role(MIGRATION_BY_TURNS, 300, 30, 1, 7 * window_us + 1);
	cr_assert(r.is_active && r.next_us == on_us - 1);
	/* a short interval is one window */
	cr_assert_eq(migration_window_us(300, 4, 1, &on_us), 4 * USEC_PER_SEC);
	/* no turn is shorter than a second, neither way */
	(void)migration_window_us(1, 30, 1, &on_us);
	cr_assert_eq(on_us, USEC_PER_SEC);
	(void)migration_window_us(499, 30, 1, &on_us);
	cr_assert_eq(on_us, 14 * USEC_PER_SEC);
	/* more than its part it cannot have, nobody else has none */
	r = migration_role(MIGRATION_BY_TURNS, 300, 30, 3, 14 * USEC_PER_SEC);
	cr_assert(r.is_active && r.next_us == UINT64_MAX);
	r = migration_role(MIGRATION_BY_TURNS, 300, 30, 0, 14 * USEC_PER_SEC);
	cr_assert(r.is_active && r.next_us == UINT64_MAX);
	r = migration_role(MIGRATION_BY_TURNS, 0, 30, 1, 0);
	cr_assert(!r.is_active && r.next_us == UINT64_MAX);
	r = migration_role(MIGRATION_BY_TURNS, MIGRATION_ALL, 30, 1, 0);
	cr_assert(r.is_active && r.next_us == UINT64_MAX && r.weight == 0);
}

Test(migration_plan, weights)
{
	static const struct {
		uint32_t level;
		size_t pods;
		uint16_t weight;
	} cases[] = {{500, 1, 100}, {250, 1, 33}, {750, 1, 300}, {100, 1, 11}, {900, 1, 900}, {500, 4, 400}, {1, 1, 1},
		     {MIGRATION_MOST, 1, UINT16_MAX}, {MIGRATION_MOST, 0, UINT16_MAX}, {10, 1, 1}, {900, 100, UINT16_MAX}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct migration_role r = migration_role(MIGRATION_BY_WEIGHTS, cases[i].level, 30, cases[i].pods, 12345);

		cr_assert(r.is_active && r.next_us == UINT64_MAX);
		cr_assert_eq(r.weight, cases[i].weight, "level %u: %u", cases[i].level, r.weight);
	}
	cr_assert_not(migration_role(MIGRATION_BY_WEIGHTS, 0, 30, 1, 0).is_active);
	cr_assert_eq(migration_role(MIGRATION_BY_WEIGHTS, MIGRATION_ALL, 30, 1, 0).weight, 0);
}

Test(migration_plan, expected_shares)
{
	static const struct {
		enum migration_by by;
		uint32_t level;
		size_t pods;
		uint32_t share;
	} cases[] = {
		{MIGRATION_BY_TURNS, MIGRATION_ALL, 1, 500}, {MIGRATION_BY_TURNS, MIGRATION_ALL, 4, 200},
		{MIGRATION_BY_TURNS, MIGRATION_ALL, 0, 1000}, {MIGRATION_BY_TURNS, 0, 1, 0},
		{MIGRATION_BY_TURNS, 0, 0, 1000}, {MIGRATION_BY_TURNS, 300, 1, 300},
		{MIGRATION_BY_TURNS, 100, 3, 100}, {MIGRATION_BY_TURNS, 300, 9, 100},
		{MIGRATION_BY_TURNS, 10, 1, 33}, /* the shortest turn */
		{MIGRATION_BY_WEIGHTS, 500, 1, 500}, {MIGRATION_BY_WEIGHTS, 250, 1, 248}, {MIGRATION_BY_WEIGHTS, 900, 1, 900},
		{MIGRATION_BY_WEIGHTS, MIGRATION_MOST, 1, 998}, {MIGRATION_BY_WEIGHTS, MIGRATION_ALL, 1, 500},
		{MIGRATION_BY_WEIGHTS, 0, 2, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t share = migration_expected_pm(cases[i].by, cases[i].level, 30, cases[i].pods);

		cr_assert_eq(share, cases[i].share, "%zu: %u, not %u", i, share, cases[i].share);
	}
}

Test(migration_plan, options)
{
	struct migration_conf good = conf(MIGRATION_PODS, MIGRATION_BY_TURNS, 100), c;

	cr_assert_null(migration_conf_check(&good));
#define BAD(member, value)                                                                                             \
	do {                                                                                                           \
		c = good;                                                                                              \
		c.member = (value);                                                                                    \
		cr_assert_not_null(migration_conf_check(&c), #member);                                                 \
	} while (0)
	BAD(to, 2);
	BAD(by, 2);
	BAD(step_pm, 9);
	BAD(step_pm, 1001);
	BAD(interval_s, 2);
	BAD(interval_s, 86401);
	BAD(max_errors_pm, 1001);
	BAD(max_latency_factor, 0);
	BAD(max_latency_factor, 1001);
}
