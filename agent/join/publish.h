/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps this host's EndpointSlices in the API equal to a plan, and learns which Services the cluster
 * lets it stand behind. It lists its slices first, then creates, updates and deletes one request at a
 * time for each; every few minutes, and when told, it lists again and mends what others changed. Slices
 * of other writers are never touched: each change names the uid and resourceVersion that was read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "event/loop.h"
#include "kube/kube_client.h"
#include "service/serve.h"

struct publish;

#define PUBLISH_HOST_LABEL	     "mesh-external-agent.io/host"
#define PUBLISH_ADDRESSES_ANNOTATION "mesh-external-agent.io/addresses"

struct publish_conf {
	const char *host, *ns;
	/* The enrolled ranges, word for word: the admission policy wants them on each slice. NULL = none. */
	const char *addresses;
	/*
	 * The Services or zones allowed, or the status of one, have changed. May call publish_set(); must not free
	 * the object. May be NULL.
	 */
	void (*on_change)(void *arg);
	void *arg;
};

/*
 * Everything in `conf` is copied. Starts to list and to ask at once; nothing is written before the first
 * list and the first publish_set(). Both `loop` and `client` must outlive it. 0 or errno of a timer.
 */
int publish_new(struct loop *loop, struct kube_client *client, const struct publish_conf *conf,
		struct publish **ret);
/* Stops; the slices stay in the API as they are. */
void publish_free(struct publish *p);
DEFINE_CLEANUP(struct publish *, publish_free)

/*
 * What is to be in the API from now on; what an earlier plan had and this one has not is deleted. The
 * objects are copied, with the host's label and annotation. -ENOMEM: nothing is deleted, call again;
 * -EBUSY while draining.
 */
int publish_set(struct publish *p, const struct serve_plan *plan);

/*
 * The enrolled ranges (copied) for what the next publish_set() brings. If they are others than before, an API server may not know
 * them yet: for a little while a refusal is tried again soon. NULL = none. 0 or -ENOMEM: they are as before.
 */
int publish_set_addresses(struct publish *p, const char *addresses);

/* Compares with the API at once, without waiting out a backoff; after a new credential or address. */
void publish_kick(struct publish *p);

/*
 * For leaving: tells clients to go (ready false, terminating true), after `grace_us` deletes, then calls
 * `on_done` with the number of slices that are left in the API; more than 0 if that took longer than
 * 10 s. Once for each object; -EALREADY. `on_done` may free the object.
 */
int publish_drain(struct publish *p, uint64_t grace_us, void (*on_done)(size_t n_left, void *arg), void *arg);

/* Sorted names; NULL while nothing is known yet. An outage leaves it as it was. Valid until the loop runs. */
const struct strv *publish_allowed(const struct publish *p);

/* True if it is known that the endpoints of this host may not be in `zone`; "" is none, which they may. */
bool publish_lacks_zone(const struct publish *p, const char *zone);

/*
 * "" if the API has what the plan says for this Service; else what stands in the way, or that it is under
 * way. NULL if the plan has no such Service.
 */
const char *publish_status(const struct publish *p, const char *service);

/*
 * Why the API server did not take a slice of this Service: -EEXIST, one of somebody else is in its place; -EPERM
 * and others of struct kube_result; 0 = it did, or was not asked yet.
 */
int publish_failure(const struct publish *p, const char *service);

/* Why the slices cannot be listed or the rights not be asked for; "" if they can. */
const char *publish_error(const struct publish *p);

/* True if nothing is left to do: listed, all written, nothing under way. */
bool publish_is_settled(const struct publish *p);
