/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <string.h>

enum { LAG_S = 25, LAG_PAUSE_S = 60 };

struct sim_universe *server_universe(void)
{
	return &sim->clusters[sim->is_foreign];
}

static bool is_newer(const struct sim_event *e, uint64_t version)
{
	return e->version > version;
}

uint64_t server_visible(void)
{
	const struct sim_universe *u = server_universe();

	return sim->lag ? u->events[MAX(u->n - MIN(u->n, sim->lag + 1u), u->n_first - 1)].version : u->version;
}

void server_lag(unsigned events)
{
	if (sim->now_us < sim->lag_until_us + LAG_PAUSE_S * USEC_PER_SEC)
		return;
	sim->lag = events;
	sim->lag_until_us = sim->now_us + sim_below(LAG_S * USEC_PER_SEC);
	sim_say("another server answers, %u changes behind", events);
	wire_reset();
}

void server_restore(unsigned events)
{
	struct sim_universe *u = &sim->clusters[0];

	u->n -= MIN(events, u->n - u->n_first);
	u->version = u->events[u->n - 1].version;
	u->floor = MIN(u->floor, u->version);
	sim->has_restored = true;
	sim_say("restored from a backup of version %llu", (unsigned long long)u->version);
	wire_reset();
}

uint64_t server_due_us(void)
{
	return sim->lag ? sim->lag_until_us : UINT64_MAX;
}

void server_run(void)
{
	if (!sim->lag || sim->now_us < sim->lag_until_us)
		return;
	sim->lag = 0;
	for (unsigned kind = 0; kind < SIM_KINDS; kind++)
		wire_wake((enum sim_kind)kind);
}

void server_at(const struct sim_universe *u, enum sim_kind kind, uint64_t version, struct sim_object ret[SIM_OBJECTS])
{
	memset(ret, 0, SIM_OBJECTS * sizeof(*ret));
	for (size_t i = 0; i < u->n && !is_newer(&u->events[i], version); i++)
		if (u->events[i].kind == kind)
			ret[u->events[i].index] = u->events[i].now;
}

size_t server_count(const struct sim_object objects[SIM_OBJECTS])
{
	size_t n = 0;

	for (unsigned i = 0; i < SIM_OBJECTS; i++)
		n += objects[i].is_there;
	return n;
}

void server_change(struct sim_universe *u, enum sim_kind kind, unsigned index, bool is_there)
{
	struct sim_object objects[SIM_OBJECTS];
	struct sim_event *e;

	if (u->n == SIM_EVENTS)
		return;
	server_at(u, kind, UINT64_MAX, objects);
	if (!is_there && !objects[index].is_there)
		return;
	u->version += 1 + sim_below(3); /* other kinds have their share of the numbers */
	e = &u->events[u->n++];
	*e = (struct sim_event){.version = u->version, .kind = (uint8_t)kind, .index = (uint8_t)index, .before = objects[index]};
	e->now = (struct sim_object){.is_there = is_there, .payload = ++sim->payload, .version = u->version};
	if (!is_there)
		e->now.payload = objects[index].payload;
	sim->count.changes++;
	sim_say("%s %u: %s, payload %u, version %llu", sim_path_of(kind)->name, index + u->offset,
		is_there ? "set" : "deleted", e->now.payload, (unsigned long long)u->version);
	wire_wake(kind);
}

void server_random_change(struct sim_universe *u)
{
	enum sim_kind kind = (enum sim_kind)sim_below(SIM_KINDS);
	unsigned rocks = u->offset ? 0 : sim->n_rocks[kind];
	unsigned index;

	if (kind == SIM_CONFIG) {
		if (sim_chance(10))
			server_change(u, kind, 0, true);
		return;
	}
	index = rocks + sim_below(SIM_OBJECTS - rocks);
	server_change(u, kind, index, sim_chance(65));
}

/* What is there before the host: rocks, and some of the others. */
static void fill(struct sim_universe *u, bool has_rocks)
{
	server_change(u, SIM_CONFIG, 0, true);
	for (unsigned kind = SIM_NAMESPACE; kind < SIM_KINDS; kind++) {
		unsigned rocks = has_rocks ? sim->n_rocks[kind] : sim_below(SIM_OBJECTS);

		for (unsigned i = 0; i < rocks; i++)
			server_change(u, (enum sim_kind)kind, i, true);
	}
	u->n_first = u->n;
	for (unsigned n = sim_below(40); n; n--)
		server_random_change(u);
}

void server_begin(void)
{
	/* Most kinds have little, so that a history is short; some have enough to make a list suspicious. */
	for (unsigned kind = SIM_NAMESPACE; kind < SIM_KINDS; kind++)
		sim->n_rocks[kind] = sim_chance(25) ? 4 + sim_below(SIM_OBJECTS - 4) : sim_below(4);
	sim->clusters[0].version = 1000 + sim_below(1000);
	sim->clusters[1].version = 500 + sim_below(3000);
	sim->clusters[1].offset = SIM_FOREIGN;
	fill(&sim->clusters[0], true);
	fill(&sim->clusters[1], false);
}
