/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_table.h"

#include "base/macro.h"

bool policy_table_enforced(const struct policy_table *t, enum policy_dir dir)
{
	return t->is_enforced[dir];
}

bool policy_table_shadowed(const struct policy_table *t, enum policy_dir dir)
{
	return t->is_shadowed[dir];
}

uint32_t policy_table_class_limit(const struct policy_table *t)
{
	return (uint32_t)t->classes.by_number.n;
}

const struct policy_class *policy_table_class(const struct policy_table *t, uint32_t number)
{
	const struct policy_class_entry *c = number < t->classes.by_number.n ? t->classes.by_number.v[number] : NULL;

	return c ? &c->pub : NULL;
}

uint32_t policy_class_of(const struct policy_table *t, uint32_t identity)
{
	const struct identity *id = identity_get(t->repo->ids, identity);

	return id && id->tag ? id->class : 0;
}

size_t policy_table_changed(const struct policy_table *t, const uint32_t **ret)
{
	*ret = t->changed.v;
	return t->changed.n;
}

const struct u32map *policy_table_strangers(const struct policy_table *t)
{
	return t->is_blind ? NULL : &t->strangers;
}

void policy_table_meet(struct policy_table *t, const struct u32map *known)
{
	uint64_t ignored;

	for (size_t i = 0; known && i < known->cap; i++)
		if (known->v[i].key && u32map_get(&t->strangers, known->v[i].key, &ignored))
			u32map_del(&t->strangers, known->v[i].key);
	if (known)
		return;
	u32map_done(&t->strangers);
	t->is_blind = false;
}

bool policy_table_all_changed(const struct policy_table *t)
{
	return t->is_all_changed;
}

size_t policy_table_prefixes(const struct policy_table *t, const struct policy_prefix **ret)
{
	*ret = t->prefixes.v;
	return t->prefixes.n;
}

/* Leading bits that two addresses of one family have in common. */
static uint8_t common_bits(const struct ip *a, const struct ip *b)
{
	for (size_t i = 0; i < ip_len(a); i++) {
		unsigned differ = a->b[i] ^ b->b[i];

		if (differ)
			return (uint8_t)(i * 8 + (size_t)__builtin_clz(differ << 24));
	}
	return ip_bits(a);
}

/* The first place behind all that come before or with `c`. */
static size_t place_behind(const struct policy_prefix *v, size_t n, const struct cidr *c)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;

		if (cidr_cmp(&v[mid].prefix, c) <= 0)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

const struct policy_prefix *policy_prefix_around(const struct policy_prefix *v, size_t n, const struct cidr *c)
{
	struct cidr around = *c;

	/*
	 * What covers `c` comes before it, the longest last. If the one right before it does not, what is around both
	 * has no more bits than they have in common, and comes before that one.
	 */
	while ((n = place_behind(v, n, &around)) > 0) {
		const struct policy_prefix *p = &v[--n];

		if (cidr_contains(&p->prefix, c))
			return p;
		if (p->prefix.ip.family != c->ip.family)
			return NULL;
		around.len = common_bits(&p->prefix.ip, &c->ip);
		cidr_mask(&around);
	}
	return NULL;
}

static const struct policy_prefix *table_prefix_of(const struct policy_table *t, const struct ip *ip)
{
	const struct cidr c = cidr_of_ip(ip);

	return policy_prefix_around(t->prefixes.v, t->prefixes.n, &c);
}

uint32_t policy_table_identity_of(const struct policy_table *t, const struct ip *ip)
{
	const struct policy_options *o = &t->repo->options;
	const struct policy_prefix *p = table_prefix_of(t, ip);

	return p ? p->identity : identity_of_world(o->has_ipv4, o->has_ipv6, ip->family);
}

/* What a prefix says of an address that has an identity already. Returns how many labels, or -errno. */
static int add_prefix_labels(struct policy_table *t, const struct identity *base, const struct ip *ip,
			     struct label_builder *b)
{
	bool is_node = base->flags & (IDENTITY_IS_HOST | IDENTITY_IS_REMOTE_NODE);
	bool is_world = base->flags & IDENTITY_IS_WORLD; /* has its own prefix */
	struct intern *strings = label_table_strings(t->repo->labels);
	const struct identity *of_prefix;
	const struct policy_prefix *p;
	int n = 0, r;

	if (!is_world && !(t->repo->options.cidr_modes & (is_node ? CIDR_MATCH_NODES : CIDR_MATCH_PODS)))
		return 0;
	if (!t->built)
		return -ESTALE;
	p = table_prefix_of(t, ip);
	of_prefix = p ? identity_get(t->repo->ids, p->identity) : NULL;
	for (uint32_t i = 0; of_prefix && i < of_prefix->labels->n; i++) {
		const struct label *l = &of_prefix->labels->v[i];

		if (l->source != LABEL_CIDRGROUP && (l->source != LABEL_CIDR || is_world) &&
		    (l->source != LABEL_FQDN || (!is_world && !is_node)))
			continue;
		r = label_builder_add_kv(b, (uint8_t)l->source, intern_str(strings, l->key), intern_str(strings, l->value));
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

int policy_table_overlay(struct policy_table *t, uint32_t identity, const struct ip *ip,
			 const struct label_set *more, uint32_t *ret_identity)
{
	const struct identity *base = identity_get(t->repo->ids, identity);
	CLEANUP(label_builder_done) struct label_builder b = {.table = t->repo->labels};
	struct label_set *labels;
	struct policy_local *local;
	struct identity *own;
	bool is_node;
	int r;

	*ret_identity = identity;
	if (!base || ((base->flags & IDENTITY_IS_WORLD) && identity < IDENTITY_LOCAL_CIDR))
		return 0;
	is_node = base->flags & (IDENTITY_IS_HOST | IDENTITY_IS_REMOTE_NODE);
	r = add_prefix_labels(t, base, ip, &b);
	if (r < 0 || (r == 0 && !more))
		return r;
	r = more ? label_builder_add_set(&b, more) : 0;
	if (r == 0)
		r = label_builder_add_set(&b, base->labels); /* its own win */
	if (r == 0)
		r = label_builder_take(&b, &labels);
	if (r == 0)
		r = policy_locals_get(t->locals,
				      is_node ? IDENTITY_LOCAL_NODE : IDENTITY_LOCAL_CIDR, labels,
				      t->rebuilds, &local);
	if (r < 0)
		return r;
	r = local->is_of_address ? 0 : u32map_put(&t->strangers, local->number, 1);
	if (r < 0)
		return r;
	local->is_of_address = true;
	*ret_identity = local->number;
	own = identity_get(t->repo->ids, *ret_identity);
	base = identity_get(t->repo->ids, identity);
	if (base->ports)
		r = identity_set_named_ports(t->repo->ids, *ret_identity, base->ports->told,
					     base->ports->n_told);
	if (r < 0 || t->built != policy_generation(t->repo))
		return r;
	r = policy_table_classify(t, own);
	policy_table_settle(t);
	if (r == 0)
		policy_table_publish(t, own);
	return r;
}
