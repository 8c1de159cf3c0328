/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "base/macro.h"
#include "json/json.h"

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

Test(json, text_is_sorted_and_compact)
{
	static const char in[] = "{ \"b\" : 1, \"a\" : [ null ] }";
	CLEANUP(json_decref) json_t *v = json_parse(in, strlen(in));
	CLEANUP(free) char *text = json_text(v);

	cr_expect_str_eq(text, "{\"a\":[null],\"b\":1}");
}
