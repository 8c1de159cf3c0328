/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_nic.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>

#include "base/array.h"

/* Interfaces can be stacked without end; nobody stacks deeper than this. */
enum { DEPTH_MAX = 8 };

static bool is_one_of(const char *kind, const char *const *list)
{
	for (; *list; list++)
		if (str_eq(kind, *list))
			return true;
	return false;
}

static bool is_over(const char *kind)
{
	return is_one_of(kind, (const char *const[]){"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", NULL});
}

static bool is_group(const char *kind)
{
	return is_one_of(kind, (const char *const[]){"bond", "team", "bridge", NULL});
}

/* Its far end is another machine. */
static bool is_tunnel(const struct nl_link *l)
{
	if (str_eq(l->kind, "tun")) /* a tap is the port of a guest */
		return l->type != ARPHRD_ETHER;
	return is_one_of(l->kind, (const char *const[]){"wireguard", "ovpn", "ppp", "gre", "gretap", "erspan", "ip6gre", "ip6gretap",
							"ip6erspan", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm", "vxlan",
							"geneve", "bareudp", "gtp", "amt", "wwan", "rmnet", NULL});
}

static bool is_in(const int *list, size_t n, int ifindex)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i] == ifindex)
			return true;
	return false;
}

static bool is_port(const struct nic_inputs *in, const struct nl_link *l)
{
	const struct nl_link *master = l->master ? nl_links_find(in->links, l->master) : NULL;

	return master && !str_eq(master->kind, "vrf");
}

/* Hardware, or something stacked on it; a group's port may be a tunnel as well. */
static bool has_hardware(const struct nic_inputs *in, const struct nl_link *l, int depth)
{
	const struct nl_link *lower;
	size_t i;

	if (depth == DEPTH_MAX || (l->flags & IFF_LOOPBACK))
		return false;
	if (!l->kind[0] || str_eq(l->kind, "macsec")) /* what hardware shows of it says nothing */
		return true;
	if (is_over(l->kind)) {
		lower = nl_links_find(in->links, l->lower);
		return !lower || has_hardware(in, lower, depth + 1);
	}
	if (!is_group(l->kind))
		return false;
	for (i = 0; i < in->links->n; i++) {
		const struct nl_link *port = &in->links->v[i];

		if (port->master == l->ifindex && (is_tunnel(port) || has_hardware(in, port, depth + 1)))
			return true;
	}
	return false;
}

static bool has_address(const struct nic_inputs *in, int ifindex)
{
	size_t i;

	for (i = 0; i < in->addrs->n; i++)
		if (in->addrs->v[i].ifindex == ifindex && !ip_is_special(&in->addrs->v[i].ip) &&
		    in->addrs->v[i].scope < RT_SCOPE_LINK)
			return true;
	return false;
}

static bool is_eligible(const struct nic_inputs *in, const struct nl_link *l)
{
	return !(l->flags & IFF_LOOPBACK) && l->ifindex != in->tunnel_ifindex;
}

static bool is_external(const struct nic_inputs *in, const struct nl_link *l, int depth)
{
	const struct nl_link *lower;

	if (depth == DEPTH_MAX || !is_eligible(in, l) || is_port(in, l))
		return false;
	if (is_over(l->kind)) {
		lower = nl_links_find(in->links, l->lower);
		return !lower || !is_external(in, lower, depth + 1);
	}
	if (is_in(in->underlay, in->n_underlay, l->ifindex) || has_hardware(in, l, 0))
		return true;
	if (!(l->flags & IFF_UP) && in->before && nics_find(in->before, l->ifindex))
		return true;
	return (is_tunnel(l) || str_eq(l->kind, "veth")) && has_address(in, l->ifindex);
}

static bool is_named(const struct nic_inputs *in, const struct nl_link *l)
{
	size_t i;

	for (i = 0; i < in->patterns->n; i++)
		if (fnmatch(in->patterns->v[i], l->name, 0) == 0)
			return true;
	return false;
}

/* True if an underlay interface is `ifindex` or stacked on it. */
static bool carries_underlay(const struct nic_inputs *in, int ifindex)
{
	size_t i;
	int depth;

	for (i = 0; i < in->n_underlay; i++) {
		int at = in->underlay[i];

		for (depth = 0; at && depth < DEPTH_MAX; depth++) {
			const struct nl_link *l = nl_links_find(in->links, at);

			if (at == ifindex)
				return true;
			at = l && is_over(l->kind) ? l->lower : 0;
		}
	}
	return false;
}

bool nics_wants(const struct nic_inputs *in, const struct nl_link *l)
{
	bool is_auto = !in->patterns || in->patterns->n == 0;

	return is_auto ? is_external(in, l, 0) : is_eligible(in, l) && is_named(in, l);
}

const struct nic *nics_find(const struct nics *n, int ifindex)
{
	size_t i;

	for (i = 0; i < n->n; i++)
		if (n->v[i].ifindex == ifindex)
			return &n->v[i];
	return NULL;
}

int nics_pick(const struct nic_inputs *in, struct nics *ret)
{
	size_t i;
	int r;

	ret->n = 0;
	for (i = 0; i < in->links->n; i++) {
		const struct nl_link *l = &in->links->v[i];
		struct nic nic = {.ifindex = l->ifindex, .mtu = l->mtu, .type = l->type,
				  .is_up = (l->flags & IFF_UP) != 0};

		if (!nics_wants(in, l))
			continue;
		memcpy(nic.name, l->name, sizeof(nic.name));
		nic.is_underlay = carries_underlay(in, l->ifindex);
		r = ARRAY_ADD(ret, nic);
		if (r < 0)
			return r;
	}
	return 0;
}

bool nics_same(const struct nics *a, const struct nics *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (a->v[i].ifindex != b->v[i].ifindex || a->v[i].mtu != b->v[i].mtu || a->v[i].type != b->v[i].type ||
		    a->v[i].is_up != b->v[i].is_up || a->v[i].is_underlay != b->v[i].is_underlay || !str_eq(a->v[i].name, b->v[i].name))
			return false;
	return true;
}

void nics_done(struct nics *n)
{
	ARRAY_DONE(n);
}
