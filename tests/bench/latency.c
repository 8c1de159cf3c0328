/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a write at the API server to the address in the kernel, ours beside Cilium's, for the same
 * events: `latency KUBECONFIG OUR_MAP PEER_MAP IDENTITY COUNT`. The maps are pinned mesh_ipcache4 and
 * cilium_ipcache_v2; a CiliumEndpoint default/latency with IDENTITY is made, and its address changed COUNT
 * times. Prints the times since the request was sent: both include the API server's own.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/kubeconfig.h"
#include "mesh_abi.h"

enum { COUNT_MAX = 100000, GIVE_UP_US = 5000000, PEER_PREFIX = 64, PEER_V4 = 1 };

#define ENDPOINTS "/apis/cilium.io/v2/namespaces/default/ciliumendpoints"

/* Cilium bpf/lib/eps.h: the key of its address cache. */
struct peer_key {
	uint32_t prefixlen;
	uint16_t cluster_id;
	uint8_t pad, family;
	uint8_t addr[16];
};

struct run {
	struct loop *loop;
	struct kube_client *client;
	int ours, peer;
	uint32_t identity;
	bool is_answered;
	int r;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static bool has_ours(const struct run *run, const struct ip *ip)
{
	struct mesh_ipinfo info;

	return bpf_map_lookup_elem(run->ours, ip->b, &info) == 0 && info.identity == run->identity;
}

static bool has_peer(const struct run *run, const struct ip *ip)
{
	struct peer_key key = {.prefixlen = PEER_PREFIX, .family = PEER_V4};
	uint32_t value[64] = {0}; /* the identity comes first */

	memcpy(key.addr, ip->b, 4);
	return bpf_map_lookup_elem(run->peer, &key, value) == 0 && value[0] == run->identity;
}

static void on_done(const struct kube_result *res, void *arg)
{
	struct run *run = arg;

	run->is_answered = true;
	run->r = res->r;
	if (res->r < 0)
		(void)fprintf(stderr, "latency: %s\n", res->message);
}

/* Changes the address once; the times until each map has it, UINT64_MAX for never. */
static int change(struct run *run, const struct ip *ip, uint64_t *ret_ours, uint64_t *ret_peer)
{
	char text[IP_STRLEN];
	CLEANUP(json_decref) json_t *patch = json_pack("{s:{s:{s:[{s:s}], s:s}}}", "status", "networking", "addressing", "ipv4",
						       ip_str(ip, text), "node", "172.19.0.250");
	struct kube_request req = {.method = "PATCH", .path = ENDPOINTS "/latency", .content_type = KUBE_MERGE_PATCH,
				   .body = patch, .on_done = on_done, .arg = run};
	uint64_t start = now_us(), ours = 0, peer = 0;
	int r;

	run->is_answered = false;
	r = kube_start(run->client, &req, NULL);
	while (r >= 0 && (!run->is_answered || !ours || !peer) && now_us() - start < GIVE_UP_US) {
		r = loop_once(run->loop, 0);
		if (!ours && has_ours(run, ip))
			ours = now_us() - start;
		if (!peer && has_peer(run, ip))
			peer = now_us() - start;
	}
	*ret_ours = ours ? ours : UINT64_MAX;
	*ret_peer = peer ? peer : UINT64_MAX;
	return r < 0 ? r : run->r;
}

static int make_endpoint(struct run *run, struct err *err)
{
	CLEANUP(json_decref) json_t *ns = NULL;
	CLEANUP(json_decref) json_t *body = NULL;
	int r = kube_call(run->loop, run->client, "GET", "/api/v1/namespaces/default", NULL, &ns, err);

	if (r < 0)
		return r;
	body = json_pack("{s:s, s:s, s:{s:s, s:[{s:s, s:s, s:s, s:s}]}, s:{s:i, s:s, s:{s:I}}}", "apiVersion",
			 "cilium.io/v2", "kind", "CiliumEndpoint", "metadata", "name", "latency", "ownerReferences",
			 "apiVersion", "v1", "kind", "Namespace", "name", "default", "uid", json_str(ns, "metadata.uid", ""),
			 "status", "id", 1, "state", "ready", "identity", "id", (json_int_t)run->identity);
	r = kube_call(run->loop, run->client, "POST", ENDPOINTS, body, NULL, err);
	return r == -EEXIST ? 0 : r;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void report(const char *who, uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	(void)printf("{\"who\": \"%s\", \"events\": %zu, \"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %lld}\n", who, n,
		     (unsigned long long)v[n / 2], (unsigned long long)v[n * 99 / 100], (long long)v[n - 1]);
}

static int measure(struct run *run, size_t n)
{
	uint64_t *ours = calloc(n, sizeof(*ours)), *peer = calloc(n, sizeof(*peer));
	int r = ours && peer ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		uint8_t b[4] = {10, 250, (uint8_t)(i >> 8), (uint8_t)i};
		struct ip ip = ip_from_bytes(AF_INET, b);

		r = change(run, &ip, &ours[i], &peer[i]);
	}
	if (r == 0) {
		report("mesh-agentd", ours, n);
		report("cilium-agent", peer, n);
	}
	free(ours);
	free(peer);
	return r;
}

int main(int argc, char **argv)
{
	CLEANUP(kubeconfig_done) struct kubeconfig config = {0};
	CLEANUP(kube_client_free) struct kube_client *client = NULL;
	CLEANUP(loop_free) struct loop *loop = NULL;
	struct run run = {0};
	struct err err = {0};
	uint64_t identity, count;
	int r;

	if (argc != 6 || str_to_u64(argv[4], UINT32_MAX, &identity) < 0 || str_to_u64(argv[5], COUNT_MAX, &count) < 0 || !count) {
		(void)fprintf(stderr, "usage: latency KUBECONFIG OUR_MAP PEER_MAP IDENTITY COUNT\n");
		return 2;
	}
	run.identity = (uint32_t)identity;
	run.ours = bpf_obj_get(argv[2]);
	run.peer = bpf_obj_get(argv[3]);
	if (run.ours < 0 || run.peer < 0) {
		(void)fprintf(stderr, "latency: %s: %s\n", argv[run.ours < 0 ? 2 : 3], err_name(errno));
		return 1;
	}
	r = kubeconfig_load(argv[1], NULL, &config, &err);
	if (r == 0)
		r = loop_new(&loop);
	if (r == 0)
		r = kubeconfig_client(&config, loop, &client, &err);
	run.loop = loop;
	run.client = client;
	if (r == 0)
		r = make_endpoint(&run, &err);
	if (r == 0)
		r = measure(&run, count);
	if (r < 0)
		(void)fprintf(stderr, "latency: %s\n", err.text[0] ? err.text : err_name(r));
	return r < 0;
}
