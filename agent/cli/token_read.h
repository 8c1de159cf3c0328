/* SPDX-License-Identifier: Apache-2.0 */
/* A join token from a file, from the unit that this runs in, or from a person. */
#pragma once

#include "base/err.h"

/* The credential of a unit that has the token. */
#define TOKEN_CREDENTIAL "mesh-join.token"

/*
 * Where the token is if nobody says: the file of the credential TOKEN_CREDENTIAL, if this runs in a unit that has one
 * (systemd.exec(5), CREDENTIALS); else "-". *ret is the caller's, for free(). -ENOMEM, with a text.
 */
int token_find(char **ret, struct err *reterr);

/*
 * Reads all of a file; "-" is the standard input. At a terminal it is one line, which is not shown, and which may be longer
 * than the 4095 bytes where a terminal in its usual mode cuts lines (termios(3), canonical mode): a token with a large CA is.
 * *ret is the caller's, for secret_free(); an earlier one in it is freed. -E2BIG, -EINTR after Ctrl-C, -ENOMEM or another
 * -errno, with a text.
 */
int token_read(const char *path, char **ret, struct err *reterr);
