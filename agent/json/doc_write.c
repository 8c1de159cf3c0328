/* SPDX-License-Identifier: Apache-2.0 */
#include "json/doc_write.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/macro.h"
#include "json/doc_private.h"

enum {
	UNITS_AT_FIRST = 256,
	FEW_MEMBERS = 16, /* of which each pair is looked at */
	NUMBER_MAX = 63,
};

static struct doc *at(const struct doc_writer *w, size_t i)
{
	return (struct doc *)&w->v[i];
}

static void release(struct doc_writer *w)
{
	if (w->is_mapped)
		(void)munmap(w->v, w->max_bytes); /* it is a mapping */
	else
		free(w->v);
	w->v = NULL;
	w->cap = 0;
	w->is_mapped = false;
}

static int map(struct doc_writer *w)
{
	uint32_t *v = mmap(NULL, w->max_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (v == MAP_FAILED)
		return -ENOMEM;
	if (w->n)
		memcpy(v, w->v, w->n * sizeof(*v));
	free(w->v);
	w->v = v;
	w->cap = w->max_bytes / sizeof(*v);
	w->is_mapped = true;
	return 0;
}

static int reserve(struct doc_writer *w, size_t units)
{
	size_t max = w->max_bytes ? w->max_bytes / sizeof(*w->v) : DOC_HEAD_MAX, cap = MAX(2 * w->cap, (size_t)UNITS_AT_FIRST);
	uint32_t *v;

	if (units > max || w->n > max - units)
		return -E2BIG;
	if (w->n + units <= w->cap)
		return 0;
	cap = MAX(cap, w->n + units);
	if (w->max_bytes && cap * sizeof(*v) > DOC_WRITE_SMALL)
		return map(w);
	v = realloc(w->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	w->v = v;
	w->cap = cap;
	return 0;
}

static int put_unit(struct doc_writer *w, uint32_t head)
{
	int r = reserve(w, 1);

	if (r < 0)
		return r;
	w->v[w->n++] = head;
	w->key = 0;
	return 0;
}

static int put_text(struct doc_writer *w, enum doc_tag tag, const char *text, size_t len)
{
	size_t units = doc_text_units(len);
	int r = len > DOC_HEAD_MAX ? -E2BIG : reserve(w, 1 + units);

	if (r < 0)
		return r;
	w->v[w->n] = doc_head(tag, len);
	w->v[w->n + units] = 0;
	memcpy(&w->v[w->n + 1], text, len);
	w->n += 1 + units;
	return 0;
}

int doc_write_null(struct doc_writer *w)
{
	return put_unit(w, doc_head(DOC_NULL, 0));
}

int doc_write_bool(struct doc_writer *w, bool is_true)
{
	return put_unit(w, doc_head(is_true ? DOC_TRUE : DOC_FALSE, 0));
}

static int put_value(struct doc_writer *w, enum doc_tag tag, const char *text, size_t len)
{
	int r = put_text(w, tag, text, len);

	if (r == 0)
		w->key = 0;
	return r;
}

int doc_write_string(struct doc_writer *w, const char *text, size_t len)
{
	return put_value(w, DOC_STRING, text, len);
}

int doc_write_number(struct doc_writer *w, const char *text, size_t len)
{
	char copy[NUMBER_MAX + 1], *end;
	long long i;

	if (len > NUMBER_MAX)
		return -ERANGE;
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	i = strtoll(copy, &end, 10);
	if (errno != 0 || *end)
		return isfinite(strtod(copy, NULL)) ? put_value(w, DOC_REAL, text, len) : -ERANGE;
	if (i > DOC_HEAD_MAX / 2 || i < -(DOC_HEAD_MAX / 2))
		return put_value(w, DOC_INTEGER, text, len);
	return put_unit(w, doc_head(DOC_SMALL, (size_t)i));
}

int doc_write_copy(struct doc_writer *w, const struct doc *v)
{
	size_t units = doc_units(v);
	int r = reserve(w, units);

	if (r < 0)
		return r;
	memcpy(&w->v[w->n], v, units * sizeof(*w->v));
	w->n += units;
	w->key = 0;
	return 0;
}

int doc_write_key(struct doc_writer *w, const char *text, size_t len)
{
	size_t where = w->n;
	int r = put_text(w, DOC_STRING, text, len);

	if (r == 0)
		w->key = where;
	return r;
}

int doc_write_begin(struct doc_writer *w, bool is_array)
{
	size_t where = w->n;
	int r = w->open.n >= DOC_DEPTH_MAX ? -E2BIG : reserve(w, 1);

	if (r == 0)
		r = ARRAY_RESERVE(&w->open, 1);
	if (r < 0)
		return r;
	w->v[w->n++] = doc_head(is_array ? DOC_ARRAY : DOC_OBJECT, 0);
	w->key = 0;
	w->open.v[w->open.n++] = where;
	return 0;
}

/* Equal keys */

static bool is_same(const struct doc *a, const struct doc *b)
{
	return a->head == b->head && memcmp(doc_chars(a), doc_chars(b), doc_head_size(a)) == 0;
}

/* Whether each key is above the one before it, as those of a map are that an API server writes. */
static bool is_sorted(const struct doc *object, const struct doc *end)
{
	const struct doc *p = (const struct doc *)object->more, *next;

	for (; p < end && (next = doc_after(doc_after(p))) < end; p = next)
		if (strcmp(doc_chars(p), doc_chars(next)) >= 0)
			return false;
	return true;
}

static void drop(struct doc *key)
{
	key->head = doc_head(DOC_GONE, doc_head_size(key));
}

static void drop_of_few(struct doc *object, const struct doc *end)
{
	struct doc *keys[FEW_MEMBERS];
	size_t n = 0;

	for (struct doc *p = (struct doc *)object->more; p < end; p = (struct doc *)doc_after(doc_after(p))) {
		for (size_t i = 0; i < n; i++)
			if (is_same(keys[i], p))
				drop(keys[i]);
		keys[n++] = p;
	}
}

static int drop_of_many(struct doc *object, const struct doc *end, size_t n)
{
	CLEANUP(free) uint32_t *seen = NULL; /* where keys are, from the first one on, and one more; 0 = none */
	uint32_t *keys = object->more;
	size_t size = FEW_MEMBERS;

	while (size < n + n / 4)
		size *= 2;
	seen = calloc(size, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	for (struct doc *p = (struct doc *)keys; p < end; p = (struct doc *)doc_after(doc_after(p))) {
		size_t i = hash_bytes(doc_chars(p), doc_head_size(p)) & (size - 1);

		while (seen[i] && !is_same((struct doc *)&keys[seen[i] - 1], p))
			i = (i + 1) & (size - 1);
		if (seen[i])
			drop((struct doc *)&keys[seen[i] - 1]);
		seen[i] = (uint32_t)((uint32_t *)p - keys) + 1;
	}
	return 0;
}

/* The innermost container that is open, which is not any more. */
static struct doc *set_size(struct doc_writer *w)
{
	size_t where = w->open.v[--w->open.n];
	struct doc *v = at(w, where);

	v->head = doc_head(doc_tag(v), w->n - where);
	return v;
}

int doc_write_end(struct doc_writer *w)
{
	struct doc *v = set_size(w);
	const struct doc *end = at(w, w->n);

	size_t n;

	if (doc_tag(v) != DOC_OBJECT || is_sorted(v, end))
		return 0;
	n = doc_object_size(v);
	if (n > FEW_MEMBERS)
		return drop_of_many(v, end, n);
	drop_of_few(v, end);
	return 0;
}

const char *doc_write_pending(const struct doc_writer *w)
{
	return w->key ? doc_chars(at(w, w->key)) : NULL;
}

void doc_write_close(struct doc_writer *w)
{
	if (w->key)
		w->n = w->key;
	w->key = 0;
	while (w->open.n)
		(void)set_size(w);
}

const struct doc *doc_written(const struct doc_writer *w)
{
	return w->n && !w->open.n ? at(w, 0) : NULL;
}

struct doc *doc_write_take(struct doc_writer *w)
{
	struct doc *d = w->n && !w->open.n ? (struct doc *)TAKE_PTR(w->v) : NULL;

	doc_write_done(w);
	return d;
}

void doc_write_clear(struct doc_writer *w)
{
	if (w->cap * sizeof(*w->v) > DOC_WRITE_SMALL)
		release(w);
	w->open.n = 0;
	w->n = w->key = 0;
}

void doc_write_done(struct doc_writer *w)
{
	release(w);
	ARRAY_DONE(&w->open);
	w->n = w->key = 0;
}

/* Trees of jansson */

static int write_dump(struct doc_writer *w, const json_t *v)
{
	CLEANUP(free) char *text = json_dumps(v, JSON_ENCODE_ANY);

	return text ? doc_write_number(w, text, strlen(text)) : -ENOMEM;
}

static int write_array(struct doc_writer *w, const json_t *v)
{
	const json_t *element;
	size_t i;
	int r = doc_write_begin(w, true);

	json_array_foreach (v, i, element)
		r = r < 0 ? r : doc_write_json(w, element);
	return r < 0 ? r : doc_write_end(w);
}

static int write_object(struct doc_writer *w, const json_t *v)
{
	const json_t *member;
	const char *key;
	int r = doc_write_begin(w, false);

	json_object_foreach ((json_t *)v, key, member) { /* is not changed */
		r = r < 0 ? r : doc_write_key(w, key, strlen(key));
		r = r < 0 ? r : doc_write_json(w, member);
	}
	return r < 0 ? r : doc_write_end(w);
}

int doc_write_json(struct doc_writer *w, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return write_object(w, v);
	case JSON_ARRAY:
		return write_array(w, v);
	case JSON_STRING:
		return doc_write_string(w, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
	case JSON_REAL:
		return write_dump(w, v);
	case JSON_TRUE:
	case JSON_FALSE:
		return doc_write_bool(w, json_is_true(v));
	case JSON_NULL:
		return doc_write_null(w);
	}
	return -EINVAL;
}

struct doc *doc_from_json(const json_t *v)
{
	CLEANUP(doc_write_done) struct doc_writer w = {0};

	return v && doc_write_json(&w, v) == 0 ? doc_write_take(&w) : NULL;
}
