/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory after so many events: the reflectors and tables of a host, and a server whose objects come, change and go all
 * the time. In each of ten rounds the watches bring a tenth of the events, and end, are too old or break now and then;
 * at its end all objects go. What the heap holds then must not grow: in the last five rounds it is at most what it was in
 * the first five, and a hundredth, as tables keep the size that they once needed.
 *
 *	churn [EVENTS]     200,000 by default; a thousand a second for 72 hours are 259,200,000
 */
#include "steady.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/str.h"
#include "lib/result.h"

enum { DEFAULT_EVENTS = 200000, ROUNDS = 10, APPLY_EVERY = 50, BREAK_EVERY = 1000 };

static uint64_t breaks;

/* A watch ends as they do, is too old, or breaks. */
static void end_a_watch(void)
{
	static const int ends[] = {0, -ESTALE, -ECONNRESET};

	breaks++;
	steady_end_watch((enum sim_kind)sim_below(SIM_KINDS), ends[sim_below(ARRAY_LEN(ends))]);
}

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2(); /* small pieces, and large ones that are mapped */

	return info.uordblks + info.hblkhd;
}

static size_t round_of(uint64_t events)
{
	for (uint64_t i = 1; i <= events && !sim->failure[0]; i++) {
		steady_change((enum sim_kind)(1 + sim_below(SIM_KINDS - 1)), sim_below(STEADY_OBJECTS), sim_chance(65));
		if (i % APPLY_EVERY == 0)
			steady_apply();
		if (i % BREAK_EVERY == 0)
			end_a_watch();
	}
	for (unsigned k = 0; k < SIM_KINDS; k++)
		for (unsigned i = 0; i < STEADY_OBJECTS; i++)
			steady_change((enum sim_kind)k, i, false);
	steady_apply();
	buf_done(&steady.out); /* the server's */
	return heap_bytes();
}

int main(int argc, char **argv)
{
	uint64_t events = DEFAULT_EVENTS;
	size_t before = 0, after = 0;

	if (argc > 2 || (argc == 2 && str_to_u64(argv[1], INT64_MAX, &events) < 0)) {
		(void)fprintf(stderr, "usage: churn [EVENTS]\n");
		return 2;
	}
	steady_start();
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t bytes = round_of(events / ROUNDS);

		if (i < ROUNDS / 2)
			before = MAX(before, bytes);
		else
			after = MAX(after, bytes);
	}
	if (after > before + before / 100)
		sim_fail("the heap grows: %zu bytes at most after the first rounds, %zu after the last", before, after);
	(void)printf("%" PRIu64 " events, %" PRIu64 " lists, %" PRIu64 " watches ended, %" PRIu64 " entries told: at most %zu bytes of heap "
		     "after the first rounds, %zu after the last%s%s\n", steady.events, steady.lists, breaks, steady.updates,
		     before, after, sim->failure[0] ? ": " : "", sim->failure);
	result_add("churn", json_pack("{s:I, s:I, s:I, s:b}", "events", (json_int_t)steady.events, "first_bytes", (json_int_t)before,
				      "last_bytes", (json_int_t)after, "failed", sim->failure[0] != '\0'));
	steady_stop();
	return sim->failure[0] ? 1 : 0;
}
