/* SPDX-License-Identifier: Apache-2.0 */
#include "recon/recon_policy.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/u32map.h"
#include "plan/plan_policy.h"
#include "recon/map_batch.h"

enum { MAPS = 3 }; /* rows, ports, ranges */

/* What one bank of the maps holds, by class number. */
struct bank {
	struct plan_class *v;
	size_t n;
	struct plan_dirs dirs;
	bool is_known; /* false: read it back before use */
	bool all_identities; /* every identity must be looked at, not only `pending` */
	ARRAY(uint32_t) pending; /* identities whose class in this bank may be out of date */
};

struct recon_policy {
	const struct bpfobj *obj;
	struct bpfconfig *config;
	struct bank bank[2];
	bool is_known; /* false: what both banks share must be read back before use */
	struct u32map classes; /* identity -> class of bank 0, class of bank 1 << 32 */
	ARRAY(struct policy_prefix) prefixes; /* sorted by cidr_cmp() */
	ARRAY(uint32_t) bridged; /* identities whose class is not their own for now */
	struct recon_policy_stats stats;
};

static uint32_t class_in(uint64_t both, unsigned bank)
{
	return (uint32_t)(bank ? both >> 32 : both);
}

static uint64_t class_with(uint64_t both, unsigned bank, uint32_t class)
{
	return bank ? (both & UINT32_MAX) | (uint64_t)class << 32 : (both & ~(uint64_t)UINT32_MAX) | class;
}

static void bank_clear(struct bank *b)
{
	for (size_t i = 0; i < b->n; i++)
		plan_class_done(&b->v[i]);
	b->n = 0;
}

static int bank_reserve(struct bank *b, size_t n)
{
	struct plan_class *v;

	if (n <= b->n)
		return 0;
	v = reallocarray(b->v, n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memset(v + b->n, 0, (n - b->n) * sizeof(*v));
	b->v = v;
	b->n = n;
	return 0;
}

/* Reading back */

struct reading {
	struct recon_policy *r;
	unsigned bank;
	int error;
};

/* Appends one entry to a list of plan_class; sorted later. */
#define READ_ENTRY(list, count, class, k, v)                                                       \
	({                                                                                         \
		struct plan_class *pc_;                                                            \
		int e_ = (class) >= 1u << 20 ? -EINVAL : bank_reserve(b, (size_t)(class) + 1);     \
		if (e_ == 0) {                                                                     \
			void *p_;                                                                  \
			pc_ = &b->v[class];                                                        \
			p_ = reallocarray(pc_->list, pc_->count + 1, sizeof(*pc_->list));          \
			if (p_) {                                                                  \
				pc_->list = p_;                                                    \
				pc_->list[pc_->count].key = *(k);                                  \
				pc_->list[pc_->count].value = *(v);                                \
				pc_->count++;                                                      \
			} else {                                                                   \
				e_ = -ENOMEM;                                                      \
			}                                                                          \
		}                                                                                  \
		e_;                                                                                \
	})

static int read_row(const void *key, const void *value, void *arg)
{
	struct reading *rd = arg;
	struct bank *b = &rd->r->bank[rd->bank];
	const struct mesh_row_key *k = key;
	const struct mesh_row *v = value;

	if (k->bank != rd->bank)
		return 0;
	return READ_ENTRY(rows, n_rows, k->class, k, v);
}

static int read_port(const void *key, const void *value, void *arg)
{
	struct reading *rd = arg;
	struct bank *b = &rd->r->bank[rd->bank];
	const struct mesh_port_key *k = key;
	const struct mesh_port *v = value;

	if (k->bank != rd->bank)
		return 0;
	return READ_ENTRY(ports, n_ports, k->class, k, v);
}

static int read_range(const void *key, const void *value, void *arg)
{
	struct reading *rd = arg;
	struct bank *b = &rd->r->bank[rd->bank];
	const struct mesh_range_key *k = key;
	const struct mesh_port *v = value;

	if (k->key.bank != rd->bank)
		return 0;
	return READ_ENTRY(ranges, n_ranges, k->key.class, k, v);
}

static int key_cmp_row(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mesh_row_key));
}

static int key_cmp_port(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mesh_port_key));
}

static int key_cmp_range(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mesh_range_key));
}

static int bank_read(struct recon_policy *r, unsigned bank)
{
	struct reading rd = {.r = r, .bank = bank};
	struct bank *b = &r->bank[bank];
	int e;

	bank_clear(b);
	e = bpfmap_each(r->obj, BPFOBJ_POLICY_ROW, read_row, &rd);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_POLICY_PORT, read_port, &rd);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_POLICY_RANGE, read_range, &rd);
	if (e < 0)
		return e;
	for (size_t i = 0; i < b->n; i++) {
		struct plan_class *c = &b->v[i];

		if (c->n_rows)
			qsort(c->rows, c->n_rows, sizeof(*c->rows), key_cmp_row);
		if (c->n_ports)
			qsort(c->ports, c->n_ports, sizeof(*c->ports), key_cmp_port);
		if (c->n_ranges)
			qsort(c->ranges, c->n_ranges, sizeof(*c->ranges), key_cmp_range);
	}
	b->is_known = true;
	b->all_identities = true;
	return 0;
}

static int read_class(const void *key, const void *value, void *arg)
{
	struct recon_policy *r = arg;
	const uint32_t *identity = key;
	const struct mesh_class *c = value;

	return *identity ? u32map_put(&r->classes, *identity, c->class[0] | (uint64_t)c->class[1] << 32) : 0;
}

static int add_prefix(struct recon_policy *r, int family, const uint8_t *addr, uint32_t len, uint32_t identity)
{
	struct policy_prefix p = {.identity = identity};

	p.prefix.ip = ip_from_bytes(family, addr);
	p.prefix.len = (uint8_t)len;
	return ARRAY_ADD(&r->prefixes, p);
}

static int read_cidr4(const void *key, const void *value, void *arg)
{
	const struct mesh_lpm4 *k = key;
	const struct mesh_ipinfo *v = value;

	return add_prefix(arg, AF_INET, k->addr, k->prefixlen, v->identity);
}

static int read_cidr6(const void *key, const void *value, void *arg)
{
	const struct mesh_lpm6 *k = key;
	const struct mesh_ipinfo *v = value;

	return add_prefix(arg, AF_INET6, k->addr, k->prefixlen, v->identity);
}

static int prefix_cmp(const void *a, const void *b)
{
	const struct policy_prefix *x = a, *y = b;

	return cidr_cmp(&x->prefix, &y->prefix);
}

/* Classes of identities, and prefixes. */
static int read_shared(struct recon_policy *r)
{
	int e;

	u32map_done(&r->classes);
	r->prefixes.n = 0;
	e = bpfmap_each(r->obj, BPFOBJ_CLASS, read_class, r);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_CIDR4, read_cidr4, r);
	if (e == 0)
		e = bpfmap_each(r->obj, BPFOBJ_CIDR6, read_cidr6, r);
	if (e < 0)
		return e;
	ARRAY_SORT(&r->prefixes, prefix_cmp);
	r->is_known = true;
	return 0;
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
		e = bank_read(r, i);
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
	for (unsigned i = 0; i < 2; i++) {
		bank_clear(&r->bank[i]);
		free(r->bank[i].v);
		ARRAY_DONE(&r->bank[i].pending);
	}
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

/* Rows, ports, ranges of one bank */

/* Walks two sorted lists and queues what turns `old` into `now`. Entries start with their key. */
static int diff(struct map_batch *b, const void *old, size_t n_old, const void *now, size_t n_now, size_t entry,
		size_t value_at)
{
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < n_old || j < n_now)) {
		const char *x = (const char *)old + i * entry, *y = (const char *)now + j * entry;
		int c = i == n_old ? 1 : j == n_now ? -1 : memcmp(x, y, b->key_size);

		if (c < 0) {
			r = map_batch_del(b, x);
			i++;
			continue;
		}
		if (c > 0 || memcmp(x + value_at, y + value_at, b->value_size) != 0)
			r = map_batch_put(b, y, y + value_at);
		i += c == 0;
		j++;
	}
	return r;
}

static int apply_class(struct map_batch batch[MAPS], struct plan_class *old, const struct plan_class *now)
{
	int r = diff(&batch[0], old->rows, old->n_rows, now->rows, now->n_rows, sizeof(*now->rows),
		     sizeof(struct mesh_row_key));

	if (r == 0)
		r = diff(&batch[1], old->ports, old->n_ports, now->ports, now->n_ports, sizeof(*now->ports),
			 sizeof(struct mesh_port_key));
	if (r == 0)
		r = diff(&batch[2], old->ranges, old->n_ranges, now->ranges, now->n_ranges,
			 sizeof(*now->ranges), sizeof(struct mesh_range_key));
	return r;
}

static int apply_classes(struct recon_policy *r, unsigned bank, const struct policy_table *t,
			 struct map_batch batch[MAPS])
{
	struct bank *b = &r->bank[bank];
	const struct plan_dirs dirs = plan_dirs_of(t);
	bool anew = memcmp(&dirs, &b->dirs, sizeof(dirs)) != 0;
	uint32_t limit = policy_table_class_limit(t);
	int e = bank_reserve(b, limit);

	for (uint32_t i = 0; e == 0 && i < b->n; i++) {
		const struct policy_class *c = i < limit ? policy_table_class(t, i) : NULL;
		CLEANUP(plan_class_done) struct plan_class now = {0};
		struct plan_class old = b->v[i];

		if (c && i && !c->n_identities)
			c = NULL; /* nobody can ask for it */
		if (c && !anew && old.version == c->version)
			continue;
		if (c)
			e = plan_class_make(c, &dirs, (uint8_t)bank, &now);
		if (e == 0)
			e = apply_class(batch, &old, &now);
		if (e < 0)
			break;
		b->v[i] = now;
		now = old;
	}
	for (unsigned i = 0; e == 0 && i < MAPS; i++)
		e = map_batch_flush(&batch[i]);
	if (e == 0)
		b->dirs = dirs;
	return e;
}

/* Classes of identities */

static int set_class(struct recon_policy *r, struct map_batch *batch, uint32_t identity, unsigned bank,
		     uint32_t class)
{
	uint64_t both = 0, next;
	bool known = u32map_get(&r->classes, identity, &both);
	struct mesh_class value;
	int e;

	next = class_with(both, bank, class);
	if (!identity || (known ? next == both : next == 0))
		return 0;
	value.class[0] = class_in(next, 0);
	value.class[1] = class_in(next, 1);
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

		e = set_class(r, batch, number, bank, policy_class_of(t, number));
	}
	for (size_t i = 0; e == 0 && i < r->classes.cap; i++)
		if (r->classes.v[i].key && !identity_get(ids, r->classes.v[i].key))
			e = ARRAY_ADD(&gone, r->classes.v[i].key);
	for (size_t i = 0; e == 0 && i < gone.n; i++)
		e = set_class(r, batch, gone.v[i], bank, 0);
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
		e = set_class(r, batch, b->pending.v[i], bank, policy_class_of(t, b->pending.v[i]));
	return e;
}

/* Both banks must learn what the table's last update changed; the one in force does so at its next turn. */
static int note_changes(struct recon_policy *r, const struct policy_table *t)
{
	const uint32_t *v;
	size_t n = policy_table_changed(t, &v);
	int e = 0;

	for (unsigned bank = 0; bank < 2; bank++)
		for (size_t i = 0; e == 0 && !r->bank[bank].all_identities && i < n; i++)
			e = ARRAY_ADD(&r->bank[bank].pending, v[i]);
	return e;
}

/* Prefixes */

/* Identity of the longest of `n` sorted prefixes that covers all of `c`; else the world's. */
static uint32_t cover_of(const struct recon_policy *r, const struct policy_prefix *v, size_t n, const struct cidr *c)
{
	const struct mesh_config *conf = bpfconfig_get(r->config);
	const struct policy_prefix *p = policy_prefix_around(v, n, c);

	if (p)
		return p->identity;
	return c->ip.family == AF_INET ? conf->world_v4 : conf->world_v6;
}

static int put_prefix(struct map_batch batch[2], const struct policy_prefix *p, bool is_put)
{
	struct mesh_ipinfo info = {.identity = p->identity};
	struct mesh_lpm4 k4 = {.prefixlen = p->prefix.len};
	struct mesh_lpm6 k6 = {.prefixlen = p->prefix.len};
	bool is_v4 = p->prefix.ip.family == AF_INET;
	struct map_batch *b = &batch[is_v4 ? 0 : 1];
	const void *key = is_v4 ? (const void *)&k4 : (const void *)&k6;

	memcpy(is_v4 ? k4.addr : k6.addr, p->prefix.ip.b, ip_len(&p->prefix.ip));
	return is_put ? map_batch_put(b, key, &info) : map_batch_del(b, key);
}

/*
 * Until the new bank is in force, a new prefix must be judged as its addresses were before; after
 * that, a prefix that goes must be judged as its addresses will be. Both through the class of the
 * identity in the other bank, unless other prefixes have it there as well: addresses of DNS names
 * share one. These are as allowed as the rest of the name a moment early, or late.
 */
static int bridge(struct recon_policy *r, struct map_batch *batch, unsigned now_bank, const struct policy_table *t,
		  const struct policy_prefix *add, const struct policy_prefix *del)
{
	const struct policy_prefix *wanted;
	size_t n = policy_table_prefixes(t, &wanted);
	uint64_t both = 0;
	uint32_t cover;
	int e;

	if (add) {
		cover = cover_of(r, r->prefixes.v, r->prefixes.n, &add->prefix);
		(void)u32map_get(&r->classes, cover, &both); /* unknown is class 0 */
		e = ARRAY_ADD(&r->bridged, add->identity);
		return e < 0 ? e : set_class(r, batch, add->identity, 1 - now_bank, class_in(both, 1 - now_bank));
	}
	cover = cover_of(r, wanted, n, &del->prefix);
	e = ARRAY_ADD(&r->bridged, del->identity);
	return e < 0 ? e : set_class(r, batch, del->identity, now_bank, policy_class_of(t, cover));
}

/* The identities of prefixes, to be looked up. */
static int identities_of(const struct policy_prefix *v, size_t n, struct u32map *ret)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++)
		e = u32map_put(ret, v[i].identity, 1);
	return e;
}

enum prefix_step { PREFIX_BRIDGE, PREFIX_ADD, PREFIX_DELETE };

/* Walks the prefixes in force and the wanted ones, and does one step for each difference. */
static int walk_prefixes(struct recon_policy *r, enum prefix_step step, unsigned bank, const struct policy_table *t,
			 struct map_batch *classes, struct map_batch cidr[2])
{
	const struct policy_prefix *now;
	size_t n = policy_table_prefixes(t, &now), i = 0, j = 0;
	struct u32map before = {0}, after = {0};
	uint64_t one;
	int e = 0;

	if (step == PREFIX_BRIDGE)
		e = identities_of(r->prefixes.v, r->prefixes.n, &before);
	if (step == PREFIX_BRIDGE && e == 0)
		e = identities_of(now, n, &after);
	while (e == 0 && (i < r->prefixes.n || j < n)) {
		const struct policy_prefix *x = &r->prefixes.v[i], *y = &now[j];
		int c = i == r->prefixes.n ? 1 : j == n ? -1 : cidr_cmp(&x->prefix, &y->prefix);
		bool is_new = c > 0 || (c == 0 && x->identity != y->identity);

		if (step == PREFIX_BRIDGE && is_new && !u32map_get(&before, y->identity, &one))
			e = bridge(r, classes, bank, t, y, NULL);
		else if (step == PREFIX_BRIDGE && c < 0 && !u32map_get(&after, x->identity, &one))
			e = bridge(r, classes, bank, t, NULL, x);
		else if (step == PREFIX_ADD && is_new)
			e = put_prefix(cidr, y, true);
		else if (step == PREFIX_DELETE && c < 0)
			e = put_prefix(cidr, x, false);
		i += c <= 0;
		j += c >= 0;
	}
	u32map_done(&before);
	u32map_done(&after);
	if (e == 0 && classes)
		e = map_batch_flush(classes);
	for (unsigned k = 0; e == 0 && cidr && k < 2; k++)
		e = map_batch_flush(&cidr[k]);
	return e;
}

/* As they are in force: most changes of identities leave them alone. */
static bool has_same_prefixes(const struct recon_policy *r, const struct policy_table *t)
{
	const struct policy_prefix *now;
	size_t n = policy_table_prefixes(t, &now);

	if (n != r->prefixes.n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (now[i].identity != r->prefixes.v[i].identity || cidr_cmp(&now[i].prefix, &r->prefixes.v[i].prefix) != 0)
			return false;
	return true;
}

static int keep_prefixes(struct recon_policy *r, const struct policy_table *t)
{
	const struct policy_prefix *now;
	size_t n = policy_table_prefixes(t, &now);
	int e;

	r->prefixes.n = 0;
	e = ARRAY_RESERVE(&r->prefixes, n + 1);
	if (e < 0)
		return e;
	if (n)
		memcpy(r->prefixes.v, now, n * sizeof(*now));
	r->prefixes.n = n;
	return 0;
}

/* All of it */

struct batches {
	struct map_batch policy[MAPS], cidr[2], classes;
};

static void batches_init(struct batches *b, const struct bpfobj *o)
{
	static const enum bpfobj_map maps[MAPS] = {BPFOBJ_POLICY_ROW, BPFOBJ_POLICY_PORT, BPFOBJ_POLICY_RANGE};

	for (unsigned i = 0; i < MAPS; i++)
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
	has_new_prefixes = e == 0 && !has_same_prefixes(r, t);
	if (e == 0 && !r->bank[bank].is_known)
		e = bank_read(r, bank);
	if (e == 0)
		e = apply_classes(r, bank, t, b->policy);
	if (e == 0)
		e = apply_identities(r, &b->classes, bank, t, ids);
	if (e == 0)
		e = map_batch_flush(&b->classes); /* a bridge may add again what this deletes */
	if (e == 0 && has_new_prefixes)
		e = walk_prefixes(r, PREFIX_BRIDGE, bank, t, &b->classes, NULL);
	if (e == 0 && has_new_prefixes)
		e = walk_prefixes(r, PREFIX_ADD, bank, t, NULL, b->cidr);
	if (e < 0)
		return e;
	for (unsigned dir = 0; dir < POLICY_DIRS; dir++)
		bpfconfig_get(r->config)->default_verdict[bank][dir] =
			policy_table_enforced(t, (enum policy_dir)dir) ? MESH_DENY_DEFAULT : MESH_ALLOW;
	bpfconfig_commit(r->config, bank, flags);
	if (!has_new_prefixes)
		return 0;
	e = walk_prefixes(r, PREFIX_DELETE, bank, t, NULL, b->cidr);
	if (e == 0)
		e = keep_prefixes(r, t);
	return e;
}

/* Each bank gives them their own class again at its next turn. */
static void note_bridged(struct recon_policy *r)
{
	for (unsigned bank = 0; bank < 2; bank++)
		for (size_t i = 0; !r->bank[bank].all_identities && i < r->bridged.n; i++)
			if (ARRAY_ADD(&r->bank[bank].pending, r->bridged.v[i]) < 0)
				r->bank[bank].all_identities = true;
}

int recon_policy_apply(struct recon_policy *r, const struct policy_table *t, const struct identity_table *ids,
		       uint64_t flags)
{
	unsigned bank = 1 - bpfconfig_bank(r->config);
	struct batches b;
	int e = note_changes(r, t);

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
