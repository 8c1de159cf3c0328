/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "agentd/agent.h"
#include "agentd/migrating_private.h"
#include "join/state_file.h"
#include "json/json.h"

enum { FILE_VERSION = 1 };

void migrating_one_free(struct migrating_one *o)
{
	if (!o)
		return;
	migrating_watch_free(o->watch);
	migration_done(&o->m);
	free(o);
}

struct migrating_one *migrating_find(const struct migrating *g, const char *service)
{
	for (size_t i = 0; i < g->n; i++)
		if (str_eq(g->v[i]->m.service, service))
			return g->v[i];
	return NULL;
}

int migrating_add(struct migrating *g, struct migration *m, struct migrating_one **ret)
{
	struct migrating_one *o = calloc(1, sizeof(*o));
	struct migrating_one **v = realloc(g->v, (g->n + 1) * sizeof(*v));
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

void migrating_drop(struct migrating *g, struct migrating_one *o)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] != o)
			g->v[n++] = g->v[i];
	g->n = n;
	migrating_one_free(o);
}

static const char *cluster_of(const struct migrating *g)
{
	return g->a->join.cluster_uid ? g->a->join.cluster_uid : "";
}

int migrating_save(struct migrating *g, struct err *reterr)
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
		r = g->n ? state_file_save(g->a->conf->state_dir, MIGRATING_FILE, doc, &err) : state_file_remove(g->a->conf->state_dir, MIGRATING_FILE, &err);
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
		struct migrating_one *o;

		if (r == 0)
			r = migration_from_json(v, &m);
		if (r == 0 && migrating_find(g, m.service))
			r = -EBADMSG;
		if (r < 0)
			return r;
		m.restarts += migration_is_running(&m) && m.restarts < UINT16_MAX;
		r = migrating_add(g, &m, &o);
	}
	return r;
}

int migrating_load(struct migrating *g)
{
	CLEANUP(json_decref) json_t *doc = NULL;
	struct err err = {0};
	int r = state_file_load(g->a->conf->state_dir, MIGRATING_FILE, &doc, &err);

	if (r == -ENOENT)
		return 0;
	if (r == 0) {
		r = load_all(g, doc);
		if (r == -EBADMSG)
			(void)err_set(&err, EBADMSG, "%s/" MIGRATING_FILE " is of another version or damaged", g->a->conf->state_dir);
	}
	if (r == 0 || r == -ENOMEM)
		return r;
	g->is_damaged = true;
	while (g->n)
		migrating_drop(g, g->v[0]);
	health_raise(g->a->health, HEALTH_ERROR, "migrate.state", err.text,
		     "what this host has published stays as it is, and no migration begins: look with kubectl get endpointslices at "
		     "whether it is ready, then remove the file, restart the daemon, and migrate to where it should be");
	return 0;
}
