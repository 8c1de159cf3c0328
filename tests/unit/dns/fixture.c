/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/str.h"
#include "lib/json_objects.h"

json_t *fixture_json(const char *path)
{
	const char *dir = getenv("srcdir");
	CLEANUP(free) char *full = str_printf("%s/tests/data/%s", dir ? dir : ".", path);
	json_error_t e;
	json_t *j = json_load_file(full, 0, &e);

	cr_assert(j, "%s: %s", full, e.text);
	return j;
}

static void add_objects(const json_t *objects, struct service_table *t, const char *services,
			const char *slices, int (*decode)(const json_t *, struct kube_service **, struct err *))
{
	struct err err = {0};
	json_t *obj;
	size_t i;

	json_array_foreach (json_object_get(objects, services), i, obj) {
		struct kube_service *s;

		cr_assert(decode(obj, &s, &err) == 0, "%s", err.text);
		cr_assert(service_table_upsert(t, s) == 0);
	}
	json_array_foreach (json_object_get(objects, slices), i, obj) {
		struct kube_slice *s;

		cr_assert(json_slice_decode(obj, &s, &err) == 0, "%s", err.text);
		cr_assert(service_table_upsert_slice(t, s) == 0);
	}
	cr_assert(service_table_flush(t, NULL, NULL) == 0);
}

static void add_zone(struct fixture *f, const json_t *objects, const struct service_table *t,
		     const struct dns_zone_options *opt, struct dns_zone **ret)
{
	struct dns_provider fwd, rev;
	struct err err = {0};
	json_t *ns;
	size_t i;

	cr_assert(dns_zone_new(t, opt, ret, &err) == 0, "%s", err.text);
	json_array_foreach (json_object_get(objects, "namespaces"), i, ns)
		cr_assert(dns_zone_set_namespace(*ret, json_string_value(ns), true) == 0);
	dns_zone_set_synced(*ret);
	dns_zone_provider(*ret, &fwd, opt->is_multicluster ? NULL : &rev);
	cr_assert(dns_server_add_provider(f->server, &fwd) == 0);
	if (!opt->is_multicluster)
		cr_assert(dns_server_add_provider(f->server, &rev) == 0);
}

void fixture_init(struct fixture *f, const struct dns_upstream *upstreams, size_t n)
{
	json_t *objects = fixture_json("dns/objects.json");
	struct dns_server_options opt = {.cache_entries = 100,
					 .forward = {.upstreams = upstreams,
						     .n_upstreams = n,
						     .timeout_us = 500000,
						     .attempts = 3}};
	struct cidr range;

	*f = (struct fixture){0};
	cr_assert(cidr_parse("10.96.0.0/16", false, &range) == 0);
	cr_assert(loop_new(&f->loop) == 0);
	cr_assert(dns_server_new(f->loop, &opt, &f->server) == 0);
	cr_assert(service_table_new(NULL, &f->table) == 0);
	cr_assert(service_table_new(NULL, &f->imports) == 0);
	add_objects(objects, f->table, "services", "slices", json_service_decode);
	add_objects(objects, f->imports, "imports", "import_slices", json_service_import_decode);
	add_zone(f, objects, f->table,
		 &(struct dns_zone_options){.apex = "cluster.local", .reverse = &range, .n_reverse = 1},
		 &f->zone);
	add_zone(f, objects, f->imports,
		 &(struct dns_zone_options){.apex = "clusterset.local", .is_multicluster = true}, &f->mcs);
	json_decref(objects);
}

void fixture_done(struct fixture *f)
{
	dns_server_free(f->server);
	dns_zone_free(f->zone);
	dns_zone_free(f->mcs);
	service_table_free(f->table);
	service_table_free(f->imports);
	loop_free(f->loop);
}

size_t query_build(const char *name, uint16_t type, uint16_t edns_size, uint8_t buf[DNS_UDP_MIN])
{
	ldns_rdf *dname = ldns_dname_new_frm_str(name);
	ldns_pkt *p = ldns_pkt_query_new(dname, (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD);
	uint8_t *wire;
	size_t len;

	cr_assert(p);
	ldns_pkt_set_id(p, 4711);
	if (edns_size)
		ldns_pkt_set_edns_udp_size(p, edns_size);
	cr_assert(ldns_pkt2wire(&wire, p, &len) == LDNS_STATUS_OK);
	cr_assert(len <= DNS_UDP_MIN);
	memcpy(buf, wire, len);
	free(wire);
	ldns_pkt_free(p);
	return len;
}

ldns_pkt *fixture_ask(struct fixture *f, const uint8_t *msg, size_t len)
{
	struct dns_listener l = {.server = f->server, .udp_fd = -1};
	struct dns_client c = {.listener = &l};
	uint8_t buf[DNS_UDP_MAX + DNS_OPT_ROOM];
	size_t n = dns_server_handle(f->server, msg, len, &c, buf, DNS_UDP_MAX);
	ldns_pkt *p = NULL;

	if (n == 0)
		return NULL;
	cr_assert(ldns_wire2pkt(&p, buf, n) == LDNS_STATUS_OK, "answer is no legal message");
	return p;
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *records_text(const ldns_rr_list *l)
{
	size_t n = l ? ldns_rr_list_rr_count(l) : 0, len = 1;
	char **lines = calloc(n + 1, sizeof(*lines)), *out;

	for (size_t i = 0; i < n; i++) {
		ldns_rr *rr = ldns_rr_list_rr(l, i);
		char *owner = ldns_rdf2str(ldns_rr_owner(rr)), *type = ldns_rr_type2str(ldns_rr_get_type(rr));
		char *data = NULL;

		for (size_t j = 0; j < ldns_rr_rd_count(rr); j++) {
			char *rd = ldns_rdf2str(ldns_rr_rdf(rr, j));
			char *more = str_printf("%s%s%s", data ? data : "", data ? " " : "", rd);

			free(rd);
			free(data);
			data = more;
		}
		lines[i] = str_printf("%s %u %s %s", owner, ldns_rr_ttl(rr), type, data ? data : "");
		len += strlen(lines[i]) + 1;
		free(owner);
		free(type);
		free(data);
	}
	qsort(lines, n, sizeof(*lines), line_cmp);
	out = calloc(1, len);
	for (size_t i = 0; i < n; i++) {
		strncat(out, lines[i], len - strlen(out) - 1);
		strncat(out, "\n", len - strlen(out) - 1);
		free(lines[i]);
	}
	free(lines);
	return out;
}
