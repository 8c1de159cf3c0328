/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/datapath_private.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "bpf/bpf_others.h"
#include "recon/recon_flows.h"

enum {
	GRACE_US = 2000, /* longer than a packet can be in the programs */
};

/* 1 if there was nothing of ours before, 0 if there was or it went away meanwhile. */
static int attach(struct datapath *d, int ifindex, enum bpfattach_kind kind, struct err *reterr)
{
	int r;

	if (bpfattach_if_is_ok(d->obj, ifindex, kind))
		return 0;
	r = bpfattach_if(d->obj, ifindex, kind, &d->how, reterr);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	return d->how == BPFATTACH_NEW_TCX || d->how == BPFATTACH_NEW_CLSACT;
}

/* Without this, what is sent first by the one who answers would begin a connection that is older than the programs. */
static void keep_older(struct datapath *d)
{
	size_t n = 0;
	int r = recon_flows_seed(d->obj, d->config, &n);

	if (r < 0)
		log_event(LOG_WARNING, "datapath.flows",
			  "connections that are older than the programs are not known; a policy may end those that it allows",
			  F_ERRNO(r));
	else if (n)
		log_event(LOG_INFO, "datapath.flows", "connections are older than the programs, and go on where the policy allows",
			  F_U64("count", n));
}

static void raise_unfiltered(struct datapath *d, const char *name, int r, const struct err *why)
{
	struct err text;

	(void)err_set(&text, -r, "%s: its traffic is not filtered: %s", name, why->text); /* returns r, known */
	health_raise(d->health, HEALTH_ERROR, "datapath.attach", text.text,
		     r == -EOPNOTSUPP ? "filter this interface by other means, and list those to be policed under "
					"interfaces in the configuration" :
					"see what else attaches programs to this interface: bpftool net show");
}

/* Takes the programs off interfaces that are not external any more. */
static void detach_others(struct datapath *d, const struct nics *nics, int tunnel)
{
	int present[BPFATTACH_INTERFACES_MAX], n;

	/* Before the tunnel device is known again, after a restart, it would look like a leftover. */
	if (!recon_net_status(d->net)->is_applied)
		return;
	n = bpfattach_if_list(d->obj, present, BPFATTACH_INTERFACES_MAX);
	for (int i = 0; i < n; i++)
		if (present[i] != tunnel && !nics_find(nics, present[i]))
			(void)bpfattach_if_detach(d->obj, present[i], NULL); /* usually gone with its interface */
}

/*
 * Brings the programs to the tunnel device and every external interface, and off those that are none any
 * more. An interface that cannot have them is reported and does not hold up the others. Negative if it
 * leads to the cluster, and may get them later: without it no policy would hold.
 */
static int attach_interfaces(struct datapath *d, const struct nics *nics)
{
	int tunnel = recon_net_status(d->net)->tunnel_ifindex, r, first = 0;
	struct err err = {0};
	bool has_faults = false, has_new = false;

	d->is_complete = true;
	r = tunnel ? attach(d, tunnel, BPFATTACH_TUNNEL, &err) : 0;
	if (r < 0) {
		has_faults = true;
		d->is_complete = false;
		first = r;
		raise_unfiltered(d, d->conf->tunnel_device, r, &err);
	}
	for (size_t i = 0; i < nics->n; i++) {
		const struct nic *x = &nics->v[i];

		r = attach(d, x->ifindex, BPFATTACH_NIC, &err);
		has_new |= r > 0;
		if (r >= 0)
			continue;
		if (x->is_underlay && r != -EOPNOTSUPP && first == 0)
			first = r;
		has_faults = true;
		d->is_complete = d->is_complete && r == -EOPNOTSUPP; /* no version could do more */
		raise_unfiltered(d, x->name, r, &err);
	}
	if (has_new)
		keep_older(d);
	detach_others(d, nics, tunnel);
	if (!has_faults)
		health_clear(d->health, "datapath.attach");
	return first;
}

void datapath_attach_sockets(struct datapath *d)
{
	struct err err = {0};

	d->has_cgroup = bpfattach_cgroup_is_ok(d->obj, d->conf->cgroup_root) ||
			bpfattach_cgroup(d->obj, d->conf->cgroup_root, &err) == 0;
	if (d->has_cgroup)
		health_clear(d->health, "datapath.cgroup");
	else
		health_raise(d->health, HEALTH_WARNING, "datapath.cgroup", err.text,
			     "cluster services are not reachable by their address until this is solved");
}

/* Once all of ours is in force, what another version left in the kernel has to go: it enforces an old policy. */
static void remove_others(struct datapath *d)
{
	struct err err = {0};
	int r;

	if (d->is_alone || !d->is_ready || !d->is_complete || !d->has_cgroup || !recon_net_status(d->net)->is_applied)
		return;
	r = bpfothers_remove(d->obj, &err);
	if (r < 0) {
		health_raise(d->health, HEALTH_WARNING, "datapath.versions", err.text,
			     "programs of another version still enforce its policy; a reboot ends them");
		return;
	}
	if (r > 0)
		log_event(LOG_INFO, "datapath.versions", "removed the programs of another version");
	health_clear(d->health, "datapath.versions");
	d->is_alone = true;
}

static int on_tunnel(int ifindex, void *arg)
{
	struct datapath *d = arg;
	struct err err = {0};
	int r = ifindex ? attach(d, ifindex, BPFATTACH_TUNNEL, &err) : 0;

	if (r < 0)
		raise_unfiltered(d, d->conf->tunnel_device, r, &err);
	return MIN(r, 0);
}

static void on_nic(const struct nic *nic, void *arg)
{
	struct datapath *d = arg;
	struct err err = {0};
	int r = d->is_attached ? attach(d, nic->ifindex, BPFATTACH_NIC, &err) : 0;

	if (r < 0)
		raise_unfiltered(d, nic->name, r, &err);
	else if (r > 0)
		keep_older(d);
}

/* Someone took filters off an interface, maybe ours. */
static void on_filters(int ifindex, void *arg)
{
	struct datapath *d = arg;

	if (d->is_attached && (ifindex == recon_net_status(d->net)->tunnel_ifindex ||
			       nics_find(recon_net_nics(d->net), ifindex)))
		(void)attach_interfaces(d, recon_net_nics(d->net)); /* raised as a condition; the audit tries again */
}

static void on_nics(const struct nics *nics, void *arg)
{
	struct datapath *d = arg;

	if (d->is_attached)
		(void)attach_interfaces(d, nics); /* raised as a condition; the audit tries again */
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

	/* Routes of a restored state wait for the host's addresses, which is no fault: the network comes up later. */
	if (status->err.text[0])
		health_raise(d->health, d->is_restored ? HEALTH_INFO : HEALTH_ERROR, "datapath.network", status->err.text, NULL);
	else
		health_clear(d->health, "datapath.network");
	if (d->is_attached)
		detach_others(d, recon_net_nics(d->net), status->tunnel_ifindex); /* which waits for the tunnel device */
	remove_others(d);
	d->cb.on_network(d->cb.arg);
}

void datapath_audit(struct datapath *d)
{
	if (d->is_attached)
		(void)attach_interfaces(d, recon_net_nics(d->net)); /* raised as a condition */
	if (d->is_ready)
		datapath_attach_sockets(d);
	recon_net_audit(d->net);
}

void datapath_look_at_tunnel(struct datapath *d)
{
	tunnel_watch_look(d->tunnel_watch, ntohs(bpfconfig_get(d->config)->tunnel_port));
}

/* A map that is taken up keeps its size, and with it all that it holds. */
static void tell_kept_sizes(struct datapath *d)
{
	char text[sizeof(((struct err *)NULL)->text)] = "";
	uint32_t has, wanted;
	size_t len = 0;

	for (enum bpfobj_map i = 0; i < BPFOBJ_MAPS; i++) {
		if (!bpfobj_kept_size(d->obj, i, &has, &wanted) || len >= sizeof(text))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s has room for %u entries, not %u",
					len ? "; " : "", bpfobj_map_name(i), has, wanted);
	}
	if (text[0])
		health_raise(d->health, HEALTH_INFO, "datapath.sizes", text,
			     "the sizes in the configuration take effect at the next boot");
}

int datapath_options(const struct conf *conf, struct bpfobj_options *ret)
{
	/* A version with another layout takes up nothing of this one. */
	char *dir = str_printf("%s/v%d", conf->bpf_root, MESH_ABI_VERSION);

	*ret = (struct bpfobj_options){
		.pin_dir = dir,
		.no_tcx = conf->datapath.attach == CONF_ATTACH_CLSACT,
		.sizes = {.ct4 = (uint32_t)conf->datapath.ct_max_entries,
			  .ct6 = (uint32_t)conf->datapath.ct_max_entries,
			  .ipcache = (uint32_t)conf->datapath.ipcache_max_entries,
			  .ports = (uint32_t)conf->datapath.policy_max_entries,
			  .services = (uint32_t)conf->datapath.service_max_entries,
			  .slots = (uint32_t)conf->datapath.backend_max_entries,
			  .affinity = (uint32_t)conf->datapath.affinity_max_entries},
	};
	return dir ? 0 : -ENOMEM;
}

static int open_programs(struct datapath *d, struct err *reterr)
{
	struct bpfobj_options opt;
	int r = datapath_options(d->conf, &opt);

	if (r == 0)
		r = bpfobj_open(&opt, &d->obj, reterr);
	free((char *)(uintptr_t)opt.pin_dir); /* ours, and const for everybody else */
	if (r < 0)
		return r;
	r = bpfconfig_open(d->obj, &d->config);
	if (r == 0)
		r = bpfconfig_init(d->config);
	if (r == 0)
		r = bpfevents_open(d->obj, d->loop, d->cb.on_event, d->cb.arg, &d->events);
	if (r < 0)
		return err_set(reterr, -r, "datapath: cannot set up maps: %s", err_name(r));
	tell_kept_sizes(d);
	d->is_attached = bpfconfig_flags(d->config) & MESH_STATE_ACTIVE;
	datapath_set_dns(d, false); /* of an earlier run, whose server is gone */
	return 0;
}

int datapath_new(struct loop *loop, const struct conf *conf, struct health *health,
		 const struct datapath_callbacks *callbacks, struct datapath **ret, struct err *reterr)
{
	struct net_callbacks net = {.tunnel = on_tunnel, .nic = on_nic, .nics = on_nics, .addrs = on_addrs,
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
	if (!bpfobj_features(d->obj)->has_tcx)
		net.filters = on_filters; /* a tcx link nobody else removes */
	r = recon_net_new(loop, &net, d, &d->net);
	if (r == 0)
		r = recon_net_set_patterns(d->net, &conf->interfaces);
	if (r == 0)
		r = tunnel_watch_new(health, d->obj, d->net, &d->tunnel_watch);
	if (r < 0)
		return err_set(reterr, -r, "datapath: cannot watch interfaces: %s", err_name(r));
	*ret = TAKE_PTR(d);
	return 0;
}

void datapath_free(struct datapath *d)
{
	if (!d)
		return;
	recon_net_free(d->net);
	tunnel_watch_free(d->tunnel_watch);
	recon_sock_free(d->sock);
	recon_service_free(d->service);
	recon_addr_free(d->addr);
	recon_policy_free(d->policy);
	bpfevents_free(d->events);
	bpfconfig_free(d->config);
	bpfobj_free(d->obj);
	ARRAY_DONE(&d->failsafe);
	free(d);
}

static bool is_endpoint(const struct ip *ip, void *arg)
{
	return world_has_endpoint(arg, ip);
}

/* Local numbers that the maps still hold mean something else there: begin above them. */
static int reserve_locals(struct datapath *d, uint32_t base)
{
	uint32_t max = recon_policy_max_local(d->policy, base), of_addresses, number = 0;
	int r = recon_addr_max_local(d->addr, base, &of_addresses);

	if (r == 0)
		max = MAX(max, of_addresses);
	while (r == 0 && number < max)
		r = identity_local_number(d->world->identities, base, &number);
	return r;
}

int datapath_bind(struct datapath *d, struct world *w)
{
	int r = recon_policy_new(d->obj, d->config, &d->policy);

	if (r == 0)
		r = recon_addr_new(d->obj, w->addresses, &d->addr);
	if (r == 0)
		r = recon_service_new(d->obj, w->services, &d->service);
	if (r == 0)
		r = recon_sock_new(d->loop, d->obj, w->services, is_endpoint, w, &d->sock);
	if (r < 0)
		return r;
	d->world = w;
	r = reserve_locals(d, IDENTITY_LOCAL_CIDR);
	return r < 0 ? r : reserve_locals(d, IDENTITY_LOCAL_NODE);
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
	d->n_changes++;
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
	if (d->has_dns)
		flags |= MESH_STATE_DNS;
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
		health_raise(d->health, HEALTH_ERROR, "datapath.network", err.text[0] ? err.text : err_name(r), NULL);
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
	if (r < 0) /* nothing that is in force depends on it, and the next change tries again */
		log_event(LOG_WARNING, "service.sockets", "connections to backends that vanished stay for now", F_ERRNO(r));
	if (recon_sock_get_stats(d->sock).is_unsupported)
		health_raise(d->health, HEALTH_INFO, "service.end-connections",
			     "this kernel cannot end the connections to a backend that vanished; their clients wait until they give up",
			     "use a kernel that has CONFIG_INET_DIAG_DESTROY, or set services.end-connections to none");
}

static int apply_maps(struct datapath *d)
{
	struct mesh_config *m = bpfconfig_get(d->config);
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
	addr = recon_addr_apply(d->addr, world_overlay, d->world);
	if (addr != 0) /* after a failure, too: some addresses may have changed their identity */
		bpfconfig_bump(d->config);
	if (addr < 0)
		return failed(d, addr, "addresses");
	r = recon_service_apply(d->service);
	if (r < 0)
		return failed(d, r, "services");
	recon_service_node_ports(d->service, &m->node_port_min, &m->node_port_max);
	if (!d->is_swept) {
		r = recon_addr_sweep(d->addr);
		if (r != 0)
			bpfconfig_bump(d->config);
		if (r >= 0)
			r = recon_service_sweep(d->service);
		if (r < 0)
			return failed(d, r, "leftovers of an earlier run");
		d->is_swept = true;
	}
	health_clear(d->health, "datapath.maps");
	look_at_sockets(d);
	return 0;
}

/* Before and after the programs are there: a connection may begin between. */
static void keep_connections(struct datapath *d)
{
	size_t n = 0;
	int r = bpfothers_adopt_flows(d->obj, bpfconfig_generation(d->config) - 1, &n);

	if (r < 0)
		log_event(LOG_WARNING, "datapath.versions", "the flows of another version are not known; a policy may end those that it allows",
			  F_ERRNO(r));
	else if (n)
		log_event(LOG_INFO, "datapath.versions", "flows of another version go on", F_U64("count", n));
	keep_older(d);
}

static int attach_all(struct datapath *d)
{
	bool is_first = !d->is_attached;
	int r;

	if (is_first)
		keep_connections(d);
	d->is_attached = true;
	r = attach_interfaces(d, recon_net_nics(d->net));
	if (r < 0)
		return r;
	if (is_first)
		keep_connections(d);
	datapath_attach_sockets(d);
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
	d->is_restored = false;
	if (!d->is_ready) {
		r = attach_all(d);
		if (r < 0)
			return r;
		d->is_ready = true;
		remove_others(d);
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
	d->is_restored = false;
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

struct recon_sock_stats datapath_ended(const struct datapath *d)
{
	return d->sock ? recon_sock_get_stats(d->sock) : (struct recon_sock_stats){0};
}

uint32_t datapath_ticks_per_s(const struct datapath *d)
{
	return bpfconfig_get(d->config)->ticks_per_s;
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
