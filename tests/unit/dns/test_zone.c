/* SPDX-License-Identifier: Apache-2.0 */
/* Every case of tests/data/dns/cases.json; answers are read back by ldns, not by our own code. */
#include <criterion/criterion.h>

#include "base/str.h"
#include "dns/dns_zone_private.h"
#include "fixture.h"
#include "lib/json_objects.h"

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The expected lines, sorted as records_text() sorts. */
static char *expected(const json_t *list)
{
	const char *lines[16];
	size_t n = json_array_size(list);
	char *out = strdup("");

	cr_assert(n <= 16);
	for (size_t i = 0; i < n; i++)
		lines[i] = json_string_value(json_array_get(list, i));
	qsort(lines, n, sizeof(*lines), text_cmp);
	for (size_t i = 0; i < n; i++) {
		char *more = str_printf("%s%s\n", out, lines[i]);

		free(out);
		out = more;
	}
	return out;
}

static void check_section(const char *id, const char *what, const ldns_rr_list *got, const json_t *want)
{
	char *a = records_text(got), *b = expected(want);

	cr_expect_str_eq(a, b, "case %s: %s is\n%s, not\n%s", id, what, a, b);
	free(a);
	free(b);
}

static void check_negative(const char *id, const ldns_pkt *p, const char *soa)
{
	ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_authority(p), 0);
	char *owner;

	cr_assert(rr && ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA, "case %s: no SOA", id);
	cr_expect_eq(ldns_rr_ttl(rr), 5);
	owner = ldns_rdf2str(ldns_rr_owner(rr));
	cr_expect_str_eq(owner, soa, "case %s: SOA of %s", id, owner);
	free(owner);
}

static void check_case(struct fixture *f, const json_t *c)
{
	const char *id = json_string_value(json_object_get(c, "id"));
	const json_t *q = json_object_get(c, "q");
	const char *name = json_string_value(json_array_get(q, 0)), *rcode, *soa;
	uint8_t msg[DNS_UDP_MIN];
	uint16_t type;
	ldns_pkt *p;
	char *got;

	cr_assert(dns_type_parse(json_string_value(json_array_get(q, 1)), &type) == 0);
	rcode = json_string_value(json_object_get(c, "rcode"));
	rcode = rcode ? rcode : "NOERROR";
	p = fixture_ask(f, msg, query_build(name, type, 1232, msg));
	cr_assert(p, "case %s: no answer", id);
	got = ldns_pkt_rcode2str(ldns_pkt_get_rcode(p));
	cr_expect_str_eq(got, rcode, "case %s: rcode %s", id, got);
	free(got);
	check_section(id, "answer", ldns_pkt_answer(p), json_object_get(c, "answer"));
	check_section(id, "additional", ldns_pkt_additional(p), json_object_get(c, "additional"));
	if (!str_eq(rcode, "REFUSED") && type != DNS_ANY) {
		cr_expect(ldns_pkt_aa(p), "case %s: AA is missing", id);
		soa = json_string_value(json_object_get(c, "soa"));
		if (json_array_size(json_object_get(c, "answer")) == 0)
			check_negative(id, p, soa ? soa : strstr(name, "cluster"));
	}
	cr_expect(ldns_pkt_edns(p) && ldns_pkt_edns_udp_size(p) == 1232, "case %s: no OPT", id);
	cr_expect(!ldns_pkt_tc(p), "case %s: truncated", id);
	cr_expect_eq(ldns_pkt_id(p), 4711);
	ldns_pkt_free(p);
}

Test(zone, cases)
{
	json_t *cases = fixture_json("dns/cases.json"), *c;
	struct fixture f;
	size_t i;

	fixture_init(&f, NULL, 0);
	cr_assert(json_array_size(cases) > 60);
	json_array_foreach (cases, i, c)
		check_case(&f, c);
	fixture_done(&f);
	json_decref(cases);
}

static ldns_pkt *ask(struct fixture *f, const char *name, uint16_t type, uint16_t edns)
{
	uint8_t msg[DNS_UDP_MIN];
	ldns_pkt *p = fixture_ask(f, msg, query_build(name, type, edns, msg));

	cr_assert(p);
	return p;
}

Test(zone, soa_and_ns_of_the_apex)
{
	struct fixture f;
	ldns_pkt *p;

	fixture_init(&f, NULL, 0);
	p = ask(&f, "cluster.local.", DNS_SOA, 0);
	cr_assert_eq(ldns_rr_list_rr_count(ldns_pkt_answer(p)), 1);
	cr_expect_eq(ldns_rdf2native_int32(ldns_rr_rdf(ldns_rr_list_rr(ldns_pkt_answer(p), 0), 3)), 7200);
	cr_expect(!ldns_pkt_edns(p));
	ldns_pkt_free(p);
	p = ask(&f, "cluster.local.", DNS_NS, 0);
	cr_assert_eq(ldns_rr_list_rr_count(ldns_pkt_answer(p)), 1);
	ldns_pkt_free(p);
	fixture_done(&f);
}

Test(zone, servfail_until_synced)
{
	static const char *const names[] = {"web.prod.svc.cluster.local.", "nope.prod.svc.cluster.local.",
					    "cluster.local.", "20.0.96.10.in-addr.arpa."};
	struct fixture f;

	fixture_init(&f, NULL, 0);
	f.zone->is_synced = false;
	for (size_t i = 0; i < 4; i++) {
		ldns_pkt *p = ask(&f, names[i], i == 3 ? DNS_PTR : DNS_A, 0);

		cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_SERVFAIL, "%s", names[i]);
		ldns_pkt_free(p);
	}
	dns_zone_set_synced(f.zone);
	ldns_pkt *p = ask(&f, names[0], DNS_A, 0);

	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NOERROR);
	ldns_pkt_free(p);
	fixture_done(&f);
}

/* The host's resolver asks us alone for these zones: what is passed on from there would come back. */
Test(zone, reverse_names_that_are_no_address)
{
	static const struct {
		const char *name;
		ldns_pkt_rcode rcode;
	} cases[] = {
		{"96.10.in-addr.arpa.", LDNS_RCODE_NOERROR}, {"0.96.10.in-addr.arpa.", LDNS_RCODE_NOERROR},
		{"9.9.96.10.in-addr.arpa.", LDNS_RCODE_NXDOMAIN}, {"5.9.9.96.10.in-addr.arpa.", LDNS_RCODE_NXDOMAIN},
		{"300.96.10.in-addr.arpa.", LDNS_RCODE_NXDOMAIN}, {"x.96.10.in-addr.arpa.", LDNS_RCODE_NXDOMAIN},
		{"97.10.in-addr.arpa.", LDNS_RCODE_REFUSED}, {"10.in-addr.arpa.", LDNS_RCODE_REFUSED},
		{"x.10.in-addr.arpa.", LDNS_RCODE_REFUSED}, {"d.f.ip6.arpa.", LDNS_RCODE_REFUSED},
	};
	struct fixture f;

	fixture_init(&f, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ldns_pkt *p = ask(&f, cases[i].name, DNS_PTR, 0);

		cr_expect_eq(ldns_pkt_get_rcode(p), cases[i].rcode, "%s", cases[i].name);
		if (cases[i].rcode != LDNS_RCODE_REFUSED) {
			char *owner = ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_authority(p), 0)));

			cr_expect_str_eq(owner, "96.10.in-addr.arpa.");
			free(owner);
		}
		ldns_pkt_free(p);
	}
	fixture_done(&f);
}

Test(zone, namespaces_come_and_go)
{
	struct strv visible = {0};
	struct fixture f;
	ldns_pkt *p;

	fixture_init(&f, NULL, 0);
	cr_assert(dns_zone_set_namespace(f.zone, "empty", false) == 0);
	p = ask(&f, "empty.svc.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NXDOMAIN);
	ldns_pkt_free(p);
	cr_assert(strv_add(&visible, "other") == 0);
	cr_assert(dns_zone_set_visible(f.zone, &visible) == 0);
	p = ask(&f, "web.prod.svc.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NXDOMAIN);
	ldns_pkt_free(p);
	cr_assert(dns_zone_set_visible(f.zone, NULL) == 0);
	p = ask(&f, "web.prod.svc.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NOERROR);
	ldns_pkt_free(p);
	strv_done(&visible);
	fixture_done(&f);
}

Test(zone, pod_names_echo_the_address_if_wished)
{
	struct fixture f;
	ldns_pkt *p;
	char *text;

	fixture_init(&f, NULL, 0);
	f.zone->opt.has_pod_names = true;
	p = ask(&f, "10-1-0-7.prod.pod.cluster.local.", DNS_A, 0);
	text = records_text(ldns_pkt_answer(p));
	cr_expect_str_eq(text, "10-1-0-7.prod.pod.cluster.local. 5 A 10.1.0.7\n");
	free(text);
	ldns_pkt_free(p);
	p = ask(&f, "fd00--7.prod.pod.cluster.local.", DNS_AAAA, 0);
	text = records_text(ldns_pkt_answer(p));
	cr_expect_str_eq(text, "fd00--7.prod.pod.cluster.local. 5 AAAA fd00::7\n");
	free(text);
	ldns_pkt_free(p);
	p = ask(&f, "10-1-0-7.nope.pod.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NXDOMAIN);
	ldns_pkt_free(p);
	fixture_done(&f);
}

/* A headless Service with `n` endpoints. */
static void add_big(struct fixture *f, unsigned n)
{
	json_t *obj = json_pack("{s:{s:s,s:s},s:{s:s,s:[{s:s,s:i}]}}", "metadata", "namespace", "prod",
				"name", "big", "spec", "clusterIP", "None", "ports", "name", "pg", "port", 1);
	json_t *slice = json_pack("{s:{s:s,s:s,s:{s:s}},s:s,s:[{s:s,s:i}],s:[]}", "metadata", "namespace",
				  "prod", "name", "big-1", "labels", "kubernetes.io/service-name", "big",
				  "addressType", "IPv4", "ports", "name", "pg", "port", 1, "endpoints");
	struct kube_service *s;
	struct kube_slice *sl;
	struct err err;

	for (unsigned i = 0; i < n; i++) {
		char *ip = str_printf("10.3.%u.%u", i / 250, i % 250);

		cr_assert(json_array_append_new(json_object_get(slice, "endpoints"),
						json_pack("{s:[s]}", "addresses", ip)) == 0);
		free(ip);
	}
	cr_assert(json_service_decode(obj, &s, &err) == 0);
	cr_assert(json_slice_decode(slice, &sl, &err) == 0);
	cr_assert(service_table_upsert(f->table, s) == 0);
	cr_assert(service_table_upsert_slice(f->table, sl) == 0);
	json_decref(obj);
	json_decref(slice);
}

Test(zone, long_answers_are_cut_to_what_the_client_takes)
{
	static const struct {
		uint16_t edns;
		size_t max;
	} sizes[] = {{0, 512}, {512, 512}, {100, 512}, {800, 800}, {1232, 1232}, {4096, 1232}};
	struct fixture f;

	fixture_init(&f, NULL, 0);
	add_big(&f, 1000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ldns_pkt *p = ask(&f, "big.prod.svc.cluster.local.", DNS_A, sizes[i].edns);

		cr_expect(ldns_pkt_tc(p));
		cr_expect(ldns_pkt_size(p) <= sizes[i].max && ldns_pkt_size(p) + 16 > sizes[i].max,
			  "%zu of %zu", ldns_pkt_size(p), sizes[i].max);
		cr_expect_eq(ldns_pkt_edns(p), sizes[i].edns != 0);
		ldns_pkt_free(p);
		p = ask(&f, "big.prod.svc.cluster.local.", DNS_SRV, sizes[i].edns);
		cr_expect(ldns_pkt_tc(p) && ldns_pkt_size(p) <= sizes[i].max);
		cr_expect_eq(ldns_rr_list_rr_count(ldns_pkt_additional(p)), 0);
		ldns_pkt_free(p);
	}
	fixture_done(&f);
}

Test(zone, order_of_addresses_changes)
{
	struct fixture f;
	bool differs = false;
	char *first = NULL;

	fixture_init(&f, NULL, 0);
	for (int i = 0; i < 64; i++) {
		ldns_pkt *p = ask(&f, "many.prod.svc.cluster.local.", DNS_A, 0);
		char *rr = ldns_rr2str(ldns_rr_list_rr(ldns_pkt_answer(p), 0));

		if (first)
			differs = differs || !str_eq(first, rr);
		else
			first = strdup(rr);
		free(rr);
		ldns_pkt_free(p);
	}
	cr_expect(differs);
	free(first);
	fixture_done(&f);
}

static void add_objects_text(struct fixture *f, const char *service, const char *slice)
{
	json_t *a = json_loads(service, 0, NULL), *b = slice ? json_loads(slice, 0, NULL) : NULL;
	struct kube_service *s;
	struct kube_slice *sl;

	cr_assert(a && json_service_decode(a, &s, NULL) == 0);
	cr_assert(service_table_upsert(f->table, s) == 0);
	if (slice) {
		cr_assert(b && json_slice_decode(b, &sl, NULL) == 0);
		cr_assert(service_table_upsert_slice(f->table, sl) == 0);
	}
	json_decref(a);
	json_decref(b);
}

Test(zone, endpoints_are_named_by_their_pods_if_wished)
{
	struct fixture f;
	ldns_pkt *p;

	fixture_init(&f, NULL, 0);
	add_objects_text(&f,
			 "{\"metadata\":{\"namespace\":\"prod\",\"name\":\"h\"},\"spec\":{\"clusterIP\":\"None\"}}",
			 "{\"metadata\":{\"namespace\":\"prod\",\"name\":\"h-1\",\"labels\":{\"kubernetes.io/service-name\":\"h\"}},"
			 "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.5.0.1\"],\"targetRef\":{\"name\":\"pod-x\"}}]}");
	p = ask(&f, "pod-x.h.prod.svc.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NXDOMAIN);
	ldns_pkt_free(p);
	f.zone->opt.use_target_names = true;
	p = ask(&f, "pod-x.h.prod.svc.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_ancount(p), 1);
	ldns_pkt_free(p);
	p = ask(&f, "10-5-0-1.h.prod.svc.cluster.local.", DNS_A, 0);
	cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NXDOMAIN);
	ldns_pkt_free(p);
	fixture_done(&f);
}

Test(zone, chains_of_external_names_are_bounded)
{
	struct fixture f;

	fixture_init(&f, NULL, 0);
	for (int i = 0; i < 12; i++) {
		char *text = str_printf("{\"metadata\":{\"namespace\":\"prod\",\"name\":\"c%d\"},\"spec\":{\"type\":\"ExternalName\","
					"\"externalName\":\"c%d.prod.svc.cluster.local\"}}", i, i + 1);

		if (i == 11) {
			free(text);
			text = strdup("{\"metadata\":{\"namespace\":\"prod\",\"name\":\"c11\"},\"spec\":{\"type\":"
				      "\"ExternalName\",\"externalName\":\"web.prod.svc.cluster.local\"}}");
		}
		add_objects_text(&f, text, NULL);
		free(text);
	}
	for (int i = 0; i < 12; i++) {
		char *name = str_printf("c%d.prod.svc.cluster.local.", i);
		ldns_pkt *p = ask(&f, name, DNS_A, 1232);
		int links = 12 - i;

		cr_expect_eq(ldns_pkt_get_rcode(p), LDNS_RCODE_NOERROR);
		cr_expect_eq(ldns_pkt_ancount(p), links <= 10 ? links + 1 : 0, "%s: %u", name, ldns_pkt_ancount(p));
		ldns_pkt_free(p);
		free(name);
	}
	fixture_done(&f);
}
