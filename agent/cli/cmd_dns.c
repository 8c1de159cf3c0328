/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

#include <stdlib.h>

/* "label: value" lines, in one column of labels. */
static int field(const struct cli *cli, const char *label, const json_t *value)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = out_value(&text, value, ", ");

	if (r >= 0 && fprintf(cli->out, "%-12s %s\n", label, text.data) < 0)
		r = -EIO;
	return r;
}

static const struct out_col upstream_cols[] = {
	{.heading = "UPSTREAM", .key = "address"},
	{.heading = "UP", .key = "up"},
	{.heading = "QUERIES", .key = "queries", .is_right = true},
	{.heading = "FAILURES", .key = "failures", .is_right = true},
};

static int status(const struct cli *cli, const struct cmd_args *args)
{
	static const struct {
		const char *label, *key;
	} fields[] = {{"Enabled:", "enabled"},	       {"Zone:", "zone"},
		      {"Listening:", "listen"},	       {"Cluster:", "queries.cluster"},
		      {"Forwarded:", "queries.forwarded"}, {"Refused:", "queries.refused"},
		      {"Failed:", "queries.failed"},   {"Cached:", "cache.entries"},
		      {"Cache hits:", "cache.hits"},   {"Misses:", "cache.misses"}};
	CLEANUP(json_decref) json_t *data = NULL;
	int code = cli_call(cli, CTL_VERB_DNS_STATUS, NULL, &data), r = 0;

	(void)args;
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(out_json(cli, data));
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(fields); i++) {
		const json_t *value = json_at(data, fields[i].key);

		if (value && !json_is_null(value))
			r = field(cli, fields[i].label, value);
	}
	if (r >= 0 && json_array_size(json_at(data, "upstreams")))
		r = out_rows(cli, json_at(data, "upstreams"), upstream_cols, ARRAY_LEN(upstream_cols));
	return out_result(r);
}

static const struct out_col answer_cols[] = {
	{.heading = "NAME", .key = "name"},
	{.heading = "TTL", .key = "ttl_s", .is_right = true},
	{.heading = "TYPE", .key = "type"},
	{.heading = "DATA", .key = "data"},
};

static int query(const struct cli *cli, const struct cmd_args *args)
{
	static const char *const types[] = {"A", "AAAA", "SRV", "CNAME", "PTR", "TXT"};
	const char *type = cmd_opt(args, "type"), *rcode;
	CLEANUP(json_decref) json_t *data = NULL;
	bool is_known = false, has_answer;
	int code, r;

	if (!type)
		type = "A";
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		is_known |= str_eq(types[i], type);
	if (!is_known)
		return cli_error(CLI_USAGE, "--type %.16s: must be A, AAAA, SRV, CNAME, PTR or TXT", type);
	code = cli_call(cli, CTL_VERB_DNS_QUERY, json_pack("{s:s,s:s}", "name", args->argv[0], "type", type),
			&data);
	if (code != CLI_OK)
		return code;
	rcode = json_str(data, "rcode", "-");
	has_answer = str_eq(rcode, "NOERROR") && json_array_size(json_at(data, "answers"));
	if (cli->format == CLI_JSON) {
		r = out_json(cli, data);
	} else {
		r = field(cli, "Answer:", json_at(data, "rcode"));
		if (r >= 0)
			r = field(cli, "From:", json_at(data, "source"));
		if (r >= 0)
			r = field(cli, "Because:", json_at(data, "explanation"));
		if (r >= 0 && has_answer)
			r = out_rows(cli, json_at(data, "answers"), answer_cols, ARRAY_LEN(answer_cols));
	}
	code = out_result(r);
	return code == CLI_OK && !has_answer ? CLI_NEGATIVE : code;
}

static const struct cmd_opt query_opts[] = {
	{"type", 't', "TYPE", "A (default), AAAA, SRV, CNAME, PTR or TXT", false},
	{NULL, 0, NULL, NULL, false},
};

static int add_state(const json_t *row, struct buf *text)
{
	return buf_addf(text, "%s", json_is_true(json_at(row, "zombie")) ? "zombie" : "live");
}

static const struct out_col learned_cols[] = {
	{.heading = "NAME", .key = "name"},
	{.heading = "ADDRESS", .key = "address"},
	{.heading = "TTL S", .key = "ttl_s", .is_right = true},
	{.heading = "STATE", .format = add_state},
	{.heading = "SELECTORS", .key = "selectors"},
};

static int learned(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_DNS_LEARNED, NULL, learned_cols, ARRAY_LEN(learned_cols));
}

const struct cmd cmd_dns_table[] = {
	{"dns", "status", NULL, 0, 0, "The DNS server of the agent, its upstreams and counters", NULL, status},
	{"dns", "query", "NAME", 1, 1, "Ask the agent for a name, and why it answers so", query_opts, query},
	{"dns", "learned", NULL, 0, 0, "Addresses of DNS names that toFQDNs allows, and for how long", NULL, learned},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
