/* SPDX-License-Identifier: Apache-2.0 */
/* The host as a backend: which Services it stands behind now, and their EndpointSlices. */
#pragma once

#include "agentd/health.h"
#include "conf/conf.h"
#include "join/join_state.h"
#include "join/publish.h"
#include "service/service.h"

struct serving;

/* Asked for each Service before its slice is made; `ret` is set to serve as ever. */
struct serving_roles {
	void (*fn)(const char *service, struct serve_role *ret, void *arg);
	void *arg;
};

/* All borrowed, outlive the serving; conditions are raised in `health`. 0 or -errno. */
int serving_new(struct loop *loop, struct kube_client *client, const struct conf *conf, const struct join_state *join,
		const struct service_table *services, const struct serving_roles *roles, struct health *health, struct serving **ret);
/* Stops; what was published stays. */
void serving_free(struct serving *s);
DEFINE_CLEANUP(struct serving *, serving_free)

/*
 * The probes of the configuration are others now: they begin anew, and what was published stays until they have
 * decided. Not from a callback of the serving. 0 or -ENOMEM: the old ones go on.
 */
int serving_reload(struct serving *s);

/* Looks at the Services if something changed, and publishes for `own` addresses. 0 or -ENOMEM. */
int serving_update(struct serving *s, const struct ip *own, size_t n_own);

/* The ranges of `join` are others now: the next serving_update() goes by them. */
void serving_ranges_changed(struct serving *s);

/* A role is another one: looks at once. */
void serving_roles_changed(struct serving *s);

/* How this host stands to one Service. */
struct serving_state {
	bool is_served;	  /* it names this host, which may serve it and has an address and a port for it */
	const char *text; /* why the API does not have what it should have, or why it is not served; NULL = it has */
	bool is_refused;  /* by the API server, which only a person can change */
	bool is_known;	  /* the health probes have decided, in all families that are published */
	bool is_ready;	  /* they say that it is, in one family at least: whatever the role */
	const char *health; /* why not */
};
/* Texts are valid until the loop runs. -ENOMEM. */
int serving_look(struct serving *s, const char *service, struct serving_state *ret);

/* A new credential came: compare with the API at once. */
void serving_kick(struct serving *s);

/* Tells clients to go, then, after drain-time or `max_s`, takes the slices away; see publish_drain(). */
int serving_drain(struct serving *s, uint64_t max_s, void (*on_done)(size_t n_left, void *arg), void *arg);

/* serving_drain() was called: nothing is published, or not for long. */
bool serving_is_drained(const struct serving *s);

/*
 * Calls fn for each Service that names this host. `is_published`: the API has what it should have; `reason`: why
 * not, or why clients do not come all the same, or "".
 */
typedef void (*serving_fn)(const struct serve_entry *e, bool is_published, const char *reason, void *arg);
void serving_each(const struct serving *s, serving_fn fn, void *arg);

/* The configured named ports as the CiliumEndpoint has them; NULL when out of memory. */
json_t *serving_named_ports(const struct conf *conf);
