/* SPDX-License-Identifier: Apache-2.0 */
/* The host's own addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "netlink/nl.h"

struct nl_addr {
	int ifindex;
	struct ip ip;
	uint8_t len;	/* of the prefix */
	uint8_t scope;	/* RT_SCOPE_* */
	uint32_t flags; /* IFA_F_* */
};

/* Sorted by interface, then address. */
struct nl_addrs {
	struct nl_addr *v;
	size_t n, cap;
};

/* Decodes RTM_NEWADDR or RTM_DELADDR. 0; -ENOMSG for other messages; -EBADMSG if malformed. */
int nl_addr_decode(const struct nlmsghdr *msg, struct nl_addr *ret);

/*
 * Applies such a message to a table. 1 if it changed something, 0 if not (new lifetimes only);
 * -ENOMSG and -EBADMSG as above, -ENOMEM.
 */
int nl_addrs_apply(struct nl_addrs *t, const struct nlmsghdr *msg);

/* True if the address can be used as a source now: not tentative, not a duplicate. */
bool nl_addr_is_usable(const struct nl_addr *a);

/* An IPv6 privacy address (RFC 8981). The kernel has one flag for it and for second IPv4 addresses of a subnet. */
bool nl_addr_is_temporary(const struct nl_addr *a);

/* True if some interface holds the address, usable. */
bool nl_addrs_have(const struct nl_addrs *t, const struct ip *ip);

void nl_addrs_done(struct nl_addrs *t);
DEFINE_CLEANUP_DONE(struct nl_addrs, nl_addrs_done)

/* All addresses of both families. As nl_request(). */
int nl_addr_dump(struct nl *nl, const struct nl_reply *reply);
