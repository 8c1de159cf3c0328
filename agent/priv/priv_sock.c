/* SPDX-License-Identifier: Apache-2.0 */
#include "priv/priv_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "mesh_abi.h"

struct bind_question {
	struct sockaddr_storage sa;
	uint32_t len;
};

static int ask_with(enum priv_code code, const void *in, size_t len, int fd)
{
	const struct iovec question = {.iov_base = (void *)(uintptr_t)in, .iov_len = len};
	struct priv_answer a = {.out = NULL};

	return priv_call(code, &question, 1, fd, &a);
}

int priv_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct bind_question q = {.len = len};

	if (bind(fd, sa, len) == 0)
		return 0;
	if (!priv_is_split() || errno != EACCES)
		return -errno;
	if (len > sizeof(q.sa))
		return -EINVAL;
	memcpy(&q.sa, sa, len);
	return ask_with(PRIV_SOCK_BIND, &q, sizeof(q), fd);
}

int priv_set_mark(int fd, uint32_t mark)
{
	if (priv_is_split())
		return ask_with(PRIV_SOCK_MARK, &mark, sizeof(mark), fd);
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? -errno : 0;
}

int priv_set_rcvbuf(int fd, int bytes)
{
	if (priv_is_split())
		return ask_with(PRIV_SOCK_RCVBUF, &bytes, sizeof(bytes), fd);
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ? -errno : 0;
}

static int do_bind(struct priv_request *q, void *arg)
{
	const struct bind_question *in = q->in;
	socklen_t len = in->sa.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	(void)arg;
	if ((in->sa.ss_family != AF_INET && in->sa.ss_family != AF_INET6) || in->len != len)
		return -EINVAL;
	return bind(q->fd, (const struct sockaddr *)&in->sa, len) < 0 ? -errno : 0;
}

static int do_mark(struct priv_request *q, void *arg)
{
	const uint32_t *mark = q->in;

	(void)arg;
	if (*mark != MESH_DNS_MARK && *mark != (MESH_DNS_MARK | MESH_DNS_ALLOWED))
		return -EACCES;
	return setsockopt(q->fd, SOL_SOCKET, SO_MARK, mark, sizeof(*mark)) < 0 ? -errno : 0;
}

static int do_rcvbuf(struct priv_request *q, void *arg)
{
	const int *bytes = q->in;

	(void)arg;
	if (*bytes < 0 || *bytes > PRIV_RCVBUF_MAX)
		return -EINVAL;
	return setsockopt(q->fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes, sizeof(*bytes)) < 0 ? -errno : 0;
}

static const struct priv_op ops[] = {
	{.code = PRIV_SOCK_BIND, .has_fd = true, .size = sizeof(struct bind_question), .fn = do_bind},
	{.code = PRIV_SOCK_MARK, .has_fd = true, .size = sizeof(uint32_t), .fn = do_mark},
	{.code = PRIV_SOCK_RCVBUF, .has_fd = true, .size = sizeof(int), .fn = do_rcvbuf},
};
const struct priv_table priv_sock_table = {.ops = ops, .n = ARRAY_LEN(ops)};
