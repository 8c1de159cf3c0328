/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that is read as pieces come, or now and then. A pipe stands for it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "http/http_socket.h"

enum { PIECE = 100, ROUNDS_MAX = 1000000, PATIENCE_US = 10000000 };

struct reader {
	struct http_socket *socket;
	uint64_t received, times, most; /* bytes, calls, bytes in one of them */
	unsigned bulk;
	size_t at_once; /* reads so many in a call; 0 = all */
	bool frees, is_paused;
};

static void on_ready(int fd, uint32_t events, void *arg)
{
	struct reader *r = arg;
	char data[65536];
	ssize_t n = read(fd, data, r->at_once ? r->at_once : sizeof(data));

	cr_assert(events & (EPOLLIN | EPOLLHUP));
	cr_assert(n >= 0 || errno == EAGAIN);
	r->times++;
	if (n > 0) {
		r->received += (uint64_t)n;
		r->most = (uint64_t)n > r->most ? (uint64_t)n : r->most;
	}
	if (r->frees) {
		http_socket_free(r->socket);
		r->socket = NULL;
	}
	if (r->is_paused)
		cr_assert_eq(http_socket_set_events(r->socket, 0), 0);
}

static struct loop *loop;
static int ends[2];

static void begin(struct reader *r)
{
	struct http_socket_conf conf = {.on_ready = on_ready, .arg = r, .received = &r->received, .bulk = &r->bulk};

	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(http_socket_new(loop, ends[0], EPOLLIN, &conf, &r->socket), 0);
}

static void end(struct reader *r)
{
	http_socket_free(r->socket);
	loop_free(loop);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void put(size_t n)
{
	static const char data[PIECE];

	cr_assert_eq(write(ends[1], data, n), (ssize_t)n);
}

/* Piece after piece, each as soon as the last one could be read, until `n` bytes come together. Returns what was sent. */
static uint64_t flood(struct reader *r, uint64_t n)
{
	uint64_t sent = 0;

	r->bulk = 1;
	for (unsigned i = 0; i < ROUNDS_MAX && r->most < n; i++) {
		if (sent - r->received < 32768) {
			put(PIECE);
			sent += PIECE;
		}
		cr_assert_geq(loop_once(loop, 0), 0);
	}
	cr_assert_geq(r->most, n, "piece by piece");
	return sent;
}

static void wait_for(const struct reader *r, uint64_t received)
{
	for (unsigned i = 0; i < 1000 && r->received < received; i++)
		cr_assert_geq(loop_once(loop, PATIENCE_US), 0);
	cr_assert_eq(r->received, received);
}

Test(http_socket, pieces_that_may_wait_are_read_together)
{
	struct reader r = {0};
	uint64_t sent, times;

	begin(&r);
	sent = flood(&r, (uint64_t)10 * PIECE);
	r.bulk = 0;
	wait_for(&r, sent);
	/* and when they may not any more, the next one is read when it comes: there is nothing else that ends this wait */
	while (loop_once(loop, 100000) > 0)
		;
	times = r.times;
	put(1);
	cr_assert_gt(loop_once(loop, PATIENCE_US), 0);
	wait_for(&r, sent + 1);
	cr_assert_eq(r.times, times + 1);
	end(&r);
}

Test(http_socket, pieces_are_read_as_they_come)
{
	struct reader r = {0};

	begin(&r);
	for (unsigned i = 1; i <= 1000; i++) {
		put(PIECE);
		cr_assert_gt(loop_once(loop, PATIENCE_US), 0);
		cr_assert_eq(r.times, i);
	}
	cr_assert_eq(r.most, PIECE);
	end(&r);
}

/* The last ones are not left there when nothing follows. */
Test(http_socket, the_end_of_what_may_wait_comes)
{
	struct reader r = {.bulk = 1};

	begin(&r);
	for (unsigned i = 1; i <= 20; i++) {
		put(PIECE);
		wait_for(&r, (uint64_t)i * PIECE);
	}
	end(&r);
}

Test(http_socket, a_buffer_that_is_never_empty_is_read_on)
{
	struct reader r = {.at_once = 16384, .bulk = 1};
	char data[16384] = {0};

	begin(&r);
	for (unsigned i = 0; i < 200; i++) {
		cr_assert_eq(write(ends[1], data, sizeof(data)), (ssize_t)sizeof(data));
		wait_for(&r, (uint64_t)sizeof(data) * (i + 1));
	}
	end(&r);
}

Test(http_socket, may_be_freed_while_it_is_read)
{
	struct reader r = {0};

	begin(&r);
	r.frees = true;
	put(1);
	cr_assert_gt(loop_once(loop, PATIENCE_US), 0);
	cr_assert_null(r.socket);
	end(&r);
}

/* Also when it is the time that was waited for. */
Test(http_socket, may_be_freed_while_it_is_paced)
{
	struct reader r = {0};

	begin(&r);
	(void)flood(&r, (uint64_t)10 * PIECE);
	r.frees = true;
	put(1);
	for (unsigned i = 0; i < 1000 && r.socket; i++)
		cr_assert_geq(loop_once(loop, PATIENCE_US), 0);
	cr_assert_null(r.socket);
	end(&r);
}

Test(http_socket, is_not_read_when_nobody_asks_for_it)
{
	struct reader r = {0};
	uint64_t sent, times;

	begin(&r);
	sent = flood(&r, (uint64_t)10 * PIECE);
	wait_for(&r, sent);
	r.is_paused = true;
	put(1);
	wait_for(&r, sent + 1);
	times = r.times;
	put(1);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_geq(loop_once(loop, 1000), 0);
	cr_assert_eq(r.times, times);
	r.is_paused = false;
	cr_assert_eq(http_socket_set_events(r.socket, EPOLLIN), 0);
	wait_for(&r, sent + 2);
	end(&r);
}

Test(http_socket, the_end_is_told_while_it_is_paced)
{
	struct reader r = {0};

	begin(&r);
	(void)flood(&r, (uint64_t)10 * PIECE);
	r.frees = true;
	(void)close(ends[1]);
	ends[1] = -1;
	for (unsigned i = 0; i < 1000 && r.socket; i++)
		cr_assert_geq(loop_once(loop, PATIENCE_US), 0);
	cr_assert_null(r.socket);
	end(&r);
}
