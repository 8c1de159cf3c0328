/* SPDX-License-Identifier: Apache-2.0 */
#include "store/node_table.h"

#include <errno.h>

#include "base/hash.h"
#include "base/limits.h"

struct entry {
	struct kube_node *node;
	uint32_t number;
	uint32_t epoch;
	UT_hash_handle hh;
};

struct node_table {
	node_change_fn fn;
	void *arg;
	struct entry *entries;
	uint32_t epoch;
	uint32_t made;
};

int node_table_new(node_change_fn fn, void *arg, struct node_table **ret)
{
	struct node_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->arg = arg;
	*ret = t;
	return 0;
}

static void entry_free(struct node_table *t, struct entry *e)
{
	HASH_DEL(t->entries, e);
	kube_node_free(e->node);
	free(e);
}

void node_table_free(struct node_table *t)
{
	struct entry *e, *tmp;

	if (!t)
		return;
	HASH_ITER (hh, t->entries, e, tmp)
		entry_free(t, e);
	free(t);
}

static int entry_new(struct node_table *t, struct kube_node *n, struct entry **ret)
{
	struct entry *e;

	if (HASH_COUNT(t->entries) >= LIMIT_NODES)
		return -ENOSPC;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	hash_oom = false;
	HASH_ADD_KEYPTR(hh, t->entries, n->name, strlen(n->name), e);
	if (hash_oom) {
		free(e);
		return -ENOMEM;
	}
	e->number = ++t->made;
	*ret = e;
	return 0;
}

int node_table_set(struct node_table *t, struct kube_node *n)
{
	struct kube_node *old;
	struct entry *e;

	HASH_FIND_STR(t->entries, n->name, e);
	if (e && kube_node_same(e->node, n)) {
		e->epoch = t->epoch;
		kube_node_free(n);
		return 0;
	}
	if (!e) {
		int r = entry_new(t, n, &e);

		if (r < 0) {
			kube_node_free(n);
			return r;
		}
	}
	old = e->node;
	e->node = n;
	e->hh.key = n->name; /* the old name goes with the old node */
	e->epoch = t->epoch;
	t->fn(e->number, old, n, t->arg);
	kube_node_free(old);
	return 0;
}

static void entry_remove(struct node_table *t, struct entry *e)
{
	t->fn(e->number, e->node, NULL, t->arg);
	entry_free(t, e);
}

void node_table_remove(struct node_table *t, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(t->entries, name, e);
	if (e)
		entry_remove(t, e);
}

void node_table_replace_begin(struct node_table *t)
{
	t->epoch++;
}

void node_table_replace_end(struct node_table *t)
{
	struct entry *e, *tmp;

	HASH_ITER (hh, t->entries, e, tmp)
		if (e->epoch != t->epoch)
			entry_remove(t, e);
}

size_t node_table_count(const struct node_table *t)
{
	return HASH_COUNT(t->entries);
}

const struct kube_node *node_table_find(const struct node_table *t, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(t->entries, name, e);
	return e ? e->node : NULL;
}

int node_table_each(const struct node_table *t, node_fn fn, void *arg)
{
	struct entry *e, *tmp;

	HASH_ITER (hh, t->entries, e, tmp) {
		int r = fn(e->node, arg);

		if (r)
			return r;
	}
	return 0;
}
