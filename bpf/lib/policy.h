/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Identity -> class -> row -> port. User space has resolved precedence and made the entries of one
 * bank disjoint, so the first hit is the answer.
 */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __u32);
	__type(value, struct mesh_class);
} mesh_class SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct mesh_row_key);
	__type(value, struct mesh_row);
} mesh_policy_row SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 524288);
	__type(key, struct mesh_port_key);
	__type(value, struct mesh_port);
} mesh_policy_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct mesh_range_key);
	__type(value, struct mesh_port);
} mesh_policy_range SEC(".maps");

struct decision {
	__u32 rule;
	__u8 verdict;
};

INLINE __u8 policy_slot(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return MESH_SLOT_TCP;
	case IPPROTO_UDP:
		return MESH_SLOT_UDP;
	case IPPROTO_SCTP:
		return MESH_SLOT_SCTP;
	case IPPROTO_ICMP:
		return MESH_SLOT_ICMP;
	case IPPROTO_ICMPV6:
		return MESH_SLOT_ICMPV6;
	default:
		return MESH_SLOT_OTHER;
	}
}

/* What goes into the port field of the policy keys. */
INLINE __be16 policy_port(const struct pkt *p)
{
	switch (policy_slot(p->proto)) {
	case MESH_SLOT_OTHER:
		return 0;
	case MESH_SLOT_ICMP:
	case MESH_SLOT_ICMPV6:
		return bpf_htons(p->icmp_type);
	default:
		return p->dport;
	}
}

INLINE struct decision policy_decide(const struct mesh_config *c, __u64 state, __u32 identity,
				     __u8 dir, const struct pkt *p)
{
	__u8 bank = state_bank(state);
	struct mesh_row_key rk = {.dir = dir, .slot = policy_slot(p->proto), .bank = bank};
	struct mesh_range_key pk = {.prefixlen = MESH_RANGE_BITS + 16};
	struct decision d = {.verdict = dir & MESH_SHADOW ? MESH_DENY_DEFAULT :
							    c->default_verdict[bank][dir]};
	const struct mesh_class *class = bpf_map_lookup_elem(&mesh_class, &identity);
	const struct mesh_port *port;
	const struct mesh_row *row;

	if (class)
		rk.class = class->class[bank];
	row = bpf_map_lookup_elem(&mesh_policy_row, &rk);
	if (!row)
		return d;
	d.verdict = row->verdict;
	d.rule = row->rule;
	if (!row->flags)
		return d;

	pk.key.class = rk.class;
	pk.key.dir = dir;
	pk.key.proto = p->proto;
	pk.key.bank = bank;
	pk.key.port = policy_port(p);
	if (row->flags & MESH_ROW_PORTS) {
		port = bpf_map_lookup_elem(&mesh_policy_port, &pk.key);
		if (port)
			goto found;
	}
	if (row->flags & MESH_ROW_RANGES) {
		port = bpf_map_lookup_elem(&mesh_policy_range, &pk);
		if (port)
			goto found;
	}
	return d;
found:
	d.verdict = port->verdict;
	d.rule = port->rule;
	return d;
}
