/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_dns.h"

#include <netinet/in.h>

#include "base/macro.h"
#include "identity/named_port.h"

enum { TRANSPORTS = 2, DNS_PORT = 53 };

/* What all entries together say of one server and transport. */
struct transport {
	bool has_dns;	/* some entry has dns rules here */
	bool is_open;	/* some entry allows the port whatever the name */
	bool is_denied; /* nothing passes */
	ARRAY(char *) patterns;
};

struct server {
	bool is_cluster;
	struct transport by[TRANSPORTS]; /* UDP, TCP */
};

struct policy_dns {
	bool applies;
	bool is_default_deny;
	bool has_subdomain_wildcard;
	ARRAY(char *) wanted; /* selectors of toFQDNs */
	size_t n;
	struct server v[];
};

static const uint8_t protos[TRANSPORTS] = {IPPROTO_UDP, IPPROTO_TCP};

void policy_dns_free(struct policy_dns *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		for (unsigned t = 0; t < TRANSPORTS; t++) {
			for (size_t k = 0; k < d->v[i].by[t].patterns.n; k++)
				free(d->v[i].by[t].patterns.v[k]);
			ARRAY_DONE(&d->v[i].by[t].patterns);
		}
	for (size_t k = 0; k < d->wanted.n; k++)
		free(d->wanted.v[k]);
	ARRAY_DONE(&d->wanted);
	free(d);
}

static bool covers(const struct policy_l4 *l4, const struct policy_dns_server *s, uint8_t proto)
{
	if (l4->proto != proto)
		return false;
	if (l4->name)
		return named_ports_find(s->peer.ports, l4->name, proto) == s->port;
	return l4->is_all || (s->port >= l4->lo && s->port <= l4->hi);
}

static int add_patterns(struct transport *t, const struct policy_entry *e,
			const struct policy_l4 *l4)
{
	int r = ARRAY_RESERVE(&t->patterns, l4->dns_n);

	t->has_dns = true;
	for (uint32_t i = 0; r == 0 && i < l4->dns_n; i++) {
		char *copy = strdup(e->dns.v[l4->dns_at + i]);

		if (!copy)
			return -ENOMEM;
		t->patterns.v[t->patterns.n++] = copy;
	}
	return r;
}

/* An entry that covers the server. Where nothing is dropped by default, no name is refused either. */
static int add_entry(struct transport *t, const struct policy_entry *e,
		     const struct policy_dns_server *s, uint8_t proto, bool is_default_deny)
{
	int r = 0;

	if (!e->is_deny && e->auth >= POLICY_AUTH_REQUIRED)
		return 0; /* grants nothing on this host */
	if (e->has_any_l4) {
		t->is_denied = t->is_denied || e->is_deny;
		t->is_open = t->is_open || !e->is_deny;
	}
	for (size_t i = 0; r == 0 && i < e->l4.n; i++) {
		const struct policy_l4 *l4 = &e->l4.v[i];

		if (!covers(l4, s, proto))
			continue;
		if (e->is_deny)
			t->is_denied = true;
		else if (l4->has_dns)
			r = add_patterns(t, e, l4);
		if (!e->is_deny && !is_default_deny)
			t->is_open = true;
		else if (!e->is_deny && !l4->has_dns && !l4->is_restricted)
			t->is_open = true;
	}
	return r;
}

static int add_wanted(struct policy_dns *d, struct policy_repo *r, const struct policy_entry *e)
{
	int err = ARRAY_RESERVE(&d->wanted, e->peers.n);

	for (size_t i = 0; err == 0 && i < e->peers.n; i++) {
		char *copy = strdup(
			intern_str(label_table_strings(r->labels), e->peers.v[i]->reqs[0].key));

		if (!copy)
			return -ENOMEM;
		d->wanted.v[d->wanted.n++] = copy;
	}
	return err;
}

/* What is made, and of what. */
struct making {
	struct policy_dns *d;
	struct policy_repo *repo;
	const struct policy_dns_server *servers;
};

static int take_entry(const struct policy_entry *e, void *arg)
{
	const struct making *m = arg;
	struct policy_dns *d = m->d;
	int err = e->has_fqdn ? add_wanted(d, m->repo, e) : 0;

	if (policy_entry_is_shadow(e))
		return err; /* it refuses nothing, and what it would allow is learned, so that it can be judged */
	for (size_t i = 0; err >= 0 && i < d->n; i++) {
		err = policy_entry_has_peer(m->repo, e, &m->servers[i].peer);
		for (unsigned t = 0; err > 0 && t < TRANSPORTS; t++) {
			int failed = add_entry(&d->v[i].by[t], e, &m->servers[i], protos[t], d->is_default_deny);

			if (failed)
				return failed;
		}
	}
	return err < 0 ? err : 0;
}

/* 1 for an entry whose rule drops what nobody allows. */
static int is_strict(const struct policy_entry *e, void *arg)
{
	(void)arg;
	return !policy_entry_is_shadow(e) && e->rule->is_default_deny[POLICY_EGRESS];
}

int policy_dns_new(struct policy_repo *r, const struct policy_dns_server *servers, size_t n,
		   struct policy_dns **ret)
{
	CLEANUP(policy_dns_free) struct policy_dns *d = calloc(1, sizeof(*d) + n * sizeof(d->v[0]));
	int err = 0;

	if (!d)
		return -ENOMEM;
	d->n = n;
	d->has_subdomain_wildcard = r->options.has_subdomain_wildcard;
	if (r->options.mode != POLICY_MODE_NEVER) {
		d->is_default_deny = policy_is_always(r) || policy_each_entry(r, POLICY_EGRESS, is_strict, NULL) > 0;
		err = policy_each_entry(r, POLICY_EGRESS, take_entry, &(struct making){.d = d, .repo = r, .servers = servers});
	}
	if (err < 0)
		return err;
	for (size_t i = 0; i < n; i++) {
		d->v[i].is_cluster = servers[i].is_cluster;
		for (unsigned t = 0; t < TRANSPORTS; t++)
			d->applies = d->applies || d->v[i].by[t].has_dns;
	}
	*ret = TAKE_PTR(d);
	return 0;
}

bool policy_dns_applies(const struct policy_dns *d)
{
	return d && d->applies;
}

bool policy_dns_wants(const struct policy_dns *d, const char *name)
{
	for (size_t i = 0; d && i < d->wanted.n; i++)
		if (policy_fqdn_match(d->wanted.v[i], name, d->has_subdomain_wildcard))
			return true;
	return false;
}

static bool is_allowed(const struct policy_dns *d, const struct transport *t, const char *name)
{
	if (t->is_denied || t->is_open)
		return !t->is_denied;
	for (size_t i = 0; i < t->patterns.n; i++)
		if (policy_fqdn_match(t->patterns.v[i], name, d->has_subdomain_wildcard))
			return true;
	return false;
}

enum policy_dns_verdict policy_dns_check(const struct policy_dns *d, bool is_cluster_name,
					 uint8_t proto, const char *name)
{
	bool applies = false, passes = false;

	if (!policy_dns_applies(d))
		return POLICY_DNS_FREE;
	for (size_t i = 0; i < d->n; i++) {
		const struct server *s = &d->v[i];
		const struct transport *t = &s->by[proto == IPPROTO_TCP];

		if (is_cluster_name && !s->is_cluster)
			continue;
		/* a rule for one transport says of the other that it is not allowed */
		applies = applies || s->by[0].has_dns || s->by[1].has_dns;
		if (!is_allowed(d, t, name))
			continue;
		if (t->has_dns)
			return POLICY_DNS_LEARN;
		passes = true;
	}
	if (passes)
		return applies ? POLICY_DNS_PASS : POLICY_DNS_FREE;
	return applies ? POLICY_DNS_REFUSE : POLICY_DNS_FREE;
}

bool policy_dns_opens(const struct policy_dns *d, uint8_t proto)
{
	const struct transport *t = d && d->n ? &d->v[0].by[proto == IPPROTO_TCP] : NULL;

	return t && !t->is_denied && (t->is_open || !d->is_default_deny);
}

/* 1 for an entry with dns rules that covers the port. */
static int is_filter(const struct policy_entry *e, void *arg)
{
	(void)arg;
	if (policy_entry_is_shadow(e) || e->is_deny)
		return 0;
	for (size_t i = 0; i < e->l4.n; i++)
		if (e->l4.v[i].has_dns &&
		    (e->l4.v[i].name || e->l4.v[i].is_all || (e->l4.v[i].lo <= DNS_PORT && e->l4.v[i].hi >= DNS_PORT)))
			return 1; /* a name may stand for the port at some server */
	return 0;
}

bool policy_dns_is_filtered(struct policy_repo *r)
{
	return r->options.mode != POLICY_MODE_NEVER && policy_each_entry(r, POLICY_EGRESS, is_filter, NULL) > 0;
}
