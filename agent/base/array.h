/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed dynamic arrays: ARRAY(struct cidr) cidrs = {0}; then ARRAY_ADD(&cidrs, value).
 * Elements are in a.v[0 .. a.n-1]. ARRAY_DONE frees the storage, not what elements own.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY(type)                                                                                \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n, cap;                                                                     \
	}

/* Makes room for `extra` more. 0 or -ENOMEM. */
#define ARRAY_RESERVE(a, extra)                                                                    \
	array_reserve((void **)&(a)->v, &(a)->cap, (a)->n, (extra), sizeof(*(a)->v))

/* For clang's analyzer, which does not follow the storage through void **. */
#ifdef __clang_analyzer__
#define ARRAY_ASSUME(a)                                                                            \
	do {                                                                                       \
		if (!(a)->v)                                                                       \
			__builtin_unreachable();                                                   \
	} while (0)
#else
#define ARRAY_ASSUME(a) ((void)0)
#endif

/* Appends one element by value. 0 or -ENOMEM. */
#define ARRAY_ADD(a, ...)                                                                          \
	({                                                                                         \
		int array_r_ = ARRAY_RESERVE((a), 1);                                              \
		if (array_r_ == 0) {                                                               \
			ARRAY_ASSUME(a);                                                           \
			(a)->v[(a)->n++] = (__VA_ARGS__);                                          \
		}                                                                                  \
		array_r_;                                                                          \
	})

/* Gives back the room for more elements, where it can. */
#define ARRAY_TRIM(a) array_trim((void **)&(a)->v, &(a)->cap, (a)->n, sizeof(*(a)->v))

#define ARRAY_DONE(a)                                                                              \
	do {                                                                                       \
		free((a)->v);                                                                      \
		(a)->v = NULL;                                                                     \
		(a)->n = (a)->cap = 0;                                                             \
	} while (0)

#define ARRAY_SORT(a, cmp)                                                                         \
	do {                                                                                       \
		if ((a)->n > 1)                                                                    \
			qsort((a)->v, (a)->n, sizeof(*(a)->v), (cmp));                             \
	} while (0)

static inline void array_trim(void **v, size_t *cap, size_t n, size_t size)
{
	void *p = n && n < *cap ? realloc(*v, n * size) : NULL;

	if (!p)
		return;
	*v = p;
	*cap = n;
}

static inline int array_reserve(void **v, size_t *cap, size_t n, size_t extra, size_t size)
{
	size_t want, next, bytes;
	void *p;

	if (__builtin_add_overflow(n, extra, &want))
		return -ENOMEM;
	if (want <= *cap)
		return 0;
	next = *cap ? *cap + *cap / 2 + 1 : 8;
	if (next < want)
		next = want;
	if (__builtin_mul_overflow(next, size, &bytes))
		return -ENOMEM;
	p = realloc(*v, bytes);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = next;
	return 0;
}
