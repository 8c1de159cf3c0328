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
#include <unistd.h>

#include "base/macro.h"
#include "netlink/nl_link.h"
#include "netlink/nl_private.h"

enum { REQUEST_MAX = 512, ANSWER_MAX = 16384 };

/* Devices that nothing is behind. Small kernels lack the first; the other one serves as well. */
static const char *const kinds[] = {"dummy", "ifb"};

union request {
	struct nlmsghdr hdr;
	char bytes[REQUEST_MAX];
};

struct dummy {
	int fd;
	struct nl_link link; /* of the last answer that was one */
	union {
		struct nlmsghdr hdr;
		char bytes[ANSWER_MAX];
	} in;
};

static int open_socket(void)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	CLEANUP(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 || connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ? -errno : TAKE_FD(fd);
}

/* Sends, and reads until the end of the answer. */
static int ask(struct dummy *d, struct nlmsghdr *msg)
{
	msg->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	msg->nlmsg_seq = 1; /* one at a time, on a socket of our own */
	if (send(d->fd, msg, msg->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(d->fd, &d->in, sizeof(d->in), 0);
		const struct nlmsghdr *h;
		size_t at = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		while ((h = nl_next(&d->in, (size_t)n, &at))) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type == NLMSG_ERROR)
				return mnl_nlmsg_get_payload_len(h) < sizeof(*e) ? -EBADMSG : e->error;
			(void)nl_link_decode(h, &d->link); /* anything else leaves it as it was */
		}
	}
}

static struct ifinfomsg *put_link(union request *q, uint16_t type, uint16_t flags)
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
	union request q;
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
	union request q;
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
	union request q;
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
	union request q;
	struct ifinfomsg *ifi = put_link(&q, RTM_NEWLINK, 0);

	ifi->ifi_flags = ifi->ifi_change = IFF_UP | IFF_NOARP;
	mnl_attr_put_strz(&q.hdr, IFLA_IFNAME, name);
	return ask(d, &q.hdr);
}

static int add_address(struct dummy *d, int ifindex, const struct ip *ip)
{
	union request q = {.hdr = {0}};
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
	union request q;

	put_link(&q, RTM_DELLINK, 0)->ifi_index = ifindex;
	return ask(d, &q.hdr);
}

static bool is_name(const char *name)
{
	return name[0] && strlen(name) < IFNAMSIZ;
}

int nl_dummy_make(const char *name, const char *alias, const struct ip *ip, int *ret_ifindex)
{
	struct dummy d = {.fd = is_name(name) ? open_socket() : -EINVAL};
	int r = d.fd, made = 0;

	if (r < 0)
		return r;
	r = find(&d, name, alias);
	if (r == -ENODEV) {
		r = -EOPNOTSUPP;
		for (size_t i = 0; r == -EOPNOTSUPP && i < ARRAY_LEN(kinds); i++)
			r = add_link(&d, name, kinds[i]);
		made = r == 0;
		if (r == 0)
			r = mark_link(&d, name, alias);
		if (r == 0)
			r = find(&d, name, alias);
	}
	if (r == 0)
		r = set_up(&d, name); /* somebody may have set it down */
	if (r == 0)
		r = add_address(&d, d.link.ifindex, ip);
	if (r < 0 && made && find(&d, name, alias) != -ENODEV)
		(void)del_link(&d, d.link.ifindex); /* the first failure is what counts */
	(void)close(d.fd); /* nothing is buffered */
	if (r == 0)
		*ret_ifindex = d.link.ifindex;
	return r;
}

int nl_dummy_remove(const char *name, const char *alias)
{
	struct dummy d = {.fd = is_name(name) ? open_socket() : -EINVAL};
	int r = d.fd;

	if (r < 0)
		return r;
	r = find(&d, name, alias);
	if (r == 0)
		r = del_link(&d, d.link.ifindex);
	(void)close(d.fd); /* as above */
	return r == -ENODEV || r == -EEXIST ? 0 : r;
}
