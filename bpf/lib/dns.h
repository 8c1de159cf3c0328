/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * While a dns rule selects this host, its queries to DNS servers go to the agent's server, as those of a
 * pod go to Cilium's proxy: so the rules hold whatever resolver a program asks, and what it is told is learned.
 */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mesh_dns);
} mesh_dns SEC(".maps");

INLINE const struct mesh_dns *dns_config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mesh_dns, &zero);
}

INLINE bool dns_is_query(__u8 proto, __be16 port)
{
	return port == bpf_htons(MESH_DNS_PORT) && (proto == IPPROTO_UDP || proto == IPPROTO_TCP);
}

/* Packets of the agent's own queries that its rules have allowed. Only the privileged can set a mark. */
INLINE bool dns_is_allowed(__u32 mark, __u8 proto, __be16 port)
{
	const struct mesh_dns *d;

	if (!(mark & MESH_DNS_ALLOWED) || !dns_is_query(proto, port))
		return false;
	d = dns_config();
	return d && d->mark && mark == (d->mark | MESH_DNS_ALLOWED);
}
