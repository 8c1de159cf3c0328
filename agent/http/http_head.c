/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_head.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>

#include "base/macro.h"

enum { RETRY_MAX_S = 86400, VALUE_MAX = 63 };

/* The value of the header `name` without the white space around it. False for another header or a long value. */
static bool value_of(const char *line, size_t len, const char *name, char ret[VALUE_MAX + 1])
{
	size_t skip = strlen(name);

	if (len <= skip || strncasecmp(line, name, skip) != 0 || line[skip] != ':')
		return false;
	line += skip + 1;
	len -= skip + 1;
	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	if (len > VALUE_MAX || memchr(line, 0, len))
		return false;
	memcpy(ret, line, len);
	ret[len] = '\0';
	return true;
}

/* Seconds only: the API server sends no other form, and a date would need a clock that agrees with its. */
static int64_t parse_seconds(const char *text)
{
	int64_t s = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		s = MIN(s * 10 + (*text - '0'), (int64_t)RETRY_MAX_S);
	}
	return s;
}

void http_head_line(struct http_head *h, const char *line, size_t len)
{
	char value[VALUE_MAX + 1];

	if (value_of(line, len, "retry-after", value)) {
		int64_t s = parse_seconds(value);

		if (s >= 0)
			h->retry_after_s = s;
	} else if (value_of(line, len, "date", value)) {
		time_t t = curl_getdate(value, NULL);

		if (t > 0)
			h->date_s = (int64_t)t;
	}
}
