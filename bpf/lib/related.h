/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * ICMP errors, also those of routers on the way, belong to the flow of the packet that they quote.
 * Stricter than "any error of a peer", and path MTU discovery works whatever the policy says.
 */
#pragma once

#include "conntrack.h"
#include "ipcache.h"

/* Reads the quoted packet, turned around so that it looks like one of direction `dir`. */
INLINE bool related_quoted(struct __sk_buff *skb, const struct pkt *p, struct pkt *q, bool v6)
{
	__u32 off = p->l4_off + 8;
	struct l4 h = {};
	bool is_answer;

	if (v6) {
		struct ip6 ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)))
			return false;
		q->saddr = ip.daddr;
		q->daddr = ip.saddr;
		q->proto = ip.next;
		off += sizeof(ip);
	} else {
		struct ip4 ip;

		if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)))
			return false;
		if (bpf_ntohs(ip.frag) & IPV4_OFFSET)
			return false;
		q->saddr.w[0] = ip.daddr;
		q->daddr.w[0] = ip.saddr;
		q->proto = ip.proto;
		off += (ip.version_ihl & 0xf) * 4U;
	}
	if (parse_l4_need(q->proto)) {
		/* routers need to quote no more than 8 bytes of it */
		if (bpf_skb_load_bytes(skb, off, &h, 8))
			return false;
		q->sport = h.dport;
		q->dport = h.sport;
		if (q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6) {
			q->icmp_type = *(__u8 *)&h;
			if (!parse_icmp_query(q->proto, q->icmp_type, &is_answer))
				return false;
			q->sport = h.w2;
			q->dport = h.w2;
		}
	}
	return true;
}

INLINE bool related_is(struct __sk_buff *skb, const struct mesh_config *c, const struct pkt *p,
		       __u8 dir, bool tunnel, bool v6)
{
	union ct_key k;
	struct pkt q = {};
	__u8 key_dir;

	if (!related_quoted(skb, p, &q, v6))
		return false;
	/* an error about our own tunnel packets */
	if (!tunnel && dir == MESH_INGRESS && c->tunnel_port && q.proto == IPPROTO_UDP &&
	    q.sport == c->tunnel_port)
		return ipcache_is_node(&q.saddr, v6);
	/* the quoted packet went the other way, which decides whose query an ICMP query was */
	key_dir = dir;
	if (!ct_key_fill(&k, &q, key_dir, v6))
		return false;
	if (q.proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		if (v6)
			k.v6.icmp_dir = !k.v6.icmp_dir;
		else
			k.v4.icmp_dir = !k.v4.icmp_dir;
	}
	return ct_find(&k, &q, bpf_jiffies64(), v6) != NULL;
}
