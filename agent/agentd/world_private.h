/* SPDX-License-Identifier: Apache-2.0 */
/* What world.c, world_apiserver.c and world_routes.c share. */
#pragma once

#include "agentd/world.h"

/* Pods are reached through the tunnel, not by routes of the network. */
bool world_is_tunnelled(const struct world *w);

/* Sets a claim whose tunnel endpoint is `node` (family 0 = reached directly). Without memory `w->lost_claims` is set. */
void world_claim(struct world *w, enum ipcache_source source, const struct ip *ip, struct ipcache_claim c,
		 const struct ip *node);

/* Claims the addresses that the Service of the API servers has now. 0 or -errno. */
int world_update_apiservers(struct world *w);
