/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named ports that endpoints say they have (CiliumEndpoint status.named-ports), by identity: what names on
 * egress stand for. Cilium before 1.20 has no gen: labels, and joined hosts have none. Endpoints with the same
 * ports share one set.
 */
#pragma once

#include "base/cleanup.h"
#include "identity/identity.h"
#include "kube/decode_endpoint.h"

struct port_claims;

/* `ids` is borrowed. -ENOMEM. */
int port_claims_new(struct identity_table *ids, struct port_claims **ret);
void port_claims_free(struct port_claims *c);
DEFINE_CLEANUP(struct port_claims *, port_claims_free)

/* The number of a set of ports, with a reference; 0 for none. What is no port of ours is left out. -ENOMEM, -ENOSPC. */
int port_claims_intern(struct port_claims *c, const struct kube_endpoint_port *v, size_t n, uint32_t *ret);
/* Another reference. False if there is no such set (any more). */
bool port_claims_hold(struct port_claims *c, uint32_t set);
void port_claims_put(struct port_claims *c, uint32_t set);

/* An endpoint of the identity has these ports, or has them no more. -ENOMEM. */
int port_claims_add(struct port_claims *c, uint32_t identity, uint32_t set);
void port_claims_drop(struct port_claims *c, uint32_t identity, uint32_t set);

/* Tells the identities what changed, and those that changed themselves. Before policy_table_update(). -ENOMEM. */
int port_claims_apply(struct port_claims *c);
