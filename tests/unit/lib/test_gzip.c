/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>

#include "apiserver_gzip.h"

enum { HEAD = 10, BLOCK_HEAD = 5, TAIL = 8 };

/*
 * What a reader has before it sees the end of a member: Go's tells what comes with the end only once it knows what is
 * behind it, so a client would wait for a line until the next one comes.
 */
Test(gzip, lines_can_be_read_before_their_end)
{
	static const char text[] = "first\nsecond line\n";
	struct buf b = {0};
	const unsigned char *p;
	size_t line = 0;

	cr_assert_eq(buf_add(&b, text, sizeof(text) - 1), 0);
	gzip_each_line(&b);
	p = (const unsigned char *)b.data;
	for (const char *rest = text; *rest; rest += line) {
		line = strcspn(rest, "\n") + 1;
		cr_assert_eq(p[0], 0x1f);
		cr_assert_eq(p[1], 0x8b);
		p += HEAD;
		cr_assert_eq(p[0], 0, "the text is in the last block");
		cr_assert_eq((size_t)p[1] | (size_t)p[2] << 8, line);
		cr_assert_arr_eq(p + BLOCK_HEAD, rest, line);
		p += BLOCK_HEAD + line;
		cr_assert_arr_eq(p, "\0\0\0\xff\xff", BLOCK_HEAD, "no flush");
		cr_assert_arr_eq(p + BLOCK_HEAD, "\1\0\0\xff\xff", BLOCK_HEAD, "no end");
		p += 2 * BLOCK_HEAD + TAIL;
	}
	cr_assert_eq(p, (const unsigned char *)b.data + b.len);
	buf_done(&b);
}
