/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What failed, and may succeed by itself some time, is tried again: within a second, then less and less often as
 * base/backoff.h has it. Where that has become slow, only retry_now() tries: who owns a retry looks after its
 * things at such a pace anyway, so that what fails for good costs no wake-ups.
 */
#pragma once

#include "event/loop.h"

struct retry;

/*
 * `fn` tries all that is owed, and calls retry_want() for what failed once more; it may not free the retry. `l` must outlive it.
 * 0 or -errno.
 */
int retry_new(struct loop *l, loop_fn fn, void *arg, struct retry **ret);
void retry_free(struct retry *r);
DEFINE_CLEANUP(struct retry *, retry_free)

/* Something failed: `fn` is called from the loop, later. Many that fail are one. Fit for a callback, as `retry` is a struct retry. */
void retry_want(void *retry);

/* Calls `fn` now if something is owed. If nothing is then, the next failure is the first again. */
void retry_now(struct retry *r);
