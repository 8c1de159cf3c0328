/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/migrate_text.h"

#include <errno.h>

#include "base/macro.h"
#include "json/json.h"

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

const struct out_col migrate_status_cols[MIGRATE_STATUS_COLS] = {
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
	{.heading = "TEXT", .format = format_text, .is_text = true},
};

static const struct out_col plan_cols[] = {
	{.heading = "STEP", .key = "number", .is_right = true},
	{.heading = "HOST", .format = format_host, .is_right = true},
	{.heading = "PODS", .format = format_pods, .is_right = true},
	{.heading = "THIS HOST", .format = format_how},
	{.heading = "FOR", .format = format_hold, .is_right = true},
};

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

int migrate_print_plan(const struct cli *cli, const json_t *plan)
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

int migrate_print_progress(const struct cli *cli, const json_t *m)
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
