/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The run-time configuration. User space writes it through a mapping of this map. */
#pragma once

#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mesh_config);
} mesh_config SEC(".maps");

INLINE const struct mesh_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mesh_config, &zero);
}

/* One load, so that a packet never mixes two policies. */
INLINE __u64 config_state(const struct mesh_config *c)
{
	return *(const volatile __u64 *)&c->state;
}

INLINE __u32 state_generation(__u64 state)
{
	return (__u32)state;
}

INLINE __u8 state_bank(__u64 state)
{
	return (state >> MESH_STATE_BANK_SHIFT) & 1;
}
