/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row of outcomes of one probe means, when the next attempt is due, and how often a Service may become ready
 * again. Pure: the caller has the clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "probe/check.h"

enum probe_verdict {
	PROBE_UNKNOWN, /* too few attempts so far */
	PROBE_PASSES,
	PROBE_FAILS,
	PROBE_STOPPING, /* see enum check_outcome */
	PROBE_STOPPED,
};

struct probe_state {
	enum probe_verdict verdict;
	uint64_t since_us; /* of the verdict */
	unsigned row;	   /* equal outcomes up to now */
	bool is_row_ok;
};

/*
 * Notes an outcome. `successes` and `failures` in a row make a verdict; being stopped is one at once, and
 * CHECK_UNKNOWN changes nothing. True if the verdict is another one now.
 */
bool probe_state_note(struct probe_state *s, unsigned successes, unsigned failures, enum check_outcome outcome,
		      uint64_t now_us);

/*
 * How long until the next attempt: 90 to 110 % of the interval, so that probes of many hosts spread out. `random`
 * is any number.
 */
uint64_t probe_state_delay_us(uint64_t interval_us, uint32_t random);

/* Readiness of one Service as it is told to the cluster. Not ready is told at once; ready only so often. */
struct probe_damper {
	bool is_ready;
	uint64_t full_us; /* when all of the burst would be free again, and one more */
};

enum { DAMPER_BURST = 3, DAMPER_EVERY_S = 20 };

/*
 * What to tell while the probes say `is_ready`: becoming ready takes one of DAMPER_BURST turns, one comes back every
 * DAMPER_EVERY_S. So a workload that goes up and down costs at most 6 writes a minute in the long run, and is told
 * as not ready meanwhile.
 */
bool probe_damper_pass(struct probe_damper *d, bool is_ready, uint64_t now_us);
/* How long until it could become ready; 0 = now. */
uint64_t probe_damper_wait_us(const struct probe_damper *d, uint64_t now_us);
