/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lack of memory at every place: what a scenario allocates is counted once, then it is run with each single allocation failing,
 * and with all from there on, in this very process. Linked with --wrap, so that it is ours and jansson's, not that of other
 * libraries: tests/lib/nomem.c is for those.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct nomem {
	const char *name;
	/* What was there before, with memory. `arg` is the scenario's. */
	void *(*begin)(const void *arg);
	/* What is tried: 0 or more, or -errno. Called again after it failed. */
	int (*run)(void *state);
	/*
	 * Writes what is there, in an order and by names that do not depend on how it came about. After a run that says it
	 * succeeded, and after a second try, it must be as without any failure. May be NULL.
	 */
	void (*dump)(void *state, FILE *out);
	/* May be called after a run that failed. NULL: `free`. */
	void (*end)(void *state);
	const void *arg;
	bool is_atomic; /* after a failure the dump is as before */
	bool has_no_order; /* the lines of a dump may come in any */
	/* The header lets a run go without something, and say it succeeded: a second run has it all. */
	bool may_lack;
	/* An error for which memory is a reason, beside -ENOMEM; 0 = none. */
	int error;
	unsigned places; /* beside new ways, in place of the usual number; 0 = that */
};

/*
 * Fails the test, with what went wrong, for a scenario that does not hold. At most $MESH_TEST_PLACES allocations are made to fail,
 * of those that come by a way on which none has failed before all; 0 = all of them.
 */
void nomem_try(const struct nomem *n);

/* For what a scenario does in between that is to have memory. They nest. */
void nomem_pause(void);
void nomem_resume(void);

/* A directory of its own, with all that comes to be in it; and what is in it now, for a dump. */
enum { NOMEM_DIR_MAX = 32 };
void nomem_dir_make(char dir[NOMEM_DIR_MAX]);
void nomem_dir_remove(const char *dir);
void nomem_dir_dump(const char *dir, FILE *out);

/* Fails the test. What `begin` needs is there. */
void nomem_need(bool is_there, const char *what);
#define NOMEM_NEED(x) nomem_need((x), #x)
