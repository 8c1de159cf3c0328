/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"
#include "../../lib/json_objects.h"

#include <criterion/criterion.h>

json_t *json_of(const char *text)
{
	CLEANUP(free) char *copy = strdup(text);
	json_error_t e;
	json_t *j;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, 0, &e);
	cr_assert(j, "%s: %s", e.text, text);
	return j;
}

struct kube_service *service_of(const char *text)
{
	json_t *j = json_of(text);
	struct kube_service *s;
	struct err err = {0};

	cr_assert(json_service_decode(j, &s, &err) == 0, "%s", err.text);
	json_decref(j);
	return s;
}

struct kube_slice *slice_of(const char *text)
{
	json_t *j = json_of(text);
	struct kube_slice *s;
	struct err err = {0};

	cr_assert(json_slice_decode(j, &s, &err) == 0, "%s", err.text);
	json_decref(j);
	return s;
}

struct kube_service *simple_service(const char *name, const char *cluster_ip, int64_t created_s)
{
	CLEANUP(free) char *text = str_printf("{'metadata':{'namespace':'prod','name':'%s','uid':'u-%s'},"
					      "'spec':{'clusterIP':'%s','ports':[{'name':'http','port':80}]}}",
					      name, name, cluster_ip);
	struct kube_service *s = service_of(text);

	s->created_s = created_s;
	return s;
}

struct kube_slice *simple_slice(const char *name, const char *service, const char *ip)
{
	CLEANUP(free) char *text =
		str_printf("{'metadata':{'namespace':'prod','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
			   "'addressType':'%s','ports':[{'name':'http','port':8080}],'endpoints':[{'addresses':['%s']}]}",
			   name, service, strchr(ip, ':') ? "IPv6" : "IPv4", ip);

	return slice_of(text);
}

struct ip ip_of(const char *text)
{
	struct ip ip;

	cr_assert(ip_parse(text, &ip) == 0);
	return ip;
}
