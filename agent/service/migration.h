/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One migration: which level it is at, whether the side that receives traffic is well, and what follows. The state
 * alone; the caller has the clock, the checks, the file and the EndpointSlices.
 *
 *   checking -> stepping (a level, held, the next) -> done
 *      any of them -> rolled-back by itself, aborted by a person: at once the level of before
 */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/migration_plan.h"
#include "service/migration_samples.h"

enum migration_state {
	MIGRATION_CHECKING, /* both sides are looked at; nothing is changed yet */
	MIGRATION_STEPPING,
	MIGRATION_DONE,
	MIGRATION_ROLLED_BACK,
	MIGRATION_ABORTED,
};

/* Where the host stands without a migration, which is what a roll-back comes back to. */
struct migration_rest {
	enum migration_by by;
	uint32_t level;
	uint32_t interval_s;
};

struct migration {
	char *service;
	struct migration_conf conf;
	enum migration_state state;
	bool is_paused;
	bool is_blind; /* nothing to check with: only the readiness of endpoints counts */
	uint32_t level; /* now in force, of conf.by or, after a roll-back, of base.by */
	unsigned step;	/* how many were taken */
	struct migration_rest base;
	bool had_pods; /* some were ready since it began */
	unsigned restarts; /* of the daemon meanwhile */
	uint64_t held_us; /* of the present level, while all was in place */
	uint64_t turn_us; /* of its windows */
	struct migration_samples sides[2]; /* enum migration_side; of the present level */
	char reason[256];  /* why it ended; "" */
	char waiting[256]; /* why it does not go on now; "" = it does, or has ended */
};

/* What the caller sees. */
struct migration_view {
	uint64_t passed_us;   /* since the view before */
	size_t pods;	      /* other ready endpoints */
	const char *refusal;  /* the cluster does not take it, and will not; NULL = it does */
	const char *obstacle; /* why the cluster does not have what migration_role_now() says; NULL = it has */
	bool is_host_known;   /* false: the probes of this host have not decided yet */
	bool is_host_ready;
	const char *host_text; /* why it is not */
};

/* What follows, as a set. */
enum {
	MIGRATION_SAVE = 1 << 0,   /* must outlive the daemon */
	MIGRATION_TELL = 1 << 1, /* the state or the level is another */
};

/* Begins. `conf` is valid. `base` is copied. 0 or -ENOMEM. */
int migration_init(struct migration *m, const char *service, const struct migration_conf *conf,
		   const struct migration_rest *base);
void migration_done(struct migration *m);
DEFINE_CLEANUP_DONE(struct migration, migration_done)

bool migration_is_running(const struct migration *m);
enum migration_side migration_other(enum migration_side side);

/* Judges, goes on, or goes back. To be called about once a second. */
unsigned migration_tick(struct migration *m, const struct migration_view *v);

/* What this host's endpoint has to say now. */
struct migration_role migration_role_now(const struct migration *m, size_t pods);
/* The share of new connections that the host has with it, in thousandths. */
uint32_t migration_share_now(const struct migration *m, size_t pods);
/* How long the present level is held, in whole windows. */
uint64_t migration_hold_us(const struct migration *m, size_t pods);

/* What a person says. -EALREADY, or -ESRCH if it has ended, with a text. */
int migration_pause(struct migration *m, bool is_paused, struct err *reterr);
int migration_abort(struct migration *m, struct err *reterr);

/* Where the host stands after it: what the next migration takes for its base. */
struct migration_rest migration_rest_of(const struct migration *m);

/*
 * As a document, and back. One that was read goes on at its step, whose hold begins anew. NULL when out of memory;
 * -ENOMEM; -EBADMSG for what is none or out of range, `ret` untouched.
 */
json_t *migration_to_json(const struct migration *m);
int migration_from_json(const json_t *doc, struct migration *ret);

/*
 * The MIGRATE of ctl/ctl_verbs.h: what is missing of it is what the options of meshctl have if they are not given.
 * -EINVAL with a text, also if it has no name of a Service.
 */
int migration_args_read(const json_t *args, struct migration_conf *ret, struct err *reterr);

const char *migration_state_str(const struct migration *m);
const char *migration_side_str(enum migration_side side);
const char *migration_by_str(enum migration_by by);
/* -EINVAL. */
int migration_side_parse(const char *text, enum migration_side *ret);
int migration_by_parse(const char *text, enum migration_by *ret);
