/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet that no rule allows lacks: who denies by default, and which rules would have allowed it, were its peer or its
 * port another. It is the first that a person wants to know of a drop, and no verdict depends on it.
 */
#pragma once

#include "policy/policy_model.h"

/*
 * Fills `isolators` and `near` of `ret`, which is that of policy_model() for the same question, with the verdict
 * POLICY_DENY_DEFAULT. -ENOMEM, -ENOSPC; what is filled in then goes with policy_why_done().
 */
int policy_near(struct policy_repo *r, const struct policy_model_question *asked, struct policy_why *ret);

/*
 * One rule of each object that denies `dir` by default, its number appended to `ret` in no order. Empty where nothing does,
 * or a mode does alone. -ENOMEM.
 */
struct policy_numbers {
	uint32_t *v;
	size_t n, cap;
};
int policy_isolators(const struct policy_repo *r, enum policy_dir dir, bool has_shadow, struct policy_numbers *ret);
