/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_gate.h"

#include "base/limits.h"
#include "base/macro.h"
#include "json/doc_write.h"
#include "json/json.h"
#include "policy/policy_rule.h"
#include "policy/policy_shadow.h"

struct kept {
	enum policy_kind kind;
	char *ns, *name;
	char *text;    /* what is in force; NULL = nothing */
	uint64_t hash; /* of what of it decides verdicts */
	char *waiting; /* held: the newest; NULL = deleted, or not told of. Open: there was no memory to let it in */
	bool is_told;  /* held: the API server has said something since */
	char *key;
	UT_hash_handle hh;
};

struct policy_gate {
	struct policy_repo *repo;
	struct kept *kept;
	bool is_held;
	bool has_heard; /* something came while it was open */
};

static uint64_t hash_end(uint64_t h)
{
	return hash_stable(h, &(uint8_t){0xff}, 1);
}

static uint64_t mixed(uint64_t h)
{
	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 33;
}

static void kept_free(struct kept *k)
{
	free(k->ns);
	free(k->name);
	free(k->text);
	free(k->waiting);
	free(k->key);
	free(k);
}

static void forget(struct policy_gate *g, struct kept *k)
{
	HASH_DEL(g->kept, k);
	kept_free(k);
}

int policy_gate_new(struct policy_repo *r, struct policy_gate **ret)
{
	struct policy_gate *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->repo = r;
	*ret = g;
	return 0;
}

void policy_gate_free(struct policy_gate *g)
{
	struct kept *k, *tmp;

	if (!g)
		return;
	HASH_ITER(hh, g->kept, k, tmp)
		forget(g, k);
	free(g);
}

static struct kept *find(const struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name)
{
	char key[POLICY_KEY_MAX];
	struct kept *k = NULL;

	if (policy_key(kind, ns, name, key))
		HASH_FIND_STR(g->kept, key, k);
	return k;
}

static int get(struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name, struct kept **ret)
{
	struct kept *k = find(g, kind, ns, name);
	char key[POLICY_KEY_MAX];

	if (!k) {
		if (!policy_key(kind, ns, name, key))
			return -EBADMSG;
		if (HASH_COUNT(g->kept) >= LIMIT_POLICIES)
			return -ENOSPC;
		k = calloc(1, sizeof(*k));
		if (!k)
			return -ENOMEM;
		k->kind = kind;
		k->ns = strdup(ns);
		k->name = strdup(name);
		k->key = strdup(key);
		hash_oom = !k->ns || !k->name || !k->key;
		if (!hash_oom)
			HASH_ADD_KEYPTR(hh, g->kept, k->key, strlen(k->key), k);
		if (hash_oom) {
			kept_free(k);
			return -ENOMEM;
		}
	}
	*ret = k;
	return 0;
}

/* Names as policy_set() reads them. */
static const char *name_of(const struct doc *obj)
{
	return doc_str_at(obj, "metadata.name", "");
}

static const char *ns_of(enum policy_kind kind, const char *ns)
{
	if (kind == POLICY_CCNP || kind == POLICY_CIDR_GROUP)
		return "";
	return *ns ? ns : "default";
}

/* Who an object is, and what of its metadata decides verdicts: labels do so for groups only. */
static int write_meta(struct doc_writer *w, const struct doc *meta, bool has_labels)
{
	static const char *const keys[] = {"name", "namespace", "uid", "generation", "labels"};
	const struct doc *mode = doc_get_any(doc_get_any(meta, "annotations"), POLICY_MODE_ANNOTATION), *v;
	int r = doc_write_begin(w, false);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(keys) - !has_labels; i++) {
		if (!(v = doc_get_any(meta, keys[i])))
			continue;
		r = doc_write_key(w, keys[i], strlen(keys[i]));
		r = r < 0 ? r : doc_write_copy(w, v);
	}
	if (r == 0 && mode) {
		r = doc_write_key(w, "annotations", strlen("annotations"));
		r = r < 0 ? r : doc_write_begin(w, false);
		r = r < 0 ? r : doc_write_key(w, POLICY_MODE_ANNOTATION, strlen(POLICY_MODE_ANNOTATION));
		r = r < 0 ? r : doc_write_copy(w, mode);
		r = r < 0 ? r : doc_write_end(w);
	}
	return r < 0 ? r : doc_write_end(w);
}

static int add_meta(struct doc_text *t, const struct doc *meta, bool has_labels)
{
	CLEANUP(doc_write_done) struct doc_writer w = {0};
	int r = doc_text_add_raw(t, "\"metadata\":");

	if (r == 0)
		r = write_meta(&w, meta, has_labels);
	return r < 0 ? r : doc_text_add(t, doc_written(&w));
}

/* Adds a member, and its value to the hash; "null" is the one for what is not there. */
static int add_member(struct doc_text *t, const char *key, const struct doc *v, uint64_t *hash)
{
	size_t at;
	int r;

	if (!v) {
		*hash = hash_stable(*hash, "null", 4);
		return 0;
	}
	r = doc_text_add_raw(t, key);
	at = t->n;
	if (r == 0)
		r = doc_text_add(t, v);
	if (r == 0)
		*hash = hash_stable(*hash, t->v + at, t->n - at);
	return r;
}

static int hash_labels(const struct doc *labels, uint64_t *hash)
{
	CLEANUP(doc_text_done) struct doc_text ignored = {0};

	return add_member(&ignored, "", labels, hash);
}

/*
 * What of an object decides verdicts, and who it is, as text; and the hash of the first of these: of [spec, specs, labels] as
 * text, as in earlier runs.
 */
static int essence(const struct kept *k, const struct doc *obj, char **ret_text, uint64_t *ret_hash)
{
	CLEANUP(doc_text_done) struct doc_text t = {0};
	bool is_group = k->kind == POLICY_CIDR_GROUP;
	uint64_t h = hash_stable(hash_end(hash_stable(HASH_STABLE, k->key, strlen(k->key))), "[", 1);
	int r = doc_text_add_raw(&t, "{");

	if (r == 0)
		r = add_meta(&t, doc_get_any(obj, "metadata"), is_group);
	if (r == 0)
		r = add_member(&t, ",\"spec\":", doc_get_any(obj, "spec"), &h);
	h = hash_stable(h, ",", 1);
	if (r == 0)
		r = add_member(&t, ",\"specs\":", doc_get_any(obj, "specs"), &h);
	h = hash_stable(h, ",", 1);
	if (r == 0)
		r = hash_labels(is_group ? doc_at(obj, "metadata.labels") : NULL, &h);
	if (r == 0)
		r = doc_text_add_raw(&t, "}");
	if (r < 0)
		return r;
	*ret_hash = hash_end(hash_stable(h, "]", 1));
	*ret_text = doc_text_take(&t);
	return *ret_text ? 0 : -ENOMEM;
}

/* Remembers what is in force now, if it counts. */
static int keep(struct policy_gate *g, enum policy_kind kind, const struct doc *obj)
{
	const char *ns = ns_of(kind, doc_str_at(obj, "metadata.namespace", "")), *name = name_of(obj);
	struct kept *k = find(g, kind, ns, name);
	char *text;
	int r;

	if (!policy_counts(g->repo, kind, ns, name)) {
		if (k && g->is_held)
			free(TAKE_PTR(k->text)); /* what waits stays */
		else if (k)
			forget(g, k);
		return 0;
	}
	r = get(g, kind, ns, name, &k);
	if (r == 0)
		r = essence(k, obj, &text, &k->hash);
	if (r < 0)
		return r;
	free(k->text);
	k->text = text;
	return 0;
}

static int keep_waiting(struct policy_gate *g, enum policy_kind kind, const struct doc *obj, struct err *reterr)
{
	struct kept *k;
	uint64_t ignored;
	char *text;
	int r;

	if (!*name_of(obj))
		return err_set(reterr, EBADMSG, "metadata.name is missing or no name");
	r = get(g, kind, ns_of(kind, doc_str_at(obj, "metadata.namespace", "")), name_of(obj), &k);
	if (r == 0)
		r = essence(k, obj, &text, &ignored);
	if (r < 0)
		return err_set(reterr, -r, "cannot be kept until the guard is confirmed");
	free(k->waiting);
	k->waiting = text;
	k->is_told = true;
	return 0;
}

/* What is still to be let in is older than what came now. */
static void overtake(struct policy_gate *g, enum policy_kind kind, const struct doc *obj)
{
	struct kept *k = find(g, kind, ns_of(kind, doc_str_at(obj, "metadata.namespace", "")), name_of(obj));

	if (k)
		free(TAKE_PTR(k->waiting));
}

int policy_gate_set(struct policy_gate *g, enum policy_kind kind, const struct doc *obj, struct err *reterr)
{
	int r, e;

	if (g->is_held)
		return keep_waiting(g, kind, obj, reterr);
	g->has_heard = true;
	r = policy_set(g->repo, kind, obj, reterr);
	if (r == 0 || r == 1 || r == -EBADMSG)
		overtake(g, kind, obj);
	if (r < 0)
		return r;
	e = keep(g, kind, obj);
	return e < 0 ? e : r;
}

int policy_gate_remove(struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name)
{
	struct kept *k = find(g, kind, ns, name);

	if (g->is_held) {
		if (!k)
			return 0;
		free(TAKE_PTR(k->waiting));
		k->is_told = true;
		return 0;
	}
	if (k)
		forget(g, k);
	return policy_remove(g->repo, kind, ns, name);
}

/* While nobody knew who we are, every object might have counted. */
static void prune(struct policy_gate *g)
{
	struct kept *k, *tmp;

	if (g->is_held)
		return;
	HASH_ITER(hh, g->kept, k, tmp)
		if (!k->waiting && !policy_counts(g->repo, k->kind, k->ns, k->name))
			forget(g, k);
}

static uint64_t digest_of(const struct policy_gate *g, const struct kept *k)
{
	return k->text ? mixed(k->hash + policy_is_shadow(g->repo, k->kind, k->ns, k->name)) : 0;
}

uint64_t policy_gate_digest(struct policy_gate *g)
{
	struct kept *k, *tmp;
	uint64_t sum = 0;

	prune(g);
	HASH_ITER(hh, g->kept, k, tmp)
		sum += digest_of(g, k);
	return sum;
}

uint64_t policy_gate_digest_of(const struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name)
{
	const struct kept *k = find(g, kind, ns, name);

	return k ? digest_of(g, k) : 0;
}

static int add_to_snapshot(const struct policy_gate *g, const struct kept *k, json_t *list)
{
	CLEANUP(json_decref) json_t *obj = json_parse(k->text, strlen(k->text));
	json_t *element = obj ? json_pack("{s:s, s:b, s:O}", "kind", policy_kind_str(k->kind), "shadow",
					  policy_is_shadow(g->repo, k->kind, k->ns, k->name), "object", obj)
			      : NULL;

	return element && json_array_append_new(list, element) == 0 ? 0 : -ENOMEM;
}

static int kept_cmp(const struct kept *a, const struct kept *b)
{
	return strcmp(a->key, b->key);
}

json_t *policy_gate_snapshot(struct policy_gate *g)
{
	CLEANUP(json_decref) json_t *list = json_array();
	struct kept *k, *tmp;

	prune(g);
	HASH_SORT(g->kept, kept_cmp);
	HASH_ITER(hh, g->kept, k, tmp)
		if (!list || (k->text && add_to_snapshot(g, k, list) < 0))
			return NULL;
	return TAKE_PTR(list);
}

static int kind_of(const char *text)
{
	for (int kind = 0; kind < POLICY_KINDS; kind++)
		if (str_eq(text, policy_kind_str((enum policy_kind)kind)))
			return kind;
	return -EINVAL;
}

/* With the annotation that puts it in the mode it was in. */
static struct doc *in_mode(const json_t *obj, bool is_shadow)
{
	CLEANUP(json_decref) json_t *to = json_clone_top(obj);
	json_t *meta = json_clone_top(json_object_get(obj, "metadata"));
	int r = meta ? json_object_set_new(meta, "annotations",
					   json_pack("{s:s}", POLICY_MODE_ANNOTATION, is_shadow ? "shadow" : "enforce"))
		     : -1;

	r |= json_object_set_new(to, "metadata", meta);
	return r == 0 ? doc_from_json(to) : NULL;
}

/* 1 if it is in force, 0 if it cannot be used. */
static int restore(struct policy_gate *g, const json_t *element)
{
	int kind = kind_of(json_str(element, "kind", ""));
	const json_t *object = json_at(element, "object");
	CLEANUP(doc_free) struct doc *obj = NULL;
	struct err ignored;
	int r;

	if (kind < 0 || !json_is_object(json_object_get(object, "metadata")))
		return 0;
	obj = in_mode(object, json_truth(element, "shadow", 0));
	if (!obj)
		return -ENOMEM;
	r = policy_set(g->repo, (enum policy_kind)kind, obj, &ignored);
	if (r == 0 || r == 1)
		r = keep(g, (enum policy_kind)kind, obj);
	return r == -ENOMEM ? r : r >= 0;
}

static bool is_in_snapshot(const json_t *snapshot, const struct kept *k)
{
	const json_t *e;
	size_t i;

	json_array_foreach(snapshot, i, e)
		if (kind_of(json_str(e, "kind", "")) == (int)k->kind && str_eq(json_str(e, "object.metadata.name", ""), k->name) &&
		    str_eq(ns_of(k->kind, json_str(e, "object.metadata.namespace", "")), k->ns))
			return true;
	return false;
}

int policy_gate_hold(struct policy_gate *g, const json_t *snapshot, size_t *ret_bad)
{
	struct kept *k, *tmp;
	const json_t *e;
	bool was_open = !g->is_held;
	size_t i, bad = 0;
	int r = 0;

	prune(g);
	if (was_open)
		HASH_ITER(hh, g->kept, k, tmp)
		{
			/* what is in force is what the API server said last, unless there was no memory to let that in */
			if (k->waiting)
				free(TAKE_PTR(k->text));
			else
				k->waiting = TAKE_PTR(k->text);
			k->is_told = true;
			if (!is_in_snapshot(snapshot, k))
				(void)policy_remove(g->repo, k->kind, k->ns, k->name); /* 0 or 1 */
		}
	g->is_held = true;
	policy_ignore_choices(g->repo, true);
	json_array_foreach(snapshot, i, e)
	{
		int one = r == 0 ? restore(g, e) : 0;

		r = one < 0 ? one : r;
		bad += one == 0;
	}
	HASH_ITER(hh, g->kept, k, tmp)
		k->is_told = k->is_told || (was_open && g->has_heard); /* what only the snapshot has was deleted */
	*ret_bad = bad;
	return r;
}

static bool is_lack(int r)
{
	return r == -ENOMEM || r == -ENOSPC;
}

/* Lets in what waits. It goes on waiting if there is no memory or no room for that. */
static int release_one(struct policy_gate *g, struct kept *k)
{
	CLEANUP(free) char *text = TAKE_PTR(k->waiting);
	CLEANUP(doc_free) struct doc *obj = doc_parse(text, strlen(text)); /* which is ours, and so can be read */
	struct err ignored;
	int r = obj ? policy_set(g->repo, k->kind, obj, &ignored) : -ENOMEM;

	if (r == 0 || r == 1)
		r = keep(g, k->kind, obj); /* which may forget it */
	else if (!is_lack(r))
		r = 0; /* invalid: the status of the policy says so */
	if (is_lack(r))
		k->waiting = TAKE_PTR(text);
	return r;
}

int policy_gate_release(struct policy_gate *g)
{
	struct kept *k, *tmp;
	bool was_held = g->is_held;
	int r = 0;

	g->is_held = false;
	if (was_held)
		policy_ignore_choices(g->repo, false);
	HASH_ITER(hh, g->kept, k, tmp)
	{
		int e = 0;

		k->is_told = false;
		if (k->waiting) {
			e = release_one(g, k);
		} else if (was_held) {
			(void)policy_remove(g->repo, k->kind, k->ns, k->name); /* 0 or 1 */
			forget(g, k);
		}
		r = e < 0 ? e : r;
	}
	return r;
}

bool policy_gate_has_room(const struct policy_gate *g)
{
	return HASH_COUNT(g->kept) < LIMIT_POLICIES && (g->is_held || policy_has_room(g->repo));
}

bool policy_gate_is_held(const struct policy_gate *g)
{
	return g->is_held;
}

size_t policy_gate_waiting(const struct policy_gate *g)
{
	const struct kept *k, *tmp;
	size_t n = 0;

	HASH_ITER(hh, g->kept, k, tmp)
	{
		CLEANUP(doc_free) struct doc *obj = k->waiting ? doc_parse(k->waiting, strlen(k->waiting)) : NULL;
		CLEANUP(free) char *ignored = NULL;
		uint64_t hash = 0;

		if (!g->is_held || !k->is_told)
			continue;
		if (obj && essence(k, obj, &ignored, &hash) < 0)
			continue;
		n += k->text ? !obj || hash != k->hash : obj != NULL;
	}
	return n;
}
