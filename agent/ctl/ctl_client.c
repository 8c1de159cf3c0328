/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "ctl/ctl_proto.h"
#include "json/json.h"

struct ctl_client {
	int fd;
	uint64_t timeout_us;
	struct buf in;
	size_t taken;	/* of in: lines handed out */
	size_t scanned; /* of in: no newline before */
};

void ctl_client_free(struct ctl_client *c)
{
	if (!c)
		return;
	close_fd(c->fd);
	buf_done(&c->in);
	free(c);
}

int ctl_client_new(const char *path, uint64_t timeout_us, struct ctl_client **ret, struct err *reterr)
{
	CLEANUP(ctl_client_free) struct ctl_client *c = calloc(1, sizeof(*c));
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = (time_t)(timeout_us / USEC_PER_SEC),
			     .tv_usec = (suseconds_t)(timeout_us % USEC_PER_SEC)};

	if (!c)
		return -ENOMEM;
	c->timeout_us = timeout_us;
	c->in.max = LIMIT_CTL_RESPONSE;
	c->fd = -1;
	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(reterr, ENAMETOOLONG, "%s: longer than a socket's path may be", path);
	memcpy(sa.sun_path, path, strlen(path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return err_set(reterr, errno, "socket: %s", err_name(errno));
	/* A full backlog makes connect() wait; a hung daemon must not hang us. */
	if (setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return err_set(reterr, errno, "socket: %s", err_name(errno));
	if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int e = errno == EAGAIN || errno == EINPROGRESS ? ETIMEDOUT : errno;

		return err_set(reterr, e, "%s: %s", path, err_name(e));
	}
	*ret = TAKE_PTR(c);
	return 0;
}

static int send_all(struct ctl_client *c, const char *data, size_t len, struct err *reterr)
{
	while (len) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE)
			return 0; /* turned away: the reason is there to be read */
		if (n < 0 && errno == EAGAIN)
			return err_set(reterr, ETIMEDOUT, "the daemon does not read");
		if (n < 0)
			return err_set(reterr, errno, "send: %s", err_name(errno));
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Waits for input until `deadline_us` (UINT64_MAX = none). 1, 0 when it passed or a signal came. */
static int wait_readable(struct ctl_client *c, uint64_t deadline_us)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	uint64_t now = clock_boot_us(), left_ms;
	int r;

	if (deadline_us == UINT64_MAX)
		r = poll(&p, 1, -1);
	else {
		left_ms = deadline_us > now ? (deadline_us - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC : 0;
		r = poll(&p, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
	}
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r;
}

/*
 * Next line, NUL-terminated inside the buffer until the next call. 1; 0 when the time is over; -errno
 * with text.
 */
static int next_line(struct ctl_client *c, uint64_t deadline_us, char **ret_line, struct err *reterr)
{
	char chunk[64 * 1024];
	char *end;
	ssize_t n;
	int r;

	buf_consume(&c->in, c->taken);
	c->taken = c->scanned = 0;
	for (;;) {
		end = c->in.len > c->scanned ? memchr(c->in.data + c->scanned, '\n', c->in.len - c->scanned)
					     : NULL;
		if (end) {
			*end = '\0';
			*ret_line = c->in.data;
			c->taken = (size_t)(end - c->in.data) + 1;
			return 1;
		}
		c->scanned = c->in.len;
		r = wait_readable(c, deadline_us);
		if (r < 0)
			return err_set(reterr, -r, "poll: %s", err_name(r));
		if (r == 0)
			return 0;
		n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return err_set(reterr, EPIPE, "the daemon closed the connection");
		if (n < 0)
			return err_set(reterr, errno, "recv: %s", err_name(errno));
		r = buf_add(&c->in, chunk, (size_t)n);
		if (r < 0)
			return err_set(reterr, -r, "the answer is too large");
	}
}

static int errno_of(const char *code)
{
	static const struct {
		const char *code;
		int e;
	} codes[] = {{CTL_CODE_REQUEST, EINVAL}, {CTL_CODE_DENIED, EPERM}, {CTL_CODE_MISSING, ENOENT},
		     {CTL_CODE_UNJOINED, ENOTCONN}, {CTL_CODE_BUSY, EBUSY}};

	for (size_t i = 0; code && i < ARRAY_LEN(codes); i++)
		if (str_eq(codes[i].code, code))
			return codes[i].e;
	return EREMOTEIO;
}

int ctl_client_call(struct ctl_client *c, const char *verb, const json_t *args, json_t **ret_data,
		    struct err *reterr)
{
	CLEANUP(json_decref) json_t *request = json_pack("{s:s}", "verb", verb), *reply = NULL;
	CLEANUP(free) char *text = NULL;
	json_t *ok, *data;
	char *line;
	int r;

	if (!request || (args && json_object_set_new(request, "args", json_clone(args)) < 0))
		return -ENOMEM;
	text = json_dumps(request, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	r = send_all(c, text, strlen(text), reterr);
	if (r >= 0)
		r = send_all(c, "\n", 1, reterr);
	if (r < 0)
		return r;
	r = next_line(c, clock_boot_us() + c->timeout_us, &line, reterr);
	if (r == 0)
		return err_set(reterr, ETIMEDOUT, "no answer in %u s", (unsigned)(c->timeout_us / USEC_PER_SEC));
	if (r < 0)
		return r;
	reply = json_parse(line, strlen(line));
	if (!reply && errno == ENOMEM)
		return err_set(reterr, ENOMEM, "out of memory");
	ok = json_object_get(reply, "ok");
	data = json_object_get(reply, "data");
	if (json_is_false(ok)) {
		const char *error = json_string_value(json_object_get(reply, "error"));
		int e = errno_of(json_string_value(json_object_get(reply, "code")));

		return err_set(reterr, e, "%s", error ? error : err_name(e));
	}
	if (!json_is_true(ok) || !data)
		return err_set(reterr, EPROTO, "the daemon's answer is none of this protocol");
	*ret_data = json_incref(data);
	return 0;
}

int ctl_client_next(struct ctl_client *c, uint64_t timeout_us, json_t **ret_event, uint64_t *ret_lost,
		    struct err *reterr)
{
	CLEANUP(json_decref) json_t *message = NULL;
	uint64_t deadline_us = timeout_us == UINT64_MAX ? UINT64_MAX : clock_boot_us() + timeout_us;
	json_t *event, *lost;
	char *line;
	int r = next_line(c, deadline_us, &line, reterr);

	if (r <= 0)
		return r;
	message = json_parse(line, strlen(line));
	if (!message && errno == ENOMEM)
		return err_set(reterr, ENOMEM, "out of memory");
	event = json_object_get(message, "event");
	lost = json_object_get(message, "lost");
	if (!event && !json_is_integer(lost))
		return err_set(reterr, EPROTO, "the daemon's answer is none of this protocol");
	*ret_event = event ? json_incref(event) : NULL;
	*ret_lost = json_integer_value(lost) > 0 ? (uint64_t)json_integer_value(lost) : 0;
	return 1;
}
