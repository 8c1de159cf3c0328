/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cilium_fit.h"

#include "base/macro.h"
#include "json/json.h"

static const char *value_of(const json_t *map, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(json_object_get(map, "data"), key));

	return s && *s ? s : otherwise;
}

/* One value of one key. */
static const struct cilium_finding plain[] = {
	{CILIUM_REFUSED, "enable-ipsec", "true", "IPsec needs the cluster's shared key on this host, which would end its isolation"},
	{CILIUM_REFUSED, "disable-endpoint-crd", "true", "without CiliumEndpoints nobody can learn of this host"},
	{CILIUM_REFUSED, "ces-controller-mode", "slim",
	 "this mode makes slices from Pods only, so nobody would learn of this host"},
	{CILIUM_REFUSED, "enable-cilium-node-crd", "false", "without CiliumNodes this host cannot be registered"},
	{CILIUM_DEGRADED, "mesh-auth-enabled", "true",
	 "rules that require authentication allow nothing on external hosts, which cannot take part in it"},
	{CILIUM_DEGRADED, "policy-audit-mode", "true", "what policies deny is told and passes, on hosts as on nodes"},
	{CILIUM_DEGRADED, "enable-ztunnel", "true", "pods of namespaces that use ztunnel cannot be reached from external hosts"},
	{CILIUM_DEGRADED, "ipam", "eni", "the operator reports an error for each host, which is no instance that it manages"},
	{CILIUM_DEGRADED, "ipam", "azure", "the operator reports an error for each host, which is no instance that it manages"},
	{CILIUM_DEGRADED, "ipam", "alibabacloud",
	 "the operator reports an error for each host, which is no instance that it manages"},
};

/* Those that need more than one value. Fills `ret`, which has room for them, and returns how many. */
static size_t composed(const json_t *map, const struct cilium_config *c, struct cilium_finding ret[3])
{
	const char *mode = value_of(map, "identity-allocation-mode", "crd");
	size_t n = 0;

	if (!str_eq(mode, "crd") && !str_eq(mode, "doublewrite-readcrd"))
		ret[n++] = (struct cilium_finding){CILIUM_REFUSED, "identity-allocation-mode", mode,
						   "only \"crd\" keeps identities in the API"};
	if (c->has_wireguard && c->routing != CILIUM_NATIVE)
		ret[n++] = (struct cilium_finding){CILIUM_REFUSED, "enable-wireguard", "true",
						   "with tunnel routing nodes send tunnel packets through WireGuard only"};
	else if (c->has_wireguard)
		ret[n++] = (struct cilium_finding){CILIUM_DEGRADED, "enable-wireguard", "true",
						   "traffic with this host is not encrypted", true};
	if (c->routing == CILIUM_NATIVE && c->has_masquerade && c->has_ipv4 && !(c->has_native_cidr && c->native_cidr.len == 0))
		ret[n++] = (struct cilium_finding){
			CILIUM_DEGRADED, "ipv4-native-routing-cidr", value_of(map, "ipv4-native-routing-cidr", ""),
			"nodes masquerade pods towards hosts that are not in this range, which then see nodes instead of pods"};
	return n;
}

int cilium_fit_each(const json_t *configmap, const struct cilium_config *c,
		    int (*fn)(const struct cilium_finding *finding, void *arg), void *arg)
{
	struct cilium_finding more[3];
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
