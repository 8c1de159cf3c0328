/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which socket of this network namespace is at the other end of a local datagram or connection: its
 * cookie, by which BPF programs know it. The kernel answers within the call, so nothing waits.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

struct sock_diag;

/* 0, -ENOMEM, or errno of socket(2). */
int sock_diag_new(struct sock_diag **ret);
/* NULL is fine. */
void sock_diag_free(struct sock_diag *d);
DEFINE_CLEANUP(struct sock_diag *, sock_diag_free)

struct sock_pair {
	uint8_t proto; /* IPPROTO_UDP or IPPROTO_TCP */
	struct ip local, remote;
	uint16_t local_port, remote_port;
};

/*
 * The cookie of the socket that is bound to the local address and port and, if it is connected, to the
 * remote ones. -ENOENT if there is none, or more than one may be it; other errno where the kernel cannot tell.
 */
int sock_diag_cookie(struct sock_diag *d, const struct sock_pair *pair, uint64_t *ret);

/*
 * Whether the kernel tells of sockets of that protocol, found out with one of ours: those without the list answer
 * as if there were no such socket. 0; -EOPNOTSUPP; errno of socket(2) and bind(2).
 */
int sock_diag_probe(struct sock_diag *d, uint8_t proto);

/*
 * How many TCP connections to a local port are established, of both families. 0; -EAGAIN if the kernel was interrupted;
 * other errno where it cannot tell.
 */
int sock_diag_count(struct sock_diag *d, uint16_t local_port, uint64_t *ret);
