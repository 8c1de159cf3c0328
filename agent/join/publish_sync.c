/* SPDX-License-Identifier: Apache-2.0 */
#include "join/publish_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "join/serve_rules.h"
#include "json/json.h"

enum {
	RECHECK_S = 240,
	RECHECK_SPREAD_S = 60,
	REFUSED_RETRY_S = 60, /* rights, policies and foreign objects change by somebody's hand */
};

/* A change for the reader of the status; told at the end of publish_run(). */
static void set_text(struct publish *p, char *to, size_t size, const char *text)
{
	if (strncmp(to, text, size - 1) == 0 && strlen(to) == MIN(strlen(text), size - 1))
		return;
	(void)snprintf(to, size, "%s", text);
	p->is_changed = true;
}

void publish_slice_adopt(struct slice *s)
{
	json_t *mine = json_array_get(json_object_get(s->desired, "endpoints"), 0);
	json_t *there = json_array_get(json_object_get(s->existing, "endpoints"), 0);
	json_t *conditions = json_object_get(there, "conditions");
	json_t *weight = json_object_get(json_at(s->existing, "metadata.annotations"), SERVE_WEIGHT_ANNOTATION);

	/* Out of memory: not ready is told until the probes have decided. */
	if (!s->is_held || !mine || !json_is_object(conditions))
		return;
	(void)json_object_set(mine, "conditions", conditions);
	if (json_is_string(weight)) /* there are annotations: the admission policy wants one */
		(void)json_object_set(json_at(s->desired, "metadata.annotations"), SERVE_WEIGHT_ANNOTATION, weight);
	else
		(void)json_object_del(json_at(s->desired, "metadata.annotations"), SERVE_WEIGHT_ANNOTATION); /* -1: it has none */
}

void publish_slice_found(struct slice *s, json_t *obj)
{
	json_t *old = s->existing;

	s->existing = json_incref(obj);
	json_decref(old);
	publish_slice_adopt(s);
	if (!obj || (s->failure != -EEXIST && !publish_slice_is_settled(s)))
		return;
	s->failure = 0; /* of before: it is ours, or as wanted */
	set_text(s->p, s->text, sizeof(s->text), "");
}

/* Backs off after a failure; a refusal that only a person can lift is tried once a minute, if none has changed rights just now. */
static uint64_t due_after(const struct publish *p, struct backoff *b, const struct kube_result *res)
{
	uint64_t now = clock_boot_us(), delay_us = backoff_next_us(b, now);

	if (res->r == -EPERM && now < p->settle_us)
		return now + delay_us;
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
	CLEANUP(serve_rules_done) struct serve_rules now = {0};
	struct kube_result failed = *res;

	p->rules.op = NULL;
	if (res->r == 0 && serve_rules_parse(res->body, &now) < 0) {
		failed.r = -EBADMSG;
		failed.message = "the API server's answer about rights cannot be understood";
	}
	if (failed.r < 0) {
		p->rules.due_us = due_after(p, &p->rules.backoff, &failed);
		set_text(p, p->rules.text, sizeof(p->rules.text), failed.message);
		publish_run(p);
		return;
	}
	if (!p->rules.is_done || !serve_rules_same(&now, &p->allowed)) {
		serve_rules_done(&p->allowed);
		p->allowed = now;
		now = (struct serve_rules){0};
		p->is_changed = true;
	}
	p->rules.is_done = true;
	p->rules.due_us = due_recheck();
	backoff_reset(&p->rules.backoff);
	set_text(p, p->rules.text, sizeof(p->rules.text), "");
	publish_run(p);
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
		s = publish_slice_get(p, name);
		if (!s)
			return -ENOMEM;
		publish_slice_found(s, (json_t *)obj);
		s->is_in_plan = true;
	}
	HASH_ITER (hh, p->slices, s, tmp)
		if (!s->is_in_plan)
			publish_slice_found(s, NULL);
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
		p->list.due_us = due_after(p, &p->list.backoff, &failed);
		set_text(p, p->list.text, sizeof(p->list.text), failed.message);
	} else {
		p->list.is_done = true;
		p->list.due_us = due_recheck();
		backoff_reset(&p->list.backoff);
		set_text(p, p->list.text, sizeof(p->list.text), "");
	}
	publish_run(p);
}

static int start_list(struct publish *p)
{
	CLEANUP(buf_done) struct buf path = {0};
	struct kube_request req = {.is_long = true, .on_done = on_list, .arg = p};
	int r;

	r = buf_addf(&path, "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices?labelSelector=", p->ns);
	/* If every host read those of all, the API server's work would grow with the square of their number. */
	if (r == 0)
		r = buf_add_escaped(&path, "endpointslice.kubernetes.io/managed-by=" SERVE_MANAGED_BY "," PUBLISH_HOST_LABEL "=");
	if (r == 0)
		r = buf_add_escaped(&path, p->host);
	req.path = path.data;
	return r < 0 ? r : kube_start(p->client, &req, &p->list.op);
}

/* Changes */

static void list_soon(struct publish *p, struct slice *s)
{
	p->list.due_us = MIN(p->list.due_us, s->due_us);
}

/* Of a refusal by an admission policy what it says itself; the API server puts names of policies before it. */
static const char *refusal_of(const char *message)
{
	static const char before[] = " denied request: ";
	const char *at = strstr(message, before);

	return at ? at + sizeof(before) - 1 : message;
}

/* Puts the failure where a person sees it. */
static void explain(struct slice *s, const struct kube_result *res)
{
	char text[sizeof(s->text)];

	if (res->r == -EEXIST)
		(void)snprintf(text, sizeof(text), "an EndpointSlice %.100s is there that this host did not write",
			       s->name);
	else if (res->r == -EPERM)
		(void)snprintf(text, sizeof(text), "the API server does not allow it: %.200s", refusal_of(res->message));
	else if (res->r == -ENOENT)
		(void)snprintf(text, sizeof(text), "namespace %.60s is gone: %.150s", s->p->ns, res->message);
	else
		(void)snprintf(text, sizeof(text), "%.250s", res->message);
	if (!str_eq(text, s->text))
		log_event(res->r == -EPERM || res->r == -EEXIST ? LOG_ERR : LOG_WARNING, "publish.failed",
			  "an EndpointSlice could not be written", F_STR("slice", s->name), F_STR("reason", text));
	s->failure = res->r;
	set_text(s->p, s->text, sizeof(s->text), text);
}

static void on_written(const struct kube_result *res, void *arg)
{
	struct slice *s = arg;
	struct publish *p = s->p;

	s->op = NULL;
	p->n_ops--;
	if (res->r == 0) {
		s->failure = 0;
		set_text(p, s->text, sizeof(s->text), "");
		p->is_changed = true;
		if (is_ours(p, res->body))
			publish_slice_found(s, res->body);
		else /* a stranger's object under our name, or no object: look what is there */
			p->list.due_us = 0;
		if (publish_slice_is_settled(s))
			backoff_reset(&s->backoff);
		else if (!s->is_other) /* what the server made of it may differ from what we want, each time anew: slowly */
			s->due_us = clock_boot_us() + backoff_next_us(&s->backoff, clock_boot_us());
		log_event(LOG_INFO, "publish.written", "an EndpointSlice was written", F_STR("slice", s->name));
	} else if (res->r == -ENOENT && s->existing) {
		publish_slice_found(s, NULL); /* somebody deleted it: create it again */
		s->due_us = clock_boot_us() + backoff_next_us(&s->backoff, clock_boot_us());
	} else if (res->r == -EEXIST) {
		s->must_look = true;
		s->due_us = 0;
	} else {
		s->due_us = due_after(s->p, &s->backoff, res);
		if (res->r == -EAGAIN)
			list_soon(p, s); /* what we know of it is old */
		else
			explain(s, res);
	}
	publish_run(p);
}

/* What is there under the name that we want. */
static void on_seen(const struct kube_result *res, void *arg)
{
	static const struct kube_result foreign = {.r = -EEXIST, .message = "", .retry_after_s = -1};
	struct slice *s = arg;
	struct publish *p = s->p;

	s->op = NULL;
	p->n_ops--;
	if (res->r == 0 && is_ours(p, res->body)) {
		s->must_look = false;
		s->due_us = 0;
		publish_slice_found(s, res->body);
	} else if (res->r == -ENOENT) { /* it has gone meanwhile; a server that says both has to wait */
		s->must_look = false;
		s->due_us = due_after(p, &s->backoff, &(struct kube_result){.retry_after_s = -1});
	} else {
		if (res->r == 0 || res->r == -E2BIG) /* ours has one endpoint */
			res = &foreign;
		s->must_look = s->desired || res != &foreign; /* somebody else's is no matter when we want none */
		s->due_us = due_after(p, &s->backoff, res);
		explain(s, res);
	}
	publish_run(p);
}

static void on_deleted(const struct kube_result *res, void *arg)
{
	struct slice *s = arg;
	struct publish *p = s->p;

	s->op = NULL;
	p->n_ops--;
	if (res->r == 0 || res->r == -ENOENT) {
		log_event(LOG_INFO, "publish.deleted", "an EndpointSlice was deleted", F_STR("slice", s->name));
		publish_slice_found(s, NULL);
		backoff_reset(&s->backoff);
		s->due_us = 0;
		s->failure = 0;
		set_text(p, s->text, sizeof(s->text), "");
		p->is_changed = true;
	} else {
		s->due_us = due_after(s->p, &s->backoff, res);
		if (res->r == -EAGAIN)
			list_soon(p, s);
		else
			explain(s, res);
	}
	publish_run(p);
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
	s->is_other = false;
	return r;
}

/* The wanted object under the identity of the one that is there, so that a newer one is not overwritten. */
static int start_update(struct slice *s)
{
	static const char *const fields[] = {"uid", "resourceVersion"};
	CLEANUP(json_decref) json_t *body = json_clone(s->desired);
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

static bool same_sub(const json_t *a, const json_t *b, const char *map, const char *key)
{
	const json_t *x = json_object_get(json_object_get(json_at(a, "metadata"), map), key);
	const json_t *y = json_object_get(json_object_get(json_at(b, "metadata"), map), key);

	return !x ? !y : y && json_equal(x, y);
}

bool publish_slice_is_settled(const struct slice *s)
{
	if (s->op || s->must_look)
		return false;
	if (!s->desired || !s->existing)
		return !s->desired && !s->existing;
	return serve_slice_same(s->desired, s->existing) &&
	       same_sub(s->desired, s->existing, "labels", PUBLISH_HOST_LABEL) &&
	       same_sub(s->desired, s->existing, "annotations", PUBLISH_ADDRESSES_ANNOTATION);
}

static void act(struct slice *s)
{
	int r;

	if (s->must_look)
		r = start_slice(s, "GET", NULL, on_seen);
	else if (!s->existing)
		r = start_slice(s, "POST", s->desired, on_written);
	else if (!s->desired)
		r = start_delete(s);
	else
		r = start_update(s);
	if (r < 0) {
		struct kube_result res = {.r = r, .message = err_name(r), .retry_after_s = -1};

		s->due_us = due_after(s->p, &s->backoff, &res);
		explain(s, &res);
	}
}

/* The clock */

static size_t count_left(const struct publish *p)
{
	size_t n = 0;

	for (const struct slice *s = p->slices; s; s = s->hh.next)
		n += s->existing || s->must_look || s->op;
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
		publish_slice_want(s, NULL);
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
	poll->due_us = due_after(p, &poll->backoff, &res);
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
		if (!s->desired && !s->existing && !s->must_look) {
			publish_slice_free(p, s);
			continue;
		}
		if (publish_slice_is_settled(s))
			continue;
		if (now >= s->due_us)
			act(s);
		if (!s->op)
			next = MIN(next, s->due_us);
	}
	return next;
}

/* Does what is due and arms the timer for the rest. */
void publish_run(struct publish *p)
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
