/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_resolve.h"

#include "base/macro.h"
#include "identity/named_port.h"
#include "policy/policy_class.h"
#include "policy/policy_index.h"
#include "policy/policy_local.h"
#include "policy/policy_prefix.h"
#include "policy/policy_rows.h"

enum { OVERLAY_KEEP = 2 };

/*
 * An entry of a rule that selects this host, with its ports as items; named ones wait for the peer.
 */
struct active_entry {
	const struct policy_entry *entry;
	uint32_t first, n;
	uint32_t stamp;
};

/* The policies in force, and those with the shadow policies beside them. */
enum set { SET_ENFORCED, SET_SHADOW, SETS };

/* A selector that some active entry has as a peer. */
struct active_peer {
	struct selector *selector;
	ARRAY(uint32_t) entries; /* places in `entries` */
};

struct policy_table {
	struct policy_repo *repo;
	uint64_t built; /* repository's generation of what is below; 0 = nothing */
	uint64_t names_built; /* of the learned names in `prefixes` */
	uint64_t updates;
	uint64_t rebuilds;
	bool is_enforced[POLICY_DIRS], is_shadowed[POLICY_DIRS];
	bool is_default_deny[SETS][POLICY_DIRS];
	ARRAY(struct active_entry) entries;
	ARRAY(struct policy_item) items;
	ARRAY(uint32_t) any_peer; /* entries for every peer */
	ARRAY(struct active_peer) peers;
	ARRAY(struct selector *) selectors; /* of `peers`, referenced */
	uint32_t host_peer;		    /* of the localhost allow, or UINT32_MAX */
	struct policy_index *index;
	ARRAY(struct named_port)
	named; /* (name, proto) that egress entries ask peers for; .port unused */
	struct policy_classes classes;
	struct policy_locals *locals;
	ARRAY(struct policy_prefix) prefixes;
	ARRAY(uint32_t) changed;
	uint32_t stamp;
	struct policy_sig sig; /* scratch */
	struct {
		struct policy_item *v;
		size_t n, cap;
	} scratch;
};

int policy_table_new(struct policy_repo *r, struct policy_table **ret)
{
	struct policy_table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->repo = r;
	t->host_peer = UINT32_MAX;
	err = policy_classes_init(&t->classes);
	if (err == 0)
		err = policy_locals_new(r, &t->locals);
	if (err < 0) {
		policy_table_free(t);
		return err;
	}
	*ret = t;
	return 0;
}

/* Forgets what is derived from the policies; classes and local identities stay. */
static void table_clear(struct policy_table *t)
{
	for (size_t i = 0; i < t->peers.n; i++) {
		t->peers.v[i].selector->mark = 0;
		ARRAY_DONE(&t->peers.v[i].entries);
		selector_put(t->repo->selectors, t->peers.v[i].selector);
	}
	for (size_t i = 0; i < t->named.n; i++)
		intern_put(label_table_strings(t->repo->labels), t->named.v[i].name);
	t->peers.n = t->selectors.n = t->named.n = t->entries.n = t->items.n = t->any_peer.n = 0;
	t->host_peer = UINT32_MAX;
	policy_index_free(TAKE_PTR(t->index));
	t->built = 0;
}

void policy_table_free(struct policy_table *t)
{
	if (!t)
		return;
	table_clear(t);
	ARRAY_DONE(&t->entries);
	ARRAY_DONE(&t->items);
	ARRAY_DONE(&t->any_peer);
	ARRAY_DONE(&t->peers);
	ARRAY_DONE(&t->selectors);
	ARRAY_DONE(&t->named);
	ARRAY_DONE(&t->prefixes);
	ARRAY_DONE(&t->changed);
	ARRAY_DONE(&t->sig);
	ARRAY_DONE(&t->scratch);
	policy_classes_done(&t->classes);
	policy_locals_free(t->locals);
	free(t);
}

/* The place of a selector among the peers; `mark` of the selector remembers it. */
static int table_peer(struct policy_table *t, struct selector *s, uint32_t *ret)
{
	int r = 0;

	if (!s->mark) {
		r = ARRAY_RESERVE(&t->selectors, 1);
		if (r == 0)
			r = ARRAY_ADD(&t->peers, (struct active_peer){.selector = s});
		if (r < 0)
			return r;
		t->selectors.v[t->selectors.n++] = selector_ref(s);
		s->mark = (uint32_t)t->peers.n;
	}
	*ret = s->mark - 1;
	return r;
}

static int table_link(struct policy_table *t, struct selector *s, uint32_t entry)
{
	uint32_t place;
	int r = table_peer(t, s, &place);

	return r < 0 ? r : ARRAY_ADD(&t->peers.v[place].entries, entry);
}

static int table_name(struct policy_table *t, const struct policy_l4 *l4)
{
	int r = ARRAY_ADD(&t->named, (struct named_port){.name = l4->name, .proto = l4->proto});

	if (r == 0)
		intern_ref(label_table_strings(t->repo->labels), l4->name);
	return r;
}

static int named_cmp(const void *pa, const void *pb)
{
	const struct named_port *a = pa, *b = pb;

	if (a->name != b->name)
		return a->name < b->name ? -1 : 1;
	return (int)a->proto - (int)b->proto;
}

static void table_settle_names(struct policy_table *t)
{
	size_t out = 0;

	ARRAY_SORT(&t->named, named_cmp);
	for (size_t i = 0; i < t->named.n; i++)
		if (out && named_cmp(&t->named.v[out - 1], &t->named.v[i]) == 0)
			intern_put(label_table_strings(t->repo->labels), t->named.v[i].name);
		else
			t->named.v[out++] = t->named.v[i];
	t->named.n = out;
}

static bool is_shadow(const struct policy_entry *e)
{
	return e->rule->object->is_shadow;
}

static struct policy_item item_of(const struct policy_entry *e, const struct policy_l4 *l4)
{
	return (struct policy_item){
		.proto = l4 ? l4->proto : POLICY_PROTO_ANY,
		.lo = l4 ? l4->lo : 0,
		.hi = l4 ? l4->hi : 0,
		.is_all = !l4 || l4->is_all,
		.is_deny = e->is_deny,
		.is_restricted = l4 && l4->is_restricted,
		.is_any_peer = e->has_any_peer,
		.auth = (uint8_t)e->auth,
		.rule = e->number,
	};
}

static int table_add_items(struct policy_table *t, struct active_entry *a)
{
	const struct policy_entry *e = a->entry;
	int r = ARRAY_RESERVE(&t->items, e->l4.n + 1);

	if (r < 0)
		return r;
	a->first = (uint32_t)t->items.n;
	if (e->has_any_l4)
		t->items.v[t->items.n++] = item_of(e, NULL);
	for (size_t i = 0; r == 0 && i < e->l4.n; i++) {
		struct policy_item it = item_of(e, &e->l4.v[i]);
		int port = 0;

		if (e->l4.v[i].name && e->dir == POLICY_EGRESS) {
			r = table_name(t, &e->l4.v[i]);
			continue;
		}
		if (e->l4.v[i].name) {
			port = named_ports_find(t->repo->subject_ports, e->l4.v[i].name,
						e->l4.v[i].proto);
			it.lo = it.hi = (uint16_t)port;
		}
		if (port >= 0)
			t->items.v[t->items.n++] = it;
	}
	a->n = (uint32_t)t->items.n - a->first;
	return r;
}

static int table_add_peers(struct policy_table *t, uint32_t place)
{
	const struct policy_entry *e = t->entries.v[place].entry;
	struct selector_list found = {0};
	int r = 0;

	if (e->is_nothing)
		return 0;
	if (e->has_any_peer)
		return ARRAY_ADD(&t->any_peer, place);
	for (size_t i = 0; r == 0 && i < e->peers.n; i++)
		r = table_link(t, e->peers.v[i], place);
	if (r == 0)
		r = policy_services_resolve(t->repo, e, &found);
	for (size_t i = 0; r == 0 && i < found.n; i++)
		r = table_link(t, found.v[i], place);
	selector_list_done(t->repo, &found);
	return r;
}

/* Cilium pkg/policy/repository.go, computePolicyEnforcementAndRules. */
static int table_collect(struct policy_table *t)
{
	const struct policy_repo *repo = t->repo;
	bool always = policy_is_always(repo), never = repo->options.mode == POLICY_MODE_NEVER;
	struct policy_object *o, *tmp;
	int r = 0;

	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		t->is_enforced[d] = t->is_default_deny[SET_ENFORCED][d] = t->is_default_deny[SET_SHADOW][d] =
			always && !never;
		t->is_shadowed[d] = false;
	}
	if (never)
		return 0;
	HASH_ITER(hh, repo->objects, o, tmp)
	{
		for (size_t i = 0; i < o->rules.n; i++) {
			const struct policy_rule *rule = &o->rules.v[i];

			if (!policy_rule_selects(repo, rule))
				continue;
			for (size_t k = 0; r == 0 && k < rule->entries.n; k++) {
				const struct policy_entry *e = &rule->entries.v[k];

				if (o->is_shadow)
					t->is_shadowed[e->dir] = true;
				else
					t->is_enforced[e->dir] = true;
				for (unsigned set = o->is_shadow ? SET_SHADOW : SET_ENFORCED; set < SETS; set++)
					t->is_default_deny[set][e->dir] =
						t->is_default_deny[set][e->dir] || rule->is_default_deny[e->dir];
				r = ARRAY_ADD(&t->entries, (struct active_entry){.entry = e});
			}
		}
	}
	return r;
}

/* Entries by number: what is derived from them comes out the same whatever order objects arrived
 * in. */
static int active_cmp(const void *pa, const void *pb)
{
	uint32_t a = ((const struct active_entry *)pa)->entry->number,
		 b = ((const struct active_entry *)pb)->entry->number;

	return a < b ? -1 : a > b;
}

/* The lowest-tier allow for the local host (Cilium allow-localhost=always). */
static int table_add_localhost(struct policy_table *t)
{
	CLEANUP(selector_builder_done) struct selector_builder b = {.cache = t->repo->selectors};
	const char *none = "";
	struct selector *s;
	bool has_ingress = false;
	int r;

	for (size_t i = 0; i < t->entries.n; i++)
		has_ingress = has_ingress || t->entries.v[i].entry->dir == POLICY_INGRESS;
	if (!t->repo->options.has_localhost_allow || !has_ingress ||
	    !t->is_default_deny[SET_SHADOW][POLICY_INGRESS])
		return 0;
	r = selector_builder_add(&b, LABEL_RESERVED, "host", SELECTOR_IN, &none, 1);
	if (r == 0)
		r = selector_builder_take(&b, &s);
	if (r < 0)
		return r;
	r = table_peer(t, s, &t->host_peer);
	selector_put(t->repo->selectors, s);
	return r;
}

/* New prefixes with their identities; old identities stay until the sweep at the end. */
static int table_build_prefixes(struct policy_table *t)
{
	struct policy_prefix_list list = {0};
	int r = policy_prefixes_make(t->repo, t->selectors.v, t->selectors.n, &list);

	t->prefixes.n = 0;
	if (r == 0)
		r = ARRAY_RESERVE(&t->prefixes, list.n);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct policy_prefix *p = &t->prefixes.v[i];

		p->prefix = list.v[i].prefix;
		r = policy_locals_get(t->locals, IDENTITY_LOCAL_CIDR, TAKE_PTR(list.v[i].labels),
				      t->rebuilds, &p->identity);
		t->prefixes.n += r == 0;
	}
	for (size_t i = 0; i < list.n; i++)
		label_set_free(t->repo->labels, list.v[i].labels);
	free(list.v);
	return r;
}

static int table_build_index(struct policy_table *t)
{
	int r = policy_index_new(t->repo->selectors, &t->index);

	for (uint32_t i = 0; r == 0 && i < t->peers.n; i++)
		r = policy_index_add(t->index, t->peers.v[i].selector, i);
	return r;
}

/* What is collected now. */
struct wanted {
	enum set set;
	enum policy_dir dir;
};

static void scratch_put(struct policy_table *t, const struct policy_item *it, const struct wanted *w)
{
	struct policy_item *to = &t->scratch.v[t->scratch.n++];

	*to = *it;
	/* where nothing is dropped by default, Cilium lets everything through the proxy */
	to->is_restricted = it->is_restricted && t->is_default_deny[w->set][w->dir];
}

static void scratch_add(struct policy_table *t, uint32_t place, const struct wanted *w)
{
	const struct active_entry *a = &t->entries.v[place];

	for (uint32_t i = 0; i < a->n; i++)
		scratch_put(t, &t->items.v[a->first + i], w);
}

/* Named ports of an egress entry, as the class's identities number them. */
static void scratch_add_named(struct policy_table *t, uint32_t place, const struct wanted *w)
{
	const struct policy_entry *e = t->entries.v[place].entry;

	for (size_t i = 0; i < e->l4.n; i++) {
		const struct policy_l4 *l4 = &e->l4.v[i];
		uint64_t want =
			POLICY_SIG_PORT | (uint64_t)l4->name << 24 | (uint64_t)l4->proto << 16;

		if (!l4->name || e->dir != POLICY_EGRESS)
			continue;
		for (size_t k = 0; k < t->sig.n; k++)
			if ((t->sig.v[k] & ~UINT64_C(0xffff)) == want) {
				struct policy_item it = item_of(e, l4);

				it.lo = it.hi = (uint16_t)t->sig.v[k];
				scratch_put(t, &it, w);
			}
	}
}

static int scratch_add_entry(struct policy_table *t, uint32_t place, const struct wanted *w)
{
	struct active_entry *a = &t->entries.v[place];
	int r;

	if (a->stamp == t->stamp || a->entry->dir != w->dir || (w->set == SET_ENFORCED && is_shadow(a->entry)))
		return 0;
	a->stamp = t->stamp;
	r = ARRAY_RESERVE(&t->scratch, a->n + a->entry->l4.n);
	if (r < 0)
		return r;
	scratch_add(t, place, w);
	scratch_add_named(t, place, w);
	return 0;
}

/* The localhost allow comes with an ingress entry of the set. */
static bool has_host_allow(const struct policy_table *t, enum set set)
{
	for (size_t i = 0; i < t->entries.n; i++)
		if (t->entries.v[i].entry->dir == POLICY_INGRESS &&
		    (set == SET_SHADOW || !is_shadow(t->entries.v[i].entry)))
			return true;
	return false;
}

static int class_build_dir(struct policy_table *t, const struct policy_hits *hits, const struct wanted *w,
			   struct policy_rows *ret)
{
	bool is_allowed = !t->is_default_deny[w->set][w->dir];
	int r = 0;

	if (++t->stamp == 0) { /* wrapped: old stamps must not match */
		for (size_t i = 0; i < t->entries.n; i++)
			t->entries.v[i].stamp = 0;
		t->stamp = 1;
	}
	t->scratch.n = 0;
	for (size_t i = 0; r == 0 && i < t->any_peer.n; i++)
		r = scratch_add_entry(t, t->any_peer.v[i], w);
	for (size_t i = 0; r == 0 && i < hits->n; i++) {
		const struct active_peer *p = &t->peers.v[hits->v[i]];

		is_allowed = is_allowed || (w->dir == POLICY_INGRESS && hits->v[i] == t->host_peer &&
					    has_host_allow(t, w->set));
		for (size_t k = 0; r == 0 && k < p->entries.n; k++)
			r = scratch_add_entry(t, p->entries.v[k], w);
	}
	if (r < 0)
		return r;
	return policy_rows_build(
		t->scratch.v, t->scratch.n,
		(struct policy_verdict){.action = is_allowed ? POLICY_ALLOW : POLICY_DENY_DEFAULT},
		ret);
}

static int class_build(struct policy_table *t, struct policy_class_entry *c,
		       const struct policy_hits *hits)
{
	struct policy_rows rows[SETS][POLICY_DIRS] = {0};
	int r = 0;

	for (unsigned set = 0; set < SETS; set++)
		for (unsigned d = 0; r == 0 && d < POLICY_DIRS; d++)
			if (set == SET_ENFORCED || t->is_shadowed[d])
				r = class_build_dir(t, hits,
						    &(struct wanted){.set = (enum set)set, .dir = (enum policy_dir)d},
						    &rows[set][d]);
	for (unsigned i = 0; r < 0 && i < SETS * POLICY_DIRS; i++)
		policy_rows_done(&rows[i / POLICY_DIRS][i % POLICY_DIRS]);
	if (r < 0)
		return r;
	policy_class_set_rows(&t->classes, c, rows[SET_ENFORCED], rows[SET_SHADOW]);
	c->built = t->built;
	return 0;
}

static int sig_cmp(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

static int table_make_sig(struct policy_table *t, const struct policy_hits *hits,
			  const struct named_ports *ports)
{
	int r = ARRAY_RESERVE(&t->sig, hits->n + t->named.n);

	t->sig.n = 0;
	for (size_t i = 0; r == 0 && i < hits->n; i++)
		t->sig.v[t->sig.n++] = t->peers.v[hits->v[i]].selector->number;
	for (size_t i = 0; r == 0 && ports && i < t->named.n; i++) {
		const struct named_port *want = &t->named.v[i];
		int port = named_ports_find(ports, want->name, want->proto);

		if (port >= 0)
			t->sig.v[t->sig.n++] = POLICY_SIG_PORT | (uint64_t)want->name << 24 |
					       (uint64_t)want->proto << 16 | (uint64_t)port;
	}
	ARRAY_SORT(&t->sig, sig_cmp);
	return r;
}

/* Finds the class of an identity; the tag is the class's number + 1. */
static int table_classify(struct policy_table *t, struct identity *id)
{
	const struct policy_hits *hits;
	struct policy_class_entry *c;
	uint32_t tag;
	int r = policy_index_find(t->index, id->labels, id->flags, &hits);

	if (r == 0)
		r = table_make_sig(t, hits, id->ports);
	if (r == 0)
		r = policy_classes_get(&t->classes, &t->sig, &c);
	if (r == 0 && c->built != t->built)
		r = class_build(t, c, hits);
	if (r < 0)
		return r;
	tag = c->pub.number + 1;
	if (tag == id->tag)
		return 0;
	r = ARRAY_ADD(&t->changed, id->number);
	if (r < 0)
		return r;
	policy_class_join(&t->classes, c);
	if (id->tag)
		policy_class_leave(&t->classes, t->classes.by_number.v[id->tag - 1], t->updates);
	id->tag = tag;
	return 0;
}

/* Identities that are gone leave their class. */
static int table_note_gone(struct policy_table *t)
{
	const struct identity_change *v;
	size_t n = identity_changes(t->repo->ids, &v);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!v[i].tag)
			continue;
		policy_class_leave(&t->classes, t->classes.by_number.v[v[i].tag - 1], t->updates);
		r = ARRAY_ADD(&t->changed, v[i].number);
	}
	return r;
}

static int table_rebuild(struct policy_table *t)
{
	static const struct policy_hits none = {0};
	int r;

	table_clear(t);
	t->rebuilds++;
	r = table_collect(t);
	ARRAY_SORT(&t->entries, active_cmp);
	for (uint32_t i = 0; r == 0 && i < t->entries.n; i++) {
		r = table_add_items(t, &t->entries.v[i]);
		if (r == 0)
			r = table_add_peers(t, i);
	}
	if (r == 0)
		r = table_add_localhost(t);
	table_settle_names(t);
	if (r == 0)
		r = table_build_prefixes(t);
	t->names_built = t->repo->names_generation;
	if (r == 0)
		r = table_build_index(t);
	if (r < 0)
		return r;
	policy_locals_sweep(t->locals, t->rebuilds > OVERLAY_KEEP ? t->rebuilds - OVERLAY_KEEP : 0);
	t->built = policy_generation(t->repo);
	t->sig.n = 0;
	r = class_build(t, t->classes.by_number.v[0], &none);
	for (size_t i = 0; r == 0 && i < identity_count(t->repo->ids); i++)
		r = table_classify(t, identity_at(t->repo->ids, i));
	if (r == 0)
		r = table_note_gone(t);
	return r;
}

/* After a failure no count can be trusted: all identities start without a class. */
static void table_reset(struct policy_table *t)
{
	for (size_t i = 0; i < identity_count(t->repo->ids); i++)
		identity_at(t->repo->ids, i)->tag = 0;
	for (size_t i = 1; i < t->classes.by_number.n; i++) {
		struct policy_class_entry *c = t->classes.by_number.v[i];

		if (!c || !c->pub.n_identities)
			continue;
		c->pub.n_identities = 1;
		policy_class_leave(&t->classes, c, t->updates);
	}
	t->classes.by_number.v[0]->pub.n_identities = 0;
	identity_changes_clear(t->repo->ids);
	t->built = 0;
}

static int table_follow_identities(struct policy_table *t)
{
	const struct identity_change *v;
	size_t n = identity_changes(t->repo->ids, &v);
	int r = table_note_gone(t);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct identity *id = identity_get(t->repo->ids, v[i].number);

		if (id)
			r = table_classify(t, id);
	}
	return r;
}

/* Learned names alone changed: their prefixes, and the identities that these have for the first time. */
static int table_follow_names(struct policy_table *t)
{
	int r = table_build_prefixes(t);

	t->names_built = t->repo->names_generation;
	return r < 0 ? r : table_follow_identities(t);
}

int policy_table_update(struct policy_table *t)
{
	bool is_full = t->built != policy_generation(t->repo);
	bool has_names = t->names_built != t->repo->names_generation;
	int r;

	t->updates++;
	t->changed.n = 0;
	if (identity_changes_lost(t->repo->ids)) {
		table_reset(t);
		is_full = true;
	}
	r = is_full ? table_rebuild(t) : has_names ? table_follow_names(t) : table_follow_identities(t);
	if (r < 0) {
		table_reset(t);
		return r;
	}
	identity_changes_clear(t->repo->ids);
	policy_classes_sweep(&t->classes, t->updates);
	return is_full || has_names || t->changed.n > 0;
}

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
	const struct policy_class_entry *c =
		number < t->classes.by_number.n ? t->classes.by_number.v[number] : NULL;

	return c ? &c->pub : NULL;
}

uint32_t policy_class_of(const struct policy_table *t, uint32_t identity)
{
	const struct identity *id = identity_get(t->repo->ids, identity);

	return id && id->tag ? id->tag - 1 : 0;
}

size_t policy_table_changed(const struct policy_table *t, const uint32_t **ret)
{
	*ret = t->changed.v;
	return t->changed.n;
}

size_t policy_table_prefixes(const struct policy_table *t, const struct policy_prefix **ret)
{
	*ret = t->prefixes.v;
	return t->prefixes.n;
}

/* The longest prefix around an address; walks back from where the address would be sorted. */
static const struct policy_prefix *table_prefix_of(const struct policy_table *t,
						   const struct ip *ip)
{
	struct cidr want = cidr_of_ip(ip);
	size_t lo = 0, hi = t->prefixes.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cidr_cmp(&t->prefixes.v[mid].prefix, &want) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo-- > 0)
		if (cidr_contains_ip(&t->prefixes.v[lo].prefix, ip))
			return &t->prefixes.v[lo];
	return NULL;
}

uint32_t policy_table_identity_of(const struct policy_table *t, const struct ip *ip)
{
	const struct policy_options *o = &t->repo->options;
	const struct policy_prefix *p = table_prefix_of(t, ip);

	if (p)
		return p->identity;
	if (!o->has_ipv4 || !o->has_ipv6)
		return IDENTITY_WORLD;
	return ip->family == AF_INET ? IDENTITY_WORLD_IPV4 : IDENTITY_WORLD_IPV6;
}

/* What a prefix says of an address that has an identity already. Returns how many labels, or -errno. */
static int add_prefix_labels(struct policy_table *t, const struct identity *base, const struct ip *ip,
			     struct label_builder *b)
{
	bool is_node = base->flags & (IDENTITY_IS_HOST | IDENTITY_IS_REMOTE_NODE);
	bool is_world = base->flags & IDENTITY_IS_WORLD; /* has its own prefix */
	const struct policy_prefix *p = table_prefix_of(t, ip);
	const struct identity *of_prefix = p ? identity_get(t->repo->ids, p->identity) : NULL;
	struct intern *strings = label_table_strings(t->repo->labels);
	int n = 0, r;

	if (!is_world && !(t->repo->options.cidr_modes & (is_node ? CIDR_MATCH_NODES : CIDR_MATCH_PODS)))
		return 0;
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
				      t->rebuilds, ret_identity);
	if (r < 0)
		return r;
	own = identity_get(t->repo->ids, *ret_identity);
	base = identity_get(t->repo->ids, identity);
	if (base->ports)
		r = identity_set_named_ports(t->repo->ids, *ret_identity, base->ports->told,
					     base->ports->n_told);
	if (r == 0 && t->built == policy_generation(t->repo))
		r = table_classify(t, own);
	return r;
}
