/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char URL_ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char STD_ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int encode(const char *alphabet, char pad, const uint8_t *in, size_t len, struct buf *ret)
{
	size_t before = ret->len;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16;
		char out[4];
		int r;

		if (n > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			v |= in[i + 2];
		for (size_t k = 0; k < 4; k++)
			out[k] = k <= n ? alphabet[v >> (18 - 6 * k) & 63] : pad;
		r = buf_add(ret, out, pad ? 4 : n + 1);
		if (r < 0) {
			ret->len = before;
			return r;
		}
	}
	return len ? 0 : buf_add(ret, "", 0);
}

int base64url_encode(const void *data, size_t len, struct buf *ret)
{
	return encode(URL_ALPHABET, 0, data, len, ret);
}

int base64_encode(const void *data, size_t len, struct buf *ret)
{
	return encode(STD_ALPHABET, '=', data, len, ret);
}

/* Adds the bytes that `n` (2 to 4) sextets hold. */
static int add_group(const uint8_t sextet[4], size_t n, struct buf *ret)
{
	uint32_t v = 0;
	char out[3];

	for (size_t k = 0; k < 4; k++)
		v = v << 6 | (k < n ? sextet[k] : 0);
	if ((n == 2 && v & 0xffff) || (n == 3 && v & 0xff))
		return -EINVAL;
	out[0] = (char)(v >> 16);
	out[1] = (char)(v >> 8);
	out[2] = (char)v;
	return buf_add(ret, out, n - 1);
}

static int decode(const char *alphabet, bool padded, const char *text, size_t len, struct buf *ret)
{
	size_t before = ret->len, n = 0, pads = 0;
	uint8_t sextet[4];
	int r = buf_add(ret, "", 0);

	for (size_t i = 0; r == 0 && i < len; i++) {
		const char *at;

		if (padded && text[i] && strchr(" \t\r\n", text[i]))
			continue;
		if (padded && text[i] == '=') {
			pads++;
			continue;
		}
		at = text[i] ? strchr(alphabet, text[i]) : NULL;
		if (!at || pads) {
			r = -EINVAL;
			break;
		}
		sextet[n++] = (uint8_t)(at - alphabet);
		if (n == 4) {
			r = add_group(sextet, 4, ret);
			n = 0;
		}
	}
	if (r == 0 && (n == 1 || (padded && pads != (n ? 4 - n : 0))))
		r = -EINVAL;
	if (r == 0 && n)
		r = add_group(sextet, n, ret);
	if (r < 0)
		ret->len = before;
	return r;
}

int base64url_decode(const char *text, size_t len, struct buf *ret)
{
	return decode(URL_ALPHABET, false, text, len, ret);
}

int base64_decode(const char *text, size_t len, struct buf *ret)
{
	return decode(STD_ALPHABET, true, text, len, ret);
}
