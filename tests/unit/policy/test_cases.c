/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the cases of tests/data: what the tables and the reference model say. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "cases.h"

static void run_check(struct fixture *f, const char *where, const json_t *check)
{
	static const char *const verdicts[] = {[POLICY_ALLOW] = "allow",
					       [POLICY_DENY_DEFAULT] = "default",
					       [POLICY_DENY_RULE] = "deny",
					       [POLICY_DENY_AUTH] = "auth"};
	const char *dir_name = json_string_value(json_array_get(check, 0)),
		   *peer_name = json_string_value(json_array_get(check, 1)),
		   *want = json_string_value(json_array_get(check, 3));
	enum policy_dir dir = str_eq(dir_name, "in") ? POLICY_INGRESS : POLICY_EGRESS;
	struct fixture_peer peer = fixture_peer(peer_name);
	struct policy_verdict table, model;
	struct policy_origin origin;
	uint16_t port;
	uint8_t proto = case_l4(where, json_array_get(check, 2), &port);
	char *text = json_dumps(check, JSON_COMPACT);

	table = fixture_table_verdict(f, &peer, dir, proto, port);
	model = fixture_model_verdict(f, &peer, dir, proto, port);
	cr_expect_str_eq(verdicts[table.action], want, "%s %s: tables say %s", where, text,
			 verdicts[table.action]);
	cr_expect_str_eq(verdicts[model.action], want, "%s %s: rules say %s", where, text,
			 verdicts[model.action]);
	cr_expect_eq(table.rule, model.rule, "%s %s: tables name rule %u, rules %u", where, text,
		     table.rule, model.rule);
	if (table.rule)
		cr_expect_eq(policy_origin(f->repo, table.rule, &origin), 0, "%s %s: no origin",
			     where, text);
	free(text);
}

static void run_case(const json_t *c, size_t number)
{
	const json_t *checks = json_object_get(c, "checks");
	const char *name = json_string_value(json_object_get(c, "name"));
	struct fixture f;
	char where[160];

	(void)snprintf(where, sizeof(where), "case %zu (%s)", number, name ? name : "?");
	cr_assert(name && json_array_size(checks) > 0, "%s is incomplete", where);
	case_init(&f, where, c);
	for (size_t i = 0; i < json_array_size(checks); i++)
		run_check(&f, where, json_array_get(checks, i));
	fixture_done(&f);
}

Test(cases, all)
{
	json_t *cases = cases_load();

	cr_assert_gt(json_array_size(cases), 430);
	for (size_t i = 0; i < json_array_size(cases); i++)
		run_case(json_array_get(cases, i), i);
	json_decref(cases);
}
