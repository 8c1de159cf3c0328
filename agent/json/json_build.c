/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json_build.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "json/json.h"

#define UNFIT "\xef\xbf\xbd" /* U+FFFD */

/* What jansson takes on a machine of 64 bits, with the tables that a value stands in. */
enum { COST_STRING = 80, COST_NUMBER = 32, COST_ARRAY = 128, COST_OBJECT = 224, COST_ELEMENT = 16, COST_MEMBER = 80 };

enum { MARKS_MAX = 64 }; /* members of a document that was cut */

static const char metadata[] = "metadata";

/* What says which object it is, and in which state. */
static const char *const names[] = {"name", "namespace", "uid", "resourceVersion", "generation"};

static bool equals(const char *text, size_t len, const char *other)
{
	return strlen(other) == len && memcmp(text, other, len) == 0;
}

static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (equals(text, len, names[i]))
			return true;
	return false;
}

/* Stands for what a document cannot hold: its object does not count then, or not there, and the others are as they are. */
static json_t *unfit(void)
{
	return json_string(UNFIT);
}

void json_build_clear(struct json_build *b)
{
	json_decref(b->root);
	free(b->key);
	b->root = NULL;
	b->key = NULL;
	b->depth = 0;
	b->bytes = 0;
	b->is_cut = false;
}

/* Texts and numbers */

/* As jansson has it, which does not say whether text or memory was the reason that it took none. */
static bool is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < len;) {
		unsigned more = p[i] < 0x80 ? 0 : p[i] < 0xe0 ? 1 : p[i] < 0xf0 ? 2 : 3;
		uint32_t code = more ? p[i] & (0x3fU >> more) : p[i];

		if ((p[i] >= 0x80 && p[i] < 0xc2) || p[i] > 0xf4 || len - i <= more)
			return false;
		for (unsigned k = 1; k <= more; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i + k] & 0x3f);
		}
		if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) || (more == 3 && (code < 0x10000 || code > 0x10ffff)))
			return false;
		i += more + 1;
	}
	return true;
}

/*
 * Copies text with U+FFFD for each NUL. Custom resources may hold NUL in free text, and the readers of
 * documents use C strings: cut there, a text could equal another one; so it equals nothing valid.
 */
static char *copy_text(const char *text, size_t len, size_t *ret_len)
{
	static const char nul[] = UNFIT;
	size_t n = 0, size = 1, nul_len = sizeof(nul) - 1;
	char *copy;

	if (!memchr(text, 0, len)) {
		*ret_len = len;
		return strndup(text, len);
	}
	for (size_t i = 0; i < len; i++)
		size += text[i] ? 1 : nul_len;
	copy = malloc(size);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (text[i]) {
			copy[n++] = text[i];
		} else {
			memcpy(copy + n, nul, nul_len);
			n += nul_len;
		}
	}
	copy[n] = '\0';
	*ret_len = n;
	return copy;
}

static char *key_text(const char *text, size_t len)
{
	return is_utf8(text, len) ? copy_text(text, len, &len) : strdup(UNFIT);
}

static json_t *number_document(const char *text, size_t len)
{
	char copy[64], *end;
	long long i;
	double real;

	if (len >= sizeof(copy))
		return unfit();
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	i = strtoll(copy, &end, 10);
	if (errno == 0 && *end == '\0')
		return json_integer(i);
	real = strtod(copy, NULL);
	return isfinite(real) ? json_real(real) : unfit();
}

/* NULL: no memory. */
static json_t *scalar_document(enum json_kind kind, const char *text, size_t len)
{
	CLEANUP(free) char *copy = NULL;

	switch (kind) {
	case JSON_KIND_STRING:
		if (!is_utf8(text, len))
			return unfit();
		if (!memchr(text, 0, len))
			return json_stringn_nocheck(text, len);
		copy = copy_text(text, len, &len);
		return copy ? json_stringn_nocheck(copy, len) : NULL;
	case JSON_KIND_NUMBER:
		return number_document(text, len);
	case JSON_KIND_TRUE:
		return json_true();
	case JSON_KIND_FALSE:
		return json_false();
	case JSON_KIND_NULL:
		return json_null();
	}
	return NULL;
}

/* Documents that are too large */

/* Of `from`, which may be no object, what is in `names` and is no container. */
static int copy_names(json_t *to, const json_t *from)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *v = json_object_get(from, names[i]);

		if (v && !json_is_object(v) && !json_is_array(v) && json_object_set(to, names[i], v) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* That there was such a member. A reader that needs it finds that it is none of its kind. */
static int mark(json_t *to, const char *key)
{
	if (json_object_size(to) >= MARKS_MAX)
		return 0;
	return json_object_set_new(to, key, unfit()) < 0 ? -ENOMEM : 0;
}

static int cut(struct json_build *b)
{
	CLEANUP(json_decref) json_t *root = json_object();
	const char *key;
	json_t *v;

	if (!root || json_object_set_new(root, metadata, json_object()) < 0 ||
	    copy_names(json_object_get(root, metadata), json_object_get(b->root, metadata)) < 0)
		return -ENOMEM;
	json_object_foreach (b->root, key, v)
		if (strcmp(key, metadata) != 0 && mark(root, key) < 0)
			return -ENOMEM;
	for (unsigned i = 0; i < b->depth; i++)
		b->levels[i].doc = NULL;
	if (b->depth == 1 && b->key && strcmp(b->key, metadata) != 0 && mark(root, b->key) < 0)
		return -ENOMEM;
	json_decref(b->root);
	b->root = TAKE_PTR(root);
	b->is_cut = true;
	return 0;
}

static bool is_in_meta(const struct json_build *b)
{
	return b->depth == 2 && b->levels[1].is_meta;
}

static int cut_key(struct json_build *b, const char *text, size_t len)
{
	CLEANUP(free) char *copy = NULL;

	if (b->depth == 1 && !equals(text, len, metadata)) {
		int r;

		copy = key_text(text, len);
		r = copy ? mark(b->root, copy) : -ENOMEM;
		return r < 0 ? r : JSON_SCAN_SKIP;
	}
	if (b->depth != 1 && !(is_in_meta(b) && is_name(text, len)))
		return JSON_SCAN_SKIP;
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	free(b->key);
	b->key = TAKE_PTR(copy);
	return 0;
}

static int cut_begin(struct json_build *b, bool is_array)
{
	bool is_meta = b->depth == 1 && b->key && strcmp(b->key, metadata) == 0;

	if (!is_meta || is_array)
		return JSON_SCAN_SKIP;
	b->levels[b->depth++] = (struct json_build_level){.is_meta = true};
	return 0;
}

/* Takes `v`. */
static int cut_scalar(struct json_build *b, json_t *v)
{
	int r = 0;

	if (is_in_meta(b) && b->key && is_name(b->key, strlen(b->key)))
		r = json_object_set(json_object_get(b->root, metadata), b->key, v);
	json_decref(v);
	return r < 0 ? -ENOMEM : 0;
}

/* Values */

/* Notes what the next value takes. False: the document is cut, or there is no memory to do that, which is in `ret_r`. */
static bool has_room(struct json_build *b, size_t bytes, int *ret_r)
{
	b->bytes += bytes + (b->key ? COST_MEMBER + strlen(b->key) : COST_ELEMENT);
	*ret_r = !b->is_cut && b->bytes > LIMIT_DOCUMENT_BYTES ? cut(b) : 0;
	return !b->is_cut && *ret_r == 0;
}

/* Puts a finished or opened value into the document. Takes `v`. */
static int add(struct json_build *b, json_t *v)
{
	json_t *parent = b->depth ? b->levels[b->depth - 1].doc : NULL;
	int r;

	if (!v)
		return -ENOMEM;
	if (!parent) {
		b->root = v;
		return 0;
	}
	if (json_is_array(parent)) {
		r = json_array_append_new(parent, v);
	} else {
		r = json_object_set_new_nocheck(parent, b->key, v); /* which is UTF-8 */
		free(b->key);
		b->key = NULL;
	}
	return r < 0 ? -ENOMEM : 0;
}

int json_build_scalar(struct json_build *b, enum json_kind kind, const char *text, size_t len)
{
	size_t bytes = kind == JSON_KIND_STRING ? COST_STRING + len : kind == JSON_KIND_NUMBER ? COST_NUMBER : 0;
	json_t *v;
	int r;

	if (!has_room(b, bytes, &r)) {
		if (r < 0 || !is_in_meta(b))
			return r;
		v = scalar_document(kind, text, len);
		return v ? cut_scalar(b, v) : -ENOMEM;
	}
	v = scalar_document(kind, text, len);
	return add(b, v);
}

int json_build_key(struct json_build *b, const char *text, size_t len)
{
	if (b->is_cut)
		return cut_key(b, text, len);
	if (is_in_meta(b) && equals(text, len, "managedFields"))
		return JSON_SCAN_SKIP;
	free(b->key);
	b->key = key_text(text, len);
	return b->key ? 0 : -ENOMEM;
}

int json_build_begin(struct json_build *b, bool is_array)
{
	struct json_build_level l = {.is_meta = b->depth == 1 && !is_array && b->key && strcmp(b->key, metadata) == 0};
	int r;

	if (!has_room(b, is_array ? COST_ARRAY : COST_OBJECT, &r))
		return r < 0 ? r : cut_begin(b, is_array);
	l.doc = is_array ? json_array() : json_object();
	r = add(b, l.doc);
	if (r < 0)
		return r;
	b->levels[b->depth++] = l;
	return 0;
}

int json_build_deep(struct json_build *b)
{
	int r;

	return has_room(b, COST_STRING, &r) ? add(b, unfit()) : r;
}

void json_build_end(struct json_build *b)
{
	b->depth--;
}
