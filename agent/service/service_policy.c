/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service_policy.h"

#include <errno.h>

#include "base/array.h"
#include "base/str.h"
#include "json/json.h"

static json_t *pairs_json(const struct kube_pairs *p)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < p->n; i++)
		if (json_object_set_new(o, p->v[i].key, json_string(p->v[i].value)) < 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static int tell_service(const struct service_view *view, policy_service_fn fn, void *arg)
{
	CLEANUP(json_decref) json_t *labels = pairs_json(&view->service->labels);
	CLEANUP(json_decref) json_t *selector = pairs_json(&view->service->selector);
	struct policy_service svc = {.ns = view->service->ns, .name = view->service->name, .labels = labels,
				     .selector = selector};
	ARRAY(struct ip) backends = {0};
	int r = labels && selector ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < view->n_slices; i++)
		for (size_t j = 0; r == 0 && j < view->slices[i]->n_addrs; j++)
			r = ARRAY_ADD(&backends, view->slices[i]->addrs[j].ip);
	if (r == 0) {
		svc.backends = backends.v;
		svc.n_backends = backends.n;
		r = fn(&svc, arg);
	}
	ARRAY_DONE(&backends);
	return r;
}

struct service_walk {
	const struct service_table *t;
	const char *ns, *name;
	policy_service_fn fn;
	void *arg;
};

static int on_service(const struct kube_service *s, void *arg)
{
	struct service_walk *walk = arg;
	struct service_view view;

	if ((walk->ns && !str_eq(walk->ns, s->ns)) || (walk->name && !str_eq(walk->name, s->name)))
		return 0;
	if (!service_table_find(walk->t, s->ns, strlen(s->ns), s->name, strlen(s->name), &view) ||
	    !view.service)
		return 0;
	return tell_service(&view, walk->fn, walk->arg);
}

static int each_service(void *ctx, const char *ns, const char *name, policy_service_fn fn, void *arg)
{
	struct service_walk walk = {.t = ctx, .ns = ns, .name = name, .fn = fn, .arg = arg};
	struct service_view view;

	if (!ns || !name)
		return service_table_each_service(walk.t, on_service, &walk);
	if (!service_table_find(walk.t, ns, strlen(ns), name, strlen(name), &view) || !view.service)
		return 0;
	return tell_service(&view, fn, arg);
}

struct policy_service_view service_policy_view(struct service_table *t)
{
	return (struct policy_service_view){.each = each_service, .ctx = t};
}
