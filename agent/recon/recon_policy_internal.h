/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of recon_policy.c, with the banks, the classes and the prefixes that it writes. */
#pragma once

#include "base/array.h"
#include "base/u32map.h"
#include "plan/plan_policy.h"
#include "recon/map_batch.h"
#include "recon/recon_policy.h"

enum { BANK_MAPS = 3 }; /* rows, ports, ranges */

/* What one bank of the maps holds, by class number. */
struct bank {
	struct plan_class *v;
	size_t n;
	struct plan_size size; /* of all */
	struct plan_dirs dirs;
	bool is_known; /* false: read it back before use */
	bool all_identities; /* every identity must be looked at, not only `pending` */
	ARRAY(uint32_t) pending; /* identities whose class in this bank may be out of date */
};

struct recon_policy {
	const struct bpfobj *obj;
	struct bpfconfig *config;
	struct bank bank[2];
	bool is_known; /* false: what both banks share must be read back before use */
	struct u32map classes; /* identity -> class of bank 0, class of bank 1 << 32 */
	ARRAY(struct policy_prefix) prefixes; /* sorted by cidr_cmp() */
	ARRAY(uint32_t) bridged; /* identities whose class is not their own for now */
	bool has_met; /* what earlier runs put in force is not any more, or it was looked for what it knows */
	struct recon_policy_lack lack;
	struct recon_policy_stats stats;
};

/* All below: -ENOMEM; -E2BIG for a full map; errno of bpf(2). */

/* Rows, ports and ranges: recon_policy_bank.c */

/* Takes over what the maps hold of a bank. */
int recon_bank_read(struct recon_policy *r, unsigned bank);
/* What the bank will hold with the table in it. */
struct plan_size recon_bank_size(const struct bank *b, const struct policy_table *t);
/* Writes the difference between the bank and the table. After a failure the bank is to be read again. */
int recon_bank_write(struct recon_policy *r, unsigned bank, const struct policy_table *t, struct map_batch batch[BANK_MAPS]);
void recon_bank_done(struct bank *b);

/* Classes of identities: recon_policy_class.c */

/* Takes over what the maps hold, with the prefixes. */
int recon_shared_read(struct recon_policy *r);

static inline uint32_t recon_class_in(uint64_t both, unsigned bank)
{
	return (uint32_t)(bank ? both >> 32 : both);
}

/* Queues the class of an identity in one bank. */
int recon_class_set(struct recon_policy *r, struct map_batch *batch, uint32_t identity, unsigned bank, uint32_t class);

/* Both banks must learn what changed in the table; the one in force does so at its next turn. */
void recon_classes_note(struct recon_policy *r, const struct policy_table *t);

/* How many entries there will be after recon_classes_write(). */
int recon_classes_count(struct recon_policy *r, unsigned bank, const struct policy_table *t, const struct identity_table *ids,
			size_t *ret);
/* Writes what was noted for the bank, first what goes, and nothing stays queued: a bridge may add again what this deletes. */
int recon_classes_write(struct recon_policy *r, unsigned bank, const struct policy_table *t, const struct identity_table *ids,
			struct map_batch *batch);

/* The policy in force knows all identities; what was said of strangers in the other bank is said anew at its next turn. */
void recon_strangers_forget(struct recon_policy *r, unsigned other, struct policy_table *t);

/* Prefixes, which both banks share: recon_policy_prefix.c */

/* Takes over what the maps hold. */
int recon_prefixes_read(struct recon_policy *r);

/* Whether the table has those that are in force: most changes of identities leave them alone. */
bool recon_prefixes_are_same(const struct recon_policy *r, const struct policy_table *t);

/*
 * Until the new bank is in force, a new prefix must be judged as its addresses were before; after
 * that, a prefix that goes must be judged as its addresses will be. Both through the class of the
 * identity in the other bank, unless other prefixes have it there as well: addresses of DNS names
 * share one. These are as allowed as the rest of the name a moment early, or late. `bank` is the new one.
 */
int recon_prefixes_bridge(struct recon_policy *r, unsigned bank, const struct policy_table *t, struct map_batch *classes);

/* Writes those that the table adds or changes, and deletes those that it has no more: of IPv4, of IPv6. */
int recon_prefixes_add(struct recon_policy *r, const struct policy_table *t, struct map_batch cidr[2]);
int recon_prefixes_delete(struct recon_policy *r, const struct policy_table *t, struct map_batch cidr[2]);

/* The table's are in force. */
int recon_prefixes_keep(struct recon_policy *r, const struct policy_table *t);
