/* SPDX-License-Identifier: Apache-2.0 */
/* The state that a boot begins with: saved while all is well, put in force before the network is up. */
#include <errno.h>
#include <string.h>

#include "agentd/datapath_private.h"
#include "base/clock.h"
#include "bpf/bpf_others.h"

/*
 * Flags that belong to the state in force. Audit mode depends on more than that, and when a host boots nobody
 * listens to events or answers queries for names.
 */
#define KEPT_FLAGS                                                                                 \
	(MESH_STATE_ACTIVE | MESH_STATE_TUNNEL | MESH_STATE_SERVICES | MESH_STATE_EV_DROP |        \
	 MESH_STATE_SHADOW << MESH_INGRESS | MESH_STATE_SHADOW << MESH_EGRESS)

bool datapath_is_in_force(const struct datapath *d)
{
	return bpfconfig_flags(d->config) & MESH_STATE_ACTIVE;
}

bool datapath_other_is_in_force(const struct datapath *d)
{
	return bpfothers_in_force(d->obj);
}

bool datapath_enforces(const struct datapath *d, enum mesh_dir dir)
{
	return datapath_is_in_force(d) &&
	       bpfconfig_get(d->config)->default_verdict[bpfconfig_bank(d->config)][dir] != MESH_ALLOW;
}

/* Saving */

static int copy_routes(const struct net_desired *net, struct snapshot *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < net->n_routes; i++)
		r = ARRAY_ADD(&s->routes, net->routes[i]);
	return r;
}

int datapath_save(const struct datapath *d, const char *owner, struct buf *b)
{
	const struct mesh_config *m = bpfconfig_get(d->config);
	CLEANUP(snapshot_done) struct snapshot s = {.owner = owner, .saved_s = clock_wall_s()};
	struct net_desired net;
	int r;

	if (!d->is_ready)
		return -ENODATA;
	recon_net_get(d->net, &net, s.targets);
	s.n_targets = net.n_targets;
	s.tunnel = net.tunnel.kind;
	s.underlay_mtu = net.underlay_mtu;
	s.flags = bpfconfig_flags(d->config) & KEPT_FLAGS;
	s.is_audit = d->world->config.has_audit_mode;
	s.is_open = d->is_open;
	s.bank = (uint8_t)bpfconfig_bank(d->config);
	memcpy(s.default_verdict, m->default_verdict[s.bank], sizeof(s.default_verdict));
	s.identity = m->identity;
	s.world_v4 = m->world_v4;
	s.world_v6 = m->world_v6;
	s.tunnel_port = m->tunnel_port;
	s.failsafe_any_port = m->failsafe_any_port;
	s.node_port_min = m->node_port_min;
	s.node_port_max = m->node_port_max;
	r = copy_routes(&net, &s);
	if (r == 0)
		r = snapshot_begin(b, &s);
	if (r == 0)
		r = recon_snapshot_read(d->obj, s.bank, b);
	return r < 0 ? r : snapshot_end(b);
}

uint64_t datapath_changes(const struct datapath *d)
{
	struct recon_service_stats services = {0};

	if (d->service)
		services = recon_service_get_stats(d->service);
	return bpfconfig_generation(d->config) + services.writes + services.deletes + d->n_changes;
}

/* Restoring */

static void prepare(struct datapath *d, const struct snapshot *s, bool is_open)
{
	struct mesh_config *m = bpfconfig_get(d->config);

	m->identity = s->identity;
	m->world_v4 = s->world_v4;
	m->world_v6 = s->world_v6;
	m->tunnel_port = s->tunnel_port;
	m->failsafe_any_port = s->failsafe_any_port;
	m->node_port_min = s->node_port_min;
	m->node_port_max = s->node_port_max;
	m->event_rate = (uint32_t)d->conf->monitor.rate;
	m->event_burst = (uint32_t)d->conf->monitor.burst;
	memcpy(m->default_verdict[s->bank], s->default_verdict, sizeof(s->default_verdict));
	d->boot_bank = s->bank;
	d->boot_flags = (s->flags & KEPT_FLAGS) | MESH_STATE_ACTIVE;
	if (is_open || s->is_open || s->is_audit || d->conf->has_policy_audit)
		d->boot_flags |= MESH_STATE_AUDIT;
}

/* The tunnel device and the routes come with the addresses that they need. */
static int want_net(struct datapath *d, const struct snapshot *s)
{
	struct net_desired want = {
		.tunnel = {.kind = s->tunnel, .port = ntohs(s->tunnel_port), .mtu = (uint32_t)d->conf->mtu},
		.underlay_mtu = s->underlay_mtu,
		.nic_patterns = &d->conf->interfaces,
		.routes = s->routes.v,
		.n_routes = s->routes.n,
		.targets = s->targets,
		.n_targets = s->n_targets,
	};

	(void)snprintf(want.tunnel.name, sizeof(want.tunnel.name), "%s", d->conf->tunnel_device); /* checked when read */
	return recon_net_set(d->net, &want, NULL);
}

int datapath_restore(struct datapath *d, struct snapshot *s, bool is_open)
{
	int r = recon_snapshot_write(d->obj, s);

	if (r == 0)
		r = want_net(d, s);
	if (r == 0)
		prepare(d, s, is_open);
	return r;
}

int datapath_close(struct datapath *d, uint32_t identity, bool is_open)
{
	/* No map has an entry, so all is of the world, and the world may do nothing. */
	const struct snapshot nothing = {.flags = MESH_STATE_EV_DROP,
					 .identity = identity,
					 .world_v4 = IDENTITY_WORLD,
					 .world_v6 = IDENTITY_WORLD,
					 .default_verdict = {MESH_DENY_DEFAULT, MESH_DENY_DEFAULT}};
	int r = recon_snapshot_clear(d->obj);

	if (r == 0)
		prepare(d, &nothing, is_open);
	return r;
}

void datapath_enforce(struct datapath *d)
{
	if (!d->boot_flags)
		return;
	bpfconfig_commit(d->config, d->boot_bank, d->boot_flags);
	d->is_attached = true;
	d->is_restored = true;
	if (d->boot_flags & MESH_STATE_AUDIT)
		health_raise(d->health, HEALTH_WARNING, "policy.audit",
			     "audit mode since the boot: what policies deny is counted and told, and passes",
			     "see policy-audit-mode in the configuration and in the cluster's cilium-config, and meshctl policy confirm");
	if (d->boot_flags & MESH_STATE_SERVICES)
		datapath_attach_sockets(d);
	datapath_attach_backstop(d);
	d->boot_flags = 0;
}
