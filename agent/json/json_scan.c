/* SPDX-License-Identifier: Apache-2.0 */
#include "json/json_scan.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "json/json_plain.h"

/* What may come next, between tokens. */
enum state {
	STATE_TOP, /* a value, or the end */
	STATE_VALUE,
	STATE_VALUE_OR_END, /* after [ */
	STATE_KEY,
	STATE_KEY_OR_END, /* after { */
	STATE_COLON,
	STATE_AFTER_VALUE,
};

enum token { TOKEN_NONE, TOKEN_STRING, TOKEN_NUMBER, TOKEN_WORD };

enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_HEX };

enum { TEXT_KEPT = 64 * 1024 }; /* memory that is kept for the next text */

enum { SURROGATE_HIGH = 0xd800, SURROGATE_LOW = 0xdc00, SURROGATE_END = 0xe000, REPLACEMENT = 0xfffd };

struct json_scan {
	const struct json_scan_ops *ops;
	void *arg;
	int r; /* first failure */
	enum state state;
	unsigned depth;
	bool is_array[LIMIT_JSON_DEPTH];
	struct buf deep; /* the same for levels below, a byte each; only of what is left out */
	bool is_skipping;
	unsigned skip_depth; /* up to the next value that ends at this depth */

	/* the token that was begun */
	enum token token;
	bool is_key;
	bool is_kept; /* `text` has what came of it so far: earlier pieces, or escapes */
	bool is_long; /* more than `text` takes */
	struct buf text;
	enum escape escape;
	unsigned hex_digits;
	uint32_t hex;
	uint32_t high; /* half of a surrogate pair that waits for the other; 0 = none */
};

/* Stands for a text that is too long: it is not UTF-8. */
static const char too_long[] = "\xff";

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_of_number(char c)
{
	return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static bool is_of_word(char c)
{
	return c >= 'a' && c <= 'z';
}

static size_t digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && is_digit(*p))
		p++;
	return (size_t)(p - start);
}

static bool is_number(const char *p, size_t len)
{
	const char *end = p + len;
	size_t n;

	if (p < end && *p == '-')
		p++;
	n = digits(p, end);
	if (!n || (n > 1 && *p == '0'))
		return false;
	p += n;
	if (p < end && *p == '.') {
		n = digits(++p, end);
		if (!n)
			return false;
		p += n;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		n = digits(p, end);
		if (!n)
			return false;
		p += n;
	}
	return p == end;
}

static int keep(struct json_scan *s, const char *p, size_t len)
{
	int r;

	s->is_kept = true;
	if (s->is_long || (s->is_skipping && s->token == TOKEN_STRING))
		return 0;
	r = buf_add(&s->text, p, len);
	if (r != -E2BIG || s->token != TOKEN_STRING)
		return r;
	s->is_long = true;
	buf_done(&s->text);
	return 0;
}

static int keep_char(struct json_scan *s, uint32_t c)
{
	char utf8[4];
	size_t n;

	if (c < 0x80) {
		utf8[0] = (char)c;
		n = 1;
	} else if (c < 0x800) {
		utf8[0] = (char)(0xc0 | c >> 6);
		utf8[1] = (char)(0x80 | (c & 0x3f));
		n = 2;
	} else if (c < 0x10000) {
		utf8[0] = (char)(0xe0 | c >> 12);
		utf8[1] = (char)(0x80 | (c >> 6 & 0x3f));
		utf8[2] = (char)(0x80 | (c & 0x3f));
		n = 3;
	} else {
		utf8[0] = (char)(0xf0 | c >> 18);
		utf8[1] = (char)(0x80 | (c >> 12 & 0x3f));
		utf8[2] = (char)(0x80 | (c >> 6 & 0x3f));
		utf8[3] = (char)(0x80 | (c & 0x3f));
		n = 4;
	}
	return keep(s, utf8, n);
}

/* The other half did not come. */
static int keep_lone_half(struct json_scan *s)
{
	if (!s->high)
		return 0;
	s->high = 0;
	return keep_char(s, REPLACEMENT);
}

static int keep_unit(struct json_scan *s, uint32_t unit)
{
	uint32_t high = s->high;
	int r;

	if (high && unit >= SURROGATE_LOW && unit < SURROGATE_END) {
		s->high = 0;
		return keep_char(s, 0x10000 + ((high - SURROGATE_HIGH) << 10) + (unit - SURROGATE_LOW));
	}
	r = keep_lone_half(s);
	if (r < 0)
		return r;
	if (unit >= SURROGATE_HIGH && unit < SURROGATE_LOW) {
		s->high = unit;
		return 0;
	}
	return keep_char(s, unit >= SURROGATE_LOW && unit < SURROGATE_END ? REPLACEMENT : unit);
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 'a' - 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of an escape. */
static int escape_go(struct json_scan *s, char c)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	int r;

	if (s->escape == ESCAPE_HEX) {
		int v = hex_value(c);

		if (v < 0)
			return -EBADMSG;
		s->hex = s->hex << 4 | (uint32_t)v;
		if (++s->hex_digits < 4)
			return 0;
		s->escape = ESCAPE_NONE;
		return keep_unit(s, s->hex);
	}
	if (c == 'u') {
		s->escape = ESCAPE_HEX;
		s->hex_digits = 0;
		s->hex = 0;
		return 0;
	}
	letter = c ? strchr(letters, c) : NULL;
	if (!letter)
		return -EBADMSG;
	s->escape = ESCAPE_NONE;
	r = keep_lone_half(s);
	return r < 0 ? r : keep_char(s, (unsigned char)meant[letter - letters]);
}

/* A value was there, all of it. */
static void value_ended(struct json_scan *s)
{
	if (s->is_skipping && s->depth == s->skip_depth) {
		s->is_skipping = false;
		if (s->deep.data) {
			buf_done(&s->deep);
			s->deep.max = LIMIT_OBJECT_BYTES;
		}
	}
	s->state = s->depth ? STATE_AFTER_VALUE : STATE_TOP;
}

static int scalar(struct json_scan *s, enum json_kind kind, const char *text, size_t len)
{
	int r = s->is_skipping ? 0 : s->ops->on_scalar(kind, text, len, s->arg);

	value_ended(s);
	return r;
}

static int key(struct json_scan *s, const char *text, size_t len)
{
	int r = s->is_skipping ? 0 : s->ops->on_key(text, len, s->arg);

	s->state = STATE_COLON;
	if (r == JSON_SCAN_SKIP) {
		s->is_skipping = true;
		s->skip_depth = s->depth;
	}
	return r < 0 ? r : 0;
}

static bool is_in_array(const struct json_scan *s)
{
	if (s->depth > LIMIT_JSON_DEPTH)
		return s->deep.data[s->depth - LIMIT_JSON_DEPTH - 1];
	return s->depth && s->is_array[s->depth - 1];
}

/* 0, JSON_SCAN_SKIP or what ends the scan. */
static int container_told(struct json_scan *s, bool is_array)
{
	int r;

	if (s->is_skipping)
		return 0;
	if (s->depth < LIMIT_JSON_DEPTH)
		return s->ops->on_begin(is_array, s->arg);
	r = s->ops->on_deep ? s->ops->on_deep(s->arg) : -E2BIG;
	return r < 0 ? r : JSON_SCAN_SKIP;
}

static int container_begin(struct json_scan *s, bool is_array)
{
	const char level = is_array;
	int r = container_told(s, is_array);

	if (r == JSON_SCAN_SKIP) {
		s->is_skipping = true;
		s->skip_depth = s->depth;
	}
	if (r >= 0 && s->depth >= LIMIT_JSON_DEPTH)
		r = buf_add(&s->deep, &level, 1);
	else if (r >= 0)
		s->is_array[s->depth] = is_array;
	if (r < 0)
		return r;
	s->depth++;
	s->state = is_array ? STATE_VALUE_OR_END : STATE_KEY_OR_END;
	return 0;
}

static int container_end(struct json_scan *s)
{
	int r = s->is_skipping ? 0 : s->ops->on_end(s->arg);

	if (s->depth > LIMIT_JSON_DEPTH)
		s->deep.len--;
	s->depth--;
	value_ended(s);
	return r;
}

static int word(struct json_scan *s, const char *text, size_t len)
{
	if (len == 4 && memcmp(text, "true", 4) == 0)
		return scalar(s, JSON_KIND_TRUE, text, len);
	if (len == 5 && memcmp(text, "false", 5) == 0)
		return scalar(s, JSON_KIND_FALSE, text, len);
	if (len == 4 && memcmp(text, "null", 4) == 0)
		return scalar(s, JSON_KIND_NULL, text, len);
	return -EBADMSG;
}

/* The token is all there: `len` bytes more of it, which are the whole of it unless some were kept. */
static int token_ended(struct json_scan *s, const char *p, size_t len)
{
	enum token token = s->token;
	int r;

	if (s->is_kept) {
		r = keep(s, p, len);
		if (r < 0)
			return r;
		p = s->is_long ? too_long : s->text.data ? s->text.data : "";
		len = s->is_long ? strlen(too_long) : s->text.len;
	}
	s->token = TOKEN_NONE;
	if (token == TOKEN_NUMBER)
		return is_number(p, len) ? scalar(s, JSON_KIND_NUMBER, p, len) : -EBADMSG;
	if (token == TOKEN_WORD)
		return word(s, p, len);
	return s->is_key ? key(s, p, len) : scalar(s, JSON_KIND_STRING, p, len);
}

/* Goes on with a string, to its end or that of the piece. Returns where, or NULL after a failure. */
static const char *string_go(struct json_scan *s, const char *p, const char *end)
{
	while (p < end) {
		const char *start = p;

		if (s->escape) {
			s->r = escape_go(s, *p++);
			if (s->r < 0)
				return NULL;
			continue;
		}
		if (s->high && *p != '\\') {
			s->r = keep_lone_half(s);
			if (s->r < 0)
				return NULL;
		}
		p = json_plain_end(p, end);
		if (p < end && *p == '"') {
			s->r = token_ended(s, start, (size_t)(p - start));
			return s->r < 0 ? NULL : p + 1;
		}
		s->r = p < end && *p != '\\' ? -EBADMSG : keep(s, start, (size_t)(p - start));
		if (s->r < 0)
			return NULL;
		if (p < end) {
			s->escape = ESCAPE_BEGUN;
			p++;
		}
	}
	return p;
}

/* The same with a number or a word. */
static const char *bare_go(struct json_scan *s, const char *p, const char *end)
{
	bool (*is_of)(char) = s->token == TOKEN_NUMBER ? is_of_number : is_of_word;
	const char *start = p;

	while (p < end && is_of(*p))
		p++;
	s->r = p < end ? token_ended(s, start, (size_t)(p - start)) : keep(s, start, (size_t)(p - start));
	return s->r < 0 ? NULL : p;
}

static const char *token_go(struct json_scan *s, const char *p, const char *end)
{
	return s->token == TOKEN_STRING ? string_go(s, p, end) : bare_go(s, p, end);
}

static const char *token_begin(struct json_scan *s, enum token token, bool is_key, const char *p, const char *end)
{
	s->token = token;
	s->is_key = is_key;
	s->is_kept = s->is_long = false;
	if (s->text.cap > TEXT_KEPT)
		buf_done(&s->text);
	else
		buf_clear(&s->text);
	return p < end ? token_go(s, p, end) : p;
}

/* A string from behind its first quote on. Most are whole in one piece and have no escapes. */
static const char *string_begin(struct json_scan *s, bool is_key, const char *p, const char *end)
{
	const char *q = json_plain_end(p, end);

	if (q == end || *q != '"')
		return token_begin(s, TOKEN_STRING, is_key, p, end);
	s->r = is_key ? key(s, p, (size_t)(q - p)) : scalar(s, JSON_KIND_STRING, p, (size_t)(q - p));
	return s->r < 0 ? NULL : q + 1;
}

static const char *value_begin(struct json_scan *s, const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return string_begin(s, false, p + 1, end);
	case '{':
	case '[':
		s->r = container_begin(s, *p == '[');
		return s->r < 0 ? NULL : p + 1;
	case ']':
		s->r = s->state == STATE_VALUE_OR_END ? container_end(s) : -EBADMSG;
		return s->r < 0 ? NULL : p + 1;
	default:
		return token_begin(s, is_of_word(*p) ? TOKEN_WORD : TOKEN_NUMBER, false, p, end);
	}
}

static int punctuation(struct json_scan *s, char c)
{
	bool is_array = is_in_array(s);

	if (s->state == STATE_COLON && c == ':') {
		s->state = STATE_VALUE;
		return 0;
	}
	if (s->state == STATE_AFTER_VALUE && c == ',') {
		s->state = is_array ? STATE_VALUE : STATE_KEY;
		return 0;
	}
	if ((s->state == STATE_AFTER_VALUE && c == (is_array ? ']' : '}')) || (s->state == STATE_KEY_OR_END && c == '}'))
		return container_end(s);
	return -EBADMSG;
}

/* What is at `p`, which is no space. Returns how far it came, or NULL after a failure. */
static const char *next(struct json_scan *s, const char *p, const char *end)
{
	switch (s->state) {
	case STATE_TOP:
	case STATE_VALUE:
	case STATE_VALUE_OR_END:
		return value_begin(s, p, end);
	case STATE_KEY:
	case STATE_KEY_OR_END:
		if (*p == '"')
			return string_begin(s, true, p + 1, end);
		break;
	case STATE_COLON:
	case STATE_AFTER_VALUE:
		break;
	}
	s->r = punctuation(s, *p);
	return s->r < 0 ? NULL : p + 1;
}

int json_scan_new(const struct json_scan_ops *ops, void *arg, struct json_scan **ret)
{
	struct json_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	s->text.max = LIMIT_TEXT_BYTES;
	s->deep.max = LIMIT_OBJECT_BYTES;
	*ret = s;
	return 0;
}

void json_scan_free(struct json_scan *s)
{
	if (!s)
		return;
	buf_done(&s->text);
	buf_done(&s->deep);
	free(s);
}

int json_scan_feed(struct json_scan *s, const char *data, size_t len)
{
	const char *p = data, *end = data + len;

	if (s->r < 0)
		return s->r;
	while (p && p < end) {
		if (s->token)
			p = token_go(s, p, end);
		else if (is_space(*p))
			p++;
		else
			p = next(s, p, end);
	}
	return s->r;
}

int json_scan_end(struct json_scan *s)
{
	if (s->r == 0 && (s->depth || s->token == TOKEN_STRING))
		s->r = -EBADMSG;
	return json_scan_feed(s, " ", 1); /* ends a word or number */
}
