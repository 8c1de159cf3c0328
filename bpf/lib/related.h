/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors, also those of routers on the way, belong to the flow of the packet that they quote, and go to who
 * sent that. Stricter than "any error of a peer", and path MTU discovery works whatever the policy says.
 */
#pragma once

#include "conntrack.h"
#include "failsafe.h"
#include "ipcache.h"

/* The quoted IP header, in the order of the packet. False: it cannot be followed. */
INLINE bool related_ip4(struct __sk_buff *skb, struct ext_walk *w, struct pkt *q)
{
	struct ip4 ip;
	__u16 frag;

	if (parse_load(skb, w->off, &ip, sizeof(ip)))
		return false;
	q->saddr.w[0] = ip.saddr;
	q->daddr.w[0] = ip.daddr;
	frag = bpf_ntohs(ip.frag);
	w->offset = frag & IPV4_OFFSET;
	w->next = ip.proto;
	w->off += (ip.version_ihl & 0xf) * 4U;
	if (w->offset) {
		q->frag = FRAG_LATER;
		q->frag_id = ip.id;
		q->frag_proto = ip.proto;
	}
	return true;
}

INLINE bool related_ip6(struct __sk_buff *skb, struct ext_walk *w, struct pkt *q)
{
	struct ip6 ip;

	if (parse_load(skb, w->off, &ip, sizeof(ip)))
		return false;
	q->saddr = ip.saddr;
	q->daddr = ip.daddr;
	w->next = ip.next;
	w->off += sizeof(ip);
	return parse_ext(skb, w, q) == 0;
}

/*
 * Reads the quoted packet, turned around so that it looks like one of direction `dir`. A fragment that is
 * not the first has the ports that were noted when the first one went out.
 */
INLINE bool related_quoted(struct __sk_buff *skb, const struct pkt *p, struct pkt *q, __u8 dir, bool v6)
{
	struct ext_walk w = {.off = p->l4_off + 8};
	union addr from;
	struct l4 h = {};
	bool is_answer;
	__be16 port;

	if (v6 ? !related_ip6(skb, &w, q) : !related_ip4(skb, &w, q))
		return false;
	q->proto = w.next;
	if (q->frag == FRAG_LATER) {
		if (fragment_complete(q, !dir, w.offset, v6))
			return false;
	} else if (parse_l4_need(q->proto)) {
		/* routers need to quote no more than 8 bytes of it */
		if (parse_load(skb, w.off, &h, 8))
			return false;
		q->sport = h.sport;
		q->dport = h.dport;
		if (q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6) {
			q->icmp_type = *(__u8 *)&h;
			q->sport = h.w2;
			q->dport = h.w2;
		}
	}
	if ((q->proto == IPPROTO_ICMP || q->proto == IPPROTO_ICMPV6) &&
	    !parse_icmp_query(q->proto, q->icmp_type, &is_answer))
		return false;
	from = q->saddr;
	q->saddr = q->daddr;
	q->daddr = from;
	port = q->sport;
	q->sport = q->dport;
	q->dport = port;
	return true;
}

INLINE bool related_is(struct __sk_buff *skb, const struct mesh_config *c, const struct pkt *p,
		       __u8 dir, bool tunnel, bool v6)
{
	union ct_key k;
	struct pkt q = {};

	if (!related_quoted(skb, p, &q, dir, v6))
		return false;
	/* Quoting one flow that is allowed would else be a way to every address behind here (as CVE-2019-5598). */
	if (!addr_eq(&p->daddr, &q.daddr, v6))
		return false;
	/* an error about our own tunnel packets */
	if (!tunnel && dir == MESH_INGRESS && c->tunnel_port && q.proto == IPPROTO_UDP &&
	    q.sport == c->tunnel_port)
		return ipcache_is_node(&q.saddr, v6);
	if (!ct_key_fill(&k, &q, dir, v6))
		return false;
	/* the quoted packet went the other way, which decides whose query an ICMP query was */
	if (q.proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		if (v6)
			k.v6.icmp_dir = !k.v6.icmp_dir;
		else
			k.v4.icmp_dir = !k.v4.icmp_dir;
	}
	if (ct_find(&k, &q, bpf_jiffies64(), v6))
		return true;
	/* what the failsafe set lets in has no entry */
	return !tunnel && dir == MESH_INGRESS && q.proto == IPPROTO_TCP &&
	       failsafe_find(c, dir, q.proto, &q.saddr, q.dport, v6);
}
