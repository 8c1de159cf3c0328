/* SPDX-License-Identifier: Apache-2.0 */
/* Connected sockets of this network namespace (sock_diag(7)): found by their peer, and ended. */
#pragma once

#include <linux/inet_diag.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "netlink/nl.h"

struct nl_sock {
	struct ip local, remote; /* IPv4 for v4-mapped addresses, too */
	uint16_t local_port, remote_port;
	uint8_t state;	  /* TCP_LISTEN and so on, of netinet/tcp.h */
	uint64_t cookie;  /* the number that BPF programs know the socket by */
	uint8_t family;	  /* AF_INET or AF_INET6, of the socket */
	bool is_closed;	  /* the application has closed it; the kernel says the last words */
	struct inet_diag_sockid id; /* as the kernel wants it back */
};

/* Decodes one part of a dump. 0; -ENOMSG for messages of another kind or family; -EBADMSG. */
int nl_sock_decode(const struct nlmsghdr *msg, struct nl_sock *ret);

/* What the id of a socket says of it: all but its state, and whether it is closed. -EINVAL for another family. */
int nl_sock_of(uint8_t family, const struct inet_diag_sockid *id, struct nl_sock *ret);

/*
 * Dumps the connected sockets of a family (AF_INET, AF_INET6) and protocol (IPPROTO_TCP, IPPROTO_UDP); with
 * `remote`, which may be NULL, only those whose peer is this address and port. Sockets of AF_INET6 that talk to
 * an IPv4 address are among those of AF_INET6. `nl` is one of nl_new_sock(). 0, -ENOMEM, -EINVAL. The kernel
 * answers -ENOENT if it has no such list (CONFIG_INET_DIAG, CONFIG_INET_UDP_DIAG).
 */
int nl_sock_dump(struct nl *nl, uint8_t family, uint8_t proto, const struct ip *remote, uint16_t remote_port,
		 const struct nl_reply *reply);

/*
 * The TCP sockets of a family that listen, are connected or begin to be, at once and without a loop: the kernel
 * answers within the call. `fn` is called for each until it returns non-zero, which is then returned.
 * -ENOENT without CONFIG_INET_DIAG; -EBADMSG; errno of socket(2) and recv(2).
 */
typedef int (*nl_sock_fn)(const struct nl_sock *s, void *arg);
int nl_sock_list(uint8_t family, nl_sock_fn fn, void *arg);

/*
 * Ends a socket: whoever uses it gets ECONNABORTED, and the peer of a TCP connection a reset. 0, -ENOMEM. The
 * kernel answers -ENOENT if it is gone, -EOPNOTSUPP without CONFIG_INET_DIAG_DESTROY, -EPERM.
 */
int nl_sock_destroy(struct nl *nl, const struct nl_sock *s, uint8_t proto, const struct nl_reply *reply);
