/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of the main table. Ours carry a protocol number of their own, and only those are changed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "netlink/nl.h"

/*
 * Marks our routes (`ip route show proto 155`). Unassigned in linux/rtnetlink.h and in iproute2's
 * rt_protos; the kernel gives no meaning to numbers above RTPROT_STATIC. Changing it orphans the
 * routes of an older version.
 */
enum { NL_RTPROT_MESH = 155 };

struct nl_route {
	struct cidr dst;
	struct ip via;	   /* family 0 = directly on `oif` */
	struct ip src;	   /* preferred source; family 0 = the kernel chooses */
	int oif;	   /* 0 = found from `via` */
	uint32_t mtu;	   /* 0 = that of the interface */
	uint32_t metric;   /* RTA_PRIORITY */
	uint32_t table;	   /* RT_TABLE_* */
	uint8_t protocol;  /* RTPROT_* */
	uint8_t type;	   /* RTN_* */
	bool is_multipath; /* several next hops, which are not decoded */
};

/* Decodes RTM_NEWROUTE or RTM_DELROUTE. 0; -ENOMSG for others and other families; -EBADMSG. */
int nl_route_decode(const struct nlmsghdr *msg, struct nl_route *ret);

/* 0 for IPv4; 1 for IPv6, where the kernel takes 0 for 1024. */
static inline uint32_t nl_route_metric(int family)
{
	return family == AF_INET6 ? 1 : 0;
}

/*
 * Adds, changes or deletes a unicast route of protocol NL_RTPROT_MESH in the main table; `table`, `type` and
 * `protocol` of `r` are not looked at. The metric is that of nl_route_metric(), so that ours wins and an
 * equal route of someone else is an error and not a silent fight: add answers -EEXIST. Delete takes
 * the metric of `r` and answers -ESRCH if the route is gone.
 */
int nl_route_add(struct nl *nl, const struct nl_route *r, const struct nl_reply *reply);
int nl_route_replace(struct nl *nl, const struct nl_route *r, const struct nl_reply *reply);
int nl_route_del(struct nl *nl, const struct nl_route *r, const struct nl_reply *reply);

/*
 * Dumps the routes of one family (AF_INET, AF_INET6) and NL_RTPROT_MESH in the main table. Kernels before
 * 4.20 do not filter and send all: the caller checks `protocol`.
 */
int nl_route_dump(struct nl *nl, int family, const struct nl_reply *reply);

/*
 * Asks how a packet to `target` would leave: the part's route has `oif`, `via` and, in `src`, the host's
 * address towards it. The kernel answers -ENETUNREACH or the like if it would not.
 */
int nl_route_get(struct nl *nl, const struct ip *target, const struct nl_reply *reply);

/* True if both ask the kernel for the same thing; an `oif` of 0 in `want` matches any. */
bool nl_route_same(const struct nl_route *want, const struct nl_route *have);
