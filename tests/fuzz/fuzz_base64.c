/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to base64 and back, and as base64: what is taken in is the one way to write those bytes. */
#include <string.h>

#include "crypto/base64.h"
#include "fuzz.h"

const unsigned replay_runs = 20000;

typedef int (*encode_fn)(const void *data, size_t len, struct buf *ret);
typedef int (*decode_fn)(const char *text, size_t len, struct buf *ret);

static void there_and_back(encode_fn encode, decode_fn decode, const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf text = {0}, back = {0};

	CHECK(encode(data, size, &text) == 0 && decode(text.data, text.len, &back) == 0);
	CHECK(back.len == size && (size == 0 || memcmp(back.data, data, size) == 0));
}

/* Without white space, which the padded form may have. */
static size_t squeeze(const uint8_t *data, size_t size, char *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		if (!data[i] || !strchr(" \t\r\n", data[i]))
			ret[n++] = (char)data[i];
	return n;
}

static void as_text(encode_fn encode, decode_fn decode, const char *text, size_t len)
{
	CLEANUP(buf_done) struct buf bytes = {0}, again = {0};

	if (decode(text, len, &bytes) < 0) {
		CHECK(bytes.len == 0);
		return;
	}
	CHECK(encode(bytes.data, bytes.len, &again) == 0);
	CHECK(again.len == len && memcmp(again.data, text, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf spaced = {0}, plain = {0};
	char *tight;
	size_t n;

	if (size > 65536)
		return 0;
	there_and_back(base64_encode, base64_decode, data, size);
	there_and_back(base64url_encode, base64url_decode, data, size);
	as_text(base64url_encode, base64url_decode, (const char *)data, size);
	tight = malloc(size + 1);
	CHECK(tight);
	n = squeeze(data, size, tight);
	as_text(base64_encode, base64_decode, tight, n);
	CHECK(base64_decode(tight, n, &plain) == base64_decode((const char *)data, size, &spaced));
	CHECK(plain.len == spaced.len && (plain.len == 0 || memcmp(plain.data, spaced.data, plain.len) == 0));
	free(tight);
	return 0;
}
