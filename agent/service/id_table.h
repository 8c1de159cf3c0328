/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stable small numbers for (address, port, protocol): the ids of backends and frontends in maps.
 * Ids count references and are given out again as late as possible, so that a stale map entry
 * does not soon mean something else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

struct id_slot {
	struct ip ip;
	uint8_t proto;
	uint16_t port;
	uint32_t refs;
	uint32_t next_free;
	bool is_used;
};

/* Zero-initialise with .max set. Ids are 1 .. max. */
struct id_table {
	struct id_slot *slots; /* slot of id n is n - 1 */
	size_t n, cap;
	uint32_t *buckets; /* open addressing: ids, 0 = empty */
	size_t n_buckets;
	size_t n_used;
	uint32_t free_first, free_last;
	uint32_t max;
};

void id_table_done(struct id_table *t);

/* Takes a reference, making the id if there is none. -ENOSPC if all are used; -ENOMEM. */
int id_table_get(struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto,
		 uint32_t *ret);
/* Gives a reference back; the last one frees the id, and the answer is true. */
bool id_table_put(struct id_table *t, uint32_t id);

/* True if somebody holds a reference. */
bool id_table_has(const struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto);

/* Reserves an id without a reference. -EEXIST if the id or the key is used; -ERANGE; -ENOMEM. */
int id_table_restore(struct id_table *t, const struct ip *ip, uint16_t port, uint8_t proto,
		     uint32_t id);
/* Frees the ids that have no reference. */
void id_table_forget_unused(struct id_table *t);
