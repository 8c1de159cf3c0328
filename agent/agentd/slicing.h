/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where endpoints are to be read. cilium-config may say that they are in CiliumEndpointSlices before the operator, which is
 * restarted later, has made the first: who believed it then would know no pod at all. Until there are some, CiliumEndpoints
 * are read, of which slices are made.
 */
#pragma once

#include "agentd/health.h"
#include "kube/kube_client.h"

struct slicing;

struct slicing_conf {
	/* The first answer, once; again after slicing_ask() if it was a failure. `failure` is NULL for an answer. */
	void (*on_known)(bool has_slices, const struct kube_result *failure, void *arg);
	/* There were none then, and now there are, for a while. */
	void (*on_made)(void *arg);
	void *arg;
	uint64_t poll_us; /* while there are none; 0 = half a minute */
};

/* Asks nothing yet. -ENOMEM. */
int slicing_new(struct loop *loop, struct kube_client *client, struct health *health, const struct slicing_conf *conf,
		struct slicing **ret);
void slicing_free(struct slicing *s);
DEFINE_CLEANUP(struct slicing *, slicing_free)

void slicing_ask(struct slicing *s);
