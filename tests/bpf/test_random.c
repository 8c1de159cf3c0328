/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies, from objects through tables and maps to the shipped programs, and random flows through those:
 * each packet's fate is what the rules say, read by the model that walks them, and what a list of flows says. Each
 * set changes while its flows live; whatever it says, and some say that nothing may pass at all, the failsafe set stays
 * open, in both directions. The seed is fixed; MESH_TEST_ROUNDS asks for more sets, MESH_TEST_SEED for others.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "bpf/harness.h"
#include "lib/result.h"
#include "recon/recon_policy.h"
#include "unit/policy/random_set.h"
#include "lib/json_objects.h"

enum { ROUNDS = 150, STEPS = 3, FRAMES = 34, FLOWS = STEPS * FRAMES, ADDRESSES_MAX = 64, ADMIN_PORT = 65022, API_PORT = 65443,
       DENY_ALL_EVERY = 10 };

static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6};

struct flow {
	struct fixture_peer peer;
	char address[INET6_ADDRSTRLEN];
	bool is_v6;
	uint8_t proto;
	uint16_t port, other;
	enum policy_dir dir; /* of its first packet that passed; meanwhile of the first that was sent */
	bool has_entry;
	uint32_t generation;
};

struct run {
	struct harness h;
	struct fixture f;
	struct recon_policy *recon;
	struct flow flows[FLOWS];
	unsigned n_flows;
	uint64_t expected[MESH_REASON_MAX]; /* since the programs were loaded */
	uint64_t frames, replies, denied, established, admins;
};

/* Each identity has one address of each family, for good. */
static void address_of(uint32_t identity, bool is_v6, char ret[INET6_ADDRSTRLEN])
{
	(void)snprintf(ret, INET6_ADDRSTRLEN, is_v6 ? "fd99::%x" : "100.64.0.%u", identity - RANDOM_IDENTITY + 1);
}

static void put_addresses(struct harness *h)
{
	char address[INET6_ADDRSTRLEN];

	for (uint32_t i = 0; i < RANDOM_IDENTITIES; i++)
		for (unsigned is_v6 = 0; is_v6 < 2; is_v6++) {
			address_of(RANDOM_IDENTITY + i, is_v6, address);
			harness_ip(h, address, RANDOM_IDENTITY + i, 0, 0);
		}
}

/* A peer that a frame can have: an address, or one of the identities that move. */
static struct fixture_peer frame_peer(void)
{
	struct fixture_peer p;

	do
		p = random_peer();
	while (p.has_identity &&
	       (p.identity < RANDOM_IDENTITY || p.identity >= RANDOM_IDENTITY + RANDOM_IDENTITIES));
	if (p.has_identity)
		p.ip.family = 0;
	return p;
}

static struct flow *new_flow(struct run *r)
{
	struct flow *fl = &r->flows[r->n_flows++];

	*fl = (struct flow){.peer = frame_peer(), .proto = RANDOM_PICK(protos)};
	fl->is_v6 = fl->peer.has_identity ? random_chance(30) : fl->peer.ip.family == AF_INET6;
	if (fl->proto == IPPROTO_ICMP || fl->proto == IPPROTO_ICMPV6)
		fl->proto = fl->is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	if (fl->peer.has_identity)
		address_of(fl->peer.identity, fl->is_v6, fl->address);
	else
		cr_assert(inet_ntop(fl->peer.ip.family, fl->peer.ip.b, fl->address, sizeof(fl->address)));
	fl->dir = random_chance(50) ? POLICY_INGRESS : POLICY_EGRESS;
	fl->port = (uint16_t)(random_chance(90) ? random_below(64) : random_below(ADMIN_PORT));
	fl->other = (uint16_t)(1024 + r->n_flows); /* two flows are never one */
	if (fl->proto == IPPROTO_ICMP)
		fl->port = 8; /* others have no flow, or are about another packet */
	else if (fl->proto == IPPROTO_ICMPV6)
		fl->port = 128;
	return fl;
}

static int reason_for(struct policy_verdict v)
{
	return v.action == POLICY_ALLOW	   ? MESH_PASS_NEW :
	       v.action == POLICY_DENY_RULE ? MESH_DROP_POLICY_DENY :
	       v.action == POLICY_DENY_AUTH ? MESH_DROP_POLICY_AUTH :
					      MESH_DROP_POLICY;
}

/* What becomes of a packet of the flow, as the rules are now. */
static int fate(struct run *r, struct flow *fl, bool is_reply)
{
	uint32_t generation = bpfconfig_generation(r->h.conf);
	int reason;

	if (is_reply)
		return MESH_PASS_REPLY;
	if (fl->has_entry && fl->generation == generation)
		return MESH_PASS_ESTABLISHED;
	reason = reason_for(fixture_model_verdict(&r->f, &fl->peer, fl->dir, fl->proto, fl->port));
	if (reason == MESH_PASS_NEW) {
		fl->has_entry = true;
		fl->generation = generation;
	}
	return reason;
}

/* What the programs say of the packet. */
static int run_packet(struct run *r, const struct pkt_spec *s, bool is_in)
{
	uint8_t frame[PKT_MAX], out[PKT_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_out = out, .data_size_out = sizeof(out),
		    .repeat = 1);

	opts.data_size_in = (uint32_t)pkt_build(s, frame);
	cr_assert_eq(bpf_prog_test_run_opts(
			     bpfobj_prog_fd(r->h.obj, is_in ? BPFOBJ_NIC_INGRESS : BPFOBJ_NIC_EGRESS), &opts), 0);
	return (int)opts.retval;
}

static void run_frame(struct run *r, struct flow *fl, bool is_reply)
{
	bool is_in = (fl->dir == POLICY_INGRESS) != is_reply;
	bool is_icmp = fl->proto == IPPROTO_ICMP || fl->proto == IPPROTO_ICMPV6;
	const char *own = fl->is_v6 ? "fd00::1" : "10.0.0.1";
	struct pkt_spec s = {.src = is_in ? fl->address : own,
			     .dst = is_in ? own : fl->address,
			     .proto = fl->proto,
			     .sport = is_reply && !is_icmp ? fl->port : fl->other,
			     .dport = is_reply && !is_icmp ? fl->other : fl->port,
			     .tcp_flags = PKT_ACK,
			     .icmp_type = (uint8_t)fl->port,
			     .payload_bytes = 20};
	int want = fate(r, fl, is_reply), got;

	if (is_reply && is_icmp)
		s.icmp_type = fl->is_v6 ? 129 : 0;
	got = run_packet(r, &s, is_in);
	r->frames++;
	r->expected[want]++;
	r->replies += is_reply;
	r->denied += want >= MESH_DROP_FIRST;
	r->established += want == MESH_PASS_ESTABLISHED;
	if (got == (want >= MESH_DROP_FIRST ? 2 : -1))
		return;
	CHECK_EQ(got, want >= MESH_DROP_FIRST ? 2 : -1);
	(void)fprintf(stderr, "  %s -> %s proto %u %u -> %u: %s expected\n", s.src, s.dst, s.proto, s.sport, s.dport,
		      bpfmap_reason_name((unsigned)want));
}

/* A packet of a flow that the failsafe set lets in or out, and the answer to it. */
static void try_failsafe(struct run *r, const char *src, const char *dst, uint16_t from, uint16_t to, bool is_in)
{
	const struct pkt_spec first = {.src = src, .dst = dst, .proto = IPPROTO_TCP, .sport = from, .dport = to, .tcp_flags = PKT_SYN};
	const struct pkt_spec answer = {.src = dst, .dst = src, .proto = IPPROTO_TCP, .sport = to, .dport = from, .tcp_flags = PKT_SYN | PKT_ACK};

	CHECK_EQ(run_packet(r, &first, is_in), -1);
	CHECK_EQ(run_packet(r, &answer, !is_in), -1);
	r->expected[MESH_PASS_FAILSAFE]++;
	r->expected[is_in ? MESH_PASS_FAILSAFE : MESH_PASS_REPLY]++;
}

/* Any peer comes to the admin's port, and is answered; the host gets to the API server, wherever that is. */
static void try_admin(struct run *r)
{
	struct fixture_peer peer = frame_peer();
	bool is_v6 = peer.has_identity ? random_chance(50) : peer.ip.family == AF_INET6;
	const char *own = is_v6 ? "fd00::1" : "10.0.0.1";
	uint16_t port = (uint16_t)(20000 + r->admins++ % 40000); /* of no other flow */
	char address[INET6_ADDRSTRLEN];

	if (peer.has_identity)
		address_of(peer.identity, is_v6, address);
	else
		cr_assert(inet_ntop(peer.ip.family, peer.ip.b, address, sizeof(address)));
	try_failsafe(r, address, own, port, ADMIN_PORT, true);
	try_failsafe(r, own, address, port, API_PORT, false);
}

/* Not only how many passed: each for its reason. */
static void check_counters(struct run *r, uint64_t round)
{
	static struct mesh_counter counters[MESH_REASON_MAX * 2];

	CHECK_EQ(bpfmap_counters(r->h.obj, counters), 0);
	for (unsigned i = 0; i < MESH_REASON_MAX; i++) {
		uint64_t got = counters[i * 2].packets + counters[i * 2 + 1].packets;

		if (got == r->expected[i])
			continue;
		(void)fprintf(stderr, "set %llu: %s\n", (unsigned long long)round, bpfmap_reason_name(i));
		CHECK_EQ(got, r->expected[i]);
		r->expected[i] = got;
	}
}

static void change(struct run *r)
{
	for (uint32_t n = 1 + random_below(5); n > 0; n--)
		random_set_policy(&r->f, random_below(6), false);
	if (random_chance(30))
		(void)policy_remove(r->f.repo, POLICY_CNP, "ext", "p1");
	if (random_chance(70))
		random_set_identity(&r->f, RANDOM_IDENTITY + random_below(RANDOM_IDENTITIES));
	cr_assert_geq(policy_table_update(r->f.table), 0);
	cr_assert_eq(recon_policy_apply(r->recon, r->f.table, r->f.ids, MESH_STATE_ACTIVE), 0);
}

/* Nobody may come in, and nothing may go out. */
static void deny_all(struct run *r)
{
	json_t *spec = json_pack("{s:{}, s:[{s:[s]}], s:[{s:[s]}]}", "endpointSelector", "ingressDeny", "fromEntities", "all", "egressDeny",
				 "toEntities", "all");
	json_t *obj = fixture_object("ext", "deny-all", spec);
	struct err err;

	cr_assert_eq(json_policy_set(r->f.repo, POLICY_CNP, obj, &err), 1, "%s", err.text);
	json_decref(spec);
	json_decref(obj);
}

static void run_set(struct run *r, uint64_t round)
{
	random_fixture(&r->f);
	r->n_flows = 0;
	r->h.c->world_v4 = identity_of_world(r->f.options.has_ipv4, r->f.options.has_ipv6, AF_INET);
	r->h.c->world_v6 = identity_of_world(r->f.options.has_ipv4, r->f.options.has_ipv6, AF_INET6);
	if (round % DENY_ALL_EVERY == 0)
		deny_all(r);
	/* it finds the maps as the set before left them, as a new agent does */
	cr_assert_eq(recon_policy_new(r->h.obj, r->h.conf, &r->recon), 0);
	for (unsigned step = 0; step < STEPS; step++) {
		change(r);
		try_admin(r);
		for (unsigned i = 0; i < FRAMES; i++) {
			struct flow *fl = r->n_flows && random_chance(45) ? &r->flows[random_below(r->n_flows)]
									  : new_flow(r);

			run_frame(r, fl, fl->has_entry && random_chance(40));
		}
	}
	check_counters(r, round);
	recon_policy_free(r->recon);
	fixture_done(&r->f);
	CHECK_EQ(bpfmap_clear(r->h.obj, BPFOBJ_CT4), 0);
	CHECK_EQ(bpfmap_clear(r->h.obj, BPFOBJ_CT6), 0);
}

int main(void)
{
	uint64_t rounds = result_amount("MESH_TEST_ROUNDS", ROUNDS), i;
	const struct bpfobj_sizes sizes = {.ct4 = 1024, .ct6 = 1024, .ipcache = 1024, .cidr = 1024, .classes = 1024,
					   .rows = 8192, .ports = 32768, .ranges = 32768, .frags = 64, .shadow = 64};
	static struct run r;

	harness_open(&r.h, &sizes);
	harness_reset(&r.h);
	put_addresses(&r.h);
	harness_failsafe(&r.h, MESH_INGRESS, IPPROTO_TCP, ADMIN_PORT, "0.0.0.0", 96, 3);
	harness_failsafe(&r.h, MESH_INGRESS, IPPROTO_TCP, ADMIN_PORT, "::", 0, 3);
	harness_failsafe(&r.h, MESH_EGRESS, IPPROTO_TCP, API_PORT, "0.0.0.0", 96, 4);
	harness_failsafe(&r.h, MESH_EGRESS, IPPROTO_TCP, API_PORT, "::", 0, 4);
	random_seed(result_amount("MESH_TEST_SEED", 20));
	for (i = 0; i < rounds && harness_failures == 0; i++)
		run_set(&r, i);
	(void)printf("%llu sets, %llu frames: %llu denied, %llu established, %llu replies; the admin got in %llu times\n", (unsigned long long)i,
		     (unsigned long long)r.frames, (unsigned long long)r.denied, (unsigned long long)r.established,
		     (unsigned long long)r.replies, (unsigned long long)r.admins);
	result_add("frames", json_pack("{s:s, s:I, s:I, s:I, s:I}", "what", "random policies", "sets", (json_int_t)i, "frames",
				       (json_int_t)r.frames, "admin", (json_int_t)r.admins, "different", (json_int_t)harness_failures));
	CHECK(r.denied > r.frames / 20 && r.established > r.frames / 100 && r.replies > r.frames / 100);
	harness_close(&r.h);
	return harness_done();
}
