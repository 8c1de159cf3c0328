/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as policies of every kind. Tables and rules must give the same verdicts, a refusal has a reason,
 * and an object that was removed leaves nothing behind.
 */
#include <string.h>

#include "base/limits.h"
#include "documents.h"
#include "identity/selector.h"
#include "policy/policy.h"
#include "policy/policy_resolve.h"
#include "policy/policy_verdict.h"

const unsigned replay_runs = 1500;

struct cluster {
	struct identity_table *ids;
	struct policy_repo *repo;
	struct policy_table *table;
};

enum { PEER_A = 300, PEER_B, VRRP = 112 };

static const uint32_t peers[] = {PEER_A, PEER_B, IDENTITY_WORLD, IDENTITY_HOST, IDENTITY_REMOTE_NODE, IDENTITY_KUBE_APISERVER};
static const struct {
	uint8_t proto;
	uint16_t port;
} packets[] = {{IPPROTO_TCP, 80}, {IPPROTO_TCP, 443}, {IPPROTO_TCP, 65535}, {IPPROTO_UDP, 53},
	       {IPPROTO_SCTP, 80}, {IPPROTO_ICMP, 8},  {IPPROTO_ICMPV6, 0}, {VRRP, 0}};

static struct label_set *labels(struct identity_table *ids, const char *a, const char *b)
{
	struct label_builder l = {.table = identity_labels(ids)};
	struct label_set *set;

	CHECK(label_builder_add_text(&l, a) == 0 && label_builder_add_text(&l, b) == 0 &&
	      label_builder_add_text(&l, "k8s:io.cilium.k8s.policy.cluster=default") == 0);
	CHECK(label_builder_take(&l, &set) == 0);
	return set;
}

static int each_service(void *ctx, const char *ns, const char *name, policy_service_fn fn, void *arg)
{
	static const struct ip backend = {.family = AF_INET, .b = {10, 1, 0, 7}};
	static const struct policy_service svc = {.ns = "ext", .name = "web", .backends = &backend, .n_backends = 1};

	(void)ctx;
	return (ns && strcmp(ns, svc.ns) != 0) || (name && strcmp(name, svc.name) != 0) ? 0 : fn(&svc, arg);
}

static void cluster_init(struct cluster *c, bool is_permissive)
{
	struct policy_options o = policy_options_default();
	const struct policy_service_view services = {.each = each_service};

	o.has_ipv6 = is_permissive;
	o.has_dns_server = true;
	o.has_subdomain_wildcard = is_permissive;
	o.cidr_modes = is_permissive ? CIDR_MATCH_NODES | CIDR_MATCH_PODS : 0;
	CHECK(identity_table_new(&c->ids) == 0 && policy_repo_new(c->ids, &o, &services, &c->repo) == 0 &&
	      policy_table_new(c->repo, &c->table) == 0);
	CHECK(identity_upsert(c->ids, PEER_A, labels(c->ids, "k8s:app=a", "k8s:io.kubernetes.pod.namespace=ext")) == 0);
	CHECK(identity_upsert(c->ids, PEER_B, labels(c->ids, "k8s:app=b", "k8s:io.kubernetes.pod.namespace=web")) == 0);
	CHECK(policy_set_subject(c->repo, labels(c->ids, "k8s:app=vm", "k8s:io.kubernetes.pod.namespace=ext"), NULL, 0) == 0);
}

static void cluster_done(struct cluster *c)
{
	policy_table_free(c->table);
	policy_repo_free(c->repo);
	identity_table_free(c->ids);
}

static void on_document(const struct doc *doc, void *arg)
{
	struct cluster *c = arg;

	for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
		struct err err = {0};
		int r = policy_set(c->repo, kind, doc, &err);

		CHECK(r == 0 || r == 1 || (r == -EBADMSG && err.text[0]));
	}
}

static void ask(struct cluster *c, uint32_t number, enum policy_dir dir, uint8_t proto, uint16_t port)
{
	const struct identity *id = identity_get(c->ids, number);
	const struct policy_class *class = policy_table_class(c->table, policy_class_of(c->table, number));
	const struct policy_peer peer = {.labels = id->labels};
	struct policy_verdict v = {.action = POLICY_ALLOW};
	struct policy_why why;

	if (policy_table_enforced(c->table, dir))
		v = policy_rows_lookup(&class->rows[dir], proto, port);
	CHECK(policy_why(c->repo, &peer, dir, proto, port, &why) == 0);
	CHECK(why.verdict.action == v.action);
	policy_why_done(&why);
}

static void compare(struct cluster *c)
{
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		for (size_t p = 0; p < sizeof(packets) / sizeof(packets[0]); p++) {
			ask(c, peers[i], POLICY_INGRESS, packets[p].proto, packets[p].port);
			ask(c, peers[i], POLICY_EGRESS, packets[p].proto, packets[p].port);
		}
}

struct seen {
	enum policy_kind kind;
	char ns[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
};

static int on_status(const struct policy_status *st, void *arg)
{
	struct seen *s = arg;

	CHECK(strlen(st->ns) <= LIMIT_NAME && strlen(st->name) <= LIMIT_NAME && st->state < POLICY_STATES);
	CHECK(st->reason[0] || (st->state != POLICY_REJECTED && st->state != POLICY_STALE && st->state != POLICY_DEGRADED));
	s->kind = st->kind;
	strcpy(s->ns, st->ns);
	strcpy(s->name, st->name);
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cluster c;
	struct seen s;

	if (size < 1 || size > 65536)
		return 0;
	cluster_init(&c, data[0] == ' ');
	documents_feed(data, size, on_document, &c);
	CHECK(policy_fqdn_set(c.repo, "a.io", &(struct ip){.family = AF_INET, .b = {192, 0, 2, 1}}, 1) >= 0);
	CHECK(policy_table_update(c.table) >= 0);
	compare(&c);
	while (policy_each(c.repo, on_status, &s) == 1)
		CHECK(policy_remove(c.repo, s.kind, s.ns, s.name) == 1);
	CHECK(policy_table_update(c.table) >= 0);
	CHECK(!policy_table_enforced(c.table, POLICY_INGRESS) && !policy_table_enforced(c.table, POLICY_EGRESS));
	cluster_done(&c);
	return 0;
}
