/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "cli/dns_ask.h"
#include "cli/out.h"
#include "cli/resolver_test.h"
#include "ctl/ctl_verbs.h"
#include "dns/dns_sock.h"
#include "json/json.h"

/* "label: value" lines, in one column of labels. */
static int field(const struct cli *cli, const char *label, const json_t *value)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = out_value(&text, value, ", ");

	if (r >= 0 && fprintf(cli->out, "%-12s %s\n", label, text.data) < 0)
		r = -EIO;
	return r;
}

/* Whether the last attempt brought an answer. */
static int add_up(const json_t *row, struct buf *text)
{
	const json_t *up = json_at(row, "up");

	return buf_addf(text, "%s", !up ? "not asked yet" : json_is_true(up) ? "up" : "down");
}

static int add_error(const json_t *row, struct buf *text)
{
	const char *error = json_str(row, "error", NULL);
	int r;

	if (!error)
		return buf_addf(text, "-");
	r = out_clean(text, error);
	if (r >= 0)
		r = buf_addf(text, ", ");
	if (r >= 0)
		r = out_age(text, json_at(row, "error_age_ms"));
	return r < 0 ? r : buf_addf(text, " ago");
}

static int add_latency(const json_t *row, struct buf *text)
{
	return out_latency(text, json_at(row, "latency_us"));
}

static const struct out_col upstream_cols[] = {
	{.heading = "UPSTREAM", .key = "address"},
	{.heading = "STATE", .format = add_up},
	{.heading = "QUERIES", .key = "queries", .is_right = true},
	{.heading = "FAILURES", .key = "failures", .is_right = true},
	{.heading = "LATENCY", .format = add_latency, .is_right = true},
	{.heading = "LAST ERROR", .format = add_error},
};

/* The host's resolver, as programs use it. */
static int add_test(const struct cli *cli, json_t *data)
{
	json_t *test;
	int r;

	if (!json_at(data, "host_resolver"))
		return CLI_OK;
	r = resolver_test(cli, json_str(data, "zone", "cluster.local"), &test);
	if (r == 0)
		r = json_object_set_new(data, "test", test);
	return r < 0 ? CLI_FAILED : CLI_OK;
}

static int status(const struct cli *cli, const struct cmd_args *args)
{
	static const struct {
		const char *label, *key;
	} fields[] = {{"Enabled:", "enabled"},	       {"", "reason"},
		      {"Zone:", "zone"},	       {"Services:", "services"},
		      {"Records:", "records"},	       {"Listening:", "listen"},
		      {"Queries:", "queries.all"},     {"Cluster:", "queries.cluster"},
		      {"Forwarded:", "queries.forwarded"}, {"Refused:", "queries.refused"},
		      {"Failed:", "queries.failed"},   {"Held back:", "queries.held"},
		      {"Redirects:", "redirects"},     {"Redirected:", "queries.redirected"},
		      {"Cached:", "cache.entries"},    {"Cache hits:", "cache.hits"},
		      {"Misses:", "cache.misses"},     {"Evictions:", "cache.evictions"},
		      {"Wiring:", "wiring.state"},     {"", "wiring.text"},
		      {"Resolver:", "host_resolver.found"}, {"Done by:", "host_resolver.method"},
		      {"", "host_resolver.reason"},    {"Names:", "host_resolver.domains"},
		      {"Test:", "test.state"},	       {"", "test.text"}};
	CLEANUP(json_decref) json_t *data = NULL;
	int code = cli_call(cli, CTL_VERB_DNS_STATUS, NULL, &data), r = 0;

	(void)args;
	if (code == CLI_OK)
		code = add_test(cli, data);
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(cli, out_json(cli, data));
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(fields); i++) {
		const json_t *value = json_at(data, fields[i].key);

		if (value && !json_is_null(value))
			r = field(cli, fields[i].label, value);
	}
	if (r >= 0 && json_array_size(json_at(data, "upstreams")))
		r = out_rows(cli, json_at(data, "upstreams"), upstream_cols, ARRAY_LEN(upstream_cols));
	return out_result(cli, r);
}

static const struct out_col record_cols[] = {
	{.heading = "NAME", .key = "name"},
	{.heading = "TTL", .key = "ttl_s", .is_right = true},
	{.heading = "TYPE", .key = "type"},
	{.heading = "DATA", .key = "data"},
};

/* What is to be asked. An address alone is asked for its name. */
static int read_question(const struct cli *cli, const struct cmd_args *args, struct dns_name *ret_name, uint16_t *ret_type)
{
	const char *name = args->argv[0], *type = args->argc > 1 ? args->argv[1] : cmd_opt(args, "type");
	struct ip ip;
	bool is_address = ip_parse(name, &ip) == 0;

	if (args->argc > 1 && cmd_opt(args, "type"))
		return cli_error(cli, CLI_USAGE, "dns query: the type is given twice");
	if (!type)
		type = is_address ? "PTR" : "A";
	if (dns_type_parse(type, ret_type) < 0 || *ret_type == 0 || *ret_type == DNS_OPT ||
	    (*ret_type >= DNS_IXFR && *ret_type <= DNS_ANY))
		return cli_error(cli, CLI_USAGE, "%.16s: no type of records that can be asked for, like A, AAAA, SRV, PTR or TXT",
				 type);
	if (is_address && *ret_type == DNS_PTR)
		dns_name_reverse(&ip, ret_name);
	else if (dns_name_parse(name, ret_name) < 0)
		return cli_error(cli, CLI_USAGE, "%.64s: no DNS name", name);
	return CLI_OK;
}

/* Where the daemon's server listens. */
static int find_server(const struct cli *cli, const json_t *plan, struct dns_upstream *ret)
{
	const char *text = json_string_value(json_array_get(json_at(plan, "listen"), 0));

	if (!text)
		return cli_error(cli, CLI_FAILED, "the DNS server of the agent listens nowhere; see: meshctl status");
	if (dns_addr_parse(text, &ret->ip, &ret->port) < 0)
		return cli_error(cli, CLI_FAILED, "the daemon's DNS server has no address that is understood here: %.64s", text);
	return CLI_OK;
}

/* The question as the daemon wants it; the second time with what tells this very query from others. */
static json_t *query_args(const struct dns_name *name, uint16_t type, const struct dns_reply *reply)
{
	char name_text[DNS_TEXT_MAX], type_text[16];

	return json_pack("{s:s, s:s, s:i, s:i}", "name", dns_name_str(name, name_text), "type",
			 dns_type_str(type, type_text), "port", reply ? reply->port : 0, "id", reply ? reply->id : 0);
}

/* What came by the wire, and what the daemon says about it, in one. */
static int join_views(const struct dns_upstream *server, const struct dns_reply *reply, const json_t *told, json_t **ret)
{
	char text[DNS_ADDR_STRLEN];
	CLEANUP(json_decref) json_t *o = dns_reply_view(reply->msg, reply->len);
	int r = o ? json_object_update_missing(o, (json_t *)told) : -1; /* only reads it */

	if (r == 0)
		r = json_object_set_new(o, "server", json_string(dns_addr_str(&server->ip, server->port, text)));
	if (r == 0)
		r = json_object_set_new(o, "transport", json_string(reply->is_tcp ? "tcp" : "udp"));
	if (r == 0)
		r = json_object_set_new(o, "time_us", json_integer((json_int_t)reply->took_us));
	if (r < 0)
		return -ENOMEM;
	(void)json_object_del(o, "listen"); /* may be missing */
	*ret = TAKE_PTR(o);
	return 0;
}

/* The sentences of the explanation, a line each. */
static int print_reasons(const struct cli *cli, const char *text)
{
	const char *label = "Because:";
	int r = 0;

	while (r >= 0 && *text) {
		size_t len = strcspn(text, "\n");
		CLEANUP(json_decref) json_t *line = json_stringn_nocheck(text, len);

		r = line ? field(cli, label, line) : -ENOMEM;
		label = "";
		text += len + (text[len] == '\n');
	}
	return r;
}

static int print_reply(const struct cli *cli, const json_t *o)
{
	static const char *const sections[] = {"answers", "authority", "additional"};
	static const struct {
		const char *label, *key;
	} fields[] = {{"Answer:", "rcode"}, {"Flags:", "flags"},  {"Server:", "server"},    {"By:", "transport"},
		      {"From:", "source"}, {"Upstream:", "upstream"}};
	CLEANUP(buf_done) struct buf took = {0};
	int r = out_latency(&took, json_at(o, "time_us"));

	if (r >= 0 && fprintf(cli->out, "%-12s %s\n", "Time:", took.data) < 0)
		r = -EIO;
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(fields); i++)
		if (json_at(o, fields[i].key))
			r = field(cli, fields[i].label, json_at(o, fields[i].key));
	if (r >= 0)
		r = print_reasons(cli, json_str(o, "explanation", ""));
	if (r >= 0 && json_is_true(json_at(o, "malformed")) && fprintf(cli->out, "The rest of the answer is malformed.\n") < 0)
		r = -EIO;
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(sections); i++) {
		const json_t *rows = json_at(o, sections[i]);

		if (!json_array_size(rows))
			continue;
		if (i && fprintf(cli->out, "%s:\n", sections[i]) < 0)
			return -EIO;
		r = out_rows(cli, rows, record_cols, ARRAY_LEN(record_cols));
	}
	return r;
}

/* An answer that there is none is an answer; a server that could not find out is a failure. */
static int exit_of(const json_t *o)
{
	const char *rcode = json_str(o, "rcode", "-");

	if (json_is_true(json_at(o, "malformed")))
		return CLI_FAILED;
	if (str_eq(rcode, "NOERROR"))
		return json_array_size(json_at(o, "answers")) ? CLI_OK : CLI_NEGATIVE;
	return str_eq(rcode, "NXDOMAIN") || str_eq(rcode, "REFUSED") ? CLI_NEGATIVE : CLI_FAILED;
}

static int query(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *plan = NULL, *told = NULL, *all = NULL;
	struct dns_reply reply = {0};
	struct dns_upstream server;
	struct dns_name name;
	struct err err = {0};
	uint16_t type;
	int code = read_question(cli, args, &name, &type), r;

	if (code == CLI_OK)
		code = cli_call(cli, CTL_VERB_DNS_QUERY, query_args(&name, type, NULL), &plan);
	if (code == CLI_OK)
		code = find_server(cli, plan, &server);
	if (code != CLI_OK)
		return code;
	r = dns_ask(&server, &name, type, cli->timeout_us, &reply, &err);
	if (r < 0)
		return cli_error(cli, r == -ENOMEM ? CLI_FAILED : CLI_UNREACHABLE, "%s", err.text);
	code = cli_call(cli, CTL_VERB_DNS_QUERY, query_args(&name, type, &reply), &told);
	r = code == CLI_OK ? join_views(&server, &reply, told, &all) : 0;
	free(reply.msg);
	if (code != CLI_OK)
		return code;
	if (r == 0)
		r = cli->format == CLI_JSON ? out_json(cli, all) : print_reply(cli, all);
	code = out_result(cli, r);
	return code == CLI_OK ? exit_of(all) : code;
}

static const struct cmd_opt query_opts[] = {
	{"type", 't', "TYPE", "the same as the argument", false},
	{NULL, 0, NULL, NULL, false},
};

static int add_ttl(const json_t *row, struct buf *text)
{
	CLEANUP(json_decref) json_t *ms = json_integer(MIN(json_int(row, "ttl_s", 0), INT32_MAX) * 1000);

	return json_int(row, "ttl_s", 0) ? out_age(text, ms) : buf_addf(text, "0s");
}

static int add_state(const json_t *row, struct buf *text)
{
	return buf_addf(text, "%s", json_is_true(json_at(row, "zombie")) ? "zombie" : "live");
}

static const struct out_col learned_cols[] = {
	{.heading = "NAME", .key = "name"},
	{.heading = "ADDRESS", .key = "address"},
	{.heading = "TTL", .format = add_ttl, .is_right = true},
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
	{"dns", "query", "NAME [TYPE]", 1, 2, "Ask the agent for a name, and why it answers so", query_opts, query},
	{"dns", "learned", NULL, 0, 0, "Addresses of DNS names that toFQDNs allows, and for how long", NULL, learned},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
