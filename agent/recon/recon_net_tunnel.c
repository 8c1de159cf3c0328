/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_net_internal.h"

#include <linux/if_link.h>

enum {
	/* Changes to the device in one pass: delete, create, set, up, each with room for one repeat. */
	TUNNEL_STEPS_MAX = 8,
	MTU_DEFAULT = 1500,
	MTU_MIN_V6 = 1280,
};

static bool is_as_wanted(const struct nl_tunnel *t, const struct nl_link *l)
{
	return str_eq(l->kind, nl_tunnel_kind_str(t->kind)) && l->is_external && l->tunnel_port == t->port &&
	       str_eq(l->name, t->name);
}

/* Of the interfaces that the underlay uses; if there are none, or none is up, of all that could be. */
static uint32_t underlay_mtu(const struct recon_net *n)
{
	uint32_t best = UINT32_MAX, any = UINT32_MAX;
	size_t i;

	for (i = 0; i < n->nics.n; i++) {
		const struct nic *x = &n->nics.v[i];

		if (x->is_up)
			any = MIN(any, x->mtu);
		if (x->is_up && x->is_underlay)
			best = MIN(best, x->mtu);
	}
	if (best == UINT32_MAX)
		best = any == UINT32_MAX ? MTU_DEFAULT : any;
	return n->underlay_mtu ? MIN(best, n->underlay_mtu) : best;
}

static uint32_t wanted_mtu(const struct recon_net *n)
{
	uint32_t overhead = RECON_NET_MTU_OVERHEAD_V4, mtu = underlay_mtu(n);
	size_t i;

	for (i = 0; i < RECON_NET_TARGETS; i++)
		if (n->probes[i].target.family == AF_INET6)
			overhead = RECON_NET_MTU_OVERHEAD_V6;
	mtu = MAX(mtu, MTU_MIN_V6 + overhead) - overhead; /* below 1280 the kernel takes IPv6 away */
	return n->tunnel.mtu ? MIN(mtu, n->tunnel.mtu) : mtu;
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
		net_fail_pass(n, r, why, n->tunnel.name);
		return;
	}
	net_step_tunnel(n);
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
		net_fail_pass(n, r, why, n->tunnel.name);
}

static void on_tunnel_added(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;
	struct err no_driver = {0};

	if (r == -EOPNOTSUPP) {
		n->status.lacks_driver = true;
		(void)err_set(&no_driver, EOPNOTSUPP, "this kernel has no tunnels of the kind %s", nl_tunnel_kind_str(n->tunnel.kind));
		why = &no_driver;
	}
	on_tunnel_changed(r, why, n);
}

static void on_stray_deleted(int r, const struct err *why, void *arg)
{
	struct recon_net *n = arg;

	if (r < 0 && r != -ENODEV) {
		net_fail_pass(n, r, why, "removing the old tunnel device");
		return;
	}
	n->status.n_changes++;
	net_step_links(n);
}

/* What the device needs before packets may pass. */
static bool needs_settings(const struct recon_net *n, const struct nl_link *l, struct nl_link_set *ret)
{
	uint32_t mtu = wanted_mtu(n);

	*ret = (struct nl_link_set){.ifindex = l->ifindex};
	if (l->mtu != mtu)
		ret->mtu = mtu;
	if (!str_eq(l->alias, RECON_NET_ALIAS))
		(void)snprintf(ret->alias, sizeof(ret->alias), "%s", RECON_NET_ALIAS); /* fits */
	ret->set_rp_filter_loose = l->rp_filter >= 0 && l->rp_filter != 2;
	ret->set_no_ipv6_autoconf = l->addr_gen_mode >= 0 && l->addr_gen_mode != IN6_ADDR_GEN_MODE_NONE;
	return ret->mtu || ret->alias[0] || ret->set_rp_filter_loose || ret->set_no_ipv6_autoconf;
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
				net_fail_queueing(n, r, "the programs of the tunnel device");
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
		net_fail_queueing(n, r, n->tunnel.name);
	return true;
}

void net_step_tunnel(struct recon_net *n)
{
	const struct nl_link *stray = find_stray(n), *l = NULL;
	int r = 0;

	if (n->tunnel.kind != NL_TUNNEL_NONE)
		l = nl_links_find_name(&n->links, n->tunnel.name);
	if (!nl_links_find(&n->links, n->status.tunnel_ifindex) || (l && l->ifindex != n->status.tunnel_ifindex))
		tell_tunnel(n, 0);
	if (++n->tunnel_steps > TUNNEL_STEPS_MAX) {
		net_fail_queueing(n, -ELOOP, "the tunnel device does not keep its settings");
	} else if (stray) {
		int ifindex = stray->ifindex;

		r = nl_link_del(n->nl, ifindex, &(struct nl_reply){.done = on_stray_deleted, .arg = n});
		nl_links_remove(&n->links, ifindex);
		if (r < 0)
			net_fail_queueing(n, r, "removing the old tunnel device");
	} else if (n->tunnel.kind == NL_TUNNEL_NONE) {
		net_step_routes(n);
	} else if (!l) {
		struct nl_tunnel t = n->tunnel;

		t.mtu = wanted_mtu(n);
		r = nl_link_add_tunnel(n->nl, &t, &(struct nl_reply){.done = on_tunnel_added, .arg = n});
		if (r < 0)
			net_fail_queueing(n, r, n->tunnel.name);
	} else if (!is_as_wanted(&n->tunnel, l)) {
		net_fail_queueing(n, -EEXIST, "an interface of the tunnel device's name is there and not ours");
	} else if (!change_tunnel(n, l)) {
		net_step_routes(n);
	}
}
