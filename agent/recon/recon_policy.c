/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_policy.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "recon/recon_policy_internal.h"

/* Making */

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
	e = recon_shared_read(r);
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

/* What fits */

static bool fits(struct recon_policy *r, enum bpfobj_map map, size_t wanted, size_t room)
{
	if (wanted <= room)
		return true;
	r->lack = (struct recon_policy_lack){.map = bpfobj_map_name(map), .wanted = wanted, .room = room,
					    .is_fixed = map == BPFOBJ_CLASS || map == BPFOBJ_CIDR4 || map == BPFOBJ_CIDR6};
	return false;
}

static size_t half_of(const struct recon_policy *r, enum bpfobj_map map)
{
	return bpfmap_max_entries(r->obj, map) / 2;
}

/* What the bank in force has may be more than half: an earlier version took what there was. */
static bool bank_fits(struct recon_policy *r, enum bpfobj_map map, size_t wanted, size_t in_force)
{
	size_t half = half_of(r, map), all = bpfmap_max_entries(r->obj, map);

	return fits(r, map, wanted, in_force > half ? all - MIN(in_force, all) : half);
}

/* Those of IPv4 come first. */
static size_t count_v4(const struct policy_prefix *v, size_t n)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;

		if (v[mid].prefix.ip.family == AF_INET)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

static int check_room(struct recon_policy *r, unsigned bank, const struct policy_table *t, const struct identity_table *ids)
{
	const struct plan_size in_force = r->bank[1 - bank].size, now = recon_bank_size(&r->bank[bank], t);
	const struct policy_prefix *prefixes;
	size_t n = policy_table_prefixes(t, &prefixes), n_v4 = count_v4(prefixes, n), n_classes;
	int e = recon_classes_count(r, bank, t, ids, &n_classes);

	if (e < 0)
		return e;
	if (bank_fits(r, BPFOBJ_POLICY_ROW, now.rows, in_force.rows) &&
	    bank_fits(r, BPFOBJ_POLICY_PORT, now.ports, in_force.ports) &&
	    bank_fits(r, BPFOBJ_POLICY_RANGE, now.ranges, in_force.ranges) &&
	    fits(r, BPFOBJ_CLASS, n_classes, bpfmap_max_entries(r->obj, BPFOBJ_CLASS)) &&
	    fits(r, BPFOBJ_CIDR4, n_v4, half_of(r, BPFOBJ_CIDR4)) &&
	    fits(r, BPFOBJ_CIDR6, n - n_v4, half_of(r, BPFOBJ_CIDR6)))
		return 0;
	return -E2BIG;
}

struct recon_policy_lack recon_policy_get_lack(const struct recon_policy *r)
{
	return r->lack;
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

static int apply(struct recon_policy *r, struct batches *b, unsigned bank, struct policy_table *t,
		 const struct identity_table *ids, uint64_t flags)
{
	bool has_new_prefixes = !recon_prefixes_are_same(r, t);
	int e = recon_bank_write(r, bank, t, b->policy);

	if (e == 0)
		e = recon_classes_write(r, bank, t, ids, &b->classes);
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
	recon_strangers_forget(r, 1 - bank, t);
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
	int e = 0;

	recon_classes_note(r, t);
	r->lack = (struct recon_policy_lack){0};
	if (!r->is_known)
		e = recon_shared_read(r);
	if (e == 0 && !r->bank[bank].is_known)
		e = recon_bank_read(r, bank);
	if (e == 0)
		e = check_room(r, bank, t, ids);
	if (r->lack.map)
		return e; /* and nothing was touched */
	batches_init(&b, r->obj);
	if (e == 0)
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
