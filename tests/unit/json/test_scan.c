/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner alone: what is JSON and what is not, whatever pieces it comes in; and beside jansson on random text. */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>

#include "../../lib/random.h"
#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/macro.h"
#include "json/json_scan.h"

/* What was told, as text, and as a document. */
struct told {
	struct buf log;
	json_t *open[LIMIT_JSON_DEPTH];
	char *keys[LIMIT_JSON_DEPTH];
	unsigned depth, values;
	json_t *root;
	const char *skip_key; /* its value is left out */
	int skip_depth;	      /* so are the contents of what begins at this depth; -1 = none */
	int refuse;	      /* what on_scalar answers */
	bool has_extreme;     /* a number that jansson has no type for */
};

static void add(struct told *t, json_t *v)
{
	cr_assert_not_null(v);
	if (t->depth == 0) {
		t->values++;
		json_decref(t->root);
		t->root = v;
	} else if (json_is_array(t->open[t->depth - 1])) {
		cr_assert_eq(json_array_append_new(t->open[t->depth - 1], v), 0);
	} else {
		cr_assert_eq(json_object_set_new_nocheck(t->open[t->depth - 1], t->keys[t->depth - 1], v), 0);
	}
}

static json_t *number(struct told *t, const char *text, size_t len)
{
	CLEANUP(free) char *copy = strndup(text, len);
	bool is_real = strpbrk(copy, ".eE");
	double real = is_real ? strtod(copy, NULL) : 0;
	long long i;

	errno = 0;
	i = is_real ? 0 : strtoll(copy, NULL, 10);
	t->has_extreme |= !isfinite(real) || errno == ERANGE;
	if (!isfinite(real))
		return json_null();
	return is_real ? json_real(real) : json_integer(i);
}

static json_t *value(struct told *t, enum json_kind kind, const char *text, size_t len)
{

	switch (kind) {
	case JSON_KIND_STRING:
		return json_stringn_nocheck(text, len);
	case JSON_KIND_NUMBER:
		return number(t, text, len);
	case JSON_KIND_TRUE:
		return json_true();
	case JSON_KIND_FALSE:
		return json_false();
	case JSON_KIND_NULL:
		return json_null();
	}
	return NULL;
}

static int on_scalar(enum json_kind kind, const char *text, size_t len, void *arg)
{
	struct told *t = arg;

	cr_assert_eq(buf_addf(&t->log, "%c<%.*s> ", "snTFN"[kind], (int)len, text), 0);
	add(t, value(t, kind, text, len));
	return t->refuse;
}

static int on_key(const char *text, size_t len, void *arg)
{
	struct told *t = arg;

	cr_assert_eq(buf_addf(&t->log, "%.*s: ", (int)len, text), 0);
	free(t->keys[t->depth - 1]);
	t->keys[t->depth - 1] = strndup(text, len);
	return t->skip_key && strlen(t->skip_key) == len && memcmp(text, t->skip_key, len) == 0 ? JSON_SCAN_SKIP : 0;
}

static int on_begin(bool is_array, void *arg)
{
	struct told *t = arg;

	cr_assert_eq(buf_addf(&t->log, "%c ", is_array ? '[' : '{'), 0);
	if (t->skip_depth == (int)t->depth)
		return JSON_SCAN_SKIP;
	t->open[t->depth] = is_array ? json_array() : json_object();
	t->keys[t->depth++] = NULL;
	return 0;
}

static int on_end(void *arg)
{
	struct told *t = arg;

	cr_assert_eq(buf_addf(&t->log, ". "), 0);
	t->depth--;
	free(t->keys[t->depth]);
	add(t, t->open[t->depth]);
	return 0;
}

static const struct json_scan_ops ops = {.on_scalar = on_scalar, .on_key = on_key, .on_begin = on_begin, .on_end = on_end};

static void done(struct told *t)
{
	while (t->depth) {
		t->depth--;
		json_decref(t->open[t->depth]);
		free(t->keys[t->depth]);
	}
	json_decref(t->root);
	buf_done(&t->log);
}

/* In pieces of `chunk`, each a copy of its own, so that a read past it is found. Returns how it ended. */
static int scan(struct told *t, const char *text, size_t len, size_t chunk)
{
	CLEANUP(json_scan_free) struct json_scan *s = NULL;
	int r = 0;

	cr_assert_eq(json_scan_new(&ops, t, &s), 0);
	for (size_t at = 0; r == 0 && at < len; at += chunk) {
		CLEANUP(free) char *piece = malloc(MIN(chunk, len - at));

		memcpy(piece, text + at, MIN(chunk, len - at));
		r = json_scan_feed(s, piece, MIN(chunk, len - at));
	}
	if (r < 0)
		cr_assert_eq(json_scan_feed(s, "1 ", 2), r, "a failure lasts");
	return r < 0 ? r : json_scan_end(s);
}

#define LONG_TEXT "0123456789 0123456789 0123456789 0123456789"
#define BAD	  "bad"

static const struct {
	const char *text, *told; /* BAD: not JSON */
} cases[] = {
	{"", ""},
	{" \t\r\n", ""},
	{"1", "n<1> "},
	{"0 -0 1.5 -1.5e+10 1E3 1e-0 9223372036854775807",
	 "n<0> n<-0> n<1.5> n<-1.5e+10> n<1E3> n<1e-0> n<9223372036854775807> "},
	{"true false null", "T<true> F<false> N<null> "},
	{"\"\" \"a\" \"" LONG_TEXT "\"", "s<> s<a> s<" LONG_TEXT "> "},
	{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "s<\"\\/\b\f\n\r\t> "},
	{"\"a\\u0041\\u00e9\\u20ACz\\uD83D\\uDE00.\"", "s<aA\xc3\xa9\xe2\x82\xacz\xf0\x9f\x98\x80.> "},
	{"\"\\uD83D\"", "s<\xef\xbf\xbd> "},
	{"\"\\uD83Dx\\uDE00\"", "s<\xef\xbf\xbdx\xef\xbf\xbd> "},
	{"\"\\uD83D\\n\\uD83D\\uD83D\\uDE00\"", "s<\xef\xbf\xbd\n\xef\xbf\xbd\xf0\x9f\x98\x80> "},
	{"\"\\uD83D\\u0041\"", "s<\xef\xbf\xbd" "A> "},
	{"[] {} [[]] [{}]", "[ . { . [ [ . . [ { . . "},
	{"[1,2]", "[ n<1> n<2> . "},
	{" [ 1 , \"a\" , true ] ", "[ n<1> s<a> T<true> . "},
	{"{\"a\":1,\"b\":{\"c\":[null]}}", "{ a: n<1> b: { c: [ N<null> . . . "},
	{"{ \"a\\n\" : \"b\" }", "{ a\n: s<b> . "},
	{"{\"\":\"\"}", "{ : s<> . "},
	{"{\"a\":1,\"a\":2}", "{ a: n<1> a: n<2> . "},
	{"\"\x7f\xff\xc0\x80\"", "s<\x7f\xff\xc0\x80> "}, /* not UTF-8: for others to check */

	{"[", BAD}, {"]", BAD}, {"{", BAD}, {"}", BAD}, {"[}", BAD}, {"{]", BAD}, {"[1", BAD}, {"[1,", BAD},
	{"[1,]", BAD},
	{"[,1]", BAD}, {"[1 2]", BAD}, {"[1:2]", BAD}, {"{1:2}", BAD}, {"{\"a\"}", BAD}, {"{\"a\":}", BAD},
	{"{\"a\",1}", BAD},
	{"{\"a\":1,}", BAD}, {"{,}", BAD}, {"{\"a\":1 \"b\":2}", BAD}, {"{a:1}", BAD}, {"{\"a\"::1}", BAD},
	{"{\"a\":1]", BAD},
	{",", BAD}, {":", BAD}, {"1,2", BAD}, {"[1]]", BAD}, {"+1", BAD}, {"-", BAD}, {"01", BAD}, {"-01", BAD},
	{"1.", BAD}, {".5", BAD},
	{"1e", BAD}, {"1e+", BAD}, {"1.e1", BAD}, {"--1", BAD}, {"1-1", BAD}, {"0x1", BAD}, {"1a", BAD}, {"NaN", BAD},
	{"Infinity", BAD},
	{"tru", BAD}, {"truE", BAD}, {"truefalse", BAD}, {"nul", BAD}, {"True", BAD}, {"nulll", BAD}, {"\"", BAD},
	{"\"a", BAD}, {"\"\\", BAD},
	{"\"\\\"", BAD}, {"\"\\x\"", BAD}, {"\"\\u12\"", BAD}, {"\"\\u12g4\"", BAD}, {"\"\\u123", BAD},
	{"\"a\nb\"", BAD}, {"\"a\tb\"", BAD},
	{"'a'", BAD}, {"/**/1", BAD}, {"\xef\xbb\xbf" "1", BAD}, {"\x01", BAD}, {"[\"a\"b]", BAD},
	{"{\"a\":\"b\"\"c\":1}", BAD},
};

Test(json_scan, what_is_json)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = cases[i].text;
		bool is_bad = strcmp(cases[i].told, BAD) == 0;

		for (size_t chunk = 1; chunk <= strlen(text) + 1; chunk++) {
			struct told t = {.skip_depth = -1};
			int r = scan(&t, text, strlen(text), chunk);

			cr_expect_eq(r, is_bad ? -EBADMSG : 0, "%s in pieces of %zu: %d", text, chunk, r);
			if (!is_bad)
				cr_expect_str_eq(t.log.data ? t.log.data : "", cases[i].told, "%s in pieces of %zu", text, chunk);
			done(&t);
		}
	}
}

/* NUL is no end of text: in a string it is not allowed, and as an escape it is one character. */
Test(json_scan, nul)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {{"\"a\0b\"", 5}, {"[\0]", 3}, {"\"\\\0\"", 4}, {"1\0", 2}};
	struct told t = {.skip_depth = -1};

	cr_expect_eq(scan(&t, "\"a\\u0000b\"", 10, 10), 0);
	cr_expect_eq(json_string_length(t.root), 3);
	done(&t);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t = (struct told){.skip_depth = -1};
		cr_expect_eq(scan(&t, bad[i].text, bad[i].len, bad[i].len), -EBADMSG, "%zu", i);
		done(&t);
	}
}

static const struct {
	const char *text, *key;
	int depth;
	const char *told;
} skips[] = {
	{"{\"a\":1,\"x\":2,\"b\":3}", "x", -1, "{ a: n<1> x: b: n<3> . "},
	{"{\"x\":[{\"y\":[1,\"]}\\\"\"]},{}],\"b\":3} 4", "x", -1, "{ x: b: n<3> . n<4> "},
	{"{\"x\":{},\"b\":{\"x\":\"\\u00e9\",\"x\":null}}", "x", -1, "{ x: b: { x: x: . . "},
	{"{\"a\":{\"b\":[1,{}]},\"c\":[{\"d\":1}]}[2]", NULL, 1, "{ a: { c: [ . [ n<2> . "},
	{"[[1],[[2]],3]", NULL, 0, "[ "},
	{"[1]5[2]", NULL, 0, "[ n<5> [ "},
	{"{\"x\":[1,}", "x", -1, BAD},
	{"{\"x\":{\"a\":01}}", "x", -1, BAD},
	{"{\"x\":\"\n\"}", "x", -1, BAD},
	{"{\"x\":[\"\\q\"]}", "x", -1, BAD},
	{"{\"x\":[}]}", "x", -1, BAD},
	{"{\"x\":{\"a\" 1}}", "x", -1, BAD},
	{"{\"x\":nulL}", "x", -1, BAD},
	{"{\"x\":", "x", -1, BAD},
};

/* What is left out is still looked at for its form. */
Test(json_scan, leaves_out)
{
	for (size_t i = 0; i < ARRAY_LEN(skips); i++) {
		size_t len = strlen(skips[i].text);
		bool is_bad = strcmp(skips[i].told, BAD) == 0;

		for (size_t chunk = 1; chunk <= len; chunk++) {
			struct told t = {.skip_key = skips[i].key, .skip_depth = skips[i].depth};
			int r = scan(&t, skips[i].text, len, chunk);

			cr_expect_eq(r, is_bad ? -EBADMSG : 0, "%s in pieces of %zu: %d", skips[i].text, chunk, r);
			if (!is_bad)
				cr_expect_str_eq(t.log.data, skips[i].told, "%s in pieces of %zu", skips[i].text, chunk);
			done(&t);
		}
	}
}

Test(json_scan, limits)
{
	char deep[2 * LIMIT_JSON_DEPTH + 2];
	struct told t = {.skip_depth = -1};

	memset(deep, '[', LIMIT_JSON_DEPTH + 1);
	memset(deep + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
	cr_expect_eq(scan(&t, deep + 1, 2 * LIMIT_JSON_DEPTH, 16), 0);
	cr_expect_eq(scan(&t, deep, sizeof(deep), 16), -E2BIG);
	done(&t);
	t = (struct told){.skip_depth = 0};
	cr_expect_eq(scan(&t, deep, sizeof(deep), 16), 0, "what is left out may be deeper");
	done(&t);
}

Test(json_scan, answers_end_it)
{
	struct told t = {.skip_depth = -1, .refuse = -EPERM};

	cr_expect_eq(scan(&t, "[1,2]", 5, 5), -EPERM);
	cr_expect_str_eq(t.log.data, "[ n<1> ");
	done(&t);
}

static struct random rnd = {.state = 20261129};

static void random_value(struct buf *b, unsigned depth)
{
	static const char *const scalars[] = {"0",    "-1",    "12.5",	 "1e2",	   "true",	  "false",    "null",
					      "\"\"", "\"a\"", "\"\\n\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"long enough for a word\"", "123456789"};
	unsigned n = random_below(&rnd, 4), what = depth > 5 ? 0 : random_below(&rnd, 3);

	if (what == 0) {
		(void)buf_addf(b, "%s", scalars[random_below(&rnd, ARRAY_LEN(scalars))]);
		return;
	}
	(void)buf_add(b, what == 1 ? "[" : "{", 1);
	for (unsigned i = 0; i < n; i++) {
		(void)buf_addf(b, "%s%s", i ? "," : "", random_below(&rnd, 4) ? "" : " ");
		if (what == 2)
			(void)buf_addf(b, "\"k%u\":", random_below(&rnd, 3));
		random_value(b, depth + 1);
	}
	(void)buf_add(b, what == 1 ? "]" : "}", 1);
}

/* Valid texts, and such that are nearly: both say the same of each, and read the same. */
Test(json_scan, reads_as_jansson_does, .timeout = 120)
{
	static const char letters[] = "{}[]\",:\\ \n\t0123456789.eE+-truefalsnbu/";
	unsigned accepted = 0, refused = 0;

	for (unsigned i = 0; i < 100000; i++) {
		struct told t = {.skip_depth = -1};
		CLEANUP(buf_done) struct buf b = {0};
		json_t *theirs;
		int r;

		random_value(&b, 0);
		for (unsigned changes = random_below(&rnd, 4); changes && b.len; changes--)
			b.data[random_below(&rnd, (unsigned)b.len)] = letters[random_below(&rnd, sizeof(letters) - 1)];
		if (random_below(&rnd, 20) == 0)
			b.len = random_below(&rnd, (unsigned)b.len + 1);
		if (memmem(b.data, b.len, "\\u", 2) && random_below(&rnd, 10))
			goto next; /* half a pair is no error here, see above */
		theirs = json_loadb(b.data, b.len, JSON_DECODE_ANY, NULL);
		r = scan(&t, b.data, b.len, 1 + random_below(&rnd, 30));
		if (!theirs && (t.has_extreme || (memmem(b.data, b.len, "\\u", 2) && r == 0)))
			goto next;
		cr_assert_eq(r == 0 && t.values == 1, theirs != NULL, "%.*s: %d, %u values", (int)b.len, b.data, r, t.values);
		if (theirs)
			cr_assert(json_equal(theirs, t.root), "%.*s", (int)b.len, b.data);
		accepted += theirs != NULL;
		refused += !theirs;
		json_decref(theirs);
	next:
		done(&t);
	}
	cr_assert(accepted > 1000 && refused > 1000, "%u accepted, %u refused", accepted, refused);
}
