/* SPDX-License-Identifier: Apache-2.0 */
/* Shadow policies in the shipped tc programs: what they would drop passes, and is told and counted. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "bpf/harness.h"

/* the macros below give usual values, which a test overrides */
#pragma GCC diagnostic ignored "-Woverride-init"

#define TCP4(...)                                                                                  \
	(&(struct pkt_spec){.src = "10.0.0.9", .dst = "10.0.0.1", .proto = IPPROTO_TCP,            \
			    .sport = 4000, .dport = 80, .tcp_flags = PKT_SYN, __VA_ARGS__})
#define TCP6(...)                                                                                  \
	(&(struct pkt_spec){.src = "fd00::9", .dst = "fd00::1", .proto = IPPROTO_TCP,              \
			    .sport = 4000, .dport = 80, .tcp_flags = PKT_SYN, __VA_ARGS__})
#define TCP4_OUT(...)                                                                              \
	(&(struct pkt_spec){.src = "10.0.0.1", .dst = "10.0.0.9", .proto = IPPROTO_TCP,            \
			    .sport = 80, .dport = 4000, .tcp_flags = PKT_ACK, __VA_ARGS__})
#define IN(h, ...)  harness_run((h), BPFOBJ_NIC_INGRESS, __VA_ARGS__, NULL)
#define OUT(h, ...) harness_run((h), BPFOBJ_NIC_EGRESS, __VA_ARGS__, NULL)

enum { SHADOW_IN = MESH_SHADOW | MESH_INGRESS };

static const uint64_t shadow_in = MESH_STATE_ACTIVE | MESH_STATE_SHADOW << MESH_INGRESS;

/* Identity 100 is class 1: all TCP of it is allowed; with the shadow policies, only port 80. */
static void setup(struct harness *h)
{
	harness_reset(h);
	harness_ip(h, "10.0.0.9", 100, 0, 0);
	harness_ip(h, "fd00::9", 100, 0, 0);
	harness_class(h, 100, 1, 1);
	for (unsigned dir = MESH_INGRESS; dir <= MESH_EGRESS; dir++)
		harness_row(h, 0, dir, 1, MESH_SLOT_TCP, MESH_ALLOW, 0);
	harness_row(h, 0, SHADOW_IN, 1, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	harness_port(h, 0, SHADOW_IN, 1, IPPROTO_TCP, 80, MESH_ALLOW);
	harness_port(h, 0, SHADOW_IN, 1, IPPROTO_TCP, 82, MESH_DENY_RULE);
}

static struct mesh_shadow noted(struct harness *h, const char *addr, unsigned dir, uint16_t port)
{
	struct mesh_shadow_key k = {.identity = 100, .proto = IPPROTO_TCP, .dir = (uint8_t)dir, .port = htons(port)};
	struct mesh_shadow v = {0};

	pkt_addr16(addr, k.addr);
	(void)bpfmap_get(h->obj, BPFOBJ_SHADOW, &k, &v); /* none: all zero */
	return v;
}

static size_t entries(struct harness *h)
{
	size_t n = 0;

	CHECK_EQ(bpfmap_count(h->obj, BPFOBJ_SHADOW, &n), 0);
	return n;
}

static uint64_t asked(struct harness *h)
{
	uint64_t flows[2] = {0};

	CHECK_EQ(bpfmap_shadow_flows(h->obj, flows), 0);
	return flows[MESH_INGRESS];
}

static void test_off(struct harness *h)
{
	uint64_t before = asked(h);

	setup(h);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.dport = 82)), MESH_PASS_NEW);
	CHECK_EQ(entries(h), 0);
	CHECK_EQ(asked(h), before);
	/* the flag of one direction says nothing about the other */
	bpfconfig_commit(h->conf, 0, shadow_in);
	CHECK_EQ(OUT(h, TCP4_OUT(.sport = 5000)), MESH_PASS_NEW);
	CHECK_EQ(entries(h), 0);
}

static void test_new_flows(struct harness *h)
{
	uint64_t before;
	struct mesh_shadow v;

	setup(h);
	before = asked(h);
	bpfconfig_commit(h->conf, 0, shadow_in);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(entries(h), 0);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_PASS_SHADOW);
	/* a flow like any other: known, with replies, and counted once */
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(OUT(h, TCP4_OUT(.sport = 81)), MESH_PASS_REPLY);
	v = noted(h, "10.0.0.9", MESH_INGRESS, 81);
	CHECK_EQ(v.flows, 1);
	CHECK_EQ(v.verdict, MESH_DENY_DEFAULT);
	CHECK_EQ(v.rule, 1001);
	CHECK(v.first_ns && v.first_ns == v.last_ns);
	CHECK_EQ(IN(h, TCP4(.dport = 81, .sport = 4001)), MESH_PASS_SHADOW);
	CHECK_EQ(noted(h, "10.0.0.9", MESH_INGRESS, 81).flows, 2);
	CHECK_EQ(IN(h, TCP4(.dport = 82)), MESH_PASS_SHADOW);
	v = noted(h, "10.0.0.9", MESH_INGRESS, 82);
	CHECK_EQ(v.verdict, MESH_DENY_RULE);
	CHECK_EQ(v.rule, 2001);
	CHECK_EQ(IN(h, TCP6(.dport = 82)), MESH_PASS_SHADOW);
	CHECK_EQ(IN(h, TCP6(.dport = 82, .tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	CHECK_EQ(noted(h, "fd00::9", MESH_INGRESS, 82).flows, 1);
	CHECK_EQ(asked(h) - before, 5);
}

/* What policy drops is dropped, whatever shadow policies would say, and is none of their business. */
static void test_enforced(struct harness *h)
{
	setup(h);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_TCP, MESH_DENY_RULE, 0);
	bpfconfig_commit(h->conf, 0, shadow_in);
	CHECK_EQ(IN(h, TCP4()), MESH_DROP_POLICY_DENY);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_DROP_POLICY_DENY);
	CHECK_EQ(entries(h), 0);
	/* audit mode: the same, but it passes */
	bpfconfig_commit(h->conf, 0, shadow_in | MESH_STATE_AUDIT);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_AUDIT);
	CHECK_EQ(entries(h), 0);
	harness_row(h, 0, MESH_INGRESS, 1, MESH_SLOT_TCP, MESH_ALLOW, 0);
	bpfconfig_bump(h->conf);
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_PASS_SHADOW);
}

static void test_generations(struct harness *h)
{
	struct mesh_shadow v;

	setup(h);
	/* older than the shadow policy: told with its first packet under it, then known again */
	CHECK_EQ(IN(h, TCP4(.dport = 81)), MESH_PASS_NEW);
	bpfconfig_commit(h->conf, 0, shadow_in);
	CHECK_EQ(OUT(h, TCP4_OUT(.sport = 81)), MESH_PASS_REPLY);
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_SHADOW);
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	/* judged again at each generation, but it is still that one flow */
	for (unsigned i = 0; i < 3; i++) {
		bpfconfig_bump(h->conf);
		CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_SHADOW);
		CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_ESTABLISHED);
	}
	v = noted(h, "10.0.0.9", MESH_INGRESS, 81);
	CHECK_EQ(v.flows, 1);
	CHECK(v.last_ns > v.first_ns);
	/* without shadow policies it is an allowed flow; with them enforced it stops */
	bpfconfig_commit(h->conf, 0, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_PASS_NEW);
	harness_port(h, 1, MESH_INGRESS, 1, IPPROTO_TCP, 80, MESH_ALLOW);
	harness_row(h, 1, MESH_INGRESS, 1, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS);
	bpfconfig_commit(h->conf, 1, MESH_STATE_ACTIVE);
	CHECK_EQ(IN(h, TCP4(.dport = 81, .tcp_flags = PKT_ACK)), MESH_DROP_POLICY);
}

/* What the failsafe set lets through would pass as well if the shadow policies were in force. */
static void test_failsafe(struct harness *h)
{
	setup(h);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 22, "::", 0, 3);
	harness_failsafe(h, MESH_EGRESS, IPPROTO_TCP, 6443, "::", 0, 4);
	bpfconfig_commit(h->conf, 0, shadow_in);
	CHECK_EQ(IN(h, TCP4(.dport = 22)), MESH_PASS_FAILSAFE);
	CHECK_EQ(IN(h, TCP4(.sport = 6443, .dport = 5001, .tcp_flags = PKT_ACK)), MESH_PASS_FAILSAFE);
	CHECK_EQ(entries(h), 0);
	CHECK_EQ(IN(h, TCP4(.sport = 6444, .dport = 5001, .tcp_flags = PKT_ACK)), MESH_PASS_SHADOW);
}

static void test_events(struct harness *h)
{
	struct mesh_event ev;

	setup(h);
	h->c->event_burst = 10;
	h->c->event_rate = 1000;
	bpfconfig_commit(h->conf, 0, shadow_in | MESH_STATE_EV_DROP);
	CHECK_EQ(IN(h, TCP4()), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.dport = 82)), MESH_PASS_SHADOW);
	bpfconfig_bump(h->conf);
	CHECK_EQ(IN(h, TCP4(.dport = 82, .tcp_flags = PKT_ACK)), MESH_PASS_SHADOW);
	CHECK_EQ(harness_events(h, &ev), 1);
	CHECK_EQ(ev.reason, MESH_PASS_SHADOW);
	CHECK_EQ(ev.flags, MESH_EV_SHADOW);
	CHECK_EQ(ev.verdict, MESH_DENY_RULE);
	CHECK_EQ(ev.rule, 2001);
	CHECK_EQ(ev.peer, 100);
}

/* A map without room loses no count: there is a sum of all others. */
static void test_full(void)
{
	static const struct mesh_shadow_key rest;
	const struct bpfobj_sizes sizes = {.shadow = 8};
	struct mesh_shadow v = {0};
	struct harness h;

	harness_open(&h, &sizes);
	setup(&h);
	bpfconfig_commit(h.conf, 0, shadow_in);
	CHECK_EQ(bpfmap_put(h.obj, BPFOBJ_SHADOW, &rest, &v), 0);
	for (uint16_t i = 0; i < 20; i++)
		CHECK_EQ(IN(&h, TCP4(.dport = 100 + i)), MESH_PASS_SHADOW);
	CHECK_EQ(entries(&h), 8);
	CHECK_EQ(bpfmap_get(h.obj, BPFOBJ_SHADOW, &rest, &v), 0);
	CHECK_EQ(v.flows, 13);
	harness_close(&h);
}

int main(void)
{
	struct harness h;

	harness_open(&h, NULL);
	test_off(&h);
	test_new_flows(&h);
	test_enforced(&h);
	test_generations(&h);
	test_failsafe(&h);
	test_events(&h);
	harness_close(&h);
	test_full();
	return harness_done();
}
