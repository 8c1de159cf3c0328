/* SPDX-License-Identifier: Apache-2.0 */
/* All that the host knows of its cluster, from nothing to a table that may be applied, and then a change of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "agentd/own_labels.h"
#include "agentd/world.h"
#include "base/macro.h"
#include "join/serve_rules.h"
#include "json/json.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"
#include "nomem.h"
#include "plan/plan_policy.h"
#include "table_dump.h"

enum { OWN = 300, ID_A, ID_B };

#define NODE(name, address, third)                                                                                             \
	"{\"metadata\":{\"name\":\"" name "\",\"uid\":\"" name "\",\"labels\":{\"zone\":\"" third "\"}},\"spec\":{\"addresses\":["  \
	"{\"ip\":\"" address "\",\"type\":\"InternalIP\"},{\"ip\":\"10.244." third ".1\",\"type\":\"CiliumInternalIP\"}],\"ipam\":{" \
	"\"podCIDRs\":[\"10.244." third ".0/24\"]},\"health\":{\"ipv4\":\"10.244." third ".2\"}}}"
#define POLICY                                                                                                                 \
	"{\"metadata\":{\"name\":\"p\",\"namespace\":\"ext\"},\"spec\":{\"endpointSelector\":{},\"ingress\":[{\"fromEndpoints\":["   \
	"{\"matchLabels\":{\"app\":\"a\"}}],\"toPorts\":[{\"ports\":[{\"port\":\"web\",\"protocol\":\"TCP\"}]}]},{\"fromCIDR\":["   \
	"\"10.245.0.0/16\",\"172.18.0.0/24\"]},{\"fromNodes\":[{\"matchLabels\":{\"zone\":\"1\"}}]}],\"ingressDeny\":["             \
	"{\"fromEntities\":[\"kube-apiserver\"],\"toPorts\":[{\"ports\":[{\"port\":\"22\"}]}]}],\"egress\":[{\"toServices\":["     \
	"{\"k8sService\":{\"serviceName\":\"kubernetes\",\"namespace\":\"default\"}}]}]}}"

static const char *const objects[] = {
	NODE("n1", "172.18.0.3", "1"),
	NODE("n2", "172.18.0.4", "2"),
	POLICY,
	"{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"uid\":\"s\"},\"spec\":{\"clusterIP\":\"10.96.0.1\","
	"\"clusterIPs\":[\"10.96.0.1\"],\"ports\":[{\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\"}]}}",
	"{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":\"kubernetes\"}},"
	"\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"172.18.0.3\"]},{\"addresses\":[\"192.0.2.9\"]}],\"ports\":["
	"{\"name\":\"https\",\"port\":6443,\"protocol\":\"TCP\"}]}",
};

struct known {
	struct cilium_config config;
	struct conf conf;
	struct conf_named_port port;
	struct doc *docs[ARRAY_LEN(objects)];
	struct world *w;
	struct route_list routes;
};

static void *known_begin(const void *arg)
{
	struct known *k = calloc(1, sizeof(*k));
	json_t *map = json_pack("{s:{s:s, s:s}}", "data", "policy-cidr-match-mode", "nodes", "enable-node-selector-labels", "true");

	(void)arg;
	NOMEM_NEED(k && map);
	cr_assert_eq(cilium_config_parse(map, &k->config, NULL), 0);
	k->port = (struct conf_named_port){"web", 8080, 6};
	k->conf.named_ports.v = &k->port;
	k->conf.named_ports.n = 1;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		k->docs[i] = doc_parse(objects[i], strlen(objects[i]));
		NOMEM_NEED(k->docs[i]);
	}
	json_decref(map);
	return k;
}

static int add_identity(struct world *w, uint32_t number, const char *app)
{
	CLEANUP(label_builder_done) struct label_builder b = {.table = identity_labels(w->identities)};
	struct label_set *set;
	int r = label_builder_add(&b, "k8s:app", app);

	if (r == 0)
		r = label_builder_add_text(&b, "k8s:io.kubernetes.pod.namespace=ext");
	if (r == 0)
		r = label_builder_add_text(&b, "k8s:io.cilium.k8s.policy.cluster=default");
	if (r == 0)
		r = label_builder_take(&b, &set);
	return r < 0 ? r : identity_upsert(w->identities, number, set);
}

static int add_node(struct world *w, const struct doc *d)
{
	struct kube_node *n;
	int r = kube_node_decode(d, &n, NULL);

	if (r == 0) {
		r = kube_node_read_labels(n, d);
		if (r < 0)
			kube_node_free(n);
	}
	return r < 0 ? r : node_table_set(w->nodes, n);
}

static int add_endpoint(struct world *w, const char *name, uint32_t identity, uint8_t last)
{
	static const struct kube_endpoint_port web = {"web", 6, 8081};
	struct ip ip = {.family = AF_INET, .b = {10, 244, 1, last}};
	struct endpoint_info info = {.identity = identity, .node = {.family = AF_INET, .b = {172, 18, 0, 3}}, .addr = &ip, .n_addr = 1};
	int r = port_claims_intern(w->ports, &web, 1, &info.ports);

	if (r == 0)
		r = endpoint_table_set(w->endpoints, "ext", name, NULL, &info);
	port_claims_put(w->ports, info.ports);
	return r;
}

/* As when a daemon starts. Where an address could not be kept it has to start anew: so all of it is done again. */
static int known_run(void *state)
{
	struct known *k = state;
	struct kube_service *service;
	struct kube_slice *slice;
	struct world *w;
	int r;

	world_free(k->w);
	k->w = NULL;
	r = world_new(&k->config, "me", OWN, &k->conf, &w);
	if (r < 0)
		return r;
	k->w = w;
	r = add_identity(w, OWN, "vm");
	r = r < 0 ? r : add_identity(w, ID_A, "a");
	r = r < 0 ? r : add_identity(w, ID_B, "b");
	r = r < 0 ? r : policy_gate_set(w->gate, POLICY_CNP, k->docs[2], NULL);
	r = r < 0 ? r : kube_service_decode(k->docs[3], &service, NULL);
	r = r < 0 ? r : service_table_upsert(w->services, service);
	r = r < 0 ? r : kube_slice_decode(k->docs[4], &slice, NULL);
	r = r < 0 ? r : service_table_upsert_slice(w->services, slice);
	r = r < 0 ? r : add_node(w, k->docs[0]);
	r = r < 0 ? r : add_node(w, k->docs[1]);
	r = r < 0 ? r : add_endpoint(w, "pod-a", ID_A, 10);
	r = r < 0 ? r : add_endpoint(w, "pod-b", ID_B, 11);
	return r < 0 ? r : world_update(w);
}

static int dump_address(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	char text[IP_STRLEN];

	(void)fprintf(arg, "%s %u flags %u node %u\n", ip_str(ip, text), claim->identity, claim->flags, claim->node);
	return 0;
}

static void known_dump(void *state, FILE *out)
{
	struct known *k = state;
	struct fixture f;
	char text[CIDR_STRLEN];

	if (!k->w)
		return;
	f = (struct fixture){.ids = k->w->identities, .repo = k->w->policies, .table = k->w->table};
	(void)ipcache_each(k->w->addresses, dump_address, out);
	table_dump(&f, out);
	for (size_t i = 0; i < k->routes.n; i++)
		(void)fprintf(out, "route %s\n", cidr_str(&k->routes.v[i].dst, text));
}

static void known_end(void *state)
{
	struct known *k = state;

	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		doc_free(k->docs[i]);
	world_free(k->w);
	ARRAY_DONE(&k->routes);
	free(k);
}

/* --- what follows from it --- */

static void *applied_begin(const void *arg)
{
	struct known *k = known_begin(arg);

	cr_assert_eq(known_run(k), 1);
	return k;
}

static int routes(void *state)
{
	struct known *k = state;
	struct ip own = {.family = AF_INET, .b = {172, 18, 0, 9}};
	struct route_list list = {0};
	int r = world_routes(k->w, &own, 1, &list);

	if (r < 0) {
		ARRAY_DONE(&list);
		return r;
	}
	ARRAY_DONE(&k->routes);
	k->routes = list;
	return 0;
}

static int plans(void *state)
{
	struct known *k = state;
	struct plan_dirs dirs = plan_dirs_of(k->w->table);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < policy_table_class_limit(k->w->table); i++) {
		const struct policy_class *c = policy_table_class(k->w->table, i);
		CLEANUP(plan_class_done) struct plan_class p = {0};
		struct plan_size size;

		if (!c)
			continue;
		size = plan_class_size(c, &dirs);
		r = plan_class_make(c, &dirs, 1, &p);
		if (r == 0) {
			plan_class_sort(&p);
			cr_assert(p.n_rows == size.rows && p.n_ports == size.ports && p.n_ranges == size.ranges);
		}
	}
	return r;
}

/* Our own labels are others now, and a pod has another identity. */
static int change(void *state)
{
	struct known *k = state;
	int r = add_identity(k->w, OWN, "other");

	r = r < 0 ? r : add_identity(k->w, ID_B, "a");
	r = r < 0 ? r : policy_gate_remove(k->w->gate, POLICY_CNP, "ext", "none");
	return r < 0 ? r : world_update(k->w);
}

static int outdated(void *state)
{
	struct known *k = state;
	const struct identity *own = identity_get(k->w->identities, OWN);
	struct buf b = {0};
	int r = own_labels_outdated(identity_labels(k->w->identities), own->labels, NULL, &b);

	buf_done(&b);
	return r;
}

Test(nomem_world, from_nothing)
{
	const struct nomem all[] = {
		{.name = "the world", .begin = known_begin, .run = known_run, .places = 200},
		{.name = "routes", .begin = applied_begin, .run = routes, .is_atomic = true},
		{.name = "map entries of policies", .begin = applied_begin, .run = plans, .is_atomic = true},
		{.name = "the world changes", .begin = applied_begin, .run = change},
		{.name = "labels outdated", .begin = applied_begin, .run = outdated, .is_atomic = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct nomem n = all[i];

		n.dump = known_dump;
		n.end = known_end;
		n.has_no_order = true;
		nomem_try(&n);
	}
}

/* --- which Services the cluster lets this host stand behind, and in which zones --- */

struct allowed {
	json_t *review;
	struct serve_rules rules;
};

static void *allowed_begin(const void *arg)
{
	static const char text[] =
		"{\"status\":{\"resourceRules\":[{\"verbs\":[\"serve\"],\"apiGroups\":[\"\"],\"resources\":[\"services\"],"
		"\"resourceNames\":[\"web\",\"db\",\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]},{\"verbs\":[\"get\"],\"apiGroups\":[\"*\"],"
		"\"resources\":[\"*\"]},{\"verbs\":[\"use\"],\"apiGroups\":[\"mesh-external-agent.io\"],\"resources\":[\"zones\"],"
		"\"resourceNames\":[\"eu-1b\",\"eu-1a\"]}],\"incomplete\":false}}";
	struct allowed *a = calloc(1, sizeof(*a));

	(void)arg;
	NOMEM_NEED(a);
	a->review = json_parse(text, sizeof(text) - 1);
	NOMEM_NEED(a->review);
	return a;
}

static int allowed_run(void *state)
{
	struct allowed *a = state;
	CLEANUP(json_decref) json_t *request = serve_rules_request("legacy");

	return request ? serve_rules_parse(a->review, &a->rules) : -ENOMEM;
}

static void allowed_dump(void *state, FILE *out)
{
	struct allowed *a = state;

	for (size_t i = 0; i < a->rules.services.n; i++)
		(void)fprintf(out, "%s\n", a->rules.services.v[i]);
	for (size_t i = 0; i < a->rules.zones.n; i++)
		(void)fprintf(out, "zone %s\n", a->rules.zones.v[i]);
}

static void allowed_end(void *state)
{
	struct allowed *a = state;

	json_decref(a->review);
	serve_rules_done(&a->rules);
	free(a);
}

Test(nomem_world, services_allowed)
{
	const struct nomem n = {.name = "services allowed",
				.begin = allowed_begin,
				.run = allowed_run,
				.dump = allowed_dump,
				.end = allowed_end,
				.is_atomic = true};

	nomem_try(&n);
}
