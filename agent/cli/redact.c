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
