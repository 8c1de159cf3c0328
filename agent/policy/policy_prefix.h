/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prefixes that policies speak of, with the labels of addresses that no longer prefix covers
 * (Cilium pkg/ipcache/metadata.go).
 */
#pragma once

#include "policy/policy_local.h"
#include "policy/policy_rule.h"

struct policy_prefix_labels {
	struct cidr prefix;
	uint64_t digest; /* of why it has its labels */
	struct label_set *labels; /* NULL: as before */
	struct policy_local *local; /* where labels is NULL: who has them */
};

struct policy_prefix_list {
	struct policy_prefix_labels *v;
	size_t n, cap;
};

/* What the last call found, with the identity that came of it. */
struct policy_prefix_known {
	uint64_t digest;
	struct policy_local *local;
};

struct policy_prefixes_before {
	const struct policy_prefix *v; /* sorted by cidr_cmp() */
	const struct policy_prefix_known *known; /* of each */
	size_t n;
};

/*
 * For `selectors`, the peers in use. Sorted by cidr_cmp(). What is as it was before, its labels included, is not made
 * again. -ENOMEM, -ENOSPC.
 */
int policy_prefixes_make(struct policy_repo *r, struct selector *const *selectors, size_t n,
			 const struct policy_prefixes_before *before, struct policy_prefix_list *ret);
void policy_prefixes_done(struct policy_repo *r, struct policy_prefix_list *l);
