/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs on interfaces let in, for the backstop, which is asked a moment later, in the same softirq and so
 * on the same processor, and does not see the packet itself. Between the two the packet may have been sent on to another
 * port of the host (REDIRECT, DNAT): so it is known by who sent it, and not by where it went. Where filters cannot be
 * taken off, nobody has to ask.
 */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MESH_NOTES);
	__type(key, __u32);
	__type(value, struct mesh_note);
} mesh_notes SEC(".maps");

/* Set by the loader. */
const volatile bool has_notes = false;

/* The kernel takes interfaces' packets in batches: those of one batch find different places, as a rule. */
INLINE struct mesh_note *note_place(const struct pkt *p)
{
	__u32 i = p->saddr.w[0] ^ p->saddr.w[1] ^ p->saddr.w[2] ^ p->saddr.w[3] ^ p->sport;

	i = (i * 0x9e3779b1U) >> (32 - MESH_NOTES_BITS);
	return bpf_map_lookup_elem(&mesh_notes, &i);
}

/* A packet of an established connection looks for no socket that listens. */
INLINE void note_leave(const struct pkt *p, __u8 family)
{
	struct mesh_note *n;

	if (p->proto == IPPROTO_TCP && !(p->tcp_flags & TCP_SYN))
		return;
	n = note_place(p);
	if (!n)
		return;
	n->peer[0] = p->saddr.d[0];
	n->peer[1] = p->saddr.d[1];
	n->ticks = (__u32)bpf_jiffies64();
	n->port = p->sport;
	n->proto = p->proto;
	n->family = family;
}

/* Whether that packet was let in just now: an eighth of a second is more than a softirq takes. */
INLINE bool note_is_there(const struct mesh_config *c, const struct pkt *p, __u8 family)
{
	const struct mesh_note *n = note_place(p);

	return n && n->family == family && n->proto == p->proto && n->port == p->sport && n->peer[0] == p->saddr.d[0] &&
	       n->peer[1] == p->saddr.d[1] && (__u32)bpf_jiffies64() - n->ticks <= c->ticks_per_s / 8;
}
