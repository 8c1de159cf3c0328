/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a DNS query to a server with Services, and as an upstream's response to the cache and
 * the relay. Checks what must hold for any input: answers are legal, fit, and have the query's id.
 */
#include <string.h>

#include "dns/dns_cache.h"
#include "dns/dns_response.h"
#include "dns/dns_server_private.h"
#include "dns/dns_text.h"
#include "dns/dns_zone.h"
#include "fuzz.h"

const unsigned replay_runs = 30000;

static struct dns_server *server;
static struct dns_cache *cache;

static void add(struct service_table *t, const char *service, const char *slice)
{
	struct doc *a = doc_parse(service, strlen(service)), *b = doc_parse(slice, strlen(slice));
	struct kube_service *s;
	struct kube_slice *sl;

	CHECK(kube_service_decode(a, &s, NULL) == 0 && service_table_upsert(t, s) == 0);
	CHECK(kube_slice_decode(b, &sl, NULL) == 0 && service_table_upsert_slice(t, sl) == 0);
	doc_free(a);
	doc_free(b);
}

/* Lives as long as the process, as the fuzzer does. */
static void start(void)
{
	static struct service_table *table;
	static struct dns_zone *zone;
	static struct loop *loop;
	struct dns_zone_options zo = {.apex = "cluster.local", .has_pod_names = true};
	struct dns_server_options so = {.cache_entries = 16};
	struct dns_provider fwd, rev;

	CHECK(service_table_new(NULL, &table) == 0 && loop_new(&loop) == 0);
	add(table,
	    "{\"metadata\":{\"namespace\":\"prod\",\"name\":\"web\"},\"spec\":{\"clusterIPs\":[\"10.96.0.20\","
	    "\"fd00::20\"],\"ports\":[{\"name\":\"http\",\"port\":80}]}}",
	    "{\"metadata\":{\"namespace\":\"prod\",\"name\":\"web-1\",\"labels\":{\"kubernetes.io/service-name\":\"db\"}},"
	    "\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"pg\",\"port\":1}],\"endpoints\":[{\"addresses\":[\"10.1.0.7\"]},"
	    "{\"addresses\":[\"10.1.0.8\"],\"hostname\":\"db-0\"}]}");
	add(table,
	    "{\"metadata\":{\"namespace\":\"prod\",\"name\":\"db\"},\"spec\":{\"clusterIP\":\"None\","
	    "\"ports\":[{\"name\":\"pg\",\"port\":1}]}}",
	    "{\"metadata\":{\"namespace\":\"prod\",\"name\":\"db-6\",\"labels\":{\"kubernetes.io/service-name\":\"db\"}},"
	    "\"addressType\":\"IPv6\",\"ports\":[{\"name\":\"pg\",\"port\":1}],\"endpoints\":[{\"addresses\":[\"fd00:1::\"]}]}");
	CHECK(dns_zone_new(table, &zo, &zone, NULL) == 0 && dns_zone_set_namespace(zone, "prod", true) == 0);
	dns_zone_set_synced(zone);
	dns_zone_provider(zone, &fwd, &rev);
	CHECK(dns_server_new(loop, &so, &server) == 0 && dns_server_add_provider(server, &fwd) == 0 &&
	      dns_server_add_provider(server, &rev) == 0);
	CHECK(dns_cache_new(8, 65536, &cache) == 0);
}

static void walk(const uint8_t *msg, size_t len)
{
	struct dns_reader r;
	struct dns_rr rr;
	char text[DNS_TEXT_MAX];
	int more;

	CHECK(dns_reader_begin(&r, msg, len) == 0);
	while ((more = dns_reader_next(&r, &rr)) > 0) {
		CLEANUP(buf_done) struct buf data = {0};

		CHECK(strlen(dns_name_str(&rr.owner, text)) < DNS_TEXT_MAX);
		CHECK(dns_text_rdata(msg, &rr, &data) == 0);
		for (size_t i = 0; i < data.len; i++)
			CHECK(data.data[i] >= ' ' && data.data[i] <= '~');
	}
	CHECK(more == 0 && r.at == len);
}

static void as_query(const uint8_t *data, size_t size)
{
	struct dns_listener l = {.server = server, .udp_fd = -1};
	struct dns_client c = {.listener = &l};
	uint8_t buf[DNS_UDP_MAX + DNS_OPT_ROOM];
	size_t n = dns_server_handle(server, data, size, &c, buf, DNS_UDP_MAX);

	if (n == 0)
		return;
	CHECK(n >= DNS_HEADER_LEN && n <= DNS_UDP_MAX && memcmp(buf, data, 2) == 0 && (buf[2] & 0x80));
	if (buf[5])
		walk(buf, n);
}

static void as_response(const uint8_t *data, size_t size)
{
	uint8_t *msg = malloc(size + DNS_OPT_ROOM);
	struct dns_response_info info;
	struct dns_query q = {.id = 1, .has_edns = true, .udp_size = 512};
	struct dns_reader r;
	size_t len = size;

	CHECK(msg);
	memcpy(msg, data, size);
	if (dns_response_strip(msg, &len, &info) == 0) {
		uint8_t buf[DNS_MSG_MAX + DNS_OPT_ROOM];
		struct dns_writer w;

		CHECK(len <= size && dns_reader_begin(&r, msg, len) == 0);
		q.name = r.qname;
		q.qtype = r.qtype;
		q.qclass = r.qclass;
		q.question = data + DNS_HEADER_LEN;
		q.question_len = r.question_end - DNS_HEADER_LEN;
		dns_cache_put(cache, &q, data, size, 1);
		len = dns_cache_get(cache, &q, 1, buf, DNS_MSG_MAX);
		if (len)
			walk(buf, dns_response_finish(buf, len, &q, 0, 512));
		dns_writer_begin(&w, &q, buf, DNS_UDP_MAX, DNS_UDP_MAX);
		(void)dns_response_append(&w, data, size, &q.name, DNS_A); /* any result is fine */
		walk(buf, dns_writer_end(&w, DNS_NOERROR, 0));
	}
	free(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!server)
		start();
	if (size > DNS_MSG_MAX)
		return 0;
	as_query(data, size);
	as_response(data, size);
	return 0;
}
