/* SPDX-License-Identifier: Apache-2.0 */
#include "event/retry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/clock.h"

struct retry {
	struct source *timer;
	struct backoff backoff;
	loop_fn fn;
	void *arg;
	bool is_owed;
};

static void on_timer(void *arg)
{
	retry_now(arg);
}

int retry_new(struct loop *l, loop_fn fn, void *arg, struct retry **ret)
{
	CLEANUP(retry_free) struct retry *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->fn = fn;
	r->arg = arg;
	e = loop_add_timer(l, on_timer, r, &r->timer);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

void retry_free(struct retry *r)
{
	if (!r)
		return;
	source_free(r->timer);
	free(r);
}

void retry_want(void *retry)
{
	struct retry *r = retry;

	if (!r->is_owed && !backoff_is_at_cap(&r->backoff))
		(void)source_arm(r->timer, backoff_next_us(&r->backoff, clock_boot_us()), 0); /* a live timer */
	r->is_owed = true;
}

void retry_now(struct retry *r)
{
	if (!r->is_owed)
		return;
	r->is_owed = false;
	source_disarm(r->timer);
	r->fn(r->arg);
	if (!r->is_owed)
		backoff_reset(&r->backoff);
}
