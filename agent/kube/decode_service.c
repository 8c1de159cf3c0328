/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/decode_service.h"

#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"

enum {
	MAX_PORTS = 1024,    /* the API has no cap; an object of 1.5 MiB could not hold much more */
	MAX_ADDRESSES = 256, /* external and load-balancer addresses, source ranges */
	MAX_PAIRS = 1024,    /* annotations that we skip count too */
	AFFINITY_DEFAULT_S = 10800,
	AFFINITY_MAX_S = 86400,
};

static const char *const read_annotations[] = {
	"service.cilium.io/", "io.cilium/", "mesh-external-agent.io/", "service.kubernetes.io/", NULL,
};

int kube_proto_parse(const char *text, uint8_t *ret)
{
	if (!text || str_eq(text, "TCP"))
		*ret = IPPROTO_TCP;
	else if (str_eq(text, "UDP"))
		*ret = IPPROTO_UDP;
	else if (str_eq(text, "SCTP"))
		*ret = IPPROTO_SCTP;
	else
		return -EINVAL;
	return 0;
}

const char *kube_proto_str(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_SCTP:
		return "SCTP";
	default:
		return "?";
	}
}

void kube_pairs_done(struct kube_pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].key);
		free(p->v[i].value);
	}
	free(p->v);
	*p = (struct kube_pairs){0};
}

const char *kube_pairs_get(const struct kube_pairs *p, const char *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->v[i].key, key))
			return p->v[i].value;
	return NULL;
}

static bool is_wanted(const char *key, const char *const *prefixes)
{
	if (!prefixes)
		return true;
	for (; *prefixes; prefixes++)
		if (str_has_prefix(key, *prefixes))
			return true;
	return false;
}

int kube_pairs_decode(const struct doc *obj, const char *const *prefixes, size_t max,
		      struct kube_pairs *ret, struct err *reterr)
{
	struct kube_pairs p = {0};

	if (!obj || doc_is_null(obj)) {
		*ret = p;
		return 0;
	}
	if (!doc_is_object(obj) || doc_object_size(obj) > max)
		return err_set(reterr, EINVAL, "not a map of at most %zu entries", max);
	if (doc_object_size(obj) > 0) {
		p.v = calloc(doc_object_size(obj), sizeof(*p.v));
		if (!p.v)
			return -ENOMEM;
	}
	for (struct doc_iter i = doc_members(obj); i.v; doc_next(&i)) {
		if (!doc_is_string(i.v)) {
			kube_pairs_done(&p);
			return err_set(reterr, EINVAL, "value of %.64s is not a string", i.key);
		}
		if (!is_wanted(i.key, prefixes))
			continue;
		p.v[p.n].key = strdup(i.key);
		p.v[p.n].value = strdup(doc_str(i.v));
		p.n++;
		if (!p.v[p.n - 1].key || !p.v[p.n - 1].value) {
			kube_pairs_done(&p);
			return -ENOMEM;
		}
	}
	*ret = p;
	return 0;
}

void kube_service_free(struct kube_service *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_ports; i++) {
		free(s->ports[i].name);
		free(s->ports[i].target_name);
	}
	free(s->ports);
	free(s->ns);
	free(s->name);
	free(s->uid);
	free(s->external_name);
	free(s->external_ips);
	free(s->lb_ips);
	free(s->source_ranges);
	kube_pairs_done(&s->labels);
	kube_pairs_done(&s->selector);
	kube_pairs_done(&s->annotations);
	free(s);
}

/* Copies an optional string of at most `max` bytes; NULL if absent. */
static int copy_string(const struct doc *obj, const char *key, size_t max, char **ret,
		       struct err *reterr)
{
	const struct doc *v = doc_get(obj, key);

	*ret = NULL;
	if (!v)
		return 0;
	if (!doc_is_string(v) || doc_len(v) > max)
		return err_set(reterr, EINVAL, "%s is not a string of at most %zu bytes", key, max);
	*ret = strdup(doc_str(v));
	return *ret ? 0 : -ENOMEM;
}

static int read_port(const struct doc *obj, const char *key, uint16_t *ret, struct err *reterr)
{
	const struct doc *v = doc_get(obj, key);

	*ret = 0;
	if (!v)
		return 0;
	if (!doc_is_integer(v) || doc_int(v) < 0 || doc_int(v) > UINT16_MAX)
		return err_set(reterr, EINVAL, "%s is not a port number", key);
	*ret = (uint16_t)doc_int(v);
	return 0;
}

static int decode_target_port(const struct doc *obj, struct kube_service_port *p, struct err *reterr)
{
	const struct doc *v = doc_get(obj, "targetPort");

	if (v && doc_is_string(v)) {
		if (doc_len(v) == 0 || doc_len(v) > LIMIT_NAME)
			return err_set(reterr, EINVAL, "targetPort is no name");
		p->target_name = strdup(doc_str(v));
		return p->target_name ? 0 : -ENOMEM;
	}
	if (read_port(obj, "targetPort", &p->target_port, reterr) < 0)
		return -EINVAL;
	if (p->target_port == 0)
		p->target_port = p->port;
	return 0;
}

static int decode_port(const struct doc *obj, struct kube_service_port *p, struct err *reterr)
{
	const struct doc *proto = doc_get(obj, "protocol");
	int r;

	if (!doc_is_object(obj))
		return err_set(reterr, EINVAL, "not an object");
	r = copy_string(obj, "name", LIMIT_NAME, &p->name, reterr);
	if (r < 0)
		return r;
	if (!p->name) {
		p->name = strdup("");
		if (!p->name)
			return -ENOMEM;
	}
	if (kube_proto_parse(proto ? doc_str(proto) : NULL, &p->proto) < 0 ||
	    (proto && !doc_is_string(proto)))
		return err_set(reterr, EINVAL, "unknown protocol");
	if (read_port(obj, "port", &p->port, reterr) < 0 ||
	    read_port(obj, "nodePort", &p->node_port, reterr) < 0)
		return -EINVAL;
	if (p->port == 0)
		return err_set(reterr, EINVAL, "port is missing");
	return decode_target_port(obj, p, reterr);
}

static int decode_ports(const struct doc *ports, struct kube_service *s, struct err *reterr)
{
	size_t n = doc_array_size(ports);
	int r;

	if (!ports)
		return 0;
	if (!doc_is_array(ports) || n > MAX_PORTS)
		return err_set(reterr, EINVAL, "spec.ports is not a list of at most %d", MAX_PORTS);
	if (n == 0)
		return 0;
	s->ports = calloc(n, sizeof(*s->ports));
	if (!s->ports)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(ports); i.v; doc_next(&i)) {
		s->n_ports++;
		r = decode_port(i.v, &s->ports[i.n], reterr);
		if (r < 0)
			return err_prefix(reterr, r, "spec.ports[%zu]", i.n);
	}
	return 0;
}

/* Reads a list of addresses into a fresh array. */
static int decode_ips(const struct doc *list, const char *what, struct ip **ret, size_t *ret_n,
		      struct err *reterr)
{
	CLEANUP(free) struct ip *ips = NULL;
	size_t n = doc_array_size(list);

	if (!list || (doc_is_array(list) && n == 0))
		return 0;
	if (!doc_is_array(list) || n > MAX_ADDRESSES)
		return err_set(reterr, EINVAL, "%s is not a list of at most %d", what,
			       MAX_ADDRESSES);
	ips = calloc(n, sizeof(*ips));
	if (!ips)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const char *text = doc_str(i.v);

		if (!text || ip_parse(text, &ips[i.n]) < 0)
			return err_set(reterr, EINVAL, "%s[%zu] is no address", what, i.n);
	}
	*ret = TAKE_PTR(ips);
	*ret_n = n;
	return 0;
}

static int add_cluster_ip(struct kube_service *s, const struct doc *v, struct err *reterr)
{
	const char *text = doc_str(v);
	struct ip ip;

	if (!text)
		return err_set(reterr, EINVAL, "clusterIP is not a string");
	if (str_eq(text, "None")) {
		s->is_headless = true;
		return 0;
	}
	if (*text == '\0')
		return 0;
	if (ip_parse(text, &ip) < 0)
		return err_set(reterr, EINVAL, "clusterIP is no address");
	if (s->n_cluster_ips == ARRAY_LEN(s->cluster_ips) ||
	    (s->n_cluster_ips == 1 && s->cluster_ips[0].family == ip.family))
		return err_set(reterr, EINVAL, "more than one clusterIP of a family");
	s->cluster_ips[s->n_cluster_ips++] = ip;
	return 0;
}

static int decode_cluster_ips(const struct doc *spec, struct kube_service *s, struct err *reterr)
{
	const struct doc *list = doc_get(spec, "clusterIPs"), *one = doc_get(spec, "clusterIP");
	int r;

	if (list && !doc_is_array(list))
		return err_set(reterr, EINVAL, "clusterIPs is not a list");
	if (doc_array_size(list) == 0)
		return one ? add_cluster_ip(s, one, reterr) : 0;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		r = add_cluster_ip(s, i.v, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

/* status.loadBalancer.ingress: addresses that the node may shortcut (ipMode, KEP-1860). */
static int decode_lb(const struct doc *status, struct kube_service *s, struct err *reterr)
{
	const struct doc *list = doc_get(doc_get(status, "loadBalancer"), "ingress");
	size_t n = doc_array_size(list);

	if (!list || (doc_is_array(list) && n == 0))
		return 0;
	if (!doc_is_array(list) || n > MAX_ADDRESSES)
		return err_set(reterr, EINVAL, "status.loadBalancer.ingress is no list");
	s->lb_ips = calloc(n, sizeof(*s->lb_ips));
	if (!s->lb_ips)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const char *ip = doc_str(doc_get(i.v, "ip"));
		const char *mode = doc_str(doc_get(i.v, "ipMode"));

		if (!ip || *ip == '\0' || (mode && !str_eq(mode, "VIP")))
			continue;
		if (ip_parse(ip, &s->lb_ips[s->n_lb_ips]) < 0)
			return err_set(reterr, EINVAL, "load-balancer address is no address");
		s->n_lb_ips++;
	}
	return 0;
}

/* The API takes space around these, and only around these. */
static int parse_source_range(const char *text, struct cidr *ret)
{
	static const char space[] = " \t\n\v\f\r";
	const char *start = text + strspn(text, space);
	size_t len = strcspn(start, space);
	char bare[64];

	if (len >= sizeof(bare) || start[len + strspn(start + len, space)] != '\0')
		return -EINVAL;
	memcpy(bare, start, len);
	bare[len] = '\0';
	return cidr_parse(bare, false, ret);
}

static int decode_source_ranges(const struct doc *list, struct kube_service *s, struct err *reterr)
{
	size_t n = doc_array_size(list);

	if (!list || (doc_is_array(list) && n == 0))
		return 0;
	if (!doc_is_array(list) || n > MAX_ADDRESSES)
		return err_set(reterr, EINVAL, "loadBalancerSourceRanges is no list");
	s->source_ranges = calloc(n, sizeof(*s->source_ranges));
	if (!s->source_ranges)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const char *text = doc_str(i.v);

		if (!text || parse_source_range(text, &s->source_ranges[i.n]) < 0)
			return err_set(reterr, EINVAL, "loadBalancerSourceRanges[%zu] is no CIDR",
				       i.n);
		s->n_source_ranges++;
	}
	return 0;
}

static int decode_type(const struct doc *spec, struct kube_service *s, struct err *reterr)
{
	static const char *const names[] = {
		[KUBE_SERVICE_CLUSTER_IP] = "ClusterIP",
		[KUBE_SERVICE_NODE_PORT] = "NodePort",
		[KUBE_SERVICE_LOAD_BALANCER] = "LoadBalancer",
		[KUBE_SERVICE_EXTERNAL_NAME] = "ExternalName",
	};
	const struct doc *v = doc_get(spec, "type");

	if (!v)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (doc_is_string(v) && str_eq(doc_str(v), names[i])) {
			s->type = (enum kube_service_type)i;
			return s->type == KUBE_SERVICE_EXTERNAL_NAME
				       ? copy_string(spec, "externalName", LIMIT_NAME,
						     &s->external_name, reterr)
				       : 0;
		}
	return err_set(reterr, EINVAL, "unknown spec.type");
}

static int decode_affinity(const struct doc *spec, struct kube_service *s, struct err *reterr)
{
	const char *kind = doc_str(doc_get(spec, "sessionAffinity"));
	const struct doc *t = doc_get(doc_get(doc_get(spec, "sessionAffinityConfig"), "clientIP"),
				 "timeoutSeconds");

	if (!kind || !str_eq(kind, "ClientIP"))
		return 0;
	s->affinity_s = AFFINITY_DEFAULT_S;
	if (!t)
		return 0;
	if (!doc_is_integer(t) || doc_int(t) < 1 ||
	    doc_int(t) > AFFINITY_MAX_S)
		return err_set(reterr, EINVAL, "timeoutSeconds is not in 1..%d", AFFINITY_MAX_S);
	s->affinity_s = (uint32_t)doc_int(t);
	return 0;
}

static bool is_local(const struct doc *spec, const char *key)
{
	const char *v = doc_str(doc_get(spec, key));

	return v && str_eq(v, "Local");
}

static int decode_meta(const struct doc *obj, struct kube_service *s, struct err *reterr)
{
	const struct doc *meta = doc_get(obj, "metadata"), *created;
	int r;

	if (!doc_is_object(meta))
		return err_set(reterr, EINVAL, "no metadata");
	r = copy_string(meta, "namespace", LIMIT_NAME, &s->ns, reterr);
	if (r >= 0)
		r = copy_string(meta, "name", LIMIT_NAME, &s->name, reterr);
	if (r >= 0)
		r = copy_string(meta, "uid", LIMIT_NAME, &s->uid, reterr);
	if (r < 0)
		return r;
	if (!s->ns || !s->name || !str_is_dns_label(s->ns) || !str_is_dns_label(s->name))
		return err_set(reterr, EINVAL, "namespace or name is no DNS label");
	created = doc_get(meta, "creationTimestamp");
	if (created && (!doc_is_string(created) ||
			clock_parse_rfc3339(doc_str(created), &s->created_s) < 0))
		return err_set(reterr, EINVAL, "creationTimestamp is no time");
	r = kube_pairs_decode(doc_get(meta, "labels"), NULL, LIMIT_LABELS, &s->labels, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "labels");
	r = kube_pairs_decode(doc_get(meta, "annotations"), read_annotations, MAX_PAIRS,
			      &s->annotations, reterr);
	return r < 0 ? err_prefix(reterr, r, "annotations") : 0;
}

static int decode_spec(const struct doc *obj, struct kube_service *s, struct err *reterr)
{
	const struct doc *spec = doc_get(obj, "spec"), *v;
	int r;

	if (!doc_is_object(spec))
		return err_set(reterr, EINVAL, "no spec");
	r = decode_type(spec, s, reterr);
	if (r >= 0)
		r = decode_cluster_ips(spec, s, reterr);
	if (r >= 0)
		r = decode_ports(doc_get(spec, "ports"), s, reterr);
	if (r >= 0)
		r = decode_ips(doc_get(spec, "externalIPs"), "externalIPs", &s->external_ips,
			       &s->n_external_ips, reterr);
	if (r >= 0)
		r = decode_lb(doc_get(obj, "status"), s, reterr);
	if (r >= 0)
		r = decode_source_ranges(doc_get(spec, "loadBalancerSourceRanges"), s, reterr);
	if (r >= 0)
		r = decode_affinity(spec, s, reterr);
	if (r < 0)
		return r;
	r = kube_pairs_decode(doc_get(spec, "selector"), NULL, LIMIT_LABELS, &s->selector, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "spec.selector");
	s->is_internal_local = is_local(spec, "internalTrafficPolicy");
	s->is_external_local = is_local(spec, "externalTrafficPolicy");
	s->publish_not_ready = doc_is_true(doc_get(spec, "publishNotReadyAddresses"));
	v = doc_get(spec, "trafficDistribution");
	s->has_traffic_distribution = v && doc_is_string(v) && doc_len(v) > 0;
	s->prefers_same_node = s->has_traffic_distribution && str_eq(doc_str(v), "PreferSameNode");
	return 0;
}

int kube_service_decode(const struct doc *obj, struct kube_service **ret, struct err *reterr)
{
	CLEANUP(kube_service_free) struct kube_service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = decode_meta(obj, s, reterr);
	if (r >= 0)
		r = decode_spec(obj, s, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "Service %.64s/%.64s", s->ns ? s->ns : "?",
				  s->name ? s->name : "?");
	*ret = TAKE_PTR(s);
	return 0;
}

int kube_service_import_decode(const struct doc *obj, struct kube_service **ret, struct err *reterr)
{
	CLEANUP(kube_service_free) struct kube_service *s = calloc(1, sizeof(*s));
	const struct doc *spec = doc_get(obj, "spec"), *ips = doc_get(spec, "ips");
	const char *type = doc_str(doc_get(spec, "type"));
	int r;

	if (!s)
		return -ENOMEM;
	r = decode_meta(obj, s, reterr);
	if (r >= 0 && !doc_is_object(spec))
		r = err_set(reterr, EINVAL, "no spec");
	if (r >= 0)
		r = decode_ports(doc_get(spec, "ports"), s, reterr);
	s->is_headless = type && str_eq(type, "Headless");
	if (r >= 0 && ips && !doc_is_array(ips))
		r = err_set(reterr, EINVAL, "spec.ips is not a list");
	for (struct doc_iter i = doc_elements(s->is_headless ? NULL : ips); r >= 0 && i.v; doc_next(&i))
		r = add_cluster_ip(s, i.v, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "ServiceImport %.64s/%.64s", s->ns ? s->ns : "?",
				  s->name ? s->name : "?");
	*ret = TAKE_PTR(s);
	return 0;
}
