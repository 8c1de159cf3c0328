/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "base/macro.h"
#include "cli/out.h"
#include "conf/conf.h"
#include "json/json.h"

/* NULL: none was named. */
static const char *file_of(const struct cli *cli, const struct cmd_args *args)
{
	return args->argc ? args->argv[0] : cli->config;
}

static int load(const struct cli *cli, const char *file, struct conf **ret)
{
	struct err err = {0};
	int r = conf_load_or_default(file, ret, &err);

	if (r >= 0)
		return CLI_OK;
	return cli_error(cli, r == -EACCES ? CLI_DENIED : r == -ENOMEM ? CLI_FAILED : CLI_NEGATIVE, "%s",
			 err.text[0] ? err.text : err_name(r));
}

static int check(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(conf_free) struct conf *conf = NULL;
	CLEANUP(json_decref) json_t *data = NULL;
	const char *named = file_of(cli, args), *file = named ? named : CONF_DEFAULT_PATH;
	int code = load(cli, named, &conf);
	bool is_there = access(file, F_OK) == 0;

	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON) {
		data = json_pack("{s:s,s:b,s:b}", "file", file, "valid", 1, "exists", (int)is_there);
		return out_result(cli, data ? out_json(cli, data) : -ENOMEM);
	}
	/* cmd_main() looks at the stream at the end */
	(void)fprintf(cli->out, "%s: %s\n", file, is_there ? "valid" : "not there, so all keys have their defaults");
	return CLI_OK;
}

static int add_row(json_t *rows, const struct conf *conf, size_t i)
{
	CLEANUP(buf_done) struct buf value = {0}, allowed = {0};
	int r = conf_key_value(conf, i, &value);

	if (r >= 0)
		r = conf_key_allowed(i, &allowed);
	if (r < 0)
		return r;
	r = json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s,s:s}", "key", conf_key_name(i), "value",
						  value.data, "default", conf_key_default(i), "allowed",
						  allowed.data, "description", conf_key_doc(i)));
	return r < 0 ? -ENOMEM : 0;
}

static int show(const struct cli *cli, const struct cmd_args *args)
{
	static const struct out_col cols[] = {
		{.heading = "KEY", .key = "key"},
		{.heading = "VALUE", .key = "value"},
		{.heading = "DESCRIPTION", .key = "description", .is_text = true},
	};
	CLEANUP(conf_free) struct conf *conf = NULL;
	CLEANUP(json_decref) json_t *rows = json_array();
	int code = load(cli, file_of(cli, args), &conf), r = rows ? 0 : -ENOMEM;

	if (code != CLI_OK)
		return code;
	for (size_t i = 0; r >= 0 && i < conf_key_count(); i++)
		r = add_row(rows, conf, i);
	if (r >= 0)
		r = out_rows(cli, rows, cols, ARRAY_LEN(cols));
	return out_result(cli, r);
}

const struct cmd cmd_config_table[] = {
	{"config", "check", "[FILE]", 0, 1, "Whether the configuration file is valid", NULL, check},
	{"config", "show", "[FILE]", 0, 1, "Every key with the value that the file gives it", NULL, show},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
