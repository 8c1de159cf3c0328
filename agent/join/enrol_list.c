/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "join/enrol.h"
#include "join/names.h"
#include "json/json.h"

struct listing {
	json_t *rows;	/* by host name while it is made */
	struct err *err;
};

static const char *annotation(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(json_at(object, "metadata.annotations"), name));

	return s ? s : "";
}

static int add_node(const json_t *node, void *arg)
{
	struct listing *l = arg;
	const char *name = json_str(node, "metadata.name", "");
	json_t *row = json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:s, s:s?, s:[]}", "name", name, "namespace", NULL, "labels", "", "identity", NULL,
				"addresses", annotation(node, MESH_ADDRESSES), "state", "incomplete", "heartbeat", NULL, "claimed");

	return json_object_set_new(l->rows, name, row) < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

static int add_endpoint(const json_t *endpoint, void *arg)
{
	struct listing *l = arg;
	json_t *row = json_object_get(l->rows, json_str(endpoint, "metadata.name", ""));
	json_t *claimed = json_object_get(row, "claimed"), *v;
	size_t i;
	int r = 0;

	if (!row)
		return 0;
	r |= json_object_set_new(row, "namespace", json_string(json_str(endpoint, "metadata.namespace", "")));
	r |= json_object_set_new(row, "labels", json_string(annotation(endpoint, MESH_LABELS)));
	r |= json_object_set_new(row, "identity", json_integer(json_int(endpoint, "status.identity.id", 0)));
	r |= json_object_set_new(row, "state", json_string(json_str(endpoint, "status.state", "disconnected")));
	json_array_foreach(json_at(endpoint, "status.networking.addressing"), i, v)
	{
		if (json_str(v, "ipv4", NULL))
			r |= json_array_append_new(claimed, json_string(json_str(v, "ipv4", "")));
		if (json_str(v, "ipv6", NULL))
			r |= json_array_append_new(claimed, json_string(json_str(v, "ipv6", "")));
	}
	return r < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

static int add_lease(const json_t *lease, void *arg)
{
	struct listing *l = arg;
	json_t *row = json_object_get(l->rows, json_str(lease, "metadata.name", ""));
	const char *time = json_str(lease, "spec.renewTime", NULL);

	if (!row || !time)
		return 0;
	return json_object_set_new(row, "heartbeat", json_string(time)) < 0 ? err_set(l->err, ENOMEM, "out of memory") : 0;
}

int enrol_list(const struct kube_session *s, json_t **ret, struct err *reterr)
{
	CLEANUP(json_decref) json_t *by_name = json_object();
	CLEANUP(json_decref) json_t *rows = json_array();
	struct listing l = {.rows = by_name, .err = reterr};
	const char *key;
	json_t *v;
	int r = by_name && rows ? 0 : err_set(reterr, ENOMEM, "out of memory");

	if (r == 0)
		r = kube_each(s, "CiliumNode", NULL, MESH_HOST_LABEL, add_node, &l, reterr);
	if (r == 0)
		r = kube_each(s, "CiliumEndpoint", NULL, MESH_HOST_LABEL, add_endpoint, &l, reterr);
	if (r == 0)
		r = kube_each(s, "Lease", MESH_NAMESPACE, MESH_HOST_LABEL, add_lease, &l, reterr);
	if (r < 0)
		return r;
	json_object_foreach(by_name, key, v)
		if (json_array_append(rows, v) < 0)
			return err_set(reterr, ENOMEM, "out of memory");
	*ret = TAKE_PTR(rows);
	return 0;
}

/* `arg` is where the namespace goes. */
static int find_endpoint(const json_t *endpoint, void *arg)
{
	char **ret_namespace = arg;

	free(*ret_namespace);
	*ret_namespace = strdup(json_str(endpoint, "metadata.namespace", ""));
	return *ret_namespace ? 0 : -ENOMEM;
}

/* 1 if it is there and the host's, 0 if there is none, -EEXIST if it is something else's. */
static int find_own(const struct kube_session *s, const char *kind, const char *namespace, const char *name, const char *host,
		    struct err *reterr)
{
	CLEANUP(json_decref) json_t *object = NULL;
	const char *label;
	int r = kube_get(s, kind, namespace, name, &object, reterr);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	label = json_string_value(json_object_get(json_at(object, "metadata.labels"), MESH_HOST_LABEL));
	if (!label || !str_eq(label, host))
		return err_set(reterr, EEXIST, "%s %s is not of an external host, and is not touched", kind, name);
	return 1;
}

int enrol_remove(const struct kube_session *s, const char *host, struct err *reterr)
{
	CLEANUP(free) char *selector = str_printf("%s=%s", MESH_HOST_LABEL, host);
	CLEANUP(free) char *role = str_printf("mesh-host-%s", host);
	CLEANUP(free) char *secret = str_printf("%s-join", host);
	CLEANUP(free) char *namespace = NULL;
	struct err foreign = {0};
	bool has_foreign = false;
	int r = enrol_check_name(host, reterr), n = 0;

	if (r < 0)
		return r;
	if (!selector || !role || !secret)
		return err_set(reterr, ENOMEM, "out of memory");
	r = kube_each(s, "CiliumEndpoint", NULL, selector, find_endpoint, &namespace, reterr);
	if (r < 0)
		return r;

	/* Credentials first; then what the others see; the rest would go with its owner, the CiliumNode. */
	const struct {
		const char *kind, *namespace, *name;
		bool is_workload; /* lives where the endpoint is */
	} all[] = {
		{"ServiceAccount", MESH_NAMESPACE, host}, {"Secret", MESH_NAMESPACE, secret},
		{"CiliumEndpoint", namespace, host, true}, {"CiliumNode", NULL, host},
		{"ClusterRoleBinding", NULL, role},	  {"ClusterRole", NULL, role},
		{"RoleBinding", MESH_NAMESPACE, role},	  {"Role", MESH_NAMESPACE, role},
		{"RoleBinding", namespace, role, true},	  {"Role", namespace, role, true},
		{"Lease", MESH_NAMESPACE, host},
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].is_workload && !namespace)
			continue;
		r = find_own(s, all[i].kind, all[i].namespace, all[i].name, host, reterr);
		has_foreign |= r == -EEXIST; /* the rest goes all the same, credentials above all */
		if (r == -EEXIST && reterr)
			foreign = *reterr;
		if (r < 0 && r != -EEXIST)
			return r;
		if (r <= 0)
			continue;
		r = kube_delete(s, all[i].kind, all[i].namespace, all[i].name, reterr);
		if (r < 0)
			return err_prefix(reterr, r, "%s %s", all[i].kind, all[i].name);
		n += r;
	}
	if (has_foreign)
		return err_set(reterr, EPERM, "%s", foreign.text);
	return n ? 0 : err_set(reterr, ENOENT, "no host %s is enrolled", host);
}
