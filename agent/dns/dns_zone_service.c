/* SPDX-License-Identifier: Apache-2.0 */
/* From names to Services and endpoints, and back. */
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_zone_private.h"

/* A message of 64 KiB holds no more records than this. */
enum { ITEMS_MAX = 4096 };

static uint8_t lower(char c)
{
	return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* Writes text as a label. False if it is none. */
static bool label_set(uint8_t label[DNS_LABEL_MAX + 1], const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > DNS_LABEL_MAX || memchr(text, '.', len))
		return false;
	label[0] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		label[i + 1] = lower(text[i]);
	return true;
}

void zone_endpoint_label(const struct dns_zone *z, const struct kube_slice *s,
			 const struct kube_slice_endpoint *ep, const struct kube_slice_addr *addr,
			 uint8_t ret[DNS_LABEL_MAX + 1])
{
	char canonical[IP_STRLEN];
	const char *text;
	size_t n;

	if (label_set(ret, kube_slice_text(s, ep->hostname)))
		return;
	if (z->opt.use_target_names && label_set(ret, kube_slice_text(s, ep->target)))
		return;
	text = addr->text ? kube_slice_text(s, addr->text) : ip_str(&addr->ip, canonical);
	n = MIN(strlen(text), (size_t)DNS_LABEL_MAX - 1);
	for (size_t i = 0; i < n; i++)
		ret[i + 1] = text[i] == '.' || text[i] == ':' ? '-' : lower(text[i]);
	if (ret[n] == '-') /* a label must not end so; CoreDNS appends a zero */
		ret[++n] = '0';
	ret[0] = (uint8_t)n;
}

static bool name_append(struct dns_name *n, const void *label, size_t len)
{
	if (len == 0 || len > DNS_LABEL_MAX || (size_t)n->len + len + 1 > DNS_NAME_MAX)
		return false;
	n->b[n->len] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		n->b[n->len + 1 + i] = lower(((const char *)label)[i]);
	n->len = (uint8_t)(n->len + len + 1);
	return true;
}

bool zone_service_name(const struct dns_zone *z, const uint8_t *endpoint, const char *cluster,
		       const char *service, const char *ns, struct dns_name *ret)
{
	ret->len = 0;
	if ((endpoint && !name_append(ret, endpoint + 1, endpoint[0])) ||
	    (cluster && !name_append(ret, cluster, strlen(cluster))) ||
	    !name_append(ret, service, strlen(service)) || !name_append(ret, ns, strlen(ns)) ||
	    !name_append(ret, "svc", 3) || (size_t)ret->len + z->apex.len > DNS_NAME_MAX)
		return false;
	memcpy(ret->b + ret->len, z->apex.b, z->apex.len);
	ret->len = (uint8_t)(ret->len + z->apex.len);
	return true;
}

/* Compares a label, its leading underscore apart, with text; an absent or empty label matches all. */
static bool label_matches(const uint8_t *label, const char *text)
{
	size_t skip, len;

	if (!label)
		return true;
	skip = label[0] && label[1] == '_' ? 1 : 0; /* CoreDNS takes both forms */
	len = label[0] - skip;
	return len == 0 || (strlen(text) == len &&
			    strncasecmp((const char *)label + 1 + skip, text, len) == 0);
}

static bool port_matches(const struct zone_match *m, const char *name, uint8_t proto)
{
	return label_matches(m->port, name) && label_matches(m->proto, kube_proto_str(proto));
}

static bool is_any_port(const struct zone_match *m)
{
	return label_matches(m->port, "") && label_matches(m->proto, "");
}

static int add_item(struct dns_zone *z, const struct zone_item *item)
{
	z->n_matches++;
	if (z->items.n >= ITEMS_MAX)
		return 0;
	return ARRAY_ADD(&z->items, *item);
}

/* One endpoint address with each matching port; without any port once, for its address alone. */
static int add_endpoint(struct dns_zone *z, const struct zone_match *m, struct zone_item item)
{
	const struct kube_slice *s = item.slice;
	int r;

	item.ip = item.addr->ip;
	if (s->n_ports == 0)
		return is_any_port(m) ? add_item(z, &item) : 0;
	for (size_t i = 0; i < s->n_ports; i++) {
		if (!port_matches(m, kube_slice_text(s, s->ports[i].name), s->ports[i].proto))
			continue;
		item.port = s->ports[i].port;
		item.has_port = item.port != 0;
		r = add_item(z, &item);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool endpoint_matches(const struct dns_zone *z, const struct zone_match *m,
			     const struct zone_item *item)
{
	uint8_t label[DNS_LABEL_MAX + 1];

	if (!m->endpoint)
		return true;
	zone_endpoint_label(z, item->slice, item->ep, item->addr, label);
	return label[0] == m->endpoint[0] && memcmp(label, m->endpoint, (size_t)label[0] + 1) == 0;
}

static int add_slice(struct dns_zone *z, const struct zone_match *m, const struct kube_slice *s)
{
	int r;

	if (s->is_import != z->opt.is_multicluster) /* a ServiceImport may have a Service's name */
		return 0;
	if (m->cluster) {
		const char *cluster = kube_slice_text(s, s->source_cluster);

		if (strlen(cluster) != m->cluster[0] ||
		    strncasecmp(cluster, (const char *)m->cluster + 1, m->cluster[0]) != 0)
			return 0;
	}
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct kube_slice_endpoint *ep = &s->endpoints[i];

		if (!(ep->conditions & KUBE_EP_READY))
			continue;
		for (size_t j = 0; j < ep->n_addrs; j++) {
			struct zone_item item = {.slice = s, .ep = ep,
						 .addr = &s->addrs[ep->first_addr + j]};

			if (!endpoint_matches(z, m, &item))
				continue;
			r = add_endpoint(z, m, item);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int add_cluster_ips(struct dns_zone *z, const struct zone_match *m,
			   const struct kube_service *s)
{
	int r = 0;

	for (size_t i = 0; i < s->n_ports; i++) {
		if (!port_matches(m, s->ports[i].name, s->ports[i].proto))
			continue;
		for (size_t j = 0; j < s->n_cluster_ips && r >= 0; j++)
			r = add_item(z, &(struct zone_item){.ip = s->cluster_ips[j],
							    .port = s->ports[i].port,
							    .has_port = true});
	}
	for (size_t j = 0; s->n_ports == 0 && is_any_port(m) && j < s->n_cluster_ips && r >= 0; j++)
		r = add_item(z, &(struct zone_item){.ip = s->cluster_ips[j]});
	return r;
}

static enum zone_found find_external(const struct kube_service *s, const struct zone_match *m,
				     struct dns_name *ret_target)
{
	struct ip ip;

	/* it has no ports, and an address as external name yields nothing: as in CoreDNS */
	if (m->endpoint || !is_any_port(m) || !s->external_name || ip_parse(s->external_name, &ip) >= 0 ||
	    dns_name_parse(s->external_name, ret_target) < 0)
		return ZONE_NOTHING;
	return ZONE_CNAME;
}

enum zone_found zone_find_service(struct dns_zone *z, const struct zone_match *m,
				  struct dns_name *ret_target)
{
	const char *ns = (const char *)m->ns + 1;
	struct service_view v;
	int r = 0;

	if (!zone_is_visible(z, ns, m->ns[0]) ||
	    !service_table_find(z->table, ns, m->ns[0], (const char *)m->service + 1, m->service[0],
				&v) ||
	    !v.service)
		return ZONE_NOTHING;
	if (v.service->type == KUBE_SERVICE_EXTERNAL_NAME)
		return find_external(v.service, m, ret_target);
	if (v.service->is_headless || m->endpoint)
		for (size_t i = 0; i < v.n_slices && r >= 0; i++)
			r = add_slice(z, m, v.slices[i]);
	else
		r = add_cluster_ips(z, m, v.service);
	if (r < 0)
		return ZONE_FAILED;
	return z->n_matches ? ZONE_ITEMS : ZONE_NOTHING;
}

/* Remembers a value; true if it was there already. z->seen is a power of two and never full. */
static bool seen_before(struct dns_zone *z, uint64_t hash)
{
	size_t i = hash & (z->seen.cap - 1);

	hash |= 1; /* zero marks an empty place */
	while (z->seen.v[i]) {
		if (z->seen.v[i] == hash)
			return true;
		i = (i + 1) & (z->seen.cap - 1);
	}
	z->seen.v[i] = hash;
	return false;
}

static int seen_clear(struct dns_zone *z)
{
	size_t want = 16;

	while (want < 2 * z->items.n)
		want *= 2;
	if (want > z->seen.cap) {
		uint64_t *v = calloc(want, sizeof(*v));

		if (!v)
			return -ENOMEM;
		free(z->seen.v);
		z->seen.v = v;
		z->seen.cap = want;
		return 0;
	}
	memset(z->seen.v, 0, z->seen.cap * sizeof(*z->seen.v));
	return 0;
}

/* The name that an SRV record points to. */
static bool srv_target(const struct dns_zone *z, const struct zone_item *item,
		       const struct service_view *v, struct dns_name *ret)
{
	uint8_t label[DNS_LABEL_MAX + 1];
	const char *cluster = NULL;

	if (!item->ep)
		return zone_service_name(z, NULL, NULL, v->service->name, v->service->ns, ret);
	zone_endpoint_label(z, item->slice, item->ep, item->addr, label);
	if (z->opt.is_multicluster)
		cluster = kube_slice_text(item->slice, item->slice->source_cluster);
	return zone_service_name(z, label, cluster, v->service->name, v->service->ns, ret);
}

static uint64_t target_hash(const struct dns_name *n, const void *more, size_t len)
{
	uint8_t key[DNS_NAME_MAX + sizeof(struct ip)];

	memcpy(key, n->b, n->len);
	memcpy(key + n->len, more, len);
	return hash_bytes(key, n->len + len);
}

/* One pass over the items: SRV records, then the addresses of their targets. */
static size_t put_pass(struct dns_zone *z, const struct dns_query *q, struct dns_writer *w,
		       const struct service_view *v, bool is_glue)
{
	/* CoreDNS shares 100 among all matches, before it drops those that say the same */
	uint16_t weight = (uint16_t)(z->n_matches < 100 ? 100 / z->n_matches : 1);
	struct dns_name target;
	size_t n = 0;

	for (size_t i = 0; i < z->items.n && !w->is_full; i++) {
		const struct zone_item *item = &z->items.v[i];

		if (!item->has_port || !srv_target(z, item, v, &target))
			continue;
		if (is_glue) {
			if (!seen_before(z, target_hash(&target, &item->ip, sizeof(item->ip))))
				n += dns_put_ip(w, DNS_ADDITIONAL, &target, z->opt.ttl, &item->ip);
		} else if (!seen_before(z, target_hash(&target, &item->port, sizeof(item->port)))) {
			n += dns_put_srv(w, &q->name, z->opt.ttl, weight, item->port, &target);
		}
	}
	return n;
}

/* The Service that a name in the zone belongs to; the lookup found it a moment ago. */
static bool service_of(const struct dns_zone *z, const struct dns_name *n, struct service_view *ret)
{
	const uint8_t *label[8];
	size_t k = 0, end = (size_t)n->len - z->apex.len;

	for (size_t i = 0; i < end && k < ARRAY_LEN(label); i += (size_t)n->b[i] + 1)
		label[k++] = n->b + i;
	return k >= 3 && service_table_find(z->table, (const char *)label[k - 2] + 1,
					    label[k - 2][0],
					    (const char *)label[k - 3] + 1, label[k - 3][0], ret) &&
	       ret->service;
}

bool zone_put_srv(struct dns_zone *z, const struct dns_query *q, struct dns_writer *w,
		  struct dns_result *ret)
{
	struct service_view v;
	size_t n;

	if (!service_of(z, &q->name, &v))
		return false;
	if (seen_clear(z) < 0) {
		ret->rcode = DNS_SERVFAIL;
		return false;
	}
	n = put_pass(z, q, w, &v, false);
	if (n == 0 && !w->is_full)
		return false;
	if (seen_clear(z) >= 0)
		(void)put_pass(z, q, w, &v, true); /* glue is a courtesy */
	return true;
}

/* State of a reverse lookup over endpoints. */
struct reverse {
	struct dns_zone *z;
	const struct dns_query *q;
	struct dns_writer *w;
	size_t n;
	uint64_t seen[64];
	bool has_other; /* an endpoint has the address, whatever the query asks for */
};

static int reverse_endpoint(const struct kube_slice *s, const struct kube_slice_endpoint *ep,
			    const struct kube_slice_addr *addr, void *arg)
{
	struct reverse *rv = arg;
	const char *ns = kube_slice_text(s, s->ns), *service = kube_slice_text(s, s->service);
	uint8_t label[DNS_LABEL_MAX + 1];
	struct dns_name target;
	uint64_t hash;

	if (!(ep->conditions & KUBE_EP_READY) || s->is_import || !zone_is_visible(rv->z, ns, strlen(ns)))
		return 0;
	zone_endpoint_label(rv->z, s, ep, addr, label);
	if (!zone_service_name(rv->z, label, NULL, service, ns, &target))
		return 0;
	rv->has_other = true;
	if (rv->q->qtype != DNS_PTR)
		return 1;
	hash = hash_bytes(target.b, target.len);
	for (size_t i = 0; i < rv->n; i++)
		if (rv->seen[i] == hash)
			return 0;
	if (rv->n == ARRAY_LEN(rv->seen) ||
	    !dns_put_name(rv->w, DNS_ANSWER, &rv->q->name, DNS_PTR, rv->z->opt.ttl, &target))
		return 1;
	rv->seen[rv->n++] = hash;
	return 0;
}

static void drop_label(struct dns_name *n)
{
	size_t len = (size_t)n->b[0] + 1;

	n->len = (uint8_t)(n->len - len);
	memmove(n->b, n->b + len, n->len);
}

/*
 * The apex of our reverse zone that a name is in: whole labels of the range. What is no address is in it as well, as nobody
 * else is asked for it.
 */
static bool reverse_apex(const struct dns_zone *z, const struct dns_name *n, struct dns_name *ret)
{
	struct dns_name tail = *n;
	struct cidr p;

	if (!z->reverse.n)
		return false;
	while (dns_name_to_prefix(&tail, &p) < 0) {
		if (tail.len <= 1)
			return false;
		drop_label(&tail);
	}
	for (size_t i = 0; i < z->reverse.n; i++) {
		const struct cidr *c = &z->reverse.v[i];
		size_t bits = p.ip.family == AF_INET ? 8 : 4;

		if (!cidr_contains(c, &p))
			continue;
		for (size_t left = p.len / bits - (c->len + bits - 1) / bits; left > 0; left--)
			drop_label(&tail);
		*ret = tail;
		return true;
	}
	return false;
}

enum dns_verdict zone_answer_reverse(void *ctx, const struct dns_query *q, struct dns_writer *w,
				     struct dns_result *ret)
{
	struct dns_zone *z = ctx;
	struct reverse rv = {.z = z, .q = q, .w = w};
	const struct kube_service *s;
	struct dns_name apex, target;
	struct cidr part;
	struct ip ip;
	bool is_ours = reverse_apex(z, &q->name, &apex);

	if (dns_name_to_ip(&q->name, &ip) < 0) {
		if (!is_ours)
			return DNS_VERDICT_PASS;
		return zone_negative(z, &apex, dns_name_to_prefix(&q->name, &part) < 0 ? DNS_NXDOMAIN : DNS_NOERROR, w, ret);
	}
	ret->rcode = DNS_NOERROR;
	if (!z->is_synced) {
		ret->rcode = DNS_SERVFAIL;
		return is_ours ? DNS_VERDICT_ANSWER : DNS_VERDICT_PASS;
	}
	s = service_table_by_cluster_ip(z->table, &ip);
	if (s && zone_is_visible(z, s->ns, strlen(s->ns)) &&
	    zone_service_name(z, NULL, NULL, s->name, s->ns, &target)) {
		rv.has_other = true;
		if (q->qtype == DNS_PTR &&
		    dns_put_name(w, DNS_ANSWER, &q->name, DNS_PTR, z->opt.ttl, &target))
			return DNS_VERDICT_ANSWER;
	} else {
		(void)service_table_by_addr(z->table, &ip, reverse_endpoint, &rv); /* the state tells */
		if (rv.n > 0)
			return DNS_VERDICT_ANSWER;
	}
	if (!is_ours)
		return DNS_VERDICT_PASS;
	return zone_negative(z, &apex, rv.has_other ? DNS_NOERROR : DNS_NXDOMAIN, w, ret);
}
