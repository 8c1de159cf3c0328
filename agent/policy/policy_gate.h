/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the API server and the policies: open, it lets every object through at once. Held, an earlier
 * set of objects is in force and what arrives waits until the gate is released. Keeps the text of the
 * objects that can alter a verdict here, so that there is a set to come back to; identities, services and
 * names are not part of it and are judged as they are now.
 */
#pragma once

#include <jansson.h>

#include "policy/policy.h"

struct policy_gate;

/* `r` outlives the gate; from now on objects go through the gate alone. -ENOMEM. */
int policy_gate_new(struct policy_repo *r, struct policy_gate **ret);
void policy_gate_free(struct policy_gate *g);
DEFINE_CLEANUP(struct policy_gate *, policy_gate_free)

/* As policy_set() and policy_remove(); held: 0, or -ENOMEM, -EBADMSG for what has no name, -ENOSPC. */
int policy_gate_set(struct policy_gate *g, enum policy_kind kind, const struct doc *obj, struct err *reterr);
int policy_gate_remove(struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name);

/*
 * What is in force: equal for equal specs in equal modes, in every run of the program, and 0 for none.
 * Only objects that can alter a verdict here count.
 */
uint64_t policy_gate_digest(struct policy_gate *g);

/* The same of one object; 0 if it does not count. */
uint64_t policy_gate_digest_of(const struct policy_gate *g, enum policy_kind kind, const char *ns, const char *name);

/* What is in force, as [{"kind", "shadow": bool, "object"}]; NULL when out of memory. */
json_t *policy_gate_snapshot(struct policy_gate *g);

/*
 * Puts a snapshot in force, choices of this host included as they were then, and lets nothing more
 * through. Elements that cannot be used are counted in `ret_bad`. 0 or -ENOMEM; also when it fails the
 * gate is held.
 */
int policy_gate_hold(struct policy_gate *g, const json_t *snapshot, size_t *ret_bad);

/*
 * Lets in all that waited. What the API server has said nothing of any more is removed. 0; or -ENOMEM, -ENOSPC: the gate
 * is open, and what there was no memory or room for is let in by the next call.
 */
int policy_gate_release(struct policy_gate *g);

/* False: for what comes next and was not there before, policy_gate_set() would say -ENOSPC. */
bool policy_gate_has_room(const struct policy_gate *g);

bool policy_gate_is_held(const struct policy_gate *g);
/* Objects that wait and differ from what is in force. */
size_t policy_gate_waiting(const struct policy_gate *g);
