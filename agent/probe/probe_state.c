/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/probe_state.h"

#include "base/clock.h"
#include "base/macro.h"

static bool set_verdict(struct probe_state *s, enum probe_verdict verdict, uint64_t now_us)
{
	if (s->verdict == verdict)
		return false;
	s->verdict = verdict;
	s->since_us = now_us;
	return true;
}

bool probe_state_note(struct probe_state *s, unsigned successes, unsigned failures, enum check_outcome outcome,
		      uint64_t now_us)
{
	bool is_ok = outcome == CHECK_OK;

	if (outcome == CHECK_UNKNOWN)
		return false;
	if (s->row && s->is_row_ok == is_ok) {
		s->row += s->row < UINT16_MAX;
	} else {
		s->is_row_ok = is_ok;
		s->row = 1;
	}
	switch (outcome) {
	case CHECK_STOPPING:
		return set_verdict(s, PROBE_STOPPING, now_us);
	case CHECK_STOPPED:
		return set_verdict(s, PROBE_STOPPED, now_us);
	case CHECK_OK:
		return s->row >= successes && set_verdict(s, PROBE_PASSES, now_us);
	default:
		return s->row >= failures && set_verdict(s, PROBE_FAILS, now_us);
	}
}

uint64_t probe_state_delay_us(uint64_t interval_us, uint32_t random)
{
	uint64_t spread = interval_us / 5;

	return interval_us - interval_us / 10 + (spread ? random % spread : 0);
}

uint64_t probe_damper_wait_us(const struct probe_damper *d, uint64_t now_us)
{
	uint64_t burst_us = (DAMPER_BURST - 1) * DAMPER_EVERY_S * USEC_PER_SEC;

	return d->full_us > now_us + burst_us ? d->full_us - now_us - burst_us : 0;
}

bool probe_damper_pass(struct probe_damper *d, bool is_ready, uint64_t now_us)
{
	if (is_ready && !d->is_ready) {
		if (probe_damper_wait_us(d, now_us))
			return false;
		d->full_us = MAX(d->full_us, now_us) + DAMPER_EVERY_S * USEC_PER_SEC;
	}
	d->is_ready = is_ready;
	return is_ready;
}
