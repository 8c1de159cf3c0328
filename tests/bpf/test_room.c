/* SPDX-License-Identifier: Apache-2.0 */
/* What comes of policies that take much room, and of those that do not fit. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "bpf/harness.h"
#include "json/json.h"
#include "lib/json_objects.h"
#include "recon/recon_policy.h"
#include "lib/json_objects.h"

enum { LIST = 16384, GOOD = 1000, BAD = 1001, MORE = 1002, SMALL_ROWS = 128, SMALL_PORTS = 64, SMALL_CIDRS = 8 };

/* Port 80 is for all but pods with app=bad: whoever is taken for nobody in particular gets in. */
#define FIRST_RULES                                                                                                      \
	"\"ingress\": [{\"toPorts\": [{\"ports\": [{\"port\": \"80\", \"protocol\": \"TCP\"}]}]}],"                        \
	"\"ingressDeny\": [{\"fromEndpoints\": [{\"matchLabels\": {\"k8s:app\": \"bad\","                                  \
	"\"k8s:io.kubernetes.pod.namespace\": \"n\"}}]}]"

struct host {
	struct harness *h;
	struct identity_table *ids;
	struct policy_repo *repo;
	struct policy_table *table;
	struct recon_policy *recon;
};

static struct label_set *labels(struct identity_table *ids, const char *app)
{
	struct label_builder b = {.table = identity_labels(ids)};
	struct label_set *set;
	char text[64];

	(void)snprintf(text, sizeof(text), "k8s:app=%s", app);
	CHECK_EQ(label_builder_add_text(&b, text), 0);
	CHECK_EQ(label_builder_add_text(&b, "k8s:io.kubernetes.pod.namespace=n"), 0);
	CHECK_EQ(label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.cluster=c1"), 0);
	CHECK_EQ(label_builder_take(&b, &set), 0);
	return set;
}

static void add(struct host *w, uint32_t identity, const char *app)
{
	CHECK_EQ(identity_upsert(w->ids, identity, labels(w->ids, app)), 0);
}

static void set_policy(struct host *w, const char *name, const char *rules)
{
	struct err err = {0};
	json_t *doc;
	char *text = str_printf("{\"metadata\": {\"name\": \"%s\", \"namespace\": \"n\"}, \"spec\": {\"endpointSelector\": {}, %s}}",
				name, rules);

	doc = json_loads(text ? text : "", 0, NULL);
	CHECK(doc);
	CHECK(json_policy_set(w->repo, POLICY_CNP, doc, &err) >= 0);
	json_decref(doc);
	free(text);
}

/* As after a start of the daemon: the maps are as they were. */
static void start(struct host *w, struct harness *h)
{
	struct policy_options options = policy_options_default();

	*w = (struct host){.h = h};
	options.cluster = "c1";
	CHECK_EQ(identity_table_new(&w->ids), 0);
	CHECK_EQ(policy_repo_new(w->ids, &options, NULL, &w->repo), 0);
	CHECK_EQ(policy_set_subject(w->repo, labels(w->ids, "vm"), NULL, 0), 0);
	CHECK_EQ(policy_table_new(w->repo, &w->table), 0);
	CHECK_EQ(recon_policy_new(h->obj, h->conf, &w->recon), 0);
	add(w, GOOD, "good");
	add(w, BAD, "bad");
	set_policy(w, "first", FIRST_RULES);
}

static void stop(struct host *w)
{
	recon_policy_free(w->recon);
	policy_table_free(w->table);
	policy_repo_free(w->repo);
	identity_table_free(w->ids);
}

static int apply(struct host *w)
{
	CHECK(policy_table_update(w->table) >= 0);
	return recon_policy_apply(w->recon, w->table, w->ids, MESH_STATE_ACTIVE);
}

static int hold(struct host *w)
{
	int r = recon_policy_hold(w->recon, w->table);

	if (r > 0)
		bpfconfig_bump(w->h->conf);
	return r;
}

/* What becomes of a connection to port 80 from an address, which is that identity's if it is not 0. */
static int from(struct host *w, const char *address, uint32_t identity)
{
	static uint16_t sport = 20000;
	struct pkt_spec s = {.src = address, .dst = "10.9.9.9", .proto = IPPROTO_TCP, .sport = sport++, .dport = 80,
			     .tcp_flags = PKT_SYN};

	if (identity)
		harness_ip(w->h, address, identity, 0, 0);
	return harness_run(w->h, BPFOBJ_NIC_INGRESS, &s, NULL);
}

static size_t entries(struct harness *h, enum bpfobj_map map)
{
	size_t n = 0;

	CHECK_EQ(bpfmap_count(h->obj, map, &n), 0);
	return n;
}

/* Rules of their own for so many prefixes. */
static void set_many_rules(struct host *w, const char *name, unsigned n)
{
	CLEANUP(json_decref) json_t *list = json_array(), *object = NULL;
	char prefix[32], *text;

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(prefix, sizeof(prefix), "192.0.%u.%u/32", i >> 8, i & 255);
		CHECK_EQ(json_array_append_new(list, json_pack("{s:[s]}", "fromCIDR", prefix)), 0);
	}
	object = json_pack("{s:O}", "ingressDeny", list);
	text = json_dumps(object, JSON_COMPACT);
	text[strlen(text) - 1] = '\0'; /* without its braces */
	set_policy(w, name, text + 1);
	free(text);
}

static json_t *prefixes(unsigned first)
{
	json_t *list = json_array();
	char text[32];

	for (unsigned i = 0; i < LIST; i++) {
		(void)snprintf(text, sizeof(text), "%u.1.%u.%u/32", first, i >> 8 & 255, i & 255);
		CHECK_EQ(json_array_append_new(list, json_string(text)), 0);
	}
	return list;
}

/* As many prefixes as Cilium has room for, in each direction, and then more policies: into each bank. */
static void test_long_lists(struct harness *h)
{
	CLEANUP(json_decref) json_t *object = json_pack("{s:[{s:o}], s:[{s:o}]}", "ingressDeny", "fromCIDR", prefixes(20),
							"egressDeny", "toCIDR", prefixes(21));
	char *text = json_dumps(object, JSON_COMPACT);
	struct host w;

	harness_reset(h);
	start(&w, h);
	text[strlen(text) - 1] = '\0';
	set_policy(&w, "lists", text + 1);
	free(text);
	for (unsigned turn = 0; turn < 4; turn++) {
		if (turn == 2)
			set_policy(&w, "other", "\"ingressDeny\": [{\"fromCIDR\": [\"22.0.0.0/8\"]}]");
		CHECK_EQ(apply(&w), 0);
		CHECK_EQ(from(&w, "20.1.63.255", 0), MESH_DROP_POLICY_DENY);
		CHECK_EQ(from(&w, "20.1.64.0", 0), MESH_PASS_NEW);
		CHECK_EQ(from(&w, "21.1.0.0", 0), MESH_PASS_NEW);
		CHECK_EQ(from(&w, "22.1.0.0", 0), turn < 2 ? MESH_PASS_NEW : MESH_DROP_POLICY_DENY);
		CHECK_EQ(from(&w, "10.244.0.1", turn % 2 ? GOOD : BAD), turn % 2 ? MESH_PASS_NEW : MESH_DROP_POLICY_DENY);
	}
	CHECK(entries(h, BPFOBJ_POLICY_ROW) < 2 * 5 * 2 * MESH_SLOTS); /* banks, classes, directions */
	CHECK_EQ(entries(h, BPFOBJ_CIDR4), 2 * LIST + 1);
	stop(&w);
}

/* The policy of before stays, and nothing is written; who is new is not taken for one that no rule is about. */
static void test_strangers(struct harness *h)
{
	struct recon_policy_lack lack;
	struct host w;
	size_t rows;

	harness_reset(h);
	start(&w, h);
	CHECK_EQ(apply(&w), 0);
	CHECK_EQ(from(&w, "10.244.0.1", GOOD), MESH_PASS_NEW);
	CHECK_EQ(from(&w, "10.244.0.2", BAD), MESH_DROP_POLICY_DENY);
	CHECK(!recon_policy_get_lack(w.recon).map);
	rows = entries(h, BPFOBJ_POLICY_ROW);

	set_many_rules(&w, "many", SMALL_ROWS / 2 / MESH_SLOTS + 1);
	CHECK_EQ(apply(&w), -E2BIG);
	lack = recon_policy_get_lack(w.recon);
	CHECK(lack.map && str_eq(lack.map, "mesh_policy_row"));
	CHECK(lack.wanted > SMALL_ROWS / 2 && !lack.is_fixed);
	CHECK_EQ(lack.room, SMALL_ROWS / 2);
	CHECK_EQ(bpfmap_errors(h->obj, BPFOBJ_POLICY_ROW), 0);
	CHECK_EQ(entries(h, BPFOBJ_POLICY_ROW), rows);
	CHECK_EQ(entries(h, BPFOBJ_CIDR4), 0);
	CHECK_EQ(hold(&w), 0);
	CHECK_EQ(from(&w, "10.244.0.1", 0), MESH_PASS_NEW);
	CHECK_EQ(from(&w, "192.0.0.1", 0), MESH_PASS_NEW);
	/* an address that another pod has now */
	CHECK_EQ(from(&w, "10.244.0.1", BAD), MESH_DROP_POLICY_DENY);

	add(&w, MORE, "bad");
	add(&w, MORE + 1, "good");
	CHECK_EQ(apply(&w), -E2BIG);
	CHECK_EQ(hold(&w), 1);
	CHECK_EQ(from(&w, "10.244.0.3", MORE), MESH_DROP_POLICY);
	CHECK_EQ(from(&w, "10.244.0.4", MORE + 1), MESH_DROP_POLICY);
	CHECK_EQ(from(&w, "10.244.0.5", GOOD), MESH_PASS_NEW);
	CHECK_EQ(from(&w, "10.244.0.9", 0), MESH_PASS_NEW); /* whom nobody knows, before and now */
	/* a number that stands for something else now */
	add(&w, GOOD, "bad");
	CHECK_EQ(apply(&w), -E2BIG);
	CHECK_EQ(hold(&w), 1);
	CHECK_EQ(hold(&w), 0);
	CHECK_EQ(from(&w, "10.244.0.5", 0), MESH_DROP_POLICY);
	CHECK_EQ(from(&w, "10.244.0.2", 0), MESH_DROP_POLICY_DENY);

	/* In each bank, all are known again. */
	set_many_rules(&w, "many", 1);
	for (unsigned turn = 0; turn < 3; turn++) {
		CHECK_EQ(apply(&w), 0);
		CHECK(!recon_policy_get_lack(w.recon).map);
		CHECK_EQ(from(&w, "10.244.0.3", 0), MESH_DROP_POLICY_DENY);
		CHECK_EQ(from(&w, "10.244.0.4", 0), MESH_PASS_NEW);
		CHECK_EQ(from(&w, "10.244.0.5", 0), MESH_DROP_POLICY_DENY);
		CHECK_EQ(from(&w, "192.0.0.0", 0), MESH_DROP_POLICY_DENY);
		CHECK_EQ(from(&w, "192.0.0.1", 0), MESH_PASS_NEW);
	}
	stop(&w);
}

/* A daemon that starts while the policy does not fit: who had an address or a class is known, others are not. */
static void test_restart(struct harness *h)
{
	struct host w;

	harness_reset(h);
	start(&w, h);
	add(&w, MORE, "bad");
	CHECK_EQ(apply(&w), 0);
	CHECK_EQ(from(&w, "10.244.0.1", GOOD), MESH_PASS_NEW);
	stop(&w);

	start(&w, h);
	add(&w, MORE, "bad");
	add(&w, MORE + 1, "good");
	add(&w, MORE + 2, "bad");
	set_many_rules(&w, "many", SMALL_ROWS / 2 / MESH_SLOTS + 1);
	CHECK_EQ(apply(&w), -E2BIG);
	CHECK_EQ(hold(&w), 1);
	CHECK_EQ(from(&w, "10.244.0.1", 0), MESH_PASS_NEW);
	CHECK_EQ(from(&w, "10.244.0.2", MORE), MESH_DROP_POLICY_DENY);
	CHECK_EQ(from(&w, "10.244.0.3", MORE + 1), MESH_DROP_POLICY);
	CHECK_EQ(from(&w, "10.244.0.4", MORE + 2), MESH_DROP_POLICY);
	CHECK_EQ(from(&w, "10.244.0.9", 0), MESH_PASS_NEW);
	add(&w, MORE + 3, "good");
	CHECK_EQ(apply(&w), -E2BIG);
	CHECK_EQ(hold(&w), 1);
	CHECK_EQ(from(&w, "10.244.0.5", MORE + 3), MESH_DROP_POLICY);
	CHECK_EQ(from(&w, "10.244.0.1", 0), MESH_PASS_NEW);
	stop(&w);
}

/* Nothing is in force, so nobody can be denied. */
static void test_first_of_all(struct harness *h)
{
	struct host w;

	harness_reset(h);
	bpfconfig_commit(h->conf, 0, 0);
	start(&w, h);
	set_many_rules(&w, "many", SMALL_ROWS / 2 / MESH_SLOTS + 1);
	CHECK_EQ(apply(&w), -E2BIG);
	CHECK_EQ(hold(&w), 0);
	CHECK_EQ(entries(h, BPFOBJ_CLASS), 0);
	CHECK_EQ(from(&w, "10.244.0.1", BAD), -1);
	stop(&w);
}

/* Half of a map is enough for a policy that has nothing in common with the one before it, in this bank as in the other. */
static void test_nothing_in_common(struct harness *h)
{
	char rules[4096];
	struct host w;

	harness_reset(h);
	start(&w, h);
	for (unsigned turn = 0; turn < 6; turn++) {
		size_t len = (size_t)snprintf(rules, sizeof(rules), "\"egress\": [{\"toPorts\": [{\"ports\": [");

		for (unsigned i = 0; i < SMALL_PORTS / 4 - 2; i++) /* for each of two classes */
			len += (size_t)snprintf(rules + len, sizeof(rules) - len, "%s{\"port\": \"%u\", \"protocol\": \"TCP\"}",
						i ? ", " : "", 1000 * (turn + 1) + 2 * i);
		(void)snprintf(rules + len, sizeof(rules) - len, "]}]}]");
		set_policy(&w, "ports", rules);
		CHECK_EQ(apply(&w), 0);
	}
	CHECK_EQ(bpfmap_errors(h->obj, BPFOBJ_POLICY_PORT), 0);
	stop(&w);
}

static void test_prefixes(struct harness *h)
{
	struct recon_policy_lack lack;
	struct host w;

	harness_reset(h);
	start(&w, h);
	set_many_rules(&w, "many", SMALL_CIDRS / 2 + 1);
	CHECK_EQ(apply(&w), -E2BIG);
	lack = recon_policy_get_lack(w.recon);
	CHECK(lack.map && str_eq(lack.map, "mesh_cidr4") && lack.is_fixed);
	CHECK_EQ(lack.wanted, SMALL_CIDRS / 2 + 1);
	set_many_rules(&w, "many", SMALL_CIDRS / 2);
	CHECK_EQ(apply(&w), 0);
	CHECK_EQ(from(&w, "192.0.0.1", 0), MESH_DROP_POLICY_DENY);
	stop(&w);
}

int main(void)
{
	const struct bpfobj_sizes usual = {0}, small = {.rows = SMALL_ROWS, .ports = SMALL_PORTS},
				  few = {.cidr = SMALL_CIDRS};
	struct harness h;

	harness_open(&h, &usual);
	test_long_lists(&h);
	harness_close(&h);
	harness_open(&h, &small);
	test_strangers(&h);
	test_restart(&h);
	test_first_of_all(&h);
	test_nothing_in_common(&h);
	harness_close(&h);
	harness_open(&h, &few);
	test_prefixes(&h);
	harness_close(&h);
	return harness_done();
}
