/* SPDX-License-Identifier: Apache-2.0 */
/* tc filters of our own on the clsact qdisc of an interface: what kernels before tcx (6.6) have. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * `dir` is MESH_INGRESS or MESH_EGRESS. Puts the program first; one of ours that is there is replaced
 * in place. ret_was_there is written on success. -errno of the kernel; -ENODEV: no such interface.
 */
int clsact_attach(int ifindex, unsigned dir, int prog_fd, bool *ret_was_there);

/* 1 if there was one of ours, 0 if not. */
int clsact_detach(int ifindex, unsigned dir);

/* True if our filter runs the program of that number. */
bool clsact_is_ok(int ifindex, unsigned dir, uint32_t prog_id);

/* Takes the qdisc away unless it holds filters, which are others'. 0 also if there is none. */
int clsact_remove_if_empty(int ifindex);
