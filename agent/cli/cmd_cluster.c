/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/macro.h"

#include "cli/admin.h"
#include "cli/out.h"
#include "join/cluster_check.h"
#include "join/manifests.h"
#include "json/json.h"
#include "kube/cilium_config.h"

struct setup {
	const struct cli *cli;
	json_t *done;
	bool is_dry_run;
};

static int applied(const json_t *object, void *arg)
{
	const struct setup *s = arg;
	const char *namespace = json_str(object, "metadata.namespace", "");

	if (s->cli->format == CLI_TABLE)
		/* cmd_main() looks at the stream at the end */
		(void)fprintf(s->cli->out, "%s %s%s%s%s\n", json_str(object, "kind", ""), namespace, *namespace ? "/" : "",
			      json_str(object, "metadata.name", ""), s->is_dry_run ? " (dry run)" : "");
	return json_array_append_new(s->done, json_pack("{s:s, s:s, s:s?}", "kind", json_str(object, "kind", ""), "name",
							json_str(object, "metadata.name", ""), "namespace",
							*namespace ? namespace : NULL)) < 0 ?
		       -ENOMEM :
		       0;
}

/* With --print no cluster is asked: the text is as it lies in the package, or adapted as JSON. */
static int print_only(const struct cli *cli, const struct manifests_options *o)
{
	CLEANUP(json_decref) json_t *docs = NULL;
	struct err err = {0};
	int r;

	if (cli->format == CLI_TABLE && !o->cilium_namespace)
		return out_result(cli, fputs(manifests_text(), cli->out) < 0 ? -EIO : 0);
	r = manifests_read(o, &docs, &err);
	if (r == 0) {
		CLEANUP(json_decref) json_t *list = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", docs);

		return list ? out_result(cli, out_json(cli, list)) : cli_error(cli, CLI_FAILED, "out of memory");
	}
	return admin_error(cli, r, &err);
}

/* Hosts are given the right to read it where it is expected. */
static void warn_config(const struct kube_session *s, const char *namespace)
{
	const char *where = namespace ? namespace : CILIUM_NAMESPACE;

	if (kube_get(s, "ConfigMap", where, CILIUM_CONFIG_NAME, NULL, NULL) == -ENOENT)
		/* nobody to tell if stderr fails */
		(void)fprintf(stderr,
			      "meshctl: warning: ConfigMap " CILIUM_CONFIG_NAME " is not in namespace %s: --cilium-namespace says where it is\n",
			      where);
}

static int run_setup(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(admin_done) struct admin a = {0};
	CLEANUP(json_decref) json_t *done = json_array();
	struct setup s = {.cli = cli, .done = done, .is_dry_run = cmd_opt(args, "dry-run") != NULL};
	const struct manifests_options o = {
		.cilium_namespace = cmd_opt(args, "cilium-namespace"), .on_object = applied, .arg = &s};
	struct err err = {0};
	int r;

	if (!done)
		return cli_error(cli, CLI_FAILED, "out of memory");
	if (cmd_opt(args, "print"))
		return print_only(cli, &o);
	r = admin_open(cli, args, &a);
	if (r != CLI_OK)
		return r;
	a.session.is_dry_run = s.is_dry_run;
	warn_config(&a.session, o.cilium_namespace);
	r = manifests_apply(&a.session, &o, &err);
	if (r < 0)
		return admin_error(cli, r, &err);
	return cli->format == CLI_JSON ? out_result(cli, out_json(cli, done)) : CLI_OK;
}

/* The exit code tells the worst of what was found. */
static int run_check(const struct cli *cli, const struct cmd_args *args)
{
	static const int codes[] = {[CILIUM_FITS] = CLI_OK, [CILIUM_DEGRADED] = CLI_NEGATIVE, [CILIUM_REFUSED] = CLI_USAGE};
	static const struct out_col cols[] = {
		{.heading = "FIT", .key = "fit"},
		{.heading = "KEY", .key = "key"},
		{.heading = "VALUE", .key = "value"},
		{.heading = "REASON", .key = "reason", .is_text = true},
	};
	CLEANUP(admin_done) struct admin a = {0};
	CLEANUP(json_decref) json_t *findings = NULL;
	struct err err = {0};
	int r = admin_open(cli, args, &a);

	if (r != CLI_OK)
		return r;
	r = cluster_check(&a.session, cmd_opt(args, "cilium-namespace"), &findings, &err);
	if (r < 0)
		return admin_error(cli, r, &err);
	r = out_result(cli, out_rows(cli, findings, cols, ARRAY_LEN(cols)));
	return r == CLI_OK ? codes[cluster_check_worst(findings)] : r;
}

static const struct cmd_opt check_opts[] = {
	ADMIN_OPTS,
	{"cilium-namespace", 0, "NS", "where cilium-config is (found)", false},
	{0},
};

static const struct cmd_opt setup_opts[] = {
	ADMIN_OPTS,
	{"print", 0, NULL, "print the manifests instead of applying them; asks no cluster", false},
	{"dry-run", 0, NULL, "let the API server check everything and store nothing", false},
	{"cilium-namespace", 0, "NS", "where cilium-config is (kube-system)", false},
	{0},
};

const struct cmd cmd_cluster_table[] = {
	{"cluster", "check", NULL, 0, 0, "what of a cluster fits external hosts, what is degraded, what is refused", check_opts, run_check},
	{"cluster", "setup", NULL, 0, 0, "prepare a cluster for external hosts: namespace, roles, admission policies", setup_opts, run_setup},
	{0},
};
