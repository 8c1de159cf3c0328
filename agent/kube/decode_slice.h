/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.k8s.io/v1 EndpointSlice as a typed, owned object. A cluster has many endpoints, so the
 * texts of a slice share one pool and are named by offsets into it; offset 0 is the empty text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "json/doc.h"

struct kube_slice_port {
	uint32_t name;
	uint16_t port; /* 0 = null: all ports, meaningful for headless services only */
	uint8_t proto;
};

struct kube_slice_addr {
	struct ip ip;
	uint32_t text; /* the text as stored, if it is not the canonical one; else 0 */
};

/* Conditions as normalised: ready = nil or true, serving = given value or ready, terminating = true only. */
enum {
	KUBE_EP_READY = 1 << 0,
	KUBE_EP_SERVING = 1 << 1,
	KUBE_EP_TERMINATING = 1 << 2,
};

struct kube_slice_endpoint {
	uint32_t first_addr; /* in kube_slice.addrs */
	uint32_t hostname;
	uint32_t node;
	uint32_t zone;
	uint32_t target; /* name of targetRef */
	uint32_t first_hint; /* in kube_slice.hints: zones, then nodes */
	uint16_t n_addrs;
	uint8_t n_zones;
	uint8_t n_nodes;
	uint8_t conditions;
};

struct kube_slice {
	uint32_t ns;
	uint32_t name;
	uint32_t service;	/* label kubernetes.io/service-name, or that of multicluster.kubernetes.io */
	uint32_t source_cluster; /* label multicluster.kubernetes.io/source-cluster */
	uint32_t managed_by;
	uint32_t proxy_name; /* label service.kubernetes.io/service-proxy-name */
	bool has_proxy_name;
	bool is_headless; /* label service.kubernetes.io/headless */
	bool is_import;	  /* bound by the multicluster label: belongs to a ServiceImport */
	bool is_paused;	  /* annotation service.cilium.io/weight is 0: no new connections */
	uint8_t family;	  /* AF_INET, AF_INET6; 0 = FQDN, which no proxy uses */
	struct kube_slice_port *ports;
	struct kube_slice_endpoint *endpoints;
	struct kube_slice_addr *addrs;
	uint32_t *hints;
	char *pool;
	size_t n_ports, n_endpoints, n_addrs, n_hints;
};

static inline const char *kube_slice_text(const struct kube_slice *s, uint32_t off)
{
	return s->pool + off;
}

/*
 * Decodes an EndpointSlice. The caller owns *ret. -EINVAL with text for a malformed object or one
 * past the API's own limits (1000 endpoints, 100 addresses each, 100 ports); -ENOMEM.
 */
int kube_slice_decode(const struct doc *obj, struct kube_slice **ret, struct err *reterr);

void kube_slice_free(struct kube_slice *s);
DEFINE_CLEANUP(struct kube_slice *, kube_slice_free)
