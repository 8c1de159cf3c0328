/* SPDX-License-Identifier: Apache-2.0 */
/* Cost of the policy tables: bench_policy [POLICIES [IDENTITIES]]. Prints CPU time and private
 * memory. */
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/macro.h"
#include "base/str.h"
#include "policy/policy_resolve.h"

static double cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail */
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "%s: %d\n", what, r);
	exit(1);
}

static void set_identity(struct identity_table *ids, uint32_t i)
{
	struct label_builder b = {.table = identity_labels(ids)};
	struct label_set *set;
	char app[64], pod[64], ns[64], team[64];

	(void)snprintf(app, sizeof(app), "k8s:app=app-%u", i % 2000);
	(void)snprintf(pod, sizeof(pod), "k8s:instance=instance-%u", i);
	(void)snprintf(ns, sizeof(ns), "k8s:io.kubernetes.pod.namespace=ns-%u", i % 100);
	(void)snprintf(team, sizeof(team), "k8s:io.cilium.k8s.namespace.labels.team=team-%u",
		       i % 20);
	check(label_builder_add_text(&b, app), "label");
	check(label_builder_add_text(&b, pod), "label");
	check(label_builder_add_text(&b, ns), "label");
	check(label_builder_add_text(&b, team), "label");
	check(label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.cluster=default"), "label");
	check(label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.serviceaccount=default"),
	      "label");
	check(label_builder_take(&b, &set), "labels");
	check(identity_upsert(ids, 65536 + i, set), "identity");
}

static json_t *policy_json(uint32_t i)
{
	char text[1024];

	(void)snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"name\":\"p%u\"},\"spec\":{\"endpointSelector\":{},"
		"\"ingress\":[{\"fromEndpoints\":[{\"matchLabels\":{\"app\":\"app-%u\"}}],"
		"\"toPorts\":[{\"ports\":"
		"[{\"port\":\"%u\",\"endPort\":%u,\"protocol\":\"TCP\"},{\"port\":\"%u\"}]}]},"
		"{\"fromEndpoints\":[{\"matchLabels\":{\"k8s:io.kubernetes.pod.namespace\":\"ns-%"
		"u\"},"
		"\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"app-"
		"1\",\"app-2\"]}]}]}],"
		"\"%s\":[{\"toCIDRSet\":[{\"cidr\":\"10.%u.%u.0/24\",\"except\":[\"10.%u.%u.128/"
		"25\"]}]}]}}",
		i, i, 1000 + i % 50, 1000 + i % 50 + i % 7, 20000 + i % 100, i % 90,
		i % 10 ? "egress" : "egressDeny", i / 200, i % 200, i / 200, i % 200);
	return json_loads(text, 0, NULL);
}

static void set_policy(struct policy_repo *repo, uint32_t i)
{
	struct err err;
	json_t *obj = policy_json(i);
	int r = policy_set(repo, POLICY_CCNP, obj, &err);

	if (r < 0)
		(void)fprintf(stderr, "%s\n", err.text);
	check(r, "policy");
	json_decref(obj);
}

static double heap_mb(void)
{
	return (double)mallinfo2().uordblks / (1024 * 1024);
}

static void count_rows(const struct policy_table *t)
{
	size_t n_classes = 0, n_rows = 0;
	const struct policy_prefix *prefixes;

	for (uint32_t i = 0; i < policy_table_class_limit(t); i++) {
		const struct policy_class *c = policy_table_class(t, i);

		n_classes += c != NULL;
		for (unsigned d = 0; c && d < POLICY_DIRS; d++)
			for (unsigned s = 0; s < POLICY_SLOTS; s++)
				n_rows += 1 + c->rows[d].slot[s].n_ports;
	}
	(void)printf("classes %zu, rows %zu, prefixes %zu\n", n_classes, n_rows,
		     policy_table_prefixes(t, &prefixes));
}

int main(int argc, char **argv)
{
	uint64_t n_policies = 1000, n_ids = 10000;
	struct policy_options o = policy_options_default();
	struct label_builder own;
	struct identity_table *ids;
	struct policy_repo *repo;
	struct policy_table *table;
	struct label_set *labels;
	double start, heap;

	if ((argc > 1 && str_to_u64(argv[1], 30000, &n_policies) < 0) ||
	    (argc > 2 && str_to_u64(argv[2], 120000, &n_ids) < 0))
		return 2;
	check(identity_table_new(&ids), "identities");
	own = (struct label_builder){.table = identity_labels(ids)};
	heap = heap_mb();
	start = cpu_us();
	for (uint32_t i = 0; i < n_ids; i++)
		set_identity(ids, i);
	(void)printf("%zu identities: %.1f ms, %.1f MiB\n", (size_t)n_ids, (cpu_us() - start) / 1e3,
		     heap_mb() - heap);
	check(policy_repo_new(ids, &o, NULL, &repo), "repository");
	check(policy_table_new(repo, &table), "table");
	check(label_builder_add_text(&own, "k8s:app=vm"), "label");
	check(label_builder_add_text(&own, "k8s:io.kubernetes.pod.namespace=ext"), "label");
	check(label_builder_take(&own, &labels), "labels");
	check(policy_set_subject(repo, labels, NULL, 0, NULL), "subject");
	heap = heap_mb();
	start = cpu_us();
	for (uint32_t i = 0; i < n_policies; i++)
		set_policy(repo, i);
	(void)printf("%zu policies parsed: %.1f ms, %.1f MiB\n", (size_t)n_policies,
		     (cpu_us() - start) / 1e3, heap_mb() - heap);
	heap = heap_mb();
	start = cpu_us();
	check(policy_table_update(table), "update");
	(void)printf("first table: %.1f ms, %.1f MiB\n", (cpu_us() - start) / 1e3,
		     heap_mb() - heap);
	count_rows(table);
	start = cpu_us();
	set_policy(repo, 7);
	check(policy_table_update(table), "update");
	(void)printf("one policy changed: %.1f ms\n", (cpu_us() - start) / 1e3);
	start = cpu_us();
	for (uint32_t i = 0; i < 1000; i++) {
		set_identity(ids, (uint32_t)n_ids + i);
		check(policy_table_update(table), "update");
	}
	(void)printf("one identity more: %.2f us\n", (cpu_us() - start) / 1000);
	policy_table_free(table);
	policy_repo_free(repo);
	identity_table_free(ids);
	return 0;
}
