/* SPDX-License-Identifier: Apache-2.0 */
/* The assertions that fixtures of unit tests use, for programs that are no criterion suite: these need root. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define cr_assert(cond, ...)                                                                       \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);   \
			(void)fprintf(stderr, "  " __VA_ARGS__);                                   \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)
#define cr_assert_eq(a, b, ...)	 cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), __VA_ARGS__)
#define cr_expect(cond, ...)	 cr_assert(cond, __VA_ARGS__)
#define cr_expect_eq(a, b, ...)	 cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_fail(...)	 cr_assert(!"reached", __VA_ARGS__)
