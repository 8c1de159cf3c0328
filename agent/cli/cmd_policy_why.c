/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon asked about one packet under the policies in force. */
#include <errno.h>

#include "base/ip.h"
#include "base/macro.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"
#include "policy/policy_explain.h"

const struct cmd_opt cmd_policy_why_opts[] = {
	{"peer-ip", 0, "IP", "address of the other side", false},
	{"identity", 'i', "ID", "identity of the other side, instead of an address", false},
	{"direction", 0, "DIRECTION", "ingress or egress, as this host sees it", false},
	{"protocol", 0, "PROTOCOL", "tcp, udp, sctp, icmp, icmpv6 or a number", false},
	{"port", 0, "PORT", "destination port", false},
	{"icmp-type", 0, "TYPE", "of icmp and icmpv6", false},
	{NULL, 0, NULL, NULL, false},
};

/* Where there is text. */
static int add(json_t *to, const char *key, const char *text)
{
	return text ? json_object_set_new(to, key, json_string(text)) : 0;
}

static int request_of(const struct cli *cli, const struct cmd_args *args, json_t **ret)
{
	const struct policy_question_text text = {.direction = cmd_opt(args, "direction"),
						  .protocol = cmd_opt(args, "protocol"),
						  .port = cmd_opt(args, "port"),
						  .icmp_type = cmd_opt(args, "icmp-type")};
	const char *ip = cmd_opt(args, "peer-ip"), *identity = cmd_opt(args, "identity");
	struct policy_question q;
	struct err err = {0};
	struct ip address;
	uint64_t number;

	if (!ip == !identity)
		return cli_error(cli, CLI_USAGE, "policy why: give either --peer-ip or --identity: who is on the other side");
	if (ip && ip_parse(ip, &address) < 0)
		return cli_error(cli, CLI_USAGE, "--peer-ip %.60s: no address", ip);
	if (identity && str_to_u64(identity, UINT32_MAX, &number) < 0)
		return cli_error(cli, CLI_USAGE, "--identity %.60s: no number", identity);
	if (policy_question_parse(&text, &q, &err) < 0)
		return cli_error(cli, CLI_USAGE, "policy why: %s", err.text);
	*ret = json_pack("{s:s, s:s}", "direction", text.direction, "protocol", text.protocol);
	/* not by "s*", which leaves out what there is no memory for: it would be another question */
	if (*ret && (add(*ret, "port", text.port) < 0 || add(*ret, "icmp_type", text.icmp_type) < 0 || add(*ret, "address", ip) < 0 ||
		     (identity && json_object_set_new(*ret, "identity", json_integer((json_int_t)number)) < 0))) {
		json_decref(*ret);
		*ret = NULL;
	}
	return *ret ? CLI_OK : out_result(cli, -ENOMEM);
}

static int print(const struct cli *cli, const json_t *answer)
{
	CLEANUP(buf_done) struct buf labels = {0};
	int r = cmd_policy_print(cli, answer);

	if (r == 0)
		r = out_value(&labels, json_at(answer, "labels"), ", ");
	if (r == 0 && fprintf(cli->out, "peer: identity %lld, %s\n", (long long)json_int(answer, "identity", 0), labels.data) < 0)
		r = -EIO;
	if (r == 0 && json_is_object(json_at(answer, "shadow"))) {
		if (fprintf(cli->out, "with the shadow policies in force: ") < 0)
			return -EIO;
		r = cmd_policy_print(cli, json_at(answer, "shadow"));
	}
	if (r == 0 && str_eq(json_str(answer, "enforcement", ""), "audit") &&
	    fprintf(cli->out, "audit mode: what policies deny is told and let through\n") < 0)
		r = -EIO;
	return r;
}

int cmd_policy_why(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *request = NULL, *answer = NULL;
	int code = request_of(cli, args, &request), r;

	if (code == CLI_OK)
		code = cli_call(cli, CTL_VERB_POLICY_WHY, TAKE_PTR(request), &answer);
	if (code != CLI_OK)
		return code;
	r = cli->format == CLI_JSON ? out_json(cli, answer) : print(cli, answer);
	if (r < 0)
		return out_result(cli, r);
	return str_eq(json_str(answer, "verdict", ""), "allow") ? CLI_OK : CLI_NEGATIVE;
}
