/* SPDX-License-Identifier: Apache-2.0 */
/* What to do so that our routes become those wanted. Pure. */
#pragma once

#include <stddef.h>

#include "netlink/nl_route.h"

struct routes {
	struct nl_route *v;
	size_t n, cap;
};

enum route_op_kind { ROUTE_ADD, ROUTE_REPLACE, ROUTE_DEL };

struct route_op {
	enum route_op_kind kind;
	struct nl_route route;
};

struct route_ops {
	struct route_op *v;
	size_t n, cap;
};

/*
 * Sorts both lists by prefix and fills `ret`, whose old content is dropped: additions and replacements
 * first, so that a destination that moves to a wider or narrower prefix is never without a route,
 * deletions last. Of equal wanted prefixes one counts. 0 or -ENOMEM.
 */
int route_diff(struct routes *want, struct routes *have, struct route_ops *ret);
