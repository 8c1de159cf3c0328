/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole objects for command line programs: where an object of a kind lives, and get, create, apply
 * and delete that run the loop until the answer is there. Errors as kube_call().
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "kube/kube_client.h"

/* What a command line program has in hand all the time. */
struct kube_session {
	struct loop *loop;
	struct kube_client *client;
	bool is_dry_run; /* the server checks every write and stores none */
};

/*
 * The path of an object, by kind ("CiliumNode"), heap; `name` NULL gives the collection, `namespace`
 * is ignored for cluster-scoped kinds. NULL with errno EINVAL for a kind that is not in the table.
 */
char *kube_object_path(const char *kind, const char *namespace, const char *name);

/* "group/version" of a kind; NULL if it is not in the table. */
const char *kube_object_version(const char *kind);

int kube_get(const struct kube_session *s, const char *kind, const char *namespace, const char *name, json_t **ret,
	     struct err *reterr);

/* Calls `fn` for every object, page by page. A negative return of `fn` ends it. `selector` may be NULL. */
int kube_each(const struct kube_session *s, const char *kind, const char *namespace, const char *selector,
	      int (*fn)(const json_t *object, void *arg), void *arg, struct err *reterr);

/* The object says its kind, name and namespace. `ret` may be NULL. */
int kube_create(const struct kube_session *s, const json_t *object, json_t **ret, struct err *reterr);
/* Server-side apply as "mesh-external-agent": creates it or makes it so, leaving others' fields alone. */
int kube_apply(const struct kube_session *s, const json_t *object, json_t **ret, struct err *reterr);
int kube_merge(const struct kube_session *s, const char *kind, const char *namespace, const char *name, const json_t *patch,
	       json_t **ret, struct err *reterr);
/* One that is gone already counts as deleted: 1 if there was one, 0 if not. */
int kube_delete(const struct kube_session *s, const char *kind, const char *namespace, const char *name, struct err *reterr);
