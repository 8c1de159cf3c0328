/* SPDX-License-Identifier: Apache-2.0 */
/* The commands below `meshctl policy` that have files of their own. */
#pragma once

#include "cli/cmd.h"

extern const struct cmd_opt cmd_policy_verdict_opts[];
int cmd_policy_verdict(const struct cli *cli, const struct cmd_args *args);

extern const struct cmd_opt cmd_policy_why_opts[];
int cmd_policy_why(const struct cli *cli, const struct cmd_args *args);

/* Prints the members that both answers have, for people. 0 or -errno as out_result() takes it. */
int cmd_policy_print(const struct cli *cli, const json_t *answer);
