/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/nl_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/cleanup.h"
#include "netlink/nl_private.h"

/* A UDP socket that is not connected is in CLOSE: to end it would move it to another port unseen. */
static const uint32_t connected_states = 1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT | 1U << TCP_FIN_WAIT1 |
					 1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT | 1U << TCP_LAST_ACK | 1U << TCP_CLOSING;

int nl_sock_of(uint8_t family, const struct inet_diag_sockid *id, struct nl_sock *ret)
{
	uint8_t src[16], dst[16];

	if (family != AF_INET && family != AF_INET6)
		return -EINVAL;
	memcpy(src, id->idiag_src, sizeof(src));
	memcpy(dst, id->idiag_dst, sizeof(dst));
	*ret = (struct nl_sock){
		.local = family == AF_INET ? ip_from_bytes(AF_INET, src) : ip_unmapped(src),
		.remote = family == AF_INET ? ip_from_bytes(AF_INET, dst) : ip_unmapped(dst),
		.local_port = ntohs(id->idiag_sport),
		.remote_port = ntohs(id->idiag_dport),
		.cookie = (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0],
		.family = family,
		.id = *id,
	};
	return 0;
}

int nl_sock_decode(const struct nlmsghdr *msg, struct nl_sock *ret)
{
	const struct inet_diag_msg *d = mnl_nlmsg_get_payload(msg);

	if (msg->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -ENOMSG;
	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*d))
		return -EBADMSG;
	if (nl_sock_of(d->idiag_family, &d->id, ret) < 0)
		return -ENOMSG;
	ret->state = d->idiag_state;
	ret->is_closed = d->idiag_inode == 0;
	return 0;
}

static struct inet_diag_req_v2 *put_request(union nl_buf *b, uint16_t type, uint16_t flags, uint8_t family, uint8_t proto)
{
	struct inet_diag_req_v2 *req;

	memset(b, 0, sizeof(*b));
	mnl_nlmsg_put_header(b);
	b->hdr.nlmsg_type = type;
	b->hdr.nlmsg_flags = flags;
	req = mnl_nlmsg_put_extra_header(&b->hdr, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = proto;
	req->idiag_states = connected_states;
	return req;
}

/* One instruction for the kernel: pass what has this peer; the way that fails leads beyond the end. */
static void put_filter(struct nlmsghdr *h, const struct ip *remote, uint16_t port)
{
	struct {
		struct inet_diag_bc_op op;
		struct inet_diag_hostcond cond;
		uint8_t addr[16];
	} __attribute__((packed)) f = {.op = {.code = INET_DIAG_BC_D_COND}};
	size_t len = sizeof(f.op) + sizeof(f.cond) + ip_len(remote);

	f.op.yes = (unsigned char)len;
	f.op.no = (unsigned short)(len + sizeof(f.op));
	f.cond.family = remote->family;
	f.cond.prefix_len = (uint8_t)ip_bits(remote);
	f.cond.port = port;
	memcpy(f.addr, remote->b, ip_len(remote));
	mnl_attr_put(h, INET_DIAG_REQ_BYTECODE, len, &f);
}

int nl_sock_dump(struct nl *nl, uint8_t family, uint8_t proto, const struct ip *remote, uint16_t remote_port,
		 const struct nl_reply *reply)
{
	union nl_buf b;

	if ((family != AF_INET && family != AF_INET6) || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return -EINVAL;
	(void)put_request(&b, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, proto); /* all that a dump needs is set */
	if (remote)
		put_filter(&b.hdr, remote, remote_port);
	return nl_request(nl, &b.hdr, reply);
}

int nl_sock_put_destroy(union nl_buf *b, uint8_t family, uint8_t proto, const struct inet_diag_sockid *id)
{
	if ((family != AF_INET && family != AF_INET6) || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return -EINVAL;
	put_request(b, SOCK_DESTROY, 0, family, proto)->id = *id;
	return 0;
}

int nl_sock_destroy(struct nl *nl, const struct nl_sock *s, uint8_t proto, const struct nl_reply *reply)
{
	const struct nl_change c = {.kind = NL_CHANGE_SOCK_DESTROY, .sock = {.family = s->family, .proto = proto, .id = s->id}};

	return nl_change_request(nl, &c, reply);
}

/* One datagram of a dump: 1 at its end, 0 if there is more. */
static int take_list(const void *data, size_t len, nl_sock_fn fn, void *arg)
{
	const struct nlmsghdr *h;
	size_t at = 0;

	while ((h = nl_next(data, len, &at))) {
		struct nl_sock s;
		int r;

		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			return mnl_nlmsg_get_payload_len(h) >= sizeof(*e) && e->error < 0 ? e->error : -EBADMSG;
		}
		r = nl_sock_decode(h, &s);
		if (r == 0)
			r = fn(&s, arg);
		if (r != 0 && r != -ENOMSG)
			return r;
	}
	return 0;
}

int nl_sock_list(uint8_t family, nl_sock_fn fn, void *arg)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	CLEANUP(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	CLEANUP(free) char *buf = malloc(NL_RECV_BYTES);
	union nl_buf b;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	if (fd < 0 || connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	put_request(&b, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, family, IPPROTO_TCP)->idiag_states |= 1U << TCP_LISTEN;
	if (send(fd, &b, b.hdr.nlmsg_len, 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = recv(fd, buf, NL_RECV_BYTES, 0);

		if (n < 0)
			return -errno;
		r = take_list(buf, (size_t)n, fn, arg);
	}
	return r < 0 ? r : 0;
}
