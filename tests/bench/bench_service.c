/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost of Services: loads N of them with E endpoints each, then changes one slice at a time.
 * bench_service N E CHANGES prints JSON: microseconds per load and per change, resident memory.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "service/service.h"
#include "../lib/json_objects.h"

static json_t *service_json(uint64_t i)
{
	CLEANUP(free) char *name = str_printf("svc-%llu", (unsigned long long)i);
	CLEANUP(free) char *ip = str_printf("10.96.%u.%u", (unsigned)(i / 256 % 256), (unsigned)(i % 256));

	return json_pack("{s:{s:s,s:s},s:{s:s,s:[{s:s,s:i}]}}", "metadata", "name", name, "namespace", "prod",
			 "spec", "clusterIP", ip, "ports", "name", "http", "port", 80);
}

static json_t *slice_json(uint64_t i, uint64_t n, unsigned shift)
{
	CLEANUP(free) char *name = str_printf("svc-%llu", (unsigned long long)i);
	json_t *list = json_array();

	for (uint64_t e = 0; e < n; e++) {
		uint64_t at = i * n + e;
		CLEANUP(free) char *ip = str_printf("10.%u.%u.%u", (unsigned)(at / 65536 % 64 + shift),
						    (unsigned)(at / 256 % 256), (unsigned)(at % 256));

		(void)json_array_append_new(list, json_pack("{s:[s],s:s}", "addresses", ip, "nodeName", "node-a"));
	}
	return json_pack("{s:{s:s,s:s,s:{s:s}},s:s,s:[{s:s,s:i}],s:o}", "metadata", "name", name, "namespace",
			 "prod", "labels", "kubernetes.io/service-name", name, "addressType", "IPv4", "ports",
			 "name", "http", "port", 8080, "endpoints", list);
}

static int put(struct service_table *t, json_t *obj, bool is_slice)
{
	struct kube_service *s;
	struct kube_slice *sl;
	int r = is_slice ? json_slice_decode(obj, &sl, NULL) : json_service_decode(obj, &s, NULL);

	json_decref(obj);
	if (r < 0)
		return r;
	return is_slice ? service_table_upsert_slice(t, sl) : service_table_upsert(t, s);
}

static void on_change(const struct frontend *old, const struct frontend *now, void *arg)
{
	(void)old;
	(void)now;
	++*(uint64_t *)arg;
}

static uint64_t anon_kb(void)
{
	CLEANUP(buf_done) struct buf b = {0};
	const char *p;
	uint64_t kb = 0;

	if (file_read("/proc/self/status", 65536, &b) < 0)
		return 0;
	p = strstr(b.data, "RssAnon:");
	for (p = p ? p + 8 : ""; *p && *p != '\n'; p++)
		if (*p >= '0' && *p <= '9')
			kb = kb * 10 + (uint64_t)(*p - '0');
	return kb;
}

static int run(uint64_t n, uint64_t endpoints, uint64_t changes)
{
	CLEANUP(service_table_free) struct service_table *t = NULL;
	uint64_t seen = 0, start, load_us, change_us = 0, before_kb = anon_kb();

	if (service_table_new(NULL, &t) < 0)
		return -ENOMEM;
	start = clock_boot_us();
	for (uint64_t i = 0; i < n; i++)
		if (put(t, service_json(i), false) < 0 || put(t, slice_json(i, endpoints, 1), true) < 0)
			return -EINVAL;
	if (service_table_flush(t, on_change, &seen) < 0 || seen != n)
		return -EINVAL;
	load_us = clock_boot_us() - start;
	for (uint64_t i = 0; i < changes; i++) {
		json_t *obj = slice_json(i * 7919 % n, endpoints, 65 + (unsigned)(i & 1));

		start = clock_boot_us();
		if (put(t, obj, true) < 0 || service_table_flush(t, on_change, &seen) < 0)
			return -EINVAL;
		change_us += clock_boot_us() - start;
	}
	printf("{\"services\": %llu, \"endpoints\": %llu, \"load_us\": %llu, \"us_per_change\": %.2f, \"anon_kb\": %llu}\n",
	       (unsigned long long)n, (unsigned long long)(n * endpoints), (unsigned long long)load_us,
	       changes ? (double)change_us / (double)changes : 0.0, (unsigned long long)(anon_kb() - before_kb));
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t n, endpoints, changes;

	if (argc != 4 || str_to_u64(argv[1], 65536, &n) < 0 || n == 0 || str_to_u64(argv[2], 1000, &endpoints) < 0 ||
	    str_to_u64(argv[3], 1000000, &changes) < 0) {
		fprintf(stderr, "usage: bench_service SERVICES ENDPOINTS CHANGES\n");
		return 2;
	}
	return run(n, endpoints, changes) < 0 ? 1 : 0;
}
