/* SPDX-License-Identifier: Apache-2.0 */
/* One class of the policy table as map entries of one bank. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "mesh_abi.h"
#include "policy/policy_resolve.h"

/* Each list is sorted by key as bytes, without duplicates, so that two plans can be merged. */
struct plan_class {
	struct {
		struct mesh_row_key key;
		struct mesh_row value;
	} *rows;
	struct {
		struct mesh_port_key key;
		struct mesh_port value;
	} *ports;
	struct {
		struct mesh_range_key key;
		struct mesh_port value;
	} *ranges;
	size_t n_rows, n_ports, n_ranges;
	uint64_t version; /* of the class it was made from; 0 = unknown */
};

/* Directions that policies are about. */
struct plan_dirs {
	bool enforced[POLICY_DIRS], shadow[POLICY_DIRS];
};
struct plan_dirs plan_dirs_of(const struct policy_table *t);

/*
 * Entries of `c` for `bank`. Directions that are not enforced have none: their verdict is the
 * bank's default, ALLOW. Rows that say no more than the default DENY_DEFAULT are left out.
 * 0 or -ENOMEM.
 */
int plan_class_make(const struct policy_class *c, const struct plan_dirs *dirs, uint8_t bank,
		    struct plan_class *ret);
/* How many rows, ports and ranges that makes. */
struct plan_size {
	size_t rows, ports, ranges;
};
struct plan_size plan_class_size(const struct policy_class *c, const struct plan_dirs *dirs);

/* Brings the lists into that order. */
void plan_class_sort(struct plan_class *p);
void plan_class_done(struct plan_class *p);
DEFINE_CLEANUP_DONE(struct plan_class, plan_class_done)

/* The verdict of the datapath for one of the policy engine. */
uint8_t plan_verdict(uint8_t action);
