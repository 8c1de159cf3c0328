/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "cli/admin.h"
#include "cli/out.h"
#include "crypto/secret.h"
#include "join/enrol.h"
#include "join/label_check.h"
#include "json/json.h"

enum { TTL_DEFAULT_S = 900 };

/* What the command line of `host add` says, checked. */
struct add {
	json_t *labels;
	struct address_list addresses;
	struct strv services, servers;
	bool has_labels, has_addresses, has_services; /* given: else they stay as they are enrolled */
	uint64_t ttl_s;
};

static void add_done(struct add *a)
{
	json_decref(a->labels);
	address_list_done(&a->addresses);
	strv_done(&a->services);
	strv_done(&a->servers);
}
DEFINE_CLEANUP_DONE(struct add, add_done)

/* All values of an option that takes lists, split at commas. */
static int split_all(const struct cmd_args *args, const char *name, struct strv *ret)
{
	const struct strv *values = cmd_opt_all(args, name);

	for (size_t i = 0; i < values->n; i++)
		if (strv_split(ret, values->v[i], ',') < 0)
			return -ENOMEM;
	return 0;
}

/* The values of an option joined by commas, heap; NULL when out of memory. */
static char *join_all(const struct cmd_args *args, const char *name)
{
	const struct strv *values = cmd_opt_all(args, name);
	CLEANUP(buf_done) struct buf out = {.max = 65536};

	if (buf_add(&out, "", 0) < 0)
		return NULL;
	for (size_t i = 0; i < values->n; i++)
		if (buf_addf(&out, "%s%s", i ? "," : "", values->v[i]) < 0)
			return NULL;
	return strdup(out.data ? out.data : "");
}

static int read_arguments(const struct cmd_args *args, struct add *a, struct err *err)
{
	CLEANUP(free) char *labels = join_all(args, "labels"), *addresses = join_all(args, "address");
	const char *ttl = cmd_opt(args, "ttl"), *weigh = cmd_opt(args, "weigh");
	uint64_t ttl_us = TTL_DEFAULT_S * UINT64_C(1000000);
	int r;

	if (!labels || !addresses || split_all(args, "serve", &a->services) < 0 || split_all(args, "server", &a->servers) < 0)
		return err_set(err, ENOMEM, "out of memory");
	a->has_labels = cmd_opt(args, "labels") != NULL;
	a->has_addresses = cmd_opt(args, "address") != NULL;
	a->has_services = cmd_opt(args, "serve") != NULL;
	r = a->has_labels ? label_parse_list(labels, &a->labels, err) : 0;
	if (r == 0 && a->has_addresses)
		r = address_list_parse(addresses, &a->addresses, err);
	if (r == 0 && ttl && str_to_usec(ttl, &ttl_us) < 0)
		return err_set(err, EINVAL, "--ttl %.40s: write 15m or 1h", ttl);
	if (r == 0 && weigh && !str_eq(weigh, "yes") && !str_eq(weigh, "no"))
		return err_set(err, EINVAL, "--weigh %.40s: yes or no", weigh);
	a->ttl_s = ttl_us / 1000000;
	for (size_t i = 0; r == 0 && i < a->services.n; i++)
		if (!str_is_dns_label(a->services.v[i]))
			return err_set(err, EINVAL, "--serve %.80s: give the name of a Service of the host's namespace", a->services.v[i]);
	return r;
}

static json_t *to_json(const struct strv *l)
{
	CLEANUP(json_decref) json_t *array = json_array();

	for (size_t i = 0; array && i < l->n; i++)
		if (json_array_append_new(array, json_string(l->v[i])) < 0)
			return NULL;
	return TAKE_PTR(array);
}

/* The command alone is on the standard output, for scripts. */
static int tell_next(const struct cli *cli, const char *host, int64_t expires_s)
{
	CLEANUP(json_decref) json_t *left_ms = json_integer((json_int_t)(expires_s - clock_wall_s()) * 1000);
	CLEANUP(buf_done) struct buf left = {0};

	(void)fflush(cli->out); /* it comes first where both go to one file; cmd_main() looks at failures */
	if (out_age(&left, left_ms) == 0)
		(void)fprintf(stderr, "meshctl: run it as root on %s; the token works once, for %s\n", host, left.data); /* likewise */
	return CLI_OK;
}

static int print_added(const struct cli *cli, const char *host, const struct enrol_result *res, const char *token)
{
	if (cli->format == CLI_JSON) {
		CLEANUP(json_decref) json_t *row = json_pack(
			"{s:s, s:s, s:O, s:I, s:b, s:s?, s:I, s:o, s:o}", "name", host, "namespace", res->namespace, "labels", res->labels,
			"identity", (json_int_t)res->identity, "is_new", (int)res->is_new, "token", token, "expires",
			(json_int_t)res->token.expires_s, "changes", to_json(&res->changes), "warnings", to_json(&res->warnings));

		return row ? out_result(cli, out_json(cli, row)) : cli_error(cli, CLI_FAILED, "out of memory");
	}
	for (size_t i = 0; i < res->warnings.n; i++)
		(void)fprintf(stderr, "meshctl: warning: %s\n", res->warnings.v[i]); /* nobody to tell if stderr fails */
	for (size_t i = 0; i < res->changes.n; i++)
		(void)fprintf(stderr, "meshctl: %s %s\n", token ? "changed" : "would change", res->changes.v[i]); /* likewise */
	/* cmd_main() looks at the stream at the end */
	if (!token) {
		(void)fprintf(cli->out, "%s/%s could be enrolled (dry run)\n", res->namespace, host);
		return CLI_OK;
	}
	(void)fprintf(cli->out, "mesh-join --token %s\n", token);
	return tell_next(cli, host, res->token.expires_s);
}

/* The kubeconfig of a test cluster often has an address that no other machine reaches. */
static int warn_servers(const struct strv *servers, struct strv *warnings)
{
	for (size_t i = 0; i < servers->n; i++) {
		const char *s = servers->v[i];
		CLEANUP(free) char *text = NULL;

		if (!str_has_prefix(s, "https://127.") && !str_has_prefix(s, "https://localhost") && !str_has_prefix(s, "https://[::1]"))
			continue;
		text = str_printf("other machines cannot reach %s: name the API server as the host sees it with --server", s);
		if (!text || strv_add(warnings, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int run_add(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(admin_done) struct admin admin = {0};
	CLEANUP(add_done) struct add a = {0};
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(secret_free) char *token = NULL;
	const char *weigh = cmd_opt(args, "weigh");
	struct enrol_options o;
	struct err err = {0};
	int r = read_arguments(args, &a, &err);

	if (r < 0)
		return admin_error(cli, r, &err);
	r = admin_open(cli, args, &admin);
	if (r != CLI_OK)
		return r;
	if (!a.servers.n && strv_add(&a.servers, admin.kubeconfig.server) < 0)
		return cli_error(cli, CLI_FAILED, "out of memory");
	admin.session.is_dry_run = cmd_opt(args, "dry-run") != NULL;
	o = (struct enrol_options){
		.host = args->argv[0],
		.namespace = cmd_opt(args, "namespace"),
		.labels = a.labels,
		.addresses = a.has_addresses ? &a.addresses : NULL,
		.services = a.has_services ? &a.services : NULL,
		.has_weigh = weigh != NULL,
		.may_weigh = weigh && str_eq(weigh, "yes"),
		.zone = cmd_opt(args, "zone"),
		.service_account = cmd_opt(args, "service-account"),
		.cilium_namespace = cmd_opt(args, "cilium-namespace"),
		.servers = &a.servers,
		.ca_pem = admin.kubeconfig.ca_pem,
		.has_pin_only = cmd_opt(args, "pin-only") != NULL,
		.ttl_s = a.ttl_s,
	};
	r = enrol_host(&admin.session, &o, &res, &err);
	if (r == 0)
		r = warn_servers(&a.servers, &res.warnings);
	if (r == 0 && !admin.session.is_dry_run)
		r = join_token_build(&res.token, &token, &err);
	if (r < 0)
		return admin_error(cli, r, &err);
	return print_added(cli, o.host, &res, token);
}

/* By this machine's clock; a host whose clock is ahead is just heard of. */
static int format_heartbeat(const json_t *row, struct buf *text)
{
	CLEANUP(json_decref) json_t *age_ms = NULL;
	int64_t then, now = clock_wall_s();
	int r;

	if (clock_parse_rfc3339(json_str(row, "heartbeat", ""), &then) < 0)
		return buf_add(text, "-", 1);
	age_ms = json_integer(now > then ? (json_int_t)(now - then) * 1000 : 0);
	r = out_age(text, age_ms);
	return r < 0 ? r : buf_addf(text, " ago");
}

static int run_list(const struct cli *cli, const struct cmd_args *args)
{
	static const struct out_col cols[] = {
		{.heading = "NAME", .key = "name"},	      {.heading = "NAMESPACE", .key = "namespace"},
		{.heading = "STATE", .key = "state"},	      {.heading = "IDENTITY", .key = "identity", .is_right = true},
		{.heading = "ADDRESSES", .key = "claimed"},   {.heading = "MAY HAVE", .key = "addresses"},
		{.heading = "LABELS", .key = "labels"},	      {.heading = "LAST HEARTBEAT", .format = format_heartbeat, .is_right = true},
		{.heading = "NOTE", .key = "note"},
	};
	CLEANUP(admin_done) struct admin admin = {0};
	CLEANUP(json_decref) json_t *rows = NULL;
	struct err err = {0};
	int r = admin_open(cli, args, &admin);

	if (r != CLI_OK)
		return r;
	r = enrol_list(&admin.session, &rows, &err);
	return r < 0 ? admin_error(cli, r, &err) : out_result(cli, out_rows(cli, rows, cols, ARRAY_LEN(cols)));
}

static int run_remove(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(admin_done) struct admin admin = {0};
	struct err err = {0};
	int r = enrol_check_name(args->argv[0], &err);

	if (r < 0)
		return admin_error(cli, r, &err);
	r = admin_open(cli, args, &admin);
	if (r != CLI_OK)
		return r;
	admin.session.is_dry_run = cmd_opt(args, "dry-run") != NULL;
	r = enrol_remove(&admin.session, args->argv[0], &err);
	if (r < 0)
		return admin_error(cli, r, &err);
	if (cli->format == CLI_JSON) {
		CLEANUP(json_decref) json_t *row = json_pack("{s:s, s:b}", admin.session.is_dry_run ? "removable" : "removed",
							   args->argv[0], "dry_run", (int)admin.session.is_dry_run);

		return row ? out_result(cli, out_json(cli, row)) : cli_error(cli, CLI_FAILED, "out of memory");
	}
	/* cmd_main() looks at the stream at the end */
	(void)fprintf(cli->out, "%s %s\n", args->argv[0], admin.session.is_dry_run ? "could be removed (dry run)" : "is removed");
	return CLI_OK;
}

static const struct cmd_opt add_opts[] = {
	ADMIN_OPTS,
	{"namespace", 'n', "NS", "namespace that the host's workload belongs to", false},
	{"labels", 'l', "KEY=VALUE,...", "labels that policies select the host by", true},
	{"address", 'a', "IP|CIDR,...", "addresses that the host may have", true},
	{"serve", 's', "SERVICE,...", "Services of the namespace that the host may stand behind", true},
	{"weigh", 0, "yes|no", "let it give its endpoints weights, for meshctl migrate --by weights (no)", false},
	{"zone", 0, "ZONE", "topology zone that its endpoints may be in", false},
	{"ttl", 0, "DURATION", "how long the join token lives, 10m to 24h (15m)", false},
	{"server", 0, "URL,...", "API servers as the host reaches them, else that of the kubeconfig", true},
	{"service-account", 0, "NAME", "service account in the host's identity (mesh-external-host)", false},
	{"cilium-namespace", 0, "NS", "where cilium-config is (found)", false},
	{"pin-only", 0, NULL, "a short token with the CA's pin only; the API server must present its CA", false},
	{"dry-run", 0, NULL, "let the API server check everything and store nothing", false},
	{0},
};

static const struct cmd_opt list_opts[] = {ADMIN_OPTS, {0}};

static const struct cmd_opt remove_opts[] = {
	ADMIN_OPTS,
	{"dry-run", 0, NULL, "let the API server check everything and remove nothing", false},
	{0},
};

const struct cmd cmd_host_table[] = {
	{"host", "add", "NAME", 1, 1, "enrol a host and print its mesh-join command; again for a new token", add_opts, run_add},
	{"host", "list", NULL, 0, 0, "list enrolled hosts", list_opts, run_list},
	{"host", "remove", "NAME", 1, 1, "take a host out of the cluster, its credentials first", remove_opts, run_remove},
	{0},
};
