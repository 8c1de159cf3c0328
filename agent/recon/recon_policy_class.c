/* SPDX-License-Identifier: Apache-2.0 */
/* The classes of identities, of which each entry has those of both banks. */
#include <errno.h>

#include "base/macro.h"
#include "recon/recon_policy_internal.h"

/* Reading back */

static int read_class(const void *key, const void *value, void *arg)
{
	struct recon_policy *r = arg;
	const uint32_t *identity = key;
	const struct mesh_class *c = value;

	return *identity ? u32map_put(&r->classes, *identity, c->class[0] | (uint64_t)c->class[1] << 32) : 0;
}

/* Classes of identities, and prefixes. */
int recon_shared_read(struct recon_policy *r)
{
	int e;

	u32map_done(&r->classes);
	e = bpfmap_each(r->obj, BPFOBJ_CLASS, read_class, r);
	if (e == 0)
		e = recon_prefixes_read(r);
	r->is_known = e == 0;
	return e;
}

/* Writing */

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

/* With the class that an identity is to have in the bank. */
typedef int (*class_fn)(struct recon_policy *r, uint32_t identity, uint32_t class, void *arg);

/* Every identity, and those that the maps know but the table does not. */
static int each_of_all(struct recon_policy *r, const struct policy_table *t, const struct identity_table *ids, class_fn fn,
		       void *arg)
{
	ARRAY(uint32_t) gone = {0};
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->classes.cap; i++) /* which `fn` changes */
		if (r->classes.v[i].key && !identity_get(ids, r->classes.v[i].key))
			e = ARRAY_ADD(&gone, r->classes.v[i].key);
	for (size_t i = 0; e == 0 && i < gone.n; i++)
		e = fn(r, gone.v[i], 0, arg);
	for (size_t i = 0; e == 0 && i < identity_count(ids); i++) {
		uint32_t number = identity_at(ids, i)->number;

		e = fn(r, number, policy_class_of(t, number), arg);
	}
	ARRAY_DONE(&gone);
	return e;
}

static int each_change(struct recon_policy *r, unsigned bank, const struct policy_table *t, const struct identity_table *ids,
		       class_fn fn, void *arg)
{
	struct bank *b = &r->bank[bank];
	int e = 0;

	if (b->all_identities)
		return each_of_all(r, t, ids, fn, arg);
	for (size_t i = 0; e == 0 && i < b->pending.n; i++)
		e = fn(r, b->pending.v[i], policy_class_of(t, b->pending.v[i]), arg);
	return e;
}

struct setting {
	struct map_batch *batch;
	unsigned bank;
	bool is_first; /* those without a class, as that can make room */
};

static int set_class(struct recon_policy *r, uint32_t identity, uint32_t class, void *arg)
{
	const struct setting *s = arg;

	return (class == 0) == s->is_first ? recon_class_set(r, s->batch, identity, s->bank, class) : 0;
}

int recon_classes_write(struct recon_policy *r, unsigned bank, const struct policy_table *t, const struct identity_table *ids,
			struct map_batch *batch)
{
	struct setting s = {.batch = batch, .bank = bank};
	int e = 0;

	for (unsigned i = 0; e == 0 && i < 2; i++) {
		s.is_first = i == 0;
		e = each_change(r, bank, t, ids, set_class, &s);
		if (e == 0)
			e = map_batch_flush(batch);
	}
	return e;
}

struct counting {
	unsigned bank;
	size_t n; /* entries there will be */
};

static int count_class(struct recon_policy *r, uint32_t identity, uint32_t class, void *arg)
{
	struct counting *c = arg;
	uint64_t both = 0;
	bool is_there = u32map_get(&r->classes, identity, &both);

	c->n += (class_with(both, c->bank, class) != 0) - (size_t)is_there;
	return 0;
}

int recon_classes_count(struct recon_policy *r, unsigned bank, const struct policy_table *t, const struct identity_table *ids,
			size_t *ret)
{
	struct counting c = {.bank = bank, .n = r->classes.n};
	int e = each_change(r, bank, t, ids, count_class, &c);

	*ret = c.n;
	return e;
}

static int number_cmp(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

/* Once each: while a policy does not fit, nothing takes them from the list. */
static void thin_out(struct bank *b)
{
	size_t out = 0;

	ARRAY_SORT(&b->pending, number_cmp);
	for (size_t i = 0; i < b->pending.n; i++)
		if (!out || b->pending.v[out - 1] != b->pending.v[i])
			b->pending.v[out++] = b->pending.v[i];
	b->pending.n = out;
}

void recon_classes_note(struct recon_policy *r, const struct policy_table *t)
{
	const uint32_t *v;
	size_t n = policy_table_changed(t, &v);

	for (unsigned bank = 0; bank < 2; bank++) {
		struct bank *b = &r->bank[bank];

		b->all_identities = b->all_identities || policy_table_all_changed(t);
		for (size_t i = 0; !b->all_identities && i < n; i++)
			b->all_identities = ARRAY_ADD(&b->pending, v[i]) < 0;
		thin_out(b);
	}
}

/* Strangers */

static int note_met(const void *key, const void *value, void *arg)
{
	const struct mesh_ipinfo *info = value;

	(void)key;
	return info->identity ? u32map_put(arg, info->identity, 1) : 0;
}

/* After a restart all are new to us: the policy in force knows those that it has a class for, or an address. */
static int find_known(const struct recon_policy *r, struct u32map *known)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->classes.cap; i++)
		if (r->classes.v[i].key)
			e = u32map_put(known, r->classes.v[i].key, 1);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_IPCACHE4, note_met, known);
	return e < 0 ? e : bpfmap_each(r->obj, BPFOBJ_IPCACHE6, note_met, known);
}

static int meet(const struct recon_policy *r, struct policy_table *t)
{
	CLEANUP(u32map_done) struct u32map known = {0};
	int e = find_known(r, &known);

	if (e == 0 && known.n)
		policy_table_meet(t, &known);
	return e;
}

int recon_policy_hold(struct recon_policy *r, struct policy_table *t)
{
	unsigned bank = bpfconfig_bank(r->config);
	CLEANUP(map_batch_done) struct map_batch batch;
	const struct u32map *strangers;
	int e = r->is_known ? 0 : recon_shared_read(r);

	map_batch_init(&batch, r->obj, BPFOBJ_CLASS);
	if (!(bpfconfig_flags(r->config) & MESH_STATE_ACTIVE))
		return 0; /* nothing is denied, whoever it is */
	if (e == 0 && !r->has_met) {
		e = meet(r, t);
		r->has_met = e == 0;
	}
	strangers = policy_table_strangers(t);
	if (e == 0 && !strangers)
		e = -ENOMEM;
	for (size_t i = 0; e == 0 && i < strangers->cap; i++)
		if (strangers->v[i].key >= IDENTITY_CLUSTER_MIN)
			e = recon_class_set(r, &batch, strangers->v[i].key, bank, MESH_CLASS_NONE);
	if (e == 0)
		e = map_batch_flush(&batch);
	r->stats.writes += batch.n_put;
	if (e < 0)
		r->is_known = false; /* what reached the kernel is not known */
	return e < 0 ? e : batch.n_put > 0;
}

void recon_strangers_forget(struct recon_policy *r, unsigned other, struct policy_table *t)
{
	const struct u32map *strangers = policy_table_strangers(t);
	struct bank *b = &r->bank[other];

	b->all_identities = b->all_identities || !strangers;
	for (size_t i = 0; !b->all_identities && i < strangers->cap; i++)
		if (strangers->v[i].key && ARRAY_ADD(&b->pending, strangers->v[i].key) < 0)
			b->all_identities = true;
	policy_table_meet(t, NULL);
	r->has_met = true;
}
