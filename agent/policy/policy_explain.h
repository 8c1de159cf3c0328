/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of policy_why() in words and as JSON, and the words of a question. */
#pragma once

#include <jansson.h>

#include "policy/policy_verdict.h"

/*
 * {"verdict": "allow" | "deny", "reason": text, "rules": [{"kind", "namespace" ("" if cluster-wide), "name", "path",
 * "action": "allow" | "deny" | "auth" | "proxy"}], "isolated_by": [{"kind", "namespace", "name"}], "near": [{"kind",
 * "namespace", "name", "path", "differs": "peer" | "port"}]}, the rules being all that match, in the order of the
 * objects' names. "auth" allows only with authentication, "proxy" only with an L7 proxy, neither of
 * which this host has. Where no rule allows it, "isolated_by" are the objects that deny by default, and "near" the rules
 * that would allow it of another peer, or to another port; else they are empty. `r` as it was for policy_why(). -ENOMEM.
 */
int policy_explain(struct policy_repo *r, const struct policy_why *why, enum policy_dir dir, json_t **ret);

/* "isolated_by" of it alone: whose default deny stops what no rule allows in that direction. -ENOMEM. */
int policy_explain_isolation(const struct policy_repo *r, enum policy_dir dir, json_t **ret);

/* One packet to ask about. `port` is the type for ICMP and 0 for protocols without ports. */
struct policy_question {
	enum policy_dir dir;
	uint8_t proto;
	uint16_t port;
};

/* The question as text; NULL = not given. */
struct policy_question_text {
	const char *direction, *protocol, *port, *icmp_type;
};

/*
 * "ingress" or "egress"; tcp, udp, sctp, icmp, icmpv6 in any case, or a number 0 to 255; a port for the
 * first three, ignored for others; a type for ICMP, refused for others. -EINVAL with a text that
 * begins with the name of what is wrong, as "--port 70000".
 */
int policy_question_parse(const struct policy_question_text *text, struct policy_question *ret, struct err *reterr);
