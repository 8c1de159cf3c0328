/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as the NUL-terminated text that a parser takes. */
#pragma once

#include <string.h>

#include "fuzz.h"

/* A copy that ends with the allocation, so that sanitizers see reads past it; to be freed by the caller. */
static inline char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}
