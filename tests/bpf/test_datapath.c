/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped tc programs on crafted packets: policy, flows, failsafe, protocols. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "bpf/harness.h"

/* the macros below give usual values, which a test overrides */
#pragma GCC diagnostic ignored "-Woverride-init"

#define TCP4(...)                                                                                  \
	(&(struct pkt_spec){.src = "10.0.0.9", .dst = "10.0.0.1", .proto = IPPROTO_TCP,            \
			    .sport = 4000, .dport = 80, .tcp_flags = PKT_SYN, __VA_ARGS__})
#define TCP4_BACK(...)                                                                             \
	(&(struct pkt_spec){.src = "10.0.0.1", .dst = "10.0.0.9", .proto = IPPROTO_TCP,            \
			    .sport = 80, .dport = 4000, .tcp_flags = PKT_ACK, __VA_ARGS__})
#define TCP6(...)                                                                                  \
	(&(struct pkt_spec){.src = "fd00::9", .dst = "fd00::1", .proto = IPPROTO_TCP,              \
			    .sport = 4000, .dport = 80, .tcp_flags = PKT_SYN, __VA_ARGS__})
#define UDP4(...)                                                                                  \
	(&(struct pkt_spec){.src = "10.0.0.9", .dst = "10.0.0.1", .proto = IPPROTO_UDP,            \
			    .sport = 4000, .dport = 53, __VA_ARGS__})
#define IN(h, ...)  harness_run((h), BPFOBJ_NIC_INGRESS, __VA_ARGS__, NULL)
#define OUT(h, ...) harness_run((h), BPFOBJ_NIC_EGRESS, __VA_ARGS__, NULL)

static size_t entries(struct harness *h, enum bpfobj_map map)
{
	size_t n = 0;

	CHECK_EQ(bpfmap_count(h->obj, map, &n), 0);
	return n;
}

/* Identity 100 is class 1 in both banks; TCP 80 from it is allowed in bank 0. */
static void allow_http(struct harness *h)
{
	harness_reset(h);
	harness_ip(h, "10.0.0.9", 100, 0, 0);
	harness_ip(h, "fd00::9", 100, 0, 0);
	harness_class(h, 100, 1, 1);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(h, 0, MESH_INGRESS, 1, IPPROTO_TCP, 80, MESH_ALLOW);
}

static void test_inactive(struct harness *h)
{
	allow_http(h);
	bpfconfig_commit(h->conf, 0, 0);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), -1);
	CHECK_EQ(IN(h, TCP4(.ethertype = 0x1234)), -1);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 0);
}

static void test_flow(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 1);
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_SYN | PKT_ACK)), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 1);
	/* other ports, other peers, the other direction: no */
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.src = "10.0.0.8")), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 81)), MESH_DROP_POLICY);
	/* denied packets leave nothing behind */
	CHECK_EQ(entries(h, BPFOBJ_CT4), 1);
	CHECK_EQ(IN(h, TCP6()), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6(.tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(OUT(h, TCP6(.src = "fd00::1", .dst = "fd00::9", .sport = 80, .dport = 4000)),
		 MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP6(.dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(entries(h, BPFOBJ_CT6), 1);
	/* a packet in the middle of a connection opens a flow as well, if policy allows it */
	CHECK_EQ(IN(h, TCP4(.sport = 4001, .tcp_flags = PKT_ACK)), MESH_PASS_NEW);
}

static void test_generation(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	/* same policy, next generation: judged again, then known again */
	bpfconfig_bump(h->conf);
	CHECK_EQ(OUT(h, TCP4_BACK()), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	/* bank 1 allows nothing: forward packets stop; replies pass while the entry lives, as in Cilium */
	bpfconfig_commit(h->conf, 1, MESH_STATE_ACTIVE);
	CHECK_EQ(OUT(h, TCP4_BACK()), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, TCP4_BACK()), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 1);
	/* and back */
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_PASS_NEW);
	/* default verdict of the bank in force */
	h->c->default_verdict[1][MESH_INGRESS] = MESH_ALLOW;
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_DROP_POLICY);
	bpfconfig_commit(h->conf, 1, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_PASS_NEW);
}

/* With the other direction open, its packets must not open a flow that was revoked. */
static void test_revoked(struct harness *h)
{
	allow_http(h);
	h->c->default_verdict[0][MESH_EGRESS] = h->c->default_verdict[1][MESH_EGRESS] = MESH_ALLOW;
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_SYN | PKT_ACK)), MESH_PASS_REPLY);
	bpfconfig_commit(h->conf, 1, MESH_STATE_ACTIVE);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
		CHECK_EQ(OUT(h, TCP4_BACK()), MESH_PASS_REPLY);
	}
	/* a packet that is not the peer's ends nothing */
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
	harness_ip(h, "10.0.0.9", 100, 1, MESH_IP_TUNNEL);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_DROP_SPOOFED_POD);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 1);
	/* an answer to what was kept out, or a reset, opens nothing: the question stays forbidden */
	harness_reset(h);
	h->c->default_verdict[0][MESH_EGRESS] = MESH_ALLOW;
	CHECK_EQ(IN(h, TCP4()), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_SYN | PKT_ACK)), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_RST | PKT_ACK)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4()), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
}

/* An address that gets another identity loses what the old one was allowed, at the next generation. */
static void test_identity_change(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	harness_ip(h, "10.0.0.9", 200, 0, 0);
	bpfconfig_bump(h->conf);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
}

static void test_tcp_states(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_SYN | PKT_ACK)), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK | PKT_FIN)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_ACK | PKT_FIN)), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	/* a SYN on a closing connection is a new one and asks policy in its own direction */
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_SYN)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	/* refused at once: both sides close */
	CHECK_EQ(OUT(h, TCP4_BACK(.tcp_flags = PKT_RST | PKT_ACK)), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	/* lifetimes */
	h->c->ct_other_ticks = 0;
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_UDP, MESH_ALLOW, 0);
	CHECK_EQ(IN(h, UDP4()), MESH_PASS_NEW);
	struct timespec tick = {.tv_nsec = 20000000};
	nanosleep(&tick, NULL);
	CHECK_EQ(OUT(h, UDP4(.src = "10.0.0.1", .dst = "10.0.0.9", .sport = 53, .dport = 4000)),
		 MESH_DROP_POLICY);
	h->c->ct_other_ticks = 60 * h->c->ticks_per_s;
	CHECK_EQ(IN(h, UDP4()), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, UDP4(.src = "10.0.0.1", .dst = "10.0.0.9", .sport = 53, .dport = 4000)),
		 MESH_PASS_REPLY);
}

static void test_policy_forms(struct harness *h)
{
	harness_reset(h);
	harness_ip(h, "10.0.0.9", 100, 0, 0);
	harness_class(h, 100, 7, 0);
	harness_row(h, 0, MESH_INGRESS, 7, MESH_SLOT_TCP, MESH_ALLOW,
		    MESH_ROW_PORTS | MESH_ROW_RANGES);
	harness_port(h, 0, MESH_INGRESS, 7, IPPROTO_TCP, 25, MESH_DENY_RULE);
	harness_port(h, 0, MESH_INGRESS, 7, IPPROTO_TCP, 26, MESH_DENY_AUTH);
	harness_range(h, 0, MESH_INGRESS, 7, IPPROTO_TCP, 1024, 6, MESH_DENY_RULE);
	CHECK_EQ(IN(h, TCP4(.dport = 24)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.dport = 25)), MESH_DROP_POLICY_DENY);
	CHECK_EQ(IN(h, TCP4(.dport = 26)), MESH_DROP_POLICY_AUTH);
	CHECK_EQ(IN(h, TCP4(.dport = 1023)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.dport = 1024)), MESH_DROP_POLICY_DENY);
	CHECK_EQ(IN(h, TCP4(.dport = 2047)), MESH_DROP_POLICY_DENY);
	CHECK_EQ(IN(h, TCP4(.dport = 2048)), MESH_PASS_NEW);
	/* a row of one protocol says nothing about others */
	CHECK_EQ(IN(h, UDP4()), MESH_DROP_POLICY);
	/* protocols without a slot go by their number */
	harness_row(h, 0, MESH_INGRESS, 7, MESH_SLOT_OTHER, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(h, 0, MESH_INGRESS, 7, IPPROTO_GRE, 0, MESH_ALLOW);
	CHECK_EQ(IN(h, UDP4(.proto = IPPROTO_GRE, .payload_bytes = 20)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, UDP4(.proto = IPPROTO_ESP, .payload_bytes = 20)), MESH_DROP_POLICY);
	harness_row(h, 0, MESH_INGRESS, 7, MESH_SLOT_SCTP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(h, 0, MESH_INGRESS, 7, IPPROTO_SCTP, 53, MESH_ALLOW);
	CHECK_EQ(IN(h, UDP4(.proto = IPPROTO_SCTP)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, UDP4(.proto = IPPROTO_SCTP, .dport = 54)), MESH_DROP_POLICY);
	/* prefixes: the longest wins, an exact entry before any; unknown is world */
	harness_cidr(h, "192.168.0.0", 16, 300);
	harness_cidr(h, "192.168.5.0", 24, 301);
	harness_cidr(h, "2001:db8::", 32, 300);
	harness_class(h, 300, 8, 0);
	harness_row(h, 0, MESH_INGRESS, 8, MESH_SLOT_TCP, MESH_ALLOW, 0);
	CHECK_EQ(IN(h, TCP4(.src = "192.168.4.1")), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.src = "192.168.5.1")), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP6(.src = "2001:db8::7")), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6(.src = "2001:db9::7")), MESH_DROP_POLICY);
	h->c->world_v4 = 300;
	CHECK_EQ(IN(h, TCP4(.src = "9.9.9.9")), MESH_PASS_NEW);
	h->c->world_v4 = 2;
	CHECK_EQ(IN(h, TCP4(.src = "9.9.9.8")), MESH_DROP_POLICY);
}

static void test_audit(struct harness *h)
{
	allow_http(h);
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE | MESH_STATE_AUDIT);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_PASS_AUDIT);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 81)), MESH_PASS_REPLY);
	/* known like any other flow; a deny rule is no exception; IPv6 as well */
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	harness_port(h, 0, MESH_INGRESS, 1, IPPROTO_TCP, 82, MESH_DENY_RULE);
	CHECK_EQ(IN(h, TCP4(.dport = 82)), MESH_PASS_AUDIT);
	CHECK_EQ(IN(h, TCP6(.dport = 82)), MESH_PASS_AUDIT);
	CHECK_EQ(IN(h, TCP4(.ethertype = 0x1234)), MESH_PASS_AUDIT);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	/* what is forged or malformed is dropped as ever */
	CHECK_EQ(IN(h, TCP4(.sport = 4002, .cut_bytes = 12)), MESH_DROP_L4);
	harness_ip(h, "10.0.0.7", 101, 0, MESH_IP_TUNNEL);
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE | MESH_STATE_AUDIT | MESH_STATE_TUNNEL);
	CHECK_EQ(IN(h, TCP4(.src = "10.0.0.7")), MESH_DROP_SPOOFED_POD);
	CHECK_EQ(OUT(h, TCP4(.src = "10.0.0.1", .dst = "10.0.0.7")), MESH_DROP_POD_OFF_TUNNEL);
	/* what was let through ends when audit mode does */
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
}

static void test_failsafe(struct harness *h)
{
	uint64_t before[MESH_FAILSAFE_MAX], hits[MESH_FAILSAFE_MAX];

	harness_reset(h);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 22, "0.0.0.0", 96, 3);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_TCP, 6443, "10.9.9.9", 128, 4);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_UDP, 53, "fd00::53", 128, 5);
	CHECK_EQ(bpfmap_failsafe_hits(h->obj, before), 0);
	CHECK_EQ(IN(h, TCP4(.dport = 22)), MESH_PASS_FAILSAFE);
	CHECK_EQ(IN(h, TCP4(.dport = 22, .tcp_flags = PKT_ACK)), MESH_PASS_FAILSAFE);
	/* anyone may send these, so they take no room; the answering side talks all the same, but cannot open a flow */
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 22)), MESH_PASS_FAILSAFE);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 22, .tcp_flags = PKT_RST)), MESH_PASS_FAILSAFE);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 22, .dport = 999, .tcp_flags = PKT_SYN)),
		 MESH_DROP_POLICY);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 0);
	CHECK_EQ(IN(h, TCP6(.dport = 22)), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, TCP4(.src = "10.0.0.1", .dst = "10.9.9.9", .dport = 6443)),
		 MESH_PASS_FAILSAFE);
	CHECK_EQ(OUT(h, TCP4(.src = "10.0.0.1", .dst = "10.9.9.8", .dport = 6443)),
		 MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.dport = 6443)), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, &(struct pkt_spec){.src = "fd00::1", .dst = "fd00::53",
					   .proto = IPPROTO_UDP, .sport = 999, .dport = 53}),
		 MESH_PASS_FAILSAFE);
	CHECK_EQ(bpfmap_failsafe_hits(h->obj, hits), 0);
	CHECK_EQ(hits[3] - before[3], 1); /* connections */
	CHECK_EQ(hits[4] - before[4], 1);
	CHECK_EQ(hits[5] - before[5], 1);
	/* every port of a peer, and ICMP, which has none */
	CHECK_EQ(IN(h, TCP4(.dport = 7)), MESH_DROP_POLICY);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 0, "10.0.0.9", 128, 6);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_ICMP, 0, "10.0.0.9", 128, 7);
	CHECK_EQ(IN(h, TCP4(.dport = 7)), MESH_PASS_FAILSAFE);
	CHECK_EQ(IN(h, TCP4(.src = "10.0.0.8", .dport = 7)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, &(struct pkt_spec){.src = "10.0.0.9", .dst = "10.0.0.1", .proto = IPPROTO_ICMP,
					  .icmp_type = 8, .sport = 77}), MESH_PASS_FAILSAFE);
}

/* The agent's own queries, which a dns rule has allowed, pass where nothing else allows them; a deny stands. */
static void test_dns(struct harness *h)
{
	const struct mesh_dns dns = {.mark = 0x4e10};
	uint32_t zero = 0, mark = 0x4e10 | MESH_DNS_ALLOWED, other = 0x4e10;
	const struct pkt_spec *query = UDP4(.src = "10.0.0.1", .dst = "10.0.0.9");

	harness_reset(h);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, &mark), MESH_DROP_POLICY);
	CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_DNS, &zero, &dns), 0);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, NULL), MESH_DROP_POLICY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, &other), MESH_DROP_POLICY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_INGRESS, UDP4(.sport = 4001), &mark), MESH_DROP_POLICY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, UDP4(.src = "10.0.0.1", .dst = "10.0.0.9", .dport = 54), &mark), MESH_DROP_POLICY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, &mark), MESH_PASS_DNS);
	CHECK_EQ(mark, 0x4e10 | MESH_DNS_ALLOWED);
	CHECK_EQ(IN(h, UDP4(.sport = 53, .dport = 4000)), MESH_PASS_REPLY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, NULL), MESH_DROP_POLICY); /* of who has the port after the agent */
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, TCP4(.src = "10.0.0.1", .dst = "10.0.0.9", .dport = 53), &mark), MESH_PASS_DNS);
	/* once policy changes, the flow lives on its mark */
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, NULL), MESH_DROP_POLICY);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, &mark), MESH_PASS_DNS);
	h->c->default_verdict[0][MESH_EGRESS] = MESH_DENY_RULE;
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, query, &mark), MESH_DROP_POLICY_DENY);
	h->c->default_verdict[0][MESH_EGRESS] = MESH_DENY_DEFAULT;
	CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_DNS, &zero, &(struct mesh_dns){0}), 0);
}

/* A connection to the API server that is older than the programs outlives the first ingress policy. */
static void test_failsafe_older(struct harness *h)
{
	harness_reset(h);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_TCP, 6443, "10.0.0.9", 128, 4);
	h->c->default_verdict[0][MESH_INGRESS] = MESH_ALLOW;
	h->c->default_verdict[0][MESH_EGRESS] = MESH_ALLOW;
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.sport = 6443, .dport = 4000, .tcp_flags = PKT_ACK)), MESH_PASS_FAILSAFE);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 0);
	bpfconfig_commit(h->conf, 1, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.sport = 6443, .dport = 4000, .tcp_flags = PKT_ACK)), MESH_PASS_FAILSAFE);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 4000, .dport = 6443)), MESH_PASS_FAILSAFE);
	CHECK_EQ(entries(h, BPFOBJ_CT4), 1);
	CHECK_EQ(IN(h, TCP4(.sport = 6443, .dport = 4000, .tcp_flags = PKT_ACK)), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.sport = 6443, .dport = 4001)), MESH_DROP_POLICY);
	/* an entry of the wrong direction, from when the set was another, does not keep the host from answering its admin */
	harness_reset(h);
	h->c->default_verdict[0][MESH_EGRESS] = MESH_ALLOW;
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 22, .dport = 4000)), MESH_PASS_NEW);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 22, "10.0.0.9", 128, 4);
	bpfconfig_commit(h->conf, 1, MESH_STATE_ACTIVE);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 22, .dport = 4000)), MESH_PASS_FAILSAFE);
	CHECK_EQ(OUT(h, TCP4_BACK(.sport = 23, .dport = 4000)), MESH_DROP_POLICY);
}

/* A container may have the port of a DHCP client: what it sends to one server is judged, what guests ask all servers is not. */
static void test_forwarded_dhcp(struct harness *h)
{
	static const struct {
		const char *src, *dst;
		uint16_t sport, dport;
		int reason;
	} cases[] = {{"10.0.0.1", "203.0.113.5", 68, 67, MESH_DROP_POLICY}, {"0.0.0.0", "255.255.255.255", 68, 67, MESH_PASS_INFRA},
		     {"fd00::1", "2001:db8::5", 546, 547, MESH_DROP_POLICY}, {"fe80::1", "ff02::1:2", 546, 547, MESH_PASS_INFRA}};

	harness_reset(h);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct pkt_spec *s = UDP4(.src = cases[i].src, .dst = cases[i].dst, .sport = cases[i].sport, .dport = cases[i].dport);
		int r;

		CHECK_EQ(OUT(h, s), MESH_PASS_INFRA);
		h->came_by = 1;
		r = OUT(h, s);
		h->came_by = 0;
		CHECK(r == cases[i].reason || r == HARNESS_CANNOT);
	}
}

static void test_infra(struct harness *h)
{
	static const struct {
		uint16_t type;
		int reason;
	} types[] = {{0x0806, MESH_PASS_INFRA}, {0x88cc, MESH_PASS_INFRA},
		     {0x888e, MESH_PASS_INFRA}, {0x8809, MESH_PASS_INFRA},
		     {0x0027, MESH_PASS_INFRA}, {0x8137, MESH_DROP_ETHERTYPE},
		     {0x8864, MESH_PASS_INFRA}, {0x88e5, MESH_PASS_INFRA},
		     {0x892f, MESH_PASS_INFRA}, {0x88fb, MESH_PASS_INFRA},
		     {0x4305, MESH_PASS_INFRA}, {0x4306, MESH_DROP_ETHERTYPE},
		     {0x8847, MESH_DROP_ETHERTYPE}, {0x88a2, MESH_DROP_ETHERTYPE}};

	harness_reset(h);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		CHECK_EQ(IN(h, TCP4(.ethertype = types[i].type)), types[i].reason);
	/* address configuration, each direction with its own ports */
	CHECK_EQ(OUT(h, &(struct pkt_spec){.src = "0.0.0.0", .dst = "255.255.255.255",
					   .proto = IPPROTO_UDP, .sport = 68, .dport = 67}),
		 MESH_PASS_INFRA);
	CHECK_EQ(IN(h, UDP4(.sport = 67, .dport = 68)), MESH_PASS_INFRA);
	CHECK_EQ(IN(h, UDP4(.sport = 68, .dport = 67)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, UDP4(.src = "fe80::2", .dst = "fe80::1", .sport = 547, .dport = 546)),
		 MESH_PASS_INFRA);
	CHECK_EQ(IN(h, UDP4(.src = "fe80::2", .dst = "fe80::1", .sport = 5470, .dport = 546)),
		 MESH_PASS_INFRA);
	CHECK_EQ(IN(h, UDP4(.src = "fd00::9", .dst = "fd00::1", .sport = 5470, .dport = 546)),
		 MESH_DROP_POLICY);
	/* anyone may send from any other port */
	CHECK_EQ(OUT(h, UDP4(.src = "10.0.0.1", .dst = "203.0.113.5", .sport = 40000, .dport = 67)), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, UDP4(.src = "fd00::1", .dst = "fd00::9", .sport = 40000, .dport = 547)), MESH_DROP_POLICY);
	for (unsigned t = 0; t < 256; t++) {
		bool infra = (t >= 130 && t <= 136) || t == 138 || (t >= 141 && t <= 143) ||
			     t == 148 || t == 149 || (t >= 151 && t <= 153);

		CHECK_EQ(IN(h, &(struct pkt_spec){.src = "fe80::2", .dst = "ff02::1",
						  .proto = IPPROTO_ICMPV6,
						  .icmp_type = (uint8_t)t}),
			 infra ? MESH_PASS_INFRA : MESH_DROP_POLICY);
	}
}

static void test_vlan(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP4(.vlan_tags = 1)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.vlan_tags = 2, .sport = 4001)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.vlan_tags = 1, .dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.vlan_tags = 3)), MESH_DROP_VLAN_DEPTH);
	CHECK_EQ(IN(h, TCP6(.vlan_tags = 2)), MESH_PASS_NEW);
}

/* The copy for interfaces without a link header takes the packet from its IP header on. */
static void test_no_link_header(struct harness *h)
{
#define L3(s) harness_run(h, BPFOBJ_L3_INGRESS, (s), NULL)
	struct err err = {0};

	CHECK_EQ(bpfobj_load_l3(h->obj, &err), 0);
	allow_http(h);
	CHECK_EQ(L3(TCP4()), MESH_PASS_NEW);
	CHECK_EQ(L3(TCP4()), MESH_PASS_ESTABLISHED);
	CHECK_EQ(harness_run(h, BPFOBJ_L3_EGRESS, TCP4_BACK(), NULL), MESH_PASS_REPLY);
	CHECK_EQ(harness_run(h, BPFOBJ_L3_EGRESS, TCP4_BACK(.dport = 4001), NULL), MESH_DROP_POLICY);
	CHECK_EQ(L3(TCP4(.dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(L3(TCP6()), MESH_PASS_NEW);
	CHECK_EQ(L3(TCP6(.ext = {255, 60}, .sport = 4001)), MESH_PASS_NEW);
	CHECK_EQ(L3(TCP6(.ext = {255, 60}, .dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(L3(TCP6(.cut_bytes = 8)), MESH_DROP_L4);
	/* nothing but IP, and of the version that is told */
	CHECK_EQ(L3(TCP4(.ethertype = 0x0806)), MESH_DROP_ETHERTYPE);
	CHECK_EQ(L3(TCP4(.ethertype = 0x88cc)), MESH_DROP_ETHERTYPE);
	CHECK_EQ(L3(TCP4(.ethertype = 0x86dd)), MESH_DROP_L3);
	CHECK_EQ(L3(TCP6(.ethertype = 0x0800)), MESH_DROP_L3);
#undef L3
}

static void test_malformed(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP4(.cut_bytes = 10)), MESH_DROP_L4);
	CHECK_EQ(IN(h, TCP4(.vlan_tags = 1, .cut_bytes = 30)), MESH_DROP_L3);
	CHECK_EQ(IN(h, TCP4(.version_ihl = 0x65)), MESH_DROP_L3);
	CHECK_EQ(IN(h, TCP4(.version_ihl = 0x44)), MESH_DROP_L3);
	CHECK_EQ(IN(h, TCP4(.version_ihl = 0x4f)), MESH_DROP_L3);
	CHECK_EQ(IN(h, TCP4(.option_words = 10)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.option_words = 3, .dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP6(.cut_bytes = 8)), MESH_DROP_L4);
	CHECK_EQ(IN(h, TCP6(.vlan_tags = 1, .cut_bytes = 30)), MESH_DROP_L3);
}

static void test_ext_headers(struct harness *h)
{
	allow_http(h);
	CHECK_EQ(IN(h, TCP6(.ext = {255})), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6(.ext = {255, 60, 43, 51}, .sport = 4001)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6(.ext = {255, 60, 43, 51}, .dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP6(.ext = {255, 60, 60, 60, 60})), MESH_DROP_EXT_HEADERS);
	CHECK_EQ(IN(h, TCP6(.ext = {59})), MESH_DROP_EXT_HEADERS);
	CHECK_EQ(IN(h, TCP6(.ext = {60}, .cut_bytes = 24)), MESH_DROP_EXT_HEADERS);
	/* an atomic fragment is a whole packet */
	CHECK_EQ(IN(h, TCP6(.is_fragment = true, .sport = 4002)), MESH_PASS_NEW);
}

static void test_fragments(struct harness *h)
{
	allow_http(h);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_UDP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(h, 0, MESH_INGRESS, 1, IPPROTO_UDP, 53, MESH_ALLOW);
	CHECK_EQ(IN(h, UDP4(.is_fragment = true, .offset_units = 100, .frag_id = 7,
			    .payload_bytes = 64)), MESH_DROP_FRAGMENT_LOST);
	CHECK_EQ(IN(h, UDP4(.is_fragment = true, .more_fragments = true, .frag_id = 7,
			    .payload_bytes = 64)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, UDP4(.is_fragment = true, .offset_units = 100, .frag_id = 7,
			    .payload_bytes = 64)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(IN(h, UDP4(.is_fragment = true, .offset_units = 100, .frag_id = 8,
			    .payload_bytes = 64)), MESH_DROP_FRAGMENT_LOST);
	CHECK_EQ(OUT(h, UDP4(.is_fragment = true, .offset_units = 100, .frag_id = 7,
			     .payload_bytes = 64)), MESH_DROP_FRAGMENT_LOST);
	/* the rest of a denied datagram stays out */
	CHECK_EQ(IN(h, UDP4(.is_fragment = true, .more_fragments = true, .frag_id = 9,
			    .dport = 54, .payload_bytes = 64)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, UDP4(.is_fragment = true, .offset_units = 100, .frag_id = 9,
			    .payload_bytes = 64)), MESH_DROP_FRAGMENT_LOST);
	/* fragments that rewrite or cut the TCP header */
	CHECK_EQ(IN(h, TCP4(.is_fragment = true, .more_fragments = true, .frag_id = 10,
			    .payload_bytes = 64)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.is_fragment = true, .offset_units = 1, .frag_id = 10,
			    .payload_bytes = 64)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, TCP4(.is_fragment = true, .more_fragments = true, .frag_id = 11,
			    .cut_bytes = 12)), MESH_DROP_L4);
	/* IPv6, with a header in front and one behind the fragment header */
	CHECK_EQ(IN(h, TCP6(.ext = {255}, .is_fragment = true, .more_fragments = true,
			    .frag_id = 0x12345678, .payload_bytes = 64)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6(.ext = {255}, .is_fragment = true, .offset_units = 50,
			    .frag_id = 0x12345678, .payload_bytes = 64)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(IN(h, TCP6(.is_fragment = true, .offset_units = 50, .frag_id = 0x12345679,
			    .payload_bytes = 64)), MESH_DROP_FRAGMENT_LOST);
}

/* What lies behind the length that the IP header tells is no header, and no fragment replaces one. */
static void test_lengths(struct harness *h)
{
#define FIRST6(...) TCP6(.is_fragment = true, .more_fragments = true, .options_units = 3, __VA_ARGS__)
#define LATER6(...) TCP6(.is_fragment = true, .options_units = 3, .payload_bytes = 64, __VA_ARGS__)
	allow_http(h);
	/* the transport header is beyond the end */
	CHECK_EQ(IN(h, FIRST6(.frag_id = 20, .len_delta = -20)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, LATER6(.frag_id = 20, .offset_units = 3)), MESH_DROP_FRAGMENT_LOST);
	CHECK_EQ(IN(h, FIRST6(.frag_id = 20, .len_delta = -1)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, FIRST6(.frag_id = 20, .len_delta = -28)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, TCP4(.is_fragment = true, .more_fragments = true, .frag_id = 20,
			    .len_delta = -4)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, TCP4(.len_delta = -1)), MESH_DROP_L4);
	CHECK_EQ(IN(h, TCP4(.len_delta = -21)), MESH_DROP_L3);
	CHECK_EQ(IN(h, TCP4(.len_delta = -40)), MESH_DROP_L3);
	CHECK_EQ(IN(h, TCP6(.len_delta = -1)), MESH_DROP_L4);
	CHECK_EQ(IN(h, TCP6(.len_delta = -20)), MESH_DROP_L4);
	CHECK_EQ(IN(h, TCP6(.ext = {255, 60}, .len_delta = -20)), MESH_DROP_L4);
	/* a later fragment inside of what the first one was judged by */
	CHECK_EQ(IN(h, FIRST6(.frag_id = 21)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, LATER6(.frag_id = 21, .offset_units = 3)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, LATER6(.frag_id = 21, .offset_units = 5)), MESH_DROP_FRAGMENT_TINY);
	CHECK_EQ(IN(h, LATER6(.frag_id = 21, .offset_units = 6)), MESH_PASS_ESTABLISHED);
	/* what is shorter than the frame is padding */
	CHECK_EQ(IN(h, TCP4(.payload_bytes = 6, .len_delta = -6, .sport = 4010)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6(.payload_bytes = 6, .len_delta = -6, .sport = 4010)), MESH_PASS_NEW);
#undef FIRST6
#undef LATER6
}

static void test_icmp(struct harness *h)
{
#define PING(...)                                                                                  \
	(&(struct pkt_spec){.src = "10.0.0.9", .dst = "10.0.0.1", .proto = IPPROTO_ICMP,           \
			    .icmp_type = 8, .sport = 77, __VA_ARGS__})
	allow_http(h);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_ICMP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	CHECK_EQ(IN(h, PING()), MESH_DROP_POLICY);
	harness_port(h, 0, MESH_INGRESS, 1, IPPROTO_ICMP, 8, MESH_ALLOW);
	CHECK_EQ(IN(h, PING()), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, PING(.src = "10.0.0.1", .dst = "10.0.0.9", .icmp_type = 0)),
		 MESH_PASS_REPLY);
	CHECK_EQ(OUT(h, PING(.src = "10.0.0.1", .dst = "10.0.0.9", .icmp_type = 0, .sport = 78)),
		 MESH_DROP_POLICY);
	/* our own query with the same identifier is another flow */
	CHECK_EQ(OUT(h, PING(.src = "10.0.0.1", .dst = "10.0.0.9")), MESH_DROP_POLICY);
	/* an answer that nobody asked for opens nothing, even where it is allowed */
	harness_port(h, 0, MESH_INGRESS, 1, IPPROTO_ICMP, 0, MESH_ALLOW);
	CHECK_EQ(IN(h, PING(.icmp_type = 0, .sport = 79)), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, PING(.src = "10.0.0.1", .dst = "10.0.0.9", .sport = 79)),
		 MESH_DROP_POLICY);
	CHECK_EQ(IN(h, PING(.src = "fd00::9", .dst = "fd00::1", .proto = IPPROTO_ICMPV6,
			    .icmp_type = 128)), MESH_DROP_POLICY);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_ICMPV6, MESH_ALLOW, 0);
	CHECK_EQ(IN(h, PING(.src = "fd00::9", .dst = "fd00::1", .proto = IPPROTO_ICMPV6,
			    .icmp_type = 128)), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, PING(.src = "fd00::1", .dst = "fd00::9", .proto = IPPROTO_ICMPV6,
			     .icmp_type = 129)), MESH_PASS_REPLY);
#undef PING
}

static void test_icmp_errors(struct harness *h)
{
	const struct pkt_spec *sent = TCP4_BACK();
	const struct pkt_spec *other = TCP4_BACK(.dport = 4001);
	const struct pkt_spec *sent6 = TCP6(.src = "fd00::1", .dst = "fd00::9", .sport = 80,
					    .dport = 4000);
#define ERROR4(q, ...)                                                                             \
	(&(struct pkt_spec){.src = "172.16.0.1", .dst = "10.0.0.1", .proto = IPPROTO_ICMP,         \
			    .icmp_type = 3, .icmp_code = 4, .quoted = (q), __VA_ARGS__})

	allow_http(h);
	CHECK_EQ(IN(h, ERROR4(sent)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP6()), MESH_PASS_NEW);
	/* of a router on the way, about a packet that we sent in this flow */
	CHECK_EQ(IN(h, ERROR4(sent)), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, ERROR4(sent, .icmp_type = 11)), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, ERROR4(sent, .icmp_type = 5)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, ERROR4(other)), MESH_DROP_POLICY);
	/* quoting what we received is an error of ours, not of theirs */
	CHECK_EQ(IN(h, ERROR4(TCP4())), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, ERROR4(TCP4(), .src = "10.0.0.1", .dst = "10.0.0.9")), MESH_PASS_RELATED);
	/* who did not send it has no business with the error */
	CHECK_EQ(IN(h, ERROR4(sent, .dst = "10.0.0.3")), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, ERROR4(TCP4(), .src = "10.0.0.1", .dst = "10.0.0.8")), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, &(struct pkt_spec){.src = "fd00:77::1", .dst = "fd00::3",
					  .proto = IPPROTO_ICMPV6, .icmp_type = 2,
					  .quoted = sent6}), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, ERROR4(sent, .cut_bytes = 16)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, &(struct pkt_spec){.src = "fd00:77::1", .dst = "fd00::1",
					  .proto = IPPROTO_ICMPV6, .icmp_type = 2,
					  .quoted = sent6}), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, &(struct pkt_spec){.src = "fd00:77::1", .dst = "fd00::1",
					  .proto = IPPROTO_ICMPV6, .icmp_type = 2,
					  .quoted = TCP6()}), MESH_DROP_POLICY);
	/* about an answer to whom the failsafe set lets in, which has no entry */
	CHECK_EQ(IN(h, ERROR4(TCP4_BACK(.sport = 22))), MESH_DROP_POLICY);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 22, "0.0.0.0", 96, 3);
	CHECK_EQ(IN(h, ERROR4(TCP4_BACK(.sport = 22))), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, ERROR4(TCP4(.dport = 22))), MESH_DROP_POLICY);
	/* about our query; about our tunnel packets */
	harness_row(h, 0, MESH_EGRESS, 1, MESH_SLOT_ICMP, MESH_ALLOW, 0);
	const struct pkt_spec *ping = &(struct pkt_spec){.src = "10.0.0.1", .dst = "10.0.0.9",
							  .proto = IPPROTO_ICMP, .icmp_type = 8,
							  .sport = 5};
	CHECK_EQ(IN(h, ERROR4(ping)), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, ping), MESH_PASS_NEW);
	CHECK_EQ(IN(h, ERROR4(ping)), MESH_PASS_RELATED);
	h->c->tunnel_port = htons(8472);
	harness_ip(h, "10.0.0.2", 6, 1, MESH_IP_NODE);
	const struct pkt_spec *outer = &(struct pkt_spec){.src = "10.0.0.1", .dst = "10.0.0.2",
							   .proto = IPPROTO_UDP, .sport = 33333,
							   .dport = 8472};
	CHECK_EQ(IN(h, ERROR4(outer)), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, ERROR4(outer, .dst = "10.0.0.3")), MESH_DROP_POLICY);
	const struct pkt_spec *not_node = &(struct pkt_spec){.src = "10.0.0.1", .dst = "10.0.0.3",
							      .proto = IPPROTO_UDP,
							      .sport = 33333, .dport = 8472};
	CHECK_EQ(IN(h, ERROR4(not_node)), MESH_DROP_POLICY);
#undef ERROR4
}

/* Errors about fragments, and about packets with extension headers: path MTU discovery needs them. */
static void test_errors_about_fragments(struct harness *h)
{
#define SENT6(...)                                                                                 \
	(&(struct pkt_spec){.src = "fd00::1", .dst = "fd00::9", .proto = IPPROTO_UDP, .sport = 53,  \
			    .dport = 4000, .payload_bytes = 64, __VA_ARGS__})
#define SENT4(...) UDP4(.src = "10.0.0.1", .dst = "10.0.0.9", .payload_bytes = 64, __VA_ARGS__)
#define TOO_BIG6(q)                                                                                \
	(&(struct pkt_spec){.src = "fd00:77::1", .dst = "fd00::1", .proto = IPPROTO_ICMPV6,        \
			    .icmp_type = 2, .quoted = (q)})
#define TOO_BIG4(q)                                                                                \
	(&(struct pkt_spec){.src = "172.16.0.1", .dst = "10.0.0.1", .proto = IPPROTO_ICMP,         \
			    .icmp_type = 3, .icmp_code = 4, .quoted = (q)})
	const struct pkt_spec *first = SENT6(.is_fragment = true, .more_fragments = true, .frag_id = 30);
	const struct pkt_spec *later = SENT6(.is_fragment = true, .offset_units = 9, .frag_id = 30);
	const struct pkt_spec *first4 = SENT4(.is_fragment = true, .more_fragments = true, .frag_id = 30);
	const struct pkt_spec *later4 = SENT4(.is_fragment = true, .offset_units = 9, .frag_id = 30);

	allow_http(h);
	harness_row(h, 0, MESH_EGRESS, 1, MESH_SLOT_UDP, MESH_ALLOW, 0);
	CHECK_EQ(IN(h, TOO_BIG6(first)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TOO_BIG6(later)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TOO_BIG4(later4)), MESH_DROP_POLICY);
	CHECK_EQ(OUT(h, first), MESH_PASS_NEW);
	CHECK_EQ(OUT(h, later), MESH_PASS_ESTABLISHED);
	CHECK_EQ(OUT(h, first4), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TOO_BIG6(first)), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, TOO_BIG6(later)), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, TOO_BIG4(first4)), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, TOO_BIG4(later4)), MESH_PASS_RELATED);
	/* the flow, not the fragment, is what counts */
	CHECK_EQ(IN(h, TOO_BIG6(SENT6(.is_fragment = true, .offset_units = 9, .frag_id = 31))),
		 MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TOO_BIG6(SENT6(.is_fragment = true, .more_fragments = true, .sport = 54))),
		 MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TOO_BIG6(SENT6(.ext = {255, 60}))), MESH_PASS_RELATED);
	CHECK_EQ(IN(h, TOO_BIG6(SENT6(.ext = {255, 60}, .dport = 4001))), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TOO_BIG6(SENT6(.ext = {60, 60, 60, 60, 60}))), MESH_DROP_POLICY);
#undef SENT6
#undef SENT4
#undef TOO_BIG6
#undef TOO_BIG4
}

static void test_tunnel_outer(struct harness *h)
{
	const struct pkt_spec *in = UDP4(.src = "10.0.0.2", .dport = 8472);
	const struct pkt_spec *out = UDP4(.src = "10.0.0.1", .dst = "10.0.0.2", .dport = 8472);
	uint32_t mark;

	harness_reset(h);
	CHECK_EQ(IN(h, in), MESH_DROP_POLICY);
	h->c->tunnel_port = htons(8472);
	CHECK_EQ(IN(h, in), MESH_DROP_TUNNEL_UNKNOWN_NODE);
	mark = h->c->overlay_mark;
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, out, &mark), MESH_DROP_TUNNEL_DST);
	harness_ip(h, "10.0.0.2", 6, 1, MESH_IP_NODE);
	CHECK_EQ(IN(h, in), MESH_PASS_TUNNEL);
	/* a local process cannot choose the identity of its packets */
	CHECK_EQ(OUT(h, out), MESH_DROP_TUNNEL_FORGED);
	mark = 1;
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, out, &mark), MESH_DROP_TUNNEL_FORGED);
	mark = h->c->overlay_mark | 1;
	CHECK_EQ(harness_run(h, BPFOBJ_NIC_EGRESS, out, &mark), MESH_PASS_TUNNEL);
}

static void test_tunnel_inner(struct harness *h)
{
	struct mesh_node node = {.v4 = inet_addr("10.0.0.2")};
	const struct pkt_spec *out = TCP4(.src = "10.0.0.1", .dst = "10.244.1.5");
	uint32_t index = 1, mark = 7;

	allow_http(h);
	CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_NODES, &index, &node), 0);
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL);
	harness_ip(h, "10.244.1.5", 100, 1, MESH_IP_TUNNEL);
	harness_ip(h, "10.0.0.1", h->c->identity, 0, 0);
	/* pod addresses belong into the tunnel, whatever policy says */
	CHECK_EQ(IN(h, TCP4(.src = "10.244.1.5")), MESH_DROP_SPOOFED_POD);
	CHECK_EQ(OUT(h, out), MESH_DROP_POD_OFF_TUNNEL);
	CHECK_EQ(harness_run(h, BPFOBJ_TUN_INGRESS, TCP4(.src = "10.244.1.5"), NULL),
		 MESH_DROP_TUNNEL_NO_KEY);
	CHECK_EQ(harness_run(h, BPFOBJ_TUN_EGRESS, out, NULL), MESH_DROP_POLICY);
	CHECK_EQ(harness_run(h, BPFOBJ_TUN_EGRESS, TCP4(.dst = "10.244.1.6"), NULL), MESH_DROP_NO_TUNNEL_ENDPOINT);
	harness_row(h, 0, MESH_EGRESS, 1, MESH_SLOT_TCP, MESH_ALLOW, 0);
	/* the VNI is the host's identity, so only packets of its own address may go there */
	CHECK_EQ(harness_run(h, BPFOBJ_TUN_EGRESS, TCP4(.src = "192.168.7.7", .dst = "10.244.1.5"), NULL), MESH_DROP_TUNNEL_SOURCE);
	CHECK_EQ(harness_run(h, BPFOBJ_TUN_EGRESS, out, &mark), MESH_PASS_NEW);
	CHECK_EQ(mark, h->c->overlay_mark | 7);
	/* nor does the answer of a tunnel flow come in plainly */
	CHECK_EQ(IN(h, TCP4(.src = "10.244.1.5", .sport = 80, .dport = 4000,
			    .tcp_flags = PKT_SYN | PKT_ACK)), MESH_DROP_SPOOFED_POD);
	/* nor an error about it, though it quotes the flow */
	CHECK_EQ(IN(h, &(struct pkt_spec){.src = "10.244.1.5", .dst = "10.0.0.1", .proto = IPPROTO_ICMP,
					  .icmp_type = 3, .icmp_code = 3, .quoted = out}), MESH_DROP_SPOOFED_POD);
	CHECK_EQ(IN(h, &(struct pkt_spec){.src = "172.16.0.1", .dst = "10.0.0.1", .proto = IPPROTO_ICMP,
					  .icmp_type = 3, .icmp_code = 4, .quoted = out}), MESH_PASS_RELATED);
	/* nor does the flow leave plainly when its route is gone */
	CHECK_EQ(harness_run(h, BPFOBJ_TUN_EGRESS, out, NULL), MESH_PASS_ESTABLISHED);
	CHECK_EQ(OUT(h, out), MESH_DROP_POD_OFF_TUNNEL);
	/* native routing: the same addresses are ordinary peers */
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.src = "10.244.1.5", .sport = 4005)), MESH_PASS_NEW);
}

static void test_events(struct harness *h)
{
	struct mesh_event ev;
	uint8_t addr[16];

	allow_http(h);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(harness_events(h, &ev), 0);
	h->c->event_burst = 10;
	h->c->event_rate = 1000;
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE | MESH_STATE_EV_DROP);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(harness_events(h, &ev), 1);
	CHECK_EQ(ev.reason, MESH_DROP_POLICY);
	CHECK_EQ(ev.peer, 100);
	CHECK_EQ(ev.rule, 1001);
	CHECK_EQ(ntohs(ev.sport), 4000);
	CHECK_EQ(ntohs(ev.dport), 81);
	CHECK_EQ(ev.proto, IPPROTO_TCP);
	CHECK_EQ(ev.tcp_flags, PKT_SYN);
	CHECK_EQ(ev.dir, MESH_INGRESS);
	CHECK_EQ(ev.family, 4);
	pkt_addr16("10.0.0.9", addr);
	CHECK(memcmp(ev.saddr, addr, 16) == 0);
	pkt_addr16("10.0.0.1", addr);
	CHECK(memcmp(ev.daddr, addr, 16) == 0);
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE | MESH_STATE_EV_DROP | MESH_STATE_EV_NEW);
	CHECK_EQ(IN(h, TCP4(.sport = 4009)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.sport = 4009, .tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(harness_events(h, &ev), 1);
	CHECK_EQ(ev.rule, 2001);
	/* a flood is held back, and what was is counted */
	h->c->event_rate = 0;
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(IN(h, TCP4(.dport = 82)), MESH_DROP_POLICY);
	CHECK(harness_events(h, &ev) <= 20);
}

int main(void)
{
	struct harness h;

	harness_open(&h, NULL);
	test_inactive(&h);
	test_flow(&h);
	test_generation(&h);
	test_revoked(&h);
	test_identity_change(&h);
	test_tcp_states(&h);
	test_policy_forms(&h);
	test_audit(&h);
	test_failsafe(&h);
	test_dns(&h);
	test_failsafe_older(&h);
	test_infra(&h);
	test_forwarded_dhcp(&h);
	test_vlan(&h);
	test_no_link_header(&h);
	test_malformed(&h);
	test_ext_headers(&h);
	test_fragments(&h);
	test_lengths(&h);
	test_icmp(&h);
	test_icmp_errors(&h);
	test_errors_about_fragments(&h);
	test_tunnel_outer(&h);
	test_tunnel_inner(&h);
	test_events(&h);
	harness_close(&h);
	return harness_done();
}
