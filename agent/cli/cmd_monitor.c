/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/ip.h"
#include "cli/cli_call.h"
#include "cli/monitor_line.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

static int print_event(const struct cli *cli, const json_t *event)
{
	CLEANUP(buf_done) struct buf text = {0};
	int r;

	if (cli->format == CLI_JSON) {
		if (json_dumpf(event, cli->out, JSON_COMPACT) < 0 || fputc('\n', cli->out) == EOF)
			return -EIO;
	} else {
		int64_t offset_us = clock_wall_us() - (int64_t)clock_boot_us();

		r = monitor_line(event, offset_us, &text);
		if (r < 0)
			return r;
		if (fprintf(cli->out, "%s\n", text.data) < 0)
			return -EIO;
	}
	return fflush(cli->out) == 0 ? 0 : -EIO; /* a live view; who reads a pipe wants lines as well */
}

static int parse_filter(const struct cli *cli, const struct cmd_args *args, struct monitor_filter *f)
{
	const char *identity = cmd_opt(args, "identity"), *peer = cmd_opt(args, "peer");
	const char *direction = cmd_opt(args, "direction");
	struct ip ip;

	*f = (struct monitor_filter){.is_drops_only = cmd_opt(args, "drop") != NULL,
				     .peer = peer,
				     .direction = direction};
	if (peer && ip_parse(peer, &ip) < 0)
		return cli_error(cli, CLI_USAGE, "--peer %.64s: no address", peer);
	if (identity) {
		f->has_identity = true;
		if (str_to_u64(identity, UINT32_MAX, &f->identity) < 0)
			return cli_error(cli, CLI_USAGE, "--identity %.64s: no number", identity);
	}
	if (direction && !str_eq(direction, "ingress") && !str_eq(direction, "egress"))
		return cli_error(cli, CLI_USAGE, "--direction %.16s: must be ingress or egress", direction);
	return CLI_OK;
}

static json_t *filter_args(const struct monitor_filter *f)
{
	json_t *args = json_pack("{s:b,s:s*,s:s*}", "drops_only", f->is_drops_only, "peer", f->peer,
				 "direction", f->direction);

	if (args && f->has_identity &&
	    json_object_set_new(args, "identity", json_integer((json_int_t)f->identity)) < 0) {
		json_decref(args);
		return NULL;
	}
	return args;
}

/* One message of the stream; counts what was shown. 0, -errno of output, or an enum cli_exit > 0. */
static int next(const struct cli *cli, struct ctl_client *client, const struct monitor_filter *f, uint64_t *shown)
{
	CLEANUP(json_decref) json_t *event = NULL;
	uint64_t lost = 0;
	struct err err = {0};
	int r = ctl_client_next(client, UINT64_MAX, &event, &lost, &err), code;

	if (r < 0) {
		code = cli_refused(r, CTL_VERB_MONITOR, &err);
		return cli_error(cli, (enum cli_exit)code, "%s", err.text);
	}
	if (lost)
		(void)fprintf(stderr, "meshctl: %" PRIu64 " events were lost: too slow to read them\n", lost);
	if (!event || !monitor_matches(f, event))
		return 0;
	(*shown)++;
	return print_event(cli, event);
}

static int watch(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(ctl_client_free) struct ctl_client *client = NULL;
	CLEANUP(json_decref) json_t *request = NULL, *data = NULL;
	const char *count = cmd_opt(args, "count");
	uint64_t limit = UINT64_MAX, shown = 0;
	struct monitor_filter filter;
	struct err err = {0};
	int r = parse_filter(cli, args, &filter);

	if (r != CLI_OK)
		return r;
	if (count && (str_to_u64(count, UINT32_MAX, &limit) < 0 || !limit))
		return cli_error(cli, CLI_USAGE, "--count %.32s: must be a number above 0", count);
	request = filter_args(&filter);
	if (!request)
		return out_result(cli, -ENOMEM);
	r = cli_connect(cli, &client, &err);
	if (r != CLI_OK)
		return cli_error(cli, (enum cli_exit)r, "%s", err.text);
	r = ctl_client_call(client, CTL_VERB_MONITOR, request, &data, &err);
	if (r < 0) {
		r = cli_refused(r, CTL_VERB_MONITOR, &err);
		return cli_error(cli, (enum cli_exit)r, "%s", err.text);
	}
	for (r = 0; r == 0 && shown < limit;)
		r = next(cli, client, &filter, &shown);
	return r > 0 ? r : out_result(cli, r);
}

static int monitor(const struct cli *cli, const struct cmd_args *args)
{
	struct cli own = *cli;

	if (cmd_opt(args, "json"))
		own.format = CLI_JSON;
	return watch(&own, args);
}

static const struct cmd_opt opts[] = {
	{"drop", 'd', NULL, "drops only", false},
	{"peer", 'p', "ADDRESS", "packets from or to this address", false},
	{"identity", 'i', "ID", "packets whose peer has this identity", false},
	{"direction", 0, "DIRECTION", "ingress or egress only", false},
	{"count", 'n', "COUNT", "stop after so many events", false},
	{"json", 'j', NULL, "one JSON object a line, as -o json", false},
	{NULL, 0, NULL, NULL, false},
};

const struct cmd cmd_monitor_table[] = {
	{"monitor", NULL, NULL, 0, 0, "Drops and verdicts as they happen", opts, monitor},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
