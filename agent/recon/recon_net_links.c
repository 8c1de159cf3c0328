/* SPDX-License-Identifier: Apache-2.0 */
/* Which interfaces and addresses there are, and which of them lead outside: the first step of a pass. */
#include "recon/recon_net_internal.h"

/* `underlay` has room for PROBES. */
static struct nic_inputs nic_inputs(const struct recon_net *n, int *underlay)
{
	struct nic_inputs in = {.links = &n->links,
				.addrs = &n->addrs,
				.underlay = underlay,
				.patterns = &n->patterns,
				.tunnel_ifindex = n->status.tunnel_ifindex,
				.before = &n->nics};
	size_t i;

	for (i = 0; i < PROBES; i++)
		if (n->probes[i].oif)
			underlay[in.n_underlay++] = n->probes[i].oif;
	if (!in.tunnel_ifindex && n->tunnel.name[0]) {
		const struct nl_link *l = nl_links_find_name(&n->links, n->tunnel.name);

		in.tunnel_ifindex = l ? l->ifindex : 0;
	}
	return in;
}

void net_tell_new(struct recon_net *n, int ifindex)
{
	const struct nl_link *l = nl_links_find(&n->links, ifindex);
	int underlay[PROBES];
	struct nic_inputs in;
	struct nic nic;

	if (!l || !n->is_told || !n->cb.nic || nics_find(&n->nics, ifindex))
		return;
	in = nic_inputs(n, underlay);
	if (!nics_wants(&in, l))
		return;
	nic = (struct nic){.ifindex = ifindex, .mtu = l->mtu, .type = l->type, .is_up = (l->flags & IFF_UP) != 0};
	memcpy(nic.name, l->name, sizeof(nic.name));
	n->cb.nic(&nic, n->arg);
}

bool recon_net_is_external(const struct recon_net *n, int ifindex)
{
	const struct nl_link *l = nl_links_find(&n->links, ifindex);
	int underlay[PROBES];
	struct nic_inputs in;

	if (nics_find(&n->nics, ifindex))
		return true;
	in = nic_inputs(n, underlay);
	return l && nics_wants(&in, l);
}

int recon_net_covered(const struct recon_net *n, nics_held_fn is_held, void *arg, struct recon_ifindexes *ret)
{
	int underlay[PROBES], r = 0;
	struct nic_inputs in = nic_inputs(n, underlay);

	ret->n = 0;
	for (size_t i = 0; i < n->links.n && r == 0; i++) /* which are sorted */
		if (nics_covers(&in, &n->links.v[i], is_held, arg))
			r = ARRAY_ADD(ret, n->links.v[i].ifindex);
	return r;
}

static void tell(struct recon_net *n)
{
	struct nics nics = {0};
	int underlay[PROBES];
	struct nic_inputs in = nic_inputs(n, underlay);
	struct err e;
	int r;

	r = nics_pick(&in, &nics);
	if (r < 0) { /* the old list stays until the pass is tried again */
		(void)err_set(&e, -r, "choosing the interfaces: %s", err_name(r)); /* noted, not returned */
		net_note_error(n, &e);
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
		p->new_oif = x.oif;
		p->new_src = x.src;
	}
	return 0;
}

/* What was known stays: an interface that seems to lead nowhere would lose its programs. */
static void note_lost(struct recon_net *n, int r)
{
	struct err e;

	(void)err_set(&e, -r, "asking for routes: %s", err_name(r)); /* noted, not returned */
	net_note_error(n, &e);
}

static void on_probed(int r, const struct err *why, void *arg)
{
	struct probe *p = arg;
	struct recon_net *n = p->n;

	(void)why;
	if (r == -ENOMEM || r == -ENOBUFS || r == -EBADMSG) {
		note_lost(n, r);
	} else { /* any other failure means that there is no route, and on_probe() did not run */
		p->oif = p->new_oif;
		p->src = p->new_src;
	}
	if (--n->n_probing > 0)
		return;
	tell(n);
	if (n->has_desired)
		net_step_tunnel(n);
	else
		net_end_pass(n);
}

static void step_probe(struct recon_net *n)
{
	size_t i;

	n->n_probing = 0;
	for (i = 0; i < PROBES; i++) {
		struct probe *p = &n->probes[i];
		int r;

		p->new_oif = 0;
		p->new_src = (struct ip){0};
		if (!p->target.family) {
			p->oif = 0;
			p->src = (struct ip){0};
			continue;
		}
		r = nl_route_get(n->nl, &p->target, &(struct nl_reply){.part = on_probe, .done = on_probed, .arg = p});
		n->n_probing += r == 0;
		if (r < 0)
			note_lost(n, r);
	}
	if (n->n_probing == 0)
		net_fail_queueing(n, -ENOMEM, "asking for routes");
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
		net_fail_pass(n, r, why, "reading the addresses");
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
		net_fail_queueing(n, r, "reading the addresses");
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
		net_fail_pass(n, r, why, "reading the interfaces");
		return;
	}
	nl_links_done(&n->links);
	n->links = n->new_links;
	n->new_links = (struct nl_links){0};
	step_addrs(n);
}

void net_step_links(struct recon_net *n)
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
		net_fail_queueing(n, r, "reading the interfaces");
}
