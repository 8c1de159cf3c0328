/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that another version of the agent has pinned, whose maps have another layout: after an upgrade, or a
 * downgrade, they go on as flows of their direction, and the policy is asked again with their next packet.
 *
 * What another version's table is read for is what stays in all versions: the keys, and the beginning of struct
 * mesh_ct (see mesh_abi.h). A table with keys of another size is left alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bpf/bpf_obj.h"

/* True if another version that is pinned has a policy in force. */
bool bpfadopt_is_in_force(const struct bpfobj *o);

/*
 * Copies the flows of every version that is pinned next to ours; entries that are there stay. Does nothing where pin
 * directories are not called v<number>. Some microseconds for each flow. `generation` is theirs from now on: one that
 * is not in force lets each be judged anew. *ret_n, also on failure, is how many were entered. 0; -ENOMEM; errno of opendir(3) and bpf(2).
 */
int bpfadopt_flows(const struct bpfobj *o, uint32_t generation, size_t *ret_n);
