/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether packets of the tunnel get into this host. A packet filter of somebody else, such as firewalld's, sits between
 * the interface, where our program lets them pass, and the tunnel device: it drops them without a word to us.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agentd/health.h"
#include "bpf/bpf_obj.h"
#include "recon/recon_net.h"

struct tunnel_counts {
	uint64_t outer; /* packets of the tunnel that our programs let into the host */
	uint64_t inner; /* what the tunnel device received */
};

enum tunnel_flow {
	TUNNEL_QUIET, /* too little came to tell */
	TUNNEL_FLOWS,
	TUNNEL_BLOCKED,
};

/* What happened between two looks. The device may have been made anew, the counters with it. */
enum tunnel_flow tunnel_flow(const struct tunnel_counts *before, const struct tunnel_counts *now);

struct tunnel_watch;

/* Looks at nothing yet. All are borrowed, and must outlive it but `net`, with which it must go. 0 or -ENOMEM. */
int tunnel_watch_new(struct health *health, const struct bpfobj *obj, struct recon_net *net, struct tunnel_watch **ret);
/* Looks, and raises or clears the condition datapath.tunnel-blocked when the kernel has answered. `port` of UDP, for the remedy. */
void tunnel_watch_look(struct tunnel_watch *w, uint16_t port);
/* After the recon_net. NULL is fine. */
void tunnel_watch_free(struct tunnel_watch *w);
DEFINE_CLEANUP(struct tunnel_watch *, tunnel_watch_free)
