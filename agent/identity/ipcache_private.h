/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the address cache, with its tunnel endpoints. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "identity/ipcache.h"

/* A tunnel endpoint. */
struct ipcache_node {
	struct ip ip;
	uint32_t number;
	uint32_t refs;
	bool is_dirty;
	UT_hash_handle hh;
};

struct ipcache {
	struct entry *v;
	size_t cap, n; /* n counts dead ones too */
	size_t live;
	ARRAY(struct ip) dirty;
	bool all_dirty; /* more than fit in the list */
	struct other *others;
	struct ipcache_node *nodes;
	struct ipcache_node **by_number;
	size_t by_number_cap;
	uint32_t lowest_free; /* no number below it is free; 0 = 1 */
	size_t n_dirty_nodes;
};

/* Another reference to a number that somebody refers to; 0 is none. */
void ipcache_node_hold(struct ipcache *c, uint16_t number);
/* Forgets all numbers. */
void ipcache_nodes_done(struct ipcache *c);
