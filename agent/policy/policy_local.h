/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local identities: one number for each label set in use, the same as long as the set stays in use.
 */
#pragma once

#include "policy/policy_rule.h"

struct policy_locals;

struct policy_local {
	struct label_set *labels; /* of its own, so that the key stays */
	uint32_t number;
	uint64_t generation; /* in which it was last asked for: set it to keep it */
	uint64_t collection; /* of prefixes, in which one had it last; 0 = none ever did */
	bool is_of_address;  /* an address has it beside its own identity */
	UT_hash_handle hh;
};

/* 0 or -ENOMEM. */
int policy_locals_new(struct policy_repo *r, struct policy_locals **ret);
void policy_locals_free(struct policy_locals *l);

/*
 * The number for `labels`, which are taken, also on failure; made in the identity table if new.
 * It stays until policy_locals_sweep() with a later `generation` than was last given here. -ENOMEM,
 * -ENOSPC.
 */
int policy_locals_get(struct policy_locals *l, uint32_t base, struct label_set *labels,
		      uint64_t generation, struct policy_local **ret);

/* Removes identities that nobody asked for since `generation`. */
void policy_locals_sweep(struct policy_locals *l, uint64_t generation);

/* Removes those that were of prefixes alone, and of none since `collection`. */
void policy_locals_sweep_prefixes(struct policy_locals *l, uint64_t collection);
