/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/shadowing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "bpf/bpf_map.h"
#include "join/guard_file.h"
#include "join/state_file.h"
#include "json/json.h"

#define NAME "shadow.json"

enum { SHADOW_VERSION = 1 };

struct shadowing {
	char *dir;
	struct health *health;
	struct policy_repo *policies;
	struct policy_gate *gate;
	char boot_id[GUARD_BOOT_ID_LEN + 1];
	ARRAY(struct shadow_watch) watches;
	uint64_t generation; /* of the policies when they were last walked */
	bool is_changed;     /* the watches differ from what was saved */
	bool is_loaded;	     /* false: what is on disk is damaged, and not replaced unasked */
};

static const char *choice_str(enum policy_choice choice)
{
	return choice == POLICY_CHOICE_SHADOW ? "shadow" : "enforce";
}

/* Saving */

static int add_choice(const char *ns, const char *name, enum policy_choice choice, void *arg)
{
	return json_array_append_new(arg, json_pack("{s:s, s:s, s:s}", "namespace", ns, "name", name, "mode", choice_str(choice)));
}

static json_t *watches_json(const struct shadowing *s)
{
	CLEANUP(json_decref) json_t *list = json_array();

	for (size_t i = 0; list && i < s->watches.n; i++) {
		const struct shadow_watch *w = &s->watches.v[i];
		char digest[17];

		(void)snprintf(digest, sizeof(digest), "%016" PRIx64, w->digest); /* fits */
		if (json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s, s:I, s:[I, I]}", "kind", (int)w->kind, "namespace",
							  w->ns, "name", w->name, "digest", digest, "since_us",
							  (json_int_t)w->since_us, "flows", (json_int_t)w->flows[0],
							  (json_int_t)w->flows[1])) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static int save(struct shadowing *s, struct err *reterr)
{
	CLEANUP(json_decref) json_t *choices = json_array(), *watches = watches_json(s), *doc = NULL;
	struct err err = {0};
	int r;

	if (!choices || !watches || policy_each_choice(s->policies, add_choice, choices) < 0)
		return err_set(reterr, ENOMEM, "out of memory");
	if (!json_array_size(choices) && !json_array_size(watches)) {
		r = state_file_remove(s->dir, NAME, &err);
	} else {
		doc = json_pack("{s:i, s:s, s:O, s:O}", "version", SHADOW_VERSION, "boot_id", s->boot_id, "choices", choices,
				"watches", watches);
		r = state_file_save(s->dir, NAME, doc, &err);
	}
	if (r < 0) {
		health_raise(s->health, HEALTH_ERROR, "policy.shadow-state", err.text,
			     "make the state directory writable: a restart of the daemon would forget what was chosen");
		return err_set(reterr, -r, "%s", err.text);
	}
	s->is_loaded = true;
	s->is_changed = false;
	health_clear(s->health, "policy.shadow-state");
	return 0;
}

/* Loading */

static void watch_done(struct shadow_watch *w)
{
	free(w->ns);
	free(w->name);
	*w = (struct shadow_watch){0};
}

static int watch_add(struct shadowing *s, const struct shadow_watch *from)
{
	struct shadow_watch w = *from;
	int r;

	w.ns = strdup(from->ns);
	w.name = strdup(from->name);
	r = w.ns && w.name ? ARRAY_ADD(&s->watches, w) : -ENOMEM;
	if (r < 0)
		watch_done(&w);
	return r;
}

static int load_choices(struct shadowing *s, const json_t *list)
{
	const json_t *v;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, v)
	{
		const char *mode = json_str(v, "mode", "");
		bool is_shadow = str_eq(mode, "shadow");

		if (!*json_str(v, "name", "") || (!is_shadow && !str_eq(mode, "enforce")))
			return -EBADMSG;
		r = policy_choose(s->policies, json_str(v, "namespace", ""), json_str(v, "name", ""),
				  is_shadow ? POLICY_CHOICE_SHADOW : POLICY_CHOICE_ENFORCE);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Counters and the clock are of the boot that they began in. */
static int load_watches(struct shadowing *s, const json_t *list, uint64_t now_us)
{
	const json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		const json_t *flows = json_object_get(v, "flows");
		struct shadow_watch w = {.ns = (char *)json_str(v, "namespace", ""), .name = (char *)json_str(v, "name", "")};
		json_int_t kind = json_int(v, "kind", -1);
		int r;

		w.since_us = (uint64_t)json_int(v, "since_us", 0);
		w.flows[0] = (uint64_t)json_integer_value(json_array_get(flows, 0));
		w.flows[1] = (uint64_t)json_integer_value(json_array_get(flows, 1));
		if (kind < 0 || kind >= POLICY_CIDR_GROUP || !w.since_us || w.since_us > now_us ||
		    str_to_hex64(json_str(v, "digest", ""), &w.digest) < 0)
			return -EBADMSG;
		w.kind = (enum policy_kind)kind;
		r = watch_add(s, &w);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load(struct shadowing *s, struct err *reterr)
{
	CLEANUP(json_decref) json_t *doc = NULL;
	int r = state_file_load(s->dir, NAME, &doc, reterr);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && (json_int(doc, "version", 0) != SHADOW_VERSION || !json_is_array(json_object_get(doc, "choices"))))
		r = -EBADMSG;
	if (r == 0)
		r = load_choices(s, json_object_get(doc, "choices"));
	if (r == 0 && str_eq(json_str(doc, "boot_id", ""), s->boot_id))
		r = load_watches(s, json_object_get(doc, "watches"), clock_boot_us());
	return r < 0 && !(reterr->text[0]) ? err_set(reterr, -r, "%s/" NAME ": %s", s->dir, err_name(r)) : r;
}

int shadowing_new(const char *state_dir, struct health *health, struct policy_repo *policies, struct policy_gate *gate,
		  struct shadowing **ret, struct err *reterr)
{
	CLEANUP(shadowing_free) struct shadowing *s = calloc(1, sizeof(*s));
	struct err err = {0};
	int r;

	if (!s)
		return err_set(reterr, ENOMEM, "out of memory");
	s->dir = strdup(state_dir);
	s->health = health;
	s->policies = policies;
	s->gate = gate;
	r = s->dir ? guard_boot_id(s->boot_id) : -ENOMEM;
	if (r < 0)
		return err_set(reterr, -r, "cannot set up shadow policies: %s", err_name(r));
	r = load(s, &err);
	s->is_loaded = r == 0;
	if (r == -ENOMEM)
		return err_set(reterr, ENOMEM, "cannot read what policies are to be shadow ones: %s", err_name(r));
	if (r < 0)
		health_raise(health, HEALTH_ERROR, "policy.shadow-state", err.text,
			     "policies chosen to be in shadow mode here are enforced; choose again with meshctl policy shadow");
	*ret = TAKE_PTR(s);
	return 0;
}

void shadowing_free(struct shadowing *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->watches.n; i++)
		watch_done(&s->watches.v[i]);
	ARRAY_DONE(&s->watches);
	free(s->dir);
	free(s);
}

/* Following */

static struct shadow_watch *find(const struct shadowing *s, enum policy_kind kind, const char *ns, const char *name)
{
	for (size_t i = 0; i < s->watches.n; i++) {
		struct shadow_watch *w = &s->watches.v[i];

		if (w->kind == kind && str_eq(w->ns, ns) && str_eq(w->name, name))
			return w;
	}
	return NULL;
}

struct walk {
	struct shadowing *s;
	uint64_t flows[2];
};

static int follow_one(const struct policy_status *st, void *arg)
{
	struct walk *walk = arg;
	struct shadowing *s = walk->s;
	struct shadow_watch *w, fresh = {.kind = st->kind, .ns = (char *)st->ns, .name = (char *)st->name, .is_seen = true};

	if (st->state != POLICY_SHADOW)
		return 0;
	fresh.digest = policy_gate_digest_of(s->gate, st->kind, st->ns, st->name);
	fresh.since_us = clock_boot_us();
	memcpy(fresh.flows, walk->flows, sizeof(fresh.flows));
	w = find(s, st->kind, st->ns, st->name);
	if (w && w->digest == fresh.digest) {
		w->is_seen = true;
		return 0;
	}
	s->is_changed = true;
	log_event(LOG_INFO, "policy.shadow", "a shadow policy is watched from now on", F_STR("kind", policy_kind_str(st->kind)),
		  F_STR("namespace", st->ns), F_STR("name", st->name));
	if (!w)
		return watch_add(s, &fresh);
	fresh.ns = w->ns;
	fresh.name = w->name;
	*w = fresh;
	return 0;
}

static void drop_unseen(struct shadowing *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->watches.n; i++) {
		if (s->watches.v[i].is_seen) {
			s->watches.v[n++] = s->watches.v[i];
			continue;
		}
		watch_done(&s->watches.v[i]);
		s->is_changed = true;
	}
	s->watches.n = n;
}

static void tell(struct shadowing *s)
{
	char text[160];

	if (s->watches.n == 0) {
		health_clear(s->health, "policy.shadow");
		return;
	}
	(void)snprintf(text, sizeof(text), "%zu %s: not enforced, what %s would drop is counted", s->watches.n,
		       s->watches.n == 1 ? "policy is in shadow mode" : "policies are in shadow mode",
		       s->watches.n == 1 ? "it" : "they"); /* fits */
	health_raise(s->health, HEALTH_INFO, "policy.shadow", text,
		     "meshctl policy shadow says which, and when one is safe to enforce");
}

/* The first one finds a clean table with a place for what has no room. */
static void begin(const struct datapath *d)
{
	static const struct mesh_shadow_key rest;
	static const struct mesh_shadow none;

	(void)bpfmap_clear(datapath_obj(d), BPFOBJ_SHADOW);	       /* old entries are told apart by their age */
	(void)bpfmap_put(datapath_obj(d), BPFOBJ_SHADOW, &rest, &none); /* without it a full map is not told */
}

void shadowing_follow(struct shadowing *s, const struct datapath *d)
{
	struct walk walk = {.s = s};
	size_t before = s->watches.n;
	uint64_t generation = policy_generation(s->policies);

	if (generation == s->generation)
		return;
	if (before == 0 && !policy_has_shadow(s->policies)) {
		s->generation = generation;
		return;
	}
	(void)bpfmap_shadow_flows(datapath_obj(d), walk.flows); /* then they stay 0 */
	for (size_t i = 0; i < before; i++)
		s->watches.v[i].is_seen = false;
	if (policy_each(s->policies, follow_one, &walk) < 0)
		return; /* out of memory: with the next change */
	s->generation = generation;
	drop_unseen(s);
	if (before == 0 && s->watches.n)
		begin(d);
	tell(s);
	if (s->is_changed && s->is_loaded)
		(void)save(s, NULL); /* raised as a condition */
}

int shadowing_choose(struct shadowing *s, const char *ns, const char *name, enum policy_choice choice, struct err *reterr)
{
	enum policy_choice old = policy_choice_of(s->policies, ns, name);
	int r = policy_choose(s->policies, ns, name, choice);

	if (r <= 0)
		return r < 0 ? err_set(reterr, -r, "%s", err_name(r)) : 0;
	r = save(s, reterr);
	if (r < 0) {
		(void)policy_choose(s->policies, ns, name, old); /* it was so a moment ago */
		return r;
	}
	return 1;
}

const struct shadow_watch *shadowing_watch(const struct shadowing *s, enum policy_kind kind, const char *ns, const char *name)
{
	return find(s, kind, ns, name);
}

size_t shadowing_count(const struct shadowing *s)
{
	return s->watches.n;
}
