/* SPDX-License-Identifier: Apache-2.0 */
#include "told.h"

#include <criterion/criterion.h>
#include <string.h>

#include "json/json.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"
#include "../../lib/json_objects.h"

void told_apiserver(struct service_table *t, const char *address)
{
	CLEANUP(json_decref) json_t *service = json_loads(
		"{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"uid\":\"s\"},\"spec\":{\"clusterIP\":\"10.96.0.1\","
		"\"clusterIPs\":[\"10.96.0.1\"],\"ports\":[{\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\"}]}}", 0, NULL);
	CLEANUP(json_decref) json_t *slice = json_pack(
		"{s:{s:s,s:s,s:{s:s}},s:s,s:[{s:[s],s:{s:b}}],s:[{s:s,s:i,s:s}]}", "metadata", "name", "kubernetes", "namespace",
		"default", "labels", "kubernetes.io/service-name", "kubernetes", "addressType",
		strchr(address, ':') ? "IPv6" : "IPv4", "endpoints", "addresses", address, "conditions", "ready", 1, "ports", "name", "https", "port", 6443, "protocol", "TCP");
	struct kube_service *decoded;
	struct kube_slice *e;
	struct err err = {0};

	cr_assert_eq(json_service_decode(service, &decoded, &err), 0, "%s", err.text);
	cr_assert_eq(service_table_upsert(t, decoded), 0);
	cr_assert_eq(json_slice_decode(slice, &e, &err), 0, "%s", err.text);
	cr_assert_eq(service_table_upsert_slice(t, e), 0);
}
