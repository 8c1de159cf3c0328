/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/membership.h"

#include <errno.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "agentd/apply.h"
#include "agentd/boot.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/str.h"
#include "crypto/secret.h"
#include "join/state_file.h"
#include "json/json.h"

enum {
	LEAVE_DRAIN_S = 10, /* of CTL_LEAVE_S, at most */
	STAND_DOWN_S = 120, /* a credential must be refused for so long before the host stands down */
	LASTING_S = 60,	    /* failures that end sooner are nothing to report */
};

#define REJOIN "mesh-join --token ... with a new token from: meshctl host add"
#define REENROL "mesh-join --token ... with the token of a new enrolment: meshctl host add NAME --namespace ... --labels ..."
#define CLONE_REMEDY "meshctl leave --force, then mesh-join with the token of: meshctl host add OTHER-NAME"

/* As configured for a host that was removed, or whose credential is refused for good. */
void membership_stand_down(struct agent *a)
{
	struct err err = {0};

	a->has_stood_down = true;
	keeping_forget(a->keeping);
	(void)datapath_remove(a->datapath, &err); /* the condition that led here stays */
	fqdn_stop(a->fqdn);
	names_leave_resolver(a);
}

/* The cluster takes us again. What was taken down is built by a new start, like any other. */
static void come_back(struct agent *a)
{
	if (!a->has_stood_down)
		return;
	log_event(LOG_INFO, "agent.restart", "the cluster knows this host again: starting anew");
	loop_exit(a->loop, 0);
}

/* Answers all who wait for the drain; takes `data`. */
static void end_drain(struct agent *a, int r, json_t *data, const struct err *err)
{
	while (a->draining.n)
		ctl_call_done(a->draining.v[--a->draining.n], r, json_incref(data), err);
	json_decref(data);
}

void agent_end_calls(struct agent *a)
{
	struct err err = {0};
	int r = err_set(&err, ECANCELED, "the daemon was stopped before it was done");

	end_drain(a, r, NULL, &err);
	if (a->leaving)
		ctl_call_done(TAKE_PTR(a->leaving), r, NULL, &err);
}

/* All that keeps a member a member; what the registration still needs stays. */
static void stop_membership(struct agent *a)
{
	/* of what is no more */
	static const char *const conditions[] = {"credential.renew",   "api.unauthorized", "host.enrolment",
						 "policy.audit",       "policy.guard",	   "policy.guard-restore",
						 "policy.guard-state", "policy.shadow",	   "policy.shadow-state",
						 "migrate.state",      "migrate.rolled-back", "serve.drained", "serve.zone",
						 "host.lease",	       "host.cloned",	   "host.removed",
						 "host.heartbeat",     "cluster.slices",   "cluster.unlisted",
						 "identity.outdated",  "identity.missing", "identity.foreign",
						 "agent.apply",	       "agent.start",	   "api.outage",
						 "api.suspicious",     "api.unreachable",  "cluster.config",
						 "cluster.degraded",   "cluster.masquerade", "cluster.other",
						 "cluster.underlay",   "dns.listen",	   "dns.redirect",
						 "dns.rules",	       "failsafe.write",   "forward.start",
						 "register.address",   "register.memory"};
	struct err err = {0};

	kube_cancel(a->boot_op);
	a->boot_op = NULL;
	slicing_free(TAKE_PTR(a->slicing));
	source_disarm(a->boot_timer);
	sync_free(a->sync);
	a->sync = NULL;
	serving_free(a->serving);
	a->serving = NULL;
	if (a->draining.n) /* their drain went with the serving */
		end_drain(a, err_set(&err, ECANCELED, "the host was taken out of the cluster before the drain was over"), NULL, &err);
	migrating_free(a->migrating);
	a->migrating = NULL;
	forwards_free(a->forwards);
	a->forwards = NULL;
	lease_free(a->lease);
	a->lease = NULL;
	renewal_free(a->renewal);
	a->renewal = NULL;
	guarding_free(a->guarding);
	a->guarding = NULL;
	shadowing_free(a->shadowing);
	a->shadowing = NULL;
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
		health_clear(a->health, conditions[i]);
}

static void on_left(struct agent *a, const char *first_step)
{
	json_t *steps = json_pack("{s:[s,s,s]}", "steps", first_step, "programs, maps and routes removed",
				  "credential deleted");
	struct err err = {0};
	int r = datapath_remove(a->datapath, &err);

	keeping_forget(a->keeping);
	fqdn_forget(a->fqdn);
	names_leave_resolver(a);
	if (r == 0)
		r = join_state_remove(a->conf->state_dir, &err);
	source_disarm(a->leave_timer);
	stop_membership(a);
	a->is_joined = r < 0;
	if (r < 0)
		health_raise(a->health, HEALTH_ERROR, "leave.failed", err.text, "solve it, then: meshctl leave");
	else
		health_clear(a->health, "leave.failed");
	agent_set_state(a, r < 0 ? AGENT_REVOKED : AGENT_NOT_JOINED,
		  r < 0 ? "left the cluster, but not all is taken down" : "left the cluster");
	ctl_call_done(a->leaving, r, steps, &err);
	a->leaving = NULL;
}

static void on_registration(enum registration_state state, void *arg)
{
	struct agent *a = arg;

	switch (state) {
	case REGISTRATION_REMOVED:
		health_clear(a->health, "host.enrolment");
		health_raise(a->health, HEALTH_ERROR, "host.removed", registration_error(a->registration), REENROL);
		agent_set_state(a, AGENT_REVOKED, "the cluster has removed this host; the last policy stays in force");
		if (a->conf->revoked_action == CONF_REVOKED_STAND_DOWN)
			membership_stand_down(a);
		break;
	case REGISTRATION_CHANGED:
		health_clear(a->health, "host.removed");
		health_raise(a->health, HEALTH_ERROR, "host.enrolment", registration_error(a->registration), REJOIN);
		agent_set_state(a, AGENT_CHANGED, "enrolment changed: join again with the new token; the last policy stays in force");
		break;
	case REGISTRATION_READY:
		health_clear(a->health, "host.removed");
		health_clear(a->health, "host.enrolment");
		come_back(a);
		if (a->state == AGENT_REVOKED || a->state == AGENT_CHANGED)
			agent_set_state(a, AGENT_STARTING, "registered again");
		apply_want(a);
		log_event(LOG_INFO, "register.ready", "the cluster knows this host");
		break;
	case REGISTRATION_LEFT:
		if (a->leaving)
			on_left(a, "endpoint disconnected");
		break;
	default:
		break;
	}
}

void membership_save_token(struct agent *a, const char *token)
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
	membership_save_token(a, token);
	health_clear(a->health, "api.unauthorized");
	health_clear(a->health, "credential.renew");
	if (a->sync)
		sync_kick(a->sync);
	if (a->serving)
		serving_kick(a->serving);
	registration_kick(a->registration);
	come_back(a);
}

void membership_refused(void *arg)
{
	struct agent *a = arg;

	health_raise(a->health, HEALTH_ERROR, "api.unauthorized",
		     "the API server does not accept this host's credential: the host was removed, or it was off for longer than a credential lives",
		     REJOIN);
	if (a->renewal)
		renewal_kick(a->renewal);
}

void membership_renewal_failed(const struct renewal_failure *failure, void *arg)
{
	struct agent *a = arg;
	time_t end = (time_t)failure->expires_s;
	char until[32] = "a time unknown", text[320];
	struct tm tm;

	if (clock_boot_us() - failure->since_us < LASTING_S * USEC_PER_SEC)
		return;
	if (failure->expires_s && gmtime_r(&end, &tm))
		(void)strftime(until, sizeof(until), "%Y-%m-%d %H:%M UTC", &tm); /* it fits */
	(void)snprintf(text, sizeof(text), "this host's credential cannot be renewed, and the one in use ends at %s: %.160s",
		       until, failure->reason); /* a cut text still tells most */
	health_raise(a->health, HEALTH_WARNING, "credential.renew", text,
		     "solve what the text names before that time; afterwards the host must join again: " REJOIN);
}

void membership_note_pending(struct agent *a, uint64_t since_us, const char *error)
{
	if (!since_us)
		health_clear(a->health, "register.pending");
	else if (clock_boot_us() - since_us >= LASTING_S * USEC_PER_SEC)
		health_raise(a->health, HEALTH_WARNING, "register.pending", error,
			     "the cluster may know this host's addresses and ports as they were; solve what the text names, "
			     "rights are given by: meshctl host add");
}

/* The heartbeat is for others: here nothing else shows that it does not arrive. */
static void note_lease(struct agent *a)
{
	char text[384];

	if (!a->lease || !*lease_error(a->lease) || a->state == AGENT_REVOKED) {
		health_clear(a->health, "host.heartbeat");
		return;
	}
	(void)snprintf(text, sizeof(text), "the cluster does not see that this host lives, nor could it tell a copy of this machine: %s",
		       lease_error(a->lease)); /* a cut text still tells most */
	health_raise(a->health, HEALTH_WARNING, "host.heartbeat", text,
		     "as the cluster's admin: meshctl host add, with this host's name; the host need not join again");
}

/* Nodes learn of us by the operator alone. */
static void note_unlisted(struct agent *a)
{
	if (!a->unlisted_us)
		health_clear(a->health, "cluster.unlisted");
	else if (clock_boot_us() - a->unlisted_us >= LASTING_S * USEC_PER_SEC)
		health_raise(a->health, HEALTH_WARNING, "cluster.unlisted",
			     "nodes do not know this host: no CiliumEndpointSlice holds its CiliumEndpoint",
			     "see whether cilium-operator runs, and without ces-controller-mode=slim, which makes slices of Pods alone");
}

/* One that only was not renewed in time, as after a long outage, is refused as well: then nobody has removed the host. */
static bool is_refused_for_good(const struct agent *a)
{
	int64_t expires_s = a->renewal ? renewal_expires_s(a->renewal) : 0;

	return kube_client_refused_us(a->client) > STAND_DOWN_S * USEC_PER_SEC &&
	       (!expires_s || kube_client_wall_us(a->client) / (int64_t)USEC_PER_SEC < expires_s);
}

void membership_check(struct agent *a)
{
	if (!a->client)
		return;
	if (!kube_client_is_refused(a->client))
		health_clear(a->health, "api.unauthorized"); /* a 401 from a server that was starting, or the like */
	else if (!health_has(a->health, "api.unauthorized"))
		membership_refused(a); /* to somebody who tells nobody, as the heartbeat */
	note_lease(a);
	note_unlisted(a);
	membership_note_pending(a, a->registration ? registration_failing_us(a->registration) : 0,
				a->registration ? registration_error(a->registration) : "");
	if (a->conf->revoked_action == CONF_REVOKED_STAND_DOWN && !a->has_stood_down && is_refused_for_good(a)) {
		agent_set_state(a, AGENT_REVOKED, "the credential is refused: standing down as configured");
		membership_stand_down(a);
	}
}

/* We go on; the copy is told by its own agent. */
static void on_lease_conflict(const char *other, void *arg)
{
	struct agent *a = arg;
	struct err err;

	if (!other) {
		health_clear(a->health, "host.cloned");
		return;
	}
	(void)err_set(&err, EBUSY, "another machine (boot %s) has this host's credential, as after cloning a disk; it is refused, this one goes on",
		      other);
	health_raise(a->health, HEALTH_WARNING, "host.cloned", err.text,
		     "on the other machine: " CLONE_REMEDY ". If its disk was stolen: meshctl host remove, and enrol this host anew");
}

/* Survives: when the other is down for a while, or our Lease was given back, this is no way to become it. */
static void note_copy(struct agent *a, const char *of)
{
	CLEANUP(json_decref) json_t *doc = json_pack("{s:s}", "of", of);
	struct err err = {0};

	if (state_file_save(a->conf->state_dir, JOIN_STATE_COPY, doc, &err) < 0)
		log_event(LOG_WARNING, "copy.save", err.text[0] ? err.text : "out of memory");
}

static bool is_copy(const struct agent *a)
{
	CLEANUP(json_decref) json_t *doc = NULL;

	return state_file_load(a->conf->state_dir, JOIN_STATE_COPY, &doc, NULL) != -ENOENT; /* a damaged one, too */
}

/* Until we hold the Lease, nothing is written in this host's name: see apply.c. */
static void on_lease_state(enum lease_state state, const char *other, void *arg)
{
	struct agent *a = arg;
	struct err err;

	switch (state) {
	case LEASE_WAITING:
		(void)err_set(&err, EBUSY, "the boot before (%s) did not end in order: what the cluster knows of this host stays until it "
			      "is clear that no copy of this machine runs, three minutes at most", other);
		health_raise(a->health, HEALTH_INFO, "host.lease", err.text, NULL);
		break;
	case LEASE_REFUSED:
		(void)err_set(&err, EBUSY, "this machine is a copy: another one (boot %s) has the same credential, and was there first. "
			      "Nothing is told to the cluster from here; policies are followed", other);
		note_copy(a, other);
		health_clear(a->health, "host.lease");
		health_raise(a->health, HEALTH_ERROR, "host.cloned", err.text,
			     CLONE_REMEDY ". If this is the one to stay: end the other, then " REJOIN);
		break;
	case LEASE_LOST: /* what is under way in its name ends with this process */
		log_event(LOG_ERR, "lease.lost", "another machine with this host's credential has taken its place: starting anew",
			  F_STR("boot", other));
		loop_exit(a->loop, 0);
		break;
	default:
		health_clear(a->health, "host.lease");
		health_clear(a->health, "host.cloned");
		apply_want(a);
		break;
	}
}

/* A server that moved has an address that no policy names: it is in the failsafe set before the first packet goes there. */
static void on_connect(const struct ip *ip, uint16_t port, void *arg)
{
	struct agent *a = arg;
	int r = servers_learn(&a->servers, ip, port);

	if (r > 0)
		r = apply_servers(a); /* raised as a condition, if it fails */
	if (r < 0)
		log_event(LOG_ERR, "failsafe.server", "an address of the API server may be cut off by policies", F_ERRNO(r));
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

static void on_leave_timer(void *arg);

static int start_client(struct agent *a, struct err *reterr)
{
	CLEANUP(secret_free) char *token = NULL;
	struct kube_conf kube = {.servers = (const char *const *)a->join.servers.v, .n_servers = a->join.servers.n,
				 .ca_pem = a->join.ca_pem, .on_connect = on_connect, .arg = a};
	const struct registration_conf registration = {.host = a->join.host, .namespace = a->join.namespace,
						       .identity = a->join.identity, .on_state = on_registration,
						       .on_unauthorized = membership_refused, .arg = a};
	struct lease_conf lease = {.host = a->join.host, .is_copy = is_copy(a), .on_state = on_lease_state, .on_conflict = on_lease_conflict,
				   .arg = a};
	const struct renewal_conf renewal = {.host = a->join.host, .on_token = on_token,
					      .on_failed = membership_renewal_failed, .arg = a};
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
	r = registration_new(a->loop, a->client, &registration, &a->registration);
	if (r == 0)
		r = lease_new(a->loop, a->client, &lease, &a->lease);
	if (r == 0)
		r = renewal_new(a->loop, a->client, &renewal, token, &a->renewal);
	if (r == 0)
		r = loop_add_timer(a->loop, boot_retry, a, &a->boot_timer);
	if (r == 0)
		r = loop_add_timer(a->loop, on_leave_timer, a, &a->leave_timer);
	return r < 0 ? err_set(reterr, -r, "cannot start the API client: %s", err_name(r)) : 0;
}

int membership_start(struct agent *a, struct err *reterr)
{
	int r = start_client(a, reterr);

	if (r == 0) {
		agent_set_state(a, AGENT_STARTING, "reading the cluster's state");
		boot_start(a);
	} else if (r != -ENOMEM) {
		health_raise(a->health, HEALTH_ERROR, "credential.load", reterr->text,
			     "systemctl restart mesh-external-agent, once what the text names is mended; if the credential is lost: " REJOIN);
		agent_set_state(a, AGENT_FROZEN, "without a credential: what is in force stays");
		r = 0;
	}
	return r;
}

/* Leaving */

static void on_drained(size_t n_left, void *arg)
{
	struct agent *a = arg;

	if (n_left)
		log_event(LOG_WARNING, "leave.slices", "EndpointSlices of this host are left in the API: clients still try it",
			  F_U64("slices", n_left));
	registration_leave(a->registration);
}

/* The API server is away: half a leave that goes on by itself, some day, would surprise everyone. */
static void on_leave_timer(void *arg)
{
	struct agent *a = arg;
	struct err err = {0};
	int r = 0;

	registration_stay(a->registration);
	/* A drain cannot be taken back: what it withdrew is published by a new one; unless a person drained the host before. */
	if (a->serving && !health_has(a->health, "serve.drained")) {
		serving_free(TAKE_PTR(a->serving));
		r = agent_serve(a);
	}
	if (r < 0)
		log_event(LOG_ERR, "serve.memory", "cannot stand behind services any more; restart the daemon", F_ERRNO(r));
	r = err_set(&err, EIO,
		    "the API server did not take part within %d s, so this host still is a member, as before. Try again when it is "
		    "back; or take this host's side down with: meshctl leave --force, and the cluster's with: meshctl host remove %s",
		    CTL_LEAVE_S, a->join.host);
	ctl_call_done(a->leaving, r, NULL, &err);
	a->leaving = NULL;
	apply_want(a);
}

int agent_leave(struct agent *a, bool is_forced, struct ctl_call *call, struct err *reterr)
{
	/* nothing can be withdrawn any more */
	bool is_removed = a->state == AGENT_REVOKED && a->client && kube_client_is_refused(a->client);

	if (!a->is_joined)
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	if (a->leaving)
		return err_set(reterr, EBUSY, "the host is leaving already");
	if (!is_forced && a->draining.n)
		return err_set(reterr, EBUSY, "a drain is under way, which has to end first");
	if (!is_forced && a->lease && lease_get_state(a->lease) == LEASE_REFUSED)
		return err_set(reterr, EEXIST, "this machine is a copy of another one, which is the member: what the cluster knows is about that one. "
			       "To take only this machine out: meshctl leave --force");
	a->leaving = call;
	if (is_forced || !a->registration) { /* without one, an earlier try took down this side in part */
		registration_free(TAKE_PTR(a->registration)); /* it would keep the host registered */
		on_left(a, "the API server was not asked: the cluster lists this host until meshctl host remove");
		return 0;
	}
	(void)source_arm(a->leave_timer, CTL_LEAVE_S * USEC_PER_SEC, 0); /* a live timer */
	if (!a->serving || is_removed || serving_drain(a->serving, LEAVE_DRAIN_S, on_drained, a) < 0)
		registration_leave(a->registration);
	return 0;
}

static void drained(struct agent *a, size_t n_left)
{
	json_t *data = json_pack("{s:I}", "slices_left", (json_int_t)n_left);

	end_drain(a, data ? 0 : -ENOMEM, data, NULL);
}

static void on_lease_given_back(void *arg)
{
	drained(arg, 0);
}

static void on_drained_alone(size_t n_left, void *arg)
{
	struct agent *a = arg;

	/* when the daemon itself stops, the network may be down */
	if (n_left || !a->is_last_drain || !a->lease || lease_release(a->lease, on_lease_given_back, a) < 0)
		drained(a, n_left);
}

int agent_drain(struct agent *a, bool is_last, struct ctl_call *call, struct err *reterr)
{
	int r;

	if (!a->serving)
		return err_set(reterr, ENOTCONN, "this host has not joined a cluster");
	if (a->leaving)
		return err_set(reterr, EBUSY, "the host is leaving, which drains it");
	a->is_last_drain |= is_last;
	r = ARRAY_ADD(&a->draining, call);
	if (r < 0 || a->draining.n > 1) /* one more who waits for the same */
		return r;
	if (lease_get_state(a->lease) != LEASE_HELD) { /* what is published is another machine's, or will be ours */
		on_drained_alone(0, a);
		return 0;
	}
	r = serving_drain(a->serving, UINT64_MAX, on_drained_alone, a);
	if (r == -EALREADY)
		on_drained_alone(0, a);
	else if (r < 0) {
		a->draining.n = 0;
		return err_set(reterr, -r, "%s", err_name(r));
	}
	health_raise(a->health, HEALTH_WARNING, "serve.drained", "this host was drained: it stands behind no Service",
		     "systemctl restart mesh-external-agent, to serve again");
	return 0;
}
