/* SPDX-License-Identifier: Apache-2.0 */
/* The side of bpf_remote.h that has the rights. */
#pragma once

#include "bpf/bpf_obj.h"
#include "priv/priv.h"

struct bpfserve {
	struct bpfobj_options opt;
	const char *cgroup_path;
	struct bpfobj *obj; /* opened on demand */
};

/* The functions for priv_start(). Their argument is a struct bpfserve. */
extern const struct priv_op bpfserve_ops[];
extern const size_t bpfserve_n_ops;
