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

		if (label_print(identity_labels(a->world->identities), &id->labels->v[i], &text) == 0 && text.data)
			(void)strv_add(&texts, text.data); /* out of memory: the label is missing */
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

static json_t *ip_json(const struct ip *ip)
{
	char text[IP_STRLEN];

	return json_string(ip_str(ip, text));
}

static void add(json_t *list, json_t *element)
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
		add(ports, json_pack("{s:s, s:i, s:o}", "name", a->conf->named_ports.v[i].name, "port",
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
		      "addresses", ip_json(ip), "named_ports");
	if (o && node.family)
		(void)json_object_set_new(o, "node", ip_json(&node)); /* out of memory: it is missing */
	add(w->list, o);
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
	add(w.list, own_endpoint(a));
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
		add(addresses, ip_json(&n->internal_ips.v[i]));
	for (size_t i = 0; i < n->pod_cidrs.n; i++) {
		char text[CIDR_STRLEN];

		add(cidrs, json_string(cidr_str(&n->pod_cidrs.v[i], text)));
	}
	o = json_pack("{s:s, s:b, s:o, s:o}", "name", n->name, "local", is_own, "addresses", addresses, "pod_cidrs", cidrs);
	if (o && !is_own && n->node_ips.n && w->a->world->config.routing != CILIUM_NATIVE)
		(void)json_object_set_new(o, "tunnel_endpoint", ip_json(&n->node_ips.v[0])); /* out of memory: missing */
	add(w->list, o);
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

static int policy_json(const struct policy_status *st, void *arg)
{
	json_t *directions, *o;

	if (st->kind == POLICY_CIDR_GROUP)
		return 0;
	directions = json_array();
	o = json_pack("{s:s, s:s, s:s, s:I, s:O}", "kind", policy_kind_str(st->kind), "name", st->name, "state",
		      policy_state_str(st->state), "rules", (json_int_t)st->n_rules, "directions", directions);
	if (o && *st->ns)
		(void)json_object_set_new(o, "namespace", json_string(st->ns)); /* out of memory: missing */
	if (st->has_ingress)
		add(directions, json_string("ingress"));
	if (st->has_egress)
		add(directions, json_string("egress"));
	if (o && *st->reason)
		(void)json_object_set_new(o, "reason", json_string(st->reason)); /* likewise */
	json_decref(directions);
	add(arg, o);
	return 0;
}

static int policy_why_verb(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	int r = view_need_world(arg, reterr);

	return r < 0 ? r : view_policy_why(arg, args, ret, reterr);
}

static int policy_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	int r = view_need_world(a, reterr);

	(void)args;
	if (r < 0)
		return r;
	*ret = json_array();
	r = policy_each(a->world->policies, policy_json, *ret);
	return r < 0 ? err_set(reterr, -r, "%s", err_name(r)) : 0;
}

/* Services */

static const char *frontend_type(const struct frontend *f)
{
	switch ((enum frontend_kind)f->kind) {
	case FRONTEND_CLUSTER_IP:
		return "ClusterIP";
	case FRONTEND_EXTERNAL_IP:
		return "externalIPs";
	case FRONTEND_LOAD_BALANCER:
		return "LoadBalancer";
	case FRONTEND_NODE_PORT:
		return "NodePort";
	}
	return "?";
}

/* Why connections fail or are not translated; NULL if all is well. */
static const char *frontend_reason(const struct frontend *f)
{
	if (f->proto == IPPROTO_SCTP)
		return "Linux asks no program about the sockets of SCTP: connect to the backends";
	if (f->flags & FRONTEND_FILTERED)
		return "internalTrafficPolicy is Local and no backend is on this host";
	if (f->flags & FRONTEND_TERMINATING)
		return "no backend is ready; those that terminate still serve";
	return f->n_backends ? NULL : "no backend is ready";
}

static int frontend_json(const struct frontend *f, void *arg)
{
	const char *reason = frontend_reason(f);
	json_t *backends = json_array(), *o;

	for (size_t i = 0; i < f->n_backends; i++)
		add(backends, json_pack("{s:o, s:i, s:o, s:s}", "address", ip_json(&f->backends[i].ip), "port",
					f->backends[i].port, "protocol", view_protocol(f->proto), "state",
					f->flags & FRONTEND_TERMINATING ? "terminating" : "active"));
	o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:[{s:o, s:i, s:o}], s:o}", "id", (json_int_t)f->id, "namespace", f->ns,
		      "name", f->name, "type", frontend_type(f), "state",
		      f->proto == IPPROTO_SCTP ? "skipped" : f->n_backends ? "programmed" : "no-backends", "frontends", "address", ip_json(&f->ip), "port", f->port,
		      "protocol", view_protocol(f->proto), "backends", backends);
	if (o && f->affinity_s)
		(void)json_object_set_new(o, "affinity_s", json_integer(f->affinity_s)); /* out of memory: missing */
	if (o && reason)
		(void)json_object_set_new(o, "reason", json_string(reason)); /* likewise */
	add(arg, o);
	return 0;
}

/* A Service that somebody may miss. */
static int skipped_json(const struct kube_service *s, void *arg)
{
	struct endpoint_walk *w = arg;
	const char *reason = service_table_skip_reason(w->a->world->services, s);

	if (reason)
		add(w->list, json_pack("{s:i, s:s, s:s, s:s, s:s, s:[], s:[], s:s}", "id", 0, "namespace", s->ns, "name", s->name,
				       "type", "ClusterIP", "state", "skipped", "frontends", "backends", "reason", reason));
	return 0;
}

static bool is_condition(const json_t *endpoint, const char *name)
{
	return json_is_true(json_object_get(json_object_get(endpoint, "conditions"), name));
}

static const char *endpoint_state(const json_t *endpoint)
{
	return is_condition(endpoint, "terminating") ? "terminating" : is_condition(endpoint, "ready") ? "active" : "not-ready";
}

/* This host as the EndpointSlices of one Service have it, an element for each port. */
static json_t *portal_backends(const struct serve_entry *e)
{
	json_t *list = json_array();

	for (size_t f = 0; f < 2; f++) {
		const json_t *endpoint = json_array_get(json_object_get(e->slice[f], "endpoints"), 0), *port;
		size_t i;

		if (e->is_held[f])
			continue; /* as it was before: that is not known here */
		json_array_foreach(json_object_get(e->slice[f], "ports"), i, port) {
			const char *protocol = json_str(port, "protocol", "");

			add(list, json_pack("{s:O, s:O, s:s, s:s}", "address",
					    json_array_get(json_object_get(endpoint, "addresses"), 0), "port",
					    json_object_get(port, "port"), "protocol",
					    str_eq(protocol, "UDP") ? "udp" : str_eq(protocol, "SCTP") ? "sctp" : "tcp", "state",
					    endpoint_state(endpoint)));
		}
	}
	return list;
}

/* The state for a person: the best that a family has, since one is enough for clients of that family. */
static const char *portal_state(const struct serve_entry *e, bool is_published)
{
	const char *state = NULL;

	if (e->status == SERVE_STOPPED)
		return "stopped";
	if (!is_published)
		return "skipped";
	for (size_t f = 0; f < 2; f++) {
		const json_t *endpoint = json_array_get(json_object_get(e->slice[f], "endpoints"), 0);
		const char *s = endpoint ? endpoint_state(endpoint) : NULL;

		if (s && e->is_held[f])
			return "undecided";
		if (s && str_eq(s, "active"))
			return "portal";
		state = s && (!state || str_eq(s, "terminating")) ? s : state;
	}
	return state ? state : "portal";
}

static void portal_json(const struct serve_entry *e, bool is_published, const char *reason, void *arg)
{
	struct endpoint_walk *w = arg;
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:[], s:o}", "id", 0, "namespace", w->a->join.namespace, "name",
			      e->service, "type", "portal", "state", portal_state(e, is_published), "frontends", "backends",
			      portal_backends(e));

	if (o && *reason)
		(void)json_object_set_new(o, "reason", json_string(reason)); /* out of memory: missing */
	add(w->list, o);
}

static int service_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	int r = view_need_world(a, reterr);

	(void)args;
	if (r < 0)
		return r;
	*ret = json_array();
	(void)service_table_each(a->world->services, frontend_json, *ret); /* never stops early */
	(void)service_table_each_service(a->world->services, skipped_json, &(struct endpoint_walk){.a = a, .list = *ret}); /* likewise */
	if (a->serving)
		serving_each(a->serving, portal_json, &(struct endpoint_walk){.a = a, .list = *ret});
	return 0;
}

/* Addresses */

#define FROM_RESOURCE "custom-resource" /* the one source whose addresses are of endpoints */

struct address_walk {
	const struct agent *a;
	json_t *list;
	bool has_filter;
	struct cidr filter;
};

static json_t *address_json(const struct agent *a, const struct cidr *prefix, const struct ipcache_claim *claim,
			    const char *source)
{
	struct ip node = ipcache_node_ip(a->world->addresses, claim->node);
	const char *name = str_eq(source, FROM_RESOURCE) ? endpoint_table_name(a->world->endpoints, claim->owner) : NULL;
	char text[CIDR_STRLEN];
	json_t *o = json_pack("{s:s, s:I, s:o, s:s}", "prefix", cidr_str(prefix, text), "identity",
			      (json_int_t)claim->identity, "labels", view_labels(a, claim->identity), "source", source);

	if (o && node.family)
		(void)json_object_set_new(o, "tunnel_endpoint", ip_json(&node)); /* out of memory: missing */
	if (o && claim->key)
		(void)json_object_set_new(o, "encryption_key", json_integer(claim->key)); /* likewise */
	if (o && name)
		(void)json_object_set_new(o, "name", json_string(name)); /* likewise */
	return o;
}

/* Of an address that is claimed; see world.c. */
static const char *source_of(const struct ipcache_claim *claim)
{
	switch (claim->identity) {
	case IDENTITY_REMOTE_NODE:
	case IDENTITY_HEALTH:
	case IDENTITY_INGRESS:
		return "node";
	case IDENTITY_KUBE_APISERVER:
		return "kube-apiserver";
	default: /* an API server that is no node has a local number; an endpoint may be unmanaged */
		return claim->identity >= IDENTITY_LOCAL_CIDR ? "kube-apiserver" : FROM_RESOURCE;
	}
}

static int each_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct address_walk *w = arg;
	struct cidr prefix = cidr_of_ip(ip);

	if (!w->has_filter || cidr_contains(&w->filter, &prefix))
		add(w->list, address_json(w->a, &prefix, claim, source_of(claim)));
	return 0;
}

static int ipcache_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct address_walk w = {.a = a};
	const char *filter = json_str(args, "prefix", NULL);
	const struct policy_prefix *prefixes;
	int r = view_need_world(a, reterr);
	size_t n;

	if (r < 0)
		return r;
	w.has_filter = filter != NULL;
	if (filter && cidr_parse(filter, true, &w.filter) < 0)
		return err_set(reterr, EINVAL, "\"%.60s\" is no address or prefix", filter);
	w.list = json_array();
	(void)ipcache_each(a->world->addresses, each_address, &w); /* never stops early */
	n = policy_table_prefixes(a->world->table, &prefixes);
	for (size_t i = 0; i < n; i++) {
		const struct ipcache_claim claim = {.identity = prefixes[i].identity};

		if (!w.has_filter || cidr_contains(&w.filter, &prefixes[i].prefix))
			add(w.list, address_json(a, &prefixes[i].prefix, &claim, "policy"));
	}
	*ret = w.list;
	return 0;
}

static int ipcache_one(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	const char *text = json_str(args, "address", "");
	struct ipcache_claim claim = {0};
	struct cidr prefix;
	struct ip ip;
	int r = view_need_world(a, reterr);

	if (r < 0)
		return r;
	if (ip_parse(text, &ip) < 0)
		return err_set(reterr, EINVAL, "\"%.60s\" is no address", text);
	prefix = cidr_of_ip(&ip);
	if (ipcache_get(a->world->addresses, &ip, &claim)) {
		*ret = address_json(a, &prefix, &claim, source_of(&claim));
	} else {
		claim.identity = policy_table_identity_of(a->world->table, &ip);
		*ret = address_json(a, &prefix, &claim, claim.identity < IDENTITY_CLUSTER_MIN ? "world" : "policy");
	}
	return 0;
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
		add(*ret, json_pack("{s:s, s:s?, s:I, s:I, s:I}", "name", bpfobj_map_name((enum bpfobj_map)m), "type",
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
	(void)args;
	return agent_drain(arg, call, reterr);
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
	{.name = CTL_VERB_SERVICE_LIST, .handle = service_list},
	{.name = CTL_VERB_IPCACHE_LIST, .handle = ipcache_list},
	{.name = CTL_VERB_IPCACHE_GET, .handle = ipcache_one},
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
