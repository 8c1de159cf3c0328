/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/datapath.h"

#include <errno.h>

#include "agentd/failsafe.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	AUDIT_S = 60,
	IFACES_MAX = 1024,
	GRACE_US = 2000, /* longer than a packet can be in the programs */
};

struct datapath {
	struct loop *loop;
	const struct conf *conf;
	struct health *health;
	struct datapath_callbacks cb;
	char *pin_dir; /* of this layout of the maps, below bpf-root */
	struct bpfobj *obj;
	struct bpfconfig *config;
	struct bpfevents *events;
	struct recon_net *net;
	struct recon_policy *policy;
	struct recon_addr *addr;
	struct recon_service *service;
	struct world *world;
	struct source *audit;
	struct failsafe_list failsafe;
	uint64_t committed_us; /* when the last policy came into force */
	uint64_t shadow;       /* MESH_STATE_SHADOW bits of the policy in force */
	enum bpfattach_how how;
	bool is_attached; /* programs belong on the interfaces */
	bool is_swept;	  /* leftovers of an earlier run are gone */
	bool is_owed;	  /* the table holds what no bank in force does */
	bool is_ready;
	bool has_cgroup;
	bool wants_verdicts;
	bool is_open; /* nothing may be enforced */
};

static int attach(struct datapath *d, int ifindex, enum bpfattach_kind kind)
{
	struct err err = {0};
	int r = bpfattach_if(d->obj, ifindex, kind, &d->how, &err);

	if (r < 0 && r != -ENODEV)
		health_raise(d->health, HEALTH_ERROR, "datapath.attach", err.text,
			     "see what else attaches programs to this interface: bpftool net show");
	return r;
}

/* Brings the programs to every external interface, and off those that are none any more. */
static int attach_nics(struct datapath *d, const struct nics *nics)
{
	int present[IFACES_MAX], tunnel = recon_net_status(d->net)->tunnel_ifindex, first = 0;
	int n;

	for (size_t i = 0; i < nics->n; i++) {
		int r = attach(d, nics->v[i].ifindex, BPFATTACH_NIC);

		if (r < 0 && r != -ENODEV && first == 0)
			first = r;
	}
	/* Before the tunnel device is known again, after a restart, it would look like a leftover. */
	n = recon_net_status(d->net)->is_applied ? bpfattach_if_list(d->obj, present, IFACES_MAX) : 0;
	for (int i = 0; i < n; i++) {
		bool wanted = present[i] == tunnel;

		for (size_t k = 0; k < nics->n; k++)
			wanted = wanted || nics->v[k].ifindex == present[i];
		if (!wanted)
			(void)bpfattach_if_detach(d->obj, present[i], NULL); /* usually gone with its interface */
	}
	if (first == 0)
		health_clear(d->health, "datapath.attach");
	return first;
}

static int on_tunnel(int ifindex, void *arg)
{
	struct datapath *d = arg;

	return ifindex ? attach(d, ifindex, BPFATTACH_TUNNEL) : 0;
}

static void on_nics(const struct nics *nics, void *arg)
{
	struct datapath *d = arg;

	if (d->is_attached)
		(void)attach_nics(d, nics); /* raised as a condition; the audit tries again */
	d->cb.on_network(d->cb.arg);
}

static void on_addrs(const struct nl_addrs *addrs, void *arg)
{
	struct datapath *d = arg;

	(void)addrs;
	d->cb.on_network(d->cb.arg);
}

static void on_settled(const struct net_status *status, void *arg)
{
	struct datapath *d = arg;

	if (status->err.text[0])
		health_raise(d->health, HEALTH_ERROR, "datapath.network", status->err.text, NULL);
	else
		health_clear(d->health, "datapath.network");
	d->cb.on_network(d->cb.arg);
}

/* Others may take our programs off: look, and put them back. */
static void on_audit(void *arg)
{
	struct datapath *d = arg;

	if (d->is_attached)
		(void)attach_nics(d, recon_net_nics(d->net)); /* raised as a condition */
	recon_net_audit(d->net);
	(void)source_arm(d->audit, AUDIT_S * USEC_PER_SEC, AUDIT_S / 10 * USEC_PER_SEC); /* was armed before */
}

static int open_programs(struct datapath *d, struct err *reterr)
{
	struct bpfobj_options opt = {
		.sizes = {.ct4 = (uint32_t)d->conf->datapath.ct_max_entries,
			  .ct6 = (uint32_t)d->conf->datapath.ct_max_entries,
			  .ipcache = (uint32_t)d->conf->datapath.ipcache_max_entries,
			  .ports = (uint32_t)d->conf->datapath.policy_max_entries,
			  .services = (uint32_t)d->conf->datapath.service_max_entries,
			  .slots = (uint32_t)d->conf->datapath.backend_max_entries,
			  .affinity = (uint32_t)d->conf->datapath.affinity_max_entries},
	};
	int r;

	/* A version with another layout takes up nothing of this one. */
	d->pin_dir = str_printf("%s/v%d", d->conf->bpf_root, MESH_ABI_VERSION);
	if (!d->pin_dir)
		return -ENOMEM;
	opt.pin_dir = d->pin_dir;
	r = bpfobj_open(&opt, &d->obj, reterr);

	if (r < 0)
		return r;
	r = bpfconfig_open(d->obj, &d->config);
	if (r == 0)
		r = bpfconfig_init(d->config);
	if (r == 0)
		r = bpfevents_open(d->obj, d->loop, d->cb.on_event, d->cb.arg, &d->events);
	if (r < 0)
		return err_set(reterr, -r, "datapath: cannot set up maps: %s", err_name(r));
	d->is_attached = bpfconfig_flags(d->config) & MESH_STATE_ACTIVE;
	return 0;
}

int datapath_new(struct loop *loop, const struct conf *conf, struct health *health,
		 const struct datapath_callbacks *callbacks, struct datapath **ret, struct err *reterr)
{
	static const struct net_callbacks net = {.tunnel = on_tunnel, .nics = on_nics, .addrs = on_addrs,
						 .settled = on_settled};
	CLEANUP(datapath_free) struct datapath *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->conf = conf;
	d->health = health;
	d->cb = *callbacks;
	r = open_programs(d, reterr);
	if (r < 0)
		return r;
	r = recon_net_new(loop, &net, d, &d->net);
	if (r == 0)
		r = loop_add_timer(loop, on_audit, d, &d->audit);
	if (r == 0)
		r = source_arm(d->audit, AUDIT_S * USEC_PER_SEC, 0);
	if (r < 0)
		return err_set(reterr, -r, "datapath: cannot watch interfaces: %s", err_name(r));
	*ret = TAKE_PTR(d);
	return 0;
}

void datapath_free(struct datapath *d)
{
	if (!d)
		return;
	source_free(d->audit);
	recon_net_free(d->net);
	recon_service_free(d->service);
	recon_addr_free(d->addr);
	recon_policy_free(d->policy);
	bpfevents_free(d->events);
	bpfconfig_free(d->config);
	bpfobj_free(d->obj);
	ARRAY_DONE(&d->failsafe);
	free(d->pin_dir);
	free(d);
}

int datapath_bind(struct datapath *d, struct world *w)
{
	uint32_t max, number;
	int r = recon_policy_new(d->obj, d->config, &d->policy);

	if (r == 0)
		r = recon_addr_new(d->obj, w->addresses, &d->addr);
	if (r == 0)
		r = recon_service_new(d->obj, w->services, &d->service);
	if (r < 0)
		return r;
	d->world = w;
	/* Local numbers that the maps still hold mean something else there: begin above them. */
	max = recon_policy_max_local(d->policy);
	while (max > IDENTITY_LOCAL_CIDR) {
		r = identity_local_number(w->identities, IDENTITY_LOCAL_CIDR, &number);
		if (r < 0 || number >= max)
			break;
	}
	return r;
}

int datapath_set_control_plane(struct datapath *d, const struct ip *servers, const uint16_t *ports, size_t n,
			       bool is_partial)
{
	struct failsafe_list list;
	int r = failsafe_build(d->conf, servers, ports, n, &list);

	if (r < 0)
		return r;
	r = failsafe_apply(d->obj, bpfconfig_get(d->config), &list, is_partial);
	if (r < 0) {
		ARRAY_DONE(&list);
		return r;
	}
	ARRAY_DONE(&d->failsafe);
	d->failsafe = list;
	return 0;
}

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
	return flags | d->shadow;
}

static void set_config(struct datapath *d)
{
	struct mesh_config *m = bpfconfig_get(d->config);
	const struct cilium_config *c = &d->world->config;
	bool is_dual = c->has_ipv4 && c->has_ipv6;

	m->identity = d->world->identity;
	m->world_v4 = is_dual ? IDENTITY_WORLD_IPV4 : IDENTITY_WORLD;
	m->world_v6 = is_dual ? IDENTITY_WORLD_IPV6 : IDENTITY_WORLD;
	m->tunnel_port = c->routing == CILIUM_NATIVE ? 0 : htons(c->tunnel_port);
	m->event_rate = (uint32_t)d->conf->monitor.rate;
	m->event_burst = (uint32_t)d->conf->monitor.burst;
}

static int failed(struct datapath *d, int r, const char *what)
{
	struct err err;

	(void)err_set(&err, -r, "%s could not be written: %s; what was in force stays", what,
		      r == -E2BIG ? "the map is full" : err_name(r)); /* returns -r, known */
	health_raise(d->health, HEALTH_ERROR, "datapath.maps", err.text,
		     r == -E2BIG ? "raise the sizes under datapath in the configuration, then restart" : NULL);
	return r;
}

static int apply_net(struct datapath *d, const struct ip *own, size_t n_own)
{
	const struct cilium_config *c = &d->world->config;
	struct route_list routes = {0};
	struct net_desired want = {.tunnel = {.port = c->tunnel_port, .mtu = (uint32_t)d->conf->mtu},
				   .targets = own, .n_targets = 0, .nic_patterns = &d->conf->interfaces};
	struct err err = {0};
	int r;

	(void)snprintf(want.tunnel.name, sizeof(want.tunnel.name), "%s", d->conf->tunnel_device);
	want.tunnel.kind = c->routing == CILIUM_VXLAN	? NL_TUNNEL_VXLAN
			   : c->routing == CILIUM_GENEVE ? NL_TUNNEL_GENEVE
							 : NL_TUNNEL_NONE;
	r = world_routes(d->world, own, n_own, &routes);
	if (r == 0) {
		want.routes = routes.v;
		want.n_routes = routes.n;
		r = recon_net_set(d->net, &want, &err);
	}
	ARRAY_DONE(&routes);
	if (r < 0)
		health_raise(d->health, HEALTH_ERROR, "datapath.network", err.text[0] ? err.text : err_name(r), NULL);
	return r;
}

static int apply_maps(struct datapath *d)
{
	int r = world_update(d->world), addr;

	if (r < 0)
		return failed(d, r, "the policy");
	d->is_owed = d->is_owed || r > 0 || !d->is_swept;
	if (d->is_owed) { /* a table that failed to arrive does not say again that it changed */
		/* Identities get their class before any address maps to them. */
		uint64_t old = d->shadow;

		d->shadow = shadow_flags(d->world->table);
		r = recon_policy_apply(d->policy, d->world->table, d->world->identities, flags_of(d));
		if (r < 0) {
			d->shadow = old;
			return failed(d, r, "the policy");
		}
		d->is_owed = false;
		d->committed_us = clock_boot_us();
	}
	addr = recon_addr_apply(d->addr, d->world->config.cidr_matches_nodes || d->world->config.cidr_matches_pods
						 ? world_overlay : NULL, d->world);
	if (addr < 0)
		return failed(d, addr, "addresses");
	if (addr > 0)
		bpfconfig_bump(d->config);
	r = recon_service_apply(d->service);
	if (r < 0)
		return failed(d, r, "services");
	if (!d->is_swept) {
		r = recon_addr_sweep(d->addr);
		if (r > 0)
			bpfconfig_bump(d->config);
		if (r >= 0)
			r = recon_service_sweep(d->service);
		if (r < 0)
			return failed(d, r, "leftovers of an earlier run");
		d->is_swept = true;
	}
	health_clear(d->health, "datapath.maps");
	return 0;
}

static int attach_all(struct datapath *d)
{
	struct err err = {0};
	int r;

	d->is_attached = true;
	r = attach_nics(d, recon_net_nics(d->net));
	if (r < 0)
		return r;
	if (!d->has_cgroup) {
		r = bpfattach_cgroup(d->obj, d->conf->cgroup_root, &err);
		if (r < 0)
			health_raise(d->health, HEALTH_WARNING, "datapath.cgroup", err.text,
				     "cluster services are not reachable by their address until this is solved");
		else
			health_clear(d->health, "datapath.cgroup");
		d->has_cgroup = r == 0;
	}
	return 0;
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

int datapath_apply(struct datapath *d, const struct ip *own, size_t n_own)
{
	int r;

	set_config(d);
	r = apply_maps(d);
	if (r < 0)
		return r;
	apply_flags(d);
	if (d->world->routes_dirty) {
		r = apply_net(d, own, n_own);
		if (r < 0)
			return r;
		d->world->routes_dirty = false;
	}
	if (!d->is_ready) {
		r = attach_all(d);
		if (r < 0)
			return r;
		d->is_ready = true;
	}
	return 0;
}

uint64_t datapath_wait_us(const struct datapath *d)
{
	uint64_t age_us = clock_boot_us() - d->committed_us;

	return d->committed_us && age_us < GRACE_US ? GRACE_US - age_us : 0;
}

bool datapath_is_ready(const struct datapath *d)
{
	return d->is_ready;
}

void datapath_set_open(struct datapath *d, bool is_open)
{
	d->is_open = is_open;
}

void datapath_set_verdict_events(struct datapath *d, bool on)
{
	d->wants_verdicts = on;
	if (d->is_ready)
		bpfconfig_commit(d->config, bpfconfig_bank(d->config), flags_of(d));
}

int datapath_remove(struct datapath *d, struct err *reterr)
{
	int r = bpfattach_detach_all(d->obj, reterr), e;

	e = recon_net_clear(d->net);
	if (r == 0 && e < 0)
		r = err_set(reterr, -e, "cannot remove device and routes: %s", err_name(e));
	e = bpfobj_unpin(d->obj);
	if (r == 0 && e < 0)
		r = err_set(reterr, -e, "cannot remove %s: %s", bpfobj_pin_dir(d->obj), err_name(e));
	(void)rmdir(d->conf->bpf_root); /* stays if another version's are in it, or systemd mounted it */
	d->is_attached = false;
	d->is_ready = false;
	return r;
}

const struct bpfobj *datapath_obj(const struct datapath *d)
{
	return d->obj;
}

const struct recon_net *datapath_net(const struct datapath *d)
{
	return d->net;
}

uint32_t datapath_generation(const struct datapath *d)
{
	return bpfconfig_generation(d->config);
}

uint64_t datapath_flags(const struct datapath *d)
{
	return bpfconfig_flags(d->config);
}

size_t datapath_failsafe(const struct datapath *d, const struct failsafe_entry **ret)
{
	*ret = d->failsafe.v;
	return d->failsafe.n;
}

const char *datapath_attach_name(const struct datapath *d)
{
	if (!d->is_attached)
		return NULL;
	return d->how == BPFATTACH_NEW_TCX || d->how == BPFATTACH_UPDATED_TCX ? "tcx" : "clsact";
}
