/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DNS server with a table of Services, to be loaded by dnsperf: bench_dns PORT SERVICES SECONDS.
 * Prints "ready" when it listens, and at the end what it answered and the CPU time per query.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/str.h"
#include "dns/dns_server.h"
#include "dns/dns_zone.h"
#include "event/loop.h"
#include "service/service.h"

static int add_service(struct service_table *t, unsigned i)
{
	CLEANUP(free) char *name = str_printf("svc-%u", i);
	CLEANUP(free) char *ip = str_printf("10.96.%u.%u", i / 256 % 256, i % 256);
	json_t *obj = json_pack("{s:{s:s,s:s,s:s},s:{s:s,s:[{s:s,s:i,s:s}]}}", "metadata", "name", name,
				"namespace", "prod", "creationTimestamp", "2026-01-01T00:00:00Z", "spec",
				"clusterIP", ip, "ports", "name", "http", "port", 80, "protocol", "TCP");
	struct kube_service *s = NULL;
	struct err err = {0};
	int r = obj ? kube_service_decode(obj, &s, &err) : -ENOMEM;

	json_decref(obj);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text);
		return r;
	}
	return service_table_upsert(t, s);
}

static void on_time(void *arg)
{
	loop_exit(arg, 0);
}

static int run(uint16_t port, unsigned n, unsigned seconds)
{
	CLEANUP(service_table_free) struct service_table *t = NULL;
	CLEANUP(loop_free) struct loop *l = NULL;
	CLEANUP(dns_zone_free) struct dns_zone *z = NULL;
	CLEANUP(dns_server_free) struct dns_server *s = NULL;
	CLEANUP(source_free) struct source *timer = NULL;
	struct dns_zone_options zone = {.apex = "cluster.local"};
	struct dns_server_options opt = {.cache_entries = 1000};
	struct dns_provider fwd, rev;
	struct dns_server_counts c;
	struct rusage ru;
	struct err err = {0};
	struct ip ip;
	double cpu;

	if (service_table_new(NULL, &t) < 0 || loop_new(&l) < 0 || dns_zone_new(t, &zone, &z, &err) < 0 ||
	    dns_server_new(l, &opt, &s) < 0 || ip_parse("127.0.0.1", &ip) < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		if (add_service(t, i) < 0)
			return -ENOMEM;
	if (service_table_flush(t, NULL, NULL) < 0 || dns_zone_set_namespace(z, "prod", true) < 0)
		return -ENOMEM;
	dns_zone_set_synced(z);
	dns_zone_provider(z, &fwd, &rev);
	if (dns_server_add_provider(s, &fwd) < 0 || dns_server_add_provider(s, &rev) < 0 ||
	    dns_server_listen(s, &ip, port, NULL, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return -EIO;
	}
	if (loop_add_timer(l, on_time, l, &timer) < 0 || source_arm(timer, seconds * USEC_PER_SEC, 0) < 0)
		return -ENOMEM;
	printf("ready\n");
	(void)fflush(stdout);
	(void)loop_run(l);
	dns_server_counts(s, &c);
	if (getrusage(RUSAGE_SELF, &ru) < 0)
		return -errno;
	cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	      (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	printf("{\"queries\": %llu, \"cpu_s\": %.3f, \"user_s\": %.3f, \"ns_per_query\": %.0f, \"maxrss_kb\": %ld}\n",
	       (unsigned long long)c.queries, cpu,
	       (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6,
	       c.queries ? cpu * 1e9 / (double)c.queries : 0.0, ru.ru_maxrss);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t port, n, seconds;

	if (argc != 4 || str_to_u64(argv[1], UINT16_MAX, &port) < 0 || str_to_u64(argv[2], 60000, &n) < 0 ||
	    str_to_u64(argv[3], 3600, &seconds) < 0) {
		fprintf(stderr, "usage: bench_dns PORT SERVICES SECONDS\n");
		return 2;
	}
	return run((uint16_t)port, (unsigned)n, (unsigned)seconds) < 0 ? 1 : 0;
}
