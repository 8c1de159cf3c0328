/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tunnel: the VNI is the identity of the sender. Nothing is believed that the maps contradict. */
#pragma once

#include <stddef.h>

#include "ipcache.h"

/* Up to tunnel_label: what every kernel since 4.20 accepts. */
#define TUNNEL_KEY_SIZE 28

struct tunnel_info {
	__u32 vni;
	__u32 outer4; /* host order; 0 = IPv6 */
	union addr outer;
	bool outer_v6;
};

/* 0 or a drop reason. */
INLINE int tunnel_read(struct __sk_buff *skb, struct tunnel_info *t)
{
	struct bpf_tunnel_key k = {};

	if (bpf_skb_get_tunnel_key(skb, &k, TUNNEL_KEY_SIZE, 0) == 0) {
		t->outer4 = k.remote_ipv4;
		t->outer.w[0] = bpf_htonl(k.remote_ipv4);
	} else if (bpf_skb_get_tunnel_key(skb, &k, TUNNEL_KEY_SIZE, BPF_F_TUNINFO_IPV6) == 0) {
		memcpy(t->outer.b, k.remote_ipv6, 16);
		t->outer_v6 = true;
	} else {
		return MESH_DROP_TUNNEL_NO_KEY;
	}
	t->vni = k.tunnel_id;
	return 0;
}

/* 0 or a drop reason; `info` then holds the identity that counts. */
INLINE int tunnel_check(const struct mesh_config *c, const struct tunnel_info *t,
			struct mesh_ipinfo *info, bool v6)
{
	bool is_node = info->flags & MESH_IP_NODE || info->identity == ID_REMOTE_NODE ||
		       info->identity == ID_KUBE_APISERVER;

	if (!ipcache_is_node(&t->outer, t->outer_v6))
		return MESH_DROP_TUNNEL_UNKNOWN_NODE;
	switch (t->vni) {
	case ID_HOST:
		return MESH_DROP_TUNNEL_HOST;
	case ID_REMOTE_NODE:
	case ID_KUBE_APISERVER:
		return is_node ? 0 : MESH_DROP_TUNNEL_REMOTE_NODE;
	case ID_WORLD:
		/* a client outside, through a node that put its own address there */
		if (!is_node)
			return MESH_DROP_TUNNEL_WORLD;
		info->identity = v6 ? c->world_v6 : c->world_v4;
		return 0;
	}
	if (t->vni == c->world_v4 || t->vni == c->world_v6) /* no node sends these: ID_WORLD stands for both */
		return MESH_DROP_TUNNEL_WORLD;
	return info->identity == t->vni ? 0 : MESH_DROP_TUNNEL_IDENTITY;
}

/* Addresses the packet to the node with our identity. 0 or a drop reason. */
INLINE int tunnel_send(struct __sk_buff *skb, const struct mesh_config *c, __u32 node)
{
	const struct mesh_node *n = bpf_map_lookup_elem(&mesh_nodes, &node);
	struct bpf_tunnel_key k = {.tunnel_id = c->identity, .tunnel_ttl = 64};
	__u64 flags = BPF_F_ZERO_CSUM_TX;
	const __u32 *v6;

	if (!n || !node)
		return MESH_DROP_NO_TUNNEL_ENDPOINT;
	v6 = (const __u32 *)n->v6;
	if (n->v4) {
		k.remote_ipv4 = bpf_ntohl(n->v4);
	} else if (v6[0] | v6[1] | v6[2] | v6[3]) {
		memcpy(k.remote_ipv6, n->v6, 16);
		flags = BPF_F_TUNINFO_IPV6;
	} else {
		return MESH_DROP_NO_TUNNEL_ENDPOINT;
	}
	if (bpf_skb_set_tunnel_key(skb, &k, TUNNEL_KEY_SIZE, flags))
		return MESH_DROP_TUNNEL_SET;
	/* tells the program on the interface below that the agent made this packet */
	skb->mark = (skb->mark & ~c->overlay_mask) | c->overlay_mark;
	return 0;
}
