/* SPDX-License-Identifier: Apache-2.0 */
/* What makes the host a member: its credential, its objects, its heartbeat; and the end of it. */
#pragma once

#include "agentd/agent.h"

/*
 * The API client and all that writes with it, and the first request. Where there is no credential that can be used, the daemon
 * stays as it is and says so. 0, or -ENOMEM with a text.
 */
int membership_start(struct agent *a, struct err *reterr);

/* The API server refused the credential (401). `agent` is a struct agent. */
void membership_refused(void *agent);

/*
 * Looks at what changes without an event: a refusal that is over, failures that last, a credential that has been
 * refused for so long that the host stands down, if so configured. To be called now and then.
 */
void membership_check(struct agent *a);

/* An attempt to renew the credential failed: a condition, if that goes on. `agent` is a struct agent. */
void membership_renewal_failed(const struct renewal_failure *failure, void *agent);

/* The same for keeping this host's objects true; `since_us` is CLOCK_BOOTTIME, 0 = that does not fail. */
void membership_note_pending(struct agent *a, uint64_t since_us, const char *error);

/* Takes the datapath down, as configured for a host that was removed or is refused for good. */
void membership_stand_down(struct agent *a);

/* Writes the credential to the state directory; a failure is a condition. */
void membership_save_token(struct agent *a, const char *token);
