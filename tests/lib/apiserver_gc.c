/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the garbage collector and the namespace controller of a real cluster do: objects whose
 * owners are all gone follow them, a deleted namespace takes its content along.
 */
#include "apiserver_server.h"
#include "apiserver_util.h"

/*
 * True if the owner exists with the uid that the reference says. Kinds unknown here count as there,
 * and so do Pods as long as there never was one: manifests may hold endpoints without their pods.
 */
static bool owner_exists(const struct server *s, const struct object *o, const json_t *ref)
{
	const struct kind *k =
		kind_find_typed(text_at(ref, "apiVersion", NULL), text_at(ref, "kind", NULL));
	const struct object *owner;

	if (!k || (str_eq(k->name, "Pod") && s->store.last_rv[kind_index(k)] == 0))
		return true;
	owner = store_get(&s->store, k, kind_is(k, KIND_NAMESPACED) ? o->ns : "",
			  text_at(ref, "name", NULL));
	return owner && str_eq(owner->uid, text_at(ref, "uid", NULL));
}

static bool is_orphan(const struct server *s, const struct object *o)
{
	json_t *refs = json_at(o->json, "metadata", "ownerReferences", NULL), *ref;
	size_t i;

	json_array_foreach (refs, i, ref)
		if (owner_exists(s, o, ref))
			return false;
	return json_array_size(refs) > 0;
}

static bool has_deleted_namespace(const struct server *s)
{
	const struct object_list *l =
		&s->store.tables[kind_index(kind_find("", "v1", "namespaces"))];

	for (size_t i = 0; i < l->n; i++)
		if (json_at(l->v[i]->json, "metadata", "deletionTimestamp", NULL))
			return true;
	return false;
}

static bool is_in_deleted_namespace(const struct server *s, const struct object *o)
{
	const struct object *ns;

	if (!*o->ns)
		return false;
	ns = store_get(&s->store, kind_find("", "v1", "namespaces"), "", o->ns);
	return !ns || json_at(ns->json, "metadata", "deletionTimestamp", NULL);
}

/* Objects that something else still holds get their deletion marked. */
static void collect(struct server *s, struct object *o)
{
	json_t *copy;

	if (json_array_size(json_at(o->json, "metadata", "finalizers", NULL)) == 0) {
		(void)store_remove(&s->store, o);
		return;
	}
	if (json_at(o->json, "metadata", "deletionTimestamp", NULL))
		return;
	copy = must(json_deep_copy(o->json));
	json_put(json_sub(copy, "metadata"), "deletionGracePeriodSeconds", json_integer(0));
	json_put_text(json_sub(copy, "metadata"), "deletionTimestamp",
		      text_at(copy, "metadata", "creationTimestamp", NULL));
	(void)store_put(&s->store, o->kind, copy);
}

/* Namespaces that are marked and empty. */
static void finish_namespaces(struct server *s)
{
	const struct kind *k = kind_find("", "v1", "namespaces");
	struct object_list *l = &s->store.tables[kind_index(k)];

	for (size_t i = l->n; i-- > 0;) {
		bool is_empty = true;

		if (!json_at(l->v[i]->json, "metadata", "deletionTimestamp", NULL))
			continue;
		for (size_t t = 0; t < kinds_n && is_empty; t++)
			for (size_t j = 0; j < s->store.tables[t].n && is_empty; j++)
				is_empty = !str_eq(s->store.tables[t].v[j]->ns, l->v[i]->name);
		if (is_empty)
			(void)store_remove(&s->store, l->v[i]);
	}
}

void gc_run(struct server *s)
{
	CLEANUP(object_list_done) struct object_list doomed = {0};
	bool some_go = has_deleted_namespace(s);

	for (size_t t = 0; t < kinds_n; t++) {
		const struct object_list *l = &s->store.tables[t];

		for (size_t i = 0; i < l->n; i++)
			if (is_orphan(s, l->v[i]) ||
			    (some_go && is_in_deleted_namespace(s, l->v[i])))
				must_ok(ARRAY_ADD(&doomed, object_ref(l->v[i])));
	}
	for (size_t i = 0; i < doomed.n; i++)
		collect(s, doomed.v[i]);
	finish_namespaces(s);
}
