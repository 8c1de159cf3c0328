/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_net_internal.h"

static void describe(const struct route_slot *s, int r, const struct err *why, struct err *ret)
{
	char dst[CIDR_STRLEN];

	(void)cidr_str(&s->op.route.dst, dst);
	if (s->op.kind == ROUTE_ADD && r == -EEXIST)
		(void)err_set(ret, EEXIST, "route %s: another program made one already; see `ip route show %s`", dst,
			      dst);
	else
		(void)err_set(ret, -r, "route %s: %s", dst, why->text);
}

static void issue_ops(struct recon_net *n);

static void on_route_changed(int r, const struct err *why, void *arg)
{
	struct route_slot *s = arg;
	struct recon_net *n = s->n;
	struct err e;

	s->is_used = false;
	n->n_busy--;
	if (r < 0 && !(s->op.kind == ROUTE_DEL && (r == -ESRCH || r == -ENODEV))) {
		n->status.n_routes_failed++;
		describe(s, r, why, &e);
		net_note_error(n, &e);
	} else {
		n->status.n_changes++;
	}
	issue_ops(n);
}

static int issue_op(struct recon_net *n, struct route_slot *s)
{
	const struct nl_reply reply = {.done = on_route_changed, .arg = s};

	switch (s->op.kind) {
	case ROUTE_ADD:
		return nl_route_add(n->nl, &s->op.route, &reply);
	case ROUTE_REPLACE:
		return nl_route_replace(n->nl, &s->op.route, &reply);
	case ROUTE_DEL:
		break;
	}
	return nl_route_del(n->nl, &s->op.route, &reply);
}

static void issue_ops(struct recon_net *n)
{
	size_t i;

	for (i = 0; i < OPS_WINDOW && n->next_op < n->ops.n; i++) {
		struct route_slot *s = &n->slots[i];
		struct err e;
		int r;

		if (s->is_used)
			continue;
		*s = (struct route_slot){.n = n, .op = n->ops.v[n->next_op++], .is_used = true};
		n->n_busy++;
		r = issue_op(n, s);
		if (r < 0) {
			s->is_used = false;
			n->n_busy--;
			n->status.n_routes_failed++;
			(void)err_set(&e, -r, "route: %s", err_name(r)); /* noted, not returned */
			net_note_error(n, &e);
		}
	}
	if (n->n_busy == 0 && n->next_op == n->ops.n)
		net_end_pass(n);
}

/* The wanted routes as the kernel will show them. Those whose source the host lacks are left out and noted. */
static int want_routes(struct recon_net *n)
{
	size_t i;

	n->want.n = 0;
	for (i = 0; i < n->routes.n; i++) {
		const struct net_route *x = &n->routes.v[i];
		struct nl_route k = {.dst = x->dst, .via = x->via, .src = x->src, .mtu = x->mtu};
		char dst[CIDR_STRLEN], src[IP_STRLEN];
		struct err e;
		int r;

		if (!x->via.family)
			k.oif = n->status.tunnel_ifindex;
		if (!x->via.family && !k.oif) {
			n->status.n_routes_failed++;
			(void)err_set(&e, ENODEV, "route %s: there is no tunnel device", cidr_str(&x->dst, dst));
			net_note_error(n, &e);
			continue;
		}
		if (x->src.family && !nl_addrs_have(&n->addrs, &x->src)) {
			n->status.n_routes_failed++;
			(void)err_set(&e, EADDRNOTAVAIL, "route %s: no interface has the source address %s",
				      cidr_str(&x->dst, dst), ip_str(&x->src, src));
			net_note_error(n, &e);
			continue;
		}
		r = ARRAY_ADD(&n->want, k);
		if (r < 0)
			return r;
	}
	return 0;
}

static int on_route(const struct nlmsghdr *msg, void *arg)
{
	struct recon_net *n = arg;
	struct nl_route x;
	int r = nl_route_decode(msg, &x);

	if (r == -ENOMSG)
		return 0;
	if (r < 0)
		return r;
	if (x.protocol != NL_RTPROT_MESH || x.table != RT_TABLE_MAIN)
		return 0;
	return ARRAY_ADD(&n->have, x);
}

static void on_routes6_read(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	if (r < 0) {
		net_fail_pass(n, r, why, "reading the IPv6 routes");
		return;
	}
	r = want_routes(n);
	if (r == 0)
		r = route_diff(&n->want, &n->have, &n->ops);
	if (r < 0) {
		net_fail_queueing(n, r, "comparing routes");
		return;
	}
	n->next_op = 0;
	issue_ops(n);
}

static void on_routes4_read(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	if (r == 0)
		r = nl_route_dump(n->nl, AF_INET6,
				  &(struct nl_reply){.part = on_route, .done = on_routes6_read, .arg = n});
	if (r < 0)
		net_fail_pass(n, r, why, "reading the IPv4 routes");
}

void net_step_routes(struct recon_net *n)
{
	int r;

	if (!n->need_routes) {
		net_end_pass(n);
		return;
	}
	n->need_routes = false; /* an event during the dumps sets it again */
	n->status.n_routes_failed = 0;
	n->have.n = 0;
	r = nl_route_dump(n->nl, AF_INET, &(struct nl_reply){.part = on_route, .done = on_routes4_read, .arg = n});
	if (r < 0)
		net_fail_queueing(n, r, "reading the IPv4 routes");
}
