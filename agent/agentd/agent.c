/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/agent.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "agentd/own_address.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/secret.h"
#include "json/json.h"

enum {
	UPKEEP_S = 30,
	OUTAGE_S = 60,	    /* shorter ones are nothing to report */
	STAND_DOWN_S = 120, /* a refused credential must stay refused before the host stands down */
	FROZEN_RETRY_S = 60,
};

#define REJOIN "mesh-join --token ... with a new token from: meshctl host add"

#define KUBE_SYSTEM_PATH "/api/v1/namespaces/kube-system"

static void boot(struct agent *a);
static void on_resumed(void *arg);

static void set_state(struct agent *a, enum agent_state state, const char *text)
{
	if (a->state != state)
		log_event(LOG_INFO, "agent.state", text);
	a->state = state;
	(void)sd_notifyf(0, "STATUS=%s", text); /* nobody has to listen */
}

/* Applying */

/* The addresses we are known by, after a look at what the host has now. */
static int pick_addresses(struct agent *a)
{
	struct ip picked[2];
	size_t n = own_address_pick(recon_net_addrs(datapath_net(a->datapath)), &a->join, a->conf, picked);
	int r = 0;

	if (n == 0) {
		health_raise(a->health, HEALTH_ERROR, "register.address",
			     "none of this host's addresses is inside the ranges that it was enrolled with",
			     "give the host such an address, or enrol it anew with: meshctl host add --address");
		return a->own.n ? 0 : -EADDRNOTAVAIL; /* an address may come back */
	}
	health_clear(a->health, "register.address");
	if (a->own.n == n && memcmp(a->own.v, picked, n * sizeof(*picked)) == 0)
		return 0;
	if (a->own.n)
		kube_client_reset(a->client); /* or what comes from the old address would hang for half a minute */
	a->own.n = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = ARRAY_ADD(&a->own, picked[i]);
	a->world->routes_dirty = true; /* their source address is ours */
	return r;
}

/* The failsafe set follows where the API servers are. */
static int apply_servers(struct agent *a)
{
	int r = a->world ? servers_update(&a->servers, a->world->services) : 0;

	if (r == 0 && a->servers.is_stale)
		r = datapath_set_control_plane(a->datapath, a->servers.ips.v, a->servers.ports.v, a->servers.ips.n);
	if (r == 0)
		a->servers.is_stale = false;
	return r;
}

/* Our own objects come with the lists like everyone's: if they change under us, look at them now. */
static void watch_own(struct agent *a)
{
	bool is_listed = node_table_find(a->world->nodes, a->join.host) != NULL;

	for (size_t i = 0; i < a->own.n; i++) {
		struct ipcache_claim c;

		is_listed = is_listed && ipcache_get(a->world->addresses, &a->own.v[i], &c) && c.identity == a->join.identity;
	}
	if (a->was_listed && !is_listed)
		registration_kick(a->registration);
	a->was_listed = is_listed;
}

static void now_running(struct agent *a)
{
	if (a->zone)
		dns_zone_set_synced(a->zone);
	set_state(a, AGENT_RUNNING, "joined, policy in force");
	lease_kick(a->lease);
}

/* An outage of the API changes nothing here, but a person should know of one that lasts. */
static void note_outage(struct agent *a)
{
	const struct reflector *r, *stale = NULL;
	char text[320];

	for (size_t i = 0; a->sync && !stale && (r = sync_reflector(a->sync, i)); i++)
		if (reflector_get_state(r) == REFLECTOR_WAITING)
			stale = r;
	if (!stale) {
		if (a->sync)
			health_clear(a->health, "api.outage");
		return;
	}
	if (clock_boot_us() - reflector_fresh_us(stale) < OUTAGE_S * USEC_PER_SEC)
		return;
	(void)snprintf(text, sizeof(text), "%s cannot be read from %s: %.160s", reflector_name(stale),
		       kube_client_server(a->client), reflector_error(stale)); /* a cut text still tells most */
	health_raise(a->health, HEALTH_WARNING, "api.outage", text,
		     "what is in force stays; check the network and the API server");
}

static void on_apply(void *arg)
{
	struct agent *a = arg;
	struct registration_info info = {0};
	CLEANUP(json_decref) json_t *ports = NULL;
	int r;

	if (health_has(a->health, "api.outage"))
		note_outage(a);
	/* Once removed, frozen or gone, what the cluster still sends must not bring back what was taken down. */
	if (!a->sync || !sync_is_complete(a->sync) || a->is_unverified || a->leaving ||
	    (a->state != AGENT_STARTING && a->state != AGENT_RUNNING))
		return;
	if (datapath_wait_us(a->datapath)) {
		(void)source_arm(a->apply_later, datapath_wait_us(a->datapath), 0); /* a live timer */
		return;
	}
	r = pick_addresses(a);
	if (r == 0)
		r = apply_servers(a);
	if (r == 0)
		r = datapath_apply(a->datapath, a->own.v, a->own.n);
	a->is_apply_owed = r < 0;
	if (r < 0)
		return; /* raised as a condition; the next change or the upkeep timer tries again */
	if (a->state == AGENT_STARTING)
		now_running(a);
	ports = serving_named_ports(a->conf);
	info = (struct registration_info){.addresses = a->own.v, .n_addresses = a->own.n, .named_ports = ports};
	r = registration_set(a->registration, &info);
	watch_own(a);
	if (r == 0)
		r = serving_update(a->serving, a->own.v, a->own.n);
	a->is_apply_owed = r < 0;
	if (r < 0)
		log_event(LOG_ERR, "register.memory", "cannot tell the cluster of this host for lack of memory", F_ERRNO(r));
}

static void want_apply(void *arg)
{
	struct agent *a = arg;

	(void)source_trigger(a->apply); /* a live source */
}

/* What the parts report */

/* As configured for a host that was removed, or whose credential is refused for good. */
static void stand_down(struct agent *a)
{
	struct err err = {0};

	a->has_stood_down = true;
	(void)datapath_remove(a->datapath, &err); /* the condition that led here stays */
}

/* The cluster takes us again. What was taken down is built by a new start, like any other. */
static void come_back(struct agent *a)
{
	if (!a->has_stood_down)
		return;
	log_event(LOG_INFO, "agent.restart", "the cluster knows this host again: starting anew");
	loop_exit(a->loop, 0);
}

/* All that keeps a member a member; what the registration still needs stays. */
static void stop_membership(struct agent *a)
{
	kube_cancel(a->boot_op);
	a->boot_op = NULL;
	source_disarm(a->boot_timer);
	sync_free(a->sync);
	a->sync = NULL;
	serving_free(a->serving);
	a->serving = NULL;
	lease_free(a->lease);
	a->lease = NULL;
	renewal_free(a->renewal);
	a->renewal = NULL;
	a->refused_us = 0;
}

static void on_left(struct agent *a)
{
	json_t *steps = json_pack("{s:[s,s,s]}", "steps", "endpoint disconnected", "programs, maps and routes removed",
				  "credential deleted");
	struct err err = {0};
	int r = datapath_remove(a->datapath, &err);

	if (r == 0)
		r = join_state_remove(a->conf->state_dir, &err);
	stop_membership(a);
	a->is_joined = r < 0;
	if (r < 0)
		health_raise(a->health, HEALTH_ERROR, "leave.failed", err.text, "solve it, then: meshctl leave");
	else
		health_clear(a->health, "leave.failed");
	set_state(a, r < 0 ? AGENT_REVOKED : AGENT_NOT_JOINED,
		  r < 0 ? "left the cluster, but not all is taken down" : "left the cluster");
	ctl_call_done(a->leaving, r, steps, &err);
	a->leaving = NULL;
}

static void on_registration(enum registration_state state, void *arg)
{
	struct agent *a = arg;

	switch (state) {
	case REGISTRATION_REMOVED:
		health_raise(a->health, HEALTH_ERROR, "host.removed", registration_error(a->registration), REJOIN);
		set_state(a, AGENT_REVOKED, "the cluster has removed this host; the last policy stays in force");
		if (a->conf->revoked_action == CONF_REVOKED_STAND_DOWN)
			stand_down(a);
		break;
	case REGISTRATION_READY:
		health_clear(a->health, "host.removed");
		come_back(a);
		if (a->state == AGENT_REVOKED)
			set_state(a, AGENT_STARTING, "registered again");
		want_apply(a);
		log_event(LOG_INFO, "register.ready", "the cluster knows this host");
		break;
	case REGISTRATION_LEFT:
		if (a->leaving)
			on_left(a);
		break;
	default:
		break;
	}
}

static void save_token(struct agent *a, const char *token)
{
	struct err err = {0};
	int r = join_state_save_token(a->conf->state_dir, token, &err);

	if (r < 0)
		health_raise(a->health, HEALTH_ERROR, "credential.save", err.text[0] ? err.text : err_name(r),
			     "make the state directory writable: the credential in it will expire");
	else
		health_clear(a->health, "credential.save");
}

static void on_token(const char *token, void *arg)
{
	struct agent *a = arg;
	int r = kube_client_set_token(a->client, token);

	if (r < 0) {
		log_event(LOG_ERR, "credential.memory", "cannot keep the new credential for lack of memory", F_ERRNO(r));
		return; /* the old one lives for a while yet */
	}
	save_token(a, token);
	a->refused_us = 0;
	health_clear(a->health, "api.unauthorized");
	if (a->sync)
		sync_kick(a->sync);
	if (a->serving)
		serving_kick(a->serving);
	registration_kick(a->registration);
	come_back(a);
}

static void on_unauthorized(void *arg)
{
	struct agent *a = arg;

	if (!a->refused_us)
		a->refused_us = clock_boot_us();
	health_raise(a->health, HEALTH_ERROR, "api.unauthorized",
		     "the API server does not accept this host's credential: the host was removed, or it was off for longer than a credential lives",
		     REJOIN);
	if (a->renewal)
		renewal_kick(a->renewal);
}

static void on_lease_conflict(const char *other, void *arg)
{
	struct agent *a = arg;
	struct err err;

	if (!other) {
		health_clear(a->health, "host.cloned");
		return;
	}
	(void)err_set(&err, EBUSY, "another machine (%s) uses this host's identity, as after cloning a disk", other);
	health_raise(a->health, HEALTH_ERROR, "host.cloned", err.text,
		     "stop one of them, delete its state directory, and enrol it under a name of its own");
}

static void on_namespace(const char *name, bool exists, void *arg)
{
	struct agent *a = arg;

	if (a->zone)
		(void)dns_zone_set_namespace(a->zone, name, exists); /* names of it are NXDOMAIN then, not wrong */
}

static void on_config(const json_t *configmap, void *arg)
{
	struct agent *a = arg;
	struct cilium_config config;
	struct err err = {0};

	if (cilium_config_parse(configmap, &config, &err) < 0) {
		health_raise(a->health, HEALTH_ERROR, "cluster.config", err.text, NULL);
		return;
	}
	health_clear(a->health, "cluster.config");
	if (cilium_config_same(&config, &a->config))
		return;
	log_event(LOG_INFO, "cluster.config", "the cluster's configuration changed: starting anew with it");
	loop_exit(a->loop, 0); /* the unit restarts us; the kernel keeps what is in force meanwhile */
}

static void on_event(const struct mesh_event *ev, void *arg)
{
	struct agent *a = arg;

	if (a->ctl && ctl_has_subscribers(a->ctl, CTL_TOPIC_MONITOR))
		agent_publish_event(a, ev);
}

static void on_subscribers(void *arg, const char *topic, bool has_any)
{
	struct agent *a = arg;

	(void)topic; /* there is one */
	if (a->datapath)
		datapath_set_verdict_events(a->datapath, has_any);
}

static void on_upkeep(void *arg)
{
	struct agent *a = arg;

	if (a->client)
		kube_client_upkeep(a->client);
	note_outage(a);
	if (a->world && a->world->lost_claims)
		health_raise(a->health, HEALTH_ERROR, "datapath.addresses",
			     "some addresses could not be kept for lack of memory and count as outside the cluster",
			     "systemctl restart mesh-external-agent, with more memory");
	if (a->refused_us && a->conf->revoked_action == CONF_REVOKED_STAND_DOWN && datapath_is_ready(a->datapath) &&
	    clock_boot_us() - a->refused_us > STAND_DOWN_S * USEC_PER_SEC) {
		set_state(a, AGENT_REVOKED, "the credential is refused: standing down as configured");
		stand_down(a);
	}
	if (a->is_apply_owed || health_has(a->health, "register.address"))
		want_apply(a);
	if (health_has(a->health, "credential.save"))
		save_token(a, kube_client_token(a->client));
	(void)source_arm(a->upkeep, UPKEEP_S * USEC_PER_SEC, UPKEEP_S / 6 * USEC_PER_SEC); /* a live timer */
}

/* Starting */

static void freeze(struct agent *a, const char *name, const char *text, const char *remedy)
{
	health_raise(a->health, HEALTH_ERROR, name, text, remedy);
	set_state(a, AGENT_FROZEN, "frozen: what is in force stays");
	(void)source_arm(a->boot_timer, FROZEN_RETRY_S * USEC_PER_SEC, USEC_PER_SEC); /* a live timer */
}

static int start_world(struct agent *a, struct err *reterr)
{
	const struct sync_callbacks callbacks = {.on_change = want_apply, .on_namespace = on_namespace, .on_config = on_config,
						 .on_unauthorized = on_unauthorized, .on_resumed = on_resumed, .arg = a};
	struct sync_tables tables;
	struct err dns = {0};
	int r = world_new(&a->config, a->join.host, a->join.identity, a->conf, &a->world);

	if (r < 0)
		return err_set(reterr, -r, "cannot make the tables: %s", err_name(r));
	r = datapath_bind(a->datapath, a->world);
	if (r < 0)
		return err_set(reterr, -r, "cannot read what an earlier run left in the maps: %s", err_name(r));
	/* At the start of a host its resolver may not have answered yet; now the API server has. */
	r = a->servers.n_given ? 0 : servers_resolve(&a->servers, &a->join.servers);
	if (r == 0)
		r = apply_servers(a);
	if (r < 0)
		return err_set(reterr, -r, "cannot write the failsafe set: %s", err_name(r));
	if (a->conf->dns.is_enabled && names_start(a, &dns) < 0)
		health_raise(a->health, HEALTH_WARNING, "dns.listen", dns.text,
			     "free that address, or choose another with dns.listen in the configuration");
	tables = (struct sync_tables){.identities = a->world->identities, .policies = a->world->policies,
				      .services = a->world->services, .endpoints = a->world->endpoints,
				      .nodes = a->world->nodes};
	r = serving_new(a->loop, a->client, a->conf, &a->join, a->world->services, &a->serving);
	if (r == 0)
		r = sync_new(a->loop, a->client, a->config.has_slices, &tables, &callbacks, &a->sync);
	return r < 0 ? err_set(reterr, -r, "cannot start to read from the API server: %s", err_name(r)) : 0;
}

static void boot_later(struct agent *a, const struct kube_result *res)
{
	char text[320];

	if (res->r == -EACCES)
		on_unauthorized(a);
	(void)snprintf(text, sizeof(text), "API server %s: %.200s", kube_client_server(a->client), res->message);
	health_raise(a->health, HEALTH_WARNING, "api.unreachable", text,
		     "what is in force stays; check the network and the API server");
	(void)source_arm(a->boot_timer, backoff_next_us(a->boot_backoff, clock_boot_us()), 0); /* a live timer */
}

static void on_boot_config(const struct kube_result *res, void *arg)
{
	struct agent *a = arg;
	CLEANUP(strv_done) struct strv warnings = {0};
	struct err err = {0};
	int r;

	a->boot_op = NULL;
	if (res->r < 0) {
		boot_later(a, res);
		return;
	}
	health_clear(a->health, "api.unreachable");
	r = cilium_config_parse(res->body, &a->config, &err);
	if (r == 0)
		r = cilium_config_check(res->body, &a->config, &warnings, &err);
	if (r < 0) {
		freeze(a, "cluster.config", err.text, NULL);
		return;
	}
	health_clear(a->health, "cluster.config");
	if (a->state == AGENT_FROZEN)
		set_state(a, AGENT_STARTING, "reading the cluster's state");
	for (size_t i = 0; i < warnings.n; i++)
		health_raise(a->health, HEALTH_WARNING, "cluster.degraded", warnings.v[i], NULL);
	r = start_world(a, &err);
	if (r < 0)
		freeze(a, "agent.start", err.text, "systemctl restart mesh-external-agent, once the reason is gone");
}

/* Is this still the cluster that we joined? A restored or exchanged one must not change what is in force. */
static bool is_own_cluster(struct agent *a, const char *uid)
{
	if (!a->join.cluster_uid || !*a->join.cluster_uid || str_eq(a->join.cluster_uid, uid))
		return true;
	freeze(a, "cluster.other", "the API server belongs to another cluster than the one this host joined",
	       "point the host to its own cluster, or leave and join the new one");
	return false;
}

static void on_verified(const struct kube_result *res, void *arg)
{
	struct agent *a = arg;

	a->boot_op = NULL;
	if (res->r < 0) {
		boot_later(a, res);
		return;
	}
	health_clear(a->health, "api.unreachable");
	if (!*json_str(res->body, "metadata.uid", "")) { /* half an answer says nothing of the cluster */
		boot_later(a, &(struct kube_result){.r = -EBADMSG, .message = "the answer names no cluster", .retry_after_s = -1});
		return;
	}
	if (!is_own_cluster(a, json_str(res->body, "metadata.uid", "")))
		return;
	a->is_unverified = false;
	if (a->state == AGENT_FROZEN) { /* the tables hold what another cluster said */
		log_event(LOG_INFO, "agent.restart", "this is our cluster again: starting anew");
		loop_exit(a->loop, 0);
		return;
	}
	want_apply(a);
}

static void verify(struct agent *a)
{
	struct kube_request req = {.path = KUBE_SYSTEM_PATH, .on_done = on_verified, .arg = a};
	int r = kube_start(a->client, &req, &a->boot_op);

	if (r < 0)
		boot_later(a, &(struct kube_result){.r = r, .message = err_name(r)});
}

/* The API was away: what it says now is applied once it is known to be the same cluster. */
static void on_resumed(void *arg)
{
	struct agent *a = arg;

	if (a->is_unverified || a->leaving)
		return;
	a->is_unverified = true;
	verify(a);
}

static void on_boot_cluster(const struct kube_result *res, void *arg)
{
	struct agent *a = arg;
	const char *uid = json_str(res->body, "metadata.uid", "");
	struct kube_request req = {.path = CILIUM_CONFIG_PATH, .on_done = on_boot_config, .arg = a};
	int r;

	a->boot_op = NULL;
	if (res->r < 0) {
		boot_later(a, res);
		return;
	}
	if (!is_own_cluster(a, uid))
		return;
	health_clear(a->health, "cluster.other");
	r = kube_start(a->client, &req, &a->boot_op);
	if (r < 0)
		boot_later(a, &(struct kube_result){.r = r, .message = err_name(r)});
}

static void boot(struct agent *a)
{
	struct kube_request req = {.path = KUBE_SYSTEM_PATH, .on_done = on_boot_cluster, .arg = a};
	int r = kube_start(a->client, &req, &a->boot_op);

	if (r < 0)
		boot_later(a, &(struct kube_result){.r = r, .message = err_name(r)});
}

static void on_boot_timer(void *arg)
{
	struct agent *a = arg;

	if (a->sync) {
		verify(a);
	} else if (a->world) { /* half made: only a new start gets further */
		log_event(LOG_INFO, "agent.restart", "starting anew");
		loop_exit(a->loop, 1);
	} else {
		boot(a);
	}
}

static int make_machine_id(struct agent *a)
{
	sd_id128_t id;
	char text[SD_ID128_STRING_MAX];
	int r = sd_id128_get_boot(&id);

	if (r < 0)
		return r;
	a->machine = str_printf("%s/%s", a->join.host, sd_id128_to_string(id, text));
	return a->machine ? 0 : -ENOMEM;
}

static int start_client(struct agent *a, struct err *reterr)
{
	CLEANUP(secret_free) char *token = NULL;
	struct kube_conf kube = {.servers = (const char *const *)a->join.servers.v, .n_servers = a->join.servers.n,
				 .ca_pem = a->join.ca_pem};
	const struct registration_conf registration = {.host = a->join.host, .namespace = a->join.namespace,
						       .identity = a->join.identity, .on_state = on_registration, .arg = a};
	struct lease_conf lease = {.host = a->join.host, .on_conflict = on_lease_conflict, .arg = a};
	const struct renewal_conf renewal = {.host = a->join.host, .on_token = on_token, .arg = a};
	int r = join_state_load_token(a->conf->state_dir, &token, reterr);

	if (r < 0)
		return r;
	r = make_machine_id(a);
	if (r < 0)
		return err_set(reterr, -r, "cannot read the boot id: %s", err_name(r));
	lease.holder = a->machine;
	kube.token = token;
	r = kube_client_new(a->loop, &kube, &a->client, reterr);
	if (r < 0)
		return r;
	r = servers_resolve(&a->servers, &a->join.servers);
	if (r == 0)
		r = registration_new(a->loop, a->client, &registration, &a->registration);
	if (r == 0)
		r = lease_new(a->loop, a->client, &lease, &a->lease);
	if (r == 0)
		r = renewal_new(a->loop, a->client, &renewal, token, &a->renewal);
	if (r == 0)
		r = loop_add_timer(a->loop, on_boot_timer, a, &a->boot_timer);
	return r < 0 ? err_set(reterr, -r, "cannot start the API client: %s", err_name(r)) : 0;
}

static int start_joined(struct agent *a, struct err *reterr)
{
	const struct datapath_callbacks datapath = {.on_network = want_apply, .on_event = on_event, .arg = a};
	int r = start_client(a, reterr);

	if (r == 0)
		r = datapath_new(a->loop, a->conf, a->health, &datapath, &a->datapath, reterr);
	if (r < 0)
		return r;
	set_state(a, AGENT_STARTING, "reading the cluster's state");
	boot(a);
	return 0;
}

static int start_ctl(struct agent *a, struct err *reterr)
{
	static const struct ctl_stream streams[] = {{CTL_VERB_MONITOR, CTL_TOPIC_MONITOR}};
	struct ctl_server_config c = {.path = a->conf->control_socket, .verbs = agent_verbs, .n_verbs = agent_n_verbs,
				      .streams = streams, .n_streams = ARRAY_LEN(streams), .on_subscribers = on_subscribers,
				      .arg = a};
	int r = file_mkdirs(a->conf->runtime_dir, 0755);

	if (r < 0)
		return err_set(reterr, -r, "cannot make %s: %s", a->conf->runtime_dir, err_name(r));
	if (*a->conf->control_group) {
		const struct group *g = getgrnam(a->conf->control_group);

		if (!g)
			return err_set(reterr, EINVAL, "control-group: there is no group %s", a->conf->control_group);
		c.has_read_gid = true;
		c.read_gid = g->gr_gid;
	}
	return ctl_server_new(a->loop, &c, &a->ctl, reterr);
}

static void on_stop(void *arg)
{
	struct agent *a = arg;

	log_event(LOG_INFO, "agent.stop", "stopping; the kernel keeps what is in force");
	loop_exit(a->loop, 0);
}

/* A reload changes what can change while running; the rest is named, and waits for a restart. */
static void on_reload(void *arg)
{
	struct agent *a = arg;
	CLEANUP(conf_free) struct conf *next = NULL;
	CLEANUP(strv_done) struct strv live = {0};
	CLEANUP(strv_done) struct strv restart = {0};
	struct err err = {0};
	int r = conf_load(a->conf_path, &next, &err);

	if (r == 0)
		r = conf_changed(a->conf, next, &live, &restart);
	if (r < 0) {
		health_raise(a->health, HEALTH_WARNING, "config.reload", err.text[0] ? err.text : err_name(r),
			     "correct the file, then reload again; the old configuration stays in use");
		return;
	}
	if (restart.n) {
		(void)err_set(&err, EBUSY, "%s can change with a restart only; nothing was changed", restart.v[0]); /* the text is what counts */
		health_raise(a->health, HEALTH_WARNING, "config.reload", err.text,
			     "systemctl restart mesh-external-agent; traffic is not disturbed");
		return;
	}
	health_clear(a->health, "config.reload");
	conf_swap_live(a->conf, next);
	log_set_level(a->conf->log_level);
	a->servers.is_stale = true; /* the failsafe set is made anew */
	if (a->world)
		a->world->routes_dirty = true; /* MTU, interfaces */
	log_event(LOG_INFO, "config.reload", "configuration read again");
	want_apply(a);
}

int agent_new(struct conf *conf, const char *conf_path, struct agent **ret, struct err *reterr)
{
	CLEANUP(agent_free) struct agent *a = calloc(1, sizeof(*a));
	int r;

	if (!a) {
		conf_free(conf);
		return -ENOMEM;
	}
	a->conf = conf;
	a->started_us = clock_boot_us();
	a->conf_path = strdup(conf_path);
	a->boot_backoff = calloc(1, sizeof(*a->boot_backoff));
	if (!a->conf_path || !a->boot_backoff)
		return -ENOMEM;
	r = loop_new(&a->loop);
	if (r == 0)
		r = health_new(&a->health);
	if (r == 0)
		r = loop_add_signal(a->loop, SIGTERM, on_stop, a, &a->signals[0]);
	if (r == 0)
		r = loop_add_signal(a->loop, SIGINT, on_stop, a, &a->signals[1]);
	if (r == 0)
		r = loop_add_signal(a->loop, SIGHUP, on_reload, a, &a->signals[2]);
	if (r == 0)
		r = loop_add_defer(a->loop, LOOP_IDLE, on_apply, a, &a->apply);
	if (r == 0)
		r = loop_add_timer(a->loop, on_apply, a, &a->apply_later);
	if (r == 0)
		r = loop_add_timer(a->loop, on_upkeep, a, &a->upkeep);
	if (r < 0)
		return err_set(reterr, -r, "cannot set up the event loop: %s", err_name(r));
	r = start_ctl(a, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	ctl_server_free(a->ctl);
	sync_free(a->sync);
	serving_free(a->serving);
	registration_free(a->registration);
	lease_free(a->lease);
	renewal_free(a->renewal);
	kube_cancel(a->boot_op);
	dns_server_free(a->dns);
	dns_zone_free(a->zone);
	datapath_free(a->datapath);
	world_free(a->world);
	kube_client_free(a->client);
	join_state_done(&a->join);
	for (size_t i = 0; i < ARRAY_LEN(a->signals); i++)
		source_free(a->signals[i]);
	source_free(a->apply);
	source_free(a->apply_later);
	source_free(a->upkeep);
	source_free(a->boot_timer);
	health_free(a->health);
	loop_free(a->loop);
	conf_free(a->conf);
	ARRAY_DONE(&a->own);
	servers_done(&a->servers);
	free(a->boot_backoff);
	free(a->conf_path);
	free(a->machine);
	free(a);
}

int agent_run(struct agent *a)
{
	struct err err = {0};
	int r = join_state_load(a->conf->state_dir, &a->join, &err);

	a->is_joined = r == 0;
	if (r == 0)
		r = start_joined(a, &err);
	if (r == -ENOENT && !a->is_joined) {
		health_raise(a->health, HEALTH_INFO, "join.none", "this host has not joined a cluster",
			     "mesh-join --token ..., with the token that meshctl host add prints");
		set_state(a, AGENT_NOT_JOINED, "not joined");
		r = 0;
	}
	if (r < 0) {
		log_event(LOG_ERR, "agent.start", err.text[0] ? err.text : "cannot start", F_ERRNO(r));
		return 1;
	}
	on_upkeep(a);
	(void)loop_enable_watchdog(a->loop); /* without systemd there is none */
	(void)sd_notify(0, "READY=1");	      /* likewise */
	return loop_run(a->loop) < 0 ? 1 : 0;
}

static void on_drained(size_t n_left, void *arg)
{
	struct agent *a = arg;

	if (n_left)
		log_event(LOG_WARNING, "leave.slices", "EndpointSlices of this host are left in the API: clients still try it",
			  F_U64("slices", n_left));
	registration_leave(a->registration);
}

int agent_leave(struct agent *a, struct ctl_call *call, struct err *reterr)
{
	if (!a->registration || a->state == AGENT_NOT_JOINED)
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	if (a->leaving)
		return err_set(reterr, EBUSY, "the host is leaving already");
	a->leaving = call;
	if (!a->serving || serving_drain(a->serving, on_drained, a) < 0)
		registration_leave(a->registration);
	return 0;
}
