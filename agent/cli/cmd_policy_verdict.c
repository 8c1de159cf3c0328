/* SPDX-License-Identifier: Apache-2.0 */
/* The policies of files asked about one packet, by the code that the daemon runs. No daemon, no cluster. */
#include <errno.h>
#include <stdlib.h>

#include "base/macro.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "cli/verdict_labels.h"
#include "cli/verdict_objects.h"
#include "json/json.h"
#include "policy/policy_explain.h"
#include "policy/policy_options.h"

const struct cmd_opt cmd_policy_verdict_opts[] = {
	{"objects", 'f', "FILE", "policies and what belongs to them, YAML or JSON; - is the standard input", true},
	{"subject", 0, "LABELS", "who is policed: source:key=value,...", false},
	{"peer", 0, "LABELS", "who is on the other side", false},
	{"peer-ip", 0, "IP", "its address; without --peer it is outside the cluster", false},
	{"direction", 0, "DIRECTION", "ingress or egress, as the subject sees it", false},
	{"protocol", 0, "PROTOCOL", "tcp, udp, sctp, icmp, icmpv6 or a number", false},
	{"port", 0, "PORT", "destination port", false},
	{"icmp-type", 0, "TYPE", "of icmp and icmpv6", false},
	{"option", 0, "KEY=VALUE", "a key of cilium-config; else Cilium's default", true},
	{"named-port", 0, "NAME=PROTOCOL/PORT", "a named port of the subject", true},
	{"fqdn", 0, "NAME=IP,...", "what a DNS name was seen to stand for", true},
	{NULL, 0, NULL, NULL, false},
};

/* Every failure of this command is 2: 1 would say that the packet is denied. */
static int failed(const struct cli *cli, int r, const struct err *err)
{
	return cli_error(cli, CLI_USAGE, "policy verdict: %s", err->text[0] ? err->text : err_name(r));
}

/* Keys that a verdict can depend on; others are taken, and said to have no effect. */
static const char *const keys[] = {
	"allow-localhost",
	"cluster-name",
	"enable-extended-ip-protocols",
	"enable-icmp-rules",
	"enable-ipv4",
	"enable-ipv6",
	"enable-l7-proxy",
	"enable-node-selector-labels",
	"enable-non-default-deny-policies",
	"enable-policy",
	"packetization-layer-pmtud-mode",
	"policy-cidr-match-mode",
	"policy-default-local-cluster",
};

static bool has_effect(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (str_eq(key, keys[i]))
			return true;
	return false;
}

/* The options as the ConfigMap that the daemon reads. */
static int configmap_of(const struct strv *options, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *map = json_pack("{s:{}}", "data");
	json_t *data = json_object_get(map, "data");

	for (size_t i = 0; i < options->n; i++) {
		const char *eq = strchr(options->v[i], '=');
		CLEANUP(free) char *key = eq ? strndup(options->v[i], (size_t)(eq - options->v[i])) : NULL;

		if (!eq || eq == options->v[i])
			return err_set(reterr, EINVAL, "--option %.80s: must be KEY=VALUE, as enable-policy=always",
				       options->v[i]);
		if (!key)
			return -ENOMEM;
		if (!has_effect(key))
			(void)fprintf(stderr, "meshctl: note: --option %.80s: no verdict depends on that key\n", key);
		if (json_object_set_new(data, key, json_string(eq + 1)) < 0)
			return err_set(reterr, EINVAL, "--option %.80s: key and value must be UTF-8", key);
	}
	if (!map)
		return -ENOMEM;
	*ret = TAKE_PTR(map);
	return 0;
}

/* The daemon takes unknown modes for none, as it must live with newer clusters; a person may have mistyped. */
static int check_cidr_mode(const json_t *map, struct err *reterr)
{
	CLEANUP(strv_done) struct strv words = {0}, parts = {0};
	const char *text = json_string_value(json_object_get(json_object_get(map, "data"), "policy-cidr-match-mode"));
	int r = text ? strv_split(&words, text, ' ') : 0;

	for (size_t i = 0; r == 0 && i < words.n; i++)
		r = strv_split(&parts, words.v[i], ',');
	for (size_t i = 0; r == 0 && i < parts.n; i++)
		if (!str_eq(parts.v[i], "nodes") && !str_eq(parts.v[i], "pods"))
			return err_set(reterr, EINVAL, "--option policy-cidr-match-mode: \"%.40s\" is not known, want nodes, pods "
				       "or both", parts.v[i]);
	return r;
}

static int read_options(const struct strv *given, struct cilium_config *config, struct policy_options *ret,
			struct err *reterr)
{
	CLEANUP(json_decref) json_t *map = NULL;
	const char *localhost;
	int r = configmap_of(given, &map, reterr);

	if (r == 0)
		r = check_cidr_mode(map, reterr);
	if (r < 0)
		return r;
	r = cilium_config_parse(map, config, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "--option");
	*ret = policy_options_of(config);
	ret->has_dns_server = true; /* what a dns rule means with it; names that it learned are not known here */
	if (!ret->has_ipv4 && !ret->has_ipv6)
		return err_set(reterr, EINVAL, "--option: enable-ipv4 and enable-ipv6 are both false; one must be true");
	localhost = json_string_value(json_object_get(json_object_get(map, "data"), "allow-localhost"));
	if (localhost && !str_eq(localhost, "always") && !str_eq(localhost, "auto") && !str_eq(localhost, "policy"))
		return err_set(reterr, EINVAL, "--option: allow-localhost is \"%.40s\", want auto, always or policy", localhost);
	/* In a cluster auto is always. A host polices no local traffic, so nothing is the default. */
	ret->has_localhost_allow = localhost && !str_eq(localhost, "policy");
	return 0;
}

static int set_subject(struct verdict_objects *v, const struct cmd_args *args, struct err *reterr)
{
	const struct strv *names = cmd_opt_all(args, "named-port");
	struct intern *strings = label_table_strings(identity_labels(v->ids));
	CLEANUP(free) struct named_port *ports = calloc(names->n + 1, sizeof(*ports));
	struct label_set *labels;
	size_t n = 0;
	int r = ports ? verdict_labels(v->ids, cmd_opt(args, "subject"), v->namespaces, &labels, reterr) : -ENOMEM;

	if (r < 0)
		return err_prefix(reterr, r, "--subject");
	while (r == 0 && n < names->n) {
		r = verdict_named_port(v->ids, names->v[n], &ports[n], reterr);
		n += r == 0;
	}
	if (r == 0)
		r = policy_set_subject(v->policies, labels, ports, n);
	else
		label_set_free(identity_labels(v->ids), labels);
	for (size_t i = 0; i < n; i++)
		intern_put(strings, ports[i].name);
	return r;
}

/* `*ret_labels` is what `ret` borrows. */
static int read_peer(struct verdict_objects *v, const struct cmd_args *args, struct policy_peer *ret,
		     struct label_set **ret_labels, struct err *reterr)
{
	const char *labels = cmd_opt(args, "peer"), *ip = cmd_opt(args, "peer-ip");
	struct policy_peer peer = {0};
	int r = 0;

	if (ip && ip_parse(ip, &peer.ip) < 0)
		return err_set(reterr, EINVAL, "--peer-ip %.60s: no address", ip);
	if (labels && (str_eq(labels, "reserved:unknown") || str_eq(labels, "reserved:unknown=")))
		peer.is_unknown = true;
	else if (labels)
		r = verdict_labels(v->ids, labels, v->namespaces, ret_labels, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "--peer");
	peer.labels = *ret_labels;
	*ret = peer;
	return 0;
}

static int ask(struct verdict_objects *v, const struct cmd_args *args, const struct policy_question *q, json_t **ret,
	       struct err *reterr)
{
	const struct strv *names = cmd_opt_all(args, "fqdn");
	CLEANUP(policy_why_done) struct policy_why why = {0};
	struct label_set *labels = NULL;
	struct policy_peer peer;
	int r = set_subject(v, args, reterr);

	for (size_t i = 0; r == 0 && i < names->n; i++)
		r = verdict_fqdn(v->policies, names->v[i], reterr);
	if (r == 0)
		r = read_peer(v, args, &peer, &labels, reterr);
	if (r == 0)
		r = policy_why(v->policies, &peer, q->dir, q->proto, q->port, &why);
	if (r == 0)
		r = policy_explain(v->policies, &why, q->dir, ret);
	label_set_free(identity_labels(v->ids), labels);
	if (r == 0 && json_object_set(*ret, "rejected", v->rejected) < 0)
		r = -ENOMEM;
	return r;
}

static const struct out_col rejected_cols[] = {
	{.heading = "REJECTED", .key = "kind"},
	{.heading = "NAMESPACE", .key = "namespace"},
	{.heading = "NAME", .key = "name"},
	{.heading = "REASON", .key = "error", .is_text = true},
};

static int print(const struct cli *cli, const json_t *answer)
{
	const json_t *rejected = json_at(answer, "rejected");
	int r;

	if (cli->format == CLI_JSON)
		return out_json(cli, answer);
	r = cmd_policy_print(cli, answer);
	return r == 0 && json_array_size(rejected) ? out_rows(cli, rejected, rejected_cols, ARRAY_LEN(rejected_cols)) : r;
}

int cmd_policy_verdict(const struct cli *cli, const struct cmd_args *args)
{
	const struct policy_question_text text = {.direction = cmd_opt(args, "direction"),
						  .protocol = cmd_opt(args, "protocol"),
						  .port = cmd_opt(args, "port"),
						  .icmp_type = cmd_opt(args, "icmp-type")};
	const struct strv *files = cmd_opt_all(args, "objects");
	struct cilium_config config; /* the options borrow its strings */
	CLEANUP(verdict_objects_done) struct verdict_objects v = {0};
	CLEANUP(json_decref) json_t *answer = NULL;
	struct policy_options options;
	struct policy_question q;
	struct err err = {0};
	int r;

	if (!cmd_opt(args, "subject"))
		return cli_error(cli, CLI_USAGE, "policy verdict: --subject is missing: the labels of who is policed");
	if (!cmd_opt(args, "peer") && !cmd_opt(args, "peer-ip"))
		return cli_error(cli, CLI_USAGE, "policy verdict: --peer or --peer-ip is missing: who is on the other side");
	r = policy_question_parse(&text, &q, &err);
	if (r == 0)
		r = read_options(cmd_opt_all(args, "option"), &config, &options, &err);
	if (r == 0)
		r = verdict_objects_init(&v, &options);
	for (size_t i = 0; r == 0 && i < files->n; i++)
		r = verdict_objects_read(&v, files->v[i], &err);
	if (r == 0)
		r = ask(&v, args, &q, &answer, &err);
	if (r < 0)
		return failed(cli, r, &err);
	r = print(cli, answer);
	if (r < 0)
		return cli_complain(CLI_USAGE, "policy verdict: the answer could not be printed: %s", err_name(r));
	return str_eq(json_str(answer, "verdict", ""), "allow") ? CLI_OK : CLI_NEGATIVE;
}
