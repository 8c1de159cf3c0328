/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/check_tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

struct check_tcp {
	int fd;
	struct source *io;
	check_fn fn;
	void *arg;
};

void check_tcp_cancel(struct check_tcp *c)
{
	if (!c)
		return;
	source_free(c->io);
	close_fd(c->fd);
	free(c);
}

static void on_io(uint32_t events, void *arg)
{
	struct check_tcp *c = arg;
	check_fn fn = c->fn;
	void *fn_arg = c->arg;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)events; /* the socket's error tells all */
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	check_tcp_cancel(c);
	fn(error ? CHECK_FAILED : CHECK_OK, error ? err_name(error) : "", fn_arg);
}

static socklen_t address_of(const struct ip *ip, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){0};
	if (ip->family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, ip->b, sizeof(v4->sin_addr));
		return sizeof(*v4);
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, ip->b, sizeof(v6->sin6_addr));
		return sizeof(*v6);
	}
}

int check_tcp_start(struct loop *loop, const struct ip *ip, uint16_t port, check_fn fn, void *arg,
		    struct check_tcp **ret)
{
	struct check_tcp *c = calloc(1, sizeof(*c));
	struct sockaddr_storage to;
	socklen_t len = address_of(ip, port, &to);
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->arg = arg;
	c->fd = socket(ip->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		r = -errno;
	if (r == 0 && connect(c->fd, (const struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		r = -errno;
	if (r == 0) /* connected at once: writable, which the loop finds */
		r = loop_add_io(loop, c->fd, EPOLLOUT, on_io, c, &c->io);
	if (r < 0) {
		check_tcp_cancel(c);
		return r;
	}
	*ret = c;
	return 0;
}
