/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon asks the process with the rights for (PRIV_BPF_*), and the answers. Which programs, under which
 * directory and with which sizes, is not asked for: that is in the configuration, which both have read. The calls
 * without a struct here have no content.
 */
#pragma once

#include "bpf/bpf_call.h"
#include "bpf/bpf_private.h"
#include "priv/priv.h"

/* PRIV_BPF_OPEN answers it, with the descriptors of BPFOBJ_CONFIG and BPFOBJ_EVENTS, which are mapped. */
struct bpfwire_opened {
	struct bpfobj_features features;
	struct bpfobj_map_info infos[BPFOBJ_MAPS];
};

/*
 * PRIV_BPF_GET, followed by the key: the answer is the value. PRIV_BPF_PUT, followed by `n` keys and `n` values, and
 * PRIV_BPF_DEL, followed by `n` keys: the answer's number is how many were written.
 */
struct bpfwire_map {
	uint32_t map; /* enum bpfobj_map */
	uint32_t n;
	uint32_t is_new; /* PRIV_BPF_PUT: see bpfcall_put() */
	uint32_t pad;
};

/* PRIV_BPF_READ: the answer is the cursor, as many keys as its number says, and as many values. */
struct bpfwire_read {
	uint32_t map;
	uint32_t pad;
	struct bpfcall_cursor at;
};

/*
 * PRIV_BPF_ATTACH, whose result is the enum bpfattach_how; PRIV_BPF_DETACH; PRIV_BPF_IS_ATTACHED and PRIV_BPF_IS_HELD, whose
 * result is 0 or 1; PRIV_BPF_BEFORE, whose answer's number is that of a program.
 */
struct bpfwire_if {
	int32_t ifindex;
	uint32_t kind; /* enum bpfattach_kind */
};

/*
 * PRIV_BPF_ATTACHED answers interface numbers; PRIV_BPF_CGROUP_IS_ATTACHED, PRIV_BPF_BACKSTOP_IS_ATTACHED and
 * PRIV_BPF_OTHERS_IN_FORCE 0 or 1; PRIV_BPF_REMOVE_OTHERS a count, PRIV_BPF_ADOPT this.
 */
struct bpfwire_adopted {
	uint64_t n;
};

/* The generation to adopt flows with: PRIV_BPF_ADOPT. */
struct bpfwire_adopt {
	uint32_t generation;
};
