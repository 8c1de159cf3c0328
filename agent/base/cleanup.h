/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound ownership: every owning local carries a cleanup attribute. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Calls fn(variable) when the variable leaves its scope. Needs DEFINE_CLEANUP(type, fn). */
#define CLEANUP(fn) __attribute__((cleanup(cleanup_##fn)))

/* Makes fn, a destructor of `type` values that accepts the empty value, usable with CLEANUP. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void cleanup_##fn(type *p)                                                   \
	{                                                                                          \
		fn(*p);                                                                            \
	}

/* Same for an embedded object whose destructor takes its address. */
#define DEFINE_CLEANUP_DONE(type, fn)                                                              \
	static inline void cleanup_##fn(type *p)                                                   \
	{                                                                                          \
		fn(p);                                                                             \
	}

/* Moves ownership out of a variable, which keeps the empty value. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) take_ptr_ = (p);                                                     \
		(p) = NULL;                                                                        \
		take_ptr_;                                                                         \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_fd_ = (fd);                                                               \
		(fd) = -1;                                                                         \
		take_fd_;                                                                          \
	})

static inline void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd); /* nothing can be done about a failing close */
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void close_file(FILE *f)
{
	if (f)
		(void)fclose(f); /* writers call fflush() and check before */
}

DEFINE_CLEANUP(int, close_fd)
DEFINE_CLEANUP(FILE *, close_file)
