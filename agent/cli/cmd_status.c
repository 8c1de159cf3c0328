/* SPDX-License-Identifier: Apache-2.0 */
#include "base/macro.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "cli/out_wrap.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"

#include <stdarg.h>

/* One line "Label:   text"; the text is what `fmt` makes of pieces that are cleaned already. */
static void line(const struct cli *cli, const char *label, const struct buf *text)
{
	const size_t indent = 14, least = 24;
	size_t columns = out_columns(cli->out);
	CLEANUP(buf_done) struct buf broken = {0};
	bool is_whole = !text->len || out_wrap(&broken, text->data, columns ? MAX(columns, indent + least) - indent : 0, indent) < 0;

	/* cmd_main() looks at the stream at the end */
	(void)fprintf(cli->out, "%-13s %s\n", label, !text->len ? "-" : is_whole ? text->data : broken.data);
}

/* Appends "before", the value at the path, "after"; nothing at all without the value, or if it is empty. */
static int piece(struct buf *text, const json_t *data, const char *before, const char *path,
		 const char *after)
{
	const json_t *value = json_at(data, path);
	int r;

	if (!value || json_is_null(value) || (json_is_array(value) && !json_array_size(value)) ||
	    (json_is_string(value) && !json_string_length(value)))
		return 0;
	r = buf_addf(text, "%s", before);
	if (r >= 0)
		r = out_value(text, value, ", ");
	return r < 0 ? r : buf_addf(text, "%s", after);
}

static int age(struct buf *text, const json_t *data, const char *before, const char *path, const char *after)
{
	const json_t *value = json_at(data, path);
	int r;

	if (!json_is_integer(value))
		return 0;
	r = buf_addf(text, "%s", before);
	if (r >= 0)
		r = out_age(text, value);
	return r < 0 ? r : buf_addf(text, "%s", after);
}

/* Stops at the first failure, so that a line is written as a chain. */
#define CHAIN(r, call)                                                                             \
	do {                                                                                       \
		if ((r) >= 0)                                                                      \
			(r) = (call);                                                              \
	} while (0)

static int print_host(const struct cli *cli, const json_t *d)
{
	CLEANUP(buf_done) struct buf agent = {0}, cluster = {0}, host = {0}, labels = {0}, addresses = {0};
	int r = 0;

	CHAIN(r, piece(&agent, d, "", "state", ""));
	CHAIN(r, piece(&agent, d, ", version ", "version", ""));
	CHAIN(r, age(&agent, d, ", up ", "uptime_ms", ""));
	if (r >= 0)
		line(cli, "Agent:", &agent);
	if (r < 0 || !json_truth(d, "joined", 0))
		return r;
	CHAIN(r, piece(&cluster, d, "", "cluster.name", ""));
	if (cluster.len) /* not known yet */
		CHAIN(r, piece(&cluster, d, " (id ", "cluster.id", ")"));
	CHAIN(r, piece(&host, d, "", "namespace", "/"));
	CHAIN(r, piece(&host, d, "", "host", ""));
	CHAIN(r, piece(&host, d, ", identity ", "identity", ""));
	CHAIN(r, piece(&labels, d, "", "labels", ""));
	CHAIN(r, piece(&addresses, d, "", "addresses", ""));
	if (r < 0)
		return r;
	line(cli, "Cluster:", &cluster);
	line(cli, "Host:", &host);
	line(cli, "Labels:", &labels);
	line(cli, "Addresses:", &addresses);
	return 0;
}

static int print_api(const struct cli *cli, const json_t *d)
{
	CLEANUP(buf_done) struct buf api = {0}, kinds = {0};
	const json_t *kind;
	size_t i, n_synced = 0;
	int r = 0;

	CHAIN(r, piece(&api, d, "", "api.server", ", "));
	CHAIN(r, buf_addf(&api, "%s", json_truth(d, "api.connected", 0) ? "connected" : "not connected"));
	CHAIN(r, age(&api, d, ", last event ", "api.last_event_age_ms", " ago"));
	CHAIN(r, age(&api, d, ", token valid for ", "api.token_expires_in_ms", ""));
	CHAIN(r, piece(&api, d, ": ", "api.error", ""));
	json_array_foreach(json_at(d, "api.kinds"), i, kind) {
		CHAIN(r, piece(&kinds, kind, i ? ", " : "", "objects", " "));
		CHAIN(r, piece(&kinds, kind, "", "kind", ""));
		/* While nobody answers, what was complete is old, which the line above tells, and not less. */
		if (json_truth(kind, "synced", 0) || json_at(kind, "last_event_age_ms"))
			n_synced++;
		else
			CHAIN(r, buf_addf(&kinds, " (not complete)"));
		if (json_int(kind, "rejected", 0) > 0)
			CHAIN(r, piece(&kinds, kind, " (", "rejected", " rejected)"));
	}
	if (r < 0)
		return r;
	line(cli, "API server:", &api);
	if (kinds.len)
		line(cli, n_synced == json_array_size(json_at(d, "api.kinds")) ? "Objects:" : "Syncing:",
		     &kinds);
	return 0;
}

static int print_datapath(const struct cli *cli, const json_t *d)
{
	CLEANUP(buf_done) struct buf path = {0}, enforcement = {0}, drops = {0};
	int r = 0;

	CHAIN(r, piece(&path, d, "", "datapath.mode", ""));
	CHAIN(r, piece(&path, d, " on ", "datapath.device", ""));
	CHAIN(r, piece(&path, d, ", mtu ", "datapath.mtu", ""));
	CHAIN(r, piece(&path, d, path.len ? ", " : "", "datapath.attach", ""));
	CHAIN(r, piece(&path, d, " on ", "datapath.interfaces", ""));
	CHAIN(r, piece(&path, d, path.len ? ", generation " : "generation ", "datapath.generation", ""));
	if (json_int(d, "datapath.planned_generation", 0) != json_int(d, "datapath.generation", 0)) {
		CHAIN(r, piece(&path, d, " of ", "datapath.planned_generation", ""));
		CHAIN(r, age(&path, d, ", behind for ", "datapath.pending_age_ms", ""));
	}
	CHAIN(r, piece(&enforcement, d, "ingress ", "enforcement.ingress", ""));
	CHAIN(r, piece(&enforcement, d, ", egress ", "enforcement.egress", ""));
	CHAIN(r, piece(&drops, d, "ingress ", "drops.ingress", ""));
	CHAIN(r, piece(&drops, d, ", egress ", "drops.egress", ""));
	if (json_int(d, "audited.ingress", 0) || json_int(d, "audited.egress", 0)) {
		CHAIN(r, piece(&drops, d, "; let pass by audit mode: ingress ", "audited.ingress", ""));
		CHAIN(r, piece(&drops, d, ", egress ", "audited.egress", ""));
	}
	if (json_int(d, "shadow_drops.ingress", 0) || json_int(d, "shadow_drops.egress", 0)) {
		CHAIN(r, piece(&drops, d, "; by shadow policies, if enforced: ingress ", "shadow_drops.ingress", ""));
		CHAIN(r, piece(&drops, d, ", egress ", "shadow_drops.egress", ""));
	}
	if (r < 0)
		return r;
	line(cli, "Datapath:", &path);
	line(cli, "Enforcement:", &enforcement);
	line(cli, "Drops:", &drops);
	return 0;
}

static int print_drop_reasons(const struct cli *cli, const json_t *d)
{
	const json_t *v;
	size_t i;

	json_array_foreach(json_at(d, "drop_reasons"), i, v) {
		CLEANUP(buf_done) struct buf text = {0};
		int r = 0;

		CHAIN(r, piece(&text, v, "", "direction", " "));
		CHAIN(r, piece(&text, v, "", "packets", ": "));
		CHAIN(r, piece(&text, v, "", "reason", ""));
		if (r < 0)
			return r;
		line(cli, "", &text);
	}
	return 0;
}

static int print_counts(const struct cli *cli, const json_t *d)
{
	CLEANUP(buf_done) struct buf policies = {0}, services = {0}, dns = {0}, guard = {0};
	int r = 0;

	CHAIN(r, piece(&policies, d, "", "policies.enforced", " enforced"));
	CHAIN(r, piece(&policies, d, ", ", "policies.degraded", " degraded"));
	CHAIN(r, piece(&policies, d, ", ", "policies.rejected", " rejected"));
	CHAIN(r, piece(&policies, d, ", ", "policies.not_selecting", " not selecting this host"));
	if (json_int(d, "policies.shadow", 0))
		CHAIN(r, piece(&policies, d, ", ", "policies.shadow", " in shadow mode"));
	if (!str_eq(json_str(d, "guard.state", "off"), "off"))
		CHAIN(r, cmd_policy_guard_line(json_at(d, "guard"), &guard));
	CHAIN(r, piece(&services, d, "", "services.services", ""));
	CHAIN(r, piece(&services, d, " with ", "services.backends", " backends"));
	if (!json_truth(d, "dns.enabled", 0)) {
		CHAIN(r, buf_addf(&dns, "off"));
	} else {
		CHAIN(r, piece(&dns, d, "", "dns.zone", ""));
		CHAIN(r, piece(&dns, d, " at ", "dns.listen", ""));
		if (json_array_size(json_at(d, "dns.upstreams")))
			CHAIN(r, piece(&dns, d, ", others from ", "dns.upstreams", ""));
		CHAIN(r, piece(&dns, d, ", ", "dns.queries", " queries"));
		if (json_at(d, "dns.wiring"))
			CHAIN(r, piece(&dns, d, "; ", "dns.wiring", ""));
	}
	if (r < 0)
		return r;
	line(cli, "Policies:", &policies);
	if (guard.len)
		line(cli, "Guard:", &guard);
	line(cli, "Services:", &services);
	line(cli, "DNS:", &dns);
	return 0;
}

static int print_failsafe(const struct cli *cli, const json_t *d)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_at(d, "failsafe"), i, f) {
		CLEANUP(buf_done) struct buf text = {0};
		int r = 0;

		CHAIN(r, piece(&text, f, "", "direction", " "));
		CHAIN(r, piece(&text, f, "", "protocol", ""));
		if (json_int(f, "port", 0))
			CHAIN(r, piece(&text, f, "/", "port", ""));
		CHAIN(r, piece(&text, f, str_eq(json_str(f, "direction", ""), "egress") ? " to " : " from ",
			       "cidr", ""));
		CHAIN(r, piece(&text, f, " (", "origin", ")"));
		CHAIN(r, piece(&text, f, ", ", "hits", " hits"));
		if (r < 0)
			return r;
		line(cli, i ? "" : "Failsafe:", &text);
	}
	return 0;
}

static int print_conditions(const struct cli *cli, const json_t *d)
{
	const json_t *c;
	size_t i;

	json_array_foreach(json_at(d, "conditions"), i, c) {
		CLEANUP(buf_done) struct buf text = {0};
		int r = 0;

		CHAIN(r, piece(&text, c, "", "severity", ": "));
		CHAIN(r, piece(&text, c, "", "text", ""));
		CHAIN(r, piece(&text, c, " [", "name", "]"));
		CHAIN(r, age(&text, c, " for ", "age_ms", ""));
		if (r < 0)
			return r;
		line(cli, i ? "" : "Conditions:", &text);
		buf_clear(&text);
		CHAIN(r, piece(&text, c, "-> ", "remedy", ""));
		if (r < 0)
			return r;
		if (text.len)
			line(cli, "", &text);
	}
	return 0;
}

static int status(const struct cli *cli, const struct cmd_args *args)
{
	CLEANUP(json_decref) json_t *d = NULL;
	int code = cli_call(cli, CTL_VERB_STATUS, NULL, &d), r = 0;

	(void)args;
	if (code != CLI_OK)
		return code;
	if (cli->format == CLI_JSON) {
		r = out_json(cli, d);
	} else {
		r = print_host(cli, d);
		if (json_truth(d, "joined", 0)) {
			CHAIN(r, print_api(cli, d));
			CHAIN(r, print_datapath(cli, d));
			CHAIN(r, print_drop_reasons(cli, d));
			CHAIN(r, print_counts(cli, d));
			CHAIN(r, print_failsafe(cli, d));
		} else if (r >= 0) {
			(void)fprintf(cli->out, "%-13s run the mesh-join line that `meshctl host add` "
						"prints\n", "Next:");
		}
		CHAIN(r, print_conditions(cli, d));
	}
	code = out_result(cli, r);
	return code == CLI_OK && !str_eq(json_str(d, "state", ""), "ok") ? CLI_NEGATIVE : code;
}

const struct cmd cmd_status_table[] = {
	{"status", NULL, NULL, 0, 0, "What the agent does, and what is wrong", NULL, status},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
