/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes v1 Service (and multicluster ServiceImport) as a typed, owned object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ip.h"
#include "json/doc.h"

enum kube_service_type {
	KUBE_SERVICE_CLUSTER_IP,
	KUBE_SERVICE_NODE_PORT,
	KUBE_SERVICE_LOAD_BALANCER,
	KUBE_SERVICE_EXTERNAL_NAME,
};

/* Labels, selectors and the annotations that we read; keys are unique. */
struct kube_pairs {
	struct kube_pair {
		char *key;
		char *value;
	} *v;
	size_t n;
};

struct kube_service_port {
	char *name;	   /* "" if unnamed */
	char *target_name; /* named targetPort; NULL if it is a number or absent */
	uint16_t port;
	uint16_t target_port; /* numeric targetPort, the service port if absent; 0 if named */
	uint16_t node_port;   /* 0 = none */
	uint8_t proto;	      /* IPPROTO_TCP, _UDP or _SCTP */
};

struct kube_service {
	char *ns;
	char *name;
	char *uid;
	char *external_name; /* NULL unless the type is ExternalName */
	int64_t created_s;   /* Unix seconds; 0 if the object has no creationTimestamp */
	enum kube_service_type type;
	bool is_headless; /* clusterIP is None */
	bool is_internal_local;
	bool is_external_local;
	bool publish_not_ready;
	bool has_traffic_distribution;
	bool prefers_same_node; /* that is PreferSameNode */
	uint32_t affinity_s; /* ClientIP affinity; 0 = none */
	size_t n_cluster_ips;
	struct ip cluster_ips[2];
	struct kube_service_port *ports;
	size_t n_ports;
	struct ip *external_ips;
	size_t n_external_ips;
	struct ip *lb_ips; /* status.loadBalancer.ingress with ipMode absent or VIP */
	size_t n_lb_ips;
	struct cidr *source_ranges;
	size_t n_source_ranges;
	struct kube_pairs labels;
	struct kube_pairs selector;
	struct kube_pairs annotations; /* only those below the prefixes that this project reads */
};

/*
 * Decodes a Service. The caller owns *ret. -EINVAL with text for a malformed object or one past
 * the caps of base/limits.h; -ENOMEM.
 */
int kube_service_decode(const struct doc *obj, struct kube_service **ret, struct err *reterr);

/*
 * Decodes a ServiceImport (multicluster.x-k8s.io, KEP-1645) as the Service that a client sees:
 * spec.ips are the cluster addresses, type Headless is a headless service. Same errors.
 */
int kube_service_import_decode(const struct doc *obj, struct kube_service **ret, struct err *reterr);

void kube_service_free(struct kube_service *s);
DEFINE_CLEANUP(struct kube_service *, kube_service_free)

/* The value of a key, or NULL. */
const char *kube_pairs_get(const struct kube_pairs *p, const char *key);
void kube_pairs_done(struct kube_pairs *p);

/*
 * Copies a JSON object of strings, keys with one of the NULL-terminated `prefixes` only if that is
 * not NULL. At most `max` pairs are accepted. NULL or JSON null is an empty set. -EINVAL, -ENOMEM.
 */
int kube_pairs_decode(const struct doc *obj, const char *const *prefixes, size_t max,
		      struct kube_pairs *ret, struct err *reterr);

/* The protocol number of "TCP", "UDP" or "SCTP"; TCP for NULL. -EINVAL for another text. */
int kube_proto_parse(const char *text, uint8_t *ret);
/* "TCP", "UDP" or "SCTP"; "?" for another number. */
const char *kube_proto_str(uint8_t proto);
