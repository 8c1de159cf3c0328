/* SPDX-License-Identifier: Apache-2.0 */
/* What the maps hold, saved and put into maps of a new boot: packets meet the same policy. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "bpf/harness.h"
#include "recon/recon_addr.h"
#include "recon/recon_policy.h"
#include "recon/recon_snapshot.h"

/* the macros below give usual values, which a test overrides */
#pragma GCC diagnostic ignored "-Woverride-init"

#define TCP4(...)                                                                                  \
	(&(struct pkt_spec){.src = "10.0.0.9", .dst = "10.0.0.1", .proto = IPPROTO_TCP,            \
			    .sport = 4000, .dport = 80, .tcp_flags = PKT_SYN, __VA_ARGS__})
#define IN(h, ...) harness_run((h), BPFOBJ_NIC_INGRESS, __VA_ARGS__, NULL)

enum { MANY = 10000, BANK = 1, NODE = 700 };

static size_t entries(struct harness *h, enum bpfobj_map map)
{
	size_t n = 0;

	CHECK_EQ(bpfmap_count(h->obj, map, &n), 0);
	return n;
}

/* Identity 100 may use port 80 and ports 8000 to 8007, in the bank in force; the other bank allows all to it. */
static void fill(struct harness *h)
{
	const struct mesh_node node = {.v4 = htonl(0xac13640b)};
	const uint32_t number = NODE;
	const struct mesh_svc_key svc_key = {.port = htons(80), .proto = IPPROTO_TCP};
	const struct mesh_svc svc = {.set = 1, .count = 1, .service_id = 5};
	const struct mesh_svc_slot_key slot_key = {.set = 1};
	const struct mesh_svc_slot slot = {.port = htons(8080), .backend_id = 6};

	harness_reset(h);
	harness_ip(h, "10.0.0.9", 100, 0, 0);
	harness_ip(h, "fd00::9", 100, 0, 0);
	harness_ip(h, "10.0.0.10", IDENTITY_LOCAL_CIDR + 7, 0, 0);
	harness_ip(h, "fd00::10", IDENTITY_LOCAL_NODE + 9, 0, 0);
	harness_cidr(h, "10.7.0.0", 16, 200);
	harness_cidr(h, "fd07::", 16, 200);
	harness_class(h, 100, 2, 1);
	harness_class(h, 200, 0, 1);
	harness_class(h, IDENTITY_LOCAL_CIDR + 3, 0, 1);
	harness_class(h, IDENTITY_LOCAL_NODE + 4, 0, 1);
	harness_row(h, BANK, MESH_INGRESS, 1, MESH_SLOT_TCP, MESH_DENY_DEFAULT, MESH_ROW_PORTS | MESH_ROW_RANGES);
	harness_port(h, BANK, MESH_INGRESS, 1, IPPROTO_TCP, 80, MESH_ALLOW);
	harness_range(h, BANK, MESH_INGRESS, 1, IPPROTO_TCP, 8000, 13, MESH_ALLOW);
	harness_row(h, 1 - BANK, MESH_INGRESS, 2, MESH_SLOT_TCP, MESH_ALLOW, 0);
	harness_port(h, 1 - BANK, MESH_INGRESS, 2, IPPROTO_TCP, 81, MESH_ALLOW);
	harness_range(h, 1 - BANK, MESH_INGRESS, 2, IPPROTO_TCP, 9000, 13, MESH_ALLOW);
	harness_failsafe(h, MESH_INGRESS, IPPROTO_TCP, 22, "0.0.0.0", 0, 3);
	CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_NODES, &number, &node), 0);
	CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_SVC, &svc_key, &svc), 0);
	CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_SVC_SLOT, &slot_key, &slot), 0);
	for (uint32_t i = 0; i < MANY; i++) { /* more than one portion */
		__be32 addr = htonl(0x0a800000 + i);
		struct mesh_ipinfo info = {.identity = 1000 + i, .node = NODE, .flags = MESH_IP_TUNNEL};

		CHECK_EQ(bpfmap_put(h->obj, BPFOBJ_IPCACHE4, &addr, &info), 0);
	}
	bpfconfig_commit(h->conf, BANK, MESH_STATE_ACTIVE);
}

static void check_verdicts(struct harness *h)
{
	CHECK_EQ(IN(h, TCP4(.sport = 1)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.sport = 2, .dport = 8007)), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.sport = 3, .dport = 8008)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.sport = 4, .dport = 81)), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.sport = 5, .src = "10.7.1.2")), MESH_PASS_NEW);
	CHECK_EQ(IN(h, TCP4(.sport = 6, .src = "10.8.1.2")), MESH_DROP_POLICY);
	CHECK_EQ(IN(h, TCP4(.sport = 7, .src = "10.8.1.2", .dport = 22)), MESH_PASS_FAILSAFE);
}

static void save(struct harness *h, struct buf *b)
{
	const struct snapshot head = {.owner = "me", .bank = BANK};

	CHECK_EQ(snapshot_begin(b, &head), 0);
	CHECK_EQ(recon_snapshot_read(h->obj, BANK, b), 0);
	CHECK_EQ(snapshot_end(b), 0);
}

static void restore(struct harness *h, const struct buf *b, int expected)
{
	CLEANUP(snapshot_done) struct snapshot s = {0};
	struct err err = {0};

	CHECK_EQ(snapshot_open(b->data, b->len, "me", &s, &err), 0);
	CHECK_EQ(recon_snapshot_write(h->obj, &s), expected);
}

static void check_numbers(struct harness *h)
{
	CHECK_EQ(entries(h, BPFOBJ_IPCACHE4), MANY + 2);
	CHECK_EQ(entries(h, BPFOBJ_IPCACHE6), 2);
	CHECK_EQ(entries(h, BPFOBJ_CIDR4), 1);
	CHECK_EQ(entries(h, BPFOBJ_CIDR6), 1);
	CHECK_EQ(entries(h, BPFOBJ_CLASS), 4);
	CHECK_EQ(entries(h, BPFOBJ_POLICY_ROW), 1);
	CHECK_EQ(entries(h, BPFOBJ_POLICY_PORT), 1);
	CHECK_EQ(entries(h, BPFOBJ_POLICY_RANGE), 1);
	CHECK_EQ(entries(h, BPFOBJ_FAILSAFE), 1);
	CHECK_EQ(entries(h, BPFOBJ_SVC), 1);
	CHECK_EQ(entries(h, BPFOBJ_SVC_SLOT), 1);
}

/* The daemon goes on with the numbers that entries refer to: of tunnel endpoints, and of identities of its own. */
static void check_references(struct harness *h)
{
	const uint8_t v4[] = {172, 19, 100, 11};
	struct ip ip = ip_from_bytes(AF_INET, v4), found;
	struct recon_policy *policy;
	struct recon_addr *r;
	struct ipcache *c;
	uint32_t max;

	CHECK_EQ(ipcache_new(&c), 0);
	CHECK_EQ(recon_addr_new(h->obj, c, &r), 0);
	found = ipcache_node_ip(c, NODE);
	CHECK(ip_eq(&found, &ip));
	CHECK_EQ(recon_addr_max_local(r, IDENTITY_LOCAL_CIDR, &max), 0);
	CHECK_EQ(max, IDENTITY_LOCAL_CIDR + 7);
	CHECK_EQ(recon_addr_max_local(r, IDENTITY_LOCAL_NODE, &max), 0);
	CHECK_EQ(max, IDENTITY_LOCAL_NODE + 9);
	CHECK_EQ(recon_policy_new(h->obj, h->conf, &policy), 0);
	CHECK_EQ(recon_policy_max_local(policy, IDENTITY_LOCAL_CIDR), IDENTITY_LOCAL_CIDR + 3);
	CHECK_EQ(recon_policy_max_local(policy, IDENTITY_LOCAL_NODE), IDENTITY_LOCAL_NODE + 4);
	recon_policy_free(policy);
	recon_addr_free(r);
	ipcache_free(c);
}

static void test_boot(struct buf *b)
{
	struct harness before, after;

	harness_open(&before, NULL);
	fill(&before);
	check_verdicts(&before);
	save(&before, b);
	harness_close(&before);

	harness_open(&after, NULL);
	harness_reset(&after);
	/* of a boot that ended half way */
	harness_row(&after, 1 - BANK, MESH_INGRESS, 0, MESH_SLOT_TCP, MESH_ALLOW, 0);
	harness_row(&after, BANK, MESH_INGRESS, 0, MESH_SLOT_TCP, MESH_ALLOW, 0);
	bpfconfig_commit(after.conf, BANK, 0);
	restore(&after, b, 0);
	bpfconfig_commit(after.conf, BANK, MESH_STATE_ACTIVE);
	check_verdicts(&after);
	check_numbers(&after);
	check_references(&after);
	CHECK_EQ(recon_snapshot_clear(after.obj), 0);
	CHECK_EQ(entries(&after, BPFOBJ_IPCACHE4), 0);
	CHECK_EQ(entries(&after, BPFOBJ_POLICY_ROW), 0);
	CHECK_EQ(IN(&after, TCP4(.sport = 8)), MESH_DROP_POLICY);
	harness_close(&after);
}

/* The sizes in the configuration are smaller now. */
static void test_too_small(const struct buf *b)
{
	const struct bpfobj_sizes sizes = {.ipcache = MANY / 2};
	struct harness h;

	harness_open(&h, &sizes);
	harness_reset(&h);
	restore(&h, b, -E2BIG);
	harness_close(&h);
}

struct sum {
	size_t n, portions, stop_at;
	uint64_t identities;
};

static int add_up(const void *keys, const void *values, size_t n, void *arg)
{
	const struct mesh_ipinfo *v = values;
	struct sum *s = arg;

	(void)keys;
	for (size_t i = 0; i < n; i++)
		s->identities += v[i].identity;
	s->n += n;
	return ++s->portions == s->stop_at ? 7 : 0;
}

static void test_reading(void)
{
	struct sum all = {0}, some = {.stop_at = 2}, none = {0};
	struct harness h;

	harness_open(&h, NULL);
	fill(&h);
	CHECK_EQ(bpfmap_read(h.obj, BPFOBJ_IPCACHE4, add_up, &all), 0);
	CHECK_EQ(all.n, MANY + 2);
	CHECK_EQ(all.identities, 100 + IDENTITY_LOCAL_CIDR + 7 + MANY * 1000ull + MANY * (MANY - 1ull) / 2);
	CHECK(all.portions > 1);
	CHECK_EQ(bpfmap_read(h.obj, BPFOBJ_IPCACHE4, add_up, &some), 7);
	CHECK_EQ(some.portions, 2);
	CHECK_EQ(bpfmap_read(h.obj, BPFOBJ_FRAGS, add_up, &none), 0);
	CHECK_EQ(none.n, 0);
	harness_close(&h);
}

int main(void)
{
	CLEANUP(buf_done) struct buf b = {0};

	test_boot(&b);
	test_too_small(&b);
	test_reading();
	return harness_done();
}
