/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard at work: looks before a policy is put in force, holds the gate when nobody confirmed in time,
 * and keeps its state on disk first, so that a daemon that dies goes on where it was.
 */
#pragma once

#include "agentd/health.h"
#include "event/loop.h"
#include "policy/guard.h"
#include "policy/policy_gate.h"

struct guarding;

/* Reads the state; a rolled-back one holds the gate at once. `on_change` asks for an apply. 0 or -errno with a text. */
int guarding_new(struct loop *loop, const char *state_dir, struct health *health, struct policy_gate *gate,
		 void (*on_change)(void *arg), void *arg, struct guarding **ret, struct err *reterr);
void guarding_free(struct guarding *g);
DEFINE_CLEANUP(struct guarding *, guarding_free)

/* To be called before each apply, once the lists are complete and our labels are known. */
void guarding_look(struct guarding *g);

/* True: nothing may be enforced, as before joining. */
bool guarding_is_open(const struct guarding *g);
/* True: there was no memory for all of the policies that should be in force; what is in the repository is not to be. */
bool guarding_is_half(const struct guarding *g);
/* True: what is in force is the confirmed set, and what the API server says waits. */
bool guarding_is_held(const struct guarding *g);

/* What `meshctl policy guard` and `policy confirm` do. 0 or -errno with a text. */
int guarding_arm(struct guarding *g, uint64_t timeout_us, struct err *reterr);
int guarding_end(struct guarding *g, struct err *reterr);
int guarding_confirm(struct guarding *g, struct err *reterr);

/* As policy.guard of ctl_verbs.h; NULL when out of memory. */
json_t *guarding_json(const struct guarding *g);
