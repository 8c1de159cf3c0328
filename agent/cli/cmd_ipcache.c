/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/ip.h"
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static const struct out_col cols[] = {
	{.heading = "IP PREFIX/ADDRESS", .key = "prefix"},
	{.heading = "IDENTITY", .key = "identity", .is_right = true},
	{.heading = "TUNNEL ENDPOINT", .key = "tunnel_endpoint"},
	{.heading = "SOURCE", .key = "source"},
	{.heading = "NAME", .key = "name"},
	{.heading = "LABELS", .key = "labels", .is_text = true},
};

struct entry {
	struct cidr prefix; /* .ip.family 0 = none that is understood here: they come first */
	json_t *row;
};

static int entry_cmp(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	return cidr_cmp(&a->prefix, &b->prefix);
}

/* By address: the daemon gives them in the order of its tables. -ENOMEM, -EPROTO. */
static int sorted(const json_t *rows, json_t **ret)
{
	size_t n = json_array_size(rows), i;
	CLEANUP(free) struct entry *v = calloc(n + 1, sizeof(*v));
	CLEANUP(json_decref) json_t *list = json_array();
	json_t *row;

	if (!json_is_array(rows))
		return -EPROTO;
	if (!v || !list)
		return -ENOMEM;
	json_array_foreach((json_t *)rows, i, row) {
		v[i].row = row;
		if (cidr_parse(json_str(row, "prefix", ""), true, &v[i].prefix) < 0)
			v[i].prefix = (struct cidr){0};
	}
	qsort(v, n, sizeof(*v), entry_cmp);
	for (i = 0; i < n; i++)
		if (json_array_append(list, v[i].row) < 0)
			return -ENOMEM;
	*ret = TAKE_PTR(list);
	return 0;
}

static int list(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *rows = NULL, *in_order = NULL;
	struct cidr prefix;
	json_t *filter = NULL;
	int code, r;

	if (args->argc) {
		if (cidr_parse(args->argv[0], true, &prefix) < 0)
			return cli_error(cli, CLI_USAGE, "ipcache list %.64s: no prefix like 10.0.0.0/8",
					 args->argv[0]);
		filter = json_pack("{s:s}", "prefix", args->argv[0]);
	}
	code = cli_call(cli, CTL_VERB_IPCACHE_LIST, filter, &rows);
	if (code != CLI_OK)
		return code;
	r = sorted(rows, &in_order);
	return out_result(cli, r < 0 ? r : out_rows(cli, in_order, cols, ARRAY_LEN(cols)));
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
