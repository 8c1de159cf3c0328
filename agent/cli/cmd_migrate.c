/* SPDX-License-Identifier: Apache-2.0 */
/* Moving the traffic of a Service between this host and the pods. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"
#include "service/migration.h"

enum { LOOK_MS = 500, LOST_MAX = 120 }; /* a daemon that restarts is waited for, a minute */

/* Formats */

static int add_percent(struct buf *text, json_int_t permille)
{
	return buf_addf(text, "%d.%d%%", (int)(permille / 10), (int)(permille % 10));
}

static int format_host(const json_t *row, struct buf *text)
{
	return add_percent(text, json_int(row, "host_permille", 0));
}

static int format_pods(const json_t *row, struct buf *text)
{
	return add_percent(text, 1000 - json_int(row, "host_permille", 0));
}

static int add_seconds(struct buf *text, json_int_t ms)
{
	return buf_addf(text, "%d.%ds", (int)(ms / 1000), (int)(ms / 100 % 10));
}

/* What this host does in a step. */
static int format_how(const json_t *row, struct buf *text)
{
	int r;

	if (json_at(row, "weight"))
		return buf_addf(text, "weight %d", (int)json_int(row, "weight", 0));
	if (!json_at(row, "on_ms"))
		return buf_addf(text, "%s", json_truth(row, "standby", 0) ? "stands by" : "ready");
	r = buf_addf(text, "ready ");
	if (r == 0)
		r = add_seconds(text, json_int(row, "on_ms", 0));
	if (r == 0)
		r = buf_addf(text, " of each ");
	return r < 0 ? r : add_seconds(text, json_int(row, "window_ms", 0));
}

static int format_hold(const json_t *row, struct buf *text)
{
	return out_age(text, json_at(row, "hold_ms"));
}

/* "12, 1 failed, 0.4 ms" */
static int add_side(struct buf *text, const json_t *side)
{
	json_int_t us = json_int(side, "latency_us", 0);

	return buf_addf(text, "%d, %d failed, %d.%d ms", (int)json_int(side, "checks", 0), (int)json_int(side, "errors", 0),
			(int)(us / 1000), (int)(us / 100 % 10));
}

static int format_host_checks(const json_t *row, struct buf *text)
{
	return add_side(text, json_at(row, "sides.host"));
}

static int format_pod_checks(const json_t *row, struct buf *text)
{
	return add_side(text, json_at(row, "sides.pods"));
}

static int format_step(const json_t *row, struct buf *text)
{
	return buf_addf(text, "%d/%d", (int)json_int(row, "step", 0), (int)json_int(row, "steps", 0));
}

static int format_text(const json_t *row, struct buf *text)
{
	const char *s = json_str(row, "reason", "");

	s = *s ? s : json_str(row, "waiting", "");
	return out_clean(text, *s ? s : "-");
}

static const struct out_col status_cols[] = {
	{.heading = "SERVICE", .key = "service"},
	{.heading = "TO", .key = "to"},
	{.heading = "BY", .key = "by"},
	{.heading = "STATE", .key = "state"},
	{.heading = "STEP", .format = format_step, .is_right = true},
	{.heading = "HOST", .format = format_host, .is_right = true},
	{.heading = "PODS", .format = format_pods, .is_right = true},
	{.heading = "CHECKS OF HOST", .format = format_host_checks},
	{.heading = "CHECKS OF PODS", .format = format_pod_checks},
	{.heading = "OPEN", .key = "connections", .is_right = true},
	{.heading = "TEXT", .format = format_text},
};

static const struct out_col plan_cols[] = {
	{.heading = "STEP", .key = "number", .is_right = true},
	{.heading = "HOST", .format = format_host, .is_right = true},
	{.heading = "PODS", .format = format_pods, .is_right = true},
	{.heading = "THIS HOST", .format = format_how},
	{.heading = "FOR", .format = format_hold, .is_right = true},
};

/* Options */

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

static int bad_option(const char *name, const char *value, const char *allowed)
{
	return cli_error(CLI_USAGE, "migrate: --%s %.40s: %s", name, value, allowed);
}

/* The request of migrate.start and migrate.plan. CLI_OK or an exit code with its message. */
static int read_options(const struct cmd_args *args, json_t **ret)
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
			return bad_option(percents[i].option, text, "a percentage, as 10%");
		if (text)
			r |= json_object_set_new(o, percents[i].member, json_integer(permille));
	}
	if (interval && (str_to_usec(interval, &number) < 0 || number % USEC_PER_SEC))
		return bad_option("interval", interval, "a time of whole seconds, as 30s or 5m");
	if (interval)
		r |= json_object_set_new(o, "interval_s", json_integer((json_int_t)(number / USEC_PER_SEC)));
	if (factor && str_to_u64(factor, 1000, &number) < 0)
		return bad_option("max-latency-factor", factor, "a whole number, as 3");
	if (factor)
		r |= json_object_set_new(o, "max_latency_factor", json_integer((json_int_t)number));
	if (r)
		return out_result(-ENOMEM);
	if (migration_args_read(o, &conf, &err) < 0) /* as the daemon will */
		return cli_error(CLI_USAGE, "migrate: %s", err.text);
	*ret = TAKE_PTR(o);
	return CLI_OK;
}

/* The plan */

/* "legacy/council to pods by turns: this host has " */
static int add_words(struct buf *text, const json_t *plan)
{
	static const char *const words[] = {"", "namespace", "/", "service", " to ", "to", " by ", "by"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(words); i += 2) {
		r = buf_addf(text, "%s", words[i]);
		if (r == 0)
			r = out_clean(text, json_str(plan, words[i + 1], ""));
	}
	return r < 0 ? r : buf_addf(text, ": this host has ");
}

static int print_plan(const struct cli *cli, const json_t *plan)
{
	CLEANUP(buf_done) struct buf text = {0};
	json_t *steps = json_at(plan, "steps"), *v;
	size_t i;
	int r = 0;

	json_array_foreach(steps, i, v)
		r |= json_object_set_new(v, "number", json_integer((json_int_t)i + 1));
	r = r ? -ENOMEM : add_words(&text, plan);
	if (r == 0)
		r = add_percent(&text, json_int(plan, "host_permille", 0));
	if (r == 0)
		r = buf_addf(&text, " of new connections now, beside %d ready pods\n", (int)json_int(plan, "pods", 0));
	if (r == 0 && json_at(plan, "check")) {
		r = buf_addf(&text, "checks: ");
		if (r == 0)
			r = out_clean(&text, json_str(plan, "check.type", ""));
		if (r == 0)
			r = buf_addf(&text, " of port %d%s", (int)json_int(plan, "check.host_port", 0),
				     json_at(plan, "check.path") ? " path " : "");
		if (r == 0)
			r = out_clean(&text, json_str(plan, "check.path", ""));
		if (r == 0)
			r = buf_addf(&text, "\n");
	}
	if (r == 0 && fputs(text.data, cli->out) == EOF)
		r = -EIO;
	if (r == 0)
		r = out_rows(cli, steps, plan_cols, ARRAY_LEN(plan_cols));
	json_array_foreach(json_at(plan, "notes"), i, v) {
		CLEANUP(buf_done) struct buf note = {0};

		if (r == 0)
			r = buf_addf(&note, "- ");
		if (r == 0)
			r = out_clean(&note, json_string_value(v) ? json_string_value(v) : "");
		if (r == 0 && fprintf(cli->out, "%s\n", note.data) < 0)
			r = -EIO;
	}
	return r;
}

static int dry_run(const struct cli *cli, json_t *request)
{
	CLEANUP(json_decref) json_t *plan = NULL;
	int code = cli_call(cli, CTL_VERB_MIGRATE_PLAN, request, &plan);
	const char *refusal;

	if (code == CLI_OK)
		code = out_result(cli->format == CLI_JSON ? out_json(cli, plan) : print_plan(cli, plan));
	refusal = code == CLI_OK ? json_str(plan, "refusal", NULL) : NULL;
	return refusal ? cli_error(CLI_NEGATIVE, "migrate: it cannot begin: %.400s", refusal) : code;
}

/* Following */

static int print_progress(const struct cli *cli, const json_t *m)
{
	CLEANUP(buf_done) struct buf text = {0};
	const char *waiting = json_str(m, "waiting", "");
	int r = out_clean(&text, json_str(m, "state", ""));

	if (r == 0 && json_int(m, "step", 0))
		r = buf_addf(&text, ", step %d of %d", (int)json_int(m, "step", 0), (int)json_int(m, "steps", 0));
	if (r == 0)
		r = buf_addf(&text, ": this host ");
	if (r == 0)
		r = format_host(m, &text);
	if (r == 0)
		r = buf_addf(&text, ", pods ");
	if (r == 0)
		r = format_pods(m, &text);
	if (r == 0 && *waiting) {
		r = buf_addf(&text, "; waiting: ");
		if (r == 0)
			r = out_clean(&text, waiting);
	}
	if (r == 0 && (fprintf(cli->out, "%s\n", text.data) < 0 || fflush(cli->out) != 0))
		r = -EIO;
	return r;
}

/* Numbers in a text go on all the time. */
static bool same_but_numbers(const char *a, const char *b)
{
	static const char digits[] = "0123456789";

	for (;; a++, b++) {
		a += strspn(a, digits);
		b += strspn(b, digits);
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

/* True if a line more would say something else. */
static bool is_news(const json_t *m, const json_t *before)
{
	static const char *const members[] = {"state", "step"};
	const char *waiting = json_str(m, "waiting", "");

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (!before || !json_equal(json_at(m, members[i]), json_at(before, members[i])))
			return true;
	return *waiting && !strstr(waiting, " checks were made") && /* that is only a matter of seconds */
	       !same_but_numbers(waiting, json_str(before, "waiting", ""));
}

static int tell_end(const struct cli *cli, const json_t *m)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r = cli->format == CLI_JSON ? out_json(cli, m) : 0;

	if (r < 0 || str_eq(json_str(m, "state", ""), "done"))
		return out_result(r);
	r = out_clean(&text, json_str(m, "state", ""));
	if (r == 0)
		r = buf_addf(&text, ": ");
	if (r == 0)
		r = out_clean(&text, json_str(m, "reason", ""));
	return r < 0 ? out_result(r) : cli_error(CLI_NEGATIVE, "migrate: %s", text.data);
}

/* Until it has ended. The daemon may restart meanwhile, and goes on. Takes `m`, which is how it began. */
static int follow(const struct cli *cli, const char *service, json_t *m)
{
	CLEANUP(json_decref) json_t *before = NULL, *now = m;
	unsigned lost = 0;
	struct err err;
	int code = CLI_OK;

	for (;;) {
		CLEANUP(json_decref) json_t *list = NULL;

		if (now && is_news(now, before) && cli->format != CLI_JSON && print_progress(cli, now) < 0)
			return out_result(-EIO);
		if (now && !json_truth(now, "running", 0))
			return tell_end(cli, now);
		if (now) {
			json_decref(before);
			before = TAKE_PTR(now);
		}
		(void)poll(NULL, 0, LOOK_MS); /* only time passes */
		code = cli_ask(cli, CTL_VERB_MIGRATE_STATUS, json_pack("{s:s}", "service", service), &list, &err);
		lost = code == CLI_OK ? 0 : lost + 1;
		if (lost > LOST_MAX)
			return cli_error((enum cli_exit)code, "%s", err.text);
		now = json_incref(json_array_get(list, 0));
	}
}

static int migrate(const struct cli *cli, const struct cmd_args *args)
{
	json_t *request, *m = NULL;
	int code = read_options(args, &request);

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
		return follow(cli, args->argv[0], m);
	}
	code = out_result(cli->format == CLI_JSON ? out_json(cli, m) : print_progress(cli, m));
	json_decref(m);
	return code;
}

static int status(const struct cli *cli, const struct cmd_args *args)
{
	json_t *request = args->argc ? json_pack("{s:s}", "service", args->argv[0]) : NULL;

	return out_call(cli, CTL_VERB_MIGRATE_STATUS, request, status_cols, ARRAY_LEN(status_cols));
}

static int act(const struct cli *cli, const struct cmd_args *args, const char *action)
{
	CLEANUP(json_decref) json_t *m = NULL;
	int code = cli_call(cli, CTL_VERB_MIGRATE_SET, json_pack("{s:s, s:s}", "service", args->argv[0], "action", action), &m);

	if (code != CLI_OK || cli->format == CLI_JSON)
		return code != CLI_OK ? code : out_result(out_json(cli, m));
	return out_result(json_at(m, "state") ? print_progress(cli, m) : fprintf(cli->out, "forgotten\n") < 0 ? -EIO : 0);
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
