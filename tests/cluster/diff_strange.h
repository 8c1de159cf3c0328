/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Gives a random set the options of a cluster, an own port or two, and the labels of the host; with `has_strange`
 * it also puts values in its policies that nobody should write. The same seed and number do the same.
 */
void diff_strange(json_t *set, uint64_t seed, unsigned number, bool has_strange);
