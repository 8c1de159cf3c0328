/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders against whole, cut and lying messages; no socket. */
#include <criterion/criterion.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "netlink/nl_addr.h"
#include "netlink/nl_attr.h"
#include "netlink/nl_link.h"
#include "netlink/nl_route.h"
#include "netlink/nl_sock.h"

static struct nlmsghdr *begin(union nl_buf *b, uint16_t type, const void *extra, size_t len)
{
	memset(b, 0, sizeof(*b));
	mnl_nlmsg_put_header(b);
	b->hdr.nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(&b->hdr, len), extra, len);
	return &b->hdr;
}

static struct nlmsghdr *vxlan_link(union nl_buf *b)
{
	struct ifinfomsg ifi = {.ifi_index = 7, .ifi_flags = IFF_UP, .ifi_type = 1};
	struct nlmsghdr *h = begin(b, RTM_NEWLINK, &ifi, sizeof(ifi));
	struct nlattr *info, *data;

	mnl_attr_put_strz(h, IFLA_IFNAME, "mesh_tun");
	mnl_attr_put_u32(h, IFLA_MTU, 1450);
	mnl_attr_put_strz(h, IFLA_IFALIAS, "mesh-external-agent");
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "vxlan");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u8(h, IFLA_VXLAN_COLLECT_METADATA, 1);
	mnl_attr_put_u16(h, IFLA_VXLAN_PORT, htons(8472));
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return h;
}

Test(nl_link, received_packets)
{
	const struct rtnl_link_stats64 stats = {.rx_packets = 77, .tx_packets = 5};
	uint64_t n = 0;
	union nl_buf b;
	struct nlmsghdr *h = vxlan_link(&b);

	cr_expect_eq(nl_link_received(h, &n), -ENOMSG);
	mnl_attr_put(h, IFLA_STATS64, sizeof(stats.rx_packets) - 1, &stats);
	cr_expect_eq(nl_link_received(h, &n), -EBADMSG);
	cr_expect_eq(n, 0);
	h = vxlan_link(&b);
	mnl_attr_put(h, IFLA_STATS64, sizeof(stats), &stats);
	cr_assert_eq(nl_link_received(h, &n), 0);
	cr_expect_eq(n, 77);
	h->nlmsg_type = RTM_DELLINK;
	cr_expect_eq(nl_link_received(h, &n), -ENOMSG);
}

Test(nl_link, decodes_a_tunnel)
{
	union nl_buf b;
	struct nl_link l;

	cr_assert_eq(nl_link_decode(vxlan_link(&b), &l), 0);
	cr_assert_eq(l.ifindex, 7);
	cr_assert_str_eq(l.name, "mesh_tun");
	cr_assert_str_eq(l.kind, "vxlan");
	cr_assert_str_eq(l.alias, "mesh-external-agent");
	cr_assert(l.is_external);
	cr_assert_eq(l.tunnel_port, 8472);
	cr_assert_eq(l.mtu, 1450u);
	cr_assert_eq(l.rp_filter, -1);
}

/* Details of a bridge port come as links of family AF_BRIDGE; their deletion does not delete the link. */
Test(nl_link, bridge_port_details_are_no_links)
{
	union nl_buf b;
	struct nl_links t = {0};
	struct nlmsghdr *h = vxlan_link(&b);

	cr_assert_eq(nl_links_apply(&t, h, NULL), NL_LINK_ADDED);
	h->nlmsg_type = RTM_DELLINK;
	((struct ifinfomsg *)mnl_nlmsg_get_payload(h))->ifi_family = AF_BRIDGE;
	cr_assert_eq(nl_links_apply(&t, h, NULL), -ENOMSG);
	cr_assert_eq(t.n, 1u);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(h))->ifi_family = AF_UNSPEC;
	cr_assert_eq(nl_links_apply(&t, h, NULL), NL_LINK_REMOVED);
	cr_assert_eq(t.n, 0u);
	nl_links_done(&t);
}

Test(nl_link, says_what_changed)
{
	union nl_buf b;
	struct nl_links t = {0};
	struct nl_link old;
	struct netconfmsg nc = {.ncm_family = AF_INET};
	struct nlmsghdr *h = vxlan_link(&b);

	cr_assert_eq(nl_links_apply(&t, h, &old), NL_LINK_ADDED);
	cr_assert_eq(nl_links_apply(&t, h, &old), 0);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(h))->ifi_flags = 0;
	cr_assert_eq(nl_links_apply(&t, h, &old), NL_LINK_STATE);
	cr_assert(old.flags & IFF_UP);
	mnl_attr_put_u32(h, IFLA_MTU, 1400);
	mnl_attr_put_strz(h, IFLA_IFNAME, "other");
	cr_assert_eq(nl_links_apply(&t, h, &old), NL_LINK_RENAMED | NL_LINK_MTU);
	cr_assert_str_eq(nl_links_find(&t, 7)->name, "other");
	cr_assert_null(nl_links_find_name(&t, "mesh_tun"));
	h = begin(&b, RTM_NEWNETCONF, &nc, sizeof(nc));
	mnl_attr_put_u32(h, NETCONFA_IFINDEX, 7);
	mnl_attr_put_u32(h, NETCONFA_RP_FILTER, 1);
	cr_assert_eq(nl_links_apply(&t, h, NULL), NL_LINK_OTHER);
	cr_assert_eq(nl_links_find(&t, 7)->rp_filter, 1);
	nl_links_done(&t);
}

Test(nl_link, stays_sorted)
{
	static const int order[] = {5, 1, 9, 3, 7, 2, 8};
	struct nl_links t = {0};
	union nl_buf b;
	size_t i;

	for (i = 0; i < 7; i++) {
		struct nlmsghdr *h = vxlan_link(&b);

		((struct ifinfomsg *)mnl_nlmsg_get_payload(h))->ifi_index = order[i];
		cr_assert_eq(nl_links_apply(&t, h, NULL), NL_LINK_ADDED);
	}
	for (i = 1; i < t.n; i++)
		cr_assert_lt(t.v[i - 1].ifindex, t.v[i].ifindex);
	nl_links_remove(&t, 9);
	nl_links_remove(&t, 1);
	nl_links_remove(&t, 4);
	cr_assert_eq(t.n, 5u);
	cr_assert_null(nl_links_find(&t, 9));
	cr_assert_not_null(nl_links_find(&t, 8));
	nl_links_done(&t);
}

/* Each prefix of a message, in memory of just that size, so that a sanitizer sees any read past the end. */
static void cut_everywhere(const struct nlmsghdr *h)
{
	uint32_t len;

	for (len = NLMSG_HDRLEN; len <= h->nlmsg_len; len++) {
		struct nlmsghdr *m = malloc(len);
		struct nl_link l;
		struct nl_addr a;
		struct nl_route x;

		cr_assert_not_null(m);
		memcpy(m, h, len);
		m->nlmsg_len = len;
		(void)nl_link_decode(m, &l); /* any answer, no crash */
		(void)nl_addr_decode(m, &a);
		(void)nl_route_decode(m, &x);
		free(m);
	}
}

static struct nlmsghdr *route(union nl_buf *b)
{
	struct rtmsg rtm = {.rtm_family = AF_INET, .rtm_dst_len = 24, .rtm_table = RT_TABLE_MAIN,
			    .rtm_protocol = NL_RTPROT_MESH, .rtm_type = RTN_UNICAST};
	struct nlmsghdr *h = begin(b, RTM_NEWROUTE, &rtm, sizeof(rtm));
	struct nlattr *m;

	mnl_attr_put(h, RTA_DST, 4, (uint8_t[]){10, 244, 1, 9});
	mnl_attr_put(h, RTA_PREFSRC, 4, (uint8_t[]){172, 31, 0, 2});
	mnl_attr_put_u32(h, RTA_OIF, 7);
	m = mnl_attr_nest_start(h, RTA_METRICS);
	mnl_attr_put_u32(h, RTAX_MTU, 1400);
	mnl_attr_nest_end(h, m);
	return h;
}

Test(nl_route, decodes)
{
	union nl_buf b;
	struct nl_route x;
	char text[CIDR_STRLEN];

	cr_assert_eq(nl_route_decode(route(&b), &x), 0);
	cr_assert_str_eq(cidr_str(&x.dst, text), "10.244.1.0/24");
	cr_assert_eq(x.oif, 7);
	cr_assert_eq(x.mtu, 1400u);
	cr_assert_eq(x.src.b[0], 172);
	cr_assert_eq(x.protocol, NL_RTPROT_MESH);
	cr_assert(nl_route_same(&x, &x));
}

Test(nl_route, refuses_what_does_not_fit)
{
	union nl_buf b;
	struct nl_route x;
	struct nlmsghdr *h = route(&b);

	((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_dst_len = 33;
	cr_assert_eq(nl_route_decode(h, &x), -EBADMSG);
	h = route(&b);
	((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_family = AF_INET6; /* with four-byte addresses */
	cr_assert_eq(nl_route_decode(h, &x), -EBADMSG);
	h = route(&b);
	((struct rtmsg *)mnl_nlmsg_get_payload(h))->rtm_family = AF_MPLS;
	cr_assert_eq(nl_route_decode(h, &x), -ENOMSG);
}

Test(nl_addr, table)
{
	union nl_buf b;
	struct ifaddrmsg ifa = {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 2};
	struct nlmsghdr *h = begin(&b, RTM_NEWADDR, &ifa, sizeof(ifa));
	struct nl_addrs t = {0};
	struct ip ours = {.family = AF_INET, .b = {192, 0, 2, 1}};

	mnl_attr_put(h, IFA_ADDRESS, 4, (uint8_t[]){192, 0, 2, 99}); /* the other end */
	mnl_attr_put(h, IFA_LOCAL, 4, (uint8_t[]){192, 0, 2, 1});
	cr_assert_eq(nl_addrs_apply(&t, h), 1);
	cr_assert_eq(nl_addrs_apply(&t, h), 0);
	cr_assert(nl_addrs_have(&t, &ours));
	mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_TENTATIVE);
	cr_assert_eq(nl_addrs_apply(&t, h), 1);
	cr_assert(!nl_addrs_have(&t, &ours));
	cut_everywhere(h);
	h->nlmsg_type = RTM_DELADDR;
	cr_assert_eq(nl_addrs_apply(&t, h), 1);
	cr_assert_eq(t.n, 0u);
	nl_addrs_done(&t);
}

Test(nl_attr, every_cut_is_harmless)
{
	union nl_buf b;

	cut_everywhere(vxlan_link(&b));
	cut_everywhere(route(&b));
}

Test(nl_attr, refuses_lengths_that_lie)
{
	union nl_buf b;
	const struct nlattr *tb[IFLA_MTU + 1];
	struct nlmsghdr *h = vxlan_link(&b);
	struct nlattr *first = (struct nlattr *)mnl_nlmsg_get_payload_offset(h, sizeof(struct ifinfomsg));

	first->nla_len = 0;
	cr_assert_eq(nl_attr_index(h, sizeof(struct ifinfomsg), tb, IFLA_MTU), -EBADMSG);
	first->nla_len = 3;
	cr_assert_eq(nl_attr_index(h, sizeof(struct ifinfomsg), tb, IFLA_MTU), -EBADMSG);
	first->nla_len = UINT16_MAX;
	cr_assert_eq(nl_attr_index(h, sizeof(struct ifinfomsg), tb, IFLA_MTU), -EBADMSG);
	cr_assert_eq(nl_attr_index(h, 4096, tb, IFLA_MTU), -EBADMSG);
}

static struct nlmsghdr *socket_of(union nl_buf *b, uint8_t family, const char *remote)
{
	struct inet_diag_msg d = {.idiag_family = family, .idiag_inode = 4711};
	struct ip ip;

	cr_assert_eq(ip_parse(remote, &ip), 0);
	memcpy(d.id.idiag_dst, ip.b, ip_len(&ip));
	d.id.idiag_dport = htons(8080);
	d.id.idiag_sport = htons(40000);
	d.id.idiag_cookie[0] = 0x89abcdef;
	d.id.idiag_cookie[1] = 0x01234567;
	return begin(b, SOCK_DIAG_BY_FAMILY, &d, sizeof(d));
}

Test(nl_sock, decodes_a_socket)
{
	static const struct {
		uint8_t family;
		const char *remote, *want;
	} cases[] = {
		{AF_INET, "10.244.1.17", "10.244.1.17"},
		{AF_INET6, "fd00:1::17", "fd00:1::17"},
		{AF_INET6, "::ffff:10.244.1.17", "10.244.1.17"}, /* a socket for both that talks IPv4 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[IP_STRLEN];
		struct nl_sock s;
		union nl_buf b;

		cr_assert_eq(nl_sock_decode(socket_of(&b, cases[i].family, cases[i].remote), &s), 0);
		cr_expect_str_eq(ip_str(&s.remote, text), cases[i].want);
		cr_expect_eq(s.remote_port, 8080);
		cr_expect_eq(s.cookie, 0x0123456789abcdefULL);
		cr_expect_eq(s.family, cases[i].family);
		cr_expect(!s.is_closed);
		cr_expect_eq(ntohs(s.id.idiag_sport), 40000);
	}
}

Test(nl_sock, refuses_others)
{
	union nl_buf b;
	struct nlmsghdr *h = socket_of(&b, AF_INET, "10.244.1.17");
	struct nl_sock s;

	((struct inet_diag_msg *)mnl_nlmsg_get_payload(h))->idiag_inode = 0;
	cr_assert_eq(nl_sock_decode(h, &s), 0);
	cr_expect(s.is_closed);
	h->nlmsg_len -= 4;
	cr_expect_eq(nl_sock_decode(h, &s), -EBADMSG);
	h = socket_of(&b, AF_INET, "10.244.1.17");
	h->nlmsg_type = SOCK_DESTROY;
	cr_expect_eq(nl_sock_decode(h, &s), -ENOMSG);
	h = socket_of(&b, AF_UNIX, "10.244.1.17");
	cr_expect_eq(nl_sock_decode(h, &s), -ENOMSG);
}
