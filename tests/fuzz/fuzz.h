/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target has: one entry for libFuzzer and for replay_main.c, and a check that ends the process. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Something that must hold for any input. Stays when assertions are compiled out. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

/* Runs one input, which is borrowed. Always 0; aborts on a defect. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many changed inputs `make check` runs besides the corpus: slow targets say less. */
extern const unsigned replay_runs;
