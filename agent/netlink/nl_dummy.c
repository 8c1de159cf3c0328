/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_dummy.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "netlink/nl_private.h"
#include "netlink/nl_sync.h"
#include "priv/priv.h"

/* Devices that nothing is behind. Small kernels lack the first; the other one serves as well. */
static const char *const kinds[] = {"dummy", "ifb"};

struct dummy {
	struct nl_sync *nl;
	struct nl_link link; /* of the last answer that was one */
};

static int on_part(const struct nlmsghdr *msg, void *arg)
{
	struct dummy *d = arg;

	(void)nl_link_decode(msg, &d->link); /* anything else leaves it as it was */
	return 0;
}

static int ask(struct dummy *d, struct nlmsghdr *msg)
{
	return nl_sync_ask(d->nl, msg, on_part, d, NULL);
}

static struct ifinfomsg *put_link(union nl_buf *q, uint16_t type, uint16_t flags)
{
	memset(q, 0, sizeof(*q));
	mnl_nlmsg_put_header(q);
	q->hdr.nlmsg_type = type;
	q->hdr.nlmsg_flags = flags;
	return mnl_nlmsg_put_extra_header(&q->hdr, sizeof(struct ifinfomsg));
}

static bool is_kind(const char *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

/* -ENODEV if there is none; -EEXIST if it is not ours. */
static int find(struct dummy *d, const char *name, const char *alias)
{
	union nl_buf q;
	int r;

	memset(&d->link, 0, sizeof(d->link));
	(void)put_link(&q, RTM_GETLINK, 0);
	mnl_attr_put_strz(&q.hdr, IFLA_IFNAME, name);
	r = ask(d, &q.hdr);
	if (r < 0)
		return r;
	return is_kind(d->link.kind) && strcmp(d->link.alias, alias) == 0 ? 0 : -EEXIST;
}

static int add_link(struct dummy *d, const char *name, const char *kind)
{
	union nl_buf q;
	struct nlattr *info;

	(void)put_link(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(&q.hdr, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(&q.hdr, IFLA_LINKINFO);
	mnl_attr_put_strz(&q.hdr, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(&q.hdr, info);
	return ask(d, &q.hdr);
}

/* The alias says whose it is; no address of its own making, nobody is on the other side. */
static int mark_link_as(struct dummy *d, const char *name, const char *alias, bool has_ipv6)
{
	union nl_buf q;
	struct nlattr *spec, *v6;

	(void)put_link(&q, RTM_NEWLINK, 0);
	mnl_attr_put_strz(&q.hdr, IFLA_IFNAME, name);
	mnl_attr_put_strz(&q.hdr, IFLA_IFALIAS, alias);
	if (!has_ipv6)
		return ask(d, &q.hdr);
	spec = mnl_attr_nest_start(&q.hdr, IFLA_AF_SPEC);
	v6 = mnl_attr_nest_start(&q.hdr, AF_INET6);
	mnl_attr_put_u8(&q.hdr, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(&q.hdr, v6);
	mnl_attr_nest_end(&q.hdr, spec);
	return ask(d, &q.hdr);
}

static int mark_link(struct dummy *d, const char *name, const char *alias)
{
	int r = mark_link_as(d, name, alias, true);

	return r == -EAFNOSUPPORT ? mark_link_as(d, name, alias, false) : r;
}

/* After that: with it the kernel would make an address at once. */
static int set_up(struct dummy *d, const char *name)
{
	union nl_buf q;
	struct ifinfomsg *ifi = put_link(&q, RTM_NEWLINK, 0);

	ifi->ifi_flags = ifi->ifi_change = IFF_UP | IFF_NOARP;
	mnl_attr_put_strz(&q.hdr, IFLA_IFNAME, name);
	return ask(d, &q.hdr);
}

static int add_address(struct dummy *d, int ifindex, const struct ip *ip)
{
	union nl_buf q = {.hdr = {0}};
	struct ifaddrmsg *ifa;
	int r;

	mnl_nlmsg_put_header(&q);
	q.hdr.nlmsg_type = RTM_NEWADDR;
	q.hdr.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	ifa = mnl_nlmsg_put_extra_header(&q.hdr, sizeof(*ifa));
	ifa->ifa_family = ip->family;
	ifa->ifa_prefixlen = ip_bits(ip);
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	ifa->ifa_index = (unsigned)ifindex;
	mnl_attr_put(&q.hdr, IFA_LOCAL, ip_len(ip), ip->b);
	mnl_attr_put(&q.hdr, IFA_ADDRESS, ip_len(ip), ip->b);
	r = ask(d, &q.hdr);
	return r == -EEXIST ? 0 : r;
}

static int del_link(struct dummy *d, int ifindex)
{
	union nl_buf q;

	put_link(&q, RTM_DELLINK, 0)->ifi_index = ifindex;
	return ask(d, &q.hdr);
}

static bool is_name(const char *name)
{
	return name[0] && strlen(name) < IFNAMSIZ;
}

static int make(struct dummy *d, const char *name, const char *alias, const struct ip *ip)
{
	bool is_made = false;
	int r = find(d, name, alias);

	if (r == -ENODEV) {
		r = -EOPNOTSUPP;
		for (size_t i = 0; r == -EOPNOTSUPP && i < ARRAY_LEN(kinds); i++)
			r = add_link(d, name, kinds[i]);
		is_made = r == 0;
		if (r == 0)
			r = mark_link(d, name, alias);
		if (r == 0)
			r = find(d, name, alias);
	}
	if (r == 0)
		r = set_up(d, name); /* somebody may have set it down */
	if (r == 0)
		r = add_address(d, d->link.ifindex, ip);
	if (r < 0 && is_made && find(d, name, alias) != -ENODEV)
		(void)del_link(d, d->link.ifindex); /* the first failure is what counts */
	return r;
}

int nl_dummy_make(const char *name, const char *alias, const struct ip *ip, int *ret_ifindex)
{
	struct dummy d = {.nl = NULL};
	int r;

	if (priv_is_split()) {
		struct priv_answer a = {.out = NULL};

		r = priv_call(PRIV_NL_DUMMY_MAKE, NULL, 0, -1, &a);
		*ret_ifindex = (int)a.value;
		return r;
	}
	r = is_name(name) ? nl_sync_new(NETLINK_ROUTE, &d.nl) : -EINVAL;
	if (r == 0)
		r = make(&d, name, alias, ip);
	nl_sync_free(d.nl);
	if (r == 0)
		*ret_ifindex = d.link.ifindex;
	return r;
}

int nl_dummy_remove(const char *name, const char *alias)
{
	struct dummy d = {.nl = NULL};
	int r;

	if (priv_is_split())
		return priv_ask(PRIV_NL_DUMMY_REMOVE, NULL, 0, NULL, 0, NULL);
	r = is_name(name) ? nl_sync_new(NETLINK_ROUTE, &d.nl) : -EINVAL;
	if (r == 0)
		r = find(&d, name, alias);
	if (r == 0)
		r = del_link(&d, d.link.ifindex);
	nl_sync_free(d.nl);
	return r == -ENODEV || r == -EEXIST ? 0 : r;
}
