/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service_select.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "base/str.h"
#include "service/candidates.h"
#include "service/node_match.h"

#define LABEL_PROXY_NAME "service.kubernetes.io/service-proxy-name"
#define LABEL_HEADLESS	 "service.kubernetes.io/headless"

static bool is_own_proxy(bool has_label, const char *label, const struct service_options *opt)
{
	if (!opt->proxy_name || *opt->proxy_name == '\0')
		return !has_label; /* as kube-proxy: the label's presence counts, not its value */
	return has_label && str_eq(label, opt->proxy_name);
}

static bool has_virtual_address(const struct kube_service *s)
{
	return !kube_pairs_get(&s->labels, LABEL_HEADLESS) && !s->is_headless && s->type != KUBE_SERVICE_EXTERNAL_NAME;
}

bool service_is_own(const struct kube_service *s, const struct service_options *opt)
{
	const char *proxy = kube_pairs_get(&s->labels, LABEL_PROXY_NAME);

	return is_own_proxy(proxy != NULL, proxy, opt);
}

const char *service_skip_reason(const struct kube_service *s, const struct service_options *opt)
{
	if (!has_virtual_address(s))
		return NULL;
	if (!service_is_own(s, opt))
		return "the label " LABEL_PROXY_NAME " gives it to another proxy";
	if (!node_match(&s->annotations, opt->node_labels))
		return "its annotations keep it from nodes with the labels of this host's CiliumNode";
	return NULL;
}

bool service_is_proxied(const struct kube_service *s, const struct service_options *opt)
{
	return has_virtual_address(s) && !service_skip_reason(s, opt);
}

bool service_slice_counts(const struct kube_slice *s, const struct service_options *opt)
{
	return s->family != 0 && s->service != 0 && !s->is_import && !s->is_headless &&
	       is_own_proxy(s->has_proxy_name, kube_slice_text(s, s->proxy_name), opt) &&
	       !(opt->has_clustermesh &&
		 str_eq(kube_slice_text(s, s->managed_by), SLICE_MANAGED_BY_MESH));
}

struct select_ctx {
	const struct kube_service *s;
	const struct service_options *opt;
	const struct candidates *c;
	const struct kube_service_port *p;
	struct frontends *out;
};

static int add_frontend(const struct select_ctx *x, const struct ip *ip, uint16_t port,
			enum frontend_kind kind)
{
	/* In-cluster short cuts to external addresses use the Cluster set, as kube-proxy does. */
	bool local_only = kind == FRONTEND_CLUSTER_IP && x->s->is_internal_local;
	struct choice ch = candidates_choose(x->c, local_only, x->opt);
	struct frontend f = {
		.ip = *ip,
		.port = port,
		.proto = x->p->proto,
		.kind = (uint8_t)kind,
		.flags = ch.flags,
		.affinity_s = x->s->affinity_s,
		.ns = x->s->ns,
		.name = x->s->name,
		.port_name = x->p->name,
	};
	size_t n = 0;
	int r;

	for (size_t i = 0; i < x->c->n; i++)
		n += candidate_is_chosen(&x->c->v[i], &ch, x->opt);
	if (n > 0) {
		f.backends = calloc(n, sizeof(*f.backends));
		if (!f.backends)
			return -ENOMEM;
		for (size_t i = 0; i < x->c->n; i++)
			if (candidate_is_chosen(&x->c->v[i], &ch, x->opt))
				f.backends[f.n_backends++] = x->c->v[i].b;
	}
	r = ARRAY_ADD(x->out, f);
	if (r < 0)
		free(f.backends);
	return r;
}

/* Cilium's annotation service.cilium.io/type narrows a Service to one kind of frontend. */
static bool is_exposed(const struct kube_service *s, enum frontend_kind kind)
{
	const char *only = kube_pairs_get(&s->annotations, "service.cilium.io/type");

	if (!only)
		return true;
	if (str_eq(only, "ClusterIP"))
		return kind == FRONTEND_CLUSTER_IP;
	if (str_eq(only, "NodePort"))
		return kind == FRONTEND_NODE_PORT;
	if (str_eq(only, "LoadBalancer"))
		return kind == FRONTEND_LOAD_BALANCER;
	return true;
}

/*
 * loadBalancerSourceRanges guard the real load balancer: no short cut around them. With Cilium's annotation
 * they are those that may not.
 */
static bool is_in_source_ranges(const struct kube_service *s, const struct service_options *opt)
{
	const char *policy = kube_pairs_get(&s->annotations, "service.cilium.io/src-ranges-policy");
	bool is_deny = policy && str_eq(policy, "deny");

	if (s->n_source_ranges == 0)
		return true;
	for (size_t i = 0; i < s->n_source_ranges; i++)
		for (size_t j = 0; j < opt->n_host_ips; j++)
			if (cidr_contains_ip(&s->source_ranges[i], &opt->host_ips[j]))
				return !is_deny;
	/* without an address nothing is known to be outside */
	return is_deny && opt->n_host_ips > 0;
}

/* A Service must not draw to itself what this host says to itself. */
static bool is_of_host(const struct ip *ip, const struct service_options *opt)
{
	for (size_t i = 0; i < opt->n_host_ips; i++)
		if (ip_eq(ip, &opt->host_ips[i]))
			return true;
	return ip_is_special(ip);
}

static int add_list(const struct select_ctx *x, uint8_t family, const struct ip *ips, size_t n,
		    enum frontend_kind kind)
{
	uint16_t port = kind == FRONTEND_NODE_PORT ? x->p->node_port : x->p->port;
	int r = 0;

	if (port == 0 || !is_exposed(x->s, kind))
		return 0;
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (kind != FRONTEND_NODE_PORT && is_of_host(&ips[i], x->opt))
			continue;
		if (ips[i].family == family)
			r = add_frontend(x, &ips[i], port, kind);
	}
	return r;
}

/* A Service of one family has node ports in that one only. */
static bool has_family(const struct kube_service *s, uint8_t family)
{
	for (size_t i = 0; i < s->n_cluster_ips; i++)
		if (s->cluster_ips[i].family == family)
			return true;
	return false;
}

/* All frontends of one service port in one family. */
static int add_port(const struct select_ctx *x, uint8_t family)
{
	const struct kube_service *s = x->s;
	const struct service_options *opt = x->opt;
	const struct ip every_node = {.family = family};
	int r = add_list(x, family, s->cluster_ips, s->n_cluster_ips, FRONTEND_CLUSTER_IP);

	if (r >= 0 && opt->has_external_ips)
		r = add_list(x, family, s->external_ips, s->n_external_ips, FRONTEND_EXTERNAL_IP);
	if (r >= 0 && opt->has_load_balancers && s->type == KUBE_SERVICE_LOAD_BALANCER &&
	    is_in_source_ranges(s, opt))
		r = add_list(x, family, s->lb_ips, s->n_lb_ips, FRONTEND_LOAD_BALANCER);
	if (r >= 0 && opt->has_node_ports && has_family(s, family))
		r = add_list(x, family, &every_node, 1, FRONTEND_NODE_PORT);
	return r;
}

int frontend_cmp(const struct frontend *a, const struct frontend *b)
{
	int r = ip_cmp(&a->ip, &b->ip);

	if (r == 0)
		r = (a->proto > b->proto) - (a->proto < b->proto);
	if (r == 0)
		r = (a->port > b->port) - (a->port < b->port);
	return r;
}

static int frontend_order(const void *pa, const void *pb)
{
	const struct frontend *a = pa, *b = pb;
	int r = frontend_cmp(a, b);

	if (r == 0)
		r = (a->kind > b->kind) - (a->kind < b->kind);
	return r ? r : strcmp(a->port_name, b->port_name);
}

bool frontend_same(const struct frontend *a, const struct frontend *b)
{
	if (frontend_cmp(a, b) != 0 || a->kind != b->kind || a->flags != b->flags ||
	    a->affinity_s != b->affinity_s || a->n_backends != b->n_backends ||
	    !str_eq(a->ns, b->ns) || !str_eq(a->name, b->name) || !str_eq(a->port_name,
									  b->port_name))
		return false;
	for (size_t i = 0; i < a->n_backends; i++)
		if (!ip_eq(&a->backends[i].ip, &b->backends[i].ip) ||
		    a->backends[i].port != b->backends[i].port ||
		    a->backends[i].is_local != b->backends[i].is_local ||
		    a->backends[i].conditions != b->backends[i].conditions)
			return false;
	return true;
}

void frontend_done(struct frontend *f)
{
	free(f->backends);
	f->backends = NULL;
	f->n_backends = 0;
}

void frontends_done(struct frontends *f)
{
	for (size_t i = 0; i < f->n; i++)
		frontend_done(&f->v[i]);
	ARRAY_DONE(f);
}

/* One address can come from two sources of one Service: the kind that is named first stays. */
static void drop_repeated(struct frontends *f)
{
	size_t n = 0;

	ARRAY_SORT(f, frontend_order);
	for (size_t i = 0; i < f->n; i++) {
		if (n > 0 && frontend_cmp(&f->v[n - 1], &f->v[i]) == 0)
			frontend_done(&f->v[i]);
		else
			f->v[n++] = f->v[i];
	}
	f->n = n;
}

int service_select(const struct kube_service *s, const struct kube_slice *const *slices,
		   size_t n_slices, const struct service_options *opt, struct frontends *ret)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	CLEANUP(frontends_done) struct frontends out = {0};
	int r;

	for (size_t i = 0; service_is_proxied(s, opt) && i < s->n_ports; i++) {
		for (size_t j = 0; j < ARRAY_LEN(families); j++) {
			CLEANUP(candidates_done) struct candidates c = {0};
			struct select_ctx x = {s, opt, &c, &s->ports[i], &out};

			r = candidates_collect(s, &s->ports[i], families[j], slices, n_slices, opt, &c);
			if (r < 0)
				return r;
			r = add_port(&x, families[j]);
			if (r < 0)
				return r;
		}
	}
	drop_repeated(&out);
	*ret = out;
	out = (struct frontends){0};
	return 0;
}
