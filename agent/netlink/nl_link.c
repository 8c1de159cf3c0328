/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/rng.h"
#include "base/str.h"
#include "netlink/nl_attr.h"
#include "netlink/nl_private.h"

/* The flags whose change is news; IFF_PROMISC and the like come and go with tcpdump. */
enum { LINK_FLAGS_STATE = IFF_UP | IFF_RUNNING | IFF_LOOPBACK | IFF_NOARP };

static int decode_tunnel(const struct nlattr *data, struct nl_link *l)
{
	const struct nlattr *tb[IFLA_VXLAN_COLLECT_METADATA + 1]; /* the larger of both */
	bool is_vxlan = str_eq(l->kind, "vxlan");
	uint8_t on = 1;
	int r;

	if (!is_vxlan && !str_eq(l->kind, "geneve"))
		return 0;
	r = nl_attr_index_nested(data, tb, (uint16_t)(ARRAY_LEN(tb) - 1));
	if (r < 0)
		return r;
	if (!is_vxlan) { /* a flag without value */
		l->is_external = tb[IFLA_GENEVE_COLLECT_METADATA] != NULL;
		return nl_attr_be16(tb[IFLA_GENEVE_PORT], &l->tunnel_port);
	}
	r = nl_attr_u8(tb[IFLA_VXLAN_COLLECT_METADATA], &on);
	if (r < 0)
		return r;
	l->is_external = tb[IFLA_VXLAN_COLLECT_METADATA] && on;
	return nl_attr_be16(tb[IFLA_VXLAN_PORT], &l->tunnel_port);
}

static int decode_info(const struct nlattr *info, struct nl_link *l)
{
	const struct nlattr *tb[IFLA_INFO_DATA + 1];
	int r = nl_attr_index_nested(info, tb, IFLA_INFO_DATA);

	if (r < 0)
		return r;
	nl_attr_str(tb[IFLA_INFO_KIND], l->kind, sizeof(l->kind));
	return tb[IFLA_INFO_DATA] ? decode_tunnel(tb[IFLA_INFO_DATA], l) : 0;
}

/* Per-family settings: an array of the IPv4 ones in the order of IPV4_DEVCONF_*, from 1. */
static int decode_families(const struct nlattr *spec, struct nl_link *l)
{
	const struct nlattr *family[AF_INET6 + 1], *in[IFLA_INET_CONF + 1], *in6[IFLA_INET6_ADDR_GEN_MODE + 1];
	const size_t at = (IPV4_DEVCONF_RP_FILTER - 1) * sizeof(uint32_t);
	uint8_t mode;
	int r = nl_attr_index_nested(spec, family, AF_INET6);

	if (r < 0)
		return r;
	if (family[AF_INET]) {
		r = nl_attr_index_nested(family[AF_INET], in, IFLA_INET_CONF);
		if (r < 0)
			return r;
		if (in[IFLA_INET_CONF] && in[IFLA_INET_CONF]->nla_len >= sizeof(struct nlattr) + at + 4)
			memcpy(&l->rp_filter, (const char *)(in[IFLA_INET_CONF] + 1) + at, 4);
	}
	if (family[AF_INET6]) {
		r = nl_attr_index_nested(family[AF_INET6], in6, IFLA_INET6_ADDR_GEN_MODE);
		if (r < 0)
			return r;
		if (in6[IFLA_INET6_ADDR_GEN_MODE]) {
			r = nl_attr_u8(in6[IFLA_INET6_ADDR_GEN_MODE], &mode);
			if (r < 0)
				return r;
			l->addr_gen_mode = mode;
		}
	}
	return 0;
}

int nl_link_decode(const struct nlmsghdr *msg, struct nl_link *ret)
{
	const struct nlattr *tb[IFLA_LINK_NETNSID + 1];
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(msg);
	struct nl_link l = {.rp_filter = -1, .addr_gen_mode = -1};
	int r;

	if (msg->nlmsg_type != RTM_NEWLINK && msg->nlmsg_type != RTM_DELLINK)
		return -ENOMSG;
	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*ifi))
		return -EBADMSG;
	if (ifi->ifi_family != AF_UNSPEC)
		return -ENOMSG;
	r = nl_attr_index(msg, sizeof(*ifi), tb, IFLA_LINK_NETNSID);
	if (r < 0)
		return r;
	if (ifi->ifi_index <= 0 || !tb[IFLA_IFNAME])
		return -EBADMSG;
	l.ifindex = ifi->ifi_index;
	l.flags = ifi->ifi_flags;
	l.type = ifi->ifi_type;
	nl_attr_str(tb[IFLA_IFNAME], l.name, sizeof(l.name));
	nl_attr_str(tb[IFLA_IFALIAS], l.alias, sizeof(l.alias));
	l.has_far_peer = tb[IFLA_LINK_NETNSID] != NULL;
	if (nl_attr_int(tb[IFLA_MASTER], &l.master) < 0 || nl_attr_u32(tb[IFLA_MTU], &l.mtu) < 0 ||
	    nl_attr_u8(tb[IFLA_OPERSTATE], &l.operstate) < 0)
		return -EBADMSG;
	if (!l.has_far_peer && nl_attr_int(tb[IFLA_LINK], &l.lower) < 0)
		return -EBADMSG;
	if (tb[IFLA_LINKINFO]) {
		r = decode_info(tb[IFLA_LINKINFO], &l);
		if (r < 0)
			return r;
	}
	if (tb[IFLA_AF_SPEC]) {
		r = decode_families(tb[IFLA_AF_SPEC], &l);
		if (r < 0)
			return r;
	}
	*ret = l;
	return 0;
}

_Static_assert((int)IFLA_VXLAN_COLLECT_METADATA >= (int)IFLA_GENEVE_COLLECT_METADATA, "tb of decode_tunnel()");

/* RTM_NEWNETCONF: tells when someone (udev with sysctl.d files) sets the filter of an interface. */
static int apply_netconf(struct nl_links *t, const struct nlmsghdr *msg)
{
	const struct nlattr *tb[NETCONFA_RP_FILTER + 1];
	const struct netconfmsg *nc = mnl_nlmsg_get_payload(msg);
	int ifindex = 0, rp_filter = -1;
	struct nl_link *l;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*nc))
		return -EBADMSG;
	if (nc->ncm_family != AF_INET)
		return -ENOMSG;
	if (nl_attr_index(msg, sizeof(*nc), tb, NETCONFA_RP_FILTER) < 0 ||
	    nl_attr_int(tb[NETCONFA_IFINDEX], &ifindex) < 0 || nl_attr_int(tb[NETCONFA_RP_FILTER], &rp_filter) < 0)
		return -EBADMSG;
	l = (struct nl_link *)nl_links_find(t, ifindex); /* our own table */
	if (!l || rp_filter < 0 || l->rp_filter == rp_filter)
		return 0;
	l->rp_filter = rp_filter;
	return NL_LINK_OTHER;
}

/* The position of `ifindex`, or where it belongs. */
static size_t links_at(const struct nl_links *t, int ifindex)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->v[mid].ifindex < ifindex)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int change_mask(const struct nl_link *a, const struct nl_link *b)
{
	int mask = 0;

	if (!str_eq(a->name, b->name))
		mask |= NL_LINK_RENAMED;
	if ((a->flags & LINK_FLAGS_STATE) != (b->flags & LINK_FLAGS_STATE) || a->operstate != b->operstate)
		mask |= NL_LINK_STATE;
	if (a->mtu != b->mtu)
		mask |= NL_LINK_MTU;
	if (a->master != b->master || a->lower != b->lower || a->has_far_peer != b->has_far_peer ||
	    a->type != b->type || !str_eq(a->kind, b->kind) || !str_eq(a->alias, b->alias) ||
	    a->is_external != b->is_external || a->tunnel_port != b->tunnel_port ||
	    a->rp_filter != b->rp_filter || a->addr_gen_mode != b->addr_gen_mode)
		mask |= NL_LINK_OTHER;
	return mask;
}

int nl_links_apply(struct nl_links *t, const struct nlmsghdr *msg, struct nl_link *ret_old)
{
	struct nl_link l;
	size_t at;
	bool is_known;
	int r;

	if (msg->nlmsg_type == RTM_NEWNETCONF)
		return apply_netconf(t, msg);
	r = nl_link_decode(msg, &l);
	if (r < 0)
		return r;
	at = links_at(t, l.ifindex);
	is_known = at < t->n && t->v[at].ifindex == l.ifindex;
	if (ret_old)
		*ret_old = is_known ? t->v[at] : (struct nl_link){0};
	if (msg->nlmsg_type == RTM_DELLINK) {
		if (!is_known)
			return 0;
		nl_links_remove(t, l.ifindex);
		return NL_LINK_REMOVED;
	}
	if (!is_known) {
		r = ARRAY_RESERVE(t, 1);
		if (r < 0)
			return r;
		memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof(*t->v));
		t->v[at] = l;
		t->n++;
		return NL_LINK_ADDED;
	}
	/* Some notifications leave the per-family part out: that is no news. */
	if (l.rp_filter < 0)
		l.rp_filter = t->v[at].rp_filter;
	if (l.addr_gen_mode < 0)
		l.addr_gen_mode = t->v[at].addr_gen_mode;
	r = change_mask(&t->v[at], &l);
	t->v[at] = l;
	return r;
}

const struct nl_link *nl_links_find(const struct nl_links *t, int ifindex)
{
	size_t at = links_at(t, ifindex);

	return at < t->n && t->v[at].ifindex == ifindex ? &t->v[at] : NULL;
}

const struct nl_link *nl_links_find_name(const struct nl_links *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (str_eq(t->v[i].name, name))
			return &t->v[i];
	return NULL;
}

void nl_links_remove(struct nl_links *t, int ifindex)
{
	size_t at = links_at(t, ifindex);

	if (at == t->n || t->v[at].ifindex != ifindex)
		return;
	t->n--;
	memmove(t->v + at, t->v + at + 1, (t->n - at) * sizeof(*t->v));
}

void nl_links_done(struct nl_links *t)
{
	ARRAY_DONE(t);
}

static struct ifinfomsg *put_link(union nl_buf *b, uint16_t type, uint16_t flags)
{
	struct ifinfomsg *ifi;

	memset(b, 0, sizeof(*b));
	mnl_nlmsg_put_header(b);
	b->hdr.nlmsg_type = type;
	b->hdr.nlmsg_flags = flags;
	ifi = mnl_nlmsg_put_extra_header(&b->hdr, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	return ifi;
}

int nl_link_dump(struct nl *nl, const struct nl_reply *reply)
{
	union nl_buf b;

	(void)put_link(&b, RTM_GETLINK, NLM_F_DUMP); /* all interfaces */
	mnl_attr_put_u32(&b.hdr, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nl_request(nl, &b.hdr, reply);
}

/* What the kernel takes as a name, and no more: dev_valid_name(). */
static bool is_name(const char *name)
{
	size_t n = strnlen(name, IFNAMSIZ);

	return n > 0 && n < IFNAMSIZ && !str_eq(name, ".") && !str_eq(name, "..") &&
	       strcspn(name, "/: \t\n\v\f\r") == n;
}

int nl_link_get(struct nl *nl, const char *name, const struct nl_reply *reply)
{
	union nl_buf b;

	if (!is_name(name))
		return -EINVAL;
	(void)put_link(&b, RTM_GETLINK, 0); /* found by name */
	/* Without asking to skip the statistics: kernels before 5.12 then leave out addr_gen_mode, too. */
	mnl_attr_put_strz(&b.hdr, IFLA_IFNAME, name);
	return nl_request(nl, &b.hdr, reply);
}

int nl_link_received(const struct nlmsghdr *msg, uint64_t *ret)
{
	const struct nlattr *tb[IFLA_STATS64 + 1];
	/* kernels differ in how many follow */
	const size_t at = offsetof(struct rtnl_link_stats64, rx_packets);
	int r;

	if (msg->nlmsg_type != RTM_NEWLINK)
		return -ENOMSG;
	r = nl_attr_index(msg, sizeof(struct ifinfomsg), tb, IFLA_STATS64);
	if (r < 0)
		return r;
	if (!tb[IFLA_STATS64])
		return -ENOMSG;
	if (mnl_attr_get_payload_len(tb[IFLA_STATS64]) < at + sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, (const char *)mnl_attr_get_payload(tb[IFLA_STATS64]) + at, sizeof(*ret));
	return 0;
}

const char *nl_tunnel_kind_str(enum nl_tunnel_kind kind)
{
	switch (kind) {
	case NL_TUNNEL_VXLAN:
		return "vxlan";
	case NL_TUNNEL_GENEVE:
		return "geneve";
	case NL_TUNNEL_NONE:
		break;
	}
	return "none";
}

static void put_vxlan(struct nlmsghdr *h, uint16_t port)
{
	mnl_attr_put_u8(h, IFLA_VXLAN_COLLECT_METADATA, 1);
	mnl_attr_put_u8(h, IFLA_VXLAN_LEARNING, 0);
	mnl_attr_put_u16(h, IFLA_VXLAN_PORT, htons(port));
	mnl_attr_put_u8(h, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
}

static void put_geneve(struct nlmsghdr *h, uint16_t port)
{
	mnl_attr_put(h, IFLA_GENEVE_COLLECT_METADATA, 0, NULL);
	mnl_attr_put_u16(h, IFLA_GENEVE_PORT, htons(port));
	mnl_attr_put_u8(h, IFLA_GENEVE_UDP_ZERO_CSUM6_RX, 1);
}

int nl_link_put_get(union nl_buf *b, int ifindex)
{
	if (ifindex <= 0)
		return -EINVAL;
	put_link(b, RTM_GETLINK, 0)->ifi_index = ifindex;
	return 0;
}

int nl_link_put_tunnel(union nl_buf *b, const struct nl_tunnel *t)
{
	struct ifinfomsg *ifi;
	struct nlattr *info, *data;
	uint8_t mac[6];

	if (!is_name(t->name) || (t->kind != NL_TUNNEL_VXLAN && t->kind != NL_TUNNEL_GENEVE) || t->port == 0)
		return -EINVAL;
	rng_bytes(mac, sizeof(mac));
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* unicast, locally administered */
	ifi = put_link(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	ifi->ifi_flags = IFF_NOARP;
	ifi->ifi_change = IFF_NOARP;
	mnl_attr_put_strz(&b->hdr, IFLA_IFNAME, t->name);
	mnl_attr_put(&b->hdr, IFLA_ADDRESS, sizeof(mac), mac);
	if (t->mtu)
		mnl_attr_put_u32(&b->hdr, IFLA_MTU, t->mtu);
	info = mnl_attr_nest_start(&b->hdr, IFLA_LINKINFO);
	mnl_attr_put_strz(&b->hdr, IFLA_INFO_KIND, nl_tunnel_kind_str(t->kind));
	data = mnl_attr_nest_start(&b->hdr, IFLA_INFO_DATA);
	if (t->kind == NL_TUNNEL_VXLAN)
		put_vxlan(&b->hdr, t->port);
	else
		put_geneve(&b->hdr, t->port);
	mnl_attr_nest_end(&b->hdr, data);
	mnl_attr_nest_end(&b->hdr, info);
	return 0;
}

int nl_link_put_del(union nl_buf *b, int ifindex)
{
	if (ifindex <= 0)
		return -EINVAL;
	put_link(b, RTM_DELLINK, 0)->ifi_index = ifindex;
	return 0;
}

int nl_link_put_set(union nl_buf *b, const struct nl_link_set *s)
{
	struct ifinfomsg *ifi = put_link(b, RTM_NEWLINK, 0);
	struct nlattr *spec, *family, *conf;

	if (s->ifindex <= 0 || strnlen(s->alias, sizeof(s->alias)) == sizeof(s->alias))
		return -EINVAL;
	ifi->ifi_index = s->ifindex;
	if (s->set_up) {
		ifi->ifi_change = IFF_UP;
		ifi->ifi_flags = s->is_up ? IFF_UP : 0;
	}
	if (s->mtu)
		mnl_attr_put_u32(&b->hdr, IFLA_MTU, s->mtu);
	if (s->alias[0])
		mnl_attr_put_str(&b->hdr, IFLA_IFALIAS, s->alias);
	if (s->set_rp_filter_loose || s->set_no_ipv6_autoconf) {
		spec = mnl_attr_nest_start(&b->hdr, IFLA_AF_SPEC);
		if (s->set_rp_filter_loose) {
			family = mnl_attr_nest_start(&b->hdr, AF_INET);
			conf = mnl_attr_nest_start(&b->hdr, IFLA_INET_CONF);
			mnl_attr_put_u32(&b->hdr, IPV4_DEVCONF_RP_FILTER, 2);
			mnl_attr_nest_end(&b->hdr, conf);
			mnl_attr_nest_end(&b->hdr, family);
		}
		if (s->set_no_ipv6_autoconf) {
			family = mnl_attr_nest_start(&b->hdr, AF_INET6);
			mnl_attr_put_u8(&b->hdr, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
			mnl_attr_nest_end(&b->hdr, family);
		}
		mnl_attr_nest_end(&b->hdr, spec);
	}
	return 0;
}

int nl_link_add_tunnel(struct nl *nl, const struct nl_tunnel *t, const struct nl_reply *reply)
{
	return nl_change_request(nl, &(struct nl_change){.kind = NL_CHANGE_TUNNEL_ADD, .tunnel = *t}, reply);
}

int nl_link_del(struct nl *nl, int ifindex, const struct nl_reply *reply)
{
	return nl_change_request(nl, &(struct nl_change){.kind = NL_CHANGE_LINK_DEL, .ifindex = ifindex}, reply);
}

int nl_link_change(struct nl *nl, const struct nl_link_set *s, const struct nl_reply *reply)
{
	return nl_change_request(nl, &(struct nl_change){.kind = NL_CHANGE_LINK_SET, .link = *s}, reply);
}
