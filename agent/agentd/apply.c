/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/apply.h"
#include "agentd/forwarding.h"

#include <errno.h>
#include <string.h>

#include "agentd/own_address.h"
#include "agentd/own_labels.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"
#include "kube/cilium_fit.h"

enum { OUTAGE_S = 60 }; /* shorter ones are nothing to report */

/* Where nodes put their own address in place of a pod's, no rule of a policy finds the pod. */
static void note_masquerade(struct agent *a)
{
	CLEANUP(buf_done) struct buf text = {0};
	const char *key = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->own.n; i++) {
		const struct cidr address = {.ip = a->own.v[i], .len = ip_bits(&a->own.v[i])};
		const char *excluding = cilium_masquerades(&a->config, &address);
		char name[IP_STRLEN];

		if (!excluding)
			continue;
		key = excluding;
		r = buf_addf(&text, "%s%s", text.len ? " and " : "nodes masquerade pods towards ", ip_str(&address.ip, name));
	}
	if (r == 0 && key)
		r = buf_addf(&text, ": they are seen with the address of their node, and what policies say of pods does not find them (%s)", key);
	if (r < 0)
		return; /* out of memory: it is told when the addresses change */
	if (!key)
		health_clear(a->health, "cluster.masquerade");
	else if (a->config.has_masquerade_list) /* which may hold it */
		health_raise(a->health, HEALTH_INFO, "cluster.masquerade", text.data,
			     "the address must be in the list of the ip-masq-agent, if it is not yet");
	else
		health_raise(a->health, HEALTH_WARNING, "cluster.masquerade", text.data,
			     "make that range of cilium-config hold the address, too, or add it to the list of the ip-masq-agent");
}

/* A host of the other family has no place in the tunnel: nodes have no address to send its packets to. */
static void note_underlay(struct agent *a)
{
	int family = a->config.has_ipv6_underlay ? AF_INET6 : AF_INET;
	bool has_it = a->config.routing == CILIUM_NATIVE;

	for (size_t i = 0; i < a->own.n; i++)
		has_it = has_it || a->own.v[i].family == family;
	if (has_it)
		health_clear(a->health, "cluster.underlay");
	else
		health_raise(a->health, HEALTH_ERROR, "cluster.underlay",
			     family == AF_INET6 ? "the tunnel's outer packets are IPv6, and this host is enrolled with no IPv6 address: no pod reaches it" :
						  "the tunnel's outer packets are IPv4, and this host is enrolled with no IPv4 address: no pod reaches it",
			     "give the host such an address, and enrol it anew with: meshctl host add --address");
}

void apply_note_addresses(struct agent *a)
{
	note_masquerade(a);
	note_underlay(a);
}

/* What an admin enrols a host for that runs holds at once: it need not join again for that. */
static int follow_ranges(struct agent *a)
{
	const struct kube_node *own = node_table_find(a->world->nodes, a->join.host);
	int r = own && own->ranges ? own_address_follow(&a->join, own->ranges) : 0;

	if (r == -EINVAL)
		log_event(LOG_WARNING, "register.ranges", "what the cluster says of this host's addresses cannot be read: those of before stay",
			  F_STR("ranges", own->ranges));
	if (r <= 0)
		return r == -EINVAL ? 0 : r;
	log_event(LOG_INFO, "register.ranges", "the cluster has enrolled this host for other addresses", F_STR("ranges", own->ranges));
	serving_ranges_changed(a->serving);
	return 0;
}

/* The addresses we are known by, after a look at what the host has now. None is left: those of before stay, as one may come back. */
static int pick_addresses(struct agent *a)
{
	struct ip picked[2];
	struct err why;
	size_t n = own_address_pick(recon_net_addrs(datapath_net(a->datapath)), &a->join, a->conf, a->own.v, a->own.n,
				    picked);
	bool was_elsewhere;
	int r = 0;

	if (n == 0) {
		if (a->own.n && !health_has(a->health, "register.address"))
			kube_client_reset(a->client); /* as below: the admin's answer comes by this way */
		own_address_complain(recon_net_addrs(datapath_net(a->datapath)), &a->join, a->conf, a->own.v, a->own.n, &why);
		health_raise(a->health, HEALTH_ERROR, "register.address", why.text,
			     "give the host such an address, or enrol it anew with: meshctl host add --address");
		return 0;
	}
	was_elsewhere = a->own.n || health_has(a->health, "register.address");
	health_clear(a->health, "register.address");
	if (a->own.n == n && memcmp(a->own.v, picked, n * sizeof(*picked)) == 0)
		return 0;
	if (was_elsewhere)
		kube_client_reset(a->client); /* or what comes from the old address would hang for half a minute */
	a->own.n = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = ARRAY_ADD(&a->own, picked[i]);
	a->world->routes_dirty = true; /* their source address is ours */
	apply_note_addresses(a);
	return r;
}

int apply_servers(struct agent *a)
{
	bool is_partial = !a->sync || !sync_is_complete(a->sync);
	bool is_due = a->servers.is_stale && a->datapath && !a->has_stood_down;
	struct err err;
	int r = 0;

	if (is_due)
		r = datapath_set_control_plane(a->datapath, a->servers.all.ips.v, a->servers.all.ports.v, a->servers.all.ips.n, is_partial);
	if (r < 0) {
		(void)err_set(&err, -r, "the failsafe set could not be written, new API servers and resolvers may be cut off: %s", err_name(r));
		health_raise(a->health, HEALTH_ERROR, "failsafe.write", err.text,
			     "what is in force stays; " REMEDY_KERNEL);
		retry_want(a->retry);
		return r;
	}
	health_clear(a->health, "failsafe.write");
	if (!is_due)
		return 0;
	a->servers.is_stale = is_partial; /* once all is known, what is not needed goes */
	if (a->keeping)
		keeping_look(a->keeping);
	return 0;
}

/* Our own objects come with the lists like everyone's: if they change under us, look at them now. */
static void watch_own(struct agent *a)
{
	bool has_node = node_table_find(a->world->nodes, a->join.host) != NULL, is_listed = has_node;
	bool is_told = registration_get_state(a->registration) == REGISTRATION_READY;

	for (size_t i = 0; i < a->own.n; i++) {
		struct ipcache_claim c;

		is_listed = is_listed && ipcache_get(a->world->addresses, &a->own.v[i], &c) && c.identity == a->join.identity;
	}
	if (a->had_node && !has_node)
		registration_lost(a->registration);
	else if (a->was_listed && !is_listed)
		registration_kick(a->registration);
	a->had_node = has_node;
	a->was_listed = is_listed;
	if (!a->has_slices || !is_told || is_listed)
		a->unlisted_us = 0;
	else if (!a->unlisted_us)
		a->unlisted_us = clock_boot_us();
}

static void now_running(struct agent *a)
{
	if (a->zone)
		dns_zone_set_synced(a->zone);
	agent_set_state(a, AGENT_RUNNING, "joined, policy in force");
	lease_kick(a->lease);
}

static int start_forwards(struct agent *a)
{
	int r = forwarding_start(a);

	if (r < 0)
		health_raise(a->health, HEALTH_ERROR, "forward.start", "no memory for the forwards: old ports are closed", REMEDY_MEMORY);
	else
		health_clear(a->health, "forward.start");
	return r;
}

/* Lists that are not believed yet change nothing, but a person should look at the API server. */
static void note_doubts(struct agent *a)
{
	CLEANUP(buf_done) struct buf text = {0};
	const struct reflector *r;
	int e = 0;

	for (size_t i = 0; a->sync && e == 0 && (r = sync_reflector(a->sync, i)); i++) {
		struct reflector_doubt d;

		if (!reflector_get_doubt(r, &d))
			continue;
		if (d.is_older)
			e = buf_addf(&text, "%s: the API server went back in time; ", reflector_name(r));
		else
			e = buf_addf(&text, "%s: the API server lists %llu objects, %llu were known; ", reflector_name(r),
				     (unsigned long long)d.listed, (unsigned long long)d.known);
	}
	if (e == 0 && text.len)
		e = buf_addf(&text, "what was known stays in force until it is confirmed");
	if (e < 0)
		return; /* out of memory: the log tells it, too */
	if (text.len)
		health_raise(a->health, HEALTH_ERROR, "api.suspicious", text.data,
			     "look at the API server and its etcd: a server that lags, or a restored backup, looks like this");
	else
		health_clear(a->health, "api.suspicious");
}

/* An outage of the API changes nothing here, but a person should know of one that lasts. */
void apply_note_outage(struct agent *a)
{
	size_t n = 0;
	const struct reflector *stale = a->sync ? sync_failing(a->sync, &n) : NULL;
	const char *server;
	char text[320];

	note_doubts(a);
	if (!stale) {
		if (a->sync)
			health_clear(a->health, "api.outage");
		return;
	}
	if (clock_boot_us() - reflector_fresh_us(stale) < OUTAGE_S * USEC_PER_SEC)
		return;
	server = reflector_server(stale) ? reflector_server(stale) : kube_client_server(a->client);
	if (n > 1)
		(void)snprintf(text, sizeof(text), "%s and %zu other kinds cannot be read from %s: %.160s", reflector_name(stale),
			       n - 1, server, reflector_error(stale)); /* a cut text still tells most */
	else
		(void)snprintf(text, sizeof(text), "%s cannot be read from %s: %.160s", reflector_name(stale), server,
			       reflector_error(stale)); /* likewise */
	health_raise(a->health, HEALTH_WARNING, "api.outage", text, reflector_is_forbidden(stale) ? REMEDY_RIGHTS : REMEDY_API);
}

#define ANEW "as the cluster's admin: meshctl host add with this host's name; if it tells of another identity, mesh-join here with its token"

/* The labels of the namespace are part of an identity, which keeps those of the day when it was made. */
static void note_namespace(struct agent *a, const struct label_set *own)
{
	CLEANUP(buf_done) struct buf what = {0};
	struct err err;

	if (!own || !a->namespace_labels ||
	    own_labels_outdated(identity_labels(a->world->identities), own, a->namespace_labels, &what) < 0)
		return;
	if (!what.len) {
		health_clear(a->health, "identity.outdated");
		return;
	}
	(void)err_set(&err, ESTALE, "namespace %s has other labels than when this host was enrolled (%s): policies take the host for what it was then",
		      a->join.namespace, what.data);
	health_raise(a->health, HEALTH_WARNING, "identity.outdated", err.text, ANEW);
}

/*
 * Without our identity's labels no policy would select us, which must not look like "everything is allowed"; and a number that
 * was given to something else brings policies that are not ours.
 */
static bool has_identity(struct agent *a)
{
	const struct identity *own = identity_get(a->world->identities, a->join.identity);
	bool is_known = world_knows_itself(a->world);
	struct err err;

	if (own && !own_labels_are_enrolled(identity_labels(a->world->identities), own->labels, a->join.labels, a->join.namespace)) {
		(void)err_set(&err, EEXIST, "CiliumIdentity %u, this host's, has the labels of something else now", a->join.identity);
		health_raise(a->health, HEALTH_ERROR, "identity.foreign", err.text, "what is in force stays; " ANEW);
		return false;
	}
	health_clear(a->health, "identity.foreign");
	note_namespace(a, own ? own->labels : NULL);
	if (own) {
		health_clear(a->health, "identity.missing");
		return true;
	}
	(void)err_set(&err, ENODATA, "the cluster has no CiliumIdentity %u, by whose labels policies select this host: those of pods do not find it",
		      a->join.identity);
	health_raise(a->health, is_known ? HEALTH_WARNING : HEALTH_ERROR, "identity.missing", err.text, "what is in force stays; " ANEW);
	return is_known; /* deleted while we ran: who we were stays */
}

/* Something failed for want of memory, or of a write to the kernel. */
static void owe(struct agent *a)
{
	a->is_apply_owed = true;
	retry_want(a->retry);
}

/* Before new verdicts come into force, so that neither a crash nor a packet can come in between. */
static int look_at_policy(struct agent *a)
{
	int r = world_settle(a->world);

	if (r > 0) {
		guarding_look(a->guarding);
		shadowing_follow(a->shadowing, a->datapath);
	}
	datapath_set_open(a->datapath, guarding_is_open(a->guarding));
	if (r >= 0 && guarding_is_half(a->guarding))
		return -ENOMEM;
	return r < 0 ? r : 0;
}

/* From what the cluster and the host say to the tables. */
static int take_up(struct agent *a)
{
	int r = follow_ranges(a);
	struct err err;

	if (r == 0)
		r = pick_addresses(a);
	if (r == 0)
		r = world_set_services(a->world, a->conf, a->own.v, a->own.n);
	if (r == 0)
		r = look_at_policy(a);
	if (r == 0) {
		health_clear(a->health, "agent.apply");
		return 0;
	}
	(void)err_set(&err, -r, "what the cluster says cannot be taken up: %s", err_name(r));
	health_raise(a->health, HEALTH_ERROR, "agent.apply", err.text, "what is in force stays; " REMEDY_MEMORY);
	return r;
}

/* What the cluster is told; it is sent later. */
static int tell_cluster(struct agent *a)
{
	CLEANUP(json_decref) json_t *ports = serving_named_ports(a->conf);
	struct registration_info info = {.addresses = a->own.v, .n_addresses = a->own.n,
					 .has_ipv6_underlay = a->config.has_ipv6_underlay, .named_ports = ports};
	int r = ports ? registration_set(a->registration, &info) : -ENOMEM;

	watch_own(a);
	if (r == 0)
		r = serving_update(a->serving, a->own.v, a->own.n);
	if (r < 0)
		health_raise(a->health, HEALTH_ERROR, "register.memory", "no memory to tell the cluster what changed about this host",
			     REMEDY_MEMORY);
	else
		health_clear(a->health, "register.memory");
	return r;
}

/* Held, the confirmed policies are all that is to be in force. */
static void look_for_room(struct agent *a)
{
	a->world->n_left_out = policy_gate_is_held(a->world->gate) ? 0 : sync_left_out(a->sync);
	sync_use_room(a->sync);
}

void apply_now(void *arg)
{
	struct agent *a = arg;
	bool is_held = false;
	int r;

	note_doubts(a);
	if (health_has(a->health, "api.outage"))
		apply_note_outage(a);
	/* Once removed, frozen or gone, what the cluster still sends must not bring back what was taken down. */
	if (!a->sync || !sync_is_complete(a->sync) || a->is_unverified || a->leaving ||
	    (a->state != AGENT_STARTING && a->state != AGENT_RUNNING))
		return;
	if (datapath_wait_us(a->datapath)) {
		(void)source_arm(a->apply_later, datapath_wait_us(a->datapath), 0); /* a live timer */
		return;
	}
	if (a->world->lost_claims) {
		agent_out_of_memory(a);
		return;
	}
	if (!has_identity(a))
		return;
	a->is_apply_owed = false;
	r = take_up(a);
	look_for_room(a);
	if (r == 0)
		r = apply_servers(a);
	if (r == 0) {
		r = datapath_apply(a->datapath, a->own.v, a->own.n);
		is_held = datapath_is_held(a->datapath);
	}
	if (r < 0) /* raised as a condition */
		owe(a);
	if (r < 0 && !is_held)
		return;
	if (r == 0 && a->fqdn) { /* with a policy that did not come into force, the rules of before stay, too */
		if (fqdn_applied(a->fqdn, datapath_flags(a->datapath) & MESH_STATE_AUDIT) < 0)
			owe(a);
		datapath_set_dns(a->datapath, dns_redirect_is_on(a->redirect) && fqdn_is_filtered(a->fqdn));
	}
	a->n_applied++;
	if (a->import_zone && sync_has_imports(a->sync))
		dns_zone_set_synced(a->import_zone);
	keeping_settled(a->keeping);
	if (a->state == AGENT_STARTING)
		now_running(a);
	if (!a->forwards && start_forwards(a) < 0)
		owe(a);
	if (!a->own.n)
		return; /* policies hold on any address; the cluster is told of those that this host may have */
	if (lease_get_state(a->lease) != LEASE_HELD)
		return; /* another machine may be this host; comes again when the Lease is ours */
	if (tell_cluster(a) < 0)
		owe(a);
}

void apply_want(void *arg)
{
	struct agent *a = arg;

	(void)source_trigger(a->apply); /* a live source */
}
