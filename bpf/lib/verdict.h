/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The one decision per packet and direction. Every function is inlined with constant `dir`, `tunnel`
 * and `v6`, so each program holds the four paths it needs and nothing else.
 */
#pragma once

#include "counters.h"
#include "encap.h"
#include "events.h"
#include "failsafe.h"
#include "policy.h"
#include "related.h"

/* Where a packet is seen. */
struct point {
	__u8 dir;
	bool tunnel;
};

struct frame {
	struct __sk_buff *skb;
	const struct mesh_config *c;
	__u64 state;
	struct pkt p;
	struct tunnel_info t; /* tunnel ingress */
};

INLINE int frame_drop(struct frame *f, const struct point at, __u16 reason, __u8 family)
{
	count(reason, at.dir, f->skb->len);
	if (f->state & MESH_STATE_EV_DROP) {
		struct report rep = {.reason = reason,
				     .dir = at.dir,
				     .family = family,
				     .flags = at.tunnel ? MESH_EV_TUNNEL : 0};

		event_send(f->skb, f->c, &f->p, &rep);
	}
	return VERDICT_DROP;
}

/* The last step of every packet that passes. */
INLINE int frame_pass(struct frame *f, const struct point at, __u16 reason, bool v6)
{
	if (f->p.frag == FRAG_FIRST)
		fragment_note(f->c, &f->p, at.dir, v6);
	count(reason, at.dir, f->skb->len);
	return VERDICT_PASS;
}

INLINE int frame_send(struct frame *f, const struct point at, __u32 node, __u16 reason, bool v6)
{
	int r;

	if (at.tunnel && at.dir == MESH_EGRESS) {
		r = tunnel_send(f->skb, f->c, node);
		if (r)
			return frame_drop(f, at, (__u16)r, v6 ? 6 : 4);
	}
	return frame_pass(f, at, reason, v6);
}

/* Neighbour discovery, multicast listeners and the like (RFC 4890's must-not-drop set), DHCP clients. */
INLINE bool frame_is_infra(const struct pkt *p, const struct point at, bool v6)
{
	if (v6 && p->proto == IPPROTO_ICMPV6) {
		__u8 t = p->icmp_type;

		return (t >= 130 && t <= 136) || t == 138 || (t >= 141 && t <= 143) || t == 148 ||
		       t == 149 || (t >= 151 && t <= 153);
	}
	if (p->proto != IPPROTO_UDP)
		return false;
	if (at.dir == MESH_EGRESS)
		return p->sport == bpf_htons(v6 ? 546 : 68) && p->dport == bpf_htons(v6 ? 547 : 67);
	return p->sport == bpf_htons(v6 ? 547 : 67) && p->dport == bpf_htons(v6 ? 546 : 68);
}

/* Outer packets of the tunnel, seen on the interface below it. */
INLINE int frame_outer(struct frame *f, const struct point at, bool v6)
{
	const struct mesh_config *c = f->c;

	if (at.dir == MESH_INGRESS) {
		if (!ipcache_is_node(&f->p.saddr, v6))
			return frame_drop(f, at, MESH_DROP_TUNNEL_UNKNOWN_NODE, v6 ? 6 : 4);
	} else {
		/* a local process must not be able to choose a VNI, that is an identity */
		if ((f->skb->mark & c->overlay_mask) != c->overlay_mark || !c->overlay_mark)
			return frame_drop(f, at, MESH_DROP_TUNNEL_FORGED, v6 ? 6 : 4);
		if (!ipcache_is_node(&f->p.daddr, v6))
			return frame_drop(f, at, MESH_DROP_TUNNEL_DST, v6 ? 6 : 4);
	}
	return frame_pass(f, at, MESH_PASS_TUNNEL, v6);
}

INLINE bool frame_failsafe(const struct pkt *p, const struct point at, bool v6)
{
	if (at.tunnel)
		return false;
	return failsafe_has(at.dir, p->proto, at.dir == MESH_INGRESS ? &p->saddr : &p->daddr,
			    p->dport, v6);
}

/* The answering side of a failsafe connection whose entry was lost or never made. */
INLINE bool frame_failsafe_answer(const struct pkt *p, const struct point at, bool v6)
{
	if (at.tunnel || p->proto != IPPROTO_TCP || !(p->tcp_flags & TCP_ACK))
		return false;
	return failsafe_has(!at.dir, p->proto, at.dir == MESH_INGRESS ? &p->saddr : &p->daddr,
			    p->sport, v6);
}

/* What the maps say about the peer's address on this path. 0 or a drop reason. */
INLINE int frame_check_path(struct frame *f, const struct point at, struct mesh_ipinfo *info,
			    bool v6)
{
	if (at.tunnel && at.dir == MESH_INGRESS)
		return tunnel_check(f->c, &f->t, info, v6);
	if (at.tunnel)
		return info->node ? 0 : MESH_DROP_NO_TUNNEL_ENDPOINT;
	if ((f->state & MESH_STATE_TUNNEL) && (info->flags & MESH_IP_TUNNEL))
		return at.dir == MESH_INGRESS ? MESH_DROP_SPOOFED_POD : MESH_DROP_POD_OFF_TUNNEL;
	return 0;
}

INLINE __u16 reason_of(__u8 verdict)
{
	switch (verdict) {
	case MESH_DENY_RULE:
		return MESH_DROP_POLICY_DENY;
	case MESH_DENY_AUTH:
		return MESH_DROP_POLICY_AUTH;
	default:
		return MESH_DROP_POLICY;
	}
}

/*
 * A packet that no current entry answers: a new flow, or one whose policy changed (`old`). Asks the
 * maps and writes or removes the entry.
 */
INLINE int frame_judge(struct frame *f, const struct point at, const union ct_key *k, bool is_flow,
		       struct mesh_ct *old, __u64 now, bool v6)
{
	struct pkt *p = &f->p;
	const union addr *peer = at.dir == MESH_INGRESS ? &p->saddr : &p->daddr;
	struct report rep = {.dir = at.dir,
			     .family = v6 ? 6 : 4,
			     .flags = at.tunnel ? MESH_EV_TUNNEL : 0,
			     .verdict = MESH_ALLOW,
			     .reason = MESH_PASS_NEW};
	struct mesh_ct e = {.flags = (at.dir == MESH_EGRESS ? MESH_CT_EGRESS : 0) |
				     (at.tunnel ? MESH_CT_TUNNEL : 0)};
	struct mesh_ipinfo info = {};
	struct decision d;
	int r;

	if (frame_failsafe(p, at, v6)) {
		rep.reason = MESH_PASS_FAILSAFE;
		e.flags |= MESH_CT_FAILSAFE;
		goto pass;
	}
	info = ipcache_get(f->c, peer, v6);
	r = frame_check_path(f, at, &info, v6);
	rep.peer = info.identity;
	if (r) {
		rep.reason = (__u16)r;
		goto drop;
	}
	d = policy_decide(f->c, f->state, info.identity, at.dir, p);
	rep.verdict = d.verdict;
	rep.rule = d.rule;
	if (d.verdict == MESH_ALLOW)
		goto pass;
	rep.reason = reason_of(d.verdict);
	if (f->state & MESH_STATE_AUDIT) {
		rep.reason = MESH_PASS_AUDIT;
		rep.flags |= MESH_EV_AUDIT;
		e.flags |= MESH_CT_AUDIT;
		goto pass;
	}
	if (!old && frame_failsafe_answer(p, at, v6)) {
		count(MESH_PASS_FAILSAFE, at.dir, f->skb->len);
		return VERDICT_PASS;
	}
drop:
	/* what policy no longer allows ends in both directions */
	if (old)
		ct_forget(k, v6);
	count(rep.reason, at.dir, f->skb->len);
	if (f->state & MESH_STATE_EV_DROP)
		event_send(f->skb, f->c, p, &rep);
	return VERDICT_DROP;
pass:
	e.generation = state_generation(f->state);
	e.peer = info.identity;
	e.rule = rep.rule;
	e.node = info.node;
	e.outer4 = f->t.outer4;
	e.vni = f->t.vni;
	if (old) {
		old->peer = e.peer;
		old->rule = e.rule;
		old->node = e.node;
		old->outer4 = e.outer4;
		old->vni = e.vni;
		old->flags = e.flags;
		old->generation = e.generation;
		ct_touch(f->c, old, p, now, true);
	} else if (is_flow && ct_may_open(p)) {
		ct_insert(f->c, k, &e, p, now, v6);
	}
	if (!old && ((f->state & MESH_STATE_EV_NEW) ||
		     (rep.reason == MESH_PASS_AUDIT && (f->state & MESH_STATE_EV_DROP))))
		event_send(f->skb, f->c, p, &rep);
	return frame_send(f, at, info.node, rep.reason, v6);
}

/* The path of a packet of a known flow is checked again unless the entry says that it was. 0 or a reason. */
INLINE int frame_recheck(struct frame *f, const struct point at, struct mesh_ct *e, bool is_current,
			 bool v6)
{
	const union addr *peer = at.dir == MESH_INGRESS ? &f->p.saddr : &f->p.daddr;
	struct mesh_ipinfo info;
	int r;

	if (at.dir == MESH_EGRESS)
		return 0;
	if (at.tunnel) {
		if (is_current && e->outer4 && e->outer4 == f->t.outer4 && e->vni == f->t.vni)
			return 0;
	} else if (!(e->flags & MESH_CT_TUNNEL)) {
		return 0;
	}
	info = ipcache_get(f->c, peer, v6);
	r = frame_check_path(f, at, &info, v6);
	if (!r && at.tunnel && is_current && e->peer == info.identity) {
		e->vni = f->t.vni;
		e->outer4 = f->t.outer4;
	}
	return r;
}

/* The node behind which the peer of a known flow is. */
INLINE __u32 frame_node(struct frame *f, const struct point at, const struct mesh_ct *e,
			bool is_current, bool v6)
{
	if (!at.tunnel || at.dir == MESH_INGRESS)
		return 0;
	if (is_current && e->node)
		return e->node;
	return ipcache_get(f->c, &f->p.daddr, v6).node;
}

INLINE int frame_flow(struct frame *f, const struct point at, bool v6)
{
	struct pkt *p = &f->p;
	__u64 now = bpf_jiffies64();
	bool is_current, is_forward;
	union ct_key k;
	struct mesh_ct *e;
	int r;

	if (!ct_key_fill(&k, p, at.dir, v6)) {
		if (parse_is_icmp_error(p->proto, p->icmp_type) && p->frag != FRAG_LATER &&
		    related_is(f->skb, f->c, p, at.dir, at.tunnel, v6)) {
			struct mesh_ipinfo info = {};

			if (at.tunnel) {
				info = ipcache_get(f->c, at.dir == MESH_INGRESS ? &p->saddr : &p->daddr,
						   v6);
				r = frame_check_path(f, at, &info, v6);
				if (r)
					return frame_drop(f, at, (__u16)r, v6 ? 6 : 4);
			}
			return frame_send(f, at, info.node, MESH_PASS_RELATED, v6);
		}
		return frame_judge(f, at, &k, false, NULL, now, v6);
	}
	e = ct_find(&k, p, now, v6);
	if (!e)
		return frame_judge(f, at, &k, true, NULL, now, v6);
	is_current = e->generation == state_generation(f->state);
	is_forward = ct_dir(e) == at.dir;
	if (is_forward && !is_current)
		return frame_judge(f, at, &k, true, e, now, v6);
	r = frame_recheck(f, at, e, is_current, v6);
	if (r)
		return frame_drop(f, at, (__u16)r, v6 ? 6 : 4);
	ct_touch(f->c, e, p, now, is_forward);
	return frame_send(f, at, frame_node(f, at, e, is_current, v6),
			  is_forward ? MESH_PASS_ESTABLISHED : MESH_PASS_REPLY, v6);
}

INLINE int frame_ip(struct frame *f, const struct point at, __u32 l3_off, bool v6)
{
	int r = v6 ? parse_ip6(f->skb, l3_off, &f->p, at.dir) :
		     parse_ip4(f->skb, l3_off, &f->p, at.dir);

	if (r)
		return frame_drop(f, at, (__u16)r, v6 ? 6 : 4);
	if (!at.tunnel) {
		if (frame_is_infra(&f->p, at, v6))
			return frame_pass(f, at, MESH_PASS_INFRA, v6);
		if (f->p.proto == IPPROTO_UDP && f->c->tunnel_port &&
		    f->p.dport == f->c->tunnel_port)
			return frame_outer(f, at, v6);
	}
	return frame_flow(f, at, v6);
}

INLINE int frame_handle(struct __sk_buff *skb, const struct point at)
{
	struct frame f = {.skb = skb, .c = config_get()};
	__be16 ethertype = 0;
	__u32 l3_off = 0;
	int r;

	if (!f.c)
		return VERDICT_PASS;
	f.state = config_state(f.c);
	if (!(f.state & MESH_STATE_ACTIVE))
		return VERDICT_PASS;
	r = parse_l2(skb, &ethertype, &l3_off);
	if (r)
		return frame_drop(&f, at, (__u16)r, 0);
	if (at.tunnel && at.dir == MESH_INGRESS) {
		r = tunnel_read(skb, &f.t);
		if (r)
			return frame_drop(&f, at, (__u16)r, 0);
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return frame_ip(&f, at, l3_off, false);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return frame_ip(&f, at, l3_off, true);
	if (!at.tunnel && parse_is_link_control(ethertype)) {
		count(MESH_PASS_INFRA, at.dir, skb->len);
		return VERDICT_PASS;
	}
	return frame_drop(&f, at, MESH_DROP_ETHERTYPE, 0);
}
