/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/migrate_follow.h"

#include <errno.h>
#include <poll.h>

#include "base/macro.h"
#include "cli/migrate_text.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

enum { LOOK_MS = 500, LOST_MAX = 120 }; /* a daemon that restarts is waited for, a minute */

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
		return out_result(cli, r);
	r = out_clean(&text, json_str(m, "state", ""));
	if (r == 0)
		r = buf_addf(&text, ": ");
	if (r == 0)
		r = out_clean(&text, json_str(m, "reason", ""));
	return r < 0 ? out_result(cli, r) : cli_complain(CLI_NEGATIVE, "migrate: %s", text.data);
}

int migrate_follow(const struct cli *cli, const char *service, json_t *m)
{
	CLEANUP(json_decref) json_t *before = NULL, *now = m;
	unsigned lost = 0;
	struct err err;
	int code = CLI_OK;

	for (;;) {
		CLEANUP(json_decref) json_t *list = NULL;

		if (now && is_news(now, before) && cli->format != CLI_JSON && migrate_print_progress(cli, now) < 0)
			return out_result(cli, -EIO);
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
			return cli_error(cli, (enum cli_exit)code, "%s", err.text);
		now = json_incref(json_array_get(list, 0));
	}
}
