/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_options.h"

#include "identity/selector.h"

struct policy_options policy_options_of(const struct cilium_config *c)
{
	static const enum policy_mode modes[] = {POLICY_MODE_DEFAULT, POLICY_MODE_ALWAYS, POLICY_MODE_NEVER};
	struct policy_options o = policy_options_default();

	o.mode = modes[c->policy_mode];
	o.cluster = c->cluster_name;
	o.is_local_cluster_default = c->is_local_cluster_default;
	o.cidr_modes = (c->cidr_matches_nodes ? CIDR_MATCH_NODES : 0u) | (c->cidr_matches_pods ? CIDR_MATCH_PODS : 0u);
	o.has_ipv4 = c->has_ipv4;
	o.has_ipv6 = c->has_ipv6;
	o.has_icmp_rules = c->has_icmp_rules;
	o.has_l7_proxy = c->has_l7_proxy;
	o.has_extended_protocols = c->has_extended_protocols;
	o.has_non_default_deny = c->has_non_default_deny;
	o.has_node_selector_labels = c->has_node_selector_labels;
	o.has_subdomain_wildcard = c->has_subdomain_wildcard;
	return o;
}
