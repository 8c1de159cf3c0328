/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/dns_cache.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/macro.h"
#include "dns/dns_response.h"

enum {
	TTL_MAX_S = 3600, /* caps as CoreDNS: an hour, half an hour for negative answers */
	NEGATIVE_TTL_MAX_S = 1800,
	ENTRY_MAX = 8192,
	KEY_MAX = DNS_NAME_MAX + 3,
};

struct entry {
	UT_hash_handle hh;
	struct entry *prev, *next; /* in the order of use */
	uint64_t stored_us, until_us;
	uint16_t msg_len;
	uint16_t key_len;
	uint8_t data[]; /* key, then message */
};

struct dns_cache {
	struct entry *entries;
	struct entry *oldest; /* of a list of utlist: whose use is longest ago */
	size_t max_entries, max_bytes, bytes;
	uint64_t hits, misses, evictions;
};

int dns_cache_new(size_t max_entries, size_t max_bytes, struct dns_cache **ret)
{
	struct dns_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->max_entries = max_entries;
	c->max_bytes = max_bytes;
	*ret = c;
	return 0;
}

static size_t entry_size(const struct entry *e)
{
	return sizeof(*e) + e->key_len + e->msg_len;
}

static void drop(struct dns_cache *c, struct entry *e)
{
	HASH_DEL(c->entries, e);
	DL_DELETE(c->oldest, e);
	c->bytes -= entry_size(e);
	free(e);
}

void dns_cache_flush(struct dns_cache *c)
{
	struct entry *e, *next;

	HASH_ITER (hh, c->entries, e, next)
		drop(c, e);
}

void dns_cache_free(struct dns_cache *c)
{
	if (!c)
		return;
	dns_cache_flush(c);
	free(c);
}

/* An answer depends on what DNSSEC bits were asked for, so these are part of the key. */
static size_t key_make(const struct dns_query *q, uint8_t key[KEY_MAX])
{
	memcpy(key, q->name.b, q->name.len);
	key[q->name.len] = (uint8_t)(q->qtype >> 8);
	key[q->name.len + 1] = (uint8_t)q->qtype;
	key[q->name.len + 2] = (uint8_t)((q->dnssec_ok ? 1 : 0) | (q->cd ? 2 : 0) | (q->rd ? 4 : 0));
	return (size_t)q->name.len + 3;
}

static void add(struct dns_cache *c, struct entry *e)
{
	hash_oom = false;
	HASH_ADD(hh, c->entries, data[0], e->key_len, e);
	if (hash_oom) {
		free(e);
		return;
	}
	DL_APPEND(c->oldest, e);
	c->bytes += entry_size(e);
}

void dns_cache_put(struct dns_cache *c, const struct dns_query *q, const uint8_t *msg, size_t len,
		   uint64_t now_us)
{
	struct dns_response_info info;
	uint8_t key[KEY_MAX], copy[ENTRY_MAX];
	size_t key_len = key_make(q, key), size;
	struct entry *e;

	/* a stored message gets the question of another client: both must be equal but for letter case */
	if (c->max_entries == 0 || len > ENTRY_MAX || q->qclass != DNS_CLASS_IN)
		return;
	memcpy(copy, msg, len);
	if (dns_response_strip(copy, &len, &info) < 0 || info.is_truncated || info.ttl == 0 ||
	    (info.rcode != DNS_NOERROR && info.rcode != DNS_NXDOMAIN))
		return;
	size = sizeof(*e) + key_len + len;
	if (size > c->max_bytes)
		return;
	HASH_FIND(hh, c->entries, key, key_len, e);
	if (e)
		drop(c, e);
	while (HASH_COUNT(c->entries) >= c->max_entries || c->bytes + size > c->max_bytes) {
		drop(c, c->oldest);
		c->evictions++;
	}
	e = calloc(1, size);
	if (!e)
		return; /* a cache may forget */
	e->stored_us = now_us;
	e->until_us = now_us + USEC_PER_SEC * MIN(info.ttl,
						  (uint32_t)(info.is_negative ? NEGATIVE_TTL_MAX_S
											 : TTL_MAX_S));
	e->msg_len = (uint16_t)len;
	e->key_len = (uint16_t)key_len;
	memcpy(e->data, key, key_len);
	memcpy(e->data + key_len, copy, len);
	add(c, e);
}

size_t dns_cache_get(struct dns_cache *c, const struct dns_query *q, uint64_t now_us, uint8_t *buf,
		     size_t cap)
{
	uint8_t key[KEY_MAX];
	size_t key_len = key_make(q, key), len;
	struct entry *e;

	if (q->qclass != DNS_CLASS_IN)
		return 0;
	HASH_FIND(hh, c->entries, key, key_len, e);
	if (e && now_us >= e->until_us) {
		drop(c, e);
		e = NULL;
	}
	if (!e || e->msg_len > cap) {
		c->misses++;
		return 0;
	}
	len = e->msg_len;
	memcpy(buf, e->data + key_len, len);
	dns_response_age(buf, len, (uint32_t)((now_us - e->stored_us) / USEC_PER_SEC));
	buf[0] = (uint8_t)(q->id >> 8);
	buf[1] = (uint8_t)q->id;
	c->hits++;
	DL_DELETE(c->oldest, e);
	DL_APPEND(c->oldest, e);
	return len;
}

void dns_cache_counts(const struct dns_cache *c, struct dns_cache_counts *ret)
{
	*ret = (struct dns_cache_counts){
		.entries = HASH_COUNT(c->entries),
		.bytes = c->bytes,
		.hits = c->hits,
		.misses = c->misses,
		.evictions = c->evictions,
	};
}
