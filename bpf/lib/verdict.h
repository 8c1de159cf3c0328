/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one decision per packet and direction. Every function is inlined with constant `dir`, `tunnel`
 * and `v6`, so each program holds the four paths it needs and nothing else.
 */
#pragma once

#include "counters.h"
#include "dns.h"
#include "encap.h"
#include "events.h"
#include "failsafe.h"
#include "infra.h"
#include "note.h"
#include "policy.h"
#include "related.h"
#include "shadow.h"

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
	struct report rep;
	__u32 node;    /* tunnel egress: where to */
	bool is_fresh; /* judged, and not because an old verdict expired */
};

/* Outer packets of the tunnel, seen on the interface below it. Like all below: the reason. */
INLINE int frame_outer(struct frame *f, const struct point at, bool v6)
{
	const struct mesh_config *c = f->c;

	if (at.dir == MESH_INGRESS)
		return ipcache_is_node(&f->p.saddr, v6) ? MESH_PASS_TUNNEL :
							  MESH_DROP_TUNNEL_UNKNOWN_NODE;
	/* a local process must not be able to choose a VNI, that is an identity */
	if ((f->skb->mark & c->overlay_mask) != c->overlay_mark || !c->overlay_mark)
		return MESH_DROP_TUNNEL_FORGED;
	return ipcache_is_node(&f->p.daddr, v6) ? MESH_PASS_TUNNEL : MESH_DROP_TUNNEL_DST;
}

/* Whether the packet is one of a connection inwards for which there is never an entry: see frame_judge(). */
INLINE bool frame_is_unkept(const struct frame *f, const struct point at)
{
	return at.dir == MESH_INGRESS && f->p.proto == IPPROTO_TCP;
}

INLINE bool frame_failsafe(struct frame *f, const struct point at, bool v6)
{
	const struct pkt *p = &f->p;
	bool is_icmp = p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
	const __u32 *index;

	if (at.tunnel)
		return false;
	index = failsafe_find(f->c, at.dir, p->proto, at.dir == MESH_INGRESS ? &p->saddr : &p->daddr,
			      is_icmp ? 0 : p->dport, v6);
	if (!index)
		return false;
	if (frame_is_unkept(f, at) && (p->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		f->is_fresh = false;
	else
		failsafe_hit(index);
	return true;
}

/*
 * The answering side of a failsafe connection that has no entry: one inwards never has one, one outwards
 * may have lost it, or be older than the programs. It gets none from here: that would have the wrong
 * direction, and the first policy for that direction would end the connection.
 */
INLINE bool frame_failsafe_answer(const struct frame *f, const struct point at, bool v6)
{
	const struct pkt *p = &f->p;

	if (at.tunnel || p->proto != IPPROTO_TCP || !(p->tcp_flags & (TCP_ACK | TCP_RST)))
		return false;
	return failsafe_find(f->c, !at.dir, p->proto, at.dir == MESH_INGRESS ? &p->saddr : &p->daddr,
			     p->sport, v6);
}

/* What the maps say about the peer's address on this path. 0 or a drop reason. */
INLINE int frame_check_path(struct frame *f, const struct point at, struct mesh_ipinfo *info,
			    bool v6)
{
	if (at.tunnel && at.dir == MESH_INGRESS)
		return tunnel_check(f->c, &f->t, info, v6);
	if (at.tunnel) {
		if (!info->node)
			return MESH_DROP_NO_TUNNEL_ENDPOINT;
		/* what the host forwards must not go out as if the host had sent it */
		return ipcache_get(f->c, &f->p.saddr, v6).identity == f->c->identity ? 0 : MESH_DROP_TUNNEL_SOURCE;
	}
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
 * A packet that no current entry answers: a new flow, or one whose policy or peer changed (`old`).
 * Asks the maps and writes the entry. A flow that policy no longer allows keeps its entry, as in
 * Cilium: so its forward packets are judged each time, and a packet of the other side cannot open
 * it again from there.
 */
INLINE int frame_judge(struct frame *f, const struct point at, const union ct_key *k, bool is_flow,
		       struct mesh_ct *old, __u64 now, bool v6)
{
	struct pkt *p = &f->p;
	const union addr *peer = at.dir == MESH_INGRESS ? &p->saddr : &p->daddr;
	struct mesh_ct e = {.flags = (at.dir == MESH_EGRESS ? MESH_CT_EGRESS : 0) |
				     (at.tunnel ? MESH_CT_TUNNEL : 0)};
	struct mesh_ipinfo info = {};
	struct decision d = {};
	bool is_shadow;
	int r;

	f->is_fresh = !old;
	if (frame_failsafe(f, at, v6)) {
		r = MESH_PASS_FAILSAFE;
		e.flags |= MESH_CT_FAILSAFE;
		/* anyone may send a SYN there: entries for them would push out those of others */
		is_flow = is_flow && !frame_is_unkept(f, at);
		goto pass;
	}
	/* an entry outwards may be older than the set, or of a connection that nobody knew: it does not stand against the set */
	if ((!old || at.dir == MESH_EGRESS) && frame_failsafe_answer(f, at, v6)) {
		f->is_fresh = false;
		return MESH_PASS_FAILSAFE;
	}
	info = ipcache_get(f->c, peer, v6);
	r = frame_check_path(f, at, &info, v6);
	f->rep.peer = info.identity;
	if (r)
		return r; /* forged or astray: says nothing of the flow */
	d = policy_decide(f->c, f->state, info.identity, at.dir, p);
	f->rep.verdict = d.verdict;
	f->rep.rule = d.rule;
	f->rep.dir = at.dir;
	r = MESH_PASS_NEW;
	if (d.verdict == MESH_DENY_DEFAULT && at.dir == MESH_EGRESS &&
	    dns_is_allowed(f->skb->mark, p->proto, p->dport)) {
		r = MESH_PASS_DNS;
		e.flags |= MESH_CT_DNS;
		goto pass;
	}
	is_shadow = d.verdict == MESH_ALLOW && shadow_is_on(f->state, at.dir) &&
		    shadow_decide(f->c, p, &f->rep, f->state, !old);
	if (d.verdict == MESH_ALLOW && !is_shadow)
		goto pass;
	if (!is_shadow && f->state & MESH_STATE_AUDIT) {
		r = MESH_PASS_AUDIT;
		e.flags |= MESH_CT_AUDIT;
		goto pass;
	}
	if (is_shadow) {
		/* told once for each flow, also for one that is older than the shadow policy */
		f->is_fresh = !old || !(old->flags & MESH_CT_SHADOW);
		r = MESH_PASS_SHADOW;
		e.flags |= MESH_CT_SHADOW;
		goto pass;
	}
	if (old)
		ct_touch(f->c, old, p, now, true);
	return reason_of(d.verdict);
pass:
	f->node = info.node;
	e.generation = state_generation(f->state);
	e.peer = info.identity;
	e.rule = d.rule;
	e.node = info.node;
	if (at.tunnel && at.dir == MESH_INGRESS) {
		e.outer4 = f->t.outer4;
		e.vni = f->t.vni;
	}
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
	return r;
}

/*
 * The path of a packet of a known flow is checked again unless the entry says that it was. 0 or a
 * reason; *ret_is_other if the peer is not who opened the flow: behind a node's address, say, ports
 * are used by one after the other.
 */
INLINE int frame_recheck(struct frame *f, const struct point at, struct mesh_ct *e, bool is_current,
			 bool *ret_is_other, bool v6)
{
	const union addr *peer = at.dir == MESH_INGRESS ? &f->p.saddr : &f->p.daddr;
	struct mesh_ipinfo info;
	int r;

	if (at.tunnel && at.dir == MESH_EGRESS)
		return 0;
	if (at.tunnel) {
		if (is_current && e->outer4 && e->outer4 == f->t.outer4 && e->vni == f->t.vni)
			return 0;
	} else if (!(e->flags & MESH_CT_TUNNEL)) {
		return 0;
	}
	info = ipcache_get(f->c, peer, v6);
	r = frame_check_path(f, at, &info, v6);
	*ret_is_other = e->peer != info.identity;
	if (!r && at.tunnel && is_current && !*ret_is_other) {
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

/* An ICMP error about a known flow, on a path where its sender may be. */
INLINE bool frame_is_related(struct frame *f, const struct point at, bool v6)
{
	struct pkt *p = &f->p;
	struct mesh_ipinfo info;

	if (!parse_is_icmp_error(p->proto, p->icmp_type) || p->frag == FRAG_LATER ||
	    !related_is(f->skb, f->c, p, at.dir, at.tunnel, v6))
		return false;
	info = ipcache_get(f->c, at.dir == MESH_INGRESS ? &p->saddr : &p->daddr, v6);
	f->node = info.node;
	return frame_check_path(f, at, &info, v6) == 0;
}

INLINE int frame_flow(struct frame *f, const struct point at, bool v6)
{
	__u64 now = bpf_jiffies64();
	struct mesh_ct *e = NULL;
	union ct_key k;
	bool is_flow = ct_key_fill(&k, &f->p, at.dir, v6);
	int r;

	if (is_flow)
		e = ct_find(&k, &f->p, now, v6);
	else if (frame_is_related(f, at, v6))
		return MESH_PASS_RELATED;
	if (e) {
		bool is_current = e->generation == state_generation(f->state);
		bool is_forward = ct_dir(e) == at.dir, is_other = false;

		if (is_current || !is_forward) {
			r = frame_recheck(f, at, e, is_current, &is_other, v6);
			if (r)
				return r;
			/* a port of the agent may be somebody else's by now */
			is_other |= e->flags & MESH_CT_DNS && !dns_is_allowed(f->skb->mark, f->p.proto, f->p.dport);
			if (is_forward && is_other)
				return frame_judge(f, at, &k, is_flow, e, now, v6);
			ct_touch(f->c, e, &f->p, now, is_forward);
			f->node = frame_node(f, at, e, is_current, v6);
			return is_forward ? MESH_PASS_ESTABLISHED : MESH_PASS_REPLY;
		}
	}
	return frame_judge(f, at, &k, is_flow, e, now, v6);
}

INLINE int frame_ip(struct frame *f, const struct point at, __u32 l3_off, bool v6)
{
	int r;

	f->rep.family = v6 ? 6 : 4;
	if (l3_off != ETH_HLEN || !parse_quick(f->skb, &f->p, v6)) {
		r = v6 ? parse_ip6(f->skb, l3_off, &f->p, at.dir) :
			 parse_ip4(f->skb, l3_off, &f->p, at.dir);
		if (r)
			return r;
	}
	if (!at.tunnel) {
		if (infra_is(&f->p, at.dir, v6, at.dir == MESH_EGRESS && f->skb->ingress_ifindex))
			return MESH_PASS_INFRA;
		if (f->p.proto == IPPROTO_UDP && f->c->tunnel_port &&
		    f->p.dport == f->c->tunnel_port)
			return frame_outer(f, at, v6);
	}
	return frame_flow(f, at, v6);
}

INLINE int frame_decide(struct frame *f, const struct point at)
{
	__be16 ethertype = 0;
	__u32 l3_off = 0;
	int r;

	r = parse_l2(f->skb, &ethertype, &l3_off);
	if (r)
		return r;
	if (at.tunnel && at.dir == MESH_INGRESS) {
		r = tunnel_read(f->skb, &f->t);
		if (r)
			return r;
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return frame_ip(f, at, l3_off, false);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return frame_ip(f, at, l3_off, true);
	if (!at.tunnel && parse_is_link_control(ethertype))
		return MESH_PASS_INFRA;
	return MESH_DROP_ETHERTYPE;
}

/*
 * What no rule can name, beside the tunnel: protocols that are not IP, which may carry the host's disks, and the rest of
 * a datagram that goes nowhere without its beginning. Dropped where policy would drop what it does not allow. What lies behind
 * more tags than are read may be IP, for a kernel that takes off as many as have no number, and is dropped always, but in
 * audit; a malformed packet, which may be more than it seems, even then. The reason.
 */
INLINE int frame_unread(struct frame *f, const struct point at, int reason)
{
	bool is_nameless = reason == MESH_DROP_ETHERTYPE || reason == MESH_DROP_FRAGMENT_LOST;

	if (at.tunnel || (!is_nameless && reason != MESH_DROP_VLAN_DEPTH))
		return reason;
	if (is_nameless && f->c->default_verdict[state_bank(f->state)][at.dir] == MESH_ALLOW)
		return MESH_PASS_UNREAD;
	if (!(f->state & MESH_STATE_AUDIT))
		return reason;
	f->is_fresh = true;
	return MESH_PASS_AUDIT;
}

INLINE bool frame_wants_event(const struct frame *f, int reason)
{
	if (reason >= MESH_DROP_FIRST)
		return f->state & MESH_STATE_EV_DROP;
	if (!f->is_fresh)
		return false;
	if (reason == MESH_PASS_AUDIT || reason == MESH_PASS_SHADOW)
		return f->state & (MESH_STATE_EV_DROP | MESH_STATE_EV_NEW);
	return f->state & MESH_STATE_EV_NEW;
}

INLINE int frame_handle(struct __sk_buff *skb, const struct point at)
{
	struct frame f = {.skb = skb, .c = config_get()};
	int reason, verdict, r;

	if (!f.c)
		return VERDICT_PASS;
	f.state = config_state(f.c);
	if (!(f.state & MESH_STATE_ACTIVE))
		return VERDICT_PASS;
	reason = frame_decide(&f, at);
	if (reason >= MESH_DROP_FIRST) {
		reason = frame_unread(&f, at, reason);
	} else {
		if (at.tunnel && at.dir == MESH_EGRESS) {
			r = tunnel_send(skb, f.c, f.node);
			if (r)
				reason = r;
		}
		if (f.p.frag == FRAG_FIRST && reason < MESH_DROP_FIRST)
			fragment_note(f.c, &f.p, at.dir, f.rep.family == 6);
	}
	if (at.dir == MESH_INGRESS && has_notes && reason < MESH_DROP_FIRST && f.rep.family)
		note_leave(&f.p, f.rep.family);
	count((__u32)reason, at.dir, skb->len);
	/*
	 * Calls of functions that are not inlined come last: kernels before 6.4 cannot follow a value back
	 * through one, and then take every state apart that differs in any number.
	 */
	verdict = reason < MESH_DROP_FIRST ? VERDICT_PASS : VERDICT_DROP;
	f.rep.dir = at.dir;
	if (reason == MESH_PASS_SHADOW)
		shadow_note(&f.p, &f.rep, !f.is_fresh);
	if (frame_wants_event(&f, reason)) {
		f.rep.ifindex = skb->ifindex;
		f.rep.len_bytes = skb->len;
		f.rep.reason = (__u16)reason;
		f.rep.flags = (at.tunnel ? MESH_EV_TUNNEL : 0) |
			      (reason == MESH_PASS_AUDIT  ? MESH_EV_AUDIT :
			       reason == MESH_PASS_SHADOW ? MESH_EV_SHADOW :
							    0);
		event_send(f.c, &f.p, &f.rep);
	}
	return verdict;
}
