/* SPDX-License-Identifier: Apache-2.0 */
/* What cli_call() is made of, for commands that keep the connection. */
#pragma once

#include "base/err.h"
#include "cli/cmd.h"
#include "ctl/ctl_client.h"

/* Connects; an enum cli_exit, with text unless CLI_OK. */
int cli_connect(const struct cli *cli, struct ctl_client **ret, struct err *reterr);

/* Turns -errno of ctl_client_call() and its text into an exit code and a text with the next step. */
int cli_refused(int r, const char *verb, struct err *reterr);
