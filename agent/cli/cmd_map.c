/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static int format_used(const json_t *row, struct buf *text)
{
	json_int_t entries = json_int(row, "entries", -1), max = json_int(row, "max_entries", 0);

	if (entries < 0 || max <= 0)
		return buf_add(text, "-", 1);
	return buf_addf(text, "%.1f%%", 100.0 * (double)entries / (double)max);
}

static const struct out_col cols[] = {
	{.heading = "NAME", .key = "name"},
	{.heading = "TYPE", .key = "type"},
	{.heading = "NUM ENTRIES", .key = "entries", .is_right = true},
	{.heading = "MAX ENTRIES", .key = "max_entries", .is_right = true},
	{.heading = "USED", .format = format_used, .is_right = true},
	{.heading = "NUM ERRORS", .key = "errors", .is_right = true},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_MAP_LIST, NULL, cols, ARRAY_LEN(cols));
}

const struct cmd cmd_map_table[] = {
	{"map", "list", NULL, 0, 0, "BPF maps and how full they are", NULL, list},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
