/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_policy.h"

#include <errno.h>

#include "base/macro.h"
#include "recon/recon_policy_internal.h"

/* Making */

static int read_class(const void *key, const void *value, void *arg)
{
	struct recon_policy *r = arg;
	const uint32_t *identity = key;
	const struct mesh_class *c = value;

	return *identity ? u32map_put(&r->classes, *identity, c->class[0] | (uint64_t)c->class[1] << 32) : 0;
}

/* Classes of identities, and prefixes. */
static int read_shared(struct recon_policy *r)
{
	int e;

	u32map_done(&r->classes);
	e = bpfmap_each(r->obj, BPFOBJ_CLASS, read_class, r);
	if (e == 0)
		e = recon_prefixes_read(r);
	r->is_known = e == 0;
	return e;
}

int recon_policy_new(const struct bpfobj *o, struct bpfconfig *config, struct recon_policy **ret)
{
	CLEANUP(recon_policy_free) struct recon_policy *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->obj = o;
	r->config = config;
	for (unsigned i = 0; i < 2; i++) {
		e = recon_bank_read(r, i);
		if (e < 0)
			return e;
	}
	e = read_shared(r);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

void recon_policy_free(struct recon_policy *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < 2; i++)
		recon_bank_done(&r->bank[i]);
	u32map_done(&r->classes);
	ARRAY_DONE(&r->prefixes);
	ARRAY_DONE(&r->bridged);
	free(r);
}

uint32_t recon_policy_max_local(const struct recon_policy *r, uint32_t base)
{
	uint32_t max = 0;

	for (size_t i = 0; i < r->prefixes.n; i++)
		if (identity_is_local(r->prefixes.v[i].identity, base))
			max = MAX(max, r->prefixes.v[i].identity);
	for (size_t i = 0; i < r->classes.cap; i++)
		if (identity_is_local(r->classes.v[i].key, base))
			max = MAX(max, r->classes.v[i].key);
	return max;
}

/* Classes of identities */

static uint64_t class_with(uint64_t both, unsigned bank, uint32_t class)
{
	return bank ? (both & UINT32_MAX) | (uint64_t)class << 32 : (both & ~(uint64_t)UINT32_MAX) | class;
}

int recon_class_set(struct recon_policy *r, struct map_batch *batch, uint32_t identity, unsigned bank, uint32_t class)
{
	uint64_t both = 0, next;
	bool known = u32map_get(&r->classes, identity, &both);
	struct mesh_class value;
	int e;

	next = class_with(both, bank, class);
	if (!identity || (known ? next == both : next == 0))
		return 0;
	value.class[0] = recon_class_in(next, 0);
	value.class[1] = recon_class_in(next, 1);
	e = next ? map_batch_put(batch, &identity, &value) : map_batch_del(batch, &identity);
	if (e < 0)
		return e;
	if (next)
		return u32map_put(&r->classes, identity, next);
	u32map_del(&r->classes, identity);
	return 0;
}

/* Every identity, and those that the maps know but the table does not. */
static int apply_all_identities(struct recon_policy *r, struct map_batch *batch, unsigned bank,
				const struct policy_table *t, const struct identity_table *ids)
{
	ARRAY(uint32_t) gone = {0};
	int e = 0;

	for (size_t i = 0; e == 0 && i < identity_count(ids); i++) {
		uint32_t number = identity_at(ids, i)->number;

		e = recon_class_set(r, batch, number, bank, policy_class_of(t, number));
	}
	for (size_t i = 0; e == 0 && i < r->classes.cap; i++)
		if (r->classes.v[i].key && !identity_get(ids, r->classes.v[i].key))
			e = ARRAY_ADD(&gone, r->classes.v[i].key);
	for (size_t i = 0; e == 0 && i < gone.n; i++)
		e = recon_class_set(r, batch, gone.v[i], bank, 0);
	ARRAY_DONE(&gone);
	return e;
}

static int apply_identities(struct recon_policy *r, struct map_batch *batch, unsigned bank,
			    const struct policy_table *t, const struct identity_table *ids)
{
	struct bank *b = &r->bank[bank];
	int e = 0;

	if (b->all_identities)
		return apply_all_identities(r, batch, bank, t, ids);
	for (size_t i = 0; e == 0 && i < b->pending.n; i++)
		e = recon_class_set(r, batch, b->pending.v[i], bank, policy_class_of(t, b->pending.v[i]));
	return e;
}

/* Both banks must learn what changed in the table; the one in force does so at its next turn. */
static void note_changes(struct recon_policy *r, const struct policy_table *t)
{
	const uint32_t *v;
	size_t n = policy_table_changed(t, &v);

	for (unsigned bank = 0; bank < 2; bank++) {
		struct bank *b = &r->bank[bank];

		b->all_identities = b->all_identities || policy_table_all_changed(t);
		for (size_t i = 0; !b->all_identities && i < n; i++)
			b->all_identities = ARRAY_ADD(&b->pending, v[i]) < 0;
	}
}

/* All of it */

struct batches {
	struct map_batch policy[BANK_MAPS], cidr[2], classes;
};

static void batches_init(struct batches *b, const struct bpfobj *o)
{
	static const enum bpfobj_map maps[BANK_MAPS] = {BPFOBJ_POLICY_ROW, BPFOBJ_POLICY_PORT, BPFOBJ_POLICY_RANGE};

	for (unsigned i = 0; i < BANK_MAPS; i++)
		map_batch_init(&b->policy[i], o, maps[i]);
	map_batch_init(&b->cidr[0], o, BPFOBJ_CIDR4);
	map_batch_init(&b->cidr[1], o, BPFOBJ_CIDR6);
	map_batch_init(&b->classes, o, BPFOBJ_CLASS);
}

static void batches_done(struct recon_policy *r, struct batches *b)
{
	struct map_batch *all[] = {&b->policy[0], &b->policy[1], &b->policy[2], &b->cidr[0], &b->cidr[1], &b->classes};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		r->stats.writes += all[i]->n_put;
		r->stats.deletes += all[i]->n_del;
		map_batch_done(all[i]);
	}
}

static int apply(struct recon_policy *r, struct batches *b, unsigned bank, const struct policy_table *t,
		 const struct identity_table *ids, uint64_t flags)
{
	bool has_new_prefixes;
	int e = 0;

	if (!r->is_known)
		e = read_shared(r);
	has_new_prefixes = e == 0 && !recon_prefixes_are_same(r, t);
	if (e == 0 && !r->bank[bank].is_known)
		e = recon_bank_read(r, bank);
	if (e == 0)
		e = recon_bank_write(r, bank, t, b->policy);
	if (e == 0)
		e = apply_identities(r, &b->classes, bank, t, ids);
	if (e == 0)
		e = map_batch_flush(&b->classes); /* a bridge may add again what this deletes */
	if (e == 0 && has_new_prefixes)
		e = recon_prefixes_bridge(r, bank, t, &b->classes);
	if (e == 0 && has_new_prefixes)
		e = recon_prefixes_add(r, t, b->cidr);
	if (e < 0)
		return e;
	for (unsigned dir = 0; dir < POLICY_DIRS; dir++)
		bpfconfig_get(r->config)->default_verdict[bank][dir] =
			policy_table_enforced(t, (enum policy_dir)dir) ? MESH_DENY_DEFAULT : MESH_ALLOW;
	bpfconfig_commit(r->config, bank, flags);
	if (!has_new_prefixes)
		return 0;
	e = recon_prefixes_delete(r, t, b->cidr);
	return e < 0 ? e : recon_prefixes_keep(r, t);
}

/* Each bank gives them their own class again at its next turn. */
static void note_bridged(struct recon_policy *r)
{
	for (unsigned bank = 0; bank < 2; bank++)
		for (size_t i = 0; !r->bank[bank].all_identities && i < r->bridged.n; i++)
			if (ARRAY_ADD(&r->bank[bank].pending, r->bridged.v[i]) < 0)
				r->bank[bank].all_identities = true;
}

int recon_policy_apply(struct recon_policy *r, struct policy_table *t, const struct identity_table *ids,
		       uint64_t flags)
{
	unsigned bank = 1 - bpfconfig_bank(r->config);
	struct batches b;
	int e;

	note_changes(r, t);
	batches_init(&b, r->obj);
	e = apply(r, &b, bank, t, ids, flags);
	batches_done(r, &b);
	r->bank[bank].pending.n = 0;
	r->bank[bank].all_identities = e < 0;
	if (e == 0)
		note_bridged(r);
	r->bridged.n = 0;
	if (e < 0) {
		r->bank[bank].is_known = false;
		r->is_known = false; /* what reached the kernel is not known */
		r->bank[1 - bank].all_identities = true;
		return e;
	}
	policy_table_taken(t);
	r->stats.applies++;
	return 0;
}

struct recon_policy_stats recon_policy_get_stats(const struct recon_policy *r)
{
	struct recon_policy_stats s = r->stats;
	const struct bank *b = &r->bank[bpfconfig_bank(r->config)];

	for (size_t i = 0; i < b->n; i++) {
		s.rows += b->v[i].n_rows;
		s.ports += b->v[i].n_ports;
		s.ranges += b->v[i].n_ranges;
		s.classes += b->v[i].version != 0;
	}
	s.prefixes = r->prefixes.n;
	return s;
}
