/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of policy that must be confirmed, or are taken back. */
#include <errno.h>

#include "base/macro.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"
#include "policy/guard.h"

const struct cmd_opt cmd_policy_guard_opts[] = {
	{"confirm", 0, "TIME", "arm it: changes must be confirmed within TIME, as 120s or 5m", false},
	{"off", 0, NULL, "take it off; what the cluster says holds", false},
	{NULL, 0, NULL, NULL, false},
};

int cmd_policy_guard_line(const json_t *guard, struct buf *text)
{
	const char *state = json_str(guard, "state", "");
	int r = out_clean(text, *state ? state : "-");

	if (r == 0 && json_at(guard, "timeout_ms")) {
		r = buf_addf(text, ", to be confirmed within ");
		if (r == 0)
			r = out_age(text, json_at(guard, "timeout_ms"));
	}
	if (r == 0 && json_at(guard, "remaining_ms")) {
		r = buf_addf(text, ", ");
		if (r == 0)
			r = out_age(text, json_at(guard, "remaining_ms"));
		if (r == 0)
			r = buf_addf(text, " left");
	}
	if (r == 0 && json_truth(guard, "joining", 0))
		r = buf_addf(text, ", else nothing is enforced, as before joining");
	else if (r == 0 && json_at(guard, "confirmed_policies"))
		r = buf_addf(text, ", confirmed: %" JSON_INTEGER_FORMAT " policies", json_int(guard, "confirmed_policies", 0));
	if (r == 0 && json_at(guard, "waiting_policies"))
		r = buf_addf(text, ", waiting: %" JSON_INTEGER_FORMAT, json_int(guard, "waiting_policies", 0));
	return r;
}

static int ask(const struct cli *cli, const char *verb, json_t *request)
{
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(json_decref) json_t *data = NULL;
	int code = cli_call(cli, verb, request, &data), r;

	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(cli, out_json(cli, data));
	r = cmd_policy_guard_line(data, &text);
	if (r == 0 && fprintf(cli->out, "guard: %s\n", text.data) < 0)
		r = -EIO;
	return out_result(cli, r);
}

int cmd_policy_guard(const struct cli *cli, const struct cmd_args *args)
{
	const char *confirm = cmd_opt(args, "confirm");
	struct err err = {0};
	uint64_t timeout_us;
	json_t *request;

	if (confirm && cmd_opt(args, "off"))
		return cli_error(cli, CLI_USAGE, "policy guard: give --confirm or --off, not both");
	if (confirm && guard_parse_timeout(confirm, &timeout_us, &err) < 0)
		return cli_error(cli, CLI_USAGE, "policy guard: %s", err.text);
	if (!confirm && !cmd_opt(args, "off"))
		return ask(cli, CTL_VERB_POLICY_GUARD, NULL);
	request = confirm ? json_pack("{s:s}", "confirm", confirm) : json_pack("{s:b}", "off", 1);
	return request ? ask(cli, CTL_VERB_POLICY_GUARD_SET, request) : out_result(cli, -ENOMEM);
}

int cmd_policy_confirm(const struct cli *cli, const struct cmd_args *args)
{
	(void)args;
	return ask(cli, CTL_VERB_POLICY_CONFIRM, NULL);
}
