/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/macro.h"
#include "json/json.h"
#include "../../lib/random.h"

Test(json, parse)
{
	static const struct {
		const char *text;
		size_t len; /* 0 = all */
		bool ok;
	} cases[] = {
		{"{}", 0, true},
		{" {\"a\":[1,2]} ", 0, true},
		{"{\"a\":1,\"a\":2}", 0, false},
		{"{\"a\":1} x", 0, false},
		{"{} {}", 0, false},
		{"{\"a\":1", 0, false},
		{"", 0, false},
		{"{\"a\":\"\xff\"}", 0, false},
		{"{\"a\":\"\\u0000\"}", 0, false},
		{"{\"a\\u0000\":1}", 0, false},
		{"{}\0", 3, false},
		{"{\"a\":\"\0\"}", 9, false},
		{"{\"a\":1e999}", 0, false},
		{"{'a':1}", 0, false},
		{"{\"a\":01}", 0, false},
		{"[\"[[[[{{{{\\\"]\"]", 0, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *v =
			json_parse(cases[i].text, cases[i].len ? cases[i].len : strlen(cases[i].text));

		cr_expect_eq(v != NULL, cases[i].ok, "%s", cases[i].text);
	}
}

Test(json, depth)
{
	for (unsigned depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
		char text[2 * LIMIT_JSON_DEPTH + 4];

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		CLEANUP(json_decref) json_t *v = json_parse(text, 2 * depth);
		cr_expect_eq(v != NULL, depth <= LIMIT_JSON_DEPTH, "depth %u", depth);
	}
	for (size_t n = 1; n < 3000000; n *= 3) {
		CLEANUP(free) char *text = malloc(n);

		memset(text, '[', n);
		cr_expect_null(json_parse(text, n));
	}
}

/* Keys are counted like values, as they take as much; what is in a text is none. */
Test(json, few_values)
{
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {{"[]", 2}, {"[1,2]", 3}, {"{\"a\":{\"b\":[1,2,3]}}", 8}, {"[\",:[{\\\",\"]", 2}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *v = json_parse_small(cases[i].text, strlen(cases[i].text), cases[i].n);

		cr_expect(v, "%s", cases[i].text);
		cr_expect_null(json_parse_small(cases[i].text, strlen(cases[i].text), cases[i].n - 1), "%s", cases[i].text);
		cr_expect_eq(errno, E2BIG);
	}
	cr_expect_null(json_parse_small("[1,", 3, 10));
	cr_expect_eq(errno, EBADMSG);
}

Test(json, readers)
{
	static const char text[] = "{\"a\":{\"b\":\"x\",\"n\":-5,\"t\":true,\"f\":false,\"z\":null,\"l\":[{\"b\":1}],"
				   "\"r\":1.5},\"\":{\"\":\"e\"}}";
	CLEANUP(json_decref) json_t *v = json_parse(text, strlen(text));
	char long_path[1000];

	cr_assert(v);
	cr_expect_str_eq(json_str(v, "a.b", "no"), "x");
	cr_expect_str_eq(json_str(v, "a.n", "no"), "no");
	cr_expect_str_eq(json_str(v, "a.b.c", "no"), "no");
	cr_expect_str_eq(json_str(v, "b", "no"), "no");
	cr_expect_str_eq(json_str(v, "a.l.b", "no"), "no", "no way through an array");
	cr_expect_null(json_str(NULL, "a", NULL));
	cr_expect_eq(json_int(v, "a.n", 7), -5);
	cr_expect_eq(json_int(v, "a.r", 7), 7);
	cr_expect_eq(json_int(v, "a.b", 7), 7);
	cr_expect_eq(json_truth(v, "a.t", 0), 1);
	cr_expect_eq(json_truth(v, "a.f", 1), 0);
	cr_expect_eq(json_truth(v, "a.z", 1), 1);
	cr_expect_eq(json_truth(v, "a.n", 0), 0);
	cr_expect_eq(json_at(v, ""), v);
	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	cr_expect_null(json_at(v, long_path));
}

Test(json, a_clone_is_equal_and_apart)
{
	static const char text[] = "{\"a\":[1,2.5,\"x\",true,null,{\"b\":{}}],\"c\":[]}";
	json_t *v = json_parse(text, sizeof(text) - 1), *all = json_clone(v), *top = json_clone_top(v);

	cr_assert(v);
	cr_assert(json_equal(v, all));
	cr_assert(json_equal(v, top));
	cr_assert_neq(json_object_get(v, "a"), json_object_get(all, "a"));
	cr_assert_eq(json_object_get(v, "a"), json_object_get(top, "a"));
	cr_assert_null(json_clone(NULL));
	cr_assert_null(json_clone_top(json_object_get(v, "c")));
	json_decref(v);
	json_decref(all);
	json_decref(top);
}

Test(json, text_is_sorted_and_compact)
{
	static const char in[] = "{ \"b\" : 1, \"a\" : [ null ] }";
	CLEANUP(json_decref) json_t *v = json_parse(in, strlen(in));
	CLEANUP(free) char *text = json_text(v);

	cr_expect_str_eq(text, "{\"a\":[null],\"b\":1}");
}

static json_t *random_text(struct random *r)
{
	static const char *const pieces[] = {"a", "\"", "\\", "/", "\b\f\n\r\t", "\x01\x1f", "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "<>&'"};
	CLEANUP(buf_done) struct buf b = {0};

	for (unsigned n = random_below(r, 6); n; n--) {
		const char *piece = PICK(r, pieces);

		cr_assert_eq(buf_add(&b, piece, strlen(piece)), 0);
		if (random_chance(r, 10))
			cr_assert_eq(buf_add(&b, "", 1), 0); /* NUL */
	}
	return json_stringn(b.data ? b.data : "", b.len);
}

static json_t *random_document(struct random *r, unsigned depth)
{
	static const json_int_t numbers[] = {0, 1, -1, 80, INT64_MAX, INT64_MIN};
	static const double reals[] = {0.0, -0.0, 0.1, 1.0, -2.5, 1e300, 1e-300, 123456789.125};
	unsigned kind = random_below(r, depth ? 8 : 6);
	json_t *v;

	switch (kind) {
	case 0:
		return random_chance(r, 50) ? json_true() : json_false();
	case 1:
		return json_null();
	case 2:
		return json_integer(PICK(r, numbers));
	case 3:
		return json_real(PICK(r, reals));
	case 4:
	case 5:
		return random_text(r);
	default:
		break;
	}
	v = kind == 6 ? json_array() : json_object();
	for (unsigned n = random_below(r, random_chance(r, 10) ? 40 : 5); n; n--) {
		CLEANUP(json_decref) json_t *key = random_text(r);

		if (kind == 6)
			cr_assert_eq(json_array_append_new(v, random_document(r, depth - 1)), 0);
		else
			cr_assert_eq(json_object_set_new(v, json_string_value(key), random_document(r, depth - 1)), 0);
	}
	return v;
}

/* Checksums and files of earlier runs hold what jansson wrote. */
Test(json, text_is_what_jansson_writes)
{
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		struct random r = {seed};
		CLEANUP(json_decref) json_t *v = random_document(&r, 4);
		CLEANUP(free) char *text = json_text(v);
		CLEANUP(free) char *want = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

		cr_assert_str_eq(text, want, "seed %llu", (unsigned long long)seed);
	}
	cr_expect_null(json_text(NULL));
}
