/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's resolver is made to ask the agent, as dns.host-resolver says and what is found there needs. The daemon itself tells
 * systemd-resolved, if it may; for the rest it says that it wants it, and `mesh-agentd --wire-resolver`, which is root, does it.
 */
#pragma once

#include "agentd/health.h"
#include "agentd/resolver_host.h"
#include "base/err.h"
#include "dns/dns_server.h"
#include "event/loop.h"

struct resolver;

struct resolver_setup {
	struct loop *loop;
	struct health *health;
	const struct conf *conf;
	struct dns_server *dns;
	const char *root; /* before the paths of what is found: "" */
};

/*
 * Finds out what is to be done. Pointers are borrowed. 0 or -ENOMEM. Without one, after a daemon that crashed, resolver_withdraw()
 * is what is left to do.
 */
int resolver_new(const struct resolver_setup *setup, struct resolver **ret);
/*
 * Does it, if it is not done yet; after a failure, again, as resolver_look() does. 0; -errno, raised as a condition: then the
 * host's resolver stays as it is.
 */
int resolver_start(struct resolver *r);
/* Looks whether the host has another resolver now, or somebody has undone what was done. */
void resolver_look(struct resolver *r);
/* What was found, and what is done about it; *ret_why as in resolver_choose(). */
enum resolver_method resolver_state(const struct resolver *r, struct resolver_host *ret, const char **ret_why);
/* The names that the host's resolver is to ask the agent for: see resolver_domains.h. */
const struct strv *resolver_asked_for(const struct resolver *r);
/* Whether systemd-resolved says that it asks the agent. */
bool resolver_is_told(const struct resolver *r);
/* The host's resolver is to forget the agent. NULL is fine. */
void resolver_free(struct resolver *r);
DEFINE_CLEANUP(struct resolver *, resolver_free)

/* Takes back what a daemon before this one wanted. */
void resolver_withdraw(const struct conf *conf);
