/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The second filter: asked when a packet looks for a socket that listens, of TCP, or that is not connected, of UDP. What came
 * by an interface where the first one cannot be missing is let be, and what the first one has let in. Anything else is
 * decided here, as the first one would: the interface may have come a moment ago, or while no agent runs, or somebody
 * took the filters off. So a packet that passed the first one passes here, whatever became of a note about it. Packets of
 * known connections do not come here, and cost nothing more.
 */
#pragma once

#include "conntrack.h"
#include "counters.h"
#include "events.h"
#include "failsafe.h"
#include "infra.h"
#include "ipcache.h"
#include "note.h"
#include "policy.h"

/* The last: of struct bpf_sk_lookup since 5.17; the headers we build with may be older. */
enum { BACKSTOP_AF_INET6 = 10, BACKSTOP_LOOPBACK = 1, BACKSTOP_AT_IFINDEX = 64 };

/* Interfaces whose packets are let be. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MESH_COVERED_MAX);
	__type(key, __u32);
	__type(value, __u32);
} mesh_covered SEC(".maps");

/* Addresses of this host, and their devices. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MESH_OWN_MAX);
	__type(key, union addr);
	__type(value, __u32);
} mesh_own SEC(".maps");

/*
 * The host speaks to itself. That is on the loopback device, but what is told is the device that has the address spoken to. From
 * outside comes no packet with such a source: the kernel drops it, but for an IPv6 address that another of these devices has.
 */
INLINE bool backstop_is_own(const struct pkt *p, __u32 ifindex, bool v6)
{
	const __u32 *at;
	union addr a;

	if (addr_eq(&p->saddr, &p->daddr, v6) || (!v6 && p->saddr.b[0] == 127))
		return true;
	addr_mapped(a.b, &p->saddr, v6);
	if (!bpf_map_lookup_elem(&mesh_own, &a))
		return false;
	addr_mapped(a.b, &p->daddr, v6);
	at = bpf_map_lookup_elem(&mesh_own, &a);
	return at && *at == ifindex;
}

INLINE void backstop_packet(const struct bpf_sk_lookup *ctx, struct pkt *p, bool v6)
{
	if (v6) {
		p->saddr.w[0] = ctx->remote_ip6[0];
		p->saddr.w[1] = ctx->remote_ip6[1];
		p->saddr.w[2] = ctx->remote_ip6[2];
		p->saddr.w[3] = ctx->remote_ip6[3];
		p->daddr.w[0] = ctx->local_ip6[0];
		p->daddr.w[1] = ctx->local_ip6[1];
		p->daddr.w[2] = ctx->local_ip6[2];
		p->daddr.w[3] = ctx->local_ip6[3];
	} else {
		p->saddr.w[0] = ctx->remote_ip4;
		p->daddr.w[0] = ctx->local_ip4;
	}
	p->sport = (__be16)ctx->remote_port;
	p->dport = bpf_htons((__u16)ctx->local_port);
	p->proto = (__u8)ctx->protocol;
	p->tcp_flags = TCP_SYN; /* what looks for a listener begins a connection */
}

INLINE bool backstop_knows_flow(const struct pkt *p, __u64 state, bool v6)
{
	const struct mesh_ct *e;
	union ct_key k;

	if (!ct_key_fill(&k, p, MESH_INGRESS, v6))
		return false;
	e = ct_find(&k, p, bpf_jiffies64(), v6);
	return e && (ct_dir(e) == MESH_EGRESS || e->generation == state_generation(state));
}

INLINE bool backstop_failsafe(const struct mesh_config *c, const struct pkt *p, bool v6)
{
	const __u32 *index = failsafe_find(c, MESH_INGRESS, p->proto, &p->saddr, p->dport, v6);

	if (index)
		failsafe_hit(index);
	return index;
}

/* As frame_flow() and what leads to it in verdict.h, but that no flow is written down here. */
INLINE bool backstop_allows(const struct mesh_config *c, __u64 state, const struct pkt *p, struct report *rep, bool v6)
{
	struct mesh_ipinfo info;
	struct decision d;

	if (infra_is(p, MESH_INGRESS, v6, false))
		return true;
	if (p->proto == IPPROTO_UDP && c->tunnel_port && p->dport == c->tunnel_port)
		return ipcache_is_node(&p->saddr, v6);
	if (backstop_knows_flow(p, state, v6) || backstop_failsafe(c, p, v6))
		return true;
	info = ipcache_get(c, &p->saddr, v6);
	rep->peer = info.identity;
	if ((state & MESH_STATE_TUNNEL) && (info.flags & MESH_IP_TUNNEL))
		return false; /* it did not come through the tunnel, whose device has its programs before it is up */
	d = policy_decide(c, state, info.identity, MESH_INGRESS, p);
	rep->verdict = d.verdict;
	rep->rule = d.rule;
	return d.verdict == MESH_ALLOW || (state & MESH_STATE_AUDIT);
}

INLINE int backstop(const struct bpf_sk_lookup *ctx)
{
	__u32 ifindex = *(const __u32 *)((const void *)ctx + BACKSTOP_AT_IFINDEX);
	struct report rep = {.ifindex = ifindex, .reason = MESH_DROP_BACKSTOP, .dir = MESH_INGRESS};
	const struct mesh_config *c;
	struct pkt p = {};
	bool is_allowed;
	__u64 state;

	/* 0: not a packet but a question, as of ss(8) */
	if (ifindex <= BACKSTOP_LOOPBACK || bpf_map_lookup_elem(&mesh_covered, &ifindex))
		return SK_PASS;
	c = config_get();
	if (!c)
		return SK_PASS;
	state = config_state(c);
	if (!(state & MESH_STATE_ACTIVE))
		return SK_PASS;
	if (ctx->family == BACKSTOP_AF_INET6) {
		rep.family = 6;
		backstop_packet(ctx, &p, true);
		is_allowed = note_is_there(c, &p, 6) || backstop_is_own(&p, ifindex, true) || backstop_allows(c, state, &p, &rep, true);
	} else {
		rep.family = 4;
		backstop_packet(ctx, &p, false);
		is_allowed = note_is_there(c, &p, 4) || backstop_is_own(&p, ifindex, false) || backstop_allows(c, state, &p, &rep, false);
	}
	if (is_allowed)
		return SK_PASS;
	count(MESH_DROP_BACKSTOP, MESH_INGRESS, 0);
	if (state & MESH_STATE_EV_DROP)
		event_send(c, &p, &rep);
	return SK_DROP;
}
