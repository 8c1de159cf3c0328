/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_class.h"

#include "base/macro.h"
#include "policy/policy_rows.h"

static void class_free(struct policy_class_entry *e)
{
	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		policy_rows_done(&e->pub.rows[d]);
		policy_rows_done(&e->pub.shadow[d]);
	}
	free(e->sig);
	free(e);
}

static int class_new(const struct policy_sig *sig, struct policy_class_entry **ret)
{
	struct policy_class_entry *e = calloc(1, sizeof(*e));

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

int policy_classes_init(struct policy_classes *c)
{
	struct policy_sig none = {0};
	struct policy_class_entry *e;
	int r = class_new(&none, &e);

	if (r < 0)
		return r;
	*c = (struct policy_classes){0};
	r = ARRAY_ADD(&c->by_number, e);
	if (r < 0)
		class_free(e);
	return r;
}

void policy_classes_done(struct policy_classes *c)
{
	HASH_CLEAR(hh, c->by_sig);
	for (size_t i = 0; i < c->by_number.n; i++)
		if (c->by_number.v[i])
			class_free(c->by_number.v[i]);
	ARRAY_DONE(&c->by_number);
	ARRAY_DONE(&c->free_numbers);
}

int policy_classes_get(struct policy_classes *c, const struct policy_sig *sig,
		       struct policy_class_entry **ret)
{
	struct policy_class_entry *e;
	int r;

	if (sig->n == 0) {
		*ret = c->by_number.v[0];
		return 0;
	}
	HASH_FIND(hh, c->by_sig, sig->v, sig->n * sizeof(*sig->v), e);
	if (e) {
		*ret = e;
		return 0;
	}
	r = ARRAY_RESERVE(&c->by_number, 1);
	if (r == 0) /* so that giving the number back cannot fail */
		r = array_reserve((void **)&c->free_numbers.v, &c->free_numbers.cap, 0,
				  c->by_number.n + 1, sizeof(*c->free_numbers.v));
	if (r == 0)
		r = class_new(sig, &e);
	if (r < 0)
		return r;
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, c->by_sig, e->sig, e->n_sig * sizeof(*e->sig), e);
	if (hash_oom) {
		class_free(e);
		return -ENOMEM;
	}
	if (c->free_numbers.n) {
		e->pub.number = c->free_numbers.v[--c->free_numbers.n];
		c->by_number.v[e->pub.number] = e;
	} else {
		e->pub.number = (uint32_t)c->by_number.n;
		c->by_number.v[c->by_number.n++] = e;
	}
	e->idle_since = UINT64_MAX; /* idle from the start, but not to be swept before somebody came
				       and went */
	*ret = e;
	return 0;
}

void policy_class_set_rows(struct policy_classes *c, struct policy_class_entry *e,
			   struct policy_rows rows[POLICY_DIRS], struct policy_rows shadow[POLICY_DIRS])
{
	bool is_same = e->pub.version != 0;

	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		is_same = is_same && policy_rows_eq(&rows[d], &e->pub.rows[d]) &&
			  policy_rows_eq(&shadow[d], &e->pub.shadow[d]);
		policy_rows_done(&e->pub.rows[d]);
		policy_rows_done(&e->pub.shadow[d]);
		e->pub.rows[d] = rows[d];
		e->pub.shadow[d] = shadow[d];
	}
	if (!is_same)
		e->pub.version = ++c->next_version;
}

void policy_class_join(struct policy_classes *c, struct policy_class_entry *e)
{
	if (e->pub.n_identities++ == 0 && e->idle_since != UINT64_MAX && e->idle_since)
		c->n_idle--;
	e->idle_since = 0;
}

void policy_class_leave(struct policy_classes *c, struct policy_class_entry *e, uint64_t update)
{
	if (--e->pub.n_identities || e->pub.number == 0)
		return;
	e->idle_since = update;
	c->n_idle++;
}

void policy_classes_sweep(struct policy_classes *c, uint64_t update)
{
	for (size_t i = 1; c->n_idle && i < c->by_number.n; i++) {
		struct policy_class_entry *e = c->by_number.v[i];

		if (!e || e->pub.n_identities || e->idle_since == UINT64_MAX ||
		    e->idle_since + 1 >= update)
			continue;
		HASH_DEL(c->by_sig, e);
		class_free(e);
		c->by_number.v[i] = NULL;
		c->free_numbers.v[c->free_numbers.n++] = (uint32_t)i;
		c->n_idle--;
	}
}
