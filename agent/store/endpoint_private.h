/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the table of endpoints, with its slices. Links are numbers + 1; 0 = none. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "store/endpoint_table.h"

/* What somebody says of an endpoint. */
struct endpoint_said {
	struct ip *more; /* addresses after the first */
	uint32_t identity;
	uint32_t ports;
	uint32_t epoch;
	struct ip node;
	struct ip first;
	uint8_t n_addr;
	uint8_t enc_key;
};

struct endpoint_record {
	char *key; /* "namespace/name"; NULL = free */
	struct endpoint_said said; /* what holds */
};

/* A CiliumEndpointSlice: exists while it names something. */
struct endpoint_slice {
	char *name;
	uint32_t head;	 /* of the records for which it holds, its members, */
	uint32_t copies; /* and of what it says of other slices' members */
	UT_hash_handle hh;
};

/* How a record hangs in its slice. Most clusters have no slices, and pay nothing for them. */
struct endpoint_member {
	struct endpoint_slice *slice; /* NULL = in none */
	uint32_t next, prev;
	uint32_t stamp;
	uint32_t copies; /* what other slices say of it: what was said last comes first */
};

/* What a slice says of an endpoint for which another one holds; rare. */
struct endpoint_copy {
	struct endpoint_said said; /* holds its ports */
	struct endpoint_slice *slice; /* NULL = free */
	uint32_t next, prev; /* of the slice */
	uint32_t older;	     /* of the record; of a free one: the next that is free */
	uint32_t record;     /* its number */
	uint32_t stamp;
};

struct endpoint_table {
	endpoint_address_fn fn;
	endpoint_ports_fn ports_fn;
	endpoint_hold_fn hold_fn;
	void *arg;
	struct endpoint_record *v; /* by number */
	size_t n, cap;
	struct endpoint_member *members; /* by number, as far as some slice ever had a record */
	size_t n_members, cap_members;
	ARRAY(struct endpoint_copy) copies; /* empty once none is in use */
	size_t n_copies;		    /* in use */
	uint32_t spare_copy;
	uint32_t *index; /* open addressing: number + 1, 0 = empty; linear probing */
	size_t index_cap;
	ARRAY(uint32_t) spare; /* free numbers */
	size_t count;
	uint32_t epoch;
	uint32_t slice_stamp;
	struct endpoint_slice *slices;
};

/* NULL if there is none, or with `make` when out of memory. */
struct endpoint_slice *endpoint_slice_get(struct endpoint_table *t, const char *name, bool make);
/* Forgets a slice that names nothing; it may be NULL. */
void endpoint_slice_drop_empty(struct endpoint_table *t, struct endpoint_slice *s);
void endpoint_slices_done(struct endpoint_table *t);
/* The slice that a record is a member of; NULL = of none. */
struct endpoint_slice *endpoint_slice_of(const struct endpoint_table *t, uint32_t number);
/* Room for a record's place in a slice. 0 or -ENOMEM. */
int endpoint_slice_reserve(struct endpoint_table *t, uint32_t number);
/* Makes a record a member of the slice, with the stamp of now; there is room for its place. NULL: of none. */
void endpoint_slice_join(struct endpoint_table *t, uint32_t number, struct endpoint_slice *s);

/* What other slices say of a record: the last of it; of one slice. 0 = nothing, else the copy's number + 1. */
uint32_t endpoint_copy_first(const struct endpoint_table *t, uint32_t number);
uint32_t endpoint_copy_find(const struct endpoint_table *t, uint32_t number, const struct endpoint_slice *s);
/* Room for another copy. 0 or -ENOMEM. */
int endpoint_copy_reserve(struct endpoint_table *t);
/*
 * Keeps what the slice of a record says of it, which is what holds; the addresses are the copy's then. There is room
 * for it. Something else is to be put in force before anybody looks.
 */
void endpoint_copy_add(struct endpoint_table *t, uint32_t number);
/* Takes a copy out; the caller has what it said, and holds its ports. Its slice may be gone after that. */
struct endpoint_said endpoint_copy_take(struct endpoint_table *t, uint32_t copy);
void endpoint_copy_drop(struct endpoint_table *t, uint32_t copy);
/* Forgets what other slices say of a record, but for the `n` that said it last. */
void endpoint_copies_trim(struct endpoint_table *t, uint32_t number, size_t n);
/* The ports of a copy are held no more. */
void endpoint_ports_release(struct endpoint_table *t, uint32_t ports);
