/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/sock_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macro.h"
#include "netlink/nl_sock.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

enum { ANSWER_MAX = 2048, LIST_MAX = 32768, STALE_MAX = 16, TCP_STATE_ESTABLISHED = 1 };

struct sock_diag {
	int fd;
	uint32_t seq;
};

struct request {
	struct nlmsghdr nl;
	struct inet_diag_req_v2 diag;
};

int sock_diag_new(struct sock_diag **ret)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	CLEANUP(sock_diag_free) struct sock_diag *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	if (d->fd < 0 || connect(d->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	*ret = TAKE_PTR(d);
	return 0;
}

void sock_diag_free(struct sock_diag *d)
{
	if (!d)
		return;
	close_fd(d->fd);
	free(d);
}

static void request_build(struct request *q, const struct sock_pair *pair, bool is_swapped, uint32_t seq)
{
	*q = (struct request){
		.nl = {.nlmsg_len = sizeof(*q), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = seq},
		.diag = {.sdiag_family = pair->local.family, .sdiag_protocol = pair->proto, .idiag_states = ~0U},
	};
	q->diag.id.idiag_cookie[0] = q->diag.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	q->diag.id.idiag_sport = htons(is_swapped ? pair->remote_port : pair->local_port);
	q->diag.id.idiag_dport = htons(is_swapped ? pair->local_port : pair->remote_port);
	memcpy(q->diag.id.idiag_src, is_swapped ? pair->remote.b : pair->local.b, sizeof(q->diag.id.idiag_src));
	memcpy(q->diag.id.idiag_dst, is_swapped ? pair->local.b : pair->remote.b, sizeof(q->diag.id.idiag_dst));
}

/* The kernel looks for who would get a packet, so the socket must be checked to be the one that was meant. */
static int read_answer(const struct nlmsghdr *nl, const struct sock_pair *pair, uint64_t *ret)
{
	struct nl_sock s;

	if (nl->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(nl);

		if (nl->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) || e->error >= 0)
			return -EBADMSG;
		return e->error;
	}
	if (nl_sock_decode(nl, &s) < 0)
		return -EBADMSG;
	if (s.local_port != pair->local_port || (s.remote_port && s.remote_port != pair->remote_port))
		return -ENOENT;
	*ret = s.cookie;
	return 0;
}

static int ask(struct sock_diag *d, const struct sock_pair *pair, bool is_swapped, uint64_t *ret)
{
	union {
		struct nlmsghdr nl;
		char bytes[ANSWER_MAX];
	} in;
	struct request q;

	request_build(&q, pair, is_swapped, ++d->seq);
	if (send(d->fd, &q, sizeof(q), 0) < 0)
		return -errno;
	for (int i = 0; i < STALE_MAX; i++) {
		ssize_t n = recv(d->fd, &in, sizeof(in), 0);

		if (n < 0)
			return -errno;
		if (!NLMSG_OK(&in.nl, (size_t)n))
			return -EBADMSG;
		if (in.nl.nlmsg_seq == d->seq) /* others are answers that were given up */
			return read_answer(&in.nl, pair, ret);
	}
	return -EBADMSG;
}

int sock_diag_cookie(struct sock_diag *d, const struct sock_pair *pair, uint64_t *ret)
{
	/* for UDP, most kernels take source and destination for those of a packet to the socket */
	bool is_udp = pair->proto == IPPROTO_UDP;
	int r = ask(d, pair, is_udp, ret);

	return r == -ENOENT && is_udp ? ask(d, pair, false, ret) : r;
}

int sock_diag_probe(struct sock_diag *d, uint8_t proto)
{
	bool is_udp = proto == IPPROTO_UDP;
	CLEANUP(close_fd) int fd = socket(AF_INET, (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sock_pair pair = {.proto = proto, .remote_port = 1};
	socklen_t len = sizeof(sa), cookie_len = sizeof(uint64_t);
	uint64_t own = 0, cookie = 0;
	int r;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || (!is_udp && listen(fd, 1) < 0) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &own, &cookie_len) < 0)
		return -errno;
	pair.local = pair.remote = ip_from_bytes(AF_INET, &sa.sin_addr);
	pair.local_port = ntohs(sa.sin_port);
	r = sock_diag_cookie(d, &pair, &cookie);
	if (r < 0)
		return r == -ENOENT ? -EOPNOTSUPP : r; /* -ENOENT: it knows no such sockets */
	return cookie == own ? 0 : -EOPNOTSUPP;
}

/* One part of a list. 1 when it was the last one. */
static int count_part(const struct nlmsghdr *nl, size_t len, uint32_t seq, uint16_t local_port, uint64_t *n)
{
	for (; NLMSG_OK(nl, len); nl = NLMSG_NEXT(nl, len)) {
		struct nl_sock s;

		if (nl->nlmsg_seq != seq)
			continue; /* of a list that was given up */
		if (nl->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nl->nlmsg_type == NLMSG_ERROR)
			return nl->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)) ? -EBADMSG
										      : ((const struct nlmsgerr *)NLMSG_DATA(nl))->error;
		if (nl_sock_decode(nl, &s) == 0 && s.local_port == local_port)
			++*n;
	}
	return 0;
}

static int count_family(struct sock_diag *d, uint8_t family, uint16_t local_port, uint64_t *n)
{
	struct request q = {
		.nl = {.nlmsg_len = sizeof(q), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		       .nlmsg_seq = ++d->seq},
		.diag = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << TCP_STATE_ESTABLISHED,
			 .id = {.idiag_sport = htons(local_port)}},
	};
	union {
		struct nlmsghdr nl;
		char bytes[LIST_MAX];
	} in;

	if (send(d->fd, &q, sizeof(q), 0) < 0)
		return -errno;
	for (;;) { /* the kernel makes the next part while this one is read */
		ssize_t len = recv(d->fd, &in, sizeof(in), 0);
		int r;

		if (len < 0)
			return -errno;
		r = count_part(&in.nl, (size_t)len, d->seq, local_port, n);
		if (r)
			return r < 0 ? r : 0;
	}
}

int sock_diag_count(struct sock_diag *d, uint16_t local_port, uint64_t *ret)
{
	uint64_t n = 0;
	int r = count_family(d, AF_INET, local_port, &n);

	if (r == 0)
		r = count_family(d, AF_INET6, local_port, &n);
	if (r < 0)
		return r;
	*ret = n;
	return 0;
}
