/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json_build.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"

#define UNFIT "\xef\xbf\xbd" /* U+FFFD */

enum { MARKS_MAX = 64 /* members of a document that was cut */ };

static const char metadata[] = "metadata";

/* What says which object it is, and in which state. */
static const char *const names[JSON_BUILD_NAMES] = {"name", "namespace", "uid", "resourceVersion", "generation"};

static bool equals(const char *text, size_t len, const char *other)
{
	return strlen(other) == len && memcmp(text, other, len) == 0;
}

/* -1 if it is none. */
static int name_of(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (equals(text, len, names[i]))
			return (int)i;
	return -1;
}

/* Of a document that was cut. */
static void forget(struct json_build *b)
{
	for (size_t i = 0; i < ARRAY_LEN(b->names); i++) {
		doc_free(b->names[i]);
		b->names[i] = NULL;
	}
	strv_done(&b->marks);
	b->is_cut = false;
}

void json_build_clear(struct json_build *b)
{
	if (b->is_cut)
		forget(b);
	doc_write_clear(&b->doc);
	b->depth = 0;
	b->is_meta_key = b->is_in_meta = false;
}

void json_build_done(struct json_build *b)
{
	forget(b);
	doc_write_done(&b->doc);
}

const struct doc *json_build_doc(const struct json_build *b)
{
	return doc_written(&b->doc);
}

/* Texts and numbers */

/* The length of what is ASCII for sure. */
static size_t ascii(const unsigned char *p, size_t len)
{
	static const uint64_t high_bits = UINT64_MAX / 255 << 7;
	size_t i = 0;
	uint64_t w;

	for (; len - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, p + i, sizeof(w));
		if (w & high_bits)
			break;
	}
	return i;
}

/* As RFC 3629 has it: no surrogates, nothing longer than needed. */
static bool is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = ascii(p, len); i < len;) {
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

/* Stands for what a document cannot hold: its object does not count then, or not there, and the others are as they are. */
static int write_unfit(struct doc_writer *w)
{
	return doc_write_string(w, UNFIT, strlen(UNFIT));
}

/* A string or a key, by `write`. */
static int write_text(struct doc_writer *w, int (*write)(struct doc_writer *w, const char *text, size_t len), const char *text,
		      size_t len)
{
	CLEANUP(free) char *copy = NULL;

	if (!is_utf8(text, len))
		return write(w, UNFIT, strlen(UNFIT));
	if (!memchr(text, 0, len))
		return write(w, text, len);
	copy = copy_text(text, len, &len);
	return copy ? write(w, copy, len) : -ENOMEM;
}

static int write_scalar(struct doc_writer *w, enum json_kind kind, const char *text, size_t len)
{
	int r = -EINVAL;

	switch (kind) {
	case JSON_KIND_STRING:
		return write_text(w, doc_write_string, text, len);
	case JSON_KIND_NUMBER:
		r = doc_write_number(w, text, len);
		return r == -ERANGE ? write_unfit(w) : r;
	case JSON_KIND_TRUE:
	case JSON_KIND_FALSE:
		return doc_write_bool(w, kind == JSON_KIND_TRUE);
	case JSON_KIND_NULL:
		return doc_write_null(w);
	}
	return r;
}

/* Documents that are too large */

/* That there was such a member. A reader that needs it finds that it is none of its kind. */
static int mark(struct json_build *b, const char *key, size_t len)
{
	CLEANUP(doc_write_done) struct doc_writer w = {0};
	const char *fit;
	int r;

	if (b->marks.n >= MARKS_MAX || len > LIMIT_NAME || equals(key, len, metadata))
		return 0;
	r = write_text(&w, doc_write_string, key, len);
	if (r < 0)
		return r;
	fit = doc_str(doc_written(&w));
	return strv_has(&b->marks, fit) ? 0 : strv_add(&b->marks, fit);
}

/* Of equal names the last counts. */
static int keep_name(struct json_build *b, int name, const struct doc *v)
{
	CLEANUP(doc_free) struct doc *copy = NULL;

	if (doc_is_object(v) || doc_is_array(v) || doc_len(v) > LIMIT_NAME)
		return 0;
	copy = doc_copy(v);
	if (!copy)
		return -ENOMEM;
	doc_free(b->names[name]);
	b->names[name] = TAKE_PTR(copy);
	return 0;
}

static int keep_names(struct json_build *b, const struct doc *meta)
{
	int r = 0;

	for (struct doc_iter i = doc_members(meta); r == 0 && i.v; doc_next(&i)) {
		int name = name_of(i.key, strlen(i.key));

		if (name >= 0)
			r = keep_name(b, name, i.v);
	}
	return r;
}

static int cut(struct json_build *b)
{
	const char *key = doc_write_pending(&b->doc);
	int r = key && b->depth == 1 ? mark(b, key, strlen(key)) : 0;

	b->name = key && b->is_in_meta && b->depth == 2 ? name_of(key, strlen(key)) : -1;
	b->is_cut = true;
	doc_write_close(&b->doc); /* equal keys are still there */
	for (struct doc_iter i = doc_members(doc_written(&b->doc)); r == 0 && i.v; doc_next(&i))
		r = str_eq(i.key, metadata) ? keep_names(b, i.v) : mark(b, i.key, strlen(i.key));
	doc_write_clear(&b->doc);
	return r;
}

static int cut_key(struct json_build *b, const char *text, size_t len)
{
	int r;

	if (b->depth == 1) {
		r = mark(b, text, len);
		return r < 0 || b->is_meta_key ? r : JSON_SCAN_SKIP;
	}
	b->name = b->is_in_meta && b->depth == 2 ? name_of(text, len) : -1;
	return b->name >= 0 ? 0 : JSON_SCAN_SKIP;
}

static int cut_begin(struct json_build *b, bool is_array)
{
	if (b->depth != 1 || !b->is_meta_key || is_array)
		return JSON_SCAN_SKIP;
	b->is_in_meta = true;
	b->depth++;
	return 0;
}

static int cut_scalar(struct json_build *b, enum json_kind kind, const char *text, size_t len)
{
	CLEANUP(doc_write_done) struct doc_writer w = {0};
	int r;

	if (!b->is_in_meta || b->depth != 2 || b->name < 0 || len > LIMIT_NAME)
		return 0;
	r = write_scalar(&w, kind, text, len);
	return r < 0 ? r : keep_name(b, b->name, doc_written(&w));
}

static int write_marks(struct doc_writer *w, const char *const *keys, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = doc_write_key(w, keys[i], strlen(keys[i]));
		if (r == 0)
			r = write_unfit(w);
	}
	return r;
}

static int write_names(const struct json_build *b, struct doc_writer *w)
{
	int r = doc_write_key(w, metadata, strlen(metadata));

	if (r == 0)
		r = doc_write_begin(w, false);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(names); i++) {
		if (!b->names[i])
			continue;
		r = doc_write_key(w, names[i], strlen(names[i]));
		if (r == 0)
			r = doc_write_copy(w, b->names[i]);
	}
	return r < 0 ? r : doc_write_end(w);
}

static int cut_end(struct json_build *b)
{
	/* what readers look for, and take for empty if it is not there */
	static const char *const needed[] = {"spec", "specs", "status", "data"};
	int r = doc_write_begin(&b->doc, false);

	if (r == 0)
		r = write_names(b, &b->doc);
	if (r == 0)
		r = write_marks(&b->doc, (const char *const *)b->marks.v, b->marks.n);
	if (r == 0 && b->marks.n >= MARKS_MAX)
		r = write_marks(&b->doc, needed, ARRAY_LEN(needed));
	return r < 0 ? r : doc_write_end(&b->doc);
}

/* Values */

int json_build_scalar(struct json_build *b, enum json_kind kind, const char *text, size_t len)
{
	int r = b->is_cut ? 0 : write_scalar(&b->doc, kind, text, len);

	if (r == -E2BIG)
		r = cut(b);
	return r == 0 && b->is_cut ? cut_scalar(b, kind, text, len) : r;
}

int json_build_key(struct json_build *b, const char *text, size_t len)
{
	int r = 0;

	if (b->depth == 1)
		b->is_meta_key = equals(text, len, metadata);
	if (!b->is_cut && b->is_in_meta && b->depth == 2 && equals(text, len, "managedFields"))
		return JSON_SCAN_SKIP;
	if (!b->is_cut)
		r = write_text(&b->doc, doc_write_key, text, len);
	if (r == -E2BIG)
		r = cut(b);
	return r == 0 && b->is_cut ? cut_key(b, text, len) : r;
}

int json_build_begin(struct json_build *b, bool is_array)
{
	int r = 0;

	if (!b->is_cut) {
		b->doc.max_bytes = LIMIT_DOCUMENT_BYTES;
		r = doc_write_begin(&b->doc, is_array);
	}
	if (r == -E2BIG)
		r = cut(b);
	if (r < 0 || b->is_cut)
		return r < 0 ? r : cut_begin(b, is_array);
	b->is_in_meta |= b->depth == 1 && b->is_meta_key && !is_array;
	b->depth++;
	return 0;
}

int json_build_deep(struct json_build *b)
{
	return json_build_scalar(b, JSON_KIND_STRING, UNFIT, strlen(UNFIT));
}

int json_build_end(struct json_build *b)
{
	b->depth--;
	if (b->depth == 1)
		b->is_in_meta = false;
	if (!b->is_cut)
		return doc_write_end(&b->doc);
	return b->depth == 0 ? cut_end(b) : 0;
}

/* Whole texts */

static int on_scalar(enum json_kind kind, const char *text, size_t len, void *arg)
{
	struct doc_writer *w = arg;

	return w->open.n ? write_scalar(w, kind, text, len) : -EBADMSG;
}

static int on_key(const char *text, size_t len, void *arg)
{
	return write_text(arg, doc_write_key, text, len);
}

static int on_begin(bool is_array, void *arg)
{
	struct doc_writer *w = arg;

	return w->n && !w->open.n ? -EBADMSG : doc_write_begin(w, is_array);
}

static int on_end(void *arg)
{
	return doc_write_end(arg);
}

struct doc *doc_parse(const char *text, size_t len)
{
	static const struct json_scan_ops ops = {.on_scalar = on_scalar, .on_key = on_key, .on_begin = on_begin, .on_end = on_end};
	CLEANUP(doc_write_done) struct doc_writer w = {0};
	CLEANUP(json_scan_free) struct json_scan *s = NULL;

	if (json_scan_new(&ops, &w, &s) < 0 || json_scan_feed(s, text, len) < 0 || json_scan_end(s) < 0)
		return NULL;
	return doc_write_take(&w);
}
