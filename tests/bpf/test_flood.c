/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More new flows than the table of flows holds, ten times over: a connection that is in use stays, in either direction
 * and in either family, while nothing else would let its answers in; and a flood of what policy denies fills nothing.
 * MESH_TEST_FLOWS gives the table's size: 262144 is a host's, and then it is 1,000 packets a second of that connection
 * under a million new flows a second.
 */
#include <bpf/bpf.h>
#include <netinet/in.h>

#include "base/clock.h"
#include "base/macro.h"
#include "bpf/harness.h"
#include "lib/result.h"

enum {
	FLOWS = 16384,	    /* that the table holds */
	TIMES = 10,	    /* as many new ones */
	BETWEEN_MAX = 1000, /* of them between two packets of the one in use; fewer where the table is smaller */
	BETWEEN_PART = 64,
	PORTS = 60000,
};

static unsigned flows;

static struct pkt_spec syn(bool is_v6, unsigned i, uint16_t port)
{
	return (struct pkt_spec){.src = is_v6 ? "fd00::9" : "10.0.0.9", .dst = is_v6 ? "fd00::1" : "10.0.0.1", .proto = IPPROTO_TCP,
				 .sport = (uint16_t)(1000 + i % PORTS), .dport = (uint16_t)(port + i / PORTS), .tcp_flags = PKT_SYN};
}

/* A connection that the host opened: nothing allows what comes in but its entry. */
static struct pkt_spec ours(bool is_v6, bool is_answer)
{
	const char *host = is_v6 ? "fd00::1" : "10.0.0.1", *peer = is_v6 ? "fd00::8" : "10.0.0.8";

	return (struct pkt_spec){.src = is_answer ? peer : host, .dst = is_answer ? host : peer, .proto = IPPROTO_TCP,
				 .sport = is_answer ? 443 : 999, .dport = is_answer ? 999 : 443, .tcp_flags = PKT_ACK};
}

/* Without asking for the reason each time, which takes longer than the packet. */
static bool passes(struct harness *h, bool is_in, const struct pkt_spec *s)
{
	uint8_t frame[PKT_MAX], out[PKT_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	opts.data_size_in = (uint32_t)pkt_build(s, frame);
	return bpf_prog_test_run_opts(bpfobj_prog_fd(h->obj, is_in ? BPFOBJ_NIC_INGRESS : BPFOBJ_NIC_EGRESS), &opts) == 0 &&
	       (int)opts.retval == -1;
}

static void reset(struct harness *h)
{
	harness_reset(h);
	harness_ip(h, "10.0.0.9", 100, 0, 0);
	harness_ip(h, "fd00::9", 100, 0, 0);
	harness_class(h, 100, 1, 1);
	h->c->default_verdict[0][MESH_EGRESS] = MESH_ALLOW;
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
}

static void flood(struct harness *h, bool is_v6)
{
	struct pkt_spec out = ours(is_v6, false), answer = ours(is_v6, true), stray = ours(is_v6, true);
	unsigned lost = 0, passed = 0, n = TIMES * flows, between = MIN(flows / BETWEEN_PART, (unsigned)BETWEEN_MAX);
	uint64_t begun = clock_boot_us();

	reset(h);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	for (unsigned port = 0; port <= n / PORTS; port++)
		harness_port(h, 0, MESH_INGRESS, 1, IPPROTO_TCP, (uint16_t)(80 + port), MESH_ALLOW);
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	stray.dport = 998;
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, &out, NULL), MESH_PASS_NEW);
	for (unsigned i = 0; i < n; i++) {
		struct pkt_spec s = syn(is_v6, i, 80);

		passed += passes(h, true, &s);
		if (i % between == 0)
			lost += !passes(h, true, &answer);
	}
	CHECK_EQ(passed, n);
	CHECK_EQ(lost, 0);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_INGRESS, &answer, NULL), MESH_PASS_REPLY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_INGRESS, &stray, NULL), MESH_DROP_POLICY);
	(void)printf("IPv%d: %u new flows in a table of %u, %u packets of another one, %u lost\n", is_v6 ? 6 : 4, passed, flows, n / between, lost);
	result_add("flood", json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "ip", is_v6 ? 6 : 4, "table", (json_int_t)flows, "new_flows", (json_int_t)passed,
				      "packets_of_one_in_use", (json_int_t)(n / between), "lost", (json_int_t)lost, "us",
				      (json_int_t)(clock_boot_us() - begun)));
}

static void denied(struct harness *h, bool is_v6)
{
	unsigned passed = 0;
	size_t n;

	reset(h);
	for (unsigned i = 0; i < flows; i++) {
		struct pkt_spec s = syn(is_v6, i, 80);

		passed += passes(h, true, &s);
	}
	CHECK_EQ(passed, 0);
	CHECK_EQ(bpfmap_count(h->obj, is_v6 ? BPFOBJ_CT6 : BPFOBJ_CT4, &n), 0);
	CHECK_EQ(n, 0);
}

int main(void)
{
	struct bpfobj_sizes sizes = {.ipcache = 1024, .cidr = 1024, .classes = 1024, .rows = 8192,
					   .ports = 1024, .ranges = 1024, .frags = 64, .shadow = 64};
	struct harness h;

	flows = (unsigned)result_amount("MESH_TEST_FLOWS", FLOWS);
	sizes.ct4 = sizes.ct6 = flows;
	harness_open(&h, &sizes);
	for (unsigned is_v6 = 0; is_v6 < 2; is_v6++) {
		flood(&h, is_v6);
		denied(&h, is_v6);
	}
	harness_close(&h);
	return harness_done();
}
