/* SPDX-License-Identifier: Apache-2.0 */
/* CiliumEndpoints, one by one or in CiliumEndpointSlices. */
#include "agentd/sync_private.h"

#include <errno.h>

/* Endpoints, one by one */

static struct endpoint_info info_of(const struct kube_endpoint *e)
{
	return (struct endpoint_info){
		/* Cilium takes an endpoint without identity for an unmanaged one. */
		.identity = e->identity ? e->identity : IDENTITY_UNMANAGED,
		.key = e->key,
		.node = e->node,
		.addr = e->addr,
		.n_addr = e->n_addr,
	};
}

static void set_endpoint(struct feed *f, const struct kube_endpoint *e, const char *slice)
{
	struct endpoint_info info = info_of(e);
	int r;

	if (!kube_endpoint_is_usable(e)) {
		/* Without an address it is nothing yet, or no more; malformed it must not be used. */
		if (e->is_refused)
			sync_reject(f, e->ns, e->name, "a field is malformed or over a limit");
		if (e->ns[0] && e->name[0])
			endpoint_table_remove(f->sync->t.endpoints, e->ns, e->name, slice);
		return;
	}
	r = port_claims_intern(f->sync->t.ports, e->ports, e->n_ports, &info.ports);
	if (r == 0)
		r = endpoint_table_set(f->sync->t.endpoints, e->ns, e->name, slice, &info);
	port_claims_put(f->sync->t.ports, info.ports); /* who has them holds them */
	if (r < 0)
		sync_failed(f, e->ns, e->name, r, NULL);
}

static void endpoint_begin(void *arg)
{
	kube_endpoint_clear(&((struct feed *)arg)->sync->endpoint);
}

static void endpoint_pick(const struct json_pick *p, void *arg)
{
	kube_cep_pick(&((struct feed *)arg)->sync->endpoint, p);
}

static void on_endpoint(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	const struct kube_endpoint *e = &f->sync->endpoint;

	(void)doc;
	if (is_deleted)
		endpoint_table_remove(f->sync->t.endpoints, e->ns, e->name, NULL);
	else
		set_endpoint(f, e, NULL);
	sync_changed(f->sync);
}

static void endpoint_replace_begin(void *arg)
{
	endpoint_table_replace_begin(((struct feed *)arg)->sync->t.endpoints);
}

static void endpoint_replace_end(void *arg)
{
	struct feed *f = arg;

	endpoint_table_replace_end(f->sync->t.endpoints);
	sync_changed(f->sync);
}

const struct reflector_ops sync_endpoint_ops = {
	.on_begin = endpoint_begin,
	.on_pick = endpoint_pick,
	.on_object = on_endpoint,
	.on_replace_begin = endpoint_replace_begin,
	.on_replace_end = endpoint_replace_end,
};

/* Endpoints in slices */

static void slice_begin(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	kube_ces_clear(&s->ces);
}

static void slice_pick(const struct json_pick *p, void *arg)
{
	kube_ces_pick(&((struct feed *)arg)->sync->ces, p);
}

static void on_slice_object(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	struct sync *s = f->sync;

	(void)doc;
	if (!s->ces.slice[0] || s->ces.is_refused)
		sync_failed(f, s->ces.ns, s->ces.slice, s->ces.has_no_memory ? -ENOMEM : -EINVAL,
			    "the slice has no name or is over a limit");
	if (!s->ces.slice[0] || s->ces.has_no_memory)
		return;
	endpoint_table_slice_begin(s->t.endpoints);
	for (size_t i = 0; !is_deleted && !s->ces.is_refused && i < s->ces.n_endpoints; i++) {
		struct kube_endpoint *e = &s->ces.endpoints[i];

		memcpy(e->ns, s->ces.ns, sizeof(e->ns));
		set_endpoint(f, e, s->ces.slice);
	}
	endpoint_table_slice_end(s->t.endpoints, s->ces.slice);
	sync_changed(s);
}

const struct reflector_ops sync_endpoint_slice_ops = {
	.on_begin = slice_begin,
	.on_pick = slice_pick,
	.on_object = on_slice_object,
	.on_replace_begin = endpoint_replace_begin,
	.on_replace_end = endpoint_replace_end,
};
