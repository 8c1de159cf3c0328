/* SPDX-License-Identifier: Apache-2.0 */
/* service.list: what this host translates, what it skips, and what it stands behind itself. */
#include "agentd/view.h"
#include "json/json.h"

struct walk {
	const struct agent *a;
	json_t *list;
};

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
		view_add(backends, json_pack("{s:o, s:i, s:o, s:s}", "address", view_ip(&f->backends[i].ip), "port",
					     f->backends[i].port, "protocol", view_protocol(f->proto), "state",
					     f->flags & FRONTEND_TERMINATING ? "terminating" : "active"));
	o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:[{s:o, s:i, s:o}], s:o}", "id", (json_int_t)f->id, "namespace", f->ns,
		      "name", f->name, "type", frontend_type(f), "state",
		      f->proto == IPPROTO_SCTP ? "skipped" : f->n_backends ? "programmed" : "no-backends", "frontends", "address",
		      view_ip(&f->ip), "port", f->port, "protocol", view_protocol(f->proto), "backends", backends);
	if (o && f->affinity_s)
		(void)json_object_set_new(o, "affinity_s", json_integer(f->affinity_s)); /* out of memory: missing */
	if (o && reason)
		(void)json_object_set_new(o, "reason", json_string(reason)); /* likewise */
	view_add(arg, o);
	return 0;
}

/* A Service that somebody may miss. */
static int skipped_json(const struct kube_service *s, void *arg)
{
	struct walk *w = arg;
	const char *reason = service_table_skip_reason(w->a->world->services, s);

	if (reason)
		view_add(w->list, json_pack("{s:i, s:s, s:s, s:s, s:s, s:[], s:[], s:s}", "id", 0, "namespace", s->ns, "name", s->name,
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

			view_add(list, json_pack("{s:O, s:O, s:s, s:s}", "address",
						 json_array_get(json_object_get(endpoint, "addresses"), 0), "port",
						 json_object_get(port, "port"), "protocol",
						 str_eq(protocol, "UDP") ? "udp" : str_eq(protocol, "SCTP") ? "sctp" : "tcp", "state",
						 endpoint_state(endpoint)));
		}
	}
	return list;
}

/* The state for a person: the best that a family has, since one is enough for clients of that family. */
static const char *portal_state(const struct serve_entry *e, bool is_published, bool is_drained)
{
	const char *state = NULL;

	if (e->status == SERVE_STOPPED)
		return "stopped";
	if (e->status == SERVE_OK && is_drained)
		return "drained";
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
	struct walk *w = arg;
	bool is_drained = serving_is_drained(w->a->serving);
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:[], s:o}", "id", 0, "namespace", w->a->join.namespace, "name",
			      e->service, "type", "portal", "state", portal_state(e, is_published, is_drained), "frontends", "backends",
			      is_drained ? json_array() : portal_backends(e));

	if (o && *reason)
		(void)json_object_set_new(o, "reason", json_string(reason)); /* out of memory: missing */
	view_add(w->list, o);
}

int view_service_list(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	int r = view_need_world(a, reterr);

	(void)args;
	if (r < 0)
		return r;
	*ret = json_array();
	(void)service_table_each(a->world->services, frontend_json, *ret); /* never stops early */
	(void)service_table_each_service(a->world->services, skipped_json, &(struct walk){.a = a, .list = *ret}); /* likewise */
	if (a->serving)
		serving_each(a->serving, portal_json, &(struct walk){.a = a, .list = *ret});
	return 0;
}
