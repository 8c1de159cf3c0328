/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the learned names, shared with the file format. */
#pragma once

#include "base/hash.h"
#include "policy/learned.h"

enum { LEARNED_NAME_MAX = 255 };

struct learned_name {
	char *name; /* lower case, no final dot */
	bool is_dirty, is_wanted;
	struct learned_address *v;
	size_t n, cap;
	UT_hash_handle hh;
};

/* An expired address, whatever names have it. */
struct learned_zombie {
	struct ip ip;
	uint64_t since_us, seen_us;
	UT_hash_handle hh;
};

struct learned {
	struct learned_options opt;
	struct learned_name *names;
	struct learned_zombie *zombies;
	size_t addresses;
	uint64_t refused, cut;
};

/* Adds an address that is not there yet; another name that no policy looks at may have to go. 0; -ENOSPC, -ENOMEM. */
int learned_put(struct learned *l, struct learned_name *n, const struct learned_address *a);
/* The name, made if it is new; `text` as learned_add(). -EINVAL, -ENOSPC, -ENOMEM. */
int learned_get(struct learned *l, const char *text, size_t len, struct learned_name **ret);
/* Counts an address among the zombies. False if there is no room. */
bool learned_add_zombie(struct learned *l, const struct ip *ip, uint64_t now_us);
