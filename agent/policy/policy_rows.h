/* SPDX-License-Identifier: Apache-2.0 */
/* Settles precedence: the entries that apply to one class, flattened to one verdict per (protocol,
 * port). */
#pragma once

#include "policy/policy_rule.h"

enum { POLICY_PROTO_ANY = 256 };

/* One (protocol, ports) of an entry that applies. */
struct policy_item {
	uint16_t proto; /* number or POLICY_PROTO_ANY, which has every port */
	uint16_t lo, hi;
	bool is_all; /* every port */
	bool is_deny;
	bool is_restricted;
	bool is_any_peer; /* counts as the wildcard identity where Cilium compares keys */
	uint8_t auth;	  /* enum policy_auth */
	uint32_t rule;
};

/* `verdict_if_none` is for what no item covers. Items may be reordered. -ENOMEM. */
int policy_rows_build(struct policy_item *items, size_t n, struct policy_verdict verdict_if_none,
		      struct policy_rows *ret);
void policy_rows_done(struct policy_rows *rows);
bool policy_rows_eq(const struct policy_rows *a, const struct policy_rows *b);
/* Equal rows have the same one in this process, others hardly ever. */
uint64_t policy_rows_digest(const struct policy_rows *rows);

/* Length of the aligned block around `port` inside lo..hi, as bits of its mask (Cilium
 * pkg/policy/portrange.go). */
unsigned policy_block_bits(uint16_t lo, uint16_t hi, uint16_t port);
