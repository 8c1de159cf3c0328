/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Delays between attempts: exponential from 0.8 s to 30 s with full jitter, back to the start after
 * two minutes without failure (what client-go does, so that a fleet spreads out).
 */
struct backoff {
	uint64_t base_us;	  /* current ceiling; 0 = first failure yet to come */
	uint64_t last_failure_us; /* CLOCK_BOOTTIME */
};

/* Notes a failure at `now_us` and returns how long to wait before the next attempt. */
uint64_t backoff_next_us(struct backoff *b, uint64_t now_us);

/* The ceiling has come to where it stays. */
bool backoff_is_at_cap(const struct backoff *b);

static inline void backoff_reset(struct backoff *b)
{
	b->base_us = 0;
}
