/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json_stream.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "json/json_build.h"
#include "json/json_paths.h"
#include "json/json_scan.h"

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
	size_t path_len; /* envelope: length of path before this container */
};

struct json_stream {
	struct json_scan *scan;
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
	struct json_build build; /* document mode */
	struct buf key;	       /* pick mode: key that "*" matched */
	char path[ENVELOPE_PATH_MAX];
	size_t path_len;
	size_t object_bytes; /* fed since an object was last complete */
	bool is_over;	     /* a list is one value, and it was there */
	bool has_type;	     /* of the event of a watch */
	bool is_pending;     /* a watch's object is complete, its event is not */
};

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
			return r;
	}
	return 0;
}

static int hand_over(struct json_stream *s)
{
	int r;

	if (s->envelope == JSON_WATCH && !s->is_pending)
		return -EBADMSG; /* an event of nothing: its type would be taken for that of the next */
	r = s->ops->on_object(json_build_doc(&s->build), s->arg);
	json_build_clear(&s->build);
	s->has_type = s->is_pending = false;
	s->object_bytes = 0;
	return r;
}

/* An event counts once it is whole: what a broken connection leaves of it may look like a smaller object. */
static int object_end(struct json_stream *s)
{
	s->place = PLACE_ENVELOPE;
	s->is_pending = s->envelope == JSON_WATCH;
	return s->is_pending ? 0 : hand_over(s);
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

	if (id < 0)
		return 0;
	if (is_any) {
		p.key = s->key.data;
		p.key_len = s->key.len;
	}
	return s->ops->on_pick(&p, s->arg);
}

/* One for each event; what is picked depends on it, so it comes first then. */
static int type_begin(struct json_stream *s)
{
	if (s->has_type || (s->is_pending && s->paths))
		return -EBADMSG;
	s->has_type = true;
	return 0;
}

static int envelope_scalar(struct json_stream *s, const char *text, size_t len)
{
	const struct level *l = top(s);

	if (!l || is_object_place(s))
		return -EBADMSG;
	if (l->is_array)
		return 0;
	if (s->envelope == JSON_WATCH && strcmp(s->path, "type") == 0) {
		int r = type_begin(s);

		if (r < 0)
			return r;
	}
	return s->ops->on_envelope(s->path, text, len, s->arg);
}

static int on_scalar(enum json_kind kind, const char *text, size_t len, void *arg)
{
	struct json_stream *s = arg;
	const struct level *l = top(s);

	switch (s->place) {
	case PLACE_DOCUMENT:
		return json_build_scalar(&s->build, kind, text, len);
	case PLACE_PICK:
		return pick(s, value_node(s), !l->is_array && l->is_any, JSON_SCALAR, kind == JSON_KIND_STRING, text, len);
	case PLACE_ENVELOPE:
		return envelope_scalar(s, text, len);
	}
	return 0;
}

static int on_begin(bool is_array, void *arg)
{
	struct json_stream *s = arg;
	struct level l = {.is_array = is_array, .node = JSON_PATH_NONE, .value_node = JSON_PATH_NONE,
			  .path_len = s->path_len};
	int r = 0;

	if (s->place == PLACE_ENVELOPE) {
		if (s->depth == 0 && (is_array || s->is_over))
			return -EBADMSG;
		if (is_object_place(s))
			r = is_array || s->is_pending ? -EBADMSG : object_begin(s);
	}
	if (r == 0 && s->place == PLACE_PICK) {
		l.node = value_node(s);
		if (l.node == JSON_PATH_NONE)
			return JSON_SCAN_SKIP;
	}
	if (r == 0 && s->place == PLACE_DOCUMENT)
		r = json_build_begin(&s->build, is_array);
	if (r != 0)
		return r;
	s->levels[s->depth++] = l;
	return 0;
}

/* Fields that are picked are not there, and a document has something else there. */
static int on_deep(void *arg)
{
	struct json_stream *s = arg;

	if (s->place == PLACE_ENVELOPE)
		return -E2BIG;
	return s->place == PLACE_DOCUMENT ? json_build_deep(&s->build) : 0;
}

static int on_end(void *arg)
{
	struct json_stream *s = arg;
	struct level l = s->levels[--s->depth];
	int r = 0;

	if (s->place == PLACE_ENVELOPE) {
		s->path_len = l.path_len;
		s->path[s->path_len] = '\0';
		s->is_over = s->depth == 0 && s->envelope == JSON_LIST;
		return s->depth == 0 && s->envelope == JSON_WATCH ? hand_over(s) : 0;
	}
	if (s->place == PLACE_DOCUMENT)
		r = json_build_end(&s->build);
	if (s->place == PLACE_PICK)
		r = pick(s, l.node, false, JSON_END, false, NULL, 0);
	if (r < 0)
		return r;
	return s->depth == s->object_depth ? object_end(s) : 0;
}

static int envelope_key(struct json_stream *s, const char *text, size_t len)
{
	s->path_len = top(s)->path_len;
	if (s->path_len + len + 2 > sizeof(s->path) || memchr(text, 0, len))
		return -EBADMSG;
	if (s->path_len)
		s->path[s->path_len++] = '.';
	memcpy(s->path + s->path_len, text, len);
	s->path_len += len;
	s->path[s->path_len] = '\0';
	return 0;
}

static int on_key(const char *text, size_t len, void *arg)
{
	struct json_stream *s = arg;
	struct level *l = top(s);

	switch (s->place) {
	case PLACE_DOCUMENT:
		return json_build_key(&s->build, text, len);
	case PLACE_PICK:
		l->value_node = json_paths_key(s->paths, l->node, text, len, &l->is_any);
		if (l->value_node == JSON_PATH_NONE)
			return JSON_SCAN_SKIP;
		if (!l->is_any)
			return 0;
		buf_clear(&s->key);
		return buf_add(&s->key, text, len);
	case PLACE_ENVELOPE:
		return envelope_key(s, text, len);
	}
	return 0;
}

static const struct json_scan_ops scan_ops = {.on_scalar = on_scalar, .on_key = on_key, .on_begin = on_begin, .on_end = on_end,
						.on_deep = on_deep};

int json_stream_new(enum json_envelope envelope, const struct json_paths *paths,
		    const struct json_stream_ops *ops, void *arg, struct json_stream **ret)
{
	struct json_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->envelope = envelope;
	s->paths = paths;
	s->ops = ops;
	s->arg = arg;
	s->key.max = LIMIT_TEXT_BYTES;
	r = json_scan_new(&scan_ops, s, &s->scan);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void json_stream_free(struct json_stream *s)
{
	if (!s)
		return;
	json_scan_free(s->scan);
	json_build_done(&s->build);
	buf_done(&s->key);
	free(s);
}

void json_stream_want_document(struct json_stream *s)
{
	s->wants_document = true;
}

bool json_stream_is_cut(const struct json_stream *s)
{
	return s->build.is_cut;
}

static int feed_slice(struct json_stream *s, const char *data, size_t len)
{
	s->object_bytes += len;
	if (s->object_bytes > LIMIT_OBJECT_BYTES + len)
		return s->r = -E2BIG;
	return s->r = json_scan_feed(s->scan, data, len);
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
	if (s->r == 0)
		s->r = json_scan_end(s->scan);
	return s->r;
}
