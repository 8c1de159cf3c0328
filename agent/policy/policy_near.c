/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_near.h"

struct near_list {
	struct policy_near *v;
	size_t n, cap;
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
static int look_at(struct policy_repo *r, const struct policy_model_question *asked, const struct policy_entry *e, struct near_list *l)
{
	bool has_l4 = policy_entry_has_l4(r, e, asked);
	int has_peer = policy_entry_has_peer(r, e, asked->peer);

	if (has_peer < 0 || has_l4 == has_peer || (!has_l4 && !policy_entry_is_plain(e)))
		return has_peer < 0 ? has_peer : 0;
	return ARRAY_ADD(l, (struct policy_near){.rule = e->number, .is_other_peer = has_l4});
}

static int collect(struct policy_repo *r, const struct policy_model_question *asked, struct near_list *l)
{
	const struct policy_object *o, *tmp;
	int err = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; (asked->has_shadow || !o->is_shadow) && i < o->rules.n; i++) {
			const struct policy_rule *rule = &o->rules.v[i];

			for (size_t k = 0; policy_rule_selects(r, rule) && err == 0 && k < rule->entries.n; k++) {
				const struct policy_entry *e = &rule->entries.v[k];

				if (e->dir == asked->dir && can_allow(e))
					err = look_at(r, asked, e, l);
			}
		}
	}
	return err;
}

int policy_near(struct policy_repo *r, const struct policy_model_question *asked, struct policy_why *ret)
{
	struct policy_numbers isolators = {0};
	struct near_list near = {0};
	int err = policy_isolators(r, asked->dir, asked->has_shadow, &isolators);

	if (err == 0)
		err = collect(r, asked, &near);
	ret->isolators = isolators.v;
	ret->n_isolators = isolators.n;
	ret->near = near.v;
	ret->n_near = near.n;
	return err;
}
