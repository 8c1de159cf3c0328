/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a struct bpfobj: this process's own, or that of the process with the rights (priv.h). */
#pragma once

#include "bpf/bpf_obj.h"

struct mesh_tc_bpf;
struct mesh_sock_bpf;
struct bpf_map;
struct bpf_program;

/* What does not change of a map; key_size is 0 if the kernel does not tell. */
struct bpfobj_map_info {
	uint32_t type, key_size, value_size, max_entries;
	uint32_t has, wanted; /* entries, of one that was taken up; else 0 */
};

struct bpfobj {
	bool is_remote; /* only what stands before the next line is there */
	char *pin_dir;	/* "" = nothing is pinned */
	struct bpfobj_features features;
	struct bpfobj_map_info infos[BPFOBJ_MAPS];
	uint64_t *write_errors; /* by map, of this process */
	int remote_fds[2];	/* of the maps that are mapped: BPFOBJ_CONFIG, BPFOBJ_EVENTS */

	struct mesh_tc_bpf *tc;
	struct mesh_sock_bpf *sock;
	struct bpf_map *maps[BPFOBJ_MAPS];
	struct bpf_program *progs[BPFOBJ_PROGS];
	int l3_fds[2]; /* all that is kept of the second copy of the tc programs */
};
