/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing a cluster, enrolling and removing hosts, against the in-tree API server. */
#include "cluster.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
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
