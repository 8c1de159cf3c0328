/* SPDX-License-Identifier: Apache-2.0 */
/* By which of its addresses the host is known to the cluster. Pure. */
#pragma once

#include "base/err.h"
#include "conf/conf.h"
#include "join/join_state.h"
#include "netlink/nl_addr.h"

/* True if the host is enrolled for this address. */
bool own_address_is_enrolled(const struct join_state *join, const struct ip *ip);

/*
 * Takes over what the cluster says this host is enrolled for now, "a/b,c/d". 1 if that is new, 0 if it is known; -EINVAL for what
 * is no such text, -ENOMEM: nothing has changed then.
 */
int own_address_follow(struct join_state *join, const char *ranges);

/*
 * At most one of each family, IPv4 first, of the usable addresses of the host that are inside the enrolled ranges, and
 * configured if any is: the one of `now` if it is still there, as a change cuts connections; else the first, temporary
 * and deprecated ones last. Returns how many.
 */
size_t own_address_pick(const struct nl_addrs *all, const struct join_state *join, const struct conf *conf,
			const struct ip *now, size_t n_now, struct ip ret[2]);

/*
 * In words that none fits: which the host has, which it may have, and by which it is still known. A list that is too long ends
 * with "...".
 */
void own_address_complain(const struct nl_addrs *all, const struct join_state *join, const struct conf *conf, const struct ip *now,
			  size_t n_now, struct err *reterr);
