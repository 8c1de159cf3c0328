/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/migrating.h"

#include <errno.h>

#include "agentd/agent.h"
#include "agentd/migrating_private.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	TICK_US = 1000 * 1000,
	AWAY_US = 5 * 1000 * 1000, /* while the cluster's state is not known, or is frozen */
	LOOK_ROLE = 1 << 8, /* beside MIGRATION_SAVE and others: the endpoint has something else to say */
};

bool migrating_find_service(const struct migrating *g, const char *name, struct service_view *ret)
{
	const char *ns = g->a->join.namespace;

	return service_table_find(g->a->world->services, ns, strlen(ns), name, strlen(name), ret) && ret->service;
}

int migrating_backends(const struct migrating *g, const struct service_view *v, const struct migration_check *check,
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

	if (!migrating_find_service(g, service, &v))
		return 0;
	check = migration_check_of(v.service, g->a->conf);
	(void)migrating_backends(g, &v, &check, &b); /* out of memory: fewer are known, and the host takes more */
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
	struct migrating_one *o = migrating_find(g, service);
	struct migration_role role;

	*ret = (struct serve_role){.is_held = g->is_damaged};
	if (!o)
		return;
	role = migration_role_now(&o->m, count_pods(g, service));
	(void)snprintf(o->text, sizeof(o->text), "%s; meshctl migrate status", /* it fits */
		       migration_is_running(&o->m) ? "a migration lets the pods have their turn" : "migrated to the pods: it stands by");
	*ret = (struct serve_role){.is_standby = !role.is_active, .weight = role.weight, .text = o->text};
}

static void tell(const struct migrating_one *o, size_t pods)
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

void migrating_tell_rolled_back(struct migrating *g)
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

static void view_of(struct migrating_one *o, const struct service_view *v, const struct serving_state *st, struct migration_view *ret)
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
static uint64_t look_at(struct migrating *g, struct migrating_one *o, unsigned *flags)
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
	if (migrating_find_service(g, o->m.service, &v)) {
		check = migration_check_of(v.service, g->a->conf);
		if (migrating_backends(g, &v, &check, &pods) < 0)
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

void migrating_run(struct migrating *g)
{
	uint64_t next = UINT64_MAX, due;
	unsigned flags = 0;

	/* Half of a list would look like pods that are gone. */
	if (g->n && (g->a->state != AGENT_RUNNING || g->a->leaving)) {
		arm(g, AWAY_US);
		return;
	}
	for (size_t i = 0; i < g->n; i++) {
		struct migrating_one *o = g->v[i];

		if (!migration_is_running(&o->m) && o->is_role_known)
			continue;
		due = look_at(g, o, &flags);
		if (migration_is_running(&o->m) || !o->is_role_known)
			next = MIN(next, due);
	}
	if (flags & MIGRATION_SAVE) {
		(void)migrating_save(g, NULL); /* raised as a condition; it goes on as long as we live */
		migrating_tell_rolled_back(g);
	}
	if (flags & LOOK_ROLE && g->a->serving)
		serving_roles_changed(g->a->serving);
	arm(g, next);
}

static void on_timer(void *arg)
{
	migrating_run(arg);
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
		r = migrating_load(g);
	if (r < 0)
		return err_set(reterr, -r, "cannot set up migrations: %s", err_name(r));
	migrating_tell_rolled_back(g);
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
		migrating_one_free(g->v[i]);
	free(g->v);
	source_free(g->timer);
	http_free(g->http);
	free(g);
}

void migrating_each(struct migrating *g, migrating_fn fn, void *arg)
{
	for (size_t i = 0; i < g->n; i++) {
		struct migration_check check = {.is_blind = true};
		struct service_view v;

		if (migrating_find_service(g, g->v[i]->m.service, &v))
			check = migration_check_of(v.service, g->a->conf);
		fn(&g->v[i]->m, count_pods(g, g->v[i]->m.service), &check, arg);
	}
}
