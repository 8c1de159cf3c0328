/* SPDX-License-Identifier: Apache-2.0 */
/* Shadow policies: as if they did not exist, but for what they would do. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "policy/policy_shadow.h"
#include "lib/json_objects.h"

static int set(struct fixture *f, enum policy_kind kind, const char *text)
{
	json_t *obj = fixture_json(text);
	struct err err = {0};
	int r = json_policy_set(f->repo, kind, obj, &err);

	json_decref(obj);
	return r;
}

#define META(name, more) "{'metadata':{'name':'" name "','namespace':'ext','uid':'u-" name "','generation':1" more "}"
#define SHADOW		 ",'annotations':{'mesh-external-agent.io/mode':'shadow'}"
#define ONLY_A                                                                                     \
	",'spec':{'endpointSelector':{},'ingress':[{'fromEndpoints':[{'matchLabels':{'app':'a'}}]}]}}"
#define DENY_A                                                                                     \
	",'spec':{'endpointSelector':{},'enableDefaultDeny':{'ingress':false},"                    \
	"'ingressDeny':[{'fromEndpoints':[{'matchLabels':{'app':'a'}}]}]}}"

static int update(struct fixture *f)
{
	return policy_table_update(f->table);
}

static uint8_t now(struct fixture *f, const char *peer)
{
	struct fixture_peer p = fixture_peer(peer);

	return fixture_table_verdict(f, &p, POLICY_INGRESS, 6, 80).action;
}

static uint8_t would(struct fixture *f, const char *peer)
{
	struct fixture_peer p = fixture_peer(peer);

	return fixture_table_shadow(f, &p, POLICY_INGRESS, 6, 80).action;
}

struct seen {
	const char *name;
	enum policy_state state;
	char reason[256];
};

static int look(const struct policy_status *st, void *arg)
{
	struct seen *seen = arg;

	if (strcmp(st->name, seen->name) != 0)
		return 0;
	seen->state = st->state;
	(void)snprintf(seen->reason, sizeof(seen->reason), "%s", st->reason);
	return 1;
}

static struct seen status(struct fixture *f, const char *name)
{
	struct seen seen = {.name = name};

	cr_assert_eq(policy_each(f->repo, look, &seen), 1, "%s", name);
	return seen;
}

Test(shadow, is_not_enforced_but_asked)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", SHADOW) ONLY_A), 1);
	cr_assert_eq(update(&f), 1);
	cr_assert_not(policy_table_enforced(f.table, POLICY_INGRESS));
	cr_assert(policy_table_shadowed(f.table, POLICY_INGRESS));
	cr_assert_not(policy_table_shadowed(f.table, POLICY_EGRESS));
	cr_assert_eq(now(&f, "B"), POLICY_ALLOW);
	cr_assert_eq(would(&f, "B"), POLICY_DENY_DEFAULT);
	cr_assert_eq(would(&f, "A"), POLICY_ALLOW);
	cr_assert_eq(status(&f, "p").state, POLICY_SHADOW);
	fixture_done(&f);
}

/* The annotation is not part of what raises the generation of an object. */
Test(shadow, annotation_alone_turns_it_on_and_off)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", "") ONLY_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", "") ONLY_A), 0);
	(void)update(&f);
	cr_assert_eq(now(&f, "B"), POLICY_DENY_DEFAULT);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", SHADOW) ONLY_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", SHADOW) ONLY_A), 0);
	cr_assert_eq(update(&f), 1);
	cr_assert_eq(now(&f, "B"), POLICY_ALLOW);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", ",'annotations':{'mesh-external-agent.io/mode':'enforce'}") ONLY_A), 1);
	cr_assert_eq(update(&f), 1);
	cr_assert_eq(now(&f, "B"), POLICY_DENY_DEFAULT);
	cr_assert_not(policy_table_shadowed(f.table, POLICY_INGRESS));
	cr_assert_eq(status(&f, "p").state, POLICY_ENFORCED);
	fixture_done(&f);
}

/* A word that means nothing weakens nothing, and is told. */
Test(shadow, an_unknown_mode_is_enforced)
{
	static const char *const modes[] = {"'shadwo'", "'Shadow'", "''", "'enforce '"};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		char text[512];
		struct fixture f;

		fixture_init(&f, NULL, NULL, NULL, NULL);
		(void)snprintf(text, sizeof(text),
			       "{'metadata':{'name':'p','namespace':'ext','annotations':{'mesh-external-agent.io/mode':%s}}" ONLY_A,
			       modes[i]);
		cr_assert_eq(set(&f, POLICY_CNP, text), 1);
		(void)update(&f);
		cr_assert_eq(now(&f, "B"), POLICY_DENY_DEFAULT, "%s", modes[i]);
		cr_assert_eq(status(&f, "p").state, POLICY_DEGRADED, "%s", modes[i]);
		cr_assert(strstr(status(&f, "p").reason, "neither shadow nor enforce"));
		fixture_done(&f);
	}
	/* of another type it cannot come from an API server */
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", ",'annotations':{'mesh-external-agent.io/mode':1}") ONLY_A), 1);
	(void)update(&f);
	cr_assert_eq(now(&f, "B"), POLICY_DENY_DEFAULT);
	fixture_done(&f);
}

/* It never touches what other policies deny. */
Test(shadow, weakens_only_itself)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, META("deny", "") DENY_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP, META("allow", SHADOW) ONLY_A), 1);
	(void)update(&f);
	cr_assert_eq(now(&f, "A"), POLICY_DENY_RULE);
	cr_assert_eq(would(&f, "A"), POLICY_DENY_RULE);
	cr_assert_eq(now(&f, "B"), POLICY_ALLOW);
	cr_assert_eq(would(&f, "B"), POLICY_DENY_DEFAULT);
	/* nor does what it allows count while it is one */
	cr_assert_eq(set(&f, POLICY_CNP, META("deny", "") ONLY_A), 0);
	fixture_done(&f);
}

Test(shadow, choice_of_the_host)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	/* before the policy is there, as at a start */
	cr_assert_eq(policy_choose(f.repo, "ext", "p", POLICY_CHOICE_SHADOW), 1);
	cr_assert_eq(policy_choose(f.repo, "ext", "p", POLICY_CHOICE_SHADOW), 0);
	cr_assert_eq(set(&f, POLICY_CNP, META("p", "") ONLY_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP, META("q", "") DENY_A), 1);
	(void)update(&f);
	cr_assert_eq(now(&f, "B"), POLICY_ALLOW);
	cr_assert_eq(now(&f, "A"), POLICY_DENY_RULE);
	cr_assert_eq(policy_choose(f.repo, "ext", "p", POLICY_CHOICE_NONE), 1);
	cr_assert_eq(update(&f), 1);
	cr_assert_eq(now(&f, "B"), POLICY_DENY_DEFAULT);
	/* it wins over the annotation */
	cr_assert_eq(set(&f, POLICY_CNP, META("p", SHADOW) ONLY_A), 1);
	cr_assert_eq(policy_choose(f.repo, "ext", "p", POLICY_CHOICE_ENFORCE), 1);
	(void)update(&f);
	cr_assert_eq(now(&f, "B"), POLICY_DENY_DEFAULT);
	cr_assert_eq(policy_choice_of(f.repo, "ext", "p"), POLICY_CHOICE_ENFORCE);
	/* another namespace, another policy */
	cr_assert_eq(policy_choice_of(f.repo, "", "p"), POLICY_CHOICE_NONE);
	fixture_done(&f);
}

Test(shadow, a_group_has_no_mode)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CIDR_GROUP,
			 "{'metadata':{'name':'g'" SHADOW "},'spec':{'externalCIDRs':['198.51.100.0/24']}}"), 1);
	cr_assert_eq(set(&f, POLICY_CNP,
			 META("p", "") ",'spec':{'endpointSelector':{},'ingress':[{'fromCIDRSet':[{'cidrGroupRef':'g'}]}]}}"), 1);
	(void)update(&f);
	cr_assert_eq(now(&f, "ip 198.51.100.7"), POLICY_ALLOW);
	cr_assert_eq(now(&f, "ip 198.51.101.7"), POLICY_DENY_DEFAULT);
	fixture_done(&f);
}

static bool blames(struct fixture *f, const char *peer, const char *name)
{
	struct fixture_peer p = fixture_peer(peer);
	struct policy_peer who = {.labels = identity_get(f->ids, p.identity)->labels};
	struct policy_why why;
	bool is_it;

	cr_assert_eq(policy_why_shadow(f->repo, &who, POLICY_INGRESS, 6, 80, &why), 0);
	is_it = policy_shadow_blames(f->repo, &why, POLICY_INGRESS, POLICY_CNP, "ext", name);
	policy_why_done(&why);
	return is_it;
}

Test(shadow, the_policy_that_would_drop_is_named)
{
	struct fixture f;

	fixture_init(&f, NULL, NULL, NULL, NULL);
	cr_assert_eq(set(&f, POLICY_CNP, META("deny", SHADOW) DENY_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP, META("only", SHADOW) ONLY_A), 1);
	cr_assert_eq(set(&f, POLICY_CNP, META("real", "") ",'spec':{'endpointSelector':{},'ingress':[{'fromEntities':['all']}]}}"), 1);
	(void)update(&f);
	cr_assert_eq(now(&f, "A"), POLICY_ALLOW);
	cr_assert(blames(&f, "A", "deny"));
	cr_assert_not(blames(&f, "A", "only"));
	cr_assert_not(blames(&f, "B", "only"), "another policy allows it");
	cr_assert_eq(policy_remove(f.repo, POLICY_CNP, "ext", "real"), 1);
	cr_assert(blames(&f, "B", "only"));
	cr_assert_not(blames(&f, "B", "deny"));
	cr_assert_not(blames(&f, "B", "nobody"));
	fixture_done(&f);
}
