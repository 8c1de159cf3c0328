/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "event/loop.h"
#include "priv/priv_sock.h"

enum {
	/* Datagrams taken per wake-up, so that others get their turn. */
	RECV_BURST = 16,
	/* Answers of this many requests fit into the default receive buffer of 208 KiB. */
	WINDOW = 32,
	/* Bursts of notifications while the loop is busy; accounted by the kernel only when used. */
	MONITOR_RCVBUF = 1024 * 1024,
};

static void finish(const struct nl_queued *q, int r, const struct err *why)
{
	struct err e = {0};

	if (!q->reply.done)
		return;
	if (why && why->text[0])
		e = *why;
	else if (r < 0)
		(void)err_set(&e, -r, "%s", err_name(r)); /* the caller passes r on itself */
	q->reply.done(r, &e, q->reply.arg);
}

/* Takes the request at `*at` out of the queue. */
static struct nl_queued *unlink_at(struct nl *nl, struct nl_queued **at)
{
	struct nl_queued *q = *at;

	*at = q->next;
	if (!q->next)
		nl->tail = at;
	nl->n_pending--;
	if (q->is_sent)
		nl->n_sent--;
	return q;
}

static void complete(struct nl *nl, struct nl_queued **at, int r, const struct err *why)
{
	struct nl_queued *q = unlink_at(nl, at);

	finish(q, r, why);
	free(q);
	if (nl->first)
		(void)source_trigger(nl->pump); /* a live source */
}

/* Ends every request that waits for an answer: the answers are lost. */
static void fail_sent(struct nl *nl, int r)
{
	/* Callbacks add at the end and cancel without unlinking, so the first stays the first. */
	while (nl->first && nl->first->is_sent)
		complete(nl, &nl->first, r, NULL);
}

static int send_request(struct nl *nl, struct nl_queued *q)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	ssize_t n;

	if (++nl->seq == 0) /* 0 is that of notifications */
		nl->seq = 1;
	q->msg->nlmsg_seq = nl->seq;
	do
		n = sendto(nl->fd, q->msg, q->msg->nlmsg_len, 0, (struct sockaddr *)&to, sizeof(to));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void on_pump(void *arg)
{
	struct nl *nl = arg;
	struct nl_queued **at = &nl->first;
	int r;

	while (*at && (*at)->is_sent) {
		if ((*at)->is_dump)
			return;
		at = &(*at)->next;
	}
	while (*at && nl->n_sent < WINDOW) {
		if ((*at)->is_dump && nl->n_sent > 0)
			return;
		if ((*at)->change) { /* is over when the call is */
			struct err why = {0};

			r = priv_ask(PRIV_NL_CHANGE, (*at)->change, sizeof(*(*at)->change), NULL, 0, &why);
			complete(nl, at, r, &why);
			return;
		}
		r = send_request(nl, *at);
		if (r < 0) {
			complete(nl, at, r, NULL); /* triggers the next run */
			return;
		}
		(*at)->is_sent = true;
		nl->n_sent++;
		if ((*at)->is_dump)
			return;
		at = &(*at)->next;
	}
}

/* The kernel's sentence in the attributes of an acknowledgement, if there is one. */
static void ack_text(const struct nlmsghdr *h, size_t offset, struct err *ret)
{
	const struct nlattr *a;
	size_t left, text;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS) || offset > h->nlmsg_len)
		return;
	for (offset = NLMSG_ALIGN(offset); offset + sizeof(*a) <= h->nlmsg_len;
	     offset += (size_t)NLA_ALIGN(a->nla_len)) {
		a = (const struct nlattr *)(const void *)((const char *)h + offset);
		left = h->nlmsg_len - offset;
		if (a->nla_len < sizeof(*a) || a->nla_len > left)
			return;
		if ((a->nla_type & NLA_TYPE_MASK) != NLMSGERR_ATTR_MSG)
			continue;
		text = strnlen((const char *)(a + 1), a->nla_len - sizeof(*a));
		(void)snprintf(ret->text, sizeof(ret->text), "%.*s", (int)text, (const char *)(a + 1));
	}
}

int nl_end(const struct nlmsghdr *h, struct err *ret_why)
{
	size_t offset = NLMSG_HDRLEN;
	int r = 0;

	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

		if (mnl_nlmsg_get_payload_len(h) < sizeof(*e))
			return -EBADMSG;
		r = e->error;
		offset += sizeof(*e);
		/* Without NLM_F_CAPPED the request follows, and the attributes come after it. */
		if (!(h->nlmsg_flags & NLM_F_CAPPED) && r != 0 && e->msg.nlmsg_len >= NLMSG_HDRLEN)
			offset += e->msg.nlmsg_len - NLMSG_HDRLEN;
	} else if (mnl_nlmsg_get_payload_len(h) >= sizeof(int)) {
		r = *(const int *)mnl_nlmsg_get_payload(h);
		offset += sizeof(int);
	}
	ack_text(h, offset, ret_why);
	return r > 0 || r < -4095 ? -EBADMSG : r;
}

static void on_end(struct nl *nl, struct nl_queued **at, const struct nlmsghdr *h)
{
	struct nl_queued *q = *at;
	struct err why = {0};
	int r = nl_end(h, &why);

	if (q->r < 0)
		r = q->r;
	else if (r == 0 && q->is_interrupted)
		r = -EAGAIN;
	complete(nl, at, r, r < 0 ? &why : NULL);
}

static void on_reply(struct nl *nl, const struct nlmsghdr *h)
{
	struct nl_queued **at = &nl->first;
	struct nl_queued *q;

	while (*at && !((*at)->is_sent && (*at)->msg->nlmsg_seq == h->nlmsg_seq))
		at = &(*at)->next;
	q = *at;
	if (!q || h->nlmsg_pid != nl->port)
		return;
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		q->is_interrupted = true;
	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		on_end(nl, at, h);
		return;
	}
	if (h->nlmsg_type < NLMSG_MIN_TYPE || !q->reply.part || q->r < 0)
		return;
	q->r = MIN(q->reply.part(h, q->reply.arg), 0);
}

/*
 * One datagram of the kernel into nl->buf. Its length; 0 for one to ignore; -EAGAIN if none is there;
 * -EMSGSIZE if it did not fit; other errno, ENOBUFS above all.
 */
static ssize_t receive(struct nl *nl, int fd)
{
	struct sockaddr_nl from = {0};
	struct iovec iov = {.iov_base = nl->buf, .iov_len = sizeof(nl->buf)};
	struct msghdr mh = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (mh.msg_namelen != sizeof(from) || from.nl_family != AF_NETLINK || from.nl_pid != 0)
		return 0; /* another process may send to a netlink port */
	if (mh.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	return n;
}

const struct nlmsghdr *nl_next(const void *data, size_t len, size_t *at)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)((const char *)data + *at);

	if (len - *at < sizeof(*h) || h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len - *at)
		return NULL;
	*at += MIN((size_t)NLMSG_ALIGN(h->nlmsg_len), len - *at);
	return h;
}

void nl_take_replies(struct nl *nl, size_t len)
{
	const struct nlmsghdr *h;
	size_t at = 0;

	while ((h = nl_next(nl->buf, len, &at)))
		on_reply(nl, h);
	if (at < len)
		fail_sent(nl, -EBADMSG);
}

static bool is_own(const struct nl *nl, const struct nlmsghdr *h)
{
	return h->nlmsg_pid == nl->port || (nl->other_port && h->nlmsg_pid == nl->other_port);
}

bool nl_take_notifications(struct nl *nl, size_t len)
{
	const struct nlmsghdr *h;
	size_t at = 0;

	while ((h = nl_next(nl->buf, len, &at)))
		if (h->nlmsg_type >= NLMSG_MIN_TYPE)
			nl->monitor(h, is_own(nl, h), nl->monitor_arg);
	return at == len;
}

static void on_readable(uint32_t events, void *arg)
{
	struct nl *nl = arg;
	int i;

	(void)events;
	for (i = 0; i < RECV_BURST; i++) {
		ssize_t n = receive(nl, nl->fd);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			fail_sent(nl, n == -EMSGSIZE ? -EBADMSG : (int)n);
			continue;
		}
		nl_take_replies(nl, (size_t)n);
	}
}

static void on_notified(uint32_t events, void *arg)
{
	struct nl *nl = arg;
	bool is_lost = false;
	int i;

	(void)events;
	for (i = 0; i < RECV_BURST; i++) {
		ssize_t n = receive(nl, nl->monitor_fd);

		if (n == -EAGAIN)
			break;
		if (n < 0) {
			is_lost = true;
			continue;
		}
		is_lost |= !nl_take_notifications(nl, (size_t)n);
	}
	if (is_lost)
		nl->monitor(NULL, false, nl->monitor_arg);
}

static int open_socket(int protocol, uint32_t groups, uint32_t *ret_port)
{
	CLEANUP(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
	socklen_t len = sizeof(a);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	*ret_port = a.nl_pid;
	return TAKE_FD(fd);
}

static int open_nl(struct loop *l, int protocol, struct nl **ret)
{
	CLEANUP(nl_free) struct nl *nl = calloc(1, sizeof(*nl));
	const int one = 1;
	int r;

	if (!nl)
		return -ENOMEM;
	nl->loop = l;
	nl->fd = nl->monitor_fd = -1;
	nl->tail = &nl->first;
	nl->is_sock = protocol == NETLINK_SOCK_DIAG;
	r = open_socket(protocol, 0, &nl->port);
	if (r < 0)
		return r;
	nl->fd = r;
	if (priv_is_split() && !nl->is_sock) {
		struct priv_answer a = {.out = NULL};

		r = priv_call(PRIV_NL_PORT, NULL, 0, -1, &a);
		if (r < 0)
			return r;
		nl->other_port = a.value;
	}
	/* Each has a fallback on older kernels: no sentence, the request echoed, an unfiltered dump. */
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	r = loop_add_io(l, nl->fd, EPOLLIN, on_readable, nl, &nl->source);
	if (r < 0)
		return r;
	r = loop_add_defer(l, LOOP_NORMAL, on_pump, nl, &nl->pump);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(nl);
	return 0;
}

int nl_new(struct loop *l, struct nl **ret)
{
	return open_nl(l, NETLINK_ROUTE, ret);
}

int nl_new_sock(struct loop *l, struct nl **ret)
{
	return open_nl(l, NETLINK_SOCK_DIAG, ret);
}

void nl_free(struct nl *nl)
{
	struct nl_queued *q, *next;

	if (!nl)
		return;
	source_free(nl->source);
	source_free(nl->monitor_source);
	source_free(nl->pump);
	close_fd(nl->fd);
	close_fd(nl->monitor_fd);
	for (q = nl->first; q; q = next) {
		next = q->next;
		free(q);
	}
	free(nl);
}

/*
 * Lets routes through only if they are default routes or of `protocol`, and of traffic control nothing
 * but removals; everything else always.
 */
static int filter_notifications(int fd, uint8_t protocol)
{
	const uint32_t type = offsetof(struct nlmsghdr, nlmsg_type);
	const uint32_t rt_protocol = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol);
	const uint32_t rt_dst_len = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_dst_len);
	/* the load is big-endian, the field host-endian */
#define TYPE_IS(t, hit) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(t), (hit), 0)
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type),
		TYPE_IS(RTM_NEWQDISC, 12),
		TYPE_IS(RTM_NEWTCLASS, 11),
		TYPE_IS(RTM_DELTCLASS, 10),
		TYPE_IS(RTM_NEWTFILTER, 9),
		TYPE_IS(RTM_NEWACTION, 8),
		TYPE_IS(RTM_DELACTION, 7),
		TYPE_IS(RTM_NEWCHAIN, 6),
		TYPE_IS(RTM_NEWROUTE, 1),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, rt_protocol),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, protocol, 3, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, rt_dst_len),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
#undef TYPE_IS
	struct sock_fprog p = {.len = (unsigned short)ARRAY_LEN(f), .filter = f};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0 ? -errno : 0;
}

int nl_monitor(struct nl *nl, const struct nl_watch *watch, nl_monitor_fn fn, void *arg)
{
	const uint32_t groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
				RTMGRP_IPV6_ROUTE | (1U << (RTNLGRP_IPV4_NETCONF - 1)) |
				(watch->has_filters ? RTMGRP_TC : 0);
	const int size = MONITOR_RCVBUF;
	CLEANUP(close_fd) int fd = -1;
	uint32_t port;
	int r;

	if (nl->monitor)
		return -EBUSY;
	fd = open_socket(NETLINK_ROUTE, groups, &port);
	if (fd < 0)
		return fd;
	r = filter_notifications(fd, watch->route_protocol);
	if (r < 0)
		return r;
	if (priv_set_rcvbuf(fd, size) < 0)
		/* no CAP_NET_ADMIN: as much as is allowed; lost ones lead to a dump */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	nl->monitor = fn;
	nl->monitor_arg = arg;
	r = loop_add_io(nl->loop, fd, EPOLLIN, on_notified, nl, &nl->monitor_source);
	if (r < 0) {
		nl->monitor = NULL;
		return r;
	}
	nl->monitor_fd = TAKE_FD(fd);
	return 0;
}

/* Get requests share bits with the flags of changes: of rtnetlink, NLM_F_DUMP means a dump only for RTM_GET*. */
static bool is_dump(const struct nl *nl, const struct nlmsghdr *msg)
{
	bool is_get = nl->is_sock ? msg->nlmsg_type == SOCK_DIAG_BY_FAMILY : (msg->nlmsg_type & 3) == 2;

	return is_get && (msg->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
}

static int enqueue(struct nl *nl, struct nl_queued *q, const struct nl_reply *reply)
{
	if (reply)
		q->reply = *reply;
	*nl->tail = q;
	nl->tail = &q->next;
	nl->n_pending++;
	return source_trigger(nl->pump);
}

int nl_request(struct nl *nl, const struct nlmsghdr *msg, const struct nl_reply *reply)
{
	struct nl_queued *q;

	if (msg->nlmsg_len < NLMSG_HDRLEN || msg->nlmsg_len > NL_REQUEST_MAX)
		return -E2BIG;
	q = calloc(1, sizeof(*q) + msg->nlmsg_len);
	if (!q)
		return -ENOMEM;
	memcpy(q->msg, msg, msg->nlmsg_len);
	q->is_dump = is_dump(nl, msg);
	q->msg->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	q->msg->nlmsg_pid = nl->port;
	return enqueue(nl, q, reply);
}

int nl_request_other(struct nl *nl, const struct nl_change *c, const struct nl_reply *reply)
{
	struct nl_queued *q = calloc(1, sizeof(*q) + sizeof(*c));

	if (!q)
		return -ENOMEM;
	q->change = (struct nl_change *)(void *)q->msg;
	*q->change = *c;
	return enqueue(nl, q, reply);
}

void nl_cancel(struct nl *nl, const void *arg)
{
	struct nl_queued *q;

	for (q = nl->first; q; q = q->next)
		if (q->reply.arg == arg)
			q->reply = (struct nl_reply){0};
}

size_t nl_pending(const struct nl *nl)
{
	return nl->n_pending;
}
