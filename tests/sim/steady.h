/* SPDX-License-Identifier: Apache-2.0 */
/* A host at an API server that makes no faults: for what shows over many events, or by one object. One of each a process. */
#pragma once

#include "sim.h"

enum { STEADY_OBJECTS = 100 /* of a kind, at most */ };

struct kube_op;

struct steady {
	struct sim_object objects[SIM_KINDS][STEADY_OBJECTS];
	const char *extra; /* one more object, of `extra_kind`: a whole one, as text; NULL = there is none */
	enum sim_kind extra_kind;
	struct kube_op *ops[SIM_KINDS + 1]; /* a reflector has one at a time */
	uint64_t version, events, lists, updates;
	uint32_t payload;
	struct buf out;
};

extern struct steady steady;

/* The host, which knows all that there is once it returns. A failure is that of the simulation. */
void steady_start(void);
void steady_stop(void);

/* The object comes, changes or goes, and the watch of its kind says so. Nothing if it goes and is not there. */
void steady_change(enum sim_kind kind, unsigned index, bool is_there);

/* The extra object, which has been set, comes or is about to go: the watch says so. What the host made of that, 0 or -errno. */
int steady_tell_extra(bool is_there);

/* So much of an answer comes by the watch, whatever it is. What the host made of it, 0 or -errno. */
int steady_feed(enum sim_kind kind, const char *data, size_t len);

/* A watch ends with that result, and another one begins. */
void steady_end_watch(enum sim_kind kind, int result);

/* The tables are computed, and what follows from them is told. */
void steady_apply(void);
