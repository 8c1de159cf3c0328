/* SPDX-License-Identifier: Apache-2.0 */
/* Map from non-zero 32-bit numbers to 64-bit values: 16 bytes a slot, for tables of 100,000s. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct u32map {
	struct u32map_slot {
		uint32_t key; /* 0 = empty */
		uint64_t value;
	} *v;
	size_t n, cap;
};

/* Adds or replaces. `key` is not 0. 0 or -ENOMEM. */
int u32map_put(struct u32map *m, uint32_t key, uint64_t value);
bool u32map_get(const struct u32map *m, uint32_t key, uint64_t *ret_value);
void u32map_del(struct u32map *m, uint32_t key);
void u32map_done(struct u32map *m);

DEFINE_CLEANUP_DONE(struct u32map, u32map_done)
