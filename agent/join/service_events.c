/* SPDX-License-Identifier: Apache-2.0 */
#include "join/service_events.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"

#define REPORTER "mesh-external-agent.io/agent"

enum {
	SPACING_S = 1,	     /* between two writes */
	SETTLE_S = 2,	     /* what is over sooner, as at a start, is no trouble */
	COMES_BACK_S = 600,  /* the same trouble again is told again after so long */
	STAYS_S = 3900,	     /* one that stays, too: API servers forget Events after an hour by default */
	REFUSED_S = 3600,    /* a host that was enrolled without the right for Events asks so seldom */
	INSTANCE_MAX = 128,  /* of Kubernetes: reportingInstance */
	NOTE_MAX = 400,
	SHARED_NAMES = 16,   /* of the admission policy: for all Services that the host may not serve */
};

static const struct {
	const char *reason, *suffix;
} kinds[SERVICE_EVENT_MAX] = {
	[SERVICE_EVENT_NOT_ALLOWED] = {"MeshHostNotAllowed", "meshhostnotallowed"},
	[SERVICE_EVENT_NO_PORT] = {"MeshHostNoPort", "meshhostnoport"},
	[SERVICE_EVENT_NO_ADDRESS] = {"MeshHostNoAddress", "meshhostnoaddress"},
	[SERVICE_EVENT_CONFLICT] = {"MeshHostConflict", "meshhostconflict"},
	[SERVICE_EVENT_REFUSED] = {"MeshHostRefused", "meshhostrefused"},
	[SERVICE_EVENT_NOT_READY] = {"MeshHostNotReady", "meshhostnotready"},
};

/* That the host may serve them bounds the names of the other kinds. */
static bool is_name_shared(enum service_event what)
{
	return what == SERVICE_EVENT_NOT_ALLOWED;
}

struct trouble {
	char *name; /* of the Event: the key */
	char *service, *uid, *note;
	enum service_event what;
	bool is_now, is_told; /* told: since it came */
	uint64_t since_us;
	uint64_t sent_us;     /* 0 = never */
	bool is_stored;	      /* the Event is there, and regards `service` */
	unsigned times;	      /* that it was sent */
	UT_hash_handle hh;
};

struct service_events {
	struct kube_client *client;
	char *host, *ns;
	struct source *timer;
	struct trouble *all;
	struct kube_op *op;
	char *sending; /* name of the trouble that the request is for */
	uint64_t not_before_us;
};

static void trouble_free(struct trouble *t)
{
	free(t->name);
	free(t->service);
	free(t->uid);
	free(t->note);
	free(t);
}

void service_events_free(struct service_events *e)
{
	struct trouble *t, *tmp;

	if (!e)
		return;
	kube_cancel(e->op);
	HASH_ITER (hh, e->all, t, tmp) {
		HASH_DEL(e->all, t);
		trouble_free(t);
	}
	source_free(e->timer);
	free(e->sending);
	free(e->host);
	free(e->ns);
	free(e);
}

/* When it is to be sent; UINT64_MAX = not. */
static uint64_t due_us(const struct trouble *t)
{
	if (!t->is_now)
		return UINT64_MAX;
	if (!t->is_told)
		return MAX(t->since_us + SETTLE_S * USEC_PER_SEC, t->sent_us ? t->sent_us + COMES_BACK_S * USEC_PER_SEC : 0);
	return t->sent_us + STAYS_S * USEC_PER_SEC;
}

static void arm(struct service_events *e)
{
	uint64_t now = clock_boot_us(), next = UINT64_MAX;

	for (const struct trouble *t = e->all; t; t = t->hh.next)
		next = MIN(next, due_us(t));
	next = next == UINT64_MAX ? next : MAX(next, e->not_before_us);
	if (e->op || next == UINT64_MAX)
		source_disarm(e->timer);
	else
		(void)source_arm(e->timer, next > now ? next - now : 0, USEC_PER_SEC / 2); /* a live timer */
}

static void on_done(const struct kube_result *res, void *arg);

static int start(struct service_events *e, const struct trouble *t, const char *method, const json_t *body)
{
	CLEANUP(buf_done) struct buf path = {0};
	struct kube_request req = {.method = method, .body = body, .on_done = on_done, .arg = e};
	bool is_patch = str_eq(method, "PATCH");
	int r = buf_addf(&path, "/apis/events.k8s.io/v1/namespaces/%s/events%s%s", e->ns, is_patch ? "/" : "",
			 is_patch ? t->name : "");

	if (is_patch)
		req.content_type = KUBE_MERGE_PATCH;
	req.path = path.data;
	return r < 0 ? r : kube_start(e->client, &req, &e->op);
}

static int start_create(struct service_events *e, const struct trouble *t)
{
	CLEANUP(json_decref) json_t *body = NULL;
	char now[28];

	clock_rfc3339_micro(kube_client_wall_us(e->client), now);
	body = json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}", "apiVersion",
			 "events.k8s.io/v1", "kind", "Event", "metadata", "name", t->name, "namespace", e->ns, "type", "Warning",
			 "eventTime", now, "reason", kinds[t->what].reason, "action", "Publish", "reportingController", REPORTER,
			 "reportingInstance", e->host, "note", t->note, "regarding", "apiVersion", "v1", "kind", "Service",
			 "namespace", e->ns, "name", t->service, "uid", t->uid);
	return body ? start(e, t, "POST", body) : -ENOMEM;
}

/* It is there already: one more time. */
static int start_count(struct service_events *e, const struct trouble *t)
{
	CLEANUP(json_decref) json_t *body = NULL;
	char now[28];

	clock_rfc3339_micro(kube_client_wall_us(e->client), now);
	body = json_pack("{s:{s:i, s:s}}", "series", "count", (int)MAX(t->times, 2U), "lastObservedTime", now);
	return body ? start(e, t, "PATCH", body) : -ENOMEM;
}

static void on_timer(void *arg)
{
	struct service_events *e = arg;
	uint64_t now = clock_boot_us(), best = UINT64_MAX;
	struct trouble *t = NULL;
	int r;

	for (struct trouble *i = e->all; i; i = i->hh.next)
		if (due_us(i) < best) {
			best = due_us(i);
			t = i;
		}
	if (e->op || !t || best > now || e->not_before_us > now) {
		arm(e);
		return;
	}
	t->sent_us = now;
	t->is_told = true;
	t->times++;
	e->not_before_us = now + SPACING_S * USEC_PER_SEC;
	free(e->sending);
	e->sending = strdup(t->name);
	r = e->sending ? start_create(e, t) : -ENOMEM;
	if (r < 0)
		log_event(LOG_WARNING, "service.event", "an Event could not be written", F_ERRNO(r));
	arm(e);
}

static void on_done(const struct kube_result *res, void *arg)
{
	struct service_events *e = arg;
	struct trouble *t = NULL;

	e->op = NULL;
	HASH_FIND_STR(e->all, e->sending, t);
	if (res->r == -EEXIST && t && (t->is_stored || !is_name_shared(t->what)) && start_count(e, t) == 0)
		return;
	if (t && res->r == 0)
		t->is_stored = true;
	if (res->r == -EPERM)
		e->not_before_us = clock_boot_us() + REFUSED_S * USEC_PER_SEC;
	else if (res->r < 0 && t)
		t->is_told = false; /* an outage, most likely: again as one that comes back */
	if (res->r < 0)
		log_event(LOG_DEBUG, "service.event", "an Event could not be written", F_STR("event", e->sending),
			  F_STR("reason", res->message));
	arm(e);
}

int service_events_new(struct loop *loop, struct kube_client *client, const char *host, const char *ns,
		       struct service_events **ret)
{
	CLEANUP(service_events_free) struct service_events *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->client = client;
	e->host = strdup(host);
	e->ns = strdup(ns);
	if (!e->host || !e->ns)
		return -ENOMEM;
	r = loop_add_timer(loop, on_timer, e, &e->timer);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

void service_events_begin(struct service_events *e)
{
	for (struct trouble *t = e->all; t; t = t->hh.next)
		t->is_now = false;
}

/* Heap; NULL when out of memory. */
static char *event_name(const struct service_events *e, const char *service, enum service_event what)
{
	uint64_t h = hash_stable(HASH_STABLE, service, strlen(service));

	if (!is_name_shared(what))
		return str_printf("%s.mesh-%s.%s", service, e->host, kinds[what].suffix);
	return str_printf("mesh-%s.%s.%x", e->host, kinds[what].suffix, (unsigned)(h % SHARED_NAMES));
}

/* Another Service has had the name. False if it still has it. */
static bool take_over(struct service_events *e, struct trouble *t, const char *service)
{
	bool is_sent = e->op && str_eq(e->sending, t->name);

	if (t->is_now || is_sent || str_replace(&t->service, service) < 0)
		return false;
	t->is_stored = false;
	t->since_us = 0;
	return true;
}

/* Takes `name`. NULL when out of memory or past the limit. */
static struct trouble *trouble_new(struct service_events *e, char *name, const char *service, enum service_event what)
{
	struct trouble *t = HASH_COUNT(e->all) < LIMIT_SERVICE_EVENTS ? calloc(1, sizeof(*t)) : NULL;

	if (!t) {
		free(name);
		return NULL;
	}
	t->name = name;
	t->what = what;
	t->service = strdup(service);
	hash_oom = false;
	if (t->service)
		HASH_ADD_KEYPTR(hh, e->all, t->name, strlen(t->name), t);
	if (!t->service || hash_oom) {
		trouble_free(t);
		return NULL;
	}
	return t;
}

void service_events_tell(struct service_events *e, const char *service, const char *uid, enum service_event what,
			 const char *note)
{
	char *name = event_name(e, service, what);
	char text[NOTE_MAX];
	struct trouble *t = NULL;

	if (!name || strlen(name) > LIMIT_NAME || strlen(e->host) > INSTANCE_MAX) {
		free(name); /* no Event can have it */
		return;
	}
	(void)snprintf(text, sizeof(text), "external host %.128s: %.250s", e->host, note);
	HASH_FIND_STR(e->all, name, t);
	if (t)
		free(name);
	else
		t = trouble_new(e, name, service, what);
	if (t && !str_eq(t->service, service) && !take_over(e, t, service))
		return;
	if (!t || str_replace(&t->uid, uid) < 0 || str_replace(&t->note, text) < 0)
		return;
	if (!t->is_now && t->since_us == 0) {
		t->since_us = clock_boot_us();
		t->is_told = false;
	}
	t->is_now = true;
}

void service_events_end(struct service_events *e)
{
	uint64_t now = clock_boot_us();
	struct trouble *t, *tmp;

	HASH_ITER (hh, e->all, t, tmp) {
		if (t->is_now)
			continue;
		t->since_us = 0; /* over; when it was sent is remembered, so that it is not told too often */
		if (!t->sent_us || now - t->sent_us > STAYS_S * USEC_PER_SEC) {
			HASH_DEL(e->all, t);
			trouble_free(t);
		}
	}
	arm(e);
}
