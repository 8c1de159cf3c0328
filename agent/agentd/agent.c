/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/agent.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "agentd/apply.h"
#include "agentd/forwarding.h"
#include "agentd/last_conf.h"
#include "agentd/membership.h"
#include "agentd/resolv_conf.h"
#include "agentd/stand_down.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "priv/priv.h"

enum {
	UPKEEP_S = 30,
	AUDIT_EVERY = 2, /* upkeeps: once a minute, without a wake-up of its own */
	RELEASE_S = 1,
};

void agent_out_of_memory(void *arg)
{
	struct agent *a = arg;

	log_event(LOG_ERR, "agent.memory",
		  "out of memory: starting anew, what is in force stays; give this host, or the unit's MemoryMax, more memory");
	loop_exit(a->loop, 1);
}

void agent_set_state(struct agent *a, enum agent_state state, const char *text)
{
	if (a->state != state)
		log_event(LOG_INFO, "agent.state", text);
	a->state = state;
	(void)sd_notifyf(0, "STATUS=%s", text); /* nobody has to listen */
}

static void on_event(const struct mesh_event *ev, void *arg)
{
	struct agent *a = arg;

	if (a->ctl && ctl_has_subscribers(a->ctl, CTL_TOPIC_MONITOR))
		agent_publish_event(a, ev);
}

/* Of nothing there would never be an event. */
static int may_subscribe(void *arg, const char *topic, struct err *reterr)
{
	const struct agent *a = arg;

	(void)topic; /* there is one */
	return a->is_joined ? 0 : err_set(reterr, ENOTCONN, "this host has not joined a cluster");
}

static void on_subscribers(void *arg, const char *topic, bool has_any)
{
	struct agent *a = arg;

	(void)topic; /* there is one */
	if (a->datapath)
		datapath_set_verdict_events(a->datapath, has_any);
}

/* What waits for us, as the network does when the host boots, may go on. */
static void tell_ready(struct agent *a)
{
	if (!a->is_ready_told)
		(void)sd_notify(0, "READY=1"); /* nobody has to listen */
	a->is_ready_told = true;
}

/* The host has left, and the tunnel device and the routes are about to go. */
static bool is_taking_down(const struct agent *a)
{
	return a->datapath && (!a->is_joined || a->has_stood_down) && !recon_net_status(datapath_net(a->datapath))->is_applied;
}

/* The interfaces that are there have their programs, if a policy is in force. */
static void on_network(void *arg)
{
	struct agent *a = arg;

	tell_ready(a);
	if (a->is_taking_down && !is_taking_down(a))
		loop_exit(a->loop, 0);
	apply_want(a);
}

/* DHCP and VPNs change the host's resolvers: no policy may cut off the new ones. */
void agent_follow_resolvers(struct agent *a)
{
	uint64_t stamp = resolv_conf_stamp();

	if (stamp == a->resolvers_stamp)
		return;
	a->resolvers_stamp = stamp;
	a->servers.is_stale = true; /* the failsafe set is made anew */
	if (names_follow_resolvers(a) < 0)
		a->resolvers_stamp = 0; /* looked at again with the next upkeep */
	(void)apply_servers(a); /* raised as a condition, and owed */
}

/* All that failed: what has been done since is not done again. */
static void on_retry(void *arg)
{
	struct agent *a = arg;

	if (health_has(a->health, "failsafe.write"))
		(void)apply_servers(a); /* still raised, if so; as the others */
	if (a->datapath)
		datapath_retry(a->datapath);
	if (a->sync && !a->has_stood_down && !a->leaving)
		names_retry(a);
	if (a->is_apply_owed)
		apply_now(a);
}

static void on_owed(void *arg)
{
	retry_want(((struct agent *)arg)->retry);
}

static void on_upkeep(void *arg)
{
	struct agent *a = arg;

	if (a->is_stopping) { /* the API server does not answer */
		loop_exit(a->loop, 0);
		return;
	}
	if (clock_boot_us() - a->started_us >= UPKEEP_S * USEC_PER_SEC)
		tell_ready(a); /* a host whose interfaces cannot be read for so long is not better off without network */
	if (a->keeping)
		keeping_look(a->keeping);
	if (a->datapath && ++a->n_upkeeps % AUDIT_EVERY == 0) {
		datapath_audit(a->datapath);
		filling_look(&a->filling, datapath_obj(a->datapath), a->n_applied, a->health);
	}
	if (a->datapath)
		datapath_look_at_tunnel(a->datapath);
	agent_follow_resolvers(a);
	if (a->resolver)
		resolver_look(a->resolver);
	retry_now(a->retry);
	apply_note_outage(a);
	membership_check(a);
	if (health_has(a->health, "register.address"))
		apply_want(a);
	if (health_has(a->health, "credential.save"))
		membership_save_token(a, kube_client_token(a->client));
	(void)source_arm(a->upkeep, UPKEEP_S * USEC_PER_SEC, UPKEEP_S / 6 * USEC_PER_SEC); /* a live timer */
}

/* Starting */

static int start_joined(struct agent *a, struct err *reterr)
{
	const struct datapath_callbacks datapath = {.on_network = on_network, .on_event = on_event, .on_owed = on_owed, .arg = a};
	int r = servers_give(&a->servers, &a->join.servers);

	if (r == 0)
		r = datapath_new(a->loop, a->conf, a->health, &datapath, &a->datapath, reterr);
	if (r == 0)
		r = keeping_new(a->loop, a->conf, a->health, &a->join, a->datapath, &a->keeping);
	if (r == 0)
		r = keeping_restore(a->keeping);
	if (r == 0) /* programs of an earlier run may be in force already */
		r = apply_servers(a);
	if (r < 0)
		return r;
	datapath_enforce(a->datapath);
	return membership_start(a, reterr);
}

static void note_no_group(struct agent *a)
{
	struct err err;

	(void)err_set(&err, EINVAL, "there is no group %s, so only root may ask the daemon", a->conf->control_group);
	health_raise(a->health, HEALTH_WARNING, "control.group", err.text,
		     "groupadd it, or correct control-group in the configuration, then: systemctl restart mesh-external-agent");
}

static int start_ctl(struct agent *a, struct err *reterr)
{
	static const struct ctl_stream streams[] = {{CTL_VERB_MONITOR, CTL_TOPIC_MONITOR}};
	struct ctl_server_config c = {.path = a->conf->control_socket, .verbs = agent_verbs, .n_verbs = agent_n_verbs,
				      .streams = streams, .n_streams = ARRAY_LEN(streams), .may_subscribe = may_subscribe,
				      .on_subscribers = on_subscribers, .arg = a};
	int r = file_mkdirs(a->conf->runtime_dir, 0755);

	if (r < 0)
		return err_set(reterr, -r, "cannot make %s: %s", a->conf->runtime_dir, err_name(r));
	if (*a->conf->control_group) {
		const struct group *g = getgrnam(a->conf->control_group);

		c.has_read_gid = g != NULL;
		if (g)
			c.read_gid = g->gr_gid;
		else
			note_no_group(a);
	}
	return ctl_server_new(a->loop, &c, &a->ctl, reterr);
}

/* What it is needed for may not be called for a while; the next agent starts both. */
static void on_privileged_gone(uint32_t events, void *arg)
{
	(void)events;
	(void)arg;
	priv_gone();
}

static void on_released(void *arg)
{
	loop_exit(((struct agent *)arg)->loop, 0);
}

static void on_stop(void *arg)
{
	struct agent *a = arg;

	if (a->is_stopping) {
		loop_exit(a->loop, 0);
		return;
	}
	a->is_stopping = true;
	log_event(LOG_INFO, "agent.stop", "stopping; the kernel keeps what is in force");
	if (a->keeping)
		keeping_flush(a->keeping);
	a->is_taking_down = is_taking_down(a);
	if (a->is_taking_down && source_arm(a->upkeep, RELEASE_S * USEC_PER_SEC, 0) == 0)
		return;
	/* Drained means that this is no restart: the next start may be another boot, which need not wait for the Lease. */
	if (a->lease && health_has(a->health, "serve.drained") && lease_release(a->lease, on_released, a) == 0 &&
	    source_arm(a->upkeep, RELEASE_S * USEC_PER_SEC, 0) == 0)
		return;
	loop_exit(a->loop, 0);
}

/* For a boot at which it cannot be used. */
static void keep_conf(struct agent *a)
{
	int r = last_conf_save(a->conf, a->conf_path ? a->conf_path : CONF_DEFAULT_PATH);

	if (r < 0)
		log_event(LOG_WARNING, "config.keep", "the configuration could not be kept for a boot with one that cannot be used", F_ERRNO(r));
}

/* A reload changes what can change while running; the rest is named, and waits for a restart. */
static void on_reload(void *arg)
{
	struct agent *a = arg;
	CLEANUP(conf_free) struct conf *next = NULL;
	CLEANUP(strv_done) struct strv live = {0};
	CLEANUP(strv_done) struct strv restart = {0};
	struct err err = {0};
	int r = conf_load_or_default(a->conf_path, &next, &err);

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
	health_clear(a->health, "config.file");
	conf_swap_live(a->conf, next);
	if (a->is_joined)
		keep_conf(a);
	log_set_level(a->conf->log_level);
	a->servers.is_stale = true; /* the failsafe set is made anew */
	if (a->world)
		a->world->routes_dirty = true; /* MTU, interfaces */
	(void)apply_servers(a); /* raised as a condition, and owed */
	if (a->serving && strv_has(&live, "health-probes") && serving_reload(a->serving) < 0)
		health_raise(a->health, HEALTH_ERROR, "config.reload", "no memory for the health probes: the old ones go on",
			     "systemctl restart mesh-external-agent, with more memory");
	if (a->forwards && strv_has(&live, "forwards") && forwarding_start(a) < 0)
		health_raise(a->health, HEALTH_ERROR, "config.reload", "no memory for all forwards: some are missing",
			     "systemctl restart mesh-external-agent, with more memory");
	log_event(LOG_INFO, "config.reload", "configuration read again");
	apply_want(a);
}

int agent_new(struct conf *conf, const char *conf_path, const struct err *wrong, struct agent **ret, struct err *reterr)
{
	CLEANUP(agent_free) struct agent *a = calloc(1, sizeof(*a));
	int r;

	if (!a) {
		conf_free(conf);
		return -ENOMEM;
	}
	a->conf = conf;
	a->started_us = clock_boot_us();
	a->conf_path = conf_path ? strdup(conf_path) : NULL;
	if (conf_path && !a->conf_path)
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
	if (r == 0 && priv_is_split())
		r = loop_add_io(a->loop, priv_fd(), 0, on_privileged_gone, a, &a->privileged);
	if (r == 0)
		r = loop_add_defer(a->loop, LOOP_IDLE, apply_now, a, &a->apply);
	if (r == 0)
		r = loop_add_timer(a->loop, apply_now, a, &a->apply_later);
	if (r == 0)
		r = retry_new(a->loop, on_retry, a, &a->retry);
	if (r == 0)
		r = loop_add_timer(a->loop, on_upkeep, a, &a->upkeep);
	if (r < 0)
		return err_set(reterr, -r, "cannot set up the event loop: %s", err_name(r));
	if (wrong->text[0])
		health_raise(a->health, HEALTH_ERROR, "config.file", wrong->text,
			     "correct the file, then: systemctl restart mesh-external-agent; what the daemon last ran with is in use");
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
	agent_end_calls(a);
	ctl_server_free(a->ctl);
	sync_free(a->sync);
	serving_free(a->serving);
	migrating_free(a->migrating);
	forwards_free(a->forwards);
	registration_free(a->registration);
	lease_free(a->lease);
	renewal_free(a->renewal);
	kube_cancel(a->boot_op);
	slicing_free(a->slicing);
	resolver_free(a->resolver);
	fqdn_free(a->fqdn);
	dns_server_free(a->dns);
	dns_redirect_free(a->redirect);
	dns_zone_free(a->zone);
	dns_zone_free(a->import_zone);
	keeping_free(a->keeping);
	datapath_free(a->datapath);
	guarding_free(a->guarding);
	shadowing_free(a->shadowing);
	agent_forget_isolation(a);
	world_free(a->world);
	kube_client_free(a->client);
	join_state_done(&a->join);
	doc_free(a->namespace_labels);
	for (size_t i = 0; i < ARRAY_LEN(a->signals); i++)
		source_free(a->signals[i]);
	source_free(a->privileged);
	source_free(a->apply);
	source_free(a->apply_later);
	retry_free(a->retry);
	source_free(a->upkeep);
	source_free(a->boot_timer);
	source_free(a->leave_timer);
	health_free(a->health);
	loop_free(a->loop);
	conf_free(a->conf);
	ARRAY_DONE(&a->own);
	ARRAY_DONE(&a->draining);
	servers_done(&a->servers);
	free(a->conf_path);
	free(a->machine);
	free(a);
}

/* A damaged one is replaced by the one that the daemon last ran with: of that, too, the last policy is known. */
static int load_state(struct agent *a, bool *ret_is_spare, struct err *reterr)
{
	const char *dir = a->conf->state_dir;
	int r = join_state_load(dir, &a->join, reterr);

	*ret_is_spare = r == -EBADMSG && join_state_load_spare(dir, &a->join, NULL) == 0;
	if (!*ret_is_spare)
		return r;
	log_event(LOG_ERR, "join.spare", reterr->text, F_STR("remedy", "its copy is used, and put in its place: see whether the disk is well"));
	*reterr = (struct err){0};
	return 0;
}

/* For a boot at which the file is damaged; if it was so now, it is mended. */
static void keep_state(struct agent *a, bool is_spare)
{
	const char *dir = a->conf->state_dir;
	struct err err = {0};
	int r = is_spare ? join_state_save(dir, &a->join, &err) : 0;

	if (r == 0)
		r = join_state_keep_spare(dir, &a->join, &err);
	if (r < 0)
		log_event(LOG_WARNING, "join.keep", err.text, F_ERRNO(r));
}

int agent_run(struct agent *a)
{
	struct err err = {0};
	bool is_spare;
	int r = load_state(a, &is_spare, &err);

	a->is_joined = r == 0;
	if (r == 0) {
		r = priv_drop(&err);
		if (r == 0)
			r = start_joined(a, &err);
		if (r == 0)
			keep_state(a, is_spare);
		if (r == 0 && !health_has(a->health, "config.file"))
			keep_conf(a);
	} else if (r == -ENOENT) {
		/* a leave may have been cut short */
		r = stand_down_rest(a->conf, &err);
		if (join_state_finish_removal(a->conf->state_dir, r < 0 ? NULL : &err) < 0 || r < 0)
			log_event(LOG_WARNING, "leave.rest", "not all that an earlier membership left is taken down",
				  F_STR("reason", err.text));
		health_raise(a->health, HEALTH_INFO, "join.none", "this host has not joined a cluster",
			     "mesh-join --token ..., with the token that meshctl host add prints");
		agent_set_state(a, AGENT_NOT_JOINED, "not joined");
		r = priv_drop(&err);
	}
	if (r < 0) {
		log_event(LOG_ERR, "agent.start", err.text[0] ? err.text : "cannot start", F_ERRNO(r));
		return 1;
	}
	on_upkeep(a);
	(void)loop_enable_watchdog(a->loop); /* without systemd there is none */
	if (!a->is_joined)
		tell_ready(a);
	r = loop_run(a->loop);
	if (a->datapath)
		datapath_set_dns(a->datapath, false); /* nobody answers there any more */
	names_leave_resolver(a);
	return r < 0 ? 1 : 0;
}
