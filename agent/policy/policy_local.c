/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_local.h"

struct policy_locals {
	struct policy_repo *repo;
	struct policy_local *by_labels;
};

int policy_locals_new(struct policy_repo *r, struct policy_locals **ret)
{
	struct policy_locals *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->repo = r;
	*ret = l;
	return 0;
}

static void local_free(struct policy_locals *l, struct policy_local *e)
{
	label_set_free(l->repo->labels, e->labels);
	free(e);
}

void policy_locals_free(struct policy_locals *l)
{
	if (l)
		policy_locals_sweep(l, UINT64_MAX);
	free(l);
}

static int labels_copy(struct label_table *t, const struct label_set *set, struct label_set **ret)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = t};
	int r = label_builder_add_set(&b, set);

	return r < 0 ? r : label_builder_take(&b, ret);
}

static int local_add(struct policy_locals *l, uint32_t base, const struct label_set *labels,
		     struct policy_local **ret)
{
	struct label_set *copy = NULL;
	struct policy_local *e = calloc(1, sizeof(*e));
	int r = e ? labels_copy(l->repo->labels, labels, &e->labels) : -ENOMEM;

	if (r == 0)
		r = identity_local_number(l->repo->ids, base, &e->number);
	if (r == 0)
		r = labels_copy(l->repo->labels, labels, &copy);
	if (r == 0)
		r = identity_upsert(l->repo->ids, e->number, copy);
	if (r == 0) {
		hash_oom = false;
		HASH_ADD_KEYPTR(hh, l->by_labels, e->labels->v,
				e->labels->n * sizeof(e->labels->v[0]), e);
		if (hash_oom) {
			(void)identity_remove(l->repo->ids, e->number); /* it is there */
			r = -ENOMEM;
		}
	}
	if (r < 0) {
		if (e)
			local_free(l, e);
		return r;
	}
	identity_get(l->repo->ids, e->number)->is_new = false; /* to no address before policy_table_overlay() */
	*ret = e;
	return 0;
}

int policy_locals_get(struct policy_locals *l, uint32_t base, struct label_set *labels,
		      uint64_t generation, struct policy_local **ret)
{
	struct policy_local *e;
	int r = 0;

	HASH_FIND(hh, l->by_labels, labels->v, labels->n * sizeof(labels->v[0]), e);
	if (!e)
		r = local_add(l, base, labels, &e);
	label_set_free(l->repo->labels, labels);
	if (r < 0)
		return r;
	if (e->generation < generation)
		e->generation = generation;
	*ret = e;
	return 0;
}

static void drop(struct policy_locals *l, struct policy_local *e)
{
	HASH_DEL(l->by_labels, e);
	(void)identity_remove(l->repo->ids, e->number); /* somebody else may have removed it */
	local_free(l, e);
}

void policy_locals_sweep(struct policy_locals *l, uint64_t generation)
{
	struct policy_local *e, *tmp;

	HASH_ITER(hh, l->by_labels, e, tmp)
		if (e->generation < generation)
			drop(l, e);
}

void policy_locals_sweep_prefixes(struct policy_locals *l, uint64_t collection)
{
	struct policy_local *e, *tmp;

	HASH_ITER(hh, l->by_labels, e, tmp)
		if (!e->is_of_address && e->collection < collection)
			drop(l, e);
}
