/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit-confirm: after a change of the verdicts somebody has to say in time that all is well, or the
 * confirmed ones come back by themselves. The state alone; no clock, no file, no kernel in here.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum guard_state {
	GUARD_OFF,
	GUARD_ARMED,	   /* the verdicts in force are the confirmed ones */
	GUARD_PENDING,	   /* they are others, and nobody has confirmed them yet */
	GUARD_ROLLED_BACK, /* nobody did: the confirmed ones are in force again */
};

enum { GUARD_BOOT_ID_LEN = 32 };

struct guard {
	enum guard_state state;
	bool is_open;	      /* confirmed is that nothing is enforced: before joining */
	uint64_t timeout_us;
	uint64_t deadline_us; /* CLOCK_BOOTTIME of this boot; pending only */
	uint64_t digest;      /* of the confirmed verdicts */
	json_t *confirmed;    /* as policy_gate_snapshot() gives it; an empty list if is_open */
};

void guard_done(struct guard *g);
DEFINE_CLEANUP_DONE(struct guard, guard_done)

/*
 * Arms it with what is in force, or changes the time of an armed one. Takes `confirmed`. -EBUSY with a
 * text while a change waits to be confirmed or was taken back.
 */
int guard_arm(struct guard *g, uint64_t timeout_us, uint64_t digest, json_t *confirmed, struct err *reterr);

/* Arms it for joining: confirmed is that nothing is enforced. Replaces what was. -ENOMEM. */
int guard_arm_open(struct guard *g, uint64_t timeout_us);

enum guard_step {
	GUARD_SAME,
	GUARD_STARTED, /* the verdicts have changed: save, then put them in force */
	GUARD_STOPPED, /* they are the confirmed ones again */
	GUARD_EXPIRED, /* the time is over: the confirmed ones must come back */
};

/* Looks at the verdicts wanted now, and at the clock. */
enum guard_step guard_look(struct guard *g, uint64_t digest, uint64_t now_us);
/* The same at the clock alone. */
enum guard_step guard_tick(struct guard *g, uint64_t now_us);

/* What is wanted now is confirmed; the guard stays armed. Takes `confirmed`. -ENOENT with a text if it is off. */
int guard_confirm(struct guard *g, uint64_t digest, json_t *confirmed, struct err *reterr);

/* Microseconds until the time is over; UINT64_MAX if none runs. */
uint64_t guard_left_us(const struct guard *g, uint64_t now_us);

/* "120s", "5m": 5 s to 24 h. -EINVAL with a text. */
int guard_parse_timeout(const char *text, uint64_t *ret_us, struct err *reterr);

/*
 * As a document, and back. `boot_id` tells boots apart: time that ran in another one is over. -ENOMEM; -EBADMSG for
 * what is none, `ret` untouched.
 */
json_t *guard_to_json(const struct guard *g, const char *boot_id);
int guard_from_json(const json_t *doc, const char *boot_id, uint64_t now_us, struct guard *ret);

const char *guard_state_str(enum guard_state state);
