/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of an API server with faults, through the reflectors into the tables, against a model:
 *
 *	sim [-n HISTORIES] [-s FIRST-SEED] [-t SECONDS] [-v]
 *
 * The first history that fails ends the run; its seed is printed, and `sim -s SEED -n 1 -v` shows it. -t: no new history after that time.
 */
#include "sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "lib/result.h"

enum { PATIENCE_MIN = 45, RESTORED_MIN = 5, DEFAULT_HISTORIES = 500, REPORT_EVERY = 10000 };

/* Runs what is due until `until_us`, and leaves the time there. */
static void run_until(uint64_t until_us)
{
	for (;;) {
		uint64_t timer = timers_due_us(), wire = wire_due_us(), host = host_due_us();
		uint64_t due = MIN(timer, wire);

		due = MIN(due, host);
		due = MIN(due, server_due_us());
		if (due > until_us || sim->failure[0])
			break;
		sim->now_us = MAX(sim->now_us, due);
		server_run();
		if (timer <= sim->now_us)
			timers_run();
		else if (wire <= sim->now_us)
			wire_run();
		host_run();
	}
	sim->now_us = MAX(sim->now_us, until_us);
}

/*
 * A host that never saw its own cluster cannot tell another one. The other stays until the host has seen which one
 * it is: one that comes and goes between two requests of a host would have to know when they come.
 */
static void foreign(bool is_foreign)
{
	if (is_foreign ? !sync_is_complete(sim->sync) || sim->is_unverified : !sim->is_frozen)
		return;
	sim_say("%s cluster answers", is_foreign ? "another" : "our");
	sim->is_foreign = is_foreign;
	sim->lag = 0;
	wire_reset();
}

static void one_step(void)
{
	switch (sim_below(16)) {
	case 0:
		sim_say("all connections break");
		wire_reset();
		break;
	case 1:
		wire_end_watches();
		break;
	case 2:
		server_universe()->floor = server_universe()->version - sim_below(3);
		sim_say("versions before %" PRIu64 " are forgotten", server_universe()->floor);
		break;
	case 3: /* another server of the same cluster, which has not seen everything yet */
		server_lag(sim_below(6));
		break;
	case 4:
		sim->outage_until_us = sim->now_us + (sim_chance(80) ? 1 + sim_below(20) : 60 + sim_below(900)) * USEC_PER_SEC;
		sim_say("an outage");
		wire_reset();
		break;
	case 5:
		if (sim_chance(20))
			foreign(!sim->is_foreign);
		break;
	default:
		for (unsigned n = 1 + sim_below(sim_chance(10) ? 20 : 3); n; n--)
			server_random_change(sim_chance(90) ? &sim->clusters[0] : server_universe());
	}
}

static void play(void)
{
	sim->has_slices = sim_chance(25);
	sim->has_watchlist = sim_chance(60);
	sim->has_bookmarks = sim_chance(50);
	sim->fault_rate = sim_chance(80) ? sim_below(400) : 0;
	sim->fault_kinds = sim_chance(50) ? ~0u : sim_below(1u << 16);
	server_begin();
	sim->has_faults = sim_chance(70);
	sim->allocations_max = 20u << sim_below(12);
	sim->allocations_left = sim_chance(20) ? 1 + sim_below(sim->allocations_max) : 0;
	host_start();
	if (sim_chance(20))
		server_lag(sim_below(6));
	for (unsigned n = 5 + sim_below(60); n && !sim->failure[0]; n--) {
		run_until(sim->now_us + (sim_chance(70) ? sim_below(3000000) : sim_below(120000000)));
		one_step();
	}
	sim_say("all is well from now on");
	sim->has_faults = false;
	sim->allocations_left = 0;
	sim->outage_until_us = 0;
	for (unsigned minute = 0; minute < PATIENCE_MIN && sim->is_foreign && !sim->failure[0]; minute++) {
		run_until(sim->now_us + 60 * USEC_PER_SEC);
		foreign(false);
	}
	if (sim_chance(25)) {
		run_until(sim->now_us + sim_below(600000000));
		server_restore(1 + sim_below(40));
		run_until(sim->now_us + RESTORED_MIN * 60 * USEC_PER_SEC);
		for (unsigned n = sim_below(20); n; n--)
			server_random_change(&sim->clusters[0]);
	}
	for (unsigned minute = 0; minute < PATIENCE_MIN && !sim->failure[0]; minute++) {
		run_until(sim->now_us + 60 * USEC_PER_SEC);
		if (!sim->is_changed && model_is_equal(false))
			break;
	}
	if (!sim->failure[0] && model_is_equal(true))
		model_check_promises();
}

/*
 * An hour in which nothing happens, once what follows a start is over: how often the host is woken by its watches. Each
 * ends in five to ten minutes and begins anew, which is two times; a kind that is absent is asked for every five.
 */
static void quiet(void)
{
	enum { SETTLE_MIN = 30, QUIET_MIN = 60, MOST = (SIM_KINDS + 1) * 2 * QUIET_MIN / 5 };

	server_begin();
	sim->has_watchlist = true;
	host_start();
	run_until(sim->now_us + SETTLE_MIN * 60 * USEC_PER_SEC);
	sim->count.woken = 0;
	run_until(sim->now_us + QUIET_MIN * 60 * USEC_PER_SEC);
	(void)printf("an hour in which nothing happens: woken %" PRIu64 " times for %d kinds\n", sim->count.woken, SIM_KINDS + 1);
	if (sim->count.woken > MOST)
		sim_fail("woken more than %d times in an hour in which nothing happened", MOST);
}

/* One history. 0, or 1 with the reason printed. */
static int history(uint64_t seed, bool is_verbose, void (*fn)(void), struct sim_count *total)
{
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		abort();
	sim->random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	sim->now_us = 1000 * USEC_PER_SEC;
	sim->is_verbose = is_verbose;
	fn();
	host_stop();
	if (sim->timers || sim->ops)
		sim_fail("a timer or a request outlived the host");
	total->requests += sim->count.requests;
	total->faults += sim->count.faults;
	total->lies += sim->count.lies;
	total->applied += sim->count.applied;
	total->restarts += sim->count.restarts;
	total->changes += sim->count.changes;
	total->out_of_memory += sim->count.out_of_memory;
	if (sim->failure[0])
		(void)printf("seed %" PRIu64 ", after %.3f s: %s\n", seed, (double)sim->now_us / 1e6 - 1000, sim->failure);
	int r = sim->failure[0] ? 1 : 0;
	free(sim);
	sim = NULL;
	return r;
}

static void tell(uint64_t first, uint64_t n, bool has_failed, const struct sim_count *c)
{
	(void)printf("%" PRIu64 " histories from seed %" PRIu64 ", %" PRIu64 " changes, %" PRIu64 " requests, %" PRIu64
		     " faults, %" PRIu64 " lies, %" PRIu64 " times applied, %" PRIu64 " times another cluster, %" PRIu64 " times out of memory: %s\n",
		     n, first, c->changes, c->requests, c->faults, c->lies, c->applied, c->restarts, c->out_of_memory,
		     has_failed ? "FAILED" : "every one ended as the model");
	(void)fflush(stdout);
	result_add("sim", json_pack("{s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "first", (json_int_t)first, "histories",
				    (json_int_t)n, "failed", has_failed, "changes", (json_int_t)c->changes, "requests",
				    (json_int_t)c->requests, "faults", (json_int_t)c->faults, "lies", (json_int_t)c->lies,
				    "applied", (json_int_t)c->applied, "out_of_memory", (json_int_t)c->out_of_memory));
}

/* For jansson: so that its allocations fail, too. */
static void *allocate(size_t size)
{
	return malloc(size);
}

int main(int argc, char **argv)
{
	uint64_t n = DEFAULT_HISTORIES, seed = 1, seconds = UINT32_MAX, first, end;
	bool is_verbose = false;
	struct sim_count total = {0};
	time_t began = time(NULL);
	int c, r = 0;

	while ((c = getopt(argc, argv, "n:s:t:v")) != -1) {
		if (c == 'v')
			is_verbose = true;
		else if (c == '?' || str_to_u64(optarg, INT64_MAX, c == 'n' ? &n : c == 's' ? &seed : &seconds) < 0)
			return 2;
	}
	json_object_seed(1);
	json_set_alloc_funcs(allocate, free);
	log_set_level(is_verbose ? LOG_INFO : LOG_EMERG);
	if (seed == 1)
		r = history(1, is_verbose, quiet, &(struct sim_count){0});
	for (first = seed, end = seed + n; r == 0 && seed < end && (uint64_t)(time(NULL) - began) < seconds;) {
		r = history(seed++, is_verbose, play, &total);
		if (r == 0 && seed - first < REPORT_EVERY)
			continue;
		tell(first, seed - first, r != 0, &total);
		total = (struct sim_count){0};
		first = seed;
	}
	if (seed > first)
		tell(first, seed - first, false, &total);
	return r;
}
