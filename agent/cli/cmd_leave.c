/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/macro.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

#include <string.h>
#include <unistd.h>

#define LEAVE_US ((CTL_LEAVE_S + 15) * USEC_PER_SEC)

/* Anything but a plain yes is no. */
static bool is_confirmed(void)
{
	char line[16];

	(void)fprintf(stderr, "Leave the cluster? Its policies are no longer enforced on this host, and pods "
			      "no longer reach it by its labels. [yes/no] ");
	return fgets(line, sizeof(line), stdin) && str_eq(line, "yes\n");
}

static int leave(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *data = NULL;
	struct cli patient = *cli;
	const json_t *step;
	size_t i;
	int code;

	if (!cmd_opt(args, "yes")) {
		if (!isatty(STDIN_FILENO))
			return cli_error(cli, CLI_USAGE, "leave: nobody is there to confirm it; give --yes");
		if (!is_confirmed())
			return cli_error(cli, CLI_NEGATIVE, "leave: not confirmed, nothing was changed");
	}
	if (patient.timeout_us < LEAVE_US)
		patient.timeout_us = LEAVE_US; /* the daemon gives up first, and says why */
	code = cli_call(&patient, CTL_VERB_LEAVE, cmd_opt(args, "force") ? json_pack("{s:b}", "force", 1) : NULL, &data);
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON)
		return out_result(cli, out_json(cli, data));
	json_array_foreach(json_at(data, "steps"), i, step) {
		CLEANUP(buf_done) struct buf text = {0};
		int r = out_value(&text, step, "");

		if (r < 0)
			return out_result(cli, r);
		(void)fprintf(cli->out, "%s\n", text.data); /* cmd_main() looks at the stream at the end */
	}
	return CLI_OK;
}

static const struct cmd_opt opts[] = {
	{"yes", 'y', NULL, "do not ask", false},
	{"force", 0, NULL, "do not ask the API server: take down this host's side only", false},
	{NULL, 0, NULL, NULL, false},
};

const struct cmd cmd_leave_table[] = {
	{"leave", NULL, NULL, 0, 0, "Take this host out of the cluster", opts, leave},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
