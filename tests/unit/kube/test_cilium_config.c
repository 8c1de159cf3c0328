/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/macro.h"
#include "json/json.h"
#include "kube/cilium_config.h"
#include "kube/cilium_fit.h"

/* A ConfigMap from "key", "value" pairs ended by NULL. */
static json_t *config(const char *const *pairs)
{
	json_t *data = json_object();

	for (; pairs && pairs[0]; pairs += 2)
		cr_assert_eq(json_object_set_new(data, pairs[0], json_string(pairs[1])), 0);
	return json_pack("{s:o}", "data", data);
}

static int parse(const char *const *pairs, struct cilium_config *ret, struct err *err)
{
	CLEANUP(json_decref) json_t *map = config(pairs);

	return cilium_config_parse(map, ret, err);
}

Test(cilium_config, defaults)
{
	struct cilium_config c, d;
	CLEANUP(json_decref) json_t *nothing = json_object();

	cr_assert_eq(parse(NULL, &c, NULL), 0);
	cr_expect_str_eq(c.cluster_name, "default");
	cr_expect_eq(c.cluster_id, 0);
	cr_expect_eq(c.identity_min, 256);
	cr_expect_eq(c.identity_max, 65535);
	cr_expect_eq(c.routing, CILIUM_VXLAN);
	cr_expect_eq(c.tunnel_port, 8472);
	cr_expect(c.has_ipv4 && !c.has_ipv6 && !c.has_slices && !c.has_wireguard && c.has_masquerade);
	cr_expect_eq(c.policy_mode, CILIUM_POLICY_DEFAULT);
	cr_expect(!c.cidr_matches_nodes && !c.cidr_matches_pods && !c.has_native_cidr && !c.has_native_cidr6);
	cr_expect(!c.has_bpf_masquerade && !c.has_masquerade_list && c.has_masquerade6);
	cr_expect(!c.ignores_knp && !c.ignores_cnp && !c.ignores_ccnp && !c.has_ipv6_underlay);
	cr_assert_eq(cilium_config_parse(nothing, &d, NULL), 0);
	cr_expect(cilium_config_same(&c, &d));
}

Test(cilium_config, kube_proxy_replacement)
{
	static const struct {
		const char *mode, *node_port;
		bool want;
	} cases[] = {{"true", "", true},     {"strict", "", true},    {"false", "", false},	{"disabled", "", false},
		     {"partial", "", false}, {"partial", "true", true}, {"probe", "false", false}, {"", "", false}};
	static const char *const bad[] = {"enable-node-port", "maybe", NULL};
	struct cilium_config c;
	struct err err = {0};

	cr_assert_eq(parse(NULL, &c, NULL), 0);
	cr_expect_not(c.has_kube_proxy_replacement);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const pairs[] = {"kube-proxy-replacement", cases[i].mode, "enable-node-port", cases[i].node_port, NULL};

		cr_assert_eq(parse(pairs, &c, NULL), 0);
		cr_expect_eq(c.has_kube_proxy_replacement, cases[i].want, "%s, %s", cases[i].mode, cases[i].node_port);
	}
	cr_expect_eq(parse(bad, &c, &err), -EINVAL);
}

Test(cilium_config, names)
{
	static const char *const set[] = {"tofqdns-min-ttl", "3600", "tofqdns-endpoint-max-ip-per-hostname", "50",
					  "tofqdns-max-deferred-connection-deletes", "7", "tofqdns-proxy-response-max-delay",
					  "250ms", "tofqdns-dns-reject-response-code", "nameError", NULL};
	static const struct {
		const char *text;
		uint32_t ms;
	} delays[] = {{"1s", 1000}, {"0", 0}, {"0s", 0}, {"5s", 1000}, {"1m0s", 100}, {"x", 100}, {"99999999ms", 100}, {"100", 100}};
	static const char *const bad[] = {"tofqdns-min-ttl", "-1", NULL};
	static const char *const since_1_19[] = {"packetization-layer-pmtud-mode", "blackhole", NULL};
	struct cilium_config c;
	struct err err = {0};

	cr_assert_eq(parse(since_1_19, &c, NULL), 0);
	cr_expect(c.has_subdomain_wildcard);
	cr_assert_eq(parse(NULL, &c, NULL), 0);
	cr_expect(!c.has_subdomain_wildcard, "not known to have it");
	cr_expect(c.fqdn_min_ttl_s == 0 && c.fqdn_max_ips == 1000 && c.fqdn_max_zombies == 10000 && c.fqdn_delay_ms == 100);
	cr_expect(!c.has_fqdn_nxdomain);
	cr_assert_eq(parse(set, &c, NULL), 0);
	cr_expect(c.fqdn_min_ttl_s == 3600 && c.fqdn_max_ips == 50 && c.fqdn_max_zombies == 7 && c.fqdn_delay_ms == 250);
	cr_expect(c.has_fqdn_nxdomain);
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		const char *const pairs[] = {"tofqdns-proxy-response-max-delay", delays[i].text, NULL};

		cr_assert_eq(parse(pairs, &c, NULL), 0);
		cr_expect_eq(c.fqdn_delay_ms, delays[i].ms, "%s: %u", delays[i].text, c.fqdn_delay_ms);
	}
	cr_expect_eq(parse(bad, &c, &err), -EINVAL);
}

Test(cilium_config, values)
{
	static const char *const pairs[] = {
		"cluster-name", "north", "cluster-id", "7", "routing-mode", "native", "mtu", "1400", "enable-ipv6", "true",
		"enable-policy", "always", "policy-cidr-match-mode", "nodes,pods", "ipv4-native-routing-cidr",
		"10.0.0.0/8", "enable-cilium-endpoint-slice", "true", "policy-audit-mode", "true", NULL};
	static const char *const geneve[] = {"tunnel-protocol", "geneve", "max-connected-clusters", "511", "cluster-id", "511",
					     NULL};
	static const char *const zero_port[] = {"tunnel-port", "0", "enable-ipv4", "", NULL};
	struct cilium_config c, d;

	cr_assert_eq(parse(pairs, &c, NULL), 0);
	cr_expect_str_eq(c.cluster_name, "north");
	cr_expect_eq(c.identity_min, 7 << 16);
	cr_expect_eq(c.identity_max, (8 << 16) - 1);
	cr_expect_eq(c.routing, CILIUM_NATIVE);
	cr_expect_eq(c.mtu, 1400);
	cr_expect(c.has_ipv6 && c.has_slices && c.has_native_cidr && c.has_audit_mode);
	cr_expect(c.cidr_matches_nodes && c.cidr_matches_pods);
	cr_expect_eq(c.native_cidr.len, 8);
	cr_expect_eq(c.policy_mode, CILIUM_POLICY_ALWAYS);
	cr_assert_eq(parse(geneve, &d, NULL), 0);
	cr_expect_eq(d.routing, CILIUM_GENEVE);
	cr_expect_eq(d.tunnel_port, 6081);
	cr_expect_eq(d.identity_min, 511 << 15);
	cr_expect_eq(d.identity_max, (512 << 15) - 1);
	cr_expect_not(cilium_config_same(&c, &d));
	cr_assert_eq(parse(zero_port, &d, NULL), 0);
	cr_expect_eq(d.tunnel_port, 8472, "0 is Cilium's own default");
	cr_expect(d.has_ipv4, "empty is absent");
}

Test(cilium_config, what_cannot_be_understood)
{
	static const char *const cases[][3] = {
		{"enable-ipv4", "yes"},		    {"enable-ipv6", "True"},
		{"enable-wireguard", "1"},	    {"routing-mode", "hybrid"},
		{"tunnel-protocol", "gre"},	    {"tunnel-port", "65536"},
		{"tunnel-port", "x"},		    {"cluster-id", "256"},
		{"cluster-id", "-1"},		    {"max-connected-clusters", "512"},
		{"mtu", "99999"},		    {"enable-policy", "sometimes"},
		{"ipv4-native-routing-cidr", "x"},  {"ipv4-native-routing-cidr", "10.0.0.0/33"},
		{"cluster-name", "0123456789012345678901234567890123456789012345678901234567890123"},
		{"policy-audit-mode", "on"},	    {"enable-bpf-masquerade", "yes"},
		{"ipv4-native-routing-cidr", "fd00::/8"}, {"ipv6-native-routing-cidr", "10.0.0.0/8"},
		{"underlay-protocol", "ipx"},	    {"enable-k8s-networkpolicy", "no"},
		{"tunnel", "disabled"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cilium_config c = {.cluster_id = 4711};
		struct err err = {0};

		cr_expect_eq(parse(cases[i], &c, &err), -EINVAL, "%s=%s", cases[i][0], cases[i][1]);
		cr_expect(strstr(err.text, cases[i][0]), "\"%s\" names %s", err.text, cases[i][0]);
		cr_expect_eq(c.cluster_id, 4711, "written only on success");
	}
}

Test(cilium_config, check)
{
	static const struct {
		const char *pairs[7];
		const char *text; /* of the refusal; NULL = served */
		size_t warnings;
	} cases[] = {
		{{NULL}, NULL, 0},
		{{"identity-allocation-mode", "crd"}, NULL, 0},
		{{"tunnel", "disabled", "routing-mode", "native"}, NULL, 0}, /* Cilium 1.14 had both */
		{{"identity-allocation-mode", "doublewrite-readcrd"}, NULL, 0},
		{{"identity-allocation-mode", "kvstore"}, "identity-allocation-mode", 0},
		{{"identity-allocation-mode", "doublewrite-readkvstore"}, "identity-allocation-mode", 0},
		{{"enable-ipsec", "true"}, "enable-ipsec", 0},
		{{"enable-ipsec", "false"}, NULL, 0},
		{{"disable-endpoint-crd", "true"}, "disable-endpoint-crd", 0},
		{{"ces-controller-mode", "slim", "enable-cilium-endpoint-slice", "true"}, "ces-controller-mode", 0},
		{{"ces-controller-mode", "slim"}, NULL, 0},
		{{"enable-high-scale-ipcache", "true"}, "enable-high-scale-ipcache", 0},
		{{"enable-k8s-cluster-network-policy", "true"}, NULL, 1},
		{{"ces-controller-mode", "default"}, NULL, 0},
		{{"enable-cilium-node-crd", "false"}, "enable-cilium-node-crd", 0},
		{{"enable-wireguard", "true"}, "enable-wireguard", 0},
		{{"enable-wireguard", "true", "routing-mode", "native"}, NULL, 1},
		{{"enable-wireguard", "true", "routing-mode", "native", "enable-encryption-strict-mode-egress", "true"}, NULL, 2},
		{{"enable-encryption-strict-mode-egress", "true"}, NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *map = config(cases[i].pairs);
		CLEANUP(strv_done) struct strv warnings = {0};
		struct cilium_config c;
		struct err err = {0};

		cr_assert_eq(cilium_config_parse(map, &c, &err), 0, "%s", err.text);
		cr_expect_eq(cilium_config_check(map, &c, &warnings, &err), cases[i].text ? -EOPNOTSUPP : 0, "case %zu", i);
		if (cases[i].text)
			cr_expect(strstr(err.text, cases[i].text), "%s", err.text);
		cr_expect_eq(warnings.n, cases[i].warnings, "case %zu", i);
	}
}

/* Only BPF masquerading of native routing takes a pod's address away on the way to a host. */
Test(cilium_config, masquerading)
{
	static const struct {
		const char *pairs[11], *range, *key;
	} cases[] = {
		{{"routing-mode", "native", "enable-bpf-masquerade", "true"}, "172.19.100.2/32", "ipv4-native-routing-cidr"},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true", "ipv4-native-routing-cidr", "172.16.0.0/12"},
		 "172.19.100.2/32", NULL},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true", "ipv4-native-routing-cidr", "172.19.100.0/25"},
		 "172.19.100.0/24", "ipv4-native-routing-cidr"},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true", "enable-ipv4-masquerade", "false"}, "172.19.100.2/32", NULL},
		{{"routing-mode", "native"}, "172.19.100.2/32", NULL},
		{{"routing-mode", "tunnel", "enable-bpf-masquerade", "true"}, "172.19.100.2/32", NULL},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true"}, "fd00::2/128", NULL},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true", "enable-ipv6", "true"}, "fd00::2/128",
		 "ipv6-native-routing-cidr"},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true", "enable-ipv6", "true", "ipv6-native-routing-cidr", "fd00::/16"},
		 "fd00::2/128", NULL},
		{{"routing-mode", "native", "enable-bpf-masquerade", "true", "enable-ipv6", "true", "enable-ipv6-masquerade", "false"},
		 "fd00::2/128", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cilium_config c;
		struct cidr range;
		struct err err = {0};
		const char *key;

		cr_assert_eq(parse(cases[i].pairs, &c, &err), 0, "%s", err.text);
		cr_assert_eq(cidr_parse(cases[i].range, true, &range), 0);
		key = cilium_masquerades(&c, &range);
		cr_expect_eq(!key, !cases[i].key, "case %zu", i);
		if (key && cases[i].key)
			cr_expect_str_eq(key, cases[i].key, "case %zu", i);
	}
}

Test(cilium_config, policies_that_count_for_nothing)
{
	static const char *const pairs[] = {"enable-k8s-networkpolicy", "false", "enable-cilium-network-policy", "false",
					    "enable-cilium-clusterwide-network-policy", "false", NULL};
	struct cilium_config c;

	cr_assert_eq(parse(pairs, &c, NULL), 0);
	cr_expect(c.ignores_knp && c.ignores_cnp && c.ignores_ccnp);
}

Test(cilium_config, underlay)
{
	static const struct {
		const char *pairs[7];
		bool is_six;
	} cases[] = {
		{{NULL}, false},
		{{"underlay-protocol", "ipv4"}, false},
		{{"underlay-protocol", "ipv6", "enable-ipv6", "true"}, true},
		{{"underlay-protocol", "auto", "enable-ipv6", "true"}, false},
		{{"underlay-protocol", "auto", "enable-ipv6", "true", "enable-ipv4", "false"}, true},
		{{"enable-ipv6", "true", "enable-ipv4", "false"}, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cilium_config c;

		cr_assert_eq(parse(cases[i].pairs, &c, NULL), 0);
		cr_expect_eq(c.has_ipv6_underlay, cases[i].is_six, "case %zu", i);
	}
}
