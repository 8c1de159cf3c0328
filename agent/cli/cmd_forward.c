/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static int format_service(const json_t *row, struct buf *text)
{
	int r = out_value(text, json_at(row, "namespace"), "");

	if (r >= 0)
		r = buf_add(text, "/", 1);
	if (r >= 0)
		r = out_value(text, json_at(row, "service"), "");
	return r < 0 ? r : buf_addf(text, ":%" JSON_INTEGER_FORMAT, json_int(row, "service_port", 0));
}

static int format_callers(const json_t *row, struct buf *text)
{
	return buf_addf(text, "%" JSON_INTEGER_FORMAT,
			(json_int_t)json_array_size(json_at(row, "callers")) + json_int(row, "more_callers", 0));
}

static int format_last(const json_t *row, struct buf *text)
{
	return out_age(text, json_at(row, "last_seen_ms"));
}

static const struct out_col list_cols[] = {
	{.heading = "PORT", .key = "port", .is_right = true},
	{.heading = "ADDRESS", .key = "address"},
	{.heading = "SERVICE", .format = format_service},
	{.heading = "STATE", .key = "state"},
	{.heading = "CONNECTIONS", .key = "connections", .is_right = true},
	{.heading = "ACTIVE", .key = "active", .is_right = true},
	{.heading = "FAILED", .key = "failed", .is_right = true},
	{.heading = "CALLERS", .format = format_callers, .is_right = true},
	{.heading = "REASON", .key = "reason", .is_text = true},
};

static const struct out_col caller_cols[] = {
	{.heading = "CALLER", .key = "caller"},
	{.heading = "PORT", .key = "port", .is_right = true},
	{.heading = "SERVICE", .format = format_service},
	{.heading = "CONNECTIONS", .key = "connections", .is_right = true},
	{.heading = "ACTIVE", .key = "active", .is_right = true},
	{.heading = "LAST SEEN", .format = format_last, .is_right = true},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_FORWARD_LIST, NULL, list_cols, ARRAY_LEN(list_cols));
}

/* A row for each caller of each forward, with what it called. 0 or -ENOMEM. */
static int flatten(const json_t *forwards, json_t *rows)
{
	static const char *const taken[] = {"port", "namespace", "service", "service_port"};
	const json_t *f, *c;
	size_t i, j;

	json_array_foreach(forwards, i, f) {
		json_array_foreach(json_at(f, "callers"), j, c) {
			json_t *row = json_clone_top(c);
			int r = row ? 0 : -1;

			r |= json_object_set(row, "caller", json_at(c, "address"));
			r |= json_object_del(row, "address");
			for (size_t k = 0; k < ARRAY_LEN(taken); k++)
				r |= json_object_set(row, taken[k], json_at(f, taken[k]));
			if (json_array_append_new(rows, row) < 0 || r < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int callers(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *data = NULL;
	CLEANUP(json_decref) json_t *rows = json_array();
	int code = cli_call(cli, CTL_VERB_FORWARD_LIST, NULL, &data), r;

	(void)args;
	if (code != CLI_OK)
		return code;
	r = rows ? flatten(data, rows) : -ENOMEM;
	return out_result(cli, r < 0 ? r : out_rows(cli, rows, caller_cols, ARRAY_LEN(caller_cols)));
}

const struct cmd cmd_forward_table[] = {
	{"forward", "list", NULL, 0, 0, "Old ports of this host whose connections go to a Service", NULL, list},
	{"forward", "callers", NULL, 0, 0, "Who still calls them, by address", NULL, callers},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
