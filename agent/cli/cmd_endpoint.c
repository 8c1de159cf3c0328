/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static int format_name(const json_t *row, struct buf *text)
{
	int r = out_value(text, json_at(row, "namespace"), "");

	if (r >= 0)
		r = buf_add(text, "/", 1);
	return r < 0 ? r : out_value(text, json_at(row, "name"), "");
}

static const struct out_col cols[] = {
	{.heading = "ENDPOINT", .format = format_name},
	{.heading = "POLICY (INGRESS)", .key = "enforcement.ingress"},
	{.heading = "POLICY (EGRESS)", .key = "enforcement.egress"},
	{.heading = "IDENTITY", .key = "identity", .is_right = true},
	{.heading = "LABELS", .key = "labels", .is_lines = true},
	{.heading = "ADDRESSES", .key = "addresses", .is_lines = true},
	{.heading = "NODE", .key = "node"},
	{.heading = "STATE", .key = "state"},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	return out_call(cli, CTL_VERB_ENDPOINT_LIST, json_pack("{s:b}", "all", cmd_opt(args, "all") != NULL),
			cols, ARRAY_LEN(cols));
}

static const struct cmd_opt list_opts[] = {
	{"all", 'a', NULL, "endpoints of the whole cluster, not only this host's", false},
	{NULL, 0, NULL, NULL, false},
};

const struct cmd cmd_endpoint_table[] = {
	{"endpoint", "list", NULL, 0, 0, "Endpoints, with their identity and enforcement", list_opts, list},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
