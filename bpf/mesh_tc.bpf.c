/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs for the external interfaces and for the tunnel device. */
#include "lib/verdict.h"

SEC("tc")
int mesh_nic_ingress(struct __sk_buff *skb)
{
	return frame_handle(skb, (struct point){.dir = MESH_INGRESS});
}

SEC("tc")
int mesh_nic_egress(struct __sk_buff *skb)
{
	return frame_handle(skb, (struct point){.dir = MESH_EGRESS});
}

SEC("tc")
int mesh_tun_ingress(struct __sk_buff *skb)
{
	int r = frame_handle(skb, (struct point){.dir = MESH_INGRESS, .tunnel = true});

	/* the inner destination address is that of an interface of the sending node */
	if (r != VERDICT_DROP)
		bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
	return r;
}

SEC("tc")
int mesh_tun_egress(struct __sk_buff *skb)
{
	return frame_handle(skb, (struct point){.dir = MESH_EGRESS, .tunnel = true});
}

char mesh_license[] SEC("license") = "Dual BSD/GPL";
