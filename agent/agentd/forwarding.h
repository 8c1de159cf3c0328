/* SPDX-License-Identifier: Apache-2.0 */
/* Old ports of this host as ways to Services: where the connections of forward/forward.h go. */
#pragma once

#include "agentd/agent.h"

/* Begins, once the Services are known, or takes over what a reload changed. 0 or -errno of forwards_new(). */
int forwarding_start(struct agent *a);
