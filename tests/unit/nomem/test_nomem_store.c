/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster is made of: identities and their ports, addresses, endpoints, nodes, names seen. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "identity/identity.h"
#include "identity/ipcache.h"
#include "identity/node_labels.h"
#include "identity/port_claims.h"
#include "nomem.h"
#include "store/endpoint_table.h"
#include "store/key_set.h"
#include "store/node_table.h"

static struct ip ip_of(unsigned a, unsigned b)
{
	return (struct ip){.family = AF_INET, .b = {10, 1, (uint8_t)a, (uint8_t)b}};
}

/* --- identities --- */

struct people {
	struct identity_table *ids;
	struct port_claims *claims;
	struct node_labels *nodes;
	uint32_t told[2]; /* the sets of ports that endpoints of 300 and 301 have */
	uint32_t local;
};

static int put(struct identity_table *t, uint32_t number, const char *const *texts)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = identity_labels(t)};
	struct label_set *set;
	int r = 0;

	for (; r == 0 && *texts; texts++)
		r = label_builder_add_text(&b, *texts);
	if (r == 0)
		r = label_builder_take(&b, &set);
	return r < 0 ? r : identity_upsert(t, number, set);
}

static void *people_begin(const void *arg)
{
	static const char *const a[] = {"k8s:app=old", "gen:io.cilium.k8s.named-ports=web.TCP.80", NULL}, *const b[] = {"any=x", NULL};
	struct people *p = calloc(1, sizeof(*p));

	(void)arg;
	NOMEM_NEED(p);
	cr_assert_eq(identity_table_new(&p->ids), 0);
	cr_assert_eq(port_claims_new(p->ids, &p->claims), 0);
	cr_assert_eq(node_labels_new(identity_labels(p->ids), &p->nodes), 0);
	cr_assert_eq(put(p->ids, 300, a), 0);
	cr_assert_eq(put(p->ids, 302, b), 0);
	identity_changes_clear(p->ids);
	return p;
}

static int upsert(void *state)
{
	static const char *const a[] = {"k8s:app=a", "odd:io.x/y=z", "gen:io.cilium.k8s.named-ports=web.TCP.81_dns.UDP.53", NULL},
				*const b[] = {"k8s:app=b", "reserved:world=", NULL};
	struct people *p = state;
	int r = put(p->ids, 300, a);
	char text[32];

	if (r == 0)
		r = put(p->ids, 301, b);
	for (uint32_t i = 0; i < 20 && r == 0; i++) {
		const char *texts[] = {text, "k8s:of=many", NULL};

		(void)snprintf(text, sizeof(text), "k8s:n=%u", i);
		r = put(p->ids, 1000 + i, texts);
	}
	(void)identity_remove(p->ids, 302); /* or it is gone already */
	if (r == 0 && !p->local) {
		r = identity_local_number(p->ids, IDENTITY_LOCAL_CIDR, &p->local);
		if (r < 0)
			p->local = 0;
	}
	return r < 0 ? r : put(p->ids, p->local, b);
}

static int one_upsert(void *state)
{
	static const char *const a[] = {"k8s:app=a", "new:io.x/y=z", "gen:io.cilium.k8s.named-ports=web.TCP.81_dns.UDP.53", NULL};

	return put(((struct people *)state)->ids, 300, a);
}

static int claim_ports(void *state)
{
	static const struct kube_endpoint_port v[2][2] = {{{"web", 6, 8080}, {"dns", 17, 53}}, {{"web", 6, 8081}, {"x", 132, 1}}};
	struct people *p = state;
	int r = 0;

	for (unsigned i = 0; i < 2 && r == 0; i++) {
		uint32_t set;

		if (p->told[i])
			continue;
		r = port_claims_intern(p->claims, v[i], 2, &set);
		if (r < 0)
			break;
		r = port_claims_add(p->claims, 300 + 2 * i, set);
		port_claims_put(p->claims, set);
		if (r == 0)
			p->told[i] = set;
	}
	return r < 0 ? r : port_claims_apply(p->claims);
}

static int label_nodes(void *state)
{
	struct people *p = state;
	int r = 0;

	for (unsigned i = 0; i < 6 && r == 0; i++) {
		CLEANUP(strv_done) struct strv labels = {0};
		struct ip ip = ip_of(9, i / 2);

		r = strv_add(&labels, "topology.kubernetes.io/zone=a");
		if (r == 0)
			r = strv_add(&labels, i % 2 ? "b=c" : "d");
		if (r == 0)
			r = node_labels_set(p->nodes, &ip, i == 3 ? 2 : i, &labels, "c1");
	}
	return r;
}

static void people_dump(void *state, FILE *out)
{
	struct people *p = state;
	struct label_table *t = identity_labels(p->ids);
	const struct identity_change *changes;
	size_t n_changes = identity_changes(p->ids, &changes);

	for (size_t i = 0; i < identity_count(p->ids); i++) {
		const struct identity *id = identity_at(p->ids, i);
		struct buf b = {0};
		bool is_told = id->number >= IDENTITY_CLUSTER_MIN && identity_changes_lost(p->ids);

		for (size_t k = 0; k < n_changes; k++)
			is_told = is_told || changes[k].number == id->number;
		cr_assert_eq(label_set_print(t, id->labels, &b), 0);
		(void)fprintf(out, "%u%s %s %x", id->number, is_told ? " changed" : "", b.data ? b.data : "", id->flags);
		buf_done(&b);
		for (size_t k = 0; id->ports && k < id->ports->n; k++)
			(void)fprintf(out, " %s/%u:%u", intern_str(label_table_strings(t), id->ports->v[k].name), id->ports->v[k].proto,
				      id->ports->v[k].port);
		(void)fputc('\n', out);
	}
	(void)fprintf(out, "%zu strings\n", intern_count(label_table_strings(t)));
	for (unsigned i = 0; i < 3; i++) {
		struct ip ip = ip_of(9, i);
		const struct label_set *set = node_labels_get(p->nodes, &ip);
		struct buf b = {0};

		if (set)
			cr_assert_eq(label_set_print(t, set, &b), 0);
		(void)fprintf(out, "node %u %s\n", i, b.data ? b.data : "none");
		buf_done(&b);
	}
}

static void people_end(void *state)
{
	struct people *p = state;

	node_labels_free(p->nodes);
	port_claims_free(p->claims);
	identity_table_free(p->ids);
	free(p);
}

Test(nomem_store, identities)
{
	const struct nomem all[] = {
		{.name = "identities", .run = upsert},
		{.name = "identity", .run = one_upsert, .is_atomic = true},
		{.name = "named ports", .run = claim_ports},
		{.name = "labels of nodes", .run = label_nodes},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.begin = people_begin;
		n.dump = people_dump;
		n.end = people_end;
		n.has_no_order = true;
		nomem_try(&n);
	}
}

/* --- addresses --- */

static void *cache_begin(const void *arg)
{
	struct ipcache *c;
	struct ip node = ip_of(200, 200), ip = ip_of(0, 0);

	(void)arg;
	cr_assert_eq(ipcache_new(&c), 0);
	cr_assert_eq(ipcache_node_seed(c, &node, 7), 0);
	cr_assert_eq(ipcache_claim(c, IPCACHE_FROM_NODE, &ip, &(struct ipcache_claim){.identity = 6, .owner = 1}), 0);
	return c;
}

static int cache_run(void *state)
{
	struct ipcache *c = state;
	int r = 0;

	for (unsigned i = 0; i < 60 && r == 0; i++) {
		struct ip ip = ip_of(0, i / 3), node = ip_of(200, i % 5);
		struct ipcache_claim claim = {.identity = 1000 + i, .owner = i};

		r = ipcache_node_ref(c, &node, &claim.node);
		if (r == 0) {
			r = ipcache_claim(c, (enum ipcache_source)(i % 3), &ip, &claim);
			ipcache_node_unref(c, claim.node);
		}
	}
	return r;
}

static int dump_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	char text[IP_STRLEN];

	if (claim)
		(void)fprintf(arg, "%s %u owner %u node %d flags %u key %u\n", ip_str(ip, text), claim->identity, claim->owner,
			      claim->node != 0, claim->flags, claim->key);
	return 0;
}

static void cache_dump(void *state, FILE *out)
{
	(void)ipcache_each(state, dump_address, out);
	(void)ipcache_flush(state, dump_address, out); /* what is told is what is there */
	ipcache_mark_all(state);
}

static void cache_end(void *state)
{
	ipcache_free(state);
}

Test(nomem_store, addresses)
{
	const struct nomem n = {.name = "addresses",
				.begin = cache_begin,
				.run = cache_run,
				.dump = cache_dump,
				.end = cache_end,
				.has_no_order = true};

	nomem_try(&n);
}

/* --- endpoints, nodes, names seen --- */

struct things {
	struct endpoint_table *endpoints;
	struct node_table *nodes;
	struct key_set *keys;
	uint32_t identity_at[64]; /* of 10.1.0.x, as told */
	unsigned n_nodes;
};

static void on_address(const struct ip *ip, uint32_t owner, const struct endpoint_info *info, void *arg)
{
	struct things *t = arg;

	(void)owner;
	cr_assert_lt(ip->b[3], ARRAY_LEN(t->identity_at));
	t->identity_at[ip->b[3]] = info ? info->identity : 0;
}

static void on_node(uint32_t number, const struct kube_node *old, const struct kube_node *now, void *arg)
{
	struct things *t = arg;

	(void)number;
	t->n_nodes += (unsigned)(now != NULL) - (unsigned)(old != NULL);
}

static void *things_begin(const void *arg)
{
	struct things *t = calloc(1, sizeof(*t));
	struct ip ip = ip_of(0, 60);
	struct endpoint_info info = {.identity = 5, .node = ip_of(1, 1), .addr = &ip, .n_addr = 1};

	(void)arg;
	NOMEM_NEED(t);
	cr_assert_eq(endpoint_table_new(on_address, NULL, NULL, t, &t->endpoints), 0);
	cr_assert_eq(node_table_new(on_node, t, &t->nodes), 0);
	cr_assert_eq(key_set_new(&t->keys), 0);
	cr_assert_eq(endpoint_table_set(t->endpoints, "a", "old", "slice-0", &info), 0);
	cr_assert_eq(key_set_add(t->keys, "a", "old"), 0);
	return t;
}

/* Another slice names the endpoint, too, and some of them no more. */
static int name_again(struct things *t, const char *name, unsigned i, const struct endpoint_info *info)
{
	struct endpoint_info other = *info;
	int r;

	other.identity += 100;
	r = endpoint_table_set(t->endpoints, "ns", name, "slice-9", &other);
	if (r == 0 && i % 2)
		endpoint_table_remove(t->endpoints, "ns", name, "slice-9");
	return r;
}

static int things_run(void *state)
{
	struct things *t = state;
	int r = 0;

	for (unsigned i = 0; i < 30 && r == 0; i++) {
		struct ip ips[2] = {ip_of(0, i), ip_of(0, 30 + i)};
		struct endpoint_info info = {.identity = 100 + i, .node = ip_of(1, i), .addr = ips, .n_addr = i < 20 ? 1 + i % 2 : 1};
		char name[16], slice[16];

		(void)snprintf(name, sizeof(name), "pod-%u", i);
		(void)snprintf(slice, sizeof(slice), "slice-%u", i / 5);
		r = endpoint_table_set(t->endpoints, "ns", name, i % 5 ? slice : NULL, &info);
		if (r == 0 && i % 3 == 0)
			r = name_again(t, name, i, &info);
		if (r == 0)
			r = key_set_add(t->keys, "ns", name);
	}
	endpoint_table_remove(t->endpoints, "a", "old", "slice-0");
	key_set_remove(t->keys, "a", "old");
	return r;
}

static int nodes_run(void *state)
{
	struct things *t = state;
	int r = 0;

	for (unsigned i = 0; i < 14 && r == 0; i++) {
		char text[400];
		struct kube_node *n;
		struct doc *d;

		(void)snprintf(text, sizeof(text),
			       "{\"metadata\":{\"name\":\"node-%u\",\"uid\":\"u\",\"labels\":{\"a\":\"b\",\"c\":\"d\"}},\"spec\":{"
			       "\"addresses\":[{\"type\":\"InternalIP\",\"ip\":\"192.0.2.%u\"},{\"type\":\"CiliumInternalIP\","
			       "\"ip\":\"10.2.%u.1\"}],\"ipam\":{\"podCIDRs\":[\"10.3.%u.0/24\",\"10.4.%u.0/24\"]},\"ingress\":{"
			       "\"ipv4\":\"10.2.0.9\"},\"health\":{\"ipv4\":\"10.2.0.8\"}}}",
			       i / 2, i, i, i, i);
		nomem_pause();
		d = doc_parse(text, strlen(text));
		NOMEM_NEED(d);
		nomem_resume();
		r = kube_node_decode(d, &n, NULL);
		if (r == 0) {
			r = kube_node_read_labels(n, d);
			if (r < 0)
				kube_node_free(n);
			else
				r = node_table_set(t->nodes, n);
		}
		doc_free(d);
	}
	return r;
}

static int dump_node(const struct kube_node *n, void *arg)
{
	char text[CIDR_STRLEN];

	(void)fprintf(arg, "%s %s %d", n->name, n->uid, n->is_host);
	for (size_t i = 0; i < n->node_ips.n; i++)
		(void)fprintf(arg, " %s", ip_str(&n->node_ips.v[i], text));
	for (size_t i = 0; i < n->internal_ips.n; i++)
		(void)fprintf(arg, " internal %s", ip_str(&n->internal_ips.v[i], text));
	for (size_t i = 0; i < n->ingress_ips.n; i++)
		(void)fprintf(arg, " ingress %s", ip_str(&n->ingress_ips.v[i], text));
	for (size_t i = 0; i < n->health_ips.n; i++)
		(void)fprintf(arg, " health %s", ip_str(&n->health_ips.v[i], text));
	for (size_t i = 0; i < n->pod_cidrs.n; i++)
		(void)fprintf(arg, " %s", cidr_str(&n->pod_cidrs.v[i], text));
	for (size_t i = 0; i < n->labels.n; i++)
		(void)fprintf(arg, " %s", n->labels.v[i]);
	(void)fputc('\n', arg);
	return 0;
}

static void things_dump(void *state, FILE *out)
{
	struct things *t = state;

	for (unsigned i = 0; i < ARRAY_LEN(t->identity_at); i++)
		if (t->identity_at[i])
			(void)fprintf(out, "10.1.0.%u %u\n", i, t->identity_at[i]);
	(void)fprintf(out, "%zu endpoints, %zu nodes, %u told\n", endpoint_table_count(t->endpoints), node_table_count(t->nodes),
		      t->n_nodes);
	(void)node_table_each(t->nodes, dump_node, out);
	(void)fprintf(out, "%zu keys\n", key_set_count(t->keys));
}

static void things_end(void *state)
{
	struct things *t = state;

	endpoint_table_free(t->endpoints);
	node_table_free(t->nodes);
	key_set_free(t->keys);
	free(t);
}

Test(nomem_store, endpoints_and_nodes)
{
	const struct nomem endpoints = {.name = "endpoints",
					.begin = things_begin,
					.run = things_run,
					.dump = things_dump,
					.end = things_end},
			   nodes = {.name = "nodes",
				    .begin = things_begin,
				    .run = nodes_run,
				    .dump = things_dump,
				    .end = things_end,
				    .has_no_order = true};

	nomem_try(&endpoints);
	nomem_try(&nodes);
}
