/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no rule can name passes where nothing is in force, and where policies only tell; what is behind too many tags, which the
 * kernel may take off, only where they tell; malformed packets never do.
 */
#include <netinet/in.h>

#include "bpf/harness.h"

#define TCP4(...)                                                                                                        \
	(&(struct pkt_spec){.src = "203.0.113.77", .dst = "10.0.0.1", .proto = IPPROTO_TCP, .sport = 4000, .dport = 80,  \
			    .tcp_flags = PKT_SYN, __VA_ARGS__})
#define TCP6(...)                                                                                                        \
	(&(struct pkt_spec){.src = "2001:db8::77", .dst = "fd00::1", .proto = IPPROTO_TCP, .sport = 4000, .dport = 80,   \
			    .tcp_flags = PKT_SYN, __VA_ARGS__})

enum { FCOE = 0x8906, AOE = 0x88a2 };

/* The reasons for what cannot be read; what is malformed is dropped whatever holds. */
static void expect(struct harness *h, enum bpfobj_prog nic, enum bpfobj_prog l3, int ethertype, int depth, int lost)
{
	CHECK_EQ(harness_run(h, nic, TCP4(.ethertype = FCOE), NULL), ethertype);
	CHECK_EQ(harness_run(h, nic, TCP4(.ethertype = AOE, .vlan_tags = 2), NULL), ethertype);
	CHECK_EQ(harness_run(h, l3, TCP4(.ethertype = 0x8847), NULL), ethertype);
	CHECK_EQ(harness_run(h, nic, TCP4(.vlan_tags = 3), NULL), depth);
	CHECK_EQ(harness_run(h, nic, TCP4(.is_fragment = true, .offset_units = 100, .frag_id = 7, .payload_bytes = 64), NULL), lost);
	CHECK_EQ(harness_run(h, nic, TCP6(.is_fragment = true, .offset_units = 100, .frag_id = 7, .payload_bytes = 64), NULL), lost);
	CHECK_EQ(harness_run(h, nic, TCP4(.cut_bytes = 12), NULL), MESH_DROP_L4);
	CHECK_EQ(harness_run(h, nic, TCP4(.is_fragment = true, .offset_units = 1, .payload_bytes = 64), NULL), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(harness_run(h, nic, TCP6(.ext = {60, 60, 60, 60, 60}), NULL), MESH_DROP_EXT_HEADERS);
}

static void expect_in(struct harness *h, int ethertype, int depth, int lost)
{
	expect(h, BPFOBJ_NIC_INGRESS, BPFOBJ_L3_INGRESS, ethertype, depth, lost);
}

static void expect_out(struct harness *h, int ethertype, int depth, int lost)
{
	expect(h, BPFOBJ_NIC_EGRESS, BPFOBJ_L3_EGRESS, ethertype, depth, lost);
}

int main(void)
{
	const struct bpfobj_sizes sizes = {.frags = 64, .ct4 = 64, .ct6 = 64};
	struct err err = {0};
	struct harness h;

	harness_open(&h, &sizes);
	CHECK_EQ(bpfobj_load_l3(h.obj, &err), 0);
	harness_reset(&h);
	expect_in(&h, MESH_DROP_ETHERTYPE, MESH_DROP_VLAN_DEPTH, MESH_DROP_FRAGMENT_LOST);
	expect_out(&h, MESH_DROP_ETHERTYPE, MESH_DROP_VLAN_DEPTH, MESH_DROP_FRAGMENT_LOST);
	/* each direction for itself, and of the bank in force */
	h.c->default_verdict[0][MESH_INGRESS] = h.c->default_verdict[1][MESH_EGRESS] = MESH_ALLOW;
	expect_in(&h, MESH_PASS_UNREAD, MESH_DROP_VLAN_DEPTH, MESH_PASS_UNREAD);
	expect_out(&h, MESH_DROP_ETHERTYPE, MESH_DROP_VLAN_DEPTH, MESH_DROP_FRAGMENT_LOST);
	bpfconfig_commit(h.conf, 1, MESH_STATE_ACTIVE);
	expect_in(&h, MESH_DROP_ETHERTYPE, MESH_DROP_VLAN_DEPTH, MESH_DROP_FRAGMENT_LOST);
	expect_out(&h, MESH_PASS_UNREAD, MESH_DROP_VLAN_DEPTH, MESH_PASS_UNREAD);
	bpfconfig_commit(h.conf, 1, MESH_STATE_ACTIVE | MESH_STATE_AUDIT);
	expect_in(&h, MESH_PASS_AUDIT, MESH_PASS_AUDIT, MESH_PASS_AUDIT);
	expect_out(&h, MESH_PASS_UNREAD, MESH_PASS_AUDIT, MESH_PASS_UNREAD);
	/* not on the tunnel's device */
	CHECK_EQ(harness_run(&h, BPFOBJ_TUN_EGRESS, TCP4(.ethertype = FCOE), NULL), MESH_DROP_ETHERTYPE);
	harness_close(&h);
	return harness_done();
}
