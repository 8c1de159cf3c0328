/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/decode_slice.h"

#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "kube/decode_service.h"

enum {
	/* what the API server itself accepts */
	MAX_ENDPOINTS = 1000,
	MAX_ADDRS = 100,
	MAX_PORTS = 100,
	MAX_HINTS = 8,
	POOL_RECENT = 8, /* texts that are looked at again before one is stored twice */
};

struct builder {
	struct kube_slice *s;
	struct buf pool;
	uint32_t recent[POOL_RECENT];
	unsigned next_recent;
	size_t cap_addrs, cap_hints;
	struct err *err;
};

void kube_slice_free(struct kube_slice *s)
{
	if (!s)
		return;
	free(s->ports);
	free(s->endpoints);
	free(s->addrs);
	free(s->hints);
	free(s->pool);
	free(s);
}

/* Stores a text; neighbouring endpoints mostly share node and zone, so those are stored once. */
static int pool_add(struct builder *b, const char *text, uint32_t *ret)
{
	uint32_t off;
	int r;

	if (*text == '\0') {
		*ret = 0;
		return 0;
	}
	for (unsigned i = 0; i < POOL_RECENT; i++)
		if (b->recent[i] && str_eq(b->pool.data + b->recent[i], text)) {
			*ret = b->recent[i];
			return 0;
		}
	off = (uint32_t)b->pool.len;
	r = buf_add(&b->pool, text, strlen(text) + 1);
	if (r < 0)
		return r == -E2BIG ? err_set(b->err, EINVAL, "too much text") : r;
	b->recent[b->next_recent++ % POOL_RECENT] = off;
	*ret = off;
	return 0;
}

/* Stores an optional string member. */
static int pool_member(struct builder *b, const struct doc *obj, const char *key, uint32_t *ret)
{
	const struct doc *v = doc_get(obj, key);

	*ret = 0;
	if (!v)
		return 0;
	if (!doc_is_string(v) || doc_len(v) > LIMIT_NAME)
		return err_set(b->err, EINVAL, "%s is not a string of at most %d bytes", key,
			       LIMIT_NAME);
	return pool_add(b, doc_str(v), ret);
}

static int decode_ports(struct builder *b, const struct doc *list)
{
	size_t n = doc_array_size(list);
	int r;

	if (!list || (doc_is_array(list) && n == 0))
		return 0;
	if (!doc_is_array(list) || n > MAX_PORTS)
		return err_set(b->err, EINVAL, "ports is not a list of at most %d", MAX_PORTS);
	b->s->ports = calloc(n, sizeof(*b->s->ports));
	if (!b->s->ports)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		const struct doc *port = doc_get(i.v, "port"), *proto = doc_get(i.v, "protocol");
		struct kube_slice_port *p = &b->s->ports[i.n];

		r = pool_member(b, i.v, "name", &p->name);
		if (r < 0)
			return r;
		if ((proto && !doc_is_string(proto)) ||
		    kube_proto_parse(doc_str(proto), &p->proto) < 0)
			return err_set(b->err, EINVAL, "ports[%zu]: unknown protocol", i.n);
		if (port && (!doc_is_integer(port) || doc_int(port) < 0 ||
			     doc_int(port) > UINT16_MAX))
			return err_set(b->err, EINVAL, "ports[%zu]: no port number", i.n);
		p->port = (uint16_t)doc_int(port);
		b->s->n_ports++;
	}
	return 0;
}

static int add_addr(struct builder *b, const struct doc *v)
{
	struct kube_slice *s = b->s;
	const char *text = doc_str(v);
	struct kube_slice_addr a = {0};
	char canonical[IP_STRLEN];
	int r;

	if (!text || ip_parse(text, &a.ip) < 0 || a.ip.family != s->family)
		return err_set(b->err, EINVAL, "address of another type than the slice");
	if (!str_eq(ip_str(&a.ip, canonical), text)) {
		r = pool_add(b, text, &a.text);
		if (r < 0)
			return r;
	}
	r = array_reserve((void **)&s->addrs, &b->cap_addrs, s->n_addrs, 1, sizeof(a));
	if (r < 0)
		return r;
	s->addrs[s->n_addrs++] = a;
	return 0;
}

static int decode_addrs(struct builder *b, const struct doc *list, struct kube_slice_endpoint *ep)
{
	size_t n = doc_array_size(list);
	int r;

	if (!doc_is_array(list) || n == 0 || n > MAX_ADDRS)
		return err_set(b->err, EINVAL, "not 1 to %d addresses", MAX_ADDRS);
	ep->first_addr = (uint32_t)b->s->n_addrs;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		r = add_addr(b, i.v);
		if (r < 0)
			return r;
	}
	ep->n_addrs = (uint16_t)n;
	return 0;
}

static int decode_hints(struct builder *b, const struct doc *list, uint8_t *ret_n)
{
	struct kube_slice *s = b->s;
	size_t n = doc_array_size(list);
	uint32_t off;
	int r;

	if (!list)
		return 0;
	if (!doc_is_array(list) || n > MAX_HINTS)
		return err_set(b->err, EINVAL, "hints are not a list of at most %d", MAX_HINTS);
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		r = pool_member(b, i.v, "name", &off);
		if (r < 0)
			return r;
		if (off == 0)
			return err_set(b->err, EINVAL, "hint without name");
		r = array_reserve((void **)&s->hints, &b->cap_hints, s->n_hints, 1, sizeof(off));
		if (r < 0)
			return r;
		s->hints[s->n_hints++] = off;
	}
	*ret_n = (uint8_t)n;
	return 0;
}

/* ready nil counts as true, serving nil as ready, terminating nil as false (API documentation). */
static uint8_t decode_conditions(const struct doc *c)
{
	const struct doc *ready = doc_get(c, "ready"), *serving = doc_get(c, "serving");
	bool is_ready = !ready || doc_is_true(ready);
	bool is_serving = serving ? doc_is_true(serving) : is_ready;

	return (uint8_t)((is_ready ? KUBE_EP_READY : 0) | (is_serving ? KUBE_EP_SERVING : 0) |
			 (doc_is_true(doc_get(c, "terminating")) ? KUBE_EP_TERMINATING : 0));
}

static int decode_endpoint(struct builder *b, const struct doc *in, struct kube_slice_endpoint *ep)
{
	const struct doc *hints = doc_get(in, "hints");
	int r = decode_addrs(b, doc_get(in, "addresses"), ep);

	if (r >= 0)
		r = pool_member(b, in, "hostname", &ep->hostname);
	if (r >= 0)
		r = pool_member(b, in, "nodeName", &ep->node);
	if (r >= 0)
		r = pool_member(b, in, "zone", &ep->zone);
	if (r >= 0)
		r = pool_member(b, doc_get(in, "targetRef"), "name", &ep->target);
	ep->first_hint = (uint32_t)b->s->n_hints;
	if (r >= 0)
		r = decode_hints(b, doc_get(hints, "forZones"), &ep->n_zones);
	if (r >= 0)
		r = decode_hints(b, doc_get(hints, "forNodes"), &ep->n_nodes);
	ep->conditions = decode_conditions(doc_get(in, "conditions"));
	return r;
}

static int decode_endpoints(struct builder *b, const struct doc *list)
{
	size_t n = doc_array_size(list);
	int r;

	if (!list || (doc_is_array(list) && n == 0))
		return 0;
	if (!doc_is_array(list) || n > MAX_ENDPOINTS)
		return err_set(b->err, EINVAL, "endpoints is not a list of at most %d",
			       MAX_ENDPOINTS);
	b->s->endpoints = calloc(n, sizeof(*b->s->endpoints));
	if (!b->s->endpoints)
		return -ENOMEM;
	for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)) {
		r = decode_endpoint(b, i.v, &b->s->endpoints[i.n]);
		if (r < 0)
			return err_prefix(b->err, r, "endpoints[%zu]", i.n);
		b->s->n_endpoints++;
	}
	return 0;
}

static int decode_labels(struct builder *b, const struct doc *labels)
{
	struct kube_slice *s = b->s;
	int r = pool_member(b, labels, "kubernetes.io/service-name", &s->service);

	if (r >= 0 && s->service == 0) {
		r = pool_member(b, labels, "multicluster.kubernetes.io/service-name", &s->service);
		s->is_import = s->service != 0;
	}
	if (r >= 0)
		r = pool_member(b, labels, "multicluster.kubernetes.io/source-cluster",
				&s->source_cluster);
	if (r >= 0)
		r = pool_member(b, labels, "endpointslice.kubernetes.io/managed-by",
				&s->managed_by);
	if (r >= 0)
		r = pool_member(b, labels, "service.kubernetes.io/service-proxy-name",
				&s->proxy_name);
	s->has_proxy_name = doc_get_any(labels, "service.kubernetes.io/service-proxy-name");
	s->is_headless = doc_get_any(labels, "service.kubernetes.io/headless");
	return r;
}

/* The weight annotation of Cilium 1.20: only 0 matters at a socket; illegal text is as absent. */
static bool is_weight_zero(const struct doc *annotations)
{
	const char *text = doc_str(doc_get(annotations, "service.cilium.io/weight"));
	uint64_t weight;

	return text && str_to_u64(text, UINT16_MAX, &weight) >= 0 && weight == 0;
}

static int decode_meta(struct builder *b, const struct doc *meta)
{
	struct kube_slice *s = b->s;
	const struct doc *labels = doc_get(meta, "labels");
	int r;

	if (!doc_is_object(meta) || (labels && !doc_is_object(labels)))
		return err_set(b->err, EINVAL, "no metadata");
	r = pool_member(b, meta, "namespace", &s->ns);
	if (r >= 0)
		r = pool_member(b, meta, "name", &s->name);
	if (r < 0)
		return r;
	if (!str_is_dns_label(b->pool.data + s->ns) ||
	    !str_is_dns_subdomain(b->pool.data + s->name))
		return err_set(b->err, EINVAL, "namespace or name is no DNS name");
	r = decode_labels(b, labels);
	s->is_paused = is_weight_zero(doc_get(meta, "annotations"));
	return r;
}

static int decode_all(struct builder *b, const struct doc *obj)
{
	const char *type = doc_str(doc_get(obj, "addressType"));
	int r = buf_add(&b->pool, "", 1);

	if (r >= 0)
		r = decode_meta(b, doc_get(obj, "metadata"));
	if (r < 0)
		return r;
	if (type && str_eq(type, "IPv4"))
		b->s->family = AF_INET;
	else if (type && str_eq(type, "IPv6"))
		b->s->family = AF_INET6;
	else if (!type || !str_eq(type, "FQDN"))
		return err_set(b->err, EINVAL, "unknown addressType");
	if (b->s->family == 0)
		return 0; /* nothing reads the endpoints of such a slice */
	r = decode_ports(b, doc_get(obj, "ports"));
	return r < 0 ? r : decode_endpoints(b, doc_get(obj, "endpoints"));
}

int kube_slice_decode(const struct doc *obj, struct kube_slice **ret, struct err *reterr)
{
	CLEANUP(kube_slice_free) struct kube_slice *s = calloc(1, sizeof(*s));
	struct builder b = {.s = s, .pool = {.max = LIMIT_OBJECT_BYTES}, .err = reterr};
	char *tight;
	int r;

	if (!s)
		return -ENOMEM;
	r = decode_all(&b, obj);
	if (r < 0) {
		const char *name = doc_str(doc_get(doc_get(obj, "metadata"), "name"));

		buf_done(&b.pool);
		return err_prefix(reterr, r, "EndpointSlice %.64s", name ? name : "?");
	}
	/* these live as long as the slice: give back what growing left over */
	tight = realloc(b.pool.data, b.pool.len);
	s->pool = tight ? tight : b.pool.data;
	if (s->n_addrs) {
		struct kube_slice_addr *a = realloc(s->addrs, s->n_addrs * sizeof(*a));

		s->addrs = a ? a : s->addrs;
	}
	*ret = TAKE_PTR(s);
	return 0;
}
