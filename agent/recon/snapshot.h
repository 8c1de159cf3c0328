/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in force, as bytes for a file, so that a boot can put it in force again before anything else is
 * known: entries of the maps, and what the programs, the tunnel device and the routes need besides. Pure;
 * recon_snapshot.h has the kernel's side. A file is whole and ours, or it is refused.
 */
#pragma once

#include "base/array.h"
#include "base/buf.h"
#include "base/wire.h"
#include "bpf/bpf_obj.h"
#include "recon/recon_net.h"

struct snapshot {
	const char *owner; /* as whom this host was enrolled, and where; any text of at most 1000 bytes */
	int64_t saved_s;   /* wall clock */
	uint64_t flags;	   /* MESH_STATE_*; MESH_STATE_AUDIT follows from the next two and the configuration */
	bool is_audit;	   /* the cluster asks for audit mode */
	bool is_open;	   /* nothing was enforced: nobody had confirmed the joining */
	uint8_t bank;	   /* of the policy; no other is in there */
	uint8_t default_verdict[2]; /* by direction */
	uint32_t identity, world_v4, world_v6;
	__be16 tunnel_port;
	uint16_t failsafe_any_port;
	uint16_t node_port_min, node_port_max;
	enum nl_tunnel_kind tunnel; /* the port is above, name and MTU are the configuration's */
	uint32_t underlay_mtu;
	ARRAY(struct net_route) routes;
	struct ip targets[RECON_NET_TARGETS];
	size_t n_targets;
	struct wire entries; /* read by snapshot_next() */
};

/* Frees the routes. */
void snapshot_done(struct snapshot *s);
DEFINE_CLEANUP_DONE(struct snapshot, snapshot_done)

/*
 * Writes: the head, any number of portions of entries, the end. `b` must be empty; its maximum bounds the file. 0;
 * -E2BIG; -ENOMEM; -EINVAL for an owner that is too long or a map that is not kept.
 */
int snapshot_begin(struct buf *b, const struct snapshot *s);
int snapshot_add(struct buf *b, enum bpfobj_map map, const void *keys, const void *values, size_t n);
int snapshot_end(struct buf *b);

/* The maps that are kept: the first for 0, and so on; BPFOBJ_MAPS behind the last one. */
enum bpfobj_map snapshot_map(unsigned i);

/*
 * Reads the head into `ret`, after all of the file was checked. `data` must outlive it. -EBADMSG: torn or altered;
 * -EPROTONOSUPPORT: of a version with another layout; -EXDEV: `owner` is another; -ENOMEM; all with a text that
 * goes on after the file's name.
 */
int snapshot_open(const void *data, size_t len, const char *owner, struct snapshot *ret, struct err *reterr);

/* `n` packed keys and as many values, in the file's bytes. */
struct snapshot_portion {
	enum bpfobj_map map;
	const void *keys, *values;
	uint32_t n;
};

/* The next portion; false after the last one. */
bool snapshot_next(struct snapshot *s, struct snapshot_portion *ret);
