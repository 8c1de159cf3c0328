/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments carry no ports: they take those of the first one, if that one was let through. */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct mesh_frag_key);
	__type(value, struct mesh_frag);
} mesh_frags SEC(".maps");

/* As long as Linux waits for the rest of a datagram. */
#define FRAG_LIFETIME_S 30

INLINE void fragment_key(struct mesh_frag_key *k, const struct pkt *p, __u8 dir, bool v6)
{
	addr_mapped(k->saddr, &p->saddr, v6);
	addr_mapped(k->daddr, &p->daddr, v6);
	k->id = p->frag_id;
	k->proto = p->frag_proto;
	k->dir = dir;
	k->pad = 0;
}

INLINE void fragment_note(const struct mesh_config *c, const struct pkt *p, __u8 dir, bool v6)
{
	struct mesh_frag f = {.sport = p->sport, .dport = p->dport, .icmp_type = p->icmp_type};
	struct mesh_frag_key k;

	fragment_key(&k, p, dir, v6);
	f.proto = p->proto;
	f.head = p->frag_head;
	f.expires = bpf_jiffies64() + (__u64)c->ticks_per_s * FRAG_LIFETIME_S;
	bpf_map_update_elem(&mesh_frags, &k, &f, BPF_ANY);
}

/* Takes from the first fragment what one at `offset` (units of 8 bytes) lacks. 0 or a drop reason. */
INLINE int fragment_complete(struct pkt *p, __u8 dir, __u32 offset, bool v6)
{
	const struct mesh_frag *f;
	struct mesh_frag_key k;

	fragment_key(&k, p, dir, v6);
	f = bpf_map_lookup_elem(&mesh_frags, &k);
	if (!f || f->expires < bpf_jiffies64())
		return MESH_DROP_FRAGMENT_LOST;
	if (offset < f->head)
		return MESH_DROP_FRAGMENT_TINY;
	p->sport = f->sport;
	p->dport = f->dport;
	p->icmp_type = f->icmp_type;
	p->proto = f->proto;
	/* never taken for the start or the end of a connection */
	p->tcp_flags = TCP_ACK;
	return 0;
}
