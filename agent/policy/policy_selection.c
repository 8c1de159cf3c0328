/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_selection.h"

static void selection_free(struct policy_selection *e)
{
	free(e->sig);
	free(e);
}

static int selection_new(const struct policy_sig *sig, struct policy_selection **ret)
{
	struct policy_selection *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->sig = malloc((sig->n + 1) * sizeof(*e->sig));
	if (!e->sig) {
		free(e);
		return -ENOMEM;
	}
	if (sig->n)
		memcpy(e->sig, sig->v, sig->n * sizeof(*e->sig));
	e->n_sig = sig->n;
	*ret = e;
	return 0;
}

int policy_selections_init(struct policy_selections *s, struct policy_classes *c)
{
	struct policy_rows none[2][POLICY_DIRS] = {0};
	const struct policy_sig sig = {0};
	struct policy_class_entry *class;
	struct policy_selection *e;
	int r = selection_new(&sig, &e);

	if (r < 0)
		return r;
	r = ARRAY_ADD(&s->by_number, e);
	if (r < 0) {
		selection_free(e);
		return r;
	}
	r = policy_classes_get(c, none[0], none[1], NULL, &class);
	if (r < 0)
		return r;
	policy_selection_set_class(e, c, class);
	policy_classes_settle(c, class);
	return 0;
}

void policy_selections_done(struct policy_selections *s)
{
	HASH_CLEAR(hh, s->by_sig);
	for (size_t i = 0; i < s->by_number.n; i++)
		if (s->by_number.v[i])
			selection_free(s->by_number.v[i]);
	ARRAY_DONE(&s->by_number);
	ARRAY_DONE(&s->free_numbers);
}

int policy_selections_get(struct policy_selections *s, const struct policy_sig *sig, struct policy_selection **ret)
{
	struct policy_selection *e;
	int r;

	if (sig->n == 0) {
		*ret = s->by_number.v[0];
		return 0;
	}
	HASH_FIND(hh, s->by_sig, sig->v, sig->n * sizeof(*sig->v), e);
	if (e) {
		*ret = e;
		return 0;
	}
	r = ARRAY_RESERVE(&s->by_number, 1);
	if (r == 0) /* so that giving the number back cannot fail */
		r = array_reserve((void **)&s->free_numbers.v, &s->free_numbers.cap, 0,
				  s->by_number.n + 1, sizeof(*s->free_numbers.v));
	if (r == 0)
		r = selection_new(sig, &e);
	if (r < 0)
		return r;
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, s->by_sig, e->sig, e->n_sig * sizeof(*e->sig), e);
	if (hash_oom) {
		selection_free(e);
		return -ENOMEM;
	}
	if (s->free_numbers.n) {
		e->number = s->free_numbers.v[--s->free_numbers.n];
		s->by_number.v[e->number] = e;
	} else {
		e->number = (uint32_t)s->by_number.n;
		s->by_number.v[s->by_number.n++] = e;
	}
	e->idle_since = UINT64_MAX; /* idle from the start, but not to be swept before somebody came and went */
	*ret = e;
	return 0;
}

void policy_selection_set_class(struct policy_selection *e, struct policy_classes *c, struct policy_class_entry *class)
{
	if (class)
		policy_class_hold(class, e->n_identities);
	if (e->class)
		policy_class_release(c, e->class, e->n_identities);
	e->class = class;
}

void policy_selection_join(struct policy_selections *s, struct policy_selection *e)
{
	if (e->n_identities++ == 0 && e->idle_since != UINT64_MAX && e->idle_since)
		s->n_idle--;
	e->idle_since = 0;
	if (e->class)
		e->class->pub.n_identities++;
}

static void leave(struct policy_selections *s, struct policy_selection *e, uint32_t n, uint64_t update)
{
	if (e->class)
		e->class->pub.n_identities -= n;
	e->n_identities -= n;
	if (e->n_identities || e->number == 0)
		return;
	e->idle_since = update;
	s->n_idle++;
}

void policy_selection_leave(struct policy_selections *s, struct policy_selection *e, uint64_t update)
{
	leave(s, e, 1, update);
}

void policy_selections_empty(struct policy_selections *s, uint64_t update)
{
	for (size_t i = 0; i < s->by_number.n; i++) {
		struct policy_selection *e = s->by_number.v[i];

		if (e && e->n_identities)
			leave(s, e, e->n_identities, update);
	}
}

void policy_selections_sweep(struct policy_selections *s, struct policy_classes *c, uint64_t update)
{
	for (size_t i = 1; s->n_idle && i < s->by_number.n; i++) {
		struct policy_selection *e = s->by_number.v[i];

		if (!e || e->n_identities || e->idle_since == UINT64_MAX || e->idle_since + 1 >= update)
			continue;
		policy_selection_set_class(e, c, NULL);
		HASH_DEL(s->by_sig, e);
		selection_free(e);
		s->by_number.v[i] = NULL;
		s->free_numbers.v[s->free_numbers.n++] = (uint32_t)i;
		s->n_idle--;
	}
}
