/* SPDX-License-Identifier: Apache-2.0 */
/* From the tables to the kernel, and what the cluster is told of this host after that. */
#pragma once

#include "agentd/agent.h"

/* While nothing can be read from the API server: for whatever reason, and because this host has not the right to. */
#define REMEDY_API "what is in force stays; check the network and the API server"
#define REMEDY_RIGHTS                                                                                                    \
	"what is in force stays; as the cluster's admin: meshctl cluster setup, which gives hosts the right to read, and " \
	"meshctl host add with this host's name"

/* Recomputes and writes what changed, soon. `agent` is a struct agent; fit for a callback. */
void apply_want(void *agent);

/* Does it now, unless the lists are incomplete or the host is out: then nothing changes. */
void apply_now(void *agent);

/*
 * The failsafe set follows where the API servers and resolvers are and what is configured, whatever the state of the
 * host: it is the way back from every other state. 0 or -errno, raised as a condition.
 */
int apply_servers(struct agent *a);

/* An outage of the API, or lists that are not believed, change nothing here, but a person should know of them. */
void apply_note_outage(struct agent *a);

/*
 * Tells a person where nodes put their own address in place of a pod's on the way to this host, as no rule of a policy
 * finds the pod then; and where the tunnel cannot reach this host's addresses. For when they change.
 */
void apply_note_addresses(struct agent *a);
