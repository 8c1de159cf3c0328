/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An incremental JSON scanner (RFC 8259): text in pieces of any size, a call for each value. Parts that nobody wants are
 * passed over with a look at their form only. Texts are as sent: whether they are UTF-8 is for who keeps them to check.
 * Of its own because decoding decides what a host pays for a large cluster: for a CiliumEndpoint it takes half of the
 * instructions of yajl, whose place it took.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

enum json_kind { JSON_KIND_STRING, JSON_KIND_NUMBER, JSON_KIND_TRUE, JSON_KIND_FALSE, JSON_KIND_NULL };

/* What a callback may return besides 0: leave out what comes next. */
enum { JSON_SCAN_SKIP = 1 };

/* A negative return ends the scan with it. Texts are not NUL-terminated and last for the call. */
struct json_scan_ops {
	/*
	 * A string without its escapes (half a surrogate pair is U+FFFD, \u0000 is NUL), else the word or number as written. One
	 * longer than LIMIT_TEXT_BYTES is one byte that is not UTF-8, if it did not come in one piece; so are such keys.
	 */
	int (*on_scalar)(enum json_kind kind, const char *text, size_t len, void *arg);
	/* JSON_SCAN_SKIP: no call for the value of this key, whatever it is. */
	int (*on_key)(const char *text, size_t len, void *arg);
	/* JSON_SCAN_SKIP: no call for what is inside, nor for the end. */
	int (*on_begin)(bool is_array, void *arg);
	int (*on_end)(void *arg);
	/* What begins now is nested deeper than LIMIT_JSON_DEPTH: 0 = it is left out. NULL = it ends the scan with -E2BIG. */
	int (*on_deep)(void *arg);
};

struct json_scan;

/* `ops` is borrowed. 0 or -ENOMEM. */
int json_scan_new(const struct json_scan_ops *ops, void *arg, struct json_scan **ret);
void json_scan_free(struct json_scan *s);
DEFINE_CLEANUP(struct json_scan *, json_scan_free)

/*
 * Any number of values, one after the other. 0; -EBADMSG if it is not JSON; -E2BIG if it is nested deeper than
 * LIMIT_JSON_DEPTH, outside of what is left out, or a number is longer than LIMIT_TEXT_BYTES; -ENOMEM; what a callback
 * returned. A failure lasts.
 */
int json_scan_feed(struct json_scan *s, const char *data, size_t len);

/* The text is over. -EBADMSG if it ended within a value. */
int json_scan_end(struct json_scan *s);
