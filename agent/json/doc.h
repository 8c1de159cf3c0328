/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON document in one piece of memory, to be read only: each value stands where it stood in the text, in about as many
 * bytes, and what is in a container follows it. So a document of another party takes at most 8/3 of its text (of `"",`),
 * costs no allocation for each value, and goes at once; a tree of jansson takes twenty to eighty times as much.
 * Integers that do not fit into 28 bits, and reals, are kept as written. Of equal keys the last counts.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/*
 * A value, in the document that it is a part of and lasts as long as. All readers take NULL, and a value of another type,
 * for one that is empty.
 */
struct doc;

enum { DOC_DEPTH_MAX = 1024 };

bool doc_is_null(const struct doc *v);
bool doc_is_true(const struct doc *v);
bool doc_is_boolean(const struct doc *v);
bool doc_is_integer(const struct doc *v); /* of 64 bits */
bool doc_is_string(const struct doc *v);
bool doc_is_array(const struct doc *v);
bool doc_is_object(const struct doc *v);

/* NULL if it is no string. NUL-terminated; whether NUL is also in it is for who made the document to say. */
const char *doc_str(const struct doc *v);
/* Bytes of a string. */
size_t doc_len(const struct doc *v);
int64_t doc_int(const struct doc *v);

/* Elements of an array, members of an object: by a walk through them. */
size_t doc_array_size(const struct doc *v);
size_t doc_object_size(const struct doc *v);

/* An object without members. */
const struct doc *doc_empty(void);

/* The member of an object, NULL if there is none; doc_get() also if it is null. */
const struct doc *doc_get_any(const struct doc *object, const char *key);
const struct doc *doc_get(const struct doc *object, const char *key);

/* The value at a dotted path ("metadata.name"); NULL if a step is missing or no object. */
const struct doc *doc_at(const struct doc *root, const char *path);
/* The string or integer there; the default if it is missing or of another type. */
const char *doc_str_at(const struct doc *root, const char *path, const char *otherwise);
int64_t doc_int_at(const struct doc *root, const char *path, int64_t otherwise);

/* A place in a container: for (struct doc_iter i = doc_elements(list); i.v; doc_next(&i)). */
struct doc_iter {
	const struct doc *v; /* NULL at the end */
	const char *key;     /* of a member */
	size_t n;	     /* how many came before */
	const struct doc *in;
};
struct doc_iter doc_elements(const struct doc *array);
struct doc_iter doc_members(const struct doc *object);
void doc_next(struct doc_iter *i);

/* Equal for values that lie in memory as the same, by the hash of this run of the program; 0 for NULL. */
uint64_t doc_hash(const struct doc *v);

/* A document of its own out of a value of another one, or of a tree; NULL when out of memory, and for NULL. */
struct doc *doc_copy(const struct doc *v);
struct doc *doc_from_json(const json_t *v); /* also NULL if it is nested deeper than DOC_DEPTH_MAX */

/* The object or array that a text is, in which what does not fit is as in json_stream.h; NULL if it is none, or when out of memory. */
struct doc *doc_parse(const char *text, size_t len);

/* Compact text, owned by the caller, with sorted keys, byte for byte as json_text(); NULL when out of memory, and for NULL. */
char *doc_text(const struct doc *v);

/* The same behind other text, with more of it behind; empty when zeroed. 0 or -ENOMEM. doc_text_take() is NUL-terminated, NULL if nothing was added. */
struct doc_text {
	char *v;
	size_t n, cap;
};
int doc_text_add(struct doc_text *t, const struct doc *v);
int doc_text_add_raw(struct doc_text *t, const char *text);
char *doc_text_take(struct doc_text *t);
static inline void doc_text_done(struct doc_text *t)
{
	free(t->v);
}
DEFINE_CLEANUP_DONE(struct doc_text, doc_text_done)

static inline void doc_free(struct doc *d)
{
	free(d);
}
DEFINE_CLEANUP(struct doc *, doc_free)
