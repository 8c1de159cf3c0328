/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/datapath_private.h"

#include <errno.h>
#include <net/if.h>

#include "base/log.h"
#include "base/macro.h"
#include "bpf/bpf_others.h"
#include "recon/recon_flows.h"

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

static bool is_held(int ifindex, void *arg)
{
	const struct datapath *d = arg;

	return bpfattach_if_is_held(d->obj, ifindex);
}

/*
 * Tells the backstop what is none of its business. `tunnel` may be newer than what is known of the interfaces; 0 = none.
 */
static void cover(struct datapath *d, int tunnel)
{
	struct recon_ifindexes covered = {0};
	int r;

	if (!bpfobj_features(d->obj)->has_backstop)
		return;
	r = recon_net_covered(d->net, is_held, d, &covered);
	if (r == 0 && tunnel && is_held(tunnel, d))
		r = ARRAY_ADD(&covered, tunnel); /* again, if it is known */
	if (r == 0)
		r = recon_cover_apply(d->cover, &covered, recon_net_addrs(d->net));
	if (r < 0)
		log_event(LOG_WARNING, "datapath.backstop", "sockets may ask the policy about what is of this host itself", F_ERRNO(r));
	ARRAY_DONE(&covered);
}

/* Without this, what is sent first by the one who answers would begin a connection that is older than the programs. */
static void keep_older(struct datapath *d)
{
	size_t n = 0;
	int r = recon_flows_seed(d->obj, d->config, &n);

	if (n)
		log_event(LOG_INFO, "datapath.flows", "connections are older than the programs, and go on where the policy allows",
			  F_U64("count", n));
	if (r >= 0)
		return;
	log_event(LOG_WARNING, "datapath.flows",
		  "connections that are older than the programs are not known yet; a policy may end those that it allows", F_ERRNO(r));
	d->owes_flows = true;
	d->cb.on_owed(d->cb.arg);
}

static void keep_flows_of_others(struct datapath *d)
{
	size_t n = 0;
	int r = bpfothers_adopt_flows(d->obj, bpfconfig_generation(d->config) - 1, &n);

	if (n)
		log_event(LOG_INFO, "datapath.versions", "flows of another version go on", F_U64("count", n));
	if (r >= 0)
		return;
	log_event(LOG_WARNING, "datapath.versions", "the flows of another version are not known yet; a policy may end those that it allows",
		  F_ERRNO(r));
	d->owes_flows = true;
	d->cb.on_owed(d->cb.arg);
}

static void keep_flows(struct datapath *d)
{
	d->owes_flows = false;
	keep_flows_of_others(d);
	keep_older(d);
}

/* It is owed, unless no version could do more. */
static void raise_unfiltered(struct datapath *d, const char *name, int r, const struct err *why)
{
	struct err text;

	d->is_complete = d->is_complete && r == -EOPNOTSUPP;
	(void)err_set(&text, -r, "%s: its traffic is not filtered: %s", name, why->text); /* returns r, known */
	health_raise(d->health, HEALTH_ERROR, "datapath.attach", text.text,
		     r == -EOPNOTSUPP ? "filter this interface by other means, and list those to be policed under "
					"interfaces in the configuration" :
					"it is tried again; if it lasts, see what else attaches programs to this interface: bpftool net show");
}

/* Takes the programs off interfaces that are not external any more. */
static void detach_others(struct datapath *d, int tunnel)
{
	int present[BPFATTACH_INTERFACES_MAX], n;

	/* Before the tunnel device is known again, after a restart, it would look like a leftover. */
	if (!recon_net_status(d->net)->is_applied)
		return;
	n = bpfattach_if_list(d->obj, present, BPFATTACH_INTERFACES_MAX);
	for (int i = 0; i < n; i++)
		if (present[i] != tunnel && !recon_net_is_external(d->net, present[i]))
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
	has_new = r > 0;
	if (r < 0) {
		has_faults = true;
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
		raise_unfiltered(d, x->name, r, &err);
	}
	if (has_new)
		keep_older(d);
	cover(d, tunnel);
	detach_others(d, tunnel);
	if (!has_faults)
		health_clear(d->health, "datapath.attach");
	if (!d->is_complete)
		d->cb.on_owed(d->cb.arg);
	return first;
}

void datapath_attach_sockets(struct datapath *d)
{
	struct err err = {0}, text;

	d->has_sockets = true;
	d->has_cgroup = bpfattach_cgroup_is_ok(d->obj, d->conf->cgroup_root) ||
			bpfattach_cgroup(d->obj, d->conf->cgroup_root, &err) == 0;
	if (d->has_cgroup) {
		health_clear(d->health, "datapath.cgroup");
		return;
	}
	(void)err_set(&text, EIO, "cluster services are not reachable by their address: %s", err.text); /* the text is what counts */
	health_raise(d->health, HEALTH_WARNING, "datapath.cgroup", text.text,
		     "it is tried again; if it lasts, see that cgroup-root in the configuration is a mounted cgroup v2");
	d->cb.on_owed(d->cb.arg);
}

void datapath_attach_backstop(struct datapath *d)
{
	bool is_wanted = d->conf->datapath.has_backstop, has_it = bpfobj_features(d->obj)->has_backstop;
	struct err err = {0};

	d->owes_backstop = !bpfattach_backstop_is_ok(d->obj) && bpfattach_backstop(d->obj, &err) < 0;
	if (d->owes_backstop) {
		health_raise(d->health, HEALTH_WARNING, "datapath.backstop", err.text,
			     "it is tried again; if it lasts, see what else is attached to this network namespace: bpftool link show");
		d->cb.on_owed(d->cb.arg);
	} else if (is_wanted && !has_it) {
		health_raise(d->health, HEALTH_INFO, "datapath.backstop",
			     "this kernel cannot ask the policy at the socket: nothing stands behind the programs on interfaces",
			     "none is needed; Linux 5.17 and newer can");
	} else {
		health_clear(d->health, "datapath.backstop");
	}
}

void datapath_remove_others(struct datapath *d)
{
	struct err err = {0};
	int r;

	if (d->is_alone || !d->is_ready || !d->is_complete || !d->has_cgroup || !recon_net_status(d->net)->is_applied)
		return;
	r = bpfothers_remove(d->obj, &err);
	if (r < 0) {
		health_raise(d->health, HEALTH_WARNING, "datapath.versions", err.text,
			     "programs of another version still enforce its policy; a reboot ends them");
		d->cb.on_owed(d->cb.arg);
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

	if (r < 0) /* the next pass over the network tries again */
		raise_unfiltered(d, d->conf->tunnel_device, r, &err);
	else if (ifindex && !d->is_complete)
		d->cb.on_owed(d->cb.arg); /* a look at all, which may find that nothing is wrong any more */
	if (r >= 0 && d->is_attached)
		cover(d, ifindex); /* or the first packets of pods would be taken for forged */
	return MIN(r, 0);
}

static void on_nic(const struct nic *nic, void *arg)
{
	struct datapath *d = arg;
	struct err err = {0};
	int r = d->is_attached ? attach(d, nic->ifindex, BPFATTACH_NIC, &err) : 0;

	if (r > 0)
		keep_older(d);
	if (r >= 0)
		return;
	raise_unfiltered(d, nic->name, r, &err);
	if (!d->is_complete)
		d->cb.on_owed(d->cb.arg);
}

/* Someone took filters off an interface, maybe ours. */
static void on_filters(int ifindex, void *arg)
{
	struct datapath *d = arg;

	if (d->is_attached && (ifindex == recon_net_status(d->net)->tunnel_ifindex ||
			       nics_find(recon_net_nics(d->net), ifindex)))
		(void)attach_interfaces(d, recon_net_nics(d->net)); /* raised as a condition, and owed */
}

static void on_nics(const struct nics *nics, void *arg)
{
	struct datapath *d = arg;

	if (d->is_attached)
		(void)attach_interfaces(d, nics); /* raised as a condition, and owed */
	d->cb.on_network(d->cb.arg);
}

static void on_addrs(const struct nl_addrs *addrs, void *arg)
{
	struct datapath *d = arg;

	(void)addrs;
	d->cb.on_network(d->cb.arg);
}

static const char *network_remedy(const struct datapath *d, const struct net_status *status)
{
	if (status->lacks_driver)
		return "without it no pod is reached, and none reaches this host: boot a kernel that has it, or whose package for more "
		       "modules is installed";
	return d->is_restored ? NULL : "it is tried again, at once when the network changes; if it lasts, solve what the text names";
}

static void on_settled(const struct net_status *status, void *arg)
{
	struct datapath *d = arg;

	/* Routes of a restored state wait for the host's addresses, which is no fault: the network comes up later. */
	if (status->err.text[0])
		health_raise(d->health, d->is_restored ? HEALTH_INFO : HEALTH_ERROR, "datapath.network", status->err.text,
			     network_remedy(d, status));
	else
		health_clear(d->health, "datapath.network");
	if (d->is_attached) {
		cover(d, status->tunnel_ifindex); /* interfaces that lead nowhere outside come and go, too */
		detach_others(d, status->tunnel_ifindex); /* which waits for the tunnel device */
	}
	datapath_remove_others(d);
	d->cb.on_network(d->cb.arg);
}

/* What others let in or out before our programs are asked, no policy holds up. */
static void look_for_earlier(struct datapath *d, const struct nics *nics)
{
	int ifindex = recon_net_status(d->net)->tunnel_ifindex;
	uint32_t id = ifindex ? bpfattach_if_before(d->obj, ifindex) : 0;
	char name[IF_NAMESIZE];
	struct err text;

	for (size_t i = 0; !id && i < nics->n; i++) {
		ifindex = nics->v[i].ifindex;
		id = bpfattach_if_before(d->obj, ifindex);
	}
	if (!id || !if_indextoname((unsigned)ifindex, name)) {
		health_clear(d->health, "datapath.order");
		return;
	}
	(void)err_set(&text, EEXIST, "%s: program %u, which is not this daemon's, sees packets first: what it accepts or redirects, no policy sees",
		      name, id); /* the text is what counts */
	health_raise(d->health, HEALTH_WARNING, "datapath.order", text.text,
		     d->conf->datapath.attach == CONF_ATTACH_CLSACT ?
			     "see whose it is: bpftool prog show, bpftool net show; all of tcx comes before filters: set datapath.attach to auto, "
			     "restart, take it off and attach it again" :
			     "see whose it is: bpftool prog show, bpftool net show; taken off and attached again, without \"before\", it is behind");
}

void datapath_audit(struct datapath *d)
{
	if (d->is_attached)
		(void)attach_interfaces(d, recon_net_nics(d->net)); /* raised as a condition */
	if (d->is_attached && d->is_alone) /* else it may be that of another version */
		look_for_earlier(d, recon_net_nics(d->net));
	if (d->is_attached)
		datapath_attach_backstop(d);
	if (d->has_sockets)
		datapath_attach_sockets(d);
	recon_net_audit(d->net);
}

void datapath_retry(struct datapath *d)
{
	if (d->is_attached && !d->is_complete)
		(void)attach_interfaces(d, recon_net_nics(d->net)); /* as above */
	if (d->is_attached && d->is_complete && d->owes_flows)
		keep_flows(d);
	if (d->has_sockets && !d->has_cgroup)
		datapath_attach_sockets(d);
	if (d->owes_backstop)
		datapath_attach_backstop(d);
	datapath_remove_others(d);
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

static void tell_small_tables(struct datapath *d)
{
	uint32_t halvings = bpfobj_features(d->obj)->halvings;
	char text[160];

	if (!halvings)
		return;
	(void)snprintf(text, sizeof(text), "there is no memory for tables of the configured sizes: they are 1/%u of it, and full sooner",
		       1U << halvings);
	health_raise(d->health, HEALTH_ERROR, "datapath.memory", text,
		     "lower the sizes under datapath in the configuration, or give this host more memory; they take effect at the next boot");
}

int datapath_options(const struct conf *conf, struct bpfobj_options *ret)
{
	/* A version with another layout takes up nothing of this one. */
	char *dir = str_printf("%s/v%d", conf->bpf_root, MESH_ABI_VERSION);

	*ret = (struct bpfobj_options){
		.pin_dir = dir,
		.no_tcx = conf->datapath.attach == CONF_ATTACH_CLSACT,
		.no_backstop = !conf->datapath.has_backstop,
		.sizes = {.ct4 = (uint32_t)conf->datapath.ct_max_entries,
			  .ct6 = (uint32_t)conf->datapath.ct_max_entries,
			  .ipcache = (uint32_t)conf->datapath.ipcache_max_entries,
			  .rows = (uint32_t)conf->datapath.policy_max_entries,
			  .ports = (uint32_t)conf->datapath.policy_max_entries,
			  .ranges = (uint32_t)conf->datapath.policy_max_entries,
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
	tell_small_tables(d);
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
	r = recon_cover_new(d->obj, &d->cover);
	if (r == 0)
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
	recon_cover_free(d->cover);
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
	int r = d->policy ? 0 : recon_policy_new(d->obj, d->config, &d->policy);

	if (r == 0 && !d->addr)
		r = recon_addr_new(d->obj, w->addresses, &d->addr);
	if (r == 0 && !d->service)
		r = recon_service_new(d->obj, w->services, &d->service);
	if (r == 0 && !d->sock)
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
	r = failsafe_apply(d->obj, d->config, &list, is_partial);
	if (r < 0) {
		ARRAY_DONE(&list);
		return r;
	}
	ARRAY_DONE(&d->failsafe);
	d->failsafe = list;
	d->n_changes++;
	return 0;
}

int datapath_attach_all(struct datapath *d)
{
	bool owes = d->owes_flows || !d->is_attached; /* also of what began since a try that failed */
	int r;

	/* Before and after the programs are there: a connection may begin between. */
	if (owes)
		keep_flows(d);
	d->owes_flows = owes;
	d->is_attached = true;
	r = attach_interfaces(d, recon_net_nics(d->net));
	if (r < 0)
		return r;
	if (owes)
		keep_flows(d);
	datapath_attach_sockets(d);
	datapath_attach_backstop(d);
	return 0;
}

bool datapath_is_ready(const struct datapath *d)
{
	return d->is_ready;
}

int datapath_remove(struct datapath *d, struct err *reterr)
{
	/* of what is no more; the network's own ends with the pass that takes device and routes down */
	static const char *const conditions[] = {"datapath.attach", "datapath.backstop", "datapath.cgroup", "datapath.maps", "datapath.order",
						   "datapath.policy", "datapath.versions"};
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
	d->has_sockets = d->has_cgroup = d->owes_flows = d->owes_backstop = false;
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
		health_clear(d->health, conditions[i]);
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
