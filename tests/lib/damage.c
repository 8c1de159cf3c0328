/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/damage.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/rng.h"
#include "lib/result.h"

enum { DAMAGED = 5000, BITS_MAX = 8, BYTES_MAX = 64 };

static size_t below(size_t bound)
{
	return rng_below((uint32_t)bound);
}

static void damage(char *data, size_t len)
{
	size_t at = below(len), n = 1 + below(len - at);

	switch (below(4)) {
	case 0:
		for (size_t i = 1 + below(BITS_MAX); i; i--)
			data[below(len)] ^= (char)(1 << below(8));
		break;
	case 1:
		rng_bytes(data + at, MIN(n, (size_t)BYTES_MAX));
		break;
	case 2:
		memset(data + at, below(2) ? 0 : 0xff, n);
		break;
	default:
		memmove(data + at, data + below(len - n + 1), n);
	}
}

void damage_each(const char *file, const char *data, size_t len, void (*fn)(const char *copy, size_t len, void *arg), void *arg)
{
	uint64_t most = result_amount("MESH_TEST_FLIPS", DAMAGED), n = 0;
	CLEANUP(free) char *copy = malloc(len); /* of this size, so that a read past the end is found */

	if (!copy)
		abort();
	while (n < most) {
		memcpy(copy, data, len);
		damage(copy, len);
		if (memcmp(copy, data, len) == 0)
			continue; /* it was so before */
		fn(copy, len, arg);
		n++;
	}
	result_add("damaged", json_pack("{s:s, s:I, s:I}", "file", file, "files", (json_int_t)n, "loaded", (json_int_t)0));
}
