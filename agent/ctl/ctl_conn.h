/* SPDX-License-Identifier: Apache-2.0 */
/* One client of the control socket: its buffers and what it subscribed to. Only ctl_server.c uses it. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "ctl/ctl_server.h"

struct ctl_conn {
	struct ctl_conn *prev, *next;
	struct ctl_server *server;
	int fd;
	enum ctl_access access;
	struct source *io, *idle, *again; /* again: the next request that is read already */
	struct buf in, out;
	size_t sent; /* of out */
	struct ctl_call *call; /* answer to come */
	const struct ctl_stream *stream;
	uint64_t lost; /* events since the last line about them */
	bool is_ending; /* close when `out` is sent */
};

/* Appends one line. 0, -E2BIG, -ENOMEM. */
int ctl_conn_add(struct ctl_conn *c, const json_t *message);

/* Appends an event, or counts it as lost if the reader is too far behind. */
void ctl_conn_event(struct ctl_conn *c, const char *line, size_t len);

/* Writes what the socket takes. 1 if all is sent, 0 if some is left, -errno. */
int ctl_conn_flush(struct ctl_conn *c);

/* Reads what is there. 0, -EPIPE at its end, -E2BIG past the cap, errno of recv(). */
int ctl_conn_fill(struct ctl_conn *c);

/*
 * Takes the first line of the input: 1 with *ret_line (owned by the caller), 0 if none is whole.
 * -E2BIG if it can never be, -ENOMEM.
 */
int ctl_conn_line(struct ctl_conn *c, char **ret_line, size_t *ret_len);
