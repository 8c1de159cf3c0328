/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The connections that no policy can cut, so that nobody locks himself out of a machine. */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MESH_FAILSAFE_MAX);
	__type(key, struct mesh_failsafe_key);
	__type(value, __u32);
} mesh_failsafe SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MESH_FAILSAFE_MAX);
	__type(key, __u32);
	__type(value, __u64);
} mesh_failsafe_hits SEC(".maps");

/*
 * `dir`, `peer` and `port` are of the packet that opens the flow; 0 for protocols without ports.
 * Entries for every port have port 0. NULL, or the index of the entry's hits.
 */
INLINE const __u32 *failsafe_find(const struct mesh_config *c, __u8 dir, __u8 proto, const union addr *peer,
				  __be16 port, bool v6)
{
	struct mesh_failsafe_key k = {
		.prefixlen = MESH_FAILSAFE_BITS + 128, .dir = dir, .proto = proto, .port = port};
	const __u32 *index;

	addr_mapped(k.addr, peer, v6);
	index = bpf_map_lookup_elem(&mesh_failsafe, &k);
	if (!index && port && (c->failsafe_any_port & (1 << dir))) {
		k.port = 0;
		index = bpf_map_lookup_elem(&mesh_failsafe, &k);
	}
	return index;
}

INLINE void failsafe_hit(const __u32 *index)
{
	__u64 *hits = bpf_map_lookup_elem(&mesh_failsafe_hits, index);

	if (hits)
		(*hits)++;
}
