/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incremental JSON, for what the API server streams. Two ways to take a value: picked fields, found
 * by path without building anything (for objects that come by the hundred thousand), or a document
 * (for the others). The caller says at the start of each value which one it wants.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "json/doc.h"

/*
 * One path to pick, e.g. "status.networking.addressing[].ipv4", "security-labels.*". A key that is
 * named wins over "*" of the same place.
 */
struct json_field {
	const char *path;
	int id; /* >= 0 */
};

/* Compiled paths; immutable, shared by any number of streams. */
struct json_paths;
int json_paths_new(const struct json_field *fields, size_t n, struct json_paths **ret);
void json_paths_free(struct json_paths *p);
DEFINE_CLEANUP(struct json_paths *, json_paths_free)

enum json_what {
	JSON_SCALAR, /* text is the string, or the number, "true", "false" or "null" as written */
	JSON_END,    /* end of an array element or object whose path was asked for */
};

struct json_pick {
	int id;
	enum json_what what;
	bool is_string;
	const char *key; /* what "*" matched, else NULL; not NUL-terminated */
	size_t key_len;
	const char *text; /* not NUL-terminated */
	size_t text_len;
};

/*
 * Picks from one object: called for each matching value, in the order of the text. Negative return
 * ends the stream with it.
 */
typedef int (*json_pick_fn)(const struct json_pick *pick, void *arg);

struct json_stream;

struct json_stream_ops {
	/*
	 * An object is complete, and of a watch the event around it, too: in document mode `doc` is it
	 * (for the call), in pick mode NULL. In its texts U+FFFD stands for NUL, and that text for what it cannot hold: text that is
	 * not UTF-8, a number too large, what is nested deeper than LIMIT_JSON_DEPTH. So such an object is its own loss and no
	 * other's. One that would take more than LIMIT_DOCUMENT_BYTES is cut: see json_stream_is_cut(). Negative return ends the
	 * stream.
	 */
	int (*on_object)(const struct doc *doc, void *arg);
	/* A scalar of the envelope, by path ("type", "metadata.resourceVersion"). Negative ends. */
	int (*on_envelope)(const char *path, const char *text, size_t len, void *arg);
	/* Pick mode, before the first pick of an object. May be NULL. */
	int (*on_begin)(void *arg);
	json_pick_fn on_pick;
};

enum json_envelope {
	JSON_WATCH, /* {"type": T, "object": O} {"type": ..., each of both once */
	JSON_LIST,  /* {"metadata": {...}, "items": [O, O, ...]} */
};

/* `paths` NULL = document mode. `paths` and `ops` are borrowed and must outlive the stream. */
int json_stream_new(enum json_envelope envelope, const struct json_paths *paths,
		    const struct json_stream_ops *ops, void *arg, struct json_stream **ret);
void json_stream_free(struct json_stream *s);
DEFINE_CLEANUP(struct json_stream *, json_stream_free)

/* The next object comes as a document although the stream has paths. To be called from on_envelope. */
void json_stream_want_document(struct json_stream *s);

/*
 * To be called from on_object: its document was too large, and has only what names it. In place of its other members is
 * U+FFFD, so that each reader refuses it; metadata has neither labels nor annotations.
 */
bool json_stream_is_cut(const struct json_stream *s);

/*
 * Feeds text. 0; -EBADMSG if it is not JSON or of another shape; -E2BIG for an object above
 * LIMIT_OBJECT_BYTES, or an envelope nested deeper than LIMIT_JSON_DEPTH; -ENOMEM; what a callback returned.
 * After a failure the stream can only be freed.
 */
int json_stream_feed(struct json_stream *s, const char *data, size_t len);

/* The text is over. -EBADMSG if it ended within a value. */
int json_stream_end(struct json_stream *s);
