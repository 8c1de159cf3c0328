/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are older than the programs. Without an entry, the first packet that such a connection
 * shows is taken for its beginning, and where that is one of the answering side, a policy for that direction
 * ends a connection that it allows. Each gets an entry of the right direction: inbound if something listens on
 * its local port. The policy is still asked with its next forward packet, as for any flow after a change.
 */
#pragma once

#include <stddef.h>

#include "bpf/bpf_config.h"

/*
 * Enters the TCP connections of this network namespace, except those with itself; entries that are there stay. It
 * takes some microseconds for each and does not wait. *ret_n, also on failure, is how many were entered.
 * 0; -ENOMEM; errno of nl_sock_list() and bpf(2).
 */
int recon_flows_seed(const struct bpfobj *o, struct bpfconfig *c, size_t *ret_n);
