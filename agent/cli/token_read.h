/* SPDX-License-Identifier: Apache-2.0 */
/* A join token from a file or from a person. */
#pragma once

#include "base/err.h"

/*
 * Reads all of a file; "-" is the standard input. At a terminal it is one line, which is not shown, and which may be longer
 * than the 4095 bytes where a terminal in its usual mode cuts lines (termios(3), canonical mode): a token with a large CA is.
 * *ret is the caller's, for secret_free(); an earlier one in it is freed. -E2BIG, -EINTR after Ctrl-C, -ENOMEM or another
 * -errno, with a text.
 */
int token_read(const char *path, char **ret, struct err *reterr);
