/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static const struct out_col cols[] = {
	{.heading = "KIND", .key = "kind"},
	{.heading = "NAMESPACE", .key = "namespace"},
	{.heading = "NAME", .key = "name"},
	{.heading = "STATE", .key = "state"},
	{.heading = "DIRECTIONS", .key = "directions"},
	{.heading = "RULES", .key = "rules", .is_right = true},
	{.heading = "REASON", .key = "reason"},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_POLICY_LIST, NULL, cols, ARRAY_LEN(cols));
}

const struct cmd cmd_policy_table[] = {
	{"policy", "list", NULL, 0, 0, "Policies, and what this host makes of each", NULL, list},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
