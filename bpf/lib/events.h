/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reports to user space, limited on each CPU so that a flood of denied packets costs little. */
#pragma once

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
} mesh_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mesh_rate);
} mesh_event_rate SEC(".maps");

struct report {
	__u32 peer;
	__u32 rule;
	__u32 ifindex;
	__u32 len_bytes;
	__u16 reason;
	__u8 verdict;
	__u8 dir;
	__u8 flags;
	__u8 family;
};

/* NULL: no event now. */
INLINE struct mesh_rate *event_token(const struct mesh_config *c)
{
	__u32 zero = 0;
	struct mesh_rate *r = bpf_map_lookup_elem(&mesh_event_rate, &zero);
	__u64 now, add;

	if (!r)
		return NULL;
	now = bpf_jiffies64();
	if (now != r->last_ticks && c->ticks_per_s) {
		add = now - r->last_ticks;
		if (add > c->ticks_per_s)
			add = c->ticks_per_s;
		add = add * c->event_rate / c->ticks_per_s;
		if (add) {
			add += r->tokens;
			r->tokens = add > c->event_burst ? c->event_burst : (__u32)add;
			r->last_ticks = now;
		}
	}
	if (!r->tokens) {
		r->suppressed++;
		return NULL;
	}
	r->tokens--;
	return r;
}

/* Not inlined: the programs have many places that report. */
static __noinline int event_send(const struct mesh_config *c, const struct pkt *p, const struct report *rep)
{
	struct mesh_rate *rate = event_token(c);
	struct mesh_event *e;

	if (!rate)
		return 0;
	e = bpf_ringbuf_reserve(&mesh_events, sizeof(*e), 0);
	if (!e) {
		rate->suppressed++;
		return 0;
	}
	memset(e, 0, sizeof(*e));
	e->time_ns = bpf_ktime_get_boot_ns();
	e->ifindex = rep->ifindex;
	e->len_bytes = rep->len_bytes;
	if (rep->family) {
		addr_mapped(e->saddr, &p->saddr, rep->family == 6);
		addr_mapped(e->daddr, &p->daddr, rep->family == 6);
		e->sport = p->sport;
		e->dport = p->dport;
		e->proto = p->proto;
		e->tcp_flags = p->proto == IPPROTO_TCP ? p->tcp_flags : p->icmp_type;
	}
	e->dir = rep->dir;
	e->flags = rep->flags;
	e->reason = rep->reason;
	e->verdict = rep->verdict;
	e->family = rep->family;
	e->peer = rep->peer;
	e->rule = rep->rule;
	e->suppressed = rate->suppressed;
	rate->suppressed = 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
