/* SPDX-License-Identifier: Apache-2.0 */
#include "json/doc.h"

#include <string.h>

#include "base/hash.h"
#include "json/doc_private.h"

static bool has_tag(const struct doc *v, enum doc_tag tag)
{
	return v && doc_tag(v) == tag;
}

bool doc_is_null(const struct doc *v)
{
	return has_tag(v, DOC_NULL);
}

bool doc_is_true(const struct doc *v)
{
	return has_tag(v, DOC_TRUE);
}

bool doc_is_boolean(const struct doc *v)
{
	return has_tag(v, DOC_TRUE) || has_tag(v, DOC_FALSE);
}

bool doc_is_integer(const struct doc *v)
{
	return has_tag(v, DOC_SMALL) || has_tag(v, DOC_INTEGER);
}

bool doc_is_string(const struct doc *v)
{
	return has_tag(v, DOC_STRING);
}

bool doc_is_array(const struct doc *v)
{
	return has_tag(v, DOC_ARRAY);
}

bool doc_is_object(const struct doc *v)
{
	return has_tag(v, DOC_OBJECT);
}

const char *doc_str(const struct doc *v)
{
	return doc_is_string(v) ? doc_chars(v) : NULL;
}

size_t doc_len(const struct doc *v)
{
	return doc_is_string(v) ? doc_head_size(v) : 0;
}

int64_t doc_int(const struct doc *v)
{
	if (has_tag(v, DOC_SMALL))
		return (int32_t)v->head >> DOC_TAG_BITS;
	return has_tag(v, DOC_INTEGER) ? strtoll(doc_chars(v), NULL, 10) : 0; /* it is one */
}

/* Goes to the value that `p` is, or the key of, or that comes after it. */
static void go(struct doc_iter *i, const struct doc *p)
{
	const struct doc *end = doc_after(i->in);

	i->key = NULL;
	if (doc_is_object(i->in)) {
		while (p < end && doc_tag(p) == DOC_GONE)
			p = doc_after(doc_after(p));
		if (p < end) {
			i->key = doc_chars(p);
			p = doc_after(p);
		}
	}
	i->v = p < end ? p : NULL;
}

static struct doc_iter begin(const struct doc *container)
{
	struct doc_iter i = {.in = container};

	go(&i, (const struct doc *)container->more);
	return i;
}

struct doc_iter doc_elements(const struct doc *array)
{
	return doc_is_array(array) ? begin(array) : (struct doc_iter){0};
}

struct doc_iter doc_members(const struct doc *object)
{
	return doc_is_object(object) ? begin(object) : (struct doc_iter){0};
}

void doc_next(struct doc_iter *i)
{
	i->n++;
	go(i, doc_after(i->v));
}

static const struct doc *get(const struct doc *object, const char *key, size_t len)
{
	const struct doc *p, *end;
	uint32_t head;

	if (!doc_is_object(object) || len > DOC_HEAD_MAX)
		return NULL;
	head = doc_head(DOC_STRING, len);
	end = doc_after(object);
	for (p = (const struct doc *)object->more; p < end; p = doc_after(doc_after(p)))
		if (p->head == head && memcmp(doc_chars(p), key, len) == 0)
			return doc_after(p);
	return NULL;
}

const struct doc *doc_get_any(const struct doc *object, const char *key)
{
	return get(object, key, strlen(key));
}

const struct doc *doc_get(const struct doc *object, const char *key)
{
	const struct doc *v = doc_get_any(object, key);

	return doc_is_null(v) ? NULL : v;
}

const struct doc *doc_at(const struct doc *root, const char *path)
{
	for (;;) {
		size_t len = strcspn(path, ".");

		root = get(root, path, len);
		if (!root || path[len] == '\0')
			return root;
		path += len + 1;
	}
}

const char *doc_str_at(const struct doc *root, const char *path, const char *otherwise)
{
	const char *text = doc_str(doc_at(root, path));

	return text ? text : otherwise;
}

int64_t doc_int_at(const struct doc *root, const char *path, int64_t otherwise)
{
	const struct doc *v = doc_at(root, path);

	return doc_is_integer(v) ? doc_int(v) : otherwise;
}

size_t doc_array_size(const struct doc *v)
{
	size_t n = 0;

	for (struct doc_iter i = doc_elements(v); i.v; doc_next(&i))
		n++;
	return n;
}

size_t doc_object_size(const struct doc *v)
{
	size_t n = 0;

	for (struct doc_iter i = doc_members(v); i.v; doc_next(&i))
		n++;
	return n;
}

const struct doc *doc_empty(void)
{
	static const uint32_t unit = 1 << DOC_TAG_BITS | DOC_OBJECT;

	return (const struct doc *)&unit;
}

uint64_t doc_hash(const struct doc *v)
{
	return v ? hash_bytes(v, doc_units(v) * sizeof(uint32_t)) : 0;
}

struct doc *doc_copy(const struct doc *v)
{
	size_t bytes = v ? doc_units(v) * sizeof(uint32_t) : 0;
	struct doc *copy = v ? malloc(bytes) : NULL;

	return copy ? memcpy(copy, v, bytes) : NULL;
}
