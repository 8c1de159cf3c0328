/* SPDX-License-Identifier: Apache-2.0 */
/* What policies that are not enforced yet would drop; and which those are on this host. */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/macro.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static int port(const json_t *row, struct buf *text)
{
	const json_t *type = json_at(row, "icmp_type");

	if (!json_is_integer(type))
		return out_value(text, json_at(row, "port"), "");
	return buf_addf(text, "type %" JSON_INTEGER_FORMAT, json_integer_value(type));
}

static int first_seen(const json_t *row, struct buf *text)
{
	return out_age(text, json_at(row, "first_seen_ms"));
}

static int last_seen(const json_t *row, struct buf *text)
{
	return out_age(text, json_at(row, "last_seen_ms"));
}

static const struct out_col cols[] = {
	{.heading = "DIRECTION", .key = "direction"},
	{.heading = "PEER", .key = "name"},
	{.heading = "ADDRESS", .key = "address"},
	{.heading = "PROTOCOL", .key = "protocol"},
	{.heading = "PORT", .format = port, .is_right = true},
	{.heading = "FLOWS", .key = "flows", .is_right = true},
	{.heading = "FIRST SEEN", .format = first_seen, .is_right = true},
	{.heading = "LAST SEEN", .format = last_seen, .is_right = true},
	{.heading = "REASON", .key = "reason"},
	{.heading = "LABELS", .key = "labels", .is_text = true},
};

/* "kind namespace/name (by annotation), ingress" and the statement, then the peers. */
static int print_policy(const struct cli *cli, const json_t *p)
{
	CLEANUP(buf_done) struct buf text = {0};
	const char *ns = json_str(p, "namespace", "");
	int r = out_clean(&text, json_str(p, "kind", "-"));

	if (r == 0)
		r = buf_addf(&text, " ");
	if (r == 0)
		r = out_clean(&text, ns);
	if (r == 0)
		r = buf_addf(&text, "%s", *ns ? "/" : "");
	if (r == 0)
		r = out_clean(&text, json_str(p, "name", "-"));
	if (r == 0)
		r = buf_addf(&text, " (by %s), ", str_eq(json_str(p, "by", ""), "choice") ? "choice of this host" : "annotation");
	if (r == 0)
		r = out_value(&text, json_at(p, "directions"), " and ");
	if (r == 0)
		r = buf_addf(&text, "\n  ");
	if (r == 0)
		r = out_clean(&text, json_str(p, "statement", "-"));
	if (r == 0 && fprintf(cli->out, "%s\n", text.data) < 0)
		r = -EIO;
	if (r == 0 && json_array_size(json_at(p, "peers")))
		r = out_rows(cli, json_at(p, "peers"), cols, ARRAY_LEN(cols));
	if (r == 0 && json_int(p, "more_peers", 0) > 0 &&
	    fprintf(cli->out, "and %" JSON_INTEGER_FORMAT " peers and ports more\n", json_int(p, "more_peers", 0)) < 0)
		r = -EIO;
	return r;
}

static int print_all(const struct cli *cli, const json_t *data)
{
	const json_t *list = json_at(data, "policies"), *p;
	size_t i;
	int r = 0;

	if (!json_is_array(list))
		return -EPROTO;
	json_array_foreach(list, i, p) {
		if (i && fputc('\n', cli->out) == EOF)
			return -EIO;
		r = print_policy(cli, p);
		if (r < 0)
			return r;
	}
	if (json_array_size(list) == 0 && fprintf(cli->out, "no policy that selects this host is in shadow mode\n") < 0)
		return -EIO;
	if (json_int(data, "unlisted_flows", 0) > 0 &&
	    fprintf(cli->out, "\n%" JSON_INTEGER_FORMAT " flows more found no room in the table of peers\n",
		    json_int(data, "unlisted_flows", 0)) < 0)
		return -EIO;
	return r;
}

/* "namespace/name", or the name alone of a cluster-wide policy. */
static int add_name(const struct cli *cli, json_t *request, const char *text)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	int r;

	if (!*name || slash == text || strchr(name, '/') || strlen(text) > 2 * LIMIT_NAME)
		return cli_error(cli, CLI_USAGE, "policy shadow: %.80s: must be NAMESPACE/NAME, or NAME of a cluster-wide policy", text);
	r = json_object_set_new(request, "name", json_string(name));
	r |= json_object_set_new(request, "namespace", json_stringn(text, slash ? (size_t)(slash - text) : 0));
	return r ? out_result(cli, -ENOMEM) : CLI_OK;
}

static int choose(const struct cli *cli, json_t *request, const char *mode)
{
	CLEANUP(json_decref) json_t *args = request, *data = NULL;
	const char *now;
	int code;

	if (!str_eq(mode, "on") && !str_eq(mode, "off") && !str_eq(mode, "auto"))
		return cli_error(cli, CLI_USAGE, "policy shadow: %.40s: must be on, off or auto", mode);
	if (json_object_set_new(args, "mode", json_string(mode)) < 0)
		return out_result(cli, -ENOMEM);
	code = cli_call(cli, CTL_VERB_POLICY_SHADOW_SET, json_incref(args), &data);
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(cli, out_json(cli, data));
	now = json_str(data, "mode", "");
	(void)fprintf(cli->out, "%s%s\n", /* cmd_main() looks at the stream at the end */
		      str_eq(now, "shadow")    ? "in shadow mode on this host: what it would drop is counted and passes"
		      : str_eq(now, "enforce") ? "enforced on this host, whatever its annotation says"
					       : "as its annotation says; enforced without one",
		      json_truth(data, "changed", 0) ? "" : " (as before)");
	return CLI_OK;
}

int cmd_policy_shadow(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *request = json_object(), *data = NULL;
	int code = request ? CLI_OK : out_result(cli, -ENOMEM);

	if (code == CLI_OK && args->argc > 0)
		code = add_name(cli, request, args->argv[0]);
	if (code != CLI_OK)
		return code;
	if (args->argc > 1)
		return choose(cli, TAKE_PTR(request), args->argv[1]);
	code = cli_call(cli, CTL_VERB_POLICY_SHADOW, TAKE_PTR(request), &data);
	if (code != CLI_OK)
		return code;
	return out_result(cli, cli->format == CLI_JSON ? out_json(cli, data) : print_all(cli, data));
}
