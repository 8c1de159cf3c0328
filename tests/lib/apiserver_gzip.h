/* SPDX-License-Identifier: Apache-2.0 */
/* Gzip without compression (RFC 1951, 3.2.4; RFC 1952): it is about the form, not the size. */
#pragma once

#include "base/buf.h"

/* Replaces lines of text, each with its newline, by a gzip member for each: one stream, and valid (RFC 1952, 2.2). */
void gzip_each_line(struct buf *b);
