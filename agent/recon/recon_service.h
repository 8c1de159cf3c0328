/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the service maps to what the service table says. A set of backends is written under a new
 * number, then the frontend is pointed to it, then the old set goes: a connection meets one or the other.
 */
#pragma once

#include "bpf/bpf_map.h"
#include "service/service.h"

struct recon_service;

/*
 * Reads back what earlier runs left, and reserves their ids in `t` (service_table_restore_*), which
 * must be empty. 0; -ENOMEM; errno of bpf(2).
 */
int recon_service_new(const struct bpfobj *o, struct service_table *t, struct recon_service **ret);
void recon_service_free(struct recon_service *r);
DEFINE_CLEANUP(struct recon_service *, recon_service_free)

/* Flushes the table into the maps. 0; -E2BIG for a full map, -ENOMEM, errno of bpf(2): call again later. */
int recon_service_apply(struct recon_service *r);

/* Removes frontends that earlier runs left and nobody claims now. Once, after the first complete lists. */
int recon_service_sweep(struct recon_service *r);

/* Between which ports all node ports in the maps are, in host order; 0 and 0 if there are none. Only grows. */
void recon_service_node_ports(const struct recon_service *r, uint16_t *ret_min, uint16_t *ret_max);

struct recon_service_stats {
	uint64_t writes, deletes;
};
struct recon_service_stats recon_service_get_stats(const struct recon_service *r);
