/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/macro.h"
#include "http/http_head.h"

Test(http_head, lines)
{
	static const struct {
		const char *line;
		int64_t retry_after_s, date_s;
	} cases[] = {
		{"Retry-After: 7\r\n", 7, 0},
		{"retry-after:0", 0, 0},
		{"RETRY-AFTER:\t 12 \r\n", 12, 0},
		{"Retry-After: 99999999999999999999\r\n", 86400, 0},
		/* not understood counts as absent: a body may say it, and 0 would mean at once */
		{"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", -1, 0},
		{"Retry-After: \r\n", -1, 0},
		{"Retry-After: 5x\r\n", -1, 0},
		{"Retry-After: -5\r\n", -1, 0},
		{"Retry-After-Not: 5\r\n", -1, 0},
		{"X-Retry-After: 5\r\n", -1, 0},
		{"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", -1, 784111777},
		{"date:Sun, 06 Nov 1994 08:49:37 GMT", -1, 784111777},
		{"Date: never\r\n", -1, 0},
		{"Date:", -1, 0},
		{"HTTP/1.1 200 OK\r\n", -1, 0},
		{"", -1, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_head h = {.retry_after_s = -1};

		http_head_line(&h, cases[i].line, strlen(cases[i].line));
		cr_expect_eq(h.retry_after_s, cases[i].retry_after_s, "\"%s\"", cases[i].line);
		cr_expect_eq(h.date_s, cases[i].date_s, "\"%s\"", cases[i].line);
	}
}

Test(http_head, a_bad_line_leaves_what_a_good_one_said)
{
	struct http_head h = {.retry_after_s = -1};

	http_head_line(&h, "Retry-After: 7\r\n", 16);
	http_head_line(&h, "Retry-After: soon\r\n", 19);
	cr_expect_eq(h.retry_after_s, 7);
}
