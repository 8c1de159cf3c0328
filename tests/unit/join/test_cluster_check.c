/* SPDX-License-Identifier: Apache-2.0 */
/* What of a cluster fits hosts, what is degraded, what is refused: versions, configurations and resources as they are found. */
#include <criterion/criterion.h>
#include <errno.h>

#include "join/cluster_check.h"
#include "json/json.h"

/* "fit key=value" of the findings that are not of the kind "fits", "; " between. */
static char *what_differs(const json_t *findings)
{
	char *text = strdup("");
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)findings, i, v)
	{
		char *more;

		cr_expect(*json_str(v, "key", "") && *json_str(v, "reason", ""), "a finding without key or reason");
		if (str_eq(json_str(v, "fit", ""), "fits"))
			continue;
		more = str_printf("%s%s%s %s=%s", text, *text ? "; " : "", json_str(v, "fit", ""), json_str(v, "key", ""),
				  json_str(v, "value", ""));
		free(text);
		text = more;
	}
	return text;
}

static void expect(const json_t *findings, const char *differs, enum cilium_fit worst)
{
	CLEANUP(free) char *have = what_differs(findings);

	cr_expect_str_eq(have, differs);
	cr_expect_eq(cluster_check_worst(findings), worst, "%s", have);
}

Test(cluster_check, kubernetes)
{
	static const struct {
		const char *major, *minor, *version, *differs;
	} cases[] = {
		{"1", "36", "v1.36.3", ""},
		{"1", "30+", "v1.30.4-eks-1", ""},
		{"2", "0", "v2.0.0", ""},
		{"1", "29", "v1.29.9", "refused Kubernetes version=v1.29.9"},
		{"1", "29+", "v1.29.9-gke.1", "refused Kubernetes version=v1.29.9-gke.1"},
		{"0", "99", "v0.99", "refused Kubernetes version=v0.99"},
		{"", "", "v?", "refused Kubernetes version=v?"},
		{"1", "99999999999", "v1.x", "refused Kubernetes version=v1.x"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *findings = json_array();
		CLEANUP(json_decref) json_t *version =
			json_pack("{s:s, s:s, s:s}", "major", cases[i].major, "minor", cases[i].minor, "gitVersion", cases[i].version);

		cr_assert_eq(cluster_check_version(findings, version), 0);
		expect(findings, cases[i].differs, *cases[i].differs ? CILIUM_REFUSED : CILIUM_FITS);
		cr_expect_eq(json_array_size(findings), 1);
	}
}

Test(cluster_check, configuration)
{
	static const struct {
		const char *data, *differs;
		enum cilium_fit worst;
	} cases[] = {
		{"{}", "", CILIUM_FITS},
		{"{\"ipam\":\"cluster-pool\",\"routing-mode\":\"tunnel\",\"tunnel-protocol\":\"geneve\"}", "", CILIUM_FITS},
		{"{\"identity-allocation-mode\":\"doublewrite-readcrd\"}",
		 "degraded identity-allocation-mode=doublewrite-readcrd", CILIUM_DEGRADED},
		{"{\"identity-management-mode\":\"operator\"}", "", CILIUM_FITS},
		{"{\"mesh-auth-enabled\":\"true\"}", "", CILIUM_FITS},
		{"{\"enable-high-scale-ipcache\":\"true\"}", "refused enable-high-scale-ipcache=true", CILIUM_REFUSED},
		{"{\"enable-policy\":\"never\",\"enable-k8s-networkpolicy\":\"false\",\"enable-k8s-cluster-network-policy\":\"true\"}",
		 "degraded enable-policy=never; degraded enable-k8s-networkpolicy=false; degraded enable-k8s-cluster-network-policy=true",
		 CILIUM_DEGRADED},
		{"{\"enable-cilium-network-policy\":\"false\",\"enable-cilium-clusterwide-network-policy\":\"false\"}",
		 "degraded enable-cilium-network-policy=false; degraded enable-cilium-clusterwide-network-policy=false", CILIUM_DEGRADED},
		{"{\"underlay-protocol\":\"ipv6\",\"enable-ipv6\":\"true\"}", "", CILIUM_FITS},
		{"{\"underlay-protocol\":\"none\"}", "refused cilium-config=", CILIUM_REFUSED},
		{"{\"identity-allocation-mode\":\"kvstore\"}", "refused identity-allocation-mode=kvstore", CILIUM_REFUSED},
		{"{\"enable-ipsec\":\"true\",\"mesh-auth-mutual-enabled\":\"true\",\"ces-controller-mode\":\"slim\","
		 "\"enable-cilium-endpoint-slice\":\"true\"}",
		 "refused ces-controller-mode=slim; refused enable-ipsec=true; degraded mesh-auth-mutual-enabled=true", CILIUM_REFUSED},
		{"{\"ces-controller-mode\":\"slim\"}", "", CILIUM_FITS},
		{"{\"enable-cilium-node-crd\":\"false\",\"disable-endpoint-crd\":\"true\"}",
		 "refused disable-endpoint-crd=true; refused enable-cilium-node-crd=false", CILIUM_REFUSED},
		{"{\"enable-wireguard\":\"true\"}", "refused enable-wireguard=true", CILIUM_REFUSED},
		{"{\"enable-wireguard\":\"true\",\"routing-mode\":\"native\",\"enable-ipv4-masquerade\":\"false\"}",
		 "degraded enable-wireguard=true", CILIUM_DEGRADED},
		{"{\"enable-wireguard\":\"true\",\"routing-mode\":\"native\",\"enable-encryption-strict-mode\":\"true\","
		 "\"enable-encryption-strict-mode-ingress\":\"true\"}",
		 "degraded enable-wireguard=true; degraded enable-encryption-strict-mode=true; "
		 "degraded enable-encryption-strict-mode-ingress=true", CILIUM_DEGRADED},
		{"{\"routing-mode\":\"native\",\"ipv4-native-routing-cidr\":\"10.0.0.0/8\",\"enable-bpf-masquerade\":\"true\"}",
		 "degraded ipv4-native-routing-cidr=10.0.0.0/8", CILIUM_DEGRADED},
		{"{\"routing-mode\":\"native\",\"enable-bpf-masquerade\":\"true\",\"enable-ipv6\":\"true\"}",
		 "degraded ipv4-native-routing-cidr=; degraded ipv6-native-routing-cidr=", CILIUM_DEGRADED},
		{"{\"routing-mode\":\"native\"}", "", CILIUM_FITS},
		{"{\"routing-mode\":\"native\",\"ipv4-native-routing-cidr\":\"0.0.0.0/0\",\"enable-bpf-masquerade\":\"true\"}", "",
		 CILIUM_FITS},
		{"{\"ipam\":\"eni\",\"policy-audit-mode\":\"true\",\"enable-ztunnel\":\"true\"}",
		 "degraded policy-audit-mode=true; degraded enable-ztunnel=true; degraded ipam=eni", CILIUM_DEGRADED},
		{"{\"cluster-id\":\"many\"}", "refused cilium-config=", CILIUM_REFUSED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *findings = json_array();
		CLEANUP(json_decref) json_t *map = json_pack("{s:o}", "data", json_loads(cases[i].data, 0, NULL));

		cr_assert_eq(cluster_check_config(findings, map), 0);
		expect(findings, cases[i].differs, cases[i].worst);
	}
}

/* What enrolment refuses is refused here, with the same key; and nothing else is. */
Test(cluster_check, says_what_enrolment_does)
{
	static const char *const configs[] = {
		"{}", "{\"enable-ipsec\":\"true\"}", "{\"enable-wireguard\":\"true\"}", "{\"mesh-auth-enabled\":\"true\"}",
		"{\"identity-allocation-mode\":\"kvstore\"}", "{\"routing-mode\":\"other\"}", "{\"routing-mode\":\"native\"}"};

	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		CLEANUP(json_decref) json_t *findings = json_array();
		CLEANUP(json_decref) json_t *map = json_pack("{s:o}", "data", json_loads(configs[i], 0, NULL));
		CLEANUP(strv_done) struct strv warnings = {0};
		struct cilium_config c;
		struct err err = {0};
		int r = cilium_config_parse(map, &c, &err);

		if (r == 0)
			r = cilium_config_check(map, &c, &warnings, &err);
		cr_assert_eq(cluster_check_config(findings, map), 0);
		cr_expect_eq(cluster_check_worst(findings) == CILIUM_REFUSED, r < 0, "%s: %d %s", configs[i], r, err.text);
	}
}

Test(cluster_check, no_configuration)
{
	CLEANUP(json_decref) json_t *findings = json_array();

	cr_assert_eq(cluster_check_config(findings, NULL), 0);
	expect(findings, "refused cilium-config=", CILIUM_REFUSED);
}

static void add_crd(json_t *crds, const char *plural, const char *version, bool is_served, const char *schema)
{
	json_t *crd = json_pack("{s:{s:o, s:{s:s}}, s:{s:s, s:[{s:s, s:b}]}}", "metadata", "name", json_sprintf("%s.cilium.io", plural),
				"labels", "io.cilium.k8s.crd.schema.version", schema, "spec", "group", "cilium.io", "versions", "name",
				version, "served", (int)is_served);

	cr_assert_eq(json_array_append_new(crds, crd), 0);
}

static json_t *crds_of(const char *schema, const char *without)
{
	static const struct {
		const char *plural, *version;
	} all[] = {{"ciliumidentities", "v2"}, {"ciliumnodes", "v2"}, {"ciliumendpoints", "v2"},
		   {"ciliumnetworkpolicies", "v2"}, {"ciliumclusterwidenetworkpolicies", "v2"}, {"ciliumcidrgroups", "v2"},
		   {"ciliumendpointslices", "v2alpha1"}};
	json_t *crds = json_array();

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!str_eq(all[i].plural, without))
			add_crd(crds, all[i].plural, all[i].version, true, schema);
	return crds;
}

Test(cluster_check, resources)
{
#define SCHEMA "io.cilium.k8s.crd.schema.version"
	static const struct {
		const char *schema, *without, *differs;
		bool has_slices;
		enum cilium_fit worst;
	} cases[] = {
		{"1.33.12", "", "", true, CILIUM_FITS},
		{"1.31.11", "ciliumendpointslices", "", false, CILIUM_FITS},
		{"1.31.11", "ciliumendpointslices", "refused ciliumendpointslices.cilium.io=no v2alpha1", true, CILIUM_REFUSED},
		{"1.33.0", "ciliumendpoints", "refused ciliumendpoints.cilium.io=no v2", false, CILIUM_REFUSED},
		{"1.30.8", "ciliumcidrgroups", "degraded ciliumcidrgroups.cilium.io=no v2", false, CILIUM_DEGRADED},
		{"1.28.3", "", "", false, CILIUM_FITS},
		{"1.27.1", "", "degraded " SCHEMA "=1.27.1 (Cilium 1.14)", false, CILIUM_DEGRADED},
		{"1.34.1", "", "degraded " SCHEMA "=1.34.1 (Cilium 1.21)", false, CILIUM_DEGRADED},
		{"1.26.1", "", "degraded " SCHEMA "=1.26.1", false, CILIUM_DEGRADED},
		{"x", "", "degraded " SCHEMA "=x", false, CILIUM_DEGRADED},
		{"1", "", "degraded " SCHEMA "=1", false, CILIUM_DEGRADED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *findings = json_array();
		CLEANUP(json_decref) json_t *crds = crds_of(cases[i].schema, cases[i].without);

		cr_assert_eq(cluster_check_crds(findings, crds, cases[i].has_slices), 0);
		expect(findings, cases[i].differs, cases[i].worst);
	}
}

/* Cilium before 1.18 has address groups in an older version. */
Test(cluster_check, older_groups)
{
	CLEANUP(json_decref) json_t *findings = json_array();
	CLEANUP(json_decref) json_t *crds = crds_of("1.28.3", "ciliumcidrgroups");

	add_crd(crds, "ciliumcidrgroups", "v2alpha1", true, "1.28.3");
	cr_assert_eq(cluster_check_crds(findings, crds, false), 0);
	expect(findings, "", CILIUM_FITS);
}

Test(cluster_check, admission)
{
	static const struct {
		const char *resources;
		enum cilium_fit worst;
	} cases[] = {
		{"{\"resources\":[{\"name\":\"mutatingwebhookconfigurations\"},{\"name\":\"validatingadmissionpolicies\"}]}", CILIUM_FITS},
		{"{\"resources\":[{\"name\":\"mutatingwebhookconfigurations\"}]}", CILIUM_REFUSED},
		{"null", CILIUM_REFUSED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *findings = json_array();
		CLEANUP(json_decref) json_t *resources = json_loads(cases[i].resources, JSON_DECODE_ANY, NULL);

		cr_assert_eq(cluster_check_admission(findings, resources), 0);
		expect(findings, cases[i].worst == CILIUM_FITS ? "" : "refused ValidatingAdmissionPolicy=", cases[i].worst);
	}
	{
		CLEANUP(json_decref) json_t *findings = json_array();

		cr_assert_eq(cluster_check_admission(findings, NULL), 0);
		cr_expect_eq(cluster_check_worst(findings), CILIUM_REFUSED);
	}
}

/* A few of many are named. */
Test(cluster_check, node_configs)
{
	CLEANUP(json_decref) json_t *findings = json_array();
	CLEANUP(json_decref) json_t *configs = json_array();

	cr_assert_eq(cluster_check_node_configs(findings, configs), 0);
	expect(findings, "", CILIUM_FITS);
	for (unsigned i = 0; i < 7; i++)
		cr_assert_eq(json_array_append_new(configs, json_pack("{s:{s:o}}", "metadata", "name", json_sprintf("c%u", i))), 0);
	cr_assert_eq(cluster_check_node_configs(findings, configs), 0);
	expect(findings, "degraded CiliumNodeConfig=c0, c1, c2, c3, c4", CILIUM_DEGRADED);
}

/* A version that is there but not served is none. */
Test(cluster_check, not_served)
{
	CLEANUP(json_decref) json_t *findings = json_array();
	CLEANUP(json_decref) json_t *crds = crds_of("1.33.12", "ciliumnodes");

	add_crd(crds, "ciliumnodes", "v2", false, "1.33.12");
	cr_assert_eq(cluster_check_crds(findings, crds, false), 0);
	expect(findings, "refused ciliumnodes.cilium.io=no v2", CILIUM_REFUSED);
}
