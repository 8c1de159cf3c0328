/* SPDX-License-Identifier: Apache-2.0 */
/* The heads of the messages between the two processes, which are one SOCK_SEQPACKET datagram each. */
#pragma once

#include <stdint.h>

#include "priv/priv.h"

struct priv_question {
	uint32_t code; /* enum priv_code */
};

struct priv_reply {
	int32_t result;
	uint32_t value;
	struct err err;
};

/*
 * One datagram: head and body, and up to PRIV_FDS descriptors. 0, -errno; receiving: the bytes of the body; -EPIPE if the
 * other end is closed, -EBADMSG without a whole head, with a cut body or too many descriptors.
 */
int priv_send(int fd, const void *head, size_t head_len, const struct iovec *body, size_t n, const int fds[PRIV_FDS]);
int priv_recv(int fd, void *ret_head, size_t head_len, void *ret_body, size_t max, int ret_fds[PRIV_FDS]);

/* Answers questions on `fd` until the other end is closed or an answer cannot be sent. */
void priv_serve(int fd, const struct priv_table *tables, size_t n);
