/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the upstream servers, positive and negative (RFC 2308), for as long as their TTL says.
 * Bounded in entries and bytes; the least recently used goes first.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/dns_msg.h"

struct dns_cache;

/* `max_entries` 0 = no caching. 0 or -ENOMEM. */
int dns_cache_new(size_t max_entries, size_t max_bytes, struct dns_cache **ret);
void dns_cache_free(struct dns_cache *c);
DEFINE_CLEANUP(struct dns_cache *, dns_cache_free)

/*
 * Stores a response to `q` without its OPT. Ignored: truncated, other rcodes than NOERROR and
 * NXDOMAIN, TTL 0, negative without SOA, malformed, longer than 8 KiB.
 */
void dns_cache_put(struct dns_cache *c, const struct dns_query *q, const uint8_t *msg, size_t len,
		   uint64_t now_us);

/*
 * Writes the stored response with its TTLs aged into `buf` and returns its length; 0 = not there.
 * The id is that of `q`.
 */
size_t dns_cache_get(struct dns_cache *c, const struct dns_query *q, uint64_t now_us, uint8_t *buf,
		     size_t cap);

void dns_cache_flush(struct dns_cache *c);

struct dns_cache_counts {
	size_t entries, bytes;
	uint64_t hits, misses, evictions;
};
void dns_cache_counts(const struct dns_cache *c, struct dns_cache_counts *ret);
