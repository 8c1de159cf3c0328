/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies: what the tables say must be what the rules say, for every packet asked. The seed
 * is fixed; MESH_TEST_ROUNDS asks for more rounds, MESH_TEST_SEED for another start.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/macro.h"
#include "lib/result.h"
#include "policy/policy_shadow.h"
#include "policy/policy_rows.h"
#include "random_set.h"

enum { ROUNDS = 300, STEPS = 3, CHECKS = 100 };

static uint64_t n_checks, n_shadow_checks;
static bool has_shadow; /* this round has shadow policies */

static void check_one(struct fixture *f, uint32_t round)
{
	static const uint8_t protos[] = {6, 6, 6, 17, 132, 1, 58, 47, 2};
	struct fixture_peer peer = random_peer();
	enum policy_dir dir = random_chance(50) ? POLICY_INGRESS : POLICY_EGRESS;
	uint8_t proto = RANDOM_PICK(protos);
	uint16_t port = (uint16_t)(random_chance(90) ? random_below(64) : random_below(65536));
	struct policy_verdict table = fixture_table_verdict(f, &peer, dir, proto, port);
	struct policy_verdict model = fixture_model_verdict(f, &peer, dir, proto, port);

	n_checks++;
	if (table.action == model.action && policy_table_shadowed(f->table, dir)) {
		struct policy_verdict by_rules = fixture_model_shadow(f, &peer, dir, proto, port);
		struct policy_verdict shadow = fixture_table_shadow(f, &peer, dir, proto, port);

		cr_assert(shadow.action == by_rules.action && shadow.rule == by_rules.rule,
			  "round %u: identity %u dir %d proto %u port %u with shadow: tables %d by %u, rules %d by %u",
			  round, peer.identity, (int)dir, proto, port, shadow.action, shadow.rule, by_rules.action,
			  by_rules.rule);
		n_shadow_checks++;
	}
	cr_assert(table.action == model.action && table.rule == model.rule,
		  "round %u: identity %u dir %d proto %u port %u: tables %s by %u, rules %s by %u",
		  round, peer.identity, (int)dir, proto, port,
		  policy_action_str((enum policy_action)table.action), table.rule,
		  policy_action_str((enum policy_action)model.action), model.rule);
}

/* Blocks are aligned, sorted, apart, and none repeats the default. */
static void check_rows(const struct policy_rows *rows)
{
	for (unsigned s = 0; s < POLICY_SLOTS; s++) {
		const struct policy_slot_rows *slot = &rows->slot[s];
		uint32_t end = 0;

		for (uint32_t i = 0; i < slot->n_ports; i++) {
			const struct policy_ports *p = &slot->ports[i];
			uint32_t size = 0x10000U - p->mask;

			cr_assert(p->mask >= 0x8000 && (size & (size - 1)) == 0 &&
				  p->port % size == 0 && p->port >= end);
			cr_assert(p->verdict.action != slot->dflt.action ||
				  p->verdict.rule != slot->dflt.rule);
			end = p->port + size;
		}
		cr_assert_leq(end, 65536);
	}
}

/* What comes to the same is one class. */
static void check_apart(const struct policy_class *a, const struct policy_class *b)
{
	bool is_same = true;

	for (unsigned d = 0; d < POLICY_DIRS; d++)
		is_same = is_same && policy_rows_eq(&a->rows[d], &b->rows[d]) && policy_rows_eq(&a->shadow[d], &b->shadow[d]);
	cr_assert(!is_same, "classes %u and %u have the same rows", a->number, b->number);
	cr_assert_neq(a->version, b->version);
}

static void check_tables(struct fixture *f)
{
	uint32_t n = policy_table_class_limit(f->table), in_use = 0;
	const struct policy_prefix *prefixes;
	size_t n_prefixes = policy_table_prefixes(f->table, &prefixes);

	for (uint32_t i = 0; i < n; i++) {
		const struct policy_class *c = policy_table_class(f->table, i);

		if (!c)
			continue;
		cr_assert_eq(c->number, i);
		in_use += c->n_identities;
		for (uint32_t k = 0; k < i; k++)
			if (policy_table_class(f->table, k))
				check_apart(c, policy_table_class(f->table, k));
		for (unsigned d = 0; d < POLICY_DIRS; d++) {
			check_rows(&c->rows[d]);
			check_rows(&c->shadow[d]);
		}
	}
	cr_assert_eq(in_use, identity_count(f->ids));
	for (size_t i = 0; i < n_prefixes; i++) {
		cr_assert(identity_get(f->ids, prefixes[i].identity));
		cr_assert(i == 0 || cidr_cmp(&prefixes[i - 1].prefix, &prefixes[i].prefix) < 0);
	}
}

/* Each round changes a living table in steps, so that what is kept from before is checked too. */
Test(random, tables_say_what_rules_say, .timeout = 3600)
{
	uint64_t rounds = result_amount("MESH_TEST_ROUNDS", ROUNDS);

	random_seed(result_amount("MESH_TEST_SEED", 20));
	for (uint32_t round = 0; round < rounds; round++) {
		struct fixture f;

		random_fixture(&f);
		has_shadow = random_chance(50);
		for (unsigned step = 0; step < STEPS; step++) {
			for (uint32_t n = 1 + random_below(5); n > 0; n--)
				random_set_policy(&f, random_below(6), has_shadow);
			if (step && random_chance(50))
				(void)policy_remove(f.repo, POLICY_CNP, "ext", "p1");
			if (has_shadow && random_chance(30))
				cr_assert_geq(policy_choose(f.repo, "ext", "p2", (enum policy_choice)random_below(3)), 0);
			cr_assert_geq(policy_table_update(f.table), 0);
			for (unsigned i = 0; i < CHECKS; i++)
				check_one(&f, round);
			for (unsigned i = 0; i < 4; i++) {
				(void)identity_remove(f.ids, RANDOM_IDENTITY + random_below(RANDOM_IDENTITIES));
				random_set_identity(&f, RANDOM_IDENTITY + random_below(RANDOM_IDENTITIES));
			}
			cr_assert_geq(policy_table_update(f.table), 0);
			for (unsigned i = 0; i < CHECKS; i++)
				check_one(&f, round);
			check_tables(&f);
		}
		fixture_done(&f);
	}
	cr_assert_gt(n_shadow_checks, rounds * CHECKS / 4);
	result_add("policies", json_pack("{s:I, s:I, s:I}", "sets", (json_int_t)rounds * STEPS, "checks", (json_int_t)n_checks,
					  "different", (json_int_t)0));
}
