/* SPDX-License-Identifier: Apache-2.0 */
/* What `meshctl migrate` asks for: plans, how far they are, and the words of a person. */
#include <errno.h>
#include <netinet/in.h>

#include "agentd/view.h"
#include "base/clock.h"
#include "ctl/ctl_verbs.h"
#include "json/json.h"
#include "netlink/sock_diag.h"

static void set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value); /* out of memory: it is missing */
}

static void note(json_t *notes, const char *text)
{
	(void)json_array_append_new(notes, json_string(text)); /* likewise */
}

static int read_args(const json_t *args, const char **ret_service, struct migration_conf *c, struct err *reterr)
{
	*ret_service = json_str(args, "service", "");
	return migration_args_read(args, c, reterr);
}

static int need(struct agent *a, struct err *reterr)
{
	int r = view_need_world(a, reterr);

	if (r == 0 && !a->migrating)
		return err_set(reterr, ENOTCONN, "this host is not a member any more");
	if (r == 0 && a->state != AGENT_RUNNING)
		return err_set(reterr, EBUSY, "the cluster's state is not known yet, or frozen; see meshctl status");
	return r;
}

/* Plans */

static json_t *check_json(const struct migration_check *check)
{
	const struct conf_probe *p = check->probe;
	bool is_http = p && p->type == CONF_PROBE_HTTP;
	json_t *o;

	if (check->is_blind)
		return NULL;
	o = json_pack("{s:s, s:i}", "type", !is_http ? "tcp" : p->is_tls ? "https" : "http", "host_port", check->host_port);
	if (is_http)
		set(o, "path", json_string(p->path));
	return o;
}

static json_t *step_json(const struct migration_conf *c, uint32_t level, size_t pods)
{
	struct migration_role role = migration_role(c->by, level, c->interval_s, pods, 0);
	uint64_t on_us, window_us = migration_window_us(level, c->interval_s, pods, &on_us);
	struct migration m = {.conf = *c, .level = level};
	json_t *o = json_pack("{s:I, s:I, s:b}", "host_permille",
			      (json_int_t)migration_expected_pm(c->by, level, c->interval_s, pods), "hold_ms",
			      (json_int_t)(migration_hold_us(&m, pods) / USEC_PER_MSEC), "standby", level == 0);

	if (role.weight)
		set(o, "weight", json_integer(role.weight));
	if (role.next_us != UINT64_MAX) {
		set(o, "on_ms", json_integer((json_int_t)(on_us / USEC_PER_MSEC)));
		set(o, "window_ms", json_integer((json_int_t)(window_us / USEC_PER_MSEC)));
	}
	return o;
}

static json_t *steps_json(const struct migration_conf *c, uint32_t level, size_t pods)
{
	json_t *list = json_array();

	while (!migration_is_final(c, level)) {
		level = migration_next_level(c, level, pods);
		(void)json_array_append_new(list, step_json(c, level, pods)); /* out of memory: it is missing */
	}
	return list;
}

/* What the shares do not say, and what cannot be had. */
static json_t *notes_json(const struct migrating_facts *f, const struct migration_conf *c)
{
	const struct kube_service *s = f->service;
	json_t *notes = json_array();
	struct err text;

	if (c->by == MIGRATION_BY_TURNS)
		note(notes, "shares are of new connections, over whole windows; those that are open stay where they are until they end");
	else
		note(notes, "shares are of new connections from outside of the cluster, and need Cilium 1.20 or newer, which this host cannot "
			    "see; clients in pods and on hosts share evenly until the last step");
	if (f->pods && c->by == MIGRATION_BY_TURNS) {
		uint32_t even = migration_even_pm(f->pods);

		(void)err_set(&text, 0, "beside %zu ready pod%s this host can have at most %u.%u%%: each endpoint gets the same%s", f->pods,
			      f->pods == 1 ? "" : "s", even / 10, even % 10,
			      c->to == MIGRATION_HOST ? "; what is left moves when the pods are scaled down" : "");
		note(notes, text.text);
	}
	if (c->to == MIGRATION_PODS)
		note(notes, "at the end this host stands by: it gets connections only while no pod is ready; to take it out, take away the "
			    "right (meshctl host add) or the annotation of the Service");
	if (f->check.is_blind)
		note(notes, "the Service has no TCP port: nothing is checked but whether endpoints are ready");
	else if (!f->check.probe)
		note(notes, "no health probe of type http or tcp is about a port of this Service: it is only checked whether TCP connects");
	if (s->affinity_s) {
		(void)err_set(&text, 0, "the Service has session affinity: a client of this host moves to a pod when it first stands by, and "
			      "stays there, also when it is taken back, until it has not come for %u s", s->affinity_s);
		note(notes, text.text);
	}
	if (s->has_traffic_distribution)
		note(notes, "the Service has a trafficDistribution: clients near to some endpoints see other shares");
	if (s->is_internal_local || s->is_external_local)
		note(notes, "the Service has a traffic policy Local: the clients that it is about see other shares");
	if (s->publish_not_ready)
		note(notes, "the Service publishes endpoints that are not ready: the pods are counted as if they all were");
	return notes;
}

int view_migrate_plan(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct migrating_facts f;
	struct migration_conf c;
	struct err refusal = {0};
	const char *service = "";
	json_t *o, *check;
	int r = need(a, reterr);

	if (r == 0)
		r = read_args(args, &service, &c, reterr);
	if (r == 0)
		r = migrating_look(a->migrating, service, &f, reterr);
	if (r < 0)
		return r;
	o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "service", service, "namespace",
		      a->join.namespace, "to", migration_side_str(c.to), "by", migration_by_str(c.by), "pods", (json_int_t)f.pods,
		      "host_permille", (json_int_t)migration_expected_pm(f.base.by, f.base.level, c.interval_s, f.pods), "interval_s",
		      (json_int_t)c.interval_s, "max_errors_permille", (json_int_t)c.max_errors_pm, "max_latency_factor",
		      (json_int_t)c.max_latency_factor, "steps", steps_json(&c, f.base.level, f.pods), "notes", notes_json(&f, &c));
	if (!o)
		return err_set(reterr, ENOMEM, "out of memory");
	check = check_json(&f.check);
	if (check)
		set(o, "check", check);
	if (migrating_allows(a->migrating, &f, &c, &refusal) < 0)
		set(o, "refusal", json_string(refusal.text));
	*ret = o;
	return 0;
}

/* How far they are */

static json_t *side_json(const struct migration_samples *s)
{
	struct migration_sample_view v;
	json_t *o;

	migration_samples_view(s, &v);
	o = json_pack("{s:I, s:I, s:I}", "checks", (json_int_t)s->checks, "errors", (json_int_t)s->errors, "latency_us",
		      (json_int_t)v.latency_us);
	if (s->text[0])
		set(o, "error", json_string(s->text));
	return o;
}

/* Open connections to the port; the kernel of this host counts them. */
static void add_connections(json_t *o, const struct migration_check *check)
{
	CLEANUP(sock_diag_free) struct sock_diag *d = NULL;
	uint64_t n;

	if (!check->is_blind && sock_diag_new(&d) == 0 && sock_diag_count(d, check->host_port, &n) == 0)
		set(o, "connections", json_integer((json_int_t)n));
}

static json_t *migration_json(const struct agent *a, const struct migration *m, size_t pods, const struct migration_check *check)
{
	struct migration_role role = migration_role_now(m, pods);
	bool is_running = migration_is_running(m);
	unsigned left = is_running ? migration_steps_left(&m->conf, m->level, pods) : 0;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:b, s:I, s:{s:o, s:o}}", "service", m->service,
			      "namespace", a->join.namespace, "to", migration_side_str(m->conf.to), "by",
			      migration_by_str(m->conf.by), "state", migration_state_str(m), "running", is_running, "step",
			      (json_int_t)m->step, "steps", (json_int_t)(m->step + left), "pods", (json_int_t)pods, "host_permille",
			      (json_int_t)migration_share_now(m, pods), "standby", !role.is_active, "restarts", (json_int_t)m->restarts,
			      "sides", "host", side_json(&m->sides[MIGRATION_HOST]), "pods", side_json(&m->sides[MIGRATION_PODS]));

	if (!o)
		return NULL;
	if (role.weight)
		set(o, "weight", json_integer(role.weight));
	if (m->state == MIGRATION_STEPPING) {
		set(o, "held_ms", json_integer((json_int_t)(m->held_us / USEC_PER_MSEC)));
		set(o, "hold_ms", json_integer((json_int_t)(migration_hold_us(m, pods) / USEC_PER_MSEC)));
	}
	if (m->waiting[0])
		set(o, "waiting", json_string(m->waiting));
	if (m->reason[0])
		set(o, "reason", json_string(m->reason));
	add_connections(o, check);
	return o;
}

struct walk {
	const struct agent *a;
	const char *service; /* NULL = all */
	json_t *list;
};

static void add(const struct migration *m, size_t pods, const struct migration_check *check, void *arg)
{
	struct walk *w = arg;

	if (!w->service || str_eq(w->service, m->service))
		(void)json_array_append_new(w->list, migration_json(w->a, m, pods, check)); /* out of memory: it is missing */
}

int view_migrate_status(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct walk w = {.a = a, .service = json_str(args, "service", NULL)};
	int r = view_need_world(a, reterr);

	if (r < 0)
		return r;
	w.list = json_array();
	if (a->migrating)
		migrating_each(a->migrating, add, &w);
	if (w.service && json_array_size(w.list) == 0) {
		json_decref(w.list);
		return err_set(reterr, ENOENT, "there is no migration of %.80s", w.service);
	}
	*ret = w.list;
	return 0;
}

/* Of one Service; {} if there is none. */
static json_t *one_json(struct agent *a, const char *service)
{
	struct walk w = {.a = a, .service = service, .list = json_array()};
	json_t *o;

	migrating_each(a->migrating, add, &w);
	o = json_array_size(w.list) ? json_incref(json_array_get(w.list, 0)) : json_object();
	json_decref(w.list);
	return o;
}

int view_migrate_start(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	struct migration_conf c;
	const char *service = "";
	int r = need(a, reterr);

	if (r == 0 && (a->draining.n || a->leaving || health_has(a->health, "serve.drained")))
		return err_set(reterr, EBUSY, "this host is drained: it stands behind no Service");
	if (r == 0)
		r = read_args(args, &service, &c, reterr);
	if (r == 0)
		r = migrating_start(a->migrating, service, &c, reterr);
	if (r < 0)
		return r;
	*ret = one_json(a, service);
	return 0;
}

int view_migrate_set(void *arg, const json_t *args, json_t **ret, struct err *reterr)
{
	struct agent *a = arg;
	const char *service = json_str(args, "service", ""), *action = json_str(args, "action", "");
	int r = need(a, reterr);

	if (r < 0)
		return r;
	if (str_eq(action, "pause") || str_eq(action, "resume"))
		r = migrating_pause(a->migrating, service, str_eq(action, "pause"), reterr);
	else if (str_eq(action, "abort"))
		r = migrating_abort(a->migrating, service, reterr);
	else
		r = err_set(reterr, EINVAL, "action: pause, resume or abort");
	if (r < 0)
		return r;
	*ret = one_json(a, service);
	return 0;
}
