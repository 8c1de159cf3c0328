/* SPDX-License-Identifier: Apache-2.0 */
/* Names of objects seen, so that after a full list those that are gone can be told. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

struct key_set;

int key_set_new(struct key_set **ret);
void key_set_free(struct key_set *s);
DEFINE_CLEANUP(struct key_set *, key_set_free)

/* Notes that (ns, name) exists; `ns` is "" for cluster-wide kinds. 0; -ENOMEM; -EINVAL if they are too long; -ENOSPC past LIMIT_KEYS. */
int key_set_add(struct key_set *s, const char *ns, const char *name);
void key_set_remove(struct key_set *s, const char *ns, const char *name);

/* Between the two a whole list is given. fn is called for each key that was not in it, which is then forgotten. */
void key_set_replace_begin(struct key_set *s);
typedef void (*key_set_fn)(const char *ns, const char *name, void *arg);
void key_set_replace_end(struct key_set *s, key_set_fn fn, void *arg);

size_t key_set_count(const struct key_set *s);
