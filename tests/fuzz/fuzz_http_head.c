/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as the header lines of a response: numbers stay within their limits, and other headers change nothing. */
#include <string.h>

#include "fuzz.h"
#include "http/http_head.h"

const unsigned replay_runs = 20000;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h = {.retry_after_s = -1};
	size_t at = 0;

	while (at < size) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t len = end ? (size_t)(end - data) + 1 - at : size - at;
		char *line = malloc(len); /* of exactly that length: nothing follows it */
		struct http_head before = h;

		CHECK(line);
		memcpy(line, data + at, len);
		http_head_line(&h, line, len);
		CHECK(h.retry_after_s >= -1 && h.retry_after_s <= 86400 && h.date_s >= 0);
		if (strncasecmp(line, "d", 1) != 0)
			CHECK(h.date_s == before.date_s);
		if (strncasecmp(line, "r", 1) != 0)
			CHECK(h.retry_after_s == before.retry_after_s);
		free(line);
		at += len;
	}
	return 0;
}
