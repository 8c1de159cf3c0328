/* SPDX-License-Identifier: Apache-2.0 */
/* What the reconcilers make of maps that are full for a while: nothing is lost, nothing stays behind. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/str.h"
#include "bpf/harness.h"
#include "json/json.h"
#include "recon/recon_addr.h"
#include "recon/recon_cover.h"
#include "recon/recon_policy.h"
#include "recon/recon_service.h"
#include "lib/json_objects.h"

enum { SMALL = 8, ID_FIRST = 1000 };

static size_t entries(struct harness *h, enum bpfobj_map map)
{
	size_t n = 0;

	CHECK_EQ(bpfmap_count(h->obj, map, &n), 0);
	return n;
}

static struct ip address(unsigned i)
{
	const uint8_t b[4] = {10, 244, 0, (uint8_t)i};

	return ip_from_bytes(AF_INET, b);
}

static void hold(struct ipcache *c, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct ipcache_claim claim = {.identity = ID_FIRST + i};
		struct ip ip = address(i);

		CHECK_EQ(ipcache_claim(c, IPCACHE_FROM_ENDPOINT, &ip, &claim), 0);
	}
}

static void let_go(struct ipcache *c, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct ip ip = address(i);

		ipcache_release(c, IPCACHE_FROM_ENDPOINT, &ip, 0);
	}
}

/* Addresses that went while the map was full must go once there is room. */
static void test_addresses(struct harness *h)
{
	struct ipcache *c;
	struct recon_addr *r;

	harness_reset(h);
	CHECK_EQ(ipcache_new(&c), 0);
	CHECK_EQ(recon_addr_new(h->obj, c, &r), 0);
	hold(c, 0, SMALL);
	CHECK_EQ(recon_addr_apply(r, NULL, NULL), 1);
	CHECK_EQ(recon_addr_apply(r, NULL, NULL), 0);
	let_go(c, 0, 3);
	hold(c, SMALL, SMALL + 4);
	CHECK_EQ(recon_addr_apply(r, NULL, NULL), -E2BIG);
	CHECK_EQ(recon_addr_apply(r, NULL, NULL), -E2BIG);
	CHECK(bpfmap_errors(h->obj, BPFOBJ_IPCACHE4) > 0);
	CHECK_EQ(bpfmap_errors(h->obj, BPFOBJ_SVC), 0);
	CHECK(str_eq(bpfmap_type(h->obj, BPFOBJ_IPCACHE4), "hash"));
	let_go(c, SMALL + 3, SMALL + 4);
	CHECK_EQ(recon_addr_apply(r, NULL, NULL), 1);
	CHECK_EQ(entries(h, BPFOBJ_IPCACHE4), SMALL);
	for (unsigned i = 0; i < SMALL + 4; i++) {
		struct ip ip = address(i);
		struct mesh_ipinfo info;

		CHECK_EQ(bpfmap_get(h->obj, BPFOBJ_IPCACHE4, ip.b, &info), i < 3 || i == SMALL + 3 ? -ENOENT : 0);
	}
	/* The change that came with the failure was told with the success; now nothing is new. */
	CHECK_EQ(recon_addr_apply(r, NULL, NULL), 0);
	recon_addr_free(r);
	ipcache_free(c);
}

static void identities(struct identity_table *ids, unsigned from, unsigned to, bool there)
{
	for (unsigned i = from; i < to; i++) {
		struct label_builder b = {.table = identity_labels(ids)};
		struct label_set *set;

		if (!there) {
			CHECK_EQ(identity_remove(ids, ID_FIRST + i), 0);
			continue;
		}
		CHECK_EQ(label_builder_add_text(&b, "k8s:app=a"), 0);
		CHECK_EQ(label_builder_add_text(&b, "k8s:io.kubernetes.pod.namespace=n"), 0);
		CHECK_EQ(label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.cluster=c1"), 0);
		CHECK_EQ(label_builder_take(&b, &set), 0);
		CHECK_EQ(identity_upsert(ids, ID_FIRST + i, set), 0);
	}
}

static int no_services(void *ctx, const char *ns, const char *name, policy_service_fn fn, void *arg)
{
	(void)ctx, (void)ns, (void)name, (void)fn, (void)arg;
	return 0;
}

static struct policy_repo *policies(struct identity_table *ids)
{
	const struct policy_service_view services = {.each = no_services};
	struct policy_options options = policy_options_default();
	struct label_builder b = {.table = identity_labels(ids)};
	struct err err = {0};
	struct policy_repo *repo;
	struct label_set *set;
	json_t *doc = json_loads("{\"metadata\": {\"name\": \"p\", \"namespace\": \"n\"}, \"spec\": {\"endpointSelector\": {},"
				 "\"ingress\": [{\"fromEndpoints\": [{\"matchLabels\": {\"k8s:app\": \"a\","
				 "\"k8s:io.kubernetes.pod.namespace\": \"n\"}}]}]}}", 0, NULL);

	options.cluster = "c1";
	CHECK_EQ(policy_repo_new(ids, &options, &services, &repo), 0);
	CHECK_EQ(label_builder_add_text(&b, "k8s:app=vm"), 0);
	CHECK_EQ(label_builder_add_text(&b, "k8s:io.kubernetes.pod.namespace=n"), 0);
	CHECK_EQ(label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.cluster=c1"), 0);
	CHECK_EQ(label_builder_take(&b, &set), 0);
	CHECK_EQ(policy_set_subject(repo, set, NULL, 0), 0);
	CHECK(json_policy_set(repo, POLICY_CNP, doc, &err) >= 0);
	json_decref(doc);
	return repo;
}

static int apply(struct recon_policy *r, struct policy_table *t, struct identity_table *ids)
{
	int e = policy_table_update(t);

	CHECK(e >= 0);
	return recon_policy_apply(r, t, ids, MESH_STATE_ACTIVE);
}

/* The class of identity `i` in the bank in force. */
static uint32_t class_of(struct harness *h, unsigned i)
{
	uint32_t key = ID_FIRST + i;
	struct mesh_class c = {0};
	int e = bpfmap_get(h->obj, BPFOBJ_CLASS, &key, &c);

	CHECK(e == 0 || e == -ENOENT);
	return c.class[bpfconfig_bank(h->conf)];
}

/* What failed to arrive in the map of classes arrives later, and what failed to go goes. */
static void test_classes(struct harness *h)
{
	struct identity_table *ids;
	struct recon_policy *r;
	struct policy_table *t;
	struct policy_repo *repo;

	harness_reset(h);
	CHECK_EQ(identity_table_new(&ids), 0);
	repo = policies(ids);
	CHECK_EQ(policy_table_new(repo, &t), 0);
	CHECK_EQ(recon_policy_new(h->obj, h->conf, &r), 0);
	identities(ids, 0, 4, true);
	CHECK_EQ(apply(r, t, ids), 0);
	CHECK(class_of(h, 0) != 0);
	identities(ids, 0, 2, false);
	identities(ids, 4, 20, true);
	CHECK_EQ(apply(r, t, ids), -E2BIG);
	CHECK(class_of(h, 2) != 0); /* what was in force stays */
	identities(ids, 6, 20, false);
	CHECK_EQ(apply(r, t, ids), 0);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(class_of(h, i) != 0, i >= 2 && i < 6);
	/* Both banks have to forget, also what an update changed that nobody applied. */
	for (unsigned gone = 2; gone < 4; gone++) {
		identities(ids, gone, gone + 1, false);
		if (gone == 3)
			CHECK_EQ(policy_table_update(t), 1);
		CHECK_EQ(apply(r, t, ids), 0);
		for (unsigned i = 0; i < 20; i++)
			CHECK_EQ(class_of(h, i) != 0, i > gone && i < 6);
	}
	CHECK(entries(h, BPFOBJ_CLASS) <= 4);
	recon_policy_free(r);
	policy_table_free(t);
	policy_repo_free(repo);
	identity_table_free(ids);
}

static struct ip outside(unsigned i)
{
	const uint8_t b[4] = {192, 0, 2, (uint8_t)i};

	return ip_from_bytes(AF_INET, b);
}

/* Whether the bank in force tells an address apart from the world: only the name allows it. */
static bool is_named(struct harness *h, unsigned i)
{
	struct mesh_lpm4 key = {.prefixlen = 32, .addr = {192, 0, 2, (uint8_t)i}};
	struct mesh_class c = {0};
	struct mesh_ipinfo info;

	return bpfmap_get(h->obj, BPFOBJ_CIDR4, &key, &info) == 0 &&
	       bpfmap_get(h->obj, BPFOBJ_CLASS, &info.identity, &c) == 0 && c.class[bpfconfig_bank(h->conf)] != 0;
}

/* Learns 192.0.2.`from` to `to`-1, and sees these and no others named, in this bank and in the next. */
static void learn(struct harness *h, struct recon_policy *r, struct policy_table *t, struct policy_repo *repo,
		  struct identity_table *ids, unsigned from, unsigned to)
{
	struct ip ips[8];

	for (unsigned i = from; i < to; i++)
		ips[i - from] = outside(i);
	CHECK(policy_fqdn_set(repo, "a.example", ips, to - from) >= 0);
	for (unsigned turn = 0; turn < 2; turn++) {
		CHECK_EQ(apply(r, t, ids), 0);
		for (unsigned i = 1; i < 8; i++)
			CHECK_EQ(is_named(h, i), i >= from && i < to);
	}
}

/* Addresses of one name share an identity: one that comes or goes takes nothing from the others. */
static void test_names(struct harness *h)
{
	struct identity_table *ids;
	struct recon_policy *r;
	struct policy_table *t;
	struct policy_repo *repo;
	struct err err = {0};
	json_t *doc = json_loads("{\"metadata\": {\"name\": \"q\", \"namespace\": \"n\"}, \"spec\": {\"endpointSelector\": {},"
				 "\"egress\": [{\"toFQDNs\": [{\"matchName\": \"a.example\"}]}]}}", 0, NULL);

	harness_reset(h);
	CHECK_EQ(identity_table_new(&ids), 0);
	repo = policies(ids);
	CHECK(json_policy_set(repo, POLICY_CNP, doc, &err) >= 0);
	json_decref(doc);
	CHECK_EQ(policy_table_new(repo, &t), 0);
	CHECK_EQ(recon_policy_new(h->obj, h->conf, &r), 0);
	CHECK_EQ(apply(r, t, ids), 0);
	learn(h, r, t, repo, ids, 1, 2);
	learn(h, r, t, repo, ids, 1, 3);
	learn(h, r, t, repo, ids, 1, 5);
	learn(h, r, t, repo, ids, 2, 4);
	learn(h, r, t, repo, ids, 5, 5);
	learn(h, r, t, repo, ids, 6, 7);
	learn(h, r, t, repo, ids, 4, 7);
	recon_policy_free(r);
	policy_table_free(t);
	policy_repo_free(repo);
	identity_table_free(ids);
}

static void services(struct service_table *t, unsigned from, unsigned to, bool there)
{
	for (unsigned i = from; i < to; i++) {
		char name[16], ip[16];
		struct kube_service *s;
		struct err err = {0};
		json_t *doc;

		(void)snprintf(name, sizeof(name), "s%u", i);
		(void)snprintf(ip, sizeof(ip), "10.96.%u.%u", (i + 1) / 256, (i + 1) % 256);
		if (!there) {
			service_table_remove(t, "n", name);
			continue;
		}
		doc = json_pack("{s:{s:s,s:s,s:s}, s:{s:s, s:s, s:[s], s:[s], s:[{s:s,s:i,s:s}]}}", "metadata", "name", name,
				"namespace", "n", "creationTimestamp", "2026-01-01T00:00:00Z", "spec", "type", "ClusterIP",
				"clusterIP", ip, "clusterIPs", ip, "ipFamilies", "IPv4", "ports", "name", "http", "port", 80,
				"protocol", "TCP");
		CHECK_EQ(json_service_decode(doc, &s, &err), 0);
		CHECK_EQ(service_table_upsert(t, s), 0);
		json_decref(doc);
	}
}

/* A map that leftovers of an earlier run fill is put right by itself. */
static void test_services(struct harness *h)
{
	const struct service_options opt = {.node = "h"};
	struct service_table *t;
	struct recon_service *r;

	harness_reset(h);
	CHECK_EQ(service_table_new(&opt, &t), 0);
	CHECK_EQ(recon_service_new(h->obj, t, &r), 0);
	services(t, 0, SMALL, true);
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), SMALL);
	recon_service_free(r);
	service_table_free(t);

	CHECK_EQ(service_table_new(&opt, &t), 0);
	CHECK_EQ(recon_service_new(h->obj, t, &r), 0);
	services(t, 4, SMALL + 4, true); /* 0 to 3 are gone, and not swept yet */
	CHECK_EQ(recon_service_apply(r), -E2BIG);
	CHECK_EQ(entries(h, BPFOBJ_SVC), SMALL);
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), SMALL);
	services(t, 4, SMALL + 4, false);
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), 0);
	recon_service_free(r);
	service_table_free(t);
}

static void backends(struct service_table *t, unsigned i, unsigned n)
{
	CLEANUP(json_decref) json_t *list = json_array(), *doc = NULL;
	struct err err = {0};
	struct kube_slice *s;
	char name[16], ip[16];

	(void)snprintf(name, sizeof(name), "s%u", i);
	for (unsigned k = 0; k < n; k++) {
		(void)snprintf(ip, sizeof(ip), "10.%u.%u.%u", n, i / 250, i % 250 + 1 + k);
		CHECK_EQ(json_array_append_new(list, json_pack("{s:[s]}", "addresses", ip)), 0);
	}
	doc = json_pack("{s:{s:s,s:s,s:{s:s}},s:s,s:[{s:s,s:i}],s:O}", "metadata", "name", name, "namespace", "n", "labels",
			"kubernetes.io/service-name", name, "addressType", "IPv4", "ports", "name", "http", "port", 8080, "endpoints", list);
	CHECK_EQ(json_slice_decode(doc, &s, &err), 0);
	CHECK_EQ(service_table_upsert_slice(t, s), 0);
}

/* More than is written at once, and what comes, goes, and changes hands in between: of each set that a frontend had, nothing stays. */
static void test_many_services(struct harness *h)
{
	enum { MANY = 700, STEP = 7 };
	const struct service_options opt = {.node = "h"};
	unsigned slots = 0;
	struct service_table *t;
	struct recon_service *r;
	uint64_t writes;

	harness_reset(h);
	CHECK_EQ(service_table_new(&opt, &t), 0);
	CHECK_EQ(recon_service_new(h->obj, t, &r), 0);
	services(t, 0, MANY, true);
	for (unsigned i = 0; i < MANY; i++) {
		backends(t, i, i % 4);
		slots += i % 4;
	}
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), MANY);
	CHECK_EQ(entries(h, BPFOBJ_SVC_SLOT), slots);
	writes = recon_service_get_stats(r).writes;
	CHECK_EQ(writes, MANY + slots);

	for (unsigned i = 0; i < MANY; i += STEP) {
		services(t, i, i + 1, false);
		slots -= i % 4;
		backends(t, i + 1, 5);
		slots += 5 - (i + 1) % 4;
	}
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), MANY - MANY / STEP);
	CHECK_EQ(entries(h, BPFOBJ_SVC_SLOT), slots);
	CHECK_EQ(recon_service_get_stats(r).writes, writes + MANY / STEP * 6);

	/* an address that was free, and two that change hands at once */
	services(t, 0, 2, false);
	services(t, 0, 2, true);
	services(t, STEP, STEP + 1, true);
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), MANY - MANY / STEP + 2);
	slots += STEP % 4; /* its backends were there all the time */
	CHECK_EQ(entries(h, BPFOBJ_SVC_SLOT), slots);

	services(t, 0, MANY, false);
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC), 0);
	CHECK_EQ(entries(h, BPFOBJ_SVC_SLOT), 0);
	recon_service_free(r);
	service_table_free(t);
}

static void node_port(struct service_table *t, const char *name, int port)
{
	json_t *doc = json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:[{s:i, s:i}]}}", "metadata", "name", name, "namespace", "n", "spec",
				"type", "NodePort", "clusterIP", "10.96.0.1", "ports", "port", 80, "nodePort", port);
	struct kube_service *s;
	struct err err = {0};

	CHECK_EQ(json_service_decode(doc, &s, &err), 0);
	CHECK_EQ(service_table_upsert(t, s), 0);
	json_decref(doc);
}

static void expect_range(const struct recon_service *r, unsigned want_min, unsigned want_max)
{
	uint16_t min, max;

	recon_service_node_ports(r, &min, &max);
	CHECK_EQ(min, want_min);
	CHECK_EQ(max, want_max);
}

/* The programs look at node ports only between the lowest and the highest; a restart knows them before the cluster does. */
static void test_node_ports(struct harness *h)
{
	const struct service_options opt = {.has_node_ports = true};
	struct mesh_svc_key key = {.addr = {[10] = 0xff, [11] = 0xff}, .proto = IPPROTO_TCP, .scope = MESH_SVC_NODE_PORT};
	struct service_table *t;
	struct recon_service *r;
	struct mesh_svc v;

	harness_reset(h);
	CHECK_EQ(service_table_new(&opt, &t), 0);
	CHECK_EQ(recon_service_new(h->obj, t, &r), 0);
	expect_range(r, 0, 0);
	node_port(t, "a", 30080);
	CHECK_EQ(recon_service_apply(r), 0);
	expect_range(r, 30080, 30080);
	node_port(t, "b", 30070);
	node_port(t, "c", 32000);
	CHECK_EQ(recon_service_apply(r), 0);
	expect_range(r, 30070, 32000);
	key.port = htons(32000);
	CHECK_EQ(bpfmap_get(h->obj, BPFOBJ_SVC, &key, &v), 0);
	key.scope = MESH_SVC_ADDRESS;
	CHECK_EQ(bpfmap_get(h->obj, BPFOBJ_SVC, &key, &v), -ENOENT);
	recon_service_free(r);
	service_table_free(t);

	CHECK_EQ(service_table_new(&opt, &t), 0);
	CHECK_EQ(recon_service_new(h->obj, t, &r), 0);
	expect_range(r, 30070, 32000);
	CHECK_EQ(recon_service_apply(r), 0);
	CHECK_EQ(recon_service_sweep(r), 4); /* one ClusterIP, three node ports */
	CHECK_EQ(entries(h, BPFOBJ_SVC), 0);
	recon_service_free(r);
	service_table_free(t);
}

static uint32_t owner(struct harness *h, const char *addr)
{
	uint32_t ifindex = 0;
	uint8_t key[16];

	pkt_addr16(addr, key);
	(void)bpfmap_get(h->obj, BPFOBJ_OWN, key, &ifindex); /* it stays 0 */
	return ifindex;
}

static bool is_covered(struct harness *h, int ifindex)
{
	uint32_t value;

	return bpfmap_get(h->obj, BPFOBJ_COVERED, &ifindex, &value) == 0;
}

/* What the backstop knows follows the host, also what an earlier run left of it. */
static void test_cover(struct harness *h)
{
	struct nl_addr v[] = {{.ifindex = 2, .ip = {AF_INET, {10, 0, 0, 1}}}, {.ifindex = 300, .ip = {AF_INET6, {0xfd}}}};
	int some[] = {1, 2, 300}, others[] = {2, 256, 70000};
	struct recon_ifindexes covered = {.v = some, .n = 3};
	struct nl_addrs own = {.v = v, .n = 2};
	struct recon_cover *c;

	CHECK_EQ(recon_cover_new(h->obj, &c), 0);
	CHECK_EQ(recon_cover_apply(c, &covered, &own), 0);
	CHECK_EQ(entries(h, BPFOBJ_COVERED), 3);
	CHECK(is_covered(h, 1) && is_covered(h, 2) && is_covered(h, 300));
	CHECK_EQ(entries(h, BPFOBJ_OWN), 2);
	CHECK(owner(h, "10.0.0.1") == 2 && owner(h, "fd00::") == 300);
	v[0].ifindex = 7; /* the address moved */
	own.n = 1;
	CHECK_EQ(recon_cover_apply(c, &covered, &own), 0);
	CHECK(owner(h, "10.0.0.1") == 7 && entries(h, BPFOBJ_OWN) == 1);
	recon_cover_free(c);
	CHECK_EQ(recon_cover_new(h->obj, &c), 0);
	covered.v = others;
	own.n = 0;
	CHECK_EQ(recon_cover_apply(c, &covered, &own), 0);
	CHECK_EQ(entries(h, BPFOBJ_COVERED), 3);
	CHECK(is_covered(h, 2) && is_covered(h, 256) && is_covered(h, 70000));
	CHECK_EQ(entries(h, BPFOBJ_OWN), 0);
	covered.n = 0;
	CHECK_EQ(recon_cover_apply(c, &covered, &own), 0);
	CHECK_EQ(entries(h, BPFOBJ_COVERED), 0);
	recon_cover_free(c);
}

int main(void)
{
	const struct bpfobj_sizes sizes = {.ipcache = SMALL, .classes = SMALL, .services = SMALL}, usual = {0};
	struct harness h;

	harness_open(&h, &sizes);
	test_addresses(&h);
	test_classes(&h);
	test_names(&h);
	test_services(&h);
	test_node_ports(&h);
	harness_close(&h);
	harness_open(&h, &usual);
	test_many_services(&h);
	test_cover(&h);
	harness_close(&h);
	return harness_done();
}
