/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cilium_config.h"

#include <string.h>

#include "base/limits.h"
#include "base/macro.h"
#include "json/json.h"
#include "kube/cilium_fit.h"
#include "kube/kube_object.h"

enum { CLUSTERS_SMALL = 255, CLUSTERS_LARGE = 511, IDENTITY_MIN = 256, IDENTITY_MAX = 65535,
       FQDN_DELAY_MS = 100, FQDN_DELAY_MAX_MS = 1000 };

char *cilium_config_path(const char *namespace)
{
	return kube_object_path("ConfigMap", namespace ? namespace : CILIUM_NAMESPACE, CILIUM_CONFIG_NAME);
}

static const char *value_of(const json_t *map, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(json_object_get(map, "data"), key));

	return s && *s ? s : otherwise;
}

static int read_bool(const json_t *map, const char *key, bool otherwise, bool *ret, struct err *reterr)
{
	const char *s = value_of(map, key, NULL);

	if (!s) {
		*ret = otherwise;
	} else if (str_eq(s, "true") || str_eq(s, "false")) {
		*ret = str_eq(s, "true");
	} else {
		return err_set(reterr, EINVAL, "cilium-config: %s is \"%.40s\", want true or false", key, s);
	}
	return 0;
}

static int read_number(const json_t *map, const char *key, uint64_t otherwise, uint64_t max, uint64_t *ret,
		       struct err *reterr)
{
	const char *s = value_of(map, key, NULL);

	*ret = otherwise;
	if (s && str_to_u64(s, max, ret) < 0)
		return err_set(reterr, EINVAL, "cilium-config: %s is \"%.40s\", want a number up to %llu", key, s,
			       (unsigned long long)max);
	return 0;
}

static int read_routing(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const char *mode = value_of(map, "routing-mode", "tunnel");
	const char *protocol = value_of(map, "tunnel-protocol", "vxlan");
	uint64_t port;
	int r;

	if (value_of(map, "tunnel", NULL) && !value_of(map, "routing-mode", NULL))
		return err_set(reterr, EINVAL, "cilium-config: \"tunnel\" in place of \"routing-mode\" is of Cilium before 1.14, "
			       "and 1.15 is the oldest that hosts are known to work with");
	if (str_eq(mode, "native"))
		c->routing = CILIUM_NATIVE;
	else if (str_eq(mode, "tunnel") && str_eq(protocol, "vxlan"))
		c->routing = CILIUM_VXLAN;
	else if (str_eq(mode, "tunnel") && str_eq(protocol, "geneve"))
		c->routing = CILIUM_GENEVE;
	else
		return err_set(reterr, EINVAL, "cilium-config: routing-mode \"%.40s\" with tunnel-protocol "
			       "\"%.40s\" is not known to this version", mode, protocol);
	r = read_number(map, "tunnel-port", 0, 65535, &port, reterr);
	if (r < 0)
		return r;
	if (!port) /* as Cilium does: 0 stands for the protocol's own */
		port = c->routing == CILIUM_GENEVE ? 6081 : 8472;
	c->tunnel_port = (uint16_t)port;
	return 0;
}

static int read_cluster(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const char *name = value_of(map, "cluster-name", "default");
	uint64_t id, clusters, mtu;
	unsigned shift;
	int r;

	if (strlen(name) >= sizeof(c->cluster_name))
		return err_set(reterr, EINVAL, "cilium-config: cluster-name is too long");
	memcpy(c->cluster_name, name, strlen(name) + 1);
	r = read_number(map, "max-connected-clusters", CLUSTERS_SMALL, CLUSTERS_LARGE, &clusters, reterr);
	if (r == 0)
		r = read_number(map, "cluster-id", 0, clusters, &id, reterr);
	if (r == 0)
		r = read_number(map, "mtu", 0, 65535, &mtu, reterr);
	if (r < 0)
		return r;
	c->mtu = (uint32_t)mtu;
	c->cluster_id = (uint32_t)id;
	shift = clusters > CLUSTERS_SMALL ? 15 : 16;
	c->identity_min = id ? (uint32_t)id << shift : IDENTITY_MIN;
	c->identity_max = id ? ((uint32_t)(id + 1) << shift) - 1 : IDENTITY_MAX;
	return 0;
}

static int read_policy(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const struct {
		const char *key;
		bool *to;
	} counted[] = {
		{"enable-k8s-networkpolicy", &c->ignores_knp},
		{"enable-cilium-network-policy", &c->ignores_cnp},
		{"enable-cilium-clusterwide-network-policy", &c->ignores_ccnp},
	};
	const char *mode = value_of(map, "enable-policy", "default");
	const char *cidr_mode = value_of(map, "policy-cidr-match-mode", "");

	for (size_t i = 0; i < ARRAY_LEN(counted); i++) {
		bool is_counted = true;
		int r = read_bool(map, counted[i].key, true, &is_counted, reterr);

		if (r < 0)
			return r;
		*counted[i].to = !is_counted;
	}

	if (str_eq(mode, "default"))
		c->policy_mode = CILIUM_POLICY_DEFAULT;
	else if (str_eq(mode, "always"))
		c->policy_mode = CILIUM_POLICY_ALWAYS;
	else if (str_eq(mode, "never"))
		c->policy_mode = CILIUM_POLICY_NEVER;
	else
		return err_set(reterr, EINVAL, "cilium-config: enable-policy \"%.40s\" is not known", mode);
	c->cidr_matches_nodes = strstr(cidr_mode, "nodes") != NULL;
	c->cidr_matches_pods = strstr(cidr_mode, "pods") != NULL;
	return 0;
}

/* "100ms", "1s", "0", as it is ever written. No verdict depends on it, so that what is not understood is the default. */
static uint32_t delay_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	char number[8];
	uint64_t v;

	if (digits == 0 || digits >= sizeof(number))
		return FQDN_DELAY_MS;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (str_to_u64(number, UINT32_MAX, &v) < 0 || !(str_eq(unit, "ms") || str_eq(unit, "s") || (v == 0 && !*unit)))
		return FQDN_DELAY_MS;
	v *= str_eq(unit, "s") ? 1000 : 1;
	return (uint32_t)(v < FQDN_DELAY_MAX_MS ? v : FQDN_DELAY_MAX_MS);
}

static int read_names(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const struct {
		const char *key;
		uint64_t otherwise;
		uint32_t *to;
	} numbers[] = {
		{"tofqdns-min-ttl", 0, &c->fqdn_min_ttl_s},
		{"tofqdns-endpoint-max-ip-per-hostname", LIMIT_FQDN_IPS, &c->fqdn_max_ips},
		{"tofqdns-max-deferred-connection-deletes", LIMIT_FQDN_ZOMBIES, &c->fqdn_max_zombies},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint64_t v = 0;

		r = read_number(map, numbers[i].key, numbers[i].otherwise, UINT32_MAX, &v, reterr);
		*numbers[i].to = (uint32_t)v;
	}
	c->fqdn_delay_ms = delay_of(value_of(map, "tofqdns-proxy-response-max-delay", ""));
	c->has_fqdn_nxdomain = str_eq(value_of(map, "tofqdns-dns-reject-response-code", ""), "nameError");
	/*
	 * Nothing in here tells the version. Cilium's chart writes that key since 1.19, the version that the wildcard came
	 * with (cilium/cilium 43420), whatever its value; without it the narrower meaning is the safe one.
	 */
	c->has_subdomain_wildcard = value_of(map, "packetization-layer-pmtud-mode", NULL) != NULL;
	return r;
}

static int read_switches(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const struct {
		const char *key;
		bool otherwise;
		bool *to;
	} switches[] = {
		{"enable-ipv4", true, &c->has_ipv4},
		{"enable-ipv6", false, &c->has_ipv6},
		{"enable-cilium-endpoint-slice", false, &c->has_slices},
		{"enable-wireguard", false, &c->has_wireguard},
		{"enable-ipv4-masquerade", true, &c->has_masquerade},
		{"enable-ipv6-masquerade", true, &c->has_masquerade6},
		{"enable-bpf-masquerade", false, &c->has_bpf_masquerade},
		{"enable-ip-masq-agent", false, &c->has_masquerade_list},
		{"policy-default-local-cluster", true, &c->is_local_cluster_default},
		{"enable-icmp-rules", true, &c->has_icmp_rules},
		{"enable-sctp", false, &c->has_sctp},
		{"enable-extended-ip-protocols", false, &c->has_extended_protocols},
		{"enable-non-default-deny-policies", true, &c->has_non_default_deny},
		{"enable-node-selector-labels", false, &c->has_node_selector_labels},
		{"enable-l7-proxy", true, &c->has_l7_proxy},
		{"policy-audit-mode", false, &c->has_audit_mode},
		{"bpf-lb-algorithm-annotation", false, &c->has_algorithm_annotation},
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		int r = read_bool(map, switches[i].key, switches[i].otherwise, switches[i].to, reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

/* "strict", "partial", "probe" and "disabled" were the values before 1.14; partial ones named what they replace. */
static int read_replacement(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const char *mode = value_of(map, "kube-proxy-replacement", "false");
	bool has_node_port = false;
	int r = read_bool(map, "enable-node-port", false, &has_node_port, reterr);

	c->has_maglev = str_eq(value_of(map, "bpf-lb-algorithm", "random"), "maglev");
	c->has_kube_proxy_replacement = str_eq(mode, "true") || str_eq(mode, "strict") || has_node_port;
	return r;
}

static int read_range(const json_t *map, const char *key, int family, bool *ret_has, struct cidr *ret, struct err *reterr)
{
	const char *text = value_of(map, key, NULL);

	if (!text)
		return 0;
	if (cidr_parse(text, true, ret) < 0 || ret->ip.family != family)
		return err_set(reterr, EINVAL, "cilium-config: %s \"%.60s\" is no IPv%d range", key, text, family == AF_INET ? 4 : 6);
	*ret_has = true;
	return 0;
}

/* "ipv4" was the default up to Cilium 1.19, which needs IPv4 then; "auto" is that where there is IPv4. */
static int read_underlay(const json_t *map, struct cilium_config *c, struct err *reterr)
{
	const char *protocol = value_of(map, "underlay-protocol", "auto");

	if (!str_eq(protocol, "ipv4") && !str_eq(protocol, "ipv6") && !str_eq(protocol, "auto"))
		return err_set(reterr, EINVAL, "cilium-config: underlay-protocol \"%.40s\" is not known", protocol);
	c->has_ipv6_underlay = str_eq(protocol, "ipv6") || !c->has_ipv4;
	return 0;
}

int cilium_config_parse(const json_t *configmap, struct cilium_config *ret, struct err *reterr)
{
	struct cilium_config c;
	int r;

	memset(&c, 0, sizeof(c)); /* padding too: cilium_config_same() compares bytes */
	r = read_cluster(configmap, &c, reterr);
	if (r == 0)
		r = read_routing(configmap, &c, reterr);
	if (r == 0)
		r = read_policy(configmap, &c, reterr);
	if (r == 0)
		r = read_switches(configmap, &c, reterr);
	if (r == 0)
		r = read_names(configmap, &c, reterr);
	if (r == 0)
		r = read_replacement(configmap, &c, reterr);
	if (r == 0)
		r = read_range(configmap, "ipv4-native-routing-cidr", AF_INET, &c.has_native_cidr, &c.native_cidr, reterr);
	if (r == 0)
		r = read_range(configmap, "ipv6-native-routing-cidr", AF_INET6, &c.has_native_cidr6, &c.native_cidr6, reterr);
	if (r == 0)
		r = read_underlay(configmap, &c, reterr);
	if (r < 0)
		return r;
	memcpy(ret, &c, sizeof(c));
	return 0;
}

/* Where the findings go. */
struct verdict {
	struct strv *warnings;
	struct err *err;
};

static int take_finding(const struct cilium_finding *f, void *arg)
{
	struct verdict *v = arg;
	CLEANUP(free) char *text = NULL;

	if (f->fit == CILIUM_REFUSED)
		return err_set(v->err, EOPNOTSUPP, "this cluster cannot be joined: cilium-config has %s=%.40s; %s", f->key, f->value,
			       f->why);
	if (!f->is_lasting)
		return 0;
	text = str_printf("%s: %s", f->key, f->why);
	return text ? strv_add(v->warnings, text) : -ENOMEM;
}

int cilium_config_check(const json_t *configmap, const struct cilium_config *c, struct strv *warnings,
			struct err *reterr)
{
	struct verdict v = {.warnings = warnings, .err = reterr};

	return cilium_fit_each(configmap, c, take_finding, &v);
}

bool cilium_config_same(const struct cilium_config *a, const struct cilium_config *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
