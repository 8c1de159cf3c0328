/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/slicing.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "json/json.h"

enum {
	POLL_S = 30,
	MADE_POLLS = 2, /* an operator makes them all within seconds of the first */
};

#define CONDITION "cluster.slices"

struct slicing {
	struct kube_client *client;
	struct health *health;
	struct slicing_conf conf;
	struct source *timer;
	struct kube_op *op;
	bool is_known; /* that there were none */
	unsigned n_made;
};

static void again(struct slicing *s)
{
	uint64_t poll_us = s->conf.poll_us ? s->conf.poll_us : POLL_S * USEC_PER_SEC;

	(void)source_arm(s->timer, poll_us, poll_us / 8); /* a live timer */
}

/* The callbacks may free it. */
static void on_answer(struct slicing *s, bool has_slices)
{
	if (s->is_known) {
		s->n_made = has_slices ? s->n_made + 1 : 0;
		if (s->n_made == MADE_POLLS) {
			health_clear(s->health, CONDITION);
			s->conf.on_made(s->conf.arg);
			return;
		}
		again(s);
		return;
	}
	if (!has_slices) {
		s->is_known = true;
		again(s);
		health_raise(s->health, HEALTH_INFO, CONDITION,
			     "cilium-config says enable-cilium-endpoint-slice, and there are no CiliumEndpointSlices: CiliumEndpoints are read until there are",
			     "if it stays so, see whether cilium-operator runs with the same configuration");
	}
	s->conf.on_known(has_slices, NULL, s->conf.arg);
}

static void on_done(const struct kube_result *res, void *arg)
{
	struct slicing *s = arg;

	s->op = NULL;
	if (res->r == 0 || res->r == -ENOENT) /* before Cilium has made the kind */
		on_answer(s, res->r == 0 && json_array_size(json_at(res->body, "items")) > 0);
	else if (s->is_known)
		again(s);
	else
		s->conf.on_known(false, res, s->conf.arg);
}

void slicing_ask(struct slicing *s)
{
	struct kube_request req = {.path = "/apis/cilium.io/v2alpha1/ciliumendpointslices?limit=1", .is_long = true, .on_done = on_done, .arg = s};
	int r;

	if (s->op)
		return;
	r = kube_start(s->client, &req, &s->op);
	if (r < 0)
		on_done(&(struct kube_result){.r = r, .message = err_name(r), .retry_after_s = -1}, s);
}

static void on_timer(void *arg)
{
	slicing_ask(arg);
}

int slicing_new(struct loop *loop, struct kube_client *client, struct health *health, const struct slicing_conf *conf,
		struct slicing **ret)
{
	CLEANUP(slicing_free) struct slicing *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->client = client;
	s->health = health;
	s->conf = *conf;
	r = loop_add_timer(loop, on_timer, s, &s->timer);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void slicing_free(struct slicing *s)
{
	if (!s)
		return;
	kube_cancel(s->op);
	source_free(s->timer);
	free(s);
}
