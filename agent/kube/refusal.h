/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a credential has been refused. One 401 says little: a server that is starting, or a proxy in its
 * place, gives it to everybody. Only a run of them without an answer of another kind in between counts.
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"

#define REFUSAL_GAP_US (60 * USEC_PER_SEC) /* between two refusals of one run */

struct refusal {
	uint64_t since_us; /* of the first in the run, 0 = not refused */
	uint64_t last_us;
};

static inline void refusal_note(struct refusal *f, bool is_refused, uint64_t now_us)
{
	if (!is_refused) {
		*f = (struct refusal){0};
		return;
	}
	if (!f->since_us || now_us - f->last_us > REFUSAL_GAP_US)
		f->since_us = now_us;
	f->last_us = now_us;
}

/* 0 when the last refusal is too long ago to say anything of now. */
static inline uint64_t refusal_lasts_us(const struct refusal *f, uint64_t now_us)
{
	return f->since_us && now_us - f->last_us <= REFUSAL_GAP_US ? now_us - f->since_us : 0;
}
