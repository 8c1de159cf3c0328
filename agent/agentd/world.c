/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/world_private.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "base/macro.h"
#include "policy/policy_options.h"
#include "service/service_policy.h"

bool world_is_tunnelled(const struct world *w)
{
	return w->config.routing != CILIUM_NATIVE;
}

static void note(struct world *w, int r)
{
	if (r >= 0)
		return;
	w->lost_claims = true;
	log_event(LOG_ERR, "world.claim", "cannot keep an address; it will be treated as outside the cluster",
		  F_ERRNO(r));
}

void world_claim(struct world *w, enum ipcache_source source, const struct ip *ip, struct ipcache_claim c,
		  const struct ip *node)
{
	int r = 0;

	if (node->family) {
		r = ipcache_node_ref(w->addresses, node, &c.node);
		c.flags |= IPCACHE_IS_TUNNELLED;
	}
	if (r == 0)
		r = ipcache_claim(w->addresses, source, ip, &c);
	ipcache_node_unref(w->addresses, c.node); /* the claim holds its own reference */
	note(w, r);
}

static void on_endpoint_address(const struct ip *ip, uint32_t owner, const struct endpoint_info *info, void *arg)
{
	struct world *w = arg;
	struct ipcache_claim c = {.owner = owner};
	struct ip node = {0};

	if (!info) {
		ipcache_release(w->addresses, IPCACHE_FROM_ENDPOINT, ip, owner);
		return;
	}
	c.identity = info->identity;
	c.key = info->key;
	if (world_is_tunnelled(w) && !endpoint_is_host(info))
		node = info->node;
	world_claim(w, IPCACHE_FROM_ENDPOINT, ip, c, &node);
}

static void on_endpoint_ports(uint32_t identity, uint32_t ports, bool is_there, void *arg)
{
	struct world *w = arg;

	if (is_there)
		note(w, port_claims_add(w->ports, identity, ports));
	else
		port_claims_drop(w->ports, identity, ports);
}

static bool on_endpoint_hold(uint32_t ports, bool is_held, void *arg)
{
	struct world *w = arg;

	if (is_held)
		return port_claims_hold(w->ports, ports);
	port_claims_put(w->ports, ports);
	return true;
}

/* Those that tell of the node itself: NULL past the last. */
static const struct ip *node_address(const struct kube_node *n, size_t i)
{
	if (!n || i >= n->node_ips.n + n->internal_ips.n)
		return NULL;
	return i < n->node_ips.n ? &n->node_ips.v[i] : &n->internal_ips.v[i - n->node_ips.n];
}

static bool has_address(const struct kube_node *n, const struct ip *ip)
{
	const struct ip *one;

	for (size_t i = 0; (one = node_address(n, i)); i++)
		if (ip_eq(one, ip))
			return true;
	return false;
}

/*
 * With enable-node-selector-labels a node is told apart by its labels (Cilium pkg/node/manager). What it says of an address
 * that it keeps is no newer claim to it: the node may be dead and its address another's.
 */
static void note_labels(struct world *w, uint32_t number, const struct kube_node *old, const struct kube_node *now)
{
	const struct ip *ip;

	if (!w->config.has_node_selector_labels)
		return;
	for (size_t i = 0; (ip = node_address(old, i)); i++) {
		if (!has_address(now, ip))
			node_labels_remove(w->node_labels, ip, number);
		ipcache_mark(w->addresses, ip);
	}
	for (size_t i = 0; (ip = node_address(now, i)); i++) {
		note(w, node_labels_set(w->node_labels, ip, number, &now->labels, w->config.cluster_name));
		ipcache_mark(w->addresses, ip);
	}
}

/* The addresses of a node that lie behind its tunnel address. */
static const struct {
	size_t offset; /* of the array in struct kube_node */
	uint32_t identity;
} inner_addresses[] = {
	{offsetof(struct kube_node, internal_ips), IDENTITY_REMOTE_NODE},
	{offsetof(struct kube_node, ingress_ips), IDENTITY_INGRESS},
	{offsetof(struct kube_node, health_ips), IDENTITY_HEALTH},
};

struct inner {
	const struct ip *v;
	size_t n;
};

static struct inner inner_of(const struct kube_node *n, size_t kind)
{
	ARRAY(struct ip) a = {0};

	if (n)
		memcpy(&a, (const char *)n + inner_addresses[kind].offset, sizeof(a));
	return (struct inner){a.v, a.n};
}

static void claim_inner(struct world *w, const struct kube_node *n, uint32_t number, uint8_t flags)
{
	const struct ip direct = {0}, *via = kube_node_tunnel(n, w->config.has_ipv6_underlay);

	for (size_t k = 0; via && k < ARRAY_LEN(inner_addresses); k++) {
		struct inner in = inner_of(n, k);

		/* Only the node itself may speak as a node; its proxy and its health endpoint have their own identity. */
		for (size_t i = 0; i < in.n; i++)
			world_claim(w, IPCACHE_FROM_NODE, &in.v[i],
			      (struct ipcache_claim){.identity = inner_addresses[k].identity, .owner = number,
						     .flags = k == 0 ? flags : 0},
			      world_is_tunnelled(w) ? via : &direct);
	}
}

static void on_node_change(uint32_t number, const struct kube_node *old, const struct kube_node *now, void *arg)
{
	struct world *w = arg;
	const struct ip direct = {0};
	/* Only nodes have pods to tunnel for: a host that was broken into must not send in their name. */
	uint8_t flags = now && now->is_host ? 0 : IPCACHE_IS_NODE;

	w->routes_dirty = true;
	w->nodes_dirty = true;
	note_labels(w, number, old, now);
	for (size_t i = 0; old && i < old->node_ips.n; i++)
		ipcache_release(w->addresses, IPCACHE_FROM_NODE, &old->node_ips.v[i], number);
	for (size_t k = 0; k < ARRAY_LEN(inner_addresses); k++) {
		struct inner in = inner_of(old, k);

		for (size_t i = 0; i < in.n; i++)
			ipcache_release(w->addresses, IPCACHE_FROM_NODE, &in.v[i], number);
	}
	for (size_t i = 0; now && i < now->node_ips.n; i++)
		world_claim(w, IPCACHE_FROM_NODE, &now->node_ips.v[i],
		      (struct ipcache_claim){.identity = IDENTITY_REMOTE_NODE, .owner = number, .flags = flags},
		      &direct);
	if (now && !now->is_host)
		claim_inner(w, now, number, flags);
}

/* Making */

static int make_tables(struct world *w, bool has_dns_server)
{
	struct policy_options options = policy_options_of(&w->config);
	struct policy_service_view view;
	int r = identity_table_new(&w->identities);

	options.has_dns_server = has_dns_server;
	if (r == 0)
		r = ipcache_new(&w->addresses);
	if (r == 0)
		r = service_table_new(NULL, &w->services);
	if (r == 0)
		r = service_table_new(NULL, &w->imports);
	if (r == 0)
		r = port_claims_new(w->identities, &w->ports);
	if (r == 0)
		r = node_labels_new(identity_labels(w->identities), &w->node_labels);
	if (r == 0)
		r = endpoint_table_new(on_endpoint_address, on_endpoint_ports, on_endpoint_hold, w, &w->endpoints);
	if (r == 0)
		r = node_table_new(on_node_change, w, &w->nodes);
	if (r == 0) {
		view = service_policy_view(w->services);
		r = policy_repo_new(w->identities, &options, &view, &w->policies);
	}
	if (r == 0)
		r = policy_gate_new(w->policies, &w->gate);
	if (r == 0)
		r = policy_table_new(w->policies, &w->table);
	return r;
}

int world_new(const struct cilium_config *config, const char *host, uint32_t identity, const struct conf *conf,
	      struct world **ret)
{
	CLEANUP(world_free) struct world *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->config = *config;
	w->identity = identity;
	w->host = strdup(host);
	if (!w->host)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < conf->named_ports.n; i++)
		r = ARRAY_ADD(&w->named_ports, conf->named_ports.v[i]);
	if (r == 0)
		r = make_tables(w, conf->dns.is_enabled);
	if (r == 0)
		r = world_set_services(w, conf, NULL, 0);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	policy_table_free(w->table);
	policy_gate_free(w->gate);
	policy_repo_free(w->policies);
	endpoint_table_free(w->endpoints);
	port_claims_free(w->ports);
	node_labels_free(w->node_labels);
	node_table_free(w->nodes);
	service_table_free(w->services);
	service_table_free(w->imports);
	ipcache_free(w->addresses);
	identity_table_free(w->identities);
	ARRAY_DONE(&w->apiservers);
	ARRAY_DONE(&w->named_ports);
	free(w->host);
	free(w);
}

/* Policy is asked about the backend where a service is translated: so it has to be done as for pods. */
static bool is_translated(const struct world *w, enum conf_translate how)
{
	return how == CONF_TRANSLATE_ON || (how == CONF_TRANSLATE_AUTO && w->config.has_kube_proxy_replacement);
}

int world_set_services(struct world *w, const struct conf *conf, const struct ip *own, size_t n_own)
{
	const struct kube_node *node = node_table_find(w->nodes, w->host);
	const struct service_options services = {
		.node = w->host,
		.node_labels = node ? &node->labels : NULL,
		.zone = conf->zone,
		.has_load_balancers = is_translated(w, conf->services.load_balancers),
		.has_node_ports = is_translated(w, conf->services.node_ports),
		.has_external_ips = conf->services.has_external_ips,
		.host_ips = own,
		.n_host_ips = n_own,
	};

	return service_table_set_options(w->services, &services);
}

/* Updating */

/* Our own labels are those of our identity: the cluster says who we are. */
static int update_subject(struct world *w)
{
	const struct identity *own = identity_get(w->identities, w->identity);
	struct label_table *labels = identity_labels(w->identities);
	CLEANUP(label_builder_done) struct label_builder b = {.table = labels};
	ARRAY(struct named_port) ports = {0};
	struct label_set *set = NULL, *subject;
	int r;

	if (!own)
		return 0; /* not seen yet, or deleted for a moment: who we were stays */
	if (w->subject && label_set_eq(own->labels, w->subject))
		return 0;
	r = ARRAY_RESERVE(&ports, w->named_ports.n);
	if (r == 0)
		r = label_builder_add_set(&b, own->labels);
	if (r == 0)
		r = label_builder_take(&b, &set);
	for (size_t i = 0; r == 0 && i < w->named_ports.n; i++) {
		struct named_port p = {.proto = w->named_ports.v[i].protocol, .port = w->named_ports.v[i].port};

		r = intern_get(label_table_strings(labels), w->named_ports.v[i].name,
			       strlen(w->named_ports.v[i].name), &p.name);
		if (r == 0)
			ports.v[ports.n++] = p;
	}
	subject = set;
	if (r == 0)
		r = policy_set_subject(w->policies, TAKE_PTR(set), ports.v, ports.n);
	if (r == 0)
		w->subject = subject;
	label_set_free(labels, set);
	for (size_t i = 0; i < ports.n; i++)
		intern_put(label_table_strings(labels), ports.v[i].name); /* the policies hold their own */
	ARRAY_DONE(&ports);
	return r;
}

bool world_knows_itself(const struct world *w)
{
	return w->subject || identity_get(w->identities, w->identity);
}

int world_settle(struct world *w)
{
	int r = update_subject(w);

	return r < 0 ? r : w->subject != NULL;
}

/* Addresses may be told apart by more than their identity, any of them. */
static bool has_overlays(const struct world *w)
{
	return w->config.cidr_matches_nodes || w->config.cidr_matches_pods || w->config.has_node_selector_labels;
}

static bool is_cluster_news(const struct identity_change *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].number < IDENTITY_LOCAL_CIDR)
			return true;
	return false;
}

static int mark_if_news(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	struct world *w = arg;
	const struct identity *id = identity_get(w->identities, claim->identity);

	if (!id || id->change)
		ipcache_mark(w->addresses, ip);
	return 0;
}

/*
 * An address is told apart under the labels of its identity, which often comes after it: to be called before the changes of
 * identities are forgotten. Local ones are made here and change nothing for those they are made for.
 */
static void mark_news(struct world *w)
{
	const struct identity_change *changes;
	size_t n = identity_changes(w->identities, &changes);

	if (!has_overlays(w))
		return;
	if (identity_changes_lost(w->identities))
		ipcache_mark_all(w->addresses);
	else if (is_cluster_news(changes, n))
		(void)ipcache_each(w->addresses, mark_if_news, w); /* always 0 */
}

static int overlay_one(const struct ip *ip, const struct ipcache_claim *claim, void *arg)
{
	uint32_t ignored;

	return world_overlay(ip, claim->identity, &ignored, arg);
}

/*
 * Makes the identities that addresses are told apart by, before they are written: what the prefixes of policies
 * say of an address changes with the policies, and what names say with what they stand for. 1 if there are new ones, 0 if not, -errno.
 */
static int update_overlays(struct world *w)
{
	bool is_new = w->overlaid != policy_generation(w->policies) || w->overlaid_names != policy_names_generation(w->policies);
	const struct identity_change *changes;
	struct ipcache_claim claim;
	int r = 0;

	if (has_overlays(w) && (is_new || ipcache_is_dirty(w->addresses)))
		r = ipcache_each(w->addresses, overlay_one, w);
	for (size_t i = 0; r == 0 && i < w->apiservers.n; i++) {
		const struct ip *ip = &w->apiservers.v[i].ip;

		if (ipcache_get(w->addresses, ip, &claim))
			r = overlay_one(ip, &claim, w);
		if (is_new)
			ipcache_mark(w->addresses, ip);
	}
	if (r < 0)
		return r;
	if (is_new && has_overlays(w))
		ipcache_mark_all(w->addresses);
	w->overlaid = policy_generation(w->policies);
	w->overlaid_names = policy_names_generation(w->policies);
	return identity_changes(w->identities, &changes) > 0;
}

int world_update(struct world *w)
{
	bool has_services = service_table_is_dirty(w->services);
	int r = update_subject(w), overlays;

	if (r == 0 && !w->subject)
		return -ENODATA; /* without labels no policy would select us: all would be allowed */
	if (r == 0 && (has_services || w->nodes_dirty))
		r = world_update_apiservers(w);
	if (r == 0)
		w->nodes_dirty = false;
	if (has_services)
		policy_services_changed(w->policies);
	if (r == 0)
		r = service_table_flush(w->imports, NULL, NULL);
	if (r == -ENOSPC)
		r = 0; /* no numbers left for frontends: names need none */
	if (r == 0 && w->on_settled)
		r = w->on_settled(w->settled_arg);
	if (r == 0)
		r = port_claims_apply(w->ports);
	if (r == 0) {
		mark_news(w);
		r = policy_table_update(w->table);
	}
	if (r < 0)
		return r;
	overlays = update_overlays(w);
	if (w->lost_claims)
		return -ENOMEM;
	if (overlays < 0)
		return overlays;
	return w->n_left_out ? -EDQUOT : r || overlays;
}

uint32_t world_identity_of(const struct world *w, const struct ip *ip)
{
	struct ipcache_claim c;

	if (ipcache_get(w->addresses, ip, &c))
		return c.identity;
	return policy_table_identity_of(w->table, ip);
}

bool world_has_endpoint(const struct world *w, const struct ip *ip)
{
	struct ipcache_claim c;

	/* Nodes and API servers have reserved and local numbers. */
	return ipcache_get(w->addresses, ip, &c) && c.identity >= IDENTITY_CLUSTER_MIN && c.identity < IDENTITY_LOCAL_CIDR;
}

int world_overlay(const struct ip *ip, uint32_t identity, uint32_t *ret_identity, void *arg)
{
	struct world *w = arg;

	return policy_table_overlay(w->table, identity, ip, node_labels_get(w->node_labels, ip), ret_identity);
}
