/* SPDX-License-Identifier: Apache-2.0 */
#include "service/addr_index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"

enum { FIRST_BUCKETS = 64 };

void addr_index_done(struct addr_index *x)
{
	free(x->buckets);
	x->buckets = NULL;
	x->n_buckets = x->n_used = 0;
}

static size_t home_of(const struct addr_index *x, const struct addr_ref *ref)
{
	return hash_bytes(x->key(ref->owner, ref->n), sizeof(struct ip)) & (x->n_buckets - 1);
}

static void insert(struct addr_index *x, struct addr_ref ref)
{
	size_t i = home_of(x, &ref);

	while (x->buckets[i].owner)
		i = (i + 1) & (x->n_buckets - 1);
	x->buckets[i] = ref;
}

int addr_index_reserve(struct addr_index *x, size_t extra)
{
	size_t want = (x->n_used + extra) / 3 * 4 + 4;
	size_t n = x->n_buckets ? x->n_buckets : FIRST_BUCKETS;
	struct addr_index old = *x;

	while (n < want)
		n *= 2;
	if (n == x->n_buckets)
		return 0;
	x->buckets = calloc(n, sizeof(*x->buckets));
	if (!x->buckets) {
		x->buckets = old.buckets;
		return -ENOMEM;
	}
	x->n_buckets = n;
	for (size_t i = 0; i < old.n_buckets; i++)
		if (old.buckets[i].owner)
			insert(x, old.buckets[i]);
	free(old.buckets);
	return 0;
}

void addr_index_add(struct addr_index *x, const void *owner, uint32_t n)
{
	insert(x, (struct addr_ref){.owner = owner, .n = n});
	x->n_used++;
}

void addr_index_remove(struct addr_index *x, const void *owner, uint32_t n)
{
	struct addr_ref ref = {.owner = owner, .n = n};
	size_t mask = x->n_buckets - 1, hole = home_of(x, &ref);

	while (x->buckets[hole].owner != owner || x->buckets[hole].n != n)
		hole = (hole + 1) & mask;
	for (size_t i = (hole + 1) & mask; x->buckets[i].owner; i = (i + 1) & mask) {
		size_t home = home_of(x, &x->buckets[i]);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			x->buckets[hole] = x->buckets[i];
			hole = i;
		}
	}
	x->buckets[hole] = (struct addr_ref){0};
	x->n_used--;
}

int addr_index_each(const struct addr_index *x, const struct ip *ip, addr_index_fn fn, void *arg)
{
	int r;

	if (x->n_buckets == 0)
		return 0;
	for (size_t i = hash_bytes(ip, sizeof(*ip)) & (x->n_buckets - 1); x->buckets[i].owner;
	     i = (i + 1) & (x->n_buckets - 1)) {
		if (!ip_eq(x->key(x->buckets[i].owner, x->buckets[i].n), ip))
			continue;
		r = fn(x->buckets[i].owner, x->buckets[i].n, arg);
		if (r != 0)
			return r;
	}
	return 0;
}
