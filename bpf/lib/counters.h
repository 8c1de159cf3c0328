/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MESH_REASON_MAX * 2);
	__type(key, __u32);
	__type(value, struct mesh_counter);
} mesh_counters SEC(".maps");

INLINE void count(__u32 reason, __u32 dir, __u32 bytes)
{
	__u32 index = reason * 2 + dir;
	struct mesh_counter *c = bpf_map_lookup_elem(&mesh_counters, &index);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}
