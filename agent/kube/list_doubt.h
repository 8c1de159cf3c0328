/* SPDX-License-Identifier: Apache-2.0 */
/* Whether lists that contradict what is known are to be believed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { VERSION_LEN = 32 };

/* What a list would undo, and how often it was said in a row. */
struct list_doubt {
	unsigned n; /* lists; 0 = no doubt */
	bool has_lost, is_older;
	uint64_t listed, since_us;
	char version[VERSION_LEN];
};

/* True if both are decimal and `a` is smaller. Versions are comparable numbers (KEP-5504). */
bool version_is_older(const char *a, const char *b);

/*
 * One more list, whose `n` and `since_us` say nothing. True once enough of them said the same in a row: two, or, of a
 * guarded kind that is empty all at once, three over four times `confirm_us`. One that says something else is the first.
 */
bool list_doubt_add(struct list_doubt *d, const struct list_doubt *now, bool is_guarded, uint64_t confirm_us);
