/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink without a loop: the kernel answers each request within the call, so nothing waits. */
#pragma once

#include "netlink/nl.h"

struct nl_sync;

/* `protocol` is NETLINK_ROUTE or NETLINK_SOCK_DIAG. 0, -ENOMEM, or errno of socket(2). */
int nl_sync_new(int protocol, struct nl_sync **ret);
/* NULL is fine. */
void nl_sync_free(struct nl_sync *s);
DEFINE_CLEANUP(struct nl_sync *, nl_sync_free)

/* What notifications of its changes have as their sender. */
uint32_t nl_sync_port(const struct nl_sync *s);

/*
 * Sends a request, whose flags REQUEST and ACK are set here, and hands each part of the answer to `part`, which may be
 * NULL. 0, or -errno: what the kernel said, with its sentence in reterr (may be NULL); -EBADMSG if the answer makes no
 * sense; what `part` returned, if that is negative.
 */
int nl_sync_ask(struct nl_sync *s, struct nlmsghdr *msg, nl_part_fn part, void *arg, struct err *reterr);
