/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/*
 * A random set of policies about the subject of the differential test, in the form of
 * tests/data/policy-cases.yaml. The same seed and number give the same set.
 */
json_t *diff_random_set(uint64_t seed, unsigned number);
