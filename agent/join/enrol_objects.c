/* SPDX-License-Identifier: Apache-2.0 */
#include "join/enrol_objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "join/names.h"
#include "json/json.h"
#include "kube/kube_object.h"

#define RBAC "rbac.authorization.k8s.io"

json_t *enrol_owner(const char *version, const char *kind, const char *name, const char *uid)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "apiVersion", version, "kind", kind, "name", name, "uid", uid);
}

static json_t *node_owner(const struct enrol_spec *e)
{
	return enrol_owner("cilium.io/v2", "CiliumNode", e->host, e->node_uid);
}

/* Kind, name and metadata that all have. `namespace` NULL for cluster-scoped ones. Takes `owner`. */
static json_t *object(const char *kind, const char *namespace, const char *name, const char *host, json_t *owner)
{
	CLEANUP(json_decref) json_t *o = json_pack(
		"{s:s, s:s, s:{s:s, s:{s:s, s:s}, s:[o]}}", "apiVersion", kube_object_version(kind), "kind", kind, "metadata", "name", name,
		"labels", MESH_HOST_LABEL, host, MESH_PARTOF_LABEL, MESH_PARTOF, "ownerReferences", owner);

	if (!o || (namespace && json_object_set_new(json_object_get(o, "metadata"), "namespace", json_string(namespace)) < 0))
		return NULL;
	return TAKE_PTR(o);
}

json_t *enrol_node_object(const struct enrol_spec *e)
{
	CLEANUP(json_decref) json_t *o = object("CiliumNode", NULL, e->host, e->host, enrol_owner("v1", "Namespace", MESH_NAMESPACE, e->anchor_uid));
	int r = o ? 0 : -1;

	/* The owner keeps old operators from collecting it, the annotation new ones. */
	r |= json_object_set_new(json_object_get(o, "metadata"), "annotations",
				 json_pack("{s:s, s:s}", CILIUM_DO_NOT_GC, "true", MESH_ADDRESSES, e->addresses));
	r |= json_object_set_new(o, "spec", json_pack("{s:[]}", "addresses"));
	return r == 0 ? TAKE_PTR(o) : NULL;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

json_t *enrol_identity_labels(const json_t *security_labels)
{
	CLEANUP(json_decref) json_t *array = json_array();
	CLEANUP(strv_done) struct strv all = {0};
	const char *key;
	json_t *v;
	int r = array ? 0 : -1;

	json_object_foreach((json_t *)security_labels, key, v)
	{
		CLEANUP(free) char *text = str_printf("%s=%s", key, json_string_value(v));

		r |= text ? strv_add(&all, text) : -1;
	}
	if (all.n > 1)
		qsort(all.v, all.n, sizeof(*all.v), compare_strings);
	for (size_t i = 0; i < all.n; i++)
		r |= json_array_append_new(array, json_string(all.v[i]));
	return r == 0 ? TAKE_PTR(array) : NULL;
}

json_t *enrol_endpoint_object(const struct enrol_spec *e)
{
	CLEANUP(json_decref) json_t *o = object("CiliumEndpoint", e->namespace, e->host, e->host, node_owner(e));
	int r = o ? 0 : -1;

	r |= json_object_set_new(json_object_get(o, "metadata"), "annotations",
				 json_pack("{s:s, s:s}", MESH_ADDRESSES, e->addresses, MESH_LABELS, e->labels));
	r |= json_object_set_new(o, "status",
				 json_pack("{s:i, s:s, s:{s:i, s:o}}", "id", 1, "state", "disconnected", "identity", "id", (int)e->identity,
					   "labels", enrol_identity_labels(e->security_labels)));
	return r == 0 ? TAKE_PTR(o) : NULL;
}

static json_t *rule(const char *group, const char *resource, const char *name, json_t *verbs)
{
	return name ? json_pack("{s:[s], s:[s], s:[s], s:o}", "apiGroups", group, "resources", resource, "resourceNames", name, "verbs", verbs)
		    : json_pack("{s:[s], s:[s], s:o}", "apiGroups", group, "resources", resource, "verbs", verbs);
}

/* A role and the binding of the host's account to it, added to `all`. Takes `rules`. */
static int add_role(const struct enrol_spec *e, json_t *all, const char *namespace, const char *name, json_t *rules)
{
	const char *kind = namespace ? "Role" : "ClusterRole";
	json_t *role = object(kind, namespace, name, e->host, node_owner(e));
	json_t *binding = object(namespace ? "RoleBinding" : "ClusterRoleBinding", namespace, name, e->host, node_owner(e));
	int r = 0;

	r |= json_object_set_new(role, "rules", rules);
	r |= json_object_set_new(binding, "roleRef", json_pack("{s:s, s:s, s:s}", "apiGroup", RBAC, "kind", kind, "name", name));
	r |= json_object_set_new(binding, "subjects",
				 json_pack("[{s:s, s:s, s:s}]", "kind", "ServiceAccount", "name", e->host, "namespace", MESH_NAMESPACE));
	r |= json_array_append_new(all, role);
	r |= json_array_append_new(all, binding);
	return r;
}

/* What the host may do in its own namespace. */
static json_t *workload_rules(const struct enrol_spec *e)
{
	CLEANUP(json_decref) json_t *rules = json_array();
	json_t *names = json_array();
	int r = json_array_append_new(rules, rule("cilium.io", "ciliumendpoints", e->host, json_pack("[ss]", "update", "patch")));

	/* What is wrong with it as a backend, for the Services' owners; the admission policy says which Events. */
	r |= json_array_append_new(rules, rule("events.k8s.io", "events", NULL, json_pack("[ss]", "create", "patch")));
	for (size_t i = 0; i < e->services->n; i++)
		r |= json_array_append_new(names, json_string(e->services->v[i]));
	if (e->services->n) {
		json_t *verbs = e->may_weigh ? json_pack("[ss]", "serve", "weigh") : json_pack("[s]", "serve");

		r |= json_array_append_new(rules, json_pack("{s:[s], s:[s], s:O, s:o}", "apiGroups", "", "resources", "services",
							    "resourceNames", names, "verbs", verbs));
		/* `create` cannot be limited by name: the admission policy does it, by the verb above. */
		r |= json_array_append_new(rules, rule("discovery.k8s.io", "endpointslices", NULL,
						       json_pack("[ssss]", "create", "update", "patch", "delete")));
	}
	json_decref(names);
	if (e->zone && *e->zone)
		r |= json_array_append_new(rules, rule(MESH_RIGHTS, MESH_ZONES, e->zone, json_pack("[s]", "use")));
	return r == 0 ? TAKE_PTR(rules) : NULL;
}

json_t *enrol_access_objects(const struct enrol_spec *e)
{
	CLEANUP(json_decref) json_t *all = json_array();
	CLEANUP(free) char *role = str_printf("mesh-host-%s", e->host), *secret = str_printf("%s-join", e->host);
	/* Without a holder: that is for the machine which renews it, and another `host add` must not take it away. */
	json_t *lease = object("Lease", MESH_NAMESPACE, e->host, e->host, node_owner(e));
	char id[12];
	int r = role && secret && all ? 0 : -1;

	(void)snprintf(id, sizeof(id), "%u", e->identity);
	r |= json_array_append_new(all, object("ServiceAccount", MESH_NAMESPACE, e->host, e->host, node_owner(e)));
	r |= json_object_set_new(lease, "spec", json_pack("{s:i}", "leaseDurationSeconds", MESH_LEASE_SECONDS));
	r |= json_array_append_new(all, lease);
	if (r != 0)
		return NULL;
	r |= add_role(e, all, MESH_NAMESPACE, role,
		      json_pack("[ooo]", rule("", "serviceaccounts/token", e->host, json_pack("[s]", "create")),
				rule("", "secrets", secret, json_pack("[ss]", "get", "delete")),
				rule("coordination.k8s.io", "leases", e->host, json_pack("[sss]", "get", "update", "patch"))));
	r |= add_role(e, all, e->namespace, role, workload_rules(e));
	r |= add_role(e, all, NULL, role,
		      json_pack("[oooo]", rule("cilium.io", "ciliumnodes", e->host, json_pack("[ss]", "update", "patch")),
				rule("cilium.io", "ciliumidentities", id, json_pack("[ss]", "update", "patch")),
				rule(MESH_RIGHTS, "identities", id, json_pack("[s]", "use")),
				rule(MESH_RIGHTS, "addresses", e->addresses, json_pack("[s]", "use"))));
	return r == 0 ? TAKE_PTR(all) : NULL;
}

json_t *enrol_secret_object(const struct enrol_spec *e)
{
	CLEANUP(free) char *name = str_printf("%s-join", e->host);

	return name ? object("Secret", MESH_NAMESPACE, name, e->host, node_owner(e)) : NULL;
}
