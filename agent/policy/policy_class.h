/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of identities by what selects them; a number stays with its selectors while in use. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "policy/policy_resolve.h"

/* What makes a class: numbers of selectors and, above POLICY_SIG_PORT, named ports, sorted. */
#define POLICY_SIG_PORT (UINT64_C(1) << 63)

struct policy_sig {
	uint64_t *v;
	size_t n, cap;
};

struct policy_class_entry {
	struct policy_class pub; /* first */
	uint64_t *sig;
	size_t n_sig;
	uint64_t built;	     /* policy generation of the rows */
	bool is_split;	     /* scratch: its identities must be looked at anew */
	uint64_t idle_since; /* update in which the last identity left; 0 = in use */
	UT_hash_handle hh;
};

struct policy_classes {
	ARRAY(struct policy_class_entry *) by_number; /* NULL = free */
	struct policy_class_entry *by_sig;
	ARRAY(uint32_t) free_numbers;
	uint64_t next_version;
	size_t n_idle;
};

/* Makes class 0. -ENOMEM. */
int policy_classes_init(struct policy_classes *c);
void policy_classes_done(struct policy_classes *c);

/* The class of a signature, made if new (rows then empty, .built 0). -ENOMEM. */
int policy_classes_get(struct policy_classes *c, const struct policy_sig *sig,
		       struct policy_class_entry **ret);

/* Takes both; the version changes if they differ from those there. */
void policy_class_set_rows(struct policy_classes *c, struct policy_class_entry *e,
			   struct policy_rows rows[POLICY_DIRS], struct policy_rows shadow[POLICY_DIRS]);

/* One identity more or less. `update` counts updates. */
void policy_class_join(struct policy_classes *c, struct policy_class_entry *e);
void policy_class_leave(struct policy_classes *c, struct policy_class_entry *e, uint64_t update);

/* Frees classes that were idle for a whole update. */
void policy_classes_sweep(struct policy_classes *c, uint64_t update);
