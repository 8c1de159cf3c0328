/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd_policy.h"

#include <errno.h>

#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static const struct out_col cols[] = {
	{.heading = "KIND", .key = "kind"},
	{.heading = "NAMESPACE", .key = "namespace"},
	{.heading = "NAME", .key = "name"},
	{.heading = "STATE", .key = "state"},
	{.heading = "DIRECTIONS", .key = "directions"},
	{.heading = "RULES", .key = "rules", .is_right = true},
	{.heading = "REASON", .key = "reason", .is_text = true},
};

static int list(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return out_call(cli, CTL_VERB_POLICY_LIST, NULL, cols, ARRAY_LEN(cols));
}

static const struct out_col rule_cols[] = {
	{.heading = "ACTION", .key = "action"},
	{.heading = "KIND", .key = "kind"},
	{.heading = "NAMESPACE", .key = "namespace"},
	{.heading = "NAME", .key = "name"},
	{.heading = "PATH", .key = "path"},
};

static int format_differs(const json_t *row, struct buf *text)
{
	return buf_addf(text, "another %s", str_eq(json_str(row, "differs", ""), "peer") ? "peer" : "port");
}

/* What would have allowed it, if it were not for one thing. */
static const struct out_col near_cols[] = {
	{.heading = "FOR", .format = format_differs},
	{.heading = "KIND", .key = "kind"},
	{.heading = "NAMESPACE", .key = "namespace"},
	{.heading = "NAME", .key = "name"},
	{.heading = "PATH", .key = "path"},
};

int cmd_policy_print(const struct cli *cli, const json_t *answer)
{
	CLEANUP(buf_done) struct buf text = {0};
	const json_t *rules = json_at(answer, "rules"), *near = json_at(answer, "near");
	int r = out_clean(&text, json_str(answer, "verdict", "-"));

	if (r == 0)
		r = buf_addf(&text, ": ");
	if (r == 0)
		r = out_clean(&text, json_str(answer, "reason", "-"));
	if (r == 0 && fprintf(cli->out, "%s\n", text.data) < 0)
		r = -EIO;
	if (r == 0 && json_array_size(rules))
		r = out_rows(cli, rules, rule_cols, ARRAY_LEN(rule_cols));
	if (r < 0 || !json_array_size(near))
		return r;
	if (fprintf(cli->out, "rules that would allow it for another peer or port:\n") < 0)
		return -EIO;
	return out_rows(cli, near, near_cols, ARRAY_LEN(near_cols));
}

const struct cmd cmd_policy_table[] = {
	{"policy", "confirm", NULL, 0, 0, "Say that all is well with the policies in force, for the guard", NULL,
	 cmd_policy_confirm},
	{"policy", "guard", NULL, 0, 0, "Take changes of policy back that nobody confirms; alone: its state",
	 cmd_policy_guard_opts, cmd_policy_guard},
	{"policy", "list", NULL, 0, 0, "Policies, and what this host makes of each", NULL, list},
	{"policy", "shadow", "[[NAMESPACE/]NAME [on|off|auto]]", 0, 2,
	 "What policies that are not enforced would drop; on, off: choose on this host", NULL, cmd_policy_shadow},
	{"policy", "verdict", NULL, 0, 0, "What policies in files would do to a packet; nobody is asked",
	 cmd_policy_verdict_opts, cmd_policy_verdict},
	{"policy", "why", NULL, 0, 0, "What this host does to a packet, and which rules are the reason",
	 cmd_policy_why_opts, cmd_policy_why},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
