/* SPDX-License-Identifier: Apache-2.0 */
#include "apiserver_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apiserver_util.h"
#include "base/str.h"

/* Takes json, whose metadata.resourceVersion it sets. */
static struct object *object_new(const struct kind *k, json_t *json, uint64_t rv)
{
	struct object *o = must(calloc(1, sizeof(*o)));
	json_t *ordered = must(json_object());
	char version[96], number[24];

	kind_api_version(k, version);
	json_put_text(ordered, "kind", k->name);
	json_put_text(ordered, "apiVersion", version);
	(void)json_object_del(json, "kind");
	(void)json_object_del(json, "apiVersion");
	must_ok(json_object_update(ordered, json));
	json_decref(json);
	(void)snprintf(number, sizeof(number), "%" PRIu64, rv);
	json_put_text(json_sub(ordered, "metadata"), "resourceVersion", number);
	o->refs = 1;
	o->kind = k;
	o->rv = rv;
	o->json = ordered;
	o->ns = text_at(ordered, "metadata", "namespace", NULL);
	o->name = text_at(ordered, "metadata", "name", NULL);
	o->uid = text_at(ordered, "metadata", "uid", NULL);
	o->key = kind_is(k, KIND_NAMESPACED) ? must_printf("%s/%s", o->ns, o->name)
					     : must_strdup(o->name);
	/* custom resources come with sorted keys, built-in ones in the order of their Go types */
	o->text = must(
		json_dumps(ordered, JSON_COMPACT | (kind_is(k, KIND_CUSTOM) ? JSON_SORT_KEYS : 0)));
	o->text_len = strlen(o->text);
	/* {"kind":"K","apiVersion":"V", */
	o->head_len =
		strlen("{\"kind\":\"\",\"apiVersion\":\"\",") + strlen(k->name) + strlen(version);
	return o;
}

struct object *object_ref(struct object *o)
{
	o->refs++;
	return o;
}

void object_unref(struct object *o)
{
	if (!o || --o->refs > 0)
		return;
	json_decref(o->json);
	free(o->key);
	free(o->text);
	free(o);
}

struct object *object_at_rv(const struct object *o, uint64_t rv)
{
	json_t *copy = must(json_copy(o->json));

	json_put(copy, "metadata", json_copy(json_object_get(o->json, "metadata")));
	return object_new(o->kind, copy, rv);
}

void object_list_done(struct object_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		object_unref(l->v[i]);
	ARRAY_DONE(l);
}

void store_init(struct store *s, uint64_t first_rv, size_t history)
{
	memset(s, 0, sizeof(*s));
	s->rv = s->floor = first_rv;
	s->ring_n = history;
	s->ring = must(calloc(history, sizeof(*s->ring)));
}

static void event_clear(struct event *e)
{
	object_unref(e->now);
	object_unref(e->before);
	memset(e, 0, sizeof(*e));
}

void store_compact(struct store *s)
{
	for (size_t i = 0; i < s->ring_n; i++)
		event_clear(&s->ring[i]);
	s->floor = s->rv;
}

void store_done(struct store *s)
{
	store_compact(s);
	free(s->ring);
	for (size_t i = 0; i < KIND_MAX; i++)
		object_list_done(&s->tables[i]);
}

/* Index of the first object whose key is not below `key`. */
static size_t list_find(const struct object_list *l, const char *key, bool *ret_equal)
{
	size_t lo = 0, hi = l->n;

	*ret_equal = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(l->v[mid]->key, key);

		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
		if (c == 0)
			*ret_equal = true;
	}
	return lo;
}

/* Puts a reference of its own to `o` in the list, NULL removes `key`. */
static void list_set(struct object_list *l, const char *key, struct object *o)
{
	bool has;
	size_t i = list_find(l, key, &has);

	if (o)
		object_ref(o);
	if (has && o) {
		object_unref(l->v[i]);
		l->v[i] = o;
	} else if (has) {
		object_unref(l->v[i]);
		memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(*l->v));
		l->n--;
	} else if (o) {
		must_ok(ARRAY_RESERVE(l, 1));
		memmove(&l->v[i + 1], &l->v[i], (l->n - i) * sizeof(*l->v));
		l->v[i] = o;
		l->n++;
	}
}

struct object *store_get(const struct store *s, const struct kind *k, const char *ns,
			 const char *name)
{
	const struct object_list *l = &s->tables[kind_index(k)];
	CLEANUP(free) char *key =
		kind_is(k, KIND_NAMESPACED) ? must_printf("%s/%s", ns, name) : must_strdup(name);
	bool has;
	size_t i = list_find(l, key, &has);

	return has ? l->v[i] : NULL;
}

/* Takes both references. */
static void store_note(struct store *s, enum event_type type, struct object *now,
		       struct object *before)
{
	struct event *e = &s->ring[now->rv % s->ring_n];

	if (e->rv)
		s->floor = e->rv;
	event_clear(e);
	*e = (struct event){now->rv, type, now, before};
	s->last_rv[kind_index(now->kind)] = now->rv;
}

struct object *store_put(struct store *s, const struct kind *k, json_t *json)
{
	struct object *o = object_new(k, json, ++s->rv);
	struct object *before = store_get(s, k, o->ns, o->name);

	if (before)
		object_ref(before);
	list_set(&s->tables[kind_index(k)], o->key, o);
	store_note(s, before ? EVENT_MODIFIED : EVENT_ADDED, o, before);
	return o;
}

struct object *store_remove(struct store *s, struct object *o)
{
	struct object *last = object_at_rv(o, ++s->rv);
	struct object *before = object_ref(o);

	list_set(&s->tables[kind_index(o->kind)], before->key, NULL);
	store_note(s, EVENT_DELETED, last, before);
	return last;
}

const struct event *store_event(const struct store *s, uint64_t rv)
{
	const struct event *e = &s->ring[rv % s->ring_n];

	return e->rv == rv && rv > s->floor ? e : NULL;
}

bool store_snapshot(const struct store *s, const struct kind *k, const char *ns, uint64_t rv,
		    struct object_list *ret)
{
	const struct object_list *l = &s->tables[kind_index(k)];
	CLEANUP(free) char *prefix = must_printf("%s/", ns);
	bool all = *ns == '\0', has;
	size_t i = all ? 0 : list_find(l, prefix, &has);

	if (rv < s->floor && rv < s->last_rv[kind_index(k)])
		return false;
	must_ok(ARRAY_RESERVE(ret, l->n - i));
	for (; i < l->n && (all || str_has_prefix(l->v[i]->key, prefix)); i++)
		must_ok(ARRAY_ADD(ret, object_ref(l->v[i])));
	if (s->last_rv[kind_index(k)] <= rv)
		return true;
	for (uint64_t at = s->rv; at > rv; at--) {
		const struct event *e = store_event(s, at);

		if (e && e->now->kind == k && (all || str_eq(e->now->ns, ns)))
			list_set(ret, e->now->key, e->before);
	}
	return true;
}
