/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a port of a bridge, on a machine whose kernel has no VLAN devices: what comes in by it gets the tag of VLAN 10, and only
 * what has one goes out, without it.
 */
#include <linux/bpf.h>

enum { VLAN = 10, TYPE_BE = 0x0081 /* 802.1Q */, PASS = 0, DROP = 2 };

static long (*push)(struct __sk_buff *, __be16, __u16) = (void *)BPF_FUNC_skb_vlan_push;
static long (*pop)(struct __sk_buff *) = (void *)BPF_FUNC_skb_vlan_pop;

__attribute__((section("in"), used)) int port_in(struct __sk_buff *skb)
{
	return push(skb, TYPE_BE, VLAN) ? DROP : PASS;
}

__attribute__((section("out"), used)) int port_out(struct __sk_buff *skb)
{
	return skb->vlan_present && !pop(skb) ? PASS : DROP;
}
