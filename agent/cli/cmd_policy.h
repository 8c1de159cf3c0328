/* SPDX-License-Identifier: Apache-2.0 */
/* The commands below `meshctl policy` that have files of their own. */
#pragma once

#include "base/buf.h"
#include "cli/cmd.h"

extern const struct cmd_opt cmd_policy_verdict_opts[];
int cmd_policy_verdict(const struct cli *cli, const struct cmd_args *args);

extern const struct cmd_opt cmd_policy_why_opts[];
int cmd_policy_why(const struct cli *cli, const struct cmd_args *args);

int cmd_policy_shadow(const struct cli *cli, const struct cmd_args *args);

extern const struct cmd_opt cmd_policy_guard_opts[];
int cmd_policy_guard(const struct cli *cli, const struct cmd_args *args);
int cmd_policy_confirm(const struct cli *cli, const struct cmd_args *args);
/* Appends a guard as policy.guard tells of it. 0 or -errno. */
int cmd_policy_guard_line(const json_t *guard, struct buf *text);

/* Prints the members that both answers have, for people. 0 or -errno as out_result() takes it. */
int cmd_policy_print(const struct cli *cli, const json_t *answer);
