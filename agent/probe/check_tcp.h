/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a TCP port takes connections. */
#pragma once

#include <stdint.h>

#include "base/ip.h"
#include "event/loop.h"
#include "probe/check.h"

struct check_tcp;

/*
 * Starts to connect; `fn` is told how it went, the connection is closed at once. No time limit of its own: the
 * caller cancels. 0; the errno of a refusal that comes at once, as -ECONNREFUSED on this host; -ENOMEM, -EMFILE.
 */
int check_tcp_start(struct loop *loop, const struct ip *ip, uint16_t port, check_fn fn, void *arg,
		    struct check_tcp **ret);
/* Ends it without calling `fn`. May be called from any callback; NULL is accepted. */
void check_tcp_cancel(struct check_tcp *c);
