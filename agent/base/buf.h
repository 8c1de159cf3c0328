/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/macro.h"

/*
 * Growable byte buffer with a hard maximum. `data` is always NUL-terminated once something was
 * added, the NUL not counted in `len`. Zero-initialise with .max set (0 = 1 MiB).
 */
struct buf {
	char *data;
	size_t len, cap, max;
};

/* 0; -ENOMEM; -E2BIG past the maximum. On failure the content is as before. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Adds text with everything but RFC 3986 unreserved characters as %XX, for URL queries. */
int buf_add_escaped(struct buf *b, const char *text);

/* Removes the first `n` bytes. */
void buf_consume(struct buf *b, size_t n);

/* Keeps the memory. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

/* Wipes and frees the content; the buffer can be used again. */
void buf_done(struct buf *b);

DEFINE_CLEANUP_DONE(struct buf, buf_done)
