/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "objects.h"
#include "service/serve.h"

#define SERVICE(annotations, spec)                                                                 \
	"{'metadata':{'namespace':'legacy','name':'ahch-to','uid':'u1','annotations':{" annotations "}}," \
	"'spec':{'clusterIP':'10.96.0.9'," spec "}}"
#define PORTAL "'io.cilium/portal':'true'"
#define PORT80 "'ports':[{'name':'http','port':80,'targetPort':8080}]"

struct host {
	struct serve_host h;
	struct kube_pairs labels;
	struct strv allowed;
	struct serve_named_port ports[1];
	struct ip ips[2];
};

static void host_init(struct host *x)
{
	json_t *labels = json_of("{'jedi':'luke','tier':'old'}");
	CLEANUP(doc_free) struct doc *doc = doc_from_json(labels);

	*x = (struct host){0};
	cr_assert(kube_pairs_decode(doc, NULL, 16, &x->labels, NULL) == 0);
	json_decref(labels);
	cr_assert(strv_add(&x->allowed, "ahch-to") == 0);
	x->ports[0] = (struct serve_named_port){"web", 8443, IPPROTO_TCP};
	x->ips[0] = ip_of("172.19.100.2");
	x->ips[1] = ip_of("fd00:19::2");
	x->h = (struct serve_host){
		.name = "vm1",
		.ns = "legacy",
		.labels = &x->labels,
		.allowed = &x->allowed,
		.ports = x->ports,
		.n_ports = 1,
		.addresses = x->ips,
		.n_addresses = 2,
		.state = {{.is_ready = true, .is_serving = true}, {.is_ready = true, .is_serving = true}},
	};
}

static void host_done(struct host *x)
{
	kube_pairs_done(&x->labels);
	strv_done(&x->allowed);
}

Test(serve, which_services_name_this_host)
{
	static const struct {
		const char *service;
		bool want;
	} cases[] = {
		{SERVICE(PORTAL, "'selector':{'jedi':'luke'}," PORT80), true},
		{SERVICE(PORTAL, "'selector':{'jedi':'luke','tier':'old'}," PORT80), true},
		{SERVICE(PORTAL, "'selector':{'jedi':'luke','app':'x'}," PORT80), false},
		{SERVICE(PORTAL, "'selector':{'jedi':'leia'}," PORT80), false},
		{SERVICE(PORTAL, PORT80), true},
		{SERVICE(PORTAL ",'mesh-external-agent.io/hosts':'vm1'", PORT80), true},
		{SERVICE(PORTAL ",'mesh-external-agent.io/hosts':'vm0, vm1 ,vm2'", PORT80), true},
		{SERVICE(PORTAL ",'mesh-external-agent.io/hosts':'vm10,xvm1'", PORT80), false},
		{SERVICE(PORTAL ",'mesh-external-agent.io/hosts':''", PORT80), false},
		{SERVICE("'io.cilium/portal':'false'", PORT80), false},
		{SERVICE("", "'selector':{'jedi':'luke'}," PORT80), false},
	};
	struct host x;

	host_init(&x);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kube_service *s = service_of(cases[i].service);

		cr_expect_eq(serve_matches(s, &x.h), cases[i].want, "%s", cases[i].service);
		x.h.ns = "other";
		cr_expect(!serve_matches(s, &x.h));
		x.h.ns = "legacy";
		kube_service_free(s);
	}
	host_done(&x);
}

static struct serve_plan plan_of(const struct host *x, const char *service)
{
	struct kube_service *s = service_of(service);
	struct serve_plan p = {0};

	cr_assert(serve_plan_add(&p, s, &x->h) == 0);
	serve_plan_sort(&p);
	kube_service_free(s);
	return p;
}

Test(serve, the_desired_slice)
{
	struct host x;
	struct serve_plan p;
	json_t *want;

	host_init(&x);
	x.h.zone = "z1";
	p = plan_of(&x, SERVICE(PORTAL, "'trafficDistribution':'PreferClose','ports':["
					"{'name':'http','port':80,'targetPort':8080},{'name':'tls','port':443,'targetPort':'web'}]"));
	want = json_of("{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'ahch-to-mesh-vm1',"
		       "'namespace':'legacy','labels':{'kubernetes.io/service-name':'ahch-to',"
		       "'endpointslice.kubernetes.io/managed-by':'mesh-external-agent.io'},"
		       "'ownerReferences':[{'apiVersion':'v1','kind':'Service','name':'ahch-to','uid':'u1'}]},"
		       "'addressType':'IPv4','endpoints':[{'addresses':['172.19.100.2'],"
		       "'conditions':{'ready':true,'serving':true,'terminating':false},'nodeName':'vm1','zone':'z1',"
		       "'hints':{'forZones':[{'name':'z1'}]}}],"
		       "'ports':[{'name':'http','protocol':'TCP','port':8080},{'name':'tls','protocol':'TCP','port':8443}]}");
	cr_assert_eq(p.n, 1);
	cr_expect_eq(p.v[0].status, SERVE_OK);
	cr_expect_null(p.v[0].reason);
	cr_expect(json_equal(p.v[0].slice[0], want), "%s", json_dumps(p.v[0].slice[0], 0));
	cr_expect_null(p.v[0].slice[1]); /* the Service has no IPv6 */
	json_decref(want);
	serve_plan_done(&p);
	host_done(&x);
}

/* One endpoint without the hints of the others switches the topology off for the whole Service. */
Test(serve, hints)
{
	static const struct {
		const char *zone, *service, *want;
	} cases[] = {
		{"z1", SERVICE(PORTAL, "'trafficDistribution':'PreferSameZone'," PORT80), "{'forZones':[{'name':'z1'}]}"},
		{"z1", SERVICE(PORTAL, "'trafficDistribution':'PreferSameNode'," PORT80),
		 "{'forZones':[{'name':'z1'}],'forNodes':[{'name':'vm1'}]}"},
		{"", SERVICE(PORTAL, "'trafficDistribution':'PreferSameNode'," PORT80), "{'forNodes':[{'name':'vm1'}]}"},
		{"", SERVICE(PORTAL, "'trafficDistribution':'PreferClose'," PORT80), NULL},
		{"z1", SERVICE(PORTAL ",'service.kubernetes.io/topology-mode':'Auto'", PORT80), "{'forZones':[{'name':'z1'}]}"},
		{"z1", SERVICE(PORTAL ",'service.kubernetes.io/topology-aware-hints':'auto'", PORT80), "{'forZones':[{'name':'z1'}]}"},
		{"", SERVICE(PORTAL ",'service.kubernetes.io/topology-mode':'Auto'", PORT80), NULL},
		{"z1", SERVICE(PORTAL ",'service.kubernetes.io/topology-mode':'Disabled'", PORT80), NULL},
		{"z1", SERVICE(PORTAL, PORT80), NULL},
	};
	struct host x;

	host_init(&x);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *want = cases[i].want ? json_of(cases[i].want) : NULL, *have;
		struct serve_plan p;

		x.h.zone = cases[i].zone;
		p = plan_of(&x, cases[i].service);
		cr_assert(p.n == 1 && p.v[0].slice[0]);
		have = json_object_get(json_array_get(json_object_get(p.v[0].slice[0], "endpoints"), 0), "hints");
		cr_expect(want ? json_equal(want, have) : !have, "zone '%s': %s", cases[i].zone, cases[i].service);
		json_decref(want);
		serve_plan_done(&p);
	}
	host_done(&x);
}

Test(serve, reasons)
{
	static const struct {
		const char *service;
		enum serve_status want;
		size_t n_ports;
		bool has_reason;
	} cases[] = {
		{SERVICE(PORTAL, PORT80), SERVE_OK, 1, false},
		{SERVICE(PORTAL, "'ports':[{'name':'a','port':1,'targetPort':'nope'}]"), SERVE_NO_PORT, 0, true},
		{SERVICE(PORTAL, "'ports':[{'name':'a','port':1,'targetPort':'web','protocol':'UDP'}]"), SERVE_NO_PORT, 0, true},
		{SERVICE(PORTAL, "'ports':[{'name':'a','port':1,'targetPort':'nope'},{'name':'b','port':2}]"), SERVE_OK, 1, true},
		{"{'metadata':{'namespace':'legacy','name':'other','annotations':{" PORTAL "}},'spec':{" PORT80 "}}",
		 SERVE_NOT_ALLOWED, 0, true},
		{SERVICE(PORTAL, "'type':'ExternalName','externalName':'a.b'"), SERVE_EXTERNAL_NAME, 0, true},
	};
	struct host x;

	host_init(&x);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct serve_plan p = plan_of(&x, cases[i].service);

		cr_assert_eq(p.n, 1);
		cr_expect_eq(p.v[0].status, cases[i].want, "%s", cases[i].service);
		cr_expect_eq(p.v[0].reason != NULL, cases[i].has_reason, "%s", cases[i].service);
		cr_expect_eq(json_array_size(json_object_get(p.v[0].slice[0], "ports")), cases[i].n_ports);
		serve_plan_done(&p);
	}
	x.h.n_addresses = 0;
	struct serve_plan p = plan_of(&x, cases[0].service);

	cr_expect_eq(p.v[0].status, SERVE_NO_ADDRESS);
	serve_plan_done(&p);
	host_done(&x);
}

Test(serve, headless_and_dual_stack_get_a_slice_per_family)
{
	struct host x;
	struct serve_plan p;

	host_init(&x);
	p = plan_of(&x, "{'metadata':{'namespace':'legacy','name':'ahch-to','annotations':{" PORTAL "},"
			"'labels':{'service.kubernetes.io/service-proxy-name':'p'}},'spec':{'clusterIP':'None'," PORT80 "}}");
	for (size_t i = 0; i < 2; i++) {
		const json_t *labels = json_object_get(json_object_get(p.v[0].slice[i], "metadata"), "labels");

		cr_expect_str_eq(json_string_value(json_object_get(labels, "service.kubernetes.io/headless")), "");
		cr_expect_str_eq(json_string_value(json_object_get(labels, "service.kubernetes.io/service-proxy-name")), "p");
	}
	cr_expect_str_eq(p.v[0].slice_name[1], "ahch-to-mesh-vm1-v6");
	cr_expect_str_eq(json_string_value(json_object_get(p.v[0].slice[1], "addressType")), "IPv6");
	serve_plan_done(&p);
	host_done(&x);
}

Test(serve, names_stay_within_253_bytes)
{
	char host[254], *a, *b;

	for (size_t i = 0; i < sizeof(host) - 1; i++)
		host[i] = i % 50 == 49 ? '.' : 'h';
	host[253] = '\0';
	a = serve_slice_name("svc", host, AF_INET);
	b = serve_slice_name("svc", host, AF_INET6);
	cr_expect_eq(strlen(a), 253);
	cr_expect_eq(strlen(b), 253);
	cr_expect_str_neq(a, b);
	cr_expect(str_is_dns_subdomain(a));
	free(a);
	memset(host + 200, '.', 50);
	a = serve_slice_name("svc", host, AF_INET);
	cr_expect(strlen(a) <= 253 && !strstr(a, ".-"));
	free(a);
	free(b);
}

Test(serve, equal_slices_need_no_write)
{
	static const char *const changes[] = {
		"{'addressType':'IPv6'}",
		"{'ports':[]}",
		"{'ports':[{'name':'http','protocol':'TCP','port':8081}]}",
		"{'endpoints':[]}",
		"{'endpoints':[{'addresses':['172.19.100.3'],'conditions':{'ready':true,'serving':true,'terminating':false},'nodeName':'vm1'}]}",
		"{'endpoints':[{'addresses':['172.19.100.2'],'conditions':{'ready':false,'serving':true,'terminating':false},'nodeName':'vm1'}]}",
		"{'endpoints':[{'addresses':['172.19.100.2'],'conditions':{'ready':true,'serving':true,'terminating':false}}]}",
		"{'metadata':{'labels':{'kubernetes.io/service-name':'ahch-to'}}}",
	};
	struct host x;
	struct serve_plan p;
	json_t *live, *meta;

	host_init(&x);
	p = plan_of(&x, SERVICE(PORTAL, PORT80));
	/* what the API server adds, and others may */
	live = json_deep_copy(p.v[0].slice[0]);
	meta = json_object_get(live, "metadata");
	cr_assert(json_object_set_new(meta, "resourceVersion", json_string("7")) == 0);
	cr_assert(json_object_set_new(json_object_get(meta, "labels"), "extra", json_string("x")) == 0);
	cr_assert(json_object_set_new(meta, "annotations", json_of("{'a':'b'}")) == 0);
	cr_expect(serve_slice_same(p.v[0].slice[0], live));
	cr_expect(serve_slice_is_ours(live, &x.h));
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		json_t *other = json_deep_copy(live), *patch = json_of(changes[i]);

		cr_assert(json_object_update(other, patch) == 0);
		cr_expect(!serve_slice_same(p.v[0].slice[0], other), "%s", changes[i]);
		json_decref(other);
		json_decref(patch);
	}
	x.h.name = "vm2";
	cr_expect(!serve_slice_is_ours(live, &x.h));
	json_decref(live);
	serve_plan_done(&p);
	host_done(&x);
}

static const json_t *condition(const json_t *slice, const char *name)
{
	return json_object_get(json_object_get(json_array_get(json_object_get(slice, "endpoints"), 0), "conditions"), name);
}

#define DUAL "'clusterIPs':['10.96.0.9','fd00:96::9']," PORT80

/* Each family has its own state: a workload may listen on one only. */
Test(serve, states_of_the_workload)
{
	struct host x;
	struct serve_plan p;

	host_init(&x);
	x.h.state[1] = (struct serve_state){.is_serving = true, .is_terminating = true, .text = "unit web: deactivating"};
	p = plan_of(&x, SERVICE(PORTAL, DUAL));
	cr_assert_eq(p.n, 1);
	cr_expect_eq(p.v[0].status, SERVE_OK);
	cr_expect_null(p.v[0].reason);
	cr_assert_str_eq(p.v[0].health, "unit web: deactivating");
	cr_expect(json_is_true(condition(p.v[0].slice[0], "ready")));
	cr_expect(json_is_false(condition(p.v[0].slice[0], "terminating")));
	cr_expect(json_is_false(condition(p.v[0].slice[1], "ready")));
	cr_expect(json_is_true(condition(p.v[0].slice[1], "serving")));
	cr_expect(json_is_true(condition(p.v[0].slice[1], "terminating")));
	serve_plan_done(&p);

	x.h.state[0] = (struct serve_state){.is_held = true, .text = "not decided"};
	x.h.state[1] = (struct serve_state){.is_terminating = true, .is_gone = true, .text = "unit web: inactive"};
	p = plan_of(&x, SERVICE(PORTAL, DUAL));
	cr_expect_eq(p.v[0].status, SERVE_OK);
	cr_expect(p.v[0].is_held[0] && p.v[0].slice[0]);
	cr_expect(json_is_false(condition(p.v[0].slice[0], "ready"))); /* a new slice begins so */
	cr_expect_null(p.v[0].slice[1]);
	cr_expect_null(p.v[0].slice_name[1]);
	serve_plan_done(&p);

	x.h.state[0] = (struct serve_state){.is_terminating = true, .is_gone = true, .text = "unit web: inactive"};
	p = plan_of(&x, SERVICE(PORTAL, DUAL));
	cr_expect_eq(p.v[0].status, SERVE_STOPPED);
	cr_expect_str_eq(p.v[0].reason, "unit web: inactive");
	cr_expect(!p.v[0].slice[0] && !p.v[0].slice[1]);
	serve_plan_done(&p);

	/* Who wants addresses that are not ready gets them, but not of one that goes. */
	x.h.state[0] = (struct serve_state){.text = "tcp: refused"};
	p = plan_of(&x, SERVICE(PORTAL, "'publishNotReadyAddresses':true," PORT80));
	cr_expect(json_is_true(condition(p.v[0].slice[0], "ready")));
	serve_plan_done(&p);
	x.h.state[0].is_terminating = true;
	p = plan_of(&x, SERVICE(PORTAL, "'publishNotReadyAddresses':true," PORT80));
	cr_expect(json_is_false(condition(p.v[0].slice[0], "ready")));
	serve_plan_done(&p);
	host_done(&x);
}

/* A migration lets a workload that is ready stand by, and weighs it; one that is not ready has its own reason. */
Test(serve, roles_of_a_migration)
{
	struct host x;
	struct serve_plan p;
	const json_t *endpoint, *meta;

	host_init(&x);
	serve_host_apply(&x.h, &(struct serve_role){.weight = 33});
	p = plan_of(&x, SERVICE(PORTAL, PORT80));
	meta = json_object_get(p.v[0].slice[0], "metadata");
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(meta, "annotations"), SERVE_WEIGHT_ANNOTATION)), "33");
	endpoint = json_array_get(json_object_get(p.v[0].slice[0], "endpoints"), 0);
	cr_expect(json_is_true(json_object_get(json_object_get(endpoint, "conditions"), "ready")));
	cr_expect_null(p.v[0].health);
	serve_plan_done(&p);

	serve_host_apply(&x.h, &(struct serve_role){.is_standby = true, .text = "the pods have it"});
	p = plan_of(&x, SERVICE(PORTAL, PORT80));
	endpoint = json_array_get(json_object_get(p.v[0].slice[0], "endpoints"), 0);
	cr_expect(json_is_false(json_object_get(json_object_get(endpoint, "conditions"), "ready")));
	cr_expect(json_is_true(json_object_get(json_object_get(endpoint, "conditions"), "serving")));
	cr_expect(json_is_true(json_object_get(json_object_get(endpoint, "conditions"), "terminating")));
	cr_expect_null(json_object_get(json_object_get(p.v[0].slice[0], "metadata"), "annotations"));
	cr_expect_str_eq(p.v[0].health, "the pods have it");
	serve_plan_done(&p);

	x.h.state[0] = (struct serve_state){.text = "it is down"};
	x.h.state[1] = (struct serve_state){.is_ready = true, .is_serving = true};
	serve_host_apply(&x.h, &(struct serve_role){.is_standby = true, .is_held = true, .text = "the pods have it"});
	cr_expect(!x.h.state[0].is_serving && !x.h.state[0].is_terminating && !x.h.state[0].is_held);
	cr_expect_str_eq(x.h.state[0].text, "it is down");
	cr_expect(x.h.state[1].is_held && x.h.state[1].is_terminating);
	host_done(&x);
}

Test(serve, another_weight_needs_a_write)
{
	struct host x;
	struct serve_plan p, q;

	host_init(&x);
	p = plan_of(&x, SERVICE(PORTAL, PORT80));
	serve_host_apply(&x.h, &(struct serve_role){.weight = 33});
	q = plan_of(&x, SERVICE(PORTAL, PORT80));
	cr_expect(serve_slice_same(q.v[0].slice[0], q.v[0].slice[0]));
	cr_expect(!serve_slice_same(p.v[0].slice[0], q.v[0].slice[0]));
	cr_expect(!serve_slice_same(q.v[0].slice[0], p.v[0].slice[0]));
	serve_plan_done(&p);
	serve_plan_done(&q);
	host_done(&x);
}
