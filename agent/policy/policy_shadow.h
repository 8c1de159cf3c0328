/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shadow policies: left out of enforcement as if they did not exist, default deny included, but asked
 * what they would drop. A policy is one by an annotation of its own, or by this host's choice. The
 * annotation weakens nothing but the object that carries it.
 */
#pragma once

#include "policy/policy_verdict.h"

/* On the object: "shadow", or "enforce" as without it. */
#define POLICY_MODE_ANNOTATION "mesh-external-agent.io/mode"

/* What this host does with a policy, whatever its annotation says. */
enum policy_choice {
	POLICY_CHOICE_NONE, /* as the annotation says */
	POLICY_CHOICE_SHADOW,
	POLICY_CHOICE_ENFORCE,
};

/*
 * For the policies of every kind with that namespace ("" = cluster-wide) and name, now and later. 1 if the
 * choice is another one than before, 0 if not; -ENOMEM; -ENOSPC past LIMIT_POLICIES; -EINVAL for names that no policy has.
 */
int policy_choose(struct policy_repo *r, const char *ns, const char *name, enum policy_choice choice);
enum policy_choice policy_choice_of(const struct policy_repo *r, const char *ns, const char *name);

/* Choices are kept but count for nothing, or count again. */
void policy_ignore_choices(struct policy_repo *r, bool is_ignored);

/* Whether that policy is one now; false for one that is not known. */
bool policy_is_shadow(const struct policy_repo *r, enum policy_kind kind, const char *ns, const char *name);

/* Whether there is any shadow policy, about whomever. */
bool policy_has_shadow(const struct policy_repo *r);

/* Every choice that is not NONE, by namespace and name. Stops at the first non-zero answer and returns it. */
typedef int (*policy_choice_fn)(const char *ns, const char *name, enum policy_choice choice, void *arg);
int policy_each_choice(struct policy_repo *r, policy_choice_fn fn, void *arg);

/*
 * As policy_why(), with the shadow policies in force. Which of them is the reason for a denial that
 * does not come from enforced policies is what policy_shadow_blames() says: a deny rule's own policy, or,
 * if nothing allows the packet, each one that denies by default.
 */
int policy_why_shadow(struct policy_repo *r, const struct policy_peer *peer, enum policy_dir dir, uint8_t proto,
		      uint16_t port, struct policy_why *ret);
bool policy_shadow_blames(const struct policy_repo *r, const struct policy_why *why, enum policy_dir dir,
			  enum policy_kind kind, const char *ns, const char *name);
