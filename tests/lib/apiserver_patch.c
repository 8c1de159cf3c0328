/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_patch.h"

#include "apiserver_util.h"
#include "base/str.h"

json_t *patch_merge(const json_t *target, const json_t *patch, bool is_strategic)
{
	json_t *result, *value;
	const char *key;

	if (!json_is_object(patch))
		return must(json_deep_copy(patch));
	result = json_is_object(target) ? must(json_copy((json_t *)target)) : must(json_object());
	json_object_foreach ((json_t *)patch, key, value) {
		if (is_strategic && key[0] == '$')
			continue;
		if (json_is_null(value))
			(void)json_object_del(result, key); /* missing is fine */
		else
			json_put(result, key,
				 patch_merge(json_object_get(result, key), value, is_strategic));
	}
	return result;
}

/* Undoes ~1 and ~0 in one reference token of RFC 6901. */
static char *token_decode(const char *start, size_t len)
{
	char *out = must(malloc(len + 1)), *w = out;

	for (size_t i = 0; i < len; i++) {
		if (start[i] == '~' && i + 1 < len && (start[i + 1] == '0' || start[i + 1] == '1'))
			*w++ = start[++i] == '0' ? '~' : '/';
		else
			*w++ = start[i];
	}
	*w = '\0';
	return out;
}

/* Walks to the parent of what `path` names; *ret_last is its last token. NULL if there is none. */
static json_t *pointer_parent(json_t *root, const char *path, char **ret_last)
{
	json_t *at = root;

	if (*path != '/')
		return NULL;
	for (;;) {
		const char *start = ++path, *end = strchr(start, '/');
		CLEANUP(free) char *token =
			token_decode(start, end ? (size_t)(end - start) : strlen(start));
		uint64_t i;

		if (!end) {
			*ret_last = TAKE_PTR(token);
			return json_is_object(at) || json_is_array(at) ? at : NULL;
		}
		if (json_is_array(at))
			at = str_to_u64(token, SIZE_MAX, &i) == 0 ? json_array_get(at, i) : NULL;
		else
			at = json_object_get(at, token);
		if (!at)
			return NULL;
		path = end;
	}
}

static json_t *child_get(json_t *parent, const char *token)
{
	uint64_t i;

	if (json_is_array(parent))
		return str_to_u64(token, SIZE_MAX, &i) == 0 ? json_array_get(parent, i) : NULL;
	return json_object_get(parent, token);
}

static int child_add(json_t *parent, const char *token, json_t *value)
{
	uint64_t i = json_array_size(parent);

	if (json_is_object(parent))
		return json_object_set(parent, token, value);
	if (!str_eq(token, "-") && str_to_u64(token, json_array_size(parent), &i) < 0)
		return -EINVAL;
	return json_array_insert(parent, i, value);
}

static int child_remove(json_t *parent, const char *token)
{
	uint64_t i;

	if (json_is_object(parent))
		return json_object_del(parent, token);
	if (str_to_u64(token, SIZE_MAX, &i) < 0)
		return -EINVAL;
	return json_array_remove(parent, i);
}

/* The value that move and copy take from; owned, NULL if it is missing. */
static json_t *take_from(json_t *root, const json_t *op, bool remove)
{
	CLEANUP(free) char *last = NULL;
	json_t *parent = pointer_parent(root, text_at(op, "from", NULL), &last);
	json_t *value = parent ? json_deep_copy(child_get(parent, last)) : NULL;

	if (value && remove && child_remove(parent, last) < 0) {
		json_decref(value);
		return NULL;
	}
	return value;
}

static int apply_op(json_t *root, const json_t *op, struct err *reterr)
{
	const char *name = text_at(op, "op", NULL), *path = text_at(op, "path", NULL);
	CLEANUP(json) json_t *value = json_incref(json_object_get(op, "value"));
	CLEANUP(free) char *last = NULL;
	json_t *parent, *old;

	if (str_eq(name, "move") || str_eq(name, "copy")) {
		json_decref(value);
		value = take_from(root, op, str_eq(name, "move"));
		if (!value)
			return err_set(reterr, EINVAL, "error in %s for path: '%s': missing value",
				       name, text_at(op, "from", NULL));
		name = "add";
	}
	parent = pointer_parent(root, path, &last);
	if (!parent)
		return err_set(
			reterr, EINVAL,
			"%s operation does not apply: doc is missing path: \"%s\": missing value",
			name, path);
	old = child_get(parent, last);
	if (str_eq(name, "test")) {
		if (json_equal(old, value) ||
		    ((!old || json_is_null(old)) && (!value || json_is_null(value))))
			return 0;
		return err_set(reterr, EINVAL, "testing value %s failed", path);
	}
	if (str_eq(name, "remove"))
		return old && child_remove(parent, last) == 0
			       ? 0
			       : err_set(reterr, EINVAL,
					 "remove operation does not apply: doc is missing path: "
					 "\"%s\": missing value",
					 path);
	if (str_eq(name, "replace") && (!old || child_remove(parent, last) < 0))
		return err_set(
			reterr, EINVAL,
			"replace operation does not apply: doc is missing key: %s: missing value",
			path);
	if (!value || (!str_eq(name, "add") && !str_eq(name, "replace")))
		return err_set(reterr, EINVAL, "unexpected kind: %s", name);
	if (child_add(parent, last, value) < 0)
		return err_set(reterr, EINVAL, "add operation does not apply: %s", path);
	return 0;
}

json_t *patch_json(const json_t *target, const json_t *ops, struct err *reterr)
{
	CLEANUP(json) json_t *result = must(json_deep_copy(target));
	json_t *op;
	size_t i;

	if (!json_is_array(ops)) {
		(void)err_set(reterr, EINVAL, "a JSON patch must be a list");
		return NULL;
	}
	json_array_foreach (ops, i, op)
		if (apply_op(result, op, reterr) < 0)
			return NULL;
	return json_incref(result);
}
