/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_sync.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "netlink/nl_private.h"

struct nl_sync {
	int fd;
	uint32_t port, seq;
	union {
		struct nlmsghdr hdr;
		char bytes[NL_RECV_BYTES];
	} in;
};

int nl_sync_new(int protocol, struct nl_sync **ret)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	CLEANUP(nl_sync_free) struct nl_sync *s = calloc(1, sizeof(*s));
	struct sockaddr_nl own;
	socklen_t len = sizeof(own);
	const int one = 1;

	if (!s)
		return -ENOMEM;
	s->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	/* connected: nobody but the kernel is heard */
	if (s->fd < 0 || connect(s->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&own, &len) < 0)
		return -errno;
	s->port = own.nl_pid;
	/* older kernels give no sentence, and echo the request */
	(void)setsockopt(s->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(s->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	*ret = TAKE_PTR(s);
	return 0;
}

void nl_sync_free(struct nl_sync *s)
{
	if (!s)
		return;
	close_fd(s->fd);
	free(s);
}

uint32_t nl_sync_port(const struct nl_sync *s)
{
	return s->port;
}

/* One datagram of the answer. 1 at its end, with the result in *ret_r; 0 if there is more. */
static int take(struct nl_sync *s, size_t len, nl_part_fn part, void *arg, int *ret_r, struct err *reterr)
{
	const struct nlmsghdr *h;
	size_t at = 0;

	while ((h = nl_next(&s->in, len, &at))) {
		struct err why = {0};

		if (h->nlmsg_seq != s->seq)
			continue; /* of an earlier request */
		if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
			int r = nl_end(h, &why);

			if (r < 0)
				(void)err_set(reterr, -r, "%s", why.text[0] ? why.text : err_name(r)); /* returns r */
			*ret_r = *ret_r < 0 ? *ret_r : r;
			return 1;
		}
		if (h->nlmsg_type >= NLMSG_MIN_TYPE && part && *ret_r == 0)
			*ret_r = MIN(part(h, arg), 0);
	}
	return 0;
}

int nl_sync_ask(struct nl_sync *s, struct nlmsghdr *msg, nl_part_fn part, void *arg, struct err *reterr)
{
	int r = 0;

	msg->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	msg->nlmsg_seq = ++s->seq;
	msg->nlmsg_pid = s->port;
	if (send(s->fd, msg, msg->nlmsg_len, 0) < 0)
		return err_set(reterr, errno, "%s", err_name(errno));
	for (;;) {
		ssize_t n = recv(s->fd, &s->in, sizeof(s->in), 0);

		if (n < 0 && errno != EINTR)
			return err_set(reterr, errno, "%s", err_name(errno));
		if (n >= 0 && take(s, (size_t)n, part, arg, &r, reterr))
			return r;
	}
}
