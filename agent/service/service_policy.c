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

struct backends {
	struct ip *v;
	size_t n, cap;
};

/* As Cilium's ParseEndpointSliceV1: what serves no more is no backend, what terminates and still serves is one. */
static int add_slice(const struct kube_slice *s, struct backends *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_endpoints; i++) {
		const struct kube_slice_endpoint *ep = &s->endpoints[i];

		if (!(ep->conditions & (KUBE_EP_READY | KUBE_EP_SERVING)))
			continue;
		for (size_t j = 0; r == 0 && j < ep->n_addrs; j++)
			r = ARRAY_ADD(ret, s->addrs[ep->first_addr + j].ip);
	}
	return r;
}

struct service_walk {
	const struct service_table *t;
	const char *ns, *name;
	policy_service_fn fn;
	void *arg;
};

static int tell_service(const struct service_walk *walk, const struct service_view *view)
{
	const struct service_options *opt = service_table_options(walk->t);
	CLEANUP(json_decref) json_t *labels = NULL, *selector = NULL;
	struct policy_service svc = {.ns = view->service->ns, .name = view->service->name};
	struct backends backends = {0};
	int r;

	if (!service_is_own(view->service, opt))
		return 0;
	svc.labels = labels = pairs_json(&view->service->labels);
	svc.selector = selector = pairs_json(&view->service->selector);
	r = labels && selector ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < view->n_slices; i++)
		if (service_slice_counts(view->slices[i], opt))
			r = add_slice(view->slices[i], &backends);
	if (r == 0) {
		svc.backends = backends.v;
		svc.n_backends = backends.n;
		r = walk->fn(&svc, walk->arg);
	}
	ARRAY_DONE(&backends);
	return r;
}

static int on_service(const struct kube_service *s, void *arg)
{
	struct service_walk *walk = arg;
	struct service_view view;

	if ((walk->ns && !str_eq(walk->ns, s->ns)) || (walk->name && !str_eq(walk->name, s->name)))
		return 0;
	if (!service_table_find(walk->t, s->ns, strlen(s->ns), s->name, strlen(s->name), &view) ||
	    !view.service)
		return 0;
	return tell_service(walk, &view);
}

static int each_service(void *ctx, const char *ns, const char *name, policy_service_fn fn, void *arg)
{
	struct service_walk walk = {.t = ctx, .ns = ns, .name = name, .fn = fn, .arg = arg};
	struct service_view view;

	if (!ns || !name)
		return service_table_each_service(walk.t, on_service, &walk);
	if (!service_table_find(walk.t, ns, strlen(ns), name, strlen(name), &view) || !view.service)
		return 0;
	return tell_service(&walk, &view);
}

struct policy_service_view service_policy_view(struct service_table *t)
{
	return (struct policy_service_view){.each = each_service, .ctx = t};
}
