/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"
#include "json/json_stream.h"

#define UNFIT "\xef\xbf\xbd"

/* What a stream told, as text: one line for each call. */
struct told {
	struct buf log;
	struct json_stream *stream;
	const char *document_after; /* ask for a document when this envelope value comes */
	int refuse_pick;	    /* on_pick answers this */
	int refuse_object;
	unsigned n_cut;
};

static int on_object(const struct doc *doc, void *arg)
{
	struct told *t = arg;
	CLEANUP(free) char *text = doc ? doc_text(doc) : strdup("-");

	cr_assert(text);
	t->n_cut += t->stream && json_stream_is_cut(t->stream);
	cr_assert_eq(buf_add(&t->log, "object ", strlen("object ")), 0);
	cr_assert_eq(buf_add(&t->log, text, strlen(text)), 0);
	cr_assert_eq(buf_add(&t->log, "\n", 1), 0);
	return t->refuse_object;
}

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	struct told *t = arg;

	cr_assert_eq(buf_addf(&t->log, "%s=%.*s\n", path, (int)len, text), 0);
	if (t->document_after && strlen(t->document_after) == len && memcmp(text, t->document_after, len) == 0)
		json_stream_want_document(t->stream);
	return 0;
}

static int on_begin(void *arg)
{
	struct told *t = arg;

	return buf_addf(&t->log, "begin\n");
}

static int on_pick(const struct json_pick *p, void *arg)
{
	struct told *t = arg;

	if (p->what == JSON_END)
		cr_assert_eq(buf_addf(&t->log, "end %d\n", p->id), 0);
	else
		cr_assert_eq(buf_addf(&t->log, "pick %d %.*s=%.*s%s\n", p->id, (int)p->key_len, p->key ? p->key : "",
				      (int)p->text_len, p->text, p->is_string ? "" : " bare"), 0);
	return t->refuse_pick;
}

static const struct json_stream_ops ops = {
	.on_object = on_object, .on_envelope = on_envelope, .on_begin = on_begin, .on_pick = on_pick};

enum { RV, NAME, ADDRESS, ELEMENT, LABEL, PORT, TAG };

static const struct json_field fields[] = {
	{"metadata.resourceVersion", RV},	{"metadata.name", NAME},
	{"status.addressing[].ipv4", ADDRESS},	{"endpoints[]", ELEMENT},
	{"endpoints[].port", PORT},		{"security-labels.*", LABEL},
	{"tags[]", TAG},
};

/* Feeds in pieces of `chunk` bytes. Returns the first failure, or that of the end. */
static int feed(struct told *t, enum json_envelope envelope, bool picks, const char *text, size_t len, size_t chunk)
{
	CLEANUP(json_paths_free) struct json_paths *paths = NULL;
	CLEANUP(json_stream_free) struct json_stream *s = NULL;
	int r = 0;

	cr_assert_eq(json_paths_new(fields, ARRAY_LEN(fields), &paths), 0);
	cr_assert_eq(json_stream_new(envelope, picks ? paths : NULL, &ops, t, &s), 0);
	t->stream = s;
	for (size_t at = 0; r == 0 && at < len; at += chunk) {
		/* A copy of its own, so that a read past it is found. */
		CLEANUP(free) char *piece = malloc(MIN(chunk, len - at));

		memcpy(piece, text + at, MIN(chunk, len - at));
		r = json_stream_feed(s, piece, MIN(chunk, len - at));
	}
	if (r < 0)
		cr_assert_eq(json_stream_feed(s, "{}", 2), r, "a failure lasts");
	return r < 0 ? r : json_stream_end(s);
}

static const struct {
	const char *title;
	enum json_envelope envelope;
	bool picks;
	const char *document_after;
	const char *text;
	int r;
	const char *told;
} cases[] = {
	{"picks of a watch", JSON_WATCH, true, "BOOKMARK",
	 "{\"type\":\"ADDED\",\"object\":{\"kind\":\"X\",\"metadata\":{\"name\":\"a\\u00e9\",\"resourceVersion\":\"7\"},"
	 "\"status\":{\"addressing\":[{\"ipv4\":\"10.0.0.1\",\"ipv6\":\"fd00::1\"},{\"ipv4\":\"10.0.0.2\"}],"
	 "\"networking\":{\"name\":\"no\"}},\"name\":\"no\"}}\n"
	 "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n"
	 "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"b\"}}}",
	 0,
	 "type=ADDED\nbegin\npick 1 =a\xc3\xa9\npick 0 =7\npick 2 =10.0.0.1\npick 2 =10.0.0.2\nobject -\n"
	 "type=BOOKMARK\nobject {\"metadata\":{\"resourceVersion\":\"9\"}}\n"
	 "type=DELETED\nbegin\npick 1 =b\nobject -\n"},
	{"ends of elements, numbers, any key", JSON_WATCH, true, NULL,
	 "{\"type\":\"ADDED\",\"object\":{\"endpoints\":[{\"port\":80,\"x\":[{}]},{},{\"port\":-1.5e3}],"
	 "\"security-labels\":{\"k8s:a\":\"1\",\"\":\"empty\",\"b\":null,\"c\":{\"port\":1},\"d\":true},"
	 "\"tags\":[\"x\",[\"y\"],1,{\"z\":2}]}}",
	 0,
	 "type=ADDED\nbegin\npick 5 =80 bare\nend 3\nend 3\npick 5 =-1.5e3 bare\nend 3\n"
	 "pick 4 k8s:a=1\npick 4 =empty\npick 4 b=null bare\nend 4\npick 4 d=true bare\n"
	 "pick 6 =x\nend 6\npick 6 =1 bare\nend 6\nobject -\n"},
	{"picks of a list", JSON_LIST, true, NULL,
	 "{\"kind\":\"L\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"42\",\"continue\":\"abc\"},"
	 "\"items\":[{\"metadata\":{\"name\":\"a\"}},{},{\"metadata\":{\"name\":\"b\"}}]}",
	 0,
	 "kind=L\napiVersion=v1\nmetadata.resourceVersion=42\nmetadata.continue=abc\n"
	 "begin\npick 1 =a\nobject -\nbegin\nobject -\nbegin\npick 1 =b\nobject -\n"},
	{"documents of a list, metadata last", JSON_LIST, false, NULL,
	 "{\"items\":[{\"a\":[1,2.5,true,null,\"\\n\",{\"b\":{}},[]]},{}],\"metadata\":{\"resourceVersion\":\"1\"}}", 0,
	 "object {\"a\":[1,2.5,true,null,\"\\n\",{\"b\":{}},[]]}\nobject {}\nmetadata.resourceVersion=1\n"},
	{"documents of a watch", JSON_WATCH, false, NULL,
	 "{\"object\":{\"x\":9223372036854775807},\"type\":\"ADDED\"}  {\"type\":\"MODIFIED\",\"object\":{}}", 0,
	 "type=ADDED\nobject {\"x\":9223372036854775807}\ntype=MODIFIED\nobject {}\n"},
	{"nothing at all", JSON_WATCH, true, NULL, "", 0, ""},
	{"only space", JSON_WATCH, true, NULL, " \n\t", 0, ""},
	{"a list without items", JSON_LIST, true, NULL, "{\"items\":null}", 0, "items=null\n"},
	{"an object of an unknown name", JSON_LIST, false, NULL, "{\"other\":[{\"items\":[{}]}],\"items\":[]}", 0, ""},
	{"two values under one key", JSON_WATCH, true, NULL,
	 "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}}", 0,
	 "type=ADDED\nbegin\npick 1 =a\npick 1 =b\nobject -\n"},

	{"cut in an object", JSON_WATCH, true, NULL, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"", -EBADMSG,
	 "type=ADDED\nbegin\npick 1 =a\n"},
	{"cut in the event of an object", JSON_WATCH, true, NULL,
	 "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}", -EBADMSG, "type=ADDED\nbegin\npick 1 =a\n"},
	/* the brace that follows is of something else, and makes the beginning of an object look like a whole one */
	{"an object that garbage closes", JSON_WATCH, true, NULL,
	 "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}]", -EBADMSG, "type=ADDED\nbegin\npick 1 =a\n"},
	{"a document that garbage closes", JSON_WATCH, false, NULL, "{\"object\":{\"metadata\":{}}<", -EBADMSG, ""},
	{"two objects in one event", JSON_WATCH, false, NULL, "{\"object\":{},\"object\":{}}", -EBADMSG, ""},
	{"an event without an object", JSON_WATCH, true, NULL, "{\"type\":\"DELETED\"}{\"object\":{}}", -EBADMSG, "type=DELETED\n"},
	{"an event of two types", JSON_WATCH, true, "BOOKMARK", "{\"type\":\"BOOKMARK\",\"type\":\"ADDED\",\"object\":{}}", -EBADMSG,
	 "type=BOOKMARK\n"},
	{"a document of two types", JSON_WATCH, false, NULL, "{\"type\":\"ADDED\",\"object\":{},\"type\":\"DELETED\"}", -EBADMSG,
	 "type=ADDED\n"},
	/* how it was taken depends on what it is */
	{"a type that comes too late", JSON_WATCH, true, "BOOKMARK", "{\"object\":{},\"type\":\"BOOKMARK\"}", -EBADMSG, "begin\n"},
	{"cut before the close", JSON_LIST, false, NULL, "{\"items\":[{}]", -EBADMSG, "object {}\n"},
	{"cut in a word", JSON_WATCH, true, NULL, "{}\ntru", -EBADMSG, ""},
	{"a number at the top", JSON_WATCH, true, NULL, "1 ", -EBADMSG, ""},
	{"a number at the top, cut", JSON_WATCH, true, NULL, "12", -EBADMSG, ""},
	{"an array at the top", JSON_LIST, true, NULL, "[{}]", -EBADMSG, ""},
	{"no object", JSON_WATCH, true, NULL, "{\"object\":7}", -EBADMSG, ""},
	{"an array for an object", JSON_WATCH, false, NULL, "{\"object\":[]}", -EBADMSG, ""},
	{"a string among items", JSON_LIST, false, NULL, "{\"items\":[{},\"x\"]}", -EBADMSG, "object {}\n"},
	{"an array among items", JSON_LIST, false, NULL, "{\"items\":[[]]}", -EBADMSG, ""},
	{"two lists in one answer", JSON_LIST, false, NULL, "{\"items\":[{}]}{\"items\":[{}]}", -EBADMSG, "object {}\n"},
	{"no JSON", JSON_WATCH, true, NULL, "<html>", -EBADMSG, ""},
	{"a comma too many", JSON_WATCH, false, NULL, "{\"object\":{\"a\":1,}}", -EBADMSG, ""},
	/* what is wrong within one object is that object's loss */
	{"numbers that are none", JSON_WATCH, false, NULL,
	 "{\"object\":{\"a\":1e999,\"b\":-1e400,\"c\":1000000000000000000000000000000000000000000000000000000000000000000000}}{\"object\":{}}", 0,
	 "object {\"a\":\"\xef\xbf\xbd\",\"b\":\"\xef\xbf\xbd\",\"c\":\"\xef\xbf\xbd\"}\nobject {}\n"},
	{"bytes that are no UTF-8 in a document", JSON_WATCH, false, NULL,
	 "{\"object\":{\"a\":\"x\xff\",\"b\":\"\xc0\x80\",\"c\":\"\xed\xa0\x80\",\"d\":\"\xf4\x90\x80\x80\",\"e\":\"\xe2\x82\"}}{\"object\":{}}", 0,
	 "object {\"a\":\"\xef\xbf\xbd\",\"b\":\"\xef\xbf\xbd\",\"c\":\"\xef\xbf\xbd\",\"d\":\"\xef\xbf\xbd\","
	 "\"e\":\"\xef\xbf\xbd\"}\nobject {}\n"},
	{"bytes that are", JSON_WATCH, false, NULL, "{\"object\":{\"a\":\"\xc2\x80\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"}}", 0,
	 "object {\"a\":\"\xc2\x80\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"}\n"},
	{"and in one of its keys", JSON_WATCH, false, NULL, "{\"object\":{\"\xc3(\":1}}", 0, "object {\"\xef\xbf\xbd\":1}\n"},
	/* Cilium's own objects may hold a NUL in free text: it must neither cut the text nor stop the stream. */
	{"a NUL in a document", JSON_WATCH, false, NULL,
	 "{\"type\":\"A\",\"object\":{\"a\":\"x\\u0000y\",\"k\\u0000\":1}}{\"type\":\"B\",\"object\":{}}", 0,
	 "type=A\nobject {\"a\":\"x\xef\xbf\xbdy\",\"k\xef\xbf\xbd\":1}\ntype=B\nobject {}\n"},
	{"a NUL in a key of the envelope", JSON_WATCH, true, NULL, "{\"object\\u0000\":{}}", -EBADMSG, ""},
};

Test(json_stream, every_case_in_every_chunk_size)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t chunk = 1; chunk <= len + 1; chunk++) {
			struct told t = {.document_after = cases[i].document_after};
			int r = feed(&t, cases[i].envelope, cases[i].picks, cases[i].text, len, chunk);

			cr_expect_eq(r, cases[i].r, "%s, chunks of %zu: %d", cases[i].title, chunk, r);
			cr_expect_str_eq(t.log.data ? t.log.data : "", cases[i].told, "%s, chunks of %zu", cases[i].title,
					 chunk);
			buf_done(&t.log);
		}
	}
}

/* True if the first `n` bytes are whole values. */
static bool is_whole(const char *text, size_t n)
{
	int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string)
			depth += (text[i] == '{' || text[i] == '[') - (text[i] == '}' || text[i] == ']');
	}
	return depth == 0;
}

/* A text that is cut within a value never ends well; what was told is the beginning of all there was. */
Test(json_stream, cut_anywhere)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t cut = 0; cases[i].r == 0 && cut < len; cut++) {
			struct told t = {.document_after = cases[i].document_after};
			int r = feed(&t, cases[i].envelope, cases[i].picks, cases[i].text, cut, 16);

			cr_expect_eq(r, is_whole(cases[i].text, cut) ? 0 : -EBADMSG, "%s, cut after %zu: %d",
				     cases[i].title, cut, r);
			cr_expect(str_has_prefix(cases[i].told, t.log.data ? t.log.data : ""), "%s, cut after %zu",
				  cases[i].title, cut);
			buf_done(&t.log);
		}
	}
}

Test(json_stream, answers_of_callbacks_end_it)
{
	static const char text[] = "{\"type\":\"A\",\"object\":{\"metadata\":{\"name\":\"a\"}}}";
	struct told t = {.refuse_pick = -EPERM};

	cr_expect_eq(feed(&t, JSON_WATCH, true, text, strlen(text), 5), -EPERM);
	buf_done(&t.log);
	t = (struct told){.refuse_object = -EXDEV};
	cr_expect_eq(feed(&t, JSON_WATCH, true, text, strlen(text), 100), -EXDEV);
	cr_expect_eq(feed(&t, JSON_WATCH, false, text, strlen(text), 100), -EXDEV);
	buf_done(&t.log);
}

static size_t count_objects(const struct told *t)
{
	size_t n = 0;

	for (const char *p = t->log.data; p && (p = strstr(p, "object ")); p++)
		n++;
	return n;
}

/* An object that is nested so deep, before a small one; `ret_objects` gets how many came. */
static int feed_nested(unsigned depth, bool picks, size_t *ret_objects)
{
	CLEANUP(buf_done) struct buf b = {0};
	struct told t = {.log = {.max = SIZE_MAX / 2}};
	int r;

	cr_assert_eq(buf_addf(&b, "{\"type\":\"A\",\"object\":{\"a\":"), 0);
	for (unsigned i = 2; i < depth; i++)
		cr_assert_eq(i % 2 ? buf_addf(&b, "{\"b\":") : buf_addf(&b, "["), 0);
	cr_assert_eq(buf_addf(&b, "1"), 0);
	for (unsigned i = depth - 1; i >= 2; i--)
		cr_assert_eq(buf_addf(&b, i % 2 ? "}" : "]"), 0);
	cr_assert_eq(buf_addf(&b, ",\"metadata\":{\"name\":\"x\"}}}{\"type\":\"B\",\"object\":{}}"), 0);
	r = feed(&t, JSON_WATCH, picks, b.data, b.len, 7);
	*ret_objects = count_objects(&t);
	cr_expect(!picks || strstr(t.log.data, "pick 1 =x"), "what comes after it is picked");
	cr_expect(picks || !strstr(t.log.data, UNFIT) == (depth <= LIMIT_JSON_DEPTH), "depth %u", depth);
	buf_done(&t.log);
	return r;
}

Test(json_stream, depth)
{
	static const unsigned depths[] = {3, LIMIT_JSON_DEPTH - 1, LIMIT_JSON_DEPTH, LIMIT_JSON_DEPTH + 1, LIMIT_JSON_DEPTH + 2, 5000};
	CLEANUP(buf_done) struct buf b = {0};
	struct told t = {0};
	size_t n;

	for (int picks = 0; picks < 2; picks++)
		for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
			cr_expect_eq(feed_nested(depths[i], picks, &n), 0, "depth %u", depths[i]);
			cr_expect_eq(n, 2, "depth %u", depths[i]);
		}
	for (unsigned i = 0; i <= LIMIT_JSON_DEPTH; i++)
		cr_assert_eq(buf_addf(&b, "{\"a\":"), 0);
	cr_expect_eq(feed(&t, JSON_WATCH, false, b.data, b.len, 7), -E2BIG, "the envelope is the server's");
	buf_done(&t.log);
}

/* An object with a string of `size` bytes, between two small ones. */
static int feed_big(size_t size, bool picks, size_t chunk, size_t *ret_objects)
{
	CLEANUP(buf_done) struct buf b = {.max = SIZE_MAX / 2};
	CLEANUP(free) char *text = malloc(size);
	struct told t = {.log = {.max = SIZE_MAX / 2}};
	int r;

	memset(text, 'x', size);
	cr_assert_eq(buf_addf(&b, "{\"object\":{}}{\"object\":{\"a\":\""), 0);
	cr_assert_eq(buf_add(&b, text, size), 0);
	cr_assert_eq(buf_addf(&b, "\"}}{\"object\":{}}"), 0);
	r = feed(&t, JSON_WATCH, picks, b.data, b.len, chunk);
	*ret_objects = count_objects(&t);
	buf_done(&t.log);
	return r;
}

Test(json_stream, size)
{
	static const size_t chunks[] = {4096, 100000, 64 * 1024 * 1024};

	for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
		for (int picks = 0; picks < 2; picks++) {
			size_t n;

			cr_expect_eq(feed_big(LIMIT_OBJECT_BYTES - 100, picks, chunks[i], &n), 0, "chunks of %zu",
				     chunks[i]);
			cr_expect_eq(n, 3);
			cr_expect_eq(feed_big(LIMIT_OBJECT_BYTES + 200000, picks, chunks[i], &n), -E2BIG,
				     "chunks of %zu", chunks[i]);
			cr_expect_eq(n, 1);
		}
}

/* An object that would take too much, before a small one: `again` so often between `begin` and `end`. */
static const struct {
	const char *title, *begin, *again, *end;
	unsigned n;
	const char *told;
} large[] = {
	{"numbers", "{\"apiVersion\":\"v\",\"metadata\":{\"labels\":{\"x\":\"y\"},\"name\":\"a\",\"namespace\":\"b\"},\"spec\":[[", "1,",
	 "1],{\"a\":[{}]}],\"status\":{\"a\":1}}", 1200000,
	 "{\"apiVersion\":\"" UNFIT "\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"spec\":\"" UNFIT "\",\"status\":\"" UNFIT "\"}"},
	{"its names behind it", "{\"spec\":[", "{},",
	 "[]],\"metadata\":{\"annotations\":{\"name\":\"x\"},\"generation\":1,\"name\":\"a\",\"resourceVersion\":\"7\",\"uid\":\"u\"},\"a\":[]}", 1200000,
	 "{\"a\":\"" UNFIT "\",\"metadata\":{\"generation\":1,\"name\":\"a\",\"resourceVersion\":\"7\",\"uid\":\"u\"},\"spec\":\"" UNFIT "\"}"},
	{"labels", "{\"metadata\":{\"uid\":\"u\",\"labels\":{", "\"a\":{},", "\"b\":1},\"name\":\"a\",\"uid\":{\"name\":\"x\"}},\"spec\":{}}", 400000,
	 "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"},\"spec\":\"" UNFIT "\"}"},
	{"names without end", "{\"metadata\":{", "\"name\":\"\",", "\"name\":\"a\"}}", 250000, "{\"metadata\":{\"name\":\"a\"}}"},
	{"members", "{\"metadata\":{\"name\":\"a\"},", "\"spec\":{\"name\":1},", "\"metadata\":[{\"name\":\"x\"}],\"metadata\":\"x\"}", 160000,
	 "{\"metadata\":{\"name\":\"a\"},\"spec\":\"" UNFIT "\"}"},
	{"members of text", "{", "\"spec\":\"\",", "\"\xff\":1,\"k\\u0000\":1,\"metadata\":{\"name\":\"a\"}}", 250000,
	 "{\"k" UNFIT "\":\"" UNFIT "\",\"metadata\":{\"name\":\"a\"},\"spec\":\"" UNFIT "\",\"" UNFIT "\":\"" UNFIT "\"}"},
};

Test(json_stream, documents_that_are_too_large)
{
	static const size_t chunks[] = {999, 64 * 1024 * 1024};

	for (size_t i = 0; i < ARRAY_LEN(large) * ARRAY_LEN(chunks); i++) {
		size_t c = i / ARRAY_LEN(chunks), chunk = chunks[i % ARRAY_LEN(chunks)];
		CLEANUP(free) char *want = str_printf("object %s\nobject {\"metadata\":{\"labels\":{}}}\n", large[c].told);
		CLEANUP(buf_done) struct buf b = {.max = SIZE_MAX / 2};
		struct told t = {0};

		cr_assert_eq(buf_addf(&b, "{\"object\":%s", large[c].begin), 0);
		for (unsigned n = 0; n < large[c].n; n++)
			cr_assert_eq(buf_add(&b, large[c].again, strlen(large[c].again)), 0);
		cr_assert_eq(buf_addf(&b, "%s}{\"object\":{\"metadata\":{\"labels\":{},\"managedFields\":[{}]}}}", large[c].end), 0);
		cr_expect_eq(feed(&t, JSON_WATCH, false, b.data, b.len, chunk), 0, "%s", large[c].title);
		cr_expect_str_eq(t.log.data, want, "%s", large[c].title);
		buf_done(&t.log);
	}
}

/* Unless etcd was told to take more than 1.5 MiB, whatever it has fits: here of what takes the most in memory for its text. */
Test(json_stream, what_fits_into_etcd_is_never_too_large)
{
	static const char *const dear[] = {"{}", "[]", "\"\"", "1", "null", "123456789", "-1.5", "1e9", "\"\xff\"", "\"\\u0000\"", "1e999",
					   "{\"\":{}}", "{\"\":\"\"}", "[{}]"};
	enum { ETCD = 3 * 1024 * 1024 / 2 };

	for (size_t i = 0; i < ARRAY_LEN(dear); i++) {
		CLEANUP(buf_done) struct buf b = {.max = SIZE_MAX / 2};
		struct told t = {.log = {.max = SIZE_MAX / 2}};

		cr_assert_eq(buf_addf(&b, "{\"object\":{\"spec\":[%s", dear[i]), 0);
		while (b.len < ETCD)
			cr_assert_eq(buf_addf(&b, ",%s", dear[i]), 0);
		cr_assert_eq(buf_addf(&b, "]}}"), 0);
		cr_expect_eq(feed(&t, JSON_WATCH, false, b.data, b.len, 1 << 20), 0, "%s", dear[i]);
		cr_expect_eq(t.n_cut, 0, "%s", dear[i]);
		cr_expect_gt(t.log.len, b.len / 2, "%s", dear[i]);
		buf_done(&t.log);
	}
}

/* Members that nobody knows leave no room for marks: what readers look for is marked nevertheless. */
Test(json_stream, too_many_members_before_the_spec)
{
	CLEANUP(buf_done) struct buf b = {.max = SIZE_MAX / 2};
	struct told t = {.log = {.max = SIZE_MAX / 2}};

	cr_assert_eq(buf_addf(&b, "{\"object\":{"), 0);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(buf_addf(&b, "\"m%u\":1,", i), 0);
	cr_assert_eq(buf_addf(&b, "\"metadata\":{\"name\":\"a\"},\"spec\":{\"a\":[1"), 0);
	for (unsigned i = 0; i < 1200000; i++)
		cr_assert_eq(buf_add(&b, ",1", 2), 0);
	cr_assert_eq(buf_addf(&b, "]}}}"), 0);
	cr_expect_eq(feed(&t, JSON_WATCH, false, b.data, b.len, 1 << 20), 0);
	cr_expect_eq(t.n_cut, 1);
	cr_expect(strstr(t.log.data, "\"spec\":\"" UNFIT "\""));
	cr_expect(strstr(t.log.data, "\"specs\":\"" UNFIT "\""));
	buf_done(&t.log);
}

/* One text that is longer than any that somebody has a use for costs its object no more than what holds it. */
Test(json_stream, a_text_that_is_too_long)
{
	static const size_t chunks[] = {1000, 64 * 1024 * 1024};

	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		CLEANUP(buf_done) struct buf b = {.max = SIZE_MAX / 2};
		struct told t = {.log = {.max = SIZE_MAX / 2}};

		cr_assert_eq(buf_addf(&b, "{\"object\":{\"a\":\""), 0);
		for (size_t n = 0; n <= LIMIT_TEXT_BYTES; n++)
			cr_assert_eq(buf_add(&b, "x", 1), 0);
		cr_assert_eq(buf_addf(&b, "\",\"b\":\"c\"}}{\"object\":{\"d\":1}}"), 0);
		cr_expect_eq(feed(&t, JSON_WATCH, false, b.data, b.len, chunks[i]), 0);
		cr_expect_str_eq(t.log.data, "object {\"a\":\"" UNFIT "\",\"b\":\"c\"}\nobject {\"d\":1}\n");
		buf_done(&t.log);
	}
}

/* A specific path wins over "*", in whatever order they are given. */
Test(json_stream, specific_before_any)
{
	static const struct json_field both[2][2] = {{{"m.*", 1}, {"m.a", 2}}, {{"m.a", 2}, {"m.*", 1}}};
	static const char text[] = "{\"object\":{\"m\":{\"a\":\"x\",\"b\":\"y\"}}}";

	for (int i = 0; i < 2; i++) {
		CLEANUP(json_paths_free) struct json_paths *paths = NULL;
		CLEANUP(json_stream_free) struct json_stream *s = NULL;
		struct told t = {0};

		cr_assert_eq(json_paths_new(both[i], 2, &paths), 0);
		cr_assert_eq(json_stream_new(JSON_WATCH, paths, &ops, &t, &s), 0);
		cr_assert_eq(json_stream_feed(s, text, strlen(text)), 0);
		cr_expect_str_eq(t.log.data, "begin\npick 2 =x\npick 1 b=y\nobject -\n", "order %d", i);
		buf_done(&t.log);
	}
}
