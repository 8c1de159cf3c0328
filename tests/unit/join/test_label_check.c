/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "join/label_check.h"
#include "json/json.h"

Test(labels, good_ones)
{
	static const char *const good[][2] = {
		{"jedi", "luke"},	      {"a", ""},
		{"app.kubernetes.io/name", "x"}, {"example.org/Tier_1", "A.b-c_d"},
		{"topology", "eu-1"},	      {"x.y", "0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct err err = {0};

		cr_expect_eq(label_check(good[i][0], good[i][1], &err), 0, "%s: %s", good[i][0], err.text);
	}
}

Test(labels, bad_ones)
{
	static const char *const bad[][2] = {
		{"", "x"},
		{"a b", "x"},
		{"-a", "x"},
		{"a-", "x"},
		{"a/", "x"},
		{"/a", "x"},
		{"a/b/c", "x"},
		{"Example.org/a", "x"},
		{"a", "-x"},
		{"a", "x y"},
		{"a", "x,y"},
		{"a", "\xc3\xa4"},
		{"k8s:a", "x"},
		{"reserved:host", ""},
		{"reserved", "x"},
		{"io.cilium.k8s.policy.cluster", "x"},
		{"io.cilium.k8s.policy.serviceaccount", "admin"},
		{"io.kubernetes.pod.namespace", "kube-system"},
		{"io.cilium.k8s.namespace.labels.team", "x"},
		{"kubernetes.io/metadata.name", "x"},
		{"node-role.kubernetes.io/control-plane", ""},
		{"topology.kubernetes.io/zone", "x"},
		{"beta.kubernetes.io/os", "x"},
		{"network.cilium.io/x", "x"},
		{"x.k8s.io/y", "x"},
		{"mesh-external-agent.io/host", "x"},
		{"a123456789012345678901234567890123456789012345678901234567890123", "x"},
		{"a", "a123456789012345678901234567890123456789012345678901234567890123"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};

		cr_expect_eq(label_check(bad[i][0], bad[i][1], &err), -EINVAL, "%s=%s", bad[i][0], bad[i][1]);
		cr_expect_neq(err.text[0], '\0');
	}
}

Test(labels, lists)
{
	CLEANUP(json_decref) json_t *l = NULL, *bad = NULL;
	CLEANUP(free) char *text = NULL;
	struct err err = {0};

	cr_assert_eq(label_parse_list("jedi=luke,app=x,empty=", &l, &err), 0, "%s", err.text);
	text = label_list_str(l);
	cr_expect_str_eq(text, "app=x,empty=,jedi=luke");
	cr_expect_eq(label_parse_list("a=b,a=c", &bad, &err), -EINVAL);
	cr_expect_eq(label_parse_list("a", &bad, &err), -EINVAL);
	cr_expect_eq(label_parse_list("a=b=c", &bad, &err), -EINVAL);
}

Test(labels, comparison_names_every_difference)
{
	CLEANUP(json_decref) json_t *have = NULL, *same = NULL, *other = NULL;
	struct err err = {0};

	cr_assert_eq(label_parse_list("jedi=luke,app=x", &have, &err), 0);
	cr_assert_eq(label_parse_list("app=x,jedi=luke", &same, &err), 0);
	cr_assert_eq(label_parse_list("jedi=leia,new=y", &other, &err), 0);
	cr_expect_eq(label_compare(same, have, &err), 0);
	cr_expect_eq(label_compare(other, have, &err), -EEXIST);
	cr_expect_neq(strstr(err.text, "jedi is luke, not leia"), NULL, "%s", err.text);
	cr_expect_neq(strstr(err.text, "new=y is not enrolled"), NULL, "%s", err.text);
	cr_expect_neq(strstr(err.text, "app=x is missing"), NULL, "%s", err.text);
}
