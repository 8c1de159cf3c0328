/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rows of selections were made from, as digests: so that after a change of policy only those are made
 * anew that the change is about.
 */
#pragma once

#include "base/array.h"
#include "base/u32map.h"
#include "policy/policy_index.h"
#include "policy/policy_rows.h"
#include "policy/policy_selection.h"

struct policy_trace {
	uint64_t common;      /* of what counts for every selection */
	struct u32map places; /* of peers, by the number of their selector */
	ARRAY(uint64_t) peers; /* of the entries of each, by place */
};

void policy_trace_done(struct policy_trace *t);

/* Remembers the digest of the next place. -ENOMEM. */
int policy_trace_add(struct policy_trace *t, uint32_t selector, uint64_t digest);

/* Whether that selector is among the peers. */
bool policy_trace_has(const struct policy_trace *t, uint32_t selector);

/* The places of the selectors of a selection, which all are among the peers. -ENOMEM. */
int policy_trace_hits(const struct policy_trace *t, const struct policy_selection *e, struct policy_hits *ret);

enum policy_touch {
	POLICY_TOUCH_NONE,
	POLICY_TOUCH_ROWS,    /* the same identities, other rows */
	POLICY_TOUCH_MEMBERS, /* a selector is gone: its identities belong elsewhere */
};

/* What a change of policies did to a selection that was up to date before. */
enum policy_touch policy_trace_compare(const struct policy_trace *before, const struct policy_trace *now,
				       const struct policy_selection *e);

/* An entry of a policy, and what was made of it: see policy_item. */
uint64_t policy_entry_digest(const struct policy_entry *e, const struct policy_item *items, size_t n);
