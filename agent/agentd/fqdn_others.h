/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dns rules about DNS servers that this host asks past the agent's own: those of the policies for exactly
 * the server that was meant, by its identity.
 */
#pragma once

#include "agentd/fqdn_server.h"

enum { FQDN_OTHERS_MAX = 8 };

/* Zero-initialise. */
struct fqdn_others {
	struct {
		struct fqdn_servers server;
		struct policy_dns *rules;
	} v[FQDN_OTHERS_MAX]; /* the last identities that were met */
	size_t n, next;
};

/* The rules for the server; borrowed until the next call. NULL when out of memory. */
const struct policy_dns *fqdn_others_rules(struct fqdn_others *o, const struct world *w, const struct ip *ip, uint16_t port);

/* With other policies, other rules. */
void fqdn_others_clear(struct fqdn_others *o);
