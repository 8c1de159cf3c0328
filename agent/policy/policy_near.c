/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_near.h"

/* What is asked, of which policies, and the entries that are near. */
struct search {
	struct policy_repo *repo;
	const struct policy_model_question *asked;
	ARRAY(struct policy_near) near;
};

/* A rule of the object about that direction that selects us and denies by default; NULL if there is none. */
static const struct policy_entry *isolator_of(const struct policy_repo *r, const struct policy_object *o, enum policy_dir dir)
{
	for (size_t i = 0; i < o->rules.n; i++) {
		const struct policy_rule *rule = &o->rules.v[i];

		if (!rule->is_default_deny[dir] || !policy_rule_selects(r, rule))
			continue;
		for (size_t k = 0; k < rule->entries.n; k++)
			if (rule->entries.v[k].dir == dir)
				return &rule->entries.v[k];
	}
	return NULL;
}

int policy_isolators(const struct policy_repo *r, enum policy_dir dir, bool has_shadow, struct policy_numbers *ret)
{
	const struct policy_object *o, *tmp;
	int err = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		const struct policy_entry *e = has_shadow || !o->is_shadow ? isolator_of(r, o, dir) : NULL;

		if (e && err == 0)
			err = ARRAY_ADD(ret, e->number);
	}
	return err;
}

/* An entry without peers is there to deny by default only. */
static bool can_allow(const struct policy_entry *e)
{
	return !e->is_deny && !e->is_nothing && (e->has_any_peer || e->peers.n || e->services.n);
}

/* Whether it allows the one and not the other. What matches in both is among the matches, and allows nothing here. */
static int look_at(const struct policy_entry *e, void *arg)
{
	struct search *s = arg;
	bool has_l4;
	int has_peer;

	if (!can_allow(e) || (policy_entry_is_shadow(e) && !s->asked->has_shadow))
		return 0;
	has_l4 = policy_entry_has_l4(s->repo, e, s->asked);
	has_peer = policy_entry_has_peer(s->repo, e, s->asked->peer);
	if (has_peer < 0 || has_l4 == has_peer || (!has_l4 && !policy_entry_is_plain(e)))
		return has_peer < 0 ? has_peer : 0;
	return ARRAY_ADD(&s->near, ((struct policy_near){.rule = e->number, .is_other_peer = has_l4}));
}

int policy_near(struct policy_repo *r, const struct policy_model_question *asked, struct policy_why *ret)
{
	struct policy_numbers isolators = {0};
	struct search s = {.repo = r, .asked = asked};
	int err = policy_isolators(r, asked->dir, asked->has_shadow, &isolators);

	if (err == 0)
		err = policy_each_entry(r, asked->dir, look_at, &s);
	ret->isolators = isolators.v;
	ret->n_isolators = isolators.n;
	ret->near = s.near.v;
	ret->n_near = s.near.n;
	return err;
}
