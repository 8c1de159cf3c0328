/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peer and subject selectors. Equal ones exist once, with a count of users and a number that is
 * never used again, so that a set of numbers names a set of selectors for good.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "identity/identity.h"

enum selector_op { SELECTOR_IN, SELECTOR_NOT_IN, SELECTOR_EXISTS, SELECTOR_NOT_EXISTS };

struct selector_req {
	uint32_t key;
	uint8_t source; /* enum label_source */
	uint8_t op;
	bool has_cidr; /* a cidr: key, matched by containment */
	struct cidr cidr;
	uint32_t *values; /* sorted, distinct; of a cidrgroup: key they are keys, "key=value" */
	size_t n_values;
};

enum selector_kind {
	SELECTOR_LABELS,
	SELECTOR_GROUP, /* of a CIDR group: labels again, but only of who may be selected by an address */
	SELECTOR_CIDR,
};

/* `except` counts for all kinds: identities whose cidr label lies in one of them do not match. */
struct selector {
	enum selector_kind kind;
	uint32_t number; /* never reused */
	uint32_t refs;
	uint32_t mark;		   /* scratch for the user of the cache */
	void *user;		   /* same */
	struct selector_req *reqs; /* all must hold; none = every identity */
	size_t n_reqs;
	struct cidr cidr;
	struct cidr *excepts; /* sorted */
	size_t n_excepts;
	struct selector *next; /* in its hash chain */
	uint32_t hash, canonical_len;
	char canonical[]; /* the bytes that make it unique */
};

enum cidr_match_mode { CIDR_MATCH_NODES = 1 << 0, CIDR_MATCH_PODS = 1 << 1 };

struct selector_cache;

/* `t` must outlive the cache. `has_ipv4`/`has_ipv6` decide what 0.0.0.0/0 and ::/0 mean. */
int selector_cache_new(struct label_table *t, unsigned cidr_modes, bool has_ipv4, bool has_ipv6,
		       struct selector_cache **ret);
void selector_cache_free(struct selector_cache *c);
DEFINE_CLEANUP(struct selector_cache *, selector_cache_free)
struct label_table *selector_cache_labels(struct selector_cache *c);

/*
 * Prefixes of several CIDR groups have the labels of all of them, though a label set holds a key once: the value
 * is asked for by a label with both in its key (Cilium pkg/labels, EncodedCIDRGroupLabel). Always fits.
 */
void selector_group_key(const char *key, const char *value, char ret[LIMIT_LABEL_KEY + 1]);

/* Requirements under construction. Zero-initialise with .cache set. */
struct selector_builder {
	struct selector_cache *cache;
	struct selector_req *v;
	size_t n, cap;
	struct cidr *excepts;
	size_t n_excepts, cap_excepts;
};

/*
 * Adds one requirement; `values` are copied. -EINVAL for values where none may be or none where one
 * must be, -E2BIG for too many of them, -ENOMEM, -ENOSPC.
 */
int selector_builder_add(struct selector_builder *b, uint8_t source, const char *key,
			 enum selector_op op, const char *const *values, size_t n_values);
/* Adds an excepted prefix. */
int selector_builder_except(struct selector_builder *b, const struct cidr *c);
/* True if some requirement has the key from this source. */
bool selector_builder_has(const struct selector_builder *b, uint8_t source, const char *key);
/* Drops requirements on source:key. */
void selector_builder_drop(struct selector_builder *b, uint8_t source, const char *key);
/* The selector, with a reference for the caller; empties the builder. -ENOMEM. */
int selector_builder_take(struct selector_builder *b, struct selector **ret);
/* The same for the labels of CIDR groups. */
int selector_builder_take_group(struct selector_builder *b, struct selector **ret);
/* The same for a prefix with holes. */
int selector_builder_take_cidr(struct selector_builder *b, const struct cidr *c,
			       struct selector **ret);
void selector_builder_done(struct selector_builder *b);
DEFINE_CLEANUP_DONE(struct selector_builder, selector_builder_done)

struct selector *selector_ref(struct selector *s);
void selector_put(struct selector_cache *c, struct selector *s);

/* Whether labels with those flags (identity_flags_of()) are selected. */
bool selector_match(const struct selector_cache *c, const struct selector *s,
		    const struct label_set *labels, uint16_t flags);

/* Appends it for a person. */
int selector_print(const struct selector_cache *c, const struct selector *s, struct buf *out);
