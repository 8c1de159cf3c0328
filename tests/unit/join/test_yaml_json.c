/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "json/json.h"
#include "kube/yaml_json.h"

static void check(const char *yaml, const char *want)
{
	CLEANUP(json_decref) json_t *all = NULL;
	CLEANUP(free) char *text = NULL;
	struct err err = {0};

	cr_assert_eq(yaml_to_json(yaml, strlen(yaml), &all, &err), 0, "%s: %s", yaml, err.text);
	text = json_text(all);
	cr_expect_str_eq(text, want, "%s gave %s", yaml, text);
}

Test(yaml, scalars)
{
	check("[a, 'b', \"1\", 1, -2, 007, true, False, ~, '', 1.5, 0, 0x10]",
	      "[[\"a\",\"b\",\"1\",1,-2,\"007\",true,false,null,\"\",\"1.5\",0,\"0x10\"]]");
}

Test(yaml, documents)
{
	check("", "[]");
	check("---\n---\na: 1\n---\n# nothing\n---\nb: {c: [x]}\n", "[{\"a\":1},{\"b\":{\"c\":[\"x\"]}}]");
	check("a: >-\n  one\n  two\nb: |\n  three\n", "[{\"a\":\"one two\",\"b\":\"three\\n\"}]");
	check("a: &x {k: v}\nb: *x\n", "[{\"a\":{\"k\":\"v\"},\"b\":{\"k\":\"v\"}}]");
}

Test(yaml, what_is_refused)
{
	static const char *const bad[] = {"a: [", "a: 1\na: 2\n", "{[x]: y}", "\t- a", "a: b: c", "- a\nb: c"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(json_decref) json_t *all = NULL;
		struct err err = {0};

		cr_expect_eq(yaml_to_json(bad[i], strlen(bad[i]), &all, &err), -EINVAL, "%s", bad[i]);
		cr_expect_neq(strstr(err.text, "line"), NULL, "%s: %s", bad[i], err.text);
		cr_expect_eq(all, NULL);
	}
}

Test(yaml, aliases_cannot_blow_it_up)
{
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(json_decref) json_t *all = NULL;
	struct err err = {0};

	cr_assert_eq(buf_addf(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"), 0);
	for (int i = 1; i < 10; i++)
		cr_assert_eq(buf_addf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1,
				      i - 1, i - 1, i - 1, i - 1, i - 1, i - 1),
			     0);
	cr_expect_eq(yaml_to_json(text.data, text.len, &all, &err), -EINVAL);
}

Test(yaml, depth_is_limited)
{
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(json_decref) json_t *all = NULL;
	struct err err = {0};

	for (int i = 0; i < 100; i++)
		cr_assert_eq(buf_add(&text, "[", 1), 0);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(buf_add(&text, "]", 1), 0);
	cr_expect_eq(yaml_to_json(text.data, text.len, &all, &err), -EINVAL);
}
