/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_resolve.h"

#include "base/macro.h"
#include "policy/policy_table.h"

enum { LOCALS_KEEP = 2 }; /* rebuilds, or collections of prefixes, for which a local identity stays that has no use */
/* With more new selectors than that, finding an identity's selection anew costs less than trying them all. */
enum { TRY_SELECTORS_MAX = 16 };

int policy_table_new(struct policy_repo *r, struct policy_table **ret)
{
	struct policy_table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->repo = r;
	t->host_peer = UINT32_MAX;
	err = policy_selections_init(&t->selections, &t->classes);
	if (err == 0)
		err = policy_locals_new(r, &t->locals);
	if (err < 0) {
		policy_table_free(t);
		return err;
	}
	*ret = t;
	return 0;
}

void policy_table_free(struct policy_table *t)
{
	struct old_selectors old;

	if (!t)
		return;
	policy_collect_clear(t, &old);
	policy_collect_release(t, &old);
	policy_trace_done(&t->trace);
	ARRAY_DONE(&t->entries);
	ARRAY_DONE(&t->items);
	ARRAY_DONE(&t->any_peer);
	ARRAY_DONE(&t->peers);
	ARRAY_DONE(&t->selectors);
	ARRAY_DONE(&t->named);
	ARRAY_DONE(&t->prefixes);
	ARRAY_DONE(&t->prefix_known);
	ARRAY_DONE(&t->changed);
	u32map_done(&t->strangers);
	ARRAY_DONE(&t->sig);
	ARRAY_DONE(&t->places);
	ARRAY_DONE(&t->scratch);
	policy_selections_done(&t->selections);
	policy_classes_done(&t->classes);
	policy_locals_free(t->locals);
	free(t);
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

/* Named ports of an egress entry, as the selection's identities number them. */
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
				struct policy_item it = policy_item_of(e, l4);

				it.lo = it.hi = (uint16_t)t->sig.v[k];
				scratch_put(t, &it, w);
			}
	}
}

static int scratch_add_entry(struct policy_table *t, uint32_t place, const struct wanted *w)
{
	struct active_entry *a = &t->entries.v[place];
	int r;

	if (a->stamp == t->stamp || a->entry->dir != w->dir || (w->set == SET_ENFORCED && policy_entry_is_shadow(a->entry)))
		return 0;
	a->stamp = t->stamp;
	r = ARRAY_RESERVE(&t->scratch, a->n + a->entry->l4.n);
	if (r < 0)
		return r;
	scratch_add(t, place, w);
	scratch_add_named(t, place, w);
	return 0;
}

static int selection_build_dir(struct policy_table *t, const struct policy_hits *hits, const struct wanted *w,
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
					    policy_table_has_host_allow(t, w->set));
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

static int selection_build(struct policy_table *t, struct policy_selection *e, const struct policy_hits *hits)
{
	struct policy_rows rows[SETS][POLICY_DIRS] = {0};
	struct policy_class_entry *class;
	int r = 0;

	for (unsigned set = 0; set < SETS; set++)
		for (unsigned d = 0; r == 0 && d < POLICY_DIRS; d++)
			if (set == SET_ENFORCED || t->is_shadowed[d])
				r = selection_build_dir(t, hits,
							&(struct wanted){.set = (enum set)set, .dir = (enum policy_dir)d},
							&rows[set][d]);
	for (unsigned i = 0; r < 0 && i < SETS * POLICY_DIRS; i++)
		policy_rows_done(&rows[i / POLICY_DIRS][i % POLICY_DIRS]);
	if (r == 0)
		r = policy_classes_get(&t->classes, rows[SET_ENFORCED], rows[SET_SHADOW], e->class, &class);
	if (r < 0)
		return r;
	policy_selection_set_class(e, &t->classes, class);
	e->built = t->built;
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

static void note_changed(struct policy_table *t, uint32_t identity)
{
	t->is_owed = true;
	if (t->is_all_changed)
		return;
	/* who takes the changes may be held off for as long as the API server likes */
	t->is_all_changed = t->changed.n > identity_count(t->repo->ids) || ARRAY_ADD(&t->changed, identity) < 0;
	if (t->is_all_changed)
		t->changed.n = 0;
}

/* The tag is the selection's number + 1. */
int policy_table_classify(struct policy_table *t, struct identity *id)
{
	const struct policy_hits *hits;
	struct policy_selection *e;
	uint32_t tag;
	int r = policy_index_find(t->index, id->labels, id->flags, &hits);

	if (r == 0)
		r = table_make_sig(t, hits, id->ports);
	if (r == 0)
		r = policy_selections_get(&t->selections, &t->sig, &e);
	if (r == 0 && e->built != t->built)
		r = selection_build(t, e, hits);
	if (r < 0)
		return r;
	tag = e->number + 1;
	if (tag == id->tag)
		return 0;
	policy_selection_join(&t->selections, e);
	if (id->tag)
		policy_selection_leave(&t->selections, t->selections.by_number.v[id->tag - 1], t->updates);
	id->tag = tag;
	return 0;
}

void policy_table_settle(struct policy_table *t)
{
	policy_classes_settle(&t->classes, t->selections.by_number.v[0]->class);
}

void policy_table_publish(struct policy_table *t, struct identity *id)
{
	uint32_t class = t->selections.by_number.v[id->tag - 1]->class->pub.number;

	if (id->class == class)
		return;
	id->class = class;
	note_changed(t, id->number);
}

static void publish_changes(struct policy_table *t)
{
	const struct identity_change *v;
	size_t n = identity_changes(t->repo->ids, &v);

	for (size_t i = 0; i < n; i++) {
		struct identity *id = identity_get(t->repo->ids, v[i].number);

		if (id)
			policy_table_publish(t, id);
	}
}

static void publish_all(struct policy_table *t)
{
	for (size_t i = 0; i < identity_count(t->repo->ids); i++)
		policy_table_publish(t, identity_at(t->repo->ids, i));
}

/* Identities that are gone leave their selection. */
static void table_note_gone(struct policy_table *t)
{
	const struct identity_change *v;
	size_t n = identity_changes(t->repo->ids, &v);

	for (size_t i = 0; i < n; i++) {
		if (!v[i].tag)
			continue;
		policy_selection_leave(&t->selections, t->selections.by_number.v[v[i].tag - 1], t->updates);
		note_changed(t, v[i].number);
	}
}

static int table_follow_identities(struct policy_table *t)
{
	const struct identity_change *v;
	size_t n = identity_changes(t->repo->ids, &v);
	int r = 0;

	table_note_gone(t);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct identity *id = identity_get(t->repo->ids, v[i].number);

		if (id)
			r = policy_table_classify(t, id);
	}
	return r;
}

static int table_classify_all(struct policy_table *t)
{
	static const struct policy_hits none = {0};
	int r;

	t->sig.n = 0;
	r = selection_build(t, t->selections.by_number.v[0], &none);
	for (size_t i = 0; r == 0 && i < identity_count(t->repo->ids); i++)
		r = policy_table_classify(t, identity_at(t->repo->ids, i));
	if (r == 0)
		table_note_gone(t);
	return r;
}

/* The rows of a selection that keeps its selectors. */
static int selection_build_again(struct policy_table *t, struct policy_selection *e)
{
	int r = ARRAY_RESERVE(&t->sig, e->n_sig);

	t->sig.n = 0;
	for (size_t i = 0; r == 0 && i < e->n_sig; i++)
		t->sig.v[t->sig.n++] = e->sig[i]; /* named ports are read from there */
	if (r == 0)
		r = policy_trace_hits(&t->trace, e, &t->places);
	return r < 0 ? r : selection_build(t, e, &t->places);
}

/* Selections that were right before are so again, or have their rows made anew, or are marked as split. */
static int table_follow_selections(struct policy_table *t, const struct policy_trace *before, uint64_t was_built)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->selections.by_number.n; i++) {
		struct policy_selection *e = t->selections.by_number.v[i];
		enum policy_touch touch;

		if (!e)
			continue;
		touch = policy_trace_compare(before, &t->trace, e);
		e->is_split = touch == POLICY_TOUCH_MEMBERS;
		if (touch == POLICY_TOUCH_NONE && e->built == was_built)
			e->built = t->built;
		else if (!e->is_split && (e->n_identities || i == 0))
			r = selection_build_again(t, e);
		else if (!e->n_identities)
			policy_selection_set_class(e, &t->classes, NULL); /* or nobody could take over its number */
	}
	return r;
}

struct added {
	struct selector **v;
	size_t n, cap;
};

static bool is_selected_anew(const struct policy_table *t, const struct added *added, const struct identity *id)
{
	for (size_t i = 0; i < added->n; i++)
		if (selector_match(t->repo->selectors, added->v[i], id->labels, id->flags))
			return true;
	return false;
}

/*
 * The difference between two policies: an identity that neither a new selector matches nor one that is gone did
 * stays in its selection.
 */
static int table_follow_policy(struct policy_table *t, const struct policy_trace *before, uint64_t was_built)
{
	struct added added = {0};
	int r = table_follow_selections(t, before, was_built);

	for (size_t i = 0; r == 0 && i < t->selectors.n; i++)
		if (!policy_trace_has(before, t->selectors.v[i]->number))
			r = ARRAY_ADD(&added, t->selectors.v[i]);
	for (size_t i = 0; r == 0 && i < identity_count(t->repo->ids); i++) {
		struct identity *id = identity_at(t->repo->ids, i);

		if (!id->tag)
			continue; /* among the changes below */
		if (t->selections.by_number.v[id->tag - 1]->is_split || added.n > TRY_SELECTORS_MAX ||
		    is_selected_anew(t, &added, id))
			r = policy_table_classify(t, id);
	}
	ARRAY_DONE(&added);
	return r < 0 ? r : table_follow_identities(t);
}

static int table_rebuild(struct policy_table *t)
{
	struct policy_trace before = t->trace;
	struct old_selectors old;
	uint64_t was_built = t->built;
	int r;

	t->trace = (struct policy_trace){0};
	policy_collect_clear(t, &old);
	t->rebuilds++;
	r = policy_collect(t);
	policy_collect_release(t, &old);
	if (r == 0) {
		policy_locals_sweep(t->locals, t->rebuilds > LOCALS_KEEP ? t->rebuilds - LOCALS_KEEP : 0);
		t->built = policy_generation(t->repo);
		if (was_built && before.common == t->trace.common)
			r = table_follow_policy(t, &before, was_built);
		else
			r = table_classify_all(t);
	}
	policy_trace_done(&before);
	return r;
}

/* After a failure no count can be trusted: all identities start without a selection, and who is gone is not known. */
static void table_reset(struct policy_table *t)
{
	for (size_t i = 0; i < identity_count(t->repo->ids); i++)
		identity_at(t->repo->ids, i)->tag = 0;
	policy_selections_empty(&t->selections, t->updates);
	identity_changes_clear(t->repo->ids);
	t->built = 0;
	t->changed.n = 0;
	t->is_all_changed = true;
}

/* Learned names alone changed: their prefixes, and the identities that these have for the first time. */
static int table_follow_names(struct policy_table *t)
{
	int r = policy_collect_prefixes(t);

	t->names_built = t->repo->names_generation;
	if (r < 0)
		return r;
	/* names that share addresses make a new set of labels each time they share others */
	policy_locals_sweep_prefixes(t->locals, t->collections > LOCALS_KEEP ? t->collections - LOCALS_KEEP : 0);
	return table_follow_identities(t);
}

/* The same would come out again, each time that something else changes. */
static bool is_refused(const struct policy_table *t)
{
	return t->refused == policy_generation(t->repo) && t->refused_names == policy_names_generation(t->repo);
}

/* Before the changes are forgotten. */
static void note_strangers(struct policy_table *t)
{
	const struct identity_change *v;
	size_t n = identity_changes(t->repo->ids, &v);

	t->is_blind = t->is_blind || identity_changes_lost(t->repo->ids);
	for (size_t i = 0; i < n; i++) {
		const struct identity *id = identity_get(t->repo->ids, v[i].number);

		/* a local number that is gone comes back for something else as good as never */
		if ((id ? id->is_new : v[i].number < IDENTITY_LOCAL_CIDR) && u32map_put(&t->strangers, v[i].number, 1) < 0)
			t->is_blind = true;
	}
}

int policy_table_update(struct policy_table *t)
{
	bool is_full = t->built != policy_generation(t->repo);
	bool has_names = t->names_built != t->repo->names_generation;
	int r;

	t->updates++;
	if (identity_changes_lost(t->repo->ids)) {
		table_reset(t);
		is_full = true;
	}
	if (is_refused(t))
		r = -EFBIG;
	else
		r = is_full ? table_rebuild(t) : has_names ? table_follow_names(t) : table_follow_identities(t);
	if (r == 0) {
		policy_table_settle(t);
		if (is_full)
			publish_all(t);
		else
			publish_changes(t);
	}
	note_strangers(t);
	if (r < 0) {
		table_reset(t);
		return r;
	}
	identity_changes_clear(t->repo->ids);
	policy_selections_sweep(&t->selections, &t->classes, t->updates);
	policy_table_settle(t);
	t->is_owed = t->is_owed || is_full || has_names;
	if (!t->is_owed)
		policy_table_meet(t, NULL); /* all are what those are that no rule is about */
	return t->is_owed;
}

void policy_table_taken(struct policy_table *t)
{
	t->changed.n = 0;
	t->is_all_changed = false;
	t->is_owed = false;
	policy_table_meet(t, NULL);
}
