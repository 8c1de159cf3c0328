/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that the daemon listens at. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/*
 * Binds `path`, in place of what a dead daemon left there, and listens. Mode 0600, or 0666 if `is_for_all`. `ret_fd` is
 * the caller's; errors as those of ctl_server_new(), with a text.
 */
int ctl_listen(const char *path, bool is_for_all, int *ret_fd, struct err *reterr);
