/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_model.h"

#include <netinet/in.h>

#include "base/macro.h"
#include "identity/named_port.h"
#include "policy/policy_rule.h"

struct question {
	struct policy_repo *repo;
	const struct policy_model_peer *peer;
	enum policy_dir dir;
	uint8_t proto;
	uint16_t port;
	bool has_shadow;
	bool is_default_deny;
};

/* How an entry matches: bit n is set if Cilium would have a key of length n for it. */
struct found {
	const struct policy_entry *entry;
	uint32_t plain;	     /* keys that grant by themselves */
	uint32_t restricted; /* keys that need a proxy */
	uint32_t width;	     /* ports of the widest that matches; what is named as reason */
};

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/*
 * Bits of the largest block of 2^k ports, aligned to its size, that has `port` and stays in lo..hi.
 */
static int block_length(unsigned lo, unsigned hi, unsigned port)
{
	int bits = 16;

	for (unsigned size = 2; size <= 65536; size *= 2) {
		unsigned start = port - port % size;

		if (start < lo || start + size - 1 > hi)
			break;
		bits--;
	}
	return bits;
}

static int l4_length(const struct question *q, const struct policy_l4 *l4, uint32_t *ret_width)
{
	unsigned lo = l4->lo, hi = l4->hi;
	int port;

	if (l4->proto != q->proto)
		return -1;
	if (l4->name) {
		port = named_ports_find(q->dir == POLICY_INGRESS ? q->repo->subject_ports
								 : q->peer->ports,
					l4->name, l4->proto);
		if (port < 0)
			return -1;
		lo = (unsigned)port;
		hi = q->dir == POLICY_INGRESS ? MAX(lo, (unsigned)l4->hi) : lo;
	} else if (l4->is_all || !has_ports(q->proto)) {
		*ret_width = 65536;
		return 8;
	}
	if (q->port < lo || q->port > hi)
		return -1;
	*ret_width = hi - lo;
	return 8 + block_length(lo, hi, q->port);
}

static bool match_l4(const struct question *q, const struct policy_entry *e, struct found *f)
{
	*f = (struct found){.entry = e};
	if (e->has_any_l4) {
		f->plain = 1;
		f->width = 65537;
		return true;
	}
	for (size_t i = 0; i < e->l4.n; i++) {
		uint32_t width = 0;
		int length = l4_length(q, &e->l4.v[i], &width);

		if (length < 0)
			continue;
		if (e->l4.v[i].is_restricted && q->is_default_deny) {
			f->restricted |= UINT32_C(1) << length;
			continue;
		}
		f->plain |= UINT32_C(1) << length;
		f->width = MAX(f->width, width);
	}
	return f->plain || f->restricted;
}

bool policy_entry_has_l4(struct policy_repo *r, const struct policy_entry *e, const struct policy_model_question *asked)
{
	const struct question q = {.repo = r, .peer = asked->peer, .dir = asked->dir, .proto = asked->proto,
				   .port = asked->port, .is_default_deny = true};
	struct found f;

	return match_l4(&q, e, &f) && f.plain;
}

bool policy_entry_is_plain(const struct policy_entry *e)
{
	for (size_t i = 0; i < e->l4.n; i++)
		if (!e->l4.v[i].is_restricted)
			return true;
	return e->has_any_l4;
}

static bool is_selected(const struct policy_repo *r, const struct selector *s,
			const struct policy_model_peer *peer)
{
	return peer->labels && selector_match(r->selectors, s, peer->labels, peer->flags);
}

int policy_entry_has_peer(struct policy_repo *repo, const struct policy_entry *e,
			  const struct policy_model_peer *peer)
{
	struct selector_list found = {0};
	bool is_match = false;
	int r;

	if (e->is_nothing)
		return 0;
	if (e->has_any_peer)
		return 1;
	for (size_t i = 0; i < e->peers.n; i++)
		if (is_selected(repo, e->peers.v[i], peer))
			return 1;
	r = policy_services_resolve(repo, e, &found);
	for (size_t i = 0; r == 0 && i < found.n; i++)
		is_match = is_match || is_selected(repo, found.v[i], peer);
	selector_list_done(repo, &found);
	return r < 0 ? r : is_match;
}

struct found_list {
	struct found *v;
	size_t n, cap;
};

static bool is_of(const struct found *f, bool is_wildcard)
{
	return !f->entry->is_deny && f->entry->has_any_peer == is_wildcard;
}

/* The deepest key of one identity (the peer's own or the wildcard) and what authentication it asks
 * for. */
static void lookup(const struct found_list *l, bool is_wildcard, int *ret_depth, int *ret_auth,
		   bool *ret_is_explicit)
{
	int depth = -1, auth = POLICY_AUTH_UNSET;
	bool is_explicit = false;

	for (size_t i = 0; i < l->n; i++)
		for (int d = 0; is_of(&l->v[i], is_wildcard) && d <= 24; d++)
			if (l->v[i].plain >> d & 1)
				depth = MAX(depth, d);
	/* from the deepest key outwards, the first that says something; what is restricted lends
	 * its word too */
	for (int d = depth; auth == POLICY_AUTH_UNSET && d >= 0; d--)
		for (size_t i = 0; i < l->n; i++) {
			const struct found *f = &l->v[i];

			if (!is_of(f, is_wildcard) || !((f->plain | f->restricted) >> d & 1))
				continue;
			auth = MAX(auth, (int)f->entry->auth);
			if (d == depth && f->entry->auth != POLICY_AUTH_UNSET &&
			    (f->plain >> d & 1))
				is_explicit = true;
		}
	*ret_depth = depth;
	*ret_auth = auth;
	*ret_is_explicit = is_explicit;
}

static bool needs_auth(const struct found_list *l)
{
	int own_depth, own_auth, any_depth, any_auth, auth;
	bool is_own_explicit, is_any_explicit;

	lookup(l, false, &own_depth, &own_auth, &is_own_explicit);
	lookup(l, true, &any_depth, &any_auth, &is_any_explicit);
	if (own_depth >= any_depth)
		auth = is_own_explicit || any_depth < 0 ? own_auth : MAX(own_auth, any_auth);
	else
		auth = is_any_explicit || own_depth < 0 ? any_auth : MAX(own_auth, any_auth);
	return auth >= POLICY_AUTH_REQUIRED;
}

/* Widest first, then by number: what the tables name as reason. */
static bool is_better(const struct found *a, const struct found *b)
{
	if (!b)
		return true;
	return a->width != b->width ? a->width > b->width : a->entry->number < b->entry->number;
}

static bool is_localhost_allowed(const struct question *q, size_t n_entries)
{
	return q->repo->options.has_localhost_allow && q->dir == POLICY_INGRESS && n_entries > 0 &&
	       (q->peer->flags & IDENTITY_IS_HOST);
}

/* if any deny matches -> deny; else if any allow matches -> allow; else the default. */
static struct policy_verdict decide(const struct question *q, const struct found_list *l,
				    size_t n_entries)
{
	const struct found *deny = NULL, *allow = NULL, *auth = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const struct found *f = &l->v[i];

		if (f->entry->is_deny) {
			deny = is_better(f, deny) ? f : deny;
			continue;
		}
		if (f->plain)
			allow = is_better(f, allow) ? f : allow;
		if (f->entry->auth >= POLICY_AUTH_REQUIRED && (!auth || is_better(f, auth)))
			auth = f;
	}
	if (deny)
		return (struct policy_verdict){.action = POLICY_DENY_RULE,
					       .rule = deny->entry->number};
	if (allow && auth && needs_auth(l))
		return (struct policy_verdict){.action = POLICY_DENY_AUTH,
					       .rule = auth->entry->number};
	if (allow)
		return (struct policy_verdict){.action = POLICY_ALLOW,
					       .rule = allow->entry->number};
	if (!q->is_default_deny || is_localhost_allowed(q, n_entries))
		return (struct policy_verdict){.action = POLICY_ALLOW};
	return (struct policy_verdict){.action = POLICY_DENY_DEFAULT};
}

struct match_list {
	struct policy_match *v;
	size_t n, cap;
};

static int report(const struct found_list *l, struct policy_why *ret)
{
	struct match_list out = {0};

	for (size_t i = 0; i < l->n; i++) {
		const struct found *f = &l->v[i];
		int r = ARRAY_ADD(&out,
				  (struct policy_match){
					  .rule = f->entry->number,
					  .is_deny = f->entry->is_deny,
					  .is_restricted = !f->plain && !f->entry->is_deny,
					  .needs_auth = f->entry->auth >= POLICY_AUTH_REQUIRED});

		if (r < 0) {
			ARRAY_DONE(&out);
			return r;
		}
	}
	ret->matches = out.v;
	ret->n_matches = out.n;
	return 0;
}

static bool is_asked(const struct question *q, const struct policy_object *o)
{
	return q->has_shadow || !o->is_shadow;
}

/* Whether the direction is enforced and drops by default. */
static size_t count_entries(const struct question *q, bool *ret_is_default_deny)
{
	const struct policy_repo *r = q->repo;
	enum policy_dir dir = q->dir;
	const struct policy_object *o, *tmp;
	bool is_default_deny = policy_is_always(r);
	size_t n = 0;

	HASH_ITER(hh, r->objects, o, tmp)
	{
		for (size_t i = 0; is_asked(q, o) && i < o->rules.n; i++) {
			const struct policy_rule *rule = &o->rules.v[i];

			for (size_t k = 0; policy_rule_selects(r, rule) && k < rule->entries.n;
			     k++) {
				if (rule->entries.v[k].dir != dir)
					continue;
				n++;
				is_default_deny = is_default_deny || rule->is_default_deny[dir];
			}
		}
	}
	*ret_is_default_deny = is_default_deny;
	return n;
}

static int collect(const struct question *q, struct found_list *l)
{
	const struct policy_object *o, *tmp;
	struct found f;
	int r = 0;

	HASH_ITER(hh, q->repo->objects, o, tmp)
	{
		for (size_t i = 0; is_asked(q, o) && i < o->rules.n; i++) {
			const struct policy_rule *rule = &o->rules.v[i];

			if (!policy_rule_selects(q->repo, rule))
				continue;
			for (size_t k = 0; r >= 0 && k < rule->entries.n; k++) {
				const struct policy_entry *e = &rule->entries.v[k];

				if (e->dir != q->dir || !match_l4(q, e, &f))
					continue;
				r = policy_entry_has_peer(q->repo, e, q->peer);
				if (r > 0)
					r = ARRAY_ADD(l, f);
			}
		}
	}
	return r < 0 ? r : 0;
}

int policy_model(struct policy_repo *r, const struct policy_model_question *asked, struct policy_why *ret)
{
	struct question q = {.repo = r, .peer = asked->peer, .dir = asked->dir, .proto = asked->proto,
			     .port = asked->port, .has_shadow = asked->has_shadow};
	struct policy_why why = {0};
	struct found_list l = {0};
	size_t n_entries;
	int err;

	if (r->options.mode == POLICY_MODE_NEVER) {
		*ret = why;
		return 0;
	}
	n_entries = count_entries(&q, &q.is_default_deny);
	why.is_default_deny = q.is_default_deny;
	why.is_enforced = n_entries > 0 || policy_is_always(r);
	err = collect(&q, &l);
	if (err == 0)
		err = report(&l, &why);
	if (err == 0) {
		why.verdict = decide(&q, &l, n_entries);
		*ret = why;
	}
	ARRAY_DONE(&l);
	return err;
}
