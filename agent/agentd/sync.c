/* SPDX-License-Identifier: Apache-2.0 */
#include "agentd/sync.h"

#include <errno.h>

#include "base/log.h"
#include "base/str.h"
#include "base/u32map.h"
#include "json/json.h"
#include "kube/decode_endpoint.h"
#include "kube/kube_object.h"
#include "store/key_set.h"

enum kind {
	KIND_CONFIG,
	KIND_NAMESPACE,
	KIND_IDENTITY,
	KIND_NODE,
	KIND_ENDPOINT,
	KIND_CNP,
	KIND_CCNP,
	KIND_CIDR_GROUP,
	KIND_KNP,
	KIND_SERVICE,
	KIND_SLICE,
	KIND_IMPORT,
	KINDS,
};

/* One kind's state: what its callbacks get as their argument. */
struct feed {
	struct sync *sync;
	enum kind kind;
	struct reflector *reflector;
	struct key_set *keys; /* of document kinds */
	uint64_t rejected;
	bool is_waiting; /* so far as was told; a kind that stays away is told of once */
};

struct sync {
	struct sync_tables t;
	struct sync_callbacks cb;
	struct feed feeds[KINDS];
	struct json_paths *endpoint_paths, *identity_paths;
	char *config_path;
	bool has_slices;
	struct kube_endpoint endpoint; /* the CiliumEndpoint being read */
	struct kube_ces ces;	       /* or the slice */
	struct label_builder labels; /* of the identity being read */
	char identity_name[16];
	int identity_error; /* -ENOMEM, or another: refused */
	struct u32map identity_epochs;
	uint64_t identity_epoch;
};

static void changed(struct sync *s)
{
	s->cb.on_change(s->cb.arg);
}

static void reject(struct feed *f, const char *ns, const char *name, const char *why)
{
	f->rejected++;
	log_event(LOG_WARNING, "sync.rejected", "an object is not fit for use and is left out",
		  F_STR("kind", reflector_name(f->reflector)), F_STR("namespace", ns), F_STR("name", name),
		  F_STR("reason", why));
}

/* An object that is left out stays out; one that memory was lacking for must not, as it may forbid something. */
static void failed(struct feed *f, const char *ns, const char *name, int r, const char *why)
{
	if (r != -ENOMEM) {
		reject(f, ns, name, why && *why ? why : err_name(r));
		return;
	}
	log_event(LOG_ERR, "sync.memory", "no memory for an object", F_STR("kind", reflector_name(f->reflector)),
		  F_STR("namespace", ns), F_STR("name", name));
	f->sync->cb.on_memory(f->sync->cb.arg);
}

/* Namespaces and the ConfigMap */

static void on_namespace(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;
	const char *name = json_str(doc, "metadata.name", "");
	int r = 0;

	if (is_deleted)
		key_set_remove(f->keys, "", name);
	else
		r = key_set_add(f->keys, "", name);
	if (r < 0)
		failed(f, "", name, r, NULL);
	else
		f->sync->cb.on_namespace(name, !is_deleted, f->sync->cb.arg);
}

static void namespace_gone(const char *ns, const char *name, void *arg)
{
	struct feed *f = arg;

	(void)ns;
	f->sync->cb.on_namespace(name, false, f->sync->cb.arg);
}

static void on_config(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;

	if (!is_deleted) /* a deleted ConfigMap says nothing new: the cluster runs on */
		f->sync->cb.on_config(doc, f->sync->cb.arg);
}

static void ignore_gone(const char *ns, const char *name, void *arg)
{
	(void)ns;
	(void)name;
	(void)arg;
}

/* Identities */

enum { ID_VERSION = REFLECTOR_FIELD_VERSION, ID_NAME, ID_LABEL };

static const struct json_field identity_fields[] = {
	{"metadata.resourceVersion", ID_VERSION},
	{"metadata.name", ID_NAME},
	{"security-labels.*", ID_LABEL},
};

static void identity_begin(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	label_builder_done(&s->labels);
	s->labels.table = identity_labels(s->t.identities);
	s->identity_name[0] = '\0';
	s->identity_error = 0;
}

static void identity_pick(const struct json_pick *p, void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;
	char key[LIMIT_LABEL_KEY + 1], value[LIMIT_NAME + 1];
	int r;

	if (p->what != JSON_SCALAR || p->id == ID_VERSION)
		return;
	if (p->id == ID_NAME) {
		if (p->text_len < sizeof(s->identity_name)) {
			memcpy(s->identity_name, p->text, p->text_len);
			s->identity_name[p->text_len] = '\0';
		}
		return;
	}
	if (!p->is_string || p->key_len > LIMIT_LABEL_KEY || p->text_len > LIMIT_NAME ||
	    memchr(p->key, 0, p->key_len) || memchr(p->text, 0, p->text_len)) {
		s->identity_error = -EINVAL;
		return;
	}
	memcpy(key, p->key, p->key_len);
	key[p->key_len] = '\0';
	memcpy(value, p->text, p->text_len);
	value[p->text_len] = '\0';
	r = label_builder_add(&s->labels, key, value);
	if (r < 0 && s->identity_error != -ENOMEM)
		s->identity_error = r;
}

static void on_identity(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;
	struct sync *s = f->sync;
	struct label_set *set;
	uint64_t number;
	int r;

	(void)doc;
	if (str_to_u64(s->identity_name, UINT32_MAX, &number) < 0 || number < IDENTITY_CLUSTER_MIN ||
	    number >= IDENTITY_LOCAL_CIDR) {
		reject(f, NULL, s->identity_name, "the name is no cluster identity number");
		return;
	}
	if (is_deleted) {
		(void)identity_remove(s->t.identities, (uint32_t)number); /* unknown: refused earlier */
		u32map_del(&s->identity_epochs, (uint32_t)number);
		changed(s);
		return;
	}
	if (s->identity_error < 0) {
		failed(f, NULL, s->identity_name, s->identity_error, "a label is malformed or over a limit");
		return;
	}
	r = label_builder_take(&s->labels, &set);
	if (r == 0)
		r = identity_upsert(s->t.identities, (uint32_t)number, set);
	if (r == 0)
		r = u32map_put(&s->identity_epochs, (uint32_t)number, s->identity_epoch);
	if (r < 0)
		failed(f, NULL, s->identity_name, r, NULL);
	changed(s);
}

static void identity_replace_begin(void *arg)
{
	((struct feed *)arg)->sync->identity_epoch++;
}

static void identity_replace_end(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	for (size_t i = 0; i < s->identity_epochs.cap;) {
		const struct u32map_slot *slot = &s->identity_epochs.v[i];

		if (slot->key && slot->value != s->identity_epoch) {
			(void)identity_remove(s->t.identities, slot->key); /* it is there */
			u32map_del(&s->identity_epochs, slot->key); /* another may move into this slot */
		} else {
			i++;
		}
	}
	changed(s);
}

static const struct reflector_ops identity_ops = {
	.on_begin = identity_begin,
	.on_pick = identity_pick,
	.on_object = on_identity,
	.on_replace_begin = identity_replace_begin,
	.on_replace_end = identity_replace_end,
};

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
			reject(f, e->ns, e->name, "a field is malformed or over a limit");
		if (e->ns[0] && e->name[0])
			endpoint_table_remove(f->sync->t.endpoints, e->ns, e->name, slice);
		return;
	}
	r = port_claims_intern(f->sync->t.ports, e->ports, e->n_ports, &info.ports);
	if (r == 0)
		r = endpoint_table_set(f->sync->t.endpoints, e->ns, e->name, slice, &info);
	port_claims_put(f->sync->t.ports, info.ports); /* who has them holds them */
	if (r < 0)
		failed(f, e->ns, e->name, r, NULL);
}

static void endpoint_begin(void *arg)
{
	kube_endpoint_clear(&((struct feed *)arg)->sync->endpoint);
}

static void endpoint_pick(const struct json_pick *p, void *arg)
{
	kube_cep_pick(&((struct feed *)arg)->sync->endpoint, p);
}

static void on_endpoint(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;
	const struct kube_endpoint *e = &f->sync->endpoint;

	(void)doc;
	if (is_deleted)
		endpoint_table_remove(f->sync->t.endpoints, e->ns, e->name, NULL);
	else
		set_endpoint(f, e, NULL);
	changed(f->sync);
}

static void endpoint_replace_begin(void *arg)
{
	endpoint_table_replace_begin(((struct feed *)arg)->sync->t.endpoints);
}

static void endpoint_replace_end(void *arg)
{
	struct feed *f = arg;

	endpoint_table_replace_end(f->sync->t.endpoints);
	changed(f->sync);
}

static const struct reflector_ops endpoint_ops = {
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

static void on_slice_object(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;
	struct sync *s = f->sync;

	(void)doc;
	if (!s->ces.slice[0] || s->ces.is_refused) {
		failed(f, s->ces.ns, s->ces.slice, s->ces.has_no_memory ? -ENOMEM : -EINVAL,
		       "the slice has no name or is over a limit");
		return;
	}
	endpoint_table_slice_begin(s->t.endpoints);
	for (size_t i = 0; !is_deleted && i < s->ces.n_endpoints; i++) {
		struct kube_endpoint *e = &s->ces.endpoints[i];

		memcpy(e->ns, s->ces.ns, sizeof(e->ns));
		set_endpoint(f, e, s->ces.slice);
	}
	endpoint_table_slice_end(s->t.endpoints, s->ces.slice);
	changed(s);
}

static const struct reflector_ops endpoint_slice_ops = {
	.on_begin = slice_begin,
	.on_pick = slice_pick,
	.on_object = on_slice_object,
	.on_replace_begin = endpoint_replace_begin,
	.on_replace_end = endpoint_replace_end,
};

/* Nodes */

static void on_node(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;
	struct kube_node *n;
	struct err err = {0};
	int r;

	if (is_deleted) {
		node_table_remove(f->sync->t.nodes, json_str(doc, "metadata.name", ""));
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
		if (r < 0)
			failed(f, NULL, json_str(doc, "metadata.name", ""), r, err.text);
	}
	changed(f->sync);
}

static void node_replace_begin(void *arg)
{
	node_table_replace_begin(((struct feed *)arg)->sync->t.nodes);
}

static void node_replace_end(void *arg)
{
	struct feed *f = arg;

	node_table_replace_end(f->sync->t.nodes);
	changed(f->sync);
}

static const struct reflector_ops node_ops = {
	.on_object = on_node,
	.on_replace_begin = node_replace_begin,
	.on_replace_end = node_replace_end,
};

/* Kinds kept as documents elsewhere: policies, services, slices, imports */

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
static int upsert_slice(struct sync *s, const json_t *doc, const char *ns, const char *name, struct err *err)
{
	struct kube_slice *slice;
	int r = kube_slice_decode(doc, &slice, err);

	if (r < 0)
		return r;
	service_table_remove_slice(slice->is_import ? s->t.services : s->t.imports, ns, name);
	return service_table_upsert_slice(slice->is_import ? s->t.imports : s->t.services, slice);
}

static int upsert_keyed(struct feed *f, const json_t *doc, const char *ns, const char *name, struct err *err)
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

static void on_keyed(bool is_deleted, const json_t *doc, void *arg)
{
	struct feed *f = arg;
	const char *ns = json_str(doc, "metadata.namespace", "");
	const char *name = json_str(doc, "metadata.name", "");
	struct err err = {0};
	int r;

	if (is_ignored(f))
		return;
	if (is_deleted) {
		key_set_remove(f->keys, ns, name);
		remove_keyed(ns, name, f);
	} else {
		r = key_set_add(f->keys, ns, name);
		if (r == 0)
			r = upsert_keyed(f, doc, ns, name, &err);
		if (r < 0)
			failed(f, ns, name, r, err.text);
	}
	changed(f->sync);
}

static void keyed_replace_begin(void *arg)
{
	key_set_replace_begin(((struct feed *)arg)->keys);
}

static void keyed_replace_end(void *arg)
{
	struct feed *f = arg;
	key_set_fn gone = f->kind == KIND_NAMESPACE ? namespace_gone
			  : f->kind == KIND_CONFIG  ? ignore_gone
						    : remove_keyed;

	key_set_replace_end(f->keys, gone, f);
	changed(f->sync);
}

static const struct reflector_ops keyed_ops = {
	.on_object = on_keyed,
	.on_replace_begin = keyed_replace_begin,
	.on_replace_end = keyed_replace_end,
};

static const struct reflector_ops namespace_ops = {
	.on_object = on_namespace,
	.on_replace_begin = keyed_replace_begin,
	.on_replace_end = keyed_replace_end,
};

static const struct reflector_ops config_ops = {
	.on_object = on_config,
	.on_replace_begin = keyed_replace_begin,
	.on_replace_end = keyed_replace_end,
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
	[KIND_IDENTITY] = {"CiliumIdentity", "/apis/cilium.io/v2/ciliumidentities", NULL, false, &identity_ops},
	[KIND_NODE] = {"CiliumNode", "/apis/cilium.io/v2/ciliumnodes", NULL, false, &node_ops},
	[KIND_ENDPOINT] = {"CiliumEndpoint", "/apis/cilium.io/v2/ciliumendpoints", NULL, false, &endpoint_ops},
	[KIND_CNP] = {"CiliumNetworkPolicy", "/apis/cilium.io/v2/ciliumnetworkpolicies", NULL, false, &keyed_ops, true},
	[KIND_CCNP] = {"CiliumClusterwideNetworkPolicy", "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies", NULL,
		       false, &keyed_ops, true},
	[KIND_CIDR_GROUP] = {"CiliumCIDRGroup", "/apis/cilium.io/v2/ciliumcidrgroups", NULL, true, &keyed_ops, false,
			     "/apis/cilium.io/v2alpha1/ciliumcidrgroups" /* before Cilium 1.18 */},
	[KIND_KNP] = {"NetworkPolicy", "/apis/networking.k8s.io/v1/networkpolicies", NULL, false, &keyed_ops, true},
	[KIND_SERVICE] = {"Service", "/api/v1/services", NULL, false, &keyed_ops},
	[KIND_SLICE] = {"EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices", NULL, false, &keyed_ops},
	[KIND_IMPORT] = {"ServiceImport", "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports", NULL, true, &keyed_ops},
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
	changed(s);
}

static void on_unauthorized(void *arg)
{
	struct sync *s = ((struct feed *)arg)->sync;

	s->cb.on_unauthorized(s->cb.arg);
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
			conf.ops = &endpoint_slice_ops;
		}
	}
	r = key_set_new(&f->keys);
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
	r = json_paths_new(identity_fields, ARRAY_LEN(identity_fields), &s->identity_paths);
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

void sync_kick(struct sync *s)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		reflector_kick(s->feeds[kind].reflector);
}
