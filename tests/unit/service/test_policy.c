/* SPDX-License-Identifier: Apache-2.0 */
/* What toServices of a policy is told of the Services: no more than Cilium is. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "objects.h"
#include "service/service_policy.h"

#define BOUND "'labels':{'kubernetes.io/service-name':'ext'"

struct told {
	char text[512];
};

static int tell(const struct policy_service *svc, void *arg)
{
	struct told *told = arg;
	char ip[IP_STRLEN];
	size_t n = strlen(told->text);

	n += (size_t)snprintf(told->text + n, sizeof(told->text) - n, "%s:", svc->name);
	for (size_t i = 0; i < svc->n_backends; i++)
		n += (size_t)snprintf(told->text + n, sizeof(told->text) - n, " %s", ip_str(&svc->backends[i], ip));
	return 0;
}

static void add(struct service_table *t, const char *service, const char *slice)
{
	cr_assert_eq(service_table_upsert(t, service_of(service)), 0);
	cr_assert_eq(service_table_upsert_slice(t, slice_of(slice)), 0);
}

/* By name and by a walk through all of them. */
static void expect_told(struct service_table *t, const char *want)
{
	struct policy_service_view view = service_policy_view(t);
	struct told by_name = {0}, of_all = {0};

	cr_expect_eq(view.each(view.ctx, "prod", "ext", tell, &by_name), 0);
	cr_expect_eq(view.each(view.ctx, NULL, NULL, tell, &of_all), 0);
	cr_expect_str_eq(by_name.text, want);
	cr_expect_str_eq(of_all.text, want);
	service_table_free(t);
}

static struct service_table *new_table(void)
{
	struct service_table *t;

	cr_assert_eq(service_table_new(NULL, &t), 0);
	return t;
}

#define SERVICE(labels) "{'metadata':{'name':'ext','namespace':'prod'" labels "},'spec':{'clusterIP':'10.96.0.9','ports':[{'port':80}]}}"
#define SLICE(labels, endpoints)                                                                                          \
	"{'metadata':{'name':'ext-1','namespace':'prod'," BOUND labels "}},'addressType':'IPv4','ports':[{'port':80}],"  \
	"'endpoints':[" endpoints "]}"
#define READY "{'addresses':['192.0.2.1']}"

/* Ready if nothing is said; what terminates counts while it serves. */
Test(service_policy, backends_that_serve)
{
	struct service_table *t = new_table();

	add(t, SERVICE(""),
	    SLICE("", READY ",{'addresses':['192.0.2.2'],'conditions':{'ready':false}},"
			    "{'addresses':['192.0.2.3'],'conditions':{'ready':false,'serving':false,'terminating':true}},"
			    "{'addresses':['192.0.2.4'],'conditions':{'ready':false,'serving':true,'terminating':true}},"
			    "{'addresses':['192.0.2.5'],'conditions':{'ready':true}}"));
	expect_told(t, "ext: 192.0.2.1 192.0.2.4 192.0.2.5");
}

Test(service_policy, slices_that_no_proxy_looks_at)
{
	struct service_table *t = new_table();

	add(t, SERVICE(""), SLICE(",'service.kubernetes.io/service-proxy-name':''", READY));
	expect_told(t, "ext:");
	t = new_table();
	add(t, SERVICE(""), SLICE(",'service.kubernetes.io/headless':''", READY));
	expect_told(t, "ext:");
}

Test(service_policy, services_of_another_proxy)
{
	struct service_table *t = new_table();

	add(t, SERVICE(",'labels':{'service.kubernetes.io/service-proxy-name':'other'}"), SLICE("", READY));
	expect_told(t, "");
}

/* Without an address of its own it is still one that names backends. */
Test(service_policy, headless_service)
{
	struct service_table *t = new_table();

	add(t, "{'metadata':{'name':'ext','namespace':'prod'},'spec':{'clusterIP':'None','ports':[{'port':80}]}}", SLICE("", READY));
	expect_told(t, "ext: 192.0.2.1");
	t = new_table();
	add(t, "{'metadata':{'name':'ext','namespace':'prod','labels':{'service.kubernetes.io/service-proxy-name':'x'}},"
	       "'spec':{'clusterIP':'None','ports':[{'port':80}]}}", SLICE("", READY));
	expect_told(t, "");
}
