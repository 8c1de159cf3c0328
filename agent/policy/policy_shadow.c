/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_shadow.h"

#include "base/limits.h"
#include "base/macro.h"
#include "json/json.h"
#include "policy/policy_rule.h"

struct policy_chosen {
	enum policy_choice choice;
	char *ns, *name;
	char *key; /* kinds/ns/name */
	UT_hash_handle hh;
};

static void chosen_free(struct policy_chosen *c)
{
	free(c->ns);
	free(c->name);
	free(c->key);
	free(c);
}

void policy_choices_done(struct policy_repo *r)
{
	struct policy_chosen *c, *tmp;

	HASH_ITER(hh, r->choices, c, tmp)
	{
		HASH_DEL(r->choices, c);
		chosen_free(c);
	}
}

/* On the stack, so that no policy is in another mode for lack of memory. */
static bool choice_key(const char *ns, const char *name, char ret[POLICY_KEY_MAX])
{
	return policy_key(POLICY_KINDS, ns, name, ret);
}

static struct policy_chosen *find(const struct policy_repo *r, const char *ns, const char *name)
{
	char key[POLICY_KEY_MAX];
	struct policy_chosen *c = NULL;

	if (choice_key(ns, name, key))
		HASH_FIND_STR(r->choices, key, c);
	return c;
}

enum policy_choice policy_choice_of(const struct policy_repo *r, const char *ns, const char *name)
{
	const struct policy_chosen *c = find(r, ns, name);

	return c ? c->choice : POLICY_CHOICE_NONE;
}

/* The map's keys contain dots, so that doc_at() cannot read them. */
bool policy_object_is_marked(const struct doc *obj, const char **ret_unknown)
{
	const struct doc *list = doc_at(obj, "metadata.annotations");
	const char *mode = doc_str(doc_get(list, POLICY_MODE_ANNOTATION));

	*ret_unknown = mode && !str_eq(mode, "shadow") && !str_eq(mode, "enforce") ? mode : NULL;
	return mode && str_eq(mode, "shadow");
}

void policy_object_settle(const struct policy_repo *r, struct policy_object *o)
{
	enum policy_choice choice = r->ignores_choices ? POLICY_CHOICE_NONE : policy_choice_of(r, o->ns, o->name);

	o->is_shadow = o->kind != POLICY_CIDR_GROUP &&
		       (choice == POLICY_CHOICE_NONE ? o->is_marked : choice == POLICY_CHOICE_SHADOW);
}

static void settle_anew(struct policy_repo *r, struct policy_object *o)
{
	bool was_shadow = o->is_shadow;

	policy_object_settle(r, o);
	r->generation += o->is_shadow != was_shadow;
}

static int chosen_add(struct policy_repo *r, const char *ns, const char *name, struct policy_chosen **ret)
{
	char key[POLICY_KEY_MAX];
	struct policy_chosen *c;

	if (!choice_key(ns, name, key))
		return -EINVAL;
	if (HASH_COUNT(r->choices) >= LIMIT_POLICIES)
		return -ENOSPC;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->ns = strdup(ns);
	c->name = strdup(name);
	c->key = strdup(key);
	hash_oom = !c->ns || !c->name || !c->key;
	if (!hash_oom)
		HASH_ADD_KEYPTR(hh, r->choices, c->key, strlen(c->key), c);
	if (hash_oom) {
		chosen_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

int policy_choose(struct policy_repo *r, const char *ns, const char *name, enum policy_choice choice)
{
	struct policy_chosen *c = find(r, ns, name);
	struct policy_object *o, *tmp;
	int err;

	if ((c ? c->choice : POLICY_CHOICE_NONE) == choice)
		return 0;
	if (choice == POLICY_CHOICE_NONE) {
		HASH_DEL(r->choices, c);
		chosen_free(c);
	} else {
		err = c ? 0 : chosen_add(r, ns, name, &c);
		if (err < 0)
			return err;
		c->choice = choice;
	}
	HASH_ITER(hh, r->objects, o, tmp)
		if (str_eq(o->ns, ns) && str_eq(o->name, name))
			settle_anew(r, o);
	return 1;
}

void policy_ignore_choices(struct policy_repo *r, bool is_ignored)
{
	struct policy_object *o, *tmp;

	r->ignores_choices = is_ignored;
	HASH_ITER(hh, r->objects, o, tmp)
		settle_anew(r, o);
}

bool policy_is_shadow(const struct policy_repo *r, enum policy_kind kind, const char *ns, const char *name)
{
	const struct policy_object *o = policy_find(r, kind, ns, name);

	return o && o->is_shadow;
}

bool policy_has_shadow(const struct policy_repo *r)
{
	const struct policy_object *o, *tmp;

	HASH_ITER(hh, r->objects, o, tmp)
		if (o->is_shadow)
			return true;
	return false;
}

static int chosen_cmp(const struct policy_chosen *a, const struct policy_chosen *b)
{
	int r = strcmp(a->ns, b->ns);

	return r ? r : strcmp(a->name, b->name);
}

int policy_each_choice(struct policy_repo *r, policy_choice_fn fn, void *arg)
{
	struct policy_chosen *c, *tmp;

	HASH_SORT(r->choices, chosen_cmp);
	HASH_ITER(hh, r->choices, c, tmp)
	{
		int err = fn(c->ns, c->name, c->choice, arg);

		if (err)
			return err;
	}
	return 0;
}

/* Blame */

static bool denies_by_default(const struct policy_repo *r, const struct policy_object *o, enum policy_dir dir)
{
	for (size_t i = 0; i < o->rules.n; i++) {
		const struct policy_rule *rule = &o->rules.v[i];

		for (size_t k = 0; rule->is_default_deny[dir] && k < rule->entries.n; k++)
			if (rule->entries.v[k].dir == dir && policy_rule_selects(r, rule))
				return true;
	}
	return false;
}

static bool has_match(const struct policy_repo *r, const struct policy_why *why, const struct policy_object *o)
{
	bool wants_deny = why->verdict.action == POLICY_DENY_RULE;

	for (size_t i = 0; i < why->n_matches; i++) {
		const struct policy_match *m = &why->matches[i];

		if (r->by_number.v[m->rule]->rule->object == o && m->is_deny == wants_deny)
			return true;
	}
	return false;
}

bool policy_shadow_blames(const struct policy_repo *r, const struct policy_why *why, enum policy_dir dir,
			  enum policy_kind kind, const char *ns, const char *name)
{
	const struct policy_object *o = policy_find(r, kind, ns, name);

	if (!o || !o->is_shadow)
		return false;
	switch ((enum policy_action)why->verdict.action) {
	case POLICY_ALLOW:
		return false;
	case POLICY_DENY_DEFAULT:
		return denies_by_default(r, o, dir);
	default:
		return has_match(r, why, o);
	}
}
