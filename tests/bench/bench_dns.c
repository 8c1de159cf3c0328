/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DNS server alone, to be loaded by dnsperf or asked beside another one.
 *   bench_dns ADDRESS:PORT SERVICES|FILE SECONDS [UPSTREAM]
 * So many Services, or the objects of a List as kubectl prints it. UPSTREAM is an address, port 53. Prints "ready" when it
 * listens, and at the end what it answered and the CPU time per query.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/str.h"
#include "dns/dns_server.h"
#include "dns/dns_sock.h"
#include "dns/dns_zone.h"
#include "event/loop.h"
#include "json/json.h"
#include "service/service.h"
#include "../lib/json_objects.h"

struct bench {
	struct loop *loop;
	struct service_table *services, *imports;
	struct dns_zone *zone, *import_zone;
	struct dns_server *server;
	struct source *timer;
	struct err err;
};

static int add_service(struct bench *b, unsigned i)
{
	CLEANUP(free) char *name = str_printf("svc-%u", i);
	CLEANUP(free) char *ip = str_printf("10.96.%u.%u", i / 256 % 256, i % 256);
	CLEANUP(json_decref) json_t *obj =
		json_pack("{s:{s:s,s:s,s:s},s:{s:s,s:[{s:s,s:i,s:s}]}}", "metadata", "name", name, "namespace", "prod",
			  "creationTimestamp", "2026-01-01T00:00:00Z", "spec", "clusterIP", ip, "ports", "name", "http", "port", 80,
			  "protocol", "TCP");
	struct kube_service *s = NULL;
	int r = obj ? json_service_decode(obj, &s, &b->err) : -ENOMEM;

	return r < 0 ? r : service_table_upsert(b->services, s);
}

static int add_namespace(struct bench *b, const char *name)
{
	int r = dns_zone_set_namespace(b->zone, name, true);

	return r < 0 ? r : dns_zone_set_namespace(b->import_zone, name, true);
}

static int add_object(struct bench *b, const json_t *o)
{
	const char *kind = json_str(o, "kind", "");
	struct kube_service *service = NULL;
	struct kube_slice *slice = NULL;
	int r;

	if (str_eq(kind, "Namespace"))
		return add_namespace(b, json_str(o, "metadata.name", ""));
	if (str_eq(kind, "Service")) {
		r = json_service_decode(o, &service, &b->err);
		return r < 0 ? r : service_table_upsert(b->services, service);
	}
	if (str_eq(kind, "ServiceImport")) {
		r = json_service_import_decode(o, &service, &b->err);
		return r < 0 ? r : service_table_upsert(b->imports, service);
	}
	if (!str_eq(kind, "EndpointSlice"))
		return 0;
	r = json_slice_decode(o, &slice, &b->err);
	return r < 0 ? r : service_table_upsert_slice(slice->is_import ? b->imports : b->services, slice);
}

static int load(struct bench *b, const char *what)
{
	CLEANUP(json_decref) json_t *list = NULL;
	json_error_t e;
	const json_t *o;
	uint64_t n;
	size_t i;
	int r = 0;

	if (str_to_u64(what, 60000, &n) == 0) {
		for (unsigned k = 0; r == 0 && k < n; k++)
			r = add_service(b, k);
		return r < 0 ? r : add_namespace(b, "prod");
	}
	list = json_load_file(what, 0, &e);
	if (!list)
		return err_set(&b->err, EINVAL, "%s: %s", what, e.text);
	json_array_foreach (json_object_get(list, "items"), i, o)
		if (r == 0)
			r = add_object(b, o);
	return r;
}

static void on_time(void *arg)
{
	loop_exit(arg, 0);
}

static int start(struct bench *b, const char *address, const char *upstream)
{
	static const struct dns_zone_options zone = {.apex = "cluster.local"};
	static const struct dns_zone_options imports = {.apex = "clusterset.local", .is_multicluster = true};
	struct dns_upstream up = {.port = 53};
	struct dns_server_options opt = {.cache_entries = 10000, .forward = {.upstreams = &up, .n_upstreams = upstream != NULL}};
	struct ip ip;
	uint16_t port;

	if (dns_addr_parse(address, &ip, &port) < 0 || (upstream && ip_parse(upstream, &up.ip) < 0))
		return err_set(&b->err, EINVAL, "not ADDRESS:PORT and ADDRESS");
	if (service_table_new(NULL, &b->services) < 0 || service_table_new(NULL, &b->imports) < 0 || loop_new(&b->loop) < 0 ||
	    dns_zone_new(b->services, &zone, &b->zone, &b->err) < 0 ||
	    dns_zone_new(b->imports, &imports, &b->import_zone, &b->err) < 0 || dns_server_new(b->loop, &opt, &b->server) < 0)
		return -ENOMEM;
	return dns_server_listen(b->server, &ip, port, NULL, &b->err);
}

static int serve(struct bench *b, uint64_t seconds)
{
	struct dns_provider forward, reverse, imported;

	if (service_table_flush(b->services, NULL, NULL) < 0 || service_table_flush(b->imports, NULL, NULL) < 0)
		return -ENOMEM;
	dns_zone_set_synced(b->zone);
	dns_zone_set_synced(b->import_zone);
	dns_zone_provider(b->zone, &forward, &reverse);
	dns_zone_provider(b->import_zone, &imported, NULL);
	if (dns_server_add_provider(b->server, &forward) < 0 || dns_server_add_provider(b->server, &reverse) < 0 ||
	    dns_server_add_provider(b->server, &imported) < 0 || loop_add_timer(b->loop, on_time, b->loop, &b->timer) < 0 ||
	    source_arm(b->timer, seconds * USEC_PER_SEC, 0) < 0)
		return -ENOMEM;
	printf("ready\n");
	(void)fflush(stdout);
	return loop_run(b->loop);
}

static void report(const struct bench *b)
{
	struct dns_server_counts c;
	struct rusage ru;
	double cpu, user;

	dns_server_counts(b->server, &c);
	if (getrusage(RUSAGE_SELF, &ru) < 0)
		return;
	user = (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6;
	cpu = user + (double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec / 1e6;
	printf("{\"queries\": %llu, \"cpu_s\": %.3f, \"user_s\": %.3f, \"ns_per_query\": %.0f, \"maxrss_kb\": %ld}\n",
	       (unsigned long long)c.queries, cpu, user, c.queries ? cpu * 1e9 / (double)c.queries : 0.0, ru.ru_maxrss);
}

static void done(struct bench *b)
{
	source_free(b->timer);
	dns_server_free(b->server);
	dns_zone_free(b->zone);
	dns_zone_free(b->import_zone);
	service_table_free(b->services);
	service_table_free(b->imports);
	loop_free(b->loop);
}

int main(int argc, char **argv)
{
	struct bench b = {.loop = NULL};
	uint64_t seconds;
	int r;

	if (argc < 4 || argc > 5 || str_to_u64(argv[3], 86400, &seconds) < 0) {
		fprintf(stderr, "usage: bench_dns ADDRESS:PORT SERVICES|FILE SECONDS [UPSTREAM]\n");
		return 2;
	}
	r = start(&b, argv[1], argc == 5 ? argv[4] : NULL);
	if (r == 0)
		r = load(&b, argv[2]);
	if (r == 0)
		r = serve(&b, seconds);
	if (r < 0)
		fprintf(stderr, "%s\n", b.err.text[0] ? b.err.text : err_name(r));
	else
		report(&b);
	done(&b);
	return r < 0 ? 1 : 0;
}
