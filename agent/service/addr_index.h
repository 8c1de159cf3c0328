/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address -> places that hold it, several per address. A place is an object and a number within
 * it; the address itself stays in the object, so that an entry costs 16 bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

struct addr_ref {
	const void *owner; /* NULL = empty bucket */
	uint32_t n;
};

/* Zero-initialise with .key set: it returns the address of a place. */
struct addr_index {
	const struct ip *(*key)(const void *owner, uint32_t n);
	struct addr_ref *buckets;
	size_t n_buckets, n_used;
};

void addr_index_done(struct addr_index *x);

/* Makes room, so that as many adds cannot fail. 0 or -ENOMEM. */
int addr_index_reserve(struct addr_index *x, size_t extra);
void addr_index_add(struct addr_index *x, const void *owner, uint32_t n);
/* The place must be there, its address unchanged. */
void addr_index_remove(struct addr_index *x, const void *owner, uint32_t n);

/* Calls fn for each place of the address; stops at the first non-zero and returns it. */
typedef int (*addr_index_fn)(const void *owner, uint32_t n, void *arg);
int addr_index_each(const struct addr_index *x, const struct ip *ip, addr_index_fn fn, void *arg);
