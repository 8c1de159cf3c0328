/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the datapath needs: identities to which the rules come to the same share a class, and each class has,
 * by direction, one verdict for every (protocol, port), precedence already settled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/ip.h"
#include "base/u32map.h"
#include "policy/policy.h"

enum policy_dir { POLICY_INGRESS, POLICY_EGRESS, POLICY_DIRS };

/* How the datapath tells protocols apart; "other" is told apart by protocol number. */
enum policy_slot {
	POLICY_SLOT_OTHER,
	POLICY_SLOT_TCP,
	POLICY_SLOT_UDP,
	POLICY_SLOT_SCTP,
	POLICY_SLOT_ICMP,   /* "port" is the ICMP type */
	POLICY_SLOT_ICMPV6, /* same */
	POLICY_SLOTS,
};

enum policy_action {
	POLICY_ALLOW,
	POLICY_DENY_DEFAULT, /* no rule allows it */
	POLICY_DENY_RULE,    /* a deny rule matches */
	POLICY_DENY_AUTH,    /* allowed only with authentication, which this host cannot do */
};

/* `rule` is 0 where no rule is the reason; else see policy_origin(). */
struct policy_verdict {
	uint32_t rule;
	uint8_t action;
};

/* Ports whose bits under `mask` equal `port`. Host order; mask is a prefix: 0x8000 .. 0xffff. */
struct policy_ports {
	uint16_t port, mask;
	struct policy_verdict verdict;
};

struct policy_proto {
	uint8_t proto;
	struct policy_verdict verdict;
};

/* Blocks never overlap and are sorted by port; what is in none has the default verdict. */
struct policy_slot_rows {
	struct policy_verdict dflt;
	uint32_t n_ports;
	struct policy_ports *ports;
};

struct policy_rows {
	struct policy_slot_rows slot[POLICY_SLOTS];
	uint32_t n_protos; /* of POLICY_SLOT_OTHER, sorted by number */
	struct policy_proto *protos;
};

struct policy_class {
	uint32_t number;       /* 0 = that of who matches no selector */
	uint32_t n_identities; /* 0 = not in use at present (class 0 always is) */
	uint64_t version;      /* changes if the rows do; never 0 */
	struct policy_rows rows[POLICY_DIRS];
	/* with the shadow policies in force; empty for directions that none of them is about */
	struct policy_rows shadow[POLICY_DIRS];
};

/* A prefix that the address trie must know, with the local identity of its addresses. */
struct policy_prefix {
	struct cidr prefix;
	uint32_t identity;
};

/*
 * The longest of `n` prefixes, sorted by cidr_cmp(), that covers all of `c`; NULL if none does. The time grows with the
 * logarithm of `n`.
 */
const struct policy_prefix *policy_prefix_around(const struct policy_prefix *v, size_t n, const struct cidr *c);

struct policy_table;

/* Empty until the first policy_table_update(). `r` must outlive it; one table per repository.
 * -ENOMEM. */
int policy_table_new(struct policy_repo *r, struct policy_table **ret);
void policy_table_free(struct policy_table *t);
DEFINE_CLEANUP(struct policy_table *, policy_table_free)

/*
 * Brings the table up to date: all of it after a change of policy, only changed identities
 * otherwise. Consumes the identity table's change list. 1 if anything changed since
 * policy_table_taken(), 0 if not. -ENOMEM, -EFBIG past LIMIT_PREFIXES, or -ENOSPC when numbers of identities run out, leave
 * a table that must not be used; the next call computes it anew.
 */
int policy_table_update(struct policy_table *t);

/* False: everything passes in that direction, its rows say nothing. */
bool policy_table_enforced(const struct policy_table *t, enum policy_dir dir);

/* Some shadow policy is about that direction, so that the classes have rows for it. */
bool policy_table_shadowed(const struct policy_table *t, enum policy_dir dir);

/* Classes by number, 0 .. policy_table_class_limit()-1; NULL where a number is free. */
uint32_t policy_table_class_limit(const struct policy_table *t);
const struct policy_class *policy_table_class(const struct policy_table *t, uint32_t number);

/* The class of an identity, as of the last update; an unknown one has class 0. */
uint32_t policy_class_of(const struct policy_table *t, uint32_t identity);

/*
 * Identities whose class became another one, or that are gone, since policy_table_taken(); some may be there twice.
 * `*ret` is borrowed until the next update.
 */
size_t policy_table_changed(const struct policy_table *t, const uint32_t **ret);

/* True if they could not be recorded, or are more than it is worth to record: all may have changed, also those that are gone. */
bool policy_table_all_changed(const struct policy_table *t);

/* What the table says is in force, or whoever puts it there has noted what is not: nothing of it is news any more. */
void policy_table_taken(struct policy_table *t);

/*
 * Identities of addresses that since policy_table_taken() are new, have other labels, or are gone, also by updates that
 * failed: what was taken says nothing of them. NULL if not all are known. Borrowed until the next update.
 */
const struct u32map *policy_table_strangers(const struct policy_table *t);
/* What is in force knows these, which are no strangers; NULL = all. */
void policy_table_meet(struct policy_table *t, const struct u32map *known);

/* Sorted by cidr_cmp(). `*ret` is borrowed until the next update. */
size_t policy_table_prefixes(const struct policy_table *t, const struct policy_prefix **ret);

/* Identity of an address that is no known endpoint or node: its longest prefix, else world of its
 * family. */
uint32_t policy_table_identity_of(const struct policy_table *t, const struct ip *ip);

/*
 * Who is told apart by more than its identity: with policy-cidr-match-mode an endpoint or node inside
 * a prefix of some policy, an API server outside the cluster inside a CIDR group, a node with `more`
 * labels of its own (NULL = none). The local identity to use for `ip` instead of `identity`; the same
 * number where nothing is to be told apart. -ENOMEM, -ENOSPC; -ESTALE after an update that failed, if that would be needed.
 */
int policy_table_overlay(struct policy_table *t, uint32_t identity, const struct ip *ip,
			 const struct label_set *more, uint32_t *ret_identity);

/*
 * Reads one verdict from the rows. `port` is the ICMP type for ICMP, ignored for POLICY_SLOT_OTHER.
 */
struct policy_verdict policy_rows_lookup(const struct policy_rows *rows, uint8_t proto,
					 uint16_t port);

enum policy_slot policy_slot_of(uint8_t proto);

const char *policy_action_str(enum policy_action action);
