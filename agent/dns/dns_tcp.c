/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP transport (RFC 7766): several queries per connection, answered in any order. A client
 * that sends nothing useful, or does not read, loses its connection.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "dns/dns_server_private.h"
#include "dns/dns_sock.h"
#include "priv/priv_sock.h"

enum {
	FRAME = 2, /* length before each message */
	IN_MAX = 2 * (FRAME + DNS_MSG_MAX),
	OUT_MAX = 4 * (FRAME + DNS_MSG_MAX),
	OUT_PAUSE = FRAME + DNS_MSG_MAX, /* no more queries are read while so much waits to be sent */
	WAITING_MAX = 32,
	READ_SIZE = 4096,
	BACKLOG = 64,
	DEFAULT_MAX = 64,
	DEFAULT_IDLE_US = 10000000,
	ACCEPT_RETRY_US = 1000000,
	SLACK_US = 500000, /* timers that nobody waits for precisely */
};

struct dns_conn {
	struct dns_conn *next, **prevp; /* the most recently used first */
	struct dns_listener *listener;
	struct dns_asked asked; /* by all queries of the connection */
	int fd;
	struct source *io, *timer;
	struct buf in, out;
	unsigned n_waiting; /* queries that wait for an upstream */
	bool is_eof;	    /* the client sends no more; answers may still go out */
	bool is_broken;
	bool is_busy; /* in a callback that must not see it freed */
};

static void conn_unlink(struct dns_conn *c)
{
	*c->prevp = c->next;
	if (c->next)
		c->next->prevp = c->prevp;
}

static void conn_link_first(struct dns_conn *c)
{
	struct dns_server *s = c->listener->server;

	c->next = s->conns;
	c->prevp = &s->conns;
	if (c->next)
		c->next->prevp = &c->next;
	s->conns = c;
}

static void conn_close(struct dns_conn *c)
{
	struct dns_server *s = c->listener->server;

	dns_server_forget_conn(s, c);
	conn_unlink(c);
	source_free(c->io);
	source_free(c->timer);
	close_fd(c->fd);
	buf_done(&c->in);
	buf_done(&c->out);
	s->counts.tcp_clients--;
	free(c);
}

void dns_tcp_close_all(struct dns_server *s)
{
	while (s->conns)
		conn_close(s->conns);
}

static uint64_t idle_us(const struct dns_server *s)
{
	return s->opt.tcp_idle_us ? s->opt.tcp_idle_us : DEFAULT_IDLE_US;
}

/* Only whole queries and sent answers count as activity, not single bytes. */
static void touch(struct dns_conn *c)
{
	conn_unlink(c);
	conn_link_first(c);
	if (source_arm(c->timer, idle_us(c->listener->server), SLACK_US) < 0)
		c->is_broken = true;
}

static void flush_out(struct dns_conn *c)
{
	while (c->out.len > 0 && !c->is_broken) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->is_broken = errno != EAGAIN;
			return;
		}
		buf_consume(&c->out, (size_t)n);
		touch(c);
	}
}

static bool wants_input(const struct dns_conn *c)
{
	return !c->is_eof && c->out.len < OUT_PAUSE && c->n_waiting < WAITING_MAX;
}

/* Answers the whole queries that have arrived. */
static void handle_input(struct dns_conn *c)
{
	struct dns_server *s = c->listener->server;
	struct dns_client client = {.listener = c->listener, .conn = c, .asked = c->asked};
	size_t at = 0;

	while (!c->is_broken && c->in.len - at >= FRAME && c->out.len < OUT_PAUSE &&
	       c->n_waiting < WAITING_MAX) {
		const uint8_t *p = (const uint8_t *)c->in.data + at;
		size_t len = (size_t)p[0] << 8 | p[1];

		if (c->in.len - at - FRAME < len)
			break;
		s->counts.tcp_queries++;
		touch(c);
		len = dns_server_handle(s, p + FRAME, len, &client, s->big, DNS_MSG_MAX);
		at += FRAME + ((size_t)p[0] << 8 | p[1]);
		if (len)
			dns_tcp_send(c, s->big, len);
	}
	if (at)
		buf_consume(&c->in, at);
}

/* Sets what to wait for, or closes what is done or broken. */
static void settle(struct dns_conn *c)
{
	uint32_t events = (wants_input(c) ? EPOLLIN : 0) | (c->out.len ? EPOLLOUT : 0);

	if (c->is_broken || (c->is_eof && c->out.len == 0 && c->n_waiting == 0) ||
	    source_set_events(c->io, events) < 0)
		conn_close(c);
}

void dns_tcp_send(struct dns_conn *c, const uint8_t *msg, size_t len)
{
	uint8_t frame[FRAME] = {(uint8_t)(len >> 8), (uint8_t)len};

	if (buf_add(&c->out, frame, FRAME) < 0 || buf_add(&c->out, msg, len) < 0)
		c->is_broken = true;
	flush_out(c);
	if (c->is_busy)
		return;
	/* queries may have been held back until this answer was out */
	c->is_busy = true;
	handle_input(c);
	c->is_busy = false;
	settle(c);
}

void dns_tcp_wait(struct dns_conn *c, int change)
{
	c->n_waiting = (unsigned)((int)c->n_waiting + change);
}

static void read_input(struct dns_conn *c)
{
	uint8_t data[READ_SIZE];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n == 0)
		c->is_eof = true;
	else if (n < 0)
		c->is_broken = errno != EAGAIN && errno != EINTR;
	else if (buf_add(&c->in, data, (size_t)n) < 0)
		c->is_broken = true;
}

static void on_conn(uint32_t events, void *arg)
{
	struct dns_conn *c = arg;

	c->is_busy = true;
	if (events & EPOLLERR)
		c->is_broken = true;
	if (events & EPOLLOUT)
		flush_out(c);
	if ((events & (EPOLLIN | EPOLLHUP)) && wants_input(c))
		read_input(c);
	else if (events & EPOLLHUP)
		c->is_broken = true; /* nothing can be sent any more either */
	handle_input(c);
	c->is_busy = false;
	settle(c);
}

static void on_idle(void *arg)
{
	conn_close(arg);
}

static int conn_new(struct dns_listener *l, int fd, const struct dns_asked *asked)
{
	struct dns_server *s = l->server;
	struct dns_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close_fd(fd);
		return -ENOMEM;
	}
	c->listener = l;
	c->asked = *asked;
	c->fd = fd;
	c->in.max = IN_MAX;
	c->out.max = OUT_MAX;
	conn_link_first(c);
	s->counts.tcp_clients++;
	r = loop_add_io(s->loop, fd, EPOLLIN, on_conn, c, &c->io);
	if (r >= 0)
		r = loop_add_timer(s->loop, on_idle, c, &c->timer);
	if (r >= 0)
		r = source_arm(c->timer, idle_us(s), SLACK_US);
	if (r < 0)
		conn_close(c);
	return r;
}

/* The connection that has been silent longest makes room for a new one. */
static void make_room(struct dns_server *s)
{
	size_t max = s->opt.max_tcp ? s->opt.max_tcp : DEFAULT_MAX;

	while (s->counts.tcp_clients >= max) {
		struct dns_conn *c = s->conns;

		while (c->next)
			c = c->next;
		conn_close(c);
	}
}

void dns_tcp_accept_later(void *server)
{
	struct dns_server *s = server;

	for (size_t i = 0; i < s->n_listeners; i++)
		(void)source_set_events(s->listeners[i].tcp, EPOLLIN); /* a live source */
}

static void on_accept(uint32_t events, void *arg)
{
	struct dns_listener *l = arg;
	struct dns_server *s = l->server;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct dns_asked asked;
	int fd = accept4(l->tcp_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* the connection stays queued and would wake us at once: pause */
			(void)source_set_events(l->tcp, 0); /* a live source */
			(void)source_arm(s->accept_timer, ACCEPT_RETRY_US, SLACK_US);
		}
		return;
	}
	if (!l->is_loopback && !dns_server_is_local(s, l, &peer)) {
		s->counts.foreign++;
		close_fd(fd);
		return;
	}
	if (!dns_server_find_asked(l, IPPROTO_TCP, &peer, &asked)) {
		close_fd(fd);
		return;
	}
	make_room(s);
	if (conn_new(l, fd, &asked) < 0)
		s->counts.dropped++;
}

int dns_tcp_open(struct dns_listener *l, uint16_t port)
{
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = dns_sockaddr_set(&sa, &l->ip, port);
	int one = 1, r;

	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (sa.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0))
		return -errno;
	r = priv_bind(fd, (struct sockaddr *)&sa, len);
	if (r < 0)
		return r;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	r = loop_add_io(l->server->loop, fd, EPOLLIN, on_accept, l, &l->tcp);
	if (r < 0)
		return r;
	l->tcp_fd = TAKE_FD(fd);
	return 0;
}
