/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the maps of addresses and tunnel endpoints to what the address cache says. */
#pragma once

#include "bpf/bpf_config.h"
#include "bpf/bpf_map.h"
#include "identity/ipcache.h"

struct recon_addr;

/*
 * Takes over the numbers of tunnel endpoints that an earlier run left in the maps, so that entries
 * which refer to them stay right. `c` must be empty. 0; -ENOMEM; errno of bpf(2).
 */
int recon_addr_new(const struct bpfobj *o, struct ipcache *c, struct recon_addr **ret);
void recon_addr_free(struct recon_addr *r);
DEFINE_CLEANUP(struct recon_addr *, recon_addr_free)

/* The highest local identity number of a kind that addresses in the maps have; 0 = none. 0 or errno of bpf(2). */
int recon_addr_max_local(const struct recon_addr *r, uint32_t base, uint32_t *ret);

/*
 * Which identity stands for an address in the datapath, if not the claimed one
 * (policy-cidr-match-mode tells endpoints apart by prefix). 0 or -errno.
 */
typedef int (*recon_addr_overlay_fn)(const struct ip *ip, uint32_t identity, uint32_t *ret_identity, void *arg);

/*
 * Writes what changed. 1 if something did and flows must be judged anew (bpfconfig_bump()), 0 if
 * nothing did. -E2BIG for a full map, -ENOMEM, errno of bpf(2): the rest comes with the next call.
 */
int recon_addr_apply(struct recon_addr *r, recon_addr_overlay_fn overlay, void *arg);

/*
 * Removes what earlier runs left and the cache does not hold. Once, after the first complete lists.
 * Returns the number of removed entries, or -errno.
 */
int recon_addr_sweep(struct recon_addr *r);

struct recon_addr_stats {
	uint64_t writes, deletes;
};
struct recon_addr_stats recon_addr_get_stats(const struct recon_addr *r);
