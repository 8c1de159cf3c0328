/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cilium_fit.h"

#include "base/macro.h"
#include "json/json.h"

static const char *value_of(const json_t *map, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(json_object_get(map, "data"), key));

	return s && *s ? s : otherwise;
}

#define NO_INSTANCE "the operator reports an error for each host, which is no instance that it manages"
#define STRICT	    "nodes drop what is not encrypted where this mode asks for it, and traffic with hosts has no encryption"

/* One value of one key. */
static const struct cilium_finding plain[] = {
	{CILIUM_REFUSED, "enable-ipsec", "true", "IPsec needs the cluster's shared key on this host, which would end its isolation"},
	{CILIUM_REFUSED, "disable-endpoint-crd", "true", "without CiliumEndpoints nobody can learn of this host"},
	{CILIUM_REFUSED, "enable-cilium-node-crd", "false", "without CiliumNodes this host cannot be registered"},
	{CILIUM_REFUSED, "enable-high-scale-ipcache", "true", "nodes do not keep the addresses of hosts in this mode"},
	{CILIUM_DEGRADED, "identity-allocation-mode", "doublewrite-readcrd",
	 "identities of hosts are in the API only: nodes that read the kvstore again would not know them"},
	{CILIUM_DEGRADED, "mesh-auth-mutual-enabled", "true",
	 "rules that require authentication allow nothing on external hosts, which cannot take part in it"},
	{CILIUM_DEGRADED, "policy-audit-mode", "true", "what policies deny is told and passes, on hosts as on nodes"},
	{CILIUM_DEGRADED, "enable-policy", "never", "policies are not enforced, on hosts as on nodes"},
	{CILIUM_DEGRADED, "enable-k8s-networkpolicy", "false", "NetworkPolicies count for nothing, on hosts as on nodes"},
	{CILIUM_DEGRADED, "enable-cilium-network-policy", "false",
	 "CiliumNetworkPolicies count for nothing, on hosts as on nodes"},
	{CILIUM_DEGRADED, "enable-cilium-clusterwide-network-policy", "false",
	 "CiliumClusterwideNetworkPolicies count for nothing, on hosts as on nodes"},
	{CILIUM_DEGRADED, "enable-k8s-cluster-network-policy", "true",
	 "ClusterNetworkPolicies are not enforced on external hosts", true},
	{CILIUM_DEGRADED, "enable-ztunnel", "true", "pods of namespaces that use ztunnel cannot be reached from external hosts"},
	{CILIUM_DEGRADED, "ipam", "eni", NO_INSTANCE},
	{CILIUM_DEGRADED, "ipam", "azure", NO_INSTANCE},
	{CILIUM_DEGRADED, "ipam", "alibabacloud", NO_INSTANCE},
};

const char *cilium_masquerades(const struct cilium_config *c, const struct cidr *range)
{
	bool is_four = range->ip.family == AF_INET;
	bool has_excluded = is_four ? c->has_native_cidr : c->has_native_cidr6;

	if (c->routing != CILIUM_NATIVE || !c->has_bpf_masquerade || !(is_four ? c->has_ipv4 && c->has_masquerade
									      : c->has_ipv6 && c->has_masquerade6))
		return NULL;
	if (has_excluded && cidr_contains(is_four ? &c->native_cidr : &c->native_cidr6, range))
		return NULL;
	return is_four ? "ipv4-native-routing-cidr" : "ipv6-native-routing-cidr";
}

enum { COMPOSED_MAX = 8 };

/* Those that need more than one value. Fills `ret`, which has room for them, and returns how many. */
static size_t composed(const json_t *map, const struct cilium_config *c, struct cilium_finding ret[COMPOSED_MAX])
{
	static const char *const strict[] = {"enable-encryption-strict-mode", "enable-encryption-strict-mode-egress",
					     "enable-encryption-strict-mode-ingress"};
	static const struct cidr all[] = {{.ip.family = AF_INET}, {.ip.family = AF_INET6}};
	const char *mode = value_of(map, "identity-allocation-mode", "crd");
	size_t n = 0;

	if (!str_eq(mode, "crd") && !str_eq(mode, "doublewrite-readcrd"))
		ret[n++] = (struct cilium_finding){CILIUM_REFUSED, "identity-allocation-mode", mode,
						   "only \"crd\" keeps identities in the API"};
	if (c->has_slices && str_eq(value_of(map, "ces-controller-mode", ""), "slim"))
		ret[n++] = (struct cilium_finding){CILIUM_REFUSED, "ces-controller-mode", "slim",
						   "this mode makes slices from Pods only, so nobody would learn of this host"};
	if (c->has_wireguard && c->routing != CILIUM_NATIVE)
		ret[n++] = (struct cilium_finding){CILIUM_REFUSED, "enable-wireguard", "true",
						   "with tunnel routing nodes send tunnel packets through WireGuard only"};
	else if (c->has_wireguard)
		ret[n++] = (struct cilium_finding){CILIUM_DEGRADED, "enable-wireguard", "true",
						   "traffic with this host is not encrypted", true};
	for (size_t i = 0; i < ARRAY_LEN(strict) && c->has_wireguard && c->routing == CILIUM_NATIVE; i++)
		if (str_eq(value_of(map, strict[i], ""), "true"))
			ret[n++] = (struct cilium_finding){CILIUM_DEGRADED, strict[i], "true", STRICT, true};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const char *key = cilium_masquerades(c, &all[i]);

		if (key)
			ret[n++] = (struct cilium_finding){
				CILIUM_DEGRADED, key, value_of(map, key, ""),
				c->has_masquerade_list ?
					"nodes masquerade pods towards hosts that are neither in this range nor in the list of the ip-masq-agent; those then see nodes instead of pods" :
					"nodes masquerade pods towards hosts that are not in this range, which then see nodes instead of pods"};
	}
	return n;
}

int cilium_fit_each(const json_t *configmap, const struct cilium_config *c,
		    int (*fn)(const struct cilium_finding *finding, void *arg), void *arg)
{
	struct cilium_finding more[COMPOSED_MAX];
	size_t n = composed(configmap, c, more);

	for (enum cilium_fit fit = CILIUM_REFUSED; fit != CILIUM_FITS; fit--) {
		int r = 0;

		for (size_t i = 0; r == 0 && i < n; i++)
			r = more[i].fit == fit ? fn(&more[i], arg) : 0;
		for (size_t i = 0; r == 0 && i < ARRAY_LEN(plain); i++)
			r = plain[i].fit == fit && str_eq(value_of(configmap, plain[i].key, ""), plain[i].value) ? fn(&plain[i], arg) : 0;
		if (r)
			return r;
	}
	return 0;
}
