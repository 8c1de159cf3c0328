/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost of the policy tables, and of bringing them into the kernel's maps:
 *   bench_policy [-o json] [-n] [POLICIES [IDENTITIES [CHANGES]]]
 * Everything from nothing, then CHANGES times each: one policy more, one fewer, one identity more. CPU time of this
 * process; entries written and deleted. -n leaves the maps out, for who is not root or runs it under callgrind
 * (policy_instructions.sh). Prints; judges nothing.
 */
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/str.h"
#include "bench/stats.h"
#include "bpf/harness.h"
#include "policy/policy_resolve.h"
#include "recon/recon_policy.h"
#include "lib/json_objects.h"

enum { CHANGES_DEFAULT = 200, CHANGES_MAX = 10000, ENTRIES_MAX = 1 << 20 };

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
	int r = json_policy_set(repo, POLICY_CCNP, obj, &err);

	if (r < 0)
		(void)fprintf(stderr, "%s\n", err.text);
	check(r, "policy");
	json_decref(obj);
}

static double heap_mb(void)
{
	return (double)mallinfo2().uordblks / (1024 * 1024);
}

struct bench {
	struct identity_table *ids;
	struct policy_repo *repo;
	struct policy_table *table;
	struct harness h;
	struct recon_policy *recon; /* NULL: without maps */
	uint32_t n_policies, n_ids, changes;
};

/* What one kind of change costs. */
struct cost {
	const char *what;
	double *table_us, *maps_us, *all_us;
	uint64_t writes, deletes;
};

static void cost_init(struct cost *c, const char *what, size_t n)
{
	*c = (struct cost){.what = what, .table_us = calloc(n, sizeof(double)), .maps_us = calloc(n, sizeof(double)),
			   .all_us = calloc(n, sizeof(double))};
	if (!c->table_us || !c->maps_us || !c->all_us)
		exit(99);
}

static void cost_done(struct cost *c)
{
	free(c->table_us);
	free(c->maps_us);
	free(c->all_us);
}

/* Of what was changed since `start`. */
static void settle(struct bench *b, struct cost *c, size_t i, double start)
{
	struct recon_policy_stats before = {0}, after = {0};
	double done;

	check(policy_table_update(b->table), "update");
	done = cpu_us();
	c->table_us[i] = done - start;
	if (b->recon) {
		before = recon_policy_get_stats(b->recon);
		done = cpu_us();
		check(recon_policy_apply(b->recon, b->table, b->ids, MESH_STATE_ACTIVE), "apply");
		c->maps_us[i] = cpu_us() - done;
		after = recon_policy_get_stats(b->recon);
	}
	c->all_us[i] = c->table_us[i] + c->maps_us[i];
	c->writes += after.writes - before.writes;
	c->deletes += after.deletes - before.deletes;
}

/* By name, so that callgrind can count one at a time. */

__attribute__((noinline)) void phase_first(struct bench *b, struct cost *c);
__attribute__((noinline)) void phase_more(struct bench *b, struct cost *c);
__attribute__((noinline)) void phase_fewer(struct bench *b, struct cost *c);
__attribute__((noinline)) void phase_identity(struct bench *b, struct cost *c);

void phase_first(struct bench *b, struct cost *c)
{
	double start = cpu_us();

	for (uint32_t i = 0; i < b->n_policies; i++)
		set_policy(b->repo, i);
	settle(b, c, 0, start);
}

void phase_more(struct bench *b, struct cost *c)
{
	for (uint32_t i = 0; i < b->changes; i++) {
		double start = cpu_us();

		set_policy(b->repo, b->n_policies + i);
		settle(b, c, i, start);
	}
}

void phase_fewer(struct bench *b, struct cost *c)
{
	for (uint32_t i = 0; i < b->changes; i++) {
		double start = cpu_us();
		char name[32];

		(void)snprintf(name, sizeof(name), "p%u", b->n_policies + i); /* fits */
		check(policy_remove(b->repo, POLICY_CCNP, "", name) == 1 ? 0 : -1, "remove");
		settle(b, c, i, start);
	}
}

void phase_identity(struct bench *b, struct cost *c)
{
	for (uint32_t i = 0; i < b->changes; i++) {
		double start = cpu_us();

		set_identity(b->ids, b->n_ids + i);
		settle(b, c, i, start);
	}
}

static json_t *quantiles(const double *v, size_t n)
{
	return json_pack("{s:f, s:f, s:f}", "median_us", stats_median(v, n), "p99_us", stats_quantile(v, n, 0.99), "most_us",
			 stats_quantile(v, n, 1));
}

static void print_cost(const struct cost *c, size_t n, json_t *json)
{
	if (json) {
		if (json_array_append_new(json, json_pack("{s:s, s:I, s:o, s:o, s:o, s:f, s:f}", "what", c->what, "times",
							  (json_int_t)n, "table", quantiles(c->table_us, n), "maps",
							  quantiles(c->maps_us, n), "all", quantiles(c->all_us, n), "writes",
							  (double)c->writes / (double)n, "deletes",
							  (double)c->deletes / (double)n)) < 0)
			exit(99);
		return;
	}
	printf("%-20s %5zu %10.1f %10.1f %10.1f %10.1f %10.1f %9.1f %9.1f\n", c->what, n, stats_median(c->table_us, n),
	       stats_median(c->maps_us, n), stats_median(c->all_us, n), stats_quantile(c->all_us, n, 0.99),
	       stats_quantile(c->all_us, n, 1), (double)c->writes / (double)n, (double)c->deletes / (double)n);
}

static void open_maps(struct bench *b)
{
	struct bpfobj_sizes sizes = {.rows = ENTRIES_MAX, .ports = ENTRIES_MAX, .ranges = ENTRIES_MAX};

	harness_open(&b->h, &sizes);
	harness_reset(&b->h);
	check(recon_policy_new(b->h.obj, b->h.conf, &b->recon), "maps");
}

static void prepare(struct bench *b)
{
	struct policy_options o = policy_options_default();
	struct label_builder own;
	struct label_set *labels;

	check(identity_table_new(&b->ids), "identities");
	own = (struct label_builder){.table = identity_labels(b->ids)};
	for (uint32_t i = 0; i < b->n_ids; i++)
		set_identity(b->ids, i);
	check(policy_repo_new(b->ids, &o, NULL, &b->repo), "repository");
	check(policy_table_new(b->repo, &b->table), "table");
	check(label_builder_add_text(&own, "k8s:app=vm"), "label");
	check(label_builder_add_text(&own, "k8s:io.kubernetes.pod.namespace=ext"), "label");
	check(label_builder_take(&own, &labels), "labels");
	check(policy_set_subject(b->repo, labels, NULL, 0), "subject");
}

/* What the tables came to. */
static void print_sizes(const struct bench *b, double table_mb, json_t *json)
{
	size_t n_classes = 0;
	const struct policy_prefix *prefixes;
	size_t n_prefixes = policy_table_prefixes(b->table, &prefixes);
	struct recon_policy_stats s = {0};

	for (uint32_t i = 0; i < policy_table_class_limit(b->table); i++)
		n_classes += policy_table_class(b->table, i) != NULL;
	if (b->recon)
		s = recon_policy_get_stats(b->recon);
	if (!json) {
		printf("%u policies, %u identities: %zu classes, %zu prefixes, %.1f MiB; in the maps %zu rows, %zu ports, "
		       "%zu ranges\n", b->n_policies, b->n_ids, n_classes, n_prefixes, table_mb, s.rows, s.ports, s.ranges);
		return;
	}
	if (json_object_update_new(json, json_pack("{s:i, s:i, s:I, s:I, s:f, s:I, s:I, s:I}", "policies", (int)b->n_policies,
						   "identities", (int)b->n_ids, "classes", (json_int_t)n_classes, "prefixes",
						   (json_int_t)n_prefixes, "table_mib", table_mb, "rows", (json_int_t)s.rows,
						   "ports", (json_int_t)s.ports, "ranges", (json_int_t)s.ranges)) < 0)
		exit(99);
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: bench_policy [-o json] [-n] [POLICIES [IDENTITIES [CHANGES]]]\n");
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t n[] = {1000, 10000, CHANGES_DEFAULT};
	static const uint64_t limits[] = {30000, 120000, CHANGES_MAX};
	struct cost first, bank, more, fewer, identity;
	json_t *json = NULL, *costs = NULL;
	struct bench b = {0};
	bool has_maps = true;
	double heap;
	int c;

	while ((c = getopt(argc, argv, "o:n")) != -1) {
		if (c == 'o' && strcmp(optarg, "json") == 0)
			json = json_object();
		else if (c == 'n')
			has_maps = false;
		else
			return usage();
	}
	for (int i = 0; optind + i < argc; i++)
		if (i >= (int)ARRAY_LEN(n) || str_to_u64(argv[optind + i], limits[i], &n[i]) < 0 || !n[i])
			return usage();
	b.n_policies = (uint32_t)n[0];
	b.n_ids = (uint32_t)n[1];
	b.changes = (uint32_t)n[2];
	if (has_maps)
		open_maps(&b);
	prepare(&b);
	cost_init(&first, "from nothing", 1);
	cost_init(&bank, "the other bank", 1);
	cost_init(&more, "one policy more", b.changes);
	cost_init(&fewer, "one policy fewer", b.changes);
	cost_init(&identity, "one identity more", b.changes);
	heap = heap_mb();
	phase_first(&b, &first);
	if (json)
		costs = json_array();
	print_sizes(&b, heap_mb() - heap, json);
	settle(&b, &bank, 0, cpu_us()); /* what the first change brings with it: both banks hold a whole policy */
	phase_more(&b, &more);
	phase_fewer(&b, &fewer);
	phase_identity(&b, &identity);
	if (!json)
		printf("%-20s %5s %10s %10s %10s %10s %10s %9s %9s\n", "CPU us, median", "times", "table", "maps", "all", "all p99",
		       "all most", "writes", "deletes");
	print_cost(&first, 1, costs);
	print_cost(&bank, 1, costs);
	print_cost(&more, b.changes, costs);
	print_cost(&fewer, b.changes, costs);
	print_cost(&identity, b.changes, costs);
	if (json) {
		if (json_object_set_new(json, "costs", costs) < 0)
			exit(99);
		(void)json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)); /* what stdout cannot take is lost */
		putchar('\n');
		json_decref(json);
	}
	cost_done(&first);
	cost_done(&bank);
	cost_done(&more);
	cost_done(&fewer);
	cost_done(&identity);
	recon_policy_free(b.recon);
	policy_table_free(b.table);
	policy_repo_free(b.repo);
	identity_table_free(b.ids);
	if (has_maps)
		harness_close(&b.h);
	return 0;
}
