/* SPDX-License-Identifier: Apache-2.0 */
/* The resources that the in-tree API server knows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum kind_flags {
	KIND_NAMESPACED = 1 << 0,
	KIND_CUSTOM = 1 << 1,	   /* from a CRD: stricter updates, no strategic merge */
	KIND_STATUS = 1 << 2,	   /* has a status subresource */
	KIND_GENERATION = 1 << 3,  /* metadata.generation counts changes of the specification */
	KIND_PUT_CREATES = 1 << 5, /* an update of what is not there creates it */
	KIND_REVIEW = 1 << 4,	   /* answered at once, never stored */
};

struct kind {
	const char *group; /* "" for the core */
	const char *version;
	const char *plural, *singular;
	const char *name; /* as in "kind:" */
	unsigned flags;
	const char *short_name; /* NULL = none */
};

enum { KIND_MAX = 40 };
extern const struct kind kinds[];
extern const size_t kinds_n;

/* NULL if there is none. */
const struct kind *kind_find(const char *group, const char *version, const char *plural);
/* By apiVersion ("v1", "cilium.io/v2") and kind. */
const struct kind *kind_find_typed(const char *api_version, const char *name);
/* By group and plural, of whatever version. */
const struct kind *kind_find_plural(const char *group, const char *plural);

/* True for groups that are compiled into the real server: their unknown resources get a Status. */
bool kind_is_built_in_group(const char *group);

static inline bool kind_is(const struct kind *k, unsigned flag)
{
	return (k->flags & flag) != 0;
}

static inline size_t kind_index(const struct kind *k)
{
	return (size_t)(k - kinds);
}

/* "v1" or "group/version". */
const char *kind_api_version(const struct kind *k, char buf[96]);
/* "services" or "ciliumnodes.cilium.io", as messages name it. */
const char *kind_resource(const struct kind *k, char buf[96]);
