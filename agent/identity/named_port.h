/* SPDX-License-Identifier: Apache-2.0 */
/* Named ports of an identity: from its gen: labels (Cilium 1.20) and from its endpoints. */
#pragma once

#include "identity/identity.h"

/* Replaces what the endpoints told. 1 if the result differs, 0 if not; -E2BIG past LIMIT_NAMED_PORTS, -ENOMEM, -ENOSPC. */
int named_ports_replace(struct label_table *t, struct identity *id, const struct named_port *ports,
			size_t n);

void named_ports_free(struct label_table *t, struct named_ports *p);

/*
 * The ports of a peer: those that `labels` (or NULL) carry, LIMIT_NAMED_PORTS at most, and `told`. *ret is NULL if
 * there are none. -E2BIG past LIMIT_NAMED_PORTS told, -ENOMEM, -ENOSPC.
 */
int named_ports_make(struct label_table *t, const struct label_set *labels,
		     const struct named_port *told, size_t n, struct named_ports **ret);

/* The port of (name, proto), or -1. `p` may be NULL. */
int named_ports_find(const struct named_ports *p, uint32_t name, uint8_t proto);
