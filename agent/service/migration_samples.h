/* SPDX-License-Identifier: Apache-2.0 */
/* The last checks of one side of a migration, and a comparison of two sides. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { MIGRATION_SAMPLES = 128 };

struct migration_samples {
	uint32_t latency_us[MIGRATION_SAMPLES];
	bool is_failed[MIGRATION_SAMPLES];
	size_t n, next; /* a ring: old failures lose their weight */
	uint64_t checks, errors; /* all of them */
	char text[160]; /* of the last failure */
};

/* Copies what fits; other bytes than printable ASCII become '?', so that it can stand in any document. */
void migration_text(char *to, size_t size, const char *text);

/* `text`: what went wrong, NULL = nothing did. */
void migration_sample(struct migration_samples *s, uint64_t latency_us, const char *text);

struct migration_sample_view {
	size_t checks, errors;	     /* of the ring */
	uint32_t latency_us;	     /* median of those that did not fail; 0 if there is none */
};
void migration_samples_view(const struct migration_samples *s, struct migration_sample_view *ret);

enum migration_verdict {
	MIGRATION_GOOD,
	MIGRATION_UNSURE, /* too few checks, or the other side is no better: nothing should change now */
	MIGRATION_BAD,
};

/*
 * Judges the side that receives traffic: bad with two errors and more if they are over the limit and the other side
 * has fewer, or if, of ten checks and more, its median latency is more than `factor` times the other's, of which less
 * than 10 ms counts as 10 ms.
 * The text says why, unless it is good.
 */
enum migration_verdict migration_judge(const struct migration_samples *to, const struct migration_samples *from,
				       uint32_t max_errors_pm, uint32_t factor, struct err *ret_text);
