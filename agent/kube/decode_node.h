/* SPDX-License-Identifier: Apache-2.0 */
/* CiliumNode: what stock agents read of it (Cilium pkg/node/types). */
#pragma once

#include <stdbool.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"
#include "json/doc.h"

struct kube_node {
	char *name;
	ARRAY(struct ip) node_ips;     /* InternalIP first, then ExternalIP */
	ARRAY(struct ip) internal_ips; /* CiliumInternalIP: on the node's end of the overlay */
	ARRAY(struct ip) ingress_ips;  /* of the node's Envoy for Ingress and Gateway */
	ARRAY(struct ip) health_ips;   /* of its health endpoint */
	ARRAY(struct cidr) pod_cidrs;  /* of ipam.podCIDRs and allocated pools */
	char *wireguard_key;	       /* base64; NULL = none */
	char *uid;
	struct strv labels; /* "key=value", only after kube_node_read_labels() */
	bool is_host; /* an external host like this one: no pods are behind it */
	char *ranges; /* of a host: what addresses it is enrolled for, "a/b,c/d", unchecked; NULL = it does not say */
};

/* The label of CiliumNodes that stand for external hosts, and their annotation. */
#define KUBE_NODE_HOST_LABEL "mesh-external-agent.io/host"
#define KUBE_NODE_ADDRESSES  "mesh-external-agent.io/addresses"

/*
 * Reads a CiliumNode. Addresses and ranges that are malformed or special are left out, as Cilium does.
 * -EINVAL with a text without a name or past LIMIT_ADDRESSES; -ENOMEM. `*ret` is owned by the caller.
 */
int kube_node_decode(const struct doc *obj, struct kube_node **ret, struct err *reterr);
/* The labels too, which matter only where policies select nodes by them. -ENOMEM, -E2BIG past LIMIT_LABELS. */
int kube_node_read_labels(struct kube_node *n, const struct doc *obj);
void kube_node_free(struct kube_node *n);
DEFINE_CLEANUP(struct kube_node *, kube_node_free)

/* Its address of a family in the underlay; NULL if it has none. */
const struct ip *kube_node_underlay(const struct kube_node *n, int family);

/* Where tunnel packets to it go: to the address of the underlay's family, or else of the other. NULL if it has none. */
const struct ip *kube_node_tunnel(const struct kube_node *n, bool has_ipv6_underlay);

/* True if both say the same. */
bool kube_node_same(const struct kube_node *a, const struct kube_node *b);
