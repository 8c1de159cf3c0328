/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events on Services about this host as their backend, for who has kubectl and not the host. Level, not edge: the
 * caller says what is wrong now, again and again. Each trouble has one Event object, whose name the admission policy
 * fixes (SERVICE.mesh-HOST.reason), so that even a stolen credential cannot make many; what comes back counts in its
 * series. Services that the host may not serve could be any: those have 16 names (mesh-HOST.reason.0 to f) together, and
 * of those that share one, one is told of. Written one at a time, a second apart; failures are only logged, since the
 * trouble is in the status, too.
 */
#pragma once

#include "base/cleanup.h"
#include "event/loop.h"
#include "kube/kube_client.h"

struct service_events;

/* The reasons, and no others, are in packaging/kubernetes/20-admission.yaml. */
enum service_event {
	SERVICE_EVENT_NOT_ALLOWED, /* MeshHostNotAllowed: no serve verb */
	SERVICE_EVENT_NO_PORT,	   /* MeshHostNoPort: a named targetPort has no number */
	SERVICE_EVENT_NO_ADDRESS,  /* MeshHostNoAddress: no address of a family that the Service has */
	SERVICE_EVENT_CONFLICT,	   /* MeshHostConflict: a foreign EndpointSlice has the name */
	SERVICE_EVENT_REFUSED,	   /* MeshHostRefused: the API server does not take the EndpointSlice */
	SERVICE_EVENT_NOT_READY,   /* MeshHostNotReady: a health probe fails */
	SERVICE_EVENT_MAX
};

/* `host` and `ns` are copied. 0, -ENOMEM or errno of a timer. */
int service_events_new(struct loop *loop, struct kube_client *client, const char *host, const char *ns,
		       struct service_events **ret);
void service_events_free(struct service_events *e);
DEFINE_CLEANUP(struct service_events *, service_events_free)

/*
 * What is wrong now: begin, one call for each trouble, end. What was there before and is not told is over. The
 * strings are copied. More than LIMIT_SERVICE_EVENTS at a time, and out of memory: the rest is left out.
 */
void service_events_begin(struct service_events *e);
void service_events_tell(struct service_events *e, const char *service, const char *uid, enum service_event what,
			 const char *note);
void service_events_end(struct service_events *e);
