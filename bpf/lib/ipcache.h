/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Address -> identity. Pods and nodes are exact: the trie is only walked for addresses in neither. */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __be32);
	__type(value, struct mesh_ipinfo);
} mesh_ipcache4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, union addr);
	__type(value, struct mesh_ipinfo);
} mesh_ipcache6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct mesh_lpm4);
	__type(value, struct mesh_ipinfo);
} mesh_cidr4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct mesh_lpm6);
	__type(value, struct mesh_ipinfo);
} mesh_cidr6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct mesh_node);
} mesh_nodes SEC(".maps");

/* NULL: nothing but "world" is known about the address. */
INLINE const struct mesh_ipinfo *ipcache_find(const union addr *a, bool v6)
{
	const struct mesh_ipinfo *info;

	if (v6) {
		struct mesh_lpm6 k = {.prefixlen = 128};

		info = bpf_map_lookup_elem(&mesh_ipcache6, a->b);
		if (info)
			return info;
		memcpy(k.addr, a->b, 16);
		return bpf_map_lookup_elem(&mesh_cidr6, &k);
	} else {
		struct mesh_lpm4 k = {.prefixlen = 32};

		info = bpf_map_lookup_elem(&mesh_ipcache4, &a->w[0]);
		if (info)
			return info;
		memcpy(k.addr, a->b, 4);
		return bpf_map_lookup_elem(&mesh_cidr4, &k);
	}
}

/* A whole answer: world where the maps know nothing. */
INLINE struct mesh_ipinfo ipcache_get(const struct mesh_config *c, const union addr *a, bool v6)
{
	const struct mesh_ipinfo *found = ipcache_find(a, v6);
	struct mesh_ipinfo info = {.identity = v6 ? c->world_v6 : c->world_v4};

	if (found)
		info = *found;
	return info;
}

/* True for an address of a node or other external host: only exact entries are asked. */
INLINE bool ipcache_is_node(const union addr *a, bool v6)
{
	const struct mesh_ipinfo *info;

	if (v6)
		info = bpf_map_lookup_elem(&mesh_ipcache6, a->b);
	else
		info = bpf_map_lookup_elem(&mesh_ipcache4, &a->w[0]);
	return info && (info->flags & MESH_IP_NODE);
}
