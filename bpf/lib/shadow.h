/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shadow policies: what would become of a packet if they were in force. Asked for packets that policy
 * lets pass, when no current entry answers them; an established packet never comes here.
 */
#pragma once

#include "events.h"
#include "policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct mesh_shadow_key);
	__type(value, struct mesh_shadow);
} mesh_shadow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} mesh_shadow_flows SEC(".maps");

INLINE bool shadow_is_on(__u64 state, __u8 dir)
{
	return state & (MESH_STATE_SHADOW << dir);
}

/* Fills verdict and rule of the report. Whether the packet would be dropped. */
INLINE bool shadow_decide(const struct mesh_config *c, const struct pkt *p, struct report *rep,
			  __u64 state, bool is_new)
{
	__u32 dir = rep->dir;
	struct decision d = policy_decide(c, state, rep->peer, (__u8)(dir | MESH_SHADOW), p);
	__u64 *flows = is_new ? bpf_map_lookup_elem(&mesh_shadow_flows, &dir) : NULL;

	if (flows)
		(*flows)++;
	if (d.verdict == MESH_ALLOW)
		return false;
	rep->verdict = d.verdict;
	rep->rule = d.rule;
	return true;
}

/* Remembers it by peer and port; `is_known`: the flow was counted before. */
static __noinline int shadow_note(const struct pkt *p, const struct report *rep, __u32 is_known)
{
	struct mesh_shadow_key k = {.identity = rep->peer, .proto = p->proto, .dir = rep->dir,
				    .port = policy_port(p)};
	struct mesh_shadow fresh = {.flows = 1}, *v;
	__u64 now = bpf_ktime_get_boot_ns();

	addr_mapped(k.addr, rep->dir == MESH_INGRESS ? &p->saddr : &p->daddr, rep->family == 6);
	v = bpf_map_lookup_elem(&mesh_shadow, &k);
	if (!v) {
		fresh.first_ns = fresh.last_ns = now;
		fresh.rule = rep->rule;
		fresh.verdict = rep->verdict;
		if (bpf_map_update_elem(&mesh_shadow, &k, &fresh, BPF_NOEXIST) == 0)
			return 0;
		/* another CPU was first, or the map is full: what has no room is one sum */
		v = bpf_map_lookup_elem(&mesh_shadow, &k);
		if (!v) {
			memset(&k, 0, sizeof(k));
			v = bpf_map_lookup_elem(&mesh_shadow, &k);
		}
		if (!v)
			return 0;
	}
	if (!is_known)
		__sync_fetch_and_add(&v->flows, 1);
	v->last_ns = now;
	v->rule = rep->rule;
	v->verdict = rep->verdict;
	return 0;
}
