/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static const struct out_col cols[] = {
	{.heading = "ID", .key = "id", .is_right = true},
	{.heading = "LABELS", .key = "labels", .is_lines = true},
	{.heading = "ENDPOINTS", .key = "endpoints", .is_right = true},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_IDENTITY_LIST, NULL, cols, ARRAY_LEN(cols));
}

static int get(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *row = NULL, *rows = NULL;
	uint64_t id;
	int code;

	if (str_to_u64(args->argv[0], UINT32_MAX, &id) < 0)
		return cli_error(cli, CLI_USAGE, "identity get %.64s: must be a number", args->argv[0]);
	code = cli_call(cli, CTL_VERB_IDENTITY_GET, json_pack("{s:I}", "id", (json_int_t)id), &row);
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(cli, out_json(cli, row));
	rows = json_pack("[O]", row);
	return out_result(cli, out_rows(cli, rows, cols, ARRAY_LEN(cols)));
}

const struct cmd cmd_identity_table[] = {
	{"identity", "list", NULL, 0, 0, "Security identities and their labels", NULL, list},
	{"identity", "get", "ID", 1, 1, "One security identity", NULL, get},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
