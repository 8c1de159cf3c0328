/* SPDX-License-Identifier: Apache-2.0 */
/* Services from objects to frontends and map entries, this host as a backend, migrations, and the zone of the cluster. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/str.h"
#include "dns/dns_cache.h"
#include "dns/dns_zone.h"
#include "json/json.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"
#include "nomem.h"
#include "plan/plan_service.h"
#include "service/migration.h"
#include "service/serve.h"
#include "service/service.h"

enum { DOCS_MAX = 32 };

struct serving {
	struct service_table *table;
	struct dns_zone *zone;
	struct doc *services[DOCS_MAX], *slices[DOCS_MAX];
	size_t n_services, n_slices;
	json_t *told; /* frontends as the flushes told of them: text -> true */
};

static json_t *objects_load(void)
{
	const char *dir = getenv("srcdir");
	CLEANUP(free) char *path = str_printf("%s/tests/data/dns/objects.json", dir ? dir : ".");
	json_t *objects = json_load_file(path, 0, NULL);

	NOMEM_NEED(objects);
	return objects;
}

static size_t docs_of(const json_t *list, struct doc **ret)
{
	size_t n = json_array_size(list);

	cr_assert_leq(n, DOCS_MAX);
	for (size_t i = 0; i < n; i++) {
		ret[i] = doc_from_json(json_array_get(list, i));
		NOMEM_NEED(ret[i]);
	}
	return n;
}

static void *serving_begin(const void *arg)
{
	struct service_options o = {.node = "n1", .zone = "z1", .has_external_ips = true, .has_load_balancers = true, .has_node_ports = true};
	struct serving *s = calloc(1, sizeof(*s));
	json_t *objects = objects_load();
	size_t i;
	json_t *ns;

	NOMEM_NEED(s);
	s->n_services = docs_of(json_object_get(objects, "services"), s->services);
	s->n_slices = docs_of(json_object_get(objects, "slices"), s->slices);
	s->told = json_object();
	cr_assert_eq(service_table_new(&o, &s->table), 0);
	cr_assert_eq(dns_zone_new(s->table, &(struct dns_zone_options){.apex = "cluster.local"}, &s->zone, NULL), 0);
	json_array_foreach(json_object_get(objects, "namespaces"), i, ns)
		cr_assert_eq(dns_zone_set_namespace(s->zone, json_string_value(ns), true), 0);
	dns_zone_set_synced(s->zone);
	json_decref(objects);
	(void)arg;
	return s;
}

static void frontend_text(const struct frontend *f, struct buf *b)
{
	char ip[IP_STRLEN];

	cr_assert_eq(buf_addf(b, "%s:%u/%u %u %x %u %s/%s %s:", ip_str(&f->ip, ip), f->port, f->proto, f->kind, f->flags,
			      f->affinity_s, f->ns, f->name, f->port_name),
		     0);
	for (size_t i = 0; i < f->n_backends; i++)
		cr_assert_eq(buf_addf(b, " %s:%u%s %x", ip_str(&f->backends[i].ip, ip), f->backends[i].port,
				      f->backends[i].is_local ? " here" : "", f->backends[i].conditions),
			     0);
}

static void on_change(const struct frontend *old, const struct frontend *now, void *arg)
{
	struct serving *s = arg;

	nomem_pause();
	for (unsigned i = 0; i < 2; i++) {
		struct buf b = {0};

		if (!(i ? now : old))
			continue;
		frontend_text(i ? now : old, &b);
		if (i)
			cr_assert_eq(json_object_set_new(s->told, b.data, json_true()), 0);
		else
			cr_expect_eq(json_object_del(s->told, b.data), 0, "what goes was not told of");
		buf_done(&b);
	}
	nomem_resume();
}

static int serving_run(void *state)
{
	struct serving *s = state;
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_services; i++) {
		struct kube_service *svc;

		r = kube_service_decode(s->services[i], &svc, &err);
		if (r == 0)
			r = service_table_upsert(s->table, svc);
	}
	for (size_t i = 0; r == 0 && i < s->n_slices; i++) {
		struct kube_slice *slice;

		r = kube_slice_decode(s->slices[i], &slice, &err);
		if (r == 0)
			r = service_table_upsert_slice(s->table, slice);
	}
	return r < 0 ? r : service_table_flush(s->table, on_change, s);
}

static int dump_frontend(const struct frontend *f, void *arg)
{
	struct buf b = {0};

	frontend_text(f, &b);
	(void)fprintf(arg, "%s\n", b.data);
	buf_done(&b);
	return 0;
}

static void serving_dump(void *state, FILE *out)
{
	struct serving *s = state;
	struct service_counts c;
	struct dns_zone_counts z;
	const char *key;
	json_t *v;

	(void)service_table_each(s->table, dump_frontend, out);
	service_table_counts(s->table, &c);
	dns_zone_counts(s->zone, &z);
	(void)fprintf(out, "%zu services %zu slices %zu addresses %zu frontends %zu backends %zu conflicts, %zu names %zu records%s\n",
		      c.services, c.slices, c.addresses, c.frontends, c.backends, c.conflicts, z.services, z.records,
		      service_table_is_dirty(s->table) ? ", dirty" : "");
	json_object_foreach(s->told, key, v)
		(void)fprintf(out, "told %s\n", key);
}

static void serving_end(void *state)
{
	struct serving *s = state;

	dns_zone_free(s->zone);
	service_table_free(s->table);
	json_decref(s->told);
	for (size_t i = 0; i < s->n_services; i++)
		doc_free(s->services[i]);
	for (size_t i = 0; i < s->n_slices; i++)
		doc_free(s->slices[i]);
	free(s);
}

/* All is there, then the options are others, some go and one slice is another one. */
static void *changing_begin(const void *arg)
{
	struct serving *s = serving_begin(arg);

	cr_assert_eq(serving_run(s), 0);
	return s;
}

static int changing_run(void *state)
{
	CLEANUP(strv_done) struct strv labels = {0};
	struct service_options o = {.node = "n2", .zone = "z2", .proxy_name = "p", .node_labels = &labels, .has_node_ports = true};
	struct serving *s = state;
	int r = strv_add(&labels, "a=b");

	if (r == 0)
		r = service_table_set_options(s->table, &o);
	o.proxy_name = NULL;
	if (r == 0)
		r = service_table_set_options(s->table, &o);
	service_table_remove(s->table, "prod", "web");
	service_table_remove(s->table, "prod", "plain");
	return r < 0 ? r : service_table_flush(s->table, on_change, s);
}

static int restore(void *state)
{
	struct serving *s = state;
	int r = 0;

	for (unsigned i = 0; i < 20 && r == 0; i++) {
		struct ip ip = {.family = AF_INET, .b = {10, 96, 9, (uint8_t)i}};

		r = service_table_restore_frontend(s->table, &ip, 80, 6, 500 + i);
		if (r == 0 || r == -EEXIST)
			r = service_table_restore_backend(s->table, &ip, 80, 6, 700 + i);
		r = r == -EEXIST ? 0 : r;
	}
	return r;
}

static int plan_one(const struct frontend *f, void *arg)
{
	CLEANUP(plan_service_done) struct plan_service p = {0};
	int r = plan_service_make(f, &p);

	(void)arg;
	cr_assert(r < 0 || p.n_slots >= f->n_backends || !f->n_backends);
	return r;
}

static int plan_all(void *state)
{
	return service_table_each(((struct serving *)state)->table, plan_one, NULL);
}

Test(nomem_service, tables)
{
	const struct nomem all[] = {
		{.name = "services", .begin = serving_begin, .run = serving_run, .places = 300},
		{.name = "services change", .begin = changing_begin, .run = changing_run},
		{.name = "services restored", .begin = serving_begin, .run = restore},
		{.name = "map entries of services", .begin = changing_begin, .run = plan_all, .is_atomic = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.dump = serving_dump;
		n.end = serving_end;
		n.has_no_order = true;
		nomem_try(&n);
	}
}

/* --- one object each --- */

static const char everything[] =
	"{\"metadata\":{\"namespace\":\"legacy\",\"name\":\"ahch-to\",\"uid\":\"u1\",\"labels\":{\"a\":\"b\"},\"annotations\":{"
	"\"io.cilium/portal\":\"true\",\"service.cilium.io/node\":\"x\",\"other\":\"y\"},\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},"
	"\"spec\":{\"type\":\"LoadBalancer\",\"clusterIPs\":[\"10.96.0.9\",\"fd00::9\"],\"selector\":{\"jedi\":\"luke\"},"
	"\"externalIPs\":[\"192.0.2.7\"],\"loadBalancerSourceRanges\":[\"10.0.0.0/8\"],\"sessionAffinity\":\"ClientIP\",\"ports\":["
	"{\"name\":\"http\",\"port\":80,\"targetPort\":\"web\",\"nodePort\":30001},{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\"},"
	"{\"name\":\"none\",\"port\":9,\"targetPort\":\"gone\"}]},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.8\"}]}}}";

struct backend_host {
	struct doc *doc;
	struct kube_service *service;
	struct kube_pairs labels;
	struct strv allowed;
	struct ip ips[2];
	struct serve_named_port port;
	struct serve_host h;
	struct serve_plan plan;
};

static void *host_begin(const void *arg)
{
	struct backend_host *b = calloc(1, sizeof(*b));
	struct doc *labels = doc_parse("{\"jedi\":\"luke\"}", 15);

	NOMEM_NEED(b && labels);
	b->doc = doc_parse(everything, strlen(everything));
	NOMEM_NEED(b->doc);
	cr_assert_eq(kube_service_decode(b->doc, &b->service, NULL), 0);
	cr_assert_eq(kube_pairs_decode(labels, NULL, 16, &b->labels, NULL), 0);
	cr_assert_eq(strv_add(&b->allowed, arg), 0);
	cr_assert_eq(ip_parse("172.19.100.2", &b->ips[0]), 0);
	cr_assert_eq(ip_parse("fd00:19::2", &b->ips[1]), 0);
	b->port = (struct serve_named_port){"web", 8443, 6};
	b->h = (struct serve_host){
		.name = "vm1",
		.ns = "legacy",
		.zone = "z",
		.labels = &b->labels,
		.allowed = &b->allowed,
		.ports = &b->port,
		.n_ports = 1,
		.addresses = b->ips,
		.n_addresses = 2,
		.state = {{.is_ready = true, .is_serving = true}, {.is_serving = true, .text = "not well"}},
		.weight = 7,
	};
	doc_free(labels);
	return b;
}

static int host_run(void *state)
{
	struct backend_host *b = state;
	struct serve_plan plan = {0};
	int r = serve_plan_add(&plan, b->service, &b->h);

	if (r < 0) {
		serve_plan_done(&plan);
		return r;
	}
	serve_plan_sort(&plan);
	serve_plan_done(&b->plan);
	b->plan = plan;
	return 0;
}

static void host_dump(void *state, FILE *out)
{
	struct backend_host *b = state;

	for (size_t i = 0; i < b->plan.n; i++) {
		const struct serve_entry *e = &b->plan.v[i];

		(void)fprintf(out, "%s %s %s %s %s %d %d\n", serve_status_str(e->status), e->service, e->uid, e->reason ? e->reason : "",
			      e->health ? e->health : "", e->is_held[0], e->is_held[1]);
		for (unsigned k = 0; k < 2; k++) {
			char *text = e->slice[k] ? json_text(e->slice[k]) : NULL;

			(void)fprintf(out, "%s %s\n", e->slice_name[k] ? e->slice_name[k] : "none", text ? text : "");
			free(text);
		}
	}
}

static void host_end(void *state)
{
	struct backend_host *b = state;

	serve_plan_done(&b->plan);
	kube_pairs_done(&b->labels);
	strv_done(&b->allowed);
	kube_service_free(b->service);
	doc_free(b->doc);
	free(b);
}

/* Comparing needs no memory, or a slice would be written again and again, or not at all. */
static int same(void *state)
{
	struct backend_host *b = state;
	int r = host_run(state);

	if (r < 0)
		return r;
	cr_assert(serve_slice_same(b->plan.v[0].slice[0], b->plan.v[0].slice[0]));
	return 0;
}

Test(nomem_service, this_host)
{
	const struct nomem all[] = {
		{.name = "this host as a backend", .run = host_run, .arg = "ahch-to"},
		{.name = "this host, not allowed", .run = host_run, .arg = "other"},
		{.name = "slices compared", .run = same, .arg = "ahch-to"},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = host_begin;
		n.dump = host_dump;
		n.end = host_end;
		n.is_atomic = true;
		nomem_try(&n);
	}
}

/* --- a migration to its file and back --- */

struct moved {
	struct migration m, back;
};

static void *moved_begin(const void *arg)
{
	static const struct migration_conf c = {.to = MIGRATION_PODS, .step_pm = 250, .interval_s = 4, .max_errors_pm = 50, .max_latency_factor = 3};
	static const struct migration_rest base = {MIGRATION_BY_TURNS, MIGRATION_ALL, 0};
	static const struct migration_view v = {.passed_us = 1000000, .pods = 2, .is_host_known = true, .is_host_ready = true};
	struct moved *m = calloc(1, sizeof(*m));

	(void)arg;
	NOMEM_NEED(m);
	cr_assert_eq(migration_init(&m->m, "council", &c, &base), 0);
	for (unsigned i = 0; i < 7; i++) {
		migration_sample(&m->m.sides[0], 1000, NULL);
		migration_sample(&m->m.sides[1], 2000, i == 3 ? "refused" : NULL);
		(void)migration_tick(&m->m, &v);
	}
	return m;
}

static int moved_run(void *state)
{
	struct moved *m = state;
	CLEANUP(json_decref) json_t *doc = migration_to_json(&m->m);
	struct migration back = {0};
	int r = doc ? migration_from_json(doc, &back) : -ENOMEM;

	if (r < 0)
		return r;
	migration_done(&m->back);
	m->back = back;
	return 0;
}

static void moved_dump(void *state, FILE *out)
{
	struct moved *m = state;
	json_t *doc = m->back.service ? migration_to_json(&m->back) : NULL;
	char *text = doc ? json_text(doc) : NULL;

	(void)fputs(text ? text : "none", out);
	free(text);
	json_decref(doc);
}

static void moved_end(void *state)
{
	struct moved *m = state;

	migration_done(&m->m);
	migration_done(&m->back);
	free(m);
}

Test(nomem_service, migration)
{
	const struct nomem n = {.name = "a migration to its file and back",
				.begin = moved_begin,
				.run = moved_run,
				.dump = moved_dump,
				.end = moved_end,
				.is_atomic = true};

	nomem_try(&n);
}

/* --- names --- */

/* Namespaces and which are visible. */
static int zone_run(void *state)
{
	struct serving *s = state;
	CLEANUP(strv_done) struct strv visible = {0};
	int r = strv_add(&visible, "prod");

	if (r == 0)
		r = strv_add(&visible, "new");
	if (r == 0)
		r = dns_zone_set_visible(s->zone, &visible);
	for (unsigned i = 0; i < 12 && r == 0; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "ns-%u", i);
		r = dns_zone_set_namespace(s->zone, i ? name : "new", true);
	}
	return r < 0 ? r : dns_zone_set_namespace(s->zone, "empty", false);
}

static size_t query_of(const char *name, uint16_t type, uint8_t buf[DNS_UDP_MIN])
{
	static const uint8_t head[DNS_HEADER_LEN] = {0x12, 0x67, 1, 0, 0, 1};
	struct dns_name n;

	cr_assert_eq(dns_name_parse(name, &n), 0);
	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), n.b, n.len);
	buf[sizeof(head) + n.len] = (uint8_t)(type >> 8);
	buf[sizeof(head) + n.len + 1] = (uint8_t)type;
	buf[sizeof(head) + n.len + 2] = 0;
	buf[sizeof(head) + n.len + 3] = DNS_CLASS_IN;
	return sizeof(head) + n.len + 4;
}

static int ask(struct serving *s, const char *name, uint16_t type, FILE *out)
{
	struct dns_provider p, back;
	uint8_t msg[DNS_UDP_MIN], answer[DNS_UDP_MAX];
	struct dns_result result = {0};
	struct dns_writer w;
	struct dns_query q;
	size_t n = query_of(name, type, msg);

	dns_zone_provider(s->zone, &p, &back);
	cr_assert_eq(dns_query_parse(msg, n, &q), 0);
	dns_writer_begin(&w, &q, answer, sizeof(answer), sizeof(answer));
	(void)p.answer(p.ctx, &q, &w, &result);
	n = dns_writer_end(&w, result.rcode, DNS_FLAG_AA);
	nomem_pause();
	(void)fprintf(out, "%s %u %d %u %u %zu\n", name, type, result.rcode, w.counts[0], w.counts[1], n);
	nomem_resume();
	return result.rcode;
}

static const char *const names[] = {"web.prod.svc.cluster.local", "db.prod.svc.cluster.local", "new.svc.cluster.local",
				    "ns-3.svc.cluster.local", "empty.svc.cluster.local", "many.prod.svc.cluster.local"};

static void zone_dump(void *state, FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)ask(state, names[i], DNS_A, out);
		(void)ask(state, names[i], DNS_SRV, out);
	}
}

struct asked {
	struct serving *s;
	char *answers;
};

static void *asked_begin(const void *arg)
{
	struct asked *a = calloc(1, sizeof(*a));

	NOMEM_NEED(a);
	a->s = changing_begin(arg);
	return a;
}

/* An answer is whole, or it says that there is none now. */
static int asked_run(void *state)
{
	struct asked *a = state;
	char *text = NULL;
	size_t len;
	int r = 0;
	FILE *f;

	nomem_pause();
	f = open_memstream(&text, &len);
	nomem_resume();
	for (size_t i = 0; i < ARRAY_LEN(names) * 2; i++)
		if (ask(a->s, names[i / 2], i % 2 ? DNS_SRV : DNS_A, f) == DNS_SERVFAIL)
			r = -ENOMEM;
	nomem_pause();
	(void)fclose(f);
	free(r == 0 ? a->answers : text);
	if (r == 0)
		a->answers = text;
	nomem_resume();
	return r;
}

/* Where an answer comes from, in words. */
static int explained_run(void *state)
{
	struct asked *a = state;
	struct dns_provider p, back;
	CLEANUP(buf_done) struct buf b = {0};
	int r = 0;

	dns_zone_provider(a->s->zone, &p, &back);
	for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
		uint8_t msg[DNS_UDP_MIN];
		struct dns_query q;

		cr_assert_eq(dns_query_parse(msg, query_of(names[i], DNS_A, msg), &q), 0);
		r = p.explain(p.ctx, &q, &b);
	}
	if (r < 0)
		return r;
	nomem_pause();
	free(a->answers);
	a->answers = strdup(b.data);
	nomem_resume();
	return 0;
}

static void asked_dump(void *state, FILE *out)
{
	struct asked *a = state;

	(void)fputs(a->answers ? a->answers : "none", out);
}

static void asked_end(void *state)
{
	struct asked *a = state;

	serving_end(a->s);
	free(a->answers);
	free(a);
}

Test(nomem_service, zone)
{
	const struct nomem set = {.name = "namespaces of the zone",
				  .begin = changing_begin,
				  .run = zone_run,
				  .dump = zone_dump,
				  .end = serving_end},
			   answers = {.name = "answers of the zone",
				      .begin = asked_begin,
				      .run = asked_run,
				      .dump = asked_dump,
				      .end = asked_end,
				      .is_atomic = true},
			   explained = {.name = "answers explained",
					.begin = asked_begin,
					.run = explained_run,
					.dump = asked_dump,
					.end = asked_end,
					.is_atomic = true};

	nomem_try(&set);
	nomem_try(&answers);
	nomem_try(&explained);
}

static void *cache_begin(const void *arg)
{
	struct dns_cache *c;

	(void)arg;
	cr_assert_eq(dns_cache_new(4, 1 << 16, &c), 0);
	return c;
}

/* What there is no memory for is not kept, and that is no error. */
static int cache_run(void *state)
{
	for (unsigned i = 0; i < 8; i++) {
		uint8_t msg[DNS_UDP_MIN], answer[DNS_UDP_MAX];
		struct ip ip = {.family = AF_INET, .b = {192, 0, 2, (uint8_t)i}};
		char name[] = "a0.example.";
		struct dns_writer w;
		struct dns_query q;
		size_t n;

		name[1] = (char)('0' + i);
		n = query_of(name, DNS_A, msg);
		cr_assert_eq(dns_query_parse(msg, n, &q), 0);
		dns_writer_begin(&w, &q, answer, sizeof(answer), sizeof(answer));
		cr_assert(dns_put_ip(&w, DNS_ANSWER, &q.name, 60, &ip));
		n = dns_writer_end(&w, 0, DNS_FLAG_RA);
		dns_cache_put(state, &q, answer, n, 1000000);
		n = dns_cache_get(state, &q, 2000000, answer, sizeof(answer));
		cr_assert(n == 0 || answer[n - 1] == i, "another answer");
	}
	return 0;
}

static void cache_dump(void *state, FILE *out)
{
	struct dns_cache_counts c;

	dns_cache_counts(state, &c);
	(void)fprintf(out, "%zu %zu\n", c.entries, c.bytes);
}

static void cache_end(void *state)
{
	dns_cache_free(state);
}

Test(nomem_service, answers_of_others)
{
	const struct nomem n = {.name = "answers kept",
				.begin = cache_begin,
				.run = cache_run,
				.dump = cache_dump,
				.end = cache_end,
				.may_lack = true};

	nomem_try(&n);
}
