/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_addr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/array.h"
#include "netlink/nl_attr.h"

int nl_addr_decode(const struct nlmsghdr *msg, struct nl_addr *ret)
{
	const struct nlattr *tb[IFA_FLAGS + 1];
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(msg);
	struct nl_addr a = {0};
	int r;

	if (msg->nlmsg_type != RTM_NEWADDR && msg->nlmsg_type != RTM_DELADDR)
		return -ENOMSG;
	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*ifa))
		return -EBADMSG;
	if (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6)
		return -ENOMSG;
	r = nl_attr_index(msg, sizeof(*ifa), tb, IFA_FLAGS);
	if (r < 0)
		return r;
	a.flags = ifa->ifa_flags;
	a.len = ifa->ifa_prefixlen;
	a.scope = ifa->ifa_scope;
	/* On point-to-point links IFA_ADDRESS is the other end and IFA_LOCAL ours. */
	r = nl_attr_ip(tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], ifa->ifa_family, &a.ip);
	if (r == 0)
		r = nl_attr_u32(tb[IFA_FLAGS], &a.flags);
	if (r < 0)
		return r;
	if (!a.ip.family || a.len > ip_bits(&a.ip) || ifa->ifa_index == 0 || ifa->ifa_index > INT32_MAX)
		return -EBADMSG;
	a.ifindex = (int)ifa->ifa_index;
	*ret = a;
	return 0;
}

static int addr_cmp(const struct nl_addr *a, const struct nl_addr *b)
{
	if (a->ifindex != b->ifindex)
		return a->ifindex < b->ifindex ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return ip_cmp(&a->ip, &b->ip);
}

int nl_addrs_apply(struct nl_addrs *t, const struct nlmsghdr *msg)
{
	struct nl_addr a;
	size_t at = 0;
	bool is_known;
	int r = nl_addr_decode(msg, &a);

	if (r < 0)
		return r;
	while (at < t->n && addr_cmp(&t->v[at], &a) < 0)
		at++;
	is_known = at < t->n && addr_cmp(&t->v[at], &a) == 0;
	if (msg->nlmsg_type == RTM_DELADDR) {
		if (!is_known)
			return 0;
		t->n--;
		memmove(t->v + at, t->v + at + 1, (t->n - at) * sizeof(*t->v));
		return 1;
	}
	if (is_known) {
		r = t->v[at].flags != a.flags || t->v[at].scope != a.scope;
		t->v[at] = a;
		return r;
	}
	r = ARRAY_RESERVE(t, 1);
	if (r < 0)
		return r;
	memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof(*t->v));
	t->v[at] = a;
	t->n++;
	return 1;
}

bool nl_addr_is_usable(const struct nl_addr *a)
{
	if (a->flags & IFA_F_DADFAILED)
		return false;
	return !(a->flags & IFA_F_TENTATIVE) || (a->flags & IFA_F_OPTIMISTIC);
}

bool nl_addr_is_temporary(const struct nl_addr *a)
{
	return a->ip.family == AF_INET6 && (a->flags & IFA_F_TEMPORARY);
}

bool nl_addrs_have(const struct nl_addrs *t, const struct ip *ip)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (ip_eq(&t->v[i].ip, ip) && nl_addr_is_usable(&t->v[i]))
			return true;
	return false;
}

void nl_addrs_done(struct nl_addrs *t)
{
	ARRAY_DONE(t);
}

int nl_addr_dump(struct nl *nl, const struct nl_reply *reply)
{
	union nl_buf b = {0};
	struct ifaddrmsg *ifa;

	mnl_nlmsg_put_header(&b);
	b.hdr.nlmsg_type = RTM_GETADDR;
	b.hdr.nlmsg_flags = NLM_F_DUMP;
	ifa = mnl_nlmsg_put_extra_header(&b.hdr, sizeof(*ifa));
	ifa->ifa_family = AF_UNSPEC;
	return nl_request(nl, &b.hdr, reply);
}
