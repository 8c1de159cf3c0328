/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "objects.h"
#include "../../lib/json_objects.h"

#define META "'metadata':{'namespace':'prod','name':'x'}"

Test(decode, malformed_services_are_refused)
{
	static const char *const bad[] = {
		"[]", "{}", "'x'", "{'metadata':{}}", "{" META "}", "{" META ",'spec':[]}",
		"{'metadata':{'namespace':'prod','name':'X!'},'spec':{}}",
		"{'metadata':{'namespace':'prod','name':7},'spec':{}}",
		"{'metadata':{'namespace':'prod','name':'x','creationTimestamp':'yesterday'},'spec':{}}",
		"{'metadata':{'namespace':'prod','name':'x','labels':{'a':1}},'spec':{}}",
		"{" META ",'spec':{'type':'Magic'}}",
		"{" META ",'spec':{'clusterIP':'010.1.2.3'}}",
		"{" META ",'spec':{'clusterIP':5}}",
		"{" META ",'spec':{'clusterIPs':['10.0.0.1','10.0.0.2']}}",
		"{" META ",'spec':{'clusterIPs':['10.0.0.1','fd00::1','fd00::2']}}",
		"{" META ",'spec':{'ports':{}}}",
		"{" META ",'spec':{'ports':[{}]}}",
		"{" META ",'spec':{'ports':[7]}}",
		"{" META ",'spec':{'ports':[{'port':0}]}}",
		"{" META ",'spec':{'ports':[{'port':65536}]}}",
		"{" META ",'spec':{'ports':[{'port':-1}]}}",
		"{" META ",'spec':{'ports':[{'port':'80'}]}}",
		"{" META ",'spec':{'ports':[{'port':80,'protocol':'ICMP'}]}}",
		"{" META ",'spec':{'ports':[{'port':80,'protocol':6}]}}",
		"{" META ",'spec':{'ports':[{'port':80,'targetPort':''}]}}",
		"{" META ",'spec':{'externalIPs':['x']}}",
		"{" META ",'spec':{'loadBalancerSourceRanges':['x']}}",
		"{" META ",'spec':{'loadBalancerSourceRanges':[' ']}}",
		"{" META ",'spec':{'loadBalancerSourceRanges':['10.0.0.0/8 10.0.0.0/8']}}",
		"{" META ",'spec':{'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':0}}}}",
		"{" META ",'spec':{'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':86401}}}}",
		"{" META ",'spec':{'selector':{'a':[]}}}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *j = bad[i][0] == '\'' ? json_string("x") : json_of(bad[i]);
		struct kube_service *s;
		struct err err = {0};

		cr_expect_eq(json_service_decode(j, &s, &err), -EINVAL, "%s", bad[i]);
		cr_expect(err.text[0], "%s", bad[i]);
		json_decref(j);
	}
}

/* As the API server's validation takes it (ValidateService): such Services exist. */
Test(decode, source_ranges_with_space_around_them)
{
	struct kube_service *s = service_of("{" META ",'spec':{'loadBalancerSourceRanges':[' 10.0.0.0/8','fd00::/8\\t ']}}");
	char text[CIDR_STRLEN];

	cr_assert_eq(s->n_source_ranges, 2);
	cr_expect_str_eq(cidr_str(&s->source_ranges[0], text), "10.0.0.0/8");
	cr_expect_str_eq(cidr_str(&s->source_ranges[1], text), "fd00::/8");
	kube_service_free(s);
}

Test(decode, a_service_keeps_what_is_read)
{
	struct kube_service *s = service_of(
		"{'metadata':{'namespace':'prod','name':'x','uid':'u','creationTimestamp':'1970-01-01T00:01:00Z',"
		"'labels':{'l':'v'},'annotations':{'kubectl.kubernetes.io/last-applied-configuration':'{}','io.cilium/portal':'true'}},"
		"'spec':{'type':'LoadBalancer','clusterIP':'10.0.0.1','internalTrafficPolicy':'Local','externalTrafficPolicy':'Local',"
		"'publishNotReadyAddresses':true,'trafficDistribution':'PreferClose','selector':{'app':'x'},"
		"'ports':[{'port':80,'targetPort':'web','nodePort':30000},{'name':'b','port':81,'protocol':'UDP','targetPort':8081},"
		"{'name':'c','port':82}]}}");

	cr_expect_eq(s->created_s, 60);
	cr_expect_str_eq(s->uid, "u");
	cr_expect(s->is_internal_local && s->is_external_local && s->publish_not_ready && s->has_traffic_distribution);
	cr_expect_eq(s->annotations.n, 1);
	cr_expect_str_eq(kube_pairs_get(&s->annotations, "io.cilium/portal"), "true");
	cr_expect_str_eq(kube_pairs_get(&s->labels, "l"), "v");
	cr_expect_null(kube_pairs_get(&s->labels, "m"));
	cr_assert_eq(s->n_ports, 3);
	cr_expect_str_eq(s->ports[0].target_name, "web");
	cr_expect_eq(s->ports[0].target_port, 0);
	cr_expect_eq(s->ports[0].node_port, 30000);
	cr_expect_str_eq(s->ports[0].name, "");
	cr_expect_eq(s->ports[1].target_port, 8081);
	cr_expect_eq(s->ports[1].proto, IPPROTO_UDP);
	cr_expect_eq(s->ports[2].target_port, 82);
	kube_service_free(s);
}

#define SLICE "'metadata':{'namespace':'prod','name':'x-1','labels':{'kubernetes.io/service-name':'x'}}"

Test(decode, malformed_slices_are_refused)
{
	static const char *const bad[] = {
		"[]", "{}", "{" SLICE "}", "{" SLICE ",'addressType':'IPX'}",
		"{'metadata':{'namespace':'prod','name':''},'addressType':'IPv4'}",
		"{'metadata':{'namespace':'prod','name':'x','labels':[]},'addressType':'IPv4'}",
		"{" SLICE ",'addressType':'IPv4','ports':{}}",
		"{" SLICE ",'addressType':'IPv4','ports':[{'port':70000}]}",
		"{" SLICE ",'addressType':'IPv4','ports':[{'port':80,'protocol':'X'}]}",
		"{" SLICE ",'addressType':'IPv4','endpoints':{}}",
		"{" SLICE ",'addressType':'IPv4','endpoints':[{}]}",
		"{" SLICE ",'addressType':'IPv4','endpoints':[{'addresses':[]}]}",
		"{" SLICE ",'addressType':'IPv4','endpoints':[{'addresses':['fd00::1']}]}",
		"{" SLICE ",'addressType':'IPv6','endpoints':[{'addresses':['10.0.0.1']}]}",
		"{" SLICE ",'addressType':'IPv4','endpoints':[{'addresses':['10.0.0.1'],'hostname':5}]}",
		"{" SLICE ",'addressType':'IPv4','endpoints':[{'addresses':['10.0.0.1'],'hints':{'forZones':[{}]}}]}",
		"{" SLICE ",'addressType':'IPv4','endpoints':[{'addresses':['10.0.0.1'],'hints':{'forZones':'z'}}]}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *j = json_of(bad[i]);
		struct kube_slice *s;
		struct err err = {0};

		cr_expect_eq(json_slice_decode(j, &s, &err), -EINVAL, "%s", bad[i]);
		json_decref(j);
	}
}

Test(decode, too_many_endpoints_are_refused)
{
	json_t *j = json_of("{" SLICE ",'addressType':'IPv4','endpoints':[]}");
	json_t *list = json_object_get(j, "endpoints");
	struct kube_slice *s = NULL;
	struct err err;

	for (int i = 0; i < 1000; i++)
		cr_assert(json_array_append_new(list, json_pack("{s:[s],s:s}", "addresses", "10.0.0.1", "nodeName",
								"node-a")) == 0);
	cr_assert(json_slice_decode(j, &s, &err) == 0);
	cr_expect_eq(s->n_endpoints, 1000);
	cr_expect_eq(s->endpoints[0].node, s->endpoints[999].node);
	kube_slice_free(s);
	cr_assert(json_array_append_new(list, json_pack("{s:[s]}", "addresses", "10.0.0.1")) == 0);
	cr_expect_eq(json_slice_decode(j, &s, &err), -EINVAL);
	json_decref(j);
}

Test(decode, conditions_are_normalised)
{
	struct kube_slice *s = slice_of(
		"{" SLICE ",'addressType':'IPv6','endpoints':[{'addresses':['fd00::1']},"
		"{'addresses':['fd00::2'],'conditions':{'ready':false}},"
		"{'addresses':['fd00::3'],'conditions':{'ready':null,'serving':false,'terminating':true}},"
		"{'addresses':['FD00::4'],'conditions':{'ready':false,'serving':true}}]}");

	cr_expect_eq(s->endpoints[0].conditions, KUBE_EP_READY | KUBE_EP_SERVING);
	cr_expect_eq(s->endpoints[1].conditions, 0);
	cr_expect_eq(s->endpoints[2].conditions, KUBE_EP_READY | KUBE_EP_TERMINATING);
	cr_expect_eq(s->endpoints[3].conditions, KUBE_EP_SERVING);
	cr_expect_eq(s->addrs[0].text, 0);
	cr_expect_str_eq(kube_slice_text(s, s->addrs[3].text), "FD00::4");
	kube_slice_free(s);
}
