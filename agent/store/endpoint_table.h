/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All CiliumEndpoints of the cluster, packed: 64 bytes and the name for each, 24 more in a slice. Tells which
 * addresses appear and go as objects change; keeps no documents.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"

struct endpoint_table;

/* One endpoint as it stands. `addr` is borrowed. */
struct endpoint_info {
	uint32_t identity;
	uint8_t key;
	uint32_t ports; /* number of its set of named ports, 0 = none; means nothing here */
	struct ip node;
	const struct ip *addr;
	size_t n_addr;
};

/* The endpoint is its own node: a joined host. The tunnel is for pods; all its addresses are reached directly. */
bool endpoint_is_host(const struct endpoint_info *info);

/* An address of endpoint number `owner` is there with new properties, or (info NULL) is not its any more. */
typedef void (*endpoint_address_fn)(const struct ip *ip, uint32_t owner, const struct endpoint_info *info,
				    void *arg);

/* An endpoint of `identity` has a set of named ports, or has it no more. Before the addresses of a new one. */
typedef void (*endpoint_ports_fn)(uint32_t identity, uint32_t ports, bool is_there, void *arg);

/* `ports_fn` may be NULL. -ENOMEM. */
int endpoint_table_new(endpoint_address_fn fn, endpoint_ports_fn ports_fn, void *arg, struct endpoint_table **ret);
void endpoint_table_free(struct endpoint_table *t);
DEFINE_CLEANUP(struct endpoint_table *, endpoint_table_free)

/*
 * Sets an endpoint. `slice` is the name of the CiliumEndpointSlice that holds it, or NULL; it then
 * belongs to that slice. 0; -ENOMEM; -ENOSPC past LIMIT_ENDPOINTS.
 */
int endpoint_table_set(struct endpoint_table *t, const char *ns, const char *name, const char *slice,
		       const struct endpoint_info *info);

/* With a slice name, only if it still belongs to that slice. */
void endpoint_table_remove(struct endpoint_table *t, const char *ns, const char *name, const char *slice);

/* Between the two, a slice is given anew: what endpoint_table_set() did not name is removed. */
void endpoint_table_slice_begin(struct endpoint_table *t);
void endpoint_table_slice_end(struct endpoint_table *t, const char *slice);

/* The same for the whole table. */
void endpoint_table_replace_begin(struct endpoint_table *t);
void endpoint_table_replace_end(struct endpoint_table *t);

size_t endpoint_table_count(const struct endpoint_table *t);

/* "namespace/name" of endpoint `owner`, valid until the table changes; NULL if there is none. */
const char *endpoint_table_name(const struct endpoint_table *t, uint32_t owner);
