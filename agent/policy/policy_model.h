/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of the policies in the plainest form: one question, answered by walking all rules.
 * Answers `meshctl policy why`, and checks the tables in tests; shares no code with them past the
 * parser.
 */
#pragma once

#include "policy/policy_rule.h"
#include "policy/policy_verdict.h"

/* The peer, settled: labels with their flags, and named ports. */
struct policy_model_peer {
	const struct label_set *labels; /* NULL = an unknown identity, which no selector matches */
	uint16_t flags;
	const struct named_ports *ports;
};

/* Whether L3 of an entry covers the peer: 1, 0; -ENOMEM, -ENOSPC. */
int policy_entry_has_peer(struct policy_repo *repo, const struct policy_entry *e,
			  const struct policy_model_peer *peer);

/* What is asked. */
struct policy_model_question {
	const struct policy_model_peer *peer;
	enum policy_dir dir;
	uint8_t proto;
	uint16_t port;
	bool has_shadow; /* with the shadow policies in force */
};

/* Whether L4 of an entry grants what is asked by itself, without a proxy. */
bool policy_entry_has_l4(struct policy_repo *r, const struct policy_entry *e, const struct policy_model_question *asked);

/* Whether an entry grants anything without a proxy. */
bool policy_entry_is_plain(const struct policy_entry *e);

/* `ret` as in policy_why(), without isolators and near. -ENOMEM, -ENOSPC. */
int policy_model(struct policy_repo *r, const struct policy_model_question *asked, struct policy_why *ret);
