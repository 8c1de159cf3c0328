/* SPDX-License-Identifier: Apache-2.0 */
/* What makes the host a member: its credential, its objects, its heartbeat; and the end of it. */
#pragma once

#include "agentd/agent.h"

/* The API client and all that writes with it. 0 or -errno with a text. */
int membership_start(struct agent *a, struct err *reterr);

/* The API server refused the credential (401). `agent` is a struct agent. */
void membership_refused(void *agent);

/* Takes the datapath down, as configured for a host that was removed or is refused for good. */
void membership_stand_down(struct agent *a);

/* Writes the credential to the state directory; a failure is a condition. */
void membership_save_token(struct agent *a, const char *token);
