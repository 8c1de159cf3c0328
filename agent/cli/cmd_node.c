/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static const struct out_col cols[] = {
	{.heading = "NAME", .key = "name"},
	{.heading = "ADDRESSES", .key = "addresses", .is_lines = true},
	{.heading = "ENDPOINT CIDRS", .key = "pod_cidrs", .is_lines = true},
	{.heading = "TUNNEL ENDPOINT", .key = "tunnel_endpoint"},
	{.heading = "LOCAL", .key = "local"},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_NODE_LIST, NULL, cols, ARRAY_LEN(cols));
}

const struct cmd cmd_node_table[] = {
	{"node", "list", NULL, 0, 0, "Nodes and other hosts of the cluster", NULL, list},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
