/* SPDX-License-Identifier: Apache-2.0 */
/* Classes and services as map entries: looked up in the entries, each question has the engine's answer. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/macro.h"
#include "base/rng.h"
#include "plan/plan_policy.h"
#include "plan/plan_service.h"

enum { BANK = 1, CLASS = 77, PORTS_MAX = 6, PROTOS_MAX = 5, MAP_DIRS = 4 };

struct world {
	struct policy_class class;
	struct policy_ports ports[MAP_DIRS][POLICY_SLOTS][PORTS_MAX];
	struct policy_proto protos[MAP_DIRS][PROTOS_MAX];
	struct plan_dirs dirs;
};

/* Rows of a direction as the maps number it, and whether entries of it are wanted. */
static struct policy_rows *rows_of(struct world *w, unsigned dir)
{
	return dir & MESH_SHADOW ? &w->class.shadow[dir & 1] : &w->class.rows[dir];
}

static bool is_wanted(const struct world *w, unsigned dir)
{
	return dir & MESH_SHADOW ? w->dirs.shadow[dir & 1] : w->dirs.enforced[dir];
}

static struct policy_verdict random_verdict(void)
{
	return (struct policy_verdict){.action = (uint8_t)rng_below(4), .rule = rng_below(3)};
}

/* Disjoint blocks in order, as the engine makes them: one per eighth of the ports, now and then. */
static void fill_slot(struct policy_slot_rows *s, struct policy_ports *ports)
{
	s->dflt = rng_below(2) ? random_verdict() : (struct policy_verdict){.action = POLICY_DENY_DEFAULT};
	s->ports = ports;
	s->n_ports = 0;
	for (unsigned block = 0; block < PORTS_MAX; block++) {
		unsigned bits = 3 + rng_below(14);
		uint16_t mask = (uint16_t)(0xffff << (16 - bits));

		if (rng_below(3) == 0)
			continue;
		ports[s->n_ports++] = (struct policy_ports){
			.mask = mask, .port = (uint16_t)(((block << 13) | rng_below(1 << 13)) & mask),
			.verdict = random_verdict()};
	}
}

static void fill(struct world *w)
{
	w->class = (struct policy_class){.number = CLASS, .version = 9};
	for (unsigned dir = 0; dir < POLICY_DIRS; dir++) {
		w->dirs.enforced[dir] = rng_below(4) != 0;
		w->dirs.shadow[dir] = rng_below(3) != 0;
	}
	for (unsigned dir = 0; dir < MAP_DIRS; dir++) {
		struct policy_rows *rows = rows_of(w, dir);
		uint8_t proto = 0;

		for (int slot = 0; slot < POLICY_SLOTS; slot++)
			fill_slot(&rows->slot[slot], w->ports[dir][slot]);
		rows->slot[POLICY_SLOT_OTHER].n_ports = 0;
		rows->protos = w->protos[dir];
		rows->n_protos = rng_below(PROTOS_MAX + 1);
		for (uint32_t i = 0; i < rows->n_protos; i++) {
			proto = (uint8_t)(proto + 33 + rng_below(10)); /* none of those with a slot of their own */
			proto = (uint8_t)(proto == IPPROTO_ICMPV6 || proto == IPPROTO_SCTP ? proto + 1 : proto);
			w->protos[dir][i] = (struct policy_proto){.proto = proto, .verdict = random_verdict()};
		}
	}
}

static const struct mesh_port *find_port(const struct plan_class *p, uint8_t dir, uint8_t proto, uint16_t port)
{
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct mesh_port_key *k = &p->ports[i].key;

		if (k->class == CLASS && k->bank == BANK && k->dir == dir && k->proto == proto && ntohs(k->port) == port)
			return &p->ports[i].value;
	}
	return NULL;
}

static const struct mesh_port *find_range(const struct plan_class *p, uint8_t dir, uint8_t proto, uint16_t port)
{
	const struct mesh_port *best = NULL;
	unsigned best_len = 0;

	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct mesh_range_key *k = &p->ranges[i].key;
		unsigned bits = k->prefixlen - MESH_RANGE_BITS;

		cr_assert(bits <= 16);
		if (k->key.class != CLASS || k->key.bank != BANK || k->key.dir != dir || k->key.proto != proto)
			continue;
		if (bits && ((ntohs(k->key.port) ^ port) >> (16 - bits)) != 0)
			continue;
		if (!best || bits > best_len) {
			best = &p->ranges[i].value;
			best_len = bits;
		}
	}
	return best;
}

/* As the datapath reads the maps (bpf): row, then the port, then the range, then the row's own verdict. */
static struct mesh_port lookup(const struct plan_class *p, uint8_t dir, uint8_t proto, uint16_t port)
{
	uint8_t slot = (uint8_t)policy_slot_of(proto);
	const struct mesh_port *v = NULL;

	for (size_t i = 0; i < p->n_rows; i++) {
		const struct mesh_row_key *k = &p->rows[i].key;

		if (k->class != CLASS || k->bank != BANK || k->dir != dir || k->slot != slot)
			continue;
		if (p->rows[i].value.flags & MESH_ROW_PORTS)
			v = find_port(p, dir, proto, slot == POLICY_SLOT_OTHER ? 0 : port);
		if (!v && (p->rows[i].value.flags & MESH_ROW_RANGES))
			v = find_range(p, dir, proto, port);
		if (v)
			return *v;
		return (struct mesh_port){.verdict = p->rows[i].value.verdict, .rule = p->rows[i].value.rule};
	}
	return (struct mesh_port){.verdict = MESH_DENY_DEFAULT};
}

static void check_sorted(const struct plan_class *p)
{
	for (size_t i = 1; i < p->n_rows; i++)
		cr_assert_lt(memcmp(&p->rows[i - 1].key, &p->rows[i].key, sizeof(p->rows[i].key)), 0);
	for (size_t i = 1; i < p->n_ports; i++)
		cr_assert_lt(memcmp(&p->ports[i - 1].key, &p->ports[i].key, sizeof(p->ports[i].key)), 0);
	for (size_t i = 1; i < p->n_ranges; i++)
		cr_assert_lt(memcmp(&p->ranges[i - 1].key, &p->ranges[i].key, sizeof(p->ranges[i].key)), 0);
}

static void check_question(struct world *w, const struct plan_class *p, uint8_t dir, uint8_t proto, uint16_t port)
{
	struct policy_verdict want = policy_rows_lookup(rows_of(w, dir), proto, port);
	struct mesh_port have = lookup(p, dir, proto, port);

	cr_assert_eq(have.verdict, plan_verdict(want.action), "dir %u proto %u port %u", dir, proto, port);
	cr_assert_eq(have.rule, want.rule, "dir %u proto %u port %u", dir, proto, port);
}

Test(plan_policy, answers_as_the_engine_does)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6};
	struct world *w = calloc(1, sizeof(*w));

	for (int round = 0; round < 400; round++) {
		CLEANUP(plan_class_done) struct plan_class p = {0};

		fill(w);
		cr_assert_eq(plan_class_make(&w->class, &w->dirs, BANK, &p), 0);
		cr_assert_eq(p.version, 9);
		check_sorted(&p);
		for (uint8_t dir = 0; dir < MAP_DIRS; dir++) {
			for (size_t i = 0; !is_wanted(w, dir) && i < p.n_rows; i++)
				cr_assert_neq(p.rows[i].key.dir, dir, "a direction that nothing is about has no rows");
			for (int n = 0; is_wanted(w, dir) && n < 60; n++)
				check_question(w, &p, dir, protos[rng_below(ARRAY_LEN(protos))], (uint16_t)rng_below(65536));
			for (int slot = 1; is_wanted(w, dir) && slot < POLICY_SLOTS; slot++)
				for (uint32_t i = 0; i < rows_of(w, dir)->slot[slot].n_ports; i++) {
					const struct policy_ports *b = &w->ports[dir][slot][i];

					check_question(w, &p, dir, protos[slot - 1], b->port);
					check_question(w, &p, dir, protos[slot - 1], (uint16_t)(b->port | ~b->mask));
					check_question(w, &p, dir, protos[slot - 1], (uint16_t)(b->port - 1));
				}
			for (int proto = 0; is_wanted(w, dir) && proto < 256; proto++)
				if (policy_slot_of((uint8_t)proto) == POLICY_SLOT_OTHER)
					check_question(w, &p, dir, (uint8_t)proto, 0);
		}
	}
	free(w);
}

Test(plan_service, mapped_and_back)
{
	static const char *const texts[] = {"10.0.0.1", "255.255.255.255", "fd00::1", "::1"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct ip ip, back;
		uint8_t addr[16];

		cr_assert_eq(ip_parse(texts[i], &ip), 0);
		ip_mapped(&ip, addr);
		back = ip_unmapped(addr);
		cr_expect(ip_eq(&ip, &back), "%s", texts[i]);
	}
}

/* The unspecified address is no one's: a node port must not be found by whoever connects to it. */
Test(plan_service, node_ports_have_a_scope_of_their_own)
{
	static const struct {
		const char *ip;
		uint8_t scope;
	} cases[] = {{"0.0.0.0", MESH_SVC_NODE_PORT}, {"::", MESH_SVC_NODE_PORT}, {"10.96.0.1", MESH_SVC_ADDRESS},
		     {"0.0.0.1", MESH_SVC_ADDRESS},   {"::1", MESH_SVC_ADDRESS},  {"::ffff:0.0.0.0", MESH_SVC_ADDRESS}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct mesh_svc_key key;
		struct ip ip;

		cr_assert_eq(ip_parse(cases[i].ip, &ip), 0);
		key = plan_service_key(&ip, 30080, IPPROTO_TCP);
		cr_expect_eq(key.scope, cases[i].scope, "%s", cases[i].ip);
		cr_expect_eq(key.port, htons(30080));
	}
}

Test(plan_service, slots)
{
	struct backend backends[3] = {{.port = 8080, .id = 11}, {.port = 8081, .id = 12}, {.port = 8082, .id = 13}};
	struct frontend f = {.port = 80, .proto = IPPROTO_TCP, .id = 5, .backends = backends, .n_backends = 3};

	cr_assert_eq(ip_parse("10.96.0.1", &f.ip), 0);
	cr_assert_eq(ip_parse("10.244.0.1", &backends[0].ip), 0);
	cr_assert_eq(ip_parse("fd00::1", &backends[1].ip), 0);
	cr_assert_eq(ip_parse("10.244.0.3", &backends[2].ip), 0);
	for (uint32_t affinity = 0; affinity <= 10800; affinity += 10800) {
		CLEANUP(plan_service_done) struct plan_service p = {0};

		f.affinity_s = affinity;
		cr_assert_eq(plan_service_make(&f, &p), 0);
		cr_expect_eq(p.value.count, 2, "the other family is left out");
		cr_expect_eq(p.value.service_id, 5);
		cr_expect_eq(!!(p.value.flags & MESH_SVC_AFFINITY), affinity != 0);
		cr_expect_eq(p.key.port, htons(80));
		cr_assert_eq(p.n_slots, affinity ? 4 : 2);
		cr_expect_eq(p.numbers[0], 0);
		cr_expect_eq(p.numbers[1], 1);
		cr_expect_eq(p.slots[0].backend_id, 11);
		cr_expect_eq(p.slots[1].backend_id, 13);
		cr_expect_eq(p.slots[1].port, htons(8082));
		if (affinity) {
			cr_expect_eq(p.numbers[2], MESH_SLOT_BACKEND | 11);
			cr_expect_eq(p.numbers[3], MESH_SLOT_BACKEND | 13);
		}
	}
	f.n_backends = 0;
	CLEANUP(plan_service_done) struct plan_service none = {0};
	cr_assert_eq(plan_service_make(&f, &none), 0);
	cr_expect_eq(none.value.count, 0);
}
