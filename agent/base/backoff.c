/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backoff.h"

#include "base/clock.h"
#include "base/rng.h"

enum { FIRST_MS = 800, CAP_MS = 30000, RESET_S = 120, FLOOR_MS = 50 };

uint64_t backoff_next_us(struct backoff *b, uint64_t now_us)
{
	if (b->base_us && now_us - b->last_failure_us > RESET_S * USEC_PER_SEC)
		b->base_us = 0;
	b->base_us = b->base_us ? b->base_us * 2 : FIRST_MS * USEC_PER_MSEC;
	if (b->base_us > CAP_MS * USEC_PER_MSEC)
		b->base_us = CAP_MS * USEC_PER_MSEC;
	b->last_failure_us = now_us;
	return FLOOR_MS * USEC_PER_MSEC + rng_below((uint32_t)b->base_us);
}

bool backoff_is_at_cap(const struct backoff *b)
{
	return b->base_us >= CAP_MS * USEC_PER_MSEC;
}
