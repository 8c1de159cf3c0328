/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host knows of its cluster: the tables, and the glue that turns endpoints, nodes and API
 * servers into claims on addresses. No kernel in here, no network.
 */
#pragma once

#include "conf/conf.h"
#include "identity/ipcache.h"
#include "identity/node_labels.h"
#include "identity/port_claims.h"
#include "kube/cilium_config.h"
#include "policy/policy.h"
#include "policy/policy_gate.h"
#include "policy/policy_resolve.h"
#include "recon/recon_net.h"
#include "service/service.h"
#include "store/endpoint_table.h"
#include "store/node_table.h"

/* An address of an API server that was claimed. */
struct apiserver {
	struct ip ip;
	bool is_on_node; /* then it is that node, with a label more */
};

struct world {
	struct cilium_config config;
	char *host; /* our CiliumNode's and CiliumEndpoint's name */
	uint32_t identity;
	struct identity_table *identities;
	struct policy_repo *policies;
	struct policy_gate *gate; /* where policies come in */
	struct policy_table *table;
	struct service_table *services;
	struct service_table *imports; /* ServiceImports; for names only */
	struct endpoint_table *endpoints;
	struct port_claims *ports;
	struct node_table *nodes;
	struct ipcache *addresses;
	ARRAY(struct apiserver) apiservers; /* at most LIMIT_APISERVERS */
	bool has_more_apiservers; /* they are as any address outside the cluster */
	struct node_labels *node_labels;
	uint64_t overlaid, overlaid_names; /* generations of policies and learned names that addresses were last told apart for */
	ARRAY(struct conf_named_port) named_ports;
	struct label_set *subject; /* our labels as last given to the policies; borrowed by them */
	bool routes_dirty;
	bool nodes_dirty; /* which API servers are nodes may be another question now */
	/* Policies are up to date, the table is not yet: what follows from them is told now. May be NULL. */
	int (*on_settled)(void *arg);
	void *settled_arg;
	size_t n_left_out; /* policies that there is no room for: none may come into force without them */
	bool lost_claims; /* out of memory somewhere: addresses are incomplete, and stay so; nothing may be applied */
};

/* `host` is copied. 0; -ENOMEM; -EINVAL. */
int world_new(const struct cilium_config *config, const char *host, uint32_t identity, const struct conf *conf,
	      struct world **ret);
void world_free(struct world *w);
DEFINE_CLEANUP(struct world *, world_free)

/*
 * Which services this host translates: by its configuration, the labels of its CiliumNode and its own addresses
 * (for loadBalancerSourceRanges). If that is something new, all services are computed anew with the next
 * world_update(). 0 or -ENOMEM.
 */
int world_set_services(struct world *w, const struct conf *conf, const struct ip *own, size_t n_own);

/* False: the cluster has no identity for this host, so nobody can say which policies are about it. */
bool world_knows_itself(const struct world *w);

/* Our own labels, as far as the cluster has told them. True if they are known. -ENOMEM. */
int world_settle(struct world *w);

/*
 * Recomputes what follows from changed tables before they are applied: our own labels, the API
 * servers' addresses, the policy table. 1 if the policy table has what was not taken from it yet, 0 if not, -errno; -ENODATA
 * while world_knows_itself() is false: then nothing may be applied. After -EFBIG, see policy_table_update(), and -EDQUOT,
 * where policies are left out, all but the policy may.
 */
int world_update(struct world *w);

/* The identity of an address as the datapath has it; for reports. */
uint32_t world_identity_of(const struct world *w, const struct ip *ip);

/* True if an endpoint of the cluster, a pod or an external host, has this address. */
bool world_has_endpoint(const struct world *w, const struct ip *ip);

/* See recon_addr_overlay_fn; `arg` is the world. */
int world_overlay(const struct ip *ip, uint32_t identity, uint32_t *ret_identity, void *arg);

struct route_list {
	struct net_route *v;
	size_t n, cap;
};

/*
 * Routes to the pods of every other node: into the tunnel, or by the node in native routing mode.
 * `own` are our registered addresses, used as source. Pod ranges that hold one of them are left out, as
 * the host would cut itself off. 0 or -ENOMEM.
 */
int world_routes(const struct world *w, const struct ip *own, size_t n_own, struct route_list *ret);
