/* SPDX-License-Identifier: Apache-2.0 */
/* All CiliumNodes by name: stock nodes and external hosts, ourselves too. */
#pragma once

#include <stdint.h>

#include "kube/decode_node.h"

struct node_table;

/* `old` NULL = new, `now` NULL = gone; both valid during the call. `number` is the node's own. */
typedef void (*node_change_fn)(uint32_t number, const struct kube_node *old, const struct kube_node *now,
			       void *arg);

int node_table_new(node_change_fn fn, void *arg, struct node_table **ret);
void node_table_free(struct node_table *t);
DEFINE_CLEANUP(struct node_table *, node_table_free)

/* Takes `n`, also on failure. 0; -ENOMEM; -ENOSPC past LIMIT_NODES. */
int node_table_set(struct node_table *t, struct kube_node *n);
void node_table_remove(struct node_table *t, const char *name);

/* Between the two a whole list is given: nodes not named in it are removed. */
void node_table_replace_begin(struct node_table *t);
void node_table_replace_end(struct node_table *t);

size_t node_table_count(const struct node_table *t);
const struct kube_node *node_table_find(const struct node_table *t, const char *name);

/* Stops at the first non-zero answer and returns it. */
typedef int (*node_fn)(const struct kube_node *n, void *arg);
int node_table_each(const struct node_table *t, node_fn fn, void *arg);
