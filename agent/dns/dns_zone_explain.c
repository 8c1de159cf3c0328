/* SPDX-License-Identifier: Apache-2.0 */
/* Of which object an answer of the zone is, in words, and how much the zone holds. */
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_zone_private.h"

enum { SLICES_MAX = 8, CHAIN_MAX = 10 };

/* Of a label that somebody sent: what no name in Kubernetes has is not repeated. */
static const char *label_text(const uint8_t *label, char buf[DNS_LABEL_MAX + 1])
{
	for (size_t i = 0; i < label[0]; i++) {
		char c = (char)label[i + 1];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';

		buf[i] = is_plain ? c : '?';
	}
	buf[label[0]] = '\0';
	return buf;
}

/* "EndpointSlice prod/web-1, prod/web-2", of the addresses that were found. */
static int add_slices(const struct dns_zone *z, struct buf *b)
{
	const struct kube_slice *seen[SLICES_MAX];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < z->items.n; i++) {
		const struct kube_slice *s = z->items.v[i].slice;
		bool is_new = s != NULL;

		for (size_t j = 0; j < n; j++)
			is_new = is_new && seen[j] != s;
		if (!is_new)
			continue;
		if (n == SLICES_MAX)
			return buf_addf(b, " and more");
		r = buf_addf(b, "%s %s/%s", n ? "," : ", from EndpointSlice", kube_slice_text(s, s->ns),
			     kube_slice_text(s, s->name));
		seen[n++] = s;
	}
	return r;
}

static bool has_family(const struct dns_zone *z, uint8_t family)
{
	for (size_t i = 0; i < z->items.n; i++)
		if (z->items.v[i].ip.family == family)
			return true;
	return false;
}

/* The records are there; those of the type may not be. */
static int add_items(struct dns_zone *z, const struct kube_service *s, const struct zone_labels *l, uint16_t qtype,
		     struct buf *b)
{
	char port[DNS_LABEL_MAX + 1], proto[DNS_LABEL_MAX + 1];
	const char *kind = z->opt.is_multicluster ? "ServiceImport" : "Service";
	bool is_endpoint = z->items.v[0].ep != NULL;
	int r;

	if (l->n == 5)
		r = buf_addf(b, "port %s %s of ", label_text(l->v[0], port), label_text(l->v[1], proto));
	else if (l->n > 3)
		r = buf_addf(b, "an endpoint of ");
	else
		r = buf_addf(b, is_endpoint ? "the ready endpoints of " : "the cluster address of ");
	if (r == 0)
		r = buf_addf(b, "%s%s %s/%s", s->is_headless ? "headless " : "", kind, s->ns, s->name);
	if (r == 0)
		r = add_slices(z, b);
	if (r == 0 && (qtype == DNS_A || qtype == DNS_AAAA) && !has_family(z, qtype == DNS_A ? AF_INET : AF_INET6))
		r = buf_addf(b, "; it has no %s address", qtype == DNS_A ? "IPv4" : "IPv6");
	else if (r == 0 && qtype != DNS_A && qtype != DNS_AAAA && qtype != DNS_SRV)
		r = buf_addf(b, "; it has no records of this type");
	return r;
}

static int add_nothing(const struct dns_zone *z, const struct kube_service *s, const struct zone_labels *l,
		       struct buf *b)
{
	char text[DNS_LABEL_MAX + 1];

	if (!zone_is_visible(z, s->ns, strlen(s->ns)))
		return buf_addf(b, "namespace %s is not shown to this host", s->ns);
	if (s->type == KUBE_SERVICE_EXTERNAL_NAME)
		return buf_addf(b, "ExternalName Service %s/%s has no such record", s->ns, s->name);
	if (l->n == 5 && !z->opt.is_multicluster)
		return buf_addf(b, "Service %s/%s has no port %s of that protocol, or no ready endpoint", s->ns, s->name,
				label_text(l->v[0], text));
	if (l->n > 3)
		return buf_addf(b, "Service %s/%s has no ready endpoint %s", s->ns, s->name, label_text(l->v[0], text));
	return buf_addf(b, s->is_headless ? "headless Service %s/%s has no ready endpoint" :
					    "Service %s/%s has no cluster address",
			s->ns, s->name);
}

/* Names below svc. 1 = an alias: *ret_target is next. */
static int explain_service(struct dns_zone *z, const struct dns_name *n, const struct zone_labels *l, uint16_t qtype,
			   struct buf *b, struct dns_name *ret_target)
{
	const uint8_t *ns = l->v[l->n - 2], *service = l->v[l->n - 3];
	char ns_text[DNS_LABEL_MAX + 1], text[DNS_LABEL_MAX + 1], target[DNS_TEXT_MAX];
	struct service_view v;
	int r;

	if (!service_table_find(z->table, (const char *)ns + 1, ns[0], (const char *)service + 1, service[0], &v) ||
	    !v.service)
		return buf_addf(b, "there is no %s %s/%s", z->opt.is_multicluster ? "ServiceImport" : "Service",
				label_text(ns, ns_text), label_text(service, text));
	switch (zone_find(z, n, ret_target)) {
	case ZONE_CNAME:
		r = buf_addf(b, "ExternalName of Service %s/%s: %s", v.service->ns, v.service->name,
			     dns_name_str(ret_target, target));
		return r < 0 ? r : 1;
	case ZONE_ITEMS:
		return add_items(z, v.service, l, qtype, b);
	case ZONE_FAILED:
		return -ENOMEM;
	case ZONE_NOTHING:
	case ZONE_EMPTY:
		break;
	}
	return add_nothing(z, v.service, l, b);
}

/* One name. 1 = an alias. */
static int explain_name(struct dns_zone *z, const struct dns_name *n, uint16_t qtype, struct buf *b,
			struct dns_name *ret_target)
{
	struct zone_labels l;

	if (!zone_split(z, n, &l))
		return buf_addf(b, "no name of the cluster has so many parts");
	if (l.n >= 3 && zone_label_is(l.v[l.n - 1], "svc"))
		return explain_service(z, n, &l, qtype, b, ret_target);
	switch (zone_find(z, n, ret_target)) {
	case ZONE_ITEMS:
		return buf_addf(b, "the address that the name of the pod itself tells");
	case ZONE_EMPTY:
		return buf_addf(b, "a name of the zone itself");
	case ZONE_FAILED:
		return -ENOMEM;
	case ZONE_NOTHING:
	case ZONE_CNAME:
		break;
	}
	return buf_addf(b, "no such name in the cluster: those of Services are SERVICE.NAMESPACE.svc and the zone");
}

int zone_explain(void *ctx, const struct dns_query *q, struct buf *b)
{
	struct dns_zone *z = ctx;
	struct dns_name at = q->name, target = {0};
	bool is_address = q->qtype == DNS_A || q->qtype == DNS_AAAA;
	int r;

	if (!z->is_synced)
		return buf_addf(b, "not known yet: the lists of the cluster are not complete");
	r = explain_name(z, &at, q->qtype, b, &target);
	for (int i = 0; r == 1 && is_address && i < CHAIN_MAX; i++) {
		if (!dns_name_below(&target, &z->apex))
			return 0;
		at = target;
		r = buf_addf(b, "; that is ");
		if (r == 0)
			r = explain_name(z, &at, q->qtype, b, &target);
	}
	return r < 0 ? r : 0;
}

struct reverse_text {
	struct buf *b;
	size_t n;
	int r;
};

static int add_reverse(const struct kube_slice *s, const struct kube_slice_endpoint *ep, const struct kube_slice_addr *addr,
		       void *arg)
{
	struct reverse_text *t = arg;

	(void)addr;
	if (!(ep->conditions & KUBE_EP_READY) || s->is_import)
		return 0;
	t->r = buf_addf(t->b, "%s Service %s/%s by EndpointSlice %s", t->n++ ? "," : "the address of an endpoint of",
			kube_slice_text(s, s->ns), kube_slice_text(s, s->service), kube_slice_text(s, s->name));
	return t->r < 0 || t->n == SLICES_MAX;
}

int zone_explain_reverse(void *ctx, const struct dns_query *q, struct buf *b)
{
	struct dns_zone *z = ctx;
	struct reverse_text t = {.b = b};
	const struct kube_service *s;
	struct ip ip;

	if (dns_name_to_ip(&q->name, &ip) < 0)
		return buf_addf(b, "no whole address");
	if (!z->is_synced)
		return buf_addf(b, "not known yet: the lists of the cluster are not complete");
	s = service_table_by_cluster_ip(z->table, &ip);
	if (s)
		return buf_addf(b, "the cluster address of Service %s/%s", s->ns, s->name);
	(void)service_table_by_addr(z->table, &ip, add_reverse, &t); /* the state tells */
	return t.n ? MIN(t.r, 0) : buf_addf(b, "an address of no Service");
}

struct counting {
	struct dns_zone *zone;
	struct dns_zone_counts *counts;
};

static size_t ready_addresses(const struct service_view *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_slices; i++)
		for (size_t j = 0; j < v->slices[i]->n_endpoints; j++)
			if (v->slices[i]->endpoints[j].conditions & KUBE_EP_READY)
				n += v->slices[i]->endpoints[j].n_addrs;
	return n;
}

static int count_service(const struct kube_service *s, void *arg)
{
	struct counting *c = arg;
	struct service_view v;

	if (!zone_is_visible(c->zone, s->ns, strlen(s->ns)))
		return 0;
	c->counts->services++;
	if (s->type == KUBE_SERVICE_EXTERNAL_NAME)
		c->counts->records++;
	else if (!s->is_headless)
		c->counts->records += s->n_cluster_ips;
	if (s->type != KUBE_SERVICE_EXTERNAL_NAME &&
	    service_table_find(c->zone->table, s->ns, strlen(s->ns), s->name, strlen(s->name), &v))
		c->counts->records += ready_addresses(&v);
	return 0;
}

void dns_zone_counts(struct dns_zone *z, struct dns_zone_counts *ret)
{
	struct counting c = {.zone = z, .counts = ret};

	*ret = (struct dns_zone_counts){0};
	(void)service_table_each_service(z->table, count_service, &c); /* never stops early */
}
