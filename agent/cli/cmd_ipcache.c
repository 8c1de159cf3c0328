/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

#include "base/ip.h"

static const struct out_col cols[] = {
	{.heading = "IP PREFIX/ADDRESS", .key = "prefix"},
	{.heading = "IDENTITY", .key = "identity", .is_right = true},
	{.heading = "TUNNEL ENDPOINT", .key = "tunnel_endpoint"},
	{.heading = "SOURCE", .key = "source"},
	{.heading = "NAME", .key = "name"},
	{.heading = "LABELS", .key = "labels"},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	struct cidr prefix;
	json_t *filter = NULL;

	if (args->argc) {
		if (cidr_parse(args->argv[0], true, &prefix) < 0)
			return cli_error(cli, CLI_USAGE, "ipcache list %.64s: no prefix like 10.0.0.0/8",
					 args->argv[0]);
		filter = json_pack("{s:s}", "prefix", args->argv[0]);
	}
	return out_call(cli, CTL_VERB_IPCACHE_LIST, filter, cols, ARRAY_LEN(cols));
}

static int get(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *row = NULL, *rows = NULL;
	struct ip ip;
	int code;

	if (ip_parse(args->argv[0], &ip) < 0)
		return cli_error(cli, CLI_USAGE, "ipcache get %.64s: no address", args->argv[0]);
	code = cli_call(cli, CTL_VERB_IPCACHE_GET, json_pack("{s:s}", "address", args->argv[0]), &row);
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(cli, out_json(cli, row));
	rows = json_pack("[O]", row);
	return out_result(cli, out_rows(cli, rows, cols, ARRAY_LEN(cols)));
}

const struct cmd cmd_ipcache_table[] = {
	{"ipcache", "list", "[PREFIX]", 0, 1, "Which identity each address has", NULL, list},
	{"ipcache", "get", "ADDRESS", 1, 1, "The entry that decides about one address", NULL, get},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
