/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink/nl_attr.h"
#include "netlink/nl_private.h"

int nl_route_decode(const struct nlmsghdr *msg, struct nl_route *ret)
{
	const struct nlattr *tb[RTA_VIA + 1], *metrics[RTAX_MTU + 1];
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(msg);
	struct nl_route x = {0};
	int r;

	if (msg->nlmsg_type != RTM_NEWROUTE && msg->nlmsg_type != RTM_DELROUTE)
		return -ENOMSG;
	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*rtm))
		return -EBADMSG;
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return -ENOMSG;
	r = nl_attr_index(msg, sizeof(*rtm), tb, RTA_VIA);
	if (r < 0)
		return r;
	x.dst.ip.family = rtm->rtm_family;
	x.dst.len = rtm->rtm_dst_len;
	x.table = rtm->rtm_table;
	x.protocol = rtm->rtm_protocol;
	x.type = rtm->rtm_type;
	/* A gateway of the other family and several next hops are nothing that we make. */
	x.is_multipath = tb[RTA_MULTIPATH] || tb[RTA_VIA];
	if (nl_attr_ip(tb[RTA_DST], rtm->rtm_family, &x.dst.ip) < 0 ||
	    nl_attr_ip(tb[RTA_GATEWAY], rtm->rtm_family, &x.via) < 0 ||
	    nl_attr_ip(tb[RTA_PREFSRC], rtm->rtm_family, &x.src) < 0 || nl_attr_int(tb[RTA_OIF], &x.oif) < 0 ||
	    nl_attr_u32(tb[RTA_PRIORITY], &x.metric) < 0 || nl_attr_u32(tb[RTA_TABLE], &x.table) < 0)
		return -EBADMSG;
	if (x.dst.len > ip_bits(&x.dst.ip))
		return -EBADMSG;
	if (tb[RTA_METRICS]) {
		r = nl_attr_index_nested(tb[RTA_METRICS], metrics, RTAX_MTU);
		if (r == 0)
			r = nl_attr_u32(metrics[RTAX_MTU], &x.mtu);
		if (r < 0)
			return r;
	}
	cidr_mask(&x.dst);
	*ret = x;
	return 0;
}

static void put_ip(struct nlmsghdr *h, uint16_t type, const struct ip *ip)
{
	if (ip->family)
		mnl_attr_put(h, type, ip_len(ip), ip->b);
}

static struct rtmsg *put_route(union nl_buf *b, uint16_t type, uint16_t flags, int family)
{
	struct rtmsg *rtm;

	memset(b, 0, sizeof(*b));
	mnl_nlmsg_put_header(b);
	b->hdr.nlmsg_type = type;
	b->hdr.nlmsg_flags = flags;
	rtm = mnl_nlmsg_put_extra_header(&b->hdr, sizeof(*rtm));
	rtm->rtm_family = (unsigned char)family;
	return rtm;
}

int nl_route_put(union nl_buf *b, enum nl_change_kind kind, const struct nl_route *x)
{
	uint16_t type = kind == NL_CHANGE_ROUTE_DEL ? RTM_DELROUTE : RTM_NEWROUTE;
	uint16_t flags = type == RTM_DELROUTE ? 0 : kind == NL_CHANGE_ROUTE_ADD ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE | NLM_F_REPLACE;
	int family = x->dst.ip.family;
	struct rtmsg *rtm;
	struct nlattr *metrics;

	if ((family != AF_INET && family != AF_INET6) || x->dst.len > ip_bits(&x->dst.ip) ||
	    (x->via.family && x->via.family != family) || (x->src.family && x->src.family != family))
		return -EINVAL;
	rtm = put_route(b, type, flags, family);
	rtm->rtm_dst_len = x->dst.len;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = NL_RTPROT_MESH;
	if (type == RTM_NEWROUTE) {
		rtm->rtm_type = RTN_UNICAST;
		rtm->rtm_scope = x->via.family || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	} else {
		rtm->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	}
	put_ip(&b->hdr, RTA_DST, &x->dst.ip);
	put_ip(&b->hdr, RTA_GATEWAY, &x->via);
	if (type == RTM_NEWROUTE)
		put_ip(&b->hdr, RTA_PREFSRC, &x->src);
	if (x->oif)
		mnl_attr_put_u32(&b->hdr, RTA_OIF, (uint32_t)x->oif);
	mnl_attr_put_u32(&b->hdr, RTA_PRIORITY, type == RTM_NEWROUTE ? nl_route_metric(family) : x->metric);
	if (x->mtu && type == RTM_NEWROUTE) {
		metrics = mnl_attr_nest_start(&b->hdr, RTA_METRICS);
		mnl_attr_put_u32(&b->hdr, RTAX_MTU, x->mtu);
		mnl_attr_nest_end(&b->hdr, metrics);
	}
	return 0;
}

static int change(struct nl *nl, enum nl_change_kind kind, const struct nl_route *r, const struct nl_reply *reply)
{
	return nl_change_request(nl, &(struct nl_change){.kind = kind, .route = *r}, reply);
}

int nl_route_add(struct nl *nl, const struct nl_route *r, const struct nl_reply *reply)
{
	return change(nl, NL_CHANGE_ROUTE_ADD, r, reply);
}

int nl_route_replace(struct nl *nl, const struct nl_route *r, const struct nl_reply *reply)
{
	return change(nl, NL_CHANGE_ROUTE_REPLACE, r, reply);
}

int nl_route_del(struct nl *nl, const struct nl_route *r, const struct nl_reply *reply)
{
	return change(nl, NL_CHANGE_ROUTE_DEL, r, reply);
}

int nl_route_dump(struct nl *nl, int family, const struct nl_reply *reply)
{
	union nl_buf b;
	struct rtmsg *rtm = put_route(&b, RTM_GETROUTE, NLM_F_DUMP, family);

	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = NL_RTPROT_MESH;
	mnl_attr_put_u32(&b.hdr, RTA_TABLE, RT_TABLE_MAIN);
	return nl_request(nl, &b.hdr, reply);
}

int nl_route_get(struct nl *nl, const struct ip *target, const struct nl_reply *reply)
{
	union nl_buf b;
	struct rtmsg *rtm;

	if (target->family != AF_INET && target->family != AF_INET6)
		return -EINVAL;
	rtm = put_route(&b, RTM_GETROUTE, 0, target->family);
	rtm->rtm_dst_len = ip_bits(target);
	put_ip(&b.hdr, RTA_DST, target);
	return nl_request(nl, &b.hdr, reply);
}

bool nl_route_same(const struct nl_route *want, const struct nl_route *have)
{
	return cidr_cmp(&want->dst, &have->dst) == 0 && ip_eq(&want->via, &have->via) &&
	       ip_eq(&want->src, &have->src) && want->mtu == have->mtu && !have->is_multipath &&
	       (want->oif == 0 || want->oif == have->oif) && have->type == RTN_UNICAST &&
	       have->metric == nl_route_metric(have->dst.ip.family);
}
