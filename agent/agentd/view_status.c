/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/view.h"

#include <errno.h>

#include "base/clock.h"
#include "bpf/bpf_map.h"

static uint64_t age_ms(uint64_t since_us)
{
	return since_us ? (clock_boot_us() - since_us) / USEC_PER_MSEC : 0;
}

static void set(json_t *o, const char *key, json_t *value)
{
	if (value)
		(void)json_object_set_new(o, key, value); /* out of memory: the member is missing */
}

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text && *text)
		set(o, key, json_string(text));
}

json_t *view_enforcement(const struct agent *a)
{
	bool is_audit = a->datapath && (datapath_flags(a->datapath) & MESH_STATE_AUDIT);
	const char *text[POLICY_DIRS];

	for (unsigned dir = 0; dir < POLICY_DIRS; dir++) {
		/* Without the policies of the cluster, those of an earlier run or from before a boot may be in force. */
		bool on = a->world && a->datapath && datapath_is_ready(a->datapath) ?
				  policy_table_enforced(a->world->table, (enum policy_dir)dir) :
				  a->datapath && datapath_enforces(a->datapath, (enum mesh_dir)dir);

		text[dir] = !on ? "disabled" : is_audit ? "audit" : "enforced";
	}
	return json_pack("{s:s, s:s}", "ingress", text[POLICY_INGRESS], "egress", text[POLICY_EGRESS]);
}

static const char *state_text(const struct agent *a)
{
	switch (a->state) {
	case AGENT_NOT_JOINED:
		return "not-joined";
	case AGENT_STARTING:
		return "starting";
	case AGENT_FROZEN:
		return "frozen";
	case AGENT_REVOKED:
		return "revoked";
	case AGENT_CHANGED:
		return "enrolment-changed";
	default:
		if (a->lease && lease_get_state(a->lease) == LEASE_REFUSED)
			return "cloned";
		return health_worst(a->health) >= HEALTH_WARNING ? "degraded" : "ok";
	}
}

static json_t *api_view(const struct agent *a)
{
	json_t *api = json_object(), *kinds = json_array();
	const struct reflector *r;
	bool connected = a->sync != NULL;
	uint64_t freshest = 0;

	for (size_t i = 0; a->sync && (r = sync_reflector(a->sync, i)); i++) {
		uint64_t fresh = reflector_fresh_us(r);
		json_t *k = json_pack("{s:s, s:b, s:I, s:I}", "kind", reflector_name(r), "synced",
				      reflector_get_state(r) == REFLECTOR_SYNCED || reflector_is_absent(r), "objects",
				      (json_int_t)reflector_get_stats(r).objects, "rejected",
				      (json_int_t)sync_rejected(a->sync, i));

		if (fresh)
			set(k, "last_event_age_ms", json_integer((json_int_t)age_ms(fresh)));
		if (fresh > freshest)
			freshest = fresh;
		if (sync_is_failing(a->sync, i)) {
			connected = false;
			set_text(api, "error", reflector_error(r));
		}
		(void)json_array_append_new(kinds, k); /* out of memory: the element is missing */
	}
	if (a->client)
		set_text(api, "server", kube_client_server(a->client));
	set(api, "connected", json_boolean(connected));
	if (freshest)
		set(api, "last_event_age_ms", json_integer((json_int_t)age_ms(freshest)));
	if (a->renewal && renewal_expires_s(a->renewal))
		set(api, "token_expires_in_ms", json_integer((renewal_expires_s(a->renewal) - clock_wall_s()) * 1000));
	set(api, "kinds", kinds);
	return api;
}

static json_t *datapath_view(const struct agent *a)
{
	static const char *const modes[] = {"vxlan", "geneve", "native"};
	json_t *o = json_object(), *nics = json_array();
	json_int_t generation = a->datapath ? datapath_generation(a->datapath) : 0;
	const char *pending = health_has(a->health, "datapath.policy") ? "datapath.policy" :
			      health_has(a->health, "datapath.maps")   ? "datapath.maps" : NULL;

	if (a->world)
		set_text(o, "mode", modes[a->world->config.routing]);
	if (a->datapath) {
		const struct net_status *net = recon_net_status(datapath_net(a->datapath));
		const struct nics *v = recon_net_nics(datapath_net(a->datapath));

		if (net->tunnel_ifindex) {
			set_text(o, "device", a->conf->tunnel_device);
			set(o, "mtu", json_integer(net->tunnel_mtu));
		}
		for (size_t i = 0; i < v->n; i++)
			(void)json_array_append_new(nics, json_string(v->v[i].name)); /* as in set() */
		set_text(o, "attach", datapath_attach_name(a->datapath));
	}
	set(o, "interfaces", nics);
	set(o, "generation", json_integer(generation));
	/* What could not be written will be the next one. */
	set(o, "planned_generation", json_integer(generation + (pending != NULL)));
	if (pending)
		set(o, "pending_age_ms", json_integer((json_int_t)age_ms(health_since_us(a->health, pending))));
	return o;
}

static json_t *failsafe_view(const struct agent *a)
{
	const struct failsafe_entry *v = NULL;
	uint64_t hits[MESH_FAILSAFE_MAX] = {0};
	json_t *list = json_array();
	size_t n = a->datapath ? datapath_failsafe(a->datapath, &v) : 0;

	if (n)
		(void)bpfmap_failsafe_hits(datapath_obj(a->datapath), hits); /* then they stay 0 */
	for (size_t i = 0; i < n; i++) {
		char cidr[CIDR_STRLEN] = "any";

		if (v[i].cidr.ip.family)
			(void)cidr_str(&v[i].cidr, cidr);
		(void)json_array_append_new(list, json_pack("{s:s, s:o, s:i, s:s, s:s, s:I}", "direction",
							    v[i].dir == MESH_INGRESS ? "ingress" : "egress", "protocol",
							    view_protocol(v[i].protocol), "port", v[i].port, "cidr", cidr,
							    "origin", v[i].is_automatic ? "automatic" : "config", "hits",
							    (json_int_t)hits[i])); /* as in set() */
	}
	return list;
}

/* Packets with a reason from `first` to `last`, by direction. */
static json_t *packets_view(const struct agent *a, unsigned first, unsigned last)
{
	struct mesh_counter c[MESH_REASON_MAX * 2];
	json_int_t packets[2] = {0};

	if (a->datapath && bpfmap_counters(datapath_obj(a->datapath), c) == 0)
		for (unsigned reason = first; reason <= last; reason++)
			for (unsigned dir = 0; dir < 2; dir++)
				packets[dir] += (json_int_t)c[reason * 2 + dir].packets;
	return json_pack("{s:I, s:I}", "ingress", packets[MESH_INGRESS], "egress", packets[MESH_EGRESS]);
}

/* What was dropped, by reason and direction; reasons that nothing was dropped for are left out. */
static json_t *drop_reasons_view(const struct agent *a)
{
	struct mesh_counter c[MESH_REASON_MAX * 2];
	json_t *list = json_array();

	if (!a->datapath || bpfmap_counters(datapath_obj(a->datapath), c) < 0)
		return list;
	for (unsigned i = MESH_DROP_FIRST * 2; i < MESH_REASON_MAX * 2; i++) {
		const char *text = bpfmap_reason_text(i / 2);

		if (c[i].packets)
			(void)json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:I, s:I}", "direction",
								    i % 2 == MESH_INGRESS ? "ingress" : "egress", "reason",
								    text ? text : "unknown", "reason_code", (int)(i / 2), "packets",
								    (json_int_t)c[i].packets, "bytes",
								    (json_int_t)c[i].bytes)); /* as in set() */
	}
	return list;
}

static int count_policy(const struct policy_status *st, void *arg)
{
	json_int_t *n = arg;

	if (st->kind != POLICY_CIDR_GROUP)
		n[st->state]++;
	return 0;
}

static json_t *policies_view(const struct agent *a)
{
	json_int_t n[POLICY_STATES] = {0};

	if (a->world)
		(void)policy_each(a->world->policies, count_policy, n); /* then they stay 0 */
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "enforced", n[POLICY_ENFORCED], "degraded", n[POLICY_DEGRADED],
			 "rejected", n[POLICY_REJECTED] + n[POLICY_STALE], "not_selecting", n[POLICY_NOT_SELECTING],
			 "shadow", n[POLICY_SHADOW]);
}

static json_t *services_view(const struct agent *a)
{
	struct service_counts c = {0};
	uint64_t ended = 0;

	if (a->world)
		service_table_counts(a->world->services, &c);
	if (a->datapath)
		ended = datapath_ended(a->datapath).ended;
	return json_pack("{s:I, s:I, s:I}", "services", (json_int_t)c.services, "backends", (json_int_t)c.backends,
			 "ended_connections", (json_int_t)ended);
}

static json_t *dns_view(const struct agent *a)
{
	struct dns_server_counts c = {0};
	struct dns_wiring w = {0};

	if (a->dns) {
		dns_server_counts(a->dns, &c);
		view_dns_wiring(a, &w);
	}
	return json_pack("{s:b, s:s, s:o, s:o, s:I, s:s*}", "enabled", a->dns != NULL, "zone", "cluster.local", "listen",
			 view_dns_listen(a), "upstreams", view_dns_upstreams(a), "queries", (json_int_t)c.queries, "wiring",
			 a->dns ? w.text : NULL);
}

static void add_host(const struct agent *a, json_t *o)
{
	json_t *addresses;

	if (!a->is_joined)
		return;
	addresses = view_ips(a->own.v, a->own.n);
	set(o, "cluster", json_pack("{s:s, s:I, s:s}", "name", a->world ? a->world->config.cluster_name : "", "id",
				    (json_int_t)(a->world ? a->world->config.cluster_id : 0), "uid",
				    a->join.cluster_uid ? a->join.cluster_uid : ""));
	set_text(o, "host", a->join.host);
	set_text(o, "namespace", a->join.namespace);
	set(o, "identity", json_integer(a->join.identity));
	set(o, "addresses", addresses);
}

int view_status(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	json_t *o = json_pack("{s:s, s:I, s:b, s:s, s:o, s:[]}", "version", PACKAGE_VERSION_TEXT, "uptime_ms",
			      (json_int_t)age_ms(a->started_us), "joined", a->is_joined, "state", state_text(a), "labels",
			      view_labels(a, a->is_joined ? a->join.identity : 0), "addresses");

	(void)args;
	if (!o)
		return err_set(reterr, ENOMEM, "out of memory");
	add_host(a, o);
	set(o, "enforcement", view_enforcement(a));
	set(o, "api", api_view(a));
	set(o, "datapath", datapath_view(a));
	set(o, "failsafe", failsafe_view(a));
	set(o, "dns", dns_view(a));
	set(o, "policies", policies_view(a));
	set(o, "services", services_view(a));
	if (a->guarding)
		set(o, "guard", guarding_json(a->guarding));
	set(o, "drops", packets_view(a, MESH_DROP_FIRST, MESH_REASON_MAX - 1));
	set(o, "drop_reasons", drop_reasons_view(a));
	set(o, "audited", packets_view(a, MESH_PASS_AUDIT, MESH_PASS_AUDIT));
	set(o, "shadow_drops", packets_view(a, MESH_PASS_SHADOW, MESH_PASS_SHADOW));
	set(o, "conditions", health_json(a->health));
	*ret = o;
	return 0;
}
