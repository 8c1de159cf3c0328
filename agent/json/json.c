/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json.h"

#include <errno.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>

#include "base/limits.h"

json_t *json_at(const json_t *root, const char *path)
{
	char key[LIMIT_LABEL_KEY];

	while (root && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		root = json_object_get(root, key); /* NULL for anything but an object */
		path += n + (path[n] == '.');
	}
	return (json_t *)root;
}

const char *json_str(const json_t *root, const char *path, const char *otherwise)
{
	const char *s = json_string_value(json_at(root, path));

	return s ? s : otherwise;
}

json_int_t json_int(const json_t *root, const char *path, json_int_t otherwise)
{
	const json_t *v = json_at(root, path);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

int json_truth(const json_t *root, const char *path, int otherwise)
{
	const json_t *v = json_at(root, path);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

static json_t *clone_object(const json_t *object)
{
	CLEANUP(json_decref) json_t *copy = json_object();
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)object, key, v)
		if (!copy || json_object_set_new_nocheck(copy, key, json_clone(v)) < 0)
			return NULL;
	return TAKE_PTR(copy);
}

static json_t *clone_array(const json_t *array)
{
	CLEANUP(json_decref) json_t *copy = json_array();
	json_t *v;
	size_t i;

	json_array_foreach(array, i, v)
		if (!copy || json_array_append_new(copy, json_clone(v)) < 0)
			return NULL;
	return TAKE_PTR(copy);
}

json_t *json_clone(const json_t *v)
{
	if (!v)
		return NULL;
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return clone_object(v);
	case JSON_ARRAY:
		return clone_array(v);
	case JSON_STRING:
		return json_stringn_nocheck(json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		return json_integer(json_integer_value(v));
	case JSON_REAL:
		return json_real(json_real_value(v));
	default:
		return json_incref((json_t *)v); /* there is one of each */
	}
}

json_t *json_clone_top(const json_t *object)
{
	CLEANUP(json_decref) json_t *copy = json_is_object(object) ? json_object() : NULL;

	/* which only reads it */
	return copy && json_object_update(copy, (json_t *)object) == 0 ? TAKE_PTR(copy) : NULL;
}

/* 0; -EBADMSG: too deep; -E2BIG: more values. Each but the first comes after one of these. */
static int check_extent(const char *text, size_t len, size_t max_values)
{
	unsigned depth = 0;
	size_t n = 1;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
			continue;
		}
		switch (text[i]) {
		case '"':
			in_string = true;
			break;
		case '{':
		case '[':
			if (++depth > LIMIT_JSON_DEPTH)
				return -EBADMSG;
			n++;
			break;
		case ',':
		case ':':
			n++;
			break;
		case '}':
		case ']':
			depth -= depth > 0;
			break;
		}
		if (n > max_values)
			return -E2BIG;
	}
	return 0;
}

static json_malloc_t usual_malloc;
static bool has_failed;

static void *watched_malloc(size_t size)
{
	void *p = usual_malloc(size);

	has_failed |= !p;
	return p;
}

void json_watch_begin(struct json_watch *w)
{
	json_get_alloc_funcs(&w->allocate, &w->release);
	if (w->allocate != watched_malloc)
		usual_malloc = w->allocate;
	w->had_failed = has_failed;
	has_failed = false;
	json_set_alloc_funcs(watched_malloc, w->release);
}

void json_watch_fail(void)
{
	has_failed = true;
}

bool json_watch_end(struct json_watch *w)
{
	bool r = has_failed;

	json_set_alloc_funcs(w->allocate, w->release);
	has_failed |= w->had_failed;
	return r;
}

/* jansson's reader of texts leaves out a byte that there is no memory for, and goes on (lex_save()). */
json_t *json_parse_small(const char *text, size_t len, size_t max)
{
	CLEANUP(json_decref) json_t *v = NULL;
	int r = check_extent(text, len, max);
	struct json_watch watch;
	bool is_short;

	errno = -r;
	if (r < 0)
		return NULL;
	json_watch_begin(&watch);
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	is_short = json_watch_end(&watch);
	errno = is_short ? ENOMEM : EBADMSG;
	return is_short ? NULL : TAKE_PTR(v);
}

json_t *json_parse(const char *text, size_t len)
{
	return json_parse_small(text, len, SIZE_MAX);
}
