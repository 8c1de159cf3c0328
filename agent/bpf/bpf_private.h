/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a struct bpfobj: this process's own, or that of the process with the rights (priv.h). */
#pragma once

#include "bpf/bpf_obj.h"

/* What does not change of a map; key_size is 0 if the kernel does not tell. */
struct bpfobj_map_info {
	uint32_t type, key_size, value_size, max_entries;
	uint32_t has, wanted; /* entries, of one that was taken up; else 0 */
};

/* The BPF objects: programs of one are pinned under one key (bpf_prog_pins.h). */
enum { BPFPINS_TC, BPFPINS_SOCK, BPFPINS_KEYS };
enum { BPFPINS_KEY_LEN = 33 };

struct bpfobj {
	bool is_remote; /* only what stands before the next line is there */
	char *pin_dir;	/* "" = nothing is pinned */
	struct bpfobj_features features;
	struct bpfobj_map_info infos[BPFOBJ_MAPS];
	uint64_t *write_errors; /* by map, of this process */
	int remote_fds[2];	/* of the maps that are mapped: BPFOBJ_CONFIG, BPFOBJ_EVENTS */

	int map_fds[BPFOBJ_MAPS], prog_fds[BPFOBJ_PROGS]; /* -1 = not loaded */
	char prog_keys[BPFPINS_KEYS][BPFPINS_KEY_LEN]; /* "" = not pinned */
};

/* Of the process: libbpf's warnings are kept for the errors below. */
void bpfload_begin(void);
/*
 * Load the tc and the socket programs, in this order, with their maps, or take up pinned ones. The features that are known by then
 * decide about options. 0 or as bpfobj_open().
 */
int bpfload_tc(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct err *reterr);
int bpfload_sock(struct bpfobj *o, const struct bpfobj_sizes *sizes, struct err *reterr);

struct bpf_link_info;

/* Opens a pinned link, and what the kernel tells of it. The caller's descriptor, or -errno. */
int bpfattach_link_open(const char *path, struct bpf_link_info *ret);
/* The kernel's number of a program; 0 if it does not tell. */
uint32_t bpfattach_prog_id(int fd);

/* Detaches a pinned link and removes its pin; what is no link is only removed, and what is gone is fine. 0 or -errno. */
int bpfattach_remove_link(const char *path);
