/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/world_private.h"

#include "base/macro.h"

struct routing {
	const struct world *w;
	const struct ip *own;
	size_t n_own;
	struct route_list *ret;
};

static const struct ip *own_of(const struct routing *rt, int family)
{
	for (size_t i = 0; i < rt->n_own; i++)
		if (rt->own[i].family == family)
			return &rt->own[i];
	return NULL;
}

static int add_route(struct routing *rt, const struct kube_node *n, const struct cidr *dst)
{
	const struct ip *src = own_of(rt, dst->ip.family), *via = kube_node_underlay(n, dst->ip.family);
	struct net_route route = {.dst = *dst};

	if (!src)
		return 0; /* the host has no address of that family to be reached by */
	for (size_t i = 0; i < rt->n_own; i++)
		if (cidr_contains_ip(dst, &rt->own[i]))
			return 0;
	route.src = *src;
	if (!world_is_tunnelled(rt->w)) {
		if (!via)
			return 0;
		route.via = *via;
	}
	return ARRAY_ADD(rt->ret, route);
}

static int add_node_routes(const struct kube_node *n, void *arg)
{
	struct routing *rt = arg;
	int r = 0;

	if (str_eq(n->name, rt->w->host) || !n->node_ips.n)
		return 0;
	for (size_t i = 0; r == 0 && i < n->pod_cidrs.n; i++)
		r = add_route(rt, n, &n->pod_cidrs.v[i]);
	for (size_t i = 0; r == 0 && i < n->internal_ips.n; i++) {
		struct cidr c = cidr_of_ip(&n->internal_ips.v[i]);
		bool covered = false;

		for (size_t j = 0; j < n->pod_cidrs.n; j++)
			covered = covered || cidr_contains(&n->pod_cidrs.v[j], &c);
		if (!covered)
			r = add_route(rt, n, &c);
	}
	return r;
}

int world_routes(const struct world *w, const struct ip *own, size_t n_own, struct route_list *ret)
{
	struct routing rt = {.w = w, .own = own, .n_own = n_own, .ret = ret};

	return node_table_each(w->nodes, add_node_routes, &rt);
}
