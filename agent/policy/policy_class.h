/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes: identities with the same rows, whatever selected them. How many there are follows from how many different
 * verdicts the policies come to, and not from how many prefixes or selectors they name.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "policy/policy_resolve.h"

/* Rows never change: other rows are another class, which may take over the number. */
struct policy_class_entry {
	struct policy_class pub; /* first */
	uint64_t digest; /* of the rows */
	size_t n_selections; /* that have it */
	const struct policy_class_entry *heir_of; /* whose number it gets, should that be free; until it has one */
	bool is_unsettled;
	UT_hash_handle hh;
};

struct policy_classes {
	ARRAY(struct policy_class_entry *) by_number; /* NULL = free */
	struct policy_class_entry *by_digest;
	ARRAY(struct policy_class_entry *) unsettled; /* without a number, or that nobody had for a moment */
	ARRAY(uint32_t) free_numbers;
	size_t n; /* in all */
	uint64_t last_version;
};

void policy_classes_done(struct policy_classes *c);

/*
 * Finds or makes the class with these rows, which are taken, also on failure. A new one has no number before
 * policy_classes_settle(). `before` is the class of those who are to have it, or NULL. -ENOMEM.
 */
int policy_classes_get(struct policy_classes *c, struct policy_rows rows[POLICY_DIRS],
		       struct policy_rows shadow[POLICY_DIRS], const struct policy_class_entry *before,
		       struct policy_class_entry **ret);

/* A selection with so many identities has it from now on, or has it no more: then it stays until the next settling. */
void policy_class_hold(struct policy_class_entry *e, uint32_t n_identities);
void policy_class_release(struct policy_classes *c, struct policy_class_entry *e, uint32_t n_identities);

/*
 * Gives each class its number, `zero` the number 0, and frees those that nobody has. A class that took the place of another
 * one altogether gets the number of that: so a policy with other ports gives no identity another number. Cannot fail.
 */
void policy_classes_settle(struct policy_classes *c, struct policy_class_entry *zero);
