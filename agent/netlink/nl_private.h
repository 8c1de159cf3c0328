/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of nl.c, so that what the kernel sends can be given to it without a kernel. */
#pragma once

#include "netlink/nl_change.h"

enum {
	/* A link with many virtual functions is the longest message; dumps come in parts of 32 KiB at most. */
	NL_RECV_BYTES = 64 * 1024,
};

/* A request, waiting to be sent or for its answer. */
struct nl_queued {
	struct nl_queued *next;
	struct nl_reply reply;
	bool is_sent, is_dump, is_interrupted;
	int r;			  /* of a part that refused */
	struct nl_change *change; /* in the place of `msg`: the process with the rights makes it; NULL = no such request */
	struct nlmsghdr msg[];
};

struct nl {
	struct loop *loop;
	int fd, monitor_fd;
	bool is_sock; /* NETLINK_SOCK_DIAG, not NETLINK_ROUTE */
	struct source *source, *monitor_source, *pump;
	uint32_t port, seq;
	uint32_t other_port; /* of the process with the rights; 0 = none */
	struct nl_queued *first, **tail; /* sent ones before unsent ones */
	size_t n_sent, n_pending;
	nl_monitor_fn monitor;
	void *monitor_arg;
	char buf[NL_RECV_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/*
 * The message at `*at` of a datagram of `len` bytes, aligned as netlink has it, and moves `*at` behind it; NULL if
 * none is whole there. Not mnl_nlmsg_ok(), which takes a length above INT32_MAX for a negative one, and lets it pass.
 */
const struct nlmsghdr *nl_next(const void *data, size_t len, size_t *at);

/* Handles one datagram of replies, in nl->buf. A cut one ends every request that waits for an answer. */
void nl_take_replies(struct nl *nl, size_t len);
/* The same for notifications. False if the datagram is cut. */
bool nl_take_notifications(struct nl *nl, size_t len);

/*
 * The end of an answer, NLMSG_ERROR or NLMSG_DONE: its result, 0 or -errno, and the kernel's own sentence, if it gave one.
 * -EBADMSG if malformed.
 */
int nl_end(const struct nlmsghdr *h, struct err *ret_why);

/* Queues a change that the process with the rights is to make. As nl_request(). */
int nl_request_other(struct nl *nl, const struct nl_change *c, const struct nl_reply *reply);

/* The messages of nl_change_put(), and that which asks for one interface. -EINVAL for bad arguments. */
int nl_link_put_get(union nl_buf *b, int ifindex);
int nl_link_put_tunnel(union nl_buf *b, const struct nl_tunnel *t);
int nl_link_put_set(union nl_buf *b, const struct nl_link_set *s);
int nl_link_put_del(union nl_buf *b, int ifindex);
int nl_route_put(union nl_buf *b, enum nl_change_kind kind, const struct nl_route *r);
int nl_sock_put_destroy(union nl_buf *b, uint8_t family, uint8_t proto, const struct inet_diag_sockid *id);
