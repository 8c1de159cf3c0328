/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of systemd: their state when asked, and word of each change. Over the system bus, which any user may do;
 * while the bus is away (early in the boot, or where there is none) it is tried again and again.
 */
#pragma once

#include "base/cleanup.h"
#include "base/str.h"
#include "event/loop.h"
#include "probe/check.h"

struct units;
struct units_check;

/*
 * Watches the units named, which are copied. `on_change` is told that a unit may be in another state, NULL for
 * all of them; it may start checks, but not free the object. 0, -ENOMEM or errno of a timer.
 */
int units_new(struct loop *loop, const struct strv *names, void (*on_change)(const char *unit, void *arg), void *arg,
	      struct units **ret);
/* Ends the checks under way without calling their functions. */
void units_free(struct units *u);
DEFINE_CLEANUP(struct units *, units_free)

/*
 * Asks for the state of a unit: active is CHECK_OK, deactivating CHECK_STOPPING, inactive CHECK_STOPPED, all others
 * CHECK_FAILED; no answer is CHECK_UNKNOWN. 0; -ENOTCONN while the bus is away; -ENOMEM.
 */
int units_check_start(struct units *u, const char *unit, check_fn fn, void *arg, struct units_check **ret);
/* Ends it without calling its function. May be called from any callback; NULL is accepted. */
void units_check_cancel(struct units_check *c);
