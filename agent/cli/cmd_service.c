/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

/* "10.96.0.1:443/TCP", as cilium-dbg writes it. */
static int add_address(struct buf *text, const json_t *a)
{
	const char *address = json_str(a, "address", "-"), *protocol = json_str(a, "protocol", "");
	bool is_v6 = strchr(address, ':') != NULL;
	int r = buf_add(text, "[", is_v6 ? 1 : 0);

	if (r >= 0)
		r = out_clean(text, address);
	if (r >= 0)
		r = buf_addf(text, "%s:%" JSON_INTEGER_FORMAT "%s", is_v6 ? "]" : "", json_int(a, "port", 0),
			     *protocol ? "/" : "");
	for (; r >= 0 && *protocol; protocol++)
		r = buf_addf(text, "%c", *protocol >= 'a' && *protocol <= 'z' ? *protocol - 'a' + 'A' : '?');
	return r;
}

static int format_frontends(const json_t *row, struct buf *text)
{
	const json_t *list = json_at(row, "frontends"), *a;
	size_t i;
	int r = json_array_size(list) ? 0 : buf_add(text, "-", 1);

	json_array_foreach(list, i, a) {
		if (i)
			r = buf_add(text, "\n", 1);
		if (r >= 0)
			r = add_address(text, a);
		if (r < 0)
			break;
	}
	return r;
}

/* "1 => 10.0.0.7:8080/TCP (active)" */
static int format_backends(const json_t *row, struct buf *text)
{
	const json_t *list = json_at(row, "backends"), *a;
	size_t i;
	int r = json_array_size(list) ? 0 : buf_add(text, "-", 1);

	json_array_foreach(list, i, a) {
		r = buf_addf(text, "%s%zu => ", i ? "\n" : "", i + 1);
		if (r >= 0)
			r = add_address(text, a);
		if (r >= 0)
			r = buf_add(text, " (", 2);
		if (r >= 0)
			r = out_clean(text, json_str(a, "state", "-"));
		if (r >= 0)
			r = buf_add(text, ")", 1);
		if (r < 0)
			break;
	}
	return r;
}

static int format_name(const json_t *row, struct buf *text)
{
	int r = out_value(text, json_at(row, "namespace"), "");

	if (r >= 0)
		r = buf_add(text, "/", 1);
	return r < 0 ? r : out_value(text, json_at(row, "name"), "");
}

static const struct out_col cols[] = {
	{.heading = "ID", .key = "id", .is_right = true},
	{.heading = "NAME", .format = format_name},
	{.heading = "FRONTEND", .format = format_frontends, .is_lines = true},
	{.heading = "SERVICE TYPE", .key = "type"},
	{.heading = "BACKEND", .format = format_backends, .is_lines = true},
	{.heading = "STATE", .key = "state"},
	{.heading = "REASON", .key = "reason", .is_text = true},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_SERVICE_LIST, NULL, cols, ARRAY_LEN(cols));
}

const struct cmd cmd_service_table[] = {
	{"service", "list", NULL, 0, 0, "Services with their frontends and backends", NULL, list},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
