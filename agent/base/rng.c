/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void rng_bytes(void *data, size_t len)
{
	uint8_t *p = data;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EINTR) {
			/* getrandom(2) exists since Linux 3.17: only a seccomp filter of somebody
			 * else's making gets here, and nothing secure can be done without it. */
			abort();
		}
	}
}

uint32_t rng_below(uint32_t bound)
{
	uint32_t limit = UINT32_MAX - UINT32_MAX % bound, x;

	do
		rng_bytes(&x, sizeof(x));
	while (x >= limit);
	return x % bound;
}
