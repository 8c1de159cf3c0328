/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink on the event loop: one socket for requests and their replies, one for the kernel's
 * notifications. Nothing blocks. Replies are believed only from the kernel (port 0), and every
 * length is checked before a message reaches a callback.
 */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct loop;
struct nl;

/* Room for every request that this layer builds; nl_link.c has the largest. */
enum { NL_REQUEST_MAX = 1024 };

union nl_buf {
	struct nlmsghdr hdr;
	char bytes[NL_REQUEST_MAX];
};

/*
 * One message of the answer: a part of a dump, or the object of a get. `msg` lives for the call.
 * A negative result ends the request; `done` then gets that value.
 */
typedef int (*nl_part_fn)(const struct nlmsghdr *msg, void *arg);

/*
 * The end of a request, exactly once. `r` is 0 or -errno: what the kernel said; -EAGAIN if a dump was
 * cut by a change and must be made again; -ENOBUFS if the answer was lost; -EBADMSG if it made no
 * sense. `why` holds the kernel's own sentence (extended acknowledgement) or that of errno; empty on 0.
 */
typedef void (*nl_done_fn)(int r, const struct err *why, void *arg);

struct nl_reply {
	nl_part_fn part; /* may be NULL */
	nl_done_fn done; /* may be NULL */
	void *arg;
};

/*
 * A notification, or NULL: some were lost, and whoever keeps a copy of kernel state must dump again.
 * `is_own` is true for changes that this object's own requests made, where the kernel says so
 * (routes; link and address events do not always carry it).
 */
typedef void (*nl_monitor_fn)(const struct nlmsghdr *msg, bool is_own, void *arg);

/* Opens the request socket. 0, -ENOMEM, or errno of socket(2) and bind(2). `l` must outlive it. */
int nl_new(struct loop *l, struct nl **ret);

/* The same for questions about sockets, NETLINK_SOCK_DIAG (nl_sock.h); such a one has no notifications. */
int nl_new_sock(struct loop *l, struct nl **ret);

/* Cancels all. Not from its own callbacks. NULL is fine. */
void nl_free(struct nl *nl);
DEFINE_CLEANUP(struct nl *, nl_free)

struct nl_watch {
	uint8_t route_protocol; /* routes of it and default routes are reported, no others */
	bool has_filters;	/* removed qdiscs and tc filters, too */
};

/*
 * Opens the notification socket: links, addresses of both families, routes, and IPv4 device settings.
 * A filter in the kernel holds back what was not asked for, so that a host with a full BGP table wakes
 * nobody. 0, -EBUSY if there is a monitor already, or errno.
 */
int nl_monitor(struct nl *nl, const struct nl_watch *watch, nl_monitor_fn fn, void *arg);

/*
 * Queues a request; `msg` is copied, its sequence number, REQUEST and ACK flags are set here.
 * Requests leave in order; at most 32 wait for their answer at a time, and a dump waits alone.
 * The callbacks run from the loop, never from this call. 0, -E2BIG, -ENOMEM.
 */
int nl_request(struct nl *nl, const struct nlmsghdr *msg, const struct nl_reply *reply);

/* Forgets the callbacks of all requests with this `arg`; those that left already still take effect. */
void nl_cancel(struct nl *nl, const void *arg);

/* Requests that were not answered yet. */
size_t nl_pending(const struct nl *nl);
