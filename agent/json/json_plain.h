/* SPDX-License-Identifier: Apache-2.0 */
/* What of a text may stand in a JSON string as it is. */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One bit for each byte that is zero; wrong ones only above a right one. */
static inline uint64_t json_plain_zeros(uint64_t w)
{
	const uint64_t ones = UINT64_MAX / 255;

	return (w - ones) & ~w & ones << 7;
}

/* The end of what needs no look: at a quote, a backslash or a control character, or at `end`. */
static inline const char *json_plain_end(const char *p, const char *end)
{
	const uint64_t ones = UINT64_MAX / 255;

	while ((size_t)(end - p) >= sizeof(uint64_t)) {
		uint64_t w, found;

		memcpy(&w, p, sizeof(w));
		w = le64toh(w);
		found = json_plain_zeros(w ^ ones * '"') | json_plain_zeros(w ^ ones * '\\') | ((w - ones * ' ') & ~w & ones << 7);
		if (found)
			return p + __builtin_ctzll(found) / 8;
		p += sizeof(w);
	}
	while (p < end && (unsigned char)*p >= ' ' && *p != '"' && *p != '\\')
		p++;
	return p;
}
