/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_verdict.h"

#include "base/macro.h"
#include "identity/named_port.h"
#include "policy/policy_model.h"
#include "policy/policy_near.h"
#include "policy/policy_rule.h"
#include "policy/policy_shadow.h"

/* Labels of an address: the union over all prefixes around it, the longest winning by key. */
struct around {
	struct policy_repo *repo;
	const struct ip *ip;
	struct cidr longest; /* with a cidr label; .ip.family 0 = none */
	bool has_no_names;
};

static void around_cidr(struct around *a, const struct cidr *c)
{
	if (c->len == 0 || !cidr_contains_ip(c, a->ip))
		return;
	if (!a->longest.ip.family || c->len > a->longest.len)
		a->longest = *c;
}

static void around_selector(struct around *a, const struct selector *s)
{
	if (s->kind == SELECTOR_CIDR)
		around_cidr(a, &s->cidr);
	for (size_t i = 0; i < s->n_excepts; i++)
		around_cidr(a, &s->excepts[i]);
}

static int around_entry(struct around *a, const struct policy_entry *e)
{
	struct selector_list found = {0};
	int r;

	for (size_t i = 0; i < e->peers.n; i++)
		around_selector(a, e->peers.v[i]);
	r = policy_services_resolve(a->repo, e, &found);
	for (size_t i = 0; r == 0 && i < found.n; i++)
		around_selector(a, found.v[i]);
	selector_list_done(a->repo, &found);
	return r;
}

static int add_names(struct around *a, const struct policy_entry *e, struct label_builder *b)
{
	const struct policy_fqdn_name *f, *tmp;
	int r = 0;

	for (size_t i = 0; e->has_fqdn && !a->has_no_names && i < e->peers.n; i++) {
		const char *pattern = intern_str(label_table_strings(a->repo->labels),
						 e->peers.v[i]->reqs[0].key);

		HASH_ITER(hh, a->repo->names, f, tmp)
		{
			for (size_t k = 0; r == 0 && k < f->n; k++)
				if (ip_eq(&f->ips[k], a->ip) &&
				    policy_fqdn_match(pattern, f->name,
						      a->repo->options.has_subdomain_wildcard))
					r = label_builder_add_kv(b, LABEL_FQDN, pattern, "");
		}
	}
	return r;
}

/* A group's prefix around the address. */
struct ring {
	unsigned len;
	const struct policy_object *group;
};

/* From the widest in, so that the longest has the last word on a key; then by name. */
static int ring_cmp(const void *pa, const void *pb)
{
	const struct ring *a = pa, *b = pb;

	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return strcmp(a->group->name, b->group->name);
}

static int around_groups(struct around *a, struct label_builder *b)
{
	ARRAY(struct ring) rings = {0};
	const struct policy_object *o, *tmp;
	int r = 0;

	HASH_ITER(hh, a->repo->objects, o, tmp)
	{
		for (size_t i = 0; r == 0 && i < o->group.n_cidrs; i++) {
			const struct cidr *c = &o->group.cidrs[i];

			around_cidr(a, c);
			if (cidr_contains_ip(c, a->ip))
				r = ARRAY_ADD(&rings, (struct ring){.len = c->len, .group = o});
		}
	}
	ARRAY_SORT(&rings, ring_cmp);
	for (size_t i = 0; r == 0 && i < rings.n; i++)
		r = label_builder_add_set(b, rings.v[i].group->group.labels);
	ARRAY_DONE(&rings);
	return r;
}

static int around_all(struct around *a, struct label_builder *b)
{
	const struct policy_object *o, *tmp;
	int r = around_groups(a, b);

	HASH_ITER(hh, a->repo->objects, o, tmp)
	{
		for (size_t i = 0; i < o->rules.n; i++)
			for (size_t k = 0; r == 0 && k < o->rules.v[i].entries.n; k++) {
				r = around_entry(a, &o->rules.v[i].entries.v[k]);
				if (r == 0)
					r = add_names(a, &o->rules.v[i].entries.v[k], b);
			}
	}
	return r;
}

/* Labels for the question: given ones, with the cidr label of the address where the mode lets it
 * count. */
static int peer_labels(struct policy_repo *r, const struct policy_peer *peer,
		       struct label_set **ret)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = r->labels};
	CLEANUP(label_builder_done) struct label_builder ignored = {.table = r->labels};
	struct around a = {.repo = r, .ip = &peer->ip};
	uint16_t flags = peer->labels ? identity_flags_of(r->labels, peer->labels) : 0;
	bool is_node = flags & (IDENTITY_IS_HOST | IDENTITY_IS_REMOTE_NODE),
	     is_world = flags & IDENTITY_IS_WORLD;
	bool counts = !peer->labels || is_world ||
		      (r->options.cidr_modes & (is_node ? CIDR_MATCH_NODES : CIDR_MATCH_PODS));
	int err;

	a.has_no_names = peer->labels && !is_world && !is_node; /* of an endpoint only prefixes are known */
	err = peer->ip.family ? around_all(&a, counts ? &b : &ignored) : 0;

	if (err == 0 && peer->labels)
		err = label_builder_add_set(&b, peer->labels);
	if (err == 0 && !peer->labels)
		err = label_builder_add_set(&b, policy_world_labels(r, peer->ip.family));
	if (err == 0 && a.longest.ip.family && counts)
		err = label_builder_add_cidr(&b, &a.longest);
	return err < 0 ? err : label_builder_take(&b, ret);
}

/* The verdict, and what the packet lacks. Those of shadow policies are asked about by the thousand, for the verdict alone. */
static int answer(struct policy_repo *r, const struct policy_model_question *q, struct policy_why *ret)
{
	CLEANUP(policy_why_done) struct policy_why why = {0};
	int err = policy_model(r, q, &why);

	if (err == 0 && !q->has_shadow && why.verdict.action == POLICY_DENY_DEFAULT)
		err = policy_near(r, q, &why);
	if (err < 0)
		return err;
	*ret = why;
	why = (struct policy_why){0};
	return 0;
}

/* Settles who the peer is, and asks. */
static int ask(struct policy_repo *r, const struct policy_peer *peer, struct policy_model_question q,
	       struct policy_why *ret)
{
	struct policy_model_peer settled = {0};
	struct named_ports *ports = NULL;
	struct label_set *labels = NULL;
	int err;

	q.peer = &settled;
	if (peer->is_unknown)
		return answer(r, &q, ret);
	if (!peer->labels && !peer->ip.family)
		return -EINVAL;
	err = peer_labels(r, peer, &labels);
	if (err < 0)
		return err;
	err = named_ports_make(r->labels, labels, peer->ports, peer->n_ports, &ports);
	if (err == 0) {
		settled.labels = labels;
		settled.flags = identity_flags_of(r->labels, labels);
		settled.ports = ports;
		err = answer(r, &q, ret);
	}
	named_ports_free(r->labels, ports);
	label_set_free(r->labels, labels);
	return err;
}

int policy_why(struct policy_repo *r, const struct policy_peer *peer, enum policy_dir dir,
	       uint8_t proto, uint16_t port, struct policy_why *ret)
{
	return ask(r, peer, (struct policy_model_question){.dir = dir, .proto = proto, .port = port}, ret);
}

int policy_why_shadow(struct policy_repo *r, const struct policy_peer *peer, enum policy_dir dir, uint8_t proto,
		      uint16_t port, struct policy_why *ret)
{
	return ask(r, peer,
		   (struct policy_model_question){.dir = dir, .proto = proto, .port = port, .has_shadow = true}, ret);
}

void policy_why_done(struct policy_why *w)
{
	free(w->matches);
	free(w->isolators);
	free(w->near);
	*w = (struct policy_why){0};
}
