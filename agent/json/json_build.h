/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds one document from what json_scan.h tells. What a document cannot hold is U+FFFD there. One that would take more than
 * LIMIT_DOCUMENT_BYTES is cut down to its name: of its metadata name, namespace, uid, resourceVersion and generation stay,
 * and in place of its other members is U+FFFD, so that no reader takes it for a whole one. metadata.managedFields, which
 * nobody reads and which is often the longest part, is left out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "json/doc_write.h"
#include "json/json_scan.h"

enum { JSON_BUILD_NAMES = 5 };

struct json_build {
	struct doc_writer doc;
	unsigned depth;
	bool is_meta_key; /* the last key of the document itself was "metadata" */
	bool is_in_meta;  /* its value is an object, and is not complete */
	/* of a document that was cut: what stays of its metadata, where the next value belongs there, keys of its other members */
	bool is_cut;
	struct doc *names[JSON_BUILD_NAMES];
	int name; /* -1 = nowhere */
	struct strv marks;
};

/* Empty, for the next document. One that is zeroed is empty. */
void json_build_clear(struct json_build *b);
void json_build_done(struct json_build *b);

/* The document, borrowed; NULL = there is none. */
const struct doc *json_build_doc(const struct json_build *b);

/* As the callbacks of json_scan.h: 0, JSON_SCAN_SKIP or -ENOMEM. The first value is an object. */
int json_build_scalar(struct json_build *b, enum json_kind kind, const char *text, size_t len);
int json_build_key(struct json_build *b, const char *text, size_t len);
int json_build_begin(struct json_build *b, bool is_array);
int json_build_deep(struct json_build *b);
int json_build_end(struct json_build *b);
