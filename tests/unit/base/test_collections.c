/* SPDX-License-Identifier: Apache-2.0 */
/* array, hash, u32map, rng, backoff. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/array.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/u32map.h"

Test(array, adds_and_reserves)
{
	ARRAY(uint32_t) a = {0};
	void *p = NULL;
	size_t cap = 0;

	for (uint32_t i = 0; i < 1000; i++)
		cr_assert_eq(ARRAY_ADD(&a, i * 3), 0);
	cr_assert_eq(a.n, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		cr_assert_eq(a.v[i], i * 3);
	ARRAY_DONE(&a);
	cr_expect(!a.v && !a.n && !a.cap);
	cr_expect_eq(array_reserve(&p, &cap, SIZE_MAX, 1, 1), -ENOMEM, "the count overflows");
	cr_expect_eq(array_reserve(&p, &cap, 0, SIZE_MAX / 2, 16), -ENOMEM, "the size overflows");
	cr_expect(!p && !cap);
}

Test(hash, depends_on_every_byte_and_the_length)
{
	uint8_t data[64] = {0};

	for (size_t len = 0; len <= sizeof(data); len++) {
		uint64_t h = hash_bytes(data, len);

		cr_assert_eq(h, hash_bytes(data, len));
		if (len)
			cr_expect_neq(h, hash_bytes(data, len - 1), "length %zu", len);
		for (size_t i = 0; i < len; i++) {
			data[i] ^= 1;
			cr_expect_neq(h, hash_bytes(data, len), "byte %zu of %zu", i, len);
			data[i] ^= 1;
		}
	}
}

/* Buckets of a table stay about even for keys that differ little. */
Test(hash, spreads)
{
	unsigned buckets[64] = {0};

	for (uint32_t i = 0; i < 64000; i++)
		buckets[hash_bytes(&i, sizeof(i)) & 63]++;
	for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
		cr_expect(buckets[i] > 750 && buckets[i] < 1250, "bucket %zu has %u of 1000", i, buckets[i]);
}

enum { MODEL = 300 };

/* Random operations against an array; keys are few, so that runs form and break. */
static void model_round(unsigned stride)
{
	CLEANUP(u32map_done) struct u32map m = {0};
	uint64_t model[MODEL] = {0}; /* 0 = absent */
	size_t n = 0;

	for (int step = 0; step < 20000; step++) {
		uint32_t i = rng_below(MODEL), key = (i + 1) * stride;
		uint64_t value = 0;

		switch (rng_below(3)) {
		case 0:
			n += !model[i];
			model[i] = ((uint64_t)rng_below(UINT32_MAX) << 20) + 1;
			cr_assert_eq(u32map_put(&m, key, model[i]), 0);
			break;
		case 1:
			n -= model[i] != 0;
			model[i] = 0;
			u32map_del(&m, key);
			break;
		default:
			cr_assert_eq(u32map_get(&m, key, &value), model[i] != 0);
			cr_assert_eq(value, model[i]);
		}
		cr_assert_eq(m.n, n);
	}
	for (uint32_t i = 0; i < MODEL; i++) {
		uint64_t value = 0;

		cr_assert_eq(u32map_get(&m, (i + 1) * stride, &value), model[i] != 0);
		cr_assert_eq(value, model[i]);
	}
}

Test(u32map, agrees_with_a_simple_model)
{
	static const unsigned strides[] = {1, 64, 256, 65536, 0x00c00001};

	for (size_t i = 0; i < ARRAY_LEN(strides); i++)
		model_round(strides[i]);
}

Test(u32map, empty)
{
	struct u32map m = {0};
	uint64_t value = 7;

	cr_expect_not(u32map_get(&m, 1, &value));
	u32map_del(&m, 1);
	cr_expect_eq(value, 7);
	u32map_done(&m);
}

Test(rng, below_is_in_range_and_reaches_all)
{
	static const uint32_t bounds[] = {1, 2, 3, 10, 0x80000001, UINT32_MAX};
	unsigned seen[10] = {0};

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		for (int n = 0; n < 1000; n++)
			cr_assert_lt(rng_below(bounds[i]), bounds[i]);
	for (int n = 0; n < 10000; n++)
		seen[rng_below(10)]++;
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		cr_expect(seen[i] > 800 && seen[i] < 1200, "%zu came %u times of 1000", i, seen[i]);
}

/* The ceiling doubles from 0.8 s to 30 s; two quiet minutes start it again. */
Test(backoff, bounds)
{
	static const uint64_t ceiling_ms[] = {800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};

	for (int round = 0; round < 200; round++) {
		struct backoff b = {0};
		uint64_t now = 1000 * USEC_PER_SEC;

		for (size_t i = 0; i < ARRAY_LEN(ceiling_ms); i++) {
			uint64_t delay = backoff_next_us(&b, now);

			cr_assert(delay >= 50 * USEC_PER_MSEC && delay < (ceiling_ms[i] + 50) * USEC_PER_MSEC,
				  "failure %zu waits %lu us", i, delay);
			now += 120 * USEC_PER_SEC;
		}
		now += 1;
		cr_assert_lt(backoff_next_us(&b, now), 850 * USEC_PER_MSEC, "quiet for more than two minutes");
		(void)backoff_next_us(&b, now);
		backoff_reset(&b);
		cr_assert_lt(backoff_next_us(&b, now), 850 * USEC_PER_MSEC, "reset");
	}
}

Test(backoff, jitters)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (int i = 0; i < 300; i++) {
		struct backoff b = {0};
		uint64_t delay = backoff_next_us(&b, 1);

		least = MIN(least, delay);
		most = MAX(most, delay);
	}
	cr_expect_lt(least, 150 * USEC_PER_MSEC);
	cr_expect_gt(most, 700 * USEC_PER_MSEC);
}
