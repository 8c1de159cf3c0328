/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/nl_refuse.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint16_t refused_type;
static unsigned left;

void nl_refuse(uint16_t type, unsigned n)
{
	refused_type = type;
	left = n;
}

unsigned nl_refuse_left(void)
{
	return left;
}

/* In place of the one of libc. */
ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	struct nlmsghdr h = {0};

	if (left && to && to->sa_family == AF_NETLINK && len >= sizeof(h)) {
		memcpy(&h, data, sizeof(h));
		if (h.nlmsg_type == refused_type) {
			left--;
			errno = ENOBUFS;
			return -1;
		}
	}
	return syscall(SYS_sendto, fd, data, len, flags, to, to_len);
}
