/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_util.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

void *must(void *p)
{
	if (!p) {
		(void)fputs("out of memory\n", stderr); /* nothing else is left to do */
		abort();
	}
	return p;
}

void must_ok(int r)
{
	if (r < 0)
		must(NULL);
}

char *must_strdup(const char *s)
{
	return must(strdup(s));
}

char *must_vprintf(const char *fmt, va_list ap)
{
	char *s = NULL;

	must_ok(vasprintf(&s, fmt, ap));
	return s;
}

char *must_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = must_vprintf(fmt, ap);
	va_end(ap);
	return s;
}

void must_add(struct buf *b, const void *data, size_t len)
{
	b->max = SIZE_MAX / 4;
	must_ok(buf_add(b, data, len));
}

void must_add_str(struct buf *b, const char *s)
{
	must_add(b, s, strlen(s));
}

static json_t *json_walk(const json_t *o, va_list ap)
{
	json_t *at = (json_t *)o;
	const char *key;

	while (at && (key = va_arg(ap, const char *)))
		at = json_object_get(at, key);
	return at;
}

json_t *json_at(const json_t *o, ...)
{
	va_list ap;
	json_t *j;

	va_start(ap, o);
	j = json_walk(o, ap);
	va_end(ap);
	return j;
}

const char *text_at(const json_t *o, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, o);
	s = json_string_value(json_walk(o, ap));
	va_end(ap);
	return s ? s : "";
}

void json_put(json_t *o, const char *key, json_t *value)
{
	must_ok(json_object_set_new(o, key, must(value)));
}

void json_put_text(json_t *o, const char *key, const char *value)
{
	json_put(o, key, json_string(value));
}

json_t *json_sub(json_t *o, const char *key)
{
	json_t *sub = json_object_get(o, key);

	if (!json_is_object(sub)) {
		sub = must(json_object());
		json_put(o, key, sub);
	}
	return sub;
}

bool json_has_text(const json_t *array, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach (array, i, item)
		if (json_is_string(item) && str_eq(json_string_value(item), text))
			return true;
	return false;
}

char *json_text(const json_t *j)
{
	return must(json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY));
}

json_t *json_without(const json_t *o, const char *a, const char *b)
{
	json_t *copy = must(json_copy((json_t *)o));

	if (a)
		(void)json_object_del(copy, a); /* missing is fine */
	if (b)
		(void)json_object_del(copy, b);
	return copy;
}

static char *base64_with(const char *alphabet, bool has_padding, const unsigned char *in,
			 size_t len)
{
	char *out = must(malloc((len + 2) / 3 * 4 + 1)), *w = out;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;

		if (i + 1 < len)
			v |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < len)
			v |= in[i + 2];
		*w++ = alphabet[v >> 18];
		*w++ = alphabet[v >> 12 & 63];
		if (i + 1 < len)
			*w++ = alphabet[v >> 6 & 63];
		else if (has_padding)
			*w++ = '=';
		if (i + 2 < len)
			*w++ = alphabet[v & 63];
		else if (has_padding)
			*w++ = '=';
	}
	*w = '\0';
	return out;
}

char *base64(const void *data, size_t len)
{
	return base64_with("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true,
			   data, len);
}

static const char url_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url(const void *data, size_t len)
{
	return base64_with(url_alphabet, false, data, len);
}

unsigned char *base64url_decode(const char *text, size_t len, size_t *ret_len)
{
	CLEANUP(free) unsigned char *out = must(malloc(len / 4 * 3 + 4));
	uint32_t v = 0;
	size_t n = 0;

	if (len % 4 == 1)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		const char *p = text[i] ? strchr(url_alphabet, text[i]) : NULL;

		if (!p)
			return NULL;
		v = v << 6 | (uint32_t)(p - url_alphabet);
		if (i % 4 == 3 || (i + 1 == len && i % 4 != 0)) {
			unsigned bits = (unsigned)(i % 4 + 1) * 6;

			for (; bits >= 8; bits -= 8)
				out[n++] = (unsigned char)(v >> (bits - 8));
			v = 0;
		}
	}
	out[n] = '\0';
	*ret_len = n;
	return TAKE_PTR(out);
}
