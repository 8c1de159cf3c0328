/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_class.h"

#include "base/macro.h"
#include "policy/policy_rows.h"

enum { NO_NUMBER = UINT32_MAX };

static void rows_done(struct policy_rows rows[POLICY_DIRS], struct policy_rows shadow[POLICY_DIRS])
{
	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		policy_rows_done(&rows[d]);
		policy_rows_done(&shadow[d]);
	}
}

static void class_free(struct policy_class_entry *e)
{
	rows_done(e->pub.rows, e->pub.shadow);
	free(e);
}

void policy_classes_done(struct policy_classes *c)
{
	struct policy_class_entry *e, *tmp;

	HASH_ITER(hh, c->by_digest, e, tmp)
	{
		HASH_DEL(c->by_digest, e);
		class_free(e);
	}
	ARRAY_DONE(&c->by_number);
	ARRAY_DONE(&c->unsettled);
	ARRAY_DONE(&c->free_numbers);
}

static uint64_t digest_of(const struct policy_rows rows[POLICY_DIRS], const struct policy_rows shadow[POLICY_DIRS])
{
	uint64_t v[2 * POLICY_DIRS];

	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		v[d] = policy_rows_digest(&rows[d]);
		v[POLICY_DIRS + d] = policy_rows_digest(&shadow[d]);
	}
	return hash_bytes(v, sizeof(v));
}

static bool has_rows(const struct policy_class_entry *e, const struct policy_rows rows[POLICY_DIRS],
		     const struct policy_rows shadow[POLICY_DIRS])
{
	bool is_same = true;

	for (unsigned d = 0; d < POLICY_DIRS; d++)
		is_same = is_same && policy_rows_eq(&rows[d], &e->pub.rows[d]) && policy_rows_eq(&shadow[d], &e->pub.shadow[d]);
	return is_same;
}

/* Makes room for `n` in all. */
#define RESERVE_ALL(a, n) array_reserve((void **)&(a)->v, &(a)->cap, 0, (n), sizeof(*(a)->v))

/* So that settling cannot fail, every list has room for as many as there ever were. */
static int class_new(struct policy_classes *c, struct policy_class_entry **ret)
{
	struct policy_class_entry *e = NULL;
	int r = RESERVE_ALL(&c->by_number, c->n + 1);

	if (r == 0)
		r = RESERVE_ALL(&c->unsettled, c->n + 1);
	if (r == 0)
		r = RESERVE_ALL(&c->free_numbers, c->n + 1);
	if (r == 0)
		e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->pub.number = NO_NUMBER;
	*ret = e;
	return 0;
}

static void unsettle(struct policy_classes *c, struct policy_class_entry *e)
{
	if (e->is_unsettled)
		return;
	e->is_unsettled = true;
	c->unsettled.v[c->unsettled.n++] = e;
}

int policy_classes_get(struct policy_classes *c, struct policy_rows rows[POLICY_DIRS],
		       struct policy_rows shadow[POLICY_DIRS], const struct policy_class_entry *before,
		       struct policy_class_entry **ret)
{
	uint64_t digest = digest_of(rows, shadow);
	struct policy_class_entry *e;
	int r;

	for (;; digest++) { /* others with the same digest are behind it */
		HASH_FIND(hh, c->by_digest, &digest, sizeof(digest), e);
		if (!e || has_rows(e, rows, shadow))
			break;
	}
	r = e ? 0 : class_new(c, &e);
	if (r < 0 || e->pub.version) {
		rows_done(rows, shadow);
		*ret = e;
		return r;
	}
	memcpy(e->pub.rows, rows, sizeof(e->pub.rows));
	memcpy(e->pub.shadow, shadow, sizeof(e->pub.shadow));
	e->digest = digest;
	hash_oom = false;
	HASH_ADD(hh, c->by_digest, digest, sizeof(e->digest), e);
	if (hash_oom) {
		class_free(e);
		return -ENOMEM;
	}
	c->n++;
	e->pub.version = ++c->last_version;
	e->heir_of = before;
	unsettle(c, e);
	*ret = e;
	return 0;
}

void policy_class_hold(struct policy_class_entry *e, uint32_t n_identities)
{
	e->n_selections++;
	e->pub.n_identities += n_identities;
}

void policy_class_release(struct policy_classes *c, struct policy_class_entry *e, uint32_t n_identities)
{
	e->pub.n_identities -= n_identities;
	if (--e->n_selections == 0)
		unsettle(c, e);
}

static void set_number(struct policy_classes *c, struct policy_class_entry *e, uint32_t number)
{
	e->pub.number = number;
	c->by_number.v[number] = e;
}

static void take_number(struct policy_classes *c, struct policy_class_entry *e)
{
	struct policy_class_entry *left = NULL;

	/* `heir_of` is there still: a class without selections goes with the settling, and not before it */
	if (e->heir_of && !e->heir_of->n_selections && e->heir_of->pub.number != NO_NUMBER)
		left = c->by_number.v[e->heir_of->pub.number];
	if (left) {
		set_number(c, e, left->pub.number);
		left->pub.number = NO_NUMBER;
	} else if (c->free_numbers.n) {
		set_number(c, e, c->free_numbers.v[--c->free_numbers.n]);
	} else {
		set_number(c, e, (uint32_t)c->by_number.n++);
	}
}

static void drop_number(struct policy_classes *c, struct policy_class_entry *e)
{
	if (e->pub.number == NO_NUMBER)
		return;
	c->by_number.v[e->pub.number] = NULL;
	c->free_numbers.v[c->free_numbers.n++] = e->pub.number;
	e->pub.number = NO_NUMBER;
}

static void settle_zero(struct policy_classes *c, struct policy_class_entry *zero)
{
	struct policy_class_entry *was = c->by_number.n ? c->by_number.v[0] : NULL;

	if (was == zero)
		return;
	drop_number(c, zero);
	if (was) {
		was->pub.number = NO_NUMBER;
		unsettle(c, was);
	}
	c->by_number.n = MAX(c->by_number.n, (size_t)1);
	set_number(c, zero, 0);
}

void policy_classes_settle(struct policy_classes *c, struct policy_class_entry *zero)
{
	settle_zero(c, zero);
	for (size_t i = 0; i < c->unsettled.n; i++) {
		struct policy_class_entry *e = c->unsettled.v[i];

		if (e->n_selections && e->pub.number == NO_NUMBER)
			take_number(c, e);
		e->is_unsettled = false;
	}
	for (size_t i = 0; i < c->unsettled.n; i++) {
		struct policy_class_entry *e = c->unsettled.v[i];

		e->heir_of = NULL;
		if (e->n_selections)
			continue;
		drop_number(c, e);
		HASH_DEL(c->by_digest, e);
		class_free(e);
		c->n--;
	}
	c->unsettled.n = 0;
}
