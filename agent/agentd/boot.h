/* SPDX-License-Identifier: Apache-2.0 */
/* The start of a joined host: is this our cluster, can it be served, and then all reflectors. */
#pragma once

#include "agentd/agent.h"

/* Asks until the API server answers; nothing is programmed before. */
void boot_start(struct agent *a);

/*
 * What the ConfigMap cilium-config says now. Another configuration is for a new start; one that this host cannot
 * serve freezes it: what is in force stays, and nothing new is applied on wrong premises. `agent` is a struct agent.
 */
void boot_config(const json_t *configmap, void *agent);

/* The boot timer. `agent` is a struct agent. */
void boot_retry(void *agent);
