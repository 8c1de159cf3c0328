/* SPDX-License-Identifier: Apache-2.0 */
/* What needs rights of sockets that this process reads and writes itself: each is lent to the other one for the call. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "priv/priv.h"

/*
 * bind(2), of an IPv4 or IPv6 socket: ports below 1024 need a right. The errno of bind(2); -EINVAL from the other
 * process for another family or a length that is not its own.
 */
int priv_bind(int fd, const struct sockaddr *sa, socklen_t len);

/* SO_MARK. errno of setsockopt(2); the other process sets marks of DNS (mesh_abi.h) only: -EACCES. */
int priv_set_mark(int fd, uint32_t mark);

/* SO_RCVBUFFORCE. errno of setsockopt(2); the other process gives no more than PRIV_RCVBUF_MAX: -EINVAL. */
enum { PRIV_RCVBUF_MAX = 4 * 1024 * 1024 };
int priv_set_rcvbuf(int fd, int bytes);

/* The functions of the three, for priv_start(). */
extern const struct priv_table priv_sock_table;
