/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as messages of rtnetlink and sock_diag: tables stay sorted and texts end. */
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>

#include "fuzz.h"
#include "netlink/nl_addr.h"
#include "netlink/nl_attr.h"
#include "netlink/nl_link.h"
#include "netlink/nl_private.h"
#include "netlink/nl_route.h"
#include "netlink/nl_sock.h"

const unsigned replay_runs = 20000;

static const uint16_t types[] = {RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNETCONF,
				 SOCK_DIAG_BY_FAMILY};

struct tables {
	struct nl_links links;
	struct nl_addrs addrs;
};

static void check_links(const struct nl_links *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct nl_link *l = &t->v[i];

		CHECK(l->ifindex > 0 && (i == 0 || t->v[i - 1].ifindex < l->ifindex) && nl_links_find(t, l->ifindex) == l);
		CHECK(strnlen(l->name, sizeof(l->name)) < sizeof(l->name) && strnlen(l->kind, sizeof(l->kind)) < sizeof(l->kind) &&
		      strnlen(l->alias, sizeof(l->alias)) < sizeof(l->alias) && nl_links_find_name(t, l->name));
	}
}

static void take(struct tables *t, const struct nlmsghdr *h)
{
	const struct nlattr *tb[8];
	struct nl_route x, y;
	struct nl_sock sock;
	struct nl_link old;
	uint64_t n;
	int r;

	if (nl_links_apply(&t->links, h, &old) > 0)
		check_links(&t->links);
	CHECK(nl_link_received(h, &n) <= 0);
	if (nl_addrs_apply(&t->addrs, h) > 0)
		for (size_t i = 0; i < t->addrs.n; i++) {
			const struct nl_addr *a = &t->addrs.v[i];

			CHECK(a->ifindex > 0 && a->len <= ip_bits(&a->ip));
			CHECK(nl_addrs_have(&t->addrs, &a->ip) || !nl_addr_is_usable(a));
		}
	if (nl_route_decode(h, &x) == 0) {
		CHECK(x.dst.len <= ip_bits(&x.dst.ip));
		(void)nl_route_same(&x, &x); /* true only for what we would make */
		y = x;
		cidr_mask(&y.dst);
		CHECK(cidr_cmp(&x.dst, &y.dst) == 0);
	}
	if (nl_sock_decode(h, &sock) == 0)
		CHECK((sock.family == AF_INET || sock.family == AF_INET6) && sock.remote.family);
	r = nl_attr_index(h, 0, tb, 7);
	CHECK(r == 0 || r == -EBADMSG);
	for (size_t i = 0; r == 0 && i < 8; i++) {
		const struct nlattr *nested[4];
		uint16_t port = 0;
		char text[6];

		if (!tb[i])
			continue;
		(void)nl_attr_index_nested(tb[i], nested, 3); /* either is fine, as below */
		(void)nl_attr_be16(tb[i], &port);
		nl_attr_str(tb[i], text, sizeof(text));
		CHECK(strnlen(text, sizeof(text)) < sizeof(text));
	}
}

/* The messages as they are, each by itself, so that sanitizers see reads past it. */
static void as_datagram(struct tables *t, const uint8_t *data, size_t size)
{
	char *all = malloc(size ? size : 1);
	const struct nlmsghdr *h;
	size_t at = 0;

	CHECK(all);
	if (size)
		memcpy(all, data, size);
	while ((h = nl_next(all, size, &at))) {
		struct nlmsghdr *one = malloc(h->nlmsg_len);

		CHECK(one && at <= size);
		memcpy(one, h, h->nlmsg_len);
		take(t, one);
		free(one);
	}
	free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tables t = {0};
	struct nlmsghdr *h;

	if (size > NL_RECV_BYTES)
		return 0;
	as_datagram(&t, data, size);
	h = malloc(size > sizeof(*h) ? size : sizeof(*h));
	CHECK(h);
	if (size)
		memcpy(h, data, size);
	if (size >= sizeof(*h)) { /* and as one message of a type that is looked at */
		h->nlmsg_len = (uint32_t)size;
		h->nlmsg_type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
		take(&t, h);
	}
	nl_links_done(&t.links);
	nl_addrs_done(&t.addrs);
	free(h);
	return 0;
}
