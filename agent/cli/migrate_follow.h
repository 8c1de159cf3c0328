/* SPDX-License-Identifier: Apache-2.0 */
/* Watches a migration until it has ended. */
#pragma once

#include <jansson.h>

#include "cli/cmd.h"

/*
 * Prints what is new, also over a restart of the daemon, which goes on. Takes `m`, which is how the migration began. An exit
 * code, with its message: CLI_NEGATIVE for one that was not done.
 */
int migrate_follow(const struct cli *cli, const char *service, json_t *m);
