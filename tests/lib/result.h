/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a test is run: a little by default, a full figure of tests/report/faults.json on demand; and what a run found
 * out, for `make report`: one JSON object a line, in a file for each suite.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* The number in the environment under that name, such as MESH_TEST_ROUNDS; the fallback if there is none. */
uint64_t result_amount(const char *name, uint64_t fallback);

/*
 * Appends `o` with the time and the kernel to $MESH_RESULTS/SUITE.jsonl; does nothing without that variable. Takes `o`.
 * A line that cannot be written is said on stderr and does no harm to the test.
 */
void result_add(const char *suite, json_t *o);
