/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster's cilium-config ConfigMap decides for this host. Absent keys have Cilium's defaults. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

#define CILIUM_CONFIG_NAME "cilium-config"
#define CILIUM_NAMESPACE   "kube-system" /* where it is, unless somebody says otherwise */

enum cilium_routing { CILIUM_VXLAN, CILIUM_GENEVE, CILIUM_NATIVE };
enum cilium_policy_mode { CILIUM_POLICY_DEFAULT, CILIUM_POLICY_ALWAYS, CILIUM_POLICY_NEVER };

struct cilium_config {
	char cluster_name[64];
	uint32_t cluster_id;
	uint32_t identity_min, identity_max; /* of this cluster (Cilium pkg/identity/numericidentity.go) */
	enum cilium_routing routing;
	uint16_t tunnel_port;
	uint32_t mtu; /* 0 = of the underlay */
	bool has_ipv4, has_ipv6;
	bool has_slices; /* peers are in CiliumEndpointSlices */
	bool has_wireguard;
	bool has_native_cidr, has_native_cidr6;
	struct cidr native_cidr, native_cidr6; /* ipv4-native-routing-cidr, ipv6-native-routing-cidr */
	bool has_masquerade, has_masquerade6;
	bool has_bpf_masquerade;  /* else by iptables, which leaves what goes to the address of a CiliumNode as it is */
	bool has_masquerade_list; /* the ip-masq-agent's, of ranges that are left out, too */
	bool has_ipv6_underlay;	  /* the tunnel's outer packets are IPv6 */
	enum cilium_policy_mode policy_mode;
	bool ignores_knp, ignores_cnp, ignores_ccnp; /* policies of that kind count for nothing */
	bool is_local_cluster_default;
	bool cidr_matches_nodes, cidr_matches_pods;
	bool has_icmp_rules, has_sctp, has_extended_protocols, has_non_default_deny;
	bool has_node_selector_labels;
	bool has_l7_proxy;
	bool has_kube_proxy_replacement; /* Cilium translates node ports and load balancers, too, before policy is asked */
	bool has_audit_mode;
	bool has_maglev; /* for packets; connections of pods and nodes are balanced at random all the same */
	bool has_algorithm_annotation; /* Services choose theirs by service.cilium.io/lb-algorithm */
	uint32_t fqdn_min_ttl_s;  /* tofqdns-min-ttl */
	uint32_t fqdn_max_ips;	  /* tofqdns-endpoint-max-ip-per-hostname; 0 = our limit */
	uint32_t fqdn_max_zombies; /* tofqdns-max-deferred-connection-deletes; 0 = our limit */
	uint32_t fqdn_delay_ms;	  /* tofqdns-proxy-response-max-delay */
	bool has_fqdn_nxdomain;	  /* tofqdns-dns-reject-response-code is nameError, not refused */
	bool has_subdomain_wildcard; /* "**.x" in patterns of names is one label or more, as from 1.19 on, else just one */
};

/* Its path in the namespace that Cilium runs in, NULL for the usual one; heap, NULL when out of memory. */
char *cilium_config_path(const char *namespace);

/*
 * Reads the ConfigMap object. -EINVAL with a text for a value that cannot be understood, as acting on a
 * guess could widen a policy.
 */
int cilium_config_parse(const json_t *configmap, struct cilium_config *ret, struct err *reterr);

/*
 * Whether this cluster can be served at all. -EOPNOTSUPP with the key that decides and the reason.
 * What is degraded goes to `warnings`, one sentence each. -ENOMEM.
 */
int cilium_config_check(const json_t *configmap, const struct cilium_config *c, struct strv *warnings,
			struct err *reterr);

/* True if both say the same to this host. */
bool cilium_config_same(const struct cilium_config *a, const struct cilium_config *b);
