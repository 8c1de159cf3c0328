/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl_conn.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "ctl/ctl_proto.h"

struct addition {
	struct buf *to;
	int r;
};

static int add_chunk(const char *data, size_t len, void *arg)
{
	struct addition *a = arg;

	a->r = buf_add(a->to, data, len);
	return a->r < 0 ? -1 : 0;
}

int ctl_conn_add(struct ctl_conn *c, const json_t *message)
{
	struct addition add = {.to = &c->out};
	size_t before = c->out.len;

	c->out.max = LIMIT_CTL_RESPONSE;
	if (json_dump_callback(message, add_chunk, &add, JSON_COMPACT) < 0 && add.r == 0)
		add.r = -ENOMEM; /* of jansson's own */
	if (add.r == 0)
		add.r = buf_add(&c->out, "\n", 1);
	if (add.r < 0)
		c->out.len = before; /* half a line is worse than none */
	return add.r;
}

void ctl_conn_event(struct ctl_conn *c, const char *line, size_t len)
{
	char lost[64];
	int n = 0;

	if (c->lost)
		n = snprintf(lost, sizeof(lost), "{\"lost\":%" PRIu64 "}\n", c->lost);
	c->out.max = LIMIT_CTL_RESPONSE;
	if (c->out.len - c->sent + len + (size_t)n > CTL_STREAM_BYTES ||
	    buf_add(&c->out, lost, (size_t)n) < 0) {
		c->lost++;
		return;
	}
	c->lost = 0;
	if (len && buf_add(&c->out, line, len) < 0)
		c->lost = 1;
}

int ctl_conn_flush(struct ctl_conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			/* Moving what is left is cheap only when little of it is. */
			if (c->sent > c->out.len / 2) {
				buf_consume(&c->out, c->sent);
				c->sent = 0;
			}
			return 0;
		}
		if (n < 0)
			return -errno;
		c->sent += (size_t)n;
	}
	c->sent = 0;
	if (c->out.cap > CTL_STREAM_BYTES)
		buf_done(&c->out); /* a large answer must not stay as memory of an idle client */
	else
		buf_clear(&c->out);
	return 1;
}

int ctl_conn_fill(struct ctl_conn *c)
{
	char chunk[16 * 1024];
	ssize_t n;

	c->in.max = LIMIT_CTL_REQUEST + sizeof(chunk);
	do
		n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	return buf_add(&c->in, chunk, (size_t)n);
}

int ctl_conn_line(struct ctl_conn *c, char **ret_line, size_t *ret_len)
{
	const char *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
	size_t len;
	char *line;

	if (!end)
		return c->in.len > LIMIT_CTL_REQUEST ? -E2BIG : 0;
	len = (size_t)(end - c->in.data);
	if (len > LIMIT_CTL_REQUEST)
		return -E2BIG;
	line = malloc(len + 1);
	if (!line)
		return -ENOMEM;
	memcpy(line, c->in.data, len);
	line[len] = '\0';
	buf_consume(&c->in, len + 1);
	*ret_line = line;
	*ret_len = len;
	return 1;
}
