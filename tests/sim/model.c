/* SPDX-License-Identifier: Apache-2.0 */
/* What the tables must hold, worked out from the server's objects alone, without any code of the agent's decoders. */
#include "sim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { BEHIND_S = 60 }; /* so long after such a server's answers can still be on the way */

static struct ip ip_of(uint32_t address)
{
	uint32_t bytes = htonl(address);

	return ip_from_bytes(AF_INET, &bytes);
}

/* The name of an object, "e12". */
static const char *name_of(unsigned index)
{
	static char names[SIM_OBJECTS][8];

	if (!names[index][0])
		(void)snprintf(names[index], sizeof(names[index]), "e%u", index);
	return names[index];
}

/* Only what holds for this address itself, without prefixes; 0 = nothing. */
static uint32_t number_at(uint32_t address)
{
	struct ip ip = ip_of(address);
	struct ipcache_claim c;

	return ipcache_get(sim->world->addresses, &ip, &c) ? c.identity : 0;
}

static bool allows(uint16_t port)
{
	const struct policy_table *t = sim->world->table;
	const struct policy_class *c = policy_table_class(t, 0);

	return !policy_table_enforced(t, POLICY_INGRESS) ||
	       policy_rows_lookup(&c->rows[POLICY_INGRESS], IPPROTO_TCP, port).action == POLICY_ALLOW;
}

static bool has_frontend(unsigned index, const struct sim_object *o)
{
	uint32_t address = object_address(SIM_SERVICE, index, o->payload, 0);
	struct ip ip = ip_of(address);
	const struct kube_service *s = service_table_by_cluster_ip(sim->world->services, &ip);

	return s && strcmp(s->name, name_of(index)) == 0;
}

static uint16_t policy_port(enum sim_kind kind, const struct sim_object *o)
{
	unsigned base = kind == SIM_CNP ? SIM_PORT_CNP : kind == SIM_CCNP ? SIM_PORT_CCNP : SIM_PORT_KNP;

	return (uint16_t)(base + o->payload);
}

/* True if the object is in the tables in just this state; `is_there` tells whether any state of it is looked for. */
static bool is_in_tables(enum sim_kind kind, unsigned index, const struct sim_object *o)
{
	const char *name = name_of(index);
	struct service_view view;
	const struct identity *id;
	const struct kube_node *node;
	char app[16];

	switch (kind) {
	case SIM_CONFIG:
		return sim->config == o->payload;
	case SIM_NAMESPACE:
		return sim->namespaces[index];
	case SIM_IDENTITY:
		id = identity_get(sim->world->identities, 5000 + index);
		(void)snprintf(app, sizeof(app), "a%u", o->payload);
		return id && id->labels->n == 2 &&
		       strcmp(label_set_get(identity_labels(sim->world->identities), id->labels, LABEL_K8S, "app"), app) == 0;
	case SIM_NODE:
		node = node_table_find(sim->world->nodes, name);
		return node && node->pod_cidrs.n == 1 &&
		       number_at(object_address(kind, index, o->payload, 0)) == IDENTITY_REMOTE_NODE;
	case SIM_ENDPOINT:
		return number_at(object_address(kind, index, o->payload, 0)) == 1000 + o->payload;
	case SIM_CNP:
	case SIM_CCNP:
	case SIM_KNP:
		return policy_table_enforced(sim->world->table, POLICY_INGRESS) && allows(policy_port(kind, o));
	case SIM_SERVICE:
		return has_frontend(index, o);
	case SIM_SLICE:
		return service_table_find(sim->world->services, "legacy", 6, name, strlen(name), &view) && view.n_slices == 1 &&
		       view.slices[0]->n_addrs == 1;
	default:
		return true; /* groups of prefixes: by the digest of all policies */
	}
}

void model_check_promises(void)
{
	bool is_behind = sim->lag_until_us && sim->now_us < sim->lag_until_us + BEHIND_S * USEC_PER_SEC;
	struct sim_object objects[SIM_OBJECTS];

	for (unsigned kind = 0; kind < SIM_KINDS; kind++) {
		server_at(&sim->clusters[0], (enum sim_kind)kind, sim->clusters[0].version, objects);
		for (unsigned i = 0; i < sim->n_rocks[kind] && kind != SIM_CONFIG; i++)
			if (!is_in_tables((enum sim_kind)kind, i, &objects[i]))
				sim_fail("%s e%u never changed and is not in the tables", sim_paths[kind].name, i);
		for (unsigned i = 0; i < SIM_OBJECTS; i++) {
			struct sim_object foreign = {.payload = 0};

			for (foreign.payload = 0; foreign.payload < 3 && kind == SIM_ENDPOINT; foreign.payload++)
				if (number_at(object_address(SIM_ENDPOINT, i, foreign.payload, SIM_FOREIGN)))
					sim_fail("an address of another cluster was applied");
		}
	}
	/* No endpoint goes back to what it was before, unless its cluster does, or a server that is behind was asked. */
	for (unsigned i = 0; i < SIM_OBJECTS; i++) {
		uint32_t identity = 0;

		for (unsigned last = 0; last < 3 && !identity; last++)
			identity = number_at(object_address(SIM_ENDPOINT, i, last, 0));
		if (identity && identity - 1000 < sim->seen[i] && !sim->has_restored && !is_behind)
			sim_fail("CiliumEndpoint e%u went back from payload %u to %u", i, sim->seen[i], identity - 1000);
		if (identity)
			sim->seen[i] = identity - 1000;
	}
}

#define DIFFERS(...) \
	do {                                   \
		if (is_loud)                   \
			sim_fail(__VA_ARGS__); \
		return false;                  \
	} while (0)


/* The class of an address, and whether it may reach a port of ours. */
static bool allows_address(const struct ip *ip, uint16_t port)
{
	const struct policy_table *t = sim->world->table;
	const struct policy_class *c = policy_table_class(t, policy_class_of(t, policy_table_identity_of(t, ip)));

	return policy_rows_lookup(&c->rows[POLICY_INGRESS], IPPROTO_TCP, port).action == POLICY_ALLOW;
}

/* Each group of prefixes is named by one policy: it grants what both of them say. */
static bool groups_are_equal(bool is_loud)
{
	struct sim_object groups[SIM_OBJECTS], policies[SIM_OBJECTS];

	server_at(&sim->clusters[0], SIM_CIDR_GROUP, UINT64_MAX, groups);
	server_at(&sim->clusters[0], SIM_CCNP, UINT64_MAX, policies);
	for (unsigned i = 0; i < SIM_OBJECTS; i++) {
		struct ip ip = ip_of(0xc0a80000 | i << 8 | groups[i].payload % 250);

		if (policies[i].is_there &&
		    allows_address(&ip, (uint16_t)(SIM_PORT_GROUP + policies[i].payload)) != groups[i].is_there)
			DIFFERS("CiliumCIDRGroup e%u: %s there", i, groups[i].is_there ? "not" : "still");
	}
	return true;
}

/* Every port that any policy ever allowed. */
static bool ports_are_equal(enum sim_kind kind, const struct sim_object objects[SIM_OBJECTS], bool is_loud)
{
	for (uint32_t payload = 1; payload <= sim->payload; payload++) {
		struct sim_object o = {.payload = payload};
		bool is_there = false;

		for (unsigned i = 0; i < SIM_OBJECTS; i++)
			is_there |= objects[i].is_there && objects[i].payload == payload;
		if (is_there != is_in_tables(kind, 0, &o))
			DIFFERS("%s with payload %u: %s in force", sim_paths[kind].name, payload, is_there ? "not" : "still");
	}
	return true;
}

static size_t table_count(enum sim_kind kind, size_t fallback)
{
	struct service_counts n;

	service_table_counts(sim->world->services, &n);
	switch (kind) {
	case SIM_NODE:
		return node_table_count(sim->world->nodes);
	case SIM_ENDPOINT:
		return endpoint_table_count(sim->world->endpoints);
	case SIM_SERVICE:
		return n.services;
	case SIM_SLICE:
		return n.slices;
	default:
		return fallback;
	}
}

static bool kind_is_equal(enum sim_kind kind, bool is_loud)
{
	struct sim_object objects[SIM_OBJECTS];
	const struct reflector *r = sync_reflector(sim->sync, kind);
	size_t n;

	server_at(&sim->clusters[0], kind, UINT64_MAX, objects);
	n = server_count(objects);
	if (table_count(kind, n) != n)
		DIFFERS("%s: %zu in the table, %zu in the cluster", sim_paths[kind].name, table_count(kind, n), n);
	if (reflector_get_stats(r).objects != n)
		DIFFERS("%s: the reflector counts %llu, the cluster has %zu", sim_paths[kind].name,
			(unsigned long long)reflector_get_stats(r).objects, n);
	if (kind == SIM_CNP || kind == SIM_CCNP || kind == SIM_KNP)
		return ports_are_equal(kind, objects, is_loud);
	for (unsigned i = 0; i < SIM_OBJECTS; i++) {
		if (objects[i].is_there && !is_in_tables(kind, i, &objects[i]))
			DIFFERS("%s e%u is not as in the cluster", sim_paths[kind].name, i);
		if (!objects[i].is_there && kind != SIM_CIDR_GROUP && kind != SIM_CONFIG && kind != SIM_SERVICE &&
		    is_in_tables(kind, i, &objects[i]))
			DIFFERS("%s e%u is still there", sim_paths[kind].name, i);
	}
	return true;
}

bool model_is_equal(bool is_loud)
{
	struct sim_object endpoints[SIM_OBJECTS], nodes[SIM_OBJECTS];
	size_t n;

	if (sim->is_unverified || sim->is_changed || !sync_is_complete(sim->sync))
		DIFFERS("the host is not ready: %s", sim->is_unverified ? "not verified" : "not synchronised");
	for (unsigned kind = 0; kind < SIM_KINDS; kind++) {
		const struct reflector *r = sync_reflector(sim->sync, kind);
		struct reflector_doubt doubt;

		if (reflector_get_state(r) != REFLECTOR_SYNCED || reflector_get_doubt(r, &doubt))
			DIFFERS("%s: not synchronised: %s", sim_paths[kind].name, reflector_error(r));
		if (!kind_is_equal((enum sim_kind)kind, is_loud))
			return false;
	}
	server_at(&sim->clusters[0], SIM_ENDPOINT, UINT64_MAX, endpoints);
	server_at(&sim->clusters[0], SIM_NODE, UINT64_MAX, nodes);
	n = server_count(endpoints) + server_count(nodes);
	if (ipcache_count(sim->world->addresses) != n)
		DIFFERS("%zu addresses, not %zu", ipcache_count(sim->world->addresses), n);
	return groups_are_equal(is_loud);
}
