/* SPDX-License-Identifier: Apache-2.0 */
/* Which Service has which frontend: recomputes the dirty Services and settles contested frontends. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/service_private.h"

/* The Service that has a contested frontend: the older, then the lesser name (A2: stable). */
static bool claim_beats(const struct claim *a, const struct claim *b)
{
	const struct kube_service *sa = a->owner->shown, *sb = b->owner->shown;

	if (sa->created_s != sb->created_s)
		return sa->created_s < sb->created_s;
	return strcmp(a->owner->key, b->owner->key) < 0;
}

struct flush {
	struct service_table *t;
	service_change_fn fn;
	void *arg;
};

/* Elects the owner of a slot and reports what differs from `before`, its content until now. */
static void slot_settle(const struct flush *fl, struct frontend_slot *slot,
			const struct frontend *before)
{
	struct claim *best = slot->claims;
	const struct frontend *now;

	for (struct claim *c = best; c; c = c->next)
		if (claim_beats(c, best))
			best = c;
	slot->active = best;
	now = best ? &best->f : NULL;
	if (fl->fn && (before || now) && !(before && now && frontend_same(before, now)))
		fl->fn(before, now, fl->arg);
}

static const struct frontend *slot_content(const struct frontend_slot *slot)
{
	return slot->active ? &slot->active->f : NULL;
}

static void slot_release(struct service_table *t, struct frontend_slot *slot)
{
	if (slot->claims)
		return;
	(void)id_table_put(&t->frontend_ids, slot->id); /* nobody asks whether it was the last */
	HASH_DEL(t->slots, slot);
	free(slot);
}

static int slot_get(struct service_table *t, const struct frontend *f, struct frontend_slot **ret)
{
	struct frontend_slot *slot;
	struct frontend_key key;
	int r;

	memset(&key, 0, sizeof(key)); /* padding is part of the hash key */
	key.ip = f->ip;
	key.proto = f->proto;
	key.port = f->port;
	HASH_FIND(hh, t->slots, &key, sizeof(key), slot);
	if (!slot) {
		slot = calloc(1, sizeof(*slot));
		if (!slot)
			return -ENOMEM;
		slot->key = key;
		r = id_table_get(&t->frontend_ids, &f->ip, f->port, f->proto, &slot->id);
		if (r < 0) {
			free(slot);
			return r;
		}
		hash_oom = false;
		HASH_ADD(hh, t->slots, key, sizeof(key), slot);
		if (hash_oom) {
			(void)id_table_put(&t->frontend_ids, slot->id); /* likewise */
			free(slot);
			return -ENOMEM;
		}
	}
	*ret = slot;
	return 0;
}

static void backends_put(struct service_table *t, const struct frontend *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (id_table_put(&t->backend_ids, f->backends[i].id) && t->on_unused)
			t->on_unused(&f->backends[i].ip, f->backends[i].port, f->proto, t->unused_arg);
}

static int backends_get(struct service_table *t, struct frontend *f)
{
	int r;

	for (size_t i = 0; i < f->n_backends; i++) {
		r = id_table_get(&t->backend_ids, &f->backends[i].ip, f->backends[i].port, f->proto,
				 &f->backends[i].id);
		if (r < 0) {
			backends_put(t, f, i);
			return r;
		}
	}
	return 0;
}

static struct claim *claim_find(const struct service_entry *e, const struct frontend *f)
{
	size_t lo = 0, hi = e->claims.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = frontend_cmp(&e->claims.v[mid]->f, f);

		if (r == 0)
			return e->claims.v[mid];
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* What happens to one fresh frontend when its Service is refreshed. */
struct step {
	struct claim *claim;
	bool is_new;
	bool is_prepared; /* ids are held by the fresh frontend */
};

static void steps_undo(struct service_table *t, struct frontends *fresh, struct step *steps)
{
	for (size_t i = 0; i < fresh->n; i++) {
		if (steps[i].is_prepared)
			backends_put(t, &fresh->v[i], fresh->v[i].n_backends);
		if (steps[i].is_new && steps[i].claim) {
			if (steps[i].claim->slot)
				slot_release(t, steps[i].claim->slot);
			free(steps[i].claim);
		}
	}
}

/* Does all that can fail, so that the second half cannot. */
static int steps_prepare(struct service_table *t, struct service_entry *e, struct frontends *fresh,
			 struct step *steps)
{
	int r;

	for (size_t i = 0; i < fresh->n; i++) {
		struct step *st = &steps[i];

		st->claim = claim_find(e, &fresh->v[i]);
		if (!st->claim) {
			st->is_new = true;
			st->claim = calloc(1, sizeof(*st->claim));
			if (!st->claim)
				return -ENOMEM;
			st->claim->owner = e;
			r = slot_get(t, &fresh->v[i], &st->claim->slot);
			if (r < 0)
				return r;
		}
		r = backends_get(t, &fresh->v[i]);
		if (r < 0)
			return r;
		st->is_prepared = true;
		fresh->v[i].id = st->claim->slot->id;
	}
	return 0;
}

static void claim_unlink(struct claim *c)
{
	struct claim **p = &c->slot->claims;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
}

static void claim_drop(const struct flush *fl, struct claim *c)
{
	struct frontend_slot *slot = c->slot;
	const struct frontend *before = slot_content(slot);

	if (slot->claims && slot->claims->next)
		fl->t->n_conflicts--;
	claim_unlink(c);
	slot_settle(fl, slot, before);
	slot_release(fl->t, slot);
	backends_put(fl->t, &c->f, c->f.n_backends);
	frontend_done(&c->f);
	free(c);
}

/* Gives a claim its fresh content; takes it. */
static void claim_set(const struct flush *fl, const struct step *st, struct frontend *fresh)
{
	struct claim *c = st->claim;
	struct frontend_slot *slot = c->slot;
	bool was_active = slot->active == c;
	struct frontend old = c->f;

	if (st->is_new) {
		if (slot->claims)
			fl->t->n_conflicts++;
		c->next = slot->claims;
		slot->claims = c;
	}
	c->f = *fresh;
	*fresh = (struct frontend){0};
	slot_settle(fl, slot, was_active ? &old : slot_content(slot));
	if (!st->is_new) {
		backends_put(fl->t, &old, old.n_backends);
		frontend_done(&old);
	}
}

/* Orders a removal before what it makes room for: claims that go, then those that stay or come. */
static void steps_commit(const struct flush *fl, struct service_entry *e, struct frontends *fresh,
			 const struct step *steps, struct claim **claims)
{
	struct kube_service *old_shown = e->shown;
	size_t at = 0;

	if (e->s)
		e->shown = e->s;
	for (size_t i = 0; i < e->claims.n; i++) {
		while (at < fresh->n && frontend_cmp(&fresh->v[at], &e->claims.v[i]->f) < 0)
			at++;
		if (at == fresh->n || frontend_cmp(&fresh->v[at], &e->claims.v[i]->f) != 0)
			claim_drop(fl, e->claims.v[i]);
	}
	free(e->claims.v);
	e->claims.v = claims;
	e->claims.n = e->claims.cap = fresh->n;
	for (size_t i = 0; i < fresh->n; i++) {
		claims[i] = steps[i].claim;
		claim_set(fl, &steps[i], &fresh->v[i]);
	}
	e->shown = e->s;
	if (old_shown != e->s)
		kube_service_free(old_shown);
}

static int refresh(const struct flush *fl, struct service_entry *e)
{
	CLEANUP(frontends_done) struct frontends fresh = {0};
	CLEANUP(free) struct step *steps = NULL;
	CLEANUP(free) struct claim **claims = NULL;
	int r = 0;

	if (e->s)
		r = service_select(e->s, e->slices.v, e->slices.n, &fl->t->opt.o, &fresh);
	if (r < 0)
		return r;
	if (fresh.n) {
		steps = calloc(fresh.n, sizeof(*steps));
		claims = calloc(fresh.n, sizeof(*claims));
		if (!steps || !claims)
			return -ENOMEM;
	}
	r = steps_prepare(fl->t, e, &fresh, steps);
	if (r < 0) {
		steps_undo(fl->t, &fresh, steps);
		return r;
	}
	steps_commit(fl, e, &fresh, steps, TAKE_PTR(claims));
	return 0;
}

int service_table_flush(struct service_table *t, service_change_fn fn, void *arg)
{
	const struct flush fl = {t, fn, arg};
	struct service_entry *e = t->dirty_first, *next;
	int r, ret = 0;

	t->dirty_first = t->dirty_last = NULL;
	for (; e; e = next) {
		next = e->next_dirty;
		e->is_dirty = false;
		r = ret == -ENOMEM ? -ENOMEM : refresh(&fl, e);
		if (r < 0) {
			service_mark_dirty(t, e);
			ret = r;
		} else {
			service_release(t, e);
		}
	}
	return ret;
}
