/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "identity/selector.h"
#include "json/json.h"
#include "kube/yaml_json.h"
#include "lib/json_objects.h"

json_t *cases_load(void)
{
	static const char *const files[] = {"policy-cases", "policy-paragraphs"};
	const char *srcdir = getenv("srcdir");
	json_t *all = json_array();
	char path[4096];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		CLEANUP(buf_done) struct buf text = {0};
		CLEANUP(json_decref) json_t *docs = NULL;
		struct err err = {0};

		(void)snprintf(path, sizeof(path), "%s/tests/data/%s.yaml", srcdir ? srcdir : ".", files[i]);
		cr_assert_eq(file_read(path, 4 << 20, &text), 0, "cannot read %s", path);
		cr_assert_eq(yaml_to_json(text.data, text.len, &docs, &err), 0, "%s: %s", path, err.text);
		cr_assert_eq(json_array_extend(all, json_array_get(docs, 0)), 0);
	}
	return all;
}

static bool list_has(const json_t *list, const char *s)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_string_value(json_array_get(list, i)), s))
			return true;
	return false;
}

struct policy_options case_options(const json_t *opts)
{
	struct policy_options o = policy_options_default();
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{"allow-localhost", &o.has_localhost_allow},
		{"enable-non-default-deny-policies", &o.has_non_default_deny},
		{"policy-default-local-cluster", &o.is_local_cluster_default},
		{"enable-icmp-rules", &o.has_icmp_rules},
		{"enable-l7-proxy", &o.has_l7_proxy},
		{"enable-extended-ip-protocols", &o.has_extended_protocols},
		{"enable-node-selector-labels", &o.has_node_selector_labels},
		{"packetization-layer-pmtud-mode", &o.has_subdomain_wildcard},
		{"ipv4", &o.has_ipv4},
		{"ipv6", &o.has_ipv6},
	};
	const char *name;
	json_t *v;
	size_t i;

	json_object_foreach((json_t *)opts, name, v)
	{
		if (str_eq(name, "enable-policy")) {
			o.mode = str_eq(json_string_value(v), "always") ? POLICY_MODE_ALWAYS
									: POLICY_MODE_NEVER;
			continue;
		}
		if (str_eq(name, "policy-cidr-match-mode")) {
			o.cidr_modes = (list_has(v, "nodes") ? CIDR_MATCH_NODES : 0U) |
				       (list_has(v, "pods") ? CIDR_MATCH_PODS : 0U);
			continue;
		}
		for (i = 0; i < ARRAY_LEN(flags) && !str_eq(name, flags[i].name); i++)
			;
		cr_assert(i < ARRAY_LEN(flags), "no option %s", name);
		*flags[i].flag = json_is_true(v);
	}
	return o;
}

static void apply_policy(struct fixture *f, const char *where, const json_t *p, size_t number)
{
	static const char *const kinds[] = {"cnp", "ccnp", "knp", "group"};
	const char *kind = json_string_value(json_object_get(p, "kind")),
		   *rejected = json_string_value(json_object_get(p, "rejected"));
	const char *given = json_string_value(json_object_get(p, "name"));
	unsigned k = 0;
	char name[32];
	struct err err = {0};
	json_t *obj;
	int r;

	while (kind && k < ARRAY_LEN(kinds) && !str_eq(kind, kinds[k]))
		k++;
	cr_assert(k < ARRAY_LEN(kinds), "%s: no kind %s", where, kind);
	(void)snprintf(name, sizeof(name), "p%zu", number);
	obj = fixture_object(json_string_value(json_object_get(p, "ns")), given ? given : name,
			     json_object_get(p, "spec"));
	if (json_object_get(p, "specs"))
		(void)json_object_set(obj, "specs", json_object_get(p, "specs"));
	if (json_object_get(p, "labels"))
		(void)json_object_set(json_object_get(obj, "metadata"), "labels",
				      json_object_get(p, "labels"));
	r = json_policy_set(f->repo, (enum policy_kind)k, obj, &err);
	if (rejected) {
		cr_expect_eq(r, -EBADMSG, "%s: policy %zu gave %d", where, number, r);
		cr_expect(strstr(err.text, rejected), "%s: policy %zu: error is: %s", where, number,
			  err.text);
	} else {
		cr_expect_eq(r, 1, "%s: policy %zu gave %d: %s", where, number, r, err.text);
	}
	json_decref(obj);
}

uint8_t case_l4(const char *where, const json_t *l4, uint16_t *ret_port)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} protos[] = {{"TCP/", 6}, {"UDP/", 17}, {"SCTP/", 132}, {"ICMP/", 1}, {"ICMPV6/", 58}};
	const char *s = json_string_value(l4);
	uint64_t port;

	*ret_port = 0;
	if (json_is_integer(l4))
		return (uint8_t)json_integer_value(l4);
	for (size_t i = 0; s && i < ARRAY_LEN(protos); i++)
		if (str_has_prefix(s, protos[i].name)) {
			cr_assert_eq(str_to_u64(s + strlen(protos[i].name), 65535, &port), 0,
				     "%s: %s", where, s);
			*ret_port = (uint16_t)port;
			return protos[i].proto;
		}
	cr_assert_fail("%s: no protocol", where);
	return 0;
}

static void learn_names(struct fixture *f, const json_t *names)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)names, name, v)
	{
		struct ip ips[8];
		size_t n = 0;

		for (; n < json_array_size(v) && n < ARRAY_LEN(ips); n++)
			cr_assert_eq(ip_parse(json_string_value(json_array_get(v, n)), &ips[n]), 0);
		cr_assert_geq(policy_fqdn_set(f->repo, name, ips, n), 0);
	}
}

void case_init(struct fixture *f, const char *where, const json_t *c)
{
	struct policy_options o = case_options(json_object_get(c, "opts"));
	const json_t *policies = json_object_get(c, "policies");

	cr_assert(json_is_array(policies), "%s is incomplete", where);
	fixture_init(f, &o, json_object_get(c, "subject"), json_object_get(c, "ports"),
		     json_incref(json_object_get(c, "services")));
	for (size_t i = 0; i < json_array_size(policies); i++)
		apply_policy(f, where, json_array_get(policies, i), i);
	learn_names(f, json_object_get(c, "fqdn"));
	cr_assert_geq(policy_table_update(f->table), 0);
}
