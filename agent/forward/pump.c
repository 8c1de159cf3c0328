/* SPDX-License-Identifier: Apache-2.0 */
#include "forward/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536, ROUNDS_MAX = 16 }; /* what a pipe holds by default; a busy one must let others have their turn */

/* One way: from a socket through a pipe to the other. */
struct way {
	int pipe[2];
	size_t held;	/* bytes in the pipe */
	bool is_at_end; /* nothing more will come */
	bool is_done;	/* and the other side has been told */
};

struct side {
	struct pump *pump;
	int fd;
	struct source *io; /* NULL: this side has nothing more to do */
};

struct pump {
	struct side sides[2];
	struct way ways[2]; /* [i]: from side i to the other */
	bool is_connected;
	void (*on_end)(struct pump *p, int r, bool was_connected, void *arg);
	void *arg;
};

void pump_free(struct pump *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < 2; i++) {
		source_free(p->sides[i].io);
		close_fd(p->sides[i].fd);
		close_fd(p->ways[i].pipe[0]);
		close_fd(p->ways[i].pipe[1]);
	}
	free(p);
}

bool pump_is_connected(const struct pump *p)
{
	return p->is_connected;
}

/* Moves what can be moved. 0 or -errno. */
static int move(struct way *w, int from, int to)
{
	for (int i = 0; i < ROUNDS_MAX && !w->is_done; i++) {
		bool is_moved = false;
		ssize_t n;

		if (!w->is_at_end && w->held == 0) {
			n = splice(from, NULL, w->pipe[1], NULL, CHUNK, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return -errno;
			w->is_at_end = n == 0;
			w->held += n > 0 ? (size_t)n : 0;
			is_moved = n >= 0;
		}
		if (w->held) {
			n = splice(w->pipe[0], NULL, to, NULL, w->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return -errno;
			w->held -= n > 0 ? (size_t)n : 0;
			is_moved |= n > 0;
		}
		if (w->is_at_end && w->held == 0) {
			if (shutdown(to, SHUT_WR) < 0 && errno != ENOTCONN)
				return -errno;
			w->is_done = true;
		}
		if (!is_moved)
			return 0;
	}
	return 0;
}

/* What each side is waited for. A side with nothing to do is let go: its hang-up would be told again and again. */
static int watch(struct pump *p)
{
	for (size_t i = 0; i < 2; i++) {
		struct side *s = &p->sides[i];
		const struct way *out = &p->ways[i], *in = &p->ways[!i];
		/* Of a side that was let go, what is left of its bytes is asked for whenever this one takes some. */
		bool is_owed = in->held || (!in->is_at_end && !p->sides[!i].io);
		uint32_t events = (!out->is_at_end && !out->held ? EPOLLIN : 0U) | (is_owed ? EPOLLOUT : 0U);
		int r = 0;

		if (!s->io)
			continue;
		if (!p->is_connected)
			events = i ? EPOLLOUT : 0; /* side 0 must wait; if it hangs up meanwhile, that is an end */
		if (p->is_connected && out->is_at_end && in->is_done) {
			source_free(s->io);
			s->io = NULL;
		} else {
			r = source_set_events(s->io, events);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int step(struct pump *p)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++)
		r = move(&p->ways[i], p->sides[i].fd, p->sides[!i].fd);
	return r < 0 ? r : watch(p);
}

static int connected(struct pump *p)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(p->sides[1].fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	p->is_connected = error == 0;
	return -error;
}

static void on_io(uint32_t events, void *arg)
{
	struct side *s = arg;
	struct pump *p = s->pump;
	int r = 0;

	if (!p->is_connected)
		r = s == &p->sides[1] ? connected(p) : -ECONNABORTED;
	if (r == 0)
		r = step(p);
	if (r == 0 && (events & EPOLLERR))
		r = -ECONNRESET;
	/* Both ends have ended it: what it sent is all here, and that would be told without end. */
	if (r == 0 && (events & EPOLLHUP) && s->io && p->is_connected) {
		source_free(s->io);
		s->io = NULL;
		r = watch(p);
	}
	if (r < 0 || (p->ways[0].is_done && p->ways[1].is_done))
		p->on_end(p, r, p->is_connected, p->arg);
}

static void keep_alive(int fd)
{
	int one = 1;

	/* So that a peer that is gone without a word is found some day; a socket without it works, too. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

int pump_new(struct loop *loop, int a, int b, void (*on_end)(struct pump *p, int r, bool was_connected, void *arg), void *arg,
	     struct pump **ret)
{
	CLEANUP(pump_free) struct pump *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p) {
		close_fd(a);
		close_fd(b);
		return -ENOMEM;
	}
	p->on_end = on_end;
	p->arg = arg;
	for (size_t i = 0; i < 2; i++) {
		p->sides[i] = (struct side){.pump = p, .fd = i ? b : a};
		p->ways[i].pipe[0] = p->ways[i].pipe[1] = -1;
	}
	for (size_t i = 0; r >= 0 && i < 2; i++) {
		keep_alive(p->sides[i].fd);
		r = pipe2(p->ways[i].pipe, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
		if (r >= 0)
			r = loop_add_io(loop, p->sides[i].fd, i ? EPOLLOUT : 0, on_io, &p->sides[i], &p->sides[i].io);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}
