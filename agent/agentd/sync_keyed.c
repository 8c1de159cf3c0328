/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds whose documents are kept elsewhere, under their names: policies, Services, EndpointSlices, ServiceImports. */
#include "agentd/sync_private.h"

#include <errno.h>

#include "base/log.h"
#include "base/str.h"
#include "json/json.h"

static enum policy_kind policy_kind_of(enum kind kind)
{
	switch (kind) {
	case KIND_CCNP:
		return POLICY_CCNP;
	case KIND_CIDR_GROUP:
		return POLICY_CIDR_GROUP;
	case KIND_KNP:
		return POLICY_KNP;
	default:
		return POLICY_CNP;
	}
}

/* One that cannot be read stays, and forbids: the gate sees to it. */
static bool is_policy(enum kind kind)
{
	return kind != KIND_SERVICE && kind != KIND_SLICE && kind != KIND_IMPORT;
}

static void remove_keyed(const char *ns, const char *name, void *arg)
{
	struct feed *f = arg;
	struct sync *s = f->sync;

	switch (f->kind) {
	case KIND_SERVICE:
		service_table_remove(s->t.services, ns, name);
		break;
	case KIND_SLICE:
		service_table_remove_slice(s->t.services, ns, name);
		service_table_remove_slice(s->t.imports, ns, name);
		break;
	case KIND_IMPORT:
		service_table_remove(s->t.imports, ns, name);
		break;
	default:
		(void)policy_gate_remove(s->t.policies, policy_kind_of(f->kind), ns, name); /* 0 or 1 */
	}
}

/* By its labels it is of a Service or of a ServiceImport, and of the one no more if they are changed. */
static int upsert_slice(struct sync *s, const struct doc *doc, const char *ns, const char *name, struct err *err)
{
	struct kube_slice *slice;
	int r = kube_slice_decode(doc, &slice, err);

	if (r < 0)
		return r;
	service_table_remove_slice(slice->is_import ? s->t.services : s->t.imports, ns, name);
	return service_table_upsert_slice(slice->is_import ? s->t.imports : s->t.services, slice);
}

static int upsert_keyed(struct feed *f, const struct doc *doc, const char *ns, const char *name, struct err *err)
{
	struct sync *s = f->sync;
	struct kube_service *service;
	int r;

	switch (f->kind) {
	case KIND_SERVICE:
		r = kube_service_decode(doc, &service, err);
		return r < 0 ? r : service_table_upsert(s->t.services, service);
	case KIND_SLICE:
		return upsert_slice(s, doc, ns, name, err);
	case KIND_IMPORT:
		r = kube_service_import_decode(doc, &service, err);
		return r < 0 ? r : service_table_upsert(s->t.imports, service);
	default:
		return policy_gate_set(s->t.policies, policy_kind_of(f->kind), doc, err);
	}
}

/* Cilium was told not to read such policies: they are read here, so that nothing waits for them, and left out. */
static bool is_ignored(const struct feed *f)
{
	const struct sync_tables *t = &f->sync->t;

	return (f->kind == KIND_KNP && t->ignores_knp) || (f->kind == KIND_CNP && t->ignores_cnp) ||
	       (f->kind == KIND_CCNP && t->ignores_ccnp);
}

/* It may forbid something, and comes again when there is room: nothing comes into force without it. Returns -errno `r`, or -ENOMEM. */
static int follow_room(struct feed *f, const char *ns, const char *name, int r)
{
	if (r != -ENOSPC || !is_policy(f->kind)) {
		key_set_remove(f->left_out, ns, name);
		return r;
	}
	log_event(LOG_ERR, "sync.room", "there is no room for a policy", F_STR("kind", reflector_name(f->reflector)),
		  F_STR("namespace", ns), F_STR("name", name));
	return key_set_add(f->left_out, ns, name) == -ENOMEM ? -ENOMEM : r; /* past LIMIT_KEYS others are noted */
}

static void on_keyed(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	const char *ns = doc_str_at(doc, "metadata.namespace", "");
	const char *name = doc_str_at(doc, "metadata.name", "");
	struct err err = {0};
	int r;

	if (is_ignored(f))
		return;
	if (is_deleted) {
		key_set_remove(f->keys, ns, name);
		key_set_remove(f->left_out, ns, name);
		remove_keyed(ns, name, f);
	} else {
		r = key_set_add(f->keys, ns, name);
		if (r == 0)
			r = upsert_keyed(f, doc, ns, name, &err);
		r = follow_room(f, ns, name, r);
		if (r < 0 && (r != -ENOSPC || !is_policy(f->kind))) {
			if (r != -ENOMEM && !is_policy(f->kind))
				remove_keyed(ns, name, f); /* what it was before is not what the cluster has */
			sync_failed(f, ns, name, r, err.text);
		}
	}
	sync_changed(f->sync);
}

static void keyed_replace_begin(void *arg)
{
	struct feed *f = arg;

	key_set_replace_begin(f->keys);
	key_set_replace_begin(f->left_out);
}

static void ignore_key(const char *ns, const char *name, void *arg)
{
	(void)ns;
	(void)name;
	(void)arg;
}

static void keyed_replace_end(void *arg)
{
	struct feed *f = arg;

	key_set_replace_end(f->keys, remove_keyed, f);
	key_set_replace_end(f->left_out, ignore_key, f);
	sync_changed(f->sync);
}

const struct reflector_ops sync_keyed_ops = {
	.on_object = on_keyed,
	.on_replace_begin = keyed_replace_begin,
	.on_replace_end = keyed_replace_end,
};
