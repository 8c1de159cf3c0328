/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a file of what is in force: as they are, and as the body of a file whose header is right, or the
 * checksum would keep everything out. What is taken in must come out again the same.
 */
#include <openssl/sha.h>
#include <string.h>

#include "recon/snapshot.h"
#include "fuzz.h"

const unsigned replay_runs = 12000;

enum { HEADER = 24 + SHA256_DIGEST_LENGTH };

static void check(const uint8_t *data, size_t size)
{
	struct snapshot s = {0};
	struct snapshot_portion p;
	struct buf again = {.max = 1 << 20};

	if (snapshot_open(data, size, "me", &s, NULL) < 0)
		return;
	CHECK(snapshot_begin(&again, &s) == 0);
	while (snapshot_next(&s, &p))
		CHECK(snapshot_add(&again, p.map, p.keys, p.values, p.n) == 0);
	CHECK(snapshot_end(&again) == 0);
	CHECK(again.len == size && memcmp(again.data, data, size) == 0);
	buf_done(&again);
	snapshot_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint32_t layout = MESH_ABI_VERSION;
	uint8_t *file;

	if (size > 65536)
		return 0;
	check(data, size);
	file = calloc(1, HEADER + size);
	CHECK(file);
	memcpy(file, "MESHLAST\1\0\0\0", 12);
	memcpy(file + 12, &layout, sizeof(layout));
	for (unsigned i = 0; i < 4; i++)
		file[16 + i] = (uint8_t)(size >> (8 * i));
	SHA256(data, size, file + 24);
	if (size)
		memcpy(file + HEADER, data, size);
	check(file, HEADER + size);
	free(file);
	return 0;
}
