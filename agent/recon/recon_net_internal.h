/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the network reconciler share. A pass goes through its steps, each ending in the next. */
#pragma once

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/backoff.h"
#include "base/macro.h"
#include "event/loop.h"
#include "netlink/nl.h"
#include "recon/recon_net.h"
#include "recon/recon_route.h"

enum {
	/* Route changes under way at a time: bounds memory, the socket has its own window. */
	OPS_WINDOW = 64,
	/* Events come in bursts (a container start makes a dozen); the pass waits for their end. */
	SETTLE_US = 20 * 1000,
};

/* One more for the default route of each IP version. */
enum { PROBES = RECON_NET_TARGETS + 2 };

struct probe {
	struct recon_net *n;
	struct ip target;
	int oif; /* 0 = unreachable */
	struct ip src;
	int new_oif; /* these two while the kernel is asked */
	struct ip new_src;
};

struct route_slot {
	struct recon_net *n;
	struct route_op op;
	bool is_used;
};

struct recon_net {
	struct loop *loop;
	struct nl *nl;
	struct net_callbacks cb;
	void *arg;
	struct source *timer;
	struct backoff backoff;
	struct net_status status;

	struct nl_tunnel tunnel; /* desired, as are the next four */
	uint32_t underlay_mtu;
	ARRAY(struct net_route) routes;
	struct probe probes[PROBES];
	struct strv patterns;
	bool has_desired;

	struct nl_links links, new_links; /* actual, and while they are read */
	struct nl_addrs addrs, new_addrs;
	struct nics nics;

	bool is_running;	  /* a pass is under way */
	bool has_failed;	  /* the last one did */
	bool is_dirty;		  /* another one is needed */
	bool need_links, need_addrs; /* read them whole */
	bool is_reading_links, is_reading_addrs;
	bool need_routes;	  /* read and compare them */
	bool is_addrs_changed, is_told; /* for the callbacks */

	size_t n_probing;
	int tunnel_steps;
	struct routes want, have;
	struct route_ops ops;
	size_t next_op, n_busy;
	struct route_slot slots[OPS_WINDOW];
};

/* Interfaces, then addresses, then the ways to the targets; reads only what is stale. */
void net_step_links(struct recon_net *n);
/* A link changed, or got an address: if that made it external, its programs cannot wait for the pass. */
void net_tell_new(struct recon_net *n, int ifindex);
/* The device, one change at a time. */
void net_step_tunnel(struct recon_net *n);
/* The routes; ends the pass. */
void net_step_routes(struct recon_net *n);

void net_end_pass(struct recon_net *n);

/* Ends the pass early: "`what`: `why`". */
void net_fail_pass(struct recon_net *n, int r, const struct err *why, const char *what);
/* The same with the words of errno `r`. */
void net_fail_queueing(struct recon_net *n, int r, const char *what);

/* Notes the first thing that went wrong in this pass. */
void net_note_error(struct recon_net *n, const struct err *e);
