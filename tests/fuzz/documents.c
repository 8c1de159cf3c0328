/* SPDX-License-Identifier: Apache-2.0 */
#include "documents.h"

#include <string.h>

#include "base/buf.h"
#include "json/json.h"
#include "json/json_stream.h"

enum { CHUNK = 7 };

struct feed {
	document_fn fn;
	void *arg;
	const struct doc *same; /* what the only document must equal; NULL = anything */
	unsigned n;
};

static void check_same(const struct doc *a, const struct doc *b)
{
	CLEANUP(free) char *one = doc_text(a);
	CLEANUP(free) char *other = doc_text(b);

	CHECK(one && other && strcmp(one, other) == 0);
}

static int on_object(const struct doc *doc, void *arg)
{
	struct feed *f = arg;

	f->n++;
	if (f->same)
		check_same(f->same, doc);
	f->fn(doc, f->arg);
	return 0;
}

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	(void)path;
	(void)text;
	(void)len;
	(void)arg;
	return 0;
}

/* What json_stream_end() says, or the failure before it. */
static int stream(enum json_envelope envelope, const char *data, size_t size, size_t chunk, struct feed *f)
{
	static const struct json_stream_ops ops = {.on_object = on_object, .on_envelope = on_envelope};
	struct json_stream *s;
	int r = 0;

	CHECK(json_stream_new(envelope, NULL, &ops, f, &s) == 0);
	for (size_t at = 0; r == 0 && at < size; at += chunk)
		r = json_stream_feed(s, data + at, size - at < chunk ? size - at : chunk);
	if (r == 0)
		r = json_stream_end(s);
	json_stream_free(s);
	CHECK(r <= 0);
	return r;
}

void documents_feed(const uint8_t *data, size_t size, document_fn fn, void *arg)
{
	CLEANUP(json_decref) json_t *tree = json_parse((const char *)data, size);
	CLEANUP(doc_free) struct doc *doc = doc_from_json(tree);
	CLEANUP(doc_free) struct doc *parsed = doc_parse((const char *)data, size);
	CLEANUP(buf_done) struct buf event = {.max = size + 64};
	struct feed f = {.fn = fn, .arg = arg};

	if (doc)
		fn(doc, arg);
	(void)stream(JSON_WATCH, (const char *)data, size, size ? size : 1, &f);
	(void)stream(JSON_LIST, (const char *)data, size, size ? size : 1, &f);
	if (!doc_is_object(doc))
		return;
	if (parsed) /* jansson takes NUL behind a number */
		check_same(doc, parsed);
	f.n = 0;
	f.same = doc;
	CHECK(buf_addf(&event, "{\"type\":\"ADDED\",\"object\":") == 0 && buf_add(&event, data, size) == 0 &&
	      buf_addf(&event, "}") == 0);
	if (stream(JSON_WATCH, event.data, event.len, CHUNK, &f) == 0)
		CHECK(f.n == 1);
}
