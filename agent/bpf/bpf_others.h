/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other versions of the agent, whose maps have another layout, have pinned next to our pin directory: after an
 * upgrade, or a downgrade. Nothing is done where pin directories are not called v<number>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bpf/bpf_obj.h"

/* True if one of them has a policy in force. */
bool bpfothers_in_force(const struct bpfobj *o);

/*
 * Copies the flows of each; entries that are there stay. They go on as flows of their direction, and the policy is asked
 * again with their next packet, if `generation`, which is theirs from now on, is not in force. Some microseconds for each
 * flow. What is read is what stays in all versions: the keys, and the beginning of struct mesh_ct (see mesh_abi.h); a
 * table with keys of another size is left alone. *ret_n, also on failure, is how many were entered. 0; -ENOMEM; errno of
 * opendir(3) and bpf(2).
 */
int bpfothers_adopt_flows(const struct bpfobj *o, uint32_t generation, size_t *ret_n);

/*
 * Detaches and removes what they pinned: their programs would go on to enforce the policy of their last day. Only when
 * ours are in force. The number of directories removed, or the first -errno with text.
 */
int bpfothers_remove(const struct bpfobj *o, struct err *reterr);
