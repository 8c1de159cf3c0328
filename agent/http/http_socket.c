/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

enum { PACE_US = 5000, PIECE_BYTES = 16384 }; /* of what fills a buffer, more may be there already */

struct http_socket {
	struct http_socket_conf conf;
	struct source *io, *pace;
	int fd;
	uint32_t events; /* that are asked for */
	bool is_paced;	 /* EPOLLIN is not waited for, but the time */
	bool *ret_is_freed; /* while it is being read */
};

/* Returns how much came, or -1 if the socket is no more. */
static int64_t ready(struct http_socket *s, uint32_t events)
{
	const uint64_t *received = s->conf.received;
	uint64_t before = *received;
	bool is_freed = false;

	s->ret_is_freed = &is_freed;
	s->conf.on_ready(s->fd, events, s->conf.arg);
	if (is_freed)
		return -1;
	s->ret_is_freed = NULL;
	return (int64_t)(*received - before);
}

static int apply_events(struct http_socket *s)
{
	return source_set_events(s->io, s->is_paced ? s->events & ~(uint32_t)EPOLLIN : s->events);
}

static void unpace(struct http_socket *s)
{
	s->is_paced = false;
	(void)apply_events(s); /* to what epoll took before */
}

static void pace(struct http_socket *s)
{
	s->is_paced = true;
	if (apply_events(s) < 0 || source_arm(s->pace, PACE_US, 0) < 0)
		unpace(s);
}

static void on_pace(void *arg)
{
	struct http_socket *s = arg;
	int64_t n = s->events & EPOLLIN ? ready(s, EPOLLIN) : 0;

	if (n < 0)
		return;
	if (n == 0 || !*s->conf.bulk || source_arm(s->pace, n >= PIECE_BYTES ? 0 : PACE_US, 0) < 0)
		unpace(s);
}

static void on_io(uint32_t events, void *arg)
{
	struct http_socket *s = arg;
	int64_t n = ready(s, events);

	if (n > 0 && n < PIECE_BYTES && *s->conf.bulk && !s->is_paced)
		pace(s);
}

int http_socket_new(struct loop *loop, int fd, uint32_t events, const struct http_socket_conf *conf, struct http_socket **ret)
{
	CLEANUP(http_socket_free) struct http_socket *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	s->fd = fd;
	s->events = events;
	r = loop_add_timer(loop, on_pace, s, &s->pace);
	if (r == 0)
		r = loop_add_io(loop, fd, events, on_io, s, &s->io);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void http_socket_free(struct http_socket *s)
{
	if (!s)
		return;
	if (s->ret_is_freed)
		*s->ret_is_freed = true;
	source_free(s->io);
	source_free(s->pace);
	free(s);
}

int http_socket_set_events(struct http_socket *s, uint32_t events)
{
	s->events = events;
	return apply_events(s);
}
