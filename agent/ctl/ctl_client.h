/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking end of the control socket, for command line programs. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct ctl_client;

/*
 * Connects. `timeout_us` bounds this and each later wait for a reply. -ENOENT or -ECONNREFUSED: no
 * daemon; -EACCES: the socket is not for us; -ETIMEDOUT; -ENAMETOOLONG; -ENOMEM.
 */
int ctl_client_new(const char *path, uint64_t timeout_us, struct ctl_client **ret, struct err *reterr);
void ctl_client_free(struct ctl_client *c);
DEFINE_CLEANUP(struct ctl_client *, ctl_client_free)

/*
 * Asks and waits for the answer. `args` is borrowed, NULL for none; *ret_data is the caller's.
 * The daemon's refusals: -EINVAL, -EPERM, -ENOENT (not found), -ENOTCONN (not joined), -EBUSY,
 * -EREMOTEIO (failed). Trouble on the way: -ETIMEDOUT, -EPIPE (closed), -EPROTO (not our protocol),
 * -ENOMEM. After these the client can only be freed.
 */
int ctl_client_call(struct ctl_client *c, const char *verb, const json_t *args, json_t **ret_data,
		    struct err *reterr);

/*
 * Next event of a stream verb that was called before. 1 with *ret_event and *ret_lost, which is how
 * many were dropped before it (an event may be NULL if only that is told); 0 when `timeout_us`
 * (UINT64_MAX = none) passed or a signal came; errors as ctl_client_call().
 */
int ctl_client_next(struct ctl_client *c, uint64_t timeout_us, json_t **ret_event, uint64_t *ret_lost,
		    struct err *reterr);
