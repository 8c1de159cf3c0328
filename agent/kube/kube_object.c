/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kube_object.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "json/json.h"

enum { PAGE = 500 };

static const struct kind {
	const char *name, *version, *plural;
	bool is_namespaced;
} kinds[] = {
	{"CiliumCIDRGroup", "cilium.io/v2", "ciliumcidrgroups", false},
	{"CiliumEndpoint", "cilium.io/v2", "ciliumendpoints", true},
	{"CiliumIdentity", "cilium.io/v2", "ciliumidentities", false},
	{"CiliumNode", "cilium.io/v2", "ciliumnodes", false},
	{"CiliumNodeConfig", "cilium.io/v2", "ciliumnodeconfigs", true},
	{"ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles", false},
	{"ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings", false},
	{"ConfigMap", "v1", "configmaps", true},
	{"CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions", false},
	{"EndpointSlice", "discovery.k8s.io/v1", "endpointslices", true},
	{"FlowSchema", "flowcontrol.apiserver.k8s.io/v1", "flowschemas", false},
	{"Lease", "coordination.k8s.io/v1", "leases", true},
	{"Namespace", "v1", "namespaces", false},
	{"Node", "v1", "nodes", false},
	{"Pod", "v1", "pods", true},
	{"Role", "rbac.authorization.k8s.io/v1", "roles", true},
	{"RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings", true},
	{"Secret", "v1", "secrets", true},
	{"Service", "v1", "services", true},
	{"ServiceAccount", "v1", "serviceaccounts", true},
	{"ServiceCIDR", "networking.k8s.io/v1", "servicecidrs", false},
	{"ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1", "validatingadmissionpolicies", false},
	{"ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", false},
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

const char *kube_object_version(const char *kind)
{
	const struct kind *k = find_kind(kind);

	return k ? k->version : NULL;
}

char *kube_object_path(const char *kind, const char *namespace, const char *name)
{
	CLEANUP(buf_done) struct buf path = {.max = 4096};
	const struct kind *k = find_kind(kind);
	int r;

	if (!k) {
		errno = EINVAL;
		return NULL;
	}
	r = buf_addf(&path, "%s/%s", strchr(k->version, '/') ? "/apis" : "/api", k->version);
	if (r == 0 && k->is_namespaced && namespace) {
		r = buf_addf(&path, "/namespaces/");
		if (r == 0)
			r = buf_add_escaped(&path, namespace);
	}
	if (r == 0)
		r = buf_addf(&path, "/%s", k->plural);
	if (r == 0 && name) {
		r = buf_addf(&path, "/");
		if (r == 0)
			r = buf_add_escaped(&path, name);
	}
	if (r < 0) {
		errno = ENOMEM;
		return NULL;
	}
	return strdup(path.data);
}

static int path_error(const char *kind, struct err *reterr)
{
	return errno == EINVAL ? err_set(reterr, EINVAL, "kind %.80s is not known", kind) : err_set(reterr, ENOMEM, "out of memory");
}

static int call(const struct kube_session *s, const char *method, const char *path, const char *query, const char *type,
		const json_t *body, json_t **ret, struct err *reterr)
{
	bool is_write = !str_eq(method, "GET");
	CLEANUP(free) char *full = str_printf("%s%s%s%s%s", path, query || (is_write && s->is_dry_run) ? "?" : "", query ? query : "",
					      query && is_write && s->is_dry_run ? "&" : "",
					      is_write && s->is_dry_run ? "dryRun=All" : "");
	const struct kube_request req = {.method = method, .path = full, .content_type = type, .body = body};

	if (!full)
		return err_set(reterr, ENOMEM, "out of memory");
	return kube_call_request(s->loop, s->client, &req, ret, reterr);
}

int kube_get(const struct kube_session *s, const char *kind, const char *namespace, const char *name, json_t **ret,
	     struct err *reterr)
{
	CLEANUP(free) char *path = kube_object_path(kind, namespace, name);

	if (!path)
		return path_error(kind, reterr);
	return call(s, "GET", path, NULL, NULL, NULL, ret, reterr);
}

int kube_each(const struct kube_session *s, const char *kind, const char *namespace, const char *selector,
	      int (*fn)(const json_t *object, void *arg), void *arg, struct err *reterr)
{
	CLEANUP(free) char *path = kube_object_path(kind, namespace, NULL);
	CLEANUP(free) char *more = NULL;

	if (!path)
		return path_error(kind, reterr);
	do {
		CLEANUP(buf_done) struct buf query = {.max = 16384};
		CLEANUP(json_decref) json_t *list = NULL;
		const json_t *v;
		size_t i;
		int r = buf_addf(&query, "limit=%d", PAGE);

		if (r == 0 && selector) {
			r = buf_addf(&query, "&labelSelector=");
			if (r == 0)
				r = buf_add_escaped(&query, selector);
		}
		if (r == 0 && more) {
			r = buf_addf(&query, "&continue=");
			if (r == 0)
				r = buf_add_escaped(&query, more);
		}
		if (r < 0)
			return err_set(reterr, -r, "%s", err_name(r));
		r = call(s, "GET", path, query.data, NULL, NULL, &list, reterr);
		if (r < 0)
			return r;
		json_array_foreach(json_object_get(list, "items"), i, v)
		{
			r = fn(v, arg);
			if (r < 0)
				return r;
		}
		free(more);
		more = strdup(json_str(list, "metadata.continue", ""));
		if (!more)
			return err_set(reterr, ENOMEM, "out of memory");
	} while (*more);
	return 0;
}

int kube_create(const struct kube_session *s, const json_t *object, json_t **ret, struct err *reterr)
{
	const char *kind = json_str(object, "kind", "");
	CLEANUP(free) char *path = kube_object_path(kind, json_str(object, "metadata.namespace", NULL), NULL);

	if (!path)
		return path_error(kind, reterr);
	return call(s, "POST", path, NULL, NULL, object, ret, reterr);
}

int kube_apply(const struct kube_session *s, const json_t *object, json_t **ret, struct err *reterr)
{
	const char *kind = json_str(object, "kind", "");
	CLEANUP(free) char *path = kube_object_path(kind, json_str(object, "metadata.namespace", NULL),
						    json_str(object, "metadata.name", ""));

	if (!path)
		return path_error(kind, reterr);
	/* JSON is YAML, so the apply patch takes it. */
	return call(s, "PATCH", path, "fieldManager=mesh-external-agent&force=true", "application/apply-patch+yaml", object, ret,
		    reterr);
}

int kube_merge(const struct kube_session *s, const char *kind, const char *namespace, const char *name, const json_t *patch,
	       json_t **ret, struct err *reterr)
{
	CLEANUP(free) char *path = kube_object_path(kind, namespace, name);

	if (!path)
		return path_error(kind, reterr);
	return call(s, "PATCH", path, NULL, KUBE_MERGE_PATCH, patch, ret, reterr);
}

int kube_delete(const struct kube_session *s, const char *kind, const char *namespace, const char *name, struct err *reterr)
{
	CLEANUP(free) char *path = kube_object_path(kind, namespace, name);
	int r;

	if (!path)
		return path_error(kind, reterr);
	r = call(s, "DELETE", path, NULL, NULL, NULL, NULL, reterr);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}
