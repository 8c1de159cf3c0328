/* SPDX-License-Identifier: Apache-2.0 */
/* Long texts at a terminal: broken between words. What goes to a pipe or a file stays a line. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"

/* Columns of the terminal that `out` is; 0 if it is none or they are not known. */
size_t out_columns(FILE *out);

/* Columns that the widest line of `text` takes, by the locale. */
size_t out_width(const char *text);

/*
 * Appends `text` with lines of at most `width` columns, those after the first behind `indent` spaces. A longer word has
 * a line of its own. `width` 0 appends it as it is. 0 or -errno of buf_add().
 */
int out_wrap(struct buf *to, const char *text, size_t width, size_t indent);
