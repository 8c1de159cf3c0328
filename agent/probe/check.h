/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt of a probe: what can come out of it, and how it is told. */
#pragma once

enum check_outcome {
	CHECK_OK,
	CHECK_FAILED,
	CHECK_STOPPING, /* being stopped on purpose: still works for those that it serves */
	CHECK_STOPPED,	/* was stopped on purpose */
	CHECK_UNKNOWN,	/* could not look: says nothing about the workload */
};

/*
 * Called once for each attempt, unless it is cancelled, and never before the function that started it has
 * returned. `text` says for a person what is wrong, "" if nothing; borrowed. May start the next attempt.
 */
typedef void (*check_fn)(enum check_outcome outcome, const char *text, void *arg);
