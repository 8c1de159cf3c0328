/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries bytes between two TCP connections, both ways, through the kernel's pipes (splice): nothing is copied here,
 * nothing is read ahead of what the other side takes, and an end of one side is an end for the other only in that
 * direction.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "event/loop.h"

struct pump;

/*
 * Takes both sockets, non-blocking, also on failure; `b` may still be connecting. `on_end` is called once when both
 * directions are done or the connection has broken: 0, or -errno, and whether `b` had been connected. It frees the
 * pump. 0, -ENOMEM or errno of pipe2() and epoll.
 */
int pump_new(struct loop *loop, int a, int b, void (*on_end)(struct pump *p, int r, bool was_connected, void *arg), void *arg,
	     struct pump **ret);
/* Breaks what is still open. */
void pump_free(struct pump *p);
DEFINE_CLEANUP(struct pump *, pump_free)

/* False while `b` is still connecting. */
bool pump_is_connected(const struct pump *p);
