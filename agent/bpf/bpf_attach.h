/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs on interfaces, on a cgroup and on the network namespace. Attachments are pinned links where the kernel has them
 * (tcx, cgroup, namespace), else clsact filters. Attaching again, also after a restart, replaces the program
 * of what is there in place: there is no moment without one.
 */
#pragma once

#include "bpf/bpf_obj.h"

enum bpfattach_kind { BPFATTACH_NIC, BPFATTACH_TUNNEL };

enum { BPFATTACH_INTERFACES_MAX = 1024 };

enum bpfattach_how {
	BPFATTACH_NEW_TCX,
	BPFATTACH_UPDATED_TCX,
	BPFATTACH_NEW_CLSACT,
	BPFATTACH_UPDATED_CLSACT,
};

/*
 * Puts both directions' programs first on the interface, those that fit its type: Ethernet, or IP without
 * link header. -EOPNOTSUPP for other types. ret_how (may be NULL) tells how the ingress
 * side was done. -ENODEV if the interface is gone; other errno with text. If one direction fails,
 * what the other had or got stays.
 */
int bpfattach_if(struct bpfobj *o, int ifindex, enum bpfattach_kind kind,
		 enum bpfattach_how *ret_how, struct err *reterr);

/* Takes our programs off the interface. 0 also if there were none or it is gone. */
int bpfattach_if_detach(const struct bpfobj *o, int ifindex, struct err *reterr);

/* True if both directions of the interface still run the programs of `o`; for periodic checks. */
bool bpfattach_if_is_ok(const struct bpfobj *o, int ifindex, enum bpfattach_kind kind);

/*
 * True if both directions of the interface have a program of ours, maybe of an earlier run, that only who may use the pin
 * directory can take off: a link of tcx, not a filter.
 */
bool bpfattach_if_is_held(const struct bpfobj *o, int ifindex);

/*
 * The number of a program of others that sees packets of the interface before ours, and may let them in or out by itself, in
 * either direction; 0 = none, as far as can be told. Only one of tcx can be: a filter of ours is the first of its hook, and all of
 * tcx comes before filters.
 */
uint32_t bpfattach_if_before(const struct bpfobj *o, int ifindex);

/* Interfaces with pinned links, ascending; at most max are written, the number is returned. */
int bpfattach_if_list(const struct bpfobj *o, int *ifindexes, size_t max);

/* All socket programs on the cgroup2 directory. -EBADF, -ENOTDIR, -EINVAL: it is none. */
int bpfattach_cgroup(const struct bpfobj *o, const char *cgroup_path, struct err *reterr);
/* True if all of them are there and run the programs of `o`; for periodic checks. */
bool bpfattach_cgroup_is_ok(const struct bpfobj *o, const char *cgroup_path);
int bpfattach_cgroup_detach(const struct bpfobj *o, struct err *reterr);

/*
 * The backstop (bpf/lib/backstop.h) to this network namespace; off it, if `o` is without one. It is asked by itself as soon as
 * a policy is in force. 0; errno of bpf(2) with text.
 */
int bpfattach_backstop(const struct bpfobj *o, struct err *reterr);
/* True if it is there, with the program of `o`, or is not to be there and is not; for periodic checks. */
bool bpfattach_backstop_is_ok(const struct bpfobj *o);
int bpfattach_backstop_detach(const struct bpfobj *o, struct err *reterr);

/* Everything off, every link unpinned: for leaving the cluster. Goes on after failures, returns the first. */
int bpfattach_detach_all(const struct bpfobj *o, struct err *reterr);
