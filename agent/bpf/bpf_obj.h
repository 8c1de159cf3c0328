/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loaded datapath: programs and maps of both BPF objects. Maps are pinned below the pin
 * directory and taken up again by the next process, so that a restart forgets no flow and no policy.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "mesh_abi.h"
#include "mesh_drop.h"

struct bpfobj;

enum bpfobj_map {
	BPFOBJ_CONFIG,
	BPFOBJ_IPCACHE4,
	BPFOBJ_IPCACHE6,
	BPFOBJ_CIDR4,
	BPFOBJ_CIDR6,
	BPFOBJ_NODES,
	BPFOBJ_CLASS,
	BPFOBJ_POLICY_ROW,
	BPFOBJ_POLICY_PORT,
	BPFOBJ_POLICY_RANGE,
	BPFOBJ_SHADOW,
	BPFOBJ_SHADOW_FLOWS,
	BPFOBJ_FAILSAFE,
	BPFOBJ_FAILSAFE_HITS,
	BPFOBJ_CT4,
	BPFOBJ_CT6,
	BPFOBJ_FRAGS,
	BPFOBJ_COUNTERS,
	BPFOBJ_EVENTS,
	BPFOBJ_EVENT_RATE,
	BPFOBJ_SVC,
	BPFOBJ_SVC_SLOT,
	BPFOBJ_SOCK_REV,
	BPFOBJ_DNS,
	BPFOBJ_AFFINITY,
	BPFOBJ_COVERED,
	BPFOBJ_OWN,
	BPFOBJ_NOTES,
	BPFOBJ_MAPS
};

enum bpfobj_prog {
	BPFOBJ_NIC_INGRESS,
	BPFOBJ_NIC_EGRESS,
	BPFOBJ_TUN_INGRESS,
	BPFOBJ_TUN_EGRESS,
	BPFOBJ_L3_INGRESS, /* for external interfaces without a link header; see bpfobj_load_l3() */
	BPFOBJ_L3_EGRESS,
	BPFOBJ_CONNECT4,
	BPFOBJ_CONNECT6,
	BPFOBJ_SENDMSG4,
	BPFOBJ_SENDMSG6,
	BPFOBJ_RECVMSG4,
	BPFOBJ_RECVMSG6,
	BPFOBJ_GETPEERNAME4,
	BPFOBJ_GETPEERNAME6,
	BPFOBJ_SOCK_RELEASE,
	BPFOBJ_BACKSTOP,
	BPFOBJ_PROGS
};

/* Entries of each map; 0 = the default. A map that is pinned already keeps its size. */
struct bpfobj_sizes {
	uint32_t ct4, ct6;	    /* 65536, 16384: least recently used flows give way */
	uint32_t ipcache, cidr;	    /* 262144, 2 * LIMIT_PREFIXES, each for IPv4 and IPv6 */
	uint32_t nodes;		    /* 65536, index 0 unused */
	uint32_t classes;	    /* 262144 identities */
	uint32_t rows, ports, ranges; /* 262144, 524288, 262144, both banks together */
	uint32_t frags;		    /* 8192 */
	uint32_t shadow;	    /* 8192: peers and ports that shadow policies would have denied */
	uint32_t services, slots;   /* 65536, 524288 */
	uint32_t sock_rev, affinity; /* 65536, 16384 */
	uint32_t events_bytes;	    /* 262144; a power of two of pages */
};

#define BPFOBJ_PIN_DIR "/sys/fs/bpf/mesh-external-agent/v1"

struct bpfobj_options {
	const char *pin_dir; /* on a bpf file system; "" = pin nothing; NULL = BPFOBJ_PIN_DIR */
	struct bpfobj_sizes sizes;
	bool no_tcx; /* use clsact even where the kernel has tcx */
	bool no_backstop;
};

/* What the running kernel offers, found out by trying. */
struct bpfobj_features {
	bool has_tcx;
	bool has_set_retval;
	bool has_sock_release; /* else BPFOBJ_SOCK_RELEASE is not loaded */
	bool has_backstop;     /* else BPFOBJ_BACKSTOP is not, as it is not wanted or cannot be had */
	bool has_batch;
	uint32_t adopted; /* maps taken up from pins */
	uint32_t halvings; /* of the sizes that were asked for, until there was memory for the maps */
};

/*
 * Loads programs and maps; nothing is attached. The pin directory is made if needed, its parents
 * included, mode 0700. A pinned map of another layout is an error (-EEXIST, text says which): the
 * directory carries the ABI version, so that can only be a foreign one.
 * A process without the rights (priv_is_split()) has them loaded by the one that has, from the same configuration: of
 * `opt` only the directory's name counts then, and what is done with the result, up to bpfobj_unpin(), is done there.
 * -EPERM without the rights, -ENOMEM, -EINVAL if the verifier refuses (its last lines in reterr).
 */
int bpfobj_open(const struct bpfobj_options *opt, struct bpfobj **ret, struct err *reterr);

/*
 * Loads the programs for interfaces without a link header, which few hosts have, if that was not done
 * yet. 0 or as bpfobj_open().
 */
int bpfobj_load_l3(struct bpfobj *o, struct err *reterr);

/*
 * Loads nothing: for bpfattach_detach_all() and bpfobj_unpin(), of any version's directory. Nothing
 * else may be called with it but bpfobj_pin_dir(), bpfobj_pin_path() and bpfobj_free(). -ENOMEM.
 */
int bpfobj_open_pins(const char *pin_dir, struct bpfobj **ret);

/* Closes every descriptor; what is pinned stays. */
void bpfobj_free(struct bpfobj *o);
DEFINE_CLEANUP(struct bpfobj *, bpfobj_free)

/*
 * Borrowed descriptors. A program that was not loaded has -1; so has, in a process without the rights, every program, and
 * every map but those that are mapped: BPFOBJ_CONFIG and BPFOBJ_EVENTS.
 */
int bpfobj_map_fd(const struct bpfobj *o, enum bpfobj_map map);
int bpfobj_prog_fd(const struct bpfobj *o, enum bpfobj_prog prog);
const char *bpfobj_map_name(enum bpfobj_map map);
const char *bpfobj_prog_name(enum bpfobj_prog prog);
const char *bpfobj_pin_dir(const struct bpfobj *o);
const struct bpfobj_features *bpfobj_features(const struct bpfobj *o);

/* True if the map was taken up from its pin, and with another size than is wanted now. */
bool bpfobj_kept_size(const struct bpfobj *o, enum bpfobj_map map, uint32_t *ret_has, uint32_t *ret_wanted);

/* Bytes and number of instructions that the verifier walked. 0 or -errno. */
int bpfobj_prog_stats(const struct bpfobj *o, enum bpfobj_prog prog, uint32_t *ret_verified_insns,
		      uint32_t *ret_jited_bytes);

/* The path of a pin called `name` below the pin directory. -ENAMETOOLONG; -ENOENT if nothing is pinned. */
int bpfobj_pin_path(const struct bpfobj *o, const char *name, char *buf, size_t size);

/* Unlinks all that is pinned and the directory. Before, detach: see bpf_attach.h. 0 also if there is none. */
int bpfobj_unpin(struct bpfobj *o);
