/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Headers up to the ports. The frame's length is checked by bpf_skb_load_bytes(), which also reads beyond
 * the linear part; nothing is made writable, as that would copy cloned packets. What lies behind the
 * length in the IP header is no part of the packet, though it is in the frame: nothing is read there.
 */
#pragma once

#include <stddef.h>

#include "fragment.h"

#define ICMP_ECHO_REPLY	  0
#define ICMP_UNREACH	  3
#define ICMP_ECHO	  8
#define ICMP_TIME_EXCEED  11
#define ICMP_PARAM	  12
#define ICMP6_UNREACH	  1
#define ICMP6_PARAM	  4
#define ICMP6_ECHO	  128
#define ICMP6_ECHO_REPLY  129
#define IPV4_MF		  0x2000
#define IPV4_OFFSET	  0x1fff
#define MAX_EXT_HEADERS	  4
#define MAX_IP_LENGTH	  65535
#define TCP_HEADER_BYTES  20
#define PULL_SLACK	  128 /* outer headers and the next one */

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct ip4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 len;
	__be16 id;
	__be16 frag;
	__u8 ttl;
	__u8 proto;
	__be16 check;
	__be32 saddr;
	__be32 daddr;
};

struct ip6 {
	__be32 version_flow;
	__be16 len;
	__u8 next;
	__u8 hops;
	union addr saddr;
	union addr daddr;
};

/* Ports, and what TCP has up to its flags; ICMP: type, code, checksum, identifier. */
struct l4 {
	__be16 sport;
	__be16 dport;
	__be16 w2;
	__be16 w3;
	__u8 rest[5];
	__u8 tcp_flags;
};

/*
 * Whether frames begin with an Ethernet header. User space loads the programs twice, the second time
 * without, for tunnels and other interfaces that have IP only.
 */
const volatile bool has_link_header = true;

/*
 * From the IP header on: some drivers leave outer headers in front of it. The helper reads no further than
 * the linear part, which is enlarged if it must be: here that is rare.
 */
INLINE int parse_load_net(struct __sk_buff *skb, __u32 off, void *to, __u32 len)
{
	__u32 want = off + len + PULL_SLACK;

	if (bpf_skb_load_bytes_relative(skb, off, to, len, BPF_HDR_START_NET) == 0)
		return 0;
	if (bpf_skb_pull_data(skb, want < skb->len ? want : skb->len))
		return -1;
	return (int)bpf_skb_load_bytes_relative(skb, off, to, len, BPF_HDR_START_NET);
}

/* `off` counts from the beginning of the frame, where it has a link header; else from the IP header. */
INLINE int parse_load(struct __sk_buff *skb, __u32 off, void *to, __u32 len)
{
	if (has_link_header)
		return (int)bpf_skb_load_bytes(skb, off, to, len);
	return parse_load_net(skb, off, to, len);
}

/*
 * The ethertype behind the VLAN tags that are still in the frame, and where its header begins. Read
 * from the frame: skb->protocol is what the sender of a packet socket says that it is.
 * A drop reason (positive) if there are too many tags.
 */
INLINE int parse_l2(struct __sk_buff *skb, __be16 *ethertype, __u32 *l3_off)
{
	const struct ethhdr *eth = (const void *)(long)skb->data;
	__u32 off = ETH_HLEN;
	struct vlan_tag tag;
	__be16 proto;
	int i;

	if (!has_link_header) {
		*ethertype = (__be16)skb->protocol;
		*l3_off = 0;
		/* nothing but IP belongs here, whatever a packet socket says; the version is checked later */
		return *ethertype == bpf_htons(ETH_P_IP) || *ethertype == bpf_htons(ETH_P_IPV6) ?
			       0 : MESH_DROP_ETHERTYPE;
	}
	if ((const void *)(eth + 1) <= (const void *)(long)skb->data_end)
		proto = eth->h_proto;
	else if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto), &proto, sizeof(proto)))
		return MESH_DROP_L3;
#pragma unroll
	for (i = 0; i < 2; i++) {
		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, off, &tag, sizeof(tag)))
			return MESH_DROP_L3;
		proto = tag.proto;
		off += sizeof(tag);
	}
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD))
		return MESH_DROP_VLAN_DEPTH;
	*ethertype = proto;
	*l3_off = off;
	return 0;
}

/*
 * Protocols that keep a link up or find neighbours, and never carry IP: ARP, RARP, 802.2 (spanning
 * tree), pause and LACP frames, 802.1X, LLDP, PTP, PPPoE discovery. And PPPoE sessions, MACsec, HSR, PRP's
 * supervision and B.A.T.M.A.N.: what is in them comes out of an interface of its own, which has these
 * programs (recon_nic.h).
 */
INLINE bool parse_is_link_control(__be16 ethertype)
{
	__u16 t = bpf_ntohs(ethertype);

	return t == ETH_P_ARP || t == ETH_P_RARP || t < ETH_P_802_3_MIN || t == ETH_P_PAUSE ||
	       t == ETH_P_SLOW || t == ETH_P_PAE || t == ETH_P_LLDP || t == ETH_P_1588 ||
	       t == ETH_P_PPP_DISC || t == ETH_P_PPP_SES || t == ETH_P_MACSEC ||
	       t == ETH_P_HSR || t == ETH_P_PRP || t == ETH_P_BATMAN;
}

/*
 * ICMP queries are flows of their identifier: returns the type of the query plus 1 for a query or
 * its answer, else 0. is_answer says which.
 */
INLINE __u8 parse_icmp_query(__u8 proto, __u8 type, bool *is_answer)
{
	*is_answer = false;
	if (proto == IPPROTO_ICMP) {
		switch (type) {
		case ICMP_ECHO:
		case 13: /* timestamp */
		case 42: /* extended echo */
			return type + 1;
		case ICMP_ECHO_REPLY:
			*is_answer = true;
			return ICMP_ECHO + 1;
		case 14:
		case 43:
			*is_answer = true;
			return type;
		}
		return 0;
	}
	switch (type) {
	case ICMP6_ECHO:
	case 160: /* extended echo */
		return type + 1;
	case ICMP6_ECHO_REPLY:
	case 161:
		*is_answer = true;
		return type;
	}
	return 0;
}

INLINE bool parse_is_icmp_error(__u8 proto, __u8 type)
{
	if (proto == IPPROTO_ICMP)
		return type == ICMP_UNREACH || type == ICMP_TIME_EXCEED || type == ICMP_PARAM;
	return proto == IPPROTO_ICMPV6 && type >= ICMP6_UNREACH && type <= ICMP6_PARAM;
}

/* Ports, flags and ICMP type from the bytes of a transport header. */
INLINE void parse_l4_fields(struct pkt *p, const struct l4 *h)
{
	bool is_answer;

	switch (p->proto) {
	case IPPROTO_TCP:
		p->tcp_flags = h->tcp_flags;
		p->sport = h->sport;
		p->dport = h->dport;
		return;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		p->sport = h->sport;
		p->dport = h->dport;
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		p->icmp_type = *(const __u8 *)h;
		if (parse_icmp_query(p->proto, p->icmp_type, &is_answer)) {
			p->sport = h->w2;
			p->dport = h->w2;
		}
		return;
	}
}

/* Bytes of the transport header that must be there; 0 for protocols that are not looked into. */
INLINE __u32 parse_l4_need(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return sizeof(struct l4);
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_SCTP:
		return 8;
	}
	return 0;
}

/* 0 or a drop reason. */
INLINE int parse_l4(struct __sk_buff *skb, struct pkt *p)
{
	struct l4 h = {};
	int r;

	switch (parse_l4_need(p->proto)) {
	case 0:
		return 0;
	case 8:
		r = parse_load(skb, p->l4_off, &h, 8);
		break;
	default:
		r = parse_load(skb, p->l4_off, &h, sizeof(h));
	}
	if (r)
		return MESH_DROP_L4;
	parse_l4_fields(p, &h);
	return 0;
}

/* Bytes that the first fragment must hold, or what was decided on can be overwritten by a later one. */
INLINE __u32 parse_l4_size(__u8 proto)
{
	return proto == IPPROTO_TCP ? TCP_HEADER_BYTES : parse_l4_need(proto);
}

/*
 * The transport part of a packet whose fragment state is known. It begins `head` bytes behind the start
 * of what is cut into fragments, and ends at `end` of the frame. `offset` is that of the fragment, in
 * units of 8 bytes. 0 or a drop reason.
 */
INLINE int parse_transport(struct __sk_buff *skb, struct pkt *p, __u8 dir, __u32 head, __u32 end,
			   __u32 offset, bool v6)
{
	__u32 size = parse_l4_size(p->proto);

	if (p->frag == FRAG_LATER) {
		if (p->proto == IPPROTO_TCP && offset * 8 < TCP_HEADER_BYTES)
			return MESH_DROP_FRAGMENT_TINY;
		if (!size && !v6)
			return 0;
		return fragment_complete(p, dir, offset, v6);
	}
	if (p->l4_off + size > end)
		return p->frag == FRAG_FIRST ? MESH_DROP_FRAGMENT_TINY : MESH_DROP_L4;
	head = (head + size + 7) / 8;
	if (head > 255)
		return MESH_DROP_EXT_HEADERS;
	p->frag_head = (__u8)head;
	return parse_l4(skb, p);
}

/*
 * The usual packet: no VLAN tag in the frame, no options, extension headers or fragments, and all
 * headers in the linear part. Read in place. False: take the long way.
 */
INLINE bool parse_quick(struct __sk_buff *skb, struct pkt *p, bool v6)
{
	const void *data = (const void *)(long)skb->data;
	const void *end = (const void *)(long)skb->data_end;
	const struct l4 *h;

	if (v6) {
		const struct ip6 *ip = data + ETH_HLEN;

		h = data + ETH_HLEN + sizeof(*ip);
		if ((const void *)(h + 1) > end || (ip->version_flow & bpf_htonl(0xf0000000)) !=
							   bpf_htonl(0x60000000))
			return false;
		if (ip->next != IPPROTO_TCP && ip->next != IPPROTO_UDP)
			return false;
		if (bpf_ntohs(ip->len) < TCP_HEADER_BYTES)
			return false;
		p->saddr = ip->saddr;
		p->daddr = ip->daddr;
		p->proto = ip->next;
	} else {
		const struct ip4 *ip = data + ETH_HLEN;

		h = data + ETH_HLEN + sizeof(*ip);
		if ((const void *)(h + 1) > end || ip->version_ihl != 0x45 ||
		    (ip->frag & bpf_htons(IPV4_MF | IPV4_OFFSET)))
			return false;
		if (ip->proto != IPPROTO_TCP && ip->proto != IPPROTO_UDP)
			return false;
		/* a short datagram: rare enough for the long way */
		if (bpf_ntohs(ip->len) < sizeof(*ip) + TCP_HEADER_BYTES)
			return false;
		p->saddr.w[0] = ip->saddr;
		p->daddr.w[0] = ip->daddr;
		p->proto = ip->proto;
	}
	p->sport = h->sport;
	p->dport = h->dport;
	if (p->proto == IPPROTO_TCP)
		p->tcp_flags = h->tcp_flags;
	return true;
}

/*
 * The length that an IP header tells; `header` is what it does not count. 0 stands for more than the field
 * can hold: a packet for segmentation offload, or a jumbogram, and only if the frame is that long.
 */
INLINE __u32 parse_length(const struct __sk_buff *skb, __be16 field, __u32 header)
{
	if (!field && skb->len > MAX_IP_LENGTH)
		return skb->len;
	return bpf_ntohs(field) + header;
}

/* 0 or a drop reason. */
INLINE int parse_ip4(struct __sk_buff *skb, __u32 off, struct pkt *p, __u8 dir)
{
	__u32 header, len;
	struct ip4 h;
	__u16 frag;

	if (parse_load(skb, off, &h, sizeof(h)))
		return MESH_DROP_L3;
	header = (h.version_ihl & 0xf) * 4U;
	if (h.version_ihl >> 4 != 4 || header < sizeof(h))
		return MESH_DROP_L3;
	p->saddr.w[0] = h.saddr;
	p->daddr.w[0] = h.daddr;
	p->proto = h.proto;
	p->l4_off = off + header;
	len = parse_length(skb, h.len, 0);
	if (len < header)
		return MESH_DROP_L3;
	frag = bpf_ntohs(h.frag);
	if (frag & (IPV4_MF | IPV4_OFFSET)) {
		p->frag = frag & IPV4_OFFSET ? FRAG_LATER : FRAG_FIRST;
		p->frag_id = h.id;
		p->frag_proto = h.proto;
	}
	return parse_transport(skb, p, dir, 0, off + len, frag & IPV4_OFFSET, false);
}

/* On the way through IPv6 extension headers. */
struct ext_walk {
	__u32 off;
	__u32 start;  /* of what is cut into fragments */
	__u32 offset; /* of this fragment, in units of 8 bytes */
	__u8 next;
};

/* Goes from the first extension header to the transport, or to the end of a later fragment's. 0 or a reason. */
INLINE int parse_ext(struct __sk_buff *skb, struct ext_walk *w, struct pkt *p)
{
	__u8 ext[8];
	int i;

	w->start = w->off;
#pragma unroll
	for (i = 0; i <= MAX_EXT_HEADERS; i++) {
		bool is_frag = w->next == IPPROTO_FRAGMENT;

		if (w->next == IPPROTO_NONE)
			return MESH_DROP_EXT_HEADERS;
		if (w->next != IPPROTO_HOPOPTS && w->next != IPPROTO_ROUTING &&
		    w->next != IPPROTO_DSTOPTS && w->next != IPPROTO_AH && !is_frag)
			return 0;
		if (i == MAX_EXT_HEADERS || parse_load(skb, w->off, ext, sizeof(ext)))
			return MESH_DROP_EXT_HEADERS;
		if (is_frag) {
			__u16 field = (__u16)(ext[2] << 8 | ext[3]);

			if (p->frag != FRAG_NONE)
				return MESH_DROP_EXT_HEADERS;
			w->offset = field >> 3;
			if (w->offset || field & 1) {
				p->frag = w->offset ? FRAG_LATER : FRAG_FIRST;
				memcpy(&p->frag_id, ext + 4, 4);
				p->frag_proto = ext[0];
			}
			w->off += 8;
			w->start = w->off;
		} else if (w->next == IPPROTO_AH) {
			w->off += (ext[1] + 2U) * 4;
		} else {
			w->off += (ext[1] + 1U) * 8;
		}
		w->next = ext[0];
		if (w->offset)
			return 0;
	}
	return MESH_DROP_EXT_HEADERS;
}

/* 0 or a drop reason. */
INLINE int parse_ip6(struct __sk_buff *skb, __u32 off, struct pkt *p, __u8 dir)
{
	struct ext_walk w = {.off = off + sizeof(struct ip6)};
	struct ip6 h;
	int r;

	if (parse_load(skb, off, &h, sizeof(h)))
		return MESH_DROP_L3;
	if ((bpf_ntohl(h.version_flow) >> 28) != 6)
		return MESH_DROP_L3;
	p->saddr = h.saddr;
	p->daddr = h.daddr;
	w.next = h.next;
	r = parse_ext(skb, &w, p);
	if (r)
		return r;
	p->proto = w.next;
	p->l4_off = w.off;
	return parse_transport(skb, p, dir, w.off - w.start, off + parse_length(skb, h.len, sizeof(h)),
			       w.offset, true);
}
