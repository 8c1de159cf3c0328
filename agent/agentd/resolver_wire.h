/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only root may do to the host's resolver, done by `mesh-agentd --wire-resolver`, which a unit of its own runs whenever the
 * daemon, which is not root, wants it or gives it up. The daemon says no more than that; how it is done is for the
 * configuration and what is found on the host. Doing it again changes nothing.
 */
#pragma once

#include "conf/conf.h"

/* The file by which the daemon says so, below its runtime directory. */
#define RESOLVER_WISH "resolver"

/*
 * Wires the host's resolver to the agent if the daemon wants it, and takes back what was done in another way. With `is_over` the
 * daemon is gone: its wish is deleted, and everything is taken back. 0 or -errno with the text of what went wrong first.
 */
int resolver_wire(const struct conf *conf, bool is_over, struct err *reterr);
