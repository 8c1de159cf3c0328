/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/sync_private.h"

#include <errno.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/kube_object.h"

enum { REREAD_S = 120 };

void sync_changed(struct sync *s)
{
	s->cb.on_change(s->cb.arg);
}

void sync_reject(struct feed *f, const char *ns, const char *name, const char *why)
{
	f->rejected++;
	log_event(LOG_WARNING, "sync.rejected", "an object is not fit for use and is left out",
		  F_STR("kind", reflector_name(f->reflector)), F_STR("namespace", ns), F_STR("name", name),
		  F_STR("reason", why));
}

/* An object that is left out stays out; one that memory was lacking for must not, as it may forbid something. */
void sync_failed(struct feed *f, const char *ns, const char *name, int r, const char *why)
{
	if (r != -ENOMEM) {
		sync_reject(f, ns, name, why && *why ? why : err_name(r));
		return;
	}
	log_event(LOG_ERR, "sync.memory", "no memory for an object", F_STR("kind", reflector_name(f->reflector)),
		  F_STR("namespace", ns), F_STR("name", name));
	f->sync->cb.on_memory(f->sync->cb.arg);
}

/* Namespaces and the ConfigMap */

static void on_namespace(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	const char *name = doc_str_at(doc, "metadata.name", "");
	int r = 0;

	if (is_deleted)
		key_set_remove(f->keys, "", name);
	else
		r = key_set_add(f->keys, "", name);
	if (r < 0)
		sync_failed(f, "", name, r, NULL);
	else
		f->sync->cb.on_namespace(name, !is_deleted, doc_at(doc, "metadata.labels"), f->sync->cb.arg);
}

static void namespace_gone(const char *ns, const char *name, void *arg)
{
	struct feed *f = arg;

	(void)ns;
	f->sync->cb.on_namespace(name, false, NULL, f->sync->cb.arg);
}

static void namespace_replace_begin(void *arg)
{
	key_set_replace_begin(((struct feed *)arg)->keys);
}

static void namespace_replace_end(void *arg)
{
	struct feed *f = arg;

	key_set_replace_end(f->keys, namespace_gone, f);
	sync_changed(f->sync);
}

static const struct reflector_ops namespace_ops = {
	.on_object = on_namespace,
	.on_replace_begin = namespace_replace_begin,
	.on_replace_end = namespace_replace_end,
};

/* What is read of a ConfigMap, for those that get it as a tree elsewhere, too. NULL when out of memory. */
static json_t *config_map(const struct doc *from)
{
	CLEANUP(json_decref) json_t *map = json_pack("{s:{}}", "data");
	json_t *data = json_object_get(map, "data");

	for (struct doc_iter i = doc_members(from); map && i.v; doc_next(&i))
		if (doc_is_string(i.v) && json_object_set_new(data, i.key, json_string(doc_str(i.v))) < 0)
			return NULL;
	return TAKE_PTR(map);
}

static void on_config(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	const struct doc *data = doc_get(doc, "data");
	const char *name = doc_str_at(doc, "metadata.name", "");
	CLEANUP(json_decref) json_t *map = NULL;

	if (is_deleted)
		return; /* it says nothing new: the cluster runs on */
	if ((data && !doc_is_object(data)) || doc_object_size(data) > LIMIT_CONFIG_KEYS) {
		sync_reject(f, NULL, name, "data is no map, or has too many keys");
		return;
	}
	map = config_map(data);
	if (map)
		f->sync->cb.on_config(map, f->sync->cb.arg);
	else
		sync_failed(f, NULL, name, -ENOMEM, NULL);
}

static void config_replace_begin(void *arg)
{
	(void)arg; /* one that is not listed any more is as one that is deleted */
}

static void config_replace_end(void *arg)
{
	sync_changed(((struct feed *)arg)->sync);
}

static const struct reflector_ops config_ops = {
	.on_object = on_config,
	.on_replace_begin = config_replace_begin,
	.on_replace_end = config_replace_end,
};

/* Nodes */

static void on_node(bool is_deleted, const struct doc *doc, void *arg)
{
	struct feed *f = arg;
	struct kube_node *n;
	struct err err = {0};
	int r;

	if (is_deleted) {
		node_table_remove(f->sync->t.nodes, doc_str_at(doc, "metadata.name", ""));
	} else {
		r = kube_node_decode(doc, &n, &err);
		/* Services may be there on hosts with certain labels only. */
		if (r == 0 && (f->sync->t.has_node_labels || n->is_host)) {
			r = kube_node_read_labels(n, doc);
			if (r < 0)
				kube_node_free(n);
		}
		if (r == 0)
			r = node_table_set(f->sync->t.nodes, n);
		if (r < 0) {
			if (r != -ENOMEM)
				node_table_remove(f->sync->t.nodes, doc_str_at(doc, "metadata.name", ""));
			sync_failed(f, NULL, doc_str_at(doc, "metadata.name", ""), r, err.text);
		}
	}
	sync_changed(f->sync);
}

static void node_replace_begin(void *arg)
{
	node_table_replace_begin(((struct feed *)arg)->sync->t.nodes);
}

static void node_replace_end(void *arg)
{
	struct feed *f = arg;

	node_table_replace_end(f->sync->t.nodes);
	sync_changed(f->sync);
}

static const struct reflector_ops node_ops = {
	.on_object = on_node,
	.on_replace_begin = node_replace_begin,
	.on_replace_end = node_replace_end,
};

/* All of them */

static const struct {
	const char *name, *path, *query;
	bool is_optional;
	const struct reflector_ops *ops;
	bool is_guarded;
	const char *other_path;
} kinds[KINDS] = {
	[KIND_CONFIG] = {"ConfigMap", NULL /* of Cilium's namespace */, "fieldSelector=metadata.name%3D" CILIUM_CONFIG_NAME, false,
			 &config_ops},
	[KIND_NAMESPACE] = {"Namespace", "/api/v1/namespaces", NULL, false, &namespace_ops},
	[KIND_IDENTITY] = {"CiliumIdentity", "/apis/cilium.io/v2/ciliumidentities", NULL, false, &sync_identity_ops},
	[KIND_NODE] = {"CiliumNode", "/apis/cilium.io/v2/ciliumnodes", NULL, false, &node_ops},
	[KIND_ENDPOINT] = {"CiliumEndpoint", "/apis/cilium.io/v2/ciliumendpoints", NULL, false, &sync_endpoint_ops},
	[KIND_CNP] = {"CiliumNetworkPolicy", "/apis/cilium.io/v2/ciliumnetworkpolicies", NULL, false, &sync_keyed_ops, true},
	[KIND_CCNP] = {"CiliumClusterwideNetworkPolicy", "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies", NULL,
		       false, &sync_keyed_ops, true},
	[KIND_CIDR_GROUP] = {"CiliumCIDRGroup", "/apis/cilium.io/v2/ciliumcidrgroups", NULL, true, &sync_keyed_ops, false,
			     "/apis/cilium.io/v2alpha1/ciliumcidrgroups" /* before Cilium 1.18 */},
	[KIND_KNP] = {"NetworkPolicy", "/apis/networking.k8s.io/v1/networkpolicies", NULL, false, &sync_keyed_ops, true},
	[KIND_SERVICE] = {"Service", "/api/v1/services", NULL, false, &sync_keyed_ops},
	[KIND_SLICE] = {"EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices", NULL, false, &sync_keyed_ops},
	[KIND_IMPORT] = {"ServiceImport", "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports", NULL, true, &sync_keyed_ops},
};

/* One cut connection ends the watches of all kinds: that is told of the first. */
static bool is_told(const struct sync *s, const char *reason)
{
	for (size_t i = 0; i < KINDS; i++)
		if (s->feeds[i].is_waiting && str_eq(reflector_error(s->feeds[i].reflector), reason))
			return true;
	return false;
}

static void on_state(struct reflector *r, void *arg)
{
	struct feed *f = arg;
	struct sync *s = f->sync;
	enum reflector_state state = reflector_get_state(r);

	if (reflector_is_failing(r) && !f->is_waiting) {
		log_event(is_told(s, reflector_error(r)) ? LOG_DEBUG : LOG_WARNING, "sync.waiting", "cannot read from the API server, will try again",
			  F_STR("kind", reflector_name(r)), F_STR("reason", reflector_error(r)));
		f->is_waiting = true;
	} else if (reflector_has_synced(r) &&
		   (state == REFLECTOR_SYNCING || (state == REFLECTOR_SYNCED && f->is_waiting))) {
		s->cb.on_resumed(s->cb.arg);
	}
	if (state == REFLECTOR_SYNCED)
		f->is_waiting = false;
	sync_changed(s);
}

static void on_unauthorized(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	s->cb.on_unauthorized(s->cb.arg);
}

/* One kind saw it, the others may not. */
static void on_older(void *arg)
{
	struct feed *f = arg;

	for (unsigned kind = 0; kind < KINDS; kind++)
		if (kind != f->kind)
			reflector_relist(f->sync->feeds[kind].reflector);
}

static int start_feed(struct sync *s, struct loop *loop, struct kube_client *client, enum kind kind)
{
	struct feed *f = &s->feeds[kind];
	struct reflector_conf conf = {
		.name = kinds[kind].name,
		.path = kinds[kind].path,
		.other_path = kinds[kind].other_path,
		.query = kinds[kind].query,
		.is_optional = kinds[kind].is_optional,
		.is_guarded = kinds[kind].is_guarded,
		.ops = kinds[kind].ops,
		.arg = f,
		.on_state = on_state,
		.on_unauthorized = on_unauthorized,
		.on_older = on_older,
		.state_arg = f,
	};
	int r;

	f->sync = s;
	f->kind = kind;
	if (kind == KIND_CONFIG) {
		conf.path = s->config_path;
	} else if (kind == KIND_IDENTITY) {
		conf.paths = s->identity_paths;
	} else if (kind == KIND_ENDPOINT) {
		conf.paths = s->endpoint_paths;
		if (s->has_slices) {
			conf.name = "CiliumEndpointSlice";
			conf.path = "/apis/cilium.io/v2alpha1/ciliumendpointslices";
			conf.ops = &sync_endpoint_slice_ops;
		}
	}
	r = key_set_new(&f->keys);
	if (r == 0)
		r = key_set_new(&f->left_out);
	return r < 0 ? r : reflector_new(loop, client, &conf, 0, &f->reflector);
}

int sync_new(struct loop *loop, struct kube_client *client, bool has_slices, const struct sync_tables *tables,
	     const struct sync_callbacks *callbacks, struct sync **ret)
{
	CLEANUP(sync_free) struct sync *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->t = *tables;
	s->cb = *callbacks;
	s->has_slices = has_slices;
	s->config_path = kube_object_path("ConfigMap", s->t.cilium_namespace ? s->t.cilium_namespace : CILIUM_NAMESPACE, NULL);
	if (!s->config_path)
		return -ENOMEM;
	r = json_paths_new(sync_identity_fields, sync_identity_n_fields, &s->identity_paths);
	if (r == 0)
		r = has_slices ? json_paths_new(kube_ces_fields, kube_ces_n_fields, &s->endpoint_paths)
			       : json_paths_new(kube_cep_fields, kube_cep_n_fields, &s->endpoint_paths);
	for (unsigned kind = 0; r == 0 && kind < KINDS; kind++)
		r = start_feed(s, loop, client, (enum kind)kind);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void sync_free(struct sync *s)
{
	if (!s)
		return;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		reflector_free(s->feeds[kind].reflector);
		key_set_free(s->feeds[kind].keys);
		key_set_free(s->feeds[kind].left_out);
	}
	free(s->config_path);
	json_paths_free(s->endpoint_paths);
	json_paths_free(s->identity_paths);
	kube_ces_done(&s->ces);
	label_builder_done(&s->labels);
	u32map_done(&s->identity_epochs);
	free(s);
}

bool sync_is_complete(const struct sync *s)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		if (kind != KIND_IMPORT && !reflector_has_synced(s->feeds[kind].reflector))
			return false;
	return true;
}

bool sync_has_imports(const struct sync *s)
{
	return reflector_has_synced(s->feeds[KIND_IMPORT].reflector);
}

const struct reflector *sync_reflector(const struct sync *s, size_t i)
{
	return i < KINDS ? s->feeds[i].reflector : NULL;
}

bool sync_is_failing(const struct sync *s, size_t i)
{
	const struct reflector *r = sync_reflector(s, i);

	/* Roles of an older setup do not let us read ServiceImports. */
	return r && reflector_is_failing(r) && (i != KIND_IMPORT || reflector_has_synced(r));
}

const struct reflector *sync_failing(const struct sync *s, size_t *ret_n)
{
	const struct reflector *worst = NULL;

	*ret_n = 0;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		const struct reflector *r = s->feeds[kind].reflector;

		if (!sync_is_failing(s, kind))
			continue;
		++*ret_n;
		if (!worst || reflector_fresh_us(r) < reflector_fresh_us(worst))
			worst = r;
	}
	return worst;
}

uint64_t sync_rejected(const struct sync *s, size_t i)
{
	return i < KINDS ? s->feeds[i].rejected : 0;
}

size_t sync_left_out(const struct sync *s)
{
	size_t n = 0;

	for (unsigned kind = 0; kind < KINDS; kind++)
		n += key_set_count(s->feeds[kind].left_out);
	return n;
}

void sync_use_room(struct sync *s)
{
	bool is_due = !s->reread_us || clock_boot_us() - s->reread_us >= REREAD_S * USEC_PER_SEC;

	if (!is_due || !sync_left_out(s) || !policy_gate_has_room(s->t.policies))
		return;
	s->reread_us = clock_boot_us();
	for (unsigned kind = 0; kind < KINDS; kind++)
		if (key_set_count(s->feeds[kind].left_out))
			reflector_reread(s->feeds[kind].reflector, "there is room for more policies: listing anew");
}

void sync_kick(struct sync *s)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		reflector_kick(s->feeds[kind].reflector);
}
