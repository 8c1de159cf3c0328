/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_gate.h"

#include "base/limits.h"
#include "base/macro.h"
#include "json/json.h"
#include "policy/policy_rule.h"
#include "policy/policy_shadow.h"

struct kept {
	enum policy_kind kind;
	char *ns, *name;
	char *text;    /* what is in force; NULL = nothing */
	uint64_t hash; /* of what of it decides verdicts */
	char *waiting; /* held: the newest; NULL = deleted, or not told of */
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

/* FNV-1a: the same in every run, which hash_bytes() is not. */
static uint64_t stable_hash(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return (h ^ 0xff) * UINT64_C(0x100000001b3);
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
	CLEANUP(free) char *key = str_printf("%d/%s/%s", (int)kind, ns, name);
	struct kept *k = NULL;

	if (key)
		HASH_FIND_STR(g->kept, key, k);
	return k;
}

static int get(struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name, struct kept **ret)
{
	struct kept *k = find(g, kind, ns, name);

	if (!k) {
		if (HASH_COUNT(g->kept) >= LIMIT_POLICIES)
			return -ENOSPC;
		k = calloc(1, sizeof(*k));
		if (!k)
			return -ENOMEM;
		k->kind = kind;
		k->ns = strdup(ns);
		k->name = strdup(name);
		k->key = str_printf("%d/%s/%s", (int)kind, ns, name);
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
static const char *name_of(const json_t *obj)
{
	return json_str(obj, "metadata.name", "");
}

static const char *ns_of(enum policy_kind kind, const json_t *obj)
{
	const char *ns = json_str(obj, "metadata.namespace", "");

	if (kind == POLICY_CCNP || kind == POLICY_CIDR_GROUP)
		return "";
	return *ns ? ns : "default";
}

/* What of an object decides verdicts, and who it is. */
static json_t *essence(const json_t *obj, const char *mode)
{
	static const char *const meta_keys[] = {"name", "namespace", "uid", "generation", "labels"};
	static const char *const keys[] = {"spec", "specs"};
	const json_t *meta = json_object_get(obj, "metadata"), *v;
	CLEANUP(json_decref) json_t *to = json_pack("{s:{}}", "metadata");
	json_t *to_meta = json_object_get(to, "metadata");
	const json_t *annotations = json_object_get(meta, "annotations");
	int r = to ? 0 : -1;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(meta_keys); i++)
		if ((v = json_object_get(meta, meta_keys[i])))
			r = json_object_set(to_meta, meta_keys[i], (json_t *)v);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(keys); i++)
		if ((v = json_object_get(obj, keys[i])))
			r = json_object_set(to, keys[i], (json_t *)v);
	v = json_object_get(annotations, POLICY_MODE_ANNOTATION);
	if (r == 0 && mode)
		r = json_object_set_new(to_meta, "annotations", json_pack("{s:s}", POLICY_MODE_ANNOTATION, mode));
	else if (r == 0 && v)
		r = json_object_set_new(to_meta, "annotations", json_pack("{s:O}", POLICY_MODE_ANNOTATION, v));
	return r == 0 ? TAKE_PTR(to) : NULL;
}

static char *essence_text(const json_t *obj)
{
	CLEANUP(json_decref) json_t *o = essence(obj, NULL);

	return o ? json_text(o) : NULL;
}

/* Labels decide for groups only. */
static int hash_of(const struct kept *k, const json_t *obj, uint64_t *ret)
{
	CLEANUP(json_decref)
	json_t *o = json_pack("[O?, O?, O?]", json_object_get(obj, "spec"), json_object_get(obj, "specs"),
			      k->kind == POLICY_CIDR_GROUP ? json_at(obj, "metadata.labels") : NULL);
	CLEANUP(free) char *text = o ? json_text(o) : NULL;

	if (!text)
		return -ENOMEM;
	*ret = stable_hash(stable_hash(UINT64_C(0xcbf29ce484222325), k->key), text);
	return 0;
}

/* Remembers what is in force now, if it counts. */
static int keep(struct policy_gate *g, enum policy_kind kind, const json_t *obj)
{
	const char *ns = ns_of(kind, obj), *name = name_of(obj);
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
		r = hash_of(k, obj, &k->hash);
	text = r == 0 ? essence_text(obj) : NULL;
	if (!text)
		return r < 0 ? r : -ENOMEM;
	free(k->text);
	k->text = text;
	return 0;
}

static int keep_waiting(struct policy_gate *g, enum policy_kind kind, const json_t *obj, struct err *reterr)
{
	struct kept *k;
	char *text;
	int r;

	if (!*name_of(obj))
		return err_set(reterr, EBADMSG, "metadata.name is missing or no name");
	r = get(g, kind, ns_of(kind, obj), name_of(obj), &k);
	text = r == 0 ? essence_text(obj) : NULL;
	if (!text)
		return err_set(reterr, r < 0 ? -r : ENOMEM, "cannot be kept until the guard is confirmed");
	free(k->waiting);
	k->waiting = text;
	k->is_told = true;
	return 0;
}

int policy_gate_set(struct policy_gate *g, enum policy_kind kind, const json_t *obj, struct err *reterr)
{
	int r, e;

	if (g->is_held)
		return keep_waiting(g, kind, obj, reterr);
	g->has_heard = true;
	r = policy_set(g->repo, kind, obj, reterr);
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
		if (!policy_counts(g->repo, k->kind, k->ns, k->name))
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

/* 1 if it is in force, 0 if it cannot be used. */
static int restore(struct policy_gate *g, const json_t *element)
{
	int kind = kind_of(json_str(element, "kind", ""));
	CLEANUP(json_decref) json_t *obj = NULL;
	struct err ignored;
	int r;

	if (kind < 0)
		return 0;
	obj = essence(json_at(element, "object"), json_truth(element, "shadow", 0) ? "shadow" : "enforce");
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
		    str_eq(ns_of(k->kind, json_at(e, "object")), k->ns))
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
			/* what is in force is what the API server said last */
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

static int release_one(struct policy_gate *g, struct kept *k)
{
	CLEANUP(free) char *text = TAKE_PTR(k->waiting);
	CLEANUP(json_decref) json_t *obj = text ? json_parse(text, strlen(text)) : NULL;
	enum policy_kind kind = k->kind;
	struct err ignored;
	int r;

	if (!text) {
		(void)policy_remove(g->repo, kind, k->ns, k->name); /* 0 or 1 */
		forget(g, k);
		return 0;
	}
	k->is_told = false;
	if (!obj)
		return -ENOMEM;
	r = policy_set(g->repo, kind, obj, &ignored);
	if (r == 0 || r == 1)
		return keep(g, kind, obj);
	return r == -ENOMEM ? r : 0; /* invalid: the status of the policy says so */
}

int policy_gate_release(struct policy_gate *g)
{
	struct kept *k, *tmp;
	int r = 0;

	if (!g->is_held)
		return 0;
	g->is_held = false;
	policy_ignore_choices(g->repo, false);
	HASH_ITER(hh, g->kept, k, tmp)
	{
		int e = release_one(g, k);

		r = e < 0 ? e : r;
	}
	return r;
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
		CLEANUP(json_decref) json_t *obj = k->waiting ? json_parse(k->waiting, strlen(k->waiting)) : NULL;
		uint64_t hash = 0;

		if (!g->is_held || !k->is_told)
			continue;
		if (obj && hash_of(k, obj, &hash) < 0)
			continue;
		n += k->text ? !obj || hash != k->hash : obj != NULL;
	}
	return n;
}
