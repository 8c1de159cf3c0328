/* SPDX-License-Identifier: Apache-2.0 */
/* What the world says, and what is switched on and off, on its way into the kernel. */
#include <errno.h>

#include "agentd/datapath_private.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum {
	GRACE_US = 2000, /* longer than a packet can be in the programs */
};

/* What of the table that is in force is in the flags: they belong to its bank. */
static uint64_t shadow_flags(const struct policy_table *t)
{
	uint64_t flags = 0;

	for (unsigned dir = 0; dir < POLICY_DIRS; dir++)
		if (policy_table_shadowed(t, (enum policy_dir)dir))
			flags |= MESH_STATE_SHADOW << dir;
	return flags;
}

static uint64_t flags_of(const struct datapath *d)
{
	const struct cilium_config *c = &d->world->config;
	uint64_t flags = MESH_STATE_ACTIVE | MESH_STATE_SERVICES | MESH_STATE_EV_DROP;

	if (c->routing != CILIUM_NATIVE)
		flags |= MESH_STATE_TUNNEL;
	if (c->has_audit_mode || d->conf->has_policy_audit || d->is_open)
		flags |= MESH_STATE_AUDIT;
	if (d->wants_verdicts)
		flags |= MESH_STATE_EV_NEW;
	if (d->has_dns)
		flags |= MESH_STATE_DNS;
	return flags | d->shadow;
}

static void set_config(struct datapath *d)
{
	struct mesh_config *m = bpfconfig_get(d->config);
	const struct cilium_config *c = &d->world->config;

	m->identity = d->world->identity;
	m->world_v4 = identity_of_world(c->has_ipv4, c->has_ipv6, AF_INET);
	m->world_v6 = identity_of_world(c->has_ipv4, c->has_ipv6, AF_INET6);
	m->tunnel_port = c->routing == CILIUM_NATIVE ? 0 : htons(c->tunnel_port);
	m->event_rate = (uint32_t)d->conf->monitor.rate;
	m->event_burst = (uint32_t)d->conf->monitor.burst;
}

#define RAISE(sizes) "raise " sizes " in the configuration, then reboot"

/* `raise` is what helps where a map is full. */
static int failed(struct datapath *d, int r, const char *what, const char *raise)
{
	struct err err;

	(void)err_set(&err, -r, "%s could not be written: %s; what was in force stays", what,
		      r == -E2BIG ? "the map is full" : err_name(r)); /* returns -r, known */
	health_raise(d->health, HEALTH_ERROR, "datapath.maps", err.text, r == -E2BIG ? raise : REMEDY_KERNEL);
	return r;
}

static bool is_in_force(const struct datapath *d)
{
	return bpfconfig_flags(d->config) & MESH_STATE_ACTIVE;
}

/* Says what does not fit, and what helps. */
static void policy_failed(struct datapath *d, int r)
{
	const struct recon_policy_lack lack = recon_policy_get_lack(d->policy);
	const char *instead = is_in_force(d) ? "the policy before it stays in force, and peers that it does not know are denied" :
					       "nothing is enforced";
	const char *remedy = REMEDY_KERNEL;
	struct err err;

	if (r == -EFBIG)
		(void)err_set(&err, -r, "the policies name more than %d prefixes: %s", LIMIT_PREFIXES, instead);
	else if (r == -EDQUOT)
		(void)err_set(&err, -r, "the cluster has more than %d policies and CIDR groups, or %d rules in them; for %zu there is no room: %s",
			      LIMIT_POLICIES, LIMIT_POLICIES_RULES, d->world->n_left_out, instead);
	else if (lack.map)
		(void)err_set(&err, -r, "the policies do not fit, they take %zu entries of %s and may take %zu: %s",
			      lack.wanted, lack.map, lack.room, instead);
	else
		(void)err_set(&err, -r, "the policies could not be written: %s; %s", err_name(r), instead);
	if (r == -EDQUOT)
		remedy = "delete policies that nobody needs, or write fewer with more rules; what was left out is then read again";
	else if (r == -EFBIG || (lack.map && lack.is_fixed))
		remedy = "give the policies that select this host fewer prefixes, or wider ones";
	else if (lack.map)
		remedy = "write rules that allow or deny the same as one rule with many peers, or set datapath.policy-max-entries to twice "
			 "what they take in the configuration, then reboot";
	health_raise(d->health, HEALTH_ERROR, "datapath.policy", err.text, remedy);
}

enum { TARGETS_MAX = 8 };

struct targets {
	const char *host;
	struct ip v[TARGETS_MAX];
	size_t n;
	bool has_v6;
	bool has_ipv6_underlay;
};

/* Where tunnel packets to the node go. Any IPv6 one tells of the larger overhead. */
static int add_target(const struct kube_node *node, void *arg)
{
	struct targets *t = arg;
	const struct ip *ip = kube_node_tunnel(node, t->has_ipv6_underlay);

	if (!ip || str_eq(node->name, t->host))
		return 0;
	if (t->n < TARGETS_MAX)
		t->v[t->n++] = *ip;
	else if (ip->family == AF_INET6 && !t->has_v6)
		t->v[TARGETS_MAX - 1] = *ip;
	t->has_v6 = t->has_v6 || ip->family == AF_INET6;
	return t->n == TARGETS_MAX && t->has_v6;
}

static int apply_net(struct datapath *d, const struct ip *own, size_t n_own)
{
	const struct cilium_config *c = &d->world->config;
	struct route_list routes = {0};
	struct net_desired want = {.tunnel = {.port = c->tunnel_port, .mtu = (uint32_t)d->conf->mtu},
				   .underlay_mtu = c->mtu, .nic_patterns = &d->conf->interfaces};
	struct targets targets = {.host = d->world->host, .has_ipv6_underlay = c->has_ipv6_underlay};
	struct err err = {0};
	int r;

	(void)snprintf(want.tunnel.name, sizeof(want.tunnel.name), "%s", d->conf->tunnel_device);
	want.tunnel.kind = c->routing == CILIUM_VXLAN	? NL_TUNNEL_VXLAN
			   : c->routing == CILIUM_GENEVE ? NL_TUNNEL_GENEVE
							 : NL_TUNNEL_NONE;
	(void)node_table_each(d->world->nodes, add_target, &targets); /* stops early when it has enough */
	want.targets = targets.v;
	want.n_targets = targets.n;
	r = world_routes(d->world, own, n_own, &routes);
	if (r == 0) {
		want.routes = routes.v;
		want.n_routes = routes.n;
		r = recon_net_set(d->net, &want, &err);
		d->n_changes++;
	}
	ARRAY_DONE(&routes);
	if (r < 0)
		health_raise(d->health, HEALTH_ERROR, "datapath.network", err.text[0] ? err.text : err_name(r), REMEDY_MEMORY);
	return r;
}

/* Connections to backends that vanished. */
static void look_at_sockets(struct datapath *d)
{
	static const enum recon_sock_end ends[] = {
		[CONF_END_NONE] = RECON_SOCK_NONE, [CONF_END_UDP] = RECON_SOCK_UDP, [CONF_END_ALL] = RECON_SOCK_ALL};
	int r;

	recon_sock_set(d->sock, ends[d->conf->services.end_connections]);
	r = recon_sock_look(d->sock);
	if (r < 0) /* nothing that is in force depends on it, and it tries again by itself */
		log_event(LOG_WARNING, "service.sockets", "connections to backends that vanished stay for now", F_ERRNO(r));
	if (recon_sock_get_stats(d->sock).is_unsupported)
		health_raise(d->health, HEALTH_INFO, "service.end-connections",
			     "this kernel cannot end the connections to a backend that vanished; their clients wait until they give up",
			     "use a kernel that has CONFIG_INET_DIAG_DESTROY, or set services.end-connections to none");
}

/* Identities get their class before any address maps to them. */
static int apply_policy(struct datapath *d)
{
	uint64_t old = d->shadow;
	int r;

	d->shadow = shadow_flags(d->world->table);
	r = recon_policy_apply(d->policy, d->world->table, d->world->identities, flags_of(d));
	if (r < 0) {
		d->shadow = old;
		return r;
	}
	d->committed_us = clock_boot_us();
	return 0;
}

/* What is true whichever policy is in force. */
static int apply_rest(struct datapath *d)
{
	struct mesh_config *m = bpfconfig_get(d->config);
	int r = recon_addr_apply(d->addr, world_overlay, d->world);

	if (r != 0) /* after a failure, too: some addresses may have changed their identity */
		bpfconfig_bump(d->config);
	if (r < 0)
		return failed(d, r, "addresses", RAISE("datapath.ipcache-max-entries"));
	r = recon_service_apply(d->service);
	if (r < 0)
		return failed(d, r, "services", RAISE("datapath.service-max-entries and datapath.backend-max-entries"));
	recon_service_node_ports(d->service, &m->node_port_min, &m->node_port_max);
	if (!d->is_swept) {
		r = recon_addr_sweep(d->addr);
		if (r != 0)
			bpfconfig_bump(d->config);
		if (r >= 0)
			r = recon_service_sweep(d->service);
		if (r < 0)
			return failed(d, r, "leftovers of an earlier run", REMEDY_KERNEL);
		d->is_swept = true;
	}
	health_clear(d->health, "datapath.maps");
	look_at_sockets(d);
	return 0;
}

static int apply_maps(struct datapath *d)
{
	int policy = world_update(d->world), r = 0;

	d->is_held = false;
	if (policy < 0 && policy != -EFBIG && policy != -EDQUOT)
		return failed(d, policy, "the policy", REMEDY_MEMORY);
	if (policy > 0 || (policy == 0 && !d->is_swept))
		policy = apply_policy(d);
	if (policy == 0) {
		health_clear(d->health, "datapath.policy");
	} else {
		policy_failed(d, policy);
		r = recon_policy_hold(d->policy, d->world->table);
		if (r > 0)
			bpfconfig_bump(d->config);
	}
	r = r < 0 ? failed(d, r, "who is new", REMEDY_KERNEL) : apply_rest(d);
	if (r < 0)
		return r;
	d->is_held = policy < 0 && is_in_force(d);
	return policy;
}

/* What a reload may change without another policy: known flows are judged anew under it. */
static void apply_flags(struct datapath *d)
{
	uint64_t flags = flags_of(d);

	if (bpfconfig_flags(d->config) != flags)
		bpfconfig_commit(d->config, bpfconfig_bank(d->config), flags);
	if (!(flags & MESH_STATE_AUDIT))
		health_clear(d->health, "policy.audit");
	else if (d->world->config.has_audit_mode)
		health_raise(d->health, HEALTH_WARNING, "policy.audit",
			     "audit mode, as the cluster has it: what policies deny is counted and told, and passes",
			     "set policy-audit-mode to false in the cluster's cilium-config");
	else if (d->is_open)
		health_raise(d->health, HEALTH_WARNING, "policy.audit",
			     "joining was not confirmed in time: what policies deny is counted and told, and passes",
			     "meshctl policy confirm");
	else
		health_raise(d->health, HEALTH_WARNING, "policy.audit",
			     "audit mode: what policies deny is counted and told, and passes",
			     "set policy-audit-mode = false in the configuration, then: systemctl reload mesh-external-agent");
}

/* With maps that say what they should. */
static int apply_outside(struct datapath *d, const struct ip *own, size_t n_own)
{
	int r;

	apply_flags(d);
	if (d->world->routes_dirty) {
		r = apply_net(d, own, n_own);
		if (r < 0)
			return r;
		d->world->routes_dirty = false;
	}
	d->is_restored = d->is_restored && d->is_held;
	if (!d->is_ready) {
		r = datapath_attach_all(d);
		if (r < 0)
			return r;
		d->is_ready = true;
		datapath_remove_others(d);
	}
	return 0;
}

int datapath_apply(struct datapath *d, const struct ip *own, size_t n_own)
{
	int policy, r;

	set_config(d);
	policy = apply_maps(d);
	if (policy < 0 && !d->is_held)
		return policy;
	r = apply_outside(d, own, n_own);
	d->is_held = d->is_held && r == 0;
	return r < 0 ? r : policy;
}

bool datapath_is_held(const struct datapath *d)
{
	return d->is_held;
}

uint64_t datapath_wait_us(const struct datapath *d)
{
	uint64_t age_us = clock_boot_us() - d->committed_us;

	return d->committed_us && age_us < GRACE_US ? GRACE_US - age_us : 0;
}

void datapath_set_open(struct datapath *d, bool is_open)
{
	d->is_open = is_open;
}

void datapath_set_dns(struct datapath *d, bool on)
{
	uint64_t flags = bpfconfig_flags(d->config), want = on ? flags | MESH_STATE_DNS : flags & ~MESH_STATE_DNS;

	d->has_dns = on;
	if (flags != want)
		bpfconfig_commit(d->config, bpfconfig_bank(d->config), want);
}

void datapath_set_verdict_events(struct datapath *d, bool on)
{
	d->wants_verdicts = on;
	if (d->is_ready)
		bpfconfig_commit(d->config, bpfconfig_bank(d->config), flags_of(d));
}
