/* SPDX-License-Identifier: Apache-2.0 */
/* Selections: what the same selectors match has the same rows, so these are made once for all of it. */
#pragma once

#include "policy/policy_class.h"

/* What makes a selection: numbers of selectors and, above POLICY_SIG_PORT, named ports, sorted. */
#define POLICY_SIG_PORT (UINT64_C(1) << 63)

struct policy_sig {
	uint64_t *v;
	size_t n, cap;
};

struct policy_selection {
	struct policy_class_entry *class; /* by its rows; NULL before they are made */
	uint64_t *sig;
	size_t n_sig;
	uint32_t number;     /* 0 = what matches no selector */
	uint32_t n_identities;
	uint64_t built;	     /* policy generation of the rows */
	bool is_split;	     /* scratch: its identities must be looked at anew */
	uint64_t idle_since; /* update in which the last identity left; 0 = in use */
	UT_hash_handle hh;
};

struct policy_selections {
	ARRAY(struct policy_selection *) by_number; /* NULL = free */
	struct policy_selection *by_sig;
	ARRAY(uint32_t) free_numbers;
	size_t n_idle;
};

/* Makes the one with number 0, in class 0 with empty rows. -ENOMEM. */
int policy_selections_init(struct policy_selections *s, struct policy_classes *c);
void policy_selections_done(struct policy_selections *s);

/* The one of a signature, made if new (without rows then, .built 0). -ENOMEM. */
int policy_selections_get(struct policy_selections *s, const struct policy_sig *sig, struct policy_selection **ret);

/* Puts it, with all its identities, into another class, or into none with NULL. */
void policy_selection_set_class(struct policy_selection *e, struct policy_classes *c, struct policy_class_entry *class);

/* One identity more or less. `update` counts updates. */
void policy_selection_join(struct policy_selections *s, struct policy_selection *e);
void policy_selection_leave(struct policy_selections *s, struct policy_selection *e, uint64_t update);

/* Nobody is in any of them. */
void policy_selections_empty(struct policy_selections *s, uint64_t update);

/* Frees those that were idle for a whole update. */
void policy_selections_sweep(struct policy_selections *s, struct policy_classes *c, uint64_t update);
