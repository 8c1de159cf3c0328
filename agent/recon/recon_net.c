/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_net_internal.h"

#include <stdio.h>

#include "base/clock.h"

/* Any address that no table has a route of its own for shows where the default route goes. */
static const char *const default_probes[] = {"240.0.0.1", "3fff::1"};
_Static_assert(PROBES == RECON_NET_TARGETS + ARRAY_LEN(default_probes), "a place for each");

/* Armed once: a stream of events without a pause must not put the pass off for ever. */
static void mark_dirty(struct recon_net *n)
{
	if (n->is_dirty)
		return;
	n->is_dirty = true;
	if (!n->is_running)
		(void)source_arm(n->timer, SETTLE_US, SETTLE_US); /* a live timer */
}

void net_note_error(struct recon_net *n, const struct err *e)
{
	if (!n->status.err.text[0])
		n->status.err = *e;
}

void net_end_pass(struct recon_net *n)
{
	bool is_failed = n->status.err.text[0] != '\0';

	n->is_running = false;
	n->status.is_applied = n->has_desired && !is_failed && !n->is_dirty;
	n->has_failed = is_failed;
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

void net_fail_pass(struct recon_net *n, int r, const struct err *why, const char *what)
{
	struct err e = *why;

	if (r == -EAGAIN || r == -ENOBUFS) { /* the kernel's tables moved while we read: at once again, but not for ever */
		n->need_links = n->need_addrs = n->need_routes = true;
		n->is_dirty = n->is_dirty || !n->has_failed;
	}
	(void)err_prefix(&e, r, "%s", what); /* returns r */
	net_note_error(n, &e);
	net_end_pass(n);
}

void net_fail_queueing(struct recon_net *n, int r, const char *what)
{
	struct err e = {0};

	(void)err_set(&e, -r, "%s", err_name(r)); /* r is passed on */
	net_fail_pass(n, r, &e, what);
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
	n->status.lacks_driver = false;
	net_step_links(n);
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

/* The interface that an address belongs to. */
static int addr_ifindex(const struct nlmsghdr *msg)
{
	return (int)((const struct ifaddrmsg *)NLMSG_DATA(msg))->ifa_index; /* its length was checked */
}

static int link_ifindex(const struct nlmsghdr *msg)
{
	struct nl_link l;

	return msg->nlmsg_type == RTM_NEWLINK && nl_link_decode(msg, &l) == 0 ? l.ifindex : 0;
}

static void on_filter_event(struct recon_net *n, const struct nlmsghdr *msg)
{
	const struct tcmsg *t = NLMSG_DATA(msg);

	if (msg->nlmsg_len >= NLMSG_LENGTH(sizeof(*t)) && n->cb.filters)
		n->cb.filters(t->tcm_ifindex, n->arg);
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
			net_tell_new(n, addr_ifindex(msg));
		}
		break;
	case RTM_DELQDISC:
	case RTM_DELTFILTER:
		on_filter_event(n, msg);
		return;
	default:
		r = nl_links_apply(&n->links, msg, NULL);
		if (r > 0) {
			n->need_links |= n->is_reading_links;
			net_tell_new(n, link_ifindex(msg));
		}
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
	r = nl_monitor(n->nl, &(struct nl_watch){.route_protocol = NL_RTPROT_MESH, .has_filters = cb->filters != NULL},
		       on_event, n);
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
	n->underlay_mtu = d->underlay_mtu;
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

void recon_net_get(const struct recon_net *n, struct net_desired *ret, struct ip targets[RECON_NET_TARGETS])
{
	*ret = (struct net_desired){.tunnel = n->tunnel, .underlay_mtu = n->underlay_mtu, .routes = n->routes.v,
				    .n_routes = n->routes.n, .targets = targets};
	for (size_t i = 0; i < RECON_NET_TARGETS; i++)
		if (n->probes[i].target.family)
			targets[ret->n_targets++] = n->probes[i].target;
}

int recon_net_set_patterns(struct recon_net *n, const struct strv *patterns)
{
	CLEANUP(strv_done) struct strv copy = {0};
	int r = copy_patterns(patterns, &copy);

	if (r < 0)
		return r;
	strv_done(&n->patterns);
	n->patterns = copy;
	copy = (struct strv){0};
	return 0;
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

int recon_net_get_tunnel(struct recon_net *n, const struct nl_reply *reply)
{
	return nl_link_get(n->nl, n->tunnel.name, reply);
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
