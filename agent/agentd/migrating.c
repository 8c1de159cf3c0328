/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/migrating.h"

#include <errno.h>

#include "agentd/agent.h"
#include "agentd/migrating_watch.h"
#include "base/clock.h"
#include "base/log.h"
#include "join/state_file.h"
#include "json/json.h"

#define NAME "migrations.json"

enum {
	FILE_VERSION = 1,
	TICK_US = 1000 * 1000,
	AWAY_US = 5 * 1000 * 1000, /* while the cluster's state is not known, or is frozen */
	RUNNING_MAX = 16, /* at a time: each asks its pods once a second */
	LOOK_ROLE = 1 << 8, /* beside MIGRATION_SAVE and others: the endpoint has something else to say */
};

/* A migration with what the daemon has for it. */
struct one {
	struct migrating *g;
	struct migration m;
	struct migrating_watch *watch;
	uint64_t seen_us; /* of the last tick; 0 = none yet */
	bool is_role_known;
	struct migration_role role; /* that was last asked for */
	char text[160]; /* why it stands by */
};

struct migrating {
	struct agent *a;
	struct source *timer;
	struct http *http;
	struct one **v; /* sorted by Service */
	size_t n;
	bool is_damaged;
};

static void one_free(struct one *o)
{
	if (!o)
		return;
	migrating_watch_free(o->watch);
	migration_done(&o->m);
	free(o);
}

static struct one *find(const struct migrating *g, const char *service)
{
	for (size_t i = 0; i < g->n; i++)
		if (str_eq(g->v[i]->m.service, service))
			return g->v[i];
	return NULL;
}

/* Takes the migration. */
static int add(struct migrating *g, struct migration *m, struct one **ret)
{
	struct one *o = calloc(1, sizeof(*o));
	struct one **v = realloc(g->v, (g->n + 1) * sizeof(*v));
	size_t i = g->n;
	int r = o && v ? migrating_watch_new(g->a->loop, g->http, &o->m, &o->watch) : -ENOMEM;

	if (v)
		g->v = v;
	if (r < 0) {
		free(o);
		return r;
	}
	o->g = g;
	o->m = *m;
	*m = (struct migration){0};
	for (; i > 0 && strcmp(g->v[i - 1]->m.service, o->m.service) > 0; i--)
		g->v[i] = g->v[i - 1];
	g->v[i] = o;
	g->n++;
	*ret = o;
	return 0;
}

static void drop(struct migrating *g, struct one *o)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] != o)
			g->v[n++] = g->v[i];
	g->n = n;
	one_free(o);
}

/* The file */

static const char *cluster_of(const struct migrating *g)
{
	return g->a->join.cluster_uid ? g->a->join.cluster_uid : "";
}

static int save(struct migrating *g, struct err *reterr)
{
	CLEANUP(json_decref) json_t *list = json_array(), *doc = NULL;
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; i < g->n; i++)
		r |= json_array_append_new(list, migration_to_json(&g->v[i]->m));
	doc = json_pack("{s:i, s:s, s:s, s:O}", "version", FILE_VERSION, "cluster", cluster_of(g), "namespace",
			g->a->join.namespace, "migrations", list);
	if (r || !doc)
		r = err_set(&err, ENOMEM, "out of memory");
	else
		r = g->n ? state_file_save(g->a->conf->state_dir, NAME, doc, &err) : state_file_remove(g->a->conf->state_dir, NAME, &err);
	if (r == 0) {
		health_clear(g->a->health, "migrate.state");
		return 0;
	}
	health_raise(g->a->health, HEALTH_ERROR, "migrate.state", err.text,
		     "make the state directory writable: a restart of the daemon would forget how far a migration is");
	return err_set(reterr, -r, "%s", err.text);
}

static int load_all(struct migrating *g, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "migrations"), *v;
	size_t i;
	int r = json_int(doc, "version", 0) == FILE_VERSION && json_is_array(list) ? 0 : -EBADMSG;

	/* The host has joined anew: what it did elsewhere is nothing here. */
	if (r == 0 && (!str_eq(json_str(doc, "cluster", ""), cluster_of(g)) ||
		       !str_eq(json_str(doc, "namespace", ""), g->a->join.namespace)))
		return 0;
	json_array_foreach(list, i, v) {
		CLEANUP(migration_done) struct migration m = {0};
		struct one *o;

		if (r == 0)
			r = migration_from_json(v, &m);
		if (r == 0 && find(g, m.service))
			r = -EBADMSG;
		if (r < 0)
			return r;
		m.restarts += migration_is_running(&m) && m.restarts < UINT16_MAX;
		r = add(g, &m, &o);
	}
	return r;
}

static int load(struct migrating *g)
{
	CLEANUP(json_decref) json_t *doc = NULL;
	struct err err = {0};
	int r = state_file_load(g->a->conf->state_dir, NAME, &doc, &err);

	if (r == -ENOENT)
		return 0;
	if (r == 0) {
		r = load_all(g, doc);
		if (r == -EBADMSG)
			(void)err_set(&err, EBADMSG, "%s/" NAME " is of another version or damaged", g->a->conf->state_dir);
	}
	if (r == 0 || r == -ENOMEM)
		return r;
	g->is_damaged = true;
	while (g->n)
		drop(g, g->v[0]);
	health_raise(g->a->health, HEALTH_ERROR, "migrate.state", err.text,
		     "what this host has published stays as it is, and no migration begins: look with kubectl get endpointslices at "
		     "whether it is ready, then remove the file, restart the daemon, and migrate to where it should be");
	return 0;
}

/* What is there */

static bool find_service(const struct migrating *g, const char *name, struct service_view *ret)
{
	const char *ns = g->a->join.namespace;

	return service_table_find(g->a->world->services, ns, strlen(ns), name, strlen(name), ret) && ret->service;
}

static int backends_of(const struct migrating *g, const struct service_view *v, const struct migration_check *check,
		       struct migration_backends *ret)
{
	if (!check->port)
		return 0;
	return migration_backends_of(v, check->port, g->a->own.v, g->a->own.n, ret);
}

static size_t count_pods(const struct migrating *g, const char *service)
{
	CLEANUP(migration_backends_done) struct migration_backends b = {0};
	struct migration_check check;
	struct service_view v;

	if (!find_service(g, service, &v))
		return 0;
	check = migration_check_of(v.service, g->a->conf);
	(void)backends_of(g, &v, &check, &b); /* out of memory: fewer are known, and the host takes more */
	return b.n;
}

static struct ip own_address(const struct migrating *g, uint8_t family)
{
	for (size_t i = 0; i < g->a->own.n; i++)
		if (g->a->own.v[i].family == family && !ip_is_special(&g->a->own.v[i]))
			return g->a->own.v[i];
	return (struct ip){0};
}

void migrating_role(const char *service, struct serve_role *ret, void *arg)
{
	struct migrating *g = arg;
	struct one *o = find(g, service);
	struct migration_role role;

	*ret = (struct serve_role){.is_held = g->is_damaged};
	if (!o)
		return;
	role = migration_role_now(&o->m, count_pods(g, service));
	(void)snprintf(o->text, sizeof(o->text), "%s; meshctl migrate status", /* it fits */
		       migration_is_running(&o->m) ? "a migration lets the pods have their turn" : "migrated to the pods: it stands by");
	*ret = (struct serve_role){.is_standby = !role.is_active, .weight = role.weight, .text = o->text};
}

/* At work */

static void tell(const struct one *o, size_t pods)
{
	const struct migration *m = &o->m;
	uint32_t share = migration_share_now(m, pods);

	if (m->state == MIGRATION_ROLLED_BACK)
		log_event(LOG_WARNING, "migrate.rolled-back", "a migration was taken back", F_STR("service", m->service),
			  F_STR("reason", m->reason));
	else if (!m->waiting[0])
		log_event(LOG_INFO, "migrate.step", "a migration went on", F_STR("service", m->service),
			  F_STR("to", migration_side_str(m->conf.to)), F_STR("state", migration_state_str(m)),
			  F_U64("step", m->step), F_U64("host_permille", share), F_U64("pods", pods));
}

/* One condition for all that were taken back, until the next migration of the Service. */
static void raise_rolled_back(struct migrating *g)
{
	CLEANUP(buf_done) struct buf text = {0};

	for (size_t i = 0; i < g->n; i++)
		if (g->v[i]->m.state == MIGRATION_ROLLED_BACK)
			(void)buf_addf(&text, "%sthe migration of %s was taken back: %s", text.len ? "; " : "",
				       g->v[i]->m.service, g->v[i]->m.reason); /* out of memory: one is missing */
	if (text.data)
		health_raise(g->a->health, HEALTH_WARNING, "migrate.rolled-back", text.data,
			     "solve what the text names, then: meshctl migrate SERVICE; or forget it: meshctl migrate abort SERVICE");
	else
		health_clear(g->a->health, "migrate.rolled-back");
}

static void view_of(struct one *o, const struct service_view *v, const struct serving_state *st, struct migration_view *ret)
{
	ret->is_host_known = st->is_known;
	ret->is_host_ready = st->is_ready;
	ret->host_text = st->health;
	if (!v->service)
		ret->obstacle = "the Service is not there";
	else if (st->text && st->is_refused)
		ret->refusal = st->text;
	ret->obstacle = ret->obstacle ? ret->obstacle : st->text;
	if (!ret->obstacle && !o->is_role_known)
		ret->obstacle = "not published yet";
}

/* Looks at one; *flags gets what follows. Returns when to look again. */
static uint64_t look_at(struct migrating *g, struct one *o, unsigned *flags)
{
	CLEANUP(migration_backends_done) struct migration_backends pods = {0};
	struct migration_view view = {0};
	struct serving_state st = {.text = "this host stands behind no Service now"};
	struct migration_check check = {.is_blind = true};
	struct service_view v = {0};
	struct migration_role role;
	struct ip own = {0};
	uint64_t now = clock_boot_us();
	unsigned level = o->m.level, what;
	enum migration_state state = o->m.state;

	view.passed_us = o->seen_us ? now - o->seen_us : 0;
	o->seen_us = now;
	if (find_service(g, o->m.service, &v)) {
		check = migration_check_of(v.service, g->a->conf);
		if (backends_of(g, &v, &check, &pods) < 0)
			return TICK_US; /* no verdict from half of them */
		own = own_address(g, migration_family(v.service));
	}
	if (g->a->serving && serving_look(g->a->serving, o->m.service, &st) < 0)
		return TICK_US;
	view.pods = pods.n;
	view_of(o, &v, &st, &view);
	o->m.is_blind = check.is_blind;
	what = migration_tick(&o->m, &view);
	if (o->m.level != level || o->m.state != state)
		migrating_watch_begin(o->watch);
	if (migration_is_running(&o->m))
		migrating_watch_ask(o->watch, &check, &own, &pods);
	role = migration_role_now(&o->m, pods.n);
	if (!o->is_role_known || role.is_active != o->role.is_active || role.weight != o->role.weight)
		what |= LOOK_ROLE;
	o->is_role_known = true;
	o->role = role;
	if (what & MIGRATION_SAVE) {
		what |= LOOK_ROLE; /* the reason is another one, if nothing else */
		tell(o, pods.n);
	}
	*flags |= what;
	return MIN(role.next_us, (uint64_t)TICK_US);
}

static void arm(struct migrating *g, uint64_t delay_us)
{
	if (delay_us == UINT64_MAX)
		source_disarm(g->timer);
	else /* no turn is so short that a few milliseconds count */
		(void)source_arm(g->timer, MAX(delay_us, UINT64_C(20000)), 0); /* a live timer */
}

/* Follows all that run. What those have to say that have ended is asked for with each change of the Services. */
static void run(struct migrating *g)
{
	uint64_t next = UINT64_MAX, due;
	unsigned flags = 0;

	/* Half of a list would look like pods that are gone. */
	if (g->n && (g->a->state != AGENT_RUNNING || g->a->leaving)) {
		arm(g, AWAY_US);
		return;
	}
	for (size_t i = 0; i < g->n; i++) {
		struct one *o = g->v[i];

		if (!migration_is_running(&o->m) && o->is_role_known)
			continue;
		due = look_at(g, o, &flags);
		if (migration_is_running(&o->m) || !o->is_role_known)
			next = MIN(next, due);
	}
	if (flags & MIGRATION_SAVE) {
		(void)save(g, NULL); /* raised as a condition; it goes on as long as we live */
		raise_rolled_back(g);
	}
	if (flags & LOOK_ROLE && g->a->serving)
		serving_roles_changed(g->a->serving);
	arm(g, next);
}

static void on_timer(void *arg)
{
	run(arg);
}

int migrating_new(struct agent *a, struct migrating **ret, struct err *reterr)
{
	CLEANUP(migrating_free) struct migrating *g = calloc(1, sizeof(*g));
	int r = g ? loop_add_timer(a->loop, on_timer, g, &g->timer) : -ENOMEM;

	if (r == 0) {
		g->a = a;
		r = http_new(a->loop, NULL, &g->http);
	}
	if (r == 0)
		r = load(g);
	if (r < 0)
		return err_set(reterr, -r, "cannot set up migrations: %s", err_name(r));
	raise_rolled_back(g);
	if (g->n)
		arm(g, TICK_US);
	*ret = TAKE_PTR(g);
	return 0;
}

void migrating_free(struct migrating *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		one_free(g->v[i]);
	free(g->v);
	source_free(g->timer);
	http_free(g->http);
	free(g);
}

/* By hand */

static int need_state(const struct migrating *g, struct err *reterr)
{
	if (!g->is_damaged)
		return 0;
	return err_set(reterr, EIO, "the state of migrations, %s/" NAME ", is damaged: see meshctl status", g->a->conf->state_dir);
}

int migrating_look(struct migrating *g, const char *service, struct migrating_facts *ret, struct err *reterr)
{
	CLEANUP(migration_backends_done) struct migration_backends pods = {0};
	const struct one *o = find(g, service);
	struct service_view v;
	int r = need_state(g, reterr);

	if (r < 0)
		return r;
	if (!g->a->serving || !find_service(g, service, &v))
		return err_set(reterr, ENOENT, "there is no Service %.80s in namespace %s", service, g->a->join.namespace);
	*ret = (struct migrating_facts){.service = v.service, .check = migration_check_of(v.service, g->a->conf),
					.base = {.by = MIGRATION_BY_TURNS, .level = MIGRATION_ALL}};
	if (o)
		ret->base = migration_rest_of(&o->m);
	r = serving_look(g->a->serving, service, &ret->host);
	if (r == 0)
		r = backends_of(g, &v, &ret->check, &pods);
	if (r < 0)
		return err_set(reterr, -r, "%s", err_name(r));
	ret->pods = pods.n;
	if (!ret->host.is_served)
		return err_set(reterr, ENOENT, "this host does not stand behind %s: %s", service, ret->host.text);
	if (o && migration_is_running(&o->m))
		return err_set(reterr, EBUSY, "%s is being migrated already: meshctl migrate status %s, or abort %s", service,
			       service, service);
	return 0;
}

static int allows_weights(const struct migrating *g, const struct kube_service *s, struct err *reterr)
{
	const struct cilium_config *c = &g->a->config;
	const char *own = c->has_algorithm_annotation ? kube_pairs_get(&s->annotations, "service.cilium.io/lb-algorithm") : NULL;

	if (own ? !str_eq(own, "maglev") : !c->has_maglev)
		return err_set(reterr, ENOTSUP, "weights count with Maglev only, and %s of this cluster says otherwise",
			       own ? "service.cilium.io/lb-algorithm" : "bpf-lb-algorithm");
	if (s->type == KUBE_SERVICE_CLUSTER_IP && s->n_external_ips == 0)
		return err_set(reterr, ENOTSUP, "weights count for clients outside of the cluster, and %s has none: it is a ClusterIP", s->name);
	return 0;
}

int migrating_allows(const struct migrating *g, const struct migrating_facts *f, const struct migration_conf *c,
		     struct err *reterr)
{
	const char *name = f->service->name;
	int r = c->by == MIGRATION_BY_WEIGHTS ? allows_weights(g, f->service, reterr) : 0;

	if (r < 0)
		return r;
	if (f->service->is_headless && c->step_pm < MIGRATION_ALL)
		return err_set(reterr, ENOTSUP, "%s is headless: clients pick among the addresses that DNS tells, so there are no "
			       "shares; --step 100%% moves it at once", name);
	if (migration_is_final(c, f->base.level))
		return err_set(reterr, ENOENT, "%s: this host %s already", name,
			       c->to == MIGRATION_PODS ? "stands by for the pods" : "has all that it can have");
	if (c->to == MIGRATION_PODS && c->by == MIGRATION_BY_TURNS && f->pods == 0)
		return err_set(reterr, ENOENT, "%s: no pod is ready behind it, so there is nobody to move to", name);
	if (c->to == MIGRATION_HOST && f->host.is_known && !f->host.is_ready)
		return err_set(reterr, EIO, "%s: this host is not ready: %s", name, f->host.health ? f->host.health : "");
	return 0;
}

int migrating_start(struct migrating *g, const char *service, const struct migration_conf *c, struct err *reterr)
{
	CLEANUP(migration_done) struct migration m = {0};
	struct migrating_facts f;
	struct one *o, *old = find(g, service);
	size_t n_running = 0;
	int r = migrating_look(g, service, &f, reterr);

	if (r == 0)
		r = migrating_allows(g, &f, c, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n; i++)
		n_running += migration_is_running(&g->v[i]->m);
	if (n_running >= RUNNING_MAX)
		return err_set(reterr, EBUSY, "%zu migrations are under way, more than that are too many at a time", n_running);
	r = migration_init(&m, service, c, &f.base);
	if (r == 0)
		r = add(g, &m, &o);
	if (r < 0)
		return err_set(reterr, -r, "%s", err_name(r));
	if (old) { /* equal names: the new one stands behind it; where the host stands is the same in both */
		o->is_role_known = old->is_role_known;
		o->role = old->role;
		drop(g, old);
	}
	r = save(g, reterr);
	if (r < 0) { /* as the host stands is kept: the old one is only a memory less */
		o->m.state = MIGRATION_ABORTED;
		return r;
	}
	raise_rolled_back(g);
	log_event(LOG_INFO, "migrate.start", "a migration begins", F_STR("service", service), F_STR("to", migration_side_str(c->to)),
		  F_STR("by", migration_by_str(c->by)), F_U64("pods", f.pods));
	run(g);
	return 0;
}

static int by_hand(struct migrating *g, const char *service, struct one **ret, struct err *reterr)
{
	int r = need_state(g, reterr);

	if (r < 0)
		return r;
	*ret = find(g, service);
	return *ret ? 0 : err_set(reterr, ENOENT, "there is no migration of %.80s", service);
}

int migrating_pause(struct migrating *g, const char *service, bool is_paused, struct err *reterr)
{
	struct one *o;
	int r = by_hand(g, service, &o, reterr);

	if (r == 0)
		r = migration_pause(&o->m, is_paused, reterr);
	if (r == 0)
		r = save(g, reterr);
	if (r == 0)
		run(g);
	return r;
}

int migrating_abort(struct migrating *g, const char *service, struct err *reterr)
{
	struct service_view v;
	struct one *o;
	int r = by_hand(g, service, &o, reterr);

	if (r < 0)
		return r;
	if (migration_is_running(&o->m)) {
		r = migration_abort(&o->m, reterr);
		migrating_watch_begin(o->watch);
	} else if (migration_rest_of(&o->m).level == MIGRATION_ALL || !find_service(g, service, &v)) { /* the memory of one */
		drop(g, o);
		o = NULL;
	} else if (o->m.state == MIGRATION_ROLLED_BACK) { /* forgets the trouble, not where the host stands */
		o->m.state = MIGRATION_ABORTED;
	} else {
		r = err_set(reterr, ESRCH, "the migration of %s has ended: to move it back, meshctl migrate %s --to %s", service, service,
			    migration_side_str(migration_other(o->m.conf.to)));
	}
	if (r < 0)
		return r;
	if (o)
		o->is_role_known = false; /* told anew */
	r = save(g, reterr);
	raise_rolled_back(g);
	run(g);
	return r;
}

void migrating_each(struct migrating *g, migrating_fn fn, void *arg)
{
	for (size_t i = 0; i < g->n; i++) {
		struct migration_check check = {.is_blind = true};
		struct service_view v;

		if (find_service(g, g->v[i]->m.service, &v))
			check = migration_check_of(v.service, g->a->conf);
		fn(&g->v[i]->m, count_pods(g, g->v[i]->m.service), &check, arg);
	}
}
