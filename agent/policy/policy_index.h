/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the selectors that match an identity without trying them all. */
#pragma once

#include "identity/selector.h"

struct policy_index;

/* 0 or -ENOMEM. */
int policy_index_new(struct selector_cache *cache, struct policy_index **ret);
void policy_index_free(struct policy_index *x);
DEFINE_CLEANUP(struct policy_index *, policy_index_free)

/* Adds a selector under a number of the caller's. -ENOMEM. */
int policy_index_add(struct policy_index *x, struct selector *s, uint32_t number);

/* Numbers of all selectors that match, each once, in no particular order; borrowed until the next
 * call. -ENOMEM. */
struct policy_hits {
	uint32_t *v;
	size_t n, cap;
};
int policy_index_find(struct policy_index *x, const struct label_set *labels, uint16_t flags,
		      const struct policy_hits **ret);
