/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "base/macro.h"
#include "objects.h"
#include "service/migration_backends.h"

#define SERVICE(ports) "{'metadata':{'namespace':'prod','name':'web','uid':'u'},'spec':{'clusterIP':'10.96.0.9','ports':[" ports "]}}"
#define SLICE(name, more, conditions, ip)                                                                              \
	"{'metadata':{'namespace':'prod','name':'" name "','labels':{'kubernetes.io/service-name':'web'}" more "}," \
	"'addressType':'IPv4','ports':[{'name':'http','port':8080}],'endpoints':[{'addresses':['" ip "'],'conditions':{" conditions "}}]}"

static struct conf *conf_of(const char *text)
{
	struct conf *c;
	struct err err = {0};

	cr_assert_eq(conf_parse(text, strlen(text), "t.conf", &c, &err), 0, "%s", err.text);
	return c;
}

Test(migration_backends, ready_ones_of_others)
{
	CLEANUP(migration_backends_done) struct migration_backends b = {0};
	struct kube_service *s = service_of(SERVICE("{'name':'http','port':80}"));
	const struct kube_slice *slices[] = {
		slice_of(SLICE("a", "", "'ready':true", "10.0.0.2")),
		slice_of(SLICE("b", "", "", "10.0.0.1")),
		slice_of(SLICE("again", "", "'ready':true", "10.0.0.2")),
		slice_of(SLICE("own", "", "'ready':true", "172.19.100.2")),
		slice_of(SLICE("not-ready", "", "'ready':false", "10.0.0.3")),
		slice_of(SLICE("going", "", "'ready':false,'serving':true,'terminating':true", "10.0.0.4")),
		slice_of(SLICE("paused", ",'annotations':{'service.cilium.io/weight':'0'}", "'ready':true", "10.0.0.5")),
		simple_slice("v6", "web", "fd00::7"),
		slice_of("{'metadata':{'namespace':'prod','name':'port','labels':{'kubernetes.io/service-name':'web'}},'addressType':"
			 "'IPv4','ports':[{'name':'other','port':8080}],'endpoints':[{'addresses':['10.0.0.6']}]}"),
	};
	const struct service_view v = {.service = s, .slices = slices, .n_slices = ARRAY_LEN(slices)};
	const struct ip own = ip_of("172.19.100.2"), first = ip_of("10.0.0.1"), second = ip_of("10.0.0.2");

	cr_assert_eq(migration_family(s), AF_INET);
	cr_assert_eq(migration_backends_of(&v, &s->ports[0], &own, 1, &b), 0);
	cr_assert_eq(b.n, 2);
	cr_expect(ip_eq(&b.v[0].ip, &first) && b.v[0].port == 8080);
	cr_expect(ip_eq(&b.v[1].ip, &second));
	for (size_t i = 0; i < ARRAY_LEN(slices); i++)
		kube_slice_free((struct kube_slice *)slices[i]);
	kube_service_free(s);
}

/* Both sides are asked what the first health probe asks that is about a port of the Service. */
Test(migration_backends, checks)
{
	static const struct {
		const char *conf, *ports;
		uint16_t host_port;
		int type; /* of the probe; -1 = TCP without one, -2 = none at all */
	} cases[] = {
		{"", "{'name':'http','port':80,'targetPort':8080}", 8080, -1},
		{"health-probes = ( { service = \"web\"; type = \"http\"; port = 8080; path = \"/x\"; } );",
		 "{'name':'http','port':80,'targetPort':8080}", 8080, CONF_PROBE_HTTP},
		{"health-probes = ( { service = \"*\"; type = \"tcp\"; port = 8080; } );",
		 "{'name':'http','port':80,'targetPort':8080}", 8080, CONF_PROBE_TCP},
		{"health-probes = ( { service = \"web\"; type = \"http\"; port = 9000; path = \"/\"; } );",
		 "{'name':'http','port':80,'targetPort':8080}", 8080, -1},
		{"health-probes = ( { service = \"api\"; type = \"http\"; port = 8080; path = \"/\"; } );",
		 "{'name':'http','port':80,'targetPort':8080}", 8080, -1},
		{"health-probes = ( { service = \"web\"; type = \"unit\"; unit = \"web.service\"; } );",
		 "{'name':'http','port':80,'targetPort':8080}", 8080, -1},
		{"named-ports = ( { name = \"www\"; port = 8443; } );", "{'name':'http','port':80,'targetPort':'www'}", 8443, -1},
		{"", "{'name':'http','port':80,'targetPort':'www'}", 0, -2},
		{"", "{'name':'dns','port':53,'protocol':'UDP'}", 53, -2},
		{"", "{'name':'dns','port':53,'protocol':'UDP'},{'name':'http','port':80}", 80, -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf *conf = conf_of(cases[i].conf);
		CLEANUP(free) char *text = str_printf(SERVICE("%s"), cases[i].ports);
		struct kube_service *s = service_of(text);
		struct migration_check c = migration_check_of(s, conf);

		cr_expect_eq(c.host_port, cases[i].host_port, "%zu: %u", i, c.host_port);
		cr_expect_eq(c.is_blind, cases[i].type == -2, "%zu", i);
		cr_expect_eq(c.probe != NULL, cases[i].type >= 0, "%zu", i);
		if (c.probe)
			cr_expect_eq((int)c.probe->type, cases[i].type, "%zu", i);
		kube_service_free(s);
		conf_free(conf);
	}
}
