/* SPDX-License-Identifier: Apache-2.0 */
#include "forward/forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/str.h"
#include "forward/pump.h"
#include "priv/priv_sock.h"

enum {
	RETRY_S = 3,	 /* for a port that is taken */
	PAUSE_S = 1,	 /* after the process ran out of descriptors */
	ACCEPTS_MAX = 64, /* at a time, so that others have their turn */
	BACKLOG = 512,
	SYN_RETRIES = 3, /* 15 s: then the backend is dead */
};

struct caller {
	struct forwards_caller info;
	UT_hash_handle hh;
};

struct conn {
	struct forward *forward;
	struct caller *caller; /* NULL = forgotten, or out of memory */
	struct pump *pump;
	struct conn *prev, *next;
};

struct listener {
	struct forward *forward;
	int fd; /* -1 = not yet */
	struct source *io;
	bool is_wanted, is_paused;
};

struct forward {
	struct forwards *all;
	struct conf_forward conf; /* a copy */
	struct listener listeners[2]; /* IPv4, IPv6 */
	struct conn *conns;
	struct caller *callers;
	uint64_t connections, active, failed, left_out;
	char text[128];
	bool is_in_conf; /* scratch of a reload */
	struct forward *prev, *next;
};

struct forwards {
	struct loop *loop;
	const struct conf *conf;
	struct forwards_conf fc;
	struct source *timer;
	struct forward *list;
	size_t n_conns;
};

/* Addresses */

static socklen_t to_sockaddr(const struct ip *ip, uint8_t family, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){.ss_family = family};
	if (family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, ip->b, sizeof(v4->sin_addr));
		return sizeof(*v4);
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, ip->b, sizeof(v6->sin6_addr));
		return sizeof(*v6);
	}
}

static struct ip from_sockaddr(const struct sockaddr_storage *sa)
{
	struct ip ip = {.family = (uint8_t)sa->ss_family};

	if (sa->ss_family == AF_INET)
		memcpy(ip.b, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	else
		memcpy(ip.b, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
	return ip;
}

/* Callers */

static void forget_caller(struct forward *f, struct caller *c)
{
	struct conn *conn;

	DL_FOREACH (f->conns, conn)
		if (conn->caller == c)
			conn->caller = NULL;
	HASH_DEL(f->callers, c);
	free(c);
}

/* Room for one more: of those that have no connection the one that has been away longest, else of all. */
static void make_room(struct forward *f)
{
	struct caller *worst = NULL;

	if (HASH_COUNT(f->callers) < LIMIT_FORWARD_CALLERS)
		return;
	for (struct caller *c = f->callers; c; c = c->hh.next) {
		bool is_idle = c->info.active == 0;

		if (!worst || (is_idle && worst->info.active) ||
		    (is_idle == (worst->info.active == 0) && c->info.last_us < worst->info.last_us))
			worst = c;
	}
	forget_caller(f, worst);
	f->left_out++;
}

/* NULL when out of memory: that one is not counted. */
static struct caller *note_caller(struct forward *f, const struct ip *ip)
{
	uint64_t now = clock_boot_us();
	struct caller *c;

	HASH_FIND(hh, f->callers, ip, sizeof(*ip), c);
	if (!c) {
		make_room(f);
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		c->info.ip = *ip;
		c->info.first_us = now;
		hash_oom = false;
		HASH_ADD(hh, f->callers, info.ip, sizeof(c->info.ip), c);
		if (hash_oom) {
			free(c);
			return NULL;
		}
	}
	c->info.connections++;
	c->info.active++;
	c->info.last_us = now;
	return c;
}

/* Connections */

static void conn_free(struct conn *c)
{
	struct forward *f = c->forward;

	if (c->caller)
		c->caller->info.active--;
	f->active--;
	f->all->n_conns--;
	DL_DELETE(f->conns, c);
	pump_free(c->pump);
	free(c);
}

static void on_end(struct pump *p, int r, bool was_connected, void *arg)
{
	struct conn *c = arg;
	struct forward *f = c->forward;

	(void)p; /* the connection's */
	if (!was_connected) {
		f->failed++;
		(void)snprintf(f->text, sizeof(f->text), "a backend did not answer: %.80s", err_name(r));
	} else {
		f->text[0] = '\0';
	}
	conn_free(c);
}

static int connect_to(const struct ip *ip, uint16_t port, int *ret_fd)
{
	CLEANUP(close_fd) int fd = socket(ip->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage to;
	socklen_t len = to_sockaddr(ip, ip->family, port, &to);
	int retries = SYN_RETRIES;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries)); /* then it takes two minutes */
	if (connect(fd, (const struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A reset and no end: the caller must see that nobody served it. */
static void refuse(struct forward *f, int fd, const char *text)
{
	const struct linger now = {.l_onoff = 1};

	f->failed++;
	(void)snprintf(f->text, sizeof(f->text), "%s", text);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* else it is an end */
	close_fd(fd);
}

/* Takes `fd`. */
static void serve(struct forward *f, int fd, const struct ip *from)
{
	struct forwards *all = f->all;
	struct caller *caller = note_caller(f, from);
	struct conn *c = NULL;
	int to = -1, r = -ENOMEM;
	uint16_t port;
	struct ip ip;

	f->connections++;
	if (all->n_conns >= LIMIT_FORWARD_CONNS)
		refuse(f, fd, "too many connections");
	else if (!all->fc.pick(&f->conf, &ip, &port, all->fc.arg))
		refuse(f, fd, "the Service has no backend");
	else if ((r = connect_to(&ip, port, &to)) < 0)
		refuse(f, fd, err_name(r));
	else if (!(c = calloc(1, sizeof(*c)))) {
		close_fd(to);
		refuse(f, fd, err_name(-ENOMEM));
	} else if ((r = pump_new(all->loop, fd, to, on_end, c, &c->pump)) < 0) {
		free(c);
		c = NULL;
		f->failed++;
		(void)snprintf(f->text, sizeof(f->text), "%s", err_name(r));
	}
	if (!c) {
		if (caller)
			caller->info.active--;
		return;
	}
	c->forward = f;
	c->caller = caller;
	DL_APPEND(f->conns, c);
	f->active++;
	all->n_conns++;
}

static void pause_listener(struct listener *l, int r)
{
	l->is_paused = true;
	(void)source_set_events(l->io, 0); /* a live source */
	(void)snprintf(l->forward->text, sizeof(l->forward->text), "%s", err_name(r));
	(void)source_arm(l->forward->all->timer, PAUSE_S * USEC_PER_SEC, 0); /* a live timer */
}

static void on_accept(uint32_t events, void *arg)
{
	struct listener *l = arg;

	(void)events; /* there is one */
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct ip ip;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			pause_listener(l, -errno);
			return;
		}
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			continue; /* gone before it was taken (accept(2)) */
		ip = from_sockaddr(&from);
		serve(l->forward, fd, &ip);
	}
}

/* Listening */

static void close_listener(struct listener *l)
{
	source_free(l->io);
	l->io = NULL;
	close_fd(l->fd);
	l->fd = -1;
}

static int open_listener(struct listener *l, uint8_t family)
{
	const struct conf_forward *conf = &l->forward->conf;
	struct sockaddr_storage sa;
	socklen_t len = to_sockaddr(&conf->address, family, conf->port, &sa);
	int one = 1, r = 0;

	l->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	/* Connections of the workload that was there may linger; and each family has its own socket. */
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (family == AF_INET6 && setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0))
		r = -errno;
	if (r == 0)
		r = priv_bind(l->fd, (const struct sockaddr *)&sa, len);
	if (r == 0 && listen(l->fd, BACKLOG) < 0)
		r = -errno;
	if (r == 0)
		r = loop_add_io(l->forward->all->loop, l->fd, EPOLLIN, on_accept, l, &l->io);
	if (r < 0)
		close_listener(l);
	return r;
}

static bool is_listening(const struct forward *f)
{
	for (size_t i = 0; i < 2; i++)
		if (f->listeners[i].is_wanted && f->listeners[i].fd < 0)
			return false;
	return true;
}

static void listen_on(struct forward *f)
{
	static const uint8_t families[2] = {AF_INET, AF_INET6};
	bool was_listening = is_listening(f);

	for (size_t i = 0; i < 2; i++) {
		struct listener *l = &f->listeners[i];
		int r;

		if (!l->is_wanted || l->fd >= 0)
			continue;
		r = open_listener(l, families[i]);
		if (r == -EAFNOSUPPORT && !f->conf.address.family)
			l->is_wanted = false; /* a kernel without IPv6 */
		else if (r < 0)
			(void)snprintf(f->text, sizeof(f->text), "cannot listen on the port yet: %.80s", err_name(r));
	}
	if (is_listening(f) && !was_listening) {
		f->text[0] = '\0';
		log_event(LOG_INFO, "forward.listen", "an old port is forwarded to its Service", F_U64("port", f->conf.port),
			  F_STR("service", f->conf.service));
	}
}

static void on_timer(void *arg)
{
	struct forwards *all = arg;
	bool is_owed = false;
	struct forward *f;

	DL_FOREACH (all->list, f) {
		for (size_t i = 0; i < 2; i++) {
			struct listener *l = &f->listeners[i];

			if (l->is_paused && source_set_events(l->io, EPOLLIN) == 0)
				l->is_paused = false;
			is_owed |= l->is_paused;
		}
		if (!is_listening(f))
			listen_on(f);
		is_owed |= !is_listening(f);
	}
	if (is_owed)
		(void)source_arm(all->timer, RETRY_S * USEC_PER_SEC, USEC_PER_SEC); /* a live timer */
}

/* Making */

static void forward_free(struct forward *f)
{
	struct caller *c, *next;
	struct conn *conn, *tmp;

	DL_FOREACH_SAFE(f->conns, conn, tmp)
		conn_free(conn);
	HASH_ITER (hh, f->callers, c, next) {
		HASH_DEL(f->callers, c);
		free(c);
	}
	for (size_t i = 0; i < 2; i++)
		close_listener(&f->listeners[i]);
	DL_DELETE(f->all->list, f);
	free(f->conf.service);
	free(f);
}

static bool is_same(const struct conf_forward *a, const struct conf_forward *b)
{
	return a->port == b->port && ip_eq(&a->address, &b->address) && str_eq(a->service, b->service) &&
	       a->service_port == b->service_port;
}

static int forward_add(struct forwards *all, const struct conf_forward *conf)
{
	struct forward *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->all = all;
	f->conf = *conf;
	f->conf.service = strdup(conf->service);
	f->is_in_conf = true;
	for (size_t i = 0; i < 2; i++)
		f->listeners[i] = (struct listener){.forward = f, .fd = -1, .is_wanted = !conf->address.family ||
						    conf->address.family == (i ? AF_INET6 : AF_INET)};
	DL_APPEND(all->list, f);
	if (!f->conf.service) {
		forward_free(f);
		return -ENOMEM;
	}
	return 0;
}

int forwards_reload(struct forwards *all)
{
	struct forward *f, *tmp;
	int r = 0;

	DL_FOREACH (all->list, f) {
		f->is_in_conf = false;
		for (size_t i = 0; i < all->conf->forwards.n; i++)
			f->is_in_conf |= is_same(&f->conf, &all->conf->forwards.v[i]);
	}
	DL_FOREACH_SAFE(all->list, f, tmp)
		if (!f->is_in_conf)
			forward_free(f);
	for (size_t i = 0; r == 0 && i < all->conf->forwards.n; i++) {
		bool is_there = false;

		DL_FOREACH (all->list, f)
			is_there |= is_same(&f->conf, &all->conf->forwards.v[i]);
		if (!is_there)
			r = forward_add(all, &all->conf->forwards.v[i]);
	}
	(void)source_arm(all->timer, 0, 0); /* a live timer */
	return r;
}

int forwards_new(struct loop *loop, const struct conf *conf, const struct forwards_conf *fc, struct forwards **ret)
{
	CLEANUP(forwards_free) struct forwards *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return -ENOMEM;
	all->loop = loop;
	all->conf = conf;
	all->fc = *fc;
	r = loop_add_timer(loop, on_timer, all, &all->timer);
	if (r == 0)
		r = forwards_reload(all);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(all);
	return 0;
}

void forwards_free(struct forwards *all)
{
	struct forward *f, *tmp;

	if (!all)
		return;
	DL_FOREACH_SAFE(all->list, f, tmp)
		forward_free(f);
	source_free(all->timer);
	free(all);
}

void forwards_each(const struct forwards *all, void (*fn)(const struct forwards_info *info, void *arg),
		   void (*caller)(const struct forwards_info *info, const struct forwards_caller *c, void *arg), void *arg)
{
	const struct forward *f;

	DL_FOREACH (all->list, f) {
		const struct forwards_info info = {.conf = &f->conf, .is_listening = is_listening(f), .text = f->text,
						   .connections = f->connections, .active = f->active, .failed = f->failed,
						   .n_callers = HASH_COUNT(f->callers), .callers_left_out = f->left_out};

		if (fn)
			fn(&info, arg);
		for (const struct caller *c = f->callers; caller && c; c = c->hh.next)
			caller(&info, &c->info, arg);
	}
}
