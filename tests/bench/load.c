/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a cluster for measurements: `load KUBECONFIG IDENTITIES ENDPOINTS [SERVICES [FIRST]]`. CiliumIdentities from
 * number 10000 on, and CiliumEndpoints default/load-N that use them in turn, each as a stock agent
 * writes it. Services default/load-N, of which number 0 is 10.96.16.1, 250 in each /24, UDP port 53, with the API server's
 * machine as their backend; FIRST is the number of the first that is made. What exists already is left. Prints how many were made and how fast.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/kubeconfig.h"

enum { IN_FLIGHT = 32, FIRST_IDENTITY = 10000 };

struct load {
	struct loop *loop;
	struct kube_client *client;
	uint64_t identities, endpoints, services, first, next, running, made, failed;
	char *namespace_uid;
};

static json_t *identity_object(uint64_t i)
{
	CLEANUP(free) char *name = str_printf("%llu", (unsigned long long)(FIRST_IDENTITY + i));
	CLEANUP(free) char *app = str_printf("app%llu", (unsigned long long)i);
	CLEANUP(free) char *tier = str_printf("t%llu", (unsigned long long)(i % 10));
	CLEANUP(free) char *team = str_printf("team%llu", (unsigned long long)(i % 97));

	return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "apiVersion", "cilium.io/v2",
			 "kind", "CiliumIdentity", "metadata", "name", name, "labels", "load", "1", "security-labels",
			 "k8s:io.cilium.k8s.policy.cluster", "default", "k8s:io.cilium.k8s.policy.serviceaccount", "default",
			 "k8s:io.kubernetes.pod.namespace", "default",
			 "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name", "default", "k8s:app", app,
			 "k8s:tier", tier, "k8s:team", team);
}

static json_t *endpoint_object(const struct load *l, uint64_t i)
{
	uint64_t id = i % l->identities;
	CLEANUP(free) char *name = str_printf("load-%llu", (unsigned long long)i);
	CLEANUP(free) char *ip = str_printf("10.%u.%u.%u", (unsigned)(128 + (i >> 16)), (unsigned)(i >> 8 & 255), (unsigned)(i & 255));
	CLEANUP(free) char *node = str_printf("172.19.%u.%u", (unsigned)(200 + i % 50), (unsigned)(1 + i / 50 % 250));
	CLEANUP(free) char *app = str_printf("k8s:app=app%llu", (unsigned long long)id);
	CLEANUP(free) char *container = str_printf("%064llx", (unsigned long long)i);

	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}, s:[{s:s, s:s, s:s, s:s}]},"
			 " s:{s:I, s:s, s:{s:I, s:[s, s, s]}, s:{s:[{s:s}], s:s}, s:{s:s, s:s, s:s}}}",
			 "apiVersion", "cilium.io/v2", "kind", "CiliumEndpoint", "metadata", "name", name, "namespace",
			 "default", "labels", "load", "1", "ownerReferences", "apiVersion", "v1", "kind", "Namespace",
			 "name", "default", "uid", l->namespace_uid, "status", "id", (json_int_t)i + 1, "state", "ready",
			 "identity", "id", (json_int_t)(FIRST_IDENTITY + id), "labels", app,
			 "k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=default", "networking",
			 "addressing", "ipv4", ip, "node", node, "external-identifiers", "container-id", container,
			 "k8s-namespace", "default", "k8s-pod-name", name);
}

static json_t *service_object(uint64_t i)
{
	CLEANUP(free) char *name = str_printf("load-%llu", (unsigned long long)i);
	CLEANUP(free) char *ip = str_printf("10.96.%u.%u", (unsigned)(16 + i / 250), (unsigned)(i % 250 + 1));

	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:[{s:s, s:s, s:i}]}}", "apiVersion", "v1", "kind", "Service", "metadata",
			 "name", name, "namespace", "default", "spec", "clusterIP", ip, "ports", "name", "dns", "protocol", "UDP",
			 "port", 53);
}

static json_t *slice_object(uint64_t i)
{
	CLEANUP(free) char *name = str_printf("load-%llu", (unsigned long long)i);

	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:s, s:[{s:[s]}], s:[{s:s, s:s, s:i}]}", "apiVersion",
			 "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name", name, "namespace", "default", "labels",
			 "kubernetes.io/service-name", name, "addressType", "IPv4", "endpoints", "addresses", "172.19.0.1", "ports",
			 "name", "dns", "protocol", "UDP", "port", 7053);
}

/* Object `i` of all, and where it goes. */
static json_t *object(const struct load *l, uint64_t i, const char **ret_path)
{
	*ret_path = "/apis/cilium.io/v2/ciliumidentities";
	if (i < l->identities)
		return identity_object(i);
	i -= l->identities;
	*ret_path = "/apis/cilium.io/v2/namespaces/default/ciliumendpoints";
	if (i < l->endpoints)
		return endpoint_object(l, i);
	i -= l->endpoints;
	*ret_path = "/api/v1/namespaces/default/services";
	if (i < l->services)
		return service_object(l->first + i);
	*ret_path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
	return slice_object(l->first + i - l->services);
}

static int start_next(struct load *l);

static void on_done(const struct kube_result *res, void *arg)
{
	struct load *l = arg;

	l->running--;
	if (res->r == 0)
		l->made++;
	else if (res->r != -EEXIST && l->failed++ == 0)
		(void)fprintf(stderr, "load: %s\n", res->message);
	if (start_next(l) < 0 || !l->running)
		loop_exit(l->loop, l->failed ? 1 : 0);
}

static int start_next(struct load *l)
{
	while (l->running < IN_FLIGHT && l->next < l->identities + l->endpoints + 2 * l->services) {
		const char *path;
		CLEANUP(json_decref) json_t *o = object(l, l->next, &path);
		struct kube_request req = {.method = "POST", .path = path, .body = o, .on_done = on_done, .arg = l};
		int r = o ? kube_start(l->client, &req, NULL) : -ENOMEM;

		if (r < 0)
			return r;
		l->next++;
		l->running++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	CLEANUP(kubeconfig_done) struct kubeconfig config = {0};
	CLEANUP(kube_client_free) struct kube_client *client = NULL;
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(json_decref) json_t *ns = NULL;
	struct load l = {0};
	struct err err = {0};
	uint64_t start_us;
	int r;

	if (argc < 4 || argc > 6 || str_to_u64(argv[2], 50000, &l.identities) < 0 ||
	    str_to_u64(argv[3], 1000000, &l.endpoints) < 0 || (l.endpoints && !l.identities) ||
	    (argc > 4 && str_to_u64(argv[4], 50000, &l.services) < 0) || (argc > 5 && str_to_u64(argv[5], 50000, &l.first) < 0)) {
		(void)fprintf(stderr, "usage: load KUBECONFIG IDENTITIES ENDPOINTS [SERVICES [FIRST]]\n");
		return 2;
	}
	r = kubeconfig_load(argv[1], NULL, &config, &err);
	if (r == 0)
		r = loop_new(&loop);
	if (r == 0)
		r = kubeconfig_client(&config, loop, &client, &err);
	if (r == 0)
		r = kube_call(loop, client, "GET", "/api/v1/namespaces/default", NULL, &ns, &err);
	if (r < 0) {
		(void)fprintf(stderr, "load: %s\n", err.text[0] ? err.text : err_name(r));
		return 1;
	}
	l.loop = loop;
	l.client = client;
	l.namespace_uid = (char *)json_str(ns, "metadata.uid", "");
	start_us = clock_boot_us();
	r = start_next(&l);
	if (r == 0)
		r = loop_run(loop);
	(void)printf("%llu objects made, %llu failed, %.1f s\n", (unsigned long long)l.made, (unsigned long long)l.failed,
		     (double)(clock_boot_us() - start_us) / 1e6);
	return r ? 1 : 0;
}
