/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows. The key puts the local end first, so both directions find the entry with one look-up, and
 * the entry carries the verdict. Only allowed flows have one: a flood of denied packets fills nothing.
 */
#pragma once

#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct mesh_ct4_key);
	__type(value, struct mesh_ct);
} mesh_ct4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mesh_ct6_key);
	__type(value, struct mesh_ct);
} mesh_ct6 SEC(".maps");

union ct_key {
	struct mesh_ct4_key v4;
	struct mesh_ct6_key v6;
};

/* False: the protocol has no flows, each packet is judged on its own (ICMP that is no query). */
INLINE bool ct_key_fill(union ct_key *k, const struct pkt *p, __u8 dir, bool v6)
{
	const union addr *local = dir == MESH_INGRESS ? &p->daddr : &p->saddr;
	const union addr *remote = dir == MESH_INGRESS ? &p->saddr : &p->daddr;
	__be16 local_port = dir == MESH_INGRESS ? p->dport : p->sport;
	__be16 remote_port = dir == MESH_INGRESS ? p->sport : p->dport;
	__u8 icmp_type = 0, icmp_dir = 0;
	bool is_answer;

	if (p->proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		icmp_type = parse_icmp_query(p->proto, p->icmp_type, &is_answer);
		if (!icmp_type)
			return false;
		icmp_dir = is_answer ? !dir : dir;
	}
	if (v6) {
		memcpy(k->v6.local, local->b, 16);
		memcpy(k->v6.remote, remote->b, 16);
		k->v6.local_port = local_port;
		k->v6.remote_port = remote_port;
		k->v6.proto = p->proto;
		k->v6.icmp_type = icmp_type;
		k->v6.icmp_dir = icmp_dir;
		k->v6.pad = 0;
	} else {
		k->v4.local = local->w[0];
		k->v4.remote = remote->w[0];
		k->v4.local_port = local_port;
		k->v4.remote_port = remote_port;
		k->v4.proto = p->proto;
		k->v4.icmp_type = icmp_type;
		k->v4.icmp_dir = icmp_dir;
		k->v4.pad = 0;
	}
	return true;
}

/*
 * An answer that nobody asked for must not open the way for queries, nor for a connection from there:
 * an entry made by a SYN-ACK would let in what policy kept out when it was a SYN.
 */
INLINE bool ct_may_open(const struct pkt *p)
{
	bool is_answer;

	if (p->proto == IPPROTO_TCP)
		return !(p->tcp_flags & TCP_RST) &&
		       (p->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK);
	if (p->proto != IPPROTO_ICMP && p->proto != IPPROTO_ICMPV6)
		return true;
	return parse_icmp_query(p->proto, p->icmp_type, &is_answer) && !is_answer;
}

INLINE __u8 ct_dir(const struct mesh_ct *e)
{
	return e->flags & MESH_CT_EGRESS ? MESH_EGRESS : MESH_INGRESS;
}

/* The live entry, or NULL. A SYN on a closing connection begins a new one. */
INLINE struct mesh_ct *ct_find(const union ct_key *k, const struct pkt *p, __u64 now, bool v6)
{
	struct mesh_ct *e;

	if (v6)
		e = bpf_map_lookup_elem(&mesh_ct6, &k->v6);
	else
		e = bpf_map_lookup_elem(&mesh_ct4, &k->v4);
	if (!e || e->expires < now)
		return NULL;
	if (p->proto == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
	    e->tcp & (MESH_TCP_CLOSE_FWD | MESH_TCP_CLOSE_REPLY))
		return NULL;
	return e;
}

INLINE __u32 ct_lifetime(const struct mesh_config *c, __u8 proto, __u8 tcp)
{
	if (proto != IPPROTO_TCP)
		return c->ct_other_ticks;
	if ((tcp & MESH_TCP_CLOSE_FWD) && (tcp & MESH_TCP_CLOSE_REPLY))
		return c->ct_closing_ticks;
	return tcp & MESH_TCP_SEEN_DATA ? c->ct_tcp_ticks : c->ct_syn_ticks;
}

INLINE __u8 ct_tcp_next(__u8 tcp, __u8 flags, bool is_forward)
{
	if (!(flags & TCP_SYN))
		tcp |= MESH_TCP_SEEN_DATA;
	if (!is_forward)
		tcp |= MESH_TCP_SEEN_REPLY;
	if (flags & (TCP_FIN | TCP_RST))
		tcp |= is_forward ? MESH_TCP_CLOSE_FWD : MESH_TCP_CLOSE_REPLY;
	/* a refused connection ends on both sides */
	if ((flags & TCP_RST) && !((tcp & MESH_TCP_SEEN_DATA) && (tcp & MESH_TCP_SEEN_REPLY)))
		tcp |= MESH_TCP_CLOSE_FWD | MESH_TCP_CLOSE_REPLY;
	return tcp;
}

/* Follows the connection; writes only what changed, the time at most once a second. */
INLINE void ct_touch(const struct mesh_config *c, struct mesh_ct *e, const struct pkt *p, __u64 now,
		     bool is_forward)
{
	__u8 tcp = e->tcp;
	__u64 expires;
	__s64 gain;

	if (p->proto == IPPROTO_TCP) {
		tcp = ct_tcp_next(tcp, p->tcp_flags, is_forward);
		if (tcp != e->tcp)
			e->tcp = tcp;
	}
	expires = now + ct_lifetime(c, p->proto, tcp);
	gain = (__s64)(expires - e->expires);
	if (gain >= (__s64)c->ticks_per_s || gain < 0)
		e->expires = expires;
}

INLINE void ct_insert(const struct mesh_config *c, const union ct_key *k, struct mesh_ct *e,
		      const struct pkt *p, __u64 now, bool v6)
{
	if (p->proto == IPPROTO_TCP)
		e->tcp = ct_tcp_next(0, p->tcp_flags, true);
	e->expires = now + ct_lifetime(c, p->proto, e->tcp);
	if (v6)
		bpf_map_update_elem(&mesh_ct6, &k->v6, e, BPF_ANY);
	else
		bpf_map_update_elem(&mesh_ct4, &k->v4, e, BPF_ANY);
}
