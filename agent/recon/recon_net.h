/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the tunnel device and our routes as wanted: reads what is there, changes only the difference,
 * and does so again whenever the kernel reports that someone changed links, addresses or our routes.
 * A route is ours by its protocol number (NL_RTPROT_MESH), the device by its alias. What is there and
 * right is adopted untouched, so a restart does not disturb traffic.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recon/recon_cover.h"
#include "recon/recon_nic.h"
#include "netlink/nl_route.h"

struct loop;
struct recon_net;

#define RECON_NET_ALIAS	 "mesh-external-agent"
#define RECON_NET_DEVICE "mesh_tun"

enum { RECON_NET_MTU_OVERHEAD_V4 = 50, RECON_NET_MTU_OVERHEAD_V6 = 70, RECON_NET_TARGETS = 16 };

struct net_route {
	struct cidr dst;
	struct ip via; /* family 0: into the tunnel device */
	struct ip src; /* the host's own address; family 0 = the kernel chooses */
	uint32_t mtu;  /* 0 = that of the interface */
};

struct net_desired {
	/*
	 * kind NL_TUNNEL_NONE: no device. mtu: at most that of the underlay minus the overhead of its IP version
	 * (of `targets`; IPv4 if there are none); 0 = that. name "": RECON_NET_DEVICE.
	 */
	struct nl_tunnel tunnel;
	uint32_t underlay_mtu; /* at most the smallest of the underlay interfaces; 0 = that */
	const struct net_route *routes; /* any order; of equal prefixes one counts */
	size_t n_routes;
	const struct ip *targets; /* API servers, nodes: at most RECON_NET_TARGETS are looked at */
	size_t n_targets;
	const struct strv *nic_patterns; /* see recon_nic.h; NULL = automatic */
};

struct net_status {
	bool is_applied;	/* the kernel agrees with the last desired state */
	int tunnel_ifindex;	/* 0 = none */
	uint32_t tunnel_mtu;
	size_t n_routes_wanted, n_routes_failed;
	uint64_t n_changes;	/* requests that changed something, since the start */
	uint64_t n_resyncs;	/* lost notifications */
	struct err err;		/* of the last pass; empty if it succeeded */
	bool lacks_driver;	/* it failed as this kernel cannot make the tunnel device */
};

/*
 * All called from the loop, never from the functions below; `arg` is that of recon_net_new(). May be NULL.
 * None may free the recon_net.
 */
struct net_callbacks {
	/*
	 * The tunnel device exists under a new ifindex, before it is brought up: attach the programs now.
	 * Negative: it stays down and the pass is tried again later with that reason.
	 * ifindex 0: it is gone; the result is not looked at.
	 */
	int (*tunnel)(int ifindex, void *arg);
	/*
	 * This interface just became external: the programs must be on it before its first packet. Follows the
	 * kernel's report at once, where nics() waits for the end of a burst and has the whole set.
	 */
	void (*nic)(const struct nic *nic, void *arg);
	/*
	 * Someone took a qdisc or tc filters off this interface, perhaps ours. NULL: such reports, which are
	 * many on some hosts, are not asked for; programs attached by tcx do not need them.
	 */
	void (*filters)(int ifindex, void *arg);
	/* The set of external interfaces, their state or MTU changed. Called once at the start, even if empty. */
	void (*nics)(const struct nics *nics, void *arg);
	/* The host's own usable addresses changed. Called once at the start. */
	void (*addrs)(const struct nl_addrs *addrs, void *arg);
	/* A pass ended: see recon_net_status(). */
	void (*settled)(const struct net_status *status, void *arg);
};

/*
 * Starts to watch at once; nothing is changed before the first recon_net_set(). `l` must outlive it.
 * 0, -ENOMEM, or errno of the sockets.
 */
int recon_net_new(struct loop *l, const struct net_callbacks *cb, void *arg, struct recon_net **ret);

/* Leaves device and routes as they are. */
void recon_net_free(struct recon_net *n);
DEFINE_CLEANUP(struct recon_net *, recon_net_free)

/*
 * Replaces the desired state (copied); it is applied from the loop. 0; -ENOMEM; -EINVAL with text for a route
 * whose parts are of different families, or a bad device name. On failure the old state stays wanted.
 */
int recon_net_set(struct recon_net *n, const struct net_desired *desired, struct err *reterr);

/*
 * The desired state as it was last set, all of it borrowed but the targets, for which there is room: until the next
 * recon_net_set(). The patterns are left out. Nothing was set: nothing is wanted.
 */
void recon_net_get(const struct recon_net *n, struct net_desired *ret, struct ip targets[RECON_NET_TARGETS]);

/* Which interfaces are external, before the first recon_net_set(); see nic_patterns. 0 or -ENOMEM. */
int recon_net_set_patterns(struct recon_net *n, const struct strv *patterns);

/* Wants nothing: removes our device and our routes, and nothing else. 0 or -ENOMEM. */
int recon_net_clear(struct recon_net *n);

/* Reads everything anew and compares: for the slow audit. */
void recon_net_audit(struct recon_net *n);

/* Asks the kernel for the tunnel device as it is now, as nl_link_get(). The answers end with the recon_net. */
int recon_net_get_tunnel(struct recon_net *n, const struct nl_reply *reply);

const struct net_status *recon_net_status(const struct recon_net *n);

/* What is known now; empty before the first read. Borrowed until the next loop iteration. */
const struct nics *recon_net_nics(const struct recon_net *n);

/* Whether an interface leads outside: one of those, or one that has just come and is told of with the next pass. */
bool recon_net_is_external(const struct recon_net *n, int ifindex);

/* See nics_covers(). The list is the caller's, sorted by ifindex; its old content is dropped. 0 or -ENOMEM. */
int recon_net_covered(const struct recon_net *n, nics_held_fn is_held, void *arg, struct recon_ifindexes *ret);
const struct nl_addrs *recon_net_addrs(const struct recon_net *n);
const struct nl_links *recon_net_links(const struct recon_net *n);

/*
 * The host's own address towards target `i` of the desired state, by the kernel's source selection.
 * false if there is no route or it is not known yet.
 */
bool recon_net_source(const struct recon_net *n, size_t i, struct ip *ret);
