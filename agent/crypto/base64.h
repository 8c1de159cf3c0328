/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648: base64 (section 4, padded) and base64url (section 5, without padding). */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* Adds the encoded form of `data` to `ret`. 0, or as buf_add(). */
int base64url_encode(const void *data, size_t len, struct buf *ret);
int base64_encode(const void *data, size_t len, struct buf *ret);

/*
 * Adds the decoded bytes to `ret`. Strict: no other characters, no padding where none belongs, no
 * stray bits in the last character. -EINVAL, or as buf_add().
 */
int base64url_decode(const char *text, size_t len, struct buf *ret);
/* The same for the padded form; line breaks and spaces between characters are skipped. */
int base64_decode(const char *text, size_t len, struct buf *ret);
