/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs for the sockets of the host: services are resolved when a socket connects or sends. */
#include "lib/backstop.h"
#include "lib/dns.h"
#include "lib/service.h"

#define AF_INET6 10

INLINE bool is_balanced(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

INLINE void key4(struct bpf_sock_addr *ctx, struct mesh_svc_key *k)
{
	__be32 w[4] = {0, 0, bpf_htonl(0xffff), ctx->user_ip4};

	memcpy(k->addr, w, 16);
	k->port = (__be16)ctx->user_port;
	k->proto = (__u8)ctx->protocol;
	k->scope = MESH_SVC_ADDRESS;
}

INLINE void key6(struct bpf_sock_addr *ctx, struct mesh_svc_key *k)
{
	__be32 w[4];

	w[0] = ctx->user_ip6[0];
	w[1] = ctx->user_ip6[1];
	w[2] = ctx->user_ip6[2];
	w[3] = ctx->user_ip6[3];
	memcpy(k->addr, w, 16);
	k->port = (__be16)ctx->user_port;
	k->proto = (__u8)ctx->protocol;
	k->scope = MESH_SVC_ADDRESS;
}

INLINE void set6(struct bpf_sock_addr *ctx, const __u8 addr[16], __be16 port)
{
	__be32 w[4];

	memcpy(w, addr, 16);
	ctx->user_ip6[0] = w[0];
	ctx->user_ip6[1] = w[1];
	ctx->user_ip6[2] = w[2];
	ctx->user_ip6[3] = w[3];
	ctx->user_port = port;
}

/*
 * A socket that is bound to a device would not reach the agent's server, which is on the loopback device. Nor would the agent reach
 * an IPv6 link-local server: the interface is not among what is noted of it.
 */
INLINE bool dns_leaves_alone(struct bpf_sock_addr *ctx, const struct mesh_dns *d, const __u8 addr[16])
{
	__u32 user = (__u32)bpf_get_current_uid_gid();
	int i;

	if (!ctx->sk || ctx->sk->bound_dev_if > 1 || (addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80))
		return true;
	if (d->mark && (ctx->sk->mark & ~MESH_DNS_ALLOWED) == d->mark)
		return true;
#pragma unroll
	for (i = 0; i < MESH_DNS_USERS; i++)
		if (user && user == d->users[i])
			return true;
#pragma unroll
	for (i = 0; i < MESH_DNS_OWN; i++)
		if (addr_same(d->own[i], addr))
			return true;
	return false;
}

INLINE bool addr_is_v4(const __u8 addr[16])
{
	const __u32 *w = (const __u32 *)addr;

	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

/* Whether the socket's query goes to the agent's server, and where that is. */
INLINE bool dns_redirect(struct bpf_sock_addr *ctx, const struct mesh_svc_key *k, struct mesh_svc_slot *ret)
{
	const struct mesh_dns *d;
	bool is_v4;

	if (!dns_is_query(k->proto, k->port) || !sock_config(ctx, MESH_STATE_DNS))
		return false;
	d = dns_config();
	if (!d)
		return false;
	is_v4 = addr_is_v4(k->addr);
	if (!(is_v4 ? d->port4 : d->port6) || dns_leaves_alone(ctx, d, k->addr))
		return false;
	ret->port = is_v4 ? d->port4 : d->port6;
	memcpy(ret->addr, is_v4 ? d->addr4 : d->addr6, 16);
	service_remember(ctx, k, MESH_SVC_ADDRESS, ret, MESH_SVC_DNS);
	count(MESH_PASS_DNS_REDIRECT, MESH_EGRESS, 0);
	return true;
}

INLINE int forward4(struct bpf_sock_addr *ctx, bool is_datagram)
{
	struct mesh_svc_slot b = {};
	struct mesh_svc_key k;
	__be32 v4;

	if (!is_balanced(ctx->protocol))
		return SOCK_ALLOW;
	key4(ctx, &k);
	switch (dns_redirect(ctx, &k, &b) ? SERVICE_FOUND : service_translate(ctx, &k, &b, is_datagram)) {
	case SERVICE_NONE:
		return SOCK_ALLOW;
	case SERVICE_REFUSED:
		return SOCK_DENY;
	case SERVICE_FOUND:
		memcpy(&v4, b.addr + 12, 4);
		ctx->user_ip4 = v4;
		ctx->user_port = b.port;
	}
	return SOCK_ALLOW;
}

INLINE int forward6(struct bpf_sock_addr *ctx, bool is_datagram)
{
	struct mesh_svc_slot b = {};
	struct mesh_svc_key k;

	if (!is_balanced(ctx->protocol))
		return SOCK_ALLOW;
	key6(ctx, &k);
	switch (dns_redirect(ctx, &k, &b) ? SERVICE_FOUND : service_translate(ctx, &k, &b, is_datagram)) {
	case SERVICE_NONE:
		return SOCK_ALLOW;
	case SERVICE_REFUSED:
		return SOCK_DENY;
	case SERVICE_FOUND:
		set6(ctx, b.addr, b.port);
	}
	return SOCK_ALLOW;
}

INLINE int reverse4(struct bpf_sock_addr *ctx)
{
	struct mesh_sock_rev rv;
	struct mesh_svc_key k;
	__be32 v4;

	if (!is_balanced(ctx->protocol))
		return SOCK_ALLOW;
	key4(ctx, &k);
	if (service_reverse(ctx, &k, &rv)) {
		memcpy(&v4, rv.addr + 12, 4);
		ctx->user_ip4 = v4;
		ctx->user_port = rv.port;
	}
	return SOCK_ALLOW;
}

INLINE int reverse6(struct bpf_sock_addr *ctx)
{
	struct mesh_sock_rev rv;
	struct mesh_svc_key k;

	if (!is_balanced(ctx->protocol))
		return SOCK_ALLOW;
	key6(ctx, &k);
	if (service_reverse(ctx, &k, &rv))
		set6(ctx, rv.addr, rv.port);
	return SOCK_ALLOW;
}

SEC("cgroup/connect4")
int mesh_connect4(struct bpf_sock_addr *ctx)
{
	return forward4(ctx, false);
}

SEC("cgroup/connect6")
int mesh_connect6(struct bpf_sock_addr *ctx)
{
	return forward6(ctx, false);
}

SEC("cgroup/sendmsg4")
int mesh_sendmsg4(struct bpf_sock_addr *ctx)
{
	return forward4(ctx, true);
}

SEC("cgroup/sendmsg6")
int mesh_sendmsg6(struct bpf_sock_addr *ctx)
{
	return forward6(ctx, true);
}

SEC("cgroup/recvmsg4")
int mesh_recvmsg4(struct bpf_sock_addr *ctx)
{
	return reverse4(ctx);
}

SEC("cgroup/recvmsg6")
int mesh_recvmsg6(struct bpf_sock_addr *ctx)
{
	return reverse6(ctx);
}

SEC("cgroup/getpeername4")
int mesh_getpeername4(struct bpf_sock_addr *ctx)
{
	return reverse4(ctx);
}

SEC("cgroup/getpeername6")
int mesh_getpeername6(struct bpf_sock_addr *ctx)
{
	return reverse6(ctx);
}

/*
 * A socket is closed. What it was told of its service goes with it, so that the table holds those that live
 * and long connections are not pushed out by the many short ones. What a socket sent without being connected
 * is not known here and gives way with time.
 */
SEC("cgroup/sock_release")
int mesh_sock_release(struct bpf_sock *ctx)
{
	struct mesh_sock_rev_key k = {.port = (__be16)ctx->dst_port, .proto = (__u8)ctx->protocol};
	/* volatile: a load from a chosen offset is what the verifier does not take */
	const volatile struct bpf_sock *sk = ctx;
	__be32 w[4] = {0, 0, bpf_htonl(0xffff), sk->dst_ip4};

	if (!k.port || !is_balanced(ctx->protocol))
		return SOCK_ALLOW;
	if (ctx->family == AF_INET6) {
		w[0] = sk->dst_ip6[0];
		w[1] = sk->dst_ip6[1];
		w[2] = sk->dst_ip6[2];
		w[3] = sk->dst_ip6[3];
	}
	memcpy(k.addr, w, 16);
	k.cookie = bpf_get_socket_cookie(ctx);
	/* most are not there, and a look-up takes no lock */
	if (bpf_map_lookup_elem(&mesh_sock_rev, &k))
		bpf_map_delete_elem(&mesh_sock_rev, &k);
	return SOCK_ALLOW;
}

SEC("sk_lookup")
int mesh_backstop(struct bpf_sk_lookup *ctx)
{
	return backstop(ctx);
}

char mesh_license[] SEC("license") = "Dual BSD/GPL";
