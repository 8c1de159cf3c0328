/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one Service and its EndpointSlices to frontends and the backends for new connections.
 * Pure: what it reads is in the arguments. Rules follow kube-proxy where it and Cilium differ,
 * except for what Cilium's socket load balancer makes pointless.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"

enum frontend_kind {
	FRONTEND_CLUSTER_IP,
	FRONTEND_EXTERNAL_IP,
	FRONTEND_LOAD_BALANCER,
	FRONTEND_NODE_PORT, /* its address is the unspecified one: every node's */
};

enum {
	/* Backends exist but the traffic policy Local leaves none: drop; without it: reject. */
	FRONTEND_FILTERED = 1 << 0,
	/* No ready backend: the list holds the terminating ones that still serve (KEP-1669). */
	FRONTEND_TERMINATING = 1 << 1,
};

struct backend {
	struct ip ip;
	uint16_t port;
	uint8_t conditions; /* KUBE_EP_* */
	bool is_local;	    /* nodeName is this host */
	uint32_t id;	    /* given by the service table; 0 from service_select() */
};

/* Matched by (ip, port, proto). Plain data: ns and name are borrowed from the Service. */
struct frontend {
	struct ip ip;
	uint16_t port;
	uint8_t proto;
	uint8_t kind;  /* enum frontend_kind */
	uint8_t flags; /* FRONTEND_* */
	uint32_t id;   /* given by the service table, stable while it exists; 0 from service_select() */
	uint32_t affinity_s;
	const char *ns;
	const char *name;
	const char *port_name;
	struct backend *backends; /* sorted by address and port, no duplicates */
	size_t n_backends;
};

struct frontends {
	struct frontend *v; /* sorted by frontend_cmp(), no duplicates */
	size_t n, cap;
};

/* What this host is and which frontends it wants beside ClusterIPs. All pointers are borrowed. */
struct service_options {
	const char *node;		  /* own node name; NULL = nothing is local */
	const char *zone;		  /* own topology zone; NULL or "" = none */
	const struct strv *node_labels;	  /* of our CiliumNode, "key=value"; NULL = none */
	const char *proxy_name;		  /* own service-proxy-name; NULL or "" = the default proxy */
	bool has_clustermesh;		  /* remote backends come from elsewhere: skip mirrored slices */
	bool has_external_ips;		  /* CVE-2020-8554: leave it off unless asked for */
	bool has_load_balancers;
	bool has_node_ports; /* of every node: one frontend, with the address that is all zero */
	const struct ip *host_ips;	  /* own addresses: no frontends, and judged by loadBalancerSourceRanges */
	size_t n_host_ips;
};

/* True if the Service is of our proxy, by the label service-proxy-name: Cilium is not told of any other, headless or not. */
bool service_is_own(const struct kube_service *s, const struct service_options *opt);

/* True if this host must handle the Service at all (labels service-proxy-name and headless, annotations about nodes). */
bool service_is_proxied(const struct kube_service *s, const struct service_options *opt);

/* Why somebody who expects it to be would find it is not, as a sentence; NULL if it is, or has no address at all. */
const char *service_skip_reason(const struct kube_service *s, const struct service_options *opt);

/* True if the slice counts for services (labels, managed-by, address type; not of a ServiceImport). */
bool service_slice_counts(const struct kube_slice *s, const struct service_options *opt);

/*
 * Computes the frontends of a Service, each with its backends. Slices that do not count are
 * skipped. On success *ret holds the result, to be freed with frontends_done(); -ENOMEM.
 */
int service_select(const struct kube_service *s, const struct kube_slice *const *slices,
		   size_t n_slices, const struct service_options *opt, struct frontends *ret);

void frontend_done(struct frontend *f);
void frontends_done(struct frontends *f);
DEFINE_CLEANUP_DONE(struct frontends, frontends_done)

/* Orders by address, protocol, port. */
int frontend_cmp(const struct frontend *a, const struct frontend *b);
/* True if all that a client of the frontend can notice is equal; ids are not compared. */
bool frontend_same(const struct frontend *a, const struct frontend *b);
