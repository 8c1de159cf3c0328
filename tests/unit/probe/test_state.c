/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of outcomes, intervals and damping, with a clock of our own. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/macro.h"
#include "probe/probe_state.h"

/* Outcomes by letter: + ok, - failed, s stopping, x stopped, ? unknown; verdicts: u p f s x. */
static enum check_outcome outcome_of(char c)
{
	return c == '+' ? CHECK_OK : c == '-' ? CHECK_FAILED : c == 's' ? CHECK_STOPPING : c == 'x' ? CHECK_STOPPED : CHECK_UNKNOWN;
}

Test(probe_state, rows_make_verdicts)
{
	static const struct {
		unsigned successes, failures;
		const char *outcomes, *verdicts;
	} cases[] = {
		{1, 3, "+", "p"},
		{1, 3, "---", "uuf"},
		{1, 3, "+--+--+---+", "pppppppppfp"},
		{2, 1, "+-++-+", "uffpff"},
		{3, 2, "++-+++", "uuuuup"},
		{1, 3, "?-?-?-?", "uuuuuff"},
		{1, 1, "+sx-+", "psxfp"},
		{1, 3, "xs+", "xsp"},
		{2, 2, "+x++", "uxxp"},
		{1, 3, "+-s--", "ppsff"}, /* stopping is a failure in the row, too */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct probe_state s = {0};

		for (size_t j = 0; cases[i].outcomes[j]; j++) {
			enum probe_verdict before = s.verdict;
			uint64_t since = s.since_us, now = (j + 1) * USEC_PER_SEC;
			bool is_changed = probe_state_note(&s, cases[i].successes, cases[i].failures,
							   outcome_of(cases[i].outcomes[j]), now);

			cr_expect_eq("upfsx"[s.verdict], cases[i].verdicts[j], "%s at %zu", cases[i].outcomes, j);
			cr_expect_eq(is_changed, before != s.verdict, "%s at %zu", cases[i].outcomes, j);
			cr_expect_eq(s.since_us, is_changed ? now : since, "%s at %zu", cases[i].outcomes, j);
		}
	}
}

Test(probe_state, long_rows_do_not_wrap)
{
	struct probe_state s = {0};

	for (int i = 0; i < 70000; i++)
		(void)probe_state_note(&s, 100, 1, CHECK_OK, 1);
	cr_assert_eq(s.verdict, PROBE_PASSES);
	cr_assert_geq(s.row, 100);
}

Test(probe_state, intervals_spread)
{
	uint64_t low = UINT64_MAX, high = 0;

	for (uint32_t i = 0; i < 20000; i++) {
		uint64_t d = probe_state_delay_us(10 * USEC_PER_SEC, i * 2654435761u);

		cr_assert(d >= 9 * USEC_PER_SEC && d < 11 * USEC_PER_SEC);
		low = MIN(low, d);
		high = MAX(high, d);
	}
	cr_assert_lt(low, 92 * USEC_PER_SEC / 10);
	cr_assert_gt(high, 108 * USEC_PER_SEC / 10);
	cr_assert_leq(probe_state_delay_us(1, 7), 1); /* too short to spread */
}

/* Up and down every 100 ms for ten minutes. */
Test(probe_damper, flapping_costs_few_writes)
{
	struct probe_damper d = {0};
	unsigned changes = 0, late = 0;
	bool told = false;

	for (uint64_t ms = 0; ms < 600000; ms += 100) {
		uint64_t now = USEC_PER_SEC + ms * USEC_PER_MSEC;
		bool is_up = ms / 100 % 2 == 0, is_ready = probe_damper_pass(&d, is_up, now);

		cr_assert(is_up || !is_ready); /* not ready is never held back */
		late += is_up && !is_ready;
		changes += is_ready != told;
		told = is_ready;
	}
	cr_expect_leq(changes, 2 * (DAMPER_BURST + 600 / DAMPER_EVERY_S + 1));
	cr_expect_geq(changes, 2 * (600 / DAMPER_EVERY_S));
	cr_expect_gt(late, 0);
}

Test(probe_damper, a_calm_workload_is_not_held_back)
{
	struct probe_damper d = {0};
	uint64_t now = USEC_PER_SEC;

	for (int i = 0; i < 10; i++) {
		cr_expect(probe_damper_pass(&d, true, now));
		cr_expect(probe_damper_pass(&d, true, now)); /* staying ready costs nothing */
		cr_expect_not(probe_damper_pass(&d, false, now));
		now += DAMPER_EVERY_S * USEC_PER_SEC;
	}
}

Test(probe_damper, it_says_how_long)
{
	struct probe_damper d = {0};
	uint64_t now = USEC_PER_SEC, wait;

	for (int i = 0; i < DAMPER_BURST; i++) {
		cr_assert_eq(probe_damper_wait_us(&d, now), 0);
		cr_assert(probe_damper_pass(&d, true, now));
		cr_assert_not(probe_damper_pass(&d, false, now));
	}
	cr_assert_not(probe_damper_pass(&d, true, now));
	wait = probe_damper_wait_us(&d, now);
	cr_assert_eq(wait, DAMPER_EVERY_S * USEC_PER_SEC);
	cr_assert_not(probe_damper_pass(&d, true, now + wait - 1));
	cr_assert(probe_damper_pass(&d, true, now + wait));
}
