/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All objects of the in-tree API server with their history. Each write takes the next
 * resourceVersion, of which there is one sequence for all kinds, as with etcd. Versions of objects
 * are immutable and counted, so that lists and watches can hold on to old ones.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "apiserver_kind.h"
#include "base/array.h"
#include "base/cleanup.h"

struct object {
	unsigned refs;
	const struct kind *kind;
	uint64_t rv;
	char *key;	/* "namespace/name" or "name": the order of lists */
	const char *ns; /* "" for cluster-scoped; points into json, like name and uid */
	const char *name, *uid;
	json_t *json;
	char *text;		   /* compact JSON, kind and apiVersion first */
	size_t text_len, head_len; /* head: up to where the rest of the members begin */
};

struct object *object_ref(struct object *o);
void object_unref(struct object *o);
DEFINE_CLEANUP(struct object *, object_unref)
/* The same content under another resourceVersion: what a DELETED event shows. */
struct object *object_at_rv(const struct object *o, uint64_t rv);

enum event_type { EVENT_ADDED, EVENT_MODIFIED, EVENT_DELETED };

struct event {
	uint64_t rv; /* 0 = empty slot */
	enum event_type type;
	struct object *now, *before; /* DELETED: now is the last state with the new rv */
};

struct object_list {
	struct object **v;
	size_t n, cap;
};
void object_list_done(struct object_list *l);
DEFINE_CLEANUP_DONE(struct object_list, object_list_done)

struct store {
	uint64_t rv;	/* of the last write */
	uint64_t floor; /* events after this one are known */
	struct event *ring;
	size_t ring_n;
	struct object_list tables[KIND_MAX];
	uint64_t last_rv[KIND_MAX]; /* last write of each kind */
};

void store_init(struct store *s, uint64_t first_rv, size_t history);
void store_done(struct store *s);

/* Borrowed; NULL if there is none. */
struct object *store_get(const struct store *s, const struct kind *k, const char *ns,
			 const char *name);
/* Creates or replaces what has the namespace and name in `json`, which it takes. Borrowed result.
 */
struct object *store_put(struct store *s, const struct kind *k, json_t *json);
/* Makes the deletion visible; returns its last version under the new resourceVersion, borrowed. */
struct object *store_remove(struct store *s, struct object *o);

/* The kind's objects in `ns` ("" = all) as they were at `rv`; false if history does not reach back.
 */
bool store_snapshot(const struct store *s, const struct kind *k, const char *ns, uint64_t rv,
		    struct object_list *ret);

/* The event that took this resourceVersion; NULL if it is forgotten or yet to come. */
const struct event *store_event(const struct store *s, uint64_t rv);
/* Forgets all history. */
void store_compact(struct store *s);
