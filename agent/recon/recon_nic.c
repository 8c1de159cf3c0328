/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_nic.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>

#include "base/array.h"
#include "base/macro.h"

/* Interfaces can be stacked without end; nobody stacks deeper than this. */
enum { DEPTH_MAX = 8 };

/* Of <linux/if_arp.h>, which does not go with <net/if.h>. */
enum { TYPE_MCTP = 290, TYPE_IEEE802154_MONITOR = 805 };

/* What a link is to us: the list in recon_nic.h. */
enum role {
	ROLE_CARD,
	ROLE_ABOVE,
	ROLE_GROUP,
	ROLE_TUNNEL,
	ROLE_END,
	ROLE_INSIDE,
};

struct kind {
	const char *name;
	enum role role;
	bool spares_ports; /* not every packet of its ports passes it, too: they are as if they were none */
	bool hides_lower;  /* what is below carries its frames and nothing that can be read */
};

/* As IFLA_INFO_KIND has them. tests/netns/test_kinds.c makes those that the kernel can. */
static const struct kind kinds[] = {
	{"", ROLE_CARD},
	{"hsr", ROLE_CARD}, /* of HSR and PRP; untagged frames come by its ports */
	{"ipoib", ROLE_CARD},
	{"macsec", ROLE_CARD}, /* what hardware shows of it says nothing */
	{"dsa", ROLE_CARD, .hides_lower = true}, /* a switch's port; the card below has the switch's tags */
	{"vlan", ROLE_ABOVE},
	{"macvlan", ROLE_ABOVE},
	{"macvtap", ROLE_ABOVE},
	{"ipvlan", ROLE_ABOVE},
	{"ipvtap", ROLE_ABOVE},
	{"virt_wifi", ROLE_ABOVE},
	{"bond", ROLE_GROUP},
	{"team", ROLE_GROUP},
	{"bridge", ROLE_GROUP},
	{"batadv", ROLE_GROUP, .spares_ports = true},
	{"amt", ROLE_TUNNEL},
	{"bareudp", ROLE_TUNNEL},
	{"erspan", ROLE_TUNNEL},
	{"geneve", ROLE_TUNNEL},
	{"gre", ROLE_TUNNEL},
	{"gretap", ROLE_TUNNEL},
	{"gtp", ROLE_TUNNEL},
	{"ip6erspan", ROLE_TUNNEL},
	{"ip6gre", ROLE_TUNNEL},
	{"ip6gretap", ROLE_TUNNEL},
	{"ip6tnl", ROLE_TUNNEL},
	{"ipip", ROLE_TUNNEL},
	{"ovpn", ROLE_TUNNEL},
	{"ppp", ROLE_TUNNEL},
	{"rmnet", ROLE_TUNNEL, .hides_lower = true}, /* a modem's channel; multiplexed below */
	{"sit", ROLE_TUNNEL},
	{"tun", ROLE_TUNNEL}, /* but not a tap, see role_of() */
	{"vti", ROLE_TUNNEL},
	{"vti6", ROLE_TUNNEL},
	{"vxlan", ROLE_TUNNEL},
	{"wireguard", ROLE_TUNNEL},
	{"wwan", ROLE_TUNNEL},
	{"xfrm", ROLE_TUNNEL},
	{"netkit", ROLE_END},
	{"veth", ROLE_END},
	{"openvswitch", ROLE_END}, /* the host's own port of a switch, or its datapath, the master of the others */
	{"can", ROLE_INSIDE},
	{"dummy", ROLE_INSIDE},
	{"ifb", ROLE_INSIDE},
	{"nlmon", ROLE_INSIDE},
	{"vcan", ROLE_INSIDE},
	{"vrf", ROLE_INSIDE, .spares_ports = true},
	{"vsockmon", ROLE_INSIDE},
	{"vxcan", ROLE_INSIDE},
};

/* Something newer than this table, as likely to lead outside as not: policy holds where the host has an address. */
static const struct kind unknown = {"", ROLE_END, .spares_ports = true};

static const struct kind *kind_of(const struct nl_link *l)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(l->kind, kinds[i].name))
			return &kinds[i];
	return &unknown;
}

static enum role role_of(const struct nl_link *l)
{
	if (str_eq(l->kind, "tun") && l->type == ARPHRD_ETHER)
		return ROLE_INSIDE; /* a tap: the port of a guest */
	return kind_of(l)->role;
}

/* CAN, radio as it is, management of components: no packet of IP passes them. */
static bool is_without_ip(const struct nl_link *l)
{
	switch (l->type) {
	case ARPHRD_CAN:
	case ARPHRD_IEEE80211:
	case ARPHRD_IEEE80211_PRISM:
	case ARPHRD_IEEE80211_RADIOTAP:
	case ARPHRD_IEEE802154:
	case TYPE_IEEE802154_MONITOR:
	case TYPE_MCTP:
		return true;
	}
	return false;
}

static bool is_in(const int *list, size_t n, int ifindex)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i] == ifindex)
			return true;
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

static bool is_port(const struct nic_inputs *in, const struct nl_link *l)
{
	const struct nl_link *master = l->master ? nl_links_find(in->links, l->master) : NULL;

	return master && !kind_of(master)->spares_ports;
}

/* True if it only carries the frames of others, above. A switch's port has no kind before Linux 6.0, but is the only one without. */
static bool is_hidden(const struct nic_inputs *in, const struct nl_link *l)
{
	size_t i;

	for (i = 0; i < in->links->n; i++) {
		const struct nl_link *upper = &in->links->v[i];

		if (upper->lower == l->ifindex && (kind_of(upper)->hides_lower || !upper->kind[0]))
			return true;
	}
	return false;
}

/* Hardware, or something stacked on it; a group's port may be a tunnel as well. */
static bool has_hardware(const struct nic_inputs *in, const struct nl_link *l, int depth)
{
	const struct nl_link *lower;
	size_t i;

	if (depth == DEPTH_MAX || (l->flags & IFF_LOOPBACK))
		return false;
	switch (role_of(l)) {
	case ROLE_CARD:
		return has_address(in, l->ifindex) || !(is_hidden(in, l) || is_without_ip(l));
	case ROLE_ABOVE:
		lower = nl_links_find(in->links, l->lower);
		return !lower || has_hardware(in, lower, depth + 1);
	case ROLE_GROUP:
		break;
	default:
		return false;
	}
	for (i = 0; i < in->links->n; i++) {
		const struct nl_link *port = &in->links->v[i];

		if (port->master == l->ifindex && (role_of(port) == ROLE_TUNNEL || has_hardware(in, port, depth + 1)))
			return true;
	}
	return false;
}

static bool is_eligible(const struct nic_inputs *in, const struct nl_link *l)
{
	return !(l->flags & IFF_LOOPBACK) && l->ifindex != in->tunnel_ifindex;
}

static bool was_external(const struct nic_inputs *in, const struct nl_link *l)
{
	return in->before && nics_find(in->before, l->ifindex);
}

static bool is_external(const struct nic_inputs *in, const struct nl_link *l, int depth)
{
	const struct nl_link *lower;
	enum role role = role_of(l);

	if (depth == DEPTH_MAX || !is_eligible(in, l) || is_port(in, l))
		return false;
	if (role == ROLE_ABOVE) {
		lower = nl_links_find(in->links, l->lower);
		return !lower || !is_external(in, lower, depth + 1);
	}
	if (is_in(in->underlay, in->n_underlay, l->ifindex) || has_hardware(in, l, 0))
		return true;
	if (role != ROLE_TUNNEL && role != ROLE_END)
		return !(l->flags & IFF_UP) && was_external(in, l);
	return has_address(in, l->ifindex) || was_external(in, l);
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
			at = l && role_of(l) == ROLE_ABOVE ? l->lower : 0;
		}
	}
	return false;
}

static bool is_auto(const struct nic_inputs *in)
{
	return !in->patterns || in->patterns->n == 0;
}

bool nics_wants(const struct nic_inputs *in, const struct nl_link *l)
{
	return is_auto(in) ? is_external(in, l, 0) : is_eligible(in, l) && is_named(in, l);
}

struct cover {
	const struct nic_inputs *in;
	nics_held_fn is_held;
	void *arg;
};

/* Of a VRF and the like, or as patterns name them; what these leave out is not policed by the choice of who wrote them. */
static bool covers_ports(const struct cover *c, const struct nl_link *group)
{
	for (size_t i = 0; i < c->in->links->n; i++) {
		const struct nl_link *l = &c->in->links->v[i];

		if (l->master == group->ifindex && nics_wants(c->in, l) && !c->is_held(l->ifindex, c->arg))
			return false;
	}
	return true;
}

static bool covers(const struct cover *c, const struct nl_link *l, int depth)
{
	if (depth == DEPTH_MAX)
		return false;
	if (nics_wants(c->in, l) || l->ifindex == c->in->tunnel_ifindex)
		return c->is_held(l->ifindex, c->arg);
	if (l->flags & IFF_LOOPBACK)
		return true;
	if (is_port(c->in, l)) /* its packets are the group's; by itself it may be anything tomorrow */
		return false;
	/* a card that carries others', in some configurations; a tunnel without an address, by which packets to another one may come */
	if ((role_of(l) == ROLE_CARD || role_of(l) == ROLE_TUNNEL) && is_auto(c->in))
		return false;
	if (role_of(l) == ROLE_ABOVE) {
		const struct nl_link *lower = nl_links_find(c->in->links, l->lower);

		return lower && covers(c, lower, depth + 1);
	}
	return covers_ports(c, l);
}

bool nics_covers(const struct nic_inputs *in, const struct nl_link *l, nics_held_fn is_held, void *arg)
{
	return covers(&(struct cover){.in = in, .is_held = is_held, .arg = arg}, l, 0);
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
