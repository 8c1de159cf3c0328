/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the policy table, for policy_collect.c (what follows from the policies alone), policy_resolve.c (selections,
 * their classes, and who is in them) and policy_lookup.c (questions).
 */
#pragma once

#include "identity/named_port.h"
#include "policy/policy_index.h"
#include "policy/policy_local.h"
#include "policy/policy_prefix.h"
#include "policy/policy_resolve.h"
#include "policy/policy_rows.h"
#include "policy/policy_selection.h"
#include "policy/policy_trace.h"

/*
 * An entry of a rule that selects this host, with its ports as items; named ones wait for the peer.
 */
struct active_entry {
	const struct policy_entry *entry;
	uint32_t first, n;
	uint32_t stamp;
	uint64_t digest;
};

/* The policies in force, and those with the shadow policies beside them. */
enum set { SET_ENFORCED, SET_SHADOW, SETS };

/* A selector that some active entry has as a peer. */
struct active_peer {
	struct selector *selector;
	ARRAY(uint32_t) entries; /* places in `entries` */
};

struct policy_table {
	struct policy_repo *repo;
	uint64_t built; /* repository's generation of what is below; 0 = nothing */
	uint64_t names_built; /* of the learned names in `prefixes` */
	uint64_t refused, refused_names; /* generations that came to more prefixes than there may be; 0 = none */
	uint64_t updates;
	uint64_t rebuilds;
	uint64_t collections; /* of `prefixes` */
	bool is_enforced[POLICY_DIRS], is_shadowed[POLICY_DIRS];
	bool is_default_deny[SETS][POLICY_DIRS];
	ARRAY(struct active_entry) entries;
	ARRAY(struct policy_item) items;
	ARRAY(uint32_t) any_peer; /* entries for every peer */
	ARRAY(struct active_peer) peers;
	ARRAY(struct selector *) selectors; /* of `peers`, referenced */
	uint32_t host_peer;		    /* of the localhost allow, or UINT32_MAX */
	struct policy_index *index;
	ARRAY(struct named_port)
	named; /* (name, proto) that egress entries ask peers for; .port unused */
	struct policy_trace trace;
	struct policy_selections selections;
	struct policy_classes classes;
	struct policy_locals *locals;
	ARRAY(struct policy_prefix) prefixes;
	ARRAY(struct policy_prefix_known) prefix_known; /* of each */
	ARRAY(uint32_t) changed; /* identities, until policy_table_taken() */
	bool is_all_changed;
	struct u32map strangers; /* likewise */
	bool is_blind; /* not all of them are known */
	bool is_owed; /* `changed`, rows or prefixes are news */
	uint32_t stamp;
	struct policy_sig sig; /* scratch */
	struct policy_hits places; /* same */
	struct {
		struct policy_item *v;
		size_t n, cap;
	} scratch;
};

/* Selectors that the last tables were made with: one that is still in use keeps its number. */
struct old_selectors {
	struct selector **v;
	size_t n;
};

/* Forgets what is derived from the policies; classes and local identities stay. */
void policy_collect_clear(struct policy_table *t, struct old_selectors *ret_old);
void policy_collect_release(struct policy_table *t, struct old_selectors *old);

/* All that follows from the policies alone, after a clear. -ENOMEM, -ENOSPC, -EFBIG. */
int policy_collect(struct policy_table *t);

/* The prefixes with their identities; old identities stay until a sweep. -ENOMEM, -ENOSPC, -EFBIG past LIMIT_PREFIXES. */
int policy_collect_prefixes(struct policy_table *t);

/* `l4` NULL = everything. */
struct policy_item policy_item_of(const struct policy_entry *e, const struct policy_l4 *l4);

/* Whether the localhost allow comes with an ingress entry of the set. */
bool policy_table_has_host_allow(const struct policy_table *t, enum set set);

/* Finds the selection of an identity, with its class. -ENOMEM. */
int policy_table_classify(struct policy_table *t, struct identity *id);

/* The classes have their numbers then, and an identity that was classified gets that of its. */
void policy_table_settle(struct policy_table *t);
void policy_table_publish(struct policy_table *t, struct identity *id);
