/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What DNS names were seen to stand for, and for how long (Cilium pkg/fqdn/namemanager,
 * pkg/fqdn/cache.go). An expired address is a zombie while connections use it: it stays, but is not
 * found in use for ever. Times are given: this knows no clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/ip.h"

struct learned;

struct learned_options {
	uint64_t min_ttl_s;   /* tofqdns-min-ttl */
	size_t max_ips;	      /* of a name: tofqdns-endpoint-max-ip-per-hostname; 0 = LIMIT_FQDN_IPS */
	size_t max_zombies;   /* tofqdns-max-deferred-connection-deletes; 0 = LIMIT_FQDN_ZOMBIES */
};

/* 0 or -ENOMEM. */
int learned_new(const struct learned_options *opt, struct learned **ret);
void learned_free(struct learned *l);
DEFINE_CLEANUP(struct learned *, learned_free)

/*
 * Takes in an answer for `name`, any case, final dot or not. `is_wanted`: some policy looks at it,
 * so that it is not the one to go when names or addresses are too many. 1 if an address is new, 0 if not. -EINVAL
 * for what is no name; -ENOSPC if there is no room; -ENOMEM.
 */
int learned_add(struct learned *l, const char *name, bool is_wanted, const struct ip *ips, size_t n,
		uint32_t ttl_s, uint64_t now_us);

/*
 * Calls for names whose addresses changed since the last call (or after learned_mark_all(), for
 * every one); n = 0: nothing is left of it. The answer says whether it is wanted; negative stops,
 * comes again next time, and is returned.
 */
typedef int (*learned_flush_fn)(const char *name, const struct ip *ips, size_t n, void *arg);
int learned_flush(struct learned *l, learned_flush_fn fn, void *arg);
void learned_mark_all(struct learned *l);

/* Makes zombies of what is expired. Returns how many zombies there are. */
size_t learned_expire(struct learned *l, uint64_t now_us);
/* A connection with `ip` is alive: if that is a zombie, it stays. */
void learned_saw(struct learned *l, const struct ip *ip, uint64_t now_us);
/* Forgets zombies that were such at `since_us` and not seen alive from then on. */
void learned_bury(struct learned *l, uint64_t since_us);

struct learned_address {
	struct ip ip;
	uint64_t expires_us;
	bool is_zombie;
};
typedef int (*learned_fn)(const char *name, bool is_wanted, const struct learned_address *v, size_t n,
			  void *arg);
/* Every name, sorted; stops at the first non-zero answer and returns it. */
int learned_each(struct learned *l, learned_fn fn, void *arg);

struct learned_counts {
	size_t names, addresses, zombies;
	uint64_t refused; /* for lack of room */
	uint64_t cut;	  /* zombies that there was no room for */
};
struct learned_counts learned_get_counts(const struct learned *l);

/*
 * Everything as bytes, for a file: versioned, with a checksum; expiry in wall-clock seconds. `out`
 * must be empty, its .max set. -ENOMEM, -E2BIG.
 */
int learned_encode(struct learned *l, uint64_t now_us, int64_t wall_s, struct buf *out);

/*
 * Fills an empty `l` from such bytes; what expired meanwhile comes back as a zombie. -EBADMSG for
 * anything but a whole, unaltered file of this version: `l` is then to be freed. -ENOMEM.
 */
int learned_decode(struct learned *l, const void *data, size_t len, uint64_t now_us, int64_t wall_s);
