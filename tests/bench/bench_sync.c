/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one CiliumEndpoint costs from the text of the watch to the address cache, without TLS and
 * kernel: `bench_sync ENDPOINTS`. Prints CPU time and memory; run it under `valgrind --tool=callgrind`
 * for instructions, which do not depend on the machine's load.
 */
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"
#include "identity/ipcache.h"
#include "kube/decode_endpoint.h"
#include "store/endpoint_table.h"

struct bench {
	struct endpoint_table *endpoints;
	struct ipcache *addresses;
	struct kube_endpoint endpoint;
	uint64_t flushed;
};

static void on_address(const struct ip *ip, uint32_t owner, const struct endpoint_info *info, void *arg)
{
	struct bench *b = arg;
	struct ipcache_claim c = {.owner = owner, .flags = IPCACHE_IS_TUNNELLED};

	if (!info || ipcache_node_ref(b->addresses, &info->node, &c.node) < 0)
		return;
	c.identity = info->identity;
	(void)ipcache_claim(b->addresses, IPCACHE_FROM_ENDPOINT, ip, &c); /* the count at the end tells */
	ipcache_node_unref(b->addresses, c.node);
}

static int on_begin(void *arg)
{
	kube_endpoint_clear(&((struct bench *)arg)->endpoint);
	return 0;
}

static int on_pick(const struct json_pick *p, void *arg)
{
	kube_cep_pick(&((struct bench *)arg)->endpoint, p);
	return 0;
}

static int on_envelope(const char *path, const char *text, size_t len, void *arg)
{
	(void)path, (void)text, (void)len, (void)arg;
	return 0;
}

static int on_object(const struct doc *doc, void *arg)
{
	struct bench *b = arg;
	const struct kube_endpoint *e = &b->endpoint;
	struct endpoint_info info = {.identity = e->identity, .node = e->node, .addr = e->addr, .n_addr = e->n_addr};

	(void)doc;
	return endpoint_table_set(b->endpoints, e->ns, e->name, NULL, &info);
}

static int on_flush(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	(void)ip, (void)claim;
	((struct bench *)arg)->flushed++;
	return 0;
}

/* One event, as the API server writes it: about a kilobyte. */
static char *make_event(unsigned i)
{
	return str_printf(
		"{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"cilium.io/v2\",\"kind\":\"CiliumEndpoint\",\"metadata\":{"
		"\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"generation\":1,\"labels\":{\"load\":\"1\"},\"managedFields\":["
		"{\"apiVersion\":\"cilium.io/v2\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{}},"
		"\"f:status\":{\".\":{},\"f:identity\":{\".\":{},\"f:id\":{}}}},\"manager\":\"cilium-agent\",\"operation\":"
		"\"Update\",\"time\":\"2026-01-01T00:00:00Z\"}],\"name\":\"load-%u\",\"namespace\":\"default\",\"resourceVersion\":"
		"\"%u\",\"uid\":\"6b4b1f0a-5a0e-4f3e-9d63-%012u\"},\"status\":{\"external-identifiers\":{\"container-id\":"
		"\"%064u\",\"k8s-namespace\":\"default\",\"k8s-pod-name\":\"load-%u\",\"pod-name\":\"default/load-%u\"},\"id\":%u,"
		"\"identity\":{\"id\":%u,\"labels\":[\"k8s:app=app%u\",\"k8s:io.kubernetes.pod.namespace=default\","
		"\"k8s:io.cilium.k8s.policy.cluster=default\"]},\"networking\":{\"addressing\":[{\"ipv4\":\"10.%u.%u.%u\"}],"
		"\"node\":\"172.19.%u.%u\"},\"state\":\"ready\"}}}\n",
		i, 100000 + i, i, i, i, i, i + 1, 10000 + i % 500, i % 500, 128 + (i >> 16), i >> 8 & 255, i & 255,
		200 + i % 50, 1 + i / 50 % 250);
}

int main(int argc, char **argv)
{
	static const struct json_stream_ops ops = {.on_object = on_object, .on_envelope = on_envelope, .on_begin = on_begin,
						   .on_pick = on_pick};
	struct bench b = {0};
	struct json_paths *paths;
	struct json_stream *stream;
	struct rusage usage;
	struct mallinfo2 info; /* small pieces, and large ones that are mapped */
	uint64_t n, bytes = 0;
	int r;

	if (argc != 2 || str_to_u64(argv[1], 1000000, &n) < 0) {
		(void)fprintf(stderr, "usage: bench_sync ENDPOINTS\n");
		return 2;
	}
	r = ipcache_new(&b.addresses);
	if (r == 0)
		r = endpoint_table_new(on_address, NULL, NULL, &b, &b.endpoints);
	if (r == 0)
		r = json_paths_new(kube_cep_fields, kube_cep_n_fields, &paths);
	if (r == 0)
		r = json_stream_new(JSON_WATCH, paths, &ops, &b, &stream);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		CLEANUP(free) char *event = make_event(i);
		size_t len = event ? strlen(event) : 0;

		bytes += len;
		r = event ? json_stream_feed(stream, event, len) : -1;
	}
	if (r == 0)
		r = ipcache_flush(b.addresses, on_flush, &b);
	(void)getrusage(RUSAGE_SELF, &usage); /* cannot fail for ourselves */
	info = mallinfo2();
	(void)printf("{\"endpoints\": %zu, \"flushed\": %llu, \"bytes\": %llu, \"cpu_ms\": %ld, \"heap_bytes\": %zu}\n",
		     ipcache_count(b.addresses), (unsigned long long)b.flushed, (unsigned long long)bytes,
		     usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000, info.uordblks + info.hblkhd);
	json_stream_free(stream);
	json_paths_free(paths);
	endpoint_table_free(b.endpoints);
	ipcache_free(b.addresses);
	return r == 0 && b.flushed == n ? 0 : 1;
}
