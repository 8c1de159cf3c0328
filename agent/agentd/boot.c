/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/boot.h"

#include <errno.h>

#include "agentd/apply.h"
#include "agentd/membership.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "json/json.h"

enum { FROZEN_RETRY_S = 60 };

#define KUBE_SYSTEM_PATH "/api/v1/namespaces/kube-system"

#define FROZEN "frozen: what is in force stays"
#define REMEDY_CONFIG "as the cluster's admin: meshctl cluster check, which names the key that decides"

static void on_resumed(void *arg);

static void freeze(struct agent *a, const char *name, const char *text, const char *remedy)
{
	health_raise(a->health, HEALTH_ERROR, name, text, remedy);
	agent_set_state(a, AGENT_FROZEN, FROZEN);
	(void)source_arm(a->boot_timer, FROZEN_RETRY_S * USEC_PER_SEC, USEC_PER_SEC); /* a live timer */
}

static void on_namespace(const char *name, bool exists, const struct doc *labels, void *arg)
{
	struct agent *a = arg;

	if (exists && str_eq(name, a->join.namespace)) {
		doc_free(a->namespace_labels);
		a->namespace_labels = doc_copy(doc_is_object(labels) ? labels : doc_empty());
		apply_want(a); /* they are part of who we are */
	}
	if (a->zone)
		(void)dns_zone_set_namespace(a->zone, name, exists); /* names of it are NXDOMAIN then, not wrong */
	if (a->import_zone)
		(void)dns_zone_set_namespace(a->import_zone, name, exists); /* likewise */
}

static int read_config(struct agent *a, const json_t *configmap, struct cilium_config *ret, struct err *reterr)
{
	CLEANUP(strv_done) struct strv warnings = {0};
	CLEANUP(buf_done) struct buf text = {0};
	int r = cilium_config_parse(configmap, ret, reterr);

	if (r == 0)
		r = cilium_config_check(configmap, ret, &warnings, reterr);
	for (size_t i = 0; r == 0 && i < warnings.n; i++)
		r = buf_addf(&text, "%s%s", i ? "; " : "", warnings.v[i]);
	if (r < 0)
		return reterr->text[0] ? r : err_set(reterr, -r, "cannot read the cluster's configuration: %s", err_name(r));
	if (text.len)
		health_raise(a->health, HEALTH_WARNING, "cluster.degraded", text.data, REMEDY_CONFIG);
	else
		health_clear(a->health, "cluster.degraded");
	return 0;
}

void boot_config(const json_t *configmap, void *arg)
{
	struct agent *a = arg;
	struct cilium_config config;
	struct err err = {0};
	bool was_refused = health_has(a->health, "cluster.config");
	int r = read_config(a, configmap, &config, &err);

	if (r == -ENOMEM) { /* which says nothing of the configuration */
		agent_out_of_memory(a);
		return;
	}
	if (r < 0) {
		health_raise(a->health, HEALTH_ERROR, "cluster.config", err.text, "what is in force stays; " REMEDY_CONFIG);
		if (a->state == AGENT_STARTING || a->state == AGENT_RUNNING)
			agent_set_state(a, AGENT_FROZEN, FROZEN); /* until the ConfigMap changes: its watch tells */
		return;
	}
	health_clear(a->health, "cluster.config");
	if (!was_refused && cilium_config_same(&config, &a->config))
		return;
	log_event(LOG_INFO, "cluster.config", "the cluster's configuration changed: starting anew with it");
	loop_exit(a->loop, 0); /* the unit restarts us; the kernel keeps what is in force meanwhile */
}

int agent_serve(struct agent *a)
{
	const struct serving_roles roles = {.fn = migrating_role, .arg = a->migrating};

	return serving_new(a->loop, a->client, a->conf, &a->join, a->world->services, &roles, a->health, &a->serving);
}

/* The tables, and what looks at them. */
static int make_world(struct agent *a, struct err *reterr)
{
	int r = a->world ? 0 : world_new(&a->config, a->join.host, a->join.identity, a->conf, &a->world);

	if (r < 0)
		return err_set(reterr, -r, "cannot make the tables: %s", err_name(r));
	if (!a->guarding)
		r = guarding_new(a->loop, a->conf->state_dir, a->health, a->world->gate, apply_want, a, &a->guarding, reterr);
	if (r == 0 && !a->shadowing)
		r = shadowing_new(a->conf->state_dir, a->health, a->world->policies, a->world->gate, &a->shadowing, reterr);
	return r;
}

static int bind_kernel(struct agent *a, struct err *reterr)
{
	int r = datapath_bind(a->datapath, a->world);

	if (r < 0)
		return err_set(reterr, -r, "cannot read what an earlier run left in the maps: %s", err_name(r));
	r = apply_servers(a);
	return r < 0 ? err_set(reterr, -r, "cannot write the failsafe set: %s", err_name(r)) : 0;
}

static int start_sync(struct agent *a, struct err *reterr)
{
	const struct sync_callbacks callbacks = {.on_change = apply_want, .on_namespace = on_namespace, .on_config = boot_config,
						 .on_unauthorized = membership_refused, .on_memory = agent_out_of_memory,
						 .on_resumed = on_resumed, .arg = a};
	const struct sync_tables tables = {.identities = a->world->identities, .policies = a->world->gate,
					   .services = a->world->services, .imports = a->world->imports,
					   .endpoints = a->world->endpoints, .ports = a->world->ports, .nodes = a->world->nodes,
					   .cilium_namespace = a->join.cilium_namespace,
					   .ignores_knp = a->config.ignores_knp, .ignores_cnp = a->config.ignores_cnp,
					   .ignores_ccnp = a->config.ignores_ccnp,
					   .has_node_labels = a->config.has_node_selector_labels};
	int r = sync_new(a->loop, a->client, a->has_slices, &tables, &callbacks, &a->sync);

	return r < 0 ? err_set(reterr, -r, "cannot start to read from the API server: %s", err_name(r)) : 0;
}

/* Each step is taken once: after a failure, which is one of memory or of the kernel, the next call goes on with the step that failed. */
static int start_world(struct agent *a, struct err *reterr)
{
	int r = make_world(a, reterr);

	if (r == 0)
		r = bind_kernel(a, reterr);
	if (r == 0 && a->conf->dns.is_enabled)
		r = names_start(a, reterr);
	if (r == 0 && !a->migrating)
		r = migrating_new(a, &a->migrating, reterr);
	if (r < 0)
		return r;
	r = a->serving ? 0 : agent_serve(a);
	if (r < 0)
		return err_set(reterr, -r, "cannot stand behind services: %s", err_name(r));
	return start_sync(a, reterr); /* the last step, as what it reads goes to the others */
}

static void retry_boot(struct agent *a)
{
	(void)source_arm(a->boot_timer, backoff_next_us(&a->boot_backoff, clock_boot_us()), 0); /* a live timer */
}

static void boot_later(struct agent *a, const struct kube_result *res)
{
	char text[320];

	if (res->r == -EACCES)
		membership_refused(a);
	(void)snprintf(text, sizeof(text), "API server %s: %.200s",
		       res->server ? res->server : kube_client_server(a->client), res->message); /* a cut text still tells most */
	health_raise(a->health, HEALTH_WARNING, "api.unreachable", text, res->r == -EPERM ? REMEDY_RIGHTS : REMEDY_API);
	retry_boot(a);
}

static void start_failed(struct agent *a, const struct err *why)
{
	health_raise(a->health, HEALTH_ERROR, "agent.start", why->text,
		     "what is in force stays, and it is tried again; if it lasts, solve what the text names");
	retry_boot(a);
}

static void begin(struct agent *a, bool has_slices)
{
	struct err err = {0};

	if (a->state == AGENT_FROZEN)
		agent_set_state(a, AGENT_STARTING, "reading the cluster's state");
	lease_kick(a->lease); /* while the lists come */
	a->has_slices = has_slices;
	if (start_world(a, &err) < 0) {
		start_failed(a, &err);
		return;
	}
	health_clear(a->health, "agent.start");
	backoff_reset(&a->boot_backoff);
}

static void on_slices_known(bool has_slices, const struct kube_result *failure, void *arg)
{
	if (failure)
		boot_later(arg, failure);
	else
		begin(arg, has_slices);
}

static void on_slices_made(void *arg)
{
	struct agent *a = arg;

	log_event(LOG_INFO, "cluster.slices", "the cluster has CiliumEndpointSlices now: starting anew with them");
	loop_exit(a->loop, 0);
}

/* Asks first whether slices are where endpoints are. */
static int begin_sliced(struct agent *a)
{
	const struct slicing_conf conf = {.on_known = on_slices_known, .on_made = on_slices_made, .arg = a};
	int r = a->slicing ? 0 : slicing_new(a->loop, a->client, a->health, &conf, &a->slicing);

	if (r == 0)
		slicing_ask(a->slicing);
	return r;
}

static void on_boot_config(const struct kube_result *res, void *arg)
{
	struct agent *a = arg;
	struct err err = {0};
	int r;

	a->boot_op = NULL;
	if (res->r < 0) {
		boot_later(a, res);
		return;
	}
	health_clear(a->health, "api.unreachable");
	r = read_config(a, res->body, &a->config, &err);
	if (r == -ENOMEM) {
		start_failed(a, &err);
		return;
	}
	if (r < 0) {
		freeze(a, "cluster.config", err.text, "what is in force stays; " REMEDY_CONFIG);
		return;
	}
	health_clear(a->health, "cluster.config");
	if (!a->config.has_slices)
		begin(a, false);
	else if (begin_sliced(a) < 0)
		agent_out_of_memory(a);
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
	apply_want(a);
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
	CLEANUP(free) char *path = cilium_config_path(a->join.cilium_namespace);
	struct kube_request req = {.path = path, .on_done = on_boot_config, .arg = a};
	int r;

	a->boot_op = NULL;
	if (res->r < 0) {
		boot_later(a, res);
		return;
	}
	if (!is_own_cluster(a, uid))
		return;
	health_clear(a->health, "cluster.other");
	r = path ? kube_start(a->client, &req, &a->boot_op) : -ENOMEM;
	if (r < 0)
		boot_later(a, &(struct kube_result){.r = r, .message = err_name(r)});
}

void boot_start(struct agent *a)
{
	struct kube_request req = {.path = KUBE_SYSTEM_PATH, .on_done = on_boot_cluster, .arg = a};
	int r = kube_start(a->client, &req, &a->boot_op);

	if (r < 0)
		boot_later(a, &(struct kube_result){.r = r, .message = err_name(r)});
}

void boot_retry(void *arg)
{
	struct agent *a = arg;

	agent_follow_resolvers(a); /* the network may have come meanwhile, and the server have a name */
	if (a->sync) {
		verify(a);
	} else if (a->world) { /* half made, of what the API server said a moment ago */
		begin(a, a->has_slices);
	} else {
		boot_start(a);
	}
}
