/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing a cluster, enrolling and removing hosts, against the in-tree API server. */
#include "cluster.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "crypto/secret.h"
#include "join/cluster_check.h"
#include "join/manifests.h"

#define ADMISSION "/apis/admissionregistration.k8s.io/v1"
#define BINDING	  ADMISSION "/validatingadmissionpolicybindings/mesh-hosts-endpoint"

static const struct enrolment luke = {.namespace = "legacy", .labels = "jedi=luke", .addresses = "172.19.100.2", .services = "web"};

static int apply(struct err *err)
{
	const struct manifests_options o = {0};

	return manifests_apply(&admin, &o, err);
}

/* Kubernetes before 1.30: nothing may be left that would let a credential in. */
Test(cluster, an_old_api_server_stays_as_it_was, .init = cluster_start, .fini = cluster_stop)
{
	struct err err = {0};

	cluster_fault("GET", ADMISSION, 404);
	cr_assert_eq(apply(&err), -EOPNOTSUPP);
	cr_expect_neq(strstr(err.text, "1.30"), NULL, "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, "/api/v1/namespaces/mesh-hosts");
}

static void post_crd(const char *plural, const char *version)
{
	want_code(&cluster, 201, "POST",
		  json_pack("{s:{s:o, s:{s:s}}, s:{s:s, s:{s:s, s:s}, s:s, s:[{s:s, s:b, s:b}]}}", "metadata", "name",
			    json_sprintf("%s.cilium.io", plural), "labels", "io.cilium.k8s.crd.schema.version", "1.33.12", "spec", "group",
			    "cilium.io", "names", "plural", plural, "kind", "Any", "scope", "Cluster", "versions", "name", version,
			    "served", 1, "storage", 1),
		  "/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
}

/* Before anything is set up. */
Test(cluster, is_checked, .init = cluster_start, .fini = cluster_stop)
{
	static const char *const plurals[] = {"ciliumidentities", "ciliumnodes", "ciliumendpoints", "ciliumnetworkpolicies",
					      "ciliumclusterwidenetworkpolicies", "ciliumcidrgroups"};
	CLEANUP(json) json_t *bare = NULL;
	CLEANUP(json) json_t *whole = NULL;
	CLEANUP(json) json_t *elsewhere = NULL;
	struct err err = {0};

	cr_assert_eq(cluster_check(&admin, NULL, &bare, &err), 0, "%s", err.text);
	cr_expect_eq(cluster_check_worst(bare), CILIUM_REFUSED, "it has no CRDs");
	for (size_t i = 0; i < ARRAY_LEN(plurals); i++)
		post_crd(plurals[i], "v2");
	cr_assert_eq(cluster_check(&admin, NULL, &whole, &err), 0, "%s", err.text);
	cr_expect_eq(cluster_check_worst(whole), CILIUM_FITS);
	cluster_move_config("cilium");
	cr_assert_eq(cluster_check(&admin, "cilium", &elsewhere, &err), 0, "%s", err.text);
	cr_expect_eq(cluster_check_worst(elsewhere), CILIUM_FITS);
	json_decref(elsewhere);
	elsewhere = NULL;
	cr_assert_eq(cluster_check(&admin, NULL, &elsewhere, &err), 0, "%s", err.text);
	cr_expect_eq(cluster_check_worst(elsewhere), CILIUM_REFUSED, "it is not found");
}

/* "" if there is no such finding. */
static const char *fit_of(const json_t *findings, const char *key)
{
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)findings, i, v)
		if (str_eq(text_at(v, "key", NULL), key))
			return text_at(v, "fit", NULL);
	return "";
}

/* What no key of cilium-config tells: the API of policies, a mesh of clusters. */
Test(cluster, is_checked_beyond_its_configuration, .init = cluster_start, .fini = cluster_stop)
{
	CLEANUP(json) json_t *before = NULL, *after = NULL, *old = NULL;
	struct err err = {0};

	cr_assert_eq(cluster_check(&admin, NULL, &before, &err), 0, "%s", err.text);
	cr_expect_str_eq(fit_of(before, "ValidatingAdmissionPolicy"), "fits");
	cr_expect_str_eq(fit_of(before, "Service clustermesh-apiserver"), "");
	want_code(&cluster, 201, "POST",
		  json_pack("{s:{s:s}, s:{s:[{s:i}]}}", "metadata", "name", "clustermesh-apiserver", "spec", "ports", "port", 2379),
		  "/api/v1/namespaces/kube-system/services");
	cr_expect_str_eq(fit_of(before, "CiliumNodeConfig"), "");
	want_code(&cluster, 201, "POST",
		  json_pack("{s:s, s:s, s:{s:s}, s:{s:{}, s:{s:s}}}", "apiVersion", "cilium.io/v2alpha1", "kind", "CiliumNodeConfig",
			    "metadata", "name", "old", "spec", "nodeSelector", "defaults", "mtu", "1400"),
		  "/apis/cilium.io/v2alpha1/namespaces/kube-system/ciliumnodeconfigs");
	cr_assert_eq(cluster_check(&admin, NULL, &after, &err), 0, "%s", err.text);
	cr_expect_str_eq(fit_of(after, "Service clustermesh-apiserver"), "degraded");
	cr_expect_str_eq(fit_of(after, "CiliumNodeConfig"), "degraded");
	cluster_fault("GET", ADMISSION, 404);
	cr_assert_eq(cluster_check(&admin, NULL, &old, &err), 0, "%s", err.text);
	cr_expect_str_eq(fit_of(old, "ValidatingAdmissionPolicy"), "refused");
}

Test(cluster, limits_come_before_rights, .init = cluster_start, .fini = cluster_stop)
{
	struct err err = {0};

	/* the first of what is no policy and no binding */
	cluster_fault("PATCH", "/api/", 500);
	cr_assert_lt(apply(&err), 0);
	want_code(&cluster, 200, "GET", NULL, BINDING);
	want_code(&cluster, 404, "GET", NULL, "/api/v1/namespaces/mesh-hosts");
	/* and where a policy fails there is no right */
	want_code(&cluster, 200, "DELETE", NULL, BINDING);
	cluster_fault("PATCH", ADMISSION, 500);
	cr_assert_lt(apply(&err), 0);
	want_code(&cluster, 404, "GET", NULL, "/api/v1/namespaces/mesh-hosts");
	cr_assert_eq(apply(&err), 0, "%s", err.text);
}

static void expect_refused(const char *text)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	struct err err = {0};

	cr_expect_eq(cluster_enrol("ahch-to", &luke, &res, &err), -EOPNOTSUPP, "%s: %s", text, err.text);
	cr_expect_neq(strstr(err.text, text), NULL, "%s", err.text);
	cr_expect_neq(strstr(err.text, "meshctl cluster setup"), NULL, "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
}

Test(cluster, no_host_is_enrolled_without_limits, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(json) json_t *binding = want(&cluster, 200, "GET", NULL, BINDING);
	struct err err = {0};

	want_code(&cluster, 200, "DELETE", NULL, BINDING);
	expect_refused("mesh-hosts-endpoint does not exist");
	(void)json_object_del(json_object_get(binding, "metadata"), "resourceVersion");
	(void)json_object_set_new(json_object_get(binding, "spec"), "validationActions", json_pack("[s]", "Audit"));
	want_code(&cluster, 201, "POST", json_incref(binding), ADMISSION "/validatingadmissionpolicybindings");
	expect_refused("mesh-hosts-endpoint does not deny");
	cr_assert_eq(apply(&err), 0, "%s", err.text);
	want_code(&cluster, 200, "DELETE", NULL, ADMISSION "/validatingadmissionpolicies/mesh-hosts-token");
	expect_refused("mesh-hosts-token does not exist");
	cr_assert_eq(apply(&err), 0, "%s", err.text);
	cr_expect_eq(cluster_enrol("ahch-to", &luke, &res, &err), 0, "%s", err.text);
}

#define POLICIES ADMISSION "/validatingadmissionpolicies"

/* Puts a policy in the place of ours: of its spec one member is another, NULL = none. */
static void change_policy(const char *name, const char *member, json_t *value)
{
	json_t *policy = want(&cluster, 200, "GET", NULL, POLICIES "/%s", name);

	(void)json_object_del(json_object_get(policy, "spec"), member);
	if (value)
		(void)json_object_set_new(json_object_get(policy, "spec"), member, value);
	want_code(&cluster, 200, "PUT", policy, POLICIES "/%s", name);
}

/* Its name, its binding and that it fails closed say nothing of what a policy lets through. */
Test(cluster, no_host_is_enrolled_under_other_policies, .init = cluster_start_ready, .fini = cluster_stop)
{
	static const struct {
		const char *member, *json, *text;
	} cases[] = {
		{"validations", "[{\"expression\": \"true\", \"reason\": \"Forbidden\"}]", "mesh-hosts-node has other validations"},
		{"validations", NULL, "mesh-hosts-node has other validations"},
		{"matchConditions", "[{\"name\": \"is-host\", \"expression\": \"false\"}]", "mesh-hosts-node has other matchConditions"},
		{"variables", "[]", "mesh-hosts-node has other variables"},
		{"matchConstraints", "{\"resourceRules\": []}", "mesh-hosts-node has other matchConstraints"},
		{"paramKind", "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\"}", "mesh-hosts-node has other parameters"},
		{"failurePolicy", "\"Ignore\"", "mesh-hosts-node does not fail closed"},
	};
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(json) json_t *policy = want(&cluster, 200, "GET", NULL, POLICIES "/mesh-hosts-node");
	json_t *spec = json_object_get(policy, "spec");
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json) json_t *before = json_deep_copy(json_object_get(spec, cases[i].member));

		change_policy("mesh-hosts-node", cases[i].member, cases[i].json ? json_loads(cases[i].json, JSON_DECODE_ANY, NULL) : NULL);
		expect_refused(cases[i].text);
		change_policy("mesh-hosts-node", cases[i].member, json_incref(before));
	}
	cr_expect_eq(cluster_enrol("ahch-to", &luke, &res, &err), 0, "%s", err.text);
}

/* What the API server writes in where nothing is said is no difference; what somebody says there is one. */
Test(cluster, defaults_are_no_other_policy, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(json) json_t *policy = want(&cluster, 200, "GET", NULL, POLICIES "/mesh-hosts-node");
	json_t *match = json_object_get(json_object_get(policy, "spec"), "matchConstraints");
	struct err err = {0};

	(void)json_object_set_new(match, "matchPolicy", json_string("Equivalent"));
	(void)json_object_set_new(match, "namespaceSelector", json_object());
	(void)json_object_set_new(match, "objectSelector", json_object());
	(void)json_object_set_new(json_array_get(json_object_get(match, "resourceRules"), 0), "scope", json_string("*"));
	change_policy("mesh-hosts-node", "matchConstraints", json_deep_copy(match));
	cr_expect_eq(cluster_enrol("ahch-to", &luke, &res, &err), 0, "%s", err.text);
	cr_expect_eq(enrol_remove(&admin, "ahch-to", &err), 0, "%s", err.text);
	(void)json_object_set_new(match, "objectSelector", json_pack("{s:{s:s}}", "matchLabels", "a", "b"));
	change_policy("mesh-hosts-node", "matchConstraints", json_deep_copy(match));
	expect_refused("mesh-hosts-node has other matchConstraints");
}

/* By `kubectl apply` the audiences are those of the text, which fit most clusters; others let a host have tokens for other services. */
Test(cluster, the_audiences_are_the_servers_or_those_of_the_text, .init = cluster_start_ready, .fini = cluster_stop)
{
	const struct manifests_options none = {0};
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(json) json_t *evil = json_pack("[s]", "vault");
	CLEANUP(json) json_t *docs = NULL;
	struct manifests_options other = {.audiences = evil};
	struct err err = {0};
	json_t *v;
	size_t i;

	cr_assert_eq(manifests_apply(&admin, &other, &err), 0, "%s", err.text);
	expect_refused("mesh-hosts-token has other validations");
	cr_assert_eq(manifests_read(&none, &docs, &err), 0, "%s", err.text);
	json_array_foreach(docs, i, v)
		if (str_eq(text_at(v, "metadata", "name", NULL), "mesh-hosts-token") && json_object_get(json_object_get(v, "spec"), "validations"))
			change_policy("mesh-hosts-token", "validations", json_deep_copy(json_object_get(json_object_get(v, "spec"), "validations")));
	cr_expect_eq(cluster_enrol("ahch-to", &luke, &res, &err), 0, "%s", err.text);
}

/* Enrols, and insists on what was changed, as "a; b". */
static void enrol(const char *host, const struct enrolment *e, const char *changes)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(secret_free) char *token = NULL;
	CLEANUP(buf_done) struct buf text = {0};
	struct err err = {0};

	cr_assert_eq(cluster_enrol(host, e, &res, &err), 0, "%s", err.text);
	cr_assert_eq(buf_add(&text, "", 0), 0);
	for (size_t i = 0; i < res.changes.n; i++)
		cr_assert_eq(buf_addf(&text, "%s%s", i ? "; " : "", res.changes.v[i]), 0);
	cr_expect_str_eq(text.data ? text.data : "", changes);
	cr_expect_str_eq(res.namespace, "legacy");
	cr_assert_eq(join_token_build(&res.token, &token, &err), 0, "%s", err.text);
}

/* The Services that the host may stand behind by its Role, as "a,b". */
static void expect_services(const char *want_text)
{
	CLEANUP(json) json_t *role = want(&cluster, 200, "GET", NULL,
					  "/apis/rbac.authorization.k8s.io/v1/namespaces/legacy/roles/mesh-host-ahch-to");
	CLEANUP(buf_done) struct buf text = {0};
	json_t *rule, *v;
	size_t i, k;

	cr_assert_eq(buf_add(&text, "", 0), 0);
	json_array_foreach(json_object_get(role, "rules"), i, rule)
		if (json_string_value(json_array_get(json_object_get(rule, "verbs"), 0))[0] == 's')
			json_array_foreach(json_object_get(rule, "resourceNames"), k, v)
				cr_assert_eq(buf_addf(&text, "%s%s", k ? "," : "", json_string_value(v)), 0);
	cr_expect_str_eq(text.data ? text.data : "", want_text);
}

static void expect_addresses(const char *want_text)
{
	CLEANUP(json) json_t *endpoint = want(&cluster, 200, "GET", NULL, "/apis/cilium.io/v2/namespaces/legacy/ciliumendpoints/ahch-to");

	cr_expect_str_eq(text_at(endpoint, "metadata", "annotations", "mesh-external-agent.io/addresses", NULL), want_text);
	cr_expect_str_eq(text_at(endpoint, "metadata", "annotations", "mesh-external-agent.io/labels", NULL), "jedi=luke");
}

Test(enrol, a_new_token_changes_nothing_else, .init = cluster_start_ready, .fini = cluster_stop)
{
	enrol("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "jedi=luke", .addresses = "172.19.100.2", .services = "web,api",
					     .service_account = "sa"}, "");
	enrol("ahch-to", &(struct enrolment){0}, "");
	expect_services("web,api");
	expect_addresses("172.19.100.2/32");
	enrol("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "jedi=luke", .addresses = "172.19.100.2"}, "");
	expect_services("web,api");
}

/* A daemon that runs follows its CiliumNode: when that says new ranges, the host has the right to them. */
Test(enrol, rights_come_before_the_node_tells_of_them, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(json) json_t *before = NULL, *after = NULL, *role = NULL;
	struct err err = {0};

	enrol("ahch-to", &luke, "");
	cluster_fault("PATCH", "/apis/cilium.io/v2/ciliumnodes", 500);
	cr_expect_lt(cluster_enrol("ahch-to", &(struct enrolment){.addresses = "172.19.100.3"}, &res, &err), 0);
	before = want(&cluster, 200, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
	cr_expect_str_eq(text_at(before, "metadata", "annotations", "mesh-external-agent.io/addresses", NULL), "172.19.100.2/32");
	role = want(&cluster, 200, "GET", NULL, "/apis/rbac.authorization.k8s.io/v1/clusterroles/mesh-host-ahch-to");
	cr_expect_str_eq(json_string_value(json_array_get(json_object_get(json_array_get(json_object_get(role, "rules"), 3), "resourceNames"), 0)),
			 "172.19.100.3/32");
	expect_addresses("172.19.100.3/32");
	enrol("ahch-to", &(struct enrolment){0}, "");
	after = want(&cluster, 200, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
	cr_expect_str_eq(text_at(after, "metadata", "annotations", "mesh-external-agent.io/addresses", NULL), "172.19.100.3/32");
}

Test(enrol, what_is_given_is_changed_and_told, .init = cluster_start_ready, .fini = cluster_stop)
{
	enrol("ahch-to", &luke, "");
	enrol("ahch-to", &(struct enrolment){.addresses = "172.19.100.3"}, "addresses: 172.19.100.3/32, before 172.19.100.2/32");
	expect_addresses("172.19.100.3/32");
	expect_services("web");
	enrol("ahch-to", &(struct enrolment){.services = "api"}, "services: api, before web");
	expect_services("api");
	expect_addresses("172.19.100.3/32");
	enrol("ahch-to", &(struct enrolment){.services = ""}, "services: none, before api");
	expect_services("");
	enrol("ahch-to", &(struct enrolment){0}, "");
	expect_services("");
	enrol("ahch-to", &(struct enrolment){.zone = "eu-1a", .services = "api"}, "services: api, before none; zone: eu-1a, before none");
	enrol("ahch-to", &(struct enrolment){.services = "web"}, "services: web, before api");
	enrol("ahch-to", &(struct enrolment){.zone = "eu-1b"}, "zone: eu-1b, before eu-1a");
	expect_services("web");
	enrol("ahch-to", &(struct enrolment){.zone = ""}, "zone: none, before eu-1b");
	enrol("ahch-to", &(struct enrolment){0}, "");
}

static void expect_error(const char *host, const struct enrolment *e, int r, const char *text)
{
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	struct err err = {0};
	int got = cluster_enrol(host, e, &res, &err);

	cr_expect_eq(got, r, "%s: %d: %s", text, got, err.text);
	cr_expect(strstr(err.text, text), "%s: %s", text, err.text);
}

Test(enrol, what_a_new_host_needs, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(free) char *many = must_strdup("s0");

	expect_error("ahch-to", &(struct enrolment){0}, -EINVAL, "--namespace");
	expect_error("ahch-to", &(struct enrolment){.namespace = "legacy"}, -EINVAL, "--labels");
	expect_error("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "a=b"}, -EINVAL, "--address");
	expect_error("ahch-to", &(struct enrolment){.namespace = "nowhere", .labels = "a=b", .addresses = "192.0.2.1"}, -ENOENT,
		     "create it first");
	expect_error("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "a=b", .addresses = "192.0.2.1", .service_account = "A B"},
		     -EINVAL, "--service-account");
	expect_error("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "", .addresses = "192.0.2.1"}, -EINVAL, "--labels is empty");
	expect_error("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "a=b", .addresses = "192.0.2.1", .zone = "a b"}, -EINVAL,
		     "--zone");
	/* its slices for IPv4 would have the names of those of crait for IPv6 */
	expect_error("crait-v6", &(struct enrolment){.namespace = "legacy", .labels = "a=b", .addresses = "192.0.2.1"}, -EINVAL, "-v6");
	for (unsigned i = 1; i <= JOIN_TOKEN_SERVICES; i++) {
		char *more = must_printf("%s,s%u", many, i);

		free(many);
		many = more;
	}
	expect_error("ahch-to", &(struct enrolment){.namespace = "legacy", .labels = "a=b", .addresses = "192.0.2.1", .services = many},
		     -EINVAL, "256");
	want_code(&cluster, 404, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
	enrol("ahch-to", &luke, "");
	expect_error("ahch-to", &(struct enrolment){.namespace = "default"}, -EEXIST, "namespace legacy");
	expect_error("ahch-to", &(struct enrolment){.labels = "jedi=leia"}, -EEXIST, "other labels");
}

#define LEASE "/apis/coordination.k8s.io/v1/namespaces/mesh-hosts/leases/ahch-to"

/* Who renews it is the machine's to say; a new token for a host that runs takes nothing away. */
Test(enrol, the_lease_has_the_holder_that_renews_it, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(json) json_t *made = NULL;
	CLEANUP(json) json_t *held = NULL;
	CLEANUP(json) json_t *later = NULL;

	enrol("ahch-to", &luke, "");
	made = want(&cluster, 200, "GET", NULL, LEASE);
	cr_expect_null(json_object_get(json_object_get(made, "spec"), "holderIdentity"));
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(made, "spec"), "leaseDurationSeconds")), 40);
	held = json_deep_copy(made);
	(void)json_object_set_new(json_object_get(held, "spec"), "holderIdentity", json_string("ahch-to/boot-1"));
	want_code(&cluster, 200, "PUT", json_incref(held), LEASE);
	enrol("ahch-to", &(struct enrolment){0}, "");
	later = want(&cluster, 200, "GET", NULL, LEASE);
	cr_expect_str_eq(text_at(later, "spec", "holderIdentity", NULL), "ahch-to/boot-1");
}

/* The labels of the namespace are part of the identity. */
Test(enrol, another_identity_is_told, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(enrol_result_done) struct enrol_result first = {0};
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(json) json_t *namespace = NULL;
	CLEANUP(free) char *text = NULL;
	struct err err = {0};

	cr_assert_eq(cluster_enrol("ahch-to", &luke, &first, &err), 0, "%s", err.text);
	namespace = want(&cluster, 200, "GET", NULL, "/api/v1/namespaces/legacy");
	(void)json_object_set_new(json_object_get(namespace, "metadata"), "labels", json_pack("{s:s}", "team", "jedi"));
	want_code(&cluster, 200, "PUT", json_incref(namespace), "/api/v1/namespaces/legacy");
	cr_assert_eq(cluster_enrol("ahch-to", &(struct enrolment){0}, &res, &err), 0, "%s", err.text);
	cr_expect_neq(res.identity, first.identity);
	text = must_printf("identity: %u, before %u", res.identity, first.identity);
	cr_assert_eq(res.changes.n, 1);
	cr_expect_str_eq(res.changes.v[0], text);
	cr_expect_eq(res.token.identity, res.identity);
}

static const char *note_of(const char *host)
{
	static char text[128];
	CLEANUP(json) json_t *rows = NULL;
	struct err err = {0};
	json_t *row;
	size_t i;

	text[0] = '\0';
	cr_assert_eq(enrol_list(&admin, &rows, &err), 0, "%s", err.text);
	json_array_foreach(rows, i, row)
		if (str_eq(text_at(row, "name", NULL), host))
			(void)snprintf(text, sizeof(text), "%s", json_is_string(json_object_get(row, "note")) ? text_at(row, "note", NULL) : "");
	return text;
}

static void label_namespace(json_t *labels)
{
	json_t *namespace = want(&cluster, 200, "GET", NULL, "/api/v1/namespaces/legacy");

	(void)json_object_set_new(json_object_get(namespace, "metadata"), "labels", labels);
	want_code(&cluster, 200, "PUT", namespace, "/api/v1/namespaces/legacy");
}

/* An admin who relabels a namespace sees which hosts are to be enrolled again. */
Test(enrol, whose_namespace_was_relabelled, .init = cluster_start_ready, .fini = cluster_stop)
{
	label_namespace(json_pack("{s:s}", "team", "jedi"));
	enrol("ahch-to", &luke, "");
	cr_expect_str_eq(note_of("ahch-to"), "");
	label_namespace(json_pack("{s:s}", "team", "sith"));
	cr_expect(strstr(note_of("ahch-to"), "labels of the namespace changed"));
	label_namespace(json_pack("{s:s, s:s}", "team", "jedi", "more", "yes"));
	cr_expect(strstr(note_of("ahch-to"), "labels of the namespace changed"));
	label_namespace(json_object());
	cr_expect(strstr(note_of("ahch-to"), "labels of the namespace changed"));
	label_namespace(json_pack("{s:s}", "team", "jedi"));
	cr_expect_str_eq(note_of("ahch-to"), "");
}

#define IDENTITIES "/apis/cilium.io/v2/ciliumidentities"

/* Deleted by hand, it comes back under the number that the host and its peers know, if that is free: the host need not join again. */
Test(enrol, an_identity_that_was_deleted, .init = cluster_start_ready, .fini = cluster_stop)
{
	CLEANUP(enrol_result_done) struct enrol_result first = {0};
	CLEANUP(enrol_result_done) struct enrol_result again = {0};
	CLEANUP(enrol_result_done) struct enrol_result other = {0};
	CLEANUP(json) json_t *was = NULL;
	CLEANUP(json) json_t *is = NULL;
	CLEANUP(free) char *path = NULL;
	struct err err = {0};

	cr_assert_eq(cluster_enrol("ahch-to", &luke, &first, &err), 0, "%s", err.text);
	path = must_printf(IDENTITIES "/%u", first.identity);
	was = want(&cluster, 200, "GET", NULL, "%s", path);
	want_code(&cluster, 200, "DELETE", NULL, "%s", path);
	cr_assert_eq(cluster_enrol("ahch-to", &(struct enrolment){0}, &again, &err), 0, "%s", err.text);
	cr_expect_eq(again.identity, first.identity);
	cr_expect_eq(again.changes.n, 0);
	is = want(&cluster, 200, "GET", NULL, "%s", path);
	cr_expect(json_equal(json_object_get(is, "security-labels"), json_object_get(was, "security-labels")));

	/* taken by something else meanwhile */
	want_code(&cluster, 200, "DELETE", NULL, "%s", path);
	(void)json_object_del(json_object_get(was, "metadata"), "resourceVersion");
	(void)json_object_set_new(was, "security-labels", json_pack("{s:s}", "k8s:app", "pod"));
	want_code(&cluster, 201, "POST", json_incref(was), IDENTITIES);
	cr_assert_eq(cluster_enrol("ahch-to", &(struct enrolment){0}, &other, &err), 0, "%s", err.text);
	cr_expect_neq(other.identity, first.identity);
	cr_expect_eq(other.changes.n, 1);
}

/* Cilium in a namespace of its own: found where `cluster setup` was told that it is, and the host learns it. */
Test(enrol, cilium_may_be_elsewhere, .init = cluster_start_ready, .fini = cluster_stop)
{
	const struct enrolment elsewhere = {.namespace = "legacy", .labels = "jedi=luke", .addresses = "172.19.100.2",
					    .cilium_namespace = "cilium"};
	const struct enrolment rey = {.namespace = "legacy", .labels = "jedi=rey", .addresses = "172.19.100.3"};
	const struct manifests_options o = {.cilium_namespace = "cilium"};
	CLEANUP(enrol_result_done) struct enrol_result usual = {0};
	CLEANUP(enrol_result_done) struct enrol_result res = {0};
	CLEANUP(enrol_result_done) struct enrol_result again = {0};
	CLEANUP(json) json_t *role = NULL;
	struct err err = {0};

	cr_assert_eq(cluster_enrol("crait", &rey, &usual, &err), 0, "%s", err.text);
	cr_expect_eq(usual.token.cilium_namespace, NULL);
	expect_error("ahch-to", &elsewhere, -ENOENT, "not in namespace cilium");
	cluster_move_config("cilium");
	expect_error("ahch-to", &luke, -ENOENT, "--cilium-namespace");
	expect_error("ahch-to", &elsewhere, -EOPNOTSUPP, "meshctl cluster setup --cilium-namespace cilium");
	want_code(&cluster, 404, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
	cr_assert_eq(manifests_apply(&admin, &o, &err), 0, "%s", err.text);
	cr_assert_eq(cluster_enrol("ahch-to", &elsewhere, &res, &err), 0, "%s", err.text);
	cr_expect_str_eq(res.token.cilium_namespace, "cilium");
	cr_assert_eq(cluster_enrol("ahch-to", &(struct enrolment){0}, &again, &err), 0, "%s", err.text);
	cr_expect_str_eq(again.token.cilium_namespace, "cilium");
	/* that one object, there */
	role = want(&cluster, 200, "GET", NULL, "/apis/rbac.authorization.k8s.io/v1/namespaces/cilium/roles/mesh-hosts-cilium-config");
	cr_expect_eq(json_array_size(json_object_get(role, "rules")), 1);
	cr_expect_str_eq(json_string_value(json_array_get(json_object_get(json_array_get(json_object_get(role, "rules"), 0), "resourceNames"), 0)),
			 "cilium-config");
	expect_error("ahch-to", &(struct enrolment){.cilium_namespace = "A/b"}, -EINVAL, "--cilium-namespace");
}

#define SLICES "/apis/discovery.k8s.io/v1/namespaces/legacy/endpointslices"

static void post_slice(const char *name, const char *host, const char *manager)
{
	want_code(&cluster, 201, "POST",
		  json_pack("{s:{s:s, s:{s:s, s:s}}, s:s, s:[]}", "metadata", "name", name, "labels", "mesh-external-agent.io/host", host,
			    "endpointslice.kubernetes.io/managed-by", manager, "addressType", "IPv4", "endpoints"),
		  SLICES);
}

/* No Service keeps a backend that nobody looks after; what others published stays. */
Test(enrol, a_removed_host_stands_behind_no_service, .init = cluster_start_ready, .fini = cluster_stop)
{
	struct err err = {0};

	enrol("ahch-to", &luke, "");
	enrol("crait", &(struct enrolment){.namespace = "legacy", .labels = "jedi=rey", .addresses = "172.19.100.3"}, "");
	post_slice("web-mesh-ahch-to", "ahch-to", "mesh-external-agent.io");
	post_slice("web-mesh-ahch-to-v6", "ahch-to", "mesh-external-agent.io");
	post_slice("web-mesh-crait", "crait", "mesh-external-agent.io");
	post_slice("web-by-hand", "ahch-to", "an-admin");
	admin.is_dry_run = true;
	cr_assert_eq(enrol_remove(&admin, "ahch-to", &err), 0, "%s", err.text);
	want_code(&cluster, 200, "GET", NULL, SLICES "/web-mesh-ahch-to");
	admin.is_dry_run = false;
	cr_assert_eq(enrol_remove(&admin, "ahch-to", &err), 0, "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, SLICES "/web-mesh-ahch-to");
	want_code(&cluster, 404, "GET", NULL, SLICES "/web-mesh-ahch-to-v6");
	want_code(&cluster, 200, "GET", NULL, SLICES "/web-mesh-crait");
	want_code(&cluster, 200, "GET", NULL, SLICES "/web-by-hand");
	/* one whose other objects went with its CiliumNode */
	want_code(&cluster, 200, "DELETE", NULL, "/apis/cilium.io/v2/ciliumnodes/crait");
	cr_assert_eq(enrol_remove(&admin, "crait", &err), 0, "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, SLICES "/web-mesh-crait");
}

/* The right to publish is gone before the slices are, and what fails there keeps nothing else. */
Test(enrol, slices_that_cannot_be_removed_are_told, .init = cluster_start_ready, .fini = cluster_stop)
{
	struct err err = {0};

	enrol("ahch-to", &luke, "");
	post_slice("web-mesh-ahch-to", "ahch-to", "mesh-external-agent.io");
	cluster_fault("DELETE", SLICES, 403);
	cr_expect_eq(enrol_remove(&admin, "ahch-to", &err), -EPERM, "%s", err.text);
	cr_expect(strstr(err.text, "EndpointSlice legacy/web-mesh-ahch-to"), "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, "/api/v1/namespaces/mesh-hosts/serviceaccounts/ahch-to");
	want_code(&cluster, 404, "GET", NULL, "/apis/rbac.authorization.k8s.io/v1/namespaces/legacy/rolebindings/mesh-host-ahch-to");
	want_code(&cluster, 404, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
	cr_expect_eq(enrol_remove(&admin, "ahch-to", &err), 0, "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, SLICES "/web-mesh-ahch-to");
}

Test(enrol, only_what_is_the_hosts_is_removed, .init = cluster_start_ready, .fini = cluster_stop)
{
	static const char *const no_names[] = {"", ".", "A", "a/b", "-", "x?y"};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_LEN(no_names); i++)
		cr_expect_eq(enrol_remove(&admin, no_names[i], &err), -EINVAL, "%s", no_names[i]);
	want_code(&cluster, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "default"),
		  "/api/v1/namespaces/mesh-hosts/serviceaccounts");
	cr_expect_eq(enrol_remove(&admin, "default", &err), -EPERM, "%s", err.text);
	cr_expect(strstr(err.text, "ServiceAccount default"), "%s", err.text);
	want_code(&cluster, 200, "GET", NULL, "/api/v1/namespaces/mesh-hosts/serviceaccounts/default");
	cr_expect_eq(enrol_remove(&admin, "nobody", &err), -ENOENT, "%s", err.text);
	enrol("ahch-to", &luke, "");
	cr_assert_eq(enrol_remove(&admin, "ahch-to", &err), 0, "%s", err.text);
	want_code(&cluster, 404, "GET", NULL, "/api/v1/namespaces/mesh-hosts/serviceaccounts/ahch-to");
	want_code(&cluster, 404, "GET", NULL, "/apis/cilium.io/v2/ciliumnodes/ahch-to");
}
