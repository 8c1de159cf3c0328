/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short ways to memory and JSON for the in-tree API server. It is a program for tests: when memory
 * runs out it ends, so these never return NULL.
 */
#pragma once

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/macro.h"

/* For CLEANUP(json). */
static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}

/* Names of their own for the linker: a test may link the agent's functions of these names too. */
#define json_at	  api_json_at
#define json_text api_json_text
#define base64	  api_base64
#define base64url api_base64url
#define base64url_decode api_base64url_decode

/* Ends the program if p is NULL. */
void *must(void *p);
/* Ends the program if r is negative or -1 (jansson). */
void must_ok(int r);
char *must_strdup(const char *s);
char *must_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
char *must_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
/* Appends to a buffer without a practical maximum. */
void must_add(struct buf *b, const void *data, size_t len);
void must_add_str(struct buf *b, const char *s);

/* The value at a path of keys ended by NULL, borrowed; NULL if any step is missing. */
json_t *json_at(const json_t *o, ...) __attribute__((sentinel));
/* The string at a path of keys, borrowed; "" if it is missing or no string. */
const char *text_at(const json_t *o, ...) __attribute__((sentinel));
/* Sets o[key], taking `value`. */
void json_put(json_t *o, const char *key, json_t *value);
void json_put_text(json_t *o, const char *key, const char *value);
/* The object at o[key], made if it is missing or something else. Borrowed. */
json_t *json_sub(json_t *o, const char *key);
/* True if an array holds the string. */
bool json_has_text(const json_t *array, const char *text);
/* Compact text, owned by the caller. */
char *json_text(const json_t *j);
/* A shallow copy without object members named `a` or `b` (either may be NULL). */
json_t *json_without(const json_t *o, const char *a, const char *b);
/* Base64 with padding, and the URL form without; owned by the caller. */
char *base64(const void *data, size_t len);
char *base64url(const void *data, size_t len);
/* Strict decoding of the URL form. NULL if the text is malformed; NUL-terminated for convenience.
 */
unsigned char *base64url_decode(const char *text, size_t len, size_t *ret_len);
