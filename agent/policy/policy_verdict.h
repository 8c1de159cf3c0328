/* SPDX-License-Identifier: Apache-2.0 */
/* One question, one answer with its reasons: `meshctl policy verdict` and `meshctl policy why`. */
#pragma once

#include "base/buf.h"
#include "policy/policy_resolve.h"

/*
 * Who is on the other side: labels, an address, or both (then the address only adds CIDR matching).
 */
struct policy_peer {
	const struct label_set
		*labels; /* of the identity table's label table; NULL = derived from `ip` */
	const struct named_port *ports; /* of the peer, sorted or not; for egress */
	size_t n_ports;
	struct ip ip;	 /* .family 0 = not given */
	bool is_unknown; /* an identity nobody knows: only rules for every peer match, the rest is
			    ignored */
};

/* One entry that matches the question. */
struct policy_match {
	uint32_t rule;
	bool is_deny;
	bool is_restricted; /* would need a proxy: grants nothing here */
	bool needs_auth;
};

/* A rule that allows the same of another peer, or to another port or protocol. */
struct policy_near {
	uint32_t rule;
	bool is_other_peer;
};

struct policy_why {
	struct policy_verdict verdict;
	bool is_enforced;     /* some policy selects us in that direction */
	bool is_default_deny; /* what no rule allows is dropped */
	struct policy_match *matches;
	size_t n_matches;
	/* Of policy_why() with the verdict POLICY_DENY_DEFAULT, in no order: */
	uint32_t *isolators; /* one rule of each object that denies that direction by default */
	size_t n_isolators;
	struct policy_near *near;
	size_t n_near;
};

/* Evaluated from the rules themselves, no table needed. -EINVAL without labels and address;
 * -ENOMEM. */
int policy_why(struct policy_repo *r, const struct policy_peer *peer, enum policy_dir dir,
	       uint8_t proto, uint16_t port, struct policy_why *ret);
void policy_why_done(struct policy_why *w);
DEFINE_CLEANUP_DONE(struct policy_why, policy_why_done)
