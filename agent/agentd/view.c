/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/view.h"
#include "agentd/view_shadow.h"

#include <errno.h>

#include "bpf/bpf_map.h"
#include "ctl/ctl_verbs.h"
#include "identity/labels.h"
#include "json/json.h"

/* Pieces that several verbs share */

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *view_labels(const struct agent *a, uint32_t identity)
{
	const struct identity *id = a->world ? identity_get(a->world->identities, identity) : NULL;
	CLEANUP(strv_done) struct strv texts = {0};
	json_t *list = json_array();

	for (uint32_t i = 0; id && id->labels && i < id->labels->n; i++) {
		CLEANUP(buf_done) struct buf text = {0};

		if (label_print(identity_labels(a->world->identities), &id->labels->v[i], &text) < 0 ||
		    (text.data && strv_add(&texts, text.data) < 0))
			json_watch_fail(); /* one is missing */
	}
	if (texts.n)
		qsort(texts.v, texts.n, sizeof(*texts.v), text_cmp);
	for (size_t i = 0; i < texts.n; i++)
		(void)json_array_append_new(list, json_string(texts.v[i])); /* likewise */
	return list;
}

json_t *view_protocol(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return json_string("tcp");
	case IPPROTO_UDP:
		return json_string("udp");
	case IPPROTO_SCTP:
		return json_string("sctp");
	case IPPROTO_ICMP:
		return json_string("icmp");
	case IPPROTO_ICMPV6:
		return json_string("icmpv6");
	default:
		return json_sprintf("%u", protocol);
	}
}

json_t *view_ips(const struct ip *v, size_t n)
{
	json_t *list = json_array();
	char text[IP_STRLEN];

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(ip_str(&v[i], text))); /* out of memory: it is missing */
	return list;
}

json_t *view_ip(const struct ip *ip)
{
	char text[IP_STRLEN];

	return json_string(ip_str(ip, text));
}

void view_add(json_t *list, json_t *element)
{
	if (element)
		(void)json_array_append_new(list, element); /* out of memory: it is missing */
}

int view_need_world(const struct agent *a, struct err *reterr)
{
	if (!a->is_joined)
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	if (!a->world)
		return err_set(reterr, EBUSY, "the cluster's state is not known yet; see meshctl status");
	return 0;
}

/* Endpoints */

struct endpoint_walk {
	const struct agent *a;
	json_t *list;
};

static json_t *own_endpoint(const struct agent *a)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < a->conf->named_ports.n; i++)
		view_add(ports, json_pack("{s:s, s:i, s:o}", "name", a->conf->named_ports.v[i].name, "port",
					  a->conf->named_ports.v[i].port, "protocol",
					  view_protocol(a->conf->named_ports.v[i].protocol)));
	return json_pack("{s:s, s:s, s:b, s:I, s:o, s:o, s:s, s:s, s:o, s:o}", "namespace", a->join.namespace, "name",
			 a->join.host, "local", 1, "identity", (json_int_t)a->join.identity, "labels",
			 view_labels(a, a->join.identity), "addresses", view_ips(a->own.v, a->own.n), "node", a->join.host,
			 "state",
			 a->registration && registration_get_state(a->registration) == REGISTRATION_READY ? "ready" : "disconnected",
			 "enforcement", view_enforcement(a), "named_ports", ports);
}

static int endpoint_of_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct endpoint_walk *w = arg;
	const char *name = endpoint_table_name(w->a->world->endpoints, claim->owner), *slash;
	struct ip node = ipcache_node_ip(w->a->world->addresses, claim->node);
	json_t *o;

	if (claim->identity < IDENTITY_CLUSTER_MIN || claim->identity >= IDENTITY_LOCAL_CIDR || !name)
		return 0;
	slash = strchr(name, '/');
	if (str_eq(slash + 1, w->a->join.host) && strncmp(name, w->a->join.namespace, (size_t)(slash - name)) == 0 &&
	    !w->a->join.namespace[slash - name])
		return 0; /* this host's own comes first, from what it knows itself */
	o = json_pack("{s:s%, s:s, s:b, s:I, s:o, s:[o], s:[]}", "namespace", name, (size_t)(slash - name), "name", slash + 1,
		      "local", 0, "identity", (json_int_t)claim->identity, "labels", view_labels(w->a, claim->identity),
		      "addresses", view_ip(ip), "named_ports");
	if (o && node.family)
		(void)json_object_set_new(o, "node", view_ip(&node)); /* out of memory: it is missing */
	view_add(w->list, o);
	return 0;
}

static int endpoint_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct endpoint_walk w = {.a = a};
	int r = view_need_world(a, reterr);

	if (r < 0)
		return r;
	w.list = json_array();
	view_add(w.list, own_endpoint(a));
	if (json_truth(args, "all", 0))
		(void)ipcache_each(a->world->addresses, endpoint_of_address, &w); /* never stops early */
	*ret = w.list;
	return 0;
}

/* Nodes */

static int node_json(const struct kube_node *n, void *arg)
{
	struct endpoint_walk *w = arg;
	json_t *cidrs = json_array(), *addresses = view_ips(n->node_ips.v, n->node_ips.n), *o;
	bool is_own = str_eq(n->name, w->a->join.host);

	for (size_t i = 0; i < n->internal_ips.n; i++)
		view_add(addresses, view_ip(&n->internal_ips.v[i]));
	for (size_t i = 0; i < n->pod_cidrs.n; i++) {
		char text[CIDR_STRLEN];

		view_add(cidrs, json_string(cidr_str(&n->pod_cidrs.v[i], text)));
	}
	o = json_pack("{s:s, s:b, s:o, s:o}", "name", n->name, "local", is_own, "addresses", addresses, "pod_cidrs", cidrs);
	if (o && !is_own && n->node_ips.n && w->a->world->config.routing != CILIUM_NATIVE)
		(void)json_object_set_new(o, "tunnel_endpoint", view_ip(&n->node_ips.v[0])); /* out of memory: missing */
	view_add(w->list, o);
	return 0;
}

static int node_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct endpoint_walk w = {.a = a};
	int r = view_need_world(a, reterr);

	(void)args;
	if (r < 0)
		return r;
	w.list = json_array();
	(void)node_table_each(a->world->nodes, node_json, &w); /* never stops early */
	*ret = w.list;
	return 0;
}

/* Policies */

struct policy_walk {
	json_t *list;
	const char *kept_out; /* NULL, or that what the list says is not what is in force */
};

static const char *kept_out(const struct agent *a)
{
	if (!a->datapath || !(health_has(a->health, "datapath.policy") || health_has(a->health, "agent.apply")))
		return NULL;
	return datapath_flags(a->datapath) & MESH_STATE_ACTIVE ? "as it was before: not all policies are in force, see meshctl status" :
								 "not in force: none is yet, see meshctl status";
}

static int policy_json(const struct policy_status *st, void *arg)
{
	const struct policy_walk *w = arg;
	json_t *directions, *o;

	if (st->kind == POLICY_CIDR_GROUP)
		return 0;
	directions = json_array();
	o = json_pack("{s:s, s:s, s:s, s:I, s:O}", "kind", policy_kind_str(st->kind), "name", st->name, "state",
		      policy_state_str(st->state), "rules", (json_int_t)st->n_rules, "directions", directions);
	if (o && *st->ns)
		(void)json_object_set_new(o, "namespace", json_string(st->ns)); /* out of memory: missing */
	if (st->has_ingress)
		view_add(directions, json_string("ingress"));
	if (st->has_egress)
		view_add(directions, json_string("egress"));
	if (o && *st->reason)
		(void)json_object_set_new(o, "reason", json_string(st->reason)); /* likewise */
	else if (o && st->state == POLICY_ENFORCED && w->kept_out)
		(void)json_object_set_new(o, "reason", json_string(w->kept_out)); /* likewise */
	json_decref(directions);
	view_add(w->list, o);
	return 0;
}

/* Before it is known who this host is, no policy is about it. */
static int need_subject(const struct agent *a, struct err *reterr)
{
	int r = view_need_world(a, reterr);

	if (r == 0 && !a->world->subject)
		r = err_set(reterr, EBUSY, "the labels of this host's identity are not known yet; see meshctl status");
	return r;
}

static int policy_why_verb(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	int r = need_subject(arg, reterr);

	return r < 0 ? r : view_policy_why(arg, args, ret, reterr);
}

static int policy_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct policy_walk w = {.kept_out = kept_out(a)};
	int r = need_subject(a, reterr);

	(void)args;
	if (r < 0)
		return r;
	*ret = w.list = json_array();
	r = policy_each(a->world->policies, policy_json, &w);
	return r < 0 ? err_set(reterr, -r, "%s", err_name(r)) : 0;
}

/* Maps */

static int map_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;

	(void)args;
	if (!a->datapath)
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	*ret = json_array();
	for (unsigned m = 0; m < BPFOBJ_MAPS; m++) {
		const struct bpfobj *o = datapath_obj(a->datapath);
		size_t n = 0;

		if (m == BPFOBJ_EVENTS || m == BPFOBJ_CONFIG || m == BPFOBJ_EVENT_RATE || m == BPFOBJ_COUNTERS ||
		    m == BPFOBJ_NODES || m == BPFOBJ_DNS || m == BPFOBJ_FAILSAFE_HITS || m == BPFOBJ_SHADOW_FLOWS)
			continue; /* arrays and rings: always full */
		(void)bpfmap_count(o, (enum bpfobj_map)m, &n); /* then it shows none */
		view_add(*ret, json_pack("{s:s, s:s?, s:I, s:I, s:I}", "name", bpfobj_map_name((enum bpfobj_map)m), "type",
					 bpfmap_type(o, (enum bpfobj_map)m), "entries", (json_int_t)n, "max_entries",
					 (json_int_t)bpfmap_max_entries(o, (enum bpfobj_map)m), "errors",
					 (json_int_t)bpfmap_errors(o, (enum bpfobj_map)m)));
	}
	return 0;
}

/* Changing */

static int leave(void *arg, const json_t *args, struct ctl_call *call, struct err *reterr)
{
	return agent_leave(arg, json_is_true(json_object_get(args, "force")), call, reterr);
}

static int drain(void *arg, const json_t *args, struct ctl_call *call, struct err *reterr)
{
	return agent_drain(arg, json_is_true(json_object_get(args, "last")), call, reterr);
}

const struct ctl_verb agent_verbs[] = {
	{.name = CTL_VERB_STATUS, .handle = view_status},
	{.name = CTL_VERB_ENDPOINT_LIST, .handle = endpoint_list},
	{.name = CTL_VERB_IDENTITY_LIST, .handle = view_identity_list},
	{.name = CTL_VERB_IDENTITY_GET, .handle = view_identity_get},
	{.name = CTL_VERB_NODE_LIST, .handle = node_list},
	{.name = CTL_VERB_POLICY_LIST, .handle = policy_list},
	{.name = CTL_VERB_POLICY_WHY, .handle = policy_why_verb},
	{.name = CTL_VERB_POLICY_SHADOW, .handle = view_policy_shadow},
	{.name = CTL_VERB_POLICY_SHADOW_SET, .is_write = true, .handle = view_policy_shadow_set},
	{.name = CTL_VERB_POLICY_GUARD, .handle = view_policy_guard},
	{.name = CTL_VERB_POLICY_GUARD_SET, .is_write = true, .handle = view_policy_guard_set},
	{.name = CTL_VERB_POLICY_CONFIRM, .is_write = true, .handle = view_policy_confirm},
	{.name = CTL_VERB_SERVICE_LIST, .handle = view_service_list},
	{.name = CTL_VERB_IPCACHE_LIST, .handle = view_ipcache_list},
	{.name = CTL_VERB_IPCACHE_GET, .handle = view_ipcache_get},
	{.name = CTL_VERB_MAP_LIST, .handle = map_list},
	{.name = CTL_VERB_DNS_STATUS, .handle = view_dns_status},
	{.name = CTL_VERB_DNS_QUERY, .handle = view_dns_query},
	{.name = CTL_VERB_DNS_ASKED, .handle = view_dns_asked},
	{.name = CTL_VERB_DNS_LEARNED, .handle = view_dns_learned},
	{.name = CTL_VERB_FORWARD_LIST, .handle = view_forward_list},
	{.name = CTL_VERB_MIGRATE_PLAN, .handle = view_migrate_plan},
	{.name = CTL_VERB_MIGRATE_STATUS, .handle = view_migrate_status},
	{.name = CTL_VERB_MIGRATE_START, .is_write = true, .handle = view_migrate_start},
	{.name = CTL_VERB_MIGRATE_SET, .is_write = true, .handle = view_migrate_set},
	{.name = CTL_VERB_DRAIN, .is_write = true, .start = drain},
	{.name = CTL_VERB_LEAVE, .is_write = true, .start = leave},
};
const size_t agent_n_verbs = ARRAY_LEN(agent_verbs);
