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

static const json_t *member(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_null(v) ? NULL : v;
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
static int pool_member(struct builder *b, const json_t *obj, const char *key, uint32_t *ret)
{
	const json_t *v = member(obj, key);

	*ret = 0;
	if (!v)
		return 0;
	if (!json_is_string(v) || json_string_length(v) > LIMIT_NAME)
		return err_set(b->err, EINVAL, "%s is not a string of at most %d bytes", key,
			       LIMIT_NAME);
	return pool_add(b, json_string_value(v), ret);
}

static int decode_ports(struct builder *b, const json_t *list)
{
	size_t n = json_array_size(list);
	int r;

	if (!list || (json_is_array(list) && n == 0))
		return 0;
	if (!json_is_array(list) || n > MAX_PORTS)
		return err_set(b->err, EINVAL, "ports is not a list of at most %d", MAX_PORTS);
	b->s->ports = calloc(n, sizeof(*b->s->ports));
	if (!b->s->ports)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *in = json_array_get(list, i), *port = member(in, "port");
		const json_t *proto = member(in, "protocol");
		struct kube_slice_port *p = &b->s->ports[i];

		r = pool_member(b, in, "name", &p->name);
		if (r < 0)
			return r;
		if ((proto && !json_is_string(proto)) ||
		    kube_proto_parse(json_string_value(proto), &p->proto) < 0)
			return err_set(b->err, EINVAL, "ports[%zu]: unknown protocol", i);
		if (port && (!json_is_integer(port) || json_integer_value(port) < 0 ||
			     json_integer_value(port) > UINT16_MAX))
			return err_set(b->err, EINVAL, "ports[%zu]: no port number", i);
		p->port = (uint16_t)json_integer_value(port);
		b->s->n_ports++;
	}
	return 0;
}

static int add_addr(struct builder *b, const json_t *v)
{
	struct kube_slice *s = b->s;
	const char *text = json_string_value(v);
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

static int decode_addrs(struct builder *b, const json_t *list, struct kube_slice_endpoint *ep)
{
	size_t n = json_array_size(list);
	int r;

	if (!json_is_array(list) || n == 0 || n > MAX_ADDRS)
		return err_set(b->err, EINVAL, "not 1 to %d addresses", MAX_ADDRS);
	ep->first_addr = (uint32_t)b->s->n_addrs;
	for (size_t i = 0; i < n; i++) {
		r = add_addr(b, json_array_get(list, i));
		if (r < 0)
			return r;
	}
	ep->n_addrs = (uint16_t)n;
	return 0;
}

static int decode_hints(struct builder *b, const json_t *list, uint8_t *ret_n)
{
	struct kube_slice *s = b->s;
	size_t n = json_array_size(list);
	uint32_t off;
	int r;

	if (!list)
		return 0;
	if (!json_is_array(list) || n > MAX_HINTS)
		return err_set(b->err, EINVAL, "hints are not a list of at most %d", MAX_HINTS);
	for (size_t i = 0; i < n; i++) {
		r = pool_member(b, json_array_get(list, i), "name", &off);
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
static uint8_t decode_conditions(const json_t *c)
{
	const json_t *ready = member(c, "ready"), *serving = member(c, "serving");
	bool is_ready = !ready || json_is_true(ready);
	bool is_serving = serving ? json_is_true(serving) : is_ready;

	return (uint8_t)((is_ready ? KUBE_EP_READY : 0) | (is_serving ? KUBE_EP_SERVING : 0) |
			 (json_is_true(member(c, "terminating")) ? KUBE_EP_TERMINATING : 0));
}

static int decode_endpoint(struct builder *b, const json_t *in, struct kube_slice_endpoint *ep)
{
	const json_t *hints = member(in, "hints");
	int r = decode_addrs(b, member(in, "addresses"), ep);

	if (r >= 0)
		r = pool_member(b, in, "hostname", &ep->hostname);
	if (r >= 0)
		r = pool_member(b, in, "nodeName", &ep->node);
	if (r >= 0)
		r = pool_member(b, in, "zone", &ep->zone);
	if (r >= 0)
		r = pool_member(b, member(in, "targetRef"), "name", &ep->target);
	ep->first_hint = (uint32_t)b->s->n_hints;
	if (r >= 0)
		r = decode_hints(b, member(hints, "forZones"), &ep->n_zones);
	if (r >= 0)
		r = decode_hints(b, member(hints, "forNodes"), &ep->n_nodes);
	ep->conditions = decode_conditions(member(in, "conditions"));
	return r;
}

static int decode_endpoints(struct builder *b, const json_t *list)
{
	size_t n = json_array_size(list);
	int r;

	if (!list || (json_is_array(list) && n == 0))
		return 0;
	if (!json_is_array(list) || n > MAX_ENDPOINTS)
		return err_set(b->err, EINVAL, "endpoints is not a list of at most %d",
			       MAX_ENDPOINTS);
	b->s->endpoints = calloc(n, sizeof(*b->s->endpoints));
	if (!b->s->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		r = decode_endpoint(b, json_array_get(list, i), &b->s->endpoints[i]);
		if (r < 0)
			return err_prefix(b->err, r, "endpoints[%zu]", i);
		b->s->n_endpoints++;
	}
	return 0;
}

static int decode_labels(struct builder *b, const json_t *labels)
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
	s->has_proxy_name = json_object_get(labels, "service.kubernetes.io/service-proxy-name");
	s->is_headless = json_object_get(labels, "service.kubernetes.io/headless");
	return r;
}

/* The weight annotation of Cilium 1.20: only 0 matters at a socket; illegal text is as absent. */
static bool is_weight_zero(const json_t *annotations)
{
	const char *text = json_string_value(member(annotations, "service.cilium.io/weight"));
	uint64_t weight;

	return text && str_to_u64(text, UINT16_MAX, &weight) >= 0 && weight == 0;
}

static int decode_meta(struct builder *b, const json_t *meta)
{
	struct kube_slice *s = b->s;
	const json_t *labels = member(meta, "labels");
	int r;

	if (!json_is_object(meta) || (labels && !json_is_object(labels)))
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
	s->is_paused = is_weight_zero(member(meta, "annotations"));
	return r;
}

static int decode_all(struct builder *b, const json_t *obj)
{
	const char *type = json_string_value(member(obj, "addressType"));
	int r = buf_add(&b->pool, "", 1);

	if (r >= 0)
		r = decode_meta(b, member(obj, "metadata"));
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
	r = decode_ports(b, member(obj, "ports"));
	return r < 0 ? r : decode_endpoints(b, member(obj, "endpoints"));
}

int kube_slice_decode(const json_t *obj, struct kube_slice **ret, struct err *reterr)
{
	CLEANUP(kube_slice_free) struct kube_slice *s = calloc(1, sizeof(*s));
	struct builder b = {.s = s, .pool = {.max = LIMIT_OBJECT_BYTES}, .err = reterr};
	char *tight;
	int r;

	if (!s)
		return -ENOMEM;
	r = decode_all(&b, obj);
	if (r < 0) {
		const char *name = json_string_value(member(member(obj, "metadata"), "name"));

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
