/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what the backstop (bpf/lib/backstop.h) knows of this host: the interfaces whose packets it lets be, and the host's own
 * addresses. Nothing of it is needed for safety: where it is missing, the policy is asked.
 */
#pragma once

#include <stddef.h>

#include "bpf/bpf_obj.h"
#include "netlink/nl_addr.h"

struct recon_ifindexes {
	int *v;
	size_t n, cap;
};

struct recon_cover;

/* `o` is borrowed for its life. 0 or -ENOMEM. */
int recon_cover_new(const struct bpfobj *o, struct recon_cover **ret);
/* Leaves the tables as they are. */
void recon_cover_free(struct recon_cover *c);
DEFINE_CLEANUP(struct recon_cover *, recon_cover_free)

/*
 * Brings the tables to this, in any order, writing only what differs; what finds no room is left out. 0, -ENOMEM or errno of bpf(2): call
 * again.
 */
int recon_cover_apply(struct recon_cover *c, const struct recon_ifindexes *covered, const struct nl_addrs *own);
