/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_change.h"

#include <errno.h>

#include "netlink/nl_private.h"
#include "priv/priv.h"

int nl_change_put(const struct nl_change *c, union nl_buf *b)
{
	switch ((enum nl_change_kind)c->kind) {
	case NL_CHANGE_TUNNEL_ADD:
		return nl_link_put_tunnel(b, &c->tunnel);
	case NL_CHANGE_LINK_SET:
		return nl_link_put_set(b, &c->link);
	case NL_CHANGE_LINK_DEL:
		return nl_link_put_del(b, c->ifindex);
	case NL_CHANGE_ROUTE_ADD:
	case NL_CHANGE_ROUTE_REPLACE:
	case NL_CHANGE_ROUTE_DEL:
		return nl_route_put(b, (enum nl_change_kind)c->kind, &c->route);
	case NL_CHANGE_SOCK_DESTROY:
		return nl_sock_put_destroy(b, c->sock.family, c->sock.proto, &c->sock.id);
	}
	return -EINVAL;
}

int nl_change_request(struct nl *nl, const struct nl_change *c, const struct nl_reply *reply)
{
	union nl_buf b;
	int r = nl_change_put(c, &b);

	if (r < 0)
		return r;
	return priv_is_split() ? nl_request_other(nl, c, reply) : nl_request(nl, &b.hdr, reply);
}
