/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds one document, as jansson has it, from what json_scan.h tells; used by json_stream.c only. What a document cannot hold
 * is U+FFFD there. One that would take more than LIMIT_DOCUMENT_BYTES is cut down to its name: of its metadata name,
 * namespace, uid, resourceVersion and generation stay, and in place of its other members is U+FFFD, so that no reader
 * takes it for a whole one. metadata.managedFields, which nobody reads and which is often the longest part, is left out.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"
#include "json/json_scan.h"

struct json_build_level {
	json_t *doc;  /* being filled, owned by its parent; NULL = it was cut away */
	bool is_meta; /* it is the metadata of the document */
};

struct json_build {
	json_t *root; /* owned */
	char *key;    /* of the next value */
	struct json_build_level levels[LIMIT_JSON_DEPTH];
	unsigned depth;
	size_t bytes; /* about what it takes */
	bool is_cut;
};

/* Empty, for the next document. One that is zeroed is empty. */
void json_build_clear(struct json_build *b);

/* As the callbacks of json_scan.h: 0, JSON_SCAN_SKIP or -ENOMEM. The first value is an object. */
int json_build_scalar(struct json_build *b, enum json_kind kind, const char *text, size_t len);
int json_build_key(struct json_build *b, const char *text, size_t len);
int json_build_begin(struct json_build *b, bool is_array);
int json_build_deep(struct json_build *b);
void json_build_end(struct json_build *b);
