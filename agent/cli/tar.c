/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"

enum { BLOCK = 512 };

/* POSIX.1-2017, pax, "ustar Interchange Format". */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "ustar header");

static int put(FILE *out, const void *data, size_t len)
{
	errno = 0;
	if (fwrite(data, 1, len, out) == len)
		return 0;
	return errno ? -errno : -EIO;
}

int tar_add(FILE *out, const char *name, const void *data, size_t len)
{
	static const char zero[BLOCK];
	struct header h = {0};
	unsigned sum = 0;
	int r;

	if (strlen(name) >= sizeof(h.name))
		return -EINVAL;
	memcpy(h.name, name, strlen(name));
	memcpy(h.mode, "0000600", 8);
	memcpy(h.uid, "0000000", 8);
	memcpy(h.gid, "0000000", 8);
	(void)snprintf(h.size, sizeof(h.size), "%011" PRIo64, (uint64_t)len);		/* fits */
	(void)snprintf(h.mtime, sizeof(h.mtime), "%011" PRIo64, (uint64_t)clock_wall_s()); /* fits */
	h.type = '0';
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	memset(h.sum, ' ', sizeof(h.sum)); /* as these the sum counts its own field */
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	(void)snprintf(h.sum, sizeof(h.sum), "%06o", sum); /* fits */
	r = put(out, &h, sizeof(h));
	if (r >= 0)
		r = put(out, data, len);
	if (r >= 0 && len % BLOCK)
		r = put(out, zero, BLOCK - len % BLOCK);
	return r;
}

int tar_end(FILE *out)
{
	static const char zero[2 * BLOCK];
	int r = put(out, zero, sizeof(zero));

	return r < 0 ? r : fflush(out) == 0 ? 0 : -errno;
}
