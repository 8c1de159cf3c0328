/* SPDX-License-Identifier: Apache-2.0 */
/* Moving the traffic of a Service between this host and the pods. */
#include <errno.h>

#include "base/clock.h"
#include "base/macro.h"
#include "cli/migrate_follow.h"
#include "cli/migrate_text.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"
#include "service/migration.h"

/* "10%", "2.5%" or "10", in thousandths. */
static int parse_percent(const char *text, json_int_t *ret)
{
	char whole[8];
	size_t n = strspn(text, "0123456789");
	json_int_t tenths = 0;
	uint64_t v;

	if (n == 0 || n >= sizeof(whole))
		return -EINVAL;
	memcpy(whole, text, n);
	whole[n] = '\0';
	text += n;
	if (text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
		tenths = text[1] - '0';
		text += 2;
	}
	if (str_to_u64(whole, 100, &v) < 0 || !(str_eq(text, "%") || *text == '\0'))
		return -EINVAL;
	*ret = (json_int_t)v * 10 + tenths;
	return 0;
}

static int bad_option(const struct cli *cli, const char *name, const char *value, const char *allowed)
{
	return cli_error(cli, CLI_USAGE, "migrate: --%s %.40s: %s", name, value, allowed);
}

/* The request of migrate.start and migrate.plan. CLI_OK or an exit code with its message. */
static int read_options(const struct cli *cli, const struct cmd_args *args, json_t **ret)
{
	static const struct {
		const char *option, *member;
	} percents[] = {{"step", "step_permille"}, {"max-errors", "max_errors_permille"}};
	const char *to = cmd_opt(args, "to"), *by = cmd_opt(args, "by"), *interval = cmd_opt(args, "interval");
	const char *factor = cmd_opt(args, "max-latency-factor");
	CLEANUP(json_decref) json_t *o = json_pack("{s:s}", "service", args->argv[0]);
	struct migration_conf conf;
	struct err err;
	uint64_t number;
	int r = o ? 0 : -1;

	if (to)
		r |= json_object_set_new(o, "to", json_string(to));
	if (by)
		r |= json_object_set_new(o, "by", json_string(by));
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		const char *text = cmd_opt(args, percents[i].option);
		json_int_t permille = 0;

		if (text && parse_percent(text, &permille) < 0)
			return bad_option(cli, percents[i].option, text, "a percentage, as 10%");
		if (text)
			r |= json_object_set_new(o, percents[i].member, json_integer(permille));
	}
	if (interval && (str_to_usec(interval, &number) < 0 || number % USEC_PER_SEC))
		return bad_option(cli, "interval", interval, "a time of whole seconds, as 30s or 5m");
	if (interval)
		r |= json_object_set_new(o, "interval_s", json_integer((json_int_t)(number / USEC_PER_SEC)));
	if (factor && str_to_u64(factor, 1000, &number) < 0)
		return bad_option(cli, "max-latency-factor", factor, "a whole number, as 3");
	if (factor)
		r |= json_object_set_new(o, "max_latency_factor", json_integer((json_int_t)number));
	if (r)
		return out_result(cli, -ENOMEM);
	if (migration_args_read(o, &conf, &err) < 0) /* as the daemon will */
		return cli_error(cli, CLI_USAGE, "migrate: %s", err.text);
	*ret = TAKE_PTR(o);
	return CLI_OK;
}

static int dry_run(const struct cli *cli, json_t *request)
{
	CLEANUP(json_decref) json_t *plan = NULL;
	int code = cli_call(cli, CTL_VERB_MIGRATE_PLAN, request, &plan);
	const char *refusal;

	if (code == CLI_OK)
		code = out_result(cli, cli->format == CLI_JSON ? out_json(cli, plan) : migrate_print_plan(cli, plan));
	refusal = code == CLI_OK ? json_str(plan, "refusal", NULL) : NULL;
	return refusal ? cli_complain(CLI_NEGATIVE, "migrate: it cannot begin: %.400s", refusal) : code;
}

static int migrate(const struct cli *cli, const struct cmd_args *args)
{
	json_t *request, *m = NULL;
	int code = read_options(cli, args, &request);

	if (code != CLI_OK)
		return code;
	if (cmd_opt(args, "dry-run"))
		return dry_run(cli, request);
	code = cli_call(cli, CTL_VERB_MIGRATE_START, request, &m);
	if (code != CLI_OK)
		return code;
	if (!cmd_opt(args, "no-wait")) {
		if (cli->format != CLI_JSON)
			(void)fprintf(cli->out, "the migration of %s begins; it goes on without this command, which follows it\n",
				      args->argv[0]); /* cmd_main() looks at the stream at the end */
		return migrate_follow(cli, args->argv[0], m);
	}
	code = out_result(cli, cli->format == CLI_JSON ? out_json(cli, m) : migrate_print_progress(cli, m));
	json_decref(m);
	return code;
}

static int status(const struct cli *cli, const struct cmd_args *args)
{
	json_t *request = args->argc ? json_pack("{s:s}", "service", args->argv[0]) : NULL;

	return out_call(cli, CTL_VERB_MIGRATE_STATUS, request, migrate_status_cols, MIGRATE_STATUS_COLS);
}

static int act(const struct cli *cli, const struct cmd_args *args, const char *action)
{
	CLEANUP(json_decref) json_t *m = NULL;
	int code = cli_call(cli, CTL_VERB_MIGRATE_SET, json_pack("{s:s, s:s}", "service", args->argv[0], "action", action), &m);

	if (code != CLI_OK || cli->format == CLI_JSON)
		return code != CLI_OK ? code : out_result(cli, out_json(cli, m));
	return out_result(cli, json_at(m, "state") ? migrate_print_progress(cli, m) : fprintf(cli->out, "forgotten\n") < 0 ? -EIO : 0);
}

static int pause_it(const struct cli *cli, const struct cmd_args *args)
{
	return act(cli, args, "pause");
}

static int resume_it(const struct cli *cli, const struct cmd_args *args)
{
	return act(cli, args, "resume");
}

static int abort_it(const struct cli *cli, const struct cmd_args *args)
{
	return act(cli, args, "abort");
}

static const struct cmd_opt opts[] = {
	{"to", 0, "pods|host", "where the traffic goes", false},
	{"step", 0, "PERCENT", "how much moves at a time, 10% if not given", false},
	{"interval", 0, "TIME", "how long each step is watched, 30s if not given", false},
	{"by", 0, "turns|weights", "how shares are made, turns if not given", false},
	{"max-errors", 0, "PERCENT", "failed checks of the receiving side that take it back, 5% if not given", false},
	{"max-latency-factor", 0, "N", "so many times the latency of the other side takes it back, 3 if not given", false},
	{"dry-run", 0, NULL, "tell what would be done, and do nothing", false},
	{"no-wait", 0, NULL, "begin, and do not follow it", false},
	{NULL, 0, NULL, NULL, false},
};

const struct cmd cmd_migrate_table[] = {
	{"migrate", "status", "[SERVICE]", 0, 1, "How far migrations are, and how both sides do", NULL, status},
	{"migrate", "pause", "SERVICE", 1, 1, "Stay at the present step", NULL, pause_it},
	{"migrate", "resume", "SERVICE", 1, 1, "Go on", NULL, resume_it},
	{"migrate", "abort", "SERVICE", 1, 1, "Go back at once to where it began", NULL, abort_it},
	{"migrate", NULL, "SERVICE", 1, 1, "Move the traffic of a Service between this host and pods", opts, migrate},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
