/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_prefix.h"

#include "base/hash.h"
#include "base/macro.h"

/* One reason for a prefix to be there. */
struct mark {
	struct cidr prefix;
	bool is_cidr;		       /* named itself: carries its cidr label */
	const struct label_set *group; /* of a CiliumCIDRGroup */
	const char *group_name;
	const char *fqdn; /* key of the label of a DNS selector */
};

struct marks {
	struct mark *v;
	size_t n, cap;
};

static int add_mark(struct marks *m, struct mark mark)
{
	/* the whole family is the world label, not a prefix, unless a group has it */
	return mark.prefix.len == 0 && !mark.group ? 0 : ARRAY_ADD(m, mark);
}

static int add_selector(struct marks *m, const struct selector *s)
{
	int err = 0;

	if (s->kind == SELECTOR_CIDR)
		err = add_mark(m, (struct mark){.prefix = s->cidr, .is_cidr = true});
	for (size_t i = 0; err == 0 && i < s->n_excepts; i++)
		err = add_mark(m, (struct mark){.prefix = s->excepts[i], .is_cidr = true});
	return err;
}

static int add_groups(const struct policy_repo *r, struct marks *m)
{
	const struct policy_object *o, *tmp;
	int err = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; err == 0 && o->kind == POLICY_CIDR_GROUP && i < o->group.n_cidrs;
		     i++)
			err = add_mark(m,
				       (struct mark){.prefix = o->group.cidrs[i],
						     .is_cidr = true,
						     .group = o->group.labels,
						     .group_name = o->name});
	}
	return err;
}

/* Prefixes of policies about others: only a cidr: key in a label selector can tell that they are
 * there. */
static int add_all_rules(const struct policy_repo *r, struct marks *m)
{
	const struct policy_object *o, *tmp;
	int err = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; i < o->rules.n; i++)
			for (size_t k = 0; k < o->rules.v[i].entries.n; k++) {
				const struct policy_entry *e = &o->rules.v[i].entries.v[k];

				for (size_t s = 0; err == 0 && s < e->peers.n; s++)
					err = add_selector(m, e->peers.v[s]);
			}
	}
	return err;
}

static int add_names(const struct policy_repo *r, struct marks *m, const struct selector *s)
{
	const char *pattern = intern_str(label_table_strings(r->labels), s->reqs[0].key);
	const struct policy_fqdn_name *f, *tmp;
	int err = 0;

	HASH_ITER(hh, r->names, f, tmp)
	{
		if (!policy_fqdn_match(pattern, f->name, r->options.has_subdomain_wildcard))
			continue;
		for (size_t i = 0; err == 0 && i < f->n; i++)
			err = add_mark(m, (struct mark){.prefix = cidr_of_ip(&f->ips[i]), .fqdn = pattern});
	}
	return err;
}

static int collect(struct policy_repo *r, struct selector *const *selectors, size_t n,
		   struct marks *m)
{
	bool needs_groups = false, needs_all = false;
	int err = 0;

	for (size_t i = 0; err == 0 && i < n; i++) {
		const struct selector *s = selectors[i];

		for (size_t q = 0; q < s->n_reqs; q++) {
			needs_groups = needs_groups || s->reqs[q].source == LABEL_CIDRGROUP;
			needs_all = needs_all || s->reqs[q].source == LABEL_CIDR;
		}
		err = add_selector(m, s);
		if (err == 0 && s->n_reqs == 1 && s->reqs[0].source == LABEL_FQDN)
			err = add_names(r, m, s);
	}
	r->uses_all_prefixes = needs_all;
	if (err == 0 && (needs_groups || needs_all))
		err = add_groups(r, m);
	if (err == 0 && needs_all)
		err = add_all_rules(r, m);
	return err;
}

/* Where groups share a prefix and a label key, the last by name wins, to be the same each time. */
static int mark_cmp(const void *pa, const void *pb)
{
	const struct mark *a = pa, *b = pb;
	int r = cidr_cmp(&a->prefix, &b->prefix);

	if (r == 0)
		r = (a->group != NULL) - (b->group != NULL);
	return r == 0 && a->group ? strcmp(a->group_name, b->group_name) : r;
}

/* What the parent has, then what the prefix itself has: the longer one wins by key, one cidr label
 * remains. */
static int labels_of(struct policy_repo *r, const struct mark *marks, size_t n,
		     const struct label_set *parent, struct label_set **ret)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = r->labels};
	struct intern *strings = label_table_strings(r->labels);
	bool is_cidr = false;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		is_cidr = is_cidr || marks[i].is_cidr;
	for (uint32_t i = 0; err == 0 && parent && i < parent->n; i++)
		if (!is_cidr || parent->v[i].source != LABEL_CIDR)
			err = label_builder_add_kv(&b, (uint8_t)parent->v[i].source,
						   intern_str(strings, parent->v[i].key),
						   intern_str(strings, parent->v[i].value));
	for (size_t i = 0; err == 0 && i < n; i++) {
		if (marks[i].group)
			err = label_builder_add_set(&b, marks[i].group);
		if (err == 0 && marks[i].fqdn)
			err = label_builder_add_kv(&b, LABEL_FQDN, marks[i].fqdn, "");
	}
	if (err == 0 && is_cidr && marks[0].prefix.len > 0)
		err = label_builder_add_cidr(&b, &marks[0].prefix);
	if (err == 0)
		err = label_builder_add_set(&b, policy_world_labels(r, marks[0].prefix.ip.family));
	return err < 0 ? err : label_builder_take(&b, ret);
}

/* Why a prefix has its labels. Numbers of strings stay while an identity has them. */
static uint64_t digest_of(const struct mark *marks, size_t n, uint64_t parent)
{
	uint64_t h = parent;

	for (size_t i = 0; i < n; i++) {
		const struct label_set *group = marks[i].group;
		const char *fqdn = marks[i].fqdn;
		struct {
			uint64_t before, is_cidr, group, fqdn;
			struct cidr prefix;
		} v;

		memset(&v, 0, sizeof(v)); /* what is between the fields, too */
		v.before = h;
		v.is_cidr = marks[i].is_cidr;
		v.group = group ? hash_bytes(group->v, group->n * sizeof(group->v[0])) : 0;
		v.fqdn = fqdn ? hash_bytes(fqdn, strlen(fqdn)) : 0;
		memcpy(&v.prefix, &marks[i].prefix, sizeof(v.prefix));
		h = hash_bytes(&v, sizeof(v));
	}
	return h;
}

/* Its labels, as before if nothing about it is new. `*at` goes along the old ones. */
static int prefix_settle(struct policy_repo *r, struct policy_prefix_labels *p, const struct mark *marks, size_t n,
			 const struct policy_prefix_labels *parent, const struct policy_prefixes_before *before,
			 size_t *at)
{
	const struct label_set *labels = parent ? parent->labels : NULL;

	p->prefix = marks[0].prefix;
	p->digest = digest_of(marks, n, parent ? parent->digest : 0);
	while (*at < before->n && cidr_cmp(&before->v[*at].prefix, &p->prefix) < 0)
		(*at)++;
	if (*at < before->n && cidr_cmp(&before->v[*at].prefix, &p->prefix) == 0 &&
	    before->known[*at].digest == p->digest) {
		p->labels = NULL;
		p->local = before->known[*at].local;
		return 0;
	}
	if (parent && !labels)
		labels = parent->local->labels;
	return labels_of(r, marks, n, labels, &p->labels);
}

int policy_prefixes_make(struct policy_repo *r, struct selector *const *selectors, size_t n,
			 const struct policy_prefixes_before *before, struct policy_prefix_list *ret)
{
	const struct policy_prefix_labels *parents[130];
	struct policy_prefix_list list = {0};
	struct marks m = {0};
	size_t depth = 0, at = 0;
	int err = collect(r, selectors, n, &m);

	if (err == 0)
		err = ARRAY_RESERVE(&list, m.n + 1);
	ARRAY_SORT(&m, mark_cmp);
	for (size_t i = 0, end; err == 0 && i < m.n; i = end) {
		for (end = i + 1; end < m.n && cidr_cmp(&m.v[i].prefix, &m.v[end].prefix) == 0;
		     end++)
			;
		/* sorted by address and length, a prefix comes right after those around it */
		while (depth && !cidr_contains(&parents[depth - 1]->prefix, &m.v[i].prefix))
			depth--;
		err = prefix_settle(r, &list.v[list.n], &m.v[i], end - i, depth ? parents[depth - 1] : NULL, before, &at);
		if (err == 0)
			parents[depth++] = &list.v[list.n++];
	}
	ARRAY_DONE(&m);
	if (err < 0) {
		policy_prefixes_done(r, &list);
		return err;
	}
	*ret = list;
	return 0;
}

void policy_prefixes_done(struct policy_repo *r, struct policy_prefix_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		label_set_free(r->labels, l->v[i].labels);
	free(l->v);
	*l = (struct policy_prefix_list){0};
}
