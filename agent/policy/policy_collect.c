/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_table.h"

#include "base/hash.h"
#include "base/macro.h"

void policy_collect_clear(struct policy_table *t, struct old_selectors *ret_old)
{
	for (size_t i = 0; i < t->peers.n; i++) {
		t->peers.v[i].selector->mark = 0;
		ARRAY_DONE(&t->peers.v[i].entries);
	}
	*ret_old = (struct old_selectors){.v = t->selectors.v, .n = t->selectors.n};
	t->selectors.v = NULL;
	t->selectors.cap = 0;
	for (size_t i = 0; i < t->named.n; i++)
		intern_put(label_table_strings(t->repo->labels), t->named.v[i].name);
	t->peers.n = t->selectors.n = t->named.n = t->entries.n = t->items.n = t->any_peer.n = 0;
	t->host_peer = UINT32_MAX;
	policy_index_free(TAKE_PTR(t->index));
	t->built = 0;
}

void policy_collect_release(struct policy_table *t, struct old_selectors *old)
{
	for (size_t i = 0; i < old->n; i++)
		selector_put(t->repo->selectors, old->v[i]);
	free(old->v);
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

struct policy_item policy_item_of(const struct policy_entry *e, const struct policy_l4 *l4)
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
		t->items.v[t->items.n++] = policy_item_of(e, NULL);
	for (size_t i = 0; r == 0 && i < e->l4.n; i++) {
		struct policy_item it = policy_item_of(e, &e->l4.v[i]);
		int port = 0;

		if (e->l4.v[i].name && e->dir == POLICY_EGRESS) {
			r = table_name(t, &e->l4.v[i]);
			continue;
		}
		if (e->l4.v[i].name) {
			port = named_ports_find(t->repo->subject_ports, e->l4.v[i].name,
						e->l4.v[i].proto);
			it.lo = (uint16_t)port;
			it.hi = (uint16_t)MAX((unsigned)it.lo, (unsigned)e->l4.v[i].hi);
		}
		if (port >= 0)
			t->items.v[t->items.n++] = it;
	}
	a->n = (uint32_t)t->items.n - a->first;
	a->digest = policy_entry_digest(e, &t->items.v[a->first], a->n);
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
	t->repo->services_hash += policy_services_hash(e, &found);
	for (size_t i = 0; r == 0 && i < found.n; i++)
		r = table_link(t, found.v[i], place);
	selector_list_done(t->repo, &found);
	return r;
}

/*
 * Entries by number: what is derived from them comes out the same whatever order objects arrived in.
 * Cilium pkg/policy/repository.go, computePolicyEnforcementAndRules.
 */
static int table_collect(struct policy_table *t)
{
	const struct policy_repo *repo = t->repo;
	bool always = policy_is_always(repo), never = repo->options.mode == POLICY_MODE_NEVER;
	const struct policy_rule *rule = NULL;
	bool is_selected = false;
	int r = 0;

	for (unsigned d = 0; d < POLICY_DIRS; d++) {
		t->is_enforced[d] = t->is_default_deny[SET_ENFORCED][d] = t->is_default_deny[SET_SHADOW][d] =
			always && !never;
		t->is_shadowed[d] = false;
	}
	for (size_t i = 0; !never && r == 0 && i < repo->by_number.n; i++) {
		const struct policy_entry *e = repo->by_number.v[i];

		if (!e)
			continue;
		if (e->rule != rule) {
			rule = e->rule;
			is_selected = policy_rule_selects(repo, rule);
		}
		if (!is_selected)
			continue;
		if (policy_entry_is_shadow(e))
			t->is_shadowed[e->dir] = true;
		else
			t->is_enforced[e->dir] = true;
		for (unsigned set = policy_entry_is_shadow(e) ? SET_SHADOW : SET_ENFORCED; set < SETS; set++)
			t->is_default_deny[set][e->dir] = t->is_default_deny[set][e->dir] || rule->is_default_deny[e->dir];
		r = ARRAY_ADD(&t->entries, (struct active_entry){.entry = e});
	}
	return r;
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

int policy_collect_prefixes(struct policy_table *t)
{
	struct policy_prefixes_before before = {.v = t->prefixes.v, .known = t->prefix_known.v, .n = t->prefix_known.n};
	struct policy_prefix_list list = {0};
	int r = policy_prefixes_make(t->repo, t->selectors.v, t->selectors.n, &before, &list);

	if (r == 0 && list.n > LIMIT_PREFIXES) {
		policy_prefixes_done(t->repo, &list);
		t->refused = policy_generation(t->repo);
		t->refused_names = policy_names_generation(t->repo);
		r = -EFBIG;
	}
	t->collections++;
	t->prefixes.n = t->prefix_known.n = 0;
	if (r == 0)
		r = ARRAY_RESERVE(&t->prefixes, list.n);
	if (r == 0)
		r = ARRAY_RESERVE(&t->prefix_known, list.n);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		struct policy_local *local = list.v[i].local;

		if (list.v[i].labels)
			r = policy_locals_get(t->locals, IDENTITY_LOCAL_CIDR, TAKE_PTR(list.v[i].labels), t->rebuilds, &local);
		if (r < 0)
			break;
		local->generation = t->rebuilds;
		local->collection = t->collections;
		t->prefixes.v[i].prefix = list.v[i].prefix;
		t->prefixes.v[i].identity = local->number;
		t->prefix_known.v[i] = (struct policy_prefix_known){.digest = list.v[i].digest, .local = local};
		t->prefixes.n = t->prefix_known.n = i + 1;
	}
	policy_prefixes_done(t->repo, &list);
	return r;
}

static int table_build_index(struct policy_table *t)
{
	int r = policy_index_new(t->repo->selectors, &t->index);

	for (uint32_t i = 0; r == 0 && i < t->peers.n; i++)
		r = policy_index_add(t->index, t->peers.v[i].selector, i);
	return r;
}

bool policy_table_has_host_allow(const struct policy_table *t, enum set set)
{
	for (size_t i = 0; i < t->entries.n; i++)
		if (t->entries.v[i].entry->dir == POLICY_INGRESS &&
		    (set == SET_SHADOW || !policy_entry_is_shadow(t->entries.v[i].entry)))
			return true;
	return false;
}

/* Keyed hashes, so their sum tells sets of them apart as well as one hash of all would. */
static uint64_t digest_entries(const struct policy_table *t, const uint32_t *places, size_t n)
{
	uint64_t sum = n;

	for (size_t i = 0; i < n; i++)
		sum += t->entries.v[places[i]].digest;
	return sum;
}

/* What has a part in the rows of every class. */
static uint64_t digest_common(const struct policy_table *t)
{
	uint64_t h = 0;

	for (unsigned set = 0; set < SETS; set++) {
		uint64_t v[] = {h, policy_table_has_host_allow(t, (enum set)set), t->is_default_deny[set][POLICY_INGRESS],
				t->is_default_deny[set][POLICY_EGRESS], t->is_shadowed[POLICY_INGRESS],
				t->is_shadowed[POLICY_EGRESS],
				t->host_peer == UINT32_MAX ? 0 : t->peers.v[t->host_peer].selector->number};

		h = hash_bytes(v, sizeof(v));
	}
	for (size_t i = 0; i < t->named.n; i++) {
		uint64_t v[] = {h, t->named.v[i].name, t->named.v[i].proto};

		h = hash_bytes(v, sizeof(v));
	}
	return h + digest_entries(t, t->any_peer.v, t->any_peer.n);
}

static int table_make_trace(struct policy_table *t)
{
	int r = 0;

	t->trace.common = digest_common(t);
	for (size_t i = 0; r == 0 && i < t->peers.n; i++) {
		const struct active_peer *p = &t->peers.v[i];

		r = policy_trace_add(&t->trace, p->selector->number, digest_entries(t, p->entries.v, p->entries.n));
	}
	return r;
}

int policy_collect(struct policy_table *t)
{
	int r = table_collect(t);

	t->repo->services_hash = 0;
	for (uint32_t i = 0; r == 0 && i < t->entries.n; i++) {
		r = table_add_items(t, &t->entries.v[i]);
		if (r == 0)
			r = table_add_peers(t, i);
	}
	if (r == 0)
		r = table_add_localhost(t);
	table_settle_names(t);
	if (r == 0)
		r = policy_collect_prefixes(t);
	t->names_built = t->repo->names_generation;
	if (r == 0)
		r = table_build_index(t);
	return r < 0 ? r : table_make_trace(t);
}
