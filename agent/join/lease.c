/* SPDX-License-Identifier: Apache-2.0 */
#include "join/lease.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/str.h"
#include "json/json.h"

/* One write a minute for a host: what a thousand hosts cost is still small. */
enum {
	RENEW_S = 60,
	DURATION_S = 180,
	DURATION_MAX_S = 3600, /* the admission policy's, too */
	RETRY_S = 15,
	CONFLICT_S = 1,
	ALONE_MAX = 5,
	LONG_AGO_S = 1800, /* more than clocks differ: so old a Lease needs no watching */
};

struct lease {
	struct kube_client *client;
	struct lease_conf conf;
	struct source *timer;
	struct kube_op *op;
	char *path;
	enum lease_state state;
	json_t *written;   /* the Lease as we wrote it last; NULL = unknown, read it first */
	bool is_rewriting; /* the write under way was made without reading first */
	bool is_asking;	   /* the write under way puts us behind the holder */
	unsigned n_alone;  /* renewals that another machine must stay away for, after one was seen */
	char *seen;	   /* holder and time of its last renewal; NULL = not seen yet */
	uint64_t seen_us;  /* CLOCK_BOOTTIME since when that is the last one */
	void (*on_released)(void *arg);
	void *released_arg;
	char error[256]; /* for a person to solve; "" = none */
};

static void again(struct lease *l, unsigned delay_s)
{
	/* A little earlier or later, so that hosts do not write in step. */
	uint64_t delay_us = delay_s * USEC_PER_SEC + rng_below(delay_s ? delay_s * 100000 : 1);

	(void)source_arm(l->timer, delay_us, delay_us / 4); /* a live timer */
}

static void set_state(struct lease *l, enum lease_state state, const char *other)
{
	if (l->state == state)
		return;
	l->state = state;
	l->conf.on_state(state, other, l->conf.arg);
}

static void failed(struct lease *l, int r, const char *why)
{
	bool is_lasting = r == -ENOENT || r == -EPERM || r == -EINVAL;

	(void)snprintf(l->error, sizeof(l->error), "%s", is_lasting ? why : ""); /* a cut text still tells most */
	log_event(LOG_DEBUG, "lease.failed", "the heartbeat could not be written, will try again", F_ERRNO(r),
		  F_STR("reason", why));
	again(l, RETRY_S);
	/* No right to write it: enrolled by an older version. There is nothing to wait for. */
	if (l->state == LEASE_UNKNOWN && (r == -EPERM || r == -EINVAL))
		set_state(l, LEASE_HELD, NULL);
}

static void forget(struct lease *l)
{
	json_decref(l->written);
	l->written = NULL;
}

static void note_alone(struct lease *l)
{
	if (l->n_alone && --l->n_alone == 0)
		l->conf.on_conflict(NULL, l->conf.arg);
}

static void on_written(const struct kube_result *res, void *arg)
{
	struct lease *l = arg;

	l->op = NULL;
	forget(l);
	if (res->r == -EAGAIN) {
		again(l, CONFLICT_S); /* written in between: read who it was */
		return;
	}
	if (res->r < 0) {
		failed(l, res->r, res->message);
		return;
	}
	l->error[0] = '\0';
	if (l->is_asking) {
		again(l, RETRY_S);
		return;
	}
	if (l->is_rewriting)
		note_alone(l); /* nobody wrote since we did */
	if (*json_str(res->body, "metadata.resourceVersion", ""))
		l->written = json_incref(res->body);
	again(l, RENEW_S);
	set_state(l, LEASE_HELD, NULL);
}

/* Writes `lease` with this spec under the version in it: a write of somebody else in between makes it fail. Takes spec. */
static void put(struct lease *l, const json_t *lease, json_t *spec, void (*on_done)(const struct kube_result *, void *))
{
	struct kube_request req = {.method = "PUT", .path = l->path, .on_done = on_done, .arg = l};
	CLEANUP(json_decref) json_t *doc = json_clone(lease);
	int r;

	if (json_object_set_new(doc, "spec", spec) < 0) {
		failed(l, -ENOMEM, "");
		return;
	}
	req.body = doc;
	r = kube_start(l->client, &req, &l->op);
	if (r < 0)
		failed(l, r, "");
}

/* By the server's clock, which all holders can tell. */
static json_t *spec_of(const struct lease *l, const char *holder)
{
	char now[28];

	clock_rfc3339_micro(kube_client_wall_us(l->client), now);
	return json_pack("{s:s, s:i, s:s}", "holderIdentity", holder, "leaseDurationSeconds", DURATION_S, "renewTime", now);
}

static void renew(struct lease *l, const json_t *lease)
{
	l->is_asking = false;
	put(l, lease, spec_of(l, l->conf.holder), on_written);
}

/* What the holder's renewals say stays: only our name comes behind it. */
static void ask(struct lease *l, const json_t *lease, const char *holder)
{
	CLEANUP(free) char *both = str_printf("%s,%s", holder, l->conf.holder);
	json_t *spec = json_clone(json_at(lease, "spec"));

	if (!both || json_object_set_new(spec, "holderIdentity", json_string(both)) < 0) {
		json_decref(spec);
		failed(l, -ENOMEM, "");
		return;
	}
	l->is_asking = true;
	put(l, lease, spec, on_written);
}

/* True if the holder was not heard of for as long as its Lease says. */
static bool is_over(struct lease *l, const json_t *lease, const char *holder, bool *ret_lives)
{
	const char *renewed = json_str(lease, "spec.renewTime", "");
	json_int_t duration_s = json_int(lease, "spec.leaseDurationSeconds", DURATION_S);
	CLEANUP(free) char *now = str_printf("%s %s", holder, renewed);
	uint64_t now_us = clock_boot_us();
	int64_t renewed_s;

	*ret_lives = false;
	if (!now)
		return false; /* as if it could not be read */
	if (!l->seen || !str_eq(l->seen, now)) {
		*ret_lives = l->seen;
		free(l->seen);
		l->seen = TAKE_PTR(now);
		l->seen_us = now_us;
	}
	if (duration_s < 1 || duration_s > DURATION_MAX_S)
		duration_s = DURATION_S;
	if (now_us - l->seen_us >= (uint64_t)duration_s * USEC_PER_SEC)
		return true;
	return !*ret_lives && clock_parse_rfc3339(renewed, &renewed_s) == 0 &&
	       renewed_s < kube_client_wall_us(l->client) / (int64_t)USEC_PER_SEC - LONG_AGO_S;
}

/* Another boot holds it. */
static void look_at(struct lease *l, const json_t *lease, const char *holder, const char *behind)
{
	bool lives;

	if (l->state == LEASE_HELD) {
		set_state(l, LEASE_LOST, holder);
		return;
	}
	if (is_over(l, lease, holder, &lives) && l->state != LEASE_REFUSED) {
		renew(l, lease);
		return;
	}
	set_state(l, lives || l->state == LEASE_REFUSED ? LEASE_REFUSED : LEASE_WAITING, holder);
	if (l->state == LEASE_REFUSED && lives && !str_eq(behind, l->conf.holder))
		ask(l, lease, holder);
	else
		again(l, RETRY_S);
}

static int read_it(struct lease *l);

static void on_given_back(const struct kube_result *res, void *arg)
{
	struct lease *l = arg;

	l->op = NULL;
	if (res->r == -EAGAIN && read_it(l) == 0)
		return; /* a copy put itself behind us */
	l->on_released(l->released_arg); /* if it was refused, the next boot waits */
}

static void give_back(struct lease *l, const json_t *lease)
{
	put(l, lease, spec_of(l, l->conf.host), on_given_back);
}

/* Once more, under its newest version, if it still is ours. */
static void give_back_read(struct lease *l, const struct kube_result *res)
{
	const char *holder = res->r < 0 ? "" : json_str(res->body, "spec.holderIdentity", "");
	size_t len = strlen(l->conf.holder);

	if (strncmp(holder, l->conf.holder, len) == 0 && (holder[len] == ',' || !holder[len]))
		give_back(l, res->body);
	if (!l->op)
		l->on_released(l->released_arg);
}

static void on_read(const struct kube_result *res, void *arg)
{
	struct lease *l = arg;
	CLEANUP(free) char *holder = NULL;
	char *behind;

	l->op = NULL;
	if (l->on_released) {
		give_back_read(l, res);
		return;
	}
	if (res->r < 0) {
		failed(l, res->r, res->message);
		if ((res->r == -ENOENT || res->r == -EPERM) && l->state != LEASE_HELD)
			set_state(l, LEASE_HELD, NULL); /* the host was removed, which its registration finds out */
		return;
	}
	holder = strdup(json_str(res->body, "spec.holderIdentity", ""));
	if (!holder) {
		failed(l, -ENOMEM, "");
		return;
	}
	behind = strchr(holder, ',');
	if (behind)
		*behind++ = '\0';
	else
		behind = holder + strlen(holder);
	if (l->conf.is_copy)
		set_state(l, LEASE_REFUSED, holder);
	if (strchr(holder, '/') && !str_eq(holder, l->conf.holder)) {
		look_at(l, res->body, holder, behind);
		return;
	}
	if (l->state == LEASE_REFUSED) {
		again(l, RETRY_S); /* nobody holds it now; it is not for us */
		return;
	}
	if (*behind && !str_eq(behind, l->conf.holder)) {
		l->n_alone = ALONE_MAX;
		l->conf.on_conflict(behind, l->conf.arg);
	} else {
		note_alone(l);
	}
	l->is_rewriting = false;
	renew(l, res->body);
}

static int read_it(struct lease *l)
{
	struct kube_request req = {.path = l->path, .on_done = on_read, .arg = l};

	return kube_start(l->client, &req, &l->op);
}

static void on_timer(void *arg)
{
	struct lease *l = arg;
	int r;

	if (l->op || l->on_released || l->state == LEASE_LOST)
		return;
	if (l->written) { /* one request a minute instead of two; a conflict makes us read who it was */
		l->is_rewriting = true;
		renew(l, l->written);
		return;
	}
	r = read_it(l);
	if (r < 0)
		failed(l, r, "");
}

int lease_new(struct loop *loop, struct kube_client *client, const struct lease_conf *conf, struct lease **ret)
{
	CLEANUP(lease_free) struct lease *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->client = client;
	l->conf = *conf;
	l->path = str_printf("/apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases/%s", conf->host);
	if (!l->path)
		return -ENOMEM;
	r = loop_add_timer(loop, on_timer, l, &l->timer);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

void lease_free(struct lease *l)
{
	if (!l)
		return;
	kube_cancel(l->op);
	source_free(l->timer);
	forget(l);
	free(l->seen);
	free(l->path);
	free(l);
}

void lease_kick(struct lease *l)
{
	if (!l->op)
		(void)source_arm(l->timer, 0, 0); /* a live timer */
}

enum lease_state lease_get_state(const struct lease *l)
{
	return l->state;
}

const char *lease_error(const struct lease *l)
{
	return l->error;
}

int lease_release(struct lease *l, void (*on_done)(void *arg), void *arg)
{
	CLEANUP(json_decref) json_t *last = NULL;

	if (!l->written || l->op)
		return -ENODATA;
	last = TAKE_PTR(l->written);
	l->on_released = on_done;
	l->released_arg = arg;
	give_back(l, last);
	if (!l->op) {
		l->on_released = NULL;
		return -ENOMEM;
	}
	return 0;
}
