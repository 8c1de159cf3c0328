/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "json/doc_write.h"
#include "json/json.h"

static struct doc *of(const char *text)
{
	struct doc *d = doc_parse(text, strlen(text));

	cr_assert(d, "%s", text);
	return d;
}

Test(doc, readers)
{
	CLEANUP(doc_free) struct doc *d = of("{\"s\":\"text\",\"e\":\"\",\"n\":null,\"t\":true,\"f\":false,\"r\":1.5,\"o\":{\"a.b\":1,"
					     "\"p\":{\"q\":\"deep\"}},\"l\":[1,[2],{}]}");

	cr_expect_str_eq(doc_str(doc_get(d, "s")), "text");
	cr_expect_eq(doc_len(doc_get(d, "s")), 4);
	cr_expect_str_eq(doc_str(doc_get(d, "e")), "");
	cr_expect_null(doc_get(d, "n"));
	cr_expect(doc_is_null(doc_get_any(d, "n")));
	cr_expect(doc_is_true(doc_get(d, "t")) && doc_is_boolean(doc_get(d, "t")));
	cr_expect(!doc_is_true(doc_get(d, "f")) && doc_is_boolean(doc_get(d, "f")));
	cr_expect(!doc_is_integer(doc_get(d, "r")) && !doc_is_string(doc_get(d, "r")));
	cr_expect_eq(doc_int(doc_get(doc_get(d, "o"), "a.b")), 1);
	cr_expect_str_eq(doc_str_at(d, "o.p.q", "none"), "deep");
	cr_expect_str_eq(doc_str_at(d, "o.p", "none"), "none");
	cr_expect_str_eq(doc_str_at(d, "s.p", "none"), "none");
	cr_expect_eq(doc_int_at(d, "s", 7), 7);
	cr_expect_null(doc_at(d, "o.a.b"));
	cr_expect_null(doc_get(d, "absent"));
	cr_expect_null(doc_get(doc_get(d, "l"), "s"));
	cr_expect_eq(doc_array_size(doc_get(d, "l")), 3);
	cr_expect_eq(doc_array_size(d), 0);
	cr_expect_eq(doc_object_size(d), 8);
	cr_expect_eq(doc_object_size(doc_get(d, "l")), 0);
}

Test(doc, nothing_is_empty)
{
	cr_expect_null(doc_str(NULL));
	cr_expect_null(doc_get(NULL, "a"));
	cr_expect_null(doc_at(NULL, "a.b"));
	cr_expect_null(doc_elements(NULL).v);
	cr_expect_null(doc_members(NULL).v);
	cr_expect_null(doc_copy(NULL));
	cr_expect_null(doc_from_json(NULL));
	cr_expect_null(doc_text(NULL));
	cr_expect_eq(doc_len(NULL) + doc_array_size(NULL) + doc_object_size(NULL) + doc_hash(NULL), 0);
	cr_expect_eq(doc_int(NULL), 0);
	cr_expect_null(doc_members(doc_empty()).v);
	cr_expect(doc_is_object(doc_empty()));
}

Test(doc, integers)
{
	static const long long numbers[] = {0, 1, -1, 65535, 134217727, 134217728, -134217727, -134217728, -134217729, 4294967296LL, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		CLEANUP(doc_write_done) struct doc_writer w = {0};
		CLEANUP(free) char *text = NULL;
		char want[32];

		(void)snprintf(want, sizeof(want), "%lld", numbers[i]);
		cr_assert_eq(doc_write_number(&w, want, strlen(want)), 0);
		cr_expect(doc_is_integer(doc_written(&w)));
		cr_expect_eq(doc_int(doc_written(&w)), numbers[i], "%s", want);
		text = doc_text(doc_written(&w));
		cr_expect_str_eq(text, want);
	}
}

Test(doc, walks)
{
	CLEANUP(doc_free) struct doc *d = of("{\"a\":[[1,2],{\"x\":\"y\"},3,\"four\",[]],\"b\":{},\"c\":5}");
	static const char *const keys[] = {"a", "b", "c"};
	size_t n = 0;

	for (struct doc_iter i = doc_members(d); i.v; doc_next(&i), n++) {
		cr_expect_eq(i.n, n);
		cr_expect_str_eq(i.key, keys[n]);
		cr_expect_eq(i.v, doc_get(d, keys[n]));
	}
	cr_expect_eq(n, 3);
	n = 0;
	for (struct doc_iter i = doc_elements(doc_get(d, "a")); i.v; doc_next(&i), n++)
		cr_expect_null(i.key);
	cr_expect_eq(n, 5);
	cr_expect_null(doc_elements(d).v);
	cr_expect_null(doc_members(doc_get(d, "a")).v);
}

/* Of few members each pair is compared, of many by a table; in either the last one counts, as in Go. */
Test(doc, equal_keys)
{
	static const unsigned sizes[] = {2, 3, 16, 17, 40, 1000};

	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		CLEANUP(buf_done) struct buf b = {.max = 1 << 20};
		CLEANUP(doc_free) struct doc *d = NULL;
		unsigned distinct = sizes[s] / 2 + 1, seen = 0;

		for (unsigned i = 0; i < sizes[s]; i++)
			cr_assert_eq(buf_addf(&b, "%s\"k%u\":%u", i ? "," : "{", i % distinct, i), 0);
		cr_assert_eq(buf_addf(&b, "}"), 0);
		d = of(b.data);
		cr_expect_eq(doc_object_size(d), MIN(distinct, sizes[s]), "%u", sizes[s]);
		for (struct doc_iter i = doc_members(d); i.v; doc_next(&i), seen++)
			cr_expect_eq(i.v, doc_get(d, i.key));
		cr_expect_eq(seen, doc_object_size(d), "%u", sizes[s]);
		for (unsigned i = sizes[s] - MIN(distinct, sizes[s]); i < sizes[s]; i++) {
			char key[16];

			(void)snprintf(key, sizeof(key), "k%u", i % distinct);
			cr_expect_eq(doc_int(doc_get(d, key)), i, "%s of %u", key, sizes[s]);
		}
	}
}

Test(doc, texts_and_trees_make_the_same)
{
	static const char text[] = "{\"b\":[1,2.50,-0.0,\"\\u00e9\\n\",true,null],\"a\":{\"y\":12345678901,\"x\":{}}}";
	CLEANUP(json_decref) json_t *tree = json_parse(text, strlen(text));
	CLEANUP(doc_free) struct doc *a = doc_from_json(tree);
	CLEANUP(doc_free) struct doc *b = of(text);
	CLEANUP(doc_free) struct doc *c = doc_copy(doc_get(b, "a"));
	CLEANUP(free) char *want = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
	CLEANUP(free) char *one = doc_text(a);
	CLEANUP(free) char *two = doc_text(b);
	CLEANUP(free) char *three = doc_text(c);

	cr_expect_str_eq(one, want);
	cr_expect_str_eq(two, want);
	cr_expect_str_eq(three, "{\"x\":{},\"y\":12345678901}");
	cr_expect_eq(doc_hash(c), doc_hash(doc_get(b, "a")));
	cr_expect_neq(doc_hash(c), doc_hash(b));
}

Test(doc, what_is_no_document)
{
	static const char *const texts[] = {"", "1", "\"a\"", "null", "{", "{}{}", "[] 1", "{\"a\"}", "[1,]"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		cr_expect_null(doc_parse(texts[i], strlen(texts[i])), "%s", texts[i]);
}

/* What does not fit is not there, and what was there before is as it was. */
Test(doc, limits)
{
	enum { MAX = 64 * 1024 };
	CLEANUP(doc_write_done) struct doc_writer w = {.max_bytes = MAX};
	CLEANUP(free) char *long_text = calloc(MAX, 1);
	int r = doc_write_begin(&w, true);
	unsigned n = 0;

	cr_assert_eq(r, 0);
	cr_expect_eq(doc_write_string(&w, long_text, MAX), -E2BIG);
	while ((r = doc_write_string(&w, "four", 4)) == 0)
		n++;
	cr_expect_eq(r, -E2BIG);
	cr_expect_eq(n, (MAX - 4) / 12);
	cr_expect_eq(doc_write_end(&w), 0);
	cr_expect_eq(doc_array_size(doc_written(&w)), n);
	doc_write_clear(&w);
	cr_expect_null(doc_written(&w));
	cr_expect_eq(doc_write_null(&w), 0);
	cr_expect(doc_is_null(doc_written(&w)));
}

Test(doc, depth)
{
	CLEANUP(doc_write_done) struct doc_writer w = {0};

	for (unsigned i = 0; i < DOC_DEPTH_MAX; i++)
		cr_assert_eq(doc_write_begin(&w, true), 0);
	cr_expect_eq(doc_write_begin(&w, true), -E2BIG);
}
