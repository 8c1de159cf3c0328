/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shadow policies on this host: choices that outlive the daemon, and since when each has been watched in
 * its present form, which is what a statement about it rests on.
 */
#pragma once

#include "agentd/datapath.h"
#include "agentd/health.h"
#include "policy/policy_gate.h"
#include "policy/policy_shadow.h"

struct shadowing;

/* Reads the state and makes the choices. 0 or -errno with a text. */
int shadowing_new(const char *state_dir, struct health *health, struct policy_repo *policies, struct policy_gate *gate,
		  struct shadowing **ret, struct err *reterr);
void shadowing_free(struct shadowing *s);
DEFINE_CLEANUP(struct shadowing *, shadowing_free)

/*
 * Before a policy is put in force, once our labels are known: watches begin and end, so that none misses
 * the first packet. `d` counts.
 */
void shadowing_follow(struct shadowing *s, const struct datapath *d);

/* Chooses and saves. 1 if something changed, 0 if not, -errno with a text. */
int shadowing_choose(struct shadowing *s, const char *ns, const char *name, enum policy_choice choice, struct err *reterr);

/* Since when a shadow policy is watched. */
struct shadow_watch {
	enum policy_kind kind;
	char *ns, *name;
	uint64_t digest;
	uint64_t since_us; /* CLOCK_BOOTTIME */
	uint64_t flows[2]; /* as counted then, by direction */
	bool is_seen;	   /* in the walk that is under way */
};

/* NULL: not watched yet. */
const struct shadow_watch *shadowing_watch(const struct shadowing *s, enum policy_kind kind, const char *ns, const char *name);
size_t shadowing_count(const struct shadowing *s);
