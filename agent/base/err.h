/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

#include "base/macro.h"

/*
 * What is wrong with an input, for a person. `text` names the thing, the reason and, where one
 * exists, the way out; empty while nothing is wrong. Functions that take one fill it on failure.
 */
struct err {
	char text[512];
};

/* Formats into reterr, which may be NULL, and returns -code, so that callers write `return err_set(...)`. */
int err_set(struct err *reterr, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the text that is there already. Returns r, untouched. */
int err_prefix(struct err *reterr, int r, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The words of errno value `r`, which may be negative; static storage, overwritten by later calls. */
const char *err_name(int r);
