/* SPDX-License-Identifier: Apache-2.0 */
#include "join/lease.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"
#include "json/json.h"

/* One write a minute for a host: what a thousand hosts cost is still small. */
enum { RENEW_S = 60, DURATION_S = 180, RETRY_S = 15, CONFLICT_S = 1, ALONE_MAX = 5 };

struct lease {
	struct kube_client *client;
	struct lease_conf conf;
	struct source *timer;
	struct kube_op *op;
	char *path;
	json_t *written;   /* the Lease as we wrote it last; NULL = unknown, read it first */
	bool is_rewriting; /* the write under way was made without reading first */
	unsigned n_alone; /* renewals that another holder must stay away for, after one was seen */
	bool is_held; /* we wrote it last, as far as we know */
};

static void again(struct lease *l, unsigned delay_s)
{
	/* A little earlier or later, so that hosts do not write in step. */
	uint64_t delay_us = delay_s * USEC_PER_SEC + rng_below(delay_s ? delay_s * 100000 : 1);

	(void)source_arm(l->timer, delay_us, delay_us / 4); /* a live timer */
}

static void failed(struct lease *l, int r, const char *why)
{
	log_event(LOG_DEBUG, "lease.failed", "the heartbeat could not be written, will try again", F_ERRNO(r),
		  F_STR("reason", why));
	again(l, RETRY_S);
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
	l->is_held = true;
	if (l->is_rewriting)
		note_alone(l); /* nobody wrote since we did */
	if (*json_str(res->body, "metadata.resourceVersion", ""))
		l->written = json_incref(res->body);
	again(l, RENEW_S);
}

static void note_holder(struct lease *l, const char *holder)
{
	/* Machines sign with HOST/BOOT-ID. A name without "/" was written by `meshctl host add` of an earlier version. */
	bool is_machine = strchr(holder, '/') != NULL;

	if (l->is_held && is_machine && !str_eq(holder, l->conf.holder)) {
		l->n_alone = ALONE_MAX;
		l->conf.on_conflict(holder, l->conf.arg);
	} else {
		note_alone(l);
	}
}

/* Renews `lease` under the version in it: a write of somebody else in between makes it fail. */
static void write_lease(struct lease *l, const json_t *lease)
{
	struct kube_request req = {.method = "PUT", .path = l->path, .on_done = on_written, .arg = l};
	CLEANUP(json_decref) json_t *doc = json_deep_copy(lease);
	char now[28];
	json_t *spec;
	int r;

	clock_rfc3339_micro(now);
	spec = json_pack("{s:s, s:i, s:s}", "holderIdentity", l->conf.holder, "leaseDurationSeconds", DURATION_S, "renewTime",
			 now);
	if (json_object_set_new(doc, "spec", spec) < 0) {
		failed(l, -ENOMEM, "");
		return;
	}
	req.body = doc;
	r = kube_start(l->client, &req, &l->op);
	if (r < 0)
		failed(l, r, "");
}

static void on_read(const struct kube_result *res, void *arg)
{
	struct lease *l = arg;

	l->op = NULL;
	if (res->r < 0) {
		failed(l, res->r, res->message);
		return;
	}
	note_holder(l, json_str(res->body, "spec.holderIdentity", ""));
	l->is_rewriting = false;
	write_lease(l, res->body);
}

static void on_timer(void *arg)
{
	struct lease *l = arg;
	struct kube_request req = {.path = l->path, .on_done = on_read, .arg = l};
	int r;

	if (l->op)
		return;
	if (l->written) { /* one request a minute instead of two; a conflict makes us read who it was */
		l->is_rewriting = true;
		write_lease(l, l->written);
		return;
	}
	r = kube_start(l->client, &req, &l->op);
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
	free(l->path);
	free(l);
}

void lease_kick(struct lease *l)
{
	if (!l->op)
		(void)source_arm(l->timer, 0, 0); /* a live timer */
}
