/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_gzip.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "apiserver_util.h"

enum { BLOCK_MAX = 65535 };

static uint32_t crc_of(const char *data, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static void add_number(struct buf *b, uint32_t v, unsigned bytes)
{
	unsigned char le[] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), (unsigned char)(v >> 24)};

	must_add(b, le, bytes);
}

static void add_block(struct buf *b, bool is_last, const char *data, size_t len)
{
	add_number(b, is_last, 1);
	add_number(b, (uint32_t)len, 2);
	add_number(b, ~(uint32_t)len, 2);
	if (len)
		must_add(b, data, len);
}

static void add_member(struct buf *b, const char *data, size_t len)
{
	static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};

	must_add(b, head, sizeof(head));
	for (size_t at = 0; at < len;) {
		size_t n = MIN(len - at, (size_t)BLOCK_MAX);

		add_block(b, false, data + at, n);
		at += n;
	}
	/* As a flush, and then the end: Go's reader keeps what comes with an end until it knows what is behind that. */
	add_block(b, false, NULL, 0);
	add_block(b, true, NULL, 0);
	add_number(b, crc_of(data, len), 4);
	add_number(b, (uint32_t)len, 4);
}

void gzip_each_line(struct buf *b)
{
	struct buf out = {0};

	for (size_t at = 0; at < b->len;) {
		const char *end = memchr(b->data + at, '\n', b->len - at);
		size_t n = end ? (size_t)(end - (b->data + at)) + 1 : b->len - at;

		add_member(&out, b->data + at, n);
		at += n;
	}
	buf_done(b);
	*b = out;
}
