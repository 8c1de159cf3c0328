/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_serve.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "netlink/nl_dummy.h"
#include "netlink/nl_private.h"
#include "netlink/nl_sync.h"

static int open_route(struct nlserve *s)
{
	return s->route ? 0 : nl_sync_new(NETLINK_ROUTE, &s->route);
}

static int on_port(struct priv_request *q, void *arg)
{
	struct nlserve *s = arg;
	int r = open_route(s);

	if (r == 0)
		q->value = nl_sync_port(s->route);
	return r;
}

static int on_link(const struct nlmsghdr *msg, void *arg)
{
	return nl_link_decode(msg, arg);
}

/* A tunnel device in external mode that has our name or our mark. */
static int check_link(struct nlserve *s, int ifindex, struct err *reterr)
{
	union nl_buf b;
	struct nl_link l = {0};
	int r = nl_link_put_get(&b, ifindex);

	if (r == 0)
		r = nl_sync_ask(s->route, &b.hdr, on_link, &l, reterr);
	if (r < 0)
		return r;
	if (!l.is_external || (!str_eq(l.name, s->tunnel_device) && !str_eq(l.alias, s->alias)))
		return err_set(reterr, EPERM, "interface %s is not the agent's", l.name);
	return 0;
}

/* A string that came as an array. */
static bool is_string(const char *s, size_t size)
{
	return strnlen(s, size) < size;
}

static int check_sock(const struct nlserve *s, const struct nl_change *c, struct err *reterr)
{
	struct nl_sock sock;

	if (nl_sock_of(c->sock.family, &c->sock.id, &sock) < 0 || !s->may_destroy(&sock, c->sock.proto, s->arg))
		return err_set(reterr, EPERM, "this connection is not one to a backend");
	return 0;
}

/* Routes are to ranges of nodes. They need no more than that and what nl_change_put() makes of them: our protocol, the main table. */
static int check(struct nlserve *s, const struct nl_change *c, struct err *reterr)
{
	switch ((enum nl_change_kind)c->kind) {
	case NL_CHANGE_TUNNEL_ADD:
		if (!is_string(c->tunnel.name, sizeof(c->tunnel.name)) || !str_eq(c->tunnel.name, s->tunnel_device))
			return err_set(reterr, EPERM, "the one device to make is %s", s->tunnel_device);
		return 0;
	case NL_CHANGE_LINK_SET:
		if (!is_string(c->link.alias, sizeof(c->link.alias)) || (c->link.alias[0] && !str_eq(c->link.alias, s->alias)))
			return err_set(reterr, EPERM, "the one alias to give is \"%s\"", s->alias);
		return check_link(s, c->link.ifindex, reterr);
	case NL_CHANGE_LINK_DEL:
		return check_link(s, c->ifindex, reterr);
	case NL_CHANGE_ROUTE_ADD:
	case NL_CHANGE_ROUTE_REPLACE:
	case NL_CHANGE_ROUTE_DEL:
		return cidr_is_routable(&c->route.dst) ? 0 : err_set(reterr, EPERM, "such routes are not the agent's");
	case NL_CHANGE_SOCK_DESTROY:
		return check_sock(s, c, reterr);
	}
	return -EINVAL;
}

static int on_change(struct priv_request *q, void *arg)
{
	struct nlserve *s = arg;
	struct nl_change c;
	union nl_buf b;
	bool is_sock;
	int r = open_route(s);

	memcpy(&c, q->in, sizeof(c));
	is_sock = c.kind == NL_CHANGE_SOCK_DESTROY;
	if (r == 0)
		r = check(s, &c, &q->err);
	if (r == 0)
		r = nl_change_put(&c, &b);
	if (r == 0 && is_sock && !s->sock)
		r = nl_sync_new(NETLINK_SOCK_DIAG, &s->sock);
	return r < 0 ? r : nl_sync_ask(is_sock ? s->sock : s->route, &b.hdr, NULL, NULL, &q->err);
}

static int on_dummy_make(struct priv_request *q, void *arg)
{
	const struct nlserve *s = arg;
	int ifindex = 0, r = nl_dummy_make(s->dummy_device, s->dummy_alias, &s->dummy_ip, &ifindex);

	q->value = (uint32_t)ifindex;
	return r;
}

static int on_dummy_remove(struct priv_request *q, void *arg)
{
	const struct nlserve *s = arg;

	(void)q;
	return nl_dummy_remove(s->dummy_device, s->dummy_alias);
}

const struct priv_op nlserve_ops[] = {
	{.code = PRIV_NL_PORT, .fn = on_port},
	{.code = PRIV_NL_CHANGE, .size = sizeof(struct nl_change), .fn = on_change},
	{.code = PRIV_NL_DUMMY_MAKE, .fn = on_dummy_make},
	{.code = PRIV_NL_DUMMY_REMOVE, .fn = on_dummy_remove},
};
const size_t nlserve_n_ops = ARRAY_LEN(nlserve_ops);
