/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP transport: queries in batches, so that a busy server makes few system calls. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "dns/dns_server_private.h"
#include "dns/dns_sock.h"
#include "priv/priv_sock.h"

enum {
	BATCH = 64,
	ROUNDS = 8,	    /* batches until other sources of the loop get their turn */
	QUERY_SIZE = 2048,  /* longer datagrams are no queries */
	ANSWER_SIZE = DNS_UDP_MAX + DNS_OPT_ROOM,
	RCVBUF = 1024 * 1024,
};

struct dns_udp_batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	struct sockaddr_storage peers[BATCH];
	uint8_t queries[BATCH][QUERY_SIZE];
	uint8_t answers[BATCH][ANSWER_SIZE];
};

int dns_udp_batch_new(struct dns_udp_batch **ret)
{
	struct dns_udp_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	for (size_t i = 0; i < BATCH; i++) {
		b->in_iov[i] = (struct iovec){b->queries[i], QUERY_SIZE};
		b->in[i].msg_hdr.msg_iov = &b->in_iov[i];
		b->in[i].msg_hdr.msg_iovlen = 1;
		b->in[i].msg_hdr.msg_name = &b->peers[i];
		b->out[i].msg_hdr.msg_iov = &b->out_iov[i];
		b->out[i].msg_hdr.msg_iovlen = 1;
	}
	*ret = b;
	return 0;
}

void dns_udp_batch_free(struct dns_udp_batch *b)
{
	free(b);
}

void dns_udp_send(struct dns_listener *l, const struct dns_client *c, const uint8_t *msg,
		  size_t len)
{
	/* a full socket buffer loses the answer, as any hop may; the client asks again */
	if (sendto(l->udp_fd, msg, len, MSG_NOSIGNAL | MSG_DONTWAIT,
		   (const struct sockaddr *)&c->peer,
		   c->peer_len) < 0)
		l->server->counts.dropped++;
}

static void send_all(struct dns_listener *l, unsigned n)
{
	struct dns_udp_batch *b = l->server->batch;
	unsigned at = 0;

	while (at < n) {
		int r = sendmmsg(l->udp_fd, b->out + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN) {
			l->server->counts.dropped += n - at;
			return;
		}
		if (r < 0)
			l->server->counts.dropped++; /* this one cannot be sent; the others can */
		at += r > 0 ? (unsigned)r : 1;
	}
}

/* Answers what was received; returns how many answers are ready. */
static unsigned handle_all(struct dns_listener *l, unsigned n)
{
	struct dns_server *s = l->server;
	struct dns_udp_batch *b = s->batch;
	struct dns_client c = {.listener = l};
	unsigned n_out = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct msghdr *h = &b->in[i].msg_hdr;
		size_t len;

		if (h->msg_flags & MSG_TRUNC) {
			s->counts.dropped++;
			continue;
		}
		if (!l->is_loopback && !dns_server_is_local(s, l, &b->peers[i])) {
			s->counts.foreign++;
			continue;
		}
		c.peer_len = h->msg_namelen;
		memcpy(&c.peer, &b->peers[i], c.peer_len);
		if (!dns_server_find_asked(l, IPPROTO_UDP, &c.peer, &c.asked))
			continue;
		len = dns_server_handle(s, b->queries[i], b->in[i].msg_len, &c, b->answers[n_out],
					DNS_UDP_MAX);
		if (len == 0)
			continue;
		b->out_iov[n_out] = (struct iovec){b->answers[n_out], len};
		b->out[n_out].msg_hdr.msg_name = &b->peers[i];
		b->out[n_out].msg_hdr.msg_namelen = h->msg_namelen;
		n_out++;
	}
	return n_out;
}

static void on_readable(uint32_t events, void *arg)
{
	struct dns_listener *l = arg;
	struct dns_udp_batch *b = l->server->batch;

	(void)events;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int n;

		for (size_t i = 0; i < BATCH; i++)
			b->in[i].msg_hdr.msg_namelen = sizeof(b->peers[i]);
		n = recvmmsg(l->udp_fd, b->in, BATCH, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return;
		send_all(l, handle_all(l, (unsigned)n));
		if (n < BATCH)
			return;
	}
}

int dns_udp_open(struct dns_listener *l, uint16_t port, uint16_t *ret_port)
{
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = dns_sockaddr_set(&sa, &l->ip, port);
	int one = 1, size = RCVBUF, r;

	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sa.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* the default works too */
	r = priv_bind(fd, (struct sockaddr *)&sa, len);
	if (r < 0)
		return r;
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	(void)dns_sockaddr_ip(&sa, ret_port); /* only the port is wanted */
	r = loop_add_io(l->server->loop, fd, EPOLLIN, on_readable, l, &l->udp);
	if (r < 0)
		return r;
	l->udp_fd = TAKE_FD(fd);
	return 0;
}
