/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of a snapshot from the maps and into them. */
#pragma once

#include "recon/snapshot.h"

/*
 * Adds what the maps hold of what is in force to a snapshot that was begun: of the policy the given bank alone. 0;
 * -E2BIG; -ENOMEM; errno of bpf(2).
 */
int recon_snapshot_read(const struct bpfobj *o, unsigned bank, struct buf *b);

/*
 * Makes the maps hold what the snapshot does, and nothing else. For a datapath that is not active. 0; -E2BIG for a
 * map that is too small, -ENOMEM, errno of bpf(2): a part is there then.
 */
int recon_snapshot_write(const struct bpfobj *o, struct snapshot *s);

/* Empties those maps, but for tunnel endpoints that no address refers to. 0 or errno of bpf(2). */
int recon_snapshot_clear(const struct bpfobj *o);
