/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deterministic simulation: the real reflectors, decoders and tables of a host against a made-up API server, whose
 * time, chance and network are the simulation's. One seed is one history, the same in every run.
 *
 *   env.c     time, chance and timers
 *   server.c  what the server has, and had at every version
 *   objects.c one object as JSON, by kind
 *   wire.c    requests, answers, faults
 *   host.c    the host: tables, reflectors, and when what they say is applied
 *   model.c   what the tables must hold
 *   sim_main.c histories
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agentd/sync.h"
#include "agentd/world.h"
#include "base/buf.h"
#include "base/clock.h"

enum sim_kind {
	SIM_CONFIG,
	SIM_NAMESPACE,
	SIM_IDENTITY,
	SIM_NODE,
	SIM_ENDPOINT, /* or, in some histories, the slice of two */
	SIM_CNP,
	SIM_CCNP,
	SIM_CIDR_GROUP,
	SIM_KNP,
	SIM_SERVICE,
	SIM_SLICE,
	SIM_KINDS,
};

enum {
	SIM_OBJECTS = 20, /* of a kind, at most */
	SIM_PACE = 40,	  /* requests of a kind in a minute, at most */
	SIM_EVENTS = 600, /* of a universe, at most */
	SIM_OWN = 300,	  /* our identity */
	SIM_FOREIGN = 100, /* added to the numbers of objects of another cluster */
	SIM_PORT_CNP = 10000, SIM_PORT_CCNP = 20000, SIM_PORT_KNP = 30000, SIM_PORT_GROUP = 40000,
};

/* An object as it is at some version: all of its content follows from its number and its payload. */
struct sim_object {
	bool is_there;
	uint32_t payload; /* 0 = never changed; each change of any object has a new one */
	uint64_t version;
};

struct sim_event {
	uint64_t version;
	uint8_t kind, index;
	struct sim_object before, now;
};

/* All that one cluster ever had. */
struct sim_universe {
	struct sim_event events[SIM_EVENTS];
	size_t n, n_first; /* of these, what every server has seen */
	uint64_t version, floor; /* watches from before the floor are too old */
	uint32_t offset;	 /* of the numbers of objects */
};

struct kube_op;

struct sim_pace {
	uint64_t at_us[SIM_PACE], n; /* when the last requests began, and how many there were */
};

struct sim {
	/* chance and time */
	uint64_t random, now_us;
	struct source *timers;
	bool in_host;		   /* its code runs, */
	uint64_t allocations_left; /* until one fails there; 0 = none does */
	uint32_t allocations_max;  /* from one failure to the next */
	/* the server */
	struct sim_universe clusters[2]; /* ours; another one */
	bool is_foreign;		 /* the other one answers */
	unsigned lag;			 /* events that the server that answers has not seen yet, */
	uint64_t lag_until_us;		 /* until then */
	uint32_t payload;		 /* the last one given */
	unsigned n_rocks[SIM_KINDS];	 /* objects that never change, from the beginning */
	bool has_slices, has_restored;
	/* the wire */
	struct kube_op *ops;
	bool has_faults, has_watchlist, has_bookmarks;
	unsigned fault_rate; /* of a thousand requests */
	unsigned fault_kinds; /* bits */
	uint64_t outage_until_us;
	struct sim_pace pace[SIM_KINDS + 1];
	bool has_lied[SIM_KINDS]; /* the last list was a lie: the next one is not */
	/* the host */
	struct world *world;
	struct sync *sync;
	bool namespaces[2 * SIM_FOREIGN];
	uint32_t config;
	bool is_changed, is_unverified, is_frozen, is_lost;
	uint64_t verify_us; /* 0 = not under way */
	uint32_t seen[SIM_OBJECTS]; /* payload of each endpoint when the tables were last applied */
	struct sim_count {
		uint64_t requests, faults, lies, applied, restarts, changes, out_of_memory;
		uint64_t woken; /* timers, and what came from the server */
	} count;
	bool is_verbose;
	char failure[512];
};

/* The one that runs: the stand-ins for the loop and the client have no other way to it. */
extern struct sim *sim;

/* Fails the history; the first reason stays. */
void sim_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
void sim_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* env.c */
uint32_t sim_below(uint32_t bound);
bool sim_chance(unsigned percent);
uint64_t timers_due_us(void);
void timers_run(void);

/* server.c */
struct sim_universe *server_universe(void);
void server_begin(void);
/*
 * Another server of the same cluster answers, which has not seen the last `events` changes yet, for less than half a
 * minute: one that stays behind for longer looks like one that was restored from a backup, and is believed then.
 */
void server_lag(unsigned events);
/*
 * Our cluster is restored from a backup that lacks the last `events` changes. Numbers of versions come a second time
 * then: no client can tell who missed that it went back, so it has to stay where it is for some minutes.
 */
void server_restore(unsigned events);
/* It catches up when that is due. */
uint64_t server_due_us(void);
void server_run(void);
/* Creates, changes or deletes the object; watches of its kind hear of it. */
void server_change(struct sim_universe *u, enum sim_kind kind, unsigned index, bool is_there);
void server_random_change(struct sim_universe *u);
/* The newest version that the server which answers has seen. */
uint64_t server_visible(void);
/* All objects of a kind as they were at a version. */
void server_at(const struct sim_universe *u, enum sim_kind kind, uint64_t version,
	       struct sim_object ret[SIM_OBJECTS]);
size_t server_count(const struct sim_object objects[SIM_OBJECTS]);

/* objects.c */
extern const struct sim_path {
	const char *path, *api, *name; /* "/api/v1/services", "v1", "Service" */
} sim_paths[SIM_KINDS];
const struct sim_path *sim_path_of(enum sim_kind kind);
/* Appends the object. */
void object_write(struct buf *b, enum sim_kind kind, unsigned index, const struct sim_object *o, uint32_t offset);
/* Its address (endpoints, nodes, services) as a number. */
uint32_t object_address(enum sim_kind kind, unsigned index, uint32_t payload, uint32_t offset);

/* wire.c */
uint64_t wire_due_us(void);
void wire_run(void);
/* Something changed: watches of that kind look again. */
void wire_wake(enum sim_kind kind);
/* All connections break. */
void wire_reset(void);
/* All watches end as after their time. */
void wire_end_watches(void);
bool wire_is_idle(void); /* no list or probe is under way */

/* host.c */
void host_start(void);
void host_stop(void);
uint64_t host_due_us(void);
void host_run(void);

/* model.c */
/* What holds at every moment at which tables are applied, whatever the server does. */
void model_check_promises(void);
/* True if the tables are what the server has. With `is_loud` the difference is a failure. */
bool model_is_equal(bool is_loud);
