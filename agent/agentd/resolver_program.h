/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a record of resolvconf(8), that of Debian or openresolv, through its own program. The record names an address
 * that is not loopback, for after one of those both leave out all other servers, and the host would depend on the
 * agent. openresolv with a resolver on this host asks the agent for the names of the cluster only: its record is private. Reverse zones
 * are left out of that, as it would have programs search them, too.
 */
#pragma once

#include "agentd/resolver_host.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

/*
 * Makes the record, unless it is there. 1 if something was changed, 0; -errno with text. Waits for the program and its
 * hooks.
 */
int resolver_program_take(const struct resolver_host *h, const struct ip *server, const struct strv *domains,
			  struct err *reterr);
/* Deletes it, if it is there. Likewise. */
int resolver_program_give_back(struct err *reterr);
/* Whether the record is there. */
bool resolver_program_has(void);
