/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All health probes of this host: runs them in their intervals, a few at a time, and says which Services it can
 * serve. A probe of an address is one for each published family, so that a workload that listens on one only is
 * not called through the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/ip.h"
#include "conf/conf.h"
#include "event/loop.h"

struct probes;

/* How this host stands to a Service, in one address family: as the conditions of an endpoint. */
struct probes_view {
	bool is_known; /* false: no verdict yet, what was told before stays; all of the next are false then */
	bool is_ready, is_serving, is_terminating;
	bool is_gone;	  /* stopped on purpose, clients have been told for long enough */
	const char *text; /* what is wrong, "" if nothing; valid until the loop runs */
};

/*
 * What `conf` has of probes is copied. Probes of units and commands run from now on, others once there is an
 * address. `on_change` is told when a view may be another; it may call the functions below, but not free the
 * object. 0, -ENOMEM or errno of a timer.
 */
int probes_new(struct loop *loop, const struct conf *conf, void (*on_change)(void *arg), void *arg, struct probes **ret);
/* Ends what runs. */
void probes_free(struct probes *p);
DEFINE_CLEANUP(struct probes *, probes_free)

/* The published addresses; family 0 = none of that family. Probes of another address than before begin anew. */
void probes_set_addresses(struct probes *p, const struct ip *v4, const struct ip *v6);

/* The view for a Service of the host's namespace; ready if it has no probe. -ENOMEM. */
int probes_get(struct probes *p, const char *service, int family, struct probes_view *ret);
