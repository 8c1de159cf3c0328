/* SPDX-License-Identifier: Apache-2.0 */
/* Strict readers over jansson documents: a missing or mistyped member is never a crash. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(json_t *, json_decref)

/* The value at a dotted path ("metadata.name"); NULL if a step is missing or no object. */
json_t *json_at(const json_t *root, const char *path);

/* The string, integer or truth at a path; the default if it is missing or of another type. */
const char *json_str(const json_t *root, const char *path, const char *otherwise);
json_int_t json_int(const json_t *root, const char *path, json_int_t otherwise);
int json_truth(const json_t *root, const char *path, int otherwise);

/*
 * A copy of all of a value, or (of an object) one whose members are the same ones; NULL when out of memory, and for NULL.
 * Those of jansson can lack what there was no memory for: json_copy in every version, json_deep_copy before 2.14.
 */
json_t *json_clone(const json_t *v);
json_t *json_clone_top(const json_t *object);

/*
 * Whether jansson lacked memory in between, so that what was built may lack something: json_watch_end() says so. They nest,
 * each end after what began later.
 */
struct json_watch {
	json_malloc_t allocate;
	json_free_t release;
	bool had_failed;
};
void json_watch_begin(struct json_watch *w);
bool json_watch_end(struct json_watch *w);
/* The same of memory that is not jansson's. */
void json_watch_fail(void);

/*
 * Parses a whole text. NULL with errno EBADMSG if it is not one JSON value, repeats a key or is deeper than LIMIT_JSON_DEPTH;
 * with ENOMEM for lack of memory.
 */
json_t *json_parse(const char *text, size_t len);
/* The same of a text with no more than `max` values, keys counted, as its tree takes up to fifty times its length: else errno is E2BIG. */
json_t *json_parse_small(const char *text, size_t len, size_t max);

/* Compact text, owned by the caller, with sorted keys; NULL when out of memory, or for NULL. `v` has no loops. */
char *json_text(const json_t *v);
