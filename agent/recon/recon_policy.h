/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the policy maps to what the policy table says. A new policy is written into the bank that is
 * not in use and put in force as a whole by one store, so no packet ever meets a part of it. What is
 * written is the difference to what that bank held.
 */
#pragma once

#include "bpf/bpf_config.h"
#include "bpf/bpf_map.h"
#include "policy/policy_resolve.h"

struct recon_policy;

/* Reads back what earlier runs left in the maps. 0; -ENOMEM; errno of bpf(2). */
int recon_policy_new(const struct bpfobj *o, struct bpfconfig *config, struct recon_policy **ret);
void recon_policy_free(struct recon_policy *r);
DEFINE_CLEANUP(struct recon_policy *, recon_policy_free)

/*
 * The highest local identity number of a kind (IDENTITY_LOCAL_CIDR or _NODE) that prefixes or verdicts in the maps
 * are about: new ones must be above it. 0 = none.
 */
uint32_t recon_policy_max_local(const struct recon_policy *r, uint32_t base);

/*
 * Applies the table and puts it in force with `flags` (MESH_STATE_*): policy_table_taken(). `ids` are all identities. On
 * failure (-ENOMEM, -E2BIG for what does not fit, errno of bpf(2)) the policy that was in force stays, or the
 * new one is if only the prefixes that it has no more could not be removed: one of them whole. The
 * next call starts over. What does not fit is not begun with: recon_policy_get_lack() tells of it then.
 */
int recon_policy_apply(struct recon_policy *r, struct policy_table *t, const struct identity_table *ids,
		       uint64_t flags);

/* A policy gets half of a map, so that the next one, whichever it is, has as much. */
struct recon_policy_lack {
	const char *map; /* NULL = everything fits */
	size_t wanted, room;
	bool is_fixed; /* no configuration makes room for more */
};
struct recon_policy_lack recon_policy_get_lack(const struct recon_policy *r);

/*
 * After policy_table_update() or recon_policy_apply() failed, and before addresses are written: the policy in force is
 * asked about identities that it knows nothing of, which must not pass for those that no rule is about. Where it denies
 * by default they are denied, until a policy comes into force. 1 if something changed and flows must be judged anew
 * (bpfconfig_bump()), 0 if not. -ENOMEM, -E2BIG, errno of bpf(2): then addresses must stay as they are.
 */
int recon_policy_hold(struct recon_policy *r, struct policy_table *t);

struct recon_policy_stats {
	uint64_t applies, writes, deletes; /* map entries, in all */
	size_t rows, ports, ranges, classes, prefixes; /* now in force */
};
struct recon_policy_stats recon_policy_get_stats(const struct recon_policy *r);
