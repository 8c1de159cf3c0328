/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cilium labels, source:key=value, and sets of them. A set holds each key once, whatever its
 * source: the last one written wins (Cilium pkg/labels, Labels is a map by key).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ip.h"
#include "identity/intern.h"

/* Known sources have fixed numbers; others get the next free one of their table. */
enum label_source {
	LABEL_ANY, /* only in selectors: any source */
	LABEL_UNSPEC,
	LABEL_K8S,
	LABEL_RESERVED,
	LABEL_CIDR,
	LABEL_CIDRGROUP,
	LABEL_FQDN,
	LABEL_NODE,
	LABEL_CONTAINER,
	LABEL_GEN,
	LABEL_CNI,
	LABEL_DIRECTORY,
	LABEL_SOURCE_FIRST_FREE,
	LABEL_SOURCES = 256,
};

struct label {
	uint32_t key : 24;
	uint32_t source : 8;
	uint32_t value;
};

/* Sorted by key number. `cidr` is the parsed key of the cidr label, if one is there. */
struct label_set {
	uint32_t n;
	bool has_cidr;
	struct cidr cidr;
	struct label v[];
};

struct label_table;

/* 0 or -ENOMEM. */
int label_table_new(struct label_table **ret);
void label_table_free(struct label_table *t);
DEFINE_CLEANUP(struct label_table *, label_table_free)

struct intern *label_table_strings(const struct label_table *t);

/* Number of a source name, made if new. -ENOSPC when 255 are known, -EINVAL if not [A-Za-z0-9]+. */
int label_source_get(struct label_table *t, const char *name, size_t len, uint8_t *ret_source);
const char *label_source_str(const struct label_table *t, uint8_t source);

/*
 * Collects labels for one set. Zero-initialise with .table set; label_builder_done() gives back
 * what label_builder_take() has not moved out.
 */
struct label_builder {
	struct label_table *table;
	struct label *v; /* in the order in which they came; a key may be there more than once */
	size_t n, cap;
};

/*
 * Adds "source:key" (no colon: source unspec) with a value. -EINVAL for an empty key or bad source,
 * -E2BIG past LIMIT_LABEL_SET, LIMIT_LABEL_KEY or a value above 253 bytes, -ENOMEM, -ENOSPC.
 */
int label_builder_add(struct label_builder *b, const char *source_and_key, const char *value);
/* Adds "source:key=value" or "source:key". Errors as above. */
int label_builder_add_text(struct label_builder *b, const char *text);
/* Adds with the source already known. */
int label_builder_add_kv(struct label_builder *b, uint8_t source, const char *key,
			 const char *value);
/* Adds cidr:<prefix>, the colons of IPv6 written as dashes (Cilium pkg/labels/cidr.go). */
int label_builder_add_cidr(struct label_builder *b, const struct cidr *c);
/* Adds every label of `set`, which must be of the same table. */
int label_builder_add_set(struct label_builder *b, const struct label_set *set);
/* The set, owned by the caller; the builder is empty again. -ENOMEM. */
int label_builder_take(struct label_builder *b, struct label_set **ret);
void label_builder_done(struct label_builder *b);
DEFINE_CLEANUP_DONE(struct label_builder, label_builder_done)

void label_set_free(struct label_table *t, struct label_set *set);
bool label_set_eq(const struct label_set *a, const struct label_set *b);

/* The label of that key number, or NULL. */
const struct label *label_set_find(const struct label_set *set, uint32_t key);

/* The value of source:key, or NULL; LABEL_ANY takes every source. */
const char *label_set_get(const struct label_table *t, const struct label_set *set, uint8_t source,
			  const char *key);

/* Appends "source:key=value" (without "=" when the value is empty). -ENOMEM, -E2BIG. */
int label_print(const struct label_table *t, const struct label *l, struct buf *out);
/* Appends the whole set, sorted by text, separated by commas. */
int label_set_print(const struct label_table *t, const struct label_set *set, struct buf *out);

/* Parses the key of a cidr label: dashes stand for colons. -EINVAL. */
int label_cidr_parse(const char *key, struct cidr *ret);
