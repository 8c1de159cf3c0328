/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a file of learned names: as they are, and as the body of a file whose header is right, or
 * the checksum would keep everything out. What is taken in must come out again the same.
 */
#include <openssl/sha.h>
#include <string.h>

#include "base/limits.h"
#include "policy/learned.h"
#include "fuzz.h"

const unsigned replay_runs = 20000;

enum { HEADER = 16 + SHA256_DIGEST_LENGTH, NOW_US = 5000000, WALL_S = 1700000000 };

static struct learned *decode(const uint8_t *data, size_t size)
{
	static const struct learned_options opt = {.max_ips = 20, .max_zombies = 20};
	struct learned *l;

	CHECK(learned_new(&opt, &l) == 0);
	if (learned_decode(l, data, size, NOW_US, WALL_S) == 0)
		return l;
	learned_free(l);
	return NULL;
}

static void check(const uint8_t *data, size_t size)
{
	struct learned *l = decode(data, size), *again;
	struct buf one = {.max = LIMIT_FQDN_FILE_BYTES}, two = {.max = LIMIT_FQDN_FILE_BYTES};

	if (!l)
		return;
	CHECK(learned_encode(l, NOW_US, WALL_S, &one) == 0);
	again = decode((const uint8_t *)one.data, one.len);
	CHECK(again);
	CHECK(learned_encode(again, NOW_US, WALL_S, &two) == 0);
	CHECK(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
	(void)learned_expire(l, UINT64_MAX - 1);
	learned_bury(l, UINT64_MAX);
	CHECK(learned_get_counts(l).addresses == 0 && learned_get_counts(l).zombies == 0);
	learned_free(again);
	learned_free(l);
	buf_done(&one);
	buf_done(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file;

	if (size > 65536)
		return 0;
	check(data, size);
	file = malloc(HEADER + size);
	CHECK(file);
	memcpy(file, "MESHFQDN\1\0\0\0", 12);
	for (unsigned i = 0; i < 4; i++)
		file[12 + i] = (uint8_t)(size >> (8 * i));
	SHA256(data, size, file + 16);
	if (size)
		memcpy(file + HEADER, data, size);
	check(file, HEADER + size);
	free(file);
	return 0;
}
