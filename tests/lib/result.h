/* SPDX-License-Identifier: Apache-2.0 */
/* What a run found out, for `make report`: one JSON object a line, in a file for each suite. */
#pragma once

#include <jansson.h>

/*
 * Appends `o` with the time and the kernel to $MESH_RESULTS/SUITE.jsonl; does nothing without that variable. Takes `o`.
 * A line that cannot be written is said on stderr and does no harm to the test.
 */
void result_add(const char *suite, json_t *o);
