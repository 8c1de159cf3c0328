/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a host needs to have a network at all; no policy is asked about it. */
#pragma once

#include "common.h"

/*
 * Neighbour discovery, multicast listeners and the like (RFC 4890's must-not-drop set), DHCP clients: those of this host, and of
 * guests on a bridge as far as they speak to all. What else is forwarded comes from ports that a container may well have.
 */
INLINE bool infra_is(const struct pkt *p, __u8 dir, bool v6, bool is_forwarded)
{
	if (v6 && p->proto == IPPROTO_ICMPV6) {
		__u8 t = p->icmp_type;

		return (t >= 130 && t <= 136) || t == 138 || (t >= 141 && t <= 143) || t == 148 ||
		       t == 149 || (t >= 151 && t <= 153);
	}
	if (p->proto != IPPROTO_UDP)
		return false;
	if (dir == MESH_EGRESS) /* from a port that takes privileges */
		return p->sport == bpf_htons(v6 ? 546 : 68) && p->dport == bpf_htons(v6 ? 547 : 67) &&
		       (!is_forwarded || (v6 ? p->daddr.b[0] == 0xff : p->daddr.w[0] == 0xffffffff));
	if (v6) /* no port is said for servers to send from (RFC 8415, 7.2) */
		return p->dport == bpf_htons(546) &&
		       (p->sport == bpf_htons(547) || addr_is_link_local(&p->saddr));
	return p->sport == bpf_htons(67) && p->dport == bpf_htons(68);
}
