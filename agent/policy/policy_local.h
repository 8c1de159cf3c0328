/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local identities: one number for each label set in use, the same as long as the set stays in use.
 */
#pragma once

#include "policy/policy_rule.h"

struct policy_locals;

/* 0 or -ENOMEM. */
int policy_locals_new(struct policy_repo *r, struct policy_locals **ret);
void policy_locals_free(struct policy_locals *l);

/*
 * The number for `labels`, which are taken, also on failure; made in the identity table if new.
 * It stays until policy_locals_sweep() with a later `generation` than was last given here. -ENOMEM,
 * -ENOSPC.
 */
int policy_locals_get(struct policy_locals *l, uint32_t base, struct label_set *labels,
		      uint64_t generation, uint32_t *ret_number);

/* The same for who has a number already: it stays. -ENOENT if it is none of these. */
int policy_locals_keep(struct policy_locals *l, uint32_t number, uint64_t generation);

/* Removes identities that nobody asked for since `generation`. */
void policy_locals_sweep(struct policy_locals *l, uint64_t generation);
