/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_net.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/macro.h"
#include "event/loop.h"
#include "netlink/nl.h"
#include "recon/recon_route.h"

enum {
	/* Route changes under way at a time: bounds memory, the socket has its own window. */
	OPS_WINDOW = 64,
	/* Changes to the device in one pass: delete, create, set, up, each with room for one repeat. */
	TUNNEL_STEPS_MAX = 8,
	/* Events come in bursts (a container start makes a dozen); the pass waits for their end. */
	SETTLE_US = 20 * 1000,
	MTU_DEFAULT = 1500,
	MTU_MIN_V6 = 1280,
};

/* Any address that no table has a route of its own for shows where the default route goes. */
static const char *const default_probes[] = {"240.0.0.1", "3fff::1"};
enum { PROBES = RECON_NET_TARGETS + ARRAY_LEN(default_probes) };

struct probe {
	struct recon_net *n;
	struct ip target;
	int oif; /* 0 = unreachable */
	struct ip src;
};

struct route_slot {
	struct recon_net *n;
	struct route_op op;
	bool is_used;
};

struct recon_net {
	struct loop *loop;
	struct nl *nl;
	struct net_callbacks cb;
	void *arg;
	struct source *timer;
	struct backoff backoff;
	struct net_status status;

	struct nl_tunnel tunnel; /* desired, as are the next three */
	ARRAY(struct net_route) routes;
	struct probe probes[PROBES];
	struct strv patterns;
	bool has_desired;

	struct nl_links links, new_links; /* actual, and while they are read */
	struct nl_addrs addrs, new_addrs;
	struct nics nics;

	bool is_running;	  /* a pass is under way */
	bool is_dirty;		  /* another one is needed */
	bool need_links, need_addrs; /* read them whole */
	bool is_reading_links, is_reading_addrs;
	bool need_routes;	  /* read and compare them */
	bool is_addrs_changed, is_told; /* for the callbacks */

	size_t n_probing;
	int tunnel_steps;
	struct routes want, have;
	struct route_ops ops;
	size_t next_op, n_busy;
	struct route_slot slots[OPS_WINDOW];
};

static void step_links(struct recon_net *n);
static void step_tunnel(struct recon_net *n);

static void mark_dirty(struct recon_net *n)
{
	n->is_dirty = true;
	if (!n->is_running)
		(void)source_arm(n->timer, SETTLE_US, SETTLE_US); /* a live timer */
}

/* Notes the first thing that went wrong in this pass. */
static void note_error(struct recon_net *n, const struct err *e)
{
	if (!n->status.err.text[0])
		n->status.err = *e;
}

static void end_pass(struct recon_net *n)
{
	bool is_failed = n->status.err.text[0] != '\0';

	n->is_running = false;
	n->status.is_applied = n->has_desired && !is_failed && !n->is_dirty;
	if (is_failed) {
		n->need_routes = true;
		(void)source_arm(n->timer, backoff_next_us(&n->backoff, clock_boot_us()), USEC_PER_SEC / 10);
	} else {
		backoff_reset(&n->backoff);
	}
	if (n->is_dirty)
		(void)source_arm(n->timer, SETTLE_US, SETTLE_US); /* a live timer */
	if (n->cb.settled)
		n->cb.settled(&n->status, n->arg);
}

/* Ends the pass early with a sentence. */
static void fail_pass(struct recon_net *n, int r, const struct err *why, const char *what)
{
	struct err e = *why;

	if (r == -EAGAIN || r == -ENOBUFS) /* the kernel's tables moved while we read: not worth a report */
		n->is_dirty = n->need_links = n->need_addrs = n->need_routes = true;
	(void)err_prefix(&e, r, "%s", what); /* returns r */
	note_error(n, &e);
	end_pass(n);
}

static void fail_queueing(struct recon_net *n, int r, const char *what)
{
	struct err e = {0};

	(void)err_set(&e, -r, "%s", err_name(r)); /* r is passed on */
	fail_pass(n, r, &e, what);
}

/* Routes */

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
		note_error(n, &e);
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
			note_error(n, &e);
		}
	}
	if (n->n_busy == 0 && n->next_op == n->ops.n)
		end_pass(n);
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
			note_error(n, &e);
			continue;
		}
		if (x->src.family && !nl_addrs_have(&n->addrs, &x->src)) {
			n->status.n_routes_failed++;
			(void)err_set(&e, EADDRNOTAVAIL, "route %s: no interface has the source address %s",
				      cidr_str(&x->dst, dst), ip_str(&x->src, src));
			note_error(n, &e);
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
		fail_pass(n, r, why, "reading the IPv6 routes");
		return;
	}
	n->need_routes = false;
	r = want_routes(n);
	if (r == 0)
		r = route_diff(&n->want, &n->have, &n->ops);
	if (r < 0) {
		fail_queueing(n, r, "comparing routes");
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
		fail_pass(n, r, why, "reading the IPv4 routes");
}

static void step_routes(struct recon_net *n)
{
	int r;

	if (!n->need_routes) {
		end_pass(n);
		return;
	}
	n->status.n_routes_failed = 0;
	n->have.n = 0;
	r = nl_route_dump(n->nl, AF_INET, &(struct nl_reply){.part = on_route, .done = on_routes4_read, .arg = n});
	if (r < 0)
		fail_queueing(n, r, "reading the IPv4 routes");
}

/* Tunnel device */

static bool is_as_wanted(const struct nl_tunnel *t, const struct nl_link *l)
{
	return str_eq(l->kind, nl_tunnel_kind_str(t->kind)) && l->is_external && l->tunnel_port == t->port &&
	       str_eq(l->name, t->name);
}

static uint32_t wanted_mtu(const struct recon_net *n)
{
	uint32_t overhead = RECON_NET_MTU_OVERHEAD_V4, mtu = UINT32_MAX;
	bool has_underlay = false;
	size_t i;

	if (n->tunnel.mtu)
		return n->tunnel.mtu;
	for (i = 0; i < RECON_NET_TARGETS; i++)
		if (n->probes[i].target.family == AF_INET6)
			overhead = RECON_NET_MTU_OVERHEAD_V6;
	for (i = 0; i < n->nics.n; i++)
		has_underlay |= n->nics.v[i].is_underlay;
	for (i = 0; i < n->nics.n; i++)
		if (!has_underlay || n->nics.v[i].is_underlay)
			mtu = MIN(mtu, n->nics.v[i].mtu);
	if (mtu == UINT32_MAX)
		mtu = MTU_DEFAULT;
	return MAX(mtu, MTU_MIN_V6 + overhead) - overhead; /* below 1280 the kernel takes IPv6 away */
}

/* An interface of ours to remove: the alias says whose it is. */
static const struct nl_link *find_stray(const struct recon_net *n)
{
	size_t i;

	for (i = 0; i < n->links.n; i++)
		if (str_eq(n->links.v[i].alias, RECON_NET_ALIAS) && !is_as_wanted(&n->tunnel, &n->links.v[i]))
			return &n->links.v[i];
	return NULL;
}

static void on_tunnel_read(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	if (r < 0 && r != -ENODEV) {
		fail_pass(n, r, why, n->tunnel.name);
		return;
	}
	step_tunnel(n);
}

static int on_tunnel_link(const struct nlmsghdr *msg, void *arg)
{
	struct recon_net *n = arg;

	return nl_links_apply(&n->links, msg, NULL);
}

static void on_tunnel_changed(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	if (r == 0) {
		n->status.n_changes++;
		/* The monitor will tell too, but maybe later; the pass goes on with what is true now. */
		r = nl_link_get(n->nl, n->tunnel.name,
				&(struct nl_reply){.part = on_tunnel_link, .done = on_tunnel_read, .arg = n});
	}
	if (r == -ENODEV || r == -EEXIST)
		n->need_links = true; /* what we know of the interfaces is wrong */
	if (r < 0)
		fail_pass(n, r, why, n->tunnel.name);
}

static void on_stray_deleted(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	if (r < 0 && r != -ENODEV) {
		fail_pass(n, r, why, "removing the old tunnel device");
		return;
	}
	n->status.n_changes++;
	step_links(n);
}

/* What the device needs before packets may pass. */
static bool needs_settings(const struct recon_net *n, const struct nl_link *l, struct nl_link_set *ret)
{
	uint32_t mtu = wanted_mtu(n);

	*ret = (struct nl_link_set){.ifindex = l->ifindex};
	if (l->mtu != mtu)
		ret->mtu = mtu;
	if (!str_eq(l->alias, RECON_NET_ALIAS))
		ret->alias = RECON_NET_ALIAS;
	ret->set_rp_filter_loose = l->rp_filter >= 0 && l->rp_filter != 2;
	ret->set_no_ipv6_autoconf = l->addr_gen_mode >= 0 && l->addr_gen_mode != IN6_ADDR_GEN_MODE_NONE;
	return ret->mtu || ret->alias || ret->set_rp_filter_loose || ret->set_no_ipv6_autoconf;
}

static void tell_tunnel(struct recon_net *n, int ifindex)
{
	if (n->status.tunnel_ifindex == ifindex)
		return;
	n->status.tunnel_ifindex = 0;
	n->status.tunnel_mtu = 0;
	if (ifindex == 0 && n->cb.tunnel)
		(void)n->cb.tunnel(0, n->arg); /* it is gone whatever the answer is */
}

/* Changes an existing device of ours. True if a request is under way or the pass is over. */
static bool change_tunnel(struct recon_net *n, const struct nl_link *l)
{
	const struct nl_reply reply = {.done = on_tunnel_changed, .arg = n};
	struct nl_link_set set;
	int r;

	if (!needs_settings(n, l, &set)) {
		if (n->status.tunnel_ifindex != l->ifindex) {
			r = n->cb.tunnel ? n->cb.tunnel(l->ifindex, n->arg) : 0;
			if (r < 0) {
				fail_queueing(n, r, "the programs of the tunnel device");
				return true;
			}
			n->status.tunnel_ifindex = l->ifindex;
			n->need_routes = true;
		}
		n->status.tunnel_mtu = l->mtu;
		if (l->flags & IFF_UP)
			return false;
		set = (struct nl_link_set){.ifindex = l->ifindex, .set_up = true, .is_up = true};
		n->need_routes = true;
	}
	r = nl_link_change(n->nl, &set, &reply);
	if (r < 0)
		fail_queueing(n, r, n->tunnel.name);
	return true;
}

static void step_tunnel(struct recon_net *n)
{
	const struct nl_link *stray = find_stray(n), *l = NULL;
	const struct nl_reply reply = {.done = on_tunnel_changed, .arg = n};
	int r = 0;

	if (n->tunnel.kind != NL_TUNNEL_NONE)
		l = nl_links_find_name(&n->links, n->tunnel.name);
	if (!nl_links_find(&n->links, n->status.tunnel_ifindex) || (l && l->ifindex != n->status.tunnel_ifindex))
		tell_tunnel(n, 0);
	if (++n->tunnel_steps > TUNNEL_STEPS_MAX) {
		fail_queueing(n, -ELOOP, "the tunnel device does not keep its settings");
	} else if (stray) {
		int ifindex = stray->ifindex;

		r = nl_link_del(n->nl, ifindex, &(struct nl_reply){.done = on_stray_deleted, .arg = n});
		nl_links_remove(&n->links, ifindex);
		if (r < 0)
			fail_queueing(n, r, "removing the old tunnel device");
	} else if (n->tunnel.kind == NL_TUNNEL_NONE) {
		step_routes(n);
	} else if (!l) {
		struct nl_tunnel t = n->tunnel;

		t.mtu = wanted_mtu(n);
		r = nl_link_add_tunnel(n->nl, &t, &reply);
		if (r < 0)
			fail_queueing(n, r, n->tunnel.name);
	} else if (!is_as_wanted(&n->tunnel, l)) {
		fail_queueing(n, -EEXIST, "an interface of the tunnel device's name is there and not ours");
	} else if (!change_tunnel(n, l)) {
		step_routes(n);
	}
}

/* Interfaces and addresses */

static void tell(struct recon_net *n)
{
	struct nics nics = {0};
	int underlay[PROBES];
	struct nic_inputs in = {.links = &n->links,
				.addrs = &n->addrs,
				.underlay = underlay,
				.patterns = &n->patterns,
				.tunnel_ifindex = n->status.tunnel_ifindex};
	size_t i;
	int r;

	for (i = 0; i < PROBES; i++)
		if (n->probes[i].oif)
			underlay[in.n_underlay++] = n->probes[i].oif;
	if (!in.tunnel_ifindex && n->tunnel.name[0]) {
		const struct nl_link *l = nl_links_find_name(&n->links, n->tunnel.name);

		in.tunnel_ifindex = l ? l->ifindex : 0;
	}
	r = nics_pick(&in, &nics);
	if (r < 0) { /* the old list stays; the next event brings a new try */
		nics_done(&nics);
		return;
	}
	if (nics_same(&nics, &n->nics) && n->is_told) {
		nics_done(&nics);
	} else {
		nics_done(&n->nics);
		n->nics = nics;
		if (n->cb.nics)
			n->cb.nics(&n->nics, n->arg);
	}
	if ((n->is_addrs_changed || !n->is_told) && n->cb.addrs)
		n->cb.addrs(&n->addrs, n->arg);
	n->is_addrs_changed = false;
	n->is_told = true;
}

static int on_probe(const struct nlmsghdr *msg, void *arg)
{
	struct probe *p = arg;
	struct nl_route x;

	if (nl_route_decode(msg, &x) < 0 || x.type != RTN_UNICAST)
		return 0; /* unreachable, or an address of our own: says nothing about interfaces */
	if (x.oif != p->n->status.tunnel_ifindex) {
		p->oif = x.oif;
		p->src = x.src;
	}
	return 0;
}

static void on_probed(int r, const struct err *why, void *arg)
{
	struct recon_net *n = ((struct probe *)arg)->n;

	(void)r; /* no route: on_probe() did not run, and that is the answer */
	(void)why;
	if (--n->n_probing > 0)
		return;
	tell(n);
	if (n->has_desired)
		step_tunnel(n);
	else
		end_pass(n);
}

static void step_probe(struct recon_net *n)
{
	size_t i;

	n->n_probing = 0;
	for (i = 0; i < PROBES; i++) {
		struct probe *p = &n->probes[i];

		p->oif = 0;
		p->src = (struct ip){0};
		if (p->target.family &&
		    nl_route_get(n->nl, &p->target,
				 &(struct nl_reply){.part = on_probe, .done = on_probed, .arg = p}) == 0)
			n->n_probing++;
	}
	if (n->n_probing == 0)
		fail_queueing(n, -ENOMEM, "asking for routes");
}

static int on_addr(const struct nlmsghdr *msg, void *arg)
{
	struct recon_net *n = arg;
	int r = nl_addrs_apply(&n->new_addrs, msg);

	return r == -ENOMSG ? 0 : r;
}

static void on_addrs_read(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	n->is_reading_addrs = false;
	if (r < 0) {
		n->need_addrs = true;
		fail_pass(n, r, why, "reading the addresses");
		return;
	}
	nl_addrs_done(&n->addrs);
	n->addrs = n->new_addrs;
	n->new_addrs = (struct nl_addrs){0};
	n->is_addrs_changed = true;
	step_probe(n);
}

static void step_addrs(struct recon_net *n)
{
	int r;

	if (!n->need_addrs) {
		step_probe(n);
		return;
	}
	n->need_addrs = false; /* an event during the dump sets it again */
	n->is_reading_addrs = true;
	n->new_addrs.n = 0;
	r = nl_addr_dump(n->nl, &(struct nl_reply){.part = on_addr, .done = on_addrs_read, .arg = n});
	if (r < 0)
		fail_queueing(n, r, "reading the addresses");
}

static int on_link(const struct nlmsghdr *msg, void *arg)
{
	struct recon_net *n = arg;
	int r = nl_links_apply(&n->new_links, msg, NULL);

	return r == -ENOMSG ? 0 : r;
}

static void on_links_read(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	n->is_reading_links = false;
	if (r < 0) {
		n->need_links = true;
		fail_pass(n, r, why, "reading the interfaces");
		return;
	}
	nl_links_done(&n->links);
	n->links = n->new_links;
	n->new_links = (struct nl_links){0};
	step_addrs(n);
}

static void step_links(struct recon_net *n)
{
	int r;

	if (!n->need_links) {
		step_addrs(n);
		return;
	}
	n->need_links = false;
	n->is_reading_links = true;
	n->new_links.n = 0;
	r = nl_link_dump(n->nl, &(struct nl_reply){.part = on_link, .done = on_links_read, .arg = n});
	if (r < 0)
		fail_queueing(n, r, "reading the interfaces");
}

static void on_timer(void *arg)
{
	struct recon_net *n = arg;

	if (n->is_running)
		return;
	n->is_running = true;
	n->is_dirty = false;
	n->tunnel_steps = 0;
	n->status.err = (struct err){0};
	step_links(n);
}

/* Notifications */

static void on_route_event(struct recon_net *n, const struct nlmsghdr *msg, bool is_own)
{
	struct nl_route x;

	if (is_own || nl_route_decode(msg, &x) < 0)
		return;
	if (x.protocol == NL_RTPROT_MESH)
		n->need_routes = true;
	mark_dirty(n);
}

static void on_event(const struct nlmsghdr *msg, bool is_own, void *arg)
{
	struct recon_net *n = arg;
	int r;

	if (!msg) {
		n->status.n_resyncs++;
		n->need_links = n->need_addrs = n->need_routes = true;
		mark_dirty(n);
		return;
	}
	switch (msg->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route_event(n, msg, is_own);
		return;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		r = nl_addrs_apply(&n->addrs, msg);
		if (r > 0) {
			n->is_addrs_changed = true;
			n->need_addrs |= n->is_reading_addrs; /* the dump may be older */
		}
		break;
	default:
		r = nl_links_apply(&n->links, msg, NULL);
		if (r > 0)
			n->need_links |= n->is_reading_links;
		break;
	}
	if (r < 0 && r != -ENOMSG) {
		n->need_links = n->need_addrs = true;
		r = 1;
	}
	if (r <= 0)
		return;
	/* A link that goes down or an address that goes away takes routes along without a word. */
	n->need_routes = true;
	mark_dirty(n);
}

/* Interface */

int recon_net_new(struct loop *l, const struct net_callbacks *cb, void *arg, struct recon_net **ret)
{
	CLEANUP(recon_net_free) struct recon_net *n = calloc(1, sizeof(*n));
	size_t i;
	int r;

	if (!n)
		return -ENOMEM;
	n->loop = l;
	n->cb = *cb;
	n->arg = arg;
	for (i = 0; i < PROBES; i++) {
		n->probes[i].n = n;
		if (i < RECON_NET_TARGETS)
			continue;
		r = ip_parse(default_probes[i - RECON_NET_TARGETS], &n->probes[i].target);
		if (r < 0)
			return r;
	}
	r = nl_new(l, &n->nl);
	if (r < 0)
		return r;
	r = loop_add_timer(l, on_timer, n, &n->timer);
	if (r < 0)
		return r;
	r = nl_monitor(n->nl, NL_RTPROT_MESH, on_event, n);
	if (r < 0)
		return r;
	n->need_links = n->need_addrs = true;
	n->is_dirty = true;
	r = source_arm(n->timer, 0, 0);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(n);
	return 0;
}

void recon_net_free(struct recon_net *n)
{
	if (!n)
		return;
	source_free(n->timer);
	nl_free(n->nl);
	nl_links_done(&n->links);
	nl_links_done(&n->new_links);
	nl_addrs_done(&n->addrs);
	nl_addrs_done(&n->new_addrs);
	nics_done(&n->nics);
	strv_done(&n->patterns);
	ARRAY_DONE(&n->routes);
	ARRAY_DONE(&n->want);
	ARRAY_DONE(&n->have);
	ARRAY_DONE(&n->ops);
	free(n);
}

static int check_route(const struct net_route *x, bool has_tunnel, struct err *reterr)
{
	char dst[CIDR_STRLEN];
	int family = x->dst.ip.family;

	if ((family != AF_INET && family != AF_INET6) || x->dst.len > ip_bits(&x->dst.ip))
		return err_set(reterr, EINVAL, "a route has no valid prefix");
	(void)cidr_str(&x->dst, dst);
	if ((x->via.family && x->via.family != family) || (x->src.family && x->src.family != family))
		return err_set(reterr, EINVAL, "route %s: gateway or source is of the other IP version", dst);
	if (!x->via.family && !has_tunnel)
		return err_set(reterr, EINVAL, "route %s: goes into the tunnel, and there is to be none", dst);
	return 0;
}

static int copy_patterns(const struct strv *from, struct strv *ret)
{
	size_t i;
	int r;

	for (i = 0; from && i < from->n; i++) {
		r = strv_add(ret, from->v[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int recon_net_set(struct recon_net *n, const struct net_desired *d, struct err *reterr)
{
	CLEANUP(strv_done) struct strv patterns = {0};
	bool has_tunnel = d->tunnel.kind != NL_TUNNEL_NONE;
	const char *name = d->tunnel.name[0] ? d->tunnel.name : RECON_NET_DEVICE;
	size_t i;
	int r;

	if (!memchr(d->tunnel.name, '\0', sizeof(d->tunnel.name)) || strpbrk(name, "/: \t\n"))
		return err_set(reterr, EINVAL, "the name of the tunnel device is not one for an interface");
	if (has_tunnel && d->tunnel.port == 0)
		return err_set(reterr, EINVAL, "the tunnel has no port");
	for (i = 0; i < d->n_routes; i++) {
		r = check_route(&d->routes[i], has_tunnel, reterr);
		if (r < 0)
			return r;
	}
	r = copy_patterns(d->nic_patterns, &patterns);
	if (r < 0)
		return r;
	if (d->n_routes > n->routes.n) {
		r = ARRAY_RESERVE(&n->routes, d->n_routes - n->routes.n);
		if (r < 0)
			return r;
	}
	if (d->n_routes)
		memcpy(n->routes.v, d->routes, d->n_routes * sizeof(*d->routes));
	n->routes.n = d->n_routes;
	for (i = 0; i < n->routes.n; i++)
		cidr_mask(&n->routes.v[i].dst);
	strv_done(&n->patterns);
	n->patterns = patterns;
	patterns = (struct strv){0};
	n->tunnel = d->tunnel;
	(void)snprintf(n->tunnel.name, sizeof(n->tunnel.name), "%s", name); /* checked above */
	for (i = 0; i < RECON_NET_TARGETS; i++)
		n->probes[i].target = i < d->n_targets ? d->targets[i] : (struct ip){0};
	n->has_desired = true;
	n->need_routes = true;
	n->status.n_routes_wanted = n->routes.n;
	n->status.is_applied = false;
	n->is_dirty = true;
	return n->is_running ? 0 : source_arm(n->timer, 0, 0);
}

int recon_net_clear(struct recon_net *n)
{
	return recon_net_set(n, &(struct net_desired){0}, NULL);
}

void recon_net_audit(struct recon_net *n)
{
	n->need_links = n->need_addrs = n->need_routes = true;
	mark_dirty(n);
}

const struct net_status *recon_net_status(const struct recon_net *n)
{
	return &n->status;
}

const struct nics *recon_net_nics(const struct recon_net *n)
{
	return &n->nics;
}

const struct nl_addrs *recon_net_addrs(const struct recon_net *n)
{
	return &n->addrs;
}

const struct nl_links *recon_net_links(const struct recon_net *n)
{
	return &n->links;
}

bool recon_net_source(const struct recon_net *n, size_t i, struct ip *ret)
{
	if (i >= RECON_NET_TARGETS || !n->probes[i].src.family)
		return false;
	*ret = n->probes[i].src;
	return true;
}
