/* SPDX-License-Identifier: Apache-2.0 */
/* The file of what is in force: it comes back as it was, or it is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "lib/damage.h"
#include "recon/snapshot.h"

enum { HEADER_LEN = 8 + 4 + 4 + 8 + SHA256_DIGEST_LENGTH, SAVED_S = 1795000000 };

#define OWNER "legacy/ahch-to in the cluster 1-2-3, identity 4242"

static const uint32_t ids[] = {3001, 3002, 16777217};
static const struct mesh_class classes[] = {{{1, 2}}, {{0, 3}}, {{4, 0}}};
static const struct mesh_row_key row_key = {.class = 3, .dir = MESH_EGRESS, .slot = MESH_SLOT_UDP, .bank = 1};
static const struct mesh_row row = {.verdict = MESH_ALLOW, .flags = MESH_ROW_PORTS, .rule = 7};

static struct net_route route(const char *dst, const char *via, const char *src, uint32_t mtu)
{
	struct net_route x = {.mtu = mtu};

	cr_assert_eq(cidr_parse(dst, false, &x.dst), 0);
	if (via)
		cr_assert_eq(ip_parse(via, &x.via), 0);
	if (src)
		cr_assert_eq(ip_parse(src, &x.src), 0);
	return x;
}

static void write_snapshot(struct buf *b)
{
	CLEANUP(snapshot_done) struct snapshot s = {
		.owner = OWNER,
		.saved_s = SAVED_S,
		.flags = MESH_STATE_ACTIVE | MESH_STATE_TUNNEL | MESH_STATE_SHADOW << 1,
		.is_open = true,
		.bank = 1,
		.default_verdict = {MESH_DENY_DEFAULT, MESH_ALLOW},
		.identity = 4242,
		.world_v4 = 9,
		.world_v6 = 10,
		.tunnel_port = htons(8472),
		.failsafe_any_port = 2,
		.node_port_min = 30000,
		.node_port_max = 32767,
		.tunnel = NL_TUNNEL_VXLAN,
		.underlay_mtu = 1450,
		.n_targets = 2,
	};

	cr_assert_eq(ip_parse("172.19.100.11", &s.targets[0]), 0);
	cr_assert_eq(ip_parse("2001:db8::11", &s.targets[1]), 0);
	cr_assert_eq(ARRAY_ADD(&s.routes, route("10.244.1.0/24", NULL, "172.19.100.2", 0)), 0);
	cr_assert_eq(ARRAY_ADD(&s.routes, route("2001:db8:1::/64", "fe80::1", NULL, 1400)), 0);
	cr_assert_eq(snapshot_begin(b, &s), 0);
	cr_assert_eq(snapshot_add(b, BPFOBJ_CLASS, ids, classes, 3), 0);
	cr_assert_eq(snapshot_add(b, BPFOBJ_POLICY_ROW, &row_key, &row, 1), 0);
	cr_assert_eq(snapshot_end(b), 0);
}

static int read_from(const void *data, size_t len, const char *owner, struct snapshot *ret)
{
	struct err err = {0};
	int r = snapshot_open(data, len, owner, ret, &err);

	cr_expect(r == 0 || err.text[0], "a refusal says why");
	return r;
}

Test(snapshot, comes_back)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(snapshot_done) struct snapshot s = {0};
	struct snapshot_portion p;
	struct net_route x;

	write_snapshot(&b);
	cr_assert_eq(read_from(b.data, b.len, OWNER, &s), 0);
	cr_expect_str_eq(s.owner, OWNER);
	cr_expect_eq(s.saved_s, SAVED_S);
	cr_expect_eq(s.flags, MESH_STATE_ACTIVE | MESH_STATE_TUNNEL | MESH_STATE_SHADOW << 1);
	cr_expect(!s.is_audit && s.is_open);
	cr_expect_eq(s.bank, 1);
	cr_expect_eq(s.default_verdict[MESH_INGRESS], MESH_DENY_DEFAULT);
	cr_expect_eq(s.default_verdict[MESH_EGRESS], MESH_ALLOW);
	cr_expect(s.identity == 4242 && s.world_v4 == 9 && s.world_v6 == 10);
	cr_expect(s.tunnel_port == htons(8472) && s.failsafe_any_port == 2);
	cr_expect(s.node_port_min == 30000 && s.node_port_max == 32767);
	cr_expect(s.tunnel == NL_TUNNEL_VXLAN && s.underlay_mtu == 1450);
	cr_assert_eq(s.n_targets, 2);
	cr_expect_eq(s.targets[1].family, AF_INET6);
	cr_assert_eq(s.routes.n, 2);
	x = route("10.244.1.0/24", NULL, "172.19.100.2", 0);
	cr_expect_eq(memcmp(&s.routes.v[0], &x, sizeof(x)), 0);
	x = route("2001:db8:1::/64", "fe80::1", NULL, 1400);
	cr_expect_eq(memcmp(&s.routes.v[1], &x, sizeof(x)), 0);
	cr_assert(snapshot_next(&s, &p));
	cr_assert(p.map == BPFOBJ_CLASS && p.n == 3);
	cr_expect_eq(memcmp(p.keys, ids, sizeof(ids)), 0);
	cr_expect_eq(memcmp(p.values, classes, sizeof(classes)), 0);
	cr_assert(snapshot_next(&s, &p));
	cr_assert(p.map == BPFOBJ_POLICY_ROW && p.n == 1);
	cr_expect_eq(memcmp(p.keys, &row_key, sizeof(row_key)), 0);
	cr_expect_eq(memcmp(p.values, &row, sizeof(row)), 0);
	cr_expect(!snapshot_next(&s, &p));
}

Test(snapshot, without_entries)
{
	CLEANUP(buf_done) struct buf b = {0};
	CLEANUP(snapshot_done) struct snapshot s = {0};
	const struct snapshot none = {.owner = ""};
	struct snapshot_portion p;

	cr_assert_eq(snapshot_begin(&b, &none), 0);
	cr_assert_eq(snapshot_end(&b), 0);
	cr_assert_eq(read_from(b.data, b.len, "", &s), 0);
	cr_expect(!snapshot_next(&s, &p));
}

Test(snapshot, torn_at_every_byte)
{
	CLEANUP(buf_done) struct buf b = {0};

	write_snapshot(&b);
	for (size_t n = 0; n < b.len; n++) {
		struct snapshot s = {0};
		char *cut = malloc(n ? n : 1); /* of this size, so that a read past the end is found */

		cr_assert(cut);
		memcpy(cut, b.data, n);
		cr_expect_eq(read_from(cut, n, OWNER, &s), -EBADMSG, "cut to %zu of %zu bytes", n, b.len);
		free(cut);
	}
}

Test(snapshot, longer)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct snapshot s = {0};

	write_snapshot(&b);
	cr_assert_eq(buf_add(&b, "", 1), 0);
	cr_expect_eq(read_from(b.data, b.len, OWNER, &s), -EBADMSG);
}

Test(snapshot, every_bit_flipped)
{
	CLEANUP(buf_done) struct buf b = {0};

	write_snapshot(&b);
	for (size_t i = 0; i < b.len * 8; i++) {
		struct snapshot s = {0};
		bool is_version = i / 8 >= 8 && i / 8 < 16;

		b.data[i / 8] = (char)(b.data[i / 8] ^ 1 << i % 8);
		cr_expect_eq(read_from(b.data, b.len, OWNER, &s), is_version ? -EPROTONOSUPPORT : -EBADMSG, "bit %zu", i);
		b.data[i / 8] = (char)(b.data[i / 8] ^ 1 << i % 8);
	}
}

static void refused(const char *data, size_t len, void *arg)
{
	struct snapshot s = {0};
	int r = read_from(data, len, OWNER, &s);

	(void)arg;
	cr_assert(r == -EBADMSG || r == -EPROTONOSUPPORT, "%d", r);
}

Test(snapshot, damaged_anyhow, .timeout = 3600)
{
	CLEANUP(buf_done) struct buf b = {0};

	write_snapshot(&b);
	damage_each("what is in force", b.data, b.len, refused, NULL);
}

Test(snapshot, of_another_host)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct snapshot s = {0};

	write_snapshot(&b);
	cr_expect_eq(read_from(b.data, b.len, "legacy/crait in the cluster 1-2-3, identity 4242", &s), -EXDEV);
	cr_expect_eq(read_from(b.data, b.len, "legacy/ahch-to in the cluster 1-2-3, identity 424", &s), -EXDEV);
}

/* The checksum is right, what it protects is not: as if an older or broken version had written it. */
static int read_with_byte(const struct buf *b, size_t at, uint8_t value)
{
	CLEANUP(buf_done) struct buf other = {0};
	CLEANUP(snapshot_done) struct snapshot s = {0};
	uint8_t *body;

	cr_assert_eq(buf_add(&other, b->data, b->len), 0);
	other.data[at] = (char)value;
	body = (uint8_t *)other.data + HEADER_LEN;
	SHA256(body, other.len - HEADER_LEN, body - SHA256_DIGEST_LENGTH);
	return read_from(other.data, other.len, OWNER, &s);
}

Test(snapshot, wrong_values)
{
	CLEANUP(buf_done) struct buf b = {0};
	size_t numbers = HEADER_LEN + 2 + sizeof(OWNER), net = numbers + 8 + 8 + 5 + 12 + 8;

	write_snapshot(&b);
	cr_expect_eq(read_with_byte(&b, numbers, 1), 0, "another time is no fault");
	cr_expect_eq(read_with_byte(&b, HEADER_LEN, 255), -EBADMSG, "length of the owner");
	cr_expect_eq(read_with_byte(&b, HEADER_LEN + 2, 0), -EBADMSG, "NUL in the owner");
	cr_expect_eq(read_with_byte(&b, numbers + 16, 2), -EBADMSG, "audit");
	cr_expect_eq(read_with_byte(&b, numbers + 17, 2), -EBADMSG, "open");
	cr_expect_eq(read_with_byte(&b, numbers + 18, 2), -EBADMSG, "bank");
	cr_expect_eq(read_with_byte(&b, numbers + 19, MESH_DENY_RULE), -EBADMSG, "default verdict");
	cr_expect_eq(read_with_byte(&b, net, 3), -EBADMSG, "kind of tunnel");
	cr_expect_eq(read_with_byte(&b, net + 5, RECON_NET_TARGETS + 1), -EBADMSG, "number of targets");
	cr_expect_eq(read_with_byte(&b, net + 6, 0), -EBADMSG, "a target that is none");
	cr_expect_eq(read_with_byte(&b, net + 6, 5), -EBADMSG, "an IP version that is none");
	cr_expect_eq(read_with_byte(&b, net + 6 + 5 + 17 + 4 + 5, 33), -EBADMSG, "length of a prefix");
}

/* Each byte with each of some values: whatever the answer, nothing is read past the end. */
Test(snapshot, any_values)
{
	static const uint8_t values[] = {0, 1, 2, 4, 6, 127, 128, 254, 255};
	CLEANUP(buf_done) struct buf b = {0};

	write_snapshot(&b);
	for (size_t at = HEADER_LEN; at < b.len; at++)
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			int r = read_with_byte(&b, at, values[i]);

			cr_expect(r == 0 || r == -EBADMSG || r == -EXDEV, "byte %zu: %d", at, r);
		}
}

Test(snapshot, bounded)
{
	CLEANUP(buf_done) struct buf b = {.max = 100};
	CLEANUP(buf_done) struct buf long_owner = {.max = 4096};
	struct snapshot s = {.owner = OWNER};
	char text[1002];

	cr_expect_eq(snapshot_begin(&b, &s), -E2BIG);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	s.owner = text;
	cr_expect_eq(snapshot_begin(&long_owner, &s), -EINVAL);
	cr_expect_eq(snapshot_add(&long_owner, BPFOBJ_CT4, ids, ids, 1), -EINVAL, "flows are not kept");
}
