/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte for byte what jansson writes with sorted keys: files and checksums of earlier runs hold it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "json/doc.h"
#include "json/doc_private.h"
#include "json/json.h"
#include "json/json_plain.h"

enum {
	NUMBER_MAX = 32,
	ROOM = 256,
};

struct member {
	const char *key;
	const struct doc *value;
};

static int grow(struct doc_text *t, size_t extra)
{
	size_t want, cap;
	char *v;

	if (__builtin_add_overflow(t->n, extra, &want) || want > SIZE_MAX / 2)
		return -ENOMEM;
	cap = MAX(want, 2 * t->cap);
	v = realloc(t->v, cap);
	if (!v)
		return -ENOMEM;
	t->v = v;
	t->cap = cap;
	return 0;
}

/* Its look at the room is compiled in: most of what is written is a few bytes long. */
static inline int add(struct doc_text *t, const char *p, size_t len)
{
	if (!len)
		return 0; /* there may be no room at all yet */
	if (t->cap - t->n < len && grow(t, MAX(len, (size_t)ROOM)) < 0)
		return -ENOMEM;
	memcpy(t->v + t->n, p, len);
	t->n += len;
	return 0;
}

static inline int add_char(struct doc_text *t, char c)
{
	return add(t, &c, 1);
}

/* The escape of a character that needs one. */
static int add_escape(struct doc_text *t, unsigned char c)
{
	static const char letters[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
	const char *known = c ? strchr(meant, c) : NULL;
	char escape[8] = {'\\', known ? letters[known - meant] : 'u'};

	if (!known)
		(void)snprintf(escape + 2, sizeof(escape) - 2, "%04X", c); /* it fits */
	return add(t, escape, strlen(escape));
}

static int add_string(struct doc_text *t, const char *text, size_t len)
{
	const char *end = text + len;
	int r = add_char(t, '"');

	while (r == 0 && text < end) {
		const char *p = json_plain_end(text, end);

		r = add(t, text, (size_t)(p - text));
		text = p;
		if (r == 0 && text < end)
			r = add_escape(t, (unsigned char)*text++);
	}
	return r < 0 ? r : add_char(t, '"');
}

/* As jansson has it, not as written. */
static int add_real(struct doc_text *t, const struct doc *v)
{
	CLEANUP(json_decref) json_t *real = json_real(strtod(doc_chars(v), NULL));
	CLEANUP(free) char *text = real ? json_dumps(real, JSON_ENCODE_ANY) : NULL;

	return text ? add(t, text, strlen(text)) : -ENOMEM;
}

static int add_integer(struct doc_text *t, int64_t i)
{
	char number[NUMBER_MAX];
	int n = snprintf(number, sizeof(number), "%" PRId64, i);

	return add(t, number, (size_t)n); /* it fits */
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static int add_value(struct doc_text *t, const struct doc *v);

static int add_array(struct doc_text *t, const struct doc *array)
{
	int r = add_char(t, '[');

	for (struct doc_iter i = doc_elements(array); r == 0 && i.v; doc_next(&i)) {
		r = i.n ? add_char(t, ',') : 0;
		if (r == 0)
			r = add_value(t, i.v);
	}
	return r < 0 ? r : add_char(t, ']');
}

static int add_members(struct doc_text *t, const struct member *m, size_t n)
{
	int r = add_char(t, '{');

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = i ? add_char(t, ',') : 0;
		if (r == 0)
			r = add_string(t, m[i].key, strlen(m[i].key));
		if (r == 0)
			r = add_char(t, ':');
		if (r == 0)
			r = add_value(t, m[i].value);
	}
	return r < 0 ? r : add_char(t, '}');
}

/* Those of the API server are sorted mostly. */
static int add_object(struct doc_text *t, const struct doc *object)
{
	ARRAY(struct member) members = {0};
	struct member few[8], *m = few;
	bool is_sorted = true;
	size_t n = 0;
	int r = 0;

	if (doc_object_size(object) > ARRAY_LEN(few)) {
		r = ARRAY_RESERVE(&members, doc_object_size(object));
		if (r < 0)
			return r;
		m = members.v;
	}
	for (struct doc_iter i = doc_members(object); i.v; doc_next(&i)) {
		m[n] = (struct member){i.key, i.v};
		is_sorted = is_sorted && (n == 0 || strcmp(m[n - 1].key, m[n].key) < 0);
		n++;
	}
	if (!is_sorted)
		qsort(m, n, sizeof(*m), compare);
	r = add_members(t, m, n);
	ARRAY_DONE(&members);
	return r;
}

static int add_value(struct doc_text *t, const struct doc *v)
{
	switch (doc_tag(v)) {
	case DOC_OBJECT:
		return add_object(t, v);
	case DOC_ARRAY:
		return add_array(t, v);
	case DOC_STRING:
		return add_string(t, doc_str(v), doc_len(v));
	case DOC_SMALL:
	case DOC_INTEGER:
		return add_integer(t, doc_int(v));
	case DOC_REAL:
		return add_real(t, v);
	case DOC_TRUE:
		return add(t, "true", 4);
	case DOC_FALSE:
		return add(t, "false", 5);
	case DOC_NULL:
		return add(t, "null", 4);
	case DOC_GONE:
		break;
	}
	return -EINVAL;
}

int doc_text_add(struct doc_text *t, const struct doc *v)
{
	return add_value(t, v);
}

int doc_text_add_raw(struct doc_text *t, const char *text)
{
	return add(t, text, strlen(text));
}

char *doc_text_take(struct doc_text *t)
{
	char *exact = t->n && add_char(t, '\0') == 0 ? realloc(t->v, t->n) : NULL; /* some are kept for long */

	if (!exact && t->n && t->v[t->n - 1] == '\0')
		exact = t->v;
	if (!exact)
		free(t->v);
	*t = (struct doc_text){0};
	return exact;
}

char *doc_text(const struct doc *v)
{
	CLEANUP(doc_text_done) struct doc_text t = {0};

	return v && doc_text_add(&t, v) == 0 ? doc_text_take(&t) : NULL;
}

char *json_text(const json_t *v)
{
	CLEANUP(doc_free) struct doc *d = doc_from_json(v);

	return doc_text(d);
}
