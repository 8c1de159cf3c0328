/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that a seed decides, for objects and questions that can be made again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PICK(r, list) ((list)[random_below(r, (uint32_t)(sizeof(list) / sizeof((list)[0])))])

struct random {
	uint64_t state;
};

/* splitmix64: neighbouring seeds give unlike numbers. */
static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* In [0, bound); 0 for bound 0. */
static inline uint32_t random_below(struct random *r, uint32_t bound)
{
	return bound ? (uint32_t)(random_next(r) >> 32) % bound : 0;
}

static inline bool random_chance(struct random *r, uint32_t percent)
{
	return random_below(r, 100) < percent;
}
