/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All CiliumEndpoints of the cluster, packed: 64 bytes and the name for each, 24 more in a slice. Tells which
 * addresses appear and go as objects change; keeps no documents.
 *
 * While an endpoint moves, two CiliumEndpointSlices name it, and nobody hears of the one again that stays as it is. So
 * it is there as long as any slice names it: what the last one said of it holds, and what others said is kept, in 88
 * bytes each, for when that one names it no more (Cilium pkg/k8s/watchers/cilium_endpoint_slice_subscriber.go).
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

/*
 * What is kept of an endpoint names a set of named ports, or does so no more: as long as it does, its number is to mean
 * that set. False if there is no such set; not asked when it is to be let go.
 */
typedef bool (*endpoint_hold_fn)(uint32_t ports, bool is_held, void *arg);

/* `ports_fn` and `hold_fn` may be NULL. -ENOMEM. */
int endpoint_table_new(endpoint_address_fn fn, endpoint_ports_fn ports_fn, endpoint_hold_fn hold_fn, void *arg,
		       struct endpoint_table **ret);
void endpoint_table_free(struct endpoint_table *t);
DEFINE_CLEANUP(struct endpoint_table *, endpoint_table_free)

/*
 * Sets an endpoint. `slice` is the name of the CiliumEndpointSlice that names it, or NULL: then what slices said of it
 * is forgotten. When it is in more than LIMIT_ENDPOINT_SLICES, what was said first is forgotten, and with
 * LIMIT_ENDPOINT_COPIES kept of all, what held until now: the endpoint then goes with the slices that are left, as if
 * those had never named it. 0; -ENOMEM, and nothing has changed; -ENOSPC past LIMIT_ENDPOINTS.
 */
int endpoint_table_set(struct endpoint_table *t, const char *ns, const char *name, const char *slice,
		       const struct endpoint_info *info);

/* With a slice name, that slice names it no more; without, it is gone whoever names it. */
void endpoint_table_remove(struct endpoint_table *t, const char *ns, const char *name, const char *slice);

/* Between the two, a slice is given anew: it names no more what endpoint_table_set() did not. */
void endpoint_table_slice_begin(struct endpoint_table *t);
void endpoint_table_slice_end(struct endpoint_table *t, const char *slice);

/* The same for the whole table. */
void endpoint_table_replace_begin(struct endpoint_table *t);
void endpoint_table_replace_end(struct endpoint_table *t);

size_t endpoint_table_count(const struct endpoint_table *t);

/* "namespace/name" of endpoint `owner`, valid until the table changes; NULL if there is none. */
const char *endpoint_table_name(const struct endpoint_table *t, uint32_t owner);
