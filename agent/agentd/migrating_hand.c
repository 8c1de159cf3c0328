/* SPDX-License-Identifier: Apache-2.0 */
/* What a person asks of migrations: whether one could begin, to begin it, to hold it, to take it back. */
#include <errno.h>

#include "agentd/agent.h"
#include "agentd/migrating_private.h"
#include "base/log.h"

enum { RUNNING_MAX = 16 /* at a time: each asks its pods once a second */ };

static int need_state(const struct migrating *g, struct err *reterr)
{
	if (!g->is_damaged)
		return 0;
	return err_set(reterr, EIO, "the state of migrations, %s/" MIGRATING_FILE ", is damaged: see meshctl status", g->a->conf->state_dir);
}

int migrating_look(struct migrating *g, const char *service, struct migrating_facts *ret, struct err *reterr)
{
	CLEANUP(migration_backends_done) struct migration_backends pods = {0};
	const struct migrating_one *o = migrating_find(g, service);
	struct service_view v;
	int r = need_state(g, reterr);

	if (r < 0)
		return r;
	if (!g->a->serving || !migrating_find_service(g, service, &v))
		return err_set(reterr, ENOENT, "there is no Service %.80s in namespace %s", service, g->a->join.namespace);
	*ret = (struct migrating_facts){.service = v.service, .check = migration_check_of(v.service, g->a->conf),
					.base = {.by = MIGRATION_BY_TURNS, .level = MIGRATION_ALL}};
	if (o)
		ret->base = migration_rest_of(&o->m);
	r = serving_look(g->a->serving, service, &ret->host);
	if (r == 0)
		r = migrating_backends(g, &v, &ret->check, &pods);
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
	struct migrating_one *o, *old = migrating_find(g, service);
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
		r = migrating_add(g, &m, &o);
	if (r < 0)
		return err_set(reterr, -r, "%s", err_name(r));
	if (old) { /* equal names: the new one stands behind it; where the host stands is the same in both */
		o->is_role_known = old->is_role_known;
		o->role = old->role;
		migrating_drop(g, old);
	}
	r = migrating_save(g, reterr);
	if (r < 0) { /* as the host stands is kept: the old one is only a memory less */
		o->m.state = MIGRATION_ABORTED;
		return r;
	}
	migrating_tell_rolled_back(g);
	log_event(LOG_INFO, "migrate.start", "a migration begins", F_STR("service", service), F_STR("to", migration_side_str(c->to)),
		  F_STR("by", migration_by_str(c->by)), F_U64("pods", f.pods));
	migrating_run(g);
	return 0;
}

static int by_hand(struct migrating *g, const char *service, struct migrating_one **ret, struct err *reterr)
{
	int r = need_state(g, reterr);

	if (r < 0)
		return r;
	*ret = migrating_find(g, service);
	return *ret ? 0 : err_set(reterr, ENOENT, "there is no migration of %.80s", service);
}

int migrating_pause(struct migrating *g, const char *service, bool is_paused, struct err *reterr)
{
	struct migrating_one *o;
	int r = by_hand(g, service, &o, reterr);

	if (r == 0)
		r = migration_pause(&o->m, is_paused, reterr);
	if (r == 0)
		r = migrating_save(g, reterr);
	if (r == 0)
		migrating_run(g);
	return r;
}

int migrating_abort(struct migrating *g, const char *service, struct err *reterr)
{
	struct service_view v;
	struct migrating_one *o;
	int r = by_hand(g, service, &o, reterr);

	if (r < 0)
		return r;
	if (migration_is_running(&o->m)) {
		r = migration_abort(&o->m, reterr);
		migrating_watch_begin(o->watch);
	} else if (migration_rest_of(&o->m).level == MIGRATION_ALL || !migrating_find_service(g, service, &v)) { /* the memory of one */
		migrating_drop(g, o);
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
	r = migrating_save(g, reterr);
	migrating_tell_rolled_back(g);
	migrating_run(g);
	return r;
}
