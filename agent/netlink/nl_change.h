/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of links, routes or sockets as a value, without pointers: what nl_link.h, nl_route.h and nl_sock.h make of their
 * arguments, and what a process without the rights (priv.h) asks the other one for, PRIV_NL_CHANGE.
 */
#pragma once

#include "netlink/nl_link.h"
#include "netlink/nl_route.h"
#include "netlink/nl_sock.h"

enum nl_change_kind {
	NL_CHANGE_TUNNEL_ADD = 1,
	NL_CHANGE_LINK_SET,
	NL_CHANGE_LINK_DEL,
	NL_CHANGE_ROUTE_ADD,
	NL_CHANGE_ROUTE_REPLACE,
	NL_CHANGE_ROUTE_DEL,
	NL_CHANGE_SOCK_DESTROY,
};

struct nl_change {
	uint32_t kind; /* enum nl_change_kind */
	union {
		struct nl_tunnel tunnel;
		struct nl_link_set link;
		int32_t ifindex; /* NL_CHANGE_LINK_DEL */
		struct nl_route route;
		struct {
			uint8_t family, proto;
			struct inet_diag_sockid id;
		} sock;
	};
};

/* The message for the kernel. -EINVAL for what no change of ours can be. */
int nl_change_put(const struct nl_change *c, union nl_buf *b);

/* As nl_request(); in a process without the rights the other one makes it. -EINVAL as above. */
int nl_change_request(struct nl *nl, const struct nl_change *c, const struct nl_reply *reply);
