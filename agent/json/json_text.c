/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte for byte what jansson writes with sorted keys: files and checksums of earlier runs hold it. Of its own as jansson
 * remembers the address of each container, as text, to find loops, which documents of ours cannot have: for a large
 * policy that is half of what it costs to take it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/macro.h"
#include "json/json.h"

enum {
	DEPTH_MAX = 1024, /* far more than json_parse() and json_stream.h let in, or anybody builds */
	NUMBER_MAX = 32,
	ROOM = 256,
};

struct member {
	const char *key;
	const json_t *value;
};

/* A buffer whose look at its room is compiled in: most of what is written is a few bytes long. */
struct text {
	char *v;
	size_t n, cap;
};

static int grow(struct text *t, size_t extra)
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

static inline int add(struct text *t, const char *p, size_t len)
{
	if (t->cap - t->n < len && grow(t, MAX(len, (size_t)ROOM)) < 0)
		return -ENOMEM;
	memcpy(t->v + t->n, p, len);
	t->n += len;
	return 0;
}

static inline int add_char(struct text *t, char c)
{
	return add(t, &c, 1);
}

/* The escape of a character that needs one. */
static int add_escape(struct text *t, unsigned char c)
{
	static const char letters[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
	const char *known = c ? strchr(meant, c) : NULL;
	char escape[8] = {'\\', known ? letters[known - meant] : 'u'};

	if (!known)
		(void)snprintf(escape + 2, sizeof(escape) - 2, "%04X", c); /* it fits */
	return add(t, escape, strlen(escape));
}

static int add_string(struct text *t, const char *text, size_t len)
{
	const char *end = text + len;
	int r = add_char(t, '"');

	while (r == 0 && text < end) {
		const char *p = text;

		while (p < end && (unsigned char)*p >= ' ' && *p != '"' && *p != '\\')
			p++;
		r = add(t, text, (size_t)(p - text));
		text = p;
		if (r == 0 && text < end)
			r = add_escape(t, (unsigned char)*text++);
	}
	return r < 0 ? r : add_char(t, '"');
}

static int add_real(struct text *t, const json_t *v)
{
	CLEANUP(free) char *real = json_dumps(v, JSON_ENCODE_ANY);

	return real ? add(t, real, strlen(real)) : -ENOMEM;
}

static int add_integer(struct text *t, json_int_t i)
{
	char number[NUMBER_MAX];
	int n = snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, i);

	return add(t, number, (size_t)n); /* it fits */
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static int add_value(struct text *t, const json_t *v, unsigned depth);

static int add_array(struct text *t, const json_t *v, unsigned depth)
{
	int r = add_char(t, '[');

	for (size_t i = 0; r == 0 && i < json_array_size(v); i++) {
		r = i ? add_char(t, ',') : 0;
		if (r == 0)
			r = add_value(t, json_array_get(v, i), depth);
	}
	return r < 0 ? r : add_char(t, ']');
}

static int add_members(struct text *t, const struct member *m, size_t n, unsigned depth)
{
	int r = add_char(t, '{');

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = i ? add_char(t, ',') : 0;
		if (r == 0)
			r = add_string(t, m[i].key, strlen(m[i].key));
		if (r == 0)
			r = add_char(t, ':');
		if (r == 0)
			r = add_value(t, m[i].value, depth);
	}
	return r < 0 ? r : add_char(t, '}');
}

/* Those of the API server are sorted mostly. */
static int add_object(struct text *t, const json_t *v, unsigned depth)
{
	json_t *object = (json_t *)v; /* is not changed */
	ARRAY(struct member) members = {0};
	struct member few[8], *m = few;
	bool is_sorted = true;
	size_t n = 0;
	int r = 0;

	if (json_object_size(v) > ARRAY_LEN(few)) {
		r = ARRAY_RESERVE(&members, json_object_size(v));
		if (r < 0)
			return r;
		m = members.v;
	}
	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
		m[n] = (struct member){json_object_iter_key(i), json_object_iter_value(i)};
		is_sorted = is_sorted && (n == 0 || strcmp(m[n - 1].key, m[n].key) < 0);
		n++;
	}
	if (!is_sorted)
		qsort(m, n, sizeof(*m), compare);
	r = add_members(t, m, n, depth);
	ARRAY_DONE(&members);
	return r;
}

static int add_value(struct text *t, const json_t *v, unsigned depth)
{
	if (depth == 0)
		return -E2BIG;
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return add_object(t, v, depth - 1);
	case JSON_ARRAY:
		return add_array(t, v, depth - 1);
	case JSON_STRING:
		return add_string(t, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		return add_integer(t, json_integer_value(v));
	case JSON_REAL:
		return add_real(t, v);
	case JSON_TRUE:
		return add(t, "true", 4);
	case JSON_FALSE:
		return add(t, "false", 5);
	case JSON_NULL:
		return add(t, "null", 4);
	}
	return -EINVAL;
}

char *json_text(const json_t *v)
{
	struct text t = {0};
	char *exact;

	if (!v || add_value(&t, v, DEPTH_MAX) < 0 || add_char(&t, '\0') < 0) {
		free(t.v);
		return NULL;
	}
	exact = realloc(t.v, t.n); /* some are kept for long */
	return exact ? exact : t.v;
}
