/* SPDX-License-Identifier: Apache-2.0 */
/* Migrations and their plans, as the daemon tells them, in the words of a person. */
#pragma once

#include "cli/out.h"

/* The table of `meshctl migrate status`. */
enum { MIGRATE_STATUS_COLS = 11 };
extern const struct out_col migrate_status_cols[MIGRATE_STATUS_COLS];

/* What a migration would do: a line, a table, notes. The steps of `plan` get numbers. 0, -ENOMEM or -EIO. */
int migrate_print_plan(const struct cli *cli, const json_t *plan);
/* How far one is: a line, which is flushed. 0, -ENOMEM or -EIO. */
int migrate_print_progress(const struct cli *cli, const json_t *m);
