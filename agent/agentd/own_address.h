/* SPDX-License-Identifier: Apache-2.0 */
/* By which of its addresses the host is known to the cluster. Pure. */
#pragma once

#include "conf/conf.h"
#include "join/join_state.h"
#include "netlink/nl_addr.h"

/*
 * At most one of each family, IPv4 first: the first usable address of the host that is inside the
 * enrolled ranges, and configured if any is. Returns how many.
 */
size_t own_address_pick(const struct nl_addrs *all, const struct join_state *join, const struct conf *conf,
			struct ip ret[2]);
