/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json_stream.h"

#include <errno.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/buf.h"
#include "base/limits.h"
#include "json/json_paths.h"

enum {
	ENVELOPE_PATH_MAX = 256,
	SLICE = 64 * 1024, /* fed at once, so that one object's size is seen in time */
};

enum place {
	PLACE_ENVELOPE, /* outside the objects */
	PLACE_PICK,
	PLACE_DOCUMENT,
};

struct level {
	bool is_array;
	int node;	/* pick mode: the trie node of this container, or none */
	int value_node; /* of the value that comes next, after a key */
	bool is_any;	/* value_node was matched by "*" */
	json_t *doc;	/* document mode: the container being filled, owned by its parent */
	size_t path_len; /* envelope: length of path before this container */
};

struct json_stream {
	yajl_handle yajl;
	enum json_envelope envelope;
	const struct json_paths *paths;
	const struct json_stream_ops *ops;
	void *arg;
	enum place place;
	bool wants_document;
	int r; /* first failure */
	struct level levels[LIMIT_JSON_DEPTH];
	unsigned depth;
	unsigned object_depth; /* depth at which the current object started */
	json_t *root;	       /* document mode: the object, owned */
	char *doc_key;	       /* document mode: key of the next value */
	struct buf key;	       /* pick mode: key that "*" matched */
	char path[ENVELOPE_PATH_MAX];
	size_t path_len;
	size_t object_bytes; /* fed since an object was last complete */
	bool is_over;	     /* a list is one value, and it was there */
	bool has_type;	     /* of the event of a watch */
	bool is_pending;     /* a watch's object is complete, its event is not */
};

static int fail(struct json_stream *s, int r)
{
	if (s->r == 0)
		s->r = r;
	return 0; /* stops yajl */
}

static struct level *top(struct json_stream *s)
{
	return s->depth ? &s->levels[s->depth - 1] : NULL;
}

/* True if the value that starts now is an object to hand over. */
static bool is_object_place(const struct json_stream *s)
{
	if (s->envelope == JSON_WATCH)
		return s->depth == 1 && strcmp(s->path, "object") == 0;
	return s->depth == 2 && s->levels[1].is_array && strcmp(s->path, "items") == 0;
}

static int object_begin(struct json_stream *s)
{
	s->object_depth = s->depth;
	s->place = s->paths && !s->wants_document ? PLACE_PICK : PLACE_DOCUMENT;
	s->wants_document = false;
	if (s->place == PLACE_PICK && s->ops->on_begin) {
		int r = s->ops->on_begin(s->arg);

		if (r < 0)
			return fail(s, r);
	}
	return 1;
}

static int hand_over(struct json_stream *s)
{
	int r;

	if (s->envelope == JSON_WATCH && !s->is_pending)
		return fail(s, -EBADMSG); /* an event of nothing: its type would be taken for that of the next */
	r = s->ops->on_object(s->root, s->arg);

	json_decref(s->root);
	s->root = NULL;
	s->has_type = s->is_pending = false;
	s->object_bytes = 0;
	return r < 0 ? fail(s, r) : 1;
}

/* An event counts once it is whole: what a broken connection leaves of it may look like a smaller object. */
static int object_end(struct json_stream *s)
{
	s->place = PLACE_ENVELOPE;
	s->is_pending = s->envelope == JSON_WATCH;
	return s->is_pending ? 1 : hand_over(s);
}

/*
 * Copies text with U+FFFD for each NUL. Custom resources may hold NUL in free text, and the readers of
 * documents use C strings: cut there, a text could equal another one; so it equals nothing valid.
 */
static char *copy_text(const char *text, size_t len, size_t *ret_len)
{
	static const char mark[3] = {'\xef', '\xbf', '\xbd'};
	size_t n = 0, size = 1;
	char *copy;

	for (size_t i = 0; i < len; i++)
		size += text[i] ? 1 : sizeof(mark);
	copy = malloc(size);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (text[i]) {
			copy[n++] = text[i];
		} else {
			memcpy(copy + n, mark, sizeof(mark));
			n += sizeof(mark);
		}
	}
	copy[n] = '\0';
	*ret_len = n;
	return copy;
}

/* Puts a finished or opened value into the document. Takes `v`. */
static int doc_add(struct json_stream *s, json_t *v)
{
	struct level *l = top(s);
	int r;

	if (!v)
		return fail(s, -ENOMEM);
	if (s->depth == s->object_depth) {
		s->root = v;
		return 1;
	}
	if (l->is_array) {
		r = json_array_append_new(l->doc, v);
	} else {
		r = json_object_set_new(l->doc, s->doc_key, v);
		free(s->doc_key);
		s->doc_key = NULL;
	}
	return r < 0 ? fail(s, -EBADMSG) : 1; /* a key that is not UTF-8; or no memory */
}

/* The trie node of the value that starts now, JSON_PATH_NONE if nothing in it is wanted. */
static int value_node(struct json_stream *s)
{
	struct level *l = top(s);

	if (s->depth == s->object_depth)
		return json_paths_root(s->paths);
	if (l->node == JSON_PATH_NONE)
		return JSON_PATH_NONE;
	return l->is_array ? json_paths_element(s->paths, l->node) : l->value_node;
}

static int pick(struct json_stream *s, int node, bool is_any, enum json_what what, bool is_string,
		const char *text, size_t len)
{
	int id = node == JSON_PATH_NONE ? -1 : json_paths_id(s->paths, node);
	struct json_pick p = {.id = id, .what = what, .is_string = is_string, .text = text, .text_len = len};
	int r;

	if (id < 0)
		return 1;
	if (is_any) {
		p.key = s->key.data;
		p.key_len = s->key.len;
	}
	r = s->ops->on_pick(&p, s->arg);
	return r < 0 ? fail(s, r) : 1;
}

/* One for each event; what is picked depends on it, so it comes first then. */
static int type_begin(struct json_stream *s)
{
	if (s->has_type || (s->is_pending && s->paths))
		return fail(s, -EBADMSG);
	s->has_type = true;
	return 1;
}

static int scalar(struct json_stream *s, const char *text, size_t len, bool is_string, json_t *doc)
{
	struct level *l = top(s);
	int r;

	switch (s->place) {
	case PLACE_DOCUMENT:
		return doc_add(s, doc);
	case PLACE_PICK:
		return pick(s, value_node(s), l && !l->is_array && l->is_any, JSON_SCALAR, is_string, text, len);
	case PLACE_ENVELOPE:
		if (!l || is_object_place(s))
			return fail(s, -EBADMSG);
		if (l->is_array)
			return 1;
		if (s->envelope == JSON_WATCH && strcmp(s->path, "type") == 0 && !type_begin(s))
			return 0;
		r = s->ops->on_envelope(s->path, text, len, s->arg);
		return r < 0 ? fail(s, r) : 1;
	}
	return 1;
}

static int on_null(void *arg)
{
	struct json_stream *s = arg;

	return scalar(s, "null", 4, false, s->place == PLACE_DOCUMENT ? json_null() : NULL);
}

static int on_boolean(void *arg, int value)
{
	struct json_stream *s = arg;

	return scalar(s, value ? "true" : "false", value ? 4 : 5, false,
		      s->place == PLACE_DOCUMENT ? json_boolean(value) : NULL);
}

static int on_number(void *arg, const char *text, size_t len)
{
	struct json_stream *s = arg;
	json_t *doc = NULL;

	if (s->place == PLACE_DOCUMENT) {
		char copy[64], *end;
		long long i;

		if (len >= sizeof(copy))
			return fail(s, -EBADMSG);
		memcpy(copy, text, len);
		copy[len] = '\0';
		errno = 0;
		i = strtoll(copy, &end, 10);
		if (errno == 0 && *end == '\0')
			doc = json_integer(i);
		else
			doc = json_real(strtod(copy, NULL));
		if (!doc)
			return fail(s, -EBADMSG); /* larger than any number; or no memory */
	}
	return scalar(s, text, len, false, doc);
}

static int on_string(void *arg, const unsigned char *text, size_t len)
{
	struct json_stream *s = arg;
	json_t *doc = NULL;

	if (s->place == PLACE_DOCUMENT) {
		if (memchr(text, 0, len)) {
			CLEANUP(free) char *copy = copy_text((const char *)text, len, &len);

			if (!copy)
				return fail(s, -ENOMEM);
			doc = json_stringn(copy, len);
		} else {
			doc = json_stringn((const char *)text, len);
		}
		if (!doc)
			return fail(s, -EBADMSG); /* not UTF-8 */
	}
	return scalar(s, (const char *)text, len, true, doc);
}

static int container_begin(struct json_stream *s, bool is_array)
{
	struct level l = {.is_array = is_array, .node = JSON_PATH_NONE, .value_node = JSON_PATH_NONE,
			  .path_len = s->path_len};

	if (s->depth == LIMIT_JSON_DEPTH)
		return fail(s, -E2BIG);
	if (s->place == PLACE_ENVELOPE) {
		if (s->depth == 0 && (is_array || s->is_over))
			return fail(s, -EBADMSG);
		if (is_object_place(s)) {
			if (is_array || s->is_pending)
				return fail(s, -EBADMSG);
			if (!object_begin(s))
				return 0;
		}
	}
	if (s->place == PLACE_PICK)
		l.node = value_node(s);
	if (s->place == PLACE_DOCUMENT) {
		l.doc = is_array ? json_array() : json_object();
		if (!doc_add(s, l.doc))
			return 0;
	}
	s->levels[s->depth++] = l;
	return 1;
}

static int container_end(struct json_stream *s)
{
	struct level l = s->levels[--s->depth];

	if (s->place == PLACE_ENVELOPE) {
		s->path_len = l.path_len;
		s->path[s->path_len] = '\0';
		s->is_over = s->depth == 0 && s->envelope == JSON_LIST;
		return s->depth == 0 && s->envelope == JSON_WATCH ? hand_over(s) : 1;
	}
	if (s->place == PLACE_PICK && !pick(s, l.node, false, JSON_END, false, NULL, 0))
		return 0;
	return s->depth == s->object_depth ? object_end(s) : 1;
}

static int on_map_start(void *arg)
{
	return container_begin(arg, false);
}

static int on_array_start(void *arg)
{
	return container_begin(arg, true);
}

static int on_end(void *arg)
{
	return container_end(arg);
}

static int on_key(void *arg, const unsigned char *text, size_t len)
{
	struct json_stream *s = arg;
	struct level *l = top(s);

	switch (s->place) {
	case PLACE_DOCUMENT:
		free(s->doc_key);
		s->doc_key = copy_text((const char *)text, len, &len);
		return s->doc_key ? 1 : fail(s, -ENOMEM);
	case PLACE_PICK:
		if (l->node == JSON_PATH_NONE)
			return 1;
		l->value_node = json_paths_key(s->paths, l->node, (const char *)text, len, &l->is_any);
		if (l->value_node != JSON_PATH_NONE && l->is_any) {
			buf_clear(&s->key);
			return buf_add(&s->key, text, len) < 0 ? fail(s, -ENOMEM) : 1;
		}
		return 1;
	case PLACE_ENVELOPE:
		s->path_len = l->path_len;
		if (s->path_len + len + 2 > sizeof(s->path) || memchr(text, 0, len))
			return fail(s, -EBADMSG);
		if (s->path_len)
			s->path[s->path_len++] = '.';
		memcpy(s->path + s->path_len, text, len);
		s->path_len += len;
		s->path[s->path_len] = '\0';
		return 1;
	}
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_map_start,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_array_start,
	.yajl_end_array = on_end,
};

int json_stream_new(enum json_envelope envelope, const struct json_paths *paths,
		    const struct json_stream_ops *ops, void *arg, struct json_stream **ret)
{
	struct json_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->envelope = envelope;
	s->paths = paths;
	s->ops = ops;
	s->arg = arg;
	s->key.max = 2 * LIMIT_OBJECT_BYTES; /* no key of an object that fits is longer */
	s->yajl = yajl_alloc(&callbacks, NULL, s);
	if (!s->yajl) {
		free(s);
		return -ENOMEM;
	}
	(void)yajl_config(s->yajl, yajl_allow_multiple_values, 1);
	/* What is kept is checked where it is used; documents are checked by jansson. */
	(void)yajl_config(s->yajl, yajl_dont_validate_strings, 1);
	*ret = s;
	return 0;
}

void json_stream_free(struct json_stream *s)
{
	if (!s)
		return;
	yajl_free(s->yajl);
	json_decref(s->root);
	free(s->doc_key);
	buf_done(&s->key);
	free(s);
}

void json_stream_want_document(struct json_stream *s)
{
	s->wants_document = true;
}

static int feed_slice(struct json_stream *s, const char *data, size_t len)
{
	yajl_status status;

	s->object_bytes += len;
	if (s->object_bytes > LIMIT_OBJECT_BYTES + len)
		return s->r = -E2BIG;
	status = yajl_parse(s->yajl, (const unsigned char *)data, len);
	if (s->r < 0)
		return s->r;
	return status == yajl_status_ok ? 0 : (s->r = -EBADMSG);
}

int json_stream_feed(struct json_stream *s, const char *data, size_t len)
{
	while (s->r == 0 && len) {
		size_t n = len < SLICE ? len : SLICE;

		if (feed_slice(s, data, n) < 0)
			break;
		data += n;
		len -= n;
	}
	return s->r;
}

int json_stream_end(struct json_stream *s)
{
	if (s->r == 0 && s->depth)
		s->r = -EBADMSG;
	return json_stream_feed(s, " ", 1); /* ends a word or number, which is not in place here */
}
