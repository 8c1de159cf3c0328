/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verdict_objects.h"

#include <errno.h>

#include "base/file.h"
#include "base/macro.h"
#include "base/str.h"
#include "json/json.h"
#include "kube/decode_service.h"
#include "kube/decode_slice.h"
#include "kube/yaml_json.h"
#include "service/service_policy.h"

/* All policies of a large cluster as `kubectl get -o yaml` prints them. */
enum { FILE_BYTES_MAX = 64 * 1024 * 1024 };

int verdict_objects_init(struct verdict_objects *v, const struct policy_options *options)
{
	struct policy_service_view view;
	int r;

	*v = (struct verdict_objects){.namespaces = json_object(), .rejected = json_array()};
	if (!v->namespaces || !v->rejected)
		return -ENOMEM;
	r = identity_table_new(&v->ids);
	if (r == 0)
		r = service_table_new(NULL, &v->services);
	if (r < 0)
		return r;
	view = service_policy_view(v->services);
	return policy_repo_new(v->ids, options, &view, &v->policies);
}

void verdict_objects_done(struct verdict_objects *v)
{
	policy_repo_free(v->policies);
	service_table_free(v->services);
	identity_table_free(v->ids);
	json_decref(v->namespaces);
	json_decref(v->rejected);
	*v = (struct verdict_objects){0};
}

/* What an object says of itself; a List says it for items that do not. */
struct header {
	const char *kind, *api, *ns, *name;
};

static int reject(struct verdict_objects *v, const struct header *h, const char *error)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "kind", h->kind, "namespace", h->ns, "name", h->name, "error", error);

	return json_array_append_new(v->rejected, o) < 0 ? -ENOMEM : 0;
}

static int take_policy(struct verdict_objects *v, const struct header *h, const struct doc *obj, enum policy_kind kind)
{
	struct err err = {0};
	int r = policy_set(v->policies, kind, obj, &err);

	return r == -EBADMSG || r == -ENOSPC ? reject(v, h, err.text) : r < 0 ? r : 0;
}

static int take_service(struct verdict_objects *v, const struct header *h, const struct doc *obj)
{
	struct kube_service *s;
	struct err err = {0};
	int r = kube_service_decode(obj, &s, &err);

	if (r == 0)
		r = service_table_upsert(v->services, s);
	if (r == -E2BIG)
		(void)err_set(&err, E2BIG, "more than %d Services", LIMIT_SERVICES);
	return r == -EINVAL || r == -E2BIG ? reject(v, h, err.text) : r;
}

static int take_slice(struct verdict_objects *v, const struct header *h, const struct doc *obj)
{
	struct kube_slice *s;
	struct err err = {0};
	int r = kube_slice_decode(obj, &s, &err);

	if (r == 0)
		r = service_table_upsert_slice(v->services, s);
	if (r == -E2BIG)
		(void)err_set(&err, E2BIG, "more than %d addresses", LIMIT_BACKENDS);
	return r == -EINVAL || r == -E2BIG ? reject(v, h, err.text) : r;
}

static int take_namespace(struct verdict_objects *v, const struct header *h, const struct doc *obj)
{
	const struct doc *labels = doc_get(doc_get(obj, "metadata"), "labels");
	CLEANUP(json_decref) json_t *own = json_object();

	if (!str_is_dns_label(h->name))
		return reject(v, h, "metadata.name is missing or no name");
	if (labels && !doc_is_object(labels))
		return reject(v, h, "metadata.labels is no object");
	for (struct doc_iter i = doc_members(labels); i.v; doc_next(&i))
		if (json_object_set_new(own, i.key, json_string(doc_is_string(i.v) ? doc_str(i.v) : "")) < 0)
			return -ENOMEM;
	/* as the API server does */
	if (json_object_set_new(own, "kubernetes.io/metadata.name", json_string(h->name)) < 0)
		return -ENOMEM;
	return json_object_set_new(v->namespaces, h->name, TAKE_PTR(own)) < 0 ? -ENOMEM : 0;
}

struct kind {
	const char *name;
	const char *group; /* of apiVersion, with the slash; "" = the core group */
	int policy;	   /* enum policy_kind, or -1 */
	bool is_clusterwide;
	int (*take)(struct verdict_objects *v, const struct header *h, const struct doc *obj);
};

static const struct kind kinds[] = {
	{"CiliumNetworkPolicy", "cilium.io/", POLICY_CNP, false, NULL},
	{"CiliumClusterwideNetworkPolicy", "cilium.io/", POLICY_CCNP, true, NULL},
	{"NetworkPolicy", "networking.k8s.io/", POLICY_KNP, false, NULL},
	{"CiliumCIDRGroup", "cilium.io/", POLICY_CIDR_GROUP, true, NULL},
	{"Service", "", -1, false, take_service},
	{"EndpointSlice", "discovery.k8s.io/", -1, false, take_slice},
	{"Namespace", "", -1, true, take_namespace},
};

static const struct kind *kind_of(const struct header *h)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct kind *k = &kinds[i];
		bool is_core = !strchr(h->api, '/');

		if (str_eq(k->name, h->kind) &&
		    (!*h->api || (*k->group ? str_has_prefix(h->api, k->group) : is_core)))
			return k;
	}
	return NULL;
}

static int fill_namespace(json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	if (!json_is_object(meta) || *json_str(meta, "namespace", ""))
		return 0;
	return json_object_set_new(meta, "namespace", json_string("default")) < 0 ? -ENOMEM : 0;
}

static int take_one(struct verdict_objects *v, struct header h, json_t *obj)
{
	CLEANUP(doc_free) struct doc *doc = NULL;
	const struct kind *k = kind_of(&h);
	char text[256];

	if (!*h.kind)
		return reject(v, &h, "kind is missing");
	if (!k) {
		(void)snprintf(text, sizeof(text), "%.100s%s%.100s has no meaning here: policies, CiliumCIDRGroup, Namespace, "
			       "Service and EndpointSlice are read", h.api, *h.api ? " " : "", h.kind); /* cut is fine */
		return reject(v, &h, text);
	}
	if (k->is_clusterwide)
		h.ns = "";
	else if (fill_namespace(obj) < 0)
		return -ENOMEM;
	else
		h.ns = json_str(obj, "metadata.namespace", "");
	doc = doc_from_json(obj);
	if (!doc)
		return -ENOMEM;
	return k->policy >= 0 ? take_policy(v, &h, doc, (enum policy_kind)k->policy) : k->take(v, &h, doc);
}

static int take_any(struct verdict_objects *v, json_t *obj, const struct header *outer);

/* "List" or what the API answers for a collection, whose items do not say their kind. */
static int take_list(struct verdict_objects *v, const json_t *items, const struct header *h)
{
	CLEANUP(free) char *kind = strndup(h->kind, strlen(h->kind) - strlen("List"));
	const struct header inner = {.kind = kind, .api = kind && *kind ? h->api : "", .ns = "", .name = ""};
	json_t *item;
	size_t i;
	int r = kind ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < json_array_size(items); i++) {
		item = json_array_get(items, i);
		r = json_is_object(item) ? take_any(v, item, &inner) : reject(v, &inner, "an item of the list is no object");
	}
	return r;
}

static int take_any(struct verdict_objects *v, json_t *obj, const struct header *outer)
{
	const struct header h = {.kind = json_str(obj, "kind", outer->kind), .api = json_str(obj, "apiVersion", outer->api),
				 .ns = json_str(obj, "metadata.namespace", ""), .name = json_str(obj, "metadata.name", "")};
	const json_t *items = json_object_get(obj, "items");

	/* Lists nest as deep as the reader allows documents to be. */
	if (str_has_suffix(h.kind, "List") && json_is_array(items))
		return take_list(v, items, &h);
	return take_one(v, h, obj);
}

/* One JSON text may be larger than what is taken as YAML. */
static int parse(const struct buf *text, json_t **ret, struct err *reterr)
{
	size_t i = text->data ? strspn(text->data, " \t\r\n") : 0;
	json_t *one = text->data && text->len > i && text->data[i] == '{' ? json_parse(text->data, text->len) : NULL;

	if (!one)
		return yaml_to_json(text->data ? text->data : "", text->len, ret, reterr);
	*ret = json_pack("[o]", one);
	return *ret ? 0 : err_set(reterr, ENOMEM, "out of memory");
}

int verdict_objects_read(struct verdict_objects *v, const char *path, struct err *reterr)
{
	static const struct header none = {.kind = "", .api = "", .ns = "", .name = ""};
	CLEANUP(buf_done) struct buf text = {0};
	CLEANUP(json_decref) json_t *docs = NULL;
	bool is_stdin = str_eq(path, "-");
	const char *name = is_stdin ? "the standard input" : path;
	int r = file_read(is_stdin ? "/dev/stdin" : path, FILE_BYTES_MAX, &text);

	if (r == -E2BIG)
		return err_set(reterr, E2BIG, "--objects: %.200s is longer than %d MiB; split it", name, FILE_BYTES_MAX >> 20);
	if (r < 0)
		return err_set(reterr, -r, "--objects: %.200s cannot be read: %s", name, err_name(r));
	r = parse(&text, &docs, reterr);
	if (r < 0)
		return err_prefix(reterr, r, "--objects: %.200s", name);
	for (size_t i = 0; i < json_array_size(docs); i++) {
		json_t *doc = json_array_get(docs, i);

		if (!json_is_object(doc))
			return err_set(reterr, EINVAL, "--objects: %.200s: document %zu is no object with a kind", name, i + 1);
		r = take_any(v, doc, &none);
		if (r < 0)
			return err_set(reterr, -r, "--objects: %.200s: document %zu: %s", name, i + 1, err_name(r));
	}
	return 0;
}
