/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of enrolment; the rest is tried against a real API server by tests/cluster/enrol.sh. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "join/address_check.h"
#include "join/enrol_identity.h"
#include "join/enrol_objects.h"
#include "join/manifests.h"
#include "json/json.h"

Test(addresses, lists)
{
	CLEANUP(address_list_done) struct address_list l = {0};
	CLEANUP(free) char *text = NULL;
	struct err err = {0};

	cr_assert_eq(address_list_parse("fd00::2,172.19.100.2,10.1.2.0/24,172.19.100.2/32", &l, &err), 0, "%s", err.text);
	text = address_list_str(&l);
	cr_expect_str_eq(text, "10.1.2.0/24,172.19.100.2/32,fd00::2/128");
}

Test(addresses, what_is_refused)
{
	static const char *const bad[] = {"",	      "x",	  "127.0.0.1", "::1",	      "fe80::1", "224.0.0.1", "0.0.0.0/0",
					  "10.0.0.0/8", "::/0",	  "fd00::/32", "10.1.2.3/33", "10.1.2",	 "1.2.3.4 "};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(address_list_done) struct address_list l = {0};
		struct err err = {0};

		cr_expect_eq(address_list_parse(bad[i], &l, &err), -EINVAL, "%s", bad[i]);
		cr_expect_neq(err.text[0], '\0');
		cr_expect_eq(l.n, 0);
	}
}

static json_t *config_map(const char *json)
{
	json_t *data = json_parse(json, strlen(json));

	cr_assert_neq(data, NULL, "%s", json);
	return json_pack("{s:o}", "data", data);
}

Test(cluster, pod_ranges_are_read)
{
	CLEANUP(json_decref) json_t *cm = config_map("{\"cluster-pool-ipv4-cidr\":\"10.244.0.0/16, 10.245.0.0/16\","
						     "\"cluster-pool-ipv6-cidr\":\"fd00::/104\"}");
	CLEANUP(cluster_info_done) struct cluster_info c = {0};
	struct err err = {0};

	cr_assert_eq(cluster_info_read(cm, &c, &err), 0, "%s", err.text);
	cr_assert_eq(c.pod_ranges.n, 3);
	cr_expect_eq(c.pod_ranges.v[1].len, 16);
}

Test(cluster, what_is_refused)
{
	static const struct {
		const char *json;
		int r;
	} bad[] = {
		{"{\"identity-allocation-mode\":\"kvstore\"}", -EOPNOTSUPP},
		{"{\"enable-ipsec\":\"true\"}", -EOPNOTSUPP},
		{"{\"disable-endpoint-crd\":\"true\"}", -EOPNOTSUPP},
		{"{\"enable-cilium-endpoint-slice\":\"true\",\"ces-controller-mode\":\"slim\"}", -EOPNOTSUPP},
		{"{\"cluster-pool-ipv4-cidr\":\"many\"}", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(json_decref) json_t *cm = config_map(bad[i].json);
		CLEANUP(cluster_info_done) struct cluster_info c = {0};
		struct err err = {0};

		cr_expect_eq(cluster_info_read(cm, &c, &err), bad[i].r, "%s", bad[i].json);
		cr_expect_neq(err.text[0], '\0');
	}
}

Test(cluster, masquerading_is_told)
{
	CLEANUP(json_decref) json_t *cm = config_map("{\"routing-mode\":\"native\",\"ipv4-native-routing-cidr\":\"10.0.0.0/8\","
						       "\"enable-bpf-masquerade\":\"true\"}");
	CLEANUP(cluster_info_done) struct cluster_info c = {0};
	struct cidr in, out;
	size_t before;

	cr_assert_eq(cluster_info_read(cm, &c, NULL), 0);
	cr_assert_eq(cidr_parse("10.1.2.3", true, &in), 0);
	cr_assert_eq(cidr_parse("192.0.2.3", true, &out), 0);
	before = c.warnings.n;
	cr_assert_eq(cluster_info_warn_addresses(&c, &in, 1), 0);
	cr_expect_eq(c.warnings.n, before);
	cr_assert_eq(cluster_info_warn_addresses(&c, &out, 1), 0);
	cr_assert_eq(c.warnings.n, before + 1);
	cr_expect_neq(strstr(c.warnings.v[before], "192.0.2.3/32"), NULL);
}

Test(cluster, an_address_that_the_tunnel_cannot_use_is_told)
{
	static const struct {
		const char *config, *address;
		bool is_told;
	} cases[] = {
		{"{\"enable-ipv6\":\"true\"}", "192.0.2.3", false},
		{"{\"enable-ipv6\":\"true\"}", "fd00::3", true},
		{"{\"enable-ipv6\":\"true\",\"underlay-protocol\":\"ipv6\"}", "192.0.2.3", true},
		{"{\"enable-ipv6\":\"true\",\"underlay-protocol\":\"ipv6\"}", "fd00::3", false},
		{"{\"enable-ipv6\":\"true\",\"routing-mode\":\"native\"}", "fd00::3", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decref) json_t *cm = config_map(cases[i].config);
		CLEANUP(cluster_info_done) struct cluster_info c = {0};
		struct cidr address;

		cr_assert_eq(cluster_info_read(cm, &c, NULL), 0);
		cr_assert_eq(cidr_parse(cases[i].address, true, &address), 0);
		cr_assert_eq(cluster_info_warn_addresses(&c, &address, 1), 0);
		cr_expect_eq(c.warnings.n, cases[i].is_told ? 1 : 0, "case %zu", i);
	}
}

Test(identity, labels_are_as_for_a_pod)
{
	CLEANUP(json_decref) json_t *labels = json_pack("{s:s}", "jedi", "luke");
	CLEANUP(json_decref) json_t *ns = json_pack("{s:{s:s, s:{s:s}}}", "metadata", "name", "legacy", "labels", "team", "rebels");
	CLEANUP(json_decref) json_t *o = enrol_security_labels(labels, ns, "blue", "sa");
	CLEANUP(json_decref) json_t *list = enrol_identity_labels(o);
	CLEANUP(free) char *text = json_text(list);

	cr_expect_str_eq(text, "[\"k8s:io.cilium.k8s.namespace.labels.team=rebels\",\"k8s:io.cilium.k8s.policy.cluster=blue\","
			       "\"k8s:io.cilium.k8s.policy.serviceaccount=sa\",\"k8s:io.kubernetes.pod.namespace=legacy\",\"k8s:jedi=luke\"]");
}

static struct enrol_spec spec(const struct strv *services, const json_t *labels)
{
	return (struct enrol_spec){.host = "ahch-to", .namespace = "legacy", .addresses = "172.19.100.2/32", .labels = "jedi=luke",
				   .services = services, .identity = 51000, .security_labels = labels, .anchor_uid = "u1", .node_uid = "u2"};
}

/* Every grant names its object; only what is created in the own namespace, slices and Events, cannot. */
Test(objects, every_rule_is_limited_by_name)
{
	CLEANUP(strv_done) struct strv services = {0};
	CLEANUP(json_decref) json_t *labels = json_pack("{s:s}", "k8s:jedi", "luke");
	CLEANUP(json_decref) json_t *all = NULL;
	struct enrol_spec e = spec(&services, labels);
	unsigned unnamed = 0, rules = 0;
	const char *what;
	json_t *o, *rule;
	size_t i, k;

	cr_assert_eq(strv_add(&services, "web"), 0);
	all = enrol_access_objects(&e);
	cr_assert_neq(all, NULL);
	json_array_foreach(all, i, o)
	{
		cr_expect_str_eq(json_str(json_array_get(json_at(o, "metadata.ownerReferences"), 0), "uid", ""), "u2");
		json_array_foreach(json_object_get(o, "rules"), k, rule)
		{
			rules++;
			if (json_array_size(json_object_get(rule, "resourceNames")) == 1)
				continue;
			unnamed++;
			what = json_string_value(json_array_get(json_object_get(rule, "resources"), 0));
			cr_expect(what && (str_eq(what, "endpointslices") || str_eq(what, "events")), "%s", what);
			cr_expect_str_eq(json_str(o, "kind", ""), "Role");
			cr_expect_str_eq(json_str(o, "metadata.namespace", ""), "legacy");
		}
	}
	cr_expect_eq(unnamed, 2);
	cr_expect_eq(rules, 11);
}

Test(objects, weights_need_a_right_of_their_own)
{
	CLEANUP(strv_done) struct strv services = {0};
	CLEANUP(json_decref) json_t *labels = json_pack("{s:s}", "k8s:jedi", "luke");
	CLEANUP(json_decref) json_t *without = NULL, *with = NULL;
	CLEANUP(free) char *text = NULL, *weigh = NULL;
	struct enrol_spec e = spec(&services, labels);

	cr_assert_eq(strv_add(&services, "web"), 0);
	without = enrol_access_objects(&e);
	text = json_text(without);
	e.may_weigh = true;
	with = enrol_access_objects(&e);
	weigh = json_text(with);
	cr_expect_not_null(strstr(text, "\"verbs\":[\"serve\"]"));
	cr_expect_not_null(strstr(weigh, "\"verbs\":[\"serve\",\"weigh\"]"));
}

Test(objects, a_zone_is_a_right)
{
	CLEANUP(json_decref) json_t *labels = json_pack("{s:s}", "k8s:jedi", "luke");
	struct strv none = {0};
	struct enrol_spec e = spec(&none, labels);
	CLEANUP(json_decref) json_t *without = enrol_access_objects(&e), *with = NULL;
	CLEANUP(free) char *text = json_text(without), *zone = NULL;

	e.zone = "eu-1a";
	with = enrol_access_objects(&e);
	zone = json_text(with);
	cr_expect_eq(strstr(text, "zones"), NULL);
	cr_expect_not_null(strstr(zone, "\"resourceNames\":[\"eu-1a\"],\"resources\":[\"zones\"],\"verbs\":[\"use\"]"));
}

Test(objects, without_services_there_is_no_right_to_slices)
{
	CLEANUP(json_decref) json_t *labels = json_pack("{s:s}", "k8s:jedi", "luke");
	struct strv none = {0};
	struct enrol_spec e = spec(&none, labels);
	CLEANUP(json_decref) json_t *all = enrol_access_objects(&e);
	CLEANUP(free) char *text = json_text(all);

	cr_expect_eq(strstr(text, "endpointslices"), NULL);
	cr_expect_eq(strstr(text, "serve\""), NULL);
}

Test(objects, node_and_endpoint)
{
	CLEANUP(json_decref) json_t *labels = json_pack("{s:s}", "k8s:jedi", "luke");
	struct strv none = {0};
	struct enrol_spec e = spec(&none, labels);
	CLEANUP(json_decref) json_t *node = enrol_node_object(&e), *endpoint = enrol_endpoint_object(&e);

	cr_expect_str_eq(json_str(json_array_get(json_at(node, "metadata.ownerReferences"), 0), "kind", ""), "Namespace");
	cr_expect_str_eq(json_string_value(json_object_get(json_at(node, "metadata.annotations"), "cilium.io/do-not-gc")), "true");
	cr_expect_eq(json_array_size(json_at(node, "spec.addresses")), 0);
	cr_expect_eq(json_at(node, "spec.ipam"), NULL);
	cr_expect_str_eq(json_str(endpoint, "status.state", ""), "disconnected");
	cr_expect_eq(json_int(endpoint, "status.identity.id", 0), 51000);
	cr_expect_eq(json_at(endpoint, "status.networking"), NULL);
	cr_expect_str_eq(json_str(json_array_get(json_at(endpoint, "metadata.ownerReferences"), 0), "uid", ""), "u2");
}

Test(manifests, every_policy_has_a_binding_that_denies_and_fails_closed)
{
	const struct manifests_options o = {0};
	CLEANUP(json_decref) json_t *docs = NULL;
	struct err err = {0};
	unsigned policies = 0, bindings = 0;
	json_t *v;
	size_t i;

	cr_assert_eq(manifests_read(&o, &docs, &err), 0, "%s", err.text);
	json_array_foreach(docs, i, v)
	{
		const char *kind = json_str(v, "kind", "");

		cr_expect_neq(kube_object_version(kind), NULL, "%s", kind);
		cr_expect_str_eq(json_str(v, "apiVersion", ""), kube_object_version(kind));
		if (str_eq(kind, "ValidatingAdmissionPolicy")) {
			policies++;
			cr_expect_str_eq(json_str(v, "spec.failurePolicy", ""), "Fail");
			cr_expect_eq(json_array_size(json_at(v, "spec.matchConditions")), 1);
		}
		if (str_eq(kind, "ValidatingAdmissionPolicyBinding")) {
			bindings++;
			cr_expect_str_eq(json_str(v, "spec.policyName", ""), json_str(v, "metadata.name", "?"));
			cr_expect_str_eq(json_string_value(json_array_get(json_at(v, "spec.validationActions"), 0)), "Deny");
		}
	}
	cr_expect_eq(policies, 8);
	cr_expect_eq(bindings, policies);
}

Test(manifests, are_adapted_to_the_cluster)
{
	CLEANUP(json_decref) json_t *audiences = json_pack("[ss]", "https://a.example", "b");
	CLEANUP(json_decref) json_t *evil = json_pack("[s]", "x'] || true || a in ['");
	CLEANUP(json_decref) json_t *docs = NULL;
	CLEANUP(free) char *text = NULL;
	struct manifests_options o = {.cilium_namespace = "cilium", .audiences = audiences};
	struct err err = {0};

	cr_assert_eq(manifests_read(&o, &docs, &err), 0, "%s", err.text);
	text = json_text(docs);
	cr_expect_neq(strstr(text, "['https://a.example', 'b']"), NULL);
	cr_expect_eq(strstr(text, "'https://kubernetes.default.svc'"), NULL);
	cr_expect_eq(strstr(text, "\"kube-system\""), NULL);
	json_decref(TAKE_PTR(docs));
	o.audiences = evil;
	cr_expect_eq(manifests_read(&o, &docs, &err), -EINVAL);
}
