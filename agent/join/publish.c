/* SPDX-License-Identifier: Apache-2.0 */
#include "join/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/rng.h"
#include "join/serve_rules.h"
#include "json/json.h"

enum {
	RECHECK_S = 240,
	RECHECK_SPREAD_S = 60,
	REFUSED_RETRY_S = 60, /* rights, policies and foreign objects change by somebody's hand */
	DRAIN_LIMIT_S = 30,
};

#define TEXT_PENDING "not published yet"

/* One EndpointSlice by name: what is wanted, what is there. */
struct slice {
	struct publish *p;
	char *name, *service; /* service: NULL when the plan does not have it */
	json_t *desired;      /* NULL = must not exist */
	json_t *existing;     /* as last read; NULL = none known */
	struct kube_op *op;
	struct backoff backoff;
	uint64_t due_us; /* not before */
	bool is_in_plan; /* scratch of publish_set(), and of a list */
	char text[256];	 /* of the last failure; "" = none */
	UT_hash_handle hh;
};

/* A service whose entry has no slice: why. */
struct note {
	char *service, *text;
	UT_hash_handle hh;
};

/* A request that comes again and again. */
struct poll {
	struct kube_op *op;
	struct backoff backoff;
	uint64_t due_us;
	bool is_done; /* succeeded once */
	char text[256];
};

struct publish {
	struct loop *loop;
	struct kube_client *client;
	char *host, *ns, *addresses;
	void (*on_change)(void *arg);
	void *arg;
	struct source *timer;
	struct slice *slices;
	struct note *notes;
	struct poll list, rules;
	struct strv allowed;
	size_t n_ops; /* of slices */
	bool has_plan;
	bool is_changed;
	void (*on_drained)(size_t n_left, void *arg);
	void *drain_arg;
	uint64_t drain_delete_us, drain_end_us; /* 0 = not draining */
	bool is_drained;
};

static void run(struct publish *p);

static void slice_free(struct publish *p, struct slice *s)
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
		slice_free(p, s);
	notes_clear(&p->notes);
	kube_cancel(p->list.op);
	kube_cancel(p->rules.op);
	source_free(p->timer);
	strv_done(&p->allowed);
	free(p->host);
	free(p->ns);
	free(p->addresses);
	free(p);
}

static struct slice *slice_get(struct publish *p, const char *name)
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

/* A change for the reader of the status; told at the end of run(). */
static void set_text(struct publish *p, char *to, size_t size, const char *text)
{
	if (strncmp(to, text, size - 1) == 0 && strlen(to) == MIN(strlen(text), size - 1))
		return;
	(void)snprintf(to, size, "%s", text);
	p->is_changed = true;
}

static void set_existing(struct slice *s, json_t *obj)
{
	json_t *old = s->existing;

	s->existing = json_incref(obj);
	json_decref(old);
}

/* Backs off after a failure; a refusal that only a person can lift is tried once a minute. */
static uint64_t due_after(struct backoff *b, const struct kube_result *res)
{
	uint64_t now = clock_boot_us(), delay_us = backoff_next_us(b, now);

	if (res->r == -EPERM || res->r == -EINVAL || res->r == -ENOENT)
		delay_us = REFUSED_RETRY_S * USEC_PER_SEC + rng_below(USEC_PER_SEC);
	else if (res->retry_after_s > 0)
		delay_us = (uint64_t)res->retry_after_s * USEC_PER_SEC + delay_us / 4;
	return now + delay_us;
}

static uint64_t due_recheck(void)
{
	return clock_boot_us() + RECHECK_S * USEC_PER_SEC + rng_below(RECHECK_SPREAD_S * USEC_PER_SEC);
}

/* Rights */

static void on_rules(const struct kube_result *res, void *arg)
{
	struct publish *p = arg;
	CLEANUP(strv_done) struct strv now = {0};
	struct kube_result failed = *res;
	bool is_same;

	p->rules.op = NULL;
	if (res->r == 0 && serve_rules_parse(res->body, &now) < 0) {
		failed.r = -EBADMSG;
		failed.message = "the API server's answer about rights cannot be understood";
	}
	if (failed.r < 0) {
		p->rules.due_us = due_after(&p->rules.backoff, &failed);
		set_text(p, p->rules.text, sizeof(p->rules.text), failed.message);
		run(p);
		return;
	}
	is_same = p->rules.is_done && now.n == p->allowed.n;
	for (size_t i = 0; is_same && i < now.n; i++)
		is_same = str_eq(now.v[i], p->allowed.v[i]);
	if (!is_same) {
		strv_done(&p->allowed);
		p->allowed = now;
		now = (struct strv){0};
		p->is_changed = true;
	}
	p->rules.is_done = true;
	p->rules.due_us = due_recheck();
	backoff_reset(&p->rules.backoff);
	set_text(p, p->rules.text, sizeof(p->rules.text), "");
	run(p);
}

static int start_rules(struct publish *p)
{
	CLEANUP(json_decref) json_t *body = serve_rules_request(p->ns);
	struct kube_request req = {.method = "POST", .path = SERVE_RULES_PATH, .body = body, .on_done = on_rules, .arg = p};

	return body ? kube_start(p->client, &req, &p->rules.op) : -ENOMEM;
}

/* The list */

static bool is_ours(const struct publish *p, const json_t *obj)
{
	struct serve_host h = {.name = p->host, .ns = p->ns};

	return str_eq(json_str(obj, "metadata.namespace", ""), p->ns) && serve_slice_is_ours(obj, &h);
}

static int take_list(struct publish *p, const json_t *items)
{
	struct slice *s, *tmp;
	const json_t *obj;
	size_t i;

	HASH_ITER (hh, p->slices, s, tmp)
		s->is_in_plan = false;
	json_array_foreach (items, i, obj) {
		const char *name = json_str(obj, "metadata.name", "");

		if (!str_is_dns_subdomain(name) || !is_ours(p, obj))
			continue;
		s = slice_get(p, name);
		if (!s)
			return -ENOMEM;
		set_existing(s, (json_t *)obj);
		s->is_in_plan = true;
	}
	HASH_ITER (hh, p->slices, s, tmp)
		if (!s->is_in_plan)
			set_existing(s, NULL);
	return 0;
}

static void on_list(const struct kube_result *res, void *arg)
{
	struct publish *p = arg;
	struct kube_result failed = *res;
	const json_t *items = json_at(res->body, "items");

	p->list.op = NULL;
	if (res->r == 0 && !json_is_array(items) && !json_is_null(items)) {
		failed.r = -EBADMSG;
		failed.message = "the API server's answer is no list of EndpointSlices";
	} else if (res->r == 0 && take_list(p, items) < 0) {
		failed.r = -ENOMEM;
		failed.message = "out of memory";
	}
	if (failed.r < 0) {
		p->list.due_us = due_after(&p->list.backoff, &failed);
		set_text(p, p->list.text, sizeof(p->list.text), failed.message);
	} else {
		p->list.is_done = true;
		p->list.due_us = due_recheck();
		backoff_reset(&p->list.backoff);
		set_text(p, p->list.text, sizeof(p->list.text), "");
	}
	run(p);
}

static int start_list(struct publish *p)
{
	CLEANUP(buf_done) struct buf path = {0};
	struct kube_request req = {.on_done = on_list, .arg = p};
	int r;

	r = buf_addf(&path, "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices?labelSelector=", p->ns);
	if (r == 0)
		r = buf_add_escaped(&path, "endpointslice.kubernetes.io/managed-by=" SERVE_MANAGED_BY);
	req.path = path.data;
	return r < 0 ? r : kube_start(p->client, &req, &p->list.op);
}

/* Changes */

static void list_soon(struct publish *p, struct slice *s)
{
	p->list.due_us = MIN(p->list.due_us, s->due_us);
}

/* Puts the failure where a person sees it. */
static void explain(struct slice *s, const struct kube_result *res)
{
	char text[sizeof(s->text)];

	if (res->r == -EEXIST)
		(void)snprintf(text, sizeof(text), "an EndpointSlice %.100s is there that this host did not write",
			       s->name);
	else if (res->r == -EPERM)
		(void)snprintf(text, sizeof(text), "the API server does not allow it: %.200s", res->message);
	else if (res->r == -ENOENT)
		(void)snprintf(text, sizeof(text), "namespace %.60s is gone: %.150s", s->p->ns, res->message);
	else
		(void)snprintf(text, sizeof(text), "%.250s", res->message);
	if (!str_eq(text, s->text))
		log_event(res->r == -EPERM || res->r == -EEXIST ? LOG_ERR : LOG_WARNING, "publish.failed",
			  "an EndpointSlice could not be written", F_STR("slice", s->name), F_STR("reason", text));
	set_text(s->p, s->text, sizeof(s->text), text);
}

static bool same_sub(const json_t *a, const json_t *b, const char *map, const char *key)
{
	const json_t *x = json_object_get(json_object_get(json_at(a, "metadata"), map), key);
	const json_t *y = json_object_get(json_object_get(json_at(b, "metadata"), map), key);

	return !x ? !y : y && json_equal(x, y);
}

static bool is_settled(const struct slice *s)
{
	if (s->op)
		return false;
	if (!s->desired || !s->existing)
		return !s->desired && !s->existing;
	return serve_slice_same(s->desired, s->existing) &&
	       same_sub(s->desired, s->existing, "labels", PUBLISH_HOST_LABEL) &&
	       same_sub(s->desired, s->existing, "annotations", PUBLISH_ADDRESSES_ANNOTATION);
}

static void on_written(const struct kube_result *res, void *arg)
{
	struct slice *s = arg;
	struct publish *p = s->p;

	s->op = NULL;
	p->n_ops--;
	if (res->r == 0) {
		set_text(p, s->text, sizeof(s->text), "");
		p->is_changed = true;
		if (is_ours(p, res->body))
			set_existing(s, res->body);
		else /* a stranger's object under our name, or no object: look what is there */
			p->list.due_us = 0;
		/* What the server made of it may differ from what we want, each time anew: then slowly. */
		if (is_settled(s))
			backoff_reset(&s->backoff);
		s->due_us = is_settled(s) ? 0 : clock_boot_us() + backoff_next_us(&s->backoff, clock_boot_us());
		log_event(LOG_INFO, "publish.written", "an EndpointSlice was written", F_STR("slice", s->name));
	} else if (res->r == -ENOENT && s->existing) {
		set_existing(s, NULL); /* somebody deleted it: create it again */
		s->due_us = clock_boot_us() + backoff_next_us(&s->backoff, clock_boot_us());
	} else {
		s->due_us = due_after(&s->backoff, res);
		if (res->r == -EAGAIN || res->r == -EEXIST)
			list_soon(p, s); /* what we know of it is old */
		if (res->r != -EAGAIN)
			explain(s, res);
	}
	run(p);
}

static void on_deleted(const struct kube_result *res, void *arg)
{
	struct slice *s = arg;
	struct publish *p = s->p;

	s->op = NULL;
	p->n_ops--;
	if (res->r == 0 || res->r == -ENOENT) {
		log_event(LOG_INFO, "publish.deleted", "an EndpointSlice was deleted", F_STR("slice", s->name));
		set_existing(s, NULL);
		backoff_reset(&s->backoff);
		s->due_us = 0;
		set_text(p, s->text, sizeof(s->text), "");
		p->is_changed = true;
	} else {
		s->due_us = due_after(&s->backoff, res);
		if (res->r == -EAGAIN)
			list_soon(p, s);
		else
			explain(s, res);
	}
	run(p);
}

static int start_slice(struct slice *s, const char *method, const json_t *body,
		       void (*on_done)(const struct kube_result *res, void *arg))
{
	CLEANUP(buf_done) struct buf path = {0};
	struct kube_request req = {.method = method, .body = body, .on_done = on_done, .arg = s};
	int r;

	r = buf_addf(&path, "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices%s%s", s->p->ns,
		     str_eq(method, "POST") ? "" : "/", str_eq(method, "POST") ? "" : s->name);
	req.path = path.data;
	if (r == 0)
		r = kube_start(s->p->client, &req, &s->op);
	if (r == 0)
		s->p->n_ops++;
	return r;
}

/* The wanted object under the identity of the one that is there, so that a newer one is not overwritten. */
static int start_update(struct slice *s)
{
	static const char *const fields[] = {"uid", "resourceVersion"};
	CLEANUP(json_decref) json_t *body = json_deep_copy(s->desired);
	json_t *meta = json_at(body, "metadata");

	if (!body)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		json_t *v = json_object_get(json_at(s->existing, "metadata"), fields[i]);

		if (!v || json_object_set(meta, fields[i], v) < 0)
			return -EINVAL;
	}
	return start_slice(s, "PUT", body, on_written);
}

static int start_delete(struct slice *s)
{
	CLEANUP(json_decref) json_t *body =
		json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions", "uid",
			  json_str(s->existing, "metadata.uid", ""));

	return body ? start_slice(s, "DELETE", body, on_deleted) : -ENOMEM;
}

static void act(struct slice *s)
{
	int r;

	if (!s->existing)
		r = start_slice(s, "POST", s->desired, on_written);
	else if (!s->desired)
		r = start_delete(s);
	else
		r = start_update(s);
	if (r < 0) {
		struct kube_result res = {.r = r, .message = err_name(r), .retry_after_s = -1};

		s->due_us = due_after(&s->backoff, &res);
		explain(s, &res);
	}
}

/* The clock */

static size_t count_left(const struct publish *p)
{
	size_t n = 0;

	for (const struct slice *s = p->slices; s; s = s->hh.next)
		n += s->existing || s->op;
	return n;
}

/* Takes the slices out after the grace time. True if it is over; `p` may then be gone. */
static bool run_drain(struct publish *p, uint64_t now)
{
	struct slice *s, *tmp;
	size_t left;

	if (!p->drain_end_us || p->is_drained || now < p->drain_delete_us)
		return false;
	HASH_ITER (hh, p->slices, s, tmp) {
		if (!s->desired)
			continue;
		json_decref(s->desired);
		s->desired = NULL;
		s->due_us = 0;
	}
	left = count_left(p);
	if ((left || !p->list.is_done) && now < p->drain_end_us)
		return false;
	p->is_drained = true;
	p->on_drained(left, p->drain_arg);
	return true;
}

static void start_poll(struct publish *p, struct poll *poll, int (*start)(struct publish *p))
{
	int r = start(p);
	struct kube_result res = {.r = r, .message = err_name(r), .retry_after_s = -1};

	if (r == 0)
		return;
	poll->due_us = due_after(&poll->backoff, &res);
	set_text(p, poll->text, sizeof(poll->text), res.message);
}

/* Starts what is due; returns when something will be next. */
static uint64_t start_due(struct publish *p, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	struct slice *s, *tmp;

	if (!p->rules.op && now >= p->rules.due_us)
		start_poll(p, &p->rules, start_rules);
	if (!p->rules.op)
		next = MIN(next, p->rules.due_us);
	/* A list beside a write could show the state before it; so they take turns. */
	if (!p->list.op && !p->n_ops && now >= p->list.due_us)
		start_poll(p, &p->list, start_list);
	if (p->list.op)
		return next;
	if (!p->n_ops || now < p->list.due_us)
		next = MIN(next, p->list.due_us);
	if (!p->list.is_done || !p->has_plan || now >= p->list.due_us)
		return next;
	HASH_ITER (hh, p->slices, s, tmp) {
		if (s->op)
			continue;
		if (!s->desired && !s->existing) {
			slice_free(p, s);
			continue;
		}
		if (is_settled(s))
			continue;
		if (now >= s->due_us)
			act(s);
		if (!s->op)
			next = MIN(next, s->due_us);
	}
	return next;
}

/* Does what is due and arms the timer for the rest. */
static void run(struct publish *p)
{
	uint64_t now = clock_boot_us(), next;
	int r;

	if (p->is_drained || run_drain(p, now))
		return;
	next = start_due(p, now);
	if (p->drain_end_us)
		next = MIN(next, now < p->drain_delete_us ? p->drain_delete_us : p->drain_end_us);
	r = next == UINT64_MAX ? 0 : source_arm(p->timer, next > now ? next - now : 0, 0);
	if (r < 0)
		log_event(LOG_ERR, "publish.timer", "cannot arm a timer", F_ERRNO(r));
	if (p->is_changed) {
		p->is_changed = false;
		if (p->on_change)
			p->on_change(p->arg);
	}
}

static void on_timer(void *arg)
{
	run(arg);
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
	CLEANUP(json_decref) json_t *copy = json_deep_copy(slice);
	json_t *meta = json_at(copy, "metadata");

	if (!meta || set_sub(meta, "labels", PUBLISH_HOST_LABEL, p->host) < 0 ||
	    (p->addresses && set_sub(meta, "annotations", PUBLISH_ADDRESSES_ANNOTATION, p->addresses) < 0))
		return NULL;
	return TAKE_PTR(copy);
}

static int want(struct publish *p, const struct serve_entry *e, int family)
{
	CLEANUP(json_decref) json_t *desired = stamped(p, e->slice[family]);
	struct slice *s = slice_get(p, e->slice_name[family]);
	char *service = strdup(e->service);

	if (!desired || !s || !service) {
		free(service);
		return -ENOMEM;
	}
	free(s->service);
	s->service = service;
	s->is_in_plan = true;
	if (s->desired && json_equal(s->desired, desired))
		return 0;
	s->due_us = 0;
	backoff_reset(&s->backoff);
	json_decref(s->desired);
	s->desired = TAKE_PTR(desired);
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
		json_decref(s->desired);
		s->desired = NULL;
		s->due_us = 0;
		backoff_reset(&s->backoff);
	}
	notes_clear(&p->notes);
	p->notes = notes;
	p->has_plan = true;
	return source_arm(p->timer, 0, 0);
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
	CLEANUP(json_decref) json_t *copy = json_deep_copy(slice);
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
		if (!desired)
			continue; /* without memory: it is only deleted */
		json_decref(s->desired);
		s->desired = desired;
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
	return p->rules.is_done ? &p->allowed : NULL;
}

const char *publish_status(const struct publish *p, const char *service)
{
	bool is_pending = false;
	const struct note *n;

	HASH_FIND_STR(p->notes, service, n);
	if (!n)
		return NULL;
	for (const struct slice *s = p->slices; s; s = s->hh.next) {
		if (!s->desired || !s->service || !str_eq(s->service, service) || is_settled(s))
			continue;
		if (s->text[0])
			return s->text;
		is_pending = true;
	}
	if (is_pending)
		return p->list.text[0] ? p->list.text : TEXT_PENDING;
	return n->text;
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
		if (!is_settled(s))
			return false;
	return true;
}
