/* SPDX-License-Identifier: Apache-2.0 */
#include "service/serve_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/macro.h"
#include "json/json.h"

const char *serve_status_str(enum serve_status status)
{
	switch (status) {
	case SERVE_OK:
		return "ok";
	case SERVE_NOT_ALLOWED:
		return "not allowed";
	case SERVE_NO_PORT:
		return "no port";
	case SERVE_NO_ADDRESS:
		return "no address";
	case SERVE_EXTERNAL_NAME:
		return "external name";
	case SERVE_STOPPED:
		return "stopped";
	}
	return "?";
}

static bool list_has(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && memcmp(list, name, len) == 0)
			return true;
		list += n;
	}
	return false;
}

static bool selects(const struct kube_pairs *selector, const struct kube_pairs *labels)
{
	for (size_t i = 0; i < selector->n; i++) {
		const char *have = kube_pairs_get(labels, selector->v[i].key);

		if (!have || !str_eq(have, selector->v[i].value))
			return false;
	}
	return true;
}

bool serve_matches(const struct kube_service *s, const struct serve_host *h)
{
	const char *portal = kube_pairs_get(&s->annotations, SERVE_ANNOTATION);
	const char *hosts = kube_pairs_get(&s->annotations, SERVE_HOSTS_ANNOTATION);

	if (!portal || !str_eq(portal, "true") || !str_eq(s->ns, h->ns))
		return false;
	if (s->selector.n > 0)
		return selects(&s->selector, h->labels);
	return !hosts || list_has(hosts, h->name);
}

char *serve_slice_name(const char *service, const char *host, int family)
{
	char *name = str_printf("%s-mesh-%s%s", service, host, family == AF_INET6 ? SERVE_V6_SUFFIX : "");
	int keep = LIMIT_NAME - 17; /* a dash and 16 digits follow */
	char *cut;

	if (!name || strlen(name) <= LIMIT_NAME)
		return name;
	while (keep > 0 && (name[keep - 1] == '.' || name[keep - 1] == '-'))
		keep--; /* "x.-1" would be no DNS name */
	cut = str_printf("%.*s-%016llx", keep, name, (unsigned long long)hash_stable(HASH_STABLE, name, strlen(name)));
	free(name);
	return cut;
}

void serve_host_apply(struct serve_host *h, const struct serve_role *role)
{
	h->weight = role->weight;
	for (size_t i = 0; i < ARRAY_LEN(h->state); i++) {
		struct serve_state *s = &h->state[i];

		if (!s->is_ready)
			continue; /* it has a reason of its own, which comes first */
		s->is_held |= role->is_held;
		if (!role->is_standby)
			continue;
		s->is_ready = false;
		s->is_serving = s->is_terminating = true;
		s->text = role->text;
	}
}

static const struct serve_named_port *named_port(const struct serve_host *h, const char *name,
						 uint8_t proto)
{
	for (size_t i = 0; i < h->n_ports; i++)
		if (h->ports[i].proto == proto && str_eq(h->ports[i].name, name))
			return &h->ports[i];
	return NULL;
}

/* The slice's ports; those without a number here are left out, the first named in *ret_missing. */
static json_t *make_ports(const struct kube_service *s, const struct serve_host *h,
			  const char **ret_missing)
{
	json_t *list = json_array();

	*ret_missing = NULL;
	for (size_t i = 0; list && i < s->n_ports; i++) {
		const struct kube_service_port *p = &s->ports[i];
		const struct serve_named_port *np = NULL;

		if (p->target_name) {
			np = named_port(h, p->target_name, p->proto);
			if (!np) {
				*ret_missing = *ret_missing ? *ret_missing : p->target_name;
				continue;
			}
		}
		if (json_array_append_new(list,
					  json_pack("{s:s,s:s,s:i}", "name", p->name, "protocol",
							  kube_proto_str(p->proto), "port",
							  np ? np->port : p->target_port)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static bool has_zone(const struct serve_host *h)
{
	return h->zone && *h->zone;
}

/* The topology of before trafficDistribution: zones by an annotation, under one of its two names. */
static bool is_topology_aware(const struct kube_service *s)
{
	static const char *const names[] = {"service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *mode = kube_pairs_get(&s->annotations, names[i]);

		if (mode && (str_eq(mode, "Auto") || str_eq(mode, "auto")))
			return true;
	}
	return false;
}

/*
 * The hints that the Service's controller gives to other endpoints (KEP-2433, KEP-4444, KEP-3015): one without them
 * switches the topology off for the whole Service.
 */
static int set_hints(json_t *ep, const struct kube_service *s, const struct serve_host *h)
{
	bool by_zone = has_zone(h) && (s->has_traffic_distribution || is_topology_aware(s));
	json_t *hints;
	int r;

	if (!by_zone && !s->prefers_same_node)
		return 0;
	hints = json_object();
	r = json_object_set_new(ep, "hints", hints);
	if (r == 0 && by_zone)
		r = json_object_set_new(hints, "forZones", json_pack("[{s:s}]", "name", h->zone));
	if (r == 0 && s->prefers_same_node)
		r = json_object_set_new(hints, "forNodes", json_pack("[{s:s}]", "name", h->name));
	return r;
}

static json_t *make_endpoint(const struct kube_service *s, const struct serve_host *h,
			     const struct ip *ip)
{
	const struct serve_state *state = &h->state[ip->family == AF_INET6];
	char text[IP_STRLEN];
	json_t *ep = json_pack("{s:[s],s:{s:b,s:b,s:b},s:s}", "addresses", ip_str(ip, text),
			       "conditions",
			       "ready", state->is_ready || (s->publish_not_ready && !state->is_terminating),
			       "serving", state->is_serving, "terminating", state->is_terminating,
			       "nodeName", h->name);

	if (ep && ((has_zone(h) && json_object_set_new(ep, "zone", json_string(h->zone)) < 0) || set_hints(ep, s, h) < 0)) {
		json_decref(ep);
		return NULL;
	}
	return ep;
}

static json_t *make_labels(const struct kube_service *s)
{
	const char *proxy = kube_pairs_get(&s->labels, LABEL_PROXY_NAME);
	json_t *labels = json_pack("{s:s,s:s}", LABEL_SERVICE, s->name, LABEL_MANAGED_BY,
				   SERVE_MANAGED_BY);

	/* proxies look at these two on slices as well */
	if (labels && (((s->is_headless || kube_pairs_get(&s->labels, LABEL_HEADLESS)) &&
			json_object_set_new(labels, LABEL_HEADLESS, json_string("")) < 0) ||
		       (proxy && json_object_set_new(labels, LABEL_PROXY_NAME,
						     json_string(proxy)) < 0))) {
		json_decref(labels);
		return NULL;
	}
	return labels;
}

static int set_weight(json_t *slice, uint16_t weight)
{
	char text[8];

	if (weight == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%u", weight);
	return json_object_set_new(json_object_get(slice, "metadata"), "annotations",
				   json_pack("{s:s}", SERVE_WEIGHT_ANNOTATION, text));
}

/* The whole object; takes `ports`. NULL when out of memory. */
static json_t *make_slice(const struct kube_service *s, const struct serve_host *h,
			  const char *name,
			  const struct ip *ip, json_t *ports)
{
	json_t *labels = make_labels(s), *ep = make_endpoint(s, h, ip), *slice;

	if (!labels || !ep || !ports) {
		json_decref(labels);
		json_decref(ep);
		json_decref(ports);
		return NULL;
	}
	slice = json_pack("{s:s,s:s,s:{s:s,s:s,s:o,s:[{s:s,s:s,s:s,s:s}]},s:s,s:[o],s:o}",
			  "apiVersion",
			  "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name", name,
			  "namespace", s->ns, "labels", labels, "ownerReferences", "apiVersion", "v1",
			  "kind", "Service", "name", s->name, "uid", s->uid ? s->uid : "", "addressType",
			  ip->family == AF_INET ? "IPv4" : "IPv6", "endpoints", ep, "ports", ports);
	if (slice && set_weight(slice, h->weight) < 0) {
		json_decref(slice);
		return NULL;
	}
	return slice;
}

static bool service_has_family(const struct kube_service *s, uint8_t family)
{
	if (s->n_cluster_ips == 0)
		return true; /* headless: whatever the host has */
	for (size_t i = 0; i < s->n_cluster_ips; i++)
		if (s->cluster_ips[i].family == family)
			return true;
	return false;
}

static const struct ip *address_of(const struct serve_host *h, uint8_t family)
{
	for (size_t i = 0; i < h->n_addresses; i++)
		if (h->addresses[i].family == family && !ip_is_special(&h->addresses[i]))
			return &h->addresses[i];
	return NULL;
}

static void entry_done(struct serve_entry *e)
{
	free(e->service);
	free(e->uid);
	free(e->reason);
	free(e->health);
	for (size_t i = 0; i < 2; i++) {
		free(e->slice_name[i]);
		json_decref(e->slice[i]);
	}
}

static int set_reason(struct serve_entry *e, enum serve_status status, char *reason)
{
	e->status = status;
	e->reason = reason;
	return reason ? 0 : -ENOMEM;
}

static int fill_slices(struct serve_entry *e, const struct kube_service *s,
		       const struct serve_host *h,
		       const json_t *ports)
{
	static const uint8_t families[2] = {AF_INET, AF_INET6};
	bool any = false, any_gone = false;

	for (size_t i = 0; i < 2; i++) {
		const struct ip *ip = address_of(h, families[i]);
		const struct serve_state *state = &h->state[i];

		if (!ip || !service_has_family(s, families[i]))
			continue;
		if (state->text && *state->text && !e->health && !(e->health = strdup(state->text)))
			return -ENOMEM;
		e->is_held[i] = state->is_held;
		any_gone |= state->is_gone;
		if (state->is_gone)
			continue;
		e->slice_name[i] = serve_slice_name(s->name, h->name, families[i]);
		if (!e->slice_name[i])
			return -ENOMEM;
		e->slice[i] = make_slice(s, h, e->slice_name[i], ip, json_clone(ports));
		if (!e->slice[i])
			return -ENOMEM;
		any = true;
	}
	if (!any && any_gone)
		return set_reason(e, SERVE_STOPPED, strdup(e->health ? e->health : "the workload is stopped"));
	return any ? 0
		   : set_reason(e, SERVE_NO_ADDRESS,
				strdup("the host has no address of a family that the Service uses"));
}

static int fill(struct serve_entry *e, const struct kube_service *s, const struct serve_host *h)
{
	const char *missing;
	json_t *ports;
	int r;

	if (s->type == KUBE_SERVICE_EXTERNAL_NAME)
		return set_reason(e, SERVE_EXTERNAL_NAME,
				  strdup("a Service of type ExternalName has no backends"));
	if (!h->allowed || !strv_has(h->allowed, s->name))
		return set_reason(e, SERVE_NOT_ALLOWED,
				  str_printf("the host may not serve it: meshctl host add --serve %s",
					     s->name));
	ports = make_ports(s, h, &missing);
	if (!ports)
		return -ENOMEM;
	if (missing && json_array_size(ports) == 0)
		r = set_reason(e, SERVE_NO_PORT,
			       str_printf("the named port \"%.64s\" has no number in the configuration",
					  missing));
	else
		r = fill_slices(e, s, h, ports);
	if (r >= 0 && e->status == SERVE_OK && missing)
		r = set_reason(e, SERVE_OK,
			       str_printf("without the named port \"%.64s\": no number in the configuration",
					  missing));
	json_decref(ports);
	return r;
}

int serve_plan_add(struct serve_plan *p, const struct kube_service *s, const struct serve_host *h)
{
	struct serve_entry e = {.status = SERVE_OK};
	int r;

	if (!serve_matches(s, h))
		return 0;
	e.service = strdup(s->name);
	e.uid = strdup(s->uid ? s->uid : "");
	r = e.service && e.uid ? fill(&e, s, h) : -ENOMEM;
	if (r >= 0)
		r = ARRAY_ADD(p, e);
	if (r < 0)
		entry_done(&e);
	return r;
}

static int entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct serve_entry *)a)->service,
		      ((const struct serve_entry *)b)->service);
}

void serve_plan_sort(struct serve_plan *p)
{
	ARRAY_SORT(p, entry_cmp);
}

void serve_plan_done(struct serve_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		entry_done(&p->v[i]);
	ARRAY_DONE(p);
}
