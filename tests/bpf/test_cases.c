/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cases of tests/data/policy-*.yaml as real frames through the loaded programs: the policy goes the
 * whole way, from objects to maps, and each check is one first packet of a flow. Left out are checks that no
 * frame can ask: peers without an identity, and what passes before any policy, as neighbour discovery.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "bpf/harness.h"
#include "recon/recon_policy.h"
#include "unit/policy/cases.h"

static unsigned frames, left_out;

static uint8_t icmp_type_of(uint8_t proto, uint16_t port)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? (uint8_t)port : 0;
}

/* Errors are about another packet, and neighbour discovery is no matter of policy. */
static bool is_before_policy(uint8_t proto, uint16_t type)
{
	return proto == IPPROTO_ICMPV6 && ((type >= 1 && type <= 4) || (type >= 130 && type <= 136) || type == 138 ||
					   (type >= 141 && type <= 143) || (type >= 148 && type <= 153));
}

/* The address of the peer in the frame: its own, or one that stands for its identity. */
static void address_of(struct harness *h, struct fixture *f, const struct fixture_peer *p, bool is_v6, char *ret,
		       size_t size)
{
	static unsigned next;
	uint32_t identity = p->identity;

	if (!p->has_identity) {
		cr_assert(inet_ntop(p->ip.family, p->ip.b, ret, (socklen_t)size));
		return;
	}
	if (p->ip.family)
		cr_assert_eq(policy_table_overlay(f->table, identity, &p->ip, NULL, &identity), 0);
	next++;
	if (is_v6)
		(void)snprintf(ret, size, "fd99::%x", 1 + next % 60000);
	else
		(void)snprintf(ret, size, "100.64.%u.%u", next / 250 % 250, 1 + next % 250);
	harness_ip(h, ret, identity, 0, 0);
}

static int reason_for(const char *verdict)
{
	return str_eq(verdict, "allow") ? MESH_PASS_NEW :
	       str_eq(verdict, "deny")	? MESH_DROP_POLICY_DENY :
	       str_eq(verdict, "auth")	? MESH_DROP_POLICY_AUTH :
					  MESH_DROP_POLICY;
}

static void run_check(struct harness *h, struct fixture *f, struct recon_policy *r, const char *where, const json_t *check)
{
	const char *peer_name = json_string_value(json_array_get(check, 1));
	bool is_in = str_eq(json_string_value(json_array_get(check, 0)), "in"), is_v6;
	struct fixture_peer peer = fixture_peer(peer_name);
	uint16_t port;
	uint8_t proto = case_l4(where, json_array_get(check, 2), &port);
	char address[INET6_ADDRSTRLEN];
	struct pkt_spec s = {.proto = proto, .sport = 40000, .dport = port, .tcp_flags = PKT_SYN, .payload_bytes = 32,
			     .icmp_type = icmp_type_of(proto, port)};
	int want = reason_for(json_string_value(json_array_get(check, 3))), got;

	is_v6 = peer.has_identity ? proto == IPPROTO_ICMPV6 : peer.ip.family == AF_INET6;
	if ((peer.has_identity && !identity_get(f->ids, peer.identity)) || is_before_policy(proto, port) ||
	    (!is_v6 && proto == IPPROTO_ICMPV6) || (is_v6 && proto == IPPROTO_ICMP)) {
		left_out++;
		return;
	}
	address_of(h, f, &peer, is_v6, address, sizeof(address));
	/* an overlay may have made an identity */
	cr_assert_eq(recon_policy_apply(r, f->table, f->ids, MESH_STATE_ACTIVE), 0);
	s.src = is_in ? address : is_v6 ? "fd00::1" : "10.0.0.1";
	s.dst = is_in ? (is_v6 ? "fd00::1" : "10.0.0.1") : address;
	got = harness_run(h, is_in ? BPFOBJ_NIC_INGRESS : BPFOBJ_NIC_EGRESS, &s, NULL);
	frames++;
	CHECK_EQ(got, want);
	if (got != want) {
		char *text = json_dumps(check, JSON_COMPACT);

		(void)fprintf(stderr, "  %s %s\n", where, text);
		free(text);
	}
	CHECK_EQ(bpfmap_clear(h->obj, BPFOBJ_CT4), 0);
	CHECK_EQ(bpfmap_clear(h->obj, BPFOBJ_CT6), 0);
}

static void run_case(struct harness *h, const json_t *c, size_t number)
{
	const json_t *checks = json_object_get(c, "checks");
	const char *name = json_string_value(json_object_get(c, "name"));
	struct recon_policy *r;
	struct fixture f;
	char where[160];

	(void)snprintf(where, sizeof(where), "case %zu (%s)", number, name ? name : "?");
	case_init(&f, where, c);
	harness_reset(h);
	h->c->world_v4 = identity_of_world(f.options.has_ipv4, f.options.has_ipv6, AF_INET);
	h->c->world_v6 = identity_of_world(f.options.has_ipv4, f.options.has_ipv6, AF_INET6);
	cr_assert_eq(recon_policy_new(h->obj, h->conf, &r), 0);
	cr_assert_eq(recon_policy_apply(r, f.table, f.ids, MESH_STATE_ACTIVE), 0);
	for (size_t i = 0; i < json_array_size(checks); i++)
		run_check(h, &f, r, where, json_array_get(checks, i));
	recon_policy_free(r);
	fixture_done(&f);
}

int main(void)
{
	struct harness h;
	json_t *cases;

	harness_open(&h, NULL);
	cases = cases_load();
	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(&h, json_array_get(cases, i), i);
	(void)printf("%zu cases, %u frames, %u checks left out\n", json_array_size(cases), frames, left_out);
	CHECK(frames > 1000);
	json_decref(cases);
	harness_close(&h);
	return harness_done();
}
