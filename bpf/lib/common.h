/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every part of the datapath needs. Only UAPI contexts: one object for all kernels. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mesh_abi.h"
#include "mesh_drop.h"

#define INLINE static __always_inline

#ifndef memcpy
#define memcpy(d, s, n) __builtin_memcpy((d), (s), (n))
#endif
#ifndef memset
#define memset(d, c, n) __builtin_memset((d), (c), (n))
#endif

/* The next program of the chain, ours being content, or none. */
#define VERDICT_PASS TC_ACT_UNSPEC
#define VERDICT_DROP TC_ACT_SHOT

#define ID_WORLD	  2
#define ID_HOST		  1
#define ID_REMOTE_NODE	  6
#define ID_KUBE_APISERVER 7

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* An address of either family; IPv4 in the first word. */
union addr {
	__be32 w[4];
	__u64 d[2];
	__u8 b[16];
};

/* A packet, parsed. */
struct pkt {
	union addr saddr, daddr;
	__u32 l4_off;
	__u32 frag_id;
	__be16 sport, dport; /* ICMP queries: both the identifier */
	__u8 proto;
	__u8 frag_proto; /* what the fragment key holds */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 frag; /* FRAG_* */
	__u8 frag_head; /* of a first fragment: units of 8 bytes that no other may begin in */
};

enum { FRAG_NONE, FRAG_FIRST, FRAG_LATER };

INLINE bool addr_eq(const union addr *a, const union addr *b, bool v6)
{
	return v6 ? a->d[0] == b->d[0] && a->d[1] == b->d[1] : a->w[0] == b->w[0];
}

/* IPv6 only. */
INLINE bool addr_is_link_local(const union addr *a)
{
	return (a->w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

INLINE void addr_mapped(__u8 to[16], const union addr *a, bool v6)
{
	__be32 w[4];

	if (v6) {
		memcpy(to, a->b, 16);
		return;
	}
	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = a->w[0];
	memcpy(to, w, 16);
}
