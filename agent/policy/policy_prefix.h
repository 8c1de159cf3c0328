/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prefixes that policies speak of, with the labels of addresses that no longer prefix covers
 * (Cilium pkg/ipcache/metadata.go).
 */
#pragma once

#include "policy/policy_rule.h"

struct policy_prefix_labels {
	struct cidr prefix;
	struct label_set *labels;
};

struct policy_prefix_list {
	struct policy_prefix_labels *v;
	size_t n, cap;
};

/* For `selectors`, the peers in use. Sorted by cidr_cmp(). -ENOMEM, -ENOSPC. */
int policy_prefixes_make(struct policy_repo *r, struct selector *const *selectors, size_t n,
			 struct policy_prefix_list *ret);
void policy_prefixes_done(struct policy_repo *r, struct policy_prefix_list *l);
