/* SPDX-License-Identifier: Apache-2.0 */
#include "join/publish_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "json/json.h"

enum { DRAIN_LIMIT_S = 10, SETTLE_S = 20 };

#define TEXT_PENDING "not published yet"

void publish_slice_free(struct publish *p, struct slice *s)
{
	HASH_DEL(p->slices, s);
	if (s->op) {
		kube_cancel(s->op);
		p->n_ops--;
	}
	json_decref(s->desired);
	json_decref(s->existing);
	free(s->name);
	free(s->service);
	free(s);
}

static void notes_clear(struct note **notes)
{
	struct note *n, *tmp;

	HASH_ITER (hh, *notes, n, tmp) {
		HASH_DEL(*notes, n);
		free(n->service);
		free(n->text);
		free(n);
	}
}

void publish_free(struct publish *p)
{
	struct slice *s, *tmp;

	if (!p)
		return;
	HASH_ITER (hh, p->slices, s, tmp)
		publish_slice_free(p, s);
	notes_clear(&p->notes);
	kube_cancel(p->list.op);
	kube_cancel(p->rules.op);
	source_free(p->timer);
	serve_rules_done(&p->allowed);
	free(p->host);
	free(p->ns);
	free(p->addresses);
	free(p);
}

struct slice *publish_slice_get(struct publish *p, const char *name)
{
	struct slice *s;

	HASH_FIND_STR(p->slices, name, s);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->p = p;
	s->name = strdup(name);
	hash_oom = false;
	if (s->name)
		HASH_ADD_KEYPTR(hh, p->slices, s->name, strlen(s->name), s);
	if (!s->name || hash_oom) {
		free(s->name);
		free(s);
		return NULL;
	}
	return s;
}

void publish_slice_want(struct slice *s, json_t *desired)
{
	json_decref(s->desired);
	s->desired = desired;
	s->due_us = 0;
	s->is_other = true;
}

static void on_timer(void *arg)
{
	publish_run(arg);
}

int publish_new(struct loop *loop, struct kube_client *client, const struct publish_conf *conf,
		struct publish **ret)
{
	CLEANUP(publish_free) struct publish *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->client = client;
	p->on_change = conf->on_change;
	p->arg = conf->arg;
	p->host = strdup(conf->host);
	p->ns = strdup(conf->ns);
	p->addresses = conf->addresses ? strdup(conf->addresses) : NULL;
	if (!p->host || !p->ns || (conf->addresses && !p->addresses))
		return -ENOMEM;
	r = loop_add_timer(loop, on_timer, p, &p->timer);
	if (r == 0)
		r = source_arm(p->timer, 0, 0);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

static int note_add(struct note **notes, const char *service, const char *text)
{
	struct note *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->service = strdup(service);
	n->text = strdup(text);
	hash_oom = false;
	if (n->service && n->text)
		HASH_ADD_KEYPTR(hh, *notes, n->service, strlen(n->service), n);
	if (!n->service || !n->text || hash_oom) {
		free(n->service);
		free(n->text);
		free(n);
		return -ENOMEM;
	}
	return 0;
}

static int set_sub(json_t *meta, const char *map, const char *key, const char *value)
{
	json_t *o = json_object_get(meta, map);

	if (!o) {
		if (json_object_set_new(meta, map, json_object()) < 0)
			return -ENOMEM;
		o = json_object_get(meta, map);
	}
	return json_object_set_new(o, key, json_string(value)) < 0 ? -ENOMEM : 0;
}

/* A copy with what the cluster's admission policy asks of a host's slice. NULL when out of memory. */
static json_t *stamped(const struct publish *p, const json_t *slice)
{
	CLEANUP(json_decref) json_t *copy = json_clone(slice);
	json_t *meta = json_at(copy, "metadata");

	if (!meta || set_sub(meta, "labels", PUBLISH_HOST_LABEL, p->host) < 0 ||
	    (p->addresses && set_sub(meta, "annotations", PUBLISH_ADDRESSES_ANNOTATION, p->addresses) < 0))
		return NULL;
	return TAKE_PTR(copy);
}

static int want(struct publish *p, const struct serve_entry *e, int family)
{
	CLEANUP(json_decref) json_t *desired = stamped(p, e->slice[family]);
	struct slice *s = publish_slice_get(p, e->slice_name[family]);
	char *service = strdup(e->service);

	if (!desired || !s || !service) {
		free(service);
		return -ENOMEM;
	}
	free(s->service);
	s->service = service;
	s->is_in_plan = true;
	if (s->desired && !s->is_held && !e->is_held[family] && json_equal(s->desired, desired))
		return 0;
	s->is_held = e->is_held[family];
	backoff_reset(&s->backoff);
	publish_slice_want(s, TAKE_PTR(desired));
	publish_slice_adopt(s);
	return 0;
}

/* Nothing of the old plan may go before all of the new one is in memory. */
static int want_all(struct publish *p, const struct serve_plan *plan, struct note **notes)
{
	for (size_t i = 0; i < plan->n; i++) {
		const struct serve_entry *e = &plan->v[i];
		int r = note_add(notes, e->service, e->reason && e->status != SERVE_OK ? e->reason : "");

		for (int f = 0; r == 0 && f < 2; f++)
			if (e->slice_name[f] && e->slice[f])
				r = want(p, e, f);
		if (r < 0)
			return r;
	}
	return 0;
}

int publish_set(struct publish *p, const struct serve_plan *plan)
{
	struct note *notes = NULL;
	struct slice *s, *tmp;
	int r;

	if (p->drain_end_us)
		return -EBUSY;
	HASH_ITER (hh, p->slices, s, tmp)
		s->is_in_plan = false;
	r = want_all(p, plan, &notes);
	if (r < 0) {
		notes_clear(&notes);
		return r;
	}
	HASH_ITER (hh, p->slices, s, tmp) {
		if (s->is_in_plan || !s->desired)
			continue;
		publish_slice_want(s, NULL);
		backoff_reset(&s->backoff);
	}
	notes_clear(&p->notes);
	p->notes = notes;
	p->has_plan = true;
	return source_arm(p->timer, 0, 0);
}

int publish_set_addresses(struct publish *p, const char *addresses)
{
	char *copy = addresses ? strdup(addresses) : NULL;

	if (addresses && !copy)
		return -ENOMEM;
	if (str_eq(addresses ? addresses : "", p->addresses ? p->addresses : "")) {
		free(copy);
		return 0;
	}
	free(p->addresses);
	p->addresses = copy;
	p->settle_us = clock_boot_us() + SETTLE_S * USEC_PER_SEC;
	return 0;
}

void publish_kick(struct publish *p)
{
	struct slice *s, *tmp;

	p->list.due_us = p->rules.due_us = 0;
	HASH_ITER (hh, p->slices, s, tmp)
		s->due_us = 0;
	(void)source_arm(p->timer, 0, 0); /* armed already; this only shortens it */
}

/* Every endpoint as one that goes away (KEP-1672). */
static json_t *going(const json_t *slice)
{
	CLEANUP(json_decref) json_t *copy = json_clone(slice);
	json_t *ep;
	size_t i;

	json_array_foreach (json_object_get(copy, "endpoints"), i, ep) {
		json_t *conditions = json_object_get(ep, "conditions");

		if (!conditions && json_object_set_new(ep, "conditions", json_object()) == 0)
			conditions = json_object_get(ep, "conditions");
		if (!conditions || json_object_set_new(conditions, "ready", json_false()) < 0 ||
		    json_object_set_new(conditions, "terminating", json_true()) < 0)
			return NULL;
	}
	return TAKE_PTR(copy);
}

int publish_drain(struct publish *p, uint64_t grace_us, void (*on_done)(size_t n_left, void *arg), void *arg)
{
	uint64_t now = clock_boot_us();
	struct slice *s, *tmp;

	if (p->drain_end_us)
		return -EALREADY;
	HASH_ITER (hh, p->slices, s, tmp) {
		json_t *desired = s->desired ? going(s->desired) : NULL;

		s->due_us = 0;
		s->is_held = false;
		if (desired)
			publish_slice_want(s, desired); /* without memory: it is only deleted */
	}
	p->on_drained = on_done;
	p->drain_arg = arg;
	p->drain_delete_us = now + grace_us;
	p->drain_end_us = p->drain_delete_us + DRAIN_LIMIT_S * USEC_PER_SEC;
	p->has_plan = true; /* the empty one, if there was none */
	return source_arm(p->timer, 0, 0);
}

const struct strv *publish_allowed(const struct publish *p)
{
	return p->rules.is_done ? &p->allowed.services : NULL;
}

bool publish_lacks_zone(const struct publish *p, const char *zone)
{
	return *zone && p->rules.is_done && !strv_has(&p->allowed.zones, zone);
}

const char *publish_status(const struct publish *p, const char *service)
{
	bool is_pending = false;
	const struct note *n;

	HASH_FIND_STR(p->notes, service, n);
	if (!n)
		return NULL;
	for (const struct slice *s = p->slices; s; s = s->hh.next) {
		if (!s->desired || !s->service || !str_eq(s->service, service) || publish_slice_is_settled(s))
			continue;
		if (s->text[0])
			return s->text;
		is_pending = true;
	}
	if (is_pending)
		return p->list.text[0] ? p->list.text : TEXT_PENDING;
	return n->text;
}

int publish_failure(const struct publish *p, const char *service)
{
	for (const struct slice *s = p->slices; s; s = s->hh.next)
		if (s->desired && s->service && s->failure && str_eq(s->service, service) && !publish_slice_is_settled(s))
			return s->failure;
	return 0;
}

const char *publish_error(const struct publish *p)
{
	return p->list.text[0] ? p->list.text : p->rules.text;
}

bool publish_is_settled(const struct publish *p)
{
	if (!p->list.is_done || p->list.op || !p->has_plan || clock_boot_us() >= p->list.due_us)
		return false;
	for (const struct slice *s = p->slices; s; s = s->hh.next)
		if (!publish_slice_is_settled(s))
			return false;
	return true;
}
