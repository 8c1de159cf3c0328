/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/macro.h"

/* A header of a JSON web token alone is longer; words that begin so are not. */
enum { SECRET_MIN = 12 };

static bool is_token_char(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.=+/", c);
}

/* Wipes token characters from `at` on; the number of them. */
static size_t wipe_token(char *text, size_t len, size_t at, size_t min)
{
	size_t n = 0;

	while (at + n < len && text[at + n] && is_token_char(text[at + n]))
		n++;
	if (n < min)
		return 0;
	memset(text + at, '*', n);
	return n;
}

static bool has_at(const char *text, size_t len, size_t at, const char *word)
{
	return len - at >= strlen(word) && memcmp(text + at, word, strlen(word)) == 0;
}

/* The length of what is before the '@' of the authority that begins at `at` (RFC 3986, section 3.2), wiped. */
static size_t wipe_login(char *text, size_t len, size_t at)
{
	size_t n = 0;

	for (size_t i = at; i < len && (unsigned char)text[i] > ' ' && !strchr("/?#\"'\\", text[i]); i++)
		if (text[i] == '@')
			n = i - at; /* the last one counts */
	memset(text + at, '*', n);
	return n;
}

size_t redact(char *text, size_t len)
{
	static const char pem[] = "PRIVATE KEY-----";
	size_t found = 0;

	for (size_t i = 0; i < len; i++) {
		size_t n = 0;

		if (has_at(text, len, i, "mesh1.") || has_at(text, len, i, "eyJ")) {
			n = wipe_token(text, len, i, SECRET_MIN);
		} else if (has_at(text, len, i, "Bearer ")) {
			n = wipe_token(text, len, i + strlen("Bearer "), 1);
		} else if (has_at(text, len, i, "://")) {
			n = wipe_login(text, len, i + strlen("://"));
		} else if (has_at(text, len, i, pem)) {
			for (n = strlen(pem); i + n < len && text[i + n] != '-'; n++)
				if (text[i + n] != '\n')
					text[i + n] = '*';
		}
		if (n) {
			found++;
			i += n - 1;
		}
	}
	return found;
}

static size_t skip_space(const char *text, size_t len, size_t at)
{
	while (at < len && isspace((unsigned char)text[at]))
		at++;
	return at;
}

/* Behind the bracket of the list, if `at` is at the key of one; else 0. */
static size_t list_of(const char *text, size_t len, size_t at)
{
	static const char key[] = "command";

	if (!has_at(text, len, at, key) || (at && (isalnum((unsigned char)text[at - 1]) || strchr("-_*", text[at - 1]))))
		return 0;
	at = skip_space(text, len, at + strlen(key));
	if (at == len || (text[at] != '=' && text[at] != ':'))
		return 0;
	at = skip_space(text, len, at + 1);
	return at < len && (text[at] == '[' || text[at] == '(') ? at + 1 : 0;
}

/* Wipes the strings of a list but the first; where it ends. A quote too many wipes too much, which does no harm. */
static size_t wipe_strings(char *text, size_t len, size_t at, size_t *n_found)
{
	size_t n = 0;
	bool is_in = false;

	for (; at < len && (is_in || (text[at] != ']' && text[at] != ')')); at++) {
		if (text[at] == '"') {
			is_in = !is_in;
			n += is_in;
			*n_found += is_in && n > 1;
			continue;
		}
		if (!is_in)
			continue;
		if (text[at] == '\\' && at + 1 < len) { /* a quote may follow, which is none */
			if (n > 1)
				text[at] = '*';
			at++;
		}
		if (n > 1 && text[at] != '\n')
			text[at] = '*';
	}
	return at;
}

size_t redact_arguments(char *text, size_t len)
{
	size_t n_found = 0;

	for (size_t i = 0; i < len; i++) {
		size_t at = list_of(text, len, i);

		if (at)
			i = wipe_strings(text, len, at, &n_found);
	}
	return n_found;
}
