/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include "base/file.h"
#include "base/str.h"
#include "join/label_check.h"
#include "join/manifests.h"

struct world cluster;
struct kube_session admin;
char *cluster_ca;

void cluster_start(void)
{
	CLEANUP(buf_done) struct buf ca = {0};
	struct kube_conf conf;
	const char *servers[1];
	struct err err = {0};

	world_start(&cluster, NULL);
	cr_assert_eq(loop_new(&admin.loop), 0);
	cr_assert_eq(file_read(cluster.api->ca_path, 1 << 20, &ca), 0);
	cluster_ca = strdup(ca.data);
	servers[0] = cluster.api->url;
	conf = (struct kube_conf){.servers = servers, .n_servers = 1, .token = cluster.api->token, .ca_pem = cluster_ca};
	cr_assert_eq(kube_client_new(admin.loop, &conf, &admin.client, &err), 0, "%s", err.text);
	want_code(&cluster, 201, "POST",
		  json_pack("{s:{s:s}, s:{s:s, s:s, s:s, s:s, s:s}}", "metadata", "name", "cilium-config", "data", "identity-allocation-mode",
			    "crd", "cluster-name", "default", "cluster-pool-ipv4-cidr", "10.244.0.0/16", "enable-ipv4", "true",
			    "enable-ipv6", "true"),
		  "/api/v1/namespaces/kube-system/configmaps");
	want_code(&cluster, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "legacy"), "/api/v1/namespaces");
	want_code(&cluster, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", "default"),
		  "/api/v1/namespaces/default/serviceaccounts");
}

void cluster_start_ready(void)
{
	const struct manifests_options o = {0};
	struct err err = {0};

	cluster_start();
	cr_assert_eq(manifests_apply(&admin, &o, &err), 0, "%s", err.text);
}

void cluster_stop(void)
{
	kube_client_free(admin.client);
	loop_free(admin.loop);
	admin = (struct kube_session){0};
	free(cluster_ca);
	world_stop(&cluster);
}

void cluster_fault(const char *method, const char *path, int status)
{
	want_code(&cluster, 200, "POST",
		  json_pack("[{s:{s:s, s:s}, s:s, s:i}]", "match", "method", method, "pathPrefix", path, "action", status ? "status" : "cut",
			    "status", status),
		  "/test/faults");
}

void cluster_move_config(const char *namespace)
{
	CLEANUP(json) json_t *config = want(&cluster, 200, "GET", NULL, "/api/v1/namespaces/kube-system/configmaps/cilium-config");

	want_code(&cluster, 201, "POST", json_pack("{s:{s:s}}", "metadata", "name", namespace), "/api/v1/namespaces");
	want_code(&cluster, 200, "DELETE", NULL, "/api/v1/namespaces/kube-system/configmaps/cilium-config");
	want_code(&cluster, 201, "POST",
		  json_pack("{s:{s:s}, s:O}", "metadata", "name", "cilium-config", "data", json_object_get(config, "data")),
		  "/api/v1/namespaces/%s/configmaps", namespace);
}

int cluster_enrol(const char *host, const struct enrolment *e, struct enrol_result *ret, struct err *reterr)
{
	CLEANUP(address_list_done) struct address_list addresses = {0};
	CLEANUP(strv_done) struct strv services = {0};
	CLEANUP(strv_done) struct strv servers = {0};
	CLEANUP(json) json_t *labels = NULL;
	struct enrol_options o = {.host = host, .namespace = e->namespace, .service_account = e->service_account, .cilium_namespace = e->cilium_namespace,
				  .zone = e->zone, .servers = &servers,
				  .ca_pem = cluster_ca, .ttl_s = 900};

	cr_assert_eq(strv_add(&servers, cluster.api->url), 0);
	if (e->labels) {
		cr_assert_eq(label_parse_list(e->labels, &labels, reterr), 0);
		o.labels = labels;
	}
	if (e->addresses) {
		cr_assert_eq(address_list_parse(e->addresses, &addresses, reterr), 0);
		o.addresses = &addresses;
	}
	if (e->services) {
		cr_assert_eq(strv_split(&services, e->services, ','), 0);
		o.services = &services;
	}
	return enrol_host(&admin, &o, ret, reterr);
}
