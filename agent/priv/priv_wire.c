/* SPDX-License-Identifier: Apache-2.0 */
#include "priv/priv_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/macro.h"

enum { BODY_PARTS = 4 };

/* Room for the descriptors, aligned. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * PRIV_FDS)];
};

int priv_send(int fd, const void *head, size_t head_len, const struct iovec *body, size_t n, const int fds[PRIV_FDS])
{
	union control control = {.bytes = {0}};
	struct iovec iov[1 + BODY_PARTS] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = head_len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 1 + n};
	size_t n_fds = 0, len = 0;
	ssize_t sent;

	if (n > BODY_PARTS)
		return -EMSGSIZE;
	for (size_t i = 0; i < n; i++) {
		iov[1 + i] = body[i];
		len += body[i].iov_len;
	}
	if (len > PRIV_BYTES)
		return -EMSGSIZE;
	while (fds && n_fds < PRIV_FDS && fds[n_fds] >= 0)
		n_fds++;
	if (n_fds) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do
		sent = sendmsg(fd, &mh, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Every descriptor that came is taken, so that none is left open. */
static size_t take_fds(struct msghdr *mh, int ret_fds[PRIV_FDS])
{
	size_t n_fds = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (n_fds < PRIV_FDS)
				ret_fds[n_fds++] = fd;
			else
				close_fd(fd);
		}
	}
	return n_fds;
}

int priv_recv(int fd, void *ret_head, size_t head_len, void *ret_body, size_t max, int ret_fds[PRIV_FDS])
{
	union control control = {.bytes = {0}};
	struct iovec iov[2] = {{.iov_base = ret_head, .iov_len = head_len}, {.iov_base = ret_body, .iov_len = max}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
	size_t n_fds;
	ssize_t n;

	for (size_t i = 0; i < PRIV_FDS; i++)
		ret_fds[i] = -1;
	do
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	n_fds = take_fds(&mh, ret_fds);
	if ((size_t)n >= head_len && !(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return (int)((size_t)n - head_len);
	while (n_fds--) {
		close_fd(ret_fds[n_fds]);
		ret_fds[n_fds] = -1;
	}
	return -EBADMSG;
}
