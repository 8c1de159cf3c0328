/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "base/str.h"
#include "objects.h"
#include "service/service_select.h"
#include "../../lib/json_objects.h"

#define WEB "{'metadata':{'namespace':'prod','name':'web'},'spec':{'clusterIP':'10.96.0.20','ports':[{'name':'http','port':80}]"

struct slices {
	struct kube_slice *v[16];
	size_t n;
};

static void add_slice(struct slices *l, json_t *obj)
{
	json_t *meta = json_pack("{s:s,s:o,s:{s:s}}", "namespace", "prod", "name",
				 json_sprintf("web-%zu", l->n), "labels", "kubernetes.io/service-name", "web");
	struct err err = {0};

	cr_assert(l->n < 16);
	(void)json_object_update(json_object_get(meta, "labels"), json_object_get(obj, "labels"));
	if (json_object_get(obj, "annotations"))
		cr_assert(json_object_set(meta, "annotations", json_object_get(obj, "annotations")) == 0);
	cr_assert(json_object_set_new(obj, "metadata", meta) == 0);
	if (!json_object_get(obj, "addressType"))
		cr_assert(json_object_set_new(obj, "addressType", json_string("IPv4")) == 0);
	cr_assert(json_slice_decode(obj, &l->v[l->n], &err) == 0, "%s", err.text);
	l->n++;
}

static json_t *hints_of(const json_t *names)
{
	json_t *list = json_array(), *v;
	size_t i;

	json_array_foreach (names, i, v)
		cr_assert(json_array_append_new(list, json_pack("{s:O}", "name", v)) == 0);
	return list;
}

/* One slice per endpoint of the short form. */
static void add_short(struct slices *l, const json_t *ep)
{
	const char *at = json_string_value(json_object_get(ep, "a")), *colon = strrchr(at, ':');
	json_t *cond = json_object(), *hints = json_object(), *obj, *e;
	uint64_t port;

	cr_assert(str_to_u64(colon + 1, UINT16_MAX, &port) == 0);
	if (json_object_get(ep, "r"))
		(void)json_object_set(cond, "ready", json_object_get(ep, "r"));
	if (json_object_get(ep, "s"))
		(void)json_object_set(cond, "serving", json_object_get(ep, "s"));
	if (json_object_get(ep, "t"))
		(void)json_object_set(cond, "terminating", json_object_get(ep, "t"));
	if (json_object_get(ep, "z"))
		(void)json_object_set_new(hints, "forZones", hints_of(json_object_get(ep, "z")));
	if (json_object_get(ep, "h"))
		(void)json_object_set_new(hints, "forNodes", hints_of(json_object_get(ep, "h")));
	e = json_pack("{s:[o],s:o,s:o}", "addresses", json_stringn(at, (size_t)(colon - at)), "conditions", cond,
		      "hints", hints);
	if (json_object_get(ep, "n"))
		(void)json_object_set(e, "nodeName", json_object_get(ep, "n"));
	obj = json_pack("{s:[{s:s,s:i}],s:[o]}", "ports", "name", "http", "port", (int)port, "endpoints", e);
	cr_assert(obj);
	add_slice(l, obj);
	json_decref(obj);
}

static char *backends_text(const struct frontend *f)
{
	char *out = strdup(""), ip[IP_STRLEN];

	for (size_t i = 0; i < f->n_backends; i++) {
		char *more = str_printf("%s%s:%u ", out, ip_str(&f->backends[i].ip, ip), f->backends[i].port);

		free(out);
		out = more;
	}
	return out;
}

static void check_case(json_t *c)
{
	const char *id = json_string_value(json_object_get(c, "id"));
	const char *flags = json_string_value(json_object_get(c, "flags"));
	bool local = json_is_true(json_object_get(c, "local"));
	CLEANUP(free) char *notes = json_dumps(json_object_get(c, "annotations"), 0);
	CLEANUP(free) char *text = str_printf("{'metadata':{'namespace':'prod','name':'web','annotations':%s},'spec':{"
					      "'clusterIP':'10.96.0.20','ports':[{'name':'http','port':80}]%s}}",
					      notes ? notes : "{}", local ? ",'internalTrafficPolicy':'Local'" : "");
	struct kube_service *s = service_of(text);
	struct service_options opt = {.node = "vm1",
				      .zone = "z1",
				      .has_clustermesh = json_is_true(json_object_get(c, "clustermesh"))};
	struct slices l = {0};
	struct frontends out = {0};
	char *got, *want = strdup("");
	uint8_t want_flags = 0;
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(c, "eps"), i, v)
		add_short(&l, v);
	json_array_foreach (json_object_get(c, "slices"), i, v)
		add_slice(&l, v);
	cr_assert(service_select(s, (const struct kube_slice *const *)l.v, l.n, &opt, &out) == 0);
	cr_assert_eq(out.n, 1, "case %s", id);
	json_array_foreach (json_object_get(c, "expect"), i, v) {
		char *more = str_printf("%s%s ", want, json_string_value(v));

		free(want);
		want = more;
	}
	got = backends_text(&out.v[0]);
	cr_expect_str_eq(got, want, "case %s: got %s, not %s", id, got, want);
	if (flags)
		want_flags = str_eq(flags, "filtered") ? FRONTEND_FILTERED : FRONTEND_TERMINATING;
	cr_expect_eq(out.v[0].flags, want_flags, "case %s: flags %u", id, out.v[0].flags);
	free(got);
	free(want);
	frontends_done(&out);
	for (i = 0; i < l.n; i++)
		kube_slice_free(l.v[i]);
	kube_service_free(s);
}

Test(select, backend_cases)
{
	const char *dir = getenv("srcdir");
	CLEANUP(free) char *path = str_printf("%s/tests/data/service/backends.json", dir ? dir : ".");
	json_t *cases = json_load_file(path, 0, NULL), *c;
	size_t i;

	cr_assert(json_array_size(cases) > 30);
	json_array_foreach (cases, i, c)
		check_case(c);
	json_decref(cases);
}

/* Frontends as text: "10.96.0.20:80/TCP kind". */
static char *frontends_text(const char *service, const struct service_options *opt)
{
	struct kube_service *s = service_of(service);
	struct frontends out = {0};
	char *text = strdup(""), ip[IP_STRLEN];

	cr_assert(service_select(s, NULL, 0, opt, &out) == 0);
	for (size_t i = 0; i < out.n; i++) {
		char *more = str_printf("%s%s:%u/%s %u ", text, ip_str(&out.v[i].ip, ip), out.v[i].port,
					kube_proto_str(out.v[i].proto), out.v[i].kind);

		free(text);
		text = more;
	}
	frontends_done(&out);
	kube_service_free(s);
	return text;
}

static void check_frontends(const char *spec, const char *rest, const struct service_options *opt, const char *want)
{
	CLEANUP(free) char *text = str_printf("{'metadata':{'namespace':'prod','name':'x'%s},'spec':{%s}%s}",
					      rest[0] == ',' ? rest : "", spec, rest[0] == ',' ? "" : rest + 1);
	CLEANUP(free) char *got = frontends_text(text, opt);

	cr_expect_str_eq(got, want, "%s: %s", text, got);
}

#define PORTS "'ports':[{'name':'http','port':80,'nodePort':30080}]"
#define LB    "'type':'LoadBalancer','clusterIP':'10.96.0.1','externalIPs':['192.0.2.9']," PORTS
#define LB_STATUS ";,'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.1'},{'ip':'192.0.2.2','ipMode':'Proxy'}," \
		  "{'ip':'192.0.2.3','ipMode':'VIP'},{'hostname':'lb.example.com'}]}}"

Test(select, frontends_of_each_source)
{
	const struct service_options none = {.node = "vm1"};
	struct ip host = ip_of("172.19.100.2");
	struct service_options all = {.has_external_ips = true,
				      .has_load_balancers = true,
				      .has_node_ports = true,
				      .host_ips = &host,
				      .n_host_ips = 1};

	check_frontends("'clusterIP':'None'," PORTS, ";", &all, "");
	check_frontends("'clusterIP':''," PORTS, ";", &none, "");
	check_frontends("'type':'ExternalName','externalName':'a.b'," PORTS, ";", &all, "");
	check_frontends("'clusterIP':'10.96.0.1'," PORTS, ";", &none, "10.96.0.1:80/TCP 0 ");
	check_frontends("'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00::1']," PORTS, ";", &none,
			"10.96.0.1:80/TCP 0 fd00::1:80/TCP 0 ");
	check_frontends("'clusterIP':'10.96.0.1','ports':[{'name':'a','port':53},{'name':'b','port':53,'protocol':'UDP'},"
			"{'name':'c','port':53,'protocol':'SCTP'}]", ";", &none,
			"10.96.0.1:53/TCP 0 10.96.0.1:53/UDP 0 10.96.0.1:53/SCTP 0 ");
	check_frontends(LB, LB_STATUS, &none, "10.96.0.1:80/TCP 0 ");
	check_frontends(LB, LB_STATUS, &all,
			"0.0.0.0:30080/TCP 3 10.96.0.1:80/TCP 0 192.0.2.1:80/TCP 2 192.0.2.3:80/TCP 2 192.0.2.9:80/TCP 1 ");
	check_frontends(LB ",'loadBalancerSourceRanges':['172.19.0.0/16']", LB_STATUS, &all,
			"0.0.0.0:30080/TCP 3 10.96.0.1:80/TCP 0 192.0.2.1:80/TCP 2 192.0.2.3:80/TCP 2 192.0.2.9:80/TCP 1 ");
	check_frontends(LB ",'loadBalancerSourceRanges':['10.0.0.0/8']", LB_STATUS, &all,
			"0.0.0.0:30080/TCP 3 10.96.0.1:80/TCP 0 192.0.2.9:80/TCP 1 ");
}

#define RANGED LB ",'loadBalancerSourceRanges':['172.19.0.0/16']"
#define OTHERS LB ",'loadBalancerSourceRanges':['10.0.0.0/8']"

Test(select, source_ranges_and_their_policy)
{
	struct ip host = ip_of("172.19.100.2");
	const struct service_options opt = {.has_load_balancers = true, .host_ips = &host, .n_host_ips = 1};
	const struct service_options unknown = {.has_load_balancers = true};
	const char *status = ",'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.1'}]}}";
	static const struct {
		const char *spec, *policy;
		bool is_short_cut, is_unknown;
	} cases[] = {
		{RANGED, "allow", true, false}, {OTHERS, "allow", false, false}, {RANGED, "deny", false, false},
		{OTHERS, "deny", true, false},	{OTHERS, "other", false, false}, {OTHERS, "deny", false, true},
		{RANGED, "allow", false, true}, {LB, "deny", true, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(free) char *text = str_printf(
			"{'metadata':{'namespace':'prod','name':'x','annotations':{'service.cilium.io/src-ranges-policy':'%s'}},"
			"'spec':{%s}%s}", cases[i].policy, cases[i].spec, status);
		CLEANUP(free) char *got = frontends_text(text, cases[i].is_unknown ? &unknown : &opt);

		cr_expect_str_eq(got, cases[i].is_short_cut ? "10.96.0.1:80/TCP 0 192.0.2.1:80/TCP 2 " : "10.96.0.1:80/TCP 0 ",
				 "case %zu: %s", i, got);
	}
}

/* Whoever may write a Service could otherwise take over the resolver or the cloud's metadata of every host. */
Test(select, no_service_has_an_address_of_the_host_itself)
{
	struct ip host = ip_of("172.19.100.2");
	const struct service_options opt = {.has_load_balancers = true, .has_external_ips = true, .host_ips = &host, .n_host_ips = 1};

	check_frontends("'type':'LoadBalancer','clusterIP':'10.96.0.1','externalIPs':['127.0.0.53','0.0.0.0','192.0.2.9']," PORTS,
			";,'status':{'loadBalancer':{'ingress':[{'ip':'127.0.0.1'},{'ip':'169.254.169.254'},{'ip':'224.0.0.1'},"
			"{'ip':'172.19.100.2'}]}}",
			&opt, "10.96.0.1:80/TCP 0 192.0.2.9:80/TCP 1 ");
}

Test(select, node_ports_are_of_the_families_of_the_service)
{
	const struct service_options opt = {.has_node_ports = true};

	check_frontends("'type':'NodePort','clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00::1']," PORTS, ";", &opt,
			"0.0.0.0:30080/TCP 3 10.96.0.1:80/TCP 0 :::30080/TCP 3 fd00::1:80/TCP 0 ");
	check_frontends("'type':'NodePort','clusterIP':'fd00::1'," PORTS, ";", &opt, ":::30080/TCP 3 fd00::1:80/TCP 0 ");
}

Test(select, labels_and_annotations_decide)
{
	const struct service_options none = {0}, own = {.proxy_name = "mine"};
	const char *spec = "'clusterIP':'10.96.0.1'," PORTS;

	check_frontends(spec, ",'labels':{'service.kubernetes.io/service-proxy-name':'x'}", &none, "");
	check_frontends(spec, ",'labels':{'service.kubernetes.io/service-proxy-name':''}", &none, "");
	check_frontends(spec, ",'labels':{'service.kubernetes.io/service-proxy-name':'mine'}", &own, "10.96.0.1:80/TCP 0 ");
	check_frontends(spec, ",'labels':{'a':'b'}", &own, "");
	check_frontends(spec, ",'labels':{'service.kubernetes.io/headless':''}", &none, "");
	check_frontends(spec, ",'annotations':{'service.cilium.io/type':'ClusterIP'}", &none, "10.96.0.1:80/TCP 0 ");
	check_frontends(spec, ",'annotations':{'service.cilium.io/type':'LoadBalancer'}", &none, "");
}

/* What is told of a Service that is left out: only where somebody would expect it. */
Test(select, reasons)
{
	static const struct {
		const char *meta, *spec, *want; /* a part of the sentence */
	} cases[] = {
		{"", "'clusterIP':'10.96.0.1'", NULL},
		{"", "'clusterIP':'None'", NULL},
		{"", "'type':'ExternalName','externalName':'a.b'", NULL},
		{",'labels':{'service.kubernetes.io/service-proxy-name':'x'}", "'clusterIP':'10.96.0.1'", "another proxy"},
		{",'labels':{'service.kubernetes.io/service-proxy-name':'x'}", "'clusterIP':'None'", NULL},
		{",'annotations':{'service.cilium.io/node':'front'}", "'clusterIP':'10.96.0.1'", "CiliumNode"},
		{",'annotations':{'service.cilium.io/node-selector':'!front'}", "'clusterIP':'10.96.0.1'", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(free) char *text = str_printf("{'metadata':{'namespace':'prod','name':'x'%s},'spec':{%s}}", cases[i].meta,
						      cases[i].spec);
		const struct service_options none = {0};
		struct kube_service *s = service_of(text);
		const char *reason = service_skip_reason(s, &none);

		cr_expect_eq(reason != NULL, cases[i].want != NULL, "case %zu", i);
		cr_expect(!reason || !cases[i].want || strstr(reason, cases[i].want), "case %zu: %s", i, reason);
		kube_service_free(s);
	}
}

Test(select, affinity)
{
	static const struct {
		const char *spec;
		uint32_t want;
	} cases[] = {
		{"}}", 0},
		{",'sessionAffinity':'None'}}", 0},
		{",'sessionAffinity':'ClientIP'}}", 10800},
		{",'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':60}}}}", 60},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CLEANUP(free) char *text = str_printf("%s%s", WEB, cases[i].spec);
		struct kube_service *s = service_of(text);
		struct frontends out = {0};

		cr_assert(service_select(s, NULL, 0, &(struct service_options){0}, &out) == 0);
		cr_expect_eq(out.v[0].affinity_s, cases[i].want);
		frontends_done(&out);
		kube_service_free(s);
	}
}
